//! Events through `Host::handle`, with real guests.

use crate::rig::{Rig, failure};
use crunchbox::error::{Blame, Code};
use crunchbox::event::Invocation;
use std::time::{Duration, Instant};

/// What no parser keeps: a 30-digit integer, a number beyond doubles, duplicate keys, spaces inside and outside.
pub const ODD: &str = " \n{\"n\" : 123456789012345678901234567890, \"e\":1e400,\t\"a\":1, \"a\":2 ,\"u\":\"\\u00e9é\"}\r\n ";

#[test]
fn an_event_reaches_the_guest_and_its_answer_the_caller_byte_for_byte() {
    assert_eq!(Rig::of("echo").start().handle(ODD).result.unwrap(), ODD);
}

#[test]
fn two_events_share_nothing() {
    let rig = Rig::of("count").start();
    for _ in 0..3 {
        assert_eq!(rig.handle("{}").result.unwrap(), "1");
    }
}

#[test]
fn events_at_once_share_nothing_and_all_are_answered() {
    let rig = Rig::of("count").start();
    let answers = rig.block_on(async {
        let many = (0..8).map(|_| {
            rig.host.handle(Invocation {
                event: b"{}".to_vec(),
                ..Invocation::default()
            })
        });
        futures_util::future::join_all(many).await
    });
    assert!(
        answers
            .into_iter()
            .all(|outcome| outcome.result.unwrap() == "1")
    );
}

#[test]
fn an_event_that_finds_no_place_before_its_deadline_is_told_so() {
    let rig = Rig::of("misbehave").time(Duration::from_secs(1)).start();
    let spin = || Invocation {
        event: b"\"spin\"".to_vec(),
        ..Invocation::default()
    };
    let late = Invocation {
        deadline: Some(Instant::now() + Duration::from_millis(50)),
        ..spin()
    };
    let (first, second, third) = rig.block_on(async {
        tokio::join!(
            rig.host.handle(spin()),
            rig.host.handle(spin()),
            rig.host.handle(late)
        )
    });
    let codes = [first, second, third].map(|outcome| failure(outcome).code);
    assert_eq!(codes, [Code::TimeLimit, Code::TimeLimit, Code::Busy]);
}

#[test]
fn the_demonstration_summarises_readings_as_its_config_says() {
    let config = r#"{"percentiles": [50], "outliers": {"iqr": 1.5}}"#;
    let rig = Rig::of("crunch").config(config).start();
    let event = include_str!("../guest/examples/crunch/events/two-stations.json");
    let response: serde_json::Value =
        serde_json::from_str(&rig.handle(event).result.unwrap()).unwrap();
    assert_eq!(response["stations"]["oslo"]["temp"]["p50"], 20.2);
}

#[test]
fn a_guest_knows_its_invocation_and_nothing_of_the_machine() {
    let rig = Rig::of("facts")
        .memory(32)
        .time(Duration::from_secs(5))
        .start();
    let outcome = rig.handle_as(Invocation {
        event: b"{}".to_vec(),
        request_id: "r-1".into(),
        trace_id: Some("Root=1".into()),
        tenant_id: Some("blue".into()),
        invoked_arn: Some("arn:x".into()),
        client_context: Some("{\"env\": 1}".into()),
        identity: None,
        deadline: None,
    });
    let facts: serde_json::Value = serde_json::from_str(&outcome.result.unwrap()).unwrap();
    assert_eq!(
        (&facts["requestId"], &facts["function"], &facts["channel"]),
        (&"r-1".into(), &"facts".into(), &"local".into())
    );
    assert_eq!(
        (&facts["tenantId"], &facts["clientContext"]),
        (&"blue".into(), &"{\"env\": 1}".into())
    );
    assert_eq!(
        (&facts["identity"], &facts["memoryLimit"]),
        (&serde_json::Value::Null, &(32 << 20).into())
    );
    assert_eq!(
        (&facts["variables"], &facts["arguments"], &facts["files"]),
        (&0.into(), &0.into(), &false.into())
    );
    assert!(facts["release"].as_str().unwrap().starts_with("sha256-"));
    assert!(
        (1..=5000).contains(&facts["remainingMs"].as_u64().unwrap()),
        "{facts}"
    );
}

