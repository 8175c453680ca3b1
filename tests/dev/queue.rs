//! Events that nobody waits for: retries, records of what became of them, and what is said of those that are left.

use crate::rig::dev::{Ask, Dev, Gate};
use crate::rig::{guest, text};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// An event with which the guest `facts` fails, and what no parser keeps in it.
const BAD: &str = r#"{"config" : "nothing", "n":123456789012345678901234567890,"n":1.50}"#;

/// All files below a folder, but for the one that writers take turns by.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| !path.ends_with(".lock"))
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .collect()
}

/// The only record in a folder: its text, and the same as JSON.
fn record(folder: &Path) -> (String, Value) {
    let files = files(folder);
    assert_eq!(files.len(), 1, "{files:?}");
    let name = files[0].strip_prefix(folder).unwrap();
    assert!(name.starts_with("aws/lambda/async/facts"), "{name:?}");
    let text = std::fs::read_to_string(&files[0]).unwrap();
    let record = serde_json::from_str(&text).unwrap();
    (text, record)
}

/// Serves `facts` with more arguments.
fn facts(arguments: &[&str]) -> Dev {
    let guest = guest("facts");
    Dev::with(&[&[text(&guest), "--no-watch"][..], arguments].concat())
}

/// Sends an event that nobody waits for; its request id.
fn sent(dev: &Dev, event: &'static str) -> String {
    let answer = dev.ask(Ask::event("facts", event));
    assert_eq!((answer.status, answer.text()), (202, ""));
    answer.header("x-amzn-RequestId").to_owned()
}

#[test]
fn an_event_that_fails_each_time_ends_as_a_record_with_its_very_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = text(folder.path());
    let retries = ["--retries", "2", "--retry-wait", "1ms"];
    let dev = facts(&[&retries[..], &["--on-failure", path]].concat());
    let id = sent(&dev, BAD);
    for _ in 0..3 {
        assert_eq!(dev.line_of("invocation")["requestId"], *id);
    }
    let last = dev.until(|line| line["level"] == "ERROR" && line.to_string().contains(path));
    assert!(last.to_string().contains(&id), "{last}");
    let (text, record) = record(folder.path());
    assert!(text.contains(BAD), "{text}");
    let context = &record["requestContext"];
    assert_eq!(
        (&record["version"], &context["requestId"]),
        (&"1.0".into(), &id.into())
    );
    assert_eq!(
        (&context["condition"], &context["approximateInvokeCount"]),
        (&"RetriesExhausted".into(), &3.into())
    );
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:facts:$LATEST";
    assert_eq!(context["functionArn"], arn);
    let response = &record["responseContext"];
    assert_eq!(
        (&response["statusCode"], &response["functionError"]),
        (&200.into(), &"Unhandled".into())
    );
    assert_eq!(response["executedVersion"], "1");
    assert!(
        record["responsePayload"]["errorType"].is_string(),
        "{record}"
    );
    assert!(record["timestamp"].is_string());
}

#[test]
fn without_a_place_for_records_a_failure_is_told_and_how_to_have_one() {
    let dev = facts(&["--retries", "0"]);
    let id = sent(&dev, BAD);
    let line = dev.until(|line| line["level"] == "ERROR" && line.to_string().contains(&id));
    assert!(line.to_string().contains("--on-failure"), "{line}");
}

#[test]
fn an_event_that_succeeds_is_recorded_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let failures = tempfile::tempdir().unwrap();
    let [good, bad] = [&folder, &failures].map(|folder| text(folder.path()).to_owned());
    let dev = facts(&["--on-success", &good, "--on-failure", &bad]);
    let id = sent(&dev, r#"{"config": []}"#);
    assert_eq!(dev.line_of("invocation")["outcome"], "ok");
    // What runs has an end before the process has.
    dev.interrupt();
    assert_eq!(dev.ended(), 0);
    let (_, record) = record(folder.path());
    let context = &record["requestContext"];
    assert_eq!(
        (&context["condition"], &context["approximateInvokeCount"]),
        (&"Success".into(), &1.into())
    );
    assert_eq!(record["responsePayload"]["requestId"], *id);
    assert!(record["responseContext"]["functionError"].is_null());
    assert!(files(failures.path()).is_empty());
}

#[test]
fn the_client_context_of_an_event_in_the_queue_is_not_passed_on() {
    let folder = tempfile::tempdir().unwrap();
    let dev = facts(&["--on-success", text(folder.path())]);
    // `{"custom": {}}`
    let ask = Ask::event("facts", "{}").header("X-Amz-Client-Context", "eyJjdXN0b20iOiB7fX0=");
    assert_eq!(dev.ask(ask).status, 202);
    dev.line_of("invocation");
    dev.interrupt();
    assert_eq!(dev.ended(), 0);
    let (_, record) = record(folder.path());
    assert_eq!(record["responsePayload"]["clientContext"], Value::Null);
}

#[test]
fn an_event_whose_retry_is_far_off_is_named_when_the_process_ends() {
    let dev = facts(&["--retries", "1", "--retry-wait", "1h"]);
    let id = sent(&dev, BAD);
    assert_eq!(dev.line_of("invocation")["requestId"], *id);
    dev.interrupt();
    let drained = dev.line_of("drained");
    assert!(drained.to_string().contains(&id), "{drained}");
    dev.ended();
}

#[test]
fn an_event_that_is_no_event_is_refused_at_once() {
    let dev = facts(&[]);
    assert_eq!(dev.ask(Ask::event("facts", "{")).status, 400);
    assert_eq!(dev.ask(Ask::event("nobody", "{}")).status, 404);
    assert_eq!(dev.ask(Ask::event("facts:77", "{}")).status, 404);
}

#[test]
fn an_event_for_which_there_is_no_place_waits_and_is_no_failure() {
    let gate = Gate::start();
    let project = gate.project();
    let dev = Dev::project(&project, &[".", "--no-watch", "--concurrency", "1"]);
    for _ in 0..2 {
        assert_eq!(dev.ask(Ask::event("gated", gate.event())).status, 202);
    }
    for _ in 0..2 {
        gate.wait().go();
        assert_eq!(dev.line_of("invocation")["outcome"], "ok");
    }
}
