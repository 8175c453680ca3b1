//! Damaged events, and bytes that were never one: each goes through byte for byte or is refused, and what a guest makes of it is
//! a response or a failure of its own.

use super::damage::{hostile, whatever_becomes_of};
use super::{holds, is_json};
use crate::rig::{Rig, events};
use crunchbox::error::{Blame, Code};
use crunchbox::event::{Invocation, check_event, check_json, check_response};

const GUEST_CASES: u32 = 300;

/// The demonstration's events, and other JSON.
fn sound() -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(events()).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let events = files.iter().map(|file| std::fs::read(file).unwrap());
    let others = [
        r#"{"a": [1, -2.50e+3, null, true, "\u00e9\ud83d\ude00"]}"#,
        " 0 ",
    ];
    events
        .chain(others.map(|text| text.as_bytes().to_vec()))
        .collect()
}

#[test]
fn a_damaged_event_goes_through_byte_for_byte_or_is_refused() {
    whatever_becomes_of(sound(), |bytes| {
        match check_event(bytes.to_vec()) {
            Ok(text) => assert!(text.as_bytes() == bytes && is_json(&text)),
            Err(failure) => assert_eq!(failure.code, Code::EventNotJson, "{failure}"),
        }
        if let Ok(text) = std::str::from_utf8(bytes) {
            assert_eq!(check_json(text).is_ok(), is_json(text));
            assert_eq!(check_response(text, bytes.len()).is_ok(), is_json(text));
            let shorter = bytes.len().saturating_sub(1);
            assert!(text.is_empty() || check_response(text, shorter).is_err());
        }
    });
}

#[test]
fn a_damaged_event_is_answered_or_fails_and_the_next_one_is_served() {
    // Its events are parsed to the last level.
    let rig = Rig::of("count").memory(16).start();
    holds(GUEST_CASES, &hostile(sound()), |event| {
        let invocation = Invocation {
            event: event.0,
            request_id: "damaged".into(),
            ..Invocation::default()
        };
        if let Err(failure) = rig.handle_as(invocation).result {
            let blamed = failure.code.meaning().blame;
            assert!(matches!(blamed, Blame::Caller | Blame::Guest), "{failure}");
        }
        assert_eq!(rig.handle("{}").result.unwrap(), "1");
    });
}
