//! The statistics of one metric at one station.

use crate::Settings;
use serde::{Serialize, Serializer};

/// What is said of a set of values. Percentiles stand beside the rest, as `p50` and the like.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    count: usize,
    min: f64,
    max: f64,
    mean: f64,
    #[serde(flatten, serialize_with = "by_name")]
    percentiles: Vec<(u8, f64)>,
    outliers: Vec<f64>,
}

fn by_name<S: Serializer>(percentiles: &[(u8, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        percentiles
            .iter()
            .map(|(rank, value)| (format!("p{rank}"), value)),
    )
}

/// Summarises at least one value.
pub(crate) fn summarise(mut values: Vec<f64>, settings: &Settings) -> Summary {
    values.sort_by(f64::total_cmp);
    let (first, third) = (percentile(&values, 25), percentile(&values, 75));
    let reach = settings.outliers.iqr * (third - first);
    let is_outlier = |value: &f64| *value < first - reach || *value > third + reach;
    Summary {
        count: values.len(),
        min: values[0],
        max: values[values.len() - 1],
        mean: values.iter().sum::<f64>() / values.len() as f64,
        percentiles: settings
            .percentiles
            .iter()
            .map(|rank| (*rank, percentile(&values, *rank)))
            .collect(),
        outliers: values.iter().copied().filter(is_outlier).collect(),
    }
}

/// Between the two nearest ranks, linearly, as spreadsheets do.
fn percentile(sorted: &[f64], rank: u8) -> f64 {
    let hundredths = usize::from(rank.min(100)) * (sorted.len() - 1);
    let (place, rest) = (hundredths / 100, hundredths % 100);
    let below = sorted[place];
    let above = sorted[place + usize::from(rest > 0)];
    below + (above - below) * (rest as f64 / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(values: &[f64]) -> Summary {
        let settings = r#"{"percentiles": [0, 50, 100], "outliers": {"iqr": 1.5}}"#;
        summarise(values.to_vec(), &serde_json::from_str(settings).unwrap())
    }

    #[test]
    fn percentiles_lie_between_the_nearest_ranks() {
        assert_eq!(
            summary(&[4.0, 1.0, 3.0, 2.0]).percentiles,
            [(0, 1.0), (50, 2.5), (100, 4.0)]
        );
        assert_eq!(
            summary(&[7.0]).percentiles,
            [(0, 7.0), (50, 7.0), (100, 7.0)]
        );
    }

    #[test]
    fn only_what_lies_far_outside_the_middle_half_is_an_outlier() {
        assert_eq!(
            summary(&[1.0, 2.0, 2.0, 3.0, 2.0, 40.0, -30.0]).outliers,
            [-30.0, 40.0]
        );
        assert!(summary(&[1.0, 1.0, 1.0]).outliers.is_empty());
    }
}
