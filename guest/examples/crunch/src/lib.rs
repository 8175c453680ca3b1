//! Crunches readings of measuring stations: SNS events in, statistics per station and metric out.
//! Shows a typed event, configuration, log lines and a failure of one's own.

mod stats;

use crunchbox_sdk::events::SnsEvent;
use crunchbox_sdk::{Failure, config, handler, log};
use serde::{Deserialize, Serialize};
use stats::{Summary, summarise};
use std::collections::BTreeMap;

/// What the configuration says.
#[derive(Debug, Deserialize)]
pub struct Settings {
    percentiles: Vec<u8>,
    outliers: Outliers,
}

impl Settings {
    fn check(&mut self) -> Result<(), Failure> {
        self.percentiles.sort_unstable();
        self.percentiles.dedup();
        match self.percentiles.last() {
            Some(rank @ 101..) => Err(Failure::new(
                "ConfigError",
                format!("percentiles: expected 0 to 100, got {rank}"),
            )),
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Outliers {
    iqr: f64,
}

/// One measurement, as a station sends it.
#[derive(Debug, Deserialize)]
struct Reading {
    station: String,
    metric: String,
    value: f64,
}

/// A message holds one reading or a list of them.
fn readings(message: &str) -> Result<Vec<Reading>, serde_json::Error> {
    if message.trim_start().starts_with('[') {
        serde_json::from_str(message)
    } else {
        serde_json::from_str(message).map(|reading| vec![reading])
    }
}

/// Statistics by station, then by metric.
#[derive(Debug, Serialize)]
pub struct Report {
    stations: BTreeMap<String, BTreeMap<String, Summary>>,
}

/// Summarises all readings of an event, and skips what is not one.
///
/// # Errors
/// `ConfigError` when the configuration does not fit, `NoReadings` when no record held a reading.
#[handler]
pub fn crunch(event: SnsEvent) -> Result<Report, Failure> {
    let mut settings: Settings = config::load()?;
    settings.check()?;
    let mut values: BTreeMap<String, BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    for record in &event.records {
        let readings = match readings(&record.sns.message) {
            Ok(readings) => readings,
            Err(problem) => {
                log::warn!(topic = record.sns.topic_arn; "skipped {}: {problem}", record.sns.message_id);
                continue;
            }
        };
        for Reading {
            station,
            metric,
            value,
        } in readings
        {
            values
                .entry(station)
                .or_default()
                .entry(metric)
                .or_default()
                .push(value);
        }
    }
    if values.is_empty() {
        return Err(Failure::new("NoReadings", "no record held a reading"));
    }
    let metrics = |metrics: BTreeMap<String, Vec<f64>>| {
        metrics
            .into_iter()
            .map(|(metric, values)| (metric, summarise(values, &settings)))
            .collect()
    };
    Ok(Report {
        stations: values
            .into_iter()
            .map(|(station, values)| (station, metrics(values)))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crunchbox_sdk::testing::Made;

    const CONFIG: &str = r#"{"percentiles": [50, 95], "outliers": {"iqr": 1.5}}"#;

    fn crunch_file(made: &Made, text: &str) -> Result<serde_json::Value, Failure> {
        let event = serde_json::from_str(text).unwrap();
        made.run(|_| crunch(event))
            .map(|report| serde_json::to_value(report).unwrap())
    }

    #[test]
    fn readings_are_grouped_by_station_and_metric() {
        let made = Made::new().config(CONFIG);
        let report = crunch_file(&made, include_str!("../events/two-stations.json")).unwrap();
        assert_eq!(report["stations"]["oslo"]["temp"]["count"], 9);
        assert_eq!(
            report["stations"]["oslo"]["temp"]["outliers"],
            serde_json::json!([48.5])
        );
        assert_eq!(report["stations"]["bergen"]["rain"]["max"], 12.4);
    }

    #[test]
    fn a_message_that_is_no_reading_is_skipped_and_logged() {
        let made = Made::new().config(CONFIG);
        let report = crunch_file(&made, include_str!("../events/not-json.json")).unwrap();
        assert_eq!(report["stations"]["oslo"]["temp"]["count"], 1);
        assert_eq!(made.log_lines().len(), 2);
        assert!(
            made.log_lines()[0].starts_with("WARN skipped "),
            "{:?}",
            made.log_lines()
        );
    }

    #[test]
    fn an_event_without_any_reading_is_a_failure() {
        let failure = crunch_file(&Made::new().config(CONFIG), r#"{"Records": []}"#).unwrap_err();
        assert_eq!(failure.kind, "NoReadings");
    }

    #[test]
    fn a_percentile_beyond_a_hundred_is_refused_and_a_repeated_one_is_given_once() {
        let event = include_str!("../events/one-record.json");
        let made = Made::new().config(r#"{"percentiles": [101], "outliers": {"iqr": 1.5}}"#);
        assert_eq!(crunch_file(&made, event).unwrap_err().kind, "ConfigError");
        let made = Made::new().config(r#"{"percentiles": [95, 95], "outliers": {"iqr": 1.5}}"#);
        let report = made
            .run(|_| crunch(serde_json::from_str(event).unwrap()))
            .unwrap();
        assert_eq!(
            serde_json::to_string(&report)
                .unwrap()
                .matches("p95")
                .count(),
            1
        );
    }
}
