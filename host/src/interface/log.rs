//! `crunchbox:function/log`, and the budget that all of one event's lines share, whichever way the guest writes them.

use crate::bindings::crunchbox::function::log::{self, Host, Level as GuestLevel};
use crate::error::{Failure, Level};
use crate::event::check_json;
use crate::secret::SecretText;
use crate::telemetry::{Line, Log, Scope, Source};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wasmtime::component::{HasData, Linker};

/// The longest line; longer ones are cut. CloudWatch takes up to 256 KiB, readers a good deal less.
const LINE_BYTES_MAX: usize = 16 << 10;

/// The shortest secret that is hidden where it stands in other text; shorter ones are parts of ordinary words.
const MASKED_MIN: usize = 4;

/// The shortest line of a longer secret that is hidden by itself.
const MASKED_LINE_MIN: usize = 8;

/// More fields than a line that somebody reads has.
const FIELDS_MAX: usize = 64;

/// One event's log. Clones share budget and unfinished lines.
#[derive(Clone)]
pub(crate) struct EventLog(Arc<Mutex<Inner>>);

impl std::fmt::Debug for EventLog {
    /// Without lines and secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventLog")
    }
}

struct Inner {
    log: Log,
    scope: Scope,
    left: usize,
    allowed: usize,
    written: u64,
    cut: u64,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Texts that are not to be seen.
    masked: Vec<String>,
    /// The event is over. A guest that was given up may still write.
    finished: bool,
}

/// How many lines an event wrote, and how many (or how many pieces of lines) were left out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogUsage {
    pub(crate) written: u64,
    pub(crate) cut: u64,
}