#[test]
fn config_is_read_by_path_and_a_wrong_path_is_an_error_the_guest_can_handle() {
    let rig = Rig::of("facts")
        .config(r#"{"db": {"host": "a", "big": 12345678901234567890}}"#)
        .start();
    let facts = |event| {
        serde_json::from_str::<serde_json::Value>(&rig.handle(event).result.unwrap()).unwrap()
    };
    assert_eq!(facts(r#"{"config": ["db", "host"]}"#)["config"], "a");
    assert_eq!(
        facts(r#"{"config": ["db", "nothing"]}"#)["config"],
        serde_json::Value::Null
    );
    assert_eq!(
        facts(r#"{"config": []}"#)["config"]["db"]["big"],
        12345678901234567890u64
    );
    let failure = failure(rig.handle(r#"{"config": ["db", "host", "x"]}"#));
    assert_eq!(
        (failure.kind.as_str(), failure.message.as_str()),
        (
            "ConfigError",
            "`db.host`: expected a table, got a string (base, test.json:1)"
        )
    );
}

#[test]
fn log_lines_carry_the_events_scope_and_fields_of_their_own() {
    let rig = Rig::of("facts").config("{}").start();
    rig.handle(r#"{"config": ["a"]}"#).result.unwrap();
    let lines = rig.lines();
    assert_eq!(
        lines.len(),
        1,
        "debug lines are below the threshold: {lines:?}"
    );
    assert_eq!(
        (&lines[0]["message"], &lines[0]["requestId"]),
        (&"answering".into(), &"test".into())
    );
    assert_eq!(
        (&lines[0]["fields"]["asked"], &lines[0]["fields"]["parts"]),
        (&"a".into(), &1.into())
    );
    assert!(
        lines[0]["component"]
            .as_str()
            .unwrap()
            .starts_with("sha256-")
    );
}

#[test]
fn a_guest_cannot_forge_level_request_or_line() {
    let rig = Rig::of("misbehave").start();
    rig.handle("\"forge\"").result.unwrap();
    let lines = rig.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["level"], &lines[0]["requestId"]),
        (&"INFO".into(), &"test".into())
    );
    assert_eq!(lines[0]["fields"]["level"], "FATAL");
}

#[test]
fn output_becomes_log_lines_and_too_much_of_it_is_cut_with_a_note() {
    let rig = Rig::of("misbehave").start();
    let outcome = rig.handle("\"print 100000\"");
    assert_eq!(outcome.result.unwrap(), "null");
    assert!(outcome.usage.log_cut > 90_000, "{}", outcome.usage.log_cut);
    let lines = rig.lines();
    assert_eq!(
        (&lines[0]["message"], &lines[0]["source"]),
        (&"line 0".into(), &"stdout".into())
    );
    assert!(
        lines.last().unwrap()["message"]
            .as_str()
            .unwrap()
            .contains("was cut")
    );
}

#[test]
fn an_unfinished_line_is_written_at_the_end() {
    let rig = Rig::of("misbehave").start();
    rig.handle("\"print 1\"").result.unwrap();
    let said: Vec<_> = rig
        .lines()
        .iter()
        .map(|line| format!("{} {}", line["level"], line["message"]))
        .collect();
    assert_eq!(
        said,
        [
            r#""INFO" "line 0""#,
            r#""WARN" "done""#,
            r#""INFO" "no line break at the end""#
        ]
    );
}

#[test]
fn a_failure_keeps_the_guests_kind_message_and_details() {
    let failure = failure(Rig::of("misbehave").start().handle("\"fail\""));
    assert_eq!(
        (failure.code, failure.kind.as_str()),
        (Code::GuestFailure, "NoReadings")
    );
    assert_eq!(
        (failure.message.as_str(), failure.details.as_deref()),
        ("nothing to do", Some(r#"{"n":1}"#))
    );
}

#[test]
fn a_kind_that_is_the_hosts_or_no_word_is_refused() {
    let rig = Rig::of("misbehave").start();
    for verb in ["\"fail-as-host\"", "\"fail-as-line\""] {
        let failure = failure(rig.handle(verb));
        assert_eq!(
            (failure.code, failure.kind.as_str()),
            (Code::ReservedKind, "Crunchbox.ReservedKind")
        );
    }
    assert_eq!(failure(rig.handle("\"fail-unnamed\"")).kind, "Error");
}

#[test]
fn a_panic_arrives_with_message_place_and_trace() {
    let failure = failure(Rig::of("misbehave").start().handle("\"panic\""));
    assert_eq!(
        (failure.code, failure.message.as_str()),
        (Code::GuestPanic, "the window was empty")
    );
    assert!(
        failure.trace[0].contains("misbehave.rs:"),
        "{:?}",
        failure.trace
    );
    assert!(
        failure.trace[1..]
            .iter()
            .any(|place| place.starts_with("misbehave (tests/guests/examples/misbehave.rs:")),
        "{:?}",
        failure.trace
    );
}

#[test]
fn a_trap_is_named_with_its_place() {
    let failure = failure(Rig::of("misbehave").start().handle("\"trap\""));
    assert_eq!(failure.code, Code::Trap);
    assert!(
        failure.message.contains("unreachable"),
        "{}",
        failure.message
    );
    assert!(
        failure.trace[0].contains("misbehave.rs:"),
        "{:?}",
        failure.trace
    );
}

#[test]
fn a_guest_that_loops_is_stopped_at_its_time_limit() {
    let rig = Rig::of("misbehave")
        .time(Duration::from_millis(200))
        .start();
    let failure = failure(rig.handle("\"spin\""));
    assert_eq!(failure.code, Code::TimeLimit);
    assert!(
        failure
            .trace
            .iter()
            .any(|place| place.contains("misbehave")),
        "{:?}",
        failure.trace
    );
    assert_eq!(
        rig.handle("\"forge\"").result.unwrap(),
        "null",
        "the next event is served"
    );
}

#[test]
fn a_guest_that_waits_is_stopped_at_the_callers_deadline_and_its_time_is_told() {
    let rig = Rig::of("misbehave").start();
    let outcome = rig.handle_as(Invocation {
        event: b"\"sleep\"".to_vec(),
        deadline: Some(Instant::now() + Duration::from_millis(200)),
        ..Invocation::default()
    });
    assert!(
        outcome.usage.call > Duration::from_millis(50),
        "{:?}",
        outcome.usage
    );
    assert_eq!(failure(outcome).code, Code::TimeLimit);
}

#[test]
fn looping_guests_on_every_thread_do_not_hold_up_another() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let rig = Rig::of("misbehave")
        .time(Duration::from_secs(5))
        .at_once(cores + 1)
        .start();
    let invocation = |event: &str| Invocation {
        event: event.into(),
        ..Invocation::default()
    };
    let first = rig.block_on(async {
        let spins = (0..cores).map(|_| Box::pin(rig.host.handle(invocation("\"spin\""))));
        let spins = futures_util::future::select_all(spins);
        let quick = std::pin::pin!(rig.host.handle(invocation("\"forge\"")));
        match futures_util::future::select(spins, quick).await {
            futures_util::future::Either::Left(_) => "spin",
            futures_util::future::Either::Right(_) => "quick",
        }
    });
    assert_eq!(first, "quick");
}

#[test]
fn memory_beyond_the_limit_is_a_failure_of_its_own_and_the_peak_is_told() {
    let rig = Rig::of("misbehave").memory(16).start();
    let outcome = rig.handle("\"hoard 64\"");
    assert!(outcome.usage.memory_peak <= 16 << 20 && outcome.usage.memory_peak > 8 << 20);
    let failure = failure(outcome);
    assert_eq!(failure.code, Code::MemoryLimit);
    assert!(
        failure.message.contains("more than limits.memory, 16 MiB"),
        "{}",
        failure.message
    );
    assert!(
        rig.handle("\"hoard 4\"").result.is_ok(),
        "the next event has all its memory"
    );
}

#[test]
fn growths_that_fail_give_nothing_back() {
    let outcome = Rig::of("misbehave")
        .memory(16)
        .start()
        .handle("\"creep 64\"");
    let had: usize = outcome.result.unwrap().parse().unwrap();
    assert!(
        (8..16).contains(&had),
        "{had} MiB more than it started with"
    );
    assert!(outcome.usage.memory_peak <= 16 << 20, "{:?}", outcome.usage);
}

#[test]
fn a_guest_that_handles_a_refused_growth_goes_on() {
    assert_eq!(
        Rig::of("misbehave")
            .memory(16)
            .start()
            .handle("\"survive 64\"")
            .result
            .unwrap(),
        "true"
    );
}

#[test]
fn a_recursion_without_end_hits_the_stack_limit() {
    let failure = failure(
        Rig::of("misbehave")
            .start()
            .handle("\"overflow 100000000\""),
    );
    assert_eq!(failure.code, Code::StackLimit, "{failure}");
    assert!(
        failure.trace[0].contains("misbehave::deep"),
        "{:?}",
        failure.trace
    );
}

#[test]
fn a_guest_that_exits_is_told_from_one_that_traps() {
    let failure = failure(Rig::of("misbehave").start().handle("\"exit\""));
    assert_eq!(failure.code, Code::GuestExit);
    assert!(
        failure.message.contains("as an error"),
        "{}",
        failure.message
    );
    assert!(
        failure.trace[0].contains("misbehave"),
        "{:?}",
        failure.trace
    );
}

#[test]
fn a_response_that_is_not_json_or_too_long_is_the_guests_failure() {
    let rig = Rig::of("misbehave").memory(256).start();
    assert_eq!(
        failure(rig.handle("\"garbage\"")).code,
        Code::ResponseNotJson
    );
    assert_eq!(
        rig.handle("\"long 6291556\"").result.unwrap().len(),
        6_291_556
    );
    assert_eq!(
        failure(rig.handle("\"long 6291557\"")).code,
        Code::ResponseTooLarge
    );
    assert_eq!(
        failure(rig.handle("\"long 40000000\"")).code,
        Code::ResponseTooLarge
    );
}

#[test]
fn an_event_that_is_not_json_never_reaches_a_guest() {
    let outcome = Rig::of("echo").start().handle("{");
    assert_eq!(outcome.usage.memory_limit, 0, "no guest was made");
    assert_eq!(failure(outcome).code.meaning().blame, Blame::Caller);
}
