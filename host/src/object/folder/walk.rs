//! A listing of a folder and of the folders in it, in the order of the whole paths. Looks at a bounded number of names at
//! a time, so that an event that is over leaves no walk behind.

use super::{FOLDER, WITHIN, blocking, enter, failed, full};
use crate::object::name::{KEY_BYTES_MAX, is_plain};
use crate::object::{Entry, ObjectError, Pages};
use async_trait::async_trait;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat2, statat};
use rustix::io::Errno;
use std::fs::{File, Metadata};
use std::io::{Error, Result as IoResult};
use std::os::fd::OwnedFd;
use std::time::UNIX_EPOCH;

/// How many names are looked at before the event is asked whether it still wants to know, and so the most entries of
/// a page: as many as S3 gives.
const STEPS: usize = 1_000;

/// The most names that are held at a time, some 10 MB of them: all of one folder are, since no system gives them in order.
const HELD_MAX: usize = 100_000;

/// How something is looked at without opening it.
const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

pub(super) struct Listing {
    at: String,
    /// None while it is at work.
    walk: Option<Walk>,
}

impl Listing {
    pub(super) fn new(root: &str, prefix: &str) -> Self {
        let folder = prefix.rfind('/').map_or("", |at| &prefix[..=at]);
        Self {
            at: full(root, prefix),
            walk: Some(Walk {
                root: root.to_owned(),
                prefix: prefix.to_owned(),
                // Only in the last whole folder of the prefix can anything match.
                held: vec![folder.to_owned()],
            }),
        }
    }
}

#[async_trait]
impl Pages for Listing {
    async fn next(&mut self) -> Result<Vec<Entry>, ObjectError> {
        loop {
            let Some(mut walk) = self.walk.take() else {
                return Err(ObjectError::over(&self.at));
            };
            let step = blocking(&self.at, move || {
                let entries = walk.step();
                Ok((walk, entries))
            });
            let (walk, entries) = step.await?;
            let is_over = walk.held.is_empty();
            self.walk = Some(walk);
            let entries = entries.map_err(|error| failed(&self.at, &error))?;
            if is_over || !entries.is_empty() {
                return Ok(entries);
            }
        }
    }
}

struct Walk {
    root: String,
    prefix: String,
    /// Paths below the root that are still to be looked at, the next one last; those of folders end in `/`, but for the
    /// root's own, which is empty.
    held: Vec<String>,
}

impl Walk {
    fn step(&mut self) -> IoResult<Vec<Entry>> {
        let root = enter(&self.root)?;
        let mut entries = Vec::new();
        for _ in 0..STEPS {
            let Some(path) = self.held.pop() else {
                break;
            };
            if let Err(error) = self.visit(&root, &path, &mut entries) {
                // Whoever asks again finds it where it was.
                self.held.push(path);
                return if entries.is_empty() {
                    Err(error)
                } else {
                    Ok(entries)
                };
            }
        }
        Ok(entries)
    }

    fn visit(&mut self, root: &OwnedFd, path: &str, entries: &mut Vec<Entry>) -> IoResult<()> {
        if path.is_empty() || path.ends_with('/') {
            return self.expand(root, path);
        }
        let metadata = look(root, path)?;
        entries.extend(metadata.map(|metadata| self.entry(path, &metadata)));
        Ok(())
    }

    /// Holds what is in a folder. One that is gone meanwhile, or never was, has nothing in it.
    fn expand(&mut self, root: &OwnedFd, path: &str) -> IoResult<()> {
        let name = if path.is_empty() { "." } else { path };
        let folder = match openat2(root, name, FOLDER, Mode::empty(), WITHIN) {
            Ok(folder) => folder,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut found = Vec::new();
        for item in Dir::read_from(&folder)? {
            let item = item?;
            // What is not UTF-8 is nobody's name, and neither is what would be refused as one.
            let Ok(name) = item.file_name().to_str() else {
                continue;
            };
            if !is_plain(name) {
                continue;
            }
            let kind = match item.file_type() {
                FileType::Unknown => kind(&folder, name)?,
                known => known,
            };
            // Links are not followed: a circle of them would never end.
            let end = match kind {
                FileType::Directory => "/",
                FileType::RegularFile => "",
                _ => continue,
            };
            let inner = format!("{path}{name}{end}");
            let is_short = self.root.len() + "/".len() + inner.len() <= KEY_BYTES_MAX;
            if is_short && inner.starts_with(&self.prefix) {
                found.push(inner);
            }
            if self.held.len() + found.len() > HELD_MAX {
                let most = format!("expected at most {HELD_MAX} names in one folder, got more");
                return Err(Error::other(most));
            }
        }
        // The first name is taken first, from the end.
        found.sort_unstable_by(|one, other| other.cmp(one));
        self.held.append(&mut found);
        Ok(())
    }

    fn entry(&self, path: &str, metadata: &Metadata) -> Entry {
        let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
        let age = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        Entry {
            at: full(&self.root, path),
            size: metadata.len(),
            modified_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The kind of something in a folder, where the folder itself does not say.
fn kind(folder: &OwnedFd, name: &str) -> IoResult<FileType> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode)),
        Err(Errno::NOENT) => Ok(FileType::Unknown),
        Err(error) => Err(error.into()),
    }
}

/// What is known of a file; none if it is gone meanwhile, or became something else.
fn look(root: &OwnedFd, path: &str) -> IoResult<Option<Metadata>> {
    match openat2(root, path, LOOK, Mode::empty(), WITHIN) {
        Ok(file) => {
            let metadata = File::from(file).metadata()?;
            Ok(metadata.is_file().then_some(metadata))
        }
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
