//! Lambda's operation `Invoke`: events, names, what is said beside an event, and refusals.

use super::{EVENT_BYTES_MAX, QUEUED_BYTES_MAX, guests, json_of};
use crate::handle::ODD;
use crate::rig::dev::{Answer, Ask, Dev, Gate};
use crate::rig::{guest, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

#[test]
fn an_event_reaches_the_guest_and_its_answer_the_caller_byte_for_byte() {
    let dev = Dev::guest("echo");
    let answer = dev.invoke("echo", ODD);
    assert_eq!(answer.response(), ODD);
    assert_eq!(answer.header("Content-Type"), "application/json");
}

#[test]
fn no_event_is_an_empty_object() {
    let dev = Dev::guest("echo");
    assert_eq!(dev.invoke("echo", "").response(), "{}");
}

#[test]
fn a_failure_of_the_function_is_an_answer_that_says_so_and_the_next_event_is_served() {
    let dev = Dev::guest("misbehave");
    for (event, kind, message) in [
        ("\"fail\"", "NoReadings", "nothing to do"),
        ("\"panic\"", "Crunchbox.GuestPanic", "the window was empty"),
        ("\"exit\"", "Crunchbox.GuestExit", "instead of returning"),
        (
            "\"garbage\"",
            "Crunchbox.ResponseNotJson",
            "not one JSON text",
        ),
        ("\"trap\"", "Crunchbox.Trap", "unreachable"),
    ] {
        let failure = dev.invoke("misbehave", event).failure();
        assert_eq!(failure["errorType"], kind);
        let said = failure["errorMessage"].as_str().unwrap();
        assert!(said.contains(message), "{failure}");
    }
    assert_eq!(dev.invoke("misbehave", "\"forge\"").response(), "null");
}

/// A refusal: the status, Lambda's name of the exception, and the keys of the body.
fn refused(answer: &Answer) -> (u16, String, Vec<String>) {
    assert!(!answer.header("x-amzn-RequestId").is_empty(), "{answer:?}");
    assert_eq!(answer.header("Content-Type"), "application/json");
    assert_eq!(answer.header("X-Amz-Function-Error"), "");
    let body = answer.json();
    let mut keys: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    let kind = answer.header("x-amzn-ErrorType").to_owned();
    (answer.status, kind, keys)
}

#[test]
fn each_refusal_has_the_status_the_type_and_the_body_that_clients_read() {
    let dev = Dev::guest("echo");
    let type_and = |message: &str| vec!["Type".to_owned(), message.to_owned()];
    let not_found = (
        404,
        "ResourceNotFoundException",
        vec!["Message".to_owned(), "Type".to_owned()],
    );
    let content = (400, "InvalidRequestContentException", type_and("message"));
    let parameter = (400, "InvalidParameterValueException", type_and("message"));
    let invalid = (400, "ValidationException", vec!["message".to_owned()]);
    let header = |name: &'static str, value: &str| Ask::invoke("echo", "1").header(name, value);
    for (ask, (status, kind, keys)) in [
        (Ask::invoke("nobody", "1"), &not_found),
        (Ask::invoke("echo:99", "1"), &not_found),
        (Ask::invoke("echo:staging", "1"), &not_found),
        (Ask::invoke("echo", "{"), &content),
        (Ask::invoke("echo", "1 2"), &content),
        (Ask::invoke("echo", &b"\"\xff\""[..]), &content),
        (header("X-Amz-Client-Context", "{}"), &content),
        (
            header("X-Amz-Client-Context", &STANDARD.encode("[]")),
            &content,
        ),
        (header("X-Amz-Invocation-Type", "Sometimes"), &invalid),
        (header("X-Amz-Log-Type", "Head"), &invalid),
        (header("X-Amz-Durable-Execution-Name", "x"), &parameter),
        (Ask::invoke("e*cho", "1"), &invalid),
        (Ask::invoke("echo%FF", "1"), &invalid),
        (Ask::invoke(&"x".repeat(300), "1"), &invalid),
    ] {
        let wanted = (*status, (*kind).to_owned(), keys.clone());
        assert_eq!(refused(&dev.ask(ask)), wanted);
    }
    assert_eq!(dev.invoke("echo", "1").response(), "1");
}

#[test]
fn a_path_that_is_no_operation_is_refused() {
    let dev = Dev::guest("echo");
    for (method, path) in [
        ("POST", "/"),
        ("GET", "/2015-03-31/functions"),
        ("POST", "/2015-03-31/functions/echo/other"),
        ("POST", "/2014-11-13/functions/echo/invoke-async"),
    ] {
        let (status, kind, _) = refused(&dev.ask(Ask::new(method, path).body("1")));
        assert_eq!(
            (status, kind.as_str()),
            (404, "UnknownOperationException"),
            "{method} {path}"
        );
    }
}

#[test]
fn an_event_of_six_mebibytes_is_taken_and_whatever_is_longer_refused() {
    let dev = Dev::guest("echo");
    let event = json_of(EVENT_BYTES_MAX);
    assert!(dev.invoke("echo", event.clone()).response() == event);
    for bytes in [EVENT_BYTES_MAX + 1, 4 * EVENT_BYTES_MAX] {
        let (status, kind, _) = refused(&dev.invoke("echo", json_of(bytes)));
        assert_eq!((status, kind.as_str()), (413, "RequestTooLargeException"));
    }
}

#[test]
fn a_queued_event_of_one_mebibyte_is_taken_and_one_byte_more_refused() {
    let dev = Dev::guest("echo");
    let taken = dev.ask(Ask::event("echo", json_of(QUEUED_BYTES_MAX)));
    assert_eq!(taken.status, 202);
    let (status, kind, _) = refused(&dev.ask(Ask::event("echo", json_of(QUEUED_BYTES_MAX + 1))));
    assert_eq!((status, kind.as_str()), (413, "RequestTooLargeException"));
}

#[test]
fn a_response_beyond_six_mebibytes_is_a_failure_of_the_function() {
    let dev = Dev::guest("misbehave");
    let answer = dev.invoke("misbehave", "\"long 6291556\"");
    assert_eq!(answer.response().len(), 6_291_556);
    dev.invoke("misbehave", "\"long 6291557\"").failure();
}

#[test]
fn a_function_is_found_by_every_form_of_its_name() {
    let dev = Dev::guest("echo");
    for name in [
        "echo",
        "echo:$LATEST",
        "echo:%24LATEST",
        "echo:1",
        "function:echo",
        "123456789012:function:echo",
        "arn:aws:lambda:eu-west-1:123456789012:function:echo",
        "arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Aecho",
        "arn:aws:lambda:eu-west-1:123456789012:function:echo:1",
        "%65cho",
    ] {
        assert_eq!(dev.invoke(name, "[1]").response(), "[1]", "{name}");
    }
}

/// An event with a qualifier beside the name.
fn qualified(function: &str, qualifier: &str) -> Ask {
    let path = format!("/2015-03-31/functions/{function}/invocations?Qualifier={qualifier}");
    Ask::new("POST", &path).body("1")
}

#[test]
fn what_served_an_event_is_named_beside_its_answer() {
    let dev = Dev::guest("echo");
    for ask in [
        Ask::invoke("echo", "1"),
        qualified("echo", "$LATEST"),
        qualified("echo", "%24LATEST"),
        qualified("echo", "1"),
        qualified("echo:1", "1"),
    ] {
        let answer = dev.ask(ask);
        assert_eq!(answer.header("X-Amz-Executed-Version"), "1", "{answer:?}");
        assert!(answer.header("X-Crunchbox-Release").starts_with("sha256-"));
    }
}

#[test]
fn two_qualifiers_that_differ_are_refused() {
    let dev = Dev::guest("echo");
    let (status, kind, _) = refused(&dev.ask(qualified("echo:1", "$LATEST")));
    let wanted = (400, "InvalidParameterValueException");
    assert_eq!((status, kind.as_str()), wanted);
}

#[test]
fn a_dry_run_runs_nothing() {
    let dev = Dev::guest("misbehave");
    let dry = |ask: Ask| dev.ask(ask.header("X-Amz-Invocation-Type", "DryRun"));
    let answer = dry(Ask::invoke("misbehave", "\"spin\""));
    assert_eq!((answer.status, answer.text()), (204, ""));
    assert_eq!(dry(Ask::invoke("nobody", "1")).status, 404);
    dev.invoke("misbehave", "\"forge\"");
    let only = dev.line_of("invocation");
    assert_eq!(only["outcome"], "ok");
}

/// The end of an invocation's log, as its caller is shown it.
fn tail(dev: &Dev, function: &str, event: &'static str) -> (String, String) {
    let ask = Ask::invoke(function, event).header("X-Amz-Log-Type", "Tail");
    let answer = dev.ask(ask);
    let log = STANDARD.decode(answer.header("X-Amz-Log-Result")).unwrap();
    let id = answer.header("x-amzn-RequestId").to_owned();
    (id, String::from_utf8(log).unwrap())
}

#[test]
fn the_end_of_the_log_is_shown_to_callers_who_ask_for_it() {
    let dev = Dev::guest("facts");
    let (id, log) = tail(&dev, "facts", "{}");
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines[0], format!("START RequestId: {id} Version: 1"));
    assert!(lines[1].contains("answering"), "{log}");
    assert_eq!(lines[lines.len() - 2], format!("END RequestId: {id}"));
    let report = lines[lines.len() - 1];
    assert!(report.starts_with(&format!("REPORT RequestId: {id}\tDuration: ")));
    for word in [
        " ms\tBilled Duration: ",
        "\tMemory Size: ",
        " MB\tMax Memory Used: ",
    ] {
        assert!(report.contains(word), "{word:?} in {report:?}");
    }
    let without = dev.invoke("facts", "{}");
    assert_eq!(without.header("X-Amz-Log-Result"), "");
}