impl EventLog {
    /// The log of an event that may write so many bytes.
    pub(crate) fn new(log: Log, scope: Scope, bytes_max: usize) -> Self {
        let inner = Inner {
            log,
            scope,
            left: bytes_max,
            allowed: bytes_max,
            written: 0,
            cut: 0,
            stdout: Vec::new(),
            stderr: Vec::new(),
            masked: Vec::new(),
            finished: false,
        };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Takes bytes of standard output or error; whole lines are written at once.
    pub(crate) fn output(&self, source: Source, bytes: &[u8]) {
        self.lock().output(source, bytes);
    }

    /// Keeps a secret out of all that the guest writes from now on, in lines and in its failure. Against mistakes: who wants
    /// to give a secret away can spell it differently.
    pub(crate) fn mask(&self, secret: &SecretText) {
        self.lock().mask(secret.reveal());
    }

    /// A failure without the secrets that the guest was given.
    pub(crate) fn masked(&self, failure: Failure) -> Failure {
        let inner = self.lock();
        if inner.masked.is_empty() {
            return failure;
        }
        let has_secret = inner
            .masked
            .iter()
            .any(|secret| failure.kind.contains(secret.as_str()));
        Failure {
            message: inner.hide(&failure.message).into_owned(),
            kind: if has_secret {
                "Error".to_owned()
            } else {
                failure.kind
            },
            trace: failure
                .trace
                .iter()
                .map(|line| inner.hide(line).into_owned())
                .collect(),
            details: failure
                .details
                .map(|details| inner.hide(&details).into_owned())
                .filter(|details| check_json(details).is_ok()),
            ..failure
        }
    }

    /// Writes lines left unfinished and a note on what was cut. The last call of an event.
    pub(crate) fn finish(&self) -> LogUsage {
        self.lock().finish()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Lines are whole at every point where a panic could strike, so a poisoned lock holds nothing broken.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn mask(&mut self, secret: &str) {
        self.mask_text(secret);
        self.mask_text(secret.trim());
        // What stands on several lines is written line by line.
        let lines = secret.lines().filter(|line| line.len() >= MASKED_LINE_MIN);
        lines.for_each(|line| self.mask_text(line));
        // One that is JSON is taken apart before it is used.
        if let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(secret) {
            self.mask_parts(&value);
        }
        // Of two secrets of which one is part of the other, the longer goes first.
        self.masked
            .sort_by_key(|text| std::cmp::Reverse(text.len()));
    }

    fn mask_parts(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.mask_text(text),
            Value::Array(items) => items.iter().for_each(|item| self.mask_parts(item)),
            Value::Object(table) => table.values().for_each(|item| self.mask_parts(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn mask_text(&mut self, text: &str) {
        let json = Value::from(text).to_string();
        for text in [text, &json[1..json.len() - 1]] {
            if text.len() >= MASKED_MIN && !self.masked.iter().any(|known| known == text) {
                self.masked.push(text.to_owned());
            }
        }
    }

    fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut shown = Cow::Borrowed(text);
        for secret in &self.masked {
            if shown.contains(secret.as_str()) {
                shown = Cow::Owned(shown.replace(secret.as_str(), "***"));
            }
        }
        shown
    }

    fn emit(&mut self, level: Level, source: Source, message: &str, fields: &[(String, String)]) {
        if level < self.log.threshold() || self.finished {
            return;
        }
        if self.left == 0 {
            self.cut += 1;
            return;
        }
        let message = &*self.hide(message);
        let hidden: Vec<_>;
        let fields = if self.masked.is_empty() {
            fields
        } else {
            let hide = |text: &String| self.hide(text).into_owned();
            hidden = fields
                .iter()
                .map(|(name, value)| (hide(name), hide(value)))
                .collect();
            &hidden
        };
        let shown = cut_at(message, LINE_BYTES_MAX);
        let fields_bytes: usize = fields
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if fields.len() > FIELDS_MAX || fields_bytes > LINE_BYTES_MAX {
            self.cut += 1;
            return;
        }
        let scope = Some(&self.scope);
        // Escapes and the frame of a line can be longer than what the guest wrote, so the whole is counted.
        let line = Line {
            level,
            message: shown,
            source,
            scope,
            fields,
            top: &[],
        };
        let text = self.log.render(&line);
        let cost = text.len() + "\n".len();
        if cost > self.left {
            // What comes later and is shorter is left out as well: a log with holes misleads.
            self.left = 0;
            self.cut += 1;
            return;
        }
        self.left -= cost;
        self.written += 1;
        self.cut += u64::from(shown.len() < message.len());
        self.log.rendered(&line, text);
    }

    fn output(&mut self, source: Source, bytes: &[u8]) {
        let longest = self.masked.first().map_or(0, String::len);
        let mut pending = std::mem::take(self.pending(source));
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.left == 0 {
                // One call may bring millions of lines: those that nobody will see are only counted.
                self.cut += lines(rest);
                pending.clear();
                pending.extend(rest.last().filter(|last| **last != b'\n'));
                break;
            }
            let end = rest.iter().position(|byte| *byte == b'\n');
            let piece;
            (piece, rest) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            // A secret that begins before the end of the line is hidden whole, and the line cut after that.
            let room = (LINE_BYTES_MAX + longest).saturating_sub(pending.len());
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            // What does not fit the line is dropped here, so that a guest can't fill the host's memory without breaks.
            self.cut += u64::from(text.len() > room);
            pending.extend_from_slice(&text[..text.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.line(source, &pending);
                pending.clear();
            }
        }
        *self.pending(source) = pending;
    }

    fn line(&mut self, source: Source, bytes: &[u8]) {
        let level = if source == Source::Stderr {
            Level::Warn
        } else {
            Level::Info
        };
        let text = String::from_utf8_lossy(bytes);
        self.emit(level, source, text.trim_end_matches(['\n', '\r']), &[]);
    }

    fn pending(&mut self, source: Source) -> &mut Vec<u8> {
        if source == Source::Stderr {
            &mut self.stderr
        } else {
            &mut self.stdout
        }
    }

    fn finish(&mut self) -> LogUsage {
        for source in [Source::Stdout, Source::Stderr] {
            let pending = std::mem::take(self.pending(source));
            if !pending.is_empty() {
                self.line(source, &pending);
            }
        }
        if self.cut > 0 {
            let message = format!(
                "the log of this event was cut: {} lines or parts of lines beyond {} KiB an event and {} KiB a line left out",
                self.cut,
                self.allowed >> 10,
                LINE_BYTES_MAX >> 10
            );
            let scope = Some(&self.scope);
            self.log.write(&Line {
                level: Level::Warn,
                message: &message,
                source: Source::Host,
                scope,
                fields: &[],
                top: &[],
            });
        }
        self.finished = true;
        LogUsage {
            written: self.written,
            cut: self.cut,
        }
    }
}

/// How many lines end in some bytes.
fn lines(bytes: &[u8]) -> u64 {
    let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
    u64::try_from(ends).unwrap_or(u64::MAX)
}

fn cut_at(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max.min(text.len()))]
}

struct Has;

impl HasData for Has {
    type Data<'a> = &'a EventLog;
}

pub(crate) fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    log: fn(&mut T) -> &EventLog,
) -> wasmtime::Result<()> {
    log::add_to_linker::<T, Has>(linker, log)
}

impl Host for &EventLog {
    fn threshold(&mut self) -> wasmtime::Result<GuestLevel> {
        Ok(match self.lock().log.threshold() {
            Level::Trace => GuestLevel::Trace,
            Level::Debug => GuestLevel::Debug,
            Level::Info => GuestLevel::Info,
            Level::Warn => GuestLevel::Warn,
            Level::Error => GuestLevel::Error,
            Level::Fatal => GuestLevel::Fatal,
        })
    }

