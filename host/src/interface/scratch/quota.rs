//! What a guest may still take of its folder. Counts what is written, never less than it takes, and gives nothing back:
//! when the count is full, the folder is measured, so that what was deleted or written over is free. Bounds also what
//! the host holds for a guest because of files: open ones, streams, lists of names.

use super::measure::{Held, measure};
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use wasmtime_wasi::p2::StreamError;

/// Files and directories in a folder; as many may be in lists that a guest has open. To look at them takes a tenth of
/// a second, their names some twenty megabytes.
const ENTRIES_MAX: u64 = 1 << 16;

/// Entries that are measured for each call that was counted since the last measure: a guest at its quota makes the host
/// work not much harder than its calls do anyway.
const ENTRIES_PER_CALL: u64 = 16;

/// Files and directories open at a time: a quarter of what a process may open on Lambda.
const OPEN_MAX: usize = 256;

/// Streams at a time. Each has up to 64 KiB under way, and maybe a thread.
const STREAMS_MAX: usize = 256;

/// The guest wants more than its quota, or than the host holds for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the quota of the scratch folder is used up")]
pub(super) struct Exceeded;

impl From<Exceeded> for StreamError {
    fn from(exceeded: Exceeded) -> Self {
        Self::LastOperationFailed(exceeded.into())
    }
}

