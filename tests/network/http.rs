//! The grant `http`: whom requests reach, by what connections, and what comes back.

use super::web::{Listener, Web};
use super::{answered, get, granted, kinds, refusal};
use crate::rig::alone::{alone, held, run_alone};
use crate::rig::{Rig, failure};
use crunchbox::error::Code;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

#[test]
fn a_request_that_is_granted_is_answered() {
    let web = Web::start();
    let started = granted(json!({"http": [web.origin()]}));
    let told = answered(
        &started,
        &json!({"http": {
            "method": "POST",
            "url": format!("{}/a/b?c=d", web.origin()),
            "headers": {"x-mine": "1"},
            "body": "ping",
        }}),
    );
    assert_eq!(
        (&told["status"], &told["body"]),
        (&200.into(), &"hello".into())
    );
    assert_eq!(told["headers"]["x-served"], "yes");
    let asked = web.only();
    assert_eq!(
        (
            asked.method.as_str(),
            asked.target.as_str(),
            asked.body.as_str()
        ),
        ("POST", "/a/b?c=d", "ping")
    );
    assert_eq!(asked.values("x-mine"), ["1"]);
    assert_eq!(asked.values("host"), [web.authority()]);
}

#[test]
fn a_long_body_passes_whole() {
    let web = Web::start();
    let started = granted(json!({"http": [web.origin()]}));
    let body = "0123456789".repeat(100_000);
    let event = json!({"http": {"method": "PUT", "url": web.origin(), "body": body}});
    assert_eq!(answered(&started, &event)["status"], 200);
    assert!(web.only().body == body);
}

#[test]
fn a_connection_serves_more_requests_of_the_same_event_and_of_the_next() {
    let web = Web::start();
    let started = granted(json!({"http": [web.origin()]}));
    let event = Value::from(vec![get(web.origin()); 5]);
    for _ in 0..4 {
        assert_eq!(kinds(&answered(&started, &event)), [None; 5]);
    }
    assert_eq!(web.asked().len(), 20);
    // Another one is made only by who comes while the first is not back in the pool yet.
    assert!(web.connections() <= 2, "{}", web.connections());
}

#[test]
fn a_request_that_no_grant_means_is_refused_and_nobody_is_connected_to() {
    let listener = Listener::start();
    for (grants, method, url) in [
        (&[] as &[&str], "GET", "http://127.0.0.1:PORT/"),
        (
            &["GET,HEAD http://127.0.0.1:PORT"],
            "POST",
            "http://127.0.0.1:PORT/",
        ),
        (
            &["GET,HEAD http://127.0.0.1:PORT"],
            "PROPFIND",
            "http://127.0.0.1:PORT/",
        ),
        (
            &["GET http://127.0.0.1:PORT"],
            "get",
            "http://127.0.0.1:PORT/",
        ),
        (&["http://127.0.0.1:1"], "GET", "http://127.0.0.1:PORT/"),
        (&["http://127.0.0.1"], "GET", "http://127.0.0.1:PORT/"),
        (&["http://127.0.0.1:PORT"], "GET", "https://127.0.0.1:PORT/"),
        (&["http://localhost:PORT"], "GET", "http://127.0.0.1:PORT/"),
        (&["http://127.0.0.1:PORT"], "GET", "http://localhost:PORT/"),
        (&["http://127.0.0.1:PORT"], "GET", "http://127.0.0.2:PORT/"),
        (
            &["http://*.localhost:PORT"],
            "GET",
            "http://localhost:PORT/",
        ),
        (
            &["http://127.0.0.1:PORT/v1/*"],
            "GET",
            "http://127.0.0.1:PORT/v2/x",
        ),
        (
            &["http://127.0.0.1:PORT/v1/*"],
            "GET",
            "http://127.0.0.1:PORT/v1",
        ),
        (
            &["http://127.0.0.1:PORT/v1/*"],
            "GET",
            "http://127.0.0.1:PORT/?/v1/",
        ),
        (
            &["GET http://127.0.0.1:PORT/a", "PUT http://127.0.0.1:PORT/b"],
            "PUT",
            "http://127.0.0.1:PORT/a",
        ),
    ] {
        let own: Vec<_> = grants.iter().map(|grant| listener.at(grant)).collect();
        let event = json!({"http": {"method": method, "url": listener.at(url)}});
        let kind = refusal(&granted(json!({"http": own})), &event);
        assert_eq!(kind, "HTTP-request-denied", "{grants:?} {method} {url}");
        assert!(!listener.is_visited(), "{grants:?} {method} {url}");
    }
}

