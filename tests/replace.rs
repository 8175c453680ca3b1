//! Guests that nothing interrupts, as on Lambda, where one event runs at a time: one past its deadline is answered for, and
//! the process replaced. Where many run at once, they are interrupted.

use crate::hostile::starting_forever;
use crate::rig::shop::shape;
use crate::rig::{
    Asked, Deployed, Event, Fault, Rig, Running, RuntimeApi, S3, Shop, guest, runtime, text,
};
use crunchbox::component::Component;
use crunchbox::engine::Engines;
use crunchbox::error::Code;
use crunchbox::event::Invocation;
use crunchbox::release::Contents;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

fn hurried(event: &str) -> Event {
    Event::new(event.to_owned()).time(Duration::from_millis(400))
}

/// The line that sums an event up.
fn summary(running: &Running) -> Value {
    running.lines_of_an_event().pop().unwrap()["fields"].clone()
}

#[test]
fn a_guest_that_computes_past_its_deadline_is_answered_for_and_a_fresh_process_takes_the_next_event()
 {
    let api = RuntimeApi::start();
    let running = Deployed::with("hostile").start(&api);
    assert_eq!(api.invoke(Event::new("\"ok\"")).text(), "\"ok\"");
    summary(&running);
    // What never ends and asks for nothing, what asks and is answered at once, and what has the log all the time.
    for event in [
        "\"spin\"",
        "\"ask\"",
        "\"look-on\"",
        "\"log-on\"",
        "\"print-on\"",
        "\"hoard-on\"",
    ] {
        let before = running.image();
        let answer = api.invoke(hurried(event));
        assert_eq!(answer.json()["errorType"], "Crunchbox.TimeLimit", "{event}");
        let summary = summary(&running);
        assert!(
            summary["memoryPeakBytes"].as_u64().unwrap() > 0,
            "{summary}"
        );
        assert!(summary["callMs"].as_f64().unwrap() > 0.0, "{summary}");
        assert_eq!(api.invoke(Event::new("\"ok\"")).text(), "\"ok\"");
        assert!(
            running.is_fresh_since(&before),
            "the same process went on after {event}"
        );
        running.lines_of_an_event();
    }
}

#[test]
fn a_guest_that_waits_past_its_deadline_is_stopped_and_the_process_goes_on() {
    let api = RuntimeApi::start();
    let running = Deployed::with("misbehave").start(&api);
    assert_eq!(api.invoke(Event::new("\"forge\"")).text(), "null");
    let before = running.image();
    let answer = api.invoke(hurried("\"sleep\""));
    assert_eq!(answer.json()["errorType"], "Crunchbox.TimeLimit");
    assert_eq!(api.invoke(Event::new("\"forge\"")).text(), "null");
    assert!(!running.is_fresh_since(&before));
}

#[test]
fn where_many_run_at_once_a_guest_is_interrupted_and_the_process_goes_on() {
    let api = RuntimeApi::start_managed();
    let running = Deployed::with("misbehave")
        .variable("AWS_LAMBDA_MAX_CONCURRENCY", "2")
        .start(&api);
    assert_eq!(api.invoke(Event::new("\"forge\"")).text(), "null");
    let before = running.image();
    let answer = api.invoke(hurried("\"spin\""));
    assert_eq!(answer.json()["errorType"], "Crunchbox.TimeLimit");
    assert_eq!(api.invoke(Event::new("\"forge\"")).text(), "null");
    assert!(!running.is_fresh_since(&before));
}

