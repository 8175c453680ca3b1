//! `crunchbox dev` from outside: what any client of Lambda's API sees, and what the command says while it serves.

mod invoke;
mod queue;
mod runtime;
mod slow;
mod stream;
mod url;
mod watch;

use crate::handle::ODD;
use crate::rig::dev::{Ask, Dev, Gate, python};
use crate::rig::{crunchbox, finish, guest, root, text};
use std::process::{Command, Stdio};

/// The most bytes of an event that is waited for, and of one that is not.
const EVENT_BYTES_MAX: usize = 6 << 20;
const QUEUED_BYTES_MAX: usize = 1 << 20;

/// A JSON text of so many bytes.
fn json_of(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

/// Serves several guests in one process.
fn guests(names: &[&str]) -> Dev {
    let paths: Vec<_> = names.iter().map(|name| guest(name)).collect();
    let mut arguments: Vec<&str> = paths.iter().map(|path| text(path)).collect();
    arguments.push("--no-watch");
    Dev::with(&arguments)
}

/// Lets AWS's client for Python call what is served, and compare each answer with AWS's own model of the API.
fn boto(dev: &Dev, scenarios: &[&str]) {
    let mut command = Command::new(python("moto"));
    command
        .arg(root().join("tests/dev/boto.py"))
        .arg(dev.endpoint())
        .args(scenarios)
        .stdin(Stdio::null());
    let done = finish(&mut command);
    assert_eq!(done.exit, 0, "{}{}", done.stdout, done.stderr);
    let passed: Vec<_> = done.stdout.lines().collect();
    let wanted: Vec<_> = scenarios.iter().map(|name| format!("ok {name}")).collect();
    assert_eq!(passed, wanted);
}

#[test]
fn awss_client_understands_every_answer_and_its_model_knows_all_that_is_in_them() {
    let dev = guests(&["echo", "facts", "misbehave"]);
    let all = ["invoke", "queued", "failure", "stream", "refusal", "limit"];
    boto(&dev, &all);
}

#[test]
fn awss_client_is_told_why_it_has_to_wait() {
    let gate = Gate::start();
    let project = gate.project();
    let dev = Dev::project(&project, &[".", "--no-watch", "--concurrency", "1"]);
    let first = dev.asking(Ask::invoke("gated", gate.event()));
    let waiting = gate.wait();
    boto(&dev, &["throttled"]);
    waiting.go();
    assert_eq!(first.answer().status, 200);
}

#[test]
fn an_event_in_flight_is_answered_before_the_process_ends() {
    let gate = Gate::start();
    let project = gate.project();
    let dev = Dev::project(&project, &[".", "--no-watch"]);
    let flying = dev.asking(Ask::invoke("gated", gate.event()));
    let waiting = gate.wait();
    dev.interrupt();
    waiting.go();
    assert!(flying.answer().response().contains("\"ok\""));
    dev.line_of("drained");
    assert_eq!(dev.ended(), 0);
}

#[test]
fn a_process_that_nobody_calls_ends_when_it_is_asked_to() {
    let dev = Dev::guest("echo");
    dev.interrupt();
    assert_eq!(dev.ended(), 0);
}

#[test]
fn events_that_are_typed_are_answered_on_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let event = folder.path().join("event.json");
    std::fs::write(&event, ODD).unwrap();
    let listen = ["--listen", "127.0.0.1:0"];
    let guest = guest("echo");
    let sends = ["dev", text(&guest), "-e", text(&event), "--once"];
    let done = finish(&mut crunchbox(&[&sends[..], &listen].concat()));
    assert_eq!(done.exit, 0, "{}", done.stderr);
    assert_eq!(done.stdout.trim(), ODD.trim());
    assert!(done.stderr.contains("http://127.0.0.1:"), "{}", done.stderr);
}

#[test]
fn one_process_serves_several_functions_by_their_names() {
    let dev = guests(&["echo", "count"]);
    assert_eq!(dev.invoke("echo", "[1]").response(), "[1]");
    assert_eq!(dev.invoke("count", "{}").response(), "1");
    assert_eq!(dev.invoke("count", "{}").response(), "1", "nothing is kept");
    let named: Vec<_> = dev.functions().iter().map(|it| &it["name"]).collect();
    assert_eq!(named, ["echo", "count"]);
}

#[test]
fn a_line_is_said_of_each_invocation() {
    let dev = Dev::guest("misbehave");
    for (event, outcome) in [("\"forge\"", "ok"), ("\"panic\"", "Crunchbox.GuestPanic")] {
        let answer = dev.invoke("misbehave", event);
        let line = dev.line_of("invocation");
        assert_eq!(line["requestId"], answer.header("x-amzn-RequestId"));
        assert_eq!(line["outcome"], outcome);
        assert_eq!(
            (&line["function"], &line["version"]),
            (&"misbehave".into(), &"1".into())
        );
        assert!(line["ms"].is_number());
        let says = if outcome == "ok" {
            "bytes"
        } else {
            "errorMessage"
        };
        assert!(!line[says].is_null(), "{line}");
    }
}

#[test]
fn what_cannot_be_served_is_refused_before_anything_listens() {
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage.wasm");
    std::fs::write(&garbage, b"garbage").unwrap();
    let echo = guest("echo");
    for (arguments, words) in [
        (&["/no/such/guest.wasm"][..], "/no/such/guest.wasm"),
        (&[text(&garbage)], "garbage.wasm"),
        (&[text(&echo), text(&echo)], "echo"),
    ] {
        let rest = ["--no-watch", "--listen", "127.0.0.1:0"];
        let done = finish(&mut crunchbox(&[&["dev"][..], arguments, &rest].concat()));
        let says = done.exit > 0 && done.stderr.contains(words);
        assert!(says, "{arguments:?}: {} {}", done.exit, done.stderr);
    }
    let done = finish(&mut crunchbox(&["dev", text(&echo), "--listen", "nowhere"]));
    assert!(
        done.exit > 0 && done.stderr.contains("nowhere"),
        "{}",
        done.stderr
    );
}