#[test]
fn four_kibibytes_of_a_longer_log_are_shown_and_they_are_the_last() {
    let dev = Dev::guest("misbehave");
    let (id, log) = tail(&dev, "misbehave", "\"log 500\"");
    assert!((3_000..=4_096).contains(&log.len()), "{}", log.len());
    assert!(log.contains("line 499") && !log.contains("START RequestId"));
    let last = log.lines().last().unwrap();
    assert!(
        last.starts_with(&format!("REPORT RequestId: {id}")),
        "{last}"
    );
}

#[test]
fn what_a_caller_says_beside_an_event_reaches_the_guest() {
    let dev = Dev::guest("facts");
    let context = r#"{"custom": {"a": 1}, "env": {"x": "é"}}"#;
    let trace = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1";
    let ask = Ask::invoke("facts:1", "{}")
        .header("X-Amz-Client-Context", &STANDARD.encode(context))
        .header("X-Amz-Tenant-Id", "blue")
        .header("X-Amzn-Trace-Id", trace);
    let answer = dev.ask(ask);
    let facts: Value = serde_json::from_str(answer.response()).unwrap();
    assert_eq!(facts["clientContext"], context);
    assert_eq!(
        (&facts["tenantId"], &facts["traceId"]),
        (&"blue".into(), &trace.into())
    );
    assert_eq!(facts["requestId"], answer.header("x-amzn-RequestId"));
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:facts:1";
    assert_eq!(facts["invokedArn"], arn);
    let release = answer.header("X-Crunchbox-Release");
    assert_eq!(
        (&facts["function"], &facts["release"]),
        (&"facts".into(), &release.into())
    );
}

