//! The end of the deployed program: Lambda says SIGTERM, and kills two seconds later.

use crate::rig::dev::{Gate, Waiting};
use crate::rig::{Asked, Deployed, Event, Running, RuntimeApi};

/// How many events are handled at once where it is more than one.
const AT_ONCE: usize = 4;

/// A package whose guest goes to the gate.
fn gated(gate: &Gate) -> Deployed {
    let project = gate.project();
    let read = |name: &str| std::fs::read(project.path().join(name)).unwrap();
    Deployed::with("network")
        .file("crunchbox.toml", &read("crunchbox.toml"))
        .file("config.toml", &read("config.toml"))
}

/// Has a package handle several events at once.
fn managed(deployed: Deployed) -> Deployed {
    deployed
        .variable("AWS_LAMBDA_MAX_CONCURRENCY", &AT_ONCE.to_string())
        .variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
}

/// How many events the program asked for.
fn events_asked_for(api: &RuntimeApi) -> usize {
    let asked = api.asked().into_iter();
    asked.filter(|asked| *asked == Asked::Next).count()
}

/// What it came to that an event was in flight when the program was told to end.
fn outcome(running: &Running) -> String {
    let summary = running.lines_of_an_event().pop().unwrap();
    summary["fields"]["outcome"].as_str().unwrap().to_owned()
}

#[test]
fn a_process_that_waits_for_an_event_ends_at_once_when_it_is_told_to() {
    let api = RuntimeApi::start();
    let running = Deployed::with("echo").start(&api);
    assert_eq!(api.invoke(Event::new("1")).text(), "1");
    api.wait_until_asked(&Asked::Next, 2);
    running.terminate();
    assert_eq!(running.ended(), 0);
}

#[test]
fn a_managed_process_that_waits_for_events_ends_at_once_when_it_is_told_to() {
    let api = RuntimeApi::start_managed();
    let running = managed(Deployed::with("echo")).start(&api);
    api.wait_until_asked(&Asked::Next, AT_ONCE);
    running.terminate();
    assert_eq!(running.ended(), 0);
}

#[test]
fn the_event_in_flight_is_answered_and_logged_before_the_process_ends() {
    let (gate, api) = (Gate::start(), RuntimeApi::start());
    let running = gated(&gate).start(&api);
    api.send(Event::new(gate.event()));
    let waiting = gate.wait();
    running.terminate();
    waiting.go();
    let answer = api.answer();
    assert_eq!(answer.kind, "response", "{}", answer.text());
    assert_eq!(outcome(&running), "ok");
    assert_eq!(running.ended(), 0);
    assert_eq!(events_asked_for(&api), 1);
}

#[test]
fn all_events_in_flight_are_answered_and_no_other_is_asked_for() {
    let (gate, api) = (Gate::start(), RuntimeApi::start_managed());
    let running = managed(gated(&gate)).start(&api);
    (0..AT_ONCE).for_each(|_| api.send(Event::new(gate.event())));
    let waiting: Vec<Waiting> = (0..AT_ONCE).map(|_| gate.wait()).collect();
    running.terminate();
    // One that Lambda could still hand out.
    api.send(Event::new(gate.event()));
    for one in waiting {
        one.go();
        let answer = api.answer();
        assert_eq!(answer.kind, "response", "{}", answer.text());
        assert_eq!(outcome(&running), "ok");
    }
    assert_eq!(running.ended(), 0);
    assert_eq!(events_asked_for(&api), AT_ONCE);
}

#[test]
fn some_events_in_flight_are_answered_while_places_are_free() {
    let (gate, api) = (Gate::start(), RuntimeApi::start_managed());
    let running = managed(gated(&gate)).start(&api);
    api.wait_until_asked(&Asked::Next, AT_ONCE);
    api.send(Event::new(gate.event()));
    let waiting = gate.wait();
    running.terminate();
    waiting.go();
    let answer = api.answer();
    assert_eq!(answer.kind, "response", "{}", answer.text());
    assert_eq!(running.ended(), 0);
    assert_eq!(events_asked_for(&api), AT_ONCE);
}

#[test]
fn a_managed_process_registers_for_notice_of_its_end_and_for_nothing_else() {
    let api = RuntimeApi::start_managed();
    let running = managed(Deployed::with("echo")).start(&api);
    api.wait_until_asked(&Asked::Told, 1);
    let register = Asked::Register {
        name: "crunchbox".into(),
        body: r#"{"events":[]}"#.into(),
    };
    let mut asked = api.asked();
    asked.retain(|asked| *asked != Asked::Next);
    assert_eq!(asked, [register, Asked::Told]);
    assert_eq!(api.invoke(Event::new("1")).text(), "1");
    running.terminate();
    assert_eq!(running.ended(), 0);
}

#[test]
fn a_process_for_one_event_at_a_time_registers_for_nothing() {
    let api = RuntimeApi::start();
    let running = Deployed::with("echo").start(&api);
    for _ in 0..2 {
        assert_eq!(api.invoke(Event::new("1")).text(), "1");
    }
    api.wait_until_asked(&Asked::Next, 3);
    running.terminate();
    assert_eq!(running.ended(), 0);
    assert_eq!(api.asked(), vec![Asked::Next; 3]);
}
