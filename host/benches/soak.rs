//! Full load on all cores for ten minutes: the deployed program with an event of 8 kB at once for each core, as on Lambda
//! Managed Instances, and as many more that wait. Prints a row a minute, and fails if memory has grown or events have become
//! slower from the second minute to the last.
//!
//! `cargo bench --profile dev --bench soak`; `-- --minutes 3` for less.
#![allow(clippy::unwrap_used, reason = "a measurement that fails has no figure")]
#![allow(clippy::print_stdout, reason = "the table is what this program is for")]
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    unused_imports,
    reason = "what the tests stand on is read as a module here"
)]

#[path = "../../tests/rig/mod.rs"]
mod rig;

mod figures;

use figures::Times;
use rig::{Deployed, Event, Running, RuntimeApi};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const EVENT: &str = include_str!("compare/events/ten-records.json");
const CONFIG: &[u8] = include_bytes!("../../guest/examples/crunch/config.toml");
const MANIFEST: &[u8] = include_bytes!("../../guest/examples/crunch/crunchbox.toml");

/// How long, unless it is said.
const MINUTES: u64 = 10;

/// Of a minute.
const SECONDS: u64 = 60;

/// How much more memory in the last minute than in the second is growth, and how much later p50 is drift: what the noise of a
/// shared machine stays below.
const GROWTH: f64 = 1.05;
const DRIFT: f64 = 1.25;

/// What a minute came to: how long events took in the host, as its log says, and how many were answered.
struct Minute {
    times: Times,
    answered: u64,
    resident: u64,
}

fn minute(api: &RuntimeApi, running: &Running) -> Minute {
    let (began, mut answered, mut times) = (Instant::now(), 0, Vec::new());
    while began.elapsed() < Duration::from_secs(SECONDS) {
        let answer = api.answer();
        api.send(Event::new(EVENT));
        assert_eq!(answer.kind, "response", "{}", answer.text());
        answered += 1;
        times.extend(running.lines().iter().filter_map(took));
    }
    Minute {
        times: Times::new(times),
        answered,
        resident: resident(running),
    }
}

/// How long the event of a line took from its arrival at a guest's thread, if the line sums one up.
fn took(line: &serde_json::Value) -> Option<Duration> {
    let ms = |field: &str| line["fields"][field].as_f64();
    Some(Duration::from_secs_f64(
        (ms("instantiateMs")? + ms("callMs")?) / 1e3,
    ))
}

/// Memory that the process has, in bytes.
fn resident(running: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.child.id())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = resident.unwrap().trim().trim_end_matches(" kB");
    kibibytes.parse::<u64>().unwrap() << 10
}

fn minutes() -> u64 {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--minutes");
    let minutes = arguments.nth(1);
    minutes
        .map_or(MINUTES, |minutes| minutes.parse().unwrap())
        .max(3)
}

fn main() -> ExitCode {
    let cores = std::thread::available_parallelism().unwrap().get();
    let api = RuntimeApi::start_managed();
    let running = Deployed::with("crunch")
        .file("crunchbox.toml", MANIFEST)
        .file("config.toml", CONFIG)
        .variable("AWS_LAMBDA_MAX_CONCURRENCY", &cores.to_string())
        .start(&api);
    for _ in 0..2 * cores {
        api.send(Event::new(EVENT));
    }
    println!(
        "| minute | events/s | p50 ms | p99 ms | resident MiB |\n| ---: | ---: | ---: | ---: | ---: |"
    );
    let mut all = Vec::new();
    for number in 1..=minutes() {
        let minute = minute(&api, &running);
        let (p50, p99) = (minute.times.at(50), minute.times.at(99));
        let mebibytes = minute.resident as f64 / f64::from(1 << 20);
        println!(
            "| {number} | {} | {p50:.3} | {p99:.3} | {mebibytes:.1} |",
            minute.answered / SECONDS
        );
        all.push(minute);
    }
    let [_, second, .., last] = all.as_slice() else {
        unreachable!("at least three minutes")
    };
    let growth = last.resident as f64 / second.resident as f64;
    let drift = last.times.ratio(&second.times, 50);
    println!("\nFrom the second minute to the last: memory {growth:.2} ×, p50 {drift:.2} ×.");
    match growth <= GROWTH && drift <= DRIFT {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
