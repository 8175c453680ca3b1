//! Guests that flood the log, or want their lines to pass for somebody else's: what is written is counted, and says whose
//! it is.

use super::{answered, hostile, served_after};
use crate::rig::{Rig, Started};
use crunchbox::limit::Limits;
use serde_json::Value;

/// The keys of a line, in order; a guest says something under `message` and `fields` only.
const KEYS: [&str; 8] = [
    "timestamp",
    "level",
    "message",
    "source",
    "requestId",
    "function",
    "component",
    "fields",
];

fn little(limits: &mut Limits) {
    limits.log = 10_000;
}

/// What an event wrote: its lines, without the host's note on what was left out, and whether there is one.
fn written(rig: &Started, event: &str) -> (Vec<Value>, bool) {
    rig.handle(event).result.unwrap();
    let mut lines = rig.lines();
    let is_cut = lines.last().is_some_and(|line| line["source"] == "host");
    if is_cut {
        let note = lines.pop().unwrap();
        assert!(
            note["message"].as_str().unwrap().contains("was cut"),
            "{note}"
        );
    }
    (lines, is_cut)
}

fn bytes(lines: &[Value]) -> usize {
    lines
        .iter()
        .map(|line| line.to_string().len() + "\n".len())
        .sum()
}

fn messages(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| line["message"].as_str().unwrap())
        .collect()
}

#[test]
fn a_flood_of_lines_is_cut_at_the_limit_by_whichever_way_it_comes() {
    for flood in ["log-lines", "print-lines", "warn-lines", "all-lines"] {
        let rig = hostile(little);
        let (lines, is_cut) = written(&rig, &format!("\"{flood} 20000\""));
        let bytes = bytes(&lines);
        assert!(
            is_cut && (9_500..=10_000).contains(&bytes),
            "{flood}: {bytes}"
        );
        served_after(&rig);
    }
}

#[test]
fn a_flood_without_a_line_break_is_one_line_of_bounded_length() {
    for flood in ["say 15000000", "print 15000000"] {
        let rig = hostile(|_| {});
        let (lines, is_cut) = written(&rig, &format!("\"{flood}\""));
        assert!(is_cut && lines.len() == 1, "{flood}: {} lines", lines.len());
        assert_eq!(lines[0]["message"].as_str().unwrap().len(), 16 << 10);
        served_after(&rig);
    }
}

#[test]
fn more_fields_than_a_line_may_have_are_left_out_and_noted() {
    let rig = hostile(|_| {});
    let (lines, is_cut) = written(&rig, r#""fields 100000""#);
    assert!(is_cut && lines.is_empty(), "{lines:?}");
    served_after(&rig);
}

#[test]
fn a_flood_takes_nothing_from_the_next_events_log() {
    let rig = hostile(little);
    rig.handle(r#""all-lines 20000""#).result.unwrap();
    let before = rig.lines().len();
    let outcome = rig.handle(r#""log-lines 3""#);
    assert_eq!((outcome.usage.log_lines, outcome.usage.log_cut), (3, 0));
    assert_eq!(
        messages(&rig.lines()[before..]),
        ["line 0", "line 1", "line 2"]
    );
}

#[test]
fn half_characters_and_unfinished_lines_stay_with_their_event() {
    let rig = hostile(|_| {});
    let pieces = ["one é", "two 😀", "th\0ree\0", "four �", "���", "�"];
    for _ in 0..2 {
        let before = rig.lines().len();
        answered(&rig, r#""pieces""#);
        assert_eq!(messages(&rig.lines()[before..]), pieces);
    }
}

#[test]
fn nothing_at_the_top_of_a_line_is_a_guests() {
    let rig = Rig::of("hostile").start();
    let (lines, is_cut) = written(&rig, r#""forge""#);
    assert!(!is_cut);
    let of = |source: &str| lines.iter().filter(|line| line["source"] == source).count();
    // Three texts, one of them of two lines and one of three; six times ten fields; and a line that turns a terminal over.
    assert_eq!((of("stdout"), of("stderr"), of("guest")), (7, 6, 9));
    for line in &lines {
        let keys: Vec<_> = line.as_object().unwrap().keys().collect();
        assert!(
            keys.iter().all(|key| KEYS.contains(&key.as_str())),
            "{line}"
        );
        let level = if line["source"] == "stderr" {
            "WARN"
        } else {
            "INFO"
        };
        assert_eq!(
            (&line["level"], &line["requestId"], &line["function"]),
            (&level.into(), &"test".into(), &"hostile".into())
        );
        assert!(line["component"].as_str().unwrap().starts_with("sha256-"));
        assert_ne!(line["timestamp"], "2000-01-01T00:00:00.000Z");
    }
    served_after(&rig);
}

#[test]
fn a_line_is_json_to_a_strict_reader_whatever_a_guest_puts_into_it() {
    let rig = hostile(|_| {});
    // Reading the lines fails where one of them has half a character, or is nested deeper than a reader follows.
    let (lines, _) = written(&rig, r#""confuse""#);
    assert_eq!(messages(&lines), ["confusing"; 3]);
    served_after(&rig);
}
