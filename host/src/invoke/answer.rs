//! What a service answered: a response, a failure of the function, or why it refused. Reads what may be of any server;
//! sends nothing.

use crate::error::{Code, Failure};
use crate::telemetry::printable;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use std::time::Duration;

/// How many characters are kept of a failure's kind, and of words that are no JSON.
const KIND_CHARS_MAX: usize = 128;
const WORDS_CHARS_MAX: usize = 1_000;

/// What stands in a header of an answer that has a failure of the function.
const FUNCTION_ERROR: &str = "x-amz-function-error";

/// An invocation that the service took.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The invocation's identifier.
    pub(crate) request_id: Option<String>,
    /// The version that served it.
    pub(crate) version: Option<String>,
    /// The release that served it, where a host of ours says so.
    pub(crate) release: Option<String>,
    /// The end of the invocation's log, where it was asked for.
    pub(crate) log: Option<Vec<u8>>,
    /// The response, or the document of the failure; nothing where it was handed on in parts.
    pub(crate) payload: Bytes,
    /// How many bytes the response has.
    pub(crate) bytes: u64,
    /// What the service calls the function's failure, and the failure.
    pub(crate) failure: Option<(String, Failure)>,
    /// From the sending of the request to the answer's last byte.
    pub(crate) took: Duration,
}

impl Answer {
    /// What the head of an answer says.
    pub(crate) fn of_head(status: StatusCode, headers: &HeaderMap) -> Self {
        let log = text(headers, "x-amz-log-result");
        Self {
            status,
            request_id: text(headers, "x-amzn-requestid"),
            version: text(headers, "x-amz-executed-version"),
            release: text(headers, "x-crunchbox-release"),
            log: log.and_then(|log| STANDARD.decode(log).ok()),
            payload: Bytes::new(),
            bytes: 0,
            failure: None,
            took: Duration::ZERO,
        }
    }

    /// The same with its body: the response, or the document of the function's failure.
    pub(crate) fn with_payload(mut self, headers: &HeaderMap, payload: Bytes) -> Self {
        self.bytes = u64::try_from(payload.len()).unwrap_or(u64::MAX);
        self.failure = text(headers, FUNCTION_ERROR).map(|error| {
            let failure = function_failure(&error, &payload);
            (error, failure)
        });
        self.payload = payload;
        self
    }