    fn emit(
        &mut self,
        level: GuestLevel,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let level = match level {
            GuestLevel::Trace => Level::Trace,
            GuestLevel::Debug => Level::Debug,
            GuestLevel::Info => Level::Info,
            GuestLevel::Warn => Level::Warn,
            GuestLevel::Error => Level::Error,
            GuestLevel::Fatal => Level::Fatal,
        };
        self.lock().emit(level, Source::Guest, &message, &fields);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG_BYTES_MAX: usize = 256 << 10;
    use crate::telemetry::{Format, Memory};

    fn run(write: impl FnOnce(&EventLog)) -> (LogUsage, Vec<String>) {
        let memory = Memory::default();
        let log = Log::new(Format::Plain, Level::Info, memory.clone()).unwrap();
        let scope = Scope {
            request_id: "r".into(),
            function: "f".into(),
            component: "c".into(),
        };
        let event = EventLog::new(log.clone(), scope, LOG_BYTES_MAX);
        write(&event);
        let usage = event.finish();
        log.flush();
        (
            usage,
            memory
                .text()
                .lines()
                .map(|line| line.trim().to_owned())
                .collect(),
        )
    }

    #[test]
    fn output_becomes_lines_whatever_the_pieces_it_is_written_in() {
        let (usage, lines) = run(|log| {
            for piece in ["on", "e\ntw", "o\nthree"] {
                log.output(Source::Stdout, piece.as_bytes());
            }
            log.output(Source::Stderr, b"oh");
        });
        assert_eq!(lines, ["INFO one", "INFO two", "INFO three", "WARN oh"]);
        assert_eq!((usage.written, usage.cut), (4, 0));
    }

    #[test]
    fn a_line_without_an_end_is_cut_and_noted() {
        let (usage, lines) =
            run(|log| (0..100).for_each(|_| log.output(Source::Stdout, &[b'a'; 1000])));
        assert_eq!(lines[0].len(), "INFO ".len() + LINE_BYTES_MAX);
        assert!(
            lines[1].contains("was cut") && usage.cut > 0,
            "{}",
            lines[1]
        );
    }

    #[test]
    fn lines_beyond_the_events_budget_are_counted_and_left_out() {
        let (usage, lines) = run(|log| {
            for _ in 0..10_000 {
                (&mut &*log)
                    .emit(GuestLevel::Error, "x".repeat(100), Vec::new())
                    .unwrap();
            }
        });
        assert_eq!(usage.written + usage.cut, 10_000);
        assert_eq!(u64::try_from(lines.len()).unwrap(), usage.written + 1);
    }

    #[test]
    fn a_line_with_too_many_fields_is_left_out() {
        let many = vec![(String::new(), String::new()); FIELDS_MAX + 1];
        let (usage, _) = run(|log| {
            (&mut &*log)
                .emit(GuestLevel::Error, "x".into(), many)
                .unwrap()
        });
        assert_eq!((usage.written, usage.cut), (0, 1));
    }

    #[test]
    fn a_secret_that_was_given_is_in_no_line_and_no_failure() {
        let secret = SecretText::new("hunter2 \"x\"");
        let key = SecretText::new("-----BEGIN-----\nMIIEvQIBADANBg\n-----END-----");
        let object = SecretText::new(r#"{"username": "root", "inner": ["correcthorse"]}"#);
        let (_, lines) = run(|log| {
            log.mask(&secret);
            log.mask(&key);
            log.mask(&object);
            log.output(Source::Stdout, b"as correcthorse\n");
            // One that stands across the end of a line that is too long.
            let mut long = vec![b'x'; LINE_BYTES_MAX - 4];
            long.extend(b"correcthorse and more\n");
            log.output(Source::Stdout, &long);
            log.output(Source::Stdout, b"is hunter2 \"x\" right?\n");
            log.output(Source::Stderr, b"MIIEvQIBADANBg\n");
            let fields = vec![("a".into(), "\"hunter2 \\\"x\\\"\"".into())];
            (&mut &*log)
                .emit(GuestLevel::Error, "f".into(), fields)
                .unwrap();
            let failure = Failure {
                trace: vec!["at hunter2 \"x\"".into()],
                details: Some("\"hunter2 \\\"x\\\"\"".into()),
                ..Failure::new(crate::error::Code::GuestFailure, "hunter2 \"x\"")
            };
            let failure = log.masked(failure);
            assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        });
        let text = lines.join("\n");
        assert!(
            !text.contains("hunter2") && !text.contains("MIIE"),
            "{text}"
        );
        assert!(text.contains("is *** right?"), "{text}");
    }

    #[test]
    fn what_is_written_never_exceeds_the_budget_however_it_is_spelled() {
        let (_, lines) = run(|log| {
            for _ in 0..100 {
                log.output(Source::Stdout, &[1; LINE_BYTES_MAX]);
                log.output(Source::Stdout, b"\n");
            }
        });
        let written: usize = lines.iter().map(String::len).sum();
        assert!(written < LOG_BYTES_MAX + 1000, "{written}");
    }
}
