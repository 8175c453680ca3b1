//! The grant `tcp`: whom connections reach, which names are looked up; and that nobody listens or sends datagrams.

use super::web::{Listener, shouting};
use super::{answered, connect, granted, refusal};
use crate::rig::{Rig, failure};
use crunchbox::error::Code;
use serde_json::json;
use std::time::Duration;

#[test]
fn a_connection_that_is_granted_passes_bytes_both_ways() {
    for host in ["127.0.0.1", "localhost"] {
        let port = shouting();
        let started = granted(json!({"tcp": [format!("{host}:{port}")]}));
        assert_eq!(answered(&started, &connect(host, port)), "HELLO", "{host}");
    }
}

#[test]
fn a_name_that_is_granted_may_be_called_by_its_address() {
    let port = shouting();
    let started = granted(json!({"tcp": [format!("localhost:{port}")]}));
    assert_eq!(answered(&started, &connect("127.0.0.1", port)), "HELLO");
}

#[test]
fn a_connection_that_no_grant_means_is_refused_before_it_is_made() {
    let listener = Listener::start();
    for (grants, host) in [
        (&[] as &[&str], "127.0.0.1"),
        (&[], "localhost"),
        (&["127.0.0.1:1"], "127.0.0.1"),
        (&["localhost:1"], "localhost"),
        (&["127.0.0.1:PORT"], "127.0.0.2"),
        (&["127.0.0.1:PORT"], "localhost"),
        (&["127.0.0.2:PORT"], "127.0.0.1"),
        (&["10.0.0.0/8:PORT"], "127.0.0.1"),
        (&["db.invalid:PORT"], "127.0.0.1"),
        (&["*.localhost:PORT"], "localhost"),
    ] {
        let own: Vec<_> = grants.iter().map(|grant| listener.at(grant)).collect();
        let started = granted(json!({"tcp": own}));
        let kind = refusal(&started, &connect(host, listener.port()));
        assert_eq!(kind, "access-denied", "{grants:?} {host}");
        assert!(!listener.is_visited(), "{grants:?} {host}");
    }
}

#[test]
fn a_wide_grant_does_not_mean_this_machine_however_it_is_spelled() {
    let listener = Listener::start();
    let refused = |grant: &str, host: &str| {
        let started = granted(json!({"tcp": [listener.at(grant)]}));
        let kind = refusal(&started, &connect(host, listener.port()));
        assert!(!listener.is_visited(), "{grant} {host}");
        kind
    };
    for grant in ["127.0.0.0/8:PORT", "0.0.0.0/0:PORT", "*:PORT"] {
        assert_eq!(refused(grant, "127.0.0.1"), "access-denied", "{grant}");
    }
    for host in [
        "::1",
        "127.9.9.9",
        "localhost",
        "127.1",
        "0",
        "2130706433",
        "0x7f000001",
    ] {
        assert_eq!(refused("*:PORT", host), "access-denied", "{host}");
    }
    // These are no addresses to connect to, or none of their family.
    for host in ["0.0.0.0", "::", "::ffff:127.0.0.1", "::127.0.0.1"] {
        assert_eq!(refused("*:PORT", host), "invalid-argument", "{host}");
    }
}

#[test]
fn only_names_that_are_granted_are_looked_up_and_only_addresses_that_are_allowed_are_told() {
    let resolve = |grants: &[&str]| {
        let started = granted(json!({"tcp": grants}));
        started.handle(&json!({"resolve": "localhost"}).to_string())
    };
    let told = resolve(&["localhost:1"]).result.unwrap();
    assert!(told.contains("127.0.0.1") || told.contains("::1"), "{told}");
    for grants in [
        &[] as &[&str],
        &["127.0.0.1:1"],
        &["db.invalid:1"],
        &["*:1"],
    ] {
        assert_eq!(failure(resolve(grants)).kind, "access-denied", "{grants:?}");
    }
}

#[test]
fn nobody_listens_and_nobody_sends_datagrams() {
    let free = Listener::start().port();
    let listener = Listener::start();
    for grants in [
        json!({}),
        json!({"tcp": [listener.at("127.0.0.1:PORT"), "*:1"]}),
    ] {
        let started = granted(grants);
        for (address, port) in [
            ("0.0.0.0", 0),
            ("0.0.0.0", free),
            ("127.0.0.1", 0),
            ("127.0.0.1", free),
        ] {
            let event = json!({"listen": {"address": address, "port": port}});
            assert_eq!(
                refusal(&started, &event),
                "access-denied",
                "{address}:{port}"
            );
        }
        let event = json!({"udp": {"address": "127.0.0.1", "port": listener.port()}});
        assert_eq!(refusal(&started, &event), "access-denied");
        assert!(!listener.is_visited());
    }
}

#[test]
fn a_server_that_never_speaks_holds_a_guest_until_its_deadline_and_no_longer() {
    let listener = Listener::start();
    let rig = Rig::of("network").time(Duration::from_millis(300));
    let started = rig
        .grants(json!({"tcp": [listener.at("127.0.0.1:PORT")]}))
        .start();
    let event = connect("127.0.0.1", listener.port()).to_string();
    let stopped = failure(started.handle(&event));
    assert_eq!(stopped.code, Code::TimeLimit, "{stopped}");
    assert!(listener.is_visited(), "it was granted");
    assert_eq!(answered(&started, &json!({"env": true})), json!({}));
}
