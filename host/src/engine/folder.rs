//! Folders that native code is taken from, and kept in: who can write them decides whether what lies there is copied and
//! hashed, or mapped where it lies.

use super::artifact::{Artifact, ArtifactError, Statement};
use super::key::EngineKey;
use crate::component::Digest;
use rustix::fs::StatVfsMountFlags;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A statement has some 250 bytes.
const STATEMENT_BYTES_MAX: u64 = 4 << 10;

/// A folder whose artifacts may be executed, because whoever can write it could as well replace this program.
#[derive(Debug, Clone)]
pub struct TrustedFolder {
    path: PathBuf,
    writers: Writers,
}

/// Who can have written the files of a trusted folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writers {
    /// This user alone; each file is asked.
    Us,
    /// Whoever deployed this program.
    Deployer,
}

impl TrustedFolder {
    /// The private cache of this user, made if need be: owned by us, written by nobody else.
    ///
    /// # Errors
    /// [`ArtifactError::NotPrivate`] or [`ArtifactError::Io`].
    pub fn private(path: &Path) -> Result<Self, ArtifactError> {
        use std::os::unix::fs::DirBuilderExt;
        // Without a slash at its end, which would lead through a link.
        let path: PathBuf = path.components().collect();
        let io = |verb, source| ArtifactError::Io {
            verb,
            path: path.to_owned(),
            source,
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|e| io("make the folder", e))?;
        // Not followed if it is a link: whoever owns that could change where it leads.
        let metadata = std::fs::symlink_metadata(&path).map_err(|e| io("look at", e))?;
        if !metadata.is_dir() || !is_ours(&metadata) {
            let found = describe(&metadata);
            return Err(ArtifactError::NotPrivate { path, found });
        }
        Ok(Self {
            path,
            writers: Writers::Us,
        })
    }

    /// The folder that this program was deployed in: an artifact there came with the program, in the same package,
    /// under the same signature. Only the Lambda front may say so, of `LAMBDA_TASK_ROOT`.
    pub fn deployed(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            writers: Writers::Deployer,
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the native code of a component for an engine lies.
    pub fn code_path(&self, component: Digest, engine: &EngineKey) -> PathBuf {
        self.path.join(format!("{component}.{engine}.cwasm"))
    }

    fn statement_path(&self, component: Digest, engine: &EngineKey) -> PathBuf {
        self.path.join(format!("{component}.{engine}.json"))
    }

    /// Finds the artifact of a component for an engine; none where there is none.
    ///
    /// # Errors
    /// [`ArtifactError::Refused`] when what lies there is not what its statement says.
    pub fn find(
        &self,
        component: Digest,
        engine: &EngineKey,
    ) -> Result<Option<Artifact>, ArtifactError> {
        let path = self.statement_path(component, engine);
        let mut text = Vec::new();
        match self.open(&path) {
            Ok(Some(file)) => file.take(STATEMENT_BYTES_MAX).read_to_end(&mut text),
            Ok(None) => return Ok(None),
            Err(error) => return Err(error),
        }
        .map_err(|source| ArtifactError::Io {
            verb: "read",
            path: path.clone(),
            source,
        })?;
        let refused = |problem: String| ArtifactError::Refused {
            path: path.clone(),
            problem,
        };
        let statement: Statement =
            serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))?;
        if statement.component != component || statement.engine != *engine {
            return Err(refused(format!(
                "expected a statement on {component} for {engine}, got one on {} for {}",
                statement.component, statement.engine
            )));
        }
        let code = self.code_path(component, engine);
        match self.open(&code)? {
            Some(file) if self.writers == Writers::Deployer && is_read_only(&file) => {
                Artifact::in_place(file, &code, &statement).map(Some)
            }
            Some(file) => Artifact::copy_of(file, &code, &statement).map(Some),
            None => Err(refused("its native code is missing".to_owned())),
        }
    }

    /// Opens a file of the folder; none where there is none.
    fn open(&self, path: &Path) -> Result<Option<File>, ArtifactError> {
        let io = |source| ArtifactError::Io {
            verb: "open",
            path: path.to_owned(),
            source,
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io(source)),
        };
        // A folder may have been open to others before it was closed; what they left there is as if it were not there.
        let metadata = file.metadata().map_err(io)?;
        if self.writers == Writers::Us {
            if !is_ours(&metadata) {
                return Ok(None);
            }
            // The cache lets go of what was not used for longest; a time that can't be set only makes that sooner.
            let _ = file.set_modified(std::time::SystemTime::now());
        }
        Ok(Some(file))
    }

    /// Keeps native code just made, the statement last, each by renaming: a reader sees all of it or nothing.
    ///
    /// # Errors
    /// [`ArtifactError::Io`].
    pub fn keep(&self, code: &[u8], statement: &Statement) -> Result<(), ArtifactError> {
        let text = serde_json::to_vec(statement).expect("a statement has a text");
        self.write(
            &self.code_path(statement.component, &statement.engine),
            code,
        )?;
        self.write(
            &self.statement_path(statement.component, &statement.engine),
            &text,
        )
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
        let io = |source| ArtifactError::Io {
            verb: "write",
            path: path.to_owned(),
            source,
        };
        // Lambda runs functions as a user of its own, who must be able to read what the package holds; a private
        // folder keeps others out by itself.
        let mut file = tempfile::Builder::new()
            .permissions(std::fs::Permissions::from_mode(0o644))
            .tempfile_in(&self.path)
            .map_err(io)?;
        file.write_all(bytes).map_err(io)?;
        file.persist(path).map_err(|error| io(error.error))?;
        Ok(())
    }
}

