//! Functions in each language: from nothing to a running host that takes up the next release, the same answers from all,
//! and errors that name a place in the author's own source.

mod errors;
mod reach;

use crate::rig::dev::{Dev, python};
use crate::rig::started::Started;
use crate::rig::{finish, root, target_folder, typed};
use serde_json::{Value, json};
use std::process::Command;

const EVENT: &str = r#"{"station": "oslo", "readings": [3.5, 4.25, 7.75]}"#;
const SILENT: &str = r#"{"station": "oslo", "readings": []}"#;

/// What is typed on the first day, and what comes of it.
fn from_nothing_to_a_swap(project: &Started) {
    let (component, words) = project.done(&["build", "--setup"]);
    assert!(component.ends_with("rain.wasm"), "{component}");
    assert!(words.contains("Built rain ("), "{words}");
    let unit = project.unit_tests();
    assert_eq!(unit.exit, 0, "{}{}", unit.stdout, unit.stderr);
    let tested = project.done(&["test"]).1;
    assert!(tested.contains("2 events, 2 compared"), "{tested}");
    let summary = json!({"station": "oslo", "unit": "mm", "count": 3, "mean": 5.166666666666667, "max": 7.75});
    assert_eq!(project.run(EVENT), summary);
    project.write(
        "policy.toml",
        "[store]\nrefresh = '100ms'\nmax-stale = '1h'\n",
    );
    project.done(&["deploy", "-m", "one"]);
    let dev = Dev::started(project, &["rain@live"]);
    assert_eq!(dev.invoke("rain", EVENT).json(), summary);
    assert_eq!(message(&dev), "no readings from oslo");
    for file in [project.source(), "events/silent.expected.json"] {
        project.replace(file, "no readings from", "nothing heard from");
    }
    project.done(&["deploy", "-m", "two"]);
    dev.line_of("swap");
    assert_eq!(message(&dev), "nothing heard from oslo");
}

/// What a station without readings comes to.
fn message(dev: &Dev) -> String {
    let answer = dev.invoke("rain", SILENT);
    let error: Value = answer.json();
    assert_eq!(error["errorType"], "NoReadings", "{error}");
    error["errorMessage"].as_str().unwrap().to_owned()
}

#[test]
fn a_project_in_rust_goes_from_nothing_to_a_swap() {
    from_nothing_to_a_swap(&Started::new("rust"));
}

#[test]
fn a_project_in_javascript_goes_from_nothing_to_a_swap() {
    from_nothing_to_a_swap(&Started::new("javascript"));
}

#[test]
fn a_project_in_typescript_goes_from_nothing_to_a_swap() {
    from_nothing_to_a_swap(&Started::new("typescript"));
}

#[test]
fn a_project_in_clojure_goes_from_nothing_to_a_swap() {
    from_nothing_to_a_swap(&Started::new("clojure"));
}

#[test]
fn a_project_in_the_smaller_clojure_goes_from_nothing_to_a_swap() {
    from_nothing_to_a_swap(&Started::with("clojure", &["--dialect", "squint"]));
}

#[test]
fn a_project_in_python_goes_from_nothing_to_a_swap() {
    from_nothing_to_a_swap(&Started::new("python"));
}

/// Runs the demonstration of a language on the events and expectations that all share.
fn crunches_like_the_others(example: &str) {
    let folder = root().join("guest/examples").join(example);
    let done = typed(&["test", "--setup", folder.to_str().unwrap()]);
    assert_eq!(done.exit, 0, "{}", done.stderr);
    assert!(done.stderr.contains("compared"), "{}", done.stderr);
}

#[test]
fn the_demonstration_in_rust_comes_to_what_is_expected() {
    crunches_like_the_others("crunch");
}

#[test]
fn the_demonstration_in_javascript_comes_to_what_is_expected() {
    crunches_like_the_others("crunch-javascript");
}

#[test]
fn the_demonstration_in_clojure_comes_to_what_is_expected() {
    crunches_like_the_others("crunch-clojure");
}

#[test]
fn the_demonstration_in_python_comes_to_what_is_expected() {
    crunches_like_the_others("crunch-python");
}

#[test]
fn a_second_build_of_the_same_sources_is_the_first_one() {
    let project = Started::new("python");
    let component = project.path().join(project.done(&["build"]).0);
    let made = || std::fs::metadata(&component).unwrap().modified().unwrap();
    let first = made();
    project.done(&["build"]);
    assert_eq!(made(), first, "nothing had changed");
    project.replace(project.source(), "summarised", "summed up");
    project.done(&["build"]);
    assert_ne!(made(), first);
}

#[test]
fn a_folder_that_has_a_package_becomes_a_project_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let package = r#"{"name": "mine", "private": true, "type": "module"}"#;
    std::fs::write(folder.path().join("package.json"), package).unwrap();
    let mut init = crate::rig::crunchbox(&["init", "--name", "mine", "--json"]);
    let done = finish(init.current_dir(folder.path()));
    assert_eq!(done.exit, 0, "{}", done.stderr);
    let kept = std::fs::read_to_string(folder.path().join("package.json")).unwrap();
    assert_eq!(kept, package);
    let report: Value = serde_json::from_str(done.stderr.lines().next().unwrap()).unwrap();
    assert_eq!(report["language"], "javascript");
    assert_eq!(report["kept"], json!(["package.json"]));
}

#[test]
fn the_sdk_for_javascript_passes_its_own_tests() {
    let tools = target_folder().join("tools/javascript");
    assert!(tools.is_dir(), "no packages of npm; run: tests/setup");
    let mut npm = Command::new("npm");
    npm.arg("test").env("CRUNCHBOX_TOOLS", tools);
    let done = finish(npm.current_dir(root().join("guest/javascript")));
    assert_eq!(done.exit, 0, "{}{}", done.stdout, done.stderr);
}

#[test]
fn the_sdk_for_python_passes_its_own_tests() {
    for check in [
        &["pytest"][..],
        &["mypy"],
        &["ruff", "check"],
        &["ruff", "format", "--check"],
    ] {
        let mut python = Command::new(python("checks"));
        python
            .arg("-m")
            .args(check)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let done = finish(python.current_dir(root().join("guest/python")));
        assert_eq!(done.exit, 0, "{check:?}: {}{}", done.stdout, done.stderr);
    }
}
