//! A store in a folder: one file per object. Files appear by renaming, so that a reader sees all of one or nothing of
//! it, whenever a writer is killed; conditions are checked under a lock that the system takes back from the dead.

use super::{Ask, Body, Condition, Entry, Found, Store, StoreError, Tag};
use crate::component::Digest;
use bytes::Bytes;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Writers hold this file while they compare and write.
const LOCK: &str = ".lock";

/// How much of a file is read at a time.
const PIECE: usize = 256 << 10;

/// Objects in a folder, made at the first write.
#[derive(Debug, Clone)]
pub struct Folder {
    root: Arc<PathBuf>,
    location: String,
}

impl Folder {
    /// The store in `root`.
    pub fn new(root: &Path) -> Self {
        // Two folders of one name in two places are two stores.
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        Self {
            location: root.display().to_string(),
            root: Arc::new(root),
        }
    }

    /// Runs what waits for the disk where it holds up nobody.
    async fn with<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        let files = Files {
            root: Arc::clone(&self.root),
            location: self.location.clone(),
        };
        match tokio::task::spawn_blocking(move || work(&files)).await {
            Ok(result) => result,
            Err(error) => Err(StoreError::Unusable {
                store: self.location.clone(),
                problem: error.to_string(),
            }),
        }
    }
}

#[async_trait::async_trait]
impl Store for Folder {
    fn location(&self) -> &str {
        &self.location
    }

    async fn get(&self, key: &str, ask: Ask) -> Result<Found, StoreError> {
        let key = key.to_owned();
        let opened = self.with(move |files| files.open(&key, &ask)).await?;
        Ok(match opened {
            None => Found::Unchanged,
            Some((tag, file)) => Found::Object {
                tag,
                body: body(self.location.clone(), file),
            },
        })
    }

    async fn put(&self, key: &str, bytes: Bytes, condition: Condition) -> Result<Tag, StoreError> {
        let key = key.to_owned();
        self.with(move |files| files.write(&key, &bytes, &condition))
            .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let prefix = prefix.to_owned();
        self.with(move |files| files.list(&prefix)).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let key = key.to_owned();
        self.with(move |files| match std::fs::remove_file(files.path(&key)?) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(files.failed(&key, error)),
            _ => Ok(()),
        })
        .await
    }
}

/// The bytes of a file, a piece at a time.
fn body(location: String, file: File) -> Body {
    Box::pin(futures_util::stream::try_unfold(
        (location, file),
        |(location, mut file)| async move {
            let read = move || {
                let mut piece = vec![0; PIECE];
                let count = file.read(&mut piece)?;
                piece.truncate(count);
                Ok::<_, std::io::Error>((piece, file))
            };
            match tokio::task::spawn_blocking(read).await {
                Ok(Ok((piece, _))) if piece.is_empty() => Ok(None),
                Ok(Ok((piece, file))) => Ok(Some((Bytes::from(piece), (location, file)))),
                Ok(Err(error)) => Err(StoreError::Unusable {
                    store: location,
                    problem: error.to_string(),
                }),
                Err(error) => Err(StoreError::Unusable {
                    store: location,
                    problem: error.to_string(),
                }),
            }
        },
    ))
}

/// The folder as the blocking half sees it.
struct Files {
    root: Arc<PathBuf>,
    location: String,
}

impl Files {
    /// Where an object lies. Every part of a key is a plain name: nothing leads out of the folder.
    fn path(&self, key: &str) -> Result<PathBuf, StoreError> {
        let plain = |part| matches!(part, Component::Normal(_));
        if Path::new(key).components().all(plain) {
            return Ok(self.root.join(key));
        }
        Err(StoreError::Unusable {
            store: self.location.clone(),
            problem: format!("`{}` leads out of it", key.escape_debug()),
        })
    }

