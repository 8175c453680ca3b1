//! What releases in a store cost, side by side in one run: events with and without releases changing under them, and from a
//! promotion to the first event on it.
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

mod figures;

use figures::{HEAD, Times, row};
use rig::{Deployed, Event, RuntimeApi, S3, Shop};
use std::time::{Duration, Instant};

const EVENT: &str = r#"{"config": ["v"]}"#;

/// How long each stream of events is, and how often a release changes under it.
const STREAM: Duration = Duration::from_secs(101);
const EVERY: Duration = Duration::from_secs(1);

/// Promotions that are measured.
const ROUNDS: usize = 20;

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

fn main() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy("facts", r#"{"v": 1}"#);
    let mut version = 1;
    // Prepared beforehand, so that only the promotion itself runs beside the events.
    let releases: Vec<_> = (1..=100)
        .map(|number| shop.release("facts", &format!(r#"{{"v": {}}}"#, 1000 + number)))
        .collect();
    println!("{HEAD}");
    let steady = stream(&shop, || {});
    println!("{}", row("event, nothing changes", &steady, None));
    let mut next = releases.iter();
    let swapping = stream(&shop, || {
        if let Some(release) = next.next() {
            shop.promote(release);
        }
    });
    println!(
        "{}",
        row("event, a release a second", &swapping, Some(&steady))
    );
    version += 2000;
    let taken = taken_up(&shop, &mut version);
    println!(
        "{}",
        row("from promotion to first response on it", &taken, None)
    );
}
