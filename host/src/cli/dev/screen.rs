//! What `dev` shows: what serves where, each event in a line, each swap in a line; for scripts the same as JSON.

use super::super::printer::Printer;
use super::super::report;
use crate::error::Failure;
use crate::front::service::{Ended, Seen, Via, Witness};
use crate::quantity::{Bytes, Time};
use crate::telemetry::printable;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most lines of events a second that a person is shown; of more only the number, so that a load test is not one of
/// the terminal.
const LINES_A_SECOND: u32 = 20;

/// The longest part of a failure's message that is shown of an event.
const MESSAGE_CHARS: usize = 300;

/// Shows what happens.
#[derive(Debug)]
pub(super) struct Screen {
    printer: Printer,
    second: Mutex<Second>,
}

/// What was shown since a moment.
#[derive(Debug)]
struct Second {
    since: Instant,
    shown: u32,
    left_out: u32,
    failed: u32,
}

impl Second {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            shown: 0,
            left_out: 0,
            failed: 0,
        }
    }
}

/// A function that took another's place.
#[derive(Debug)]
pub(super) struct Swapped<'a> {
    pub(super) function: &'a str,
    pub(super) from: Option<u64>,
    pub(super) to: Option<u64>,
    pub(super) release: &'a str,
    /// Why, in a few words.
    pub(super) cause: &'a str,
    pub(super) took: Duration,
}

impl Screen {
    pub(super) fn new(printer: Printer) -> Self {
        Self {
            printer,
            second: Mutex::new(Second::new()),
        }
    }

    /// Says where functions are to be had.
    pub(super) fn serving(&self, address: SocketAddr, functions: &[(&str, &str)]) {
        let endpoint = format!("http://{address}");
        self.printer.text(|| {
            let mark = self.printer.mark("✓", true);
            let mut text = format!("  {mark} Lambda is at {endpoint}          Ctrl-C ends it");
            for (name, version) in functions {
                text.push_str(&format!(
                    "\n    {name} {version}\n      \
                     crunchbox invoke {name} --data '{{}}'\n      \
                     aws lambda invoke --endpoint-url {endpoint} --function-name {name} /dev/stdout\n      \
                     curl {endpoint}/lambda-url/{name}/"
                ));
            }
            text
        });
        self.printer.json(|| {
            let functions: Vec<Value> = functions
                .iter()
                .map(|(name, version)| {
                    let url = format!("{endpoint}/lambda-url/{name}/");
                    json!({"name": name, "version": version, "url": url})
                })
                .collect();
            json!({"type": "serving", "endpoint": endpoint, "functions": functions})
        });
    }

    /// Says that a function changed.
    pub(super) fn swapped(&self, swapped: &Swapped<'_>) {
        self.printer.text(|| {
            let number = |number: Option<u64>| {
                number.map_or_else(|| "?".to_owned(), |number| number.to_string())
            };
            let (function, release) = (swapped.function, short(swapped.release));
            format!(
                "  {} {function} {} → {}   {}   {release} in {}",
                self.printer.mark("↻", true),
                number(swapped.from),
                number(swapped.to),
                printable(swapped.cause),
                Time(swapped.took)
            )
        });
        self.printer.json(|| {
            json!({
                "type": "swap",
                "function": swapped.function,
                "from": swapped.from,
                "to": swapped.to,
                "release": swapped.release,
                "cause": swapped.cause,
                "ms": report::ms(swapped.took),
            })
        });
    }

    /// Says that a change was looked at and changes nothing.
    pub(super) fn unchanged(&self, function: &str, version: Option<u64>) {
        self.printer.text(|| {
            let version = version.unwrap_or_default();
            format!("    {function} is what it was: {version} serves on")
        });
        self.printer
            .json(|| json!({"type": "unchanged", "function": function, "version": version}));
    }

    /// Says why a change does not serve, with the words of the tools that build.
    pub(super) fn refused(&self, function: &str, cause: &str, failure: &Failure, words: &str) {
        self.printer.text(|| {
            let reason = report::failure_text(&self.printer, function, failure);
            let words = match words {
                "" => String::new(),
                words => format!("{words}\n"),
            };
            format!(
                "{words}{reason}\n    {} changed; what served before serves on",
                printable(cause)
            )
        });
        self.printer.json(|| {
            let mut object = report::failure_json(failure);
            object["type"] = "refused".into();
            object["function"] = function.into();
            object["cause"] = cause.into();
            object["words"] = words.into();
            object
        });
    }

