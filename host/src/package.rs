//! The package of a Lambda function: one zip with the deployed program as `bootstrap`, the operator's policy beside it,
//! and releases to start from. The same parts make the same bytes. Knows no AWS and uploads nothing.

pub mod build;
pub mod bundle;
pub mod elf;
pub mod policy;
pub mod template;
pub mod zip;

use crate::component::Digest;
use crate::engine::key::{Baseline, EngineKey, Interruption};
use crate::error::{Code, Fault};
use crate::quantity::Bytes;
use crate::toolchain::BuildError;
use base64::Engine as _;
use elf::Program;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What Lambda starts; the name is fixed: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html>
pub const BOOTSTRAP: &str = "bootstrap";

/// The largest zip that Lambda takes directly: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const ZIPPED_BYTES_MAX: Bytes = Bytes::mebi(50);

/// The most that a zip may unpack to, by the same page.
pub const UNZIPPED_BYTES_MAX: Bytes = Bytes::mebi(250);

/// What the program and a policy stay below. Lambda loads the zip at each cold start, so more is worth a word.
const ZIPPED_BYTES_USUAL: Bytes = Bytes(8_000_000);

/// How the base64 of minisign's secret keys begins: `Ed`, then scrypt or nothing for the password, then `B2`.
const SECRET_STARTS: [&[u8]; 2] = [b"RWRTY0Iy", b"RWQAAEIy"];

/// How long that base64 is. Public keys, which may begin alike, have 56 characters.
const SECRET_CHARS: usize = 212;

/// A processor that Lambda offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Lambda calls it `x86_64`.
    X86_64,
    /// Graviton.
    Arm64,
}

impl Architecture {
    /// Rust's name for Lambda's system on it.
    pub fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// Where its ABI has the loader of glibc.
    pub fn loader(self) -> &'static str {
        match self {
            Self::X86_64 => "/lib64/ld-linux-x86-64.so.2",
            Self::Arm64 => "/lib/ld-linux-aarch64.so.1",
        }
    }

    /// Whose native code hosts on it load, one event at a time or many.
    pub fn engines(self) -> [EngineKey; 2] {
        let baseline = match self {
            Self::X86_64 => Baseline::X86_64V3,
            Self::Arm64 => Baseline::NeoverseN1,
        };
        Interruption::ALL.map(|way| EngineKey::new(baseline, way))
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86-64",
            Self::Arm64 => "arm64",
        })
    }
}

impl FromStr for Architecture {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "x86-64" | "x86_64" => Ok(Self::X86_64),
            "arm64" => Ok(Self::Arm64),
            _ => Err(format!("expected `x86-64` or `arm64`, got `{text}`")),
        }
    }
}

/// Why there is no package, or none that could be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// Something that builds the program is not here.
    #[error("{what}")]
    Missing {
        /// What it is.
        what: String,
        /// What brings it.
        next: String,
    },
    /// A tool did not do its work; its words have been shown.
    #[error("the program was not built")]
    Build(#[source] BuildError),
    /// The build went well, and no program is named in its messages.
    #[error("cargo names no program that it built")]
    NoProgram,
    /// A file that Lambda would not start.
    #[error("Lambda cannot start the program: {0}")]
    Program(String),
    /// The policy would not do where the package runs.
    #[error("{problem}")]
    Policy {
        /// What is wrong.
        problem: String,
        /// What puts it right.
        next: String,
    },
    /// What nobody else may have was about to go to Lambda.
    #[error("`{name}` holds a secret key")]
    SecretKey {
        /// The file, as it would be called in the zip.
        name: String,
    },
    /// Lambda would refuse it.
    #[error("{what} has {bytes}, and Lambda takes {limit} at most")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Its size.
        bytes: Bytes,
        /// The largest.
        limit: Bytes,
    },
    /// A zip that is damaged, or that would leave its folder.
    #[error("the zip is not usable: {0}")]
    Archive(String),
    /// A file is not there or not ours to read.
    #[error("cannot read `{path}`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{path}`")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

