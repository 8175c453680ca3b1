use super::*;
use serde_json::{Value, json};

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        (HeaderName::from_static(name), value)
    });
    pairs.collect()
}

fn read(pairs: &[(&'static str, &str)]) -> Result<InvokeHead, ServiceError> {
    InvokeHead::read(&headers(pairs))
}

async fn body(answer: Answer) -> Bytes {
    answer.into_body().collect().await.unwrap().to_bytes()
}

fn whole(result: Result<&'static str, FunctionError>) -> Whole {
    Whole {
        result: result.map(Bytes::from),
        content_type: None,
        log: Bytes::from_static(b"START\n"),
    }
}

fn served() -> Served {
    Served {
        version: "41".to_owned(),
        release: Some("3f2a91c0".to_owned()),
    }
}

#[test]
fn a_request_without_headers_waits_for_the_response() {
    let head = read(&[("x-custom", "1"), ("authorization", "AWS4-HMAC-SHA256 …")]).unwrap();
    assert_eq!(head.kind, InvocationType::RequestResponse);
    assert_eq!(head.log, LogType::None);
    assert_eq!((head.client_context, head.tenant_id), (None, None));
}

#[test]
fn the_kind_and_the_log_are_words_of_the_model() {
    for (value, kind) in [
        ("RequestResponse", InvocationType::RequestResponse),
        ("Event", InvocationType::Event),
        ("DryRun", InvocationType::DryRun),
    ] {
        assert_eq!(
            read(&[("x-amz-invocation-type", value)]).unwrap().kind,
            kind
        );
    }
    let head = read(&[("x-amz-log-type", "Tail")]).unwrap();
    assert_eq!(head.log, LogType::Tail);
    for (name, value, expected) in [
        (
            "x-amz-invocation-type",
            "event",
            "1 validation error detected: Value 'event' at 'invocationType' failed to satisfy constraint: \
             Member must satisfy enum value set: [Event, RequestResponse, DryRun]",
        ),
        (
            "x-amz-log-type",
            "",
            "1 validation error detected: Value '' at 'logType' failed to satisfy constraint: \
             Member must satisfy enum value set: [None, Tail]",
        ),
    ] {
        assert_eq!(read(&[(name, value)]).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_client_context_is_handed_on_as_a_json_object_on_one_line() {
    let context = "{\n \"custom\": {\"a\\nb\": [1]}\r\n}";
    let encoded = STANDARD.encode(context);
    let sent = ("x-amz-client-context", encoded.as_str());
    let read_context = read(&[sent]).unwrap().client_context.unwrap();
    assert_eq!(read_context, "{  \"custom\": {\"a\\nb\": [1]}  }");
    let event = read(&[sent, ("x-amz-invocation-type", "Event")]).unwrap();
    assert_eq!(event.client_context, None);
    assert_eq!(
        read(&[("x-amz-client-context", "")])
            .unwrap()
            .client_context,
        None
    );
}

#[test]
fn a_client_context_that_is_no_json_object_is_refused() {
    let long = STANDARD.encode("a".repeat(CLIENT_CONTEXT_BYTES_MAX));
    for value in [
        "string".to_owned(),
        "{}".to_owned(),
        STANDARD.encode("[1]"),
        STANDARD.encode("\"{}\""),
        STANDARD.encode("{\"a\":"),
        STANDARD.encode("{} {}"),
        STANDARD.encode(b"{\"a\":\"\xff\"}"),
        long,
    ] {
        let refused = read(&[("x-amz-client-context", value.as_str())]).unwrap_err();
        assert_eq!(refused.name(), "InvalidRequestContentException", "{value}");
        assert!(refused.to_string().starts_with("Client context must be"));
    }
}

#[test]
fn a_tenant_is_made_of_what_the_model_allows() {
    for value in ["acme", "a b@c=d+e:f/g._-1", &"t".repeat(256)] {
        let head = read(&[("x-amz-tenant-id", value)]).unwrap();
        assert_eq!(head.tenant_id.as_deref(), Some(value));
    }
    for value in ["", "a,b", "é", &"t".repeat(257)] {
        let refused = read(&[("x-amz-tenant-id", value)]).unwrap_err();
        assert_eq!(refused.name(), "ValidationException", "{value}");
    }
}

#[test]
fn a_durable_execution_is_refused_rather_than_run_as_another() {
    let refused = read(&[("x-amz-durable-execution-name", "order-1")]).unwrap_err();
    assert_eq!(refused.name(), "InvalidParameterValueException");
}

#[test]
fn a_trace_is_kept_if_it_looks_like_one_and_made_up_otherwise() {
    let sent = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    assert_eq!(read(&[("x-amzn-trace-id", sent)]).unwrap().trace_id, sent);
    let endless = format!("Root={}", "1".repeat(TRACE_BYTES_MAX));
    for sent in ["", "Self=1", "Root=\u{e9}", &endless] {
        let made = read(&[("x-amzn-trace-id", sent)]).unwrap().trace_id;
        let lengths: Vec<_> = made.split(['=', '-', ';']).map(str::len).collect();
        assert_eq!(lengths, [4, 1, 8, 24, 6, 16, 7, 1], "{made}");
        assert!(
            made.starts_with("Root=1-") && made.ends_with(";Sampled=0"),
            "{made}"
        );
        assert_ne!(made, trace_id());
    }
}

#[test]
fn an_event_is_taken_byte_for_byte() {
    let odd = Bytes::from_static(b" {\"a\": 123456789012345678901234567890, \"a\": 1e400}\n");
    assert_eq!(
        payload(odd.clone(), InvocationType::RequestResponse),
        Ok(odd)
    );
    assert_eq!(
        payload(Bytes::new(), InvocationType::Event),
        Ok(Bytes::from_static(b"{}"))
    );
}

#[test]
fn what_is_not_one_json_text_is_refused_with_its_place() {
    for (bytes, place) in [
        (&b"{\"a\":1} x"[..], "line 1 column 9"),
        (&b"\"\xff\""[..], "stray byte at 1"),
        (&b"  "[..], "got nothing"),
        (&b"hello"[..], "line 1 column"),
    ] {
        let refused = payload(Bytes::from_static(bytes), InvocationType::DryRun).unwrap_err();
        let words = refused.to_string();
        assert_eq!(refused.name(), "InvalidRequestContentException");
        assert!(
            words.starts_with("Could not parse request body into json: "),
            "{words}"
        );
        assert!(words.contains(place), "{words}");
    }
}

#[test]
fn an_event_may_be_six_mebibytes_for_those_who_wait_and_one_for_the_queue() {
    for (kind, limit) in [
        (InvocationType::RequestResponse, 6_291_456),
        (InvocationType::DryRun, 6_291_456),
        (InvocationType::Event, 1_048_576),
    ] {
        let exact = format!("\"{}\"", "a".repeat(limit - 2));
        assert!(payload(exact.clone().into(), kind).is_ok());
        let refused = payload(format!("{exact} ").into(), kind).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("Request must be smaller than {limit} bytes for the InvokeFunction operation")
        );
    }
}

#[tokio::test]
async fn a_refusal_has_the_exceptions_name_and_the_members_of_the_model() {
    let answer = refused(&ServiceError::TooManyRequests, "id-1");
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    for (name, expected) in [
        ("content-type", "application/json"),
        ("x-amzn-errortype", "TooManyRequestsException"),
        ("x-amzn-requestid", "id-1"),
        ("retry-after", "1"),
    ] {
        assert_eq!(answer.headers()[name], expected);
    }
    let document: Value = serde_json::from_slice(&body(answer).await).unwrap();
    assert_eq!(document["message"], "Rate Exceeded.");
    let missing = refused(&ServiceError::NotFound("arn".to_owned()), "id-1");
    assert!(!missing.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn a_queued_event_and_a_dry_run_have_no_body() {
    for (answer, status) in [(accepted("id-1"), 202), (dry("id-1"), 204)] {
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers()["x-amzn-requestid"], "id-1");
        assert!(body(answer).await.is_empty());
    }
}

#[tokio::test]
async fn a_response_says_what_served_it() {
    let answer = answered(&served(), whole(Ok("{\"a\": 1}")), LogType::None, "id-1");
    assert_eq!(answer.status(), StatusCode::OK);
    for (name, expected) in [
        ("content-type", "application/json"),
        ("x-amz-executed-version", "41"),
        ("x-crunchbox-release", "3f2a91c0"),
        ("x-amzn-requestid", "id-1"),
    ] {
        assert_eq!(answer.headers()[name], expected);
    }
    for name in ["x-amz-function-error", "x-amz-log-result"] {
        assert!(!answer.headers().contains_key(name), "{name}");
    }
    assert_eq!(body(answer).await, "{\"a\": 1}");
}

#[tokio::test]
async fn a_failed_function_is_status_200_with_a_header() {
    let error = FunctionError::new("Sandbox.Timedout", "too long");
    let answer = answered(&served(), whole(Err(error)), LogType::Tail, "id-1");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["x-amz-function-error"], "Unhandled");
    assert_eq!(answer.headers()["x-amz-log-result"], "U1RBUlQK");
    let document: Value = serde_json::from_slice(&body(answer).await).unwrap();
    let expected = json!({"errorType": "Sandbox.Timedout", "errorMessage": "too long"});
    assert_eq!(document, expected);
}

#[tokio::test]
async fn a_response_over_the_limit_is_the_functions_failure() {
    let response = |bytes| Whole {
        result: Ok(Bytes::from(vec![b'1'; bytes])),
        content_type: None,
        log: Bytes::new(),
    };
    let exact = answered(
        &served(),
        response(RESPONSE_BYTES_MAX),
        LogType::None,
        "id-1",
    );
    assert!(!exact.headers().contains_key("x-amz-function-error"));
    let longer = response(RESPONSE_BYTES_MAX + 1);
    let answer = answered(&served(), longer, LogType::None, "id-1");
    assert_eq!(answer.headers()["x-amz-function-error"], "Unhandled");
    let document: Value = serde_json::from_slice(&body(answer).await).unwrap();
    assert_eq!(document["errorType"], "Function.ResponseSizeTooLarge");
    assert_eq!(
        document["errorMessage"],
        "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
    );
}

#[test]
fn what_cannot_be_a_header_is_left_out() {
    let served = Served {
        version: "1\r\nx-evil: 1".to_owned(),
        release: Some("\0".to_owned()),
    };
    let mut whole = whole(Ok("1"));
    whole.content_type = Some("text/plain\n".to_owned());
    let answer = answered(&served, whole, LogType::None, "id\n");
    assert_eq!(answer.headers().len(), 1);
    assert_eq!(answer.headers()["content-type"], "application/json");
}

#[test]
fn the_runtimes_word_on_its_response_is_handed_on() {
    let mut whole = whole(Ok("hello"));
    whole.content_type = Some("text/plain".to_owned());
    let answer = answered(&served(), whole, LogType::None, "id-1");
    assert_eq!(answer.headers()["content-type"], "text/plain");
}
