//! What changes while `crunchbox dev` serves: components, configurations, builds, channels. Whatever is wrong with the new,
//! the old one serves on.

use crate::rig::dev::{Ask, Dev, Gate};
use crate::rig::{Project, guest, text};
use serde_json::Value;
use std::path::Path;

/// Puts a guest of the tests in the place of another, as a compiler does: written beside and moved.
fn put(name: &str, path: &Path) {
    let beside = path.with_extension("new");
    std::fs::copy(guest(name), &beside).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

/// Changes a file of a project in one step: nobody sees half of it.
fn change(project: &Project, name: &str, text: &str) {
    let beside = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(beside.path(), text).unwrap();
    beside.persist(project.path().join(name)).unwrap();
}

/// What serves an event, and the part of its configuration.
fn version(dev: &Dev) -> (String, Value) {
    let answer = dev.invoke("facts", r#"{"config": ["v"]}"#);
    let facts: Value = serde_json::from_str(answer.response()).unwrap();
    let version = answer.header("X-Amz-Executed-Version").to_owned();
    (version, facts["config"].clone())
}

#[test]
fn a_component_that_is_replaced_serves_the_next_event_and_the_one_before_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.wasm");
    put("count", &path);
    let dev = Dev::with(&[text(&path)]);
    assert_eq!(dev.invoke("mine", "{}").response(), "1");
    put("echo", &path);
    let swap = dev.line_of("swap");
    assert_eq!(
        (&swap["function"], &swap["from"], &swap["to"]),
        (&"mine".into(), &1.into(), &2.into())
    );
    let answer = dev.invoke("mine", "{}");
    assert_eq!(answer.response(), "{}");
    assert_eq!(answer.header("X-Amz-Executed-Version"), "2");
    assert_eq!(swap["release"], answer.header("X-Crunchbox-Release"));
    assert_eq!(dev.invoke("mine:1", "{}").response(), "1");
    assert_eq!(dev.invoke("mine:3", "{}").status, 404);
}

#[test]
fn a_component_that_cannot_be_run_leaves_the_old_one_serving() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.wasm");
    put("count", &path);
    let dev = Dev::with(&[text(&path)]);
    let garbage = folder.path().join("garbage");
    std::fs::write(&garbage, b"garbage").unwrap();
    std::fs::rename(&garbage, &path).unwrap();
    let refused = dev.line_of("refused");
    assert_eq!(refused["function"], "mine");
    assert!(
        refused["message"].to_string().contains("mine.wasm"),
        "{refused}"
    );
    assert_eq!(dev.invoke("mine", "{}").response(), "1");
    put("echo", &path);
    dev.line_of("swap");
    assert_eq!(dev.invoke("mine", "{}").response(), "{}");
}

#[test]
fn a_file_of_configuration_that_changes_serves_the_next_event() {
    let project = Project::new("facts");
    let dev = Dev::project(&project, &["."]);
    assert_eq!(version(&dev), ("1".into(), 1.into()));
    change(&project, "config.toml", "v = 2\n");
    dev.line_of("swap");
    assert_eq!(version(&dev), ("2".into(), 2.into()));
    change(&project, "config.toml", "v = \n");
    let refused = dev.line_of("refused");
    assert!(
        refused["message"].to_string().contains("config.toml"),
        "{refused}"
    );
    assert_eq!(version(&dev), ("2".into(), 2.into()));
}

#[test]
fn a_build_that_fails_shows_the_tools_words_and_leaves_the_old_one_serving() {
    let project = Project::new("facts");
    let dev = Dev::project(&project, &["."]);
    let manifest = |command: &str| {
        let text = format!(
            "[function]\nname = 'facts'\n[build]\ncommand = '{command}'\ncomponent = 'guest.wasm'\n[config]\nbase = ['config.toml']\n"
        );
        change(&project, "crunchbox.toml", &text);
    };
    manifest("echo no such type; false");
    let refused = dev.line_of("refused");
    assert!(
        refused["words"].to_string().contains("no such type"),
        "{refused}"
    );
    assert_eq!(version(&dev), ("1".into(), 1.into()));
    change(&project, "config.toml", "v = 3\n");
    manifest("true");
    dev.line_of("swap");
    assert_eq!(version(&dev).1, 3);
}

#[test]
fn an_event_in_flight_ends_with_what_it_began_with() {
    let gate = Gate::start();
    let project = gate.project();
    let dev = Dev::project(&project, &["."]);
    let asking = || dev.asking(Ask::invoke("gated", gate.event()));
    let first = asking();
    let waiting = gate.wait();
    change(&project, "config.toml", "v = 2\n");
    dev.line_of("swap");
    let second = asking();
    gate.wait().go();
    waiting.go();
    let served = [first, second].map(|asking| {
        let answer = asking.answer();
        answer.response();
        answer.header("X-Amz-Executed-Version").to_owned()
    });
    assert_eq!(served, ["1", "2"]);
}

#[test]
fn a_channel_is_followed_its_numbers_are_versions_and_its_name_an_alias() {
    let project = Project::new("facts");
    project.file(
        "policy.toml",
        "[store]\nrefresh = '100ms'\nmax-stale = '1h'\n",
    );
    project.done(&["deploy", "-m", "one"]);
    let dev = Dev::project(&project, &["facts@live"]);
    assert_eq!(version(&dev), ("1".into(), 1.into()));
    project.file("config.toml", "v = 2\n");
    let release = project.done(&["deploy", "-m", "two"]);
    let swap = dev.line_of("swap");
    assert_eq!(
        (&swap["from"], &swap["to"], &swap["release"]),
        (&1.into(), &2.into(), &release.into())
    );
    assert_eq!(version(&dev), ("2".into(), 2.into()));
    for (name, value) in [("facts:live", 2), ("facts:2", 2), ("facts:1", 1)] {
        let facts = dev.invoke(name, r#"{"config": ["v"]}"#).json();
        assert_eq!(facts["config"], value, "{name}");
    }
    assert_eq!(dev.invoke("facts:staging", "{}").status, 404);
    assert_eq!(dev.invoke("facts:3", "{}").status, 404);
}

#[test]
fn a_rollback_serves_the_next_event() {
    let project = Project::new("facts");
    project.file(
        "policy.toml",
        "[store]\nrefresh = '100ms'\nmax-stale = '1h'\n",
    );
    project.done(&["deploy", "-m", "one"]);
    project.file("config.toml", "v = 2\n");
    project.done(&["deploy", "-m", "two"]);
    let dev = Dev::project(&project, &["facts@live"]);
    assert_eq!(version(&dev), ("2".into(), 2.into()));
    project.done(&["rollback"]);
    dev.line_of("swap");
    assert_eq!(version(&dev), ("3".into(), 1.into()));
}
