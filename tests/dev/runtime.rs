//! Programs behind the Runtime API: one in Rust and one in Python, each on AWS's own runtime for its language. What they do
//! and what becomes of them is told as Lambda tells it.

use crate::handle::ODD;
use crate::rig::dev::{Ask, Asking, Dev, native, python, scripted};
use crate::rig::{finish, root, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A program that does what an event says.
enum Program {
    Rust,
    Python(tempfile::TempDir),
}

impl Program {
    fn all() -> [Self; 2] {
        let script = format!(
            "exec '{}' -m awslambdaric \"$_HANDLER\"",
            python("ric").display()
        );
        let folder = scripted(&script);
        let handler = root().join("tests/dev/handler.py");
        std::fs::copy(handler, folder.path().join("handler.py")).unwrap();
        [Self::Rust, Self::Python(folder)]
    }

    fn path(&self) -> &Path {
        match self {
            Self::Rust => native(),
            Self::Python(folder) => folder.path(),
        }
    }

    /// Serves it by the name `program`.
    fn serve(&self, arguments: &[&str]) -> Dev {
        let handler = ["--handler", "handler.handle"];
        Dev::program(self.path(), &[&handler[..], arguments].concat())
    }
}

fn order(verb: &str) -> Value {
    json!({"do": verb})
}

#[test]
fn an_event_reaches_a_program_and_its_answer_the_caller() {
    for program in Program::all() {
        let dev = program.serve(&[]);
        let value = json!({"a": [1, -2.5, null, true], "é": "\u{1f600}\n"});
        let answer = dev.order(&json!({"do": "echo", "value": value}));
        answer.response();
        assert_eq!(answer.json(), value);
        assert_eq!(answer.header("X-Amz-Executed-Version"), "$LATEST");
        assert_eq!(answer.header("X-Crunchbox-Release"), "");
        let failure = dev.order(&order("fail")).failure();
        assert_eq!(
            (&failure["errorType"], &failure["errorMessage"]),
            (&"NoReadings".into(), &"nothing to do".into())
        );
        assert_eq!(dev.order(&order("count")).response(), "3", "one process");
    }
}

#[test]
fn an_event_reaches_a_program_byte_for_byte() {
    let dev = Dev::program(native(), &[]);
    let event = format!("{{\"do\":\"echo\",\"value\":{ODD}}}");
    assert_eq!(dev.invoke("program", event).response(), ODD.trim());
}

#[test]
fn a_failure_in_python_comes_with_its_trace() {
    let [_, python] = Program::all();
    let failure = python.serve(&[]).order(&order("fail")).failure();
    let trace = failure["stackTrace"].as_array().unwrap();
    let place = trace.last().unwrap().as_str().unwrap();
    assert!(place.contains("handler.py"), "{failure}");
}

#[test]
fn a_program_that_ends_in_an_event_is_told_of_and_started_anew() {
    for program in Program::all() {
        let dev = program.serve(&[]);
        assert_eq!(dev.order(&order("count")).response(), "1");
        let answer = dev.order(&order("exit"));
        let failure = answer.failure();
        assert_eq!(failure["errorType"], "Runtime.ExitError");
        let id = answer.header("x-amzn-RequestId");
        let said = format!("RequestId: {id} Error: Runtime exited with error: exit status 3");
        assert_eq!(failure["errorMessage"], said);
        assert_eq!(
            dev.order(&order("count")).response(),
            "1",
            "another process"
        );
    }
}

#[test]
fn a_program_beyond_its_time_is_killed_and_started_anew() {
    for program in Program::all() {
        let dev = program.serve(&["--timeout", "2s"]);
        let pid = dev.order(&order("pid")).json();
        let answer = dev.order(&order("hang"));
        let failure = answer.failure();
        assert_eq!(failure["errorType"], "Sandbox.Timedout");
        let id = answer.header("x-amzn-RequestId");
        let said = format!("RequestId: {id} Error: Task timed out after 2.00 seconds");
        assert_eq!(failure["errorMessage"], said);
        assert_ne!(dev.order(&order("pid")).json(), pid);
        eventually(|| is_gone(&pid));
    }
}

#[test]
fn what_a_program_prints_is_the_log_of_its_event() {
    for program in Program::all() {
        let dev = program.serve(&[]);
        let order = json!({"do": "print", "value": "a word of mine"});
        let ask = Ask::invoke("program", order.to_string()).header("X-Amz-Log-Type", "Tail");
        let answer = dev.ask(ask);
        assert_eq!(answer.response(), "null");
        let log = answer.header("X-Amz-Log-Result");
        let log = STANDARD.decode(log);
        let log = String::from_utf8(log.unwrap()).unwrap();
        let id = answer.header("x-amzn-RequestId");
        let start = format!("START RequestId: {id} Version: $LATEST\n");
        assert!(
            log.contains(&start) && log.contains("\na word of mine\n"),
            "{log}"
        );
        assert!(
            log.contains("\tInit Duration: "),
            "it was started for this event: {log}"
        );
        dev.until(|line| line.to_string().contains("a word of mine"));
    }
}

#[test]
fn a_program_has_the_variables_of_lambda_and_those_that_are_said_and_no_others() {
    let arguments = [
        "--bootstrap",
        text(native()),
        "--name",
        "program",
        "--handler",
        "a.b",
    ];
    let more = [
        "--memory",
        "256 MiB",
        "--env",
        "MINE=yes",
        "--env",
        "TZ=Europe/Oslo",
    ];
    let dev = Dev::launch(&[arguments, more].concat())
        .variable("OF_THE_SHELL", "x")
        .variable("AWS_ACCESS_KEY_ID", "key-of-tests")
        .variable("AWS_SECRET_ACCESS_KEY", "secret")
        .start();
    let variables = dev.order(&order("env")).json();
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_NAME", "program"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_REGION", "eu-west-1"),
        ("_HANDLER", "a.b"),
        ("AWS_ACCESS_KEY_ID", "key-of-tests"),
        ("MINE", "yes"),
        ("TZ", "Europe/Oslo"),
    ] {
        assert_eq!(variables[name], value, "{name}");
    }
    for name in [
        "OF_THE_SHELL",
        "HOME",
        "XDG_CACHE_HOME",
        "AWS_LAMBDA_MAX_CONCURRENCY",
    ] {
        assert_eq!(variables[name], Value::Null, "{name}");
    }
}

