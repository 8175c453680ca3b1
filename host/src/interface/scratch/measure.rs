//! What a folder holds on disk, its deleted files that are still open included. Reads only; a hostile tree costs it no
//! stack and, beyond a depth, is not measured at all.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

/// The block of the file systems that we meet. Where blocks are larger, the count errs until the next measure.
pub(super) const BLOCK_BYTES: u64 = 4 << 10;

/// What an entry takes beside its content: its inode, its name in a directory.
const ENTRY_BYTES: u64 = BLOCK_BYTES;

/// The unit of `st_blocks`, whatever the file system's own blocks are.
const STAT_BLOCK_BYTES: u64 = 512;

/// Directories inside each other that are followed: deeper than any archive, and finding each by its path stays cheap.
const DEPTH_MAX: usize = 64;

/// What is held, or to be taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Of content and of entries.
    pub(super) bytes: u64,
    /// Files and directories.
    pub(super) entries: u64,
}

impl Held {
    /// A file or a directory with nothing in it.
    pub(super) const ENTRY: Self = Self {
        bytes: ENTRY_BYTES,
        entries: 1,
    };

    /// Content, of entries that are there.
    pub(super) fn bytes(bytes: u64) -> Self {
        Self { bytes, entries: 0 }
    }

    /// Both together.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            entries: self.entries.saturating_add(other.entries),
        }
    }

    fn of(metadata: &Metadata) -> Self {
        let blocks = metadata.blocks().saturating_mul(STAT_BLOCK_BYTES);
        // Some file systems find blocks for what was written only later; and a hole counts as what may fill it.
        Self::ENTRY.plus(Self::bytes(blocks.max(metadata.len())))
    }
}

/// The bytes of all blocks that have something between `start` and `end`.
pub(super) fn blocks(start: u64, end: u64) -> u64 {
    whole(end).saturating_sub(start - start % BLOCK_BYTES)
}

/// Up to the end of the block.
pub(super) fn whole(end: u64) -> u64 {
    end.checked_next_multiple_of(BLOCK_BYTES)
        .unwrap_or(u64::MAX)
}

/// Measures what is in a folder, and which of `open` is in none any more.
///
/// # Errors
/// What the file system says; or the tree is deeper than [`DEPTH_MAX`].
pub(super) fn measure(folder: &Path, open: &[Arc<File>]) -> io::Result<Held> {
    let mut held = deleted(open)?;
    let mut waiting = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = waiting.pop() {
        if depth > DEPTH_MAX {
            return Err(io::Error::other("directories are nested too deeply"));
        }
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            held = held.plus(Held::of(&metadata));
            if metadata.is_dir() {
                waiting.push((entry.path(), depth + 1));
            }
        }
    }
    Ok(held)
}

fn deleted(open: &[Arc<File>]) -> io::Result<Held> {
    let mut held = Held::default();
    let mut seen = HashSet::new();
    for file in open {
        let metadata = file.metadata()?;
        let is_gone = metadata.nlink() == 0 && !metadata.is_dir();
        if is_gone && seen.insert(metadata.ino()) {
            held = held.plus(Held::of(&metadata));
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_directories_and_what_is_deleted_but_open_are_measured() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::write(inner.join("c"), [7; 10_000]).unwrap();
        let held = measure(folder.path(), &[]).unwrap();
        assert_eq!(held.entries, 3);
        assert!((22_000..60_000).contains(&held.bytes), "{held:?}");

        let open = Arc::new(File::open(inner.join("c")).unwrap());
        let twice = [Arc::clone(&open), Arc::clone(&open)];
        assert_eq!(measure(folder.path(), &twice).unwrap(), held);
        std::fs::remove_file(inner.join("c")).unwrap();
        assert_eq!(measure(folder.path(), &twice).unwrap().entries, 3);
        assert_eq!(measure(folder.path(), &[]).unwrap().entries, 2);
    }

    #[test]
    fn a_hole_counts_as_if_it_were_filled() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join("a")).unwrap();
        file.set_len(1 << 30).unwrap();
        assert!(measure(folder.path(), &[]).unwrap().bytes >= 1 << 30);
    }

    #[test]
    fn a_tree_that_is_too_deep_is_not_measured() {
        let folder = tempfile::tempdir().unwrap();
        let deepest = (0..DEPTH_MAX).fold(folder.path().to_owned(), |path, _| path.join("d"));
        std::fs::create_dir_all(&deepest).unwrap();
        assert!(measure(folder.path(), &[]).is_ok());
        std::fs::create_dir(deepest.join("d")).unwrap();
        assert!(measure(folder.path(), &[]).is_err());
    }

    #[test]
    fn blocks_are_counted_whole() {
        for (start, end, bytes) in [
            (0, 0, 0),
            (0, 1, 4096),
            (4095, 4097, 8192),
            (4096, 8192, 4096),
            (u64::MAX - 1, u64::MAX, 4095),
        ] {
            assert_eq!(blocks(start, end), bytes, "{start} to {end}");
        }
        assert_eq!(blocks(0, u64::MAX), u64::MAX);
    }
}
