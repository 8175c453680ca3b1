//! An event at the boundary of the host, `Host::handle`, side by side with the same work by the same code called natively;
//! and an event of which a guest does nothing, which is what the engine costs: a store, an instance, a call, and letting go
//! of them. The host is called where Lambda's front calls it, on the thread of the guests; the native code in a process of its
//! own, since the SDK's logger, once it is there, would take in what wasmtime says of each step.
//!
//! `cargo bench --profile dev --config profile.dev.opt-level=3 --bench event`.
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

use crunchbox::event::{Invocation, Usage};
use crunchbox::host::Host;
use figures::{HEAD, Times, row};
use rig::{Rig, runtime};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rounds in which each has its turn, and events in a turn, of which the first are not counted.
const ROUNDS: usize = 20;
const TURN: usize = 400;
const UNCOUNTED: usize = 100;

/// Asks for the native code alone.
const NATIVE: &str = "--native";

const CONFIG: &str = include_str!("../../guest/examples/crunch/config.toml");
const EVENT: &str = include_str!("compare/events/ten-records.json");

/// What is measured against the first of its table.
struct Subject {
    name: &'static str,
    event: &'static str,
    /// None calls the code natively.
    host: Option<Arc<Host>>,
    times: Vec<Duration>,
    /// Of each, until the instance was there, and in the call.
    inside: Vec<(Duration, Duration)>,
}

impl Subject {
    fn new(name: &'static str, event: &'static str, rig: Option<Rig>) -> Self {
        Self {
            name,
            event,
            host: rig.map(|rig| Arc::new(rig.start().host)),
            times: Vec::new(),
            inside: Vec::new(),
        }
    }

    fn turn(&mut self) {
        let Some(host) = &self.host else {
            return self.times.extend(native());
        };
        for (took, usage) in hosted(Arc::clone(host), self.event) {
            self.times.push(took);
            self.inside.push((usage.instantiate, usage.call));
        }
    }
}

fn hosted(host: Arc<Host>, event: &'static str) -> Vec<(Duration, Usage)> {
    let engines = Arc::clone(host.engines());
    let turn = async move {
        let mut times = Vec::new();
        for _ in 0..TURN {
            let invocation = Invocation {
                event: event.as_bytes().to_vec(),
                ..Invocation::default()
            };
            let before = Instant::now();
            let outcome = host.handle(invocation).await;
            times.push((before.elapsed(), outcome.usage));
            outcome.result.unwrap();
        }
        times.split_off(UNCOUNTED)
    };
    runtime().block_on(engines.carry(turn)).unwrap()
}

/// The times of a process that does nothing else.
fn native() -> Vec<Duration> {
    let mut process = Command::new(std::env::current_exe().unwrap());
    let output = process.arg(NATIVE).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let times = text.lines().map(|nanos| nanos.parse().unwrap());
    times.map(Duration::from_nanos).collect()
}

/// What that process does.
fn call_natively(config: &str) {
    let made = crunchbox_sdk::testing::Made::new().config(config);
    for turn in 0..TURN {
        let before = Instant::now();
        let event = serde_json::from_str(EVENT).unwrap();
        let response = made.run(|_| crunch::crunch(event)).unwrap();
        std::hint::black_box(serde_json::to_string(&response).unwrap());
        let took = before.elapsed();
        if turn >= UNCOUNTED {
            println!("{}", took.as_nanos());
        }
    }
}

fn table(mut subjects: Vec<Subject>) {
    for _ in 0..ROUNDS {
        for subject in &mut subjects {
            subject.turn();
        }
    }
    println!("{HEAD}");
    let mut base = None;
    for subject in subjects {
        let times = Times::new(subject.times);
        println!("{}", row(subject.name, &times, base.as_ref()));
        if !subject.inside.is_empty() {
            let (made, called) = subject.inside.into_iter().unzip();
            for (what, times) in [("the instance made", made), ("the call", called)] {
                let name = format!("{}, of it {what}", subject.name);
                println!("{}", row(&name, &Times::new(times), base.as_ref()));
            }
        }
        base = base.or(Some(times));
    }
    println!();
}

fn main() {
    let config: toml::Value = toml::from_str(CONFIG).unwrap();
    let config = serde_json::to_string(&config).unwrap();
    if std::env::args().any(|argument| argument == NATIVE) {
        return call_natively(&config);
    }
    let crunch = || Rig::of("crunch").config(&config);
    table(vec![
        Subject::new("10 records, the native call", EVENT, None),
        Subject::new(
            "10 records, as on Lambda",
            EVENT,
            Some(crunch().on_lambda()),
        ),
        Subject::new(
            "10 records, interruptible",
            EVENT,
            Some(crunch().at_once(1)),
        ),
    ]);
    table(vec![
        Subject::new(
            "nothing, as on Lambda",
            "0",
            Some(Rig::of("echo").on_lambda()),
        ),
        Subject::new(
            "nothing, interruptible",
            "0",
            Some(Rig::of("echo").at_once(1)),
        ),
    ]);
}
