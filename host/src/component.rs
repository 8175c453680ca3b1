//! The `.wasm` bytes of a component, named by their digest. Tells a component from everything else by its first bytes;
//! compiles and runs nothing.

use crate::error::{Code, Fault};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// More than any component met so far by a factor of ten: CPython with its standard library is 40 MB.
const COMPONENT_BYTES_MAX: u64 = 512 << 20;

/// What the file with a component's digest ends in, and more than it has.
pub const DIGEST_EXTENSION: &str = "digest";
const DIGEST_BYTES_MAX: u64 = 128;

/// What is read at once: little enough to be hashed from the processor's cache, and to be had for few pages of memory.
const PIECE_BYTES: usize = 64 << 10;

const MAGIC: &[u8] = b"\0asm";
const MODULE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A SHA-256 digest, written `sha256-` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_hasher(Sha256::new().chain_update(bytes))
    }

    /// The digest of the component in a file, of which no more than a piece is ever held.
    ///
    /// # Errors
    /// As [`Component::read`].
    pub fn of_component(path: &Path) -> Result<Self, ComponentError> {
        read_pieces(path, |_, _| {})
    }

    /// The digest that `crunchbox precompile` wrote beside native code, for a package that leaves the component out: it is
    /// only looked up there, and reading it for its name would take longer than all else. None where there is no such file.
    ///
    /// # Errors
    /// [`ComponentError::Unreadable`] when it is there and no digest.
    pub fn instead_of_component(path: &Path) -> Result<Option<Self>, ComponentError> {
        let path = path.with_extension(DIGEST_EXTENSION);
        let unreadable = |source| ComponentError::Unreadable {
            path: path.clone(),
            source,
        };
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let mut text = String::new();
        file.take(DIGEST_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        let digest = text.trim_ascii().parse();
        digest
            .map(Some)
            .map_err(|problem: String| unreadable(std::io::Error::other(problem)))
    }

    /// The digest of all that a hasher has been fed.
    pub fn from_hasher(hasher: Sha256) -> Self {
        Self(hasher.finalize().into())
    }

    /// The first twelve digits: enough for a person to tell releases apart.
    pub fn short(&self) -> String {
        self.to_string()["sha256-".len()..][..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256-")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("expected `sha256-` and 64 hexadecimal digits, got `{text}`");
        let digits = text
            .strip_prefix("sha256-")
            .filter(|d| d.len() == 64 && d.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')))
            .ok_or_else(refused)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| refused())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| refused())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A component's bytes and their digest.
#[derive(Clone)]
pub struct Component {
    bytes: Vec<u8>,
    digest: Digest,
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("digest", &self.digest)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// Why a file is no component. Each variant asks for another remedy.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// Nothing there.
    #[error("there is no component at `{path}`")]
    Missing {
        /// The path asked for.
        path: PathBuf,
    },
    /// Not ours to read, or a folder.
    #[error("cannot read the component `{path}`")]
    Unreadable {
        /// The path asked for.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// No bytes at all.
    #[error("`{path}`: expected a component, got an empty file")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Something else altogether.
    #[error(
        "`{path}`: expected a component, got a file that starts with `{start}` instead of `\\0asm`"
    )]
    NotWasm {
        /// The file.
        path: PathBuf,
        /// Its first bytes, escaped.
        start: String,
    },
    /// A core module.
    #[error("`{path}`: expected a component, got a core WebAssembly module")]
    Module {
        /// The file.
        path: PathBuf,
    },
    /// WebAssembly of a version this host has never heard of, or cut off within the header.
    #[error("`{path}`: expected the header of a component, got `{start}`")]
    Header {
        /// The file.
        path: PathBuf,
        /// Its first bytes, escaped.
        start: String,
    },
    /// Beyond the limit.
    #[error("`{path}`: expected at most {COMPONENT_BYTES_MAX} bytes, got {bytes}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
}

impl Fault for ComponentError {
    fn code(&self) -> Code {
        match self {
            Self::Missing { .. } => Code::ComponentMissing,
            Self::Unreadable { .. } => Code::ComponentUnreadable,
            Self::Empty { .. } => Code::ComponentEmpty,
            Self::NotWasm { .. } => Code::ComponentNotWasm,
            Self::Module { .. } => Code::ComponentIsModule,
            Self::Header { .. } => Code::ComponentInvalid,
            Self::TooLarge { .. } => Code::ComponentTooLarge,
        }
    }
}

impl Component {
    /// Reads a component. Looks at the first eight bytes before it reads the rest.
    ///
    /// # Errors
    /// [`ComponentError`], naming the path, what was expected and what was found.
    pub fn read(path: &Path) -> Result<Self, ComponentError> {
        let mut bytes = Vec::new();
        let digest = read_pieces(path, |size, piece| {
            // What a pipe or a growing file has to say is no reason to take memory before it comes.
            if bytes.is_empty() {
                bytes.reserve_exact(usize::try_from(size).unwrap_or_default());
            }
            bytes.extend_from_slice(piece);
        })?;
        Ok(Self { bytes, digest })
    }

    /// A component that is in memory already; `name` is what errors call it.
    ///
    /// # Errors
    /// [`ComponentError`], as for a file.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, ComponentError> {
        check_header(Path::new(name), bytes.get(..8).unwrap_or(&bytes))?;
        Ok(Self {
            digest: Digest::of(&bytes),
            bytes,
        })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// Reads a component piece by piece, each of which is handed on with the size of the file; gives the digest of all.
fn read_pieces(path: &Path, mut take: impl FnMut(u64, &[u8])) -> Result<Digest, ComponentError> {
    let unreadable = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => ComponentError::Missing {
            path: path.to_owned(),
        },
        _ => ComponentError::Unreadable {
            path: path.to_owned(),
            source,
        },
    };
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    let mut fill = |piece: &mut Vec<u8>, count: usize| {
        piece.clear();
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        Read::by_ref(&mut file).take(count).read_to_end(piece)
    };
    fill(&mut piece, COMPONENT.len()).map_err(unreadable)?;
    check_header(path, &piece)?;
    let mut hasher = Sha256::new();
    let mut bytes = 0_u64;
    loop {
        bytes = bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        // A pipe or a growing file says no true size, so what is read is bounded as well.
        if size.max(bytes) > COMPONENT_BYTES_MAX {
            return Err(ComponentError::TooLarge {
                path: path.to_owned(),
                bytes: size.max(bytes),
            });
        }
        hasher.update(&piece);
        take(size, &piece);
        if fill(&mut piece, PIECE_BYTES).map_err(unreadable)? == 0 {
            return Ok(Digest::from_hasher(hasher));
        }
    }
}

fn check_header(path: &Path, header: &[u8]) -> Result<(), ComponentError> {
    let path = path.to_owned();
    let start = header.escape_ascii().to_string();
    match header {
        [] => Err(ComponentError::Empty { path }),
        COMPONENT => Ok(()),
        MODULE => Err(ComponentError::Module { path }),
        _ if header.starts_with(MAGIC) => Err(ComponentError::Header { path, start }),
        _ => Err(ComponentError::NotWasm { path, start }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_digest_of_its_bytes_whether_they_are_held_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wasm");
        for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, 2 * PIECE_BYTES + 1] {
            let bytes = [COMPONENT, &vec![7; length]].concat();
            std::fs::write(&path, &bytes).unwrap();
            let read = Component::read(&path).unwrap();
            assert_eq!(read.bytes(), bytes);
            assert_eq!(read.digest(), Digest::of(&bytes));
            assert_eq!(Digest::of_component(&path).unwrap(), Digest::of(&bytes));
        }
        std::fs::write(&path, MODULE).unwrap();
        let error = Digest::of_component(&path).unwrap_err();
        assert!(matches!(error, ComponentError::Module { .. }), "{error}");
    }

    #[test]
    fn a_digest_is_read_back_from_its_text_and_nothing_else_is() {
        let digest = Digest::of(b"abc");
        assert!(digest.to_string().starts_with("sha256-ba7816bf8f01cfea"));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for text in [
            "",
            "sha256-",
            "sha256-zz",
            &digest.to_string()[1..],
            &format!("{digest}0"),
            &digest.to_string().to_uppercase(),
            &format!("sha256-{}", "+f".repeat(32)),
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