#[test]
fn a_redirect_is_an_answer_and_who_follows_it_needs_a_grant_for_that() {
    let far = Listener::start();
    let web = Web::redirecting(&far.at("http://127.0.0.1:PORT/"));
    let started = granted(json!({"http": [web.origin()]}));
    let told = answered(&started, &get(web.origin()));
    assert_eq!(told["status"], 302);
    let location = told["headers"]["location"].as_str().unwrap();
    assert_eq!(refusal(&started, &get(location)), "HTTP-request-denied");
    assert!(!far.is_visited());
}

#[test]
fn a_server_that_never_answers_holds_a_guest_until_its_deadline_and_no_longer() {
    let listener = Listener::start();
    let origin = listener.at("http://127.0.0.1:PORT");
    let rig = Rig::of("network").time(Duration::from_millis(300));
    let started = rig.grants(json!({"http": [origin]})).start();
    let stopped = failure(started.handle(&get(&origin).to_string()));
    assert_eq!(stopped.code, Code::TimeLimit, "{stopped}");
    assert!(listener.is_visited(), "it was granted");
    assert_eq!(answered(&started, &json!({"env": true})), json!({}));
}

#[test]
fn nobody_at_the_other_end_is_an_error_that_a_guest_can_handle_and_no_refusal() {
    let gone = Listener::start().at("http://127.0.0.1:PORT");
    let started = granted(json!({"http": [gone]}));
    let outcome = started.handle(&get(&gone).to_string());
    assert_eq!(outcome.usage.grants.denied(), 0);
    assert_eq!(failure(outcome).kind, "connection-refused");
}

#[test]
fn https_is_spoken_for_the_guest_and_the_other_end_has_to_prove_who_it_is() {
    let (web, certificate) = Web::secure();
    let (_, another) = Web::secure();
    let with = |ca: &str| granted(json!({"http": [{"to": web.origin(), "ca": ca}]}));
    let told = answered(&with(&certificate), &get(web.origin()));
    assert_eq!(
        (&told["status"], &told["body"]),
        (&200.into(), &"hello".into())
    );
    let kind = refusal(&with(&another), &get(web.origin()));
    assert_eq!(kind, "TLS-certificate-error");
    assert_eq!(web.asked().len(), 1, "whom nobody trusts hears nothing");
}

#[test]
fn headers_without_end_are_stopped_and_told_as_what_they_are() {
    let started = granted(json!({}));
    let long = json!({"http": {"method": "GET", "url": "http://a.example", "headers": {"x-long": "x".repeat(20_000)}}});
    let stopped = failure(started.handle(&long.to_string()));
    assert_eq!(stopped.code, Code::HostCallLimit);
    assert!(stopped.message.contains("headers"), "{stopped}");
    answered(&started, &json!({"env": true}));
}

#[test]
fn requests_that_are_never_sent_cost_the_host_no_more_than_a_guests_memory() {
    if alone().is_none() {
        let test = "requests_that_are_never_sent_cost_the_host_no_more_than_a_guests_memory";
        return run_alone(module_path!(), test, Path::new("/")).unwrap();
    }
    let started = granted(json!({}));
    answered(&started, &json!({"env": true}));
    let before = held("VmRSS:");
    let stopped = failure(started.handle(r#"{"hoard": true}"#));
    assert_eq!(stopped.code, Code::HandleLimit, "{stopped}");
    let most = held("VmHWM:") - before;
    assert!(most < 96 << 10, "{most} KiB");
    answered(&started, &json!({"env": true}));
}