#[test]
fn a_package_in_a_zip_is_served_as_its_folder_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bootstrap");
    std::os::unix::fs::symlink(native(), &path).unwrap();
    let zip = folder.path().join("bootstrap.zip");
    let mut command = Command::new(python("ric"));
    let done = finish(command.args(["-m", "zipfile", "-c", text(&zip), text(&path)]));
    assert_eq!(done.exit, 0, "{}", done.stderr);
    let dev = Dev::program(&zip, &[]);
    assert_eq!(dev.order(&order("count")).response(), "1");
}

/// Sends an event that has no end, and waits until it is in a process: which one.
fn hang(dev: &Dev) -> (Asking, u64) {
    let asking = dev.asking(Ask::invoke("program", order("hang").to_string()));
    let line = dev
        .until(|line| line.to_string().contains("hanging in "))
        .to_string();
    let (_, rest) = line.split_once("hanging in ").unwrap();
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
    (asking, rest[..end].parse().unwrap())
}

#[test]
fn several_events_at_once_have_a_process_each() {
    let dev = Dev::program(native(), &["--concurrency", "2", "--timeout", "30s"]);
    let (_hanging, pid) = hang(&dev);
    assert_ne!(dev.order(&order("pid")).json(), pid);
}

#[test]
fn a_managed_instance_has_one_process_for_all_and_no_time_ends_it() {
    let managed = ["--managed", "--concurrency", "2", "--timeout", "2s"];
    let dev = Dev::program(native(), &managed);
    let (hanging, pid) = hang(&dev);
    assert_eq!(dev.order(&order("pid")).json(), pid);
    assert_eq!(hanging.answer().kind(), "Sandbox.Timedout");
    assert_eq!(dev.order(&order("pid")).json(), pid);
}