impl Fault for PackageError {
    fn code(&self) -> Code {
        match self {
            Self::Missing { .. } => Code::ToolchainMissing,
            Self::Build(error) => error.code(),
            Self::NoProgram => Code::BuildFailed,
            Self::Program(_) | Self::Archive(_) | Self::Unreadable { .. } => Code::SettingInvalid,
            Self::Policy { .. } | Self::SecretKey { .. } => Code::PolicyInvalid,
            Self::TooLarge { .. } | Self::Unwritable { .. } => Code::OutputFailed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { next, .. } | Self::Policy { next, .. } => Some(next.clone()),
            Self::Build(error) => error.hint(),
            Self::Program(_) => Some(
                "`crunchbox package` without --program builds one for Lambda's system".to_owned(),
            ),
            Self::SecretKey { .. } => Some(
                "the package needs public halves only; whoever has a secret half can decide what runs"
                    .to_owned(),
            ),
            Self::TooLarge { .. } => Some("bundle fewer releases".to_owned()),
            Self::NoProgram
            | Self::Archive(_)
            | Self::Unreadable { .. }
            | Self::Unwritable { .. } => None,
        }
    }
}

/// A zip, checked against all that Lambda asks of it.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its bytes.
    pub zip: Vec<u8>,
    /// What is known of the program in it.
    pub program: Program,
    /// What is in it, by name.
    pub contents: Vec<Content>,
}

/// A file in a zip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Its path.
    pub name: String,
    /// Its size, unpacked.
    pub bytes: Bytes,
    /// The digest of what it holds.
    pub digest: Digest,
}

impl Package {
    /// Packs a program for an architecture, with files beside it by their names.
    ///
    /// # Errors
    /// [`PackageError::Program`], [`PackageError::SecretKey`] or [`PackageError::TooLarge`].
    pub fn new(
        program: Vec<u8>,
        architecture: Architecture,
        files: BTreeMap<String, Vec<u8>>,
    ) -> Result<Self, PackageError> {
        let inspected = elf::inspect(&program)?;
        inspected.check(architecture)?;
        let files = files.into_iter();
        let mut entries: BTreeMap<String, zip::Entry> = files
            .map(|(name, bytes)| (name, zip::Entry::file(bytes)))
            .collect();
        entries.insert(BOOTSTRAP.to_owned(), zip::Entry::program(program));
        if let Some((name, _)) = entries
            .iter()
            .find(|(_, entry)| holds_secret_key(entry.bytes()))
        {
            return Err(PackageError::SecretKey { name: name.clone() });
        }
        let contents: Vec<Content> = entries.iter().map(content).collect();
        let unzipped = Bytes(contents.iter().map(|content| content.bytes.0).sum());
        within("what the zip unpacks to", unzipped, UNZIPPED_BYTES_MAX)?;
        let zip = zip::write(&entries)?;
        within("the zip", size(&zip), ZIPPED_BYTES_MAX)?;
        Ok(Self {
            zip,
            program: inspected,
            contents,
        })
    }

    /// What somebody should look at, though Lambda takes it.
    pub fn warning(&self) -> Option<String> {
        let zipped = size(&self.zip);
        (zipped > ZIPPED_BYTES_USUAL)
            .then(|| format!("the zip has {zipped}, and Lambda loads all of it at each cold start"))
    }

    /// The digest of the zip as Lambda says it of a function's code: `CodeSha256` in
    /// <https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html>
    pub fn code_sha256(&self) -> String {
        base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&self.zip))
    }

    /// Writes the zip whole, or not at all.
    ///
    /// # Errors
    /// [`PackageError::Unwritable`].
    pub fn write(&self, path: &Path) -> Result<(), PackageError> {
        let unwritable = |source| PackageError::Unwritable {
            path: path.to_owned(),
            source,
        };
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let mut file = tempfile::Builder::new()
            .permissions(std::fs::Permissions::from_mode(0o644))
            .tempfile_in(folder.unwrap_or_else(|| Path::new(".")))
            .map_err(unwritable)?;
        file.write_all(&self.zip).map_err(unwritable)?;
        file.persist(path)
            .map_err(|error| unwritable(error.error))?;
        Ok(())
    }
}

/// Reads a program, if it is of a size that Lambda takes.
///
/// # Errors
/// [`PackageError::Unreadable`] or [`PackageError::TooLarge`].
pub fn read_program(path: &Path) -> Result<Vec<u8>, PackageError> {
    let mut bytes = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(UNZIPPED_BYTES_MAX.0 + 1).read_to_end(&mut bytes));
    read.map_err(|source| PackageError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    if size(&bytes) > UNZIPPED_BYTES_MAX {
        let bytes = path.metadata().map(|metadata| Bytes(metadata.len()));
        return Err(PackageError::TooLarge {
            what: format!("`{}`", path.display()),
            bytes: bytes.unwrap_or(UNZIPPED_BYTES_MAX),
            limit: UNZIPPED_BYTES_MAX,
        });
    }
    Ok(bytes)
}

