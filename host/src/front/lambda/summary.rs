//! One line per event: what served it, what it came to and what it took; where metrics are asked for, the same line in
//! CloudWatch's embedded metric format.
//! Source: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.

use super::{NextEvent, Serving};
use crate::error::{Failure, Level};
use crate::event::{Identity, Outcome};
use crate::follow::Counts;
use crate::telemetry::{Format, Line, Scope, Source};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How the follower stands when an event ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// How long ago the store last answered with something to be believed.
    pub(super) stale: Duration,
    /// What happened since the last event.
    pub(super) counts: Counts,
}

impl Serving {
    pub(super) fn summarise(&self, next: &NextEvent, outcome: &Outcome) {
        let cold = self.cold.swap(false, Ordering::Relaxed);
        let guest = self.host.guest();
        let served = outcome.served.as_ref().unwrap_or_else(|| guest.identity());
        let standing = self.standing();
        let mut fields = vec![field("outcome", outcome.code()), field("cold", cold)];
        fields.extend(usage(next, outcome));
        fields.extend(provenance(served, standing));
        let (level, message) = match &outcome.result {
            Ok(response) => {
                fields.push(field("responseBytes", response.len()));
                (Level::Info, "event handled")
            }
            Err(failure) => {
                fields.extend(reason(failure));
                (failure.code.meaning().level, "event failed")
            }
        };
        let metrics = self
            .metrics
            .as_ref()
            .map(|namespace| embedded(namespace, served, outcome, standing));
        let scope = Scope::of(served, &next.request_id);
        let line = Line {
            level,
            message,
            source: Source::Host,
            scope: Some(&scope),
            fields: &fields,
            top: metrics.as_deref().unwrap_or_default(),
        };
        let log = self.host.log();
        let format = match &metrics {
            Some(_) => Format::Json,
            None => log.format(),
        };
        log.write_out(format, &line);
    }
}

impl Serving {
    /// After the first event, where the time of this start went: a line with a field for each phase, in milliseconds.
    pub(super) fn tell_timings(&self) {
        let log = self.host.log();
        log.timings().mark("response posted");
        if !log.timings().is_asked() || self.told_timings.swap(true, Ordering::Relaxed) {
            return;
        }
        let phases = log.timings().take();
        let whole: Duration = phases.iter().map(|(_, took)| *took).sum();
        let fields: Vec<_> = phases
            .iter()
            .map(|(phase, took)| field(phase, ms(*took)))
            .collect();
        log.write(&Line {
            level: Level::Info,
            message: &format!("start to first response took {} ms", ms(whole)),
            source: Source::Host,
            scope: None,
            fields: &fields,
            top: &[],
        });
    }
}

fn field(name: &str, value: impl Into<Value>) -> (String, String) {
    (name.to_owned(), value.into().to_string())
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn usage(next: &NextEvent, outcome: &Outcome) -> Vec<(String, String)> {
    let usage = &outcome.usage;
    let mut fields = vec![
        field("instantiateMs", ms(usage.instantiate)),
        field("callMs", ms(usage.call)),
        field("cpuMs", ms(usage.cpu)),
        field("memoryPeakBytes", usage.memory_peak),
        field("memoryLimitBytes", usage.memory_limit),
        field("eventBytes", next.body.len()),
        field("logLines", usage.log_lines),
        field("logCut", usage.log_cut),
    ];
    if usage.scratch_peak > 0 {
        fields.push(field("scratchPeakBytes", usage.scratch_peak));
    }
    for (kind, figures) in usage.grants.used() {
        fields.push(field(kind.name(), json!(figures)));
    }
    fields
}

/// What served the event: enough to find it again in the channel's history.
fn provenance(served: &Identity, standing: Option<Standing>) -> Vec<(String, String)> {
    let mut fields = vec![
        field("channel", served.channel.as_str()),
        field("release", served.release.as_str()),
        field("config", served.config.as_str()),
    ];
    fields.extend(served.sequence.map(|sequence| field("sequence", sequence)));
    fields.extend(standing.map(|standing| field("staleSeconds", standing.stale.as_secs())));
    fields
}

fn reason(failure: &Failure) -> Vec<(String, String)> {
    let blame = failure.code.meaning().blame.to_string();
    let mut fields = vec![
        field("blame", blame),
        field("errorType", failure.kind.as_str()),
        field("errorMessage", failure.message.as_str()),
        field("stackTrace", failure.trace.clone()),
    ];
    let details = failure.details.clone();
    fields.extend(details.map(|details| ("details".to_owned(), details)));
    fields
}

/// The keys that make CloudWatch read metrics from a line. Few dimensions, since each combination is paid for.
fn embedded(
    namespace: &str,
    served: &Arc<Identity>,
    outcome: &Outcome,
    standing: Option<Standing>,
) -> Vec<(String, String)> {
    let counts = standing.map(|standing| standing.counts).unwrap_or_default();
    let mut metrics = vec![
        ("Errors", "Count", json!(u8::from(outcome.result.is_err()))),
        (
            "GuestMs",
            "Milliseconds",
            json!(ms(outcome.usage.instantiate + outcome.usage.call)),
        ),
        ("PeakMemory", "Bytes", json!(outcome.usage.memory_peak)),
        ("Denied", "Count", json!(outcome.usage.grants.denied())),
        ("ReleaseRefused", "Count", json!(counts.refused)),
        ("Swaps", "Count", json!(counts.swaps)),
    ];
    if let Some(standing) = standing {
        metrics.push(("StaleSeconds", "Seconds", json!(standing.stale.as_secs())));
    }
    let named: Vec<Value> = metrics
        .iter()
        .map(|(name, unit, _)| json!({"Name": name, "Unit": unit}))
        .collect();
    let head = json!({
        "Timestamp": jiff::Timestamp::now().as_millisecond(),
        "CloudWatchMetrics": [
            {"Namespace": namespace, "Dimensions": [["function", "channel"]], "Metrics": named}
        ],
    });
    let mut top = vec![
        ("_aws".to_owned(), head.to_string()),
        field("channel", served.channel.as_str()),
    ];
    top.extend(
        metrics
            .into_iter()
            .map(|(name, _, value)| field(name, value)),
    );
    top
}
