use super::*;
use crate::aws::frame::sample;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn ask(function: &str, mode: Mode) -> Invoke {
    Invoke {
        target: function.parse().unwrap(),
        mode,
        log: LogTail::None,
        event: Bytes::from_static(b"{\"a\":1}"),
        client_context: None,
        tenant: None,
    }
}

#[test]
fn a_request_names_the_function_escaped_and_the_qualifier_apart() {
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:crunch:$LATEST";
    for (function, mode, uri) in [
        (
            "crunch",
            Mode::Response,
            "/2015-03-31/functions/crunch/invocations",
        ),
        (
            "crunch@live",
            Mode::Queue,
            "/2015-03-31/functions/crunch/invocations?Qualifier=live",
        ),
        (
            "crunch_a-b.c",
            Mode::DryRun,
            "/2015-03-31/functions/crunch_a-b.c/invocations",
        ),
        (
            "crunch:41",
            Mode::Stream,
            "/2021-11-15/functions/crunch/response-streaming-invocations?Qualifier=41",
        ),
        (
            arn,
            Mode::Response,
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Acrunch/invocations?Qualifier=%24LATEST",
        ),
    ] {
        for (endpoint, beginning) in [
            (Endpoint::default(), "http://127.0.0.1:9000"),
            (
                "https://gate.example/lambda/".parse().unwrap(),
                "https://gate.example/lambda",
            ),
        ] {
            let request = ask(function, mode).request(&endpoint).unwrap();
            assert_eq!(request.uri().to_string(), format!("{beginning}{uri}"));
            assert_eq!(request.method(), "POST");
            assert_eq!(request.body(), "{\"a\":1}");
        }
    }
}

#[test]
fn what_is_asked_stands_in_the_headers() {
    let headers = |invoke: &Invoke| {
        let request = invoke.request(&Endpoint::default()).unwrap();
        let header = |name: &str| {
            let value = request.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let kind = header("x-amz-invocation-type").unwrap();
        let log = header("x-amz-log-type");
        (
            kind,
            log,
            header("x-amz-client-context"),
            header("x-amz-tenant-id"),
        )
    };
    for (mode, kind) in [
        (Mode::Response, "RequestResponse"),
        (Mode::Stream, "RequestResponse"),
        (Mode::Queue, "Event"),
        (Mode::DryRun, "DryRun"),
    ] {
        assert_eq!(
            headers(&ask("crunch", mode)),
            (kind.to_owned(), None, None, None)
        );
    }
    let all = Invoke {
        log: LogTail::Wanted,
        client_context: Some("{\"custom\":{}}".to_owned()),
        tenant: Some("blue".to_owned()),
        ..ask("crunch", Mode::Response)
    };
    let (_, log, context, tenant) = headers(&all);
    assert_eq!(log.as_deref(), Some("Tail"));
    assert_eq!(context.as_deref(), Some("eyJjdXN0b20iOnt9fQ=="));
    assert_eq!(tenant.as_deref(), Some("blue"));
}

#[test]
fn a_client_context_that_lambda_would_not_pass_on_is_refused() {
    let fits = format!("{{\"a\":\"{}\"}}", "x".repeat(2_677));
    assert!(client_context(&fits).is_ok());
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(2_678));
    for text in ["", "me", "[]", "7", "{} {}", "eyJhIjoxfQ==", long.as_str()] {
        let failure = client_context(text).unwrap_err();
        assert_eq!(failure.code, Code::ClientContext, "{text}");
    }
}

/// A service that takes one connection, gives these bytes for an answer, and closes.
async fn service(answer: Vec<u8>) -> Service {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await.unwrap();
        stream.write_all(&answer).await.unwrap();
        stream.shutdown().await.unwrap();
        // Closed before all has been read, the connection would be reset, and the answer lost with it.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    Service {
        endpoint: endpoint.parse().unwrap(),
        signed_for: None,
        time: Duration::from_secs(60),
    }
}

/// What comes of an answer, and the parts that were handed on.
async fn invoked(mode: Mode, head: &str, body: &[u8]) -> (Result<Answer, Failure>, Vec<u8>) {
    let mut answer = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n").into_bytes();
    answer.extend_from_slice(body);
    let mut parts = Vec::new();
    let answer = service(answer)
        .await
        .invoke(&ask("crunch", mode), &mut |part| {
            parts.extend_from_slice(part);
            Ok(())
        })
        .await;
    (answer, parts)
}

#[tokio::test]
async fn a_response_comes_byte_for_byte() {
    let head = "200 OK\r\nx-amz-executed-version: 41";
    let (answer, parts) = invoked(Mode::Response, head, b"{ \"n\":1e400 }\n").await;
    let answer = answer.unwrap();
    assert_eq!(answer.payload, "{ \"n\":1e400 }\n");
    assert_eq!(answer.version.as_deref(), Some("41"));
    assert!(answer.failure.is_none() && parts.is_empty());
}

#[tokio::test]
async fn a_stream_is_handed_on_up_to_its_last_event() {
    let body = [sample::CHUNK, sample::CHUNK, sample::FAILED].concat();
    let (answer, parts) = invoked(Mode::Stream, "200 OK", &body).await;
    let answer = answer.unwrap();
    assert_eq!(
        (answer.bytes, parts.as_slice()),
        (14, &b"{\"a\":1}{\"a\":1}"[..])
    );
    assert_eq!(answer.failure.unwrap().1.kind, "NoReadings");
}

#[tokio::test]
async fn a_stream_without_its_last_event_is_no_answer() {
    for body in [sample::CHUNK, sample::EXCEPTION, b"", b"<html>not a stream"] {
        let (answer, _) = invoked(Mode::Stream, "200 OK", body).await;
        assert_eq!(answer.unwrap_err().code, Code::ServiceUnreachable);
    }
}

#[tokio::test]
async fn a_service_that_runs_what_it_should_queue_or_only_check_is_found_out() {
    for mode in [Mode::Queue, Mode::DryRun] {
        let (answer, _) = invoked(mode, "200 OK", b"{}").await;
        let failure = answer.unwrap_err();
        assert_eq!(failure.code, Code::ServiceRefused);
        assert!(failure.message.contains("may have run"), "{failure}");
    }
    let (answer, _) = invoked(Mode::Queue, "202 Accepted", b"").await;
    assert_eq!(answer.unwrap().status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_refusal_is_told_in_the_services_words() {
    let head = "404 Not Found\r\nx-amzn-errortype: ResourceNotFoundException";
    let body = b"{\"Message\":\"Function not found: x\"}";
    let (answer, _) = invoked(Mode::Response, head, body).await;
    let failure = answer.unwrap_err();
    assert_eq!(failure.code, Code::ChannelMissing);
    assert!(failure.message.ends_with("Function not found: x"));
    assert!(failure.hint.unwrap().contains("--aws"));
}

#[test]
fn where_nobody_serves_the_hint_is_to_start_it() {
    let service = |endpoint: Endpoint| Service {
        endpoint,
        signed_for: None,
        time: Duration::from_secs(1),
    };
    let refused = || SendError::Dial("connection refused".to_owned());
    let failure = service(Endpoint::default()).unanswered(refused());
    assert_eq!(failure.code, Code::ServiceUnreachable);
    assert!(failure.hint.unwrap().contains("crunchbox dev"));
    let other = service("http://127.0.0.1:9001".parse().unwrap()).unanswered(refused());
    assert!(other.hint.is_none());
    assert!(other.message.starts_with("http://127.0.0.1:9001: "));
}
