//! A folder that somebody hostile fills: made where nobody else sees it, removed whatever is in it. Knows no quota.

use crate::reach::SCRATCH_PREFIX;
use std::fs::Permissions;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// How often removing begins anew with a directory that something came into meanwhile: a call of the guest that its
/// deadline cut short may still be under way, and there is one at most.
const ATTEMPTS_MAX: u32 = 16;

/// A private place with one folder in it, `0`, for the guest. Beside that, where no guest can put anything, its removal
/// works.
#[derive(Debug)]
pub(super) struct Folder {
    place: PathBuf,
}

impl Folder {
    /// Makes it in `parent`.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn create(parent: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder
            .prefix(SCRATCH_PREFIX)
            .permissions(Permissions::from_mode(0o700));
        // Not `tempfile`'s to remove: it would by recursion, with an open file for each level, and a guest makes many.
        let place = builder.tempdir_in(parent)?.keep();
        let folder = Self { place };
        std::fs::create_dir(folder.content())?;
        Ok(folder)
    }

    /// The folder for the guest.
    pub(super) fn content(&self) -> PathBuf {
        self.place.join("0")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody is left to tell. What stays has the prefix.
        let _ = remove(&self.place);
    }
}

/// Removes the place of a folder whose owner will not: a guest that was given up has it, and may still write.
pub(super) fn remove_around(content: &Path) {
    if let Some(place) = content.parent() {
        let _ = remove(place);
    }
}

/// Removes directory by directory. Each one's own directories are moved up first, under a new number: so nothing stays
/// deep, and neither stack nor open files grow with what was.
fn remove(place: &Path) -> io::Result<()> {
    let mut waiting = vec![0_u64];
    let mut last = 0;
    let mut attempts = ATTEMPTS_MAX;
    while let Some(number) = waiting.pop() {
        let folder = place.join(number.to_string());
        empty(&folder, |directory| {
            last += 1;
            std::fs::rename(directory, place.join(last.to_string()))?;
            waiting.push(last);
            Ok(())
        })?;
        match std::fs::remove_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty && attempts > 0 => {
                attempts -= 1;
                waiting.push(number);
            }
            result => unless_gone(result)?,
        }
    }
    std::fs::remove_dir(place)
}

fn empty(folder: &Path, mut aside: impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        unless_gone(match entry.file_type() {
            Ok(kind) if kind.is_dir() => aside(&path),
            Ok(_) => std::fs::remove_file(&path),
            Err(error) => Err(error),
        })?;
    }
    Ok(())
}

fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags, mkdirat, openat};

    fn is_empty(folder: &Path) -> bool {
        std::fs::read_dir(folder).unwrap().next().is_none()
    }

    #[test]
    fn a_folder_is_its_owners_and_goes_with_all_that_is_in_it() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create(parent.path()).unwrap();
        let mode = folder.place.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let content = folder.content();
        for number in 0..20 {
            let inner = content.join(format!("{number}/a/b"));
            std::fs::create_dir_all(&inner).unwrap();
            std::fs::write(inner.join("c"), "text").unwrap();
        }
        std::os::unix::fs::symlink(parent.path(), content.join("link")).unwrap();
        drop(folder);
        assert!(is_empty(parent.path()));
    }

    #[test]
    fn a_tree_deeper_than_a_path_can_name_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create(parent.path()).unwrap();
        let directory = OFlags::RDONLY | OFlags::DIRECTORY;
        let mut fd = rustix::fs::open(folder.content(), directory, Mode::empty()).unwrap();
        for _ in 0..3000 {
            mkdirat(&fd, "deep", Mode::RWXU).unwrap();
            fd = openat(&fd, "deep", directory, Mode::empty()).unwrap();
        }
        drop(fd);
        drop(folder);
        assert!(is_empty(parent.path()));
    }

    #[test]
    fn a_folder_that_somebody_removed_is_no_problem() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create(parent.path()).unwrap();
        std::fs::remove_dir(folder.content()).unwrap();
        drop(folder);
        assert!(is_empty(parent.path()));
    }
}
