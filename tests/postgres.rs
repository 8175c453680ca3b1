//! The grant `tcp` with TLS by the host: a real PostgreSQL that takes no plain text, asked by a guest that knows only that.

use crate::rig::{Postgres, Rig, Started, failure};
use crunchbox::error::Failure;
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::net::TcpListener;

/// Asks how the server sees the connection, too.
const QUERY: &str =
    "select ssl::text, 6 * 7, null, current_user from pg_stat_ssl where pid = pg_backend_pid()";

/// A host whose guest is granted this, and no other, connection.
fn granted(grant: Value) -> Started {
    Rig::of("postgres").grants(json!({"tcp": [grant]})).start()
}

/// A grant of the server, under the name by which the guest calls it, with TLS proven by an authority.
fn secured(server: &Postgres, name: &str, ca: &str) -> Value {
    json!({"to": format!("{name}:{}", server.port()), "tls": "postgres", "ca": ca})
}

fn question(server: &Postgres, host: &str, query: &str) -> String {
    json!({
        "host": host,
        "port": server.port(),
        "user": server.user(),
        "password": server.password(),
        "database": server.database(),
        "query": query,
    })
    .to_string()
}

fn rows(started: &Started, question: &str) -> Value {
    let answer = started.handle(question).result.unwrap();
    let mut answer: Value = serde_json::from_str(&answer).unwrap();
    answer["rows"].take()
}

/// Asks a server whose certificate proves nothing to whom this grant trusts, or means.
fn unproven(server: &Postgres, name: &str, ca: &str) {
    let started = granted(secured(server, name, ca));
    let failure = failure(started.handle(&question(server, name, QUERY)));
    assert!(
        failure.kind.starts_with("connection-"),
        "{}: {}",
        failure.kind,
        failure.message
    );
    let lines = started.lines();
    assert!(
        lines
            .iter()
            .any(|line| line.to_string().contains("certificate")),
        "{lines:?}"
    );
}

/// What a guest is told that wants to connect to a listener of ours, which nobody may have come to.
fn unreached(host: &str, rig: impl FnOnce(Rig, u16) -> Rig) -> Failure {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let started = rig(Rig::of("postgres"), port).start();
    let question = json!({
        "host": host, "port": port, "user": "u", "password": "p", "database": "d", "query": "q",
    });
    let failure = failure(started.handle(&question.to_string()));
    // A connection would wait here by now, for it is made before the guest hears of it.
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    failure
}

#[test]
fn a_guest_in_plain_text_is_answered_by_a_server_that_takes_only_tls() {
    let server = Postgres::shared();
    let started = granted(secured(server, "localhost", server.ca_pem()));
    let answer = rows(&started, &question(server, "localhost", QUERY));
    assert_eq!(answer, json!([["true", "42", null, "crunch"]]));
}

#[test]
fn without_tls_in_its_grant_a_connection_stays_plain_and_the_server_refuses_it() {
    let server = Postgres::shared();
    let started = granted(json!({"to": format!("localhost:{}", server.port())}));
    let failure = failure(started.handle(&question(server, "localhost", QUERY)));
    assert_eq!(failure.kind, "28000", "{}", failure.message);
    assert!(
        failure.message.contains("no encryption"),
        "{}",
        failure.message
    );
}

#[test]
fn long_questions_and_long_answers_pass_whole() {
    let server = Postgres::shared();
    let started = granted(secured(server, "localhost", server.ca_pem()));
    let (asked, answered) = ("x".repeat(300_000), 1_000_000);
    let query = format!("select length('{asked}'), repeat('y', {answered})");
    let answer = rows(&started, &question(server, "localhost", &query));
    assert_eq!(answer[0][0], "300000");
    assert!(answer[0][1].as_str().unwrap() == "y".repeat(answered));
}

#[test]
fn what_the_server_refuses_comes_to_the_guest_in_the_servers_words() {
    let server = Postgres::shared();
    let started = granted(secured(server, "localhost", server.ca_pem()));
    let refused = failure(started.handle(&question(server, "localhost", "select 1 / 0")));
    assert_eq!(
        (refused.kind.as_str(), refused.message.as_str()),
        ("22012", "division by zero")
    );
}

#[test]
fn without_a_grant_nobody_is_reached() {
    for host in ["127.0.0.1", "localhost"] {
        let failure = unreached(host, |rig, _| rig);
        assert_eq!(failure.kind, "access-denied", "{host}: {}", failure.message);
    }
}

#[test]
fn a_grant_of_one_port_opens_no_other() {
    for host in ["127.0.0.1", "localhost"] {
        let failure = unreached(host, |rig, port| {
            let other = if port == u16::MAX { port - 1 } else { port + 1 };
            rig.grants(json!({"tcp": [{"to": format!("{host}:{other}")}]}))
        });
        assert_eq!(failure.kind, "access-denied", "{host}: {}", failure.message);
    }
}

#[test]
fn a_grant_of_a_name_opens_no_address_that_the_name_does_not_have() {
    let failure = unreached("127.0.0.1", |rig, port| {
        rig.grants(json!({"tcp": [{"to": format!("db.invalid.example:{port}")}]}))
    });
    assert_eq!(failure.kind, "access-denied", "{}", failure.message);
}

#[test]
fn a_server_is_refused_whose_certificate_is_by_another_authority() {
    let server = Postgres::shared();
    unproven(server, "localhost", server.other_ca_pem());
}

#[test]
fn a_server_is_refused_whose_certificate_is_for_another_name() {
    let server = Postgres::shared();
    unproven(server, "127.0.0.1", server.ca_pem());
}

#[test]
fn an_address_that_is_granted_is_proven_by_a_certificate_for_that_address() {
    let server = Postgres::start(&["127.0.0.1"]);
    let started = granted(secured(&server, "127.0.0.1", server.ca_pem()));
    let answer = rows(&started, &question(&server, "127.0.0.1", QUERY));
    assert_eq!(answer[0][0], "true");
    unproven(&server, "localhost", server.ca_pem());
}