/// Waits for what has to become true, by looking.
fn eventually(is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    }
}

fn is_gone(pid: &Value) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

/// The state of a process as the kernel tells it: `T` when it is stopped.
fn state(pid: &Value) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.chars().next()
}

#[test]
fn a_program_that_is_frozen_stands_still_between_its_events_and_no_longer() {
    let dev = Dev::program(native(), &["--freeze"]);
    let pid = dev.order(&order("pid")).json();
    for count in ["2", "3", "4"] {
        eventually(|| state(&pid) == Some('T'));
        assert_eq!(dev.order(&order("count")).response(), count);
    }
    dev.interrupt();
    assert_eq!(dev.ended(), 0);
    assert!(is_gone(&pid), "it is left behind");
}

#[test]
fn a_program_that_does_not_start_is_told_of_in_lambdas_words() {
    let empty = tempfile::tempdir().unwrap();
    let plain = empty.path().join("bootstrap");
    std::fs::write(&plain, "no program").unwrap();
    let failing = scripted("echo out of luck; exit 4");
    let silent = scripted("exit 0");
    let killed = scripted("kill -9 $$");
    for (path, kind, words) in [
        (plain, "Runtime.InvalidEntrypoint", ""),
        (failing.path().into(), "Runtime.ExitError", "exit status 4"),
        (
            silent.path().into(),
            "Runtime.ExitError",
            "without providing a reason",
        ),
        (killed.path().into(), "Runtime.ExitError", "signal: killed"),
    ] {
        let dev = Dev::program(&path, &[]);
        // Each event starts it again.
        for _ in 0..2 {
            let failure = dev.order(&order("count")).failure();
            assert_eq!(failure["errorType"], kind, "{failure}");
            let said = failure["errorMessage"].as_str().unwrap();
            assert!(said.contains(words), "{failure}");
        }
    }
}

#[test]
fn an_error_that_a_runtime_tells_before_its_first_event_is_the_callers_answer() {
    let [_, python] = Program::all();
    let dev = Dev::program(python.path(), &["--handler", "handler.missing"]);
    let failure = dev.order(&order("count")).failure();
    assert_eq!(failure["errorType"], "Runtime.HandlerNotFound");
    let said = "Handler 'missing' missing on module 'handler'";
    assert_eq!(failure["errorMessage"], said);
}

/// A package that holds nothing but an extension, which writes down what it is told; and where.
fn extension() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told");
    let script = root().join("tests/dev/extension.py");
    let python = python("ric");
    let text = format!(
        "#!/bin/sh\nexec '{}' '{}' '{}'\n",
        python.display(),
        script.display(),
        told.display()
    );
    let path = folder.path().join("listener");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    (folder, told)
}

#[test]
fn an_extension_is_told_of_each_event_and_of_the_end() {
    let (folder, told) = extension();
    let path = folder.path().join("listener");
    let dev = Dev::program(native(), &["--extension", text(&path)]);
    let ids = [(); 2].map(|()| {
        let answer = dev.order(&order("count"));
        answer.response();
        answer.header("x-amzn-RequestId").to_owned()
    });
    dev.interrupt();
    assert_eq!(dev.ended(), 0);
    let told = std::fs::read_to_string(told).unwrap();
    let told: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(told[0]["functionName"], "program");
    for (event, id) in told[1..3].iter().zip(ids) {
        assert_eq!(
            (&event["eventType"], &event["requestId"]),
            (&"INVOKE".into(), &id.into())
        );
        let arn = event["invokedFunctionArn"].as_str().unwrap();
        assert!(arn.ends_with(":function:program"), "{event}");
    }
    assert_eq!(
        (&told[3]["eventType"], &told[3]["shutdownReason"]),
        (&"SHUTDOWN".into(), &"spindown".into())
    );
}

#[test]
fn no_process_outlives_the_command() {
    let dev = Dev::program(native(), &[]);
    let pid = dev.order(&order("pid")).json();
    dev.interrupt();
    assert_eq!(dev.ended(), 0);
    assert!(is_gone(&pid), "it is left behind");
}