#[test]
fn a_caller_who_says_nothing_gets_a_request_id_and_a_trace_of_its_own() {
    let dev = Dev::guest("facts");
    let [first, second] = [(); 2].map(|()| {
        let facts = dev.invoke("facts", "{}").json();
        assert_eq!(
            (&facts["clientContext"], &facts["tenantId"]),
            (&Value::Null, &Value::Null)
        );
        let trace = facts["traceId"].as_str().unwrap();
        assert!(trace.starts_with("Root=1-"), "{facts}");
        (facts["requestId"].clone(), facts["traceId"].clone())
    });
    assert!(first.0 != second.0 && first.1 != second.1);
}

#[test]
fn beyond_its_concurrency_a_function_is_not_called_and_no_place_is_lost() {
    let gate = Gate::start();
    let project = gate.project();
    let dev = Dev::project(&project, &[".", "--no-watch", "--concurrency", "2"]);
    let asking = || dev.asking(Ask::invoke("gated", gate.event()));
    let first = [asking(), asking()];
    let waiting = [gate.wait(), gate.wait()];
    let third = asking().answer();
    let (status, kind, keys) = refused(&third);
    assert_eq!((status, kind.as_str()), (429, "TooManyRequestsException"));
    assert_eq!(keys, ["Reason", "Type", "message"]);
    assert_eq!(third.header("Retry-After"), "1");
    waiting.into_iter().for_each(|waiting| waiting.go());
    for asking in first {
        asking.answer().response();
    }
    let again = asking();
    gate.wait().go();
    again.answer().response();
}

#[test]
fn an_event_beyond_its_time_is_stopped_and_the_next_one_served() {
    let guest = guest("misbehave");
    let dev = Dev::with(&[text(&guest), "--no-watch", "--timeout", "300ms"]);
    for event in ["\"spin\"", "\"sleep\""] {
        let answer = dev.invoke("misbehave", event);
        assert_eq!(answer.kind(), "Crunchbox.TimeLimit");
    }
    assert_eq!(dev.invoke("misbehave", "\"forge\"").response(), "null");
}

#[test]
fn a_guest_has_the_memory_that_is_said() {
    let guest = guest("facts");
    let dev = Dev::with(&[text(&guest), "--no-watch", "--memory", "48 MiB"]);
    let facts = dev.invoke("facts", "{}").json();
    assert_eq!(facts["memoryLimit"], 48 << 20);
}

#[test]
fn a_guest_is_configured_as_it_is_by_run() {
    let guest = guest("facts");
    let dev = Dev::launch(&[text(&guest), "--no-watch"])
        .variable("CRUNCHBOX_CONFIG", r#"{"db": {"port": 1}}"#)
        .start();
    let facts = dev.invoke("facts", r#"{"config": ["db"]}"#).json();
    assert_eq!(facts["config"], json!({"port": 1}));
}

#[test]
fn functions_do_not_take_each_others_places() {
    let dev = guests(&["misbehave", "echo"]);
    let spinning = dev.asking(Ask::invoke("misbehave", "\"spin\""));
    assert_eq!(dev.invoke("echo", "1").response(), "1");
    spinning.give_up();
}
