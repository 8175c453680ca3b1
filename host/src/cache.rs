//! What a host keeps of a store on its own disk: the same keys, below a folder for each store. Nothing in it is believed
//! for being there; whoever reads verifies, as from the store itself. Files appear by renaming and go when the cache is
//! full, those not used for longest first, so that any number of processes can share it.

use crate::component::Digest;
use crate::engine::artifact::ArtifactError;
use crate::engine::folder::TrustedFolder;
use crate::quantity::Bytes;
use crate::store::Folder;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// A file that a killed process left half written is nobody's after an hour.
const UNFINISHED: Duration = Duration::from_secs(3600);

/// What names of unfinished files start with.
const UNFINISHED_PREFIX: &str = ".tmp-";

/// A private folder with copies of one store's objects.
#[derive(Debug, Clone)]
pub struct Cache {
    /// All that is bounded together.
    whole: PathBuf,
    /// This store's part.
    root: PathBuf,
    limit: Bytes,
    /// What was kept since room was last made; too much at first, since nobody has looked.
    unseen: Arc<AtomicU64>,
}

/// The part of the limit that may be kept before room is made again, as a divisor: to look at all files takes as long as to
/// write some.
const UNSEEN_SHARE: u64 = 16;

impl Cache {
    /// The part of `folder` that belongs to the store at `location`. Together with all other parts it grows to about `limit`.
    ///
    /// # Errors
    /// [`ArtifactError`] when the folder cannot be made private.
    pub fn open(folder: &Path, location: &str, limit: Bytes) -> Result<Self, ArtifactError> {
        let whole = TrustedFolder::private(folder)?.path().to_owned();
        let stores = TrustedFolder::private(&whole.join("stores"))?;
        let part = Digest::of(location.as_bytes()).short();
        let root = TrustedFolder::private(&stores.path().join(part))?;
        Ok(Self {
            whole,
            root: root.path().to_owned(),
            limit,
            unseen: Arc::new(AtomicU64::new(u64::MAX / 2)),
        })
    }

    /// This store's part, as a store itself: what a host starts from when the store does not answer.
    pub fn as_store(&self) -> Folder {
        Folder::new(&self.root)
    }

    /// Reads an object of at most `limit` bytes, if it is here.
    pub fn read(&self, key: &str, limit: u64) -> Option<Vec<u8>> {
        let file = self.file(key)?;
        let size = file.metadata().ok()?.len().min(limit);
        let mut bytes = Vec::with_capacity(usize::try_from(size).ok()?);
        file.take(limit).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Opens an object, if it is here.
    pub fn file(&self, key: &str) -> Option<File> {
        let file = File::open(self.root.join(key)).ok()?;
        // Used now; if that can't be written down, it only goes sooner.
        let _ = file.set_modified(SystemTime::now());
        Some(file)
    }

    /// Where an object lies, for messages.
    pub fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    /// Keeps an object, replacing what was there.
    ///
    /// # Errors
    /// The system's words, such as of a full disk. Nothing is lost but time: the next start asks the store.
    pub fn keep(&self, key: &str, mut bytes: impl Read) -> std::io::Result<()> {
        let path = self.root.join(key);
        let folder = path.parent().unwrap_or(&self.root);
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED_PREFIX)
            .tempfile_in(folder)?;
        let copied =
            std::io::copy(&mut bytes, &mut file).and_then(|bytes| file.flush().map(|()| bytes));
        if copied.is_err() {
            // Perhaps there is room for the next.
            self.evict();
        }
        let bytes = copied?;
        file.persist(path).map_err(|error| error.error)?;
        let unseen = self.unseen.fetch_add(bytes, Ordering::Relaxed);
        if unseen.saturating_add(bytes) > self.limit.0 / UNSEEN_SHARE {
            self.evict();
        }
        Ok(())
    }

    /// Lets go of an object that turned out not to be what it should.
    pub fn forget(&self, key: &str) {
        // Another process may have been quicker.
        let _ = std::fs::remove_file(self.root.join(key));
    }

