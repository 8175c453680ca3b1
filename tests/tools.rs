//! The other commands as a person types them: build, check, event, explain, precompile, and help for all.

use crate::rig::{PROGRAM, crunchbox, events, finish, guest, root, text, typed};
use std::path::Path;
use std::process::Command;

#[test]
fn a_project_is_built_and_run_from_its_folder() {
    let project = root().join("guest/examples/crunch");
    let target = Path::new(PROGRAM).parent().unwrap().parent().unwrap();
    let event = format!("{}/one-record.json", events());
    let mut run = crunchbox(&["run", text(&project), "-e", &event, "--json"]);
    let done = finish(run.env("CARGO_TARGET_DIR", target));
    assert!(done.stdout.contains("\"oslo\""), "{}", done.stderr);
    assert!(
        done.stderr.contains("\"language\":\"rust\""),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains(&format!("limitBytes\":{}", 64 << 20)),
        "the manifest's limit: {}",
        done.stderr
    );
    let size = |path: &str| std::fs::metadata(path.trim()).unwrap().len();
    let separate = crate::rig::kept("release");
    let mut build = crunchbox(&["build", "--release", text(&project)]);
    let small = size(&finish(build.env("CARGO_TARGET_DIR", separate)).stdout);
    let mut build = crunchbox(&["build", text(&project)]);
    let done = finish(build.env("CARGO_TARGET_DIR", target));
    assert!(small < size(&done.stdout), "--release leaves out lines");
    assert!(done.stdout.ends_with("/crunch.wasm\n"), "{}", done.stderr);
    assert!(
        done.stderr.contains("crunchbox:function/handler@0.1.0"),
        "{}",
        done.stderr
    );
}

#[test]
fn check_tells_shape_imports_size_and_what_it_would_need_granted() {
    let done = typed(&["check", text(&guest("facts")), "--json"]);
    let told: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(told["shape"], "crunchbox:function/handler@0.1.0");
    assert_eq!(
        (&told["runs"], &told["fitsPool"]),
        (&true.into(), &true.into())
    );
    let imports = told["imports"].as_array().unwrap();
    assert!(
        imports
            .iter()
            .any(|import| import["name"] == "crunchbox:function/log@0.1.0")
    );
    // Files and variables are imported by every Rust program, whether it has a use for them or not.
    assert_eq!(told["reach"], serde_json::json!([]));
    assert!(told["bytes"].as_u64().unwrap() > 1000);
}

#[test]
fn check_refuses_what_this_host_cannot_run_and_still_tells_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = crate::rig::component(
        folder.path(),
        r#"(component (import "acme:db/rows@1.0.0" (instance)))"#,
    );
    let done = typed(&["check", text(&path)]);
    assert!(
        done.exit == 26 && done.stdout.contains("acme:db/rows@1.0.0"),
        "{}",
        done.stdout
    );
    assert!(done.stdout.contains("not offered"), "{}", done.stdout);
}

#[test]
fn a_project_that_does_not_build_shows_the_compilers_words() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("crunchbox.toml"), "[function]\nname = \"x\"\n[build]\ncommand = \"echo no such type; false\"\ncomponent = \"x.wasm\"\n").unwrap();
    let done = typed(&["build", text(folder.path())]);
    assert!(
        done.exit == 61 && done.stderr.contains("no such type") && done.stdout.is_empty(),
        "{}",
        done.stderr
    );
}