    fn failed(&self, key: &str, error: std::io::Error) -> StoreError {
        let (store, key) = (self.location.clone(), key.to_owned());
        match error.kind() {
            // A folder where a file should be, or a file where a folder should, is nothing that can be read.
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
                StoreError::Missing { store, key }
            }
            ErrorKind::PermissionDenied => StoreError::Denied {
                store,
                key,
                problem: error.to_string(),
            },
            _ => StoreError::Unusable {
                store,
                problem: format!("`{key}`: {error}"),
            },
        }
    }

    /// Opens an object; none if it still is the version that the reader knows.
    fn open(&self, key: &str, ask: &Ask) -> Result<Option<(Tag, File)>, StoreError> {
        let failed = |error| self.failed(key, error);
        // Without waiting for a writer, should somebody have put a pipe there.
        let mut options = File::options();
        options
            .read(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        let mut file = options.open(self.path(key)?).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(failed(ErrorKind::IsADirectory.into()));
        }
        if ask.from > 0 {
            // Whoever goes on with a read knows what it reads; the tag would cost a reading of the whole.
            file.seek(SeekFrom::Start(ask.from)).map_err(failed)?;
            return Ok(Some((Tag(String::new()), file)));
        }
        let tag = tag_of(&mut file).map_err(failed)?;
        if ask.unless.as_ref() == Some(&tag) {
            return Ok(None);
        }
        file.rewind().map_err(failed)?;
        Ok(Some((tag, file)))
    }

    fn write(&self, key: &str, bytes: &[u8], condition: &Condition) -> Result<Tag, StoreError> {
        let failed = |error| self.unwritten(key, error);
        let path = self.path(key)?;
        let folder = path.parent().unwrap_or(&self.root);
        std::fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.root.join(LOCK))
            .map_err(failed)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        let current = match File::open(&path) {
            Ok(mut file) => Some(tag_of(&mut file).map_err(failed)?),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let holds = match condition {
            Condition::Absent => current.is_none(),
            Condition::Matches(tag) => current.as_ref() == Some(tag),
        };
        if !holds {
            return Err(StoreError::Conflict {
                store: self.location.clone(),
                key: key.to_owned(),
            });
        }
        let mut file = tempfile::Builder::new()
            .prefix(".tmp-")
            .permissions(std::fs::Permissions::from_mode(0o644))
            .tempfile_in(folder)
            .map_err(failed)?;
        file.write_all(bytes).map_err(failed)?;
        // Else a machine that loses power could keep the name and lose the bytes.
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(tag(&Digest::of(bytes)))
    }

    /// A write that failed for want of a folder is no missing object.
    fn unwritten(&self, key: &str, error: std::io::Error) -> StoreError {
        match self.failed(key, error) {
            StoreError::Missing { store, key } => StoreError::Unusable {
                store,
                problem: format!("there is no folder for `{key}`"),
            },
            other => other,
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        // Only below the last whole folder of the prefix can anything match.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut entries = Vec::new();
        self.collect(folder, prefix, &mut entries)?;
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(entries)
    }

    fn collect(
        &self,
        folder: &str,
        prefix: &str,
        entries: &mut Vec<Entry>,
    ) -> Result<(), StoreError> {
        let listing = match std::fs::read_dir(self.path(folder)?) {
            Ok(listing) => listing,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(());
            }
            Err(error) => return Err(self.failed(folder, error)),
        };
        for entry in listing {
            let entry = entry.map_err(|error| self.failed(folder, error))?;
            let name = entry.file_name();
            // Unfinished writes and the lock start with a dot; what is not UTF-8 is nobody's key.
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
                continue;
            };
            let key = if folder.is_empty() {
                name.to_owned()
            } else {
                format!("{folder}/{name}")
            };
            // Links are not followed: a circle of them would never end.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                self.collect(&key, prefix, entries)?;
            } else if metadata.is_file() && key.starts_with(prefix) {
                entries.push(Entry {
                    key,
                    size: metadata.len(),
                    modified: metadata.modified().unwrap_or(std::time::UNIX_EPOCH),
                });
            }
        }
        Ok(())
    }
}

/// The version of a file: its digest, since times are too coarse and can be set.
fn tag_of(file: &mut File) -> std::io::Result<Tag> {
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok(tag(&Digest::from_hasher(hasher)));
        }
        hasher.update(&piece[..count]);
    }
}

fn tag(digest: &Digest) -> Tag {
    Tag(digest.to_string())
}
