//! The report of an event, a failure, a run over many events.

use super::printer::Printer;
use crate::error::Failure;
use crate::event::{Outcome, Usage};
use crate::quantity::{Bytes, Time};
use crate::settings::HOST_RESERVE;
use crate::telemetry::printable;
use serde_json::{Value, json};
use std::time::Duration;

/// The least memory of a Lambda function, and steps in which people choose it.
const LAMBDA_MIN_MB: u64 = 128;
const LAMBDA_STEP_MB: u64 = 64;

/// What was true before the first event.
#[derive(Debug, Clone)]
pub(super) struct Session {
    /// Where config layers came from, weak to strong.
    pub(super) config: Vec<String>,
    /// Loading and linking.
    pub(super) load: Duration,
}

pub(super) fn outcome_text(
    printer: &Printer,
    session: &Session,
    event: &str,
    outcome: &Outcome,
) -> String {
    let usage = &outcome.usage;
    let time = format!(
        "load {} · instantiate {} · call {}",
        Time(session.load),
        Time(usage.instantiate),
        Time(usage.call)
    );
    let head = match &outcome.result {
        Ok(response) => {
            let size = Bytes(u64::try_from(response.len()).unwrap_or(u64::MAX));
            let took = Time(usage.instantiate + usage.call);
            format!(
                "  {} {event}: {size} in {took}   {time}   {}",
                printer.mark("✓", true),
                memory(usage)
            )
        }
        Err(failure) if usage.memory_limit == 0 => return failure_text(printer, failure),
        Err(failure) => {
            format!(
                "{}\n    {event}: {time}   {}",
                failure_text(printer, failure),
                memory(usage)
            )
        }
    };
    match session.config.as_slice() {
        [] => head,
        layers => format!("{head}\n    config {}", layers.join(" < ")),
    }
}

pub(super) fn outcome_json(session: &Session, event: &str, outcome: &Outcome) -> Value {
    let usage = &outcome.usage;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let mut report = json!({
        "type": "report",
        "event": event,
        "outcome": outcome.code(),
        "ms": {"load": ms(session.load), "instantiate": ms(usage.instantiate), "call": ms(usage.call)},
        "memory": {"peakBytes": usage.memory_peak, "limitBytes": usage.memory_limit, "lambdaMB": lambda_mb(usage.memory_peak)},
        "log": {"lines": usage.log_lines, "cut": usage.log_cut},
        "config": session.config,
    });
    match &outcome.result {
        Ok(response) => report["responseBytes"] = response.len().into(),
        Err(failure) => report["failure"] = failure_json(failure),
    }
    report
}

pub(super) fn failure_text(printer: &Printer, failure: &Failure) -> String {
    let meaning = failure.code.meaning();
    let own_kind = if failure.kind == meaning.name {
        String::new()
    } else {
        format!(" {}", failure.kind)
    };
    let mut text = format!(
        "  {} {}{own_kind} ({}): {}",
        printer.mark("✗", false),
        meaning.name,
        meaning.blame,
        printable(&failure.message)
    );
    for place in failure.trace.iter().take(10) {
        text.push_str(&format!("\n      at {}", printable(place)));
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
        "code": meaning.name,
        "errorType": failure.kind,
        "blame": meaning.blame.to_string(),
        "message": failure.message,
        "stackTrace": failure.trace,
        "details": failure.details.as_deref().and_then(|details| serde_json::from_str::<Value>(details).ok()),
        "hint": failure.hint.as_deref().unwrap_or(meaning.remedy),
        "exit": meaning.exit,
    })
}

fn memory(usage: &Usage) -> String {
    let bytes = |count: usize| Bytes(u64::try_from(count).unwrap_or(u64::MAX));
    format!(
        "memory {} of {} → Lambda {} MB is enough",
        bytes(usage.memory_peak),
        bytes(usage.memory_limit),
        lambda_mb(usage.memory_peak)
    )
}

/// The least Lambda memory size that holds the host and a quarter more than this peak.
fn lambda_mb(peak: usize) -> u64 {
    let peak = u64::try_from(peak).unwrap_or(u64::MAX / 2);
    let needed = (peak.saturating_add(peak / 4).saturating_add(HOST_RESERVE.0)).div_ceil(1 << 20);
    needed
        .div_ceil(LAMBDA_STEP_MB)
        .saturating_mul(LAMBDA_STEP_MB)
        .max(LAMBDA_MIN_MB)
}

/// What many events came to.
#[derive(Debug, Default)]
pub(super) struct Summary {
    calls: Vec<Duration>,
    failed: usize,
    peak: usize,
}

impl Summary {
    pub(super) fn add(&mut self, outcome: &Outcome) {
        self.failed += usize::from(outcome.result.is_err());
        self.peak = self.peak.max(outcome.usage.memory_peak);
        self.calls
            .push(outcome.usage.instantiate + outcome.usage.call);
    }

    fn rank(&self, percent: usize) -> Duration {
        let mut sorted = self.calls.clone();
        sorted.sort();
        sorted
            .get((sorted.len().saturating_sub(1)) * percent / 100)
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        format!(
            "    {} events: {} ok, {} failed   p50 {} · p90 {} · max {}   memory at most {} → Lambda {} MB is enough",
            self.calls.len(),
            self.calls.len() - self.failed,
            self.failed,
            Time(self.rank(50)),
            Time(self.rank(90)),
            Time(self.rank(100)),
            Bytes(u64::try_from(self.peak).unwrap_or(u64::MAX)),
            lambda_mb(self.peak)
        )
    }

    pub(super) fn json(&self) -> Value {
        let ms = |percent| self.rank(percent).as_secs_f64() * 1e3;
        json!({
            "type": "summary",
            "events": self.calls.len(),
            "failed": self.failed,
            "ms": {"p50": ms(50), "p90": ms(90), "max": ms(100)},
            "memory": {"peakBytes": self.peak, "lambdaMB": lambda_mb(self.peak)},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
