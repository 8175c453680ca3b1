//! What guests take for the same crunching as native code, side by side in one run: in the deployed program with two events at
//! once, where guests can be interrupted; with one, as on Lambda; and there with digests made by the host. The same source
//! runs natively, built as cargo builds it. Prints a table in Markdown: `cargo bench --profile dev --bench compute`.
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

use rig::{Deployed, Event, RuntimeApi};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Kernels, the ones that guests run instead where the host makes digests, and how often each runs for one measurement.
const KERNELS: [(&str, &str, u32); 5] = [
    ("json", "json", 60),
    ("regex", "regex", 60),
    ("sha256", "digest", 300),
    ("deflate", "deflate", 15),
    ("means", "means", 100),
];

/// Measurements of each; the least counts, since what disturbs one only ever adds.
const ROUNDS: usize = 7;

/// What a run came to, and how long it took, as the kernels' program and its guest both say it.
fn parsed(text: &str) -> (f64, Duration) {
    let words: Vec<&str> = text.trim().trim_matches('"').split(' ').collect();
    let [sum, nanos] = words[..] else {
        panic!("expected a sum and a time, got {text}")
    };
    (
        sum.parse().unwrap(),
        Duration::from_nanos(nanos.parse().unwrap()),
    )
}

fn natively(program: &Path, kernel: &str, rounds: u32) -> (f64, Duration) {
    let mut command = Command::new(program);
    let output = command
        .args([kernel, &rounds.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    parsed(&String::from_utf8(output.stdout).unwrap())
}

fn in_guest(api: &RuntimeApi, kernel: &str, rounds: u32) -> (f64, Duration) {
    let answer = api.invoke(Event::new(format!("\"{kernel} {rounds}\"")));
    assert_eq!(answer.kind, "response", "{}", answer.text());
    parsed(answer.text())
}

/// The kernels as a component and as a program, each as cargo makes it.
fn built() -> (PathBuf, PathBuf) {
    let folder = rig::root().join("host/benches/kernels");
    rig::build_guests(&folder, &[]);
    let mut native = Command::new("cargo");
    let native = native
        .args(["build", "--release", "--locked", "--example", "native"])
        .env("CARGO_TARGET_DIR", rig::target_folder());
    assert!(native.current_dir(&folder).status().unwrap().success());
    let target = rig::target_folder();
    let guest = target.join("wasm32-wasip2/release/kernels.wasm");
    (guest, target.join("release/examples/native"))
}

fn main() {
    let (guest, program) = built();
    let apis = [RuntimeApi::start(), RuntimeApi::start_managed()];
    let [lambda, managed] = &apis;
    let deployed = || Deployed::with_file(&guest);
    let _one_at_a_time = deployed().start(lambda);
    let _many_at_once = deployed()
        .variable("AWS_LAMBDA_MAX_CONCURRENCY", "2")
        .start(managed);
    let mut least = [[Duration::MAX; 4]; KERNELS.len()];
    for _ in 0..ROUNDS {
        for ((kernel, by_host, rounds), least) in KERNELS.iter().zip(&mut least) {
            let ran = [
                natively(&program, kernel, *rounds),
                in_guest(managed, kernel, *rounds),
                in_guest(lambda, kernel, *rounds),
                in_guest(lambda, by_host, *rounds),
            ];
            for ((sum, time), least) in ran.iter().zip(least) {
                assert_eq!(
                    *sum, ran[0].0,
                    "{kernel} came to something else than natively"
                );
                *least = (*time).min(*least);
            }
        }
    }
    println!(
        "| kernel | native | interruptible | on Lambda | with digests by the host |\n| --- | ---: | ---: | ---: | ---: |"
    );
    let mut means = [1.0_f64; 3];
    for ((kernel, _, rounds), [native, guests @ ..]) in KERNELS.iter().zip(&least) {
        let speeds = guests.map(|guest| native.as_secs_f64() / guest.as_secs_f64());
        for (mean, speed) in means.iter_mut().zip(speeds) {
            *mean *= speed.powf(1.0 / KERNELS.len() as f64);
        }
        let [one, two, three] = speeds;
        let each = *native / *rounds;
        println!("| {kernel} | {each:.1?} | {one:.2} | {two:.2} | {three:.2} |");
    }
    let [one, two, three] = means;
    println!("| geometric mean of native speed | 1 | {one:.2} | {two:.2} | {three:.2} |");
}
