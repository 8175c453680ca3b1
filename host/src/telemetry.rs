//! Log lines: one JSON object each for Lambda, or text for a person. Formatting happens where the line arises, writing
//! on a thread of its own, so that neither a guest nor a slow reader of the log holds up the event's path.

mod line;

use crate::error::Level;
use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use line::printable;
pub use line::{Line, Scope, Source};

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
    lines: Sender<Message>,
}

#[derive(Debug)]
enum Message {
    Line(String),
    Flush(Sender<()>),
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
        let (lines, receiver) = channel();
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(&receiver, out))?;
        Ok(Self {
            format,
            threshold,
            lines,
        })
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
            self.raw(line.render(self.format));
        }
    }

    /// The same, as JSON whatever this log's shape is: for lines that a program reads.
    pub fn write_json(&self, line: &Line<'_>) {
        if line.level >= self.threshold {
            self.raw(line.render(Format::Json));
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

    /// Writes text as it is, a line break added.
    pub fn raw(&self, mut text: String) {
        text.push('\n');
        // The writer ends only with the process; a line that it can't take any more has no reader.
        let _ = self.lines.send(Message::Line(text));
    }

    /// Waits until everything written before has left the process; Lambda freezes it afterwards.
    pub fn flush(&self) {
        let (done, wait) = channel();
        if self.lines.send(Message::Flush(done)).is_ok() {
            let _ = wait.recv();
        }
    }
}

fn write_all(messages: &Receiver<Message>, mut out: impl Write) {
    for message in messages {
        match message {
            // A log nobody reads must not end the program: a closed pipe is no reason to lose events.
            Message::Line(text) => drop(out.write_all(text.as_bytes())),
            Message::Flush(done) => {
                let _ = out.flush();
                let _ = done.send(());
            }
        }
    }
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
