//! `crunchbox test`, and releases that only come after it.

use crate::rig::{Project, root, text};
use serde_json::Value;

const EVENT: &str = r#"{"config": ["v"]}"#;

/// A project that answers with its configuration's `v` and much else.
fn facts() -> Project {
    let project = Project::new("facts");
    project.file("events/one.json", EVENT);
    project
}

/// A project whose events say how to misbehave.
fn misbehaving(events: &[(&str, &str)]) -> Project {
    let project = Project::new("misbehave");
    for (name, event) in events {
        project.file(&format!("events/{name}.json"), event);
    }
    project
}

fn file(project: &Project, name: &str) -> String {
    std::fs::read_to_string(project.path().join(name)).unwrap()
}

/// The objects of that type in a command's reports.
fn reports(stderr: &str, kind: &str) -> Vec<Value> {
    let lines = stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    lines.filter(|line: &Value| line["type"] == kind).collect()
}

#[test]
fn the_demonstration_comes_out_as_is_written_down() {
    let project = Project::new("crunch");
    let example = root().join("guest/examples/crunch");
    let manifest = format!(
        "[function]\nname = 'crunch'\n[build]\ncommand = 'true'\ncomponent = 'guest.wasm'\n\
         [config]\nbase = ['{0}/config.toml']\n[test]\nevents = '{0}/events'\n",
        text(&example)
    );
    project.file("crunchbox.toml", &manifest);
    let done = project.typed(&["test"]);
    assert_eq!(done.exit, 0, "{}", done.stderr);
    assert!(
        done.stderr.contains("8 events, 8 compared"),
        "{}",
        done.stderr
    );
    assert!(!done.stderr.contains("skipped"), "{}", done.stderr);
}

#[test]
fn open_fields_take_what_changes_from_run_to_run() {
    let project = facts();
    let expected = r#"{"config": 1.0, "requestId": "$match [0-9a-f-]{36}", "remainingMs": "$integer", "$others": "$any"}"#;
    project.file("events/one.expected.json", expected);
    project.done(&["test"]);
    let expected = r#"{"config": "$string", "$others": "$any"}"#;
    project.file("events/one.expected.json", expected);
    let (exit, words) = project.refused(&["test"]);
    assert_eq!(exit, 95);
    let diff = "      $.config\n        - \"$string\"\n        + 1\n";
    assert!(words.contains(diff), "{words}");
}

