//! Streams from and to files, as wasmtime makes them, each in its slot; what is written is taken from the quota first.
//! Knows no files.

use super::measure::{BLOCK_BYTES, Held, whole};
use super::quota::Slot;
use bytes::Bytes;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

/// What comes from a file.
pub(super) struct Input {
    inner: DynInputStream,
    /// Goes when the stream goes.
    _slot: Slot,
}

impl Input {
    pub(super) fn new(inner: DynInputStream, slot: Slot) -> Self {
        Self { inner, _slot: slot }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.inner.read(size)
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.inner.blocking_read(size).await
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

/// Where a stream begins to write.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start {
    /// There, in a file that has this size; a hole between the two counts as written.
    At { offset: u64, size: u64 },
    /// At the end, wherever that is when something is written.
    End,
}

/// What goes to a file.
pub(super) struct Output {
    inner: DynOutputStream,
    slot: Slot,
    /// Where the next byte goes.
    position: u64,
    /// Up to where blocks are taken.
    taken: u64,
    /// What the guest may write in one call, by its last `check-write`.
    permit: usize,
    /// What was taken for a write that may not be on disk yet.
    under_way: u64,
    look: Look,
}

/// Whether somebody should look what the folder really holds, since the count says that it is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Needless,
    Wanted,
    Done,
}

impl Output {
    pub(super) fn new(inner: DynOutputStream, slot: Slot, start: Start) -> Self {
        let (position, taken) = match start {
            Start::At { offset, size } => {
                let first = offset.min(size);
                (offset, first - first % BLOCK_BYTES)
            }
            // The end may be the last byte of a block: then the first byte is in one block and the second in the next.
            Start::End => (BLOCK_BYTES - 1, 0),
        };
        Self {
            inner,
            slot,
            position,
            taken,
            permit: 0,
            under_way: 0,
            look: Look::Needless,
        }
    }

    /// What has to be taken to write this much.
    fn cost(&self, bytes: &Bytes) -> u64 {
        whole(self.after(bytes)).saturating_sub(self.taken)
    }

    fn after(&self, bytes: &Bytes) -> u64 {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.position.saturating_add(length)
    }

    fn advance(&mut self, bytes: &Bytes) {
        self.position = self.after(bytes);
        self.taken = self.taken.max(whole(self.position));
    }

    /// How much can be written with what is left.
    fn room(&self) -> usize {
        let reach = self.taken.saturating_add(self.slot.quota().left());
        let reach = reach - reach % BLOCK_BYTES;
        usize::try_from(reach.saturating_sub(self.position)).unwrap_or(usize::MAX)
    }

    /// No write is under way any more.
    fn settle(&mut self) {
        let landed = std::mem::take(&mut self.under_way);
        self.slot.quota().landed(landed);
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        self.inner.ready().await;
        self.settle();
        if self.look == Look::Wanted {
            self.slot.quota().measure().await;
            self.look = Look::Done;
        }
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Output {
    /// Never fails for want of room, for a guest asks here also whether its last write went well. Where there is none,
    /// one byte may be tried, and is refused.
    fn check_write(&mut self) -> StreamResult<usize> {
        let permit = self.inner.check_write()?;
        if permit == 0 {
            return Ok(0);
        }
        self.settle();
        let room = self.room();
        match (room, self.look) {
            (0, Look::Done) => {}
            (0, Look::Needless | Look::Wanted) => {
                self.look = Look::Wanted;
                return Ok(0);
            }
            _ => self.look = Look::Needless,
        }
        self.permit = permit.min(room.max(1));
        Ok(self.permit)
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        // The stream below would take anything, and the host would hold it until it is written.
        if bytes.len() > std::mem::take(&mut self.permit) {
            return Err(StreamError::trap(
                "more was written than `check-write` permits",
            ));
        }
        self.look = Look::Needless;
        let cost = self.cost(&bytes);
        self.slot.quota().take_under_way(cost)?;
        self.under_way = self.under_way.saturating_add(cost);
        self.advance(&bytes);
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.inner.ready().await;
        self.settle();
        let cost = Held::bytes(self.cost(&bytes));
        self.slot.quota().take(cost).await?;
        self.advance(&bytes);
        self.inner.blocking_write_and_flush(bytes).await
    }

    /// Without a look at the quota: who flushes waits here, and who then writes is asked there.
    async fn write_ready(&mut self) -> StreamResult<usize> {
        let permit = self.inner.write_ready().await?;
        self.settle();
        Ok(permit)
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.settle();
    }
}