/// Ours, and not for others to write.
fn is_ours(metadata: &std::fs::Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
}

/// On a file system that is mounted for reading alone, as Lambda mounts a function's package.
fn is_read_only(file: &File) -> bool {
    rustix::fs::fstatvfs(file).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY))
}

fn describe(metadata: &std::fs::Metadata) -> String {
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    if metadata.is_symlink() {
        "a link".to_owned()
    } else if metadata.is_dir() {
        format!("one of user {owner} with mode {mode:o}")
    } else {
        "no folder".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::key::{Baseline, Interruption};
    use crate::error::{Code, Fault};

    fn kept(folder: &Path) -> (TrustedFolder, Statement) {
        let trusted = TrustedFolder::deployed(folder);
        let statement = Statement::new(
            Digest::of(b"wasm"),
            EngineKey::new(Baseline::X86_64, Interruption::Epoch),
            b"native code",
        );
        trusted.keep(b"native code", &statement).unwrap();
        (trusted, statement)
    }

    #[test]
    fn what_was_kept_is_found_again_for_that_component_and_engine_only() {
        let folder = tempfile::tempdir().unwrap();
        let (trusted, statement) = kept(folder.path());
        let found = trusted
            .find(statement.component, &statement.engine)
            .unwrap()
            .unwrap();
        assert_eq!(found.bytes(), 11);
        let mode = std::fs::metadata(trusted.code_path(statement.component, &statement.engine))
            .unwrap()
            .mode();
        assert_eq!(mode & 0o777, 0o644, "Lambda runs functions as another user");
        assert!(
            trusted
                .find(Digest::of(b"other"), &statement.engine)
                .unwrap()
                .is_none()
        );
        assert!(
            trusted
                .find(
                    statement.component,
                    &EngineKey::new(Baseline::NeoverseN1, Interruption::Epoch)
                )
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn native_code_that_differs_from_its_statement_is_refused() {
        for other in [
            &b"native codE"[..],
            b"native cod",
            b"native code and more",
            b"",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let (trusted, statement) = kept(folder.path());
            std::fs::write(
                trusted.code_path(statement.component, &statement.engine),
                other,
            )
            .unwrap();
            let error = trusted
                .find(statement.component, &statement.engine)
                .unwrap_err();
            assert_eq!(error.code(), Code::ArtifactRefused, "{error}");
        }
    }

    #[test]
    fn what_is_taken_as_it_is_has_the_size_that_was_said() {
        let folder = tempfile::tempdir().unwrap();
        let (trusted, statement) = kept(folder.path());
        let path = trusted.code_path(statement.component, &statement.engine);
        let open = || File::open(&path).unwrap();
        assert!(!is_read_only(&open()), "it was just written");
        let artifact = Artifact::in_place(open(), &path, &statement).unwrap();
        assert_eq!(artifact.bytes(), 11);
        std::fs::write(&path, b"native").unwrap();
        let error = Artifact::in_place(open(), &path, &statement).unwrap_err();
        assert!(
            error.to_string().contains("expected 11 bytes, got 6"),
            "{error}"
        );
    }

    #[test]
    fn the_sealed_copy_cannot_be_written_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let (trusted, statement) = kept(folder.path());
        let artifact = trusted
            .find(statement.component, &statement.engine)
            .unwrap()
            .unwrap();
        let again = std::fs::OpenOptions::new()
            .write(true)
            .open(artifact.unchanging_path());
        assert!(again.and_then(|mut file| file.write_all(b"x")).is_err());
        assert_eq!(
            std::fs::read(artifact.unchanging_path()).unwrap(),
            b"native code"
        );
    }

    #[test]
    fn a_folder_that_others_can_write_is_no_cache() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let error = TrustedFolder::private(folder.path()).unwrap_err();
        assert!(error.to_string().contains("mode 777"), "{error}");
        assert!(error.hint().unwrap().contains("--cache"));
    }

    #[test]
    fn a_link_is_no_cache_wherever_it_leads() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        for path in [link.clone(), link.join("")] {
            let error = TrustedFolder::private(&path).unwrap_err();
            assert!(error.to_string().contains("got a link"), "{error}");
        }
    }

    #[test]
    fn native_code_that_others_could_have_written_is_refused_in_a_private_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (_, statement) = kept(folder.path());
        let private = TrustedFolder::private(folder.path()).unwrap();
        let code = private.code_path(statement.component, &statement.engine);
        std::fs::set_permissions(&code, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(
            private
                .find(statement.component, &statement.engine)
                .is_err()
        );
        let statement_path = private.statement_path(statement.component, &statement.engine);
        std::fs::set_permissions(&statement_path, std::fs::Permissions::from_mode(0o666)).unwrap();
        let found = private
            .find(statement.component, &statement.engine)
            .unwrap();
        assert!(found.is_none(), "as if it were not there");
    }
}
