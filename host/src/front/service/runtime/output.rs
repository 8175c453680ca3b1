//! What a process writes to its standard output and error, cut into lines: for the person's log, and for the log of the
//! event that it works on. Knows neither processes nor events.

use super::super::tail::Tail;
use crate::error::Level;
use crate::telemetry::{Format, Line, Log, Scope, Source, printable};
use std::sync::{Arc, Mutex, PoisonError};

/// The longest line; what is longer comes in pieces, so that output without line breaks fills no memory.
const LINE_BYTES_MAX: usize = 256 << 10;

/// After how much output the log is waited for, so that no more of it is held than that.
const UNFLUSHED_BYTES_MAX: usize = 1 << 20;

/// Where the lines of one environment's processes go.
#[derive(Debug, Clone)]
pub(super) struct Sink {
    log: Log,
    function: String,
    current: Arc<Mutex<Option<Current>>>,
}

/// What lines belong to at the moment.
#[derive(Debug)]
pub(super) struct Current {
    /// The event's id; none while the environment is made ready.
    pub(super) request_id: Option<String>,
    /// The log that a caller may ask for.
    pub(super) tail: Tail,
}

impl Sink {
    pub(super) fn new(log: Log, function: &str) -> Self {
        Self {
            log,
            function: function.to_owned(),
            current: Arc::default(),
        }
    }

    /// Says what the lines from here on belong to.
    pub(super) fn turn_to(&self, current: Option<Current>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = current;
    }

    fn line(&self, source: Source, text: &str) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = &*current {
            current.tail.line(text);
        }
        let id = current.as_ref().and_then(|now| now.request_id.as_deref());
        match self.log.format() {
            // A reader of JSON lines can make nothing of a text among them.
            Format::Json => self.log.write(&Line {
                level: Level::Info,
                message: text,
                source,
                scope: id.map(|id| self.scope(id)).as_ref(),
                fields: &[],
                top: &[],
            }),
            Format::Text | Format::Plain | Format::Colour => {
                let line = format!("{} | {}", self.function, printable(text));
                self.log.raw(line);
            }
        }
    }

    fn scope(&self, request_id: &str) -> Scope {
        Scope {
            request_id: request_id.to_owned(),
            function: self.function.clone(),
            component: String::new(),
        }
    }

    /// Waits until the log has been written. The log itself takes whatever is given to it at once, however slow the
    /// terminal; a program that only writes would fill this one's memory.
    async fn wait(&self) {
        let log = self.log.clone();
        // It fails only where the process is ending.
        let _ = tokio::task::spawn_blocking(move || log.flush()).await;
    }
}

/// One stream of a process on its way to becoming lines.
#[derive(Debug)]
pub(super) struct Lines {
    sink: Sink,
    source: Source,
    line: Vec<u8>,
    unflushed: usize,
}

impl Lines {
    pub(super) fn new(sink: Sink, source: Source) -> Self {
        Self {
            sink,
            source,
            line: Vec::new(),
            unflushed: 0,
        }
    }

    /// Takes what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.unflushed += bytes.len();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(rest) => {
                    self.line.extend_from_slice(rest);
                    self.emit();
                }
                None => self.line.extend_from_slice(piece),
            }
            if self.line.len() >= LINE_BYTES_MAX {
                self.emit();
            }
        }
    }

    /// Lets the log catch up, once enough has been read.
    pub(super) async fn settle(&mut self) {
        if self.unflushed > UNFLUSHED_BYTES_MAX {
            self.unflushed = 0;
            self.sink.wait().await;
        }
    }

    /// Ends a line that has no line break yet.
    pub(super) fn close(&mut self) {
        if !self.line.is_empty() {
            self.emit();
        }
    }

    fn emit(&mut self) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        self.sink.line(self.source, &String::from_utf8_lossy(line));
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Memory;

    fn sink(format: Format) -> (Sink, Log, Memory) {
        let memory = Memory::default();
        let log = Log::new(format, Level::Info, memory.clone()).unwrap();
        (Sink::new(log.clone(), "crunch"), log, memory)
    }

    #[test]
    fn lines_go_to_the_log_and_to_the_event_that_is_worked_on() {
        let (sink, log, memory) = sink(Format::Plain);
        let tail = Tail::default();
        sink.turn_to(Some(Current {
            request_id: Some("abc".to_owned()),
            tail: tail.clone(),
        }));
        let mut lines = Lines::new(sink.clone(), Source::Stdout);
        lines.push(b"one\r\ntw");
        lines.push(b"o\n\x1b[2Jthree");
        lines.close();
        sink.turn_to(None);
        lines.push(b"after\n");
        log.flush();
        assert_eq!(tail.take(), "one\ntwo\n\x1b[2Jthree\n");
        let shown = memory.text();
        assert!(shown.starts_with("crunch | one\ncrunch | two\n"), "{shown}");
        assert!(shown.contains("\\u{1b}[2Jthree") && shown.ends_with("crunch | after\n"));
    }

    #[test]
    fn a_log_of_json_lines_stays_one() {
        let (sink, log, memory) = sink(Format::Json);
        sink.turn_to(Some(Current {
            request_id: Some("abc".to_owned()),
            tail: Tail::default(),
        }));
        let mut lines = Lines::new(sink, Source::Stderr);
        lines.push(b"no \"JSON\" at all\n");
        log.flush();
        let line: serde_json::Value = serde_json::from_str(&memory.text()).unwrap();
        assert_eq!(line["message"], "no \"JSON\" at all");
        assert_eq!(line["source"], "stderr");
        assert_eq!(line["requestId"], "abc");
    }

    #[test]
    fn output_without_line_breaks_comes_in_pieces_and_is_not_held() {
        let (sink, log, memory) = sink(Format::Plain);
        let mut lines = Lines::new(sink, Source::Stdout);
        for _ in 0..100 {
            lines.push(&[b'x'; 16 << 10]);
            assert!(lines.line.len() < LINE_BYTES_MAX);
        }
        lines.close();
        log.flush();
        assert_eq!(
            memory.text().lines().count(),
            7,
            "six whole pieces and the rest"
        );
        assert_eq!(memory.text().matches('x').count(), 100 * (16 << 10));
    }
}
