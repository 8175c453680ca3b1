//! What a follower keeps in the cache for the next process of its environment: the highest state it has seen, and the one
//! that served last. Neither ever goes back.

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
