//! Lines on their way out, in the order they came. A thread of their own writes them, so that whoever says something goes on
//! at once; whoever waits until they are out writes what that thread has not begun with, and needs no turn of it.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most that waits: a reader that has stopped must not fill this machine's memory. Lambda's log is waited for between
/// events, and an event's part of it has a limit far below this.
pub(super) const WAITING_BYTES_MAX: usize = 64 << 20;

/// Where lines wait. The thread ends when this is dropped and all are out.
pub(super) struct Outgoing(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    more: Condvar,
    none: Condvar,
    /// Held from taking lines out of the queue until they are written, which keeps their order.
    out: Mutex<Box<dyn Write + Send>>,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<String>,
    /// Of these and of those that are being written.
    bytes: usize,
    is_last: bool,
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outgoing")
    }
}

impl Outgoing {
    /// Begins with nothing.
    ///
    /// # Errors
    /// The system's words when it gives no thread.
    pub(super) fn new(out: impl Write + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            more: Condvar::new(),
            none: Condvar::new(),
            out: Mutex::new(Box::new(out)),
        });
        let thread = std::thread::Builder::new().name("log".to_owned());
        thread.spawn({
            let shared = Arc::clone(&shared);
            move || {
                while shared.wait_for_more() {
                    shared.write();
                }
            }
        })?;
        Ok(Self(shared))
    }

    /// Lets a line go. While nobody reads, and very much waits to be, it is left out.
    pub(super) fn push(&self, line: String) {
        self.0.push(line);
        self.0.more.notify_one();
    }

    /// The same, and waits until it and all before it are out.
    pub(super) fn push_and_write(&self, line: String) {
        self.0.push(line);
        self.0.write();
    }

    /// Waits until all that came before is out.
    pub(super) fn write(&self) {
        self.0.write();
    }

    /// Waits until nothing waits any more, but no longer than `time`.
    pub(super) fn write_within(&self, time: Duration) {
        self.0.more.notify_one();
        let waiting = self.0.waiting();
        let is_some = |waiting: &mut Waiting| waiting.bytes > 0;
        let _late = self.0.none.wait_timeout_while(waiting, time, is_some);
    }

    /// How many bytes are not out yet.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.0.waiting().bytes
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.0.waiting().is_last = true;
        self.0.more.notify_one();
    }
}

impl Shared {
    fn push(&self, line: String) {
        let mut waiting = self.waiting();
        if waiting.bytes <= WAITING_BYTES_MAX {
            waiting.bytes += line.len();
            waiting.lines.push(line);
        }
    }

    /// Whether there will be something to write.
    fn wait_for_more(&self) -> bool {
        let is_idle = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.is_last;
        let waiting = self.more.wait_while(self.waiting(), is_idle);
        let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        !waiting.lines.is_empty()
    }

    fn write(&self) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut self.waiting().lines);
        if lines.is_empty() {
            return;
        }
        for line in &lines {
            // A log nobody reads must not end the program: a closed pipe is no reason to lose events.
            let _unread = out.write_all(line.as_bytes());
        }
        let _unread = out.flush();
        let mut waiting = self.waiting();
        waiting.bytes -= lines.iter().map(String::len).sum::<usize>();
        if waiting.bytes == 0 {
            self.none.notify_all();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // No step leaves anything half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
