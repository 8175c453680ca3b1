//! Objects in a folder: one file each. Others may put links into the folder; nothing is reached through one, since the
//! system looks for each path below the folder that a rule names, and follows none. A file appears by renaming.

mod walk;

use super::name::UNFINISHED;
use super::{ObjectError, Pages, Sink, Source};
use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs::{AtFlags, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags};
use rustix::fs::{fstatfs, mkdirat, openat2, renameat, unlinkat};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use std::fs::File;
use std::io::{Error, ErrorKind, Result as IoResult, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Where paths are looked for: below the folder they start at, and behind no link.
const WITHIN: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// How a folder is opened.
const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// How a file is read: without waiting for a writer, should somebody have put a pipe there.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// How a file is made that is not there.
const NEW: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Who may do what with new files and folders, less what the process's mask takes away.
const FILE_MODE: Mode = Mode::from_raw_mode(0o644);
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);

/// Opens a file; none where there is none, or a folder.
pub(super) async fn open(root: &str, rest: &str) -> Result<Option<Box<dyn Source>>, ObjectError> {
    let (at, root, rest) = (full(root, rest), root.to_owned(), rest.to_owned());
    let opened = blocking(&at, move || open_file(&root, &rest)).await?;
    let Some((file, size)) = opened else {
        return Ok(None);
    };
    Ok(Some(Box::new(FileSource {
        file: Arc::new(file),
        size,
        offset: 0,
        at,
    })))
}

/// Begins a file.
pub(super) async fn create(root: &str, rest: &str) -> Result<Box<dyn Sink>, ObjectError> {
    let (at, root, rest) = (full(root, rest), root.to_owned(), rest.to_owned());
    let unfinished = blocking(&at, move || Unfinished::new(&root, &rest)).await?;
    Ok(Box::new(FileSink {
        unfinished: Some(Arc::new(unfinished)),
        at,
    }))
}

/// Lists files, those of inner folders too.
pub(super) fn list(root: &str, rest: &str) -> Box<dyn Pages> {
    Box::new(walk::Listing::new(root, rest))
}

/// The path of a file as guests name it.
fn full(root: &str, rest: &str) -> String {
    format!("{root}/{rest}")
}

/// Runs what waits for the disk where it holds up nobody.
async fn blocking<R: Send + 'static>(
    at: &str,
    work: impl FnOnce() -> IoResult<R> + Send + 'static,
) -> Result<R, ObjectError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(error)) => Err(failed(at, &error)),
        Err(error) => Err(ObjectError::unusable(at, &error.to_string())),
    }
}

fn failed(at: &str, error: &Error) -> ObjectError {
    match Errno::from_io_error(error) {
        Some(Errno::NOSYS) => ObjectError::unusable(
            at,
            "this system cannot open files without following links: expected `openat2` (Linux 5.6)",
        ),
        Some(Errno::LOOP) => {
            ObjectError::unusable(at, "there is a link in its path, and none is followed")
        }
        Some(
            Errno::AGAIN
            | Errno::INTR
            | Errno::IO
            | Errno::MFILE
            | Errno::NFILE
            | Errno::STALE
            | Errno::TIMEDOUT,
        ) => ObjectError::unreachable(at, &error.to_string()),
        _ => ObjectError::unusable(at, &error.to_string()),
    }
}

/// Opens the folder that a rule names. The way there is its author's: links in it are followed.
fn enter(root: &str) -> IoResult<OwnedFd> {
    let path = if root.is_empty() { "/" } else { root };
    rustix::fs::open(path, FOLDER, Mode::empty()).map_err(|error| match error {
        // Made by nobody here: what should be mounted there would be missed later only.
        Errno::NOENT | Errno::NOTDIR => Error::other(format!("there is no folder `{path}`")),
        error => error.into(),
    })
}

