//! What is told of calls by grants: counted for each event, and refusals logged.

use super::web::{Listener, Web, shouting};
use super::{connect, get, granted};
use crate::rig::Started;
use crunchbox::account::{Figures, Kind};
use serde_json::{Value, json};

fn figures(started: &Started, event: &Value) -> Vec<(Kind, Figures)> {
    let outcome = started.handle(&event.to_string());
    outcome.usage.grants.used().collect()
}

#[test]
fn calls_and_their_bytes_are_counted_by_kind_for_each_event() {
    let (web, port) = (Web::start(), shouting());
    let folder = tempfile::tempdir().unwrap();
    let at = format!("{}/", folder.path().display());
    let started = granted(json!({
        "http": [web.origin()],
        "tcp": [format!("127.0.0.1:{port}")],
        "objects": [{"at": at, "allow": ["read", "write"]}],
    }));
    let event = json!([
        {"http": {"method": "POST", "url": web.origin(), "body": "ping"}},
        connect("127.0.0.1", port),
        {"object": {"write": format!("{at}a"), "body": "abc"}},
        {"object": {"read": format!("{at}a")}},
    ]);
    let one = |calls, sent, received| Figures {
        calls,
        sent,
        received,
        denied: 0,
    };
    let expected = [
        (Kind::Http, one(1, 4, 5)),
        (Kind::Tcp, one(1, 5, 5)),
        (Kind::Objects, one(2, 3, 3)),
    ];
    assert_eq!(figures(&started, &event), expected);
    let next = figures(&started, &json!({"env": true}));
    assert!(next.is_empty(), "the next event begins anew: {next:?}");
}

#[test]
fn a_refusal_is_counted_each_time_and_logged_once_for_its_target_however_many_events_try() {
    let listener = Listener::start();
    let url = listener.at("http://127.0.0.1:PORT/a?token=hidden");
    let started = granted(json!({"tcp": ["db.invalid:1"]}));
    let event = json!([
        get(&url),
        get(&url),
        connect("127.0.0.1", listener.port()),
        {"object": {"read": "/nowhere/a"}},
    ]);
    for _ in 0..3 {
        let denied = figures(&started, &event).into_iter();
        let denied: Vec<_> = denied
            .map(|(kind, figures)| (kind, figures.denied))
            .collect();
        assert_eq!(
            denied,
            [(Kind::Http, 2), (Kind::Tcp, 1), (Kind::Objects, 1)]
        );
    }
    let lines = started.lines();
    let words: Vec<_> = lines
        .iter()
        .map(|line| line["message"].as_str().unwrap())
        .collect();
    assert_eq!(
        words,
        [
            listener.at("denied http: GET http://127.0.0.1:PORT (not in [grants])"),
            listener.at("denied tcp: 127.0.0.1:PORT (not in [grants])"),
            "denied objects: read /nowhere/a (not in [grants])".to_owned(),
        ]
    );
    assert!(
        lines
            .iter()
            .all(|line| line["level"] == "WARN" && line["source"] == "host")
    );
}

#[test]
fn a_guarded_address_is_logged_with_what_it_is_and_what_to_do() {
    let listener = Listener::start();
    let started = granted(json!({"http": [listener.at("http://*:PORT")]}));
    let outcome = started.handle(&get(&listener.at("http://localhost:PORT/")).to_string());
    assert_eq!(outcome.usage.grants.denied(), 1);
    let lines = started.lines();
    let words = lines[0]["message"].as_str().unwrap();
    assert!(
        words.contains("is loopback") && words.contains("name it in full"),
        "{words}"
    );
}
