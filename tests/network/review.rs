//! What a component imports, held against what it is granted and what the operator allows: at `check`, at `release` and
//! `promote`, and where a channel is followed.

use super::project;
use crate::rig::Project;
use serde_json::{Value, json};

const GRANT: &str = "GET https://api.example.com/v1/*";

/// A project that asks for one origin and a folder.
fn asking() -> Project {
    project(&json!({"grants": {"http": [GRANT], "scratch": "1 MiB"}}))
}

fn policy(project: &Project, grants: &str) {
    project.file("policy.toml", &format!("[grants]\n{grants}\n"));
}

/// A line of a review about what the component imports.
fn row(kind: &str, grant: Value, verdict: &str) -> Value {
    json!({"kind": kind, "grant": grant, "imported": true, "verdict": verdict})
}

/// Releases before any policy; returns the address.
fn released(project: &Project) -> String {
    format!("facts@{}", project.done(&["release"]))
}

#[test]
fn check_tells_what_is_imported_and_granted_and_what_is_denied() {
    let project = asking();
    policy(&project, "http = ['https://*.example.com']");
    let report = project.json(&["check", ".", "--json"]);
    assert_eq!(
        report["reach"],
        json!([
            row("http", GRANT.into(), "allowed"),
            row("tcp", Value::Null, "denied"),
            row("objects", Value::Null, "denied"),
            row("scratch", "1 MiB".into(), "allowed"),
        ])
    );
    assert_eq!(report["runs"], true);
    let text = project.done(&["check", "."]);
    for words in [
        GRANT,
        "granted",
        "imported, not granted: each call is denied",
    ] {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn check_tells_a_grant_that_the_component_has_no_use_for() {
    let project = asking();
    project.component(&std::fs::read(crate::rig::guest("echo")).unwrap());
    let report = project.json(&["check", ".", "--json"]);
    assert_eq!(report["reach"][0]["verdict"], "unused", "{report}");
}

#[test]
fn check_refuses_a_grant_beyond_the_policy_and_says_what_is_allowed() {
    for (grants, words) in [
        (
            "http = ['https://other.example']",
            "policy.toml allows only https://other.example",
        ),
        (
            "http = ['POST https://api.example.com']",
            "policy.toml allows only POST",
        ),
        ("http = []", "policy.toml allows none of its kind"),
        ("scratch = '64 KiB'", "policy.toml allows only 64 KiB"),
    ] {
        let project = asking();
        policy(&project, grants);
        let (exit, told) = project.refused(&["check", "."]);
        assert_eq!((exit, told.contains(words)), (65, true), "{told}");
        let done = project.typed(&["check", ".", "--json"]);
        let report: Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(report["runs"], false, "{report}");
        assert_eq!(report["refusal"]["code"], "Crunchbox.GrantBeyondPolicy");
    }
}

#[test]
fn a_policy_that_is_named_counts_in_place_of_the_projects() {
    let project = asking();
    policy(&project, "http = []");
    project.file("wide.toml", "[grants]\nhttp = ['https://*']\n");
    project.done(&["check", ".", "--policy", "wide.toml"]);
    assert_eq!(
        project
            .refused(&["check", ".", "--policy", "missing.toml"])
            .0,
        55
    );
}

#[test]
fn a_release_whose_grants_go_beyond_the_policy_is_neither_made_nor_promoted() {
    let project = asking();
    let address = released(&project);
    policy(&project, "http = []");
    let live = project
        .path()
        .join(".crunchbox/store/facts/channels/live.json");
    for arguments in [
        &["release"][..],
        &["deploy", "--allow-grants"],
        &["promote", &address],
        &["promote", &address, "--allow-grants"],
    ] {
        let (exit, told) = project.refused(arguments);
        assert_eq!(
            (exit, told.contains(GRANT)),
            (65, true),
            "{arguments:?}: {told}"
        );
        assert!(!live.exists(), "{arguments:?}");
    }
    policy(&project, "http = ['https://api.example.com']");
    project.done(&["promote", &address, "--allow-grants"]);
    assert!(live.exists());
}

#[test]
fn what_an_operator_takes_back_is_refused_where_it_already_served() {
    let project = asking();
    let address = released(&project);
    project.done(&["promote", &address, "--allow-grants"]);
    let run = ["run", "facts@live", "--data", r#"{"env": true}"#];
    assert_eq!(project.done(&run), "{}");
    policy(&project, "http = []");
    let (exit, told) = project.refused(&run);
    assert_eq!((exit, told.contains(GRANT)), (65, true), "{told}");
}
