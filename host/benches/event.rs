//! An event at the boundary of the host, `Host::handle`, side by side with the same work by the same code called natively;
//! and an event of which a guest does nothing, which is what the engine costs: a store, an instance, a call, and letting go
//! of them. The host is called where Lambda's front calls it, on the thread of the guests.
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

use crunchbox::event::Invocation;
use crunchbox::host::Host;
use figures::{HEAD, Times, row};
use rig::{Rig, runtime};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rounds in which each has its turn, and events in a turn, the first of them not counted.
const ROUNDS: usize = 20;
const TURN: usize = 200;
const UNCOUNTED: usize = 20;

const CONFIG: &str = include_str!("../../guest/examples/crunch/config.toml");
const EVENT: &str = include_str!("compare/events/ten-records.json");

/// What is measured against the first of its table.
struct Subject {
    name: &'static str,
    event: &'static str,
    /// None calls the code natively.
    host: Option<Arc<Host>>,
    times: Vec<Duration>,
}

impl Subject {
    fn new(name: &'static str, event: &'static str, rig: Option<Rig>) -> Self {
        Self {
            name,
            event,
            host: rig.map(|rig| Arc::new(rig.start().host)),
            times: Vec::new(),
        }
    }

    fn turn(&mut self, config: &str) {
        let times = match &self.host {
            Some(host) => hosted(Arc::clone(host), self.event),
            None => native(self.event, config),
        };
        self.times.extend(times);
    }
}

fn hosted(host: Arc<Host>, event: &'static str) -> Vec<Duration> {
    let engines = Arc::clone(host.engines());
    let turn = async move {
        let mut times = Vec::new();
        for _ in 0..TURN {
            let invocation = Invocation {
                event: event.as_bytes().to_vec(),
                ..Invocation::default()
            };
            let before = Instant::now();
            host.handle(invocation).await.result.unwrap();
            times.push(before.elapsed());
        }
        times.split_off(UNCOUNTED)
    };
    runtime().block_on(engines.carry(turn)).unwrap()
}

fn native(event: &str, config: &str) -> Vec<Duration> {
    let made = crunchbox_sdk::testing::Made::new().config(config);
    let once = |_| {
        let before = Instant::now();
        let event = serde_json::from_str(event).unwrap();
        let response = made.run(|_| crunch::crunch(event)).unwrap();
        std::hint::black_box(serde_json::to_string(&response).unwrap());
        before.elapsed()
    };
    (0..TURN).map(once).collect::<Vec<_>>().split_off(UNCOUNTED)
}

fn table(mut subjects: Vec<Subject>, config: &str) {
    for _ in 0..ROUNDS {
        for subject in &mut subjects {
            subject.turn(config);
        }
    }
    println!("{HEAD}");
    let mut base = None;
    for subject in subjects {
        let times = Times::new(subject.times);
        println!("{}", row(subject.name, &times, base.as_ref()));
        base = base.or(Some(times));
    }
    println!();
}

fn main() {
    let config: toml::Value = toml::from_str(CONFIG).unwrap();
    let config = serde_json::to_string(&config).unwrap();
    let crunch = || Rig::of("crunch").config(&config);
    table(
        vec![
            Subject::new("10 records, the native call", EVENT, None),
            Subject::new(
                "10 records, as on Lambda",
                EVENT,
                Some(crunch().as_on_lambda()),
            ),
            Subject::new(
                "10 records, interruptible",
                EVENT,
                Some(crunch().at_once(1)),
            ),
        ],
        &config,
    );
    table(
        vec![
            Subject::new(
                "nothing, as on Lambda",
                "0",
                Some(Rig::of("echo").as_on_lambda()),
            ),
            Subject::new(
                "nothing, interruptible",
                "0",
                Some(Rig::of("echo").at_once(1)),
            ),
        ],
        &config,
    );
}
