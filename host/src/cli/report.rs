//! The report of an event, a failure, a run over many events.

use super::printer::Printer;
use crate::error::Failure;
use crate::event::{Outcome, Usage};
use crate::quantity::{Bytes, Time};
use crate::settings::lambda_memory_mb;
use crate::telemetry::printable;
use serde_json::{Value, json};
use std::time::Duration;

/// The most places of a trace that are shown; JSON has all of them.
const PLACES_SHOWN: usize = 10;

pub(super) fn outcome_text(printer: &Printer, event: &str, outcome: &Outcome) -> String {
    let usage = &outcome.usage;
    match &outcome.result {
        Ok(response) => format!(
            "  {} {event}: {} in {}   {}   {} → Lambda {} MB is enough{}",
            printer.mark("✓", true),
            Bytes(u64::try_from(response.len()).unwrap_or(u64::MAX)),
            Time(usage.instantiate + usage.call),
            split(usage),
            memory(usage),
            lambda_mb(usage.memory_peak),
            grants(usage)
        ),
        Err(failure) => {
            let reason = failure_text(printer, event, failure);
            if usage.memory_limit == 0 {
                return reason;
            }
            format!(
                "{reason}\n    {}   {}{}",
                split(usage),
                memory(usage),
                grants(usage)
            )
        }
    }
}

fn split(usage: &Usage) -> String {
    format!(
        "instantiate {} · call {} · cpu {}",
        Time(usage.instantiate),
        Time(usage.call),
        Time(usage.cpu)
    )
}

/// What went through grants, on a line of its own; and lines of the log that were cut.
fn grants(usage: &Usage) -> String {
    let mut parts: Vec<String> = usage
        .grants
        .used()
        .map(|(kind, figures)| {
            let denied = match figures.denied {
                0 => String::new(),
                denied => format!(", {denied} denied"),
            };
            let calls = match figures.calls {
                1 => "1 call".to_owned(),
                calls => format!("{calls} calls"),
            };
            format!(
                "{} {calls}, {} out, {} in{denied}",
                kind.name(),
                Bytes(figures.sent),
                Bytes(figures.received)
            )
        })
        .collect();
    if usage.scratch_peak > 0 {
        parts.push(format!("scratch at most {}", Bytes(usage.scratch_peak)));
    }
    if usage.log_cut > 0 {
        parts.push(format!("{} log lines cut", usage.log_cut));
    }
    match parts.as_slice() {
        [] => String::new(),
        parts => format!("\n    {}", parts.join(" · ")),
    }
}

/// The same for programs.
fn grants_json(usage: &Usage) -> Value {
    let used = usage
        .grants
        .used()
        .map(|(kind, figures)| (kind.name().to_owned(), json!(figures)));
    Value::Object(used.collect())
}

fn memory(usage: &Usage) -> String {
    let bytes = |count: usize| Bytes(u64::try_from(count).unwrap_or(u64::MAX));
    format!(
        "memory {} of {}",
        bytes(usage.memory_peak),
        bytes(usage.memory_limit)
    )
}

pub(super) fn outcome_json(event: &str, outcome: &Outcome) -> Value {
    let usage = &outcome.usage;
    let mut report = json!({
        "type": "report",
        "event": event,
        "outcome": outcome.code(),
        "ms": {"instantiate": ms(usage.instantiate), "call": ms(usage.call), "cpu": ms(usage.cpu)},
        "grants": grants_json(usage),
        "scratch": {"peakBytes": usage.scratch_peak},
        "memory": {"peakBytes": usage.memory_peak, "limitBytes": usage.memory_limit},
        "log": {"lines": usage.log_lines, "cut": usage.log_cut},
    });
    match &outcome.result {
        Ok(response) => {
            report["responseBytes"] = response.len().into();
            report["memory"]["lambdaMB"] = lambda_mb(usage.memory_peak).into();
        }
        Err(failure) => report["failure"] = failure_json(failure),
    }
    report
}

/// Milliseconds, to the microsecond.
pub(super) fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// The reason of a failure, after what failed: an event, or nothing for the command itself.
pub(super) fn failure_text(printer: &Printer, what: &str, failure: &Failure) -> String {
    let meaning = failure.code.meaning();
    let what = if what.is_empty() {
        String::new()
    } else {
        format!("{what}: ")
    };
    let own_kind = if failure.kind == meaning.name {
        String::new()
    } else {
        format!(" {}", failure.kind)
    };
    let mut text = format!(
        "  {} {what}{}{own_kind} ({}): {}",
        printer.mark("✗", false),
        meaning.name,
        meaning.blame,
        printable(&failure.message)
    );
    for place in failure.trace.iter().take(PLACES_SHOWN) {
        text.push_str(&format!("\n      at {}", printable(place)));
    }
    if failure.trace.len() > PLACES_SHOWN {
        text.push_str(&format!(
            "\n      … {} more",
            failure.trace.len() - PLACES_SHOWN
        ));
    }
    if let Some(details) = &failure.details {
        text.push_str(&format!("\n    details: {}", printable(details)));
    }
    let hint = failure.hint.as_deref().unwrap_or(meaning.remedy);
    text.push_str(&format!(
        "\n    hint: {hint}\n    exit {}; more: crunchbox explain {}",
        meaning.exit, meaning.name
    ));
    text
}

