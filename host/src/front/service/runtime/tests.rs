//! A real process each time, whose part in HTTP the test plays: it says where its Runtime API is, and sleeps.

use super::program::{Freeze, Mode};
use super::testing::{Client, PATIENCE, Script, call, program, silent_log, within};
use super::*;
use crate::event::RESPONSE_BYTES_MAX;
use crate::front::service::call::{ReplyBody, Whole};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;
use std::path::Path;
use tokio::task::JoinHandle;

/// What a program does before it says where its Runtime API is.
const ANNOUNCE: &str = "echo \"$$ $AWS_LAMBDA_RUNTIME_API\" > \"$0.said\"; exec sleep 600";

struct Rig {
    runtime: Arc<Runtime>,
    script: Script,
}

impl Rig {
    fn new(change: impl FnOnce(&mut Program)) -> Self {
        Self::running(ANNOUNCE, change)
    }

    fn running(text: &str, change: impl FnOnce(&mut Program)) -> Self {
        let script = Script::new(text);
        let mut program = program();
        program.executable = script.path().to_owned();
        change(&mut program);
        Self {
            runtime: Arc::new(Runtime::start(program, silent_log()).unwrap()),
            script,
        }
    }

    fn invoke(&self, id: &str) -> JoinHandle<Reply> {
        let (runtime, call) = (Arc::clone(&self.runtime), call(id));
        tokio::spawn(async move { runtime.invoke(None, call).await.unwrap() })
    }

    /// Sends an event that nobody has to answer.
    async fn outcome(&self, id: &str) -> Whole {
        whole(self.invoke(id)).await
    }

    /// Waits for the next process to be started.
    async fn started(&self) -> (Pid, Client) {
        announced(&self.script).await
    }
}

async fn announced(script: &Script) -> (Pid, Client) {
    let line = within(script.said()).await.line;
    let (pid, address) = line.trim().split_once(' ').unwrap();
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    (pid, Client(address.to_owned()))
}

async fn whole(reply: JoinHandle<Reply>) -> Whole {
    let reply = within(reply).await.unwrap();
    assert_eq!(reply.served.version, "$LATEST");
    within(reply.body.collect(RESPONSE_BYTES_MAX)).await
}

/// Name and message of a failure.
fn failure(whole: &Whole) -> (String, String) {
    let error = whole.result.as_ref().unwrap_err();
    let document: Value = serde_json::from_slice(&error.document).unwrap();
    let message = document["errorMessage"].as_str().unwrap_or_default();
    (error.kind.clone(), message.to_owned())
}

fn log(whole: &Whole) -> &str {
    std::str::from_utf8(&whole.log).unwrap()
}

/// Asks for the next event, as a runtime does while there may be none yet.
fn asking(client: &Client) -> JoinHandle<super::testing::Got> {
    let client = client.clone();
    tokio::spawn(async move { client.next().await })
}

fn exists(pid: Pid) -> bool {
    Path::new(&format!("/proc/{}", pid.as_raw_pid())).exists()
}

/// Waits until the system has stopped or continued a process.
async fn has_become(pid: Pid, what: WaitIdOptions) {
    let (done, wait) = oneshot::channel();
    std::thread::spawn(move || done.send(waitid(WaitId::Pid(pid), what).is_ok()));
    assert!(tokio::time::timeout(PATIENCE, wait).await.unwrap().unwrap());
}

#[tokio::test]
async fn an_event_goes_to_the_program_and_its_response_to_the_caller() {
    let text = format!("echo getting ready\n{ANNOUNCE}");
    let rig = Rig::running(&text, |_| {});
    let reply = rig.invoke("a");
    let (_, client) = rig.started().await;
    assert_eq!(client.next().await.body, "{\"a\":1}");
    assert_eq!(client.respond("a", " {\"b\":2}").await.status, 202);
    let whole = whole(reply).await;
    assert_eq!(whole.result.as_ref().unwrap(), " {\"b\":2}");
    let log = log(&whole);
    assert!(log.starts_with(
        "getting ready\nSTART RequestId: a Version: $LATEST\nEND RequestId: a\nREPORT"
    ));
    assert!(
        log.contains("Memory Size: 128 MB\tMax Memory Used: ") && log.contains("Init Duration: ")
    );
}