    /// The same with the last frame of a stream, in which there is a failure, or none, and the end of the log.
    pub(crate) fn with_end(mut self, end: &[u8], bytes: u64) -> Self {
        let end: Value = serde_json::from_slice(end).unwrap_or_default();
        let member = |name: &str| end.get(name)?.as_str().filter(|text| !text.is_empty());
        self.bytes = bytes;
        self.log = member("LogResult").and_then(|log| STANDARD.decode(log).ok());
        self.failure = member("ErrorCode").map(|error| {
            let details = member("ErrorDetails").unwrap_or_default();
            (
                shortened(error, KIND_CHARS_MAX),
                function_failure(error, details.as_bytes()),
            )
        });
        self
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name).filter(|value| !value.is_empty())?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Printable, and not longer than what helps.
fn shortened(text: &str, chars: usize) -> String {
    printable(text).chars().take(chars).collect()
}

/// A failure of the function, from Lambda's document of it: `errorType`, `errorMessage`, `stackTrace`.
fn function_failure(error: &str, document: &[u8]) -> Failure {
    let read: Value = serde_json::from_slice(document).unwrap_or_default();
    let kind = read.get("errorType").and_then(Value::as_str);
    let kind = kind.filter(|kind| !kind.is_empty()).unwrap_or(error);
    let message = match read.get("errorMessage") {
        Some(message) => words(message),
        None => shortened(&String::from_utf8_lossy(document), WORDS_CHARS_MAX),
    };
    let trace = match read.get("stackTrace") {
        Some(Value::Array(places)) => places.iter().map(words).collect(),
        Some(Value::Null) | None => Vec::new(),
        Some(place) => vec![words(place)],
    };
    Failure {
        kind: shortened(kind, KIND_CHARS_MAX),
        trace,
        ..Failure::new(code_of(kind), message)
    }
}

/// The code that a host of ours means by an `errorType`, or Lambda by its own; all else is the function's own kind.
fn code_of(kind: &str) -> Code {
    if kind == "Sandbox.Timedout" {
        return Code::TimeLimit;
    }
    let known = Code::ALL.iter().copied().find(|code| code.name() == kind);
    known.unwrap_or(Code::GuestFailure)
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Why the service did not take the event, from an answer that is no success.
pub(crate) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let read: Value = serde_json::from_slice(body).unwrap_or_default();
    let member = |name: &str| read.get(name)?.as_str().filter(|text| !text.is_empty());
    let name = text(headers, "x-amzn-errortype").or_else(|| member("__type").map(str::to_owned));
    // `ResourceNotFoundException:http://internal.amazon.com/coral/…`, and `com.amazon.coral.service#UnknownOperationException`.
    let name = name.unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default();
    let said = ["message", "Message", "errorMessage"]
        .into_iter()
        .find_map(member);
    let said = match said {
        Some(said) => said.to_owned(),
        None => String::from_utf8_lossy(body).trim().to_owned(),
    };
    let title = if name.is_empty() {
        format!("the endpoint answered {status}")
    } else {
        shortened(name, KIND_CHARS_MAX)
    };
    let message = match shortened(&said, WORDS_CHARS_MAX) {
        said if said.is_empty() => title,
        said => format!("{title}: {said}"),
    };
    let (code, hint) = meaning(name, status, &said);
    let failure = Failure::new(code, message);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// What to make of an exception of the service. Source: the errors of the operation `Invoke` in AWS's API model of Lambda.
fn meaning(name: &str, status: StatusCode, said: &str) -> (Code, Option<&'static str>) {
    match name {
        "ResourceNotFoundException" => (
            Code::ChannelMissing,
            Some(
                "`crunchbox dev` says at its start which functions and versions it serves; AWS is asked with --aws only",
            ),
        ),
        "TooManyRequestsException" | "EC2ThrottledException" => (Code::Busy, None),
        "RequestTooLargeException" | "SerializedRequestEntityTooLargeException" => {
            (Code::EventTooLarge, None)
        }
        "InvalidRequestContentException"
            if said.to_ascii_lowercase().contains("client context") =>
        {
            (Code::ClientContext, None)
        }
        "InvalidRequestContentException" => (Code::EventNotJson, None),
        "AccessDeniedException" => (
            Code::ServiceRefused,
            Some(
                "allow lambda:InvokeFunction on the function, and on its qualifier, to these credentials",
            ),
        ),
        "MissingAuthenticationTokenException" | "MissingAuthenticationToken" => (
            Code::ServiceRefused,
            Some("say --aws, which signs the request with the credentials of this machine"),
        ),
        "ExpiredTokenException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignatureException"
        | "InvalidClientTokenId" => (
            Code::ServiceRefused,
            Some("renew the credentials of this machine, and compare the region and the clock"),
        ),
        _ if status == StatusCode::TOO_MANY_REQUESTS => (Code::Busy, None),
        _ if status == StatusCode::PAYLOAD_TOO_LARGE => (Code::EventTooLarge, None),
        _ if status.is_server_error() => (Code::ServiceUnreachable, None),
        _ => (Code::ServiceRefused, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |&(name, value): &(&'static str, &str)| {
            let name = http::HeaderName::from_static(name);
            (name, value.parse::<http::HeaderValue>().unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn an_exception_of_the_service_has_a_code_to_act_on() {
        let missing = "ResourceNotFoundException:http://internal.example/coral/";
        let content = "InvalidRequestContentException";
        for (status, name, body, code, message) in [
            (
                404,
                missing,
                r#"{"Type":"User","Message":"Function not found: x"}"#,
                Code::ChannelMissing,
                "ResourceNotFoundException: Function not found: x",
            ),
            (
                429,
                "TooManyRequestsException",
                r#"{"message":"Rate Exceeded."}"#,
                Code::Busy,
                "TooManyRequestsException: Rate Exceeded.",
            ),
            (
                413,
                "RequestTooLargeException",
                "",
                Code::EventTooLarge,
                "RequestTooLargeException",
            ),
            (
                400,
                content,
                r#"{"message":"Could not parse"}"#,
                Code::EventNotJson,
                "InvalidRequestContentException: Could not parse",
            ),
            (
                400,
                content,
                r#"{"message":"Client context must be"}"#,
                Code::ClientContext,
                "InvalidRequestContentException: Client context must be",
            ),
            (
                403,
                "AccessDeniedException",
                r#"{"Message":"no"}"#,
                Code::ServiceRefused,
                "AccessDeniedException: no",
            ),
            (
                500,
                "ServiceException",
                "{}",
                Code::ServiceUnreachable,
                "ServiceException: {}",
            ),
            (
                502,
                "",
                "<html>Bad Gateway",
                Code::ServiceUnreachable,
                "the endpoint answered 502 Bad Gateway: <html>Bad Gateway",
            ),
            (
                404,
                "",
                "",
                Code::ServiceRefused,
                "the endpoint answered 404 Not Found",
            ),
            (
                301,
                "",
                "",
                Code::ServiceRefused,
                "the endpoint answered 301 Moved Permanently",
            ),
            (
                403,
                "",
                r#"{"__type":"com.x#ExpiredTokenException"}"#,
                Code::ServiceRefused,
                r#"ExpiredTokenException: {"__type":"com.x#ExpiredTokenException"}"#,
            ),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let failure = refusal(
                status,
                &headers(&[("x-amzn-errortype", name)]),
                body.as_bytes(),
            );
            assert_eq!((failure.code, failure.message.as_str()), (code, message));
        }
    }

    #[test]
    fn words_of_a_service_are_short_and_printable() {
        let body = format!("\u{1b}[2J{}", "x".repeat(1 << 20));
        let failure = refusal(StatusCode::BAD_GATEWAY, &HeaderMap::new(), body.as_bytes());
        assert!(failure.message.len() < 2 * WORDS_CHARS_MAX);
        assert!(!failure.message.contains('\u{1b}'));
    }

    #[test]
    fn a_failure_of_the_function_keeps_its_kind_words_and_trace() {
        for (document, code, kind, message, trace) in [
            (
                r#"{"errorType":"NoReadings","errorMessage":"none","stackTrace":["a","b"]}"#,
                Code::GuestFailure,
                "NoReadings",
                "none",
                2,
            ),
            (
                r#"{"errorType":"Crunchbox.MemoryLimit","errorMessage":"asked"}"#,
                Code::MemoryLimit,
                "Crunchbox.MemoryLimit",
                "asked",
                0,
            ),
            (
                r#"{"errorType":"crunchbox.memorylimit"}"#,
                Code::GuestFailure,
                "crunchbox.memorylimit",
                r#"{"errorType":"crunchbox.memorylimit"}"#,
                0,
            ),
            (
                r#"{"errorType":"Sandbox.Timedout","errorMessage":"late"}"#,
                Code::TimeLimit,
                "Sandbox.Timedout",
                "late",
                0,
            ),
            (
                r#"{"errorMessage":7,"stackTrace":"one"}"#,
                Code::GuestFailure,
                "Unhandled",
                "7",
                1,
            ),
            ("no JSON", Code::GuestFailure, "Unhandled", "no JSON", 0),
            ("", Code::GuestFailure, "Unhandled", "", 0),
        ] {
            let headers = headers(&[(FUNCTION_ERROR, "Unhandled")]);
            let answer = Answer::of_head(StatusCode::OK, &headers);
            let answer = answer.with_payload(&headers, Bytes::from_static(document.as_bytes()));
            let (error, failure) = answer.failure.unwrap();
            assert_eq!(error, "Unhandled");
            assert_eq!((failure.code, failure.kind.as_str()), (code, kind));
            assert_eq!(
                (failure.message.as_str(), failure.trace.len()),
                (message, trace)
            );
            assert_eq!(answer.payload, document);
        }
    }

    #[test]
    fn the_head_says_what_served_and_the_end_of_the_log() {
        let headers = headers(&[
            ("x-amz-executed-version", "41"),
            ("x-crunchbox-release", "sha256-3f2a91c0"),
            ("x-amzn-requestid", "5d3f"),
            ("x-amz-log-result", "U1RBUlQK"),
        ]);
        let answer = Answer::of_head(StatusCode::OK, &headers).with_payload(&headers, "7".into());
        assert_eq!(answer.version.as_deref(), Some("41"));
        assert_eq!(answer.release.as_deref(), Some("sha256-3f2a91c0"));
        assert_eq!(answer.request_id.as_deref(), Some("5d3f"));
        assert_eq!(answer.log.as_deref(), Some(&b"START\n"[..]));
        assert!(answer.failure.is_none());
        assert_eq!(
            (answer.bytes, answer.payload),
            (1, Bytes::from_static(b"7"))
        );
    }

    #[test]
    fn the_end_of_a_stream_says_how_it_went() {
        let end = |text: &str| {
            Answer::of_head(StatusCode::OK, &HeaderMap::new()).with_end(text.as_bytes(), 3)
        };
        for well in [
            "",
            "{}",
            r#"{"ErrorCode":null}"#,
            r#"{"ErrorCode":""}"#,
            "[]",
        ] {
            assert!(end(well).failure.is_none(), "{well}");
        }
        let text = r#"{"ErrorCode":"Unhandled","ErrorDetails":"{\"errorType\":\"Crunchbox.Trap\",\"errorMessage\":\"x\"}","LogResult":"U1RBUlQK"}"#;
        let answer = end(text);
        assert_eq!(answer.log.as_deref(), Some(&b"START\n"[..]));
        let (error, failure) = answer.failure.unwrap();
        assert_eq!((error.as_str(), failure.code), ("Unhandled", Code::Trap));
        let (_, failure) = end(r#"{"ErrorCode":"Mine","ErrorDetails":"words"}"#)
            .failure
            .unwrap();
        assert_eq!(
            (failure.kind.as_str(), failure.message.as_str()),
            ("Mine", "words")
        );
    }
}
