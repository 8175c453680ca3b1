//! The deployed program behind a Runtime API: what callers, operators and the log see.

use crate::handle::ODD;
use crate::rig::{Deployed, Event, RuntimeApi, text};
use crunchbox::engine::key::{EngineKey, Interruption};
use std::time::Duration;

#[test]
fn an_event_reaches_the_guest_and_its_answer_the_caller_byte_for_byte() {
    let api = RuntimeApi::start();
    let _running = Deployed::with("echo").start(&api);
    let answer = api.invoke(Event::new(ODD));
    assert_eq!((answer.kind.as_str(), answer.text()), ("response", ODD));
}

#[test]
fn two_events_share_nothing() {
    let api = RuntimeApi::start();
    let _running = Deployed::with("count").start(&api);
    assert_eq!(api.invoke(Event::new("{}")).text(), "1");
    assert_eq!(api.invoke(Event::new("{}")).text(), "1");
}

#[test]
fn what_lambda_says_of_an_invocation_reaches_the_guest() {
    let api = RuntimeApi::start();
    let _running = Deployed::with("facts").start(&api);
    let event = Event::new("{}")
        .header("Lambda-Runtime-Aws-Tenant-Id", "blue")
        .header(
            "Lambda-Runtime-Client-Context",
            r#"{"custom":{"a":1},"env":{"x":"y"}}"#,
        )
        .header(
            "Lambda-Runtime-Cognito-Identity",
            r#"{"cognitoIdentityId":"i"}"#,
        );
    let facts = api.invoke(event).json();
    assert_eq!(
        (&facts["tenantId"], &facts["function"]),
        (&"blue".into(), &"acme-guest".into())
    );
    assert_eq!(
        facts["clientContext"],
        r#"{"custom":{"a":1},"env":{"x":"y"}}"#
    );
    assert_eq!(facts["identity"], r#"{"cognitoIdentityId":"i"}"#);
    assert!(
        facts["traceId"]
            .as_str()
            .unwrap()
            .starts_with("Root=1-5bef4de7")
    );
    assert!(
        facts["invokedArn"]
            .as_str()
            .unwrap()
            .ends_with(":function:acme-guest")
    );
    assert_eq!(facts["requestId"], "8476a536-e9f4-11e8-9739-000000000001");
    assert!(
        facts["remainingMs"].as_u64().unwrap() <= 29_950,
        "the reserve is kept: {facts}"
    );
    assert_eq!(facts["memoryLimit"], (256 - 40) << 20);
    assert_eq!(
        (&facts["variables"], &facts["files"]),
        (&0.into(), &false.into())
    );
}

#[test]
fn the_packages_manifest_and_the_environment_configure_the_guest() {
    let api = RuntimeApi::start();
    let manifest =
        "[function]\nname = 'facts'\n[limits]\nmemory = '64 MiB'\n[config]\nbase = ['base.toml']\n";
    let _running = Deployed::with("facts")
        .file("crunchbox.toml", manifest.as_bytes())
        .file("base.toml", b"[db]\nhost = 'base'\nport = 1\n")
        .variable("CRUNCHBOX_CONFIG", r#"{"db": {"host": "environment"}}"#)
        .start(&api);
    let facts = api.invoke(Event::new(r#"{"config": ["db"]}"#)).json();
    assert_eq!(
        (&facts["function"], &facts["memoryLimit"]),
        (&"facts".into(), &(64 << 20).into())
    );
    assert_eq!(
        facts["config"],
        serde_json::json!({"host": "environment", "port": 1})
    );
}

#[test]
fn failures_carry_kind_message_and_trace_and_leave_the_next_event_served() {
    let api = RuntimeApi::start();
    let _running = Deployed::with("misbehave").start(&api);
    for (event, kind, message) in [
        ("\"fail\"", "NoReadings", "nothing to do"),
        ("\"panic\"", "Crunchbox.GuestPanic", "the window was empty"),
        ("\"exit\"", "Crunchbox.GuestExit", "instead of returning"),
        (
            "\"garbage\"",
            "Crunchbox.ResponseNotJson",
            "not one JSON text",
        ),
        (
            "\"long 6291557\"",
            "Crunchbox.ResponseTooLarge",
            "6291557 bytes",
        ),
        ("\"hoard 400\"", "Crunchbox.MemoryLimit", "limits.memory"),
        ("\"trap\"", "Crunchbox.Trap", "unreachable"),
        (
            "\"overflow 100000000\"",
            "Crunchbox.StackLimit",
            "recursion",
        ),
        ("{", "Crunchbox.EventNotJson", "line 1 column 1"),
    ] {
        let answer = api.invoke(Event::new(event));
        let error = answer.json();
        assert_eq!(
            (answer.kind.as_str(), error["errorType"].as_str().unwrap()),
            ("error", kind),
            "{error}"
        );
        assert!(
            error["errorMessage"].as_str().unwrap().contains(message),
            "{error}"
        );
        assert!(error["stackTrace"].is_array(), "{error}");
        let category = answer.headers["lambda-runtime-function-error-type"]
            .to_str()
            .unwrap();
        assert!(category.starts_with("Function."), "{category}");
    }
    let panic = api.invoke(Event::new("\"panic\"")).json();
    assert!(
        panic["stackTrace"][0]
            .as_str()
            .unwrap()
            .contains("misbehave.rs:"),
        "{panic}"
    );
    assert_eq!(api.invoke(Event::new("\"forge\"")).text(), "null");
}

#[test]
fn a_trap_is_answered_with_its_place() {
    let api = RuntimeApi::start();
    let running = Deployed::with("misbehave").start(&api);
    let error = api.invoke(Event::new("\"trap\"")).json();
    assert!(
        error["stackTrace"][0]
            .as_str()
            .unwrap()
            .contains("misbehave.rs:"),
        "{error}"
    );
    // For an asynchronous event nobody reads the answer; the log has it all.
    let summary = running.lines_of_an_event().pop().unwrap();
    assert_eq!(summary["fields"]["stackTrace"], error["stackTrace"]);
    assert_eq!(summary["fields"]["errorMessage"], error["errorMessage"]);
    assert_eq!(summary["message"], "event failed");
}

#[test]
fn a_runtime_api_that_fails_ends_the_process_with_a_word() {
    let api = RuntimeApi::start();
    let running = Deployed::with("echo")
        .variable("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")
        .start(&api);
    let line: serde_json::Value = serde_json::from_str(&running.line()).unwrap();
    assert_eq!(line["level"], "FATAL");
    assert!(
        line["message"]
            .as_str()
            .unwrap()
            .contains("the Runtime API did not answer next"),
        "{line}"
    );
    assert_eq!(running.exit(), 73);
}

#[test]
fn a_managed_instance_handles_events_at_once() {
    let api = RuntimeApi::start_managed();
    let _running = Deployed::with("misbehave")
        .variable("AWS_LAMBDA_MAX_CONCURRENCY", "2")
        .start(&api);
    api.send(Event::new("\"sleep\"").time(Duration::from_secs(2)));
    let quick = api.invoke(Event::new("\"forge\""));
    assert_eq!(quick.text(), "null", "the quick event is answered first");
    assert_eq!(api.answer().json()["errorType"], "Crunchbox.TimeLimit");
}

#[test]
fn an_event_over_six_megabytes_is_refused_and_the_next_served() {
    let api = RuntimeApi::start();
    let _running = Deployed::with("echo").start(&api);
    let large = format!("\"{}\"", "x".repeat(6 << 20));
    assert_eq!(
        api.invoke(Event::new(large)).json()["errorType"],
        "Crunchbox.EventTooLarge"
    );
    let exact = format!("\"{}\"", "x".repeat((6 << 20) - 2));
    assert_eq!(api.invoke(Event::new(exact.clone())).text(), exact);
}

#[test]
fn a_guest_is_stopped_before_its_caller_gives_up() {
    let api = RuntimeApi::start();
    let _running = Deployed::with("misbehave").start(&api);
    for event in ["\"spin\"", "\"sleep\""] {
        let answer = api.invoke(Event::new(event).time(Duration::from_millis(400)));
        assert_eq!(answer.json()["errorType"], "Crunchbox.TimeLimit", "{event}");
    }
    assert_eq!(api.invoke(Event::new("\"forge\"")).text(), "null");
}

#[test]
fn one_callers_bad_client_context_costs_no_other_event() {
    let api = RuntimeApi::start();
    let running = Deployed::with("echo").start(&api);
    let bad = api.invoke(Event::new("1").header("Lambda-Runtime-Client-Context", "{not json"));
    assert_eq!(
        (bad.kind.as_str(), &bad.json()["errorType"]),
        ("error", &"Crunchbox.ClientContext".into())
    );
    assert_eq!(api.invoke(Event::new("2")).text(), "2");
    let lines = [running.lines_of_an_event(), running.lines_of_an_event()].concat();
    assert_eq!(
        (&lines[0]["fields"]["cold"], &lines[1]["fields"]["cold"]),
        (&true.into(), &false.into()),
        "one process"
    );
}

#[test]
fn the_nonce_of_an_invocation_is_echoed() {
    let api = RuntimeApi::start();
    let _running = Deployed::with("misbehave").start(&api);
    for event in ["\"fail\"", "\"forge\""] {
        let answer =
            api.invoke(Event::new(event).header("Lambda-Runtime-Invocation-Id", "nonce-7"));
        assert_eq!(answer.headers["lambda-runtime-invocation-id"], "nonce-7");
    }
}

#[test]
fn where_the_time_of_a_start_went_is_logged_once_and_only_if_it_is_asked_for() {
    let api = RuntimeApi::start();
    let running = Deployed::with("echo")
        .variable("CRUNCHBOX_TIMINGS", "1")
        .start(&api);
    api.invoke(Event::new("1"));
    let phases = running.timings();
    let names: Vec<_> = phases.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.first(), Some(&"program loaded"), "{names:?}");
    assert_eq!(names.last(), Some(&"response posted"), "{names:?}");
    assert!(phases.iter().any(|(_, took)| *took > 0.0));
    running.lines_of_an_event();
    api.invoke(Event::new("2"));
    assert_eq!(running.lines_of_an_event().len(), 1, "told once");
    let api = RuntimeApi::start();
    let running = Deployed::with("echo").start(&api);
    api.invoke(Event::new("1"));
    assert_eq!(running.lines_of_an_event().len(), 1, "nobody asked");
}

#[test]
fn every_event_has_one_summary_line_that_says_what_it_came_to() {
    let api = RuntimeApi::start();
    let running = Deployed::with("facts").start(&api);
    api.invoke(Event::new("{}"));
    let lines = running.lines_of_an_event();
    let (guests, summary) = (&lines[0], lines.last().unwrap());
    assert_eq!(
        (&guests["message"], &guests["source"]),
        (&"answering".into(), &"guest".into())
    );
    assert_eq!(
        (&summary["level"], &summary["fields"]["outcome"]),
        (&"INFO".into(), &"ok".into())
    );
    assert_eq!(
        (&summary["function"], &summary["fields"]["cold"]),
        (&"acme-guest".into(), &true.into())
    );
    for key in [
        "instantiateMs",
        "callMs",
        "memoryPeakBytes",
        "eventBytes",
        "responseBytes",
    ] {
        assert!(summary["fields"][key].is_number(), "{key} in {summary}");
    }
    assert_eq!(guests["requestId"], summary["requestId"]);
    assert!(
        summary["component"]
            .as_str()
            .unwrap()
            .starts_with("sha256-")
    );
}

#[test]
fn lambdas_log_settings_are_honoured() {
    let api = RuntimeApi::start();
    let quiet = Deployed::with("misbehave")
        .variable("AWS_LAMBDA_LOG_LEVEL", "ERROR")
        .start(&api);
    api.invoke(Event::new("\"forge\""));
    api.invoke(Event::new("\"fail\""));
    assert_eq!(
        quiet.lines_of_an_event()[0]["fields"]["outcome"],
        "Crunchbox.GuestFailure",
        "INFO lines are left out"
    );
    let api = RuntimeApi::start();
    let text = Deployed::with("echo")
        .variable("AWS_LAMBDA_LOG_FORMAT", "Text")
        .start(&api);
    api.invoke(Event::new("1"));
    let line = text.line();
    assert!(
        line.contains(" INFO 8476a536-e9f4-11e8-9739-000000000001 host: event handled"),
        "{line}"
    );
}

#[test]
fn an_init_that_fails_is_posted_with_a_stable_type_before_the_process_ends() {
    for (deployed, kind, exit, words) in [
        (
            Deployed::empty(),
            "Crunchbox.ComponentMissing",
            20,
            "guest.wasm",
        ),
        (
            Deployed::empty().file("guest.wasm", b"\0asm\x01\0\0\0"),
            "Crunchbox.ComponentIsModule",
            24,
            "core",
        ),
        (
            Deployed::empty().file(
                "guest.wasm",
                &std::fs::read(crate::rig::guest("echo")).unwrap(),
            ),
            "Crunchbox.ArtifactMissing",
            33,
            "hint: Run `crunchbox precompile",
        ),
        (
            Deployed::with("echo").file("crunchbox.toml", b"x"),
            "Crunchbox.ManifestInvalid",
            52,
            "crunchbox.toml",
        ),
        (
            Deployed::with("echo").variable("CRUNCHBOX_CONFIG", "[]"),
            "Crunchbox.ConfigInvalid",
            50,
            "CRUNCHBOX_CONFIG",
        ),
        (
            Deployed::with("echo").variable("_HANDLER", "bootstrap"),
            "Crunchbox.SettingInvalid",
            53,
            "such as `crunch`",
        ),
    ] {
        let api = RuntimeApi::start();
        let running = deployed.start(&api);
        let answer = api.answer();
        let error = answer.json();
        assert_eq!(
            (answer.kind.as_str(), error["errorType"].as_str().unwrap()),
            ("init/error", kind),
            "{error}"
        );
        assert!(
            error["errorMessage"].as_str().unwrap().contains(words),
            "{error}"
        );
        assert_eq!(running.exit(), exit);
    }
}

#[test]
fn an_artifact_that_is_not_what_its_statement_says_is_never_loaded() {
    let component = std::fs::read(crate::rig::guest("echo")).unwrap();
    let name = |end: &str| {
        let digest = crunchbox::component::Digest::of(&component);
        let engine = EngineKey::here(Interruption::Replace).remove(0);
        format!("{digest}.{engine}.{end}")
    };
    let api = RuntimeApi::start();
    let running = Deployed::with("echo")
        .file(&name("cwasm"), b"other native code")
        .start(&api);
    assert_eq!(
        api.answer().json()["errorType"],
        "Crunchbox.ArtifactRefused"
    );
    assert_eq!(running.exit(), 34);
}

#[test]
fn a_panic_of_the_host_is_answered_and_a_fresh_process_takes_the_next_event() {
    let api = RuntimeApi::start();
    let folder = tempfile::tempdir().unwrap();
    let at = format!("{}/", text(folder.path()));
    let manifest = format!(
        "[function]\nname = 'network'\n[grants]\nobjects = [{{ at = '{at}', allow = ['list'] }}]\n"
    );
    let running = Deployed::with("network")
        .file("crunchbox.toml", manifest.as_bytes())
        .start(&api);
    assert_eq!(api.invoke(Event::new(r#"{"env": true}"#)).kind, "response");
    // The first folder of a process takes a thread, and without room for its stack tokio panics: a real panic of the host.
    let list = serde_json::json!({"object": {"list": at}}).to_string();
    let before = running.leave_no_room();
    let answer = api.invoke(Event::new(list.clone()));
    running.leave_room();
    assert_eq!(answer.kind, "error");
    assert_eq!(answer.json()["errorType"], "Crunchbox.HostPanic");
    assert_eq!(api.invoke(Event::new(list)).kind, "response");
    assert!(running.is_fresh_since(&before), "the same process went on");
}

#[test]
fn limits_that_the_lambda_function_does_not_leave_room_for_are_warned_of_once() {
    let api = RuntimeApi::start();
    let manifest = "[function]\nname = 'echo'\n[limits]\nmemory = '1 GiB'\ntime = '1m'\n";
    let running = Deployed::with("echo")
        .file("crunchbox.toml", manifest.as_bytes())
        .start(&api);
    let warned = |lines: &[serde_json::Value]| {
        let warnings = lines.iter().filter(|line| line["level"] == "WARN");
        let messages = warnings.filter_map(|line| line["message"].as_str());
        messages.map(str::to_owned).collect::<Vec<_>>()
    };
    let hurried = || Event::new("1").time(Duration::from_secs(5));
    api.invoke(hurried());
    let first = warned(&running.lines_of_an_event());
    assert!(
        first[0].contains("limits.memory is 1024 MiB") && first[0].contains("raise MemorySize")
    );
    assert!(first[1].contains("limits.time is 60 s") && first[1].contains("raise Timeout"));
    api.invoke(hurried());
    assert!(warned(&running.lines_of_an_event()).is_empty());
}

#[test]
fn native_code_of_the_package_is_mapped_where_it_lies_if_nobody_can_write_it_and_else_from_sealed_memory()
 {
    let mapped = |deployed: Deployed| {
        let api = RuntimeApi::start();
        let running = deployed.start(&api);
        assert_eq!(api.invoke(Event::new("[1]")).text(), "[1]");
        let maps = running.maps();
        [".cwasm", "memfd:artifact"].map(|name| maps.contains(name))
    };
    assert_eq!(mapped(Deployed::with("echo").read_only()), [true, false]);
    assert_eq!(mapped(Deployed::with("echo")), [false, true]);
}