#[test]
fn the_scratch_folder_of_a_guest_that_was_given_up_is_removed() {
    let api = RuntimeApi::start();
    let scratch = tempfile::tempdir().unwrap();
    let _running = Deployed::with("misbehave")
        .file(
            "crunchbox.toml",
            b"[function]\nname = 'm'\n[grants]\nscratch = '1 MiB'\n",
        )
        .variable("TMPDIR", text(scratch.path()))
        .start(&api);
    let answer = api.invoke(hurried("\"spin\""));
    assert_eq!(answer.json()["errorType"], "Crunchbox.TimeLimit");
    let left: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_release_whose_start_never_ends_does_not_take_over_and_costs_no_event() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy("facts", r#"{"v": 1}"#);
    let api = RuntimeApi::start();
    let policy = "refresh = '1ms'\nmax-stale = '1h'";
    let _running = Deployed::following(&shop, policy).start(&api);
    let version = || {
        let answer = api.invoke(Event::new(r#"{"config": ["v"]}"#));
        assert_eq!(answer.kind, "response", "{}", answer.text());
        answer.json()["config"].clone()
    };
    assert_eq!(version(), 1);
    let folder = tempfile::tempdir().unwrap();
    let hostile = Component::read(&starting_forever(folder.path())).unwrap();
    let shape = shape(&hostile);
    let sealed = shop.release_of(hostile, shape, Contents::default());
    shop.promote(&sealed);
    // The first of these meets the release, another a process that has to start without it.
    for _ in 0..3 {
        assert_eq!(version(), 1);
    }
    shop.deploy("facts", r#"{"v": 2}"#);
    let mut seen = version();
    while seen != 2 {
        seen = version();
    }
}

#[test]
fn a_store_that_has_only_interruptible_code_is_served_from() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy("facts", r#"{"v": 1}"#);
    shop.forget_replaced();
    let api = RuntimeApi::start();
    let _running = Deployed::following(&shop, "").start(&api);
    let answer = api.invoke(Event::new(r#"{"config": ["v"]}"#));
    assert_eq!(answer.json()["config"], 1);
}

#[test]
fn what_the_next_process_starts_from_is_on_the_disk_before_a_second_event_is_asked_for() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy("facts", "{}");
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("cache");
    // A process that is killed as soon as it asks for a second event, and the phases of its start.
    let started = || -> Vec<String> {
        let api = RuntimeApi::start();
        let running = Deployed::following(&shop, "")
            .variable("CRUNCHBOX_CACHE", text(&folder))
            .variable("CRUNCHBOX_TIMINGS", "1")
            .start(&api);
        assert_eq!(api.invoke(Event::new("{}")).kind, "response");
        api.wait_until_asked(&Asked::Next, 2);
        let phases = running.timings().into_iter();
        phases.map(|(name, _)| name).collect()
    };
    let linking = &"imports linked".to_owned();
    assert!(started().contains(linking));
    // What served last is linked by the time that the store has answered.
    s3.forget_requests();
    assert!(!started().contains(linking));
    assert_eq!(s3.requests().len(), 1, "{:?}", s3.requests());
    s3.inject(Fault::Status(503), |_| true, usize::MAX);
    started();
}

#[test]
fn a_package_needs_no_component_where_its_digest_stands_beside_native_code() {
    let api = RuntimeApi::start();
    let component = std::fs::read(guest("echo")).unwrap();
    let digest = crunchbox::component::Digest::of(&component);
    let deployed = Deployed::with("echo").file("guest.digest", format!("{digest}\n").as_bytes());
    let _running = deployed.without("guest.wasm").start(&api);
    assert_eq!(api.invoke(Event::new("[1]")).text(), "[1]");
    let api = RuntimeApi::start();
    let _running = Deployed::with("echo")
        .file("guest.digest", b"sha256-what")
        .without("guest.wasm")
        .start(&api);
    let error = api.answer();
    assert_eq!(error.json()["errorType"], "Crunchbox.ComponentUnreadable");
    assert!(error.text().contains("guest.digest"), "{}", error.text());
}

#[test]
fn a_front_where_the_guests_run_has_its_answer_on_time_though_a_guest_keeps_its_thread() {
    let rig = Rig::of("work").on_lambda();
    let host = Arc::new(rig.time(Duration::from_millis(20)).start().host);
    let engines = Arc::clone(host.engines());
    let front = async move {
        let handle = |event: &str| {
            let event = event.as_bytes().to_vec();
            host.handle(Invocation {
                event,
                ..Invocation::default()
            })
        };
        let quick = handle("\"nothing\"").await.result;
        // Half a second each, in which they ask for nothing.
        let (late, later) = (
            handle("\"sha256 5000\"").await.result,
            handle("\"sha256 5000\"").await.result,
        );
        (quick, [late, later], host.is_spent())
    };
    let (quick, late, is_spent) = runtime().block_on(engines.carry(front)).unwrap();
    assert_eq!(quick.unwrap(), "0");
    for late in late {
        assert_eq!(late.unwrap_err().code, Code::TimeLimit);
    }
    assert!(is_spent);
}

#[test]
fn a_front_that_panics_where_the_guests_run_is_a_failure() {
    let engines = Engines::start(1).unwrap();
    let front = async {
        if true {
            panic!("a {}", "bug")
        }
    };
    let failure = runtime().block_on(engines.carry(front)).unwrap_err();
    assert_eq!(failure.code, Code::HostPanic);
    assert!(failure.message.ends_with("a bug"), "{failure}");
}