    pub(super) fn ending(&self) {
        self.printer
            .text(|| "    Ending, after the events in flight (Ctrl-C again: at once)".to_owned());
    }

    pub(super) fn ended(&self, ended: &Ended) {
        let waiting = &ended.waiting;
        self.printer.text(|| {
            let mut text = match ended.all_answered {
                true => "    Ended: every event in flight was answered".to_owned(),
                false => "    Ended: events in flight took too long and were cut".to_owned(),
            };
            if !waiting.is_empty() {
                let (count, ids) = (waiting.len(), waiting.join(", "));
                text.push_str(&format!(
                    "\n    {count} asynchronous events waited for another try and are lost: {ids}"
                ));
            }
            text
        });
        self.printer.json(
            || json!({"type": "drained", "allAnswered": ended.all_answered, "lost": waiting}),
        );
    }

    pub(super) fn cut(&self) {
        self.printer
            .text(|| "    Ended at once: events in flight were cut".to_owned());
        self.printer
            .json(|| json!({"type": "drained", "allAnswered": false, "lost": []}));
    }

    /// Whether there is room for another line this second; says first what was left out of the one before.
    fn has_room(&self, failed: bool) -> bool {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.since.elapsed() >= Duration::from_secs(1) {
            let past = std::mem::replace(&mut *second, Second::new());
            if past.left_out > 0 {
                self.printer.text(|| {
                    format!(
                        "    … and {} events more, {} of them failed",
                        past.left_out, past.failed
                    )
                });
            }
        }
        if second.shown < LINES_A_SECOND {
            second.shown += 1;
            return true;
        }
        second.left_out += 1;
        second.failed += u32::from(failed);
        false
    }
}

impl Witness for Screen {
    fn refused(&self, request: &str, status: u16, reason: &str) {
        self.printer.json(
            || json!({"type": "refusal", "request": request, "status": status, "message": reason}),
        );
        if self.printer.is_text() && self.has_room(true) {
            let mark = self.printer.mark("✗", false);
            let (request, reason) = (printable(request), printable(reason));
            self.printer
                .text(|| format!("  {mark} {status} {request}: {reason}"));
        }
    }

    fn answered(&self, seen: &Seen) {
        self.printer.json(|| seen_json(seen));
        if !self.printer.is_text() || !self.has_room(seen.result.is_err()) {
            return;
        }
        self.printer.text(|| {
            let Seen {
                function,
                version,
                took,
                ..
            } = seen;
            let how = match seen.via {
                Via::Invoke => "",
                Via::Queue => " async",
                Via::Stream => " stream",
                Via::Url => " url",
            };
            match &seen.result {
                Ok(bytes) => {
                    let bytes = Bytes(u64::try_from(*bytes).unwrap_or(u64::MAX));
                    let mark = self.printer.mark("✓", true);
                    format!(
                        "  {mark} {function} {version}{how}: {bytes} in {}",
                        Time(*took)
                    )
                }
                Err((kind, document)) => {
                    let mark = self.printer.mark("✗", false);
                    let message = printable(&message_in(document)).into_owned();
                    let kind = printable(kind).into_owned();
                    format!(
                        "  {mark} {function} {version}{how}: {kind} in {}   {message}",
                        Time(*took)
                    )
                }
            }
        });
    }
}

fn seen_json(seen: &Seen) -> Value {
    let mut object = json!({
        "type": "invocation",
        "function": seen.function,
        "requestId": seen.request_id,
        "version": seen.version,
        "via": match seen.via {
            Via::Invoke => "invoke",
            Via::Queue => "async",
            Via::Stream => "stream",
            Via::Url => "url",
        },
        "outcome": match &seen.result {
            Ok(_) => "ok",
            Err((kind, _)) => kind.as_str(),
        },
        "ms": report::ms(seen.took),
    });
    match &seen.result {
        Ok(bytes) => object["bytes"] = (*bytes).into(),
        Err((_, document)) => object["errorMessage"] = message_in(document).into(),
    }
    object
}

/// The message of a failure's document, or the document where it has none.
fn message_in(document: &str) -> String {
    let parsed = serde_json::from_str::<Value>(document).unwrap_or_default();
    let message = parsed["errorMessage"].as_str().unwrap_or(document);
    message.chars().take(MESSAGE_CHARS).collect()
}

/// As many digits of a release as people compare.
fn short(release: &str) -> &str {
    let digits = release.strip_prefix("sha256-").unwrap_or(release);
    digits.get(..12).unwrap_or(digits)
}