pub(super) fn failure_json(failure: &Failure) -> Value {
    let meaning = failure.code.meaning();
    json!({
        "type": "failure",
        "code": meaning.name,
        "errorType": failure.kind,
        "blame": meaning.blame.to_string(),
        "message": failure.message,
        "stackTrace": failure.trace,
        // As text: a parser in between would lose digits.
        "details": failure.details,
        "hint": failure.hint.as_deref().unwrap_or(meaning.remedy),
        "exit": meaning.exit,
    })
}

/// The least Lambda memory size that holds the host and a quarter more than this peak.
fn lambda_mb(peak: usize) -> u64 {
    let peak = u64::try_from(peak).unwrap_or(u64::MAX);
    lambda_memory_mb(Bytes(peak.saturating_add(peak / 4)))
}

/// What many events came to. Times and memory are of those that were handled well.
#[derive(Debug, Default)]
pub(super) struct Summary {
    times: Vec<Duration>,
    failed: usize,
    peak: usize,
    /// The time of each event, and how much of it a processor was at work.
    work: Vec<(Duration, Duration)>,
}

/// The memory at which a Lambda function has one processor to itself; with less it has a part of one.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>.
const LAMBDA_VCPU_MB: u64 = 1_769;

/// How long an event takes where a processor is shared with others: waiting is the same, work takes longer.
fn at_lambda(time: Duration, cpu: Duration, megabytes: u64) -> Duration {
    let waiting = time.saturating_sub(cpu);
    let part = LAMBDA_VCPU_MB.max(megabytes);
    let cpu = u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX);
    waiting + Duration::from_micros(cpu.saturating_mul(part) / megabytes.max(1))
}

impl Summary {
    pub(super) fn add(&mut self, outcome: &Outcome) {
        if outcome.result.is_err() {
            self.failed += 1;
            return;
        }
        self.peak = self.peak.max(outcome.usage.memory_peak);
        let time = outcome.usage.instantiate + outcome.usage.call;
        self.times.push(time);
        self.work.push((time, outcome.usage.cpu));
    }

    /// The Lambda memory that fits, and the longest that an event takes there.
    fn needs(&self) -> (u64, Duration) {
        let megabytes = lambda_mb(self.peak);
        let times = self
            .work
            .iter()
            .map(|(time, cpu)| at_lambda(*time, *cpu, megabytes));
        (megabytes, times.max().unwrap_or_default())
    }

    fn rank(&self, percent: usize) -> Duration {
        let mut sorted = self.times.clone();
        sorted.sort();
        let last = sorted.len().saturating_sub(1);
        sorted
            .get(last * percent / 100)
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        let ok = self.times.len();
        let head = format!(
            "    {} events: {ok} ok, {} failed",
            ok + self.failed,
            self.failed
        );
        if ok == 0 {
            return head;
        }
        let (megabytes, longest) = self.needs();
        format!(
            "{head}   p50 {} · p90 {} · max {}   memory at most {}\n    \
             → Lambda {megabytes} MB is enough, and takes about {} for the longest event there",
            Time(self.rank(50)),
            Time(self.rank(90)),
            Time(self.rank(100)),
            Bytes(u64::try_from(self.peak).unwrap_or(u64::MAX)),
            Time(longest)
        )
    }

    pub(super) fn json(&self) -> Value {
        let mut summary = json!({
            "type": "summary",
            "events": self.times.len() + self.failed,
            "failed": self.failed,
        });
        if !self.times.is_empty() {
            let rank = |percent| ms(self.rank(percent));
            summary["ms"] = json!({"p50": rank(50), "p90": rank(90), "max": rank(100)});
            let (megabytes, longest) = self.needs();
            summary["memory"] = json!({"peakBytes": self.peak, "lambdaMB": megabytes});
            summary["lambda"] = json!({"memoryMB": megabytes, "longestMs": ms(longest)});
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_part_of_a_processor_work_takes_longer_and_waiting_does_not() {
        let ms = Duration::from_millis;
        assert_eq!(at_lambda(ms(30), ms(10), 1769), ms(30));
        assert_eq!(at_lambda(ms(30), ms(10), 3538), ms(30));
        assert_eq!(at_lambda(ms(30), ms(0), 128), ms(30));
        assert_eq!(at_lambda(ms(10), ms(10), 128).as_millis(), 138);
    }

    #[test]
    fn the_advised_lambda_size_holds_host_guest_and_a_quarter_more() {
        for (peak_mib, advised) in [
            (0, 128),
            (3, 128),
            (70, 128),
            (71, 192),
            (128, 256),
            (1000, 1344),
        ] {
            assert_eq!(lambda_mb(peak_mib << 20), advised, "{peak_mib} MiB");
        }
    }
}
