//! The last bytes of an invocation's log, between the lines that Lambda puts around it. Knows no process and no guest.

use super::call::LOG_TAIL_BYTES;
use bytes::Bytes;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What an invocation took, for its last line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// The invocation's identifier.
    pub(crate) request_id: String,
    /// From when the event was handed over to its answer.
    pub(crate) duration: Duration,
    /// What making ready took before, for the first event of what was started for it.
    pub(crate) init: Option<Duration>,
    /// What the function may use of memory, in MB.
    pub(crate) memory_mb: u64,
    /// The most that it used, in MB.
    pub(crate) memory_used_mb: u64,
}

impl Report {
    /// What AWS would charge for: whole milliseconds, with the init that custom runtimes have always paid.
    /// Source: <https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase>.
    fn billed_ms(&self) -> u128 {
        let charged = self.duration.saturating_add(self.init.unwrap_or_default());
        charged.as_nanos().div_ceil(1_000_000).max(1)
    }
}

/// The end of a log, at most [`LOG_TAIL_BYTES`] of it. Cheap to clone; all clones write to the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<Last>>);

#[derive(Debug, Default)]
struct Last {
    bytes: Vec<u8>,
    /// Whether something before `bytes` is gone, so that they may begin amid a character.
    is_cut: bool,
}

impl Tail {
    /// Begins an invocation. What was said before, while its environment was made ready, stands before it.
    pub(crate) fn start(&self, request_id: &str, version: &str) {
        self.line(&format!("START RequestId: {request_id} Version: {version}"));
    }

    /// Adds a line and its line break.
    pub(crate) fn line(&self, text: &str) {
        let mut last = self.lock();
        last.push(text.as_bytes());
        last.push(b"\n");
    }

    /// Ends an invocation.
    pub(crate) fn end(&self, report: &Report) {
        let id = &report.request_id;
        let mut text = format!(
            "END RequestId: {id}\nREPORT RequestId: {id}\tDuration: {:.2} ms\tBilled Duration: {} ms\t\
             Memory Size: {} MB\tMax Memory Used: {} MB\t",
            millis(report.duration),
            report.billed_ms(),
            report.memory_mb,
            report.memory_used_mb,
        );
        if let Some(init) = report.init {
            let _ = write!(text, "Init Duration: {:.2} ms\t", millis(init));
        }
        self.line(&text);
    }

    /// Takes the last bytes out, from the beginning of a character.
    pub(crate) fn take(&self) -> Bytes {
        let mut last = self.lock();
        last.cut_to(LOG_TAIL_BYTES);
        let is_cut = std::mem::take(&mut last.is_cut);
        let mut bytes = Bytes::from(std::mem::take(&mut last.bytes));
        let broken = bytes
            .iter()
            .take(3)
            .take_while(|byte| **byte & 0xC0 == 0x80);
        let broken = broken.count();
        if is_cut {
            bytes.split_off(broken)
        } else {
            bytes
        }
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Last {
    fn push(&mut self, bytes: &[u8]) {
        let surplus = bytes.len().saturating_sub(LOG_TAIL_BYTES);
        self.is_cut |= surplus > 0;
        self.bytes.extend(bytes.iter().skip(surplus));
        // Not at each line: moving what stays costs more than keeping twice of it.
        if self.bytes.len() > 2 * LOG_TAIL_BYTES {
            self.cut_to(LOG_TAIL_BYTES);
        }
    }

    fn cut_to(&mut self, most: usize) {
        let surplus = self.bytes.len().saturating_sub(most);
        self.is_cut |= surplus > 0;
        self.bytes.drain(..surplus);
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tail: &Tail) -> String {
        String::from_utf8(tail.take().to_vec()).unwrap()
    }

    #[test]
    fn the_lines_around_an_invocation_are_those_of_lambda() {
        let tail = Tail::default();
        tail.start("abc", "$LATEST");
        tail.line("hello");
        tail.end(&Report {
            request_id: "abc".to_owned(),
            duration: Duration::from_micros(1_234),
            init: None,
            memory_mb: 128,
            memory_used_mb: 35,
        });
        assert_eq!(
            text(&tail),
            "START RequestId: abc Version: $LATEST\nhello\nEND RequestId: abc\n\
             REPORT RequestId: abc\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\t\
             Max Memory Used: 35 MB\t\n"
        );
        assert_eq!(text(&tail), "", "what was taken is not there any more");
    }

    #[test]
    fn a_first_event_is_billed_with_the_init_before_it() {
        let tail = Tail::default();
        tail.end(&Report {
            duration: Duration::from_micros(600),
            init: Some(Duration::from_micros(12_340)),
            ..Report::default()
        });
        let text = text(&tail);
        assert!(text.contains("\tBilled Duration: 13 ms\t"), "{text}");
        assert!(text.ends_with("\tInit Duration: 12.34 ms\t\n"), "{text}");
    }

    #[test]
    fn what_is_said_before_the_invocation_comes_first() {
        let tail = Tail::default();
        tail.line("making ready");
        tail.start("abc", "$LATEST");
        assert!(text(&tail).starts_with("making ready\nSTART RequestId: abc "));
    }

    #[test]
    fn only_the_last_bytes_are_kept_however_much_is_written() {
        let tail = Tail::default();
        for number in 0..10_000 {
            tail.line(&format!("line {number}"));
        }
        assert!(tail.lock().bytes.len() <= 2 * LOG_TAIL_BYTES);
        let text = text(&tail);
        assert_eq!(text.len(), LOG_TAIL_BYTES);
        assert!(text.ends_with("line 9998\nline 9999\n"));
        tail.line(&"x".repeat(1 << 20));
        assert_eq!(tail.take(), format!("{}\n", "x".repeat(LOG_TAIL_BYTES - 1)));
    }

    #[test]
    fn a_log_that_is_cut_begins_with_a_whole_character() {
        let tail = Tail::default();
        tail.line(&"a".repeat(LOG_TAIL_BYTES));
        tail.line(&"é".repeat(LOG_TAIL_BYTES / 2));
        let text = text(&tail);
        assert_eq!(text.len(), LOG_TAIL_BYTES - 1);
        assert!(text.starts_with('é') && text.ends_with("é\n"));
    }
}
