//! `crunchbox run` as a person types it.

use crate::handle::ODD;
use crate::rig::{PROGRAM, crunchbox, events, finish, guest, root, text, typed};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a component that can't be run; returns exit status and words.
fn run_bad(path: &Path, event: &str) -> (i32, String) {
    let done = typed(&["run", text(path), "--data", event]);
    assert_eq!(
        done.stdout, "",
        "no response, so nothing on standard output"
    );
    assert!(done.stderr.contains("hint: "), "{}", done.stderr);
    assert!(
        !done.stderr.contains("RUST_BACKTRACE") && !done.stderr.contains("panicked"),
        "{}",
        done.stderr
    );
    (done.exit, done.stderr)
}

#[test]
fn run_answers_an_event_from_a_file_on_standard_output() {
    let file = format!("{}/two-stations.json", events());
    let config = text(&root().join("guest/examples/crunch/config.toml")).to_owned();
    let done = typed(&[
        "run",
        text(&guest("crunch")),
        "-e",
        &file,
        "--config",
        &config,
    ]);
    assert_eq!(done.exit, 0, "{}", done.stderr);
    assert!(
        done.stdout.starts_with("{\"stations\":{\"bergen\""),
        "{}",
        done.stdout
    );
    assert!(
        done.stderr.contains("✓") && done.stderr.contains("is enough"),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains(&format!("Config {config}")),
        "{}",
        done.stderr
    );
}

#[test]
fn run_tells_the_phases_of_a_start_where_they_are_asked_for() {
    let folder = text(&root().join("guest/examples/crunch/events")).to_owned();
    let component = guest("echo");
    let told = typed(&["run", text(&component), "-e", &folder, "--timings"]);
    for phase in [
        "program loaded",
        "imports linked",
        "event handled",
        "in all",
    ] {
        assert_eq!(told.stderr.matches(phase).count(), 1, "{}", told.stderr);
    }
    let json = typed(&[
        "run",
        text(&component),
        "--data",
        "1",
        "--timings",
        "--json",
    ]);
    let lines = json.stderr.lines();
    let lines = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let told: Vec<_> = lines.filter(|line| line["type"] == "timings").collect();
    assert_eq!(told.len(), 1);
    assert!(told[0]["ms"].as_f64().unwrap() > 0.0 && told[0]["phases"].is_array());
    assert!(
        !typed(&["run", text(&component), "--data", "1"])
            .stderr
            .contains("program loaded")
    );
}