fn within(what: &str, bytes: Bytes, limit: Bytes) -> Result<(), PackageError> {
    if bytes <= limit {
        return Ok(());
    }
    Err(PackageError::TooLarge {
        what: what.to_owned(),
        bytes,
        limit,
    })
}

fn content((name, entry): (&String, &zip::Entry)) -> Content {
    Content {
        name: name.clone(),
        bytes: size(entry.bytes()),
        digest: Digest::of(entry.bytes()),
    }
}

fn size(bytes: &[u8]) -> Bytes {
    Bytes(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
}

/// Whether minisign's secret half of a key stands anywhere in a file.
fn holds_secret_key(bytes: &[u8]) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    bytes.windows(SECRET_CHARS).any(|window| {
        SECRET_STARTS.iter().any(|start| window.starts_with(start)) && window.iter().all(is_base64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(files: &[(&str, &[u8])]) -> Result<Package, PackageError> {
        let files = files
            .iter()
            .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()));
        let program = elf::tiny(Architecture::Arm64);
        Package::new(program, Architecture::Arm64, files.collect())
    }

    #[test]
    fn architectures_are_the_targets_that_releases_are_compiled_for() {
        for (baseline, name) in crate::publish::TARGETS {
            let architecture: Architecture = name.parse().unwrap();
            assert_eq!(architecture.to_string(), name);
            assert_eq!(
                architecture.engines()[0],
                EngineKey::new(baseline, Interruption::Epoch)
            );
        }
        assert_eq!("x86_64".parse(), Ok(Architecture::X86_64));
        assert!("i386".parse::<Architecture>().is_err());
    }

    #[test]
    fn the_same_parts_make_the_same_package_and_it_says_what_is_in_it() {
        let files: [(&str, &[u8]); 2] = [("policy.toml", b"[store]"), ("bundle/a", b"b")];
        let (one, other) = (packed(&files).unwrap(), packed(&files).unwrap());
        assert_eq!(one.zip, other.zip);
        assert_eq!(one.code_sha256(), other.code_sha256());
        let names: Vec<&str> = one
            .contents
            .iter()
            .map(|content| content.name.as_str())
            .collect();
        assert_eq!(names, ["bootstrap", "bundle/a", "policy.toml"]);
        assert_eq!(one.contents[2].digest, Digest::of(b"[store]"));
        assert_eq!(one.warning(), None);
    }

    #[test]
    fn a_package_for_another_processor_is_refused() {
        let program = elf::tiny(Architecture::Arm64);
        let error = Package::new(program, Architecture::X86_64, BTreeMap::new()).unwrap_err();
        assert!(error.to_string().contains("for arm64"), "{error}");
    }

    #[test]
    fn a_file_with_a_secret_key_is_refused_with_and_without_a_password() {
        let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
        let plain = pair.sk.to_box(None).unwrap().into_string();
        let mut sealed = b"EdScB2".to_vec();
        sealed.resize(158, 7);
        let sealed = base64::engine::general_purpose::STANDARD.encode(sealed);
        for secret in [plain, sealed] {
            let policy = format!("# do not look\nx = '{secret}'\n");
            let error = packed(&[("policy.toml", policy.as_bytes())]).unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains("`policy.toml`") && !text.contains("RWQ"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_public_key_is_no_secret() {
        let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
        let public = pair.pk.to_base64();
        let alike = format!("{} {public}", "RWQAAEIy".repeat(3));
        for text in [public, alike] {
            assert!(
                packed(&[("policy.toml", text.as_bytes())]).is_ok(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_package_is_written_whole_over_an_older_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bootstrap.zip");
        std::fs::write(&path, "older").unwrap();
        let package = packed(&[]).unwrap();
        package.write(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), package.zip);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let nowhere = folder.path().join("missing/bootstrap.zip");
        assert!(matches!(
            package.write(&nowhere),
            Err(PackageError::Unwritable { .. })
        ));
    }
}
