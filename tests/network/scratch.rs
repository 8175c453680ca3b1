//! The grant `scratch`: a folder that an event has to itself, up to its quota, and nothing of the machine's beside it.

use super::web::Listener;
use super::{answered, connect, granted, kinds, refusal};
use crate::rig::{Rig, Started, failure, text};
use crunchbox::account::Kind;
use crunchbox::error::Code;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const QUOTA: u64 = 64 << 10;

/// A host that makes such folders in `parent`, and grants whatever else.
fn scratching(parent: &Path, more: Value) -> Rig {
    let mut grants = json!({"scratch": "64 KiB"});
    let more = more.as_object().unwrap().clone();
    grants.as_object_mut().unwrap().extend(more);
    Rig::of("network")
        .environment(&[("TMPDIR", text(parent))])
        .grants(grants)
}

/// The names of what is in a folder.
fn left(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn write(at: &str, bytes: usize) -> Value {
    json!({"scratch": {"write": at, "bytes": bytes}})
}

fn denied(started: &Started, event: &Value) -> u64 {
    let outcome = started.handle(&event.to_string());
    let mut used = outcome.usage.grants.used();
    used.find_map(|(kind, figures)| (kind == Kind::Scratch).then_some(figures.denied))
        .unwrap_or_default()
}

#[test]
fn files_are_kept_within_an_event_and_gone_in_the_next_and_from_the_disk() {
    let parent = tempfile::tempdir().unwrap();
    let started = scratching(parent.path(), json!({})).start();
    let list = json!({"scratch": {"list": "/tmp"}});
    let event = json!([
        {"scratch": {"folder": "/tmp/a"}},
        {"scratch": {"write": "/tmp/a/b", "body": "text"}},
        {"scratch": {"read": "/tmp/a/b"}},
        {"scratch": {"rename": "/tmp/a/b", "to": "/tmp/c"}},
        list,
    ]);
    let told = answered(&started, &event);
    assert_eq!(told[2], json!({"Ok": "text"}));
    assert_eq!(told[4], json!({"Ok": ["a", "c"]}));
    assert_eq!(left(parent.path()), [""; 0]);
    assert_eq!(answered(&started, &list), json!([]));
}

#[test]
fn files_are_gone_from_the_disk_when_the_guest_was_stopped() {
    let parent = tempfile::tempdir().unwrap();
    let listener = Listener::start();
    let silent = json!({"tcp": [listener.at("127.0.0.1:PORT")]});
    let rig = scratching(parent.path(), silent).time(Duration::from_millis(300));
    let event = json!([write("/tmp/a", 9), connect("127.0.0.1", listener.port())]);
    let stopped = failure(rig.start().handle(&event.to_string()));
    assert_eq!(stopped.code, Code::TimeLimit, "{stopped}");
    assert_eq!(left(parent.path()), [""; 0]);
}

#[test]
fn what_goes_beyond_the_quota_is_an_error_that_the_guest_handles_and_what_it_removes_makes_room() {
    let parent = tempfile::tempdir().unwrap();
    let started = scratching(parent.path(), json!({})).start();
    let event = json!([
        write("/tmp/a", 40 << 10),
        write("/tmp/b", 40 << 10),
        {"scratch": {"remove": "/tmp/a"}},
        {"scratch": {"remove": "/tmp/b"}},
        write("/tmp/c", 40 << 10),
    ]);
    let told = answered(&started, &event);
    assert_eq!(
        kinds(&told),
        [None, Some("Error"), None, None, None],
        "{told}"
    );
    // The libc of rustup's target says of a stream only that it failed (errno 29, EIO); Debian's says why.
    let words = told[1]["Err"]["message"].as_str().unwrap();
    let is_told = ["uota", "(os error 29)"].map(|word| words.contains(word));
    assert_ne!(is_told, [false; 2], "{words}");
    assert!(started.lines().iter().any(says_full));
}

#[test]
fn what_the_quota_refuses_is_counted_and_the_peak_stays_below_it() {
    let parent = tempfile::tempdir().unwrap();
    let started = scratching(parent.path(), json!({})).start();
    assert_eq!(denied(&started, &json!([write("/tmp/a", 9)])), 0);
    assert!(denied(&started, &json!([write("/tmp/a", 1 << 20)])) > 0);
    let outcome = started.handle(&json!([write("/tmp/a", 1 << 20)]).to_string());
    let peak = outcome.usage.scratch_peak;
    assert!((1..=QUOTA).contains(&peak), "{peak}");
    let full = started
        .lines()
        .iter()
        .filter(|line| says_full(line))
        .count();
    assert_eq!(full, 1);
}

/// Whether a line of the log tells the author what to change.
fn says_full(line: &Value) -> bool {
    let message = line["message"].as_str().unwrap();
    message.contains("the folder is full: raise `scratch`")
}

#[test]
fn no_path_leads_out_of_the_folder() {
    let parent = tempfile::tempdir().unwrap();
    std::fs::write(parent.path().join("secret"), "hidden").unwrap();
    let started = scratching(parent.path(), json!({})).start();
    let event = json!([
        {"scratch": {"write": "/tmp/a", "body": "mine"}},
        {"scratch": {"read": "/tmp/../../secret"}},
        {"scratch": {"read": "../../secret"}},
        {"scratch": {"read": parent.path().join("secret")}},
        {"scratch": {"read": "/etc/passwd"}},
        {"scratch": {"read": "/proc/self/environ"}},
        {"scratch": {"list": "/"}},
        {"scratch": {"list": "/tmp/.."}},
        {"scratch": {"write": "/tmp/../../planted", "body": "x"}},
        {"scratch": {"rename": "/tmp/a", "to": "/tmp/../../planted"}},
        {"scratch": {"folder": "/tmp/../planted"}},
        {"scratch": {"read": "/tmp/a"}},
    ]);
    let told = answered(&started, &event);
    let mut expected = [Some("Error"); 12];
    (expected[0], expected[11]) = (None, None);
    assert_eq!(kinds(&told), expected, "{told}");
    assert_eq!(left(parent.path()), ["secret"]);
}

#[test]
fn a_guest_makes_no_links() {
    let parent = tempfile::tempdir().unwrap();
    std::fs::write(parent.path().join("secret"), "hidden").unwrap();
    let started = scratching(parent.path(), json!({})).start();
    let event = json!([
        {"scratch": {"write": "/tmp/a", "body": "mine"}},
        {"scratch": {"link": "/tmp/b", "to": "../../secret"}},
        {"scratch": {"link": "/tmp/c", "to": "a"}},
        {"scratch": {"twin": "/tmp/d", "to": "/tmp/a"}},
        {"scratch": {"list": "/tmp"}},
    ]);
    let told = answered(&started, &event);
    let refused = Some("Error");
    assert_eq!(
        kinds(&told),
        [None, refused, refused, refused, None],
        "{told}"
    );
    assert_eq!(told[4], json!({"Ok": ["a"]}));
}

#[test]
fn without_the_grant_there_are_no_files() {
    let started = granted(json!({}));
    for act in [
        json!({"write": "/tmp/a", "body": "x"}),
        json!({"read": "/etc/passwd"}),
        json!({"list": "/tmp"}),
        json!({"list": "/"}),
    ] {
        assert_eq!(
            refusal(&started, &json!({"scratch": act})),
            "Error",
            "{act}"
        );
    }
}