#[tokio::test]
async fn a_process_that_asks_again_gets_the_next_event() {
    let rig = Rig::new(|_| {});
    let first = rig.invoke("a");
    let (_, client) = rig.started().await;
    client.next().await;
    client.respond("a", "1").await;
    assert!(whole(first).await.result.is_ok());
    let second = rig.invoke("b");
    assert_eq!(
        client.next().await.header("lambda-runtime-aws-request-id"),
        "b"
    );
    client.respond("b", "2").await;
    let second = whole(second).await;
    assert_eq!(second.result.as_ref().unwrap(), "2");
    assert!(
        !log(&second).contains("Init Duration"),
        "only the first pays"
    );
}

#[tokio::test]
async fn events_at_once_have_processes_of_their_own() {
    let rig = Rig::new(|program| program.concurrency = 2);
    let first = rig.invoke("a");
    let (first_pid, first_client) = rig.started().await;
    first_client.next().await;
    let second = rig.invoke("b");
    let (second_pid, second_client) = rig.started().await;
    second_client.next().await;
    assert_ne!(first_pid, second_pid);
    second_client.respond("b", "2").await;
    first_client.respond("a", "1").await;
    assert_eq!(whole(first).await.result.unwrap(), "1");
    assert_eq!(whole(second).await.result.unwrap(), "2");
}

#[tokio::test]
async fn a_process_that_ends_before_it_is_ready_fails_the_event() {
    for (text, words) in [
        ("exit 0", "Runtime exited without providing a reason"),
        ("exit 3", "Runtime exited with error: exit status 3"),
        ("kill -9 $$", "Runtime exited with error: signal: killed"),
    ] {
        let whole = Rig::running(text, |_| {}).outcome("a").await;
        let expected = format!("RequestId: a Error: {words}");
        assert_eq!(failure(&whole), ("Runtime.ExitError".to_owned(), expected));
    }
}