    /// Makes room: what was not used for longest goes first, wherever in the folder it lies.
    pub fn evict(&self) {
        self.unseen.store(0, Ordering::Relaxed);
        let mut files = Vec::new();
        collect(&self.whole.join("stores"), &mut files);
        // Beside the stores' parts lies what was compiled here; whatever else is in the folder is not ours.
        let compiled = std::fs::read_dir(&self.whole)
            .into_iter()
            .flatten()
            .flatten();
        files.extend(compiled.filter_map(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let ours = name.starts_with("sha256-") || name.starts_with(UNFINISHED_PREFIX);
            ours.then(|| Kept::of(&entry)).flatten()
        }));
        let now = SystemTime::now();
        let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
        files.sort_by_key(|file| file.used);
        for file in files {
            let age = now.duration_since(file.used).unwrap_or_default();
            let abandoned = file.unfinished && age > UNFINISHED;
            // A channel's numbers are a few kilobytes, and what keeps an old state from being taken for a new one.
            let is_memory = file
                .path
                .parent()
                .is_some_and(|folder| folder.ends_with("channels"));
            if abandoned || (bytes > self.limit.0 && !file.unfinished && !is_memory) {
                let _ = std::fs::remove_file(&file.path);
                bytes = bytes.saturating_sub(file.bytes);
            }
        }
    }
}

struct Kept {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
    unfinished: bool,
}

impl Kept {
    fn of(entry: &std::fs::DirEntry) -> Option<Self> {
        let metadata = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let name = entry.file_name();
        Some(Self {
            path: entry.path(),
            bytes: metadata.len(),
            used: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            unfinished: name.to_string_lossy().starts_with(UNFINISHED_PREFIX),
        })
    }
}

/// All files below a folder; what vanishes meanwhile is not there.
fn collect(folder: &Path, files: &mut Vec<Kept>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() {
            collect(&entry.path(), files);
        } else {
            files.extend(Kept::of(&entry));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(folder: &Path, limit: u64) -> Cache {
        Cache::open(&folder.join("cache"), "s3://a", Bytes(limit)).unwrap()
    }

    fn used(cache: &Cache, key: &str, seconds_ago: u64) {
        let file = File::open(cache.path(key)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds_ago))
            .unwrap();
    }

    #[test]
    fn what_is_kept_is_read_back_and_each_store_has_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 100);
        cache.keep("f/releases/x.json", &b"text"[..]).unwrap();
        assert_eq!(
            cache.read("f/releases/x.json", 100).as_deref(),
            Some(&b"text"[..])
        );
        assert_eq!(
            cache.read("f/releases/x.json", 2).as_deref(),
            Some(&b"te"[..])
        );
        let other = Cache::open(&folder.path().join("cache"), "s3://b", Bytes(100)).unwrap();
        assert!(other.read("f/releases/x.json", 100).is_none());
        cache.forget("f/releases/x.json");
        assert!(cache.read("f/releases/x.json", 100).is_none());
    }

    #[test]
    fn a_full_cache_lets_go_of_what_was_not_used_for_longest() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 25);
        for (key, seconds_ago) in [("a", 30), ("b", 20)] {
            cache.keep(key, &[0; 10][..]).unwrap();
            used(&cache, key, seconds_ago);
        }
        // Reading `a` makes `b` the one that waited longest.
        assert!(cache.read("a", 10).is_some());
        cache.keep("c", &[0; 10][..]).unwrap();
        assert!(cache.file("b").is_none());
        assert!(cache.file("a").is_some() && cache.file("c").is_some());
    }

    #[test]
    fn what_a_killed_process_left_goes_after_an_hour_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 25);
        std::fs::write(cache.path(".tmp-old"), [0; 10]).unwrap();
        std::fs::write(cache.path(".tmp-new"), [0; 10]).unwrap();
        used(&cache, ".tmp-old", 7200);
        cache.evict();
        assert!(!cache.path(".tmp-old").exists() && cache.path(".tmp-new").exists());
    }
}
