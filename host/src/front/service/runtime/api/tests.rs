use super::super::state::{Event, Given};
use super::super::testing::{Client, call, program, within};
use super::*;
use crate::event::RESPONSE_BYTES_MAX;
use crate::front::service::call::{Part, Reply, ReplyBody};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

/// A Runtime API without a process behind it.
struct Rig {
    shared: Arc<Shared>,
    _server: Server,
    client: Client,
}

impl Rig {
    async fn new(mode: Mode) -> Self {
        let mut program = program();
        program.mode = mode;
        program.concurrency = 4;
        let shared = Arc::new(Shared::new(&Arc::new(program)));
        let server = Server::start(&shared).await.unwrap();
        Self {
            client: Client(server.address().to_string()),
            shared,
            _server: server,
        }
    }

    /// An event for the runtime.
    fn begin(&self, event: Event) -> oneshot::Receiver<Reply> {
        let (caller, reply) = oneshot::channel();
        self.shared.change(|state| state.begin(event, caller));
        reply
    }

    /// One that is handed out already.
    async fn handed(&self, id: &str) -> oneshot::Receiver<Reply> {
        let reply = self.begin(event(id));
        assert_eq!(self.client.next().await.status, 200);
        reply
    }

    /// What the driver of the environment would see of it.
    async fn result(&self, id: &str) -> Result<Bytes, String> {
        let nonce = event(id).nonce;
        let given = within(self.shared.until(|state| state.given(&nonce))).await;
        match given {
            Given::Answer(answer) => answer.result.map_err(|cause| cause.failure(id).kind),
            Given::Broken(cause) => Err(cause.failure(id).kind),
        }
    }
}

fn event(id: &str) -> Event {
    Event {
        call: call(id),
        nonce: format!("nonce-{id}"),
        deadline_ms: 1_542_409_706_888,
    }
}

const RESPONSE_A: &str = "/2018-06-01/runtime/invocation/a/response";
const ERROR_A: &str = "/2018-06-01/runtime/invocation/a/error";

#[tokio::test]
async fn an_event_comes_with_the_headers_of_lambda_and_byte_for_byte() {
    let rig = Rig::new(Mode::OneAtATime).await;
    let mut event = event("a");
    event.call.client_context = Some("{\"custom\":\n{\"é\":\"1\"}}".to_owned());
    event.call.tenant_id = Some("blue".to_owned());
    rig.begin(event);
    let got = rig.client.next().await;
    assert_eq!(got.body, "{\"a\":1}");
    for (name, value) in [
        ("content-type", "application/json"),
        ("lambda-runtime-aws-request-id", "a"),
        ("lambda-runtime-invocation-id", "nonce-a"),
        ("lambda-runtime-deadline-ms", "1542409706888"),
        ("lambda-runtime-aws-tenant-id", "blue"),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
    let arn = got.header("lambda-runtime-invoked-function-arn");
    assert!(arn.ends_with(":function:crunch"), "{arn}");
    assert!(got.header("lambda-runtime-trace-id").starts_with("Root=1-"));
    let context = &got.headers["lambda-runtime-client-context"];
    assert_eq!(context.as_bytes(), "{\"custom\": {\"é\":\"1\"}}".as_bytes());
}

#[tokio::test]
async fn a_request_waits_until_there_is_an_event() {
    let rig = Rig::new(Mode::OneAtATime).await;
    let client = rig.client.clone();
    let waiting = tokio::spawn(async move { client.next().await });
    within(rig.shared.until(|state| state.is_ready()))
        .await
        .unwrap();
    rig.begin(event("a"));
    let got = within(waiting).await.unwrap();
    assert_eq!(got.header("lambda-runtime-aws-request-id"), "a");
}

#[tokio::test]
async fn a_response_is_taken_byte_for_byte() {
    let rig = Rig::new(Mode::OneAtATime).await;
    let _reply = rig.handed("a").await;
    let nonce = [("lambda-runtime-invocation-id", "nonce-a")];
    let got = rig
        .client
        .post(RESPONSE_A, &nonce, " {\"n\":1e400}\n")
        .await;
    assert_eq!(got.status, 202);
    assert_eq!(got.body, "{\"status\":\"OK\"}\n");
    assert_eq!(rig.result("a").await.unwrap(), " {\"n\":1e400}\n");
}

#[tokio::test]
async fn what_is_out_of_order_is_refused_as_the_emulator_refuses_it() {
    let rig = Rig::new(Mode::OneAtATime).await;
    let stale = [("lambda-runtime-invocation-id", "nonce-0")];
    let _reply = rig.handed("a").await;
    let client = &rig.client;
    let other = RESPONSE_A.replace("/a/", "/b/");
    for (got, expected) in [
        (
            client.post(&other, &[], "1").await,
            (400, "InvalidRequestID"),
        ),
        (
            client.post(RESPONSE_A, &stale, "1").await,
            (410, "InvalidInvocationID"),
        ),
        (
            client
                .post("/2018-06-01/runtime/init/error", &[], "1")
                .await,
            (403, "InvalidStateTransition"),
        ),
        (client.get(RESPONSE_A, &[]).await, (404, "NoSuchPath")),
        (client.get("/", &[]).await, (404, "NoSuchPath")),
    ] {
        assert_eq!(got.refusal(), (expected.0, expected.1.to_owned()));
    }
    assert_eq!(client.respond("a", "1").await.status, 202);
    for path in [RESPONSE_A, ERROR_A] {
        let again = client.post(path, &[], "2").await;
        assert_eq!(again.refusal(), (403, "InvalidStateTransition".to_owned()));
    }
    assert_eq!(rig.result("a").await.unwrap(), "1");
}

#[tokio::test]
async fn a_response_one_byte_too_long_is_refused_and_the_caller_told() {
    let rig = Rig::new(Mode::OneAtATime).await;
    let _reply = rig.handed("a").await;
    let long = "x".repeat(RESPONSE_BYTES_MAX + 1);
    let got = rig.client.respond("a", &long).await;
    assert_eq!(got.refusal(), (413, "RequestEntityTooLarge".to_owned()));
    let kind = rig.result("a").await.unwrap_err();
    assert_eq!(kind, "Function.ResponseSizeTooLarge");
    let _reply = rig.handed("b").await;
    let longest = "x".repeat(RESPONSE_BYTES_MAX);
    assert_eq!(rig.client.respond("b", &longest).await.status, 202);
}

#[tokio::test]
async fn a_mode_of_responding_that_is_none_is_refused() {
    let rig = Rig::new(Mode::OneAtATime).await;
    let _reply = rig.handed("a").await;
    let mode = [("lambda-runtime-function-response-mode", "telepathy")];
    let got = rig.client.post(RESPONSE_A, &mode, "1").await;
    assert_eq!(
        got.refusal(),
        (400, "InvalidFunctionResponseMode".to_owned())
    );
    let kind = rig.result("a").await.unwrap_err();
    assert_eq!(kind, "Runtime.InvalidResponseModeHeader");
}

#[tokio::test]
async fn an_error_reaches_the_caller_under_the_name_that_its_body_has() {
    let rig = Rig::new(Mode::OneAtATime).await;
    let _reply = rig.handed("a").await;
    let kind = [("lambda-runtime-function-error-type", "unhandled")];
    let body = "{\"errorType\":\"NoReadings\",\"errorMessage\":\"none\"}";
    assert_eq!(rig.client.post(ERROR_A, &kind, body).await.status, 202);
    assert_eq!(rig.result("a").await.unwrap_err(), "NoReadings");
}

#[tokio::test]
async fn a_response_that_breaks_off_is_truncated() {
    let rig = Rig::new(Mode::OneAtATime).await;
    let _reply = rig.handed("a").await;
    let mut stream = rig.client.connect().await;
    let head = format!("POST {RESPONSE_A} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf");
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream);
    let kind = rig.result("a").await.unwrap_err();
    assert_eq!(kind, "Runtime.TruncatedResponse");
}