#[tokio::test]
async fn what_a_process_said_before_it_failed_is_in_the_log() {
    let whole = Rig::running("echo no such module >&2; exit 1", |_| {})
        .outcome("a")
        .await;
    assert!(
        log(&whole).starts_with("no such module\nSTART RequestId: a "),
        "{}",
        log(&whole)
    );
    assert!(
        log(&whole)
            .trim_end()
            .ends_with("exit status 1\nRuntime.ExitError")
    );
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_an_invalid_entrypoint() {
    for (path, words) in [
        (
            "/no/such/bootstrap",
            "Couldn't find valid bootstrap(s): [/no/such/bootstrap]",
        ),
        ("/etc/passwd", "fork/exec /etc/passwd: "),
    ] {
        let whole = Rig::new(|program| program.executable = path.into())
            .outcome("a")
            .await;
        let (kind, message) = failure(&whole);
        assert_eq!(kind, "Runtime.InvalidEntrypoint");
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn after_a_failed_init_the_next_event_tries_again_on_its_own_time() {
    let text = format!("[ -e \"$0.once\" ] || {{ : > \"$0.once\"; exit 1; }}\n{ANNOUNCE}");
    let rig = Rig::running(&text, |_| {});
    assert_eq!(failure(&rig.outcome("a").await).0, "Runtime.ExitError");
    let second = rig.invoke("b");
    let (_, client) = rig.started().await;
    client.next().await;
    client.respond("b", "2").await;
    let second = whole(second).await;
    assert_eq!(second.result.as_ref().unwrap(), "2");
    assert!(!log(&second).contains("Init Duration"));
}

#[tokio::test]
async fn an_error_during_init_is_the_events_answer() {
    let rig = Rig::new(|_| {});
    let reply = rig.invoke("a");
    let (_, client) = rig.started().await;
    let body = "{\"errorType\":\"NoModule\",\"errorMessage\":\"no app\"}";
    // The process is killed for it, and may be so before it is answered.
    tokio::spawn(async move {
        client
            .post("/2018-06-01/runtime/init/error", &[], body)
            .await
    });
    assert_eq!(
        failure(&whole(reply).await),
        ("NoModule".to_owned(), "no app".to_owned())
    );
}

#[tokio::test]
async fn a_process_that_dies_during_an_event_fails_it_and_is_replaced() {
    let rig = Rig::new(|_| {});
    let reply = rig.invoke("a");
    let (pid, client) = rig.started().await;
    client.next().await;
    kill_process(pid, Signal::KILL).unwrap();
    let (kind, message) = failure(&whole(reply).await);
    assert_eq!(kind, "Runtime.ExitError");
    assert!(message.ends_with("signal: killed"), "{message}");
    let second = rig.invoke("b");
    let (_, client) = rig.started().await;
    client.next().await;
    client.respond("b", "2").await;
    assert_eq!(whole(second).await.result.unwrap(), "2");
}

#[tokio::test]
async fn an_event_that_takes_too_long_is_ended_and_its_process_with_it() {
    let rig = Rig::new(|program| program.timeout = Duration::from_secs(1));
    let reply = rig.invoke("a");
    let (pid, client) = rig.started().await;
    client.next().await;
    let whole = whole(reply).await;
    let message = "RequestId: a Error: Task timed out after 1.00 seconds";
    assert_eq!(
        failure(&whole),
        ("Sandbox.Timedout".to_owned(), message.to_owned())
    );
    assert!(
        log(&whole)
            .trim_end()
            .ends_with("a Task timed out after 1.00 seconds")
    );
    assert!(!exists(pid), "killed and reaped");
    let _next = rig.invoke("b");
    assert_ne!(rig.started().await.0, pid);
}

#[tokio::test]
async fn a_streamed_response_ends_with_the_log() {
    let rig = Rig::new(|_| {});
    let reply = rig.invoke("a");
    let (_, client) = rig.started().await;
    client.next().await;
    let path = "/2018-06-01/runtime/invocation/a/response";
    let mode = [("lambda-runtime-function-response-mode", "streaming")];
    assert_eq!(client.post(path, &mode, "one two").await.status, 202);
    let reply = within(reply).await.unwrap();
    assert!(matches!(reply.body, ReplyBody::Streamed { .. }));
    let whole = within(reply.body.collect(RESPONSE_BYTES_MAX)).await;
    assert_eq!(whole.result.as_ref().unwrap(), "one two");
    assert!(log(&whole).contains("END RequestId: a\n"));
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_stop_the_event() {
    let rig = Rig::new(|_| {});
    let first = rig.invoke("a");
    let (_, client) = rig.started().await;
    client.next().await;
    first.abort();
    assert!(first.await.is_err());
    assert_eq!(client.respond("a", "1").await.status, 202);
    let next = asking(&client);
    let second = rig.invoke("b");
    assert_eq!(
        within(next)
            .await
            .unwrap()
            .header("lambda-runtime-aws-request-id"),
        "b"
    );
    client.respond("b", "2").await;
    assert_eq!(whole(second).await.result.unwrap(), "2");
}

#[tokio::test]
async fn a_process_between_events_is_frozen_and_goes_on_with_the_next() {
    let rig = Rig::new(|program| program.freeze = Freeze::BetweenEvents);
    let first = rig.invoke("a");
    let (pid, client) = rig.started().await;
    client.next().await;
    client.respond("a", "1").await;
    whole(first).await.result.unwrap();
    let next = asking(&client);
    has_become(pid, WaitIdOptions::STOPPED).await;
    let second = rig.invoke("b");
    has_become(pid, WaitIdOptions::CONTINUED).await;
    within(next).await.unwrap();
    client.respond("b", "2").await;
    assert_eq!(whole(second).await.result.unwrap(), "2");
}

#[tokio::test]
async fn a_managed_instance_has_many_events_in_one_process_and_outlives_their_timeouts() {
    let rig = Rig::new(|program| {
        program.mode = Mode::Managed;
        program.concurrency = 2;
        program.timeout = Duration::from_secs(1);
    });
    let first = rig.invoke("a");
    let (pid, client) = rig.started().await;
    let (one, two) = (asking(&client), asking(&client));
    let second = rig.invoke("b");
    for next in [one, two] {
        assert_eq!(within(next).await.unwrap().status, 200);
    }
    for reply in [first, second] {
        assert_eq!(failure(&whole(reply).await).0, "Sandbox.Timedout");
    }
    let late = client.respond("a", "1").await;
    assert_eq!(late.refusal(), (400, "InvalidRequestID".to_owned()));
    assert!(exists(pid));
    let next = asking(&client);
    let _third = rig.invoke("c");
    assert_eq!(
        within(next)
            .await
            .unwrap()
            .header("lambda-runtime-aws-request-id"),
        "c"
    );
}

#[tokio::test]
async fn a_program_can_be_started_ahead_of_the_first_event() {
    let rig = Rig::new(|_| {});
    let runtime = Arc::clone(&rig.runtime);
    let warm = tokio::spawn(async move { runtime.warm().await });
    let (_, client) = rig.started().await;
    let next = asking(&client);
    within(warm).await.unwrap().unwrap();
    let reply = rig.invoke("a");
    assert_eq!(within(next).await.unwrap().status, 200);
    client.respond("a", "1").await;
    assert!(log(&whole(reply).await).contains("Init Duration"));
}

#[tokio::test]
async fn without_extensions_the_end_is_a_kill() {
    let rig = Rig::new(|_| {});
    let reply = rig.invoke("a");
    let (pid, client) = rig.started().await;
    client.next().await;
    client.respond("a", "1").await;
    whole(reply).await.result.unwrap();
    within(rig.runtime.shut_down()).await;
    assert!(!exists(pid));
    let after = rig.outcome("b").await;
    assert_eq!(failure(&after).0, "Sandbox.Failure");
}

/// Registers an extension, and returns what it identifies itself by.
async fn register(client: &Client, name: &str, events: &str) -> String {
    let path = "/2020-01-01/extension/register";
    let got = client
        .post(path, &[("lambda-extension-name", name)], events)
        .await;
    got.header("lambda-extension-identifier").to_owned()
}

/// Asks for an extension's next event.
fn extension_asking(client: &Client, id: &str) -> JoinHandle<Value> {
    let (client, id) = (client.clone(), id.to_owned());
    let path = "/2020-01-01/extension/event/next";
    tokio::spawn(async move {
        let headers = [("lambda-extension-identifier", id.as_str())];
        serde_json::from_slice(&client.get(path, &headers).await.body).unwrap_or_default()
    })
}

#[tokio::test]
async fn with_an_extension_inside_the_runtime_is_told_to_end() {
    let text = "trap 'echo told > \"$0.said\"; exit 0' TERM\n\
                echo \"$$ $AWS_LAMBDA_RUNTIME_API\" > \"$0.said\"; sleep 600 & wait";
    let rig = Rig::running(text, |_| {});
    let reply = rig.invoke("a");
    let (_, client) = rig.started().await;
    let id = register(&client, "inside", "{\"events\":[]}").await;
    let _waiting = extension_asking(&client, &id);
    client.next().await;
    client.respond("a", "1").await;
    whole(reply).await.result.unwrap();
    let (said, ()) =
        within(async { tokio::join!(rig.script.said(), rig.runtime.shut_down()) }).await;
    assert_eq!(said.line, "told\n");
}

/// A program beside an external extension, both ready for their first event.
async fn extended() -> (Rig, Script, Pid, Client, String) {
    let outside = Script::new(ANNOUNCE);
    let path = outside.path().to_owned();
    let rig = Rig::new(|program| program.extensions = vec![path]);
    let warm = Arc::clone(&rig.runtime);
    let warm = tokio::spawn(async move { warm.warm().await });
    let (pid, client) = announced(&outside).await;
    let id = register(
        &client,
        "bootstrap",
        "{\"events\":[\"INVOKE\",\"SHUTDOWN\"]}",
    )
    .await;
    // The runtime is started only now.
    rig.started().await;
    let (extension, next) = (extension_asking(&client, &id), asking(&client));
    within(warm).await.unwrap().unwrap();
    let reply = rig.invoke("a");
    assert_eq!(within(extension).await.unwrap()["eventType"], "INVOKE");
    within(next).await.unwrap();
    client.respond("a", "1").await;
    whole(reply).await.result.unwrap();
    (rig, outside, pid, client, id)
}

#[tokio::test]
async fn an_external_extension_is_told_of_events_and_of_the_end() {
    let (rig, _outside, pid, client, id) = extended().await;
    let next = extension_asking(&client, &id);
    let runtime = Arc::clone(&rig.runtime);
    let ending = tokio::spawn(async move { runtime.shut_down().await });
    let told = within(next).await.unwrap();
    assert_eq!(told["eventType"], "SHUTDOWN");
    assert_eq!(told["shutdownReason"], "spindown");
    kill_process(pid, Signal::KILL).unwrap();
    within(ending).await.unwrap();
    assert!(!exists(pid));
}

#[tokio::test]
async fn an_external_extension_that_dies_takes_the_event_with_it() {
    let (rig, _outside, pid, client, id) = extended().await;
    let _extension = extension_asking(&client, &id);
    let next = asking(&client);
    let reply = rig.invoke("b");
    within(next).await.unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    let (kind, message) = failure(&whole(reply).await);
    assert_eq!(kind, "Extension.Crash");
    assert_eq!(message, "RequestId: b Error: signal: killed");
}

#[tokio::test]
async fn only_the_latest_version_is_there() {
    let rig = Rig::new(|_| {});
    for qualifier in [None, Some("$LATEST")] {
        assert_eq!(rig.runtime.check(qualifier).await, Ok(()));
    }
    let missing = rig.runtime.check(Some("7")).await.unwrap_err();
    assert!(
        missing.to_string().ends_with(":function:crunch:7"),
        "{missing}"
    );
    assert_eq!(
        rig.runtime.invoke(Some("7"), call("a")).await.unwrap_err(),
        missing
    );
}