fn open_file(root: &str, rest: &str) -> IoResult<Option<(File, u64)>> {
    let folder = enter(root)?;
    let file = match openat2(&folder, rest, FILE, Mode::empty(), WITHIN) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Ok(None);
    }
    if !metadata.is_file() {
        return Err(Error::other("expected a file, got something else"));
    }
    // Wherever the system's view of processes is mounted, this one's credentials are in it.
    if fstatfs(&file)?.f_type == PROC_SUPER_MAGIC {
        return Err(Error::other("expected a file, got one of the system's own"));
    }
    Ok(Some((file, metadata.len())))
}

struct FileSource {
    file: Arc<File>,
    size: u64,
    offset: u64,
    at: String,
}

#[async_trait]
impl Source for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    async fn read(&mut self, most: usize) -> Result<Bytes, ObjectError> {
        let (file, offset) = (Arc::clone(&self.file), self.offset);
        let read = blocking(&self.at, move || {
            let mut piece = vec![0; most];
            let count = file.read_at(&mut piece, offset)?;
            piece.truncate(count);
            Ok(Bytes::from(piece))
        });
        let piece = read.await?;
        self.offset += u64::try_from(piece.len()).unwrap_or_default();
        Ok(piece)
    }
}

struct FileSink {
    unfinished: Option<Arc<Unfinished>>,
    at: String,
}

#[async_trait]
impl Sink for FileSink {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectError> {
        let Some(unfinished) = self.unfinished.clone() else {
            return Err(ObjectError::over(&self.at));
        };
        let written = blocking(&self.at, move || (&unfinished.file).write_all(&bytes)).await;
        if written.is_err() {
            self.unfinished = None;
        }
        written
    }

    async fn finish(&mut self) -> Result<(), ObjectError> {
        let Some(unfinished) = self.unfinished.take() else {
            return Err(ObjectError::over(&self.at));
        };
        blocking(&self.at, move || unfinished.finish()).await
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        // A disk at the other end of a network can take its time to remove a file.
        if let Some(unfinished) = self.unfinished.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn_blocking(move || drop(unfinished));
        }
    }
}

/// A file that is being written beside the place where it will be. Removed with this value.
struct Unfinished {
    folder: OwnedFd,
    temporary: String,
    name: String,
    file: File,
}

impl Unfinished {
    fn new(root: &str, rest: &str) -> IoResult<Self> {
        let (folders, name) = rest.rsplit_once('/').unwrap_or(("", rest));
        let folders = folders.split('/').filter(|part| !part.is_empty());
        let folder = folders.fold(enter(root), |folder, part| inner(&folder?, part))?;
        let mut random = [0; 16];
        // Without random bytes a file of the same name may be there, which fails and does no harm.
        let _ = getrandom(&mut random, GetRandomFlags::empty());
        let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let temporary = format!("{UNFINISHED}{digits}");
        let file = openat2(&folder, temporary.as_str(), NEW, FILE_MODE, WITHIN)?;
        Ok(Self {
            folder,
            temporary,
            name: name.to_owned(),
            file: file.into(),
        })
    }

    fn finish(&self) -> IoResult<()> {
        // Else a machine that loses power could keep the name and lose the bytes.
        self.file.sync_all()?;
        let (from, to) = (self.temporary.as_str(), self.name.as_str());
        Ok(renameat(&self.folder, from, &self.folder, to)?)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Once it is finished, there is nothing of that name any more.
        let _ = unlinkat(&self.folder, self.temporary.as_str(), AtFlags::empty());
    }
}

/// Opens a folder in a folder, and makes it if need be.
fn inner(folder: &OwnedFd, name: &str) -> IoResult<OwnedFd> {
    let open = || openat2(folder, name, FOLDER, Mode::empty(), WITHIN);
    match open() {
        Err(Errno::NOENT) => match mkdirat(folder, name, FOLDER_MODE) {
            Ok(()) | Err(Errno::EXIST) => Ok(open()?),
            Err(error) => Err(error.into()),
        },
        Err(Errno::NOTDIR) => Err(Error::new(
            ErrorKind::NotADirectory,
            format!("`{name}` in its path is a file"),
        )),
        opened => Ok(opened?),
    }
}

#[cfg(test)]
mod tests;
