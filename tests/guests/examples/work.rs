//! Works as hard as the event says, and asks nobody anything: what the cost of protections is measured with.

use crunchbox_sdk::{Context, Failure, handler};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::hint::black_box;

#[handler(raw)]
fn work(event: String, _ctx: Context) -> Result<String, Failure> {
    let (kernel, rounds) = event
        .trim_matches('"')
        .split_once(' ')
        .unwrap_or_else(|| (event.trim_matches('"'), "1"));
    let rounds: u32 = rounds.parse().unwrap_or(1);
    let result = match kernel {
        "nothing" => 0.0,
        "json" => (0..rounds).map(|_| json()).sum(),
        "sha256" => (0..rounds).map(|_| sha256()).sum(),
        "means" => means(rounds),
        other => return Err(Failure::new("UnknownKernel", other)),
    };
    Ok(black_box(result).to_string())
}

/// Parses readings, and adds them up.
fn json() -> f64 {
    let text = format!(
        "[{}]",
        (0..200)
            .map(|n| format!(r#"{{"station": "s{}", "value": {}.5}}"#, n % 7, n))
            .collect::<Vec<_>>()
            .join(",")
    );
    let readings: Value = serde_json::from_str(&text).unwrap_or_default();
    let readings = readings.as_array().map(Vec::as_slice).unwrap_or_default();
    readings
        .iter()
        .filter_map(|reading| reading["value"].as_f64())
        .sum()
}

fn sha256() -> f64 {
    let block = [7_u8; 64 << 10];
    f64::from(Sha256::digest(black_box(block))[0])
}

/// Tight loops over numbers: the nearest of eight middles for each of some points, the middles moved each round.
fn means(rounds: u32) -> f64 {
    let points: Vec<[f64; 2]> = (0..2_000)
        .map(|n| [f64::from(n % 97), f64::from(n % 89)])
        .collect();
    let mut middles: Vec<[f64; 2]> = points.iter().step_by(250).copied().collect();
    for _ in 0..rounds {
        let mut sums = vec![[0.0_f64; 3]; middles.len()];
        for [x, y] in &points {
            let mut nearest = (f64::MAX, 0);
            for (index, [a, b]) in middles.iter().enumerate() {
                let distance = (x - a) * (x - a) + (y - b) * (y - b);
                if distance < nearest.0 {
                    nearest = (distance, index);
                }
            }
            let sum = &mut sums[nearest.1];
            *sum = [sum[0] + x, sum[1] + y, sum[2] + 1.0];
        }
        for (middle, [x, y, count]) in middles.iter_mut().zip(sums) {
            *middle = [x / count.max(1.0), y / count.max(1.0)];
        }
    }
    middles.iter().map(|[x, y]| x + y).sum()
}
