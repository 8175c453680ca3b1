//! How many instructions of the processor the deployed program takes for its start and for each event, its guest's among
//! them: the same on a busy machine as on an idle one. Fails where a figure is more than a tenth above the committed one.
//!
//! `cargo bench --profile dev --bench instructions` prints the table; `-- --update` commits to what it measures, in
//! `host/benches/instructions.toml`. Needs `valgrind`, which `tests/setup` installs.
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

use rig::{Deployed, Event, RuntimeApi, guest, root};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

/// Events of the shorter run and of the longer one; what they differ by is neither start nor end.
const RUNS: [u64; 2] = [20, 120];

/// How much more than the committed figure is too much.
const TOLERANCE: f64 = 1.1;

const CONFIG: &[u8] = include_bytes!("../../guest/examples/crunch/config.toml");
const SMALL: &str = include_str!("../../guest/examples/crunch/events/one-record.json");
const LARGE: &str = include_str!("compare/events/ten-records.json");

/// The instructions of a process that answers so many events.
fn counted(name: &str, event: &str, events: u64) -> u64 {
    let api = RuntimeApi::start();
    let folder = tempfile::tempdir().unwrap();
    let words = folder.path().join("words");
    let log = format!("--log-file={}", words.display());
    let counter = [
        "valgrind",
        "--tool=cachegrind",
        "--cache-sim=no",
        "--cachegrind-out-file=/dev/null",
        &log,
    ];
    let running = Deployed::with(name)
        .file(
            "crunchbox.toml",
            b"[function]\nname = 'f'\n[config]\nbase = ['config.toml']\n",
        )
        .file("config.toml", CONFIG)
        .file("guest.digest", digest(name).as_bytes())
        .without("guest.wasm")
        .under(&counter)
        .read_only()
        .start(&api);
    for _ in 0..events {
        let answer = api.invoke(Event::new(event.to_owned()));
        assert_eq!(answer.kind, "response", "{}", answer.text());
    }
    running.terminate();
    assert_eq!(running.ended(), 0);
    total(&std::fs::read_to_string(words).unwrap())
}

/// So that nothing is hashed: the counter's processor has no instructions for that, and all else would be lost beside it.
fn digest(name: &str) -> String {
    let component = std::fs::read(guest(name)).unwrap();
    crunchbox::component::Digest::of(&component).to_string()
}

/// What the counter says in the end: `I   refs:      65,624,104`.
fn total(words: &str) -> u64 {
    let line = words
        .lines()
        .find(|line| line.contains("refs:"))
        .unwrap_or_else(|| panic!("{words}"));
    let (_, number) = line.split_once("refs:").unwrap();
    number.trim().replace(',', "").parse().unwrap()
}

/// Says what to do where the counter is missing.
fn need_counter() {
    let there = std::process::Command::new("valgrind")
        .arg("--version")
        .output();
    assert!(there.is_ok(), "valgrind is missing; run: tests/setup");
}

fn measured() -> BTreeMap<String, u64> {
    let mut figures = BTreeMap::new();
    for (case, name, event) in [
        ("crunch, 1 record", "crunch", SMALL),
        ("crunch, 10 records", "crunch", LARGE),
        ("echo, 10 records", "echo", LARGE),
    ] {
        let [short, long] = RUNS.map(|events| counted(name, event, events));
        let each = (long - short) / (RUNS[1] - RUNS[0]);
        figures.insert(format!("event: {case}"), each);
        if case == "crunch, 1 record" {
            figures.insert("start and end".to_owned(), short - RUNS[0] * each);
        }
    }
    figures
}

fn main() -> ExitCode {
    let path = root().join("host/benches/instructions.toml");
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let known: BTreeMap<String, u64> = toml::from_str(&known).unwrap();
    need_counter();
    let figures = measured();
    println!("| instructions | measured | committed | ratio |\n| --- | ---: | ---: | ---: |");
    let mut risen = false;
    for (case, figure) in &figures {
        let committed = known.get(case).copied().unwrap_or_default();
        let ratio = *figure as f64 / committed as f64;
        risen |= ratio > TOLERANCE;
        println!("| {case} | {figure} | {committed} | {ratio:.3} |");
    }
    if std::env::args().any(|argument| argument == "--update") {
        let text = toml::to_string(&figures).unwrap();
        std::fs::write(
            &path,
            format!(
                "# Written by `cargo bench --profile dev --bench instructions -- --update`.\n{text}"
            ),
        )
        .unwrap();
    } else if risen {
        println!(
            "\nMore than a tenth above the committed figure: find out why, or commit to it with `-- --update`."
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