#[test]
fn run_passes_an_event_from_standard_input_byte_for_byte() {
    let mut child = crunchbox(&["run", text(&guest("echo")), "-e", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(ODD.as_bytes())
        .unwrap();
    assert_eq!(
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap(),
        ODD
    );
}

#[test]
fn a_folder_of_events_ends_with_a_summary_and_the_first_failures_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    for (name, event) in [
        ("a.json", "\"forge\""),
        ("b.json", "\"panic\""),
        ("c.json", "\"garbage\""),
        ("d.txt", "x"),
    ] {
        std::fs::write(folder.path().join(name), event).unwrap();
    }
    let done = typed(&["run", text(&guest("misbehave")), "-e", text(folder.path())]);
    assert_eq!((done.exit, done.stdout.as_str()), (11, "null\n"));
    assert!(
        done.stderr.contains("3 events: 1 ok, 2 failed"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_second_run_loads_the_artifact_from_the_cache_and_says_so() {
    let cache = tempfile::tempdir().unwrap();
    let guest = guest("echo");
    let arguments = [
        "run",
        text(&guest),
        "--data",
        "1",
        "--cache",
        text(cache.path()),
    ];
    assert!(
        typed(&arguments)
            .stderr
            .contains("Compiled, kept in the cache")
    );
    assert!(typed(&arguments).stderr.contains("Loaded from the cache"));
}

#[test]
fn with_json_every_line_of_standard_error_is_an_object() {
    let folder = tempfile::tempdir().unwrap();
    for (name, event) in [
        ("a.json", "\"forge\""),
        ("b.json", "\"fail\""),
        ("c.json", "{"),
    ] {
        std::fs::write(folder.path().join(name), event).unwrap();
    }
    let guest = guest("misbehave");
    let done = typed(&["run", text(&guest), "-e", text(folder.path()), "--json"]);
    let lines: Vec<serde_json::Value> = done
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let types: Vec<_> = lines
        .iter()
        .map(|line| line["type"].as_str().unwrap_or("log"))
        .collect();
    assert_eq!(
        types,
        ["start", "log", "report", "report", "report", "summary"]
    );
    assert_eq!(lines[2]["outcome"], "ok");
    assert_eq!(lines[3]["failure"]["errorType"], "NoReadings");
    assert_eq!(lines[3]["failure"]["exit"], 10);
    assert_eq!(
        (&lines[5]["events"], &lines[5]["failed"]),
        (&3.into(), &2.into())
    );
    let early = typed(&["run", "missing.wasm", "--data", "1", "--json"]);
    let failure: serde_json::Value = serde_json::from_str(&early.stderr).unwrap();
    assert_eq!(
        (&failure["type"], &failure["code"]),
        (&"failure".into(), &"Crunchbox.ComponentMissing".into())
    );
}

#[test]
fn a_failure_among_many_events_names_its_event() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("good.json"), "1").unwrap();
    std::fs::write(folder.path().join("bad.json"), "{").unwrap();
    let done = typed(&["run", text(&guest("echo")), "-e", text(folder.path())]);
    assert!(
        done.stderr.contains("bad.json: Crunchbox.EventNotJson"),
        "{}",
        done.stderr
    );
}

#[test]
fn what_lies_beside_a_component_counts_here_as_on_lambda() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("facts.wasm");
    std::fs::copy(guest("facts"), &component).unwrap();
    let manifest =
        "[function]\nname = 'named'\n[limits]\nmemory = '8 MiB'\n[config]\nbase = ['b.toml']\n";
    std::fs::write(folder.path().join("crunchbox.toml"), manifest).unwrap();
    std::fs::write(folder.path().join("b.toml"), "a = 1\nb = 1\n").unwrap();
    let mut run = crunchbox(&["run", text(&component), "--data", r#"{"config": []}"#]);
    let done = finish(run.env("CRUNCHBOX_CONFIG", r#"{"b": 2}"#));
    let facts: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(
        (&facts["function"], &facts["memoryLimit"]),
        (&"named".into(), &(8 << 20).into())
    );
    assert_eq!(facts["config"], serde_json::json!({"a": 1, "b": 2}));
}

#[test]
fn set_and_config_reach_the_guest_in_that_order() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("c.json");
    std::fs::write(&config, r#"{"db": {"host": "file", "port": 1}}"#).unwrap();
    let guest = guest("facts");
    let event = r#"{"config": ["db"]}"#;
    let done = typed(&[
        "run",
        text(&guest),
        "--data",
        event,
        "--config",
        text(&config),
        "--set",
        "db.host=set",
    ]);
    let facts: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(
        facts["config"],
        serde_json::json!({"host": "set", "port": 1})
    );
    let done = typed(&[
        "run",
        text(&guest),
        "--data",
        event,
        "--config",
        text(&config),
        "--set",
        "db=secret",
    ]);
    assert_eq!(done.exit, 50);
    assert!(
        done.stderr.contains("expected a table") && !done.stderr.contains("secret"),
        "{}",
        done.stderr
    );
}

#[test]
fn what_is_no_component_is_refused_each_with_an_exit_status_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let whole = std::fs::read(guest("echo")).unwrap();
    let zeros = write("zeros.wasm", b"");
    std::fs::File::options()
        .write(true)
        .open(&zeros)
        .unwrap()
        .set_len(200 << 20)
        .unwrap();
    let world = crate::rig::component(folder.path(), "(component)");
    for (path, exit, words) in [
        (
            folder.path().join("missing.wasm"),
            20,
            "there is no component",
        ),
        (write("empty.wasm", b""), 22, "an empty file"),
        (zeros, 23, "instead of `\\0asm`"),
        (
            write("module.wasm", b"\0asm\x01\0\0\0"),
            24,
            "a core WebAssembly module",
        ),
        (
            write("cut.wasm", &whole[..whole.len() / 2]),
            25,
            "not valid",
        ),
        (
            write("header.wasm", b"\0asm\x0d"),
            25,
            "the header of a component",
        ),
        (world, 26, "exports no handler"),
    ] {
        let (status, stderr) = run_bad(&path, "1");
        assert!(
            status == exit && stderr.contains(words),
            "{} → {status}: {stderr}",
            path.display()
        );
    }
}

#[test]
fn a_component_or_event_without_permission_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("crunchbox");
    std::fs::copy(PROGRAM, &program).unwrap();
    let open = folder.path().join("open.wasm");
    let closed = folder.path().join("closed.wasm");
    for (path, mode) in [(&open, 0o644), (&closed, 0o000)] {
        std::fs::copy(guest("echo"), path).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let cache = tempfile::tempdir().unwrap();
    let run = |component: &Path, event: &Path| {
        let mut command = Command::new(&program);
        command
            .args(["run", text(component), "-e", text(event)])
            .current_dir("/")
            .stdin(Stdio::null());
        command.env("XDG_CACHE_HOME", cache.path());
        // Root may read everything, so the program runs as nobody there.
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(cache.path(), Some(65534), Some(65534)).unwrap();
            command.uid(65534).gid(65534);
        }
        let done = finish(&mut command);
        assert!(
            done.stdout.is_empty() && done.stderr.contains("Permission denied"),
            "{}",
            done.stderr
        );
        assert!(done.stderr.contains("hint: "), "{}", done.stderr);
        done.exit
    };
    assert_eq!(run(&closed, &closed), 21);
    assert_eq!(run(&open, &closed), 42);
}

#[test]
fn an_event_that_is_missing_or_not_json_has_its_own_exit_status() {
    let guest = guest("echo");
    let done = typed(&["run", text(&guest), "-e", "/no/such/event.json"]);
    assert!(
        done.exit == 42 && done.stderr.contains("/no/such/event.json"),
        "{}",
        done.stderr
    );
    let (exit, stderr) = run_bad(&guest, "{nope");
    assert!(exit == 40 && stderr.contains("line 1 column 2"), "{stderr}");
    let empty = tempfile::tempdir().unwrap();
    let done = typed(&["run", text(&guest), "-e", text(empty.path())]);
    assert!(
        done.exit == 42 && done.stderr.contains("end in .json"),
        "{}",
        done.stderr
    );
}

#[test]
fn an_endless_event_is_refused_for_its_size() {
    let guest = guest("echo");
    let done = typed(&["run", text(&guest), "-e", "/dev/zero"]);
    assert!(
        done.exit == 41 && done.stderr.contains("at most 6291456"),
        "{}",
        done.stderr
    );
}

#[test]
fn where_the_address_space_is_too_small_for_a_pool_guests_run_all_the_same() {
    let done = run_with_addresses(14_000_000);
    assert_eq!(
        (done.exit, done.stdout.as_str()),
        (0, "1"),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains("\"pool\":false"), "{}", done.stderr);
}

#[test]
fn where_it_is_too_small_for_a_single_memory_the_machine_is_to_blame_not_the_guest() {
    let done = run_with_addresses(4_000_000);
    assert_eq!(done.exit, 72, "{}", done.stderr);
    assert!(
        done.stderr.contains("no instance could be made") && done.stderr.contains("address space"),
        "{}",
        done.stderr
    );
}

/// Runs a guest with at most so many KiB of addresses.
fn run_with_addresses(kibibytes: u64) -> crate::rig::Finished {
    let guest = guest("echo");
    // The first run compiles; what the compiler needs is not the question here.
    assert_eq!(typed(&["check", text(&guest)]).exit, 0);
    let script = format!(
        "ulimit -v {kibibytes}; exec {PROGRAM} run {} --data 1 --json",
        text(&guest)
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", &script])
        .env("XDG_CACHE_HOME", crate::rig::kept("xdg"));
    finish(&mut command)
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let event = folder.path().join("large.json");
    std::fs::write(&event, format!("\"{}\"", "x".repeat(1 << 20))).unwrap();
    let script = format!(
        "{PROGRAM} run {} -e {} | head -c 1; echo \" ${{PIPESTATUS[0]}}\"",
        text(&guest("echo")),
        text(&event)
    );
    let mut bash = Command::new("bash");
    bash.args(["-c", &script])
        .env("XDG_CACHE_HOME", crate::rig::kept("xdg"));
    let done = finish(bash.stdin(Stdio::null()));
    assert_eq!(done.stdout, "\" 0\n", "{}", done.stderr);
}