/// One folder's quota, shared by all streams into it.
#[derive(Debug)]
pub(crate) struct Quota {
    folder: Arc<Path>,
    limit: u64,
    count: Mutex<Count>,
    /// Held while measuring: who comes second takes the first one's result.
    measuring: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Count {
    held: Held,
    /// Of the bytes held, those that a measure may not find yet.
    under_way: u64,
    /// Calls since the last measure.
    calls: u64,
    /// What the last measure looked at.
    measured: u64,
    peak: u64,
    refused: u64,
    streams: usize,
    /// How many names each open list may have, by the number of its handle; and all of them.
    lists: HashMap<u32, u64>,
    names: u64,
    /// What was opened and may still be, even if it has no name any more.
    open: Vec<Weak<File>>,
}

impl Quota {
    pub(super) fn new(folder: PathBuf, limit: u64) -> Self {
        Self {
            folder: folder.into(),
            limit,
            count: Mutex::default(),
            measuring: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The most bytes held, entries at 4 KiB each: as measured, and since the last measure as counted, which is more
    /// where something was written twice or deleted.
    pub(crate) fn peak(&self) -> u64 {
        let count = self.lock();
        count.peak.max(count.held.bytes)
    }

    /// Calls that were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.lock().refused
    }

    fn lock(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes, if need be after measuring.
    pub(super) async fn take(&self, wanted: Held) -> Result<(), Exceeded> {
        if self.try_take(wanted) {
            return Ok(());
        }
        self.measure().await;
        self.refuse_unless(self.try_take(wanted))
    }

    /// Takes for a write that goes on by itself, until it is told to be on disk by [`Quota::landed`].
    pub(super) fn take_under_way(&self, bytes: u64) -> Result<(), Exceeded> {
        self.refuse_unless(self.try_take(Held::bytes(bytes)))?;
        let mut count = self.lock();
        count.under_way = count.under_way.saturating_add(bytes);
        Ok(())
    }

    /// What was under way is on disk, or failed.
    pub(super) fn landed(&self, bytes: u64) {
        let mut count = self.lock();
        count.under_way = count.under_way.saturating_sub(bytes);
    }

    /// Bytes that can be taken without measuring.
    pub(super) fn left(&self) -> u64 {
        self.limit.saturating_sub(self.lock().held.bytes)
    }

    fn try_take(&self, wanted: Held) -> bool {
        let mut count = self.lock();
        count.calls = count.calls.saturating_add(1);
        let held = count.held.plus(wanted);
        // Who takes nothing is let through even where a measure found more than the quota.
        let fits =
            wanted == Held::default() || (held.bytes <= self.limit && held.entries <= ENTRIES_MAX);
        if fits {
            count.held = held;
        }
        fits
    }

    fn refuse_unless(&self, is_granted: bool) -> Result<(), Exceeded> {
        if is_granted {
            return Ok(());
        }
        let mut count = self.lock();
        count.refused = count.refused.saturating_add(1);
        Err(Exceeded)
    }

    /// Puts what is there in the place of what was counted, unless that was done a moment ago or can't be done.
    ///
    /// The guest waits meanwhile: were it to run, it could move things past the eyes of who measures. So if it stops
    /// waiting, the result is thrown away.
    pub(super) async fn measure(&self) {
        let _alone = self.measuring.lock().await;
        let Some(open) = self.lock().begin_measure() else {
            return;
        };
        let folder = Arc::clone(&self.folder);
        let task = tokio::task::spawn_blocking(move || measure(&folder, &open));
        if let Ok(Ok(held)) = task.await {
            self.lock().end_measure(held);
        }
    }

    /// Refuses to have more files open. What is opened is told by [`Quota::opened`].
    pub(super) fn may_open(&self) -> Result<(), Exceeded> {
        let open = self.lock().still_open();
        self.refuse_unless(open < OPEN_MAX)
    }

    pub(super) fn opened(&self, file: &Arc<File>) {
        self.lock().open.push(Arc::downgrade(file));
    }

    /// How many names a list may have that is about to be made; it is told by [`Quota::listed`].
    pub(super) async fn may_list(&self) -> Result<u64, Exceeded> {
        if let Some(names) = self.lock().names_of_list() {
            return Ok(names);
        }
        self.measure().await;
        let names = self.lock().names_of_list();
        self.refuse_unless(names.is_some())?;
        names.ok_or(Exceeded)
    }

    pub(super) fn listed(&self, list: u32, names: u64) {
        let mut count = self.lock();
        count.lists.insert(list, names);
        count.names = count.names.saturating_add(names);
    }

    pub(super) fn unlisted(&self, list: u32) {
        let mut count = self.lock();
        let names = count.lists.remove(&list).unwrap_or_default();
        count.names = count.names.saturating_sub(names);
    }
}

impl Count {
    /// The files to measure beside the folder; none if too little happened since the last measure.
    fn begin_measure(&mut self) -> Option<Vec<Arc<File>>> {
        if self.calls < self.measured / ENTRIES_PER_CALL {
            return None;
        }
        self.calls = 0;
        // In case it comes to nothing: no more than this was looked at.
        self.measured = self.held.entries;
        Some(self.open.iter().filter_map(Weak::upgrade).collect())
    }

    fn end_measure(&mut self, held: Held) {
        self.measured = held.entries;
        self.held = held.plus(Held::bytes(self.under_way));
        self.peak = self.peak.max(self.held.bytes);
    }

    fn still_open(&mut self) -> usize {
        self.open.retain(|file| file.strong_count() > 0);
        self.open.len()
    }

    fn names_of_list(&self) -> Option<u64> {
        // All that there are may be in one directory.
        let names = self.held.entries;
        (self.names.saturating_add(names) <= ENTRIES_MAX).then_some(names)
    }
}

/// A place among the streams that may be open at a time.
#[derive(Debug)]
pub(super) struct Slot(Arc<Quota>);

impl Slot {
    pub(super) fn take(quota: &Arc<Quota>) -> Result<Self, Exceeded> {
        let is_free = {
            let mut count = quota.lock();
            let is_free = count.streams < STREAMS_MAX;
            count.streams += usize::from(is_free);
            is_free
        };
        quota.refuse_unless(is_free)?;
        Ok(Self(Arc::clone(quota)))
    }

    pub(super) fn quota(&self) -> &Quota {
        &self.0
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut count = self.0.lock();
        count.streams = count.streams.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn quota(limit: u64) -> (Arc<Quota>, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let quota = Quota::new(folder.path().to_owned(), limit);
        (Arc::new(quota), folder)
    }

    #[tokio::test]
    async fn what_is_there_counts_and_what_is_beyond_the_quota_is_refused() {
        let (quota, folder) = quota(64 << 10);
        quota.take(Held::ENTRY).await.unwrap();
        quota.take(Held::bytes(40 << 10)).await.unwrap();
        std::fs::write(folder.path().join("a"), [7; 40 << 10]).unwrap();
        assert_eq!(quota.take(Held::bytes(30 << 10)).await, Err(Exceeded));
        assert_eq!(quota.take(Held::bytes(u64::MAX)).await, Err(Exceeded));
        assert_eq!(quota.refused(), 2);
        assert_eq!(quota.peak(), 44 << 10);
        quota.take(Held::bytes(20 << 10)).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_deleted_can_be_taken_again_and_no_sooner_than_it_is_closed() {
        let (quota, folder) = quota(64 << 10);
        let path = folder.path().join("a");
        quota.take(Held::bytes(40 << 10)).await.unwrap();
        std::fs::write(&path, [7; 40 << 10]).unwrap();
        let file = Arc::new(File::open(&path).unwrap());
        quota.opened(&file);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(quota.take(Held::bytes(40 << 10)).await, Err(Exceeded));
        drop(file);
        quota.take(Held::bytes(40 << 10)).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_under_way_is_not_forgotten_by_a_measure() {
        let (quota, _folder) = quota(64 << 10);
        quota.take_under_way(40 << 10).unwrap();
        assert_eq!(quota.take(Held::bytes(40 << 10)).await, Err(Exceeded));
        quota.landed(40 << 10);
        quota.take(Held::bytes(40 << 10)).await.unwrap();
    }

    #[tokio::test]
    async fn entries_are_bounded_whatever_they_hold() {
        let (quota, _folder) = quota(u64::MAX);
        let wanted = Held {
            bytes: 0,
            entries: ENTRIES_MAX + 1,
        };
        assert_eq!(quota.take(wanted).await, Err(Exceeded));
    }

    #[test]
    fn a_measure_waits_for_calls_as_many_as_it_is_worth() {
        let mut count = Count {
            calls: 19,
            measured: 20 * ENTRIES_PER_CALL,
            ..Count::default()
        };
        assert!(count.begin_measure().is_none());
        count.calls += 1;
        assert!(count.begin_measure().is_some());
    }

    #[tokio::test]
    async fn open_files_streams_and_lists_are_bounded_and_come_free() {
        let (quota, folder) = quota(1 << 20);
        let file = |_| Arc::new(File::open(folder.path()).unwrap());
        let files: Vec<_> = (0..OPEN_MAX).map(file).collect();
        files.iter().for_each(|file| quota.opened(file));
        assert_eq!(quota.may_open(), Err(Exceeded));
        drop(files);
        quota.may_open().unwrap();

        let slots: Vec<_> = (0..STREAMS_MAX)
            .map(|_| Slot::take(&quota).unwrap())
            .collect();
        assert!(Slot::take(&quota).is_err());
        drop(slots);
        Slot::take(&quota).unwrap();

        quota.take(Held::ENTRY).await.unwrap();
        std::fs::write(folder.path().join("a"), "").unwrap();
        quota.listed(7, ENTRIES_MAX);
        assert_eq!(quota.may_list().await, Err(Exceeded));
        quota.unlisted(7);
        assert_eq!(quota.may_list().await, Ok(1));
    }
}
