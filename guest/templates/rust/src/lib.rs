//! Summarises the readings of one station.

use crunchbox_sdk::{Failure, config, handler, log};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub struct Event {
    station: String,
    #[serde(default)]
    readings: Vec<f64>,
}

#[derive(Debug, Serialize)]
pub struct Summary {
    station: String,
    unit: String,
    count: usize,
    mean: f64,
    max: f64,
}

#[derive(Debug, Deserialize)]
struct Settings {
    unit: String,
}

#[handler]
pub fn summarise(event: Event) -> Result<Summary, Failure> {
    let settings: Settings = config::load()?;
    let Some(max) = event.readings.iter().copied().reduce(f64::max) else {
        let message = format!("no readings from {}", event.station);
        return Err(Failure::new("NoReadings", message));
    };
    let count = event.readings.len();
    log::info!(count; "summarised");
    Ok(Summary {
        mean: event.readings.iter().sum::<f64>() / count as f64,
        station: event.station,
        unit: settings.unit,
        count,
        max,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crunchbox_sdk::testing::Made;

    fn summary(event: &str) -> Result<serde_json::Value, Failure> {
        let event = serde_json::from_str(event).unwrap();
        let made = Made::new().config(r#"{"unit": "mm"}"#);
        made.run(|_| summarise(event))
            .map(|summary| serde_json::to_value(summary).unwrap())
    }

    #[test]
    fn readings_are_summarised() {
        let summary = summary(r#"{"station": "oslo", "readings": [3.5, 4.25, 7.75]}"#).unwrap();
        assert_eq!(summary["count"], 3);
        assert_eq!(summary["max"], 7.75);
        assert_eq!(summary["unit"], "mm");
    }

    #[test]
    fn a_station_without_readings_is_a_failure() {
        assert_eq!(summary(r#"{"station": "oslo"}"#).unwrap_err().kind, "NoReadings");
    }
}
