//! Log lines: one JSON object each for Lambda, or text for a person. Formatting happens where the line arises, writing
//! on a thread of its own, so that neither a guest nor a slow reader of the log holds up the event's path.

mod line;
mod outgoing;
mod timings;

use crate::error::Level;
use outgoing::Outgoing;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use line::printable;
pub use line::{Line, Scope, Source};
pub use timings::{Phase, Timings};

/// The shape of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, with the keys that Lambda's filter reads.
    Json,
    /// Text for an operator: time, level, request id and source before each message.
    Text,
    /// Text for a person who looks at one event.
    Plain,
    /// The same for a terminal, with colour.
    Colour,
}

/// Where lines go. Cheap to clone; all clones write to the same place in the order of their calls.
#[derive(Debug, Clone)]
pub struct Log {
    format: Format,
    threshold: Level,
    outgoing: Arc<Outgoing>,
    copy: Option<Copied>,
    timings: Timings,
}

/// A second reader of the lines, who has them in a shape of its own.
#[derive(Clone)]
struct Copied {
    format: Format,
    reader: Arc<dyn Fn(&str) + Send + Sync>,
}

impl std::fmt::Debug for Copied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Copied").field(&self.format).finish()
    }
}

impl Log {
    /// A log that writes lines of at least `threshold` to `out`, on a thread of its own.
    ///
    /// # Errors
    /// The system's words when it gives no thread.
    pub fn new(
        format: Format,
        threshold: Level,
        out: impl Write + Send + 'static,
    ) -> std::io::Result<Self> {
        Ok(Self {
            format,
            threshold,
            outgoing: Arc::new(Outgoing::new(out)?),
            copy: None,
            timings: Timings::default(),
        })
    }

    /// The same log, whose lines `reader` gets as well, in another shape and without a line break. It is called where the
    /// line arises, so it must be quick.
    #[must_use]
    pub fn copied(&self, format: Format, reader: Arc<dyn Fn(&str) + Send + Sync>) -> Self {
        Self {
            copy: Some(Copied { format, reader }),
            ..self.clone()
        }
    }

    /// The same log for a start whose phases somebody wants to know.
    #[must_use]
    pub fn timed(&self, timings: Timings) -> Self {
        Self {
            timings,
            ..self.clone()
        }
    }

    /// Where the time of this start goes.
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// The mildest level that is written.
    pub fn threshold(&self) -> Level {
        self.threshold
    }

    /// The shape of the lines.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Writes a line, unless it is milder than the threshold.
    pub fn write(&self, line: &Line<'_>) {
        if line.level >= self.threshold {
            self.rendered(line, line.render(self.format));
        }
    }

    /// Writes a line, unless it is milder than the threshold, and waits until it and all before it have left the process.
    pub fn write_out(&self, format: Format, line: &Line<'_>) {
        if line.level < self.threshold {
            return self.flush();
        }
        self.copy(line);
        self.outgoing.push_and_write(ended(line.render(format)));
    }

    /// Writes a line that has its shape already.
    pub(crate) fn rendered(&self, line: &Line<'_>, text: String) {
        self.copy(line);
        self.raw(text);
    }

    fn copy(&self, line: &Line<'_>) {
        if let Some(copy) = &self.copy {
            (copy.reader)(&line.render(copy.format));
        }
    }

    /// A line in this log's shape.
    pub(crate) fn render(&self, line: &Line<'_>) -> String {
        line.render(self.format)
    }

    /// Writes a line of the host itself.
    pub fn host(&self, level: Level, message: &str) {
        self.write(&Line {
            level,
            message,
            source: Source::Host,
            scope: None,
            fields: &[],
            top: &[],
        });
    }

    /// Writes text as it is, a line break added. While nobody reads, and very much waits to be, it is left out.
    pub fn raw(&self, text: String) {
        self.outgoing.push(ended(text));
    }

    /// The same as [`Self::flush`], but no longer than `time`: whoever reads the lines may have stopped, and this is to end.
    pub fn flush_within(&self, time: std::time::Duration) {
        self.outgoing.write_within(time);
    }

    /// Waits until everything written before has left the process; Lambda freezes it afterwards.
    pub fn flush(&self) {
        self.outgoing.write();
    }
}

fn ended(mut text: String) -> String {
    text.push('\n');
    text
}

/// A place in memory that a log can write to, for tests and for reports that quote lines.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    /// What has been written so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::outgoing::WAITING_BYTES_MAX;
    use super::*;
    use std::sync::mpsc::{Receiver, channel};

    /// A reader that reads nothing until it is told to.
    struct Stuck(Receiver<()>, Memory);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _told = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_nobody_reads_takes_only_so_much_memory_and_holds_up_no_end() {
        let (go_on, told) = channel();
        let memory = Memory::default();
        let log = Log::new(Format::Plain, Level::Info, Stuck(told, memory.clone())).unwrap();
        let line = "x".repeat(1 << 20);
        for _ in 0..100 {
            log.raw(line.clone());
        }
        assert!(log.outgoing.bytes() < WAITING_BYTES_MAX + (2 << 20));
        log.flush_within(std::time::Duration::ZERO);
        drop(go_on);
        log.flush();
        assert_eq!(log.outgoing.bytes(), 0);
        assert!((64..70).contains(&memory.text().lines().count()));
    }
}