#[test]
fn a_project_with_a_build_command_of_its_own_runs_what_that_makes() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = |component: &str| {
        let command = format!("cp {} made.wasm", text(&guest("echo")));
        format!(
            "[function]\nname = 'x'\n[build]\ncommand = '{command}'\ncomponent = '{component}'\n"
        )
    };
    let path = folder.path().join("crunchbox.toml");
    std::fs::write(&path, manifest("made.wasm")).unwrap();
    let done = typed(&["run", text(folder.path()), "--data", "[1]"]);
    assert_eq!(
        (done.exit, done.stdout.as_str()),
        (0, "[1]"),
        "{}",
        done.stderr
    );
    std::fs::write(&path, manifest("other.wasm")).unwrap();
    let done = typed(&["run", text(folder.path()), "--data", "[1]"]);
    assert!(
        done.exit == 61 && done.stderr.contains("other.wasm` is missing"),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("hint: compare `[build]`"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_folder_that_is_no_project_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let done = typed(&["build", text(folder.path())]);
    assert!(
        done.exit == 52 && done.stderr.contains("Cargo.toml"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_sample_event_is_what_the_typed_event_reads() {
    let done = typed(&[
        "event",
        "sns",
        "{\"station\":\"oslo\",\"metric\":\"t\",\"value\":1}",
        "two",
        "--attribute",
        "unit=C",
    ]);
    let event: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(event["Records"].as_array().unwrap().len(), 2);
    assert_eq!(
        event["Records"][1]["Sns"]["MessageAttributes"]["unit"]["Value"],
        "C"
    );
    let config = text(&root().join("guest/examples/crunch/config.toml")).to_owned();
    let guest = guest("crunch");
    let done = typed(&[
        "run",
        text(&guest),
        "--data",
        &done.stdout,
        "--config",
        &config,
    ]);
    assert!(
        done.stdout.contains("\"oslo\"") && done.stderr.contains("WARN skipped"),
        "{}{}",
        done.stdout,
        done.stderr
    );
}

#[test]
fn explain_knows_a_code_by_name_or_exit_status_and_no_other() {
    for code in ["Crunchbox.MemoryLimit", "memorylimit", "12"] {
        assert!(typed(&["explain", code]).stdout.contains("exit status 12"));
    }
    let done = typed(&["explain", "NoReadings"]);
    assert!(
        done.exit == 53 && done.stderr.contains("author's own"),
        "{}",
        done.stderr
    );
}

#[test]
fn help_says_what_goes_where() {
    let help = typed(&["run", "--help"]).stdout;
    assert!(
        help.contains("byte for byte") && help.contains("standard error"),
        "{help}"
    );
    assert!(
        typed(&["precompile", "--help"])
            .stdout
            .contains("statement")
    );
    let wrong = typed(&["run", "x.wasm"]);
    assert!(
        wrong.exit == 2 && wrong.stderr.contains("--data"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn a_message_too_long_for_an_event_is_refused_not_cut() {
    let script = format!("head -c 7000000 /dev/zero | tr '\\0' x | {PROGRAM} event sns");
    let done = finish(Command::new("sh").args(["-c", &script]));
    assert!(done.exit == 41 && done.stdout.is_empty(), "{}", done.stderr);
}

#[test]
fn precompile_writes_what_a_host_without_a_compiler_loads() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("guest.wasm");
    std::fs::copy(guest("echo"), &component).unwrap();
    let done = typed(&["precompile", text(&component)]);
    let made: Vec<_> = done.stdout.lines().collect();
    let is_code = |path: &&str| path.ends_with(".cwasm") && Path::new(path).is_file();
    assert!(
        made.len() == 2 && made.iter().all(is_code),
        "{}",
        done.stderr
    );
    let api = crate::rig::RuntimeApi::start();
    let mut deployed = crate::rig::Deployed::empty();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        deployed = deployed.file(
            entry.file_name().to_str().unwrap(),
            &std::fs::read(entry.path()).unwrap(),
        );
    }
    let _running = deployed.start(&api);
    assert_eq!(api.invoke(crate::rig::Event::new("[7]")).text(), "[7]");
}

#[test]
fn a_policy_that_names_its_store_before_it_has_a_key_gets_one() {
    let project = crate::rig::Project::new("facts");
    project.file("policy.toml", "[store]\nurl = 's3://acme/prefix'\n");
    let (exit, words) = project.refused(&["run", "facts@live", "--data", "{}"]);
    assert!(
        exit == 55 && words.contains("crunchbox keys new"),
        "{words}"
    );
    project.done(&["keys", "new", "ci"]);
    let policy = std::fs::read_to_string(project.path().join("policy.toml")).unwrap();
    assert!(
        policy.starts_with("[store]") && policy.contains("[[keys]]"),
        "{policy}"
    );
}
