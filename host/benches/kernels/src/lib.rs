//! Five kernels of crunching, one of them in two ways: the same code in a guest and natively, timed from within, each on some
//! 100 kB of input that is made beforehand.

use crunchbox_sdk::{Context, Failure, digest, handler};
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use regex::Regex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// `"json 20"` runs a kernel so often; the response says what it came to, and how many nanoseconds it took.
#[handler(raw)]
fn work(event: String, _ctx: Context) -> Result<String, Failure> {
    let (name, rounds) = event.trim_matches('"').split_once(' ').unwrap_or_default();
    let unknown = || Failure::new("UnknownKernel", &event);
    let kernel = Kernel::named(name).ok_or_else(unknown)?;
    let ran = kernel.run(rounds.parse().map_err(|_| unknown())?);
    Ok(format!("\"{} {}\"", ran.sum, ran.time.as_nanos()))
}

/// A kernel by its name, such as `json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Parses an array of readings, and writes the sums by station.
    Json,
    /// Takes lines of an access log apart, and adds up bytes by status.
    Regex,
    /// Hashes by SHA-256.
    Sha256,
    /// The same by the host.
    Digest,
    /// Compresses and decompresses.
    Deflate,
    /// Tight loops over numbers: the nearest of eight middles for each point, the middles moved each time.
    Means,
}

/// What a kernel came to, and how long all its rounds took.
#[derive(Debug, Clone, Copy)]
pub struct Ran {
    /// The same wherever it runs.
    pub sum: f64,
    /// Without what made the input.
    pub time: Duration,
}

impl Kernel {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Json,
        Self::Regex,
        Self::Sha256,
        Self::Digest,
        Self::Deflate,
        Self::Means,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Regex => "regex",
            Self::Sha256 => "sha256",
            Self::Digest => "digest",
            Self::Deflate => "deflate",
            Self::Means => "means",
        }
    }

    /// The kernel of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kernel| kernel.name() == name)
    }

    /// Runs it so often.
    pub fn run(self, rounds: u32) -> Ran {
        match self {
            Self::Json => {
                let text = readings();
                timed(rounds, || json(&text))
            }
            Self::Regex => {
                let text = access_log();
                let line = Regex::new(LINE).unwrap_or_else(|error| panic!("{error}"));
                timed(rounds, || regex(&line, &text))
            }
            Self::Sha256 => {
                let text = readings();
                timed(rounds, || {
                    f64::from(Sha256::digest(black_box(&text))[0])
                })
            }
            Self::Digest => {
                let text = readings();
                timed(rounds, || f64::from(digest::sha256(black_box(&text))[0]))
            }
            Self::Deflate => {
                let text = readings();
                timed(rounds, || deflate(text.as_bytes()))
            }
            Self::Means => {
                let points = points();
                timed(rounds, || means(&points))
            }
        }
    }
}

fn timed(rounds: u32, mut round: impl FnMut() -> f64) -> Ran {
    let started = Instant::now();
    let sum = (0..rounds).map(|_| black_box(round())).sum();
    let time = started.elapsed();
    Ran { sum, time }
}

/// Numbers that look like chance and are the same everywhere.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 33).unwrap_or_default() % bound
    }
}

#[derive(Deserialize)]
struct Reading {
    station: String,
    at: u64,
    celsius: f64,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Serialize, Default)]
struct Station {
    count: u32,
    latest: u64,
    sum: f64,
    tags: BTreeMap<String, u32>,
}

fn readings() -> String {
    let mut numbers = Numbers(7);
    let mut text = "[".to_owned();
    for number in 0..1_000 {
        let comma = if number == 0 { "" } else { "," };
        let (station, at) = (numbers.below(40), 1_790_000_000 + numbers.below(86_400));
        let (whole, tenth, tag) = (numbers.below(40), numbers.below(10), numbers.below(9));
        let _ = write!(
            text,
            r#"{comma}{{"station": "station-{station}", "at": {at}, "celsius": {whole}.{tenth}, "tags": ["t{tag}", "raw"]}}"#
        );
    }
    text.push(']');
    text
}

fn json(text: &str) -> f64 {
    let readings: Vec<Reading> = serde_json::from_str(black_box(text)).unwrap_or_default();
    let mut stations: BTreeMap<String, Station> = BTreeMap::new();
    for reading in readings {
        let station = stations.entry(reading.station).or_default();
        station.count += 1;
        station.latest = station.latest.max(reading.at);
        station.sum += reading.celsius;
        for tag in reading.tags {
            *station.tags.entry(tag).or_default() += 1;
        }
    }
    let written = serde_json::to_string(&stations).unwrap_or_default();
    f64::from(u32::try_from(written.len()).unwrap_or_default())
}

/// A line as web servers write them.
const LINE: &str =
    r#"^(\d+\.\d+\.\d+\.\d+) - (\S+) \[([^\]]+)\] "(GET|POST|PUT) ([^ "]+) HTTP/[0-9.]+" (\d{3}) (\d+)"#;

fn access_log() -> String {
    let mut numbers = Numbers(11);
    let mut text = String::new();
    for _ in 0..1_000 {
        let mut part = || numbers.below(255);
        let _ = writeln!(
            text,
            r#"10.{}.{}.{} - user{} [24/Nov/2026:10:{:02}:00 +0000] "{} /orders/{}?page={} HTTP/1.1" {} {}"#,
            part(),
            part(),
            part(),
            part(),
            part() % 60,
            ["GET", "POST", "PUT", "DELETE"][part() as usize % 4],
            part(),
            part(),
            [200, 200, 304, 404, 500][part() as usize % 5],
            part() * 31,
        );
    }
    text
}

fn regex(line: &Regex, text: &str) -> f64 {
    let mut bytes: BTreeMap<&str, f64> = BTreeMap::new();
    for captures in black_box(text).lines().filter_map(|text| line.captures(text)) {
        let (Some(status), Some(size)) = (captures.get(6), captures.get(7)) else {
            continue;
        };
        *bytes.entry(status.as_str()).or_default() += size.as_str().parse().unwrap_or(0.0);
    }
    bytes.values().sum()
}

fn deflate(text: &[u8]) -> f64 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(black_box(text));
    let packed = written.and_then(|()| encoder.finish()).unwrap_or_default();
    let mut unpacked = Vec::new();
    let _ = ZlibDecoder::new(packed.as_slice()).read_to_end(&mut unpacked);
    f64::from(u8::from(unpacked == text))
}

fn points() -> Vec<[f64; 2]> {
    let mut numbers = Numbers(13);
    let mut number = || f64::from(numbers.below(10_000)) / 100.0;
    (0..6_000).map(|_| [number(), number()]).collect()
}

fn means(points: &[[f64; 2]]) -> f64 {
    let mut middles: Vec<[f64; 2]> = points.iter().step_by(points.len() / 8).copied().collect();
    for _ in 0..4 {
        let mut sums = vec![[0.0_f64; 3]; middles.len()];
        for [x, y] in black_box(points) {
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