/// Starts a streamed response to the event `a`.
async fn stream(rig: &Rig) -> (tokio::net::TcpStream, tokio::sync::mpsc::Receiver<Part>) {
    let reply = rig.handed("a").await;
    let mut stream = rig.client.connect().await;
    let head = format!(
        "POST {RESPONSE_A} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n\
         Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\
         Connection: close\r\n\r\n4\r\none \r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let reply = within(reply).await.unwrap();
    let ReplyBody::Streamed {
        content_type,
        mut parts,
    } = reply.body
    else {
        panic!("a stream");
    };
    assert_eq!(content_type.as_deref(), Some("text/plain"));
    // The first part is there while the second has not been written.
    let first = within(parts.recv()).await;
    assert!(matches!(first, Some(Part::Chunk(chunk)) if chunk == "one "));
    (stream, parts)
}

#[tokio::test]
async fn a_streamed_response_is_passed_on_as_it_comes() {
    let rig = Rig::new(Mode::OneAtATime).await;
    let (mut stream, mut parts) = stream(&rig).await;
    stream.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await.unwrap();
    let second = within(parts.recv()).await;
    assert!(matches!(second, Some(Part::Chunk(chunk)) if chunk == "two"));
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert_eq!(rig.result("a").await.unwrap(), "");
}

#[tokio::test]
async fn a_streamed_response_can_end_with_an_error_in_its_trailers() {
    let rig = Rig::new(Mode::OneAtATime).await;
    let (mut stream, _parts) = stream(&rig).await;
    // {"errorType":"Late"}
    let end = "0\r\nLambda-Runtime-Function-Error-Type: Function.Late\r\n\
               Lambda-Runtime-Function-Error-Body: eyJlcnJvclR5cGUiOiJMYXRlIn0=\r\n\r\n";
    stream.write_all(end.as_bytes()).await.unwrap();
    assert_eq!(rig.result("a").await.unwrap_err(), "Late");
}

#[tokio::test]
async fn a_streamed_response_that_breaks_off_is_truncated() {
    let rig = Rig::new(Mode::OneAtATime).await;
    let (stream, _parts) = stream(&rig).await;
    drop(stream);
    let kind = rig.result("a").await.unwrap_err();
    assert_eq!(kind, "Runtime.TruncatedResponse");
}

#[tokio::test]
async fn a_streamed_response_is_read_to_its_end_though_its_caller_has_gone() {
    let rig = Rig::new(Mode::OneAtATime).await;
    let (mut stream, parts) = stream(&rig).await;
    drop(parts);
    for _ in 0..100 {
        stream.write_all(b"3\r\ntwo\r\n").await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(rig.result("a").await.unwrap(), "");
}

#[tokio::test]
async fn a_runtime_that_cannot_begin_says_so_once() {
    let rig = Rig::new(Mode::OneAtATime).await;
    let path = "/2018-06-01/runtime/init/error";
    let body = "{\"errorType\":\"NoModule\",\"errorMessage\":\"app\"}";
    assert_eq!(rig.client.post(path, &[], body).await.status, 202);
    let ready = rig.shared.look(|state| state.is_ready());
    let cause = ready.unwrap().unwrap_err();
    assert_eq!(cause.failure("a").document, body);
    assert_eq!(rig.client.post(path, &[], body).await.status, 500);
    assert_eq!(rig.client.next().await.status, 500);
}

#[tokio::test]
async fn an_extension_registers_and_is_told_of_events() {
    let rig = Rig::new(Mode::OneAtATime).await;
    let client = &rig.client;
    let register = "/2020-01-01/extension/register";
    let nameless = client.post(register, &[], "{}").await;
    assert_eq!(
        nameless.refusal(),
        (403, "Extension.InvalidExtensionName".to_owned())
    );
    let headers = [
        ("lambda-extension-name", "inside"),
        ("lambda-extension-accept-feature", "accountId"),
    ];
    let got = client
        .post(register, &headers, "{\"events\":[\"INVOKE\"]}")
        .await;
    let document: Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(document["functionName"], "crunch");
    assert_eq!(document["functionVersion"], "$LATEST");
    assert_eq!(document["handler"], "app.handler");
    assert_eq!(document["accountId"], "123456789012");
    let id = got.header("lambda-extension-identifier").to_owned();
    let (extension, path) = (client.clone(), "/2020-01-01/extension/event/next");
    let asking = tokio::spawn(async move {
        let headers = [("lambda-extension-identifier", id.as_str())];
        extension.get(path, &headers).await
    });
    let runtime = client.clone();
    let next = tokio::spawn(async move { runtime.next().await });
    within(rig.shared.until(|state| state.is_ready()))
        .await
        .unwrap();
    rig.begin(event("a"));
    let told: Value = serde_json::from_slice(&within(asking).await.unwrap().body).unwrap();
    assert_eq!(told["eventType"], "INVOKE");
    assert_eq!(told["requestId"], "a");
    assert_eq!(told["deadlineMs"], 1_542_409_706_888_u64);
    assert_eq!(told["tracing"]["type"], "X-Amzn-Trace-Id");
    assert_eq!(within(next).await.unwrap().status, 200);
}

#[tokio::test]
async fn an_extension_that_fails_takes_the_environment_with_it() {
    for (path, kind) in [
        ("/2020-01-01/extension/init/error", "Extension.InitError"),
        ("/2020-01-01/extension/exit/error", "Extension.ExitError"),
    ] {
        let rig = Rig::new(Mode::OneAtATime).await;
        let name = [("lambda-extension-name", "inside")];
        let register = "/2020-01-01/extension/register";
        let got = rig.client.post(register, &name, "{}").await;
        let id = (
            "lambda-extension-identifier",
            got.header("lambda-extension-identifier"),
        );
        let untyped = rig.client.post(path, &[id], "").await;
        assert_eq!(
            untyped.refusal(),
            (403, "Extension.MissingHeader".to_owned())
        );
        let error = ("lambda-extension-function-error-type", "Extension.NoRoom");
        assert_eq!(rig.client.post(path, &[id, error], "").await.status, 202);
        let ready = rig.shared.look(|state| state.is_ready());
        assert_eq!(ready.unwrap().unwrap_err().failure("a").kind, kind);
    }
}

#[tokio::test]
async fn a_subscription_to_logs_is_refused_so_that_the_subscriber_goes_on() {
    let rig = Rig::new(Mode::OneAtATime).await;
    for (path, kind) in [
        ("/2020-08-15/logs", "Logs.NotSupported"),
        ("/2022-07-01/telemetry", "Telemetry.NotSupported"),
    ] {
        let got = rig.client.send(Method::PUT, path, &[], Bytes::new()).await;
        assert_eq!(got.refusal(), (202, kind.to_owned()));
    }
}

#[tokio::test]
async fn nonsense_on_the_line_ends_its_connection_and_nothing_else() {
    let rig = Rig::new(Mode::OneAtATime).await;
    for nonsense in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ] {
        let mut stream = rig.client.connect().await;
        stream.write_all(nonsense).await.unwrap();
    }
    rig.begin(event("a"));
    assert_eq!(rig.client.next().await.status, 200);
}
