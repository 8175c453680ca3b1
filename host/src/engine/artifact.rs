//! Native code with a proven origin: a `.cwasm` in a file that can't change any more, and the statement on it. The
//! statement names component, engine, digest and size; what differs is refused.

use super::key::{EngineKey, Interruption};
use crate::component::Digest;
use crate::error::{Code, Fault};
use rustix::fs::{MemfdFlags, SealFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// What is said of an artifact: it belongs to this component and this engine, and has this digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The component it was compiled from.
    pub component: Digest,
    /// The engine it was compiled for.
    pub engine: EngineKey,
    /// The digest of the native code.
    pub artifact: Digest,
    /// Its size in bytes.
    pub size: u64,
}

impl Statement {
    /// The statement for native code just made.
    pub fn new(component: Digest, engine: EngineKey, code: &[u8]) -> Self {
        let size = u64::try_from(code.len()).unwrap_or(u64::MAX);
        Self {
            component,
            engine,
            artifact: Digest::of(code),
            size,
        }
    }
}

/// Native code of a proven origin, in a file that can't change any more: in sealed memory, or where nobody can write.
#[derive(Debug)]
pub struct Artifact {
    unchanging: File,
    bytes: u64,
    interruption: Interruption,
}

/// Why native code is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The folder is not ours alone.
    #[error(
        "`{path}` cannot hold native code: expected a folder of our own that nobody else can write, got {found}"
    )]
    NotPrivate {
        /// The folder.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// Reading or writing failed.
    #[error("cannot {verb} `{path}`")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The statement does not parse, or the bytes differ from it.
    #[error("the artifact `{path}` is refused: {problem}")]
    Refused {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        problem: String,
    },
}

impl Fault for ArtifactError {
    fn code(&self) -> Code {
        match self {
            Self::NotPrivate { .. } | Self::Io { .. } => Code::HostSetup,
            Self::Refused { .. } => Code::ArtifactRefused,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotPrivate { .. } => Some(
                "name a folder that is not there yet with `--cache DIR`; it is made private"
                    .to_owned(),
            ),
            Self::Io { .. } | Self::Refused { .. } => None,
        }
    }
}

impl Artifact {
    /// Copies the file into sealed memory, hashing what it copies, and compares.
    ///
    /// # Errors
    /// [`ArtifactError::Refused`] when it is not what the statement says.
    pub fn copy_of(
        mut file: File,
        path: &Path,
        statement: &Statement,
    ) -> Result<Self, ArtifactError> {
        const PIECE: usize = 256 << 10;
        let io = |source| ArtifactError::Io {
            verb: "copy",
            path: path.to_owned(),
            source,
        };
        let mut copy = Download::new(path, statement)?;
        let mut piece = vec![0; PIECE];
        loop {
            let count = file.read(&mut piece).map_err(io)?;
            if count == 0 {
                return copy.finish();
            }
            copy.write(&piece[..count])?;
        }
    }

    /// Takes the file as it is: it came with this program, as which it is trusted, and nobody can write it. So a start costs
    /// what it reads of it, and not what it has.
    ///
    /// # Errors
    /// [`ArtifactError::Refused`] when it has not the size that the statement says, so that it was cut off or mixed up.
    pub(super) fn in_place(
        file: File,
        path: &Path,
        statement: &Statement,
    ) -> Result<Self, ArtifactError> {
        let metadata = file.metadata().map_err(|source| ArtifactError::Io {
            verb: "look at",
            path: path.to_owned(),
            source,
        })?;
        if metadata.len() != statement.size {
            return Err(ArtifactError::Refused {
                path: path.to_owned(),
                problem: format!("expected {} bytes, got {}", statement.size, metadata.len()),
            });
        }
        Ok(Self {
            bytes: metadata.len(),
            unchanging: file,
            interruption: statement.engine.interruption(),
        })
    }

    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How a guest that runs it is stopped, by what its statement says of its engine.
    pub fn interruption(&self) -> Interruption {
        self.interruption
    }

    /// The native code, to be read from its start.
    ///
    /// # Errors
    /// The system's words when it gives no second handle.
    pub fn open(&self) -> std::io::Result<File> {
        File::open(self.unchanging_path())
    }

    /// A path by which it can be mapped, as long as this value lives.
    pub(super) fn unchanging_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.unchanging.as_raw_fd()))
    }
}

/// Native code on its way into memory; keeps what it has when the sender breaks off.
#[derive(Debug)]
pub struct Download {
    path: PathBuf,
    statement: Statement,
    file: File,
    hasher: Sha256,
    bytes: u64,
}

impl Download {
    /// A download of what a statement names; `path` is what errors call it.
    ///
    /// # Errors
    /// [`ArtifactError::Io`] when there is no memory for it.
    pub fn new(path: &Path, statement: &Statement) -> Result<Self, ArtifactError> {
        let file = memory_file().map_err(|error| ArtifactError::Io {
            verb: "make a memory file for",
            path: path.to_owned(),
            source: error.into(),
        })?;
        Ok(Self {
            path: path.to_owned(),
            statement: statement.clone(),
            file,
            hasher: Sha256::new(),
            bytes: 0,
        })
    }

    /// What it is a download of.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes in the next piece.
    ///
    /// # Errors
    /// [`ArtifactError::Refused`] when there is more than the statement promised.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), ArtifactError> {
        let bytes = self.bytes + u64::try_from(piece.len()).unwrap_or(u64::MAX);
        if bytes > self.statement.size {
            return Err(self.refused(format!("expected {} bytes, got more", self.statement.size)));
        }
        self.file
            .write_all(piece)
            .map_err(|source| ArtifactError::Io {
                verb: "copy",
                path: self.path.clone(),
                source,
            })?;
        self.hasher.update(piece);
        self.bytes = bytes;
        Ok(())
    }

    /// Compares what came with the statement, and closes it against every change.
    ///
    /// # Errors
    /// [`ArtifactError::Refused`] when it is not what the statement says.
    pub fn finish(self) -> Result<Artifact, ArtifactError> {
        let digest = Digest::from_hasher(self.hasher.clone());
        if self.bytes != self.statement.size || digest != self.statement.artifact {
            return Err(self.refused(format!(
                "expected {} bytes with digest {}, got {} with {digest}",
                self.statement.size, self.statement.artifact, self.bytes
            )));
        }
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&self.file, seals).map_err(|error| ArtifactError::Io {
            verb: "seal the copy of",
            path: self.path.clone(),
            source: error.into(),
        })?;
        Ok(Artifact {
            unchanging: self.file,
            bytes: self.bytes,
            interruption: self.statement.engine.interruption(),
        })
    }

    fn refused(&self, problem: String) -> ArtifactError {
        ArtifactError::Refused {
            path: self.path.clone(),
            problem,
        }
    }
}

fn memory_file() -> rustix::io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels since 6.3 can forbid executable memory files unless asked for by name; older ones don't know the name.
    rustix::fs::memfd_create("artifact", flags | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create("artifact", flags))
        .map(File::from)
}