#[test]
fn a_marker_that_is_none_is_an_error_with_its_file_and_place() {
    let project = facts();
    project.file("events/one.expected.json", r#"{"config": "$int"}"#);
    for arguments in [&["test"][..], &["test", "--update"]] {
        let (exit, words) = project.refused(arguments);
        assert_eq!(exit, 95);
        assert!(words.contains("one.expected.json"), "{words}");
        assert!(words.contains("$.config: expected $any"), "{words}");
    }
}

#[test]
fn an_events_own_configuration_is_the_strongest_and_its_own() {
    let project = facts();
    let manifest = file(&project, "crunchbox.toml");
    let manifest = format!("{manifest}[test]\nconfig = ['test.toml']\n");
    project.file("crunchbox.toml", &manifest);
    project.file("test.toml", "v = 2\n");
    project.file("events/other.json", EVENT);
    project.file("events/other.config.json", r#"{"v": 3}"#);
    for (name, value) in [("one", 2), ("other", 3)] {
        let expected = format!(r#"{{"config": {value}, "$others": "$any"}}"#);
        project.file(&format!("events/{name}.expected.json"), &expected);
    }
    let done = project.typed(&["test"]);
    assert!(
        done.stderr.contains("2 events, 2 compared"),
        "{}",
        done.stderr
    );
    project.file("events/other.config.json", "{");
    let (exit, words) = project.refused(&["test"]);
    assert!(exit == 95 && words.contains("other.config.json"), "{words}");
    assert!(words.contains("✓ one"), "{words}");
}

#[test]
fn an_expected_failure_is_right_and_any_other_is_not() {
    let project = misbehaving(&[("silent", r#""fail""#)]);
    let (exit, words) = project.refused(&["test"]);
    assert_eq!(exit, 95);
    assert!(
        words.contains("NoReadings (guest): nothing to do"),
        "{words}"
    );
    let path = "events/silent.expected.json";
    project.file(path, r#"{"$failure": {"kind": "NoReadings"}}"#);
    project.done(&["test"]);
    project.file(
        path,
        r#"{"$failure": {"kind": "NoReadings", "message": "other"}}"#,
    );
    let (_, words) = project.refused(&["test"]);
    assert!(words.contains("$failure.message"), "{words}");
    project.file(path, "null");
    let (_, words) = project.refused(&["test"]);
    assert!(words.contains("nothing to do"), "{words}");
}

#[test]
fn an_update_writes_what_differs_and_keeps_what_is_open() {
    let project = facts();
    let open = r#"{"config": 0, "requestId": "$string", "$others": "$any"}"#;
    project.file("events/one.expected.json", open);
    project.file("events/same.json", EVENT);
    let same = r#"{"config": 1, "$others": "$any"}"#;
    project.file("events/same.expected.json", same);
    let done = project.typed(&["test", "--update"]);
    let words = "2 events, 1 written, 1 unchanged";
    assert!(done.stderr.contains(words), "{}", done.stderr);
    assert_eq!(file(&project, "events/same.expected.json"), same);
    assert_eq!(
        file(&project, "events/one.expected.json"),
        "{\n  \"config\": 1,\n  \"requestId\": \"$string\",\n  \"$others\": \"$any\"\n}\n"
    );
    project.done(&["test"]);
}

#[test]
fn an_update_takes_a_failure_of_the_function_for_right_and_none_of_the_host() {
    let project = misbehaving(&[("fails", r#""fail""#), ("panics", r#""panic""#)]);
    let (exit, words) = project.refused(&["test", "--update"]);
    assert!(exit == 95 && words.contains("GuestPanic"), "{words}");
    assert_eq!(
        file(&project, "events/fails.expected.json"),
        "{\n  \"$failure\": {\n    \"kind\": \"NoReadings\",\n    \"message\": \"nothing to do\"\n  }\n}\n"
    );
    let panics = project.path().join("events/panics.expected.json");
    assert!(!panics.exists());
}

#[test]
fn log_lines_are_shown_of_events_that_fail_and_of_no_other() {
    let project = misbehaving(&[("bad", r#""log 2""#), ("good", r#""log 3""#)]);
    project.file("events/bad.expected.json", "1");
    let (_, words) = project.refused(&["test"]);
    assert_eq!(words.matches("ERROR line ").count(), 2, "{words}");
    let (below, line) = (words.find("ERROR line 0"), words.find("✗ bad"));
    assert!(line < below, "{words}");
}

#[test]
fn a_filter_runs_some_events_and_one_that_names_none_is_refused() {
    let project = misbehaving(&[
        ("a-1", r#""log 0""#),
        ("a-2", r#""log 0""#),
        ("b", r#""fail""#),
    ]);
    for filter in ["a-*", "a"] {
        let done = project.typed(&["test", "--filter", filter]);
        assert!(done.stderr.contains("2 events"), "{}", done.stderr);
    }
    let done = project.typed(&["test", "--filter", "?-1"]);
    assert!(done.stderr.contains("1 events"), "{}", done.stderr);
    let (exit, words) = project.refused(&["test", "--filter", "c"]);
    assert!(exit == 53 && words.contains("a-1, a-2, b"), "{words}");
}

#[test]
fn results_are_there_for_scripts_and_for_ci_servers() {
    let project = misbehaving(&[("bad", r#""log 1""#), ("good", r#""log 0""#)]);
    project.file("events/bad.expected.json", r#"{"a": 1}"#);
    let done = project.typed(&["test", "--json", "--junit", "results.xml"]);
    assert_eq!((done.exit, done.stdout.as_str()), (95, ""));
    let tests = reports(&done.stderr, "test");
    let outcomes: Vec<_> = tests.iter().map(|test| test["outcome"].as_str()).collect();
    assert_eq!(outcomes, [Some("differs"), Some("unchecked")]);
    let difference = serde_json::json!({"path": "$", "kind": "different", "expected": "{\"a\":1}", "got": "null"});
    assert_eq!(tests[0]["differences"], serde_json::json!([difference]));
    let tested = &reports(&done.stderr, "tested")[0];
    assert_eq!(
        (&tested["events"], &tested["failed"]),
        (&2.into(), &1.into())
    );
    let xml = file(&project, "results.xml");
    assert!(
        xml.contains("<testsuite name=\"facts\" tests=\"2\" failures=\"1\""),
        "{xml}"
    );
    assert!(
        xml.contains("type=\"differs\"") && xml.contains("line 0"),
        "{xml}"
    );
}

#[test]
fn a_tested_release_has_passed_its_events_and_has_some() {
    let project = Project::new("echo");
    let (exit, words) = project.refused(&["release", "--tested"]);
    assert!(exit == 95 && words.contains("expected events"), "{words}");
    project.file("events/a.json", "[1]");
    project.file("events/a.expected.json", "[2]");
    assert_eq!(project.refused(&["release", "--tested"]).0, 95);
    assert!(!project.path().join(".crunchbox").exists());
    project.file("events/a.expected.json", "[1]");
    let tested = project.done(&["release", "--tested"]);
    assert_eq!(tested, project.done(&["release"]), "the same release");
}
