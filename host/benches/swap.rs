//! What releases in a store cost, side by side in one run: events with and without releases changing under them, from a
//! promotion to the first event on it, and from a process's start to its first response.
//!
//! Measures the deployed program against a bucket on loopback; this program only asks and counts, so that it needs no
//! profile of its own: `cargo bench --profile dev --bench swap`.
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

use rig::{Deployed, Event, RuntimeApi, S3, Shop};
use std::time::{Duration, Instant};

const EVENT: &str = r#"{"config": ["v"]}"#;

/// How long each stream of events is, and how often a release changes under it.
const STREAM: Duration = Duration::from_secs(20);
const EVERY: Duration = Duration::from_secs(1);

/// Starts and promotions that are measured, after one that is not.
const ROUNDS: usize = 20;

/// Times in order.
struct Times(Vec<Duration>);

impl Times {
    fn new(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self(times)
    }

    fn at(&self, hundredth: usize) -> f64 {
        let index = (self.0.len() - 1) * hundredth / 100;
        self.0[index].as_secs_f64() * 1e3
    }
}

fn row(what: &str, times: &Times, base: Option<&Times>) {
    let ratio = |hundredth| {
        base.map_or_else(String::new, |base| {
            format!("{:.2} ×", times.at(hundredth) / base.at(hundredth))
        })
    };
    println!(
        "| {what} | {} | {:.3} | {:.3} | {} | {} |",
        times.0.len(),
        times.at(50),
        times.at(99),
        ratio(50),
        ratio(99)
    );
}

fn timed(api: &RuntimeApi) -> (Duration, u64) {
    let started = Instant::now();
    let answer = api.invoke(Event::new(EVENT));
    let took = started.elapsed();
    assert_eq!(answer.kind, "response", "{}", answer.text());
    (took, answer.json()["config"].as_u64().unwrap())
}

/// A stream of events, and what happens beside it at each second.
fn stream(shop: &Shop, mut change: impl FnMut()) -> Times {
    let api = RuntimeApi::start();
    let _running = Deployed::following(shop, "refresh = '900ms'\nmax-stale = '1h'").start(&api);
    timed(&api);
    let started = Instant::now();
    let (mut times, mut changed) = (Vec::new(), Instant::now());
    while started.elapsed() < STREAM {
        times.push(timed(&api).0);
        if changed.elapsed() >= EVERY {
            change();
            changed = Instant::now();
        }
    }
    Times::new(times)
}

/// From a promotion to the first response of the new release, with events one after the other.
fn taken_up(shop: &Shop, version: &mut u64) -> Times {
    let api = RuntimeApi::start();
    let policy = "refresh = '1ms'\nmax-stale = '1h'";
    let _running = Deployed::following(shop, policy).start(&api);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        *version += 1;
        shop.deploy("facts", &format!(r#"{{"v": {version}}}"#));
        let promoted = Instant::now();
        while timed(&api).1 != *version {}
        times.push(promoted.elapsed());
    }
    Times::new(times)
}

/// From a process's start to its first response.
fn started(prepare: impl Fn() -> Deployed) -> Times {
    let mut times = Vec::new();
    for round in 0..=ROUNDS {
        let deployed = prepare();
        let api = RuntimeApi::start();
        api.send(Event::new(EVENT));
        let before = Instant::now();
        let running = deployed.start(&api);
        assert_eq!(api.answer().kind, "response");
        if round > 0 {
            times.push(before.elapsed());
        }
        drop(running);
    }
    Times::new(times)
}

fn main() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy("facts", r#"{"v": 1}"#);
    let mut version = 1;
    // Prepared beforehand, so that only the promotion itself runs beside the events.
    let releases: Vec<_> = (1..=25)
        .map(|number| shop.release("facts", &format!(r#"{{"v": {}}}"#, 1000 + number)))
        .collect();
    println!("| what | n | p50 ms | p99 ms | p50 ratio | p99 ratio |\n|---|---|---|---|---|---|");
    let steady = stream(&shop, || {});
    row("event, nothing changes", &steady, None);
    let mut next = releases.iter();
    let swapping = stream(&shop, || {
        if let Some(release) = next.next() {
            shop.promote(release);
        }
    });
    row("event, a release a second", &swapping, Some(&steady));
    version += 2000;
    let taken = taken_up(&shop, &mut version);
    row("from promotion to first response on it", &taken, None);
    let package = started(|| {
        Deployed::with("facts")
            .file("crunchbox.toml", MANIFEST)
            .file("v.toml", b"v = 1\n")
    });
    row(
        "start to first response, component in the package",
        &package,
        None,
    );
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("cache");
    let full = started(|| {
        Deployed::following(&shop, "").variable("CRUNCHBOX_CACHE", folder.to_str().unwrap())
    });
    row("the same, from S3 with a full cache", &full, Some(&package));
    let empty = started(|| Deployed::following(&shop, ""));
    row(
        "the same, from S3 with an empty cache",
        &empty,
        Some(&package),
    );
}

const MANIFEST: &[u8] = b"[function]\nname = 'facts'\n[config]\nbase = ['v.toml']\n";
