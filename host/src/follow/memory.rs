//! What a follower keeps in the cache for the next process of its environment: the highest state it has seen, and the one
//! that served last. Neither ever goes back.

use super::Follower;
use crate::address::ChannelName;
use crate::reader::{Reader, SignedChannel};
use crate::store::Tag;

/// The most that is read of what an earlier process wrote.
const KEPT_BYTES_MAX: u64 = 1 << 20;

/// States of one channel in the cache.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    reader: Reader,
    channel: ChannelName,
}

impl Memory {
    pub(super) fn new(reader: &Reader, channel: &ChannelName) -> Self {
        Self {
            reader: reader.clone(),
            channel: channel.clone(),
        }
    }

    /// The state that served last.
    pub(super) fn served(&self) -> Option<SignedChannel> {
        self.kept(&self.served_key())
    }

    /// The highest state that was believed.
    pub(super) fn seen(&self) -> Option<SignedChannel> {
        self.kept(&self.seen_key())
    }

    pub(super) fn keep_served(&self, signed: &SignedChannel) {
        self.keep(&self.served_key(), signed);
    }

    pub(super) fn keep_seen(&self, signed: &SignedChannel) {
        self.keep(&self.seen_key(), signed);
    }

    fn served_key(&self) -> String {
        self.reader.place().channel(&self.channel)
    }

    fn seen_key(&self) -> String {
        self.served_key() + ".seen"
    }

    fn kept(&self, key: &str) -> Option<SignedChannel> {
        let text = self.reader.cache()?.read(key, KEPT_BYTES_MAX)?;
        let tag = Tag(String::new());
        let checked = self.reader.check_channel(key, &self.channel, &text, tag);
        checked.ok()
    }

    /// Unless another process has kept a later one.
    fn keep(&self, key: &str, signed: &SignedChannel) {
        let Some(cache) = self.reader.cache() else {
            return;
        };
        let text = signed.envelope.to_text();
        if cache.read(key, KEPT_BYTES_MAX).as_deref() == Some(text.as_bytes()) {
            return;
        }
        let kept = self.kept(key).map(|kept| kept.channel.sequence);
        if kept.is_none_or(|kept| kept <= signed.channel.sequence) {
            // A full disk costs the next start an answer of the store, and this event nothing.
            let _ = cache.keep(key, text.as_bytes());
        }
    }
}

impl Follower {
    /// Waits for the disk, where that holds up no event and no start. What is written is written in its order: no older state
    /// comes after a newer one.
    pub(super) fn keep(&mut self, remember: impl FnOnce() + Send + 'static) {
        // A panic costs the next start a download.
        self.keeping = Some(match self.keeping.take() {
            Some(before) if !before.is_finished() => tokio::spawn(async move {
                let _ended = before.await;
                let _ended = tokio::task::spawn_blocking(remember).await;
            }),
            _ => tokio::task::spawn_blocking(remember),
        });
    }

    /// The same with what was proven and came to nothing: the next try need not ask for it.
    pub(super) fn keep_proven(&mut self) {
        if self.with.reader.has_unkept() {
            let reader = self.with.reader.clone();
            self.keep(move || reader.keep());
        }
    }

    /// Waits until all that is to be kept has been written down: in a process that is frozen next, what has not may never be.
    /// Can be dropped and asked again.
    pub async fn settle(&mut self) {
        if let Some(keeping) = &mut self.keeping {
            let _ended = keeping.await;
        }
        self.keeping = None;
    }
}
