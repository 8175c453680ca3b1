//! What a guest reaches by its grants, and that it reaches nothing else: requests, connections, variables, files, objects.
//! The guest `network` does what an event says; at the other ends are servers of ours, and listeners that nobody may come
//! to.

mod figures;
mod http;
mod objects;
mod review;
mod scratch;
mod sign;
mod tcp;
mod tricks;
pub(crate) mod web;

use crate::rig::{Finished, Project, Rig, Started, finish};
use serde_json::{Value, json};

/// A host whose guest is granted this and nothing else.
fn granted(grants: Value) -> Started {
    Rig::of("network").grants(grants).start()
}

/// What an event that has to succeed comes to.
fn answered(started: &Started, event: &Value) -> Value {
    match started.handle(&event.to_string()).result {
        Ok(answer) => serde_json::from_str(&answer).unwrap(),
        Err(failure) => panic!("{event}: {failure}"),
    }
}

/// The kind of the failure of an event that has to fail.
fn refusal(started: &Started, event: &Value) -> String {
    match started.handle(&event.to_string()).result {
        Ok(answer) => panic!("{event}: {answer}"),
        Err(failure) => failure.kind,
    }
}

/// The kinds of failures in the answer to a list of steps; none for a step that was done.
fn kinds(answers: &Value) -> Vec<Option<&str>> {
    let answers = answers.as_array().unwrap().iter();
    answers
        .map(|answer| answer["Err"]["kind"].as_str())
        .collect()
}

fn get(url: &str) -> Value {
    json!({"http": {"method": "GET", "url": url}})
}

fn connect(host: &str, port: u16) -> Value {
    json!({"tcp": {"host": host, "port": port, "send": "hello"}})
}

/// A project of the same guest, for what only a program has: AWS's credentials in its environment. `manifest` is put
/// into its `crunchbox.toml`.
fn project(manifest: &Value) -> Project {
    let project = Project::new("network");
    let mut whole = json!({
        "function": {"name": "facts"},
        "build": {"command": "true", "component": "guest.wasm"},
    });
    let sections = manifest.as_object().unwrap().clone();
    whole.as_object_mut().unwrap().extend(sections);
    project.file("crunchbox.toml", &toml::to_string(&whole).unwrap());
    project
}

/// Runs a project with an event, as a person does who works for AWS.
fn typed(project: &Project, variables: &[(&str, &str)], event: &Value) -> Finished {
    let mut command = project.command(&["run", ".", "--data", &event.to_string()]);
    command
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(variables.iter().copied());
    finish(&mut command)
}

/// What an event comes to that has to succeed there.
fn run(project: &Project, variables: &[(&str, &str)], event: &Value) -> Value {
    let done = typed(project, variables, event);
    assert_eq!(done.exit, 0, "{event}: {}", done.stderr);
    serde_json::from_str(&done.stdout).unwrap()
}

#[test]
fn a_guest_has_the_variables_that_are_granted_and_no_others() {
    let variables = [
        ("STAGE", "test"),
        ("OTHER", "x"),
        ("AWS_SESSION_TOKEN", "y"),
    ];
    let with = |grants: Value| {
        let rig = Rig::of("network").environment(&variables);
        answered(&rig.grants(grants).start(), &json!({"env": true}))
    };
    assert_eq!(with(json!({})), json!({}));
    assert_eq!(with(json!({"env": ["STAGE"]})), json!({"STAGE": "test"}));
    assert_eq!(with(json!({"env": ["MISSING"]})), json!({}));
}

#[test]
fn no_grant_gives_a_variable_of_the_platform() {
    for name in [
        "AWS_SECRET_ACCESS_KEY",
        "aws_session_token",
        "_HANDLER",
        "LD_PRELOAD",
    ] {
        let project = project(&json!({"grants": {"env": [name]}}));
        let (exit, words) = project.refused(&["check", "."]);
        assert_eq!(
            (exit, words.contains("no guest may have")),
            (52, true),
            "{words}"
        );
    }
}
