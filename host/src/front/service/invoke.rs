//! Lambda's operation `Invoke` over HTTP: what its headers ask for, which events it takes, and how what came of them looks
//! to AWS's clients. Knows no function and no queue.
//! Sources: the operation `Invoke` of AWS's API model of Lambda (botocore, `lambda/2015-03-31`), and answers of AWS that
//! LocalStack's tests have recorded (`tests/aws/services/lambda_/test_lambda.snapshot.json` there).

use super::call::{FunctionError, Served, Whole};
use super::error::ServiceError;
use crate::event::{EVENT_BYTES_MAX, RESPONSE_BYTES_MAX, check_json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};

/// The most bytes of an event that is queued. 256 KiB until 2026-01-29.
/// Source: <https://aws.amazon.com/blogs/compute/more-room-to-build-serverless-services-now-support-payloads-up-to-1-mb>.
const QUEUED_BYTES_MAX: usize = 1 << 20;

/// The most bytes of a client context, encoded.
/// Source: <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>, `ClientContext`.
const CLIENT_CONTEXT_BYTES_MAX: usize = 3583;

/// The most bytes of a tenant's identifier, and what it is made of: the shape `TenantId` of the model.
const TENANT_BYTES_MAX: usize = 256;
const TENANT_PATTERN: &str = r"[a-zA-Z0-9\._:\/=+\-@ ]+";

/// Longer ones are replaced: three ids and a few words are all that X-Ray puts into it.
const TRACE_BYTES_MAX: usize = 1 << 10;

const JSON: &str = "application/json";

/// What a caller gets.
pub(super) type Answer = Response<Body>;

/// The body of every answer.
pub(super) type Body = UnsyncBoxBody<Bytes, BrokenOff>;

/// An answer ended before it was complete. The connection has to end with it, or the caller would take it for whole.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub(super) struct BrokenOff;

/// A body that is there.
pub(super) fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body without a byte.
pub(super) fn empty() -> Body {
    full(Bytes::new())
}

/// What is to become of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InvocationType {
    /// It is handled while the caller waits.
    RequestResponse,
    /// It is queued.
    Event,
    /// Nothing; the caller only asks whether it might.
    DryRun,
}

/// Whether the caller wants to see the end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogType {
    /// It does not.
    None,
    /// It does.
    Tail,
}

/// What the headers of a request say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InvokeHead {
    /// What is to become of the event.
    pub(super) kind: InvocationType,
    /// Whether the end of the log is wanted.
    pub(super) log: LogType,
    /// The client context as JSON text without line breaks; never there for a queued event.
    pub(super) client_context: Option<String>,
    /// The tenant.
    pub(super) tenant_id: Option<String>,
    /// The caller's trace header, or a new one.
    pub(super) trace_id: String,
}

impl InvokeHead {
    /// Reads the headers of an operation. Those that Lambda does not know are left alone.
    ///
    /// # Errors
    /// [`ServiceError::Validation`], [`ServiceError::InvalidContent`] or [`ServiceError::InvalidParameter`].
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, ServiceError> {
        use InvocationType::{DryRun, Event, RequestResponse};
        if headers.contains_key("x-amz-durable-execution-name") {
            return Err(ServiceError::InvalidParameter(
                "X-Amz-Durable-Execution-Name: durable executions are not served here".to_owned(),
            ));
        }
        let kinds = [
            ("Event", Event),
            ("RequestResponse", RequestResponse),
            ("DryRun", DryRun),
        ];
        let kind = choice(
            headers.get("x-amz-invocation-type"),
            "invocationType",
            &kinds,
        )?;
        let kind = kind.unwrap_or(RequestResponse);
        let logs = [("None", LogType::None), ("Tail", LogType::Tail)];
        let log = choice(headers.get("x-amz-log-type"), "logType", &logs)?;
        let client_context = client_context(headers)?;
        Ok(Self {
            kind,
            log: log.unwrap_or(LogType::None),
            client_context: client_context.filter(|_| kind != Event),
            tenant_id: tenant_id(headers)?,
            trace_id: sent_trace_id(headers).unwrap_or_else(trace_id),
        })
    }
}

fn choice<T: Copy>(
    value: Option<&HeaderValue>,
    field: &'static str,
    choices: &[(&str, T)],
) -> Result<Option<T>, ServiceError> {
    let Some(value) = value else { return Ok(None) };
    let found = choices
        .iter()
        .find(|(name, _)| name.as_bytes() == value.as_bytes());
    if let Some((_, choice)) = found {
        return Ok(Some(*choice));
    }
    let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
    Err(ServiceError::Validation {
        field,
        got: lossy(value),
        constraint: format!("Member must satisfy enum value set: [{}]", names.join(", ")),
    })
}

fn client_context(headers: &HeaderMap) -> Result<Option<String>, ServiceError> {
    let encoded = headers.get("x-amz-client-context");
    let Some(encoded) = encoded.filter(|encoded| !encoded.is_empty()) else {
        return Ok(None);
    };
    if encoded.len() > CLIENT_CONTEXT_BYTES_MAX {
        return Err(ServiceError::InvalidContent(format!(
            "Client context must be at most {CLIENT_CONTEXT_BYTES_MAX} bytes when Base64-encoded, got {}.",
            encoded.len()
        )));
    }
    let decoded = STANDARD.decode(encoded.as_bytes()).ok();
    decoded
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|text| text.trim_ascii_start().starts_with('{') && check_json(text).is_ok())
        // It travels on in a header. Line breaks between JSON's words mean as much as spaces, and there are none in its strings.
        .map(|text| Some(text.replace(['\r', '\n'], " ")))
        .ok_or_else(|| {
            ServiceError::InvalidContent(
                "Client context must be a valid Base64-encoded JSON object.".to_owned(),
            )
        })
}

fn tenant_id(headers: &HeaderMap) -> Result<Option<String>, ServiceError> {
    let Some(value) = headers.get("x-amz-tenant-id") else {
        return Ok(None);
    };
    let tenant = lossy(value);
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "._:/=+-@ ".contains(letter);
    let constraint = if tenant.len() > TENANT_BYTES_MAX {
        format!("Member must have length less than or equal to {TENANT_BYTES_MAX}")
    } else if !tenant.is_empty() && tenant.chars().all(is_allowed) {
        return Ok(Some(tenant));
    } else {
        format!("Member must satisfy regular expression pattern: {TENANT_PATTERN}")
    };
    Err(ServiceError::Validation {
        field: "tenantId",
        got: tenant,
        constraint,
    })
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// The caller's trace header, if it looks like X-Ray's.
pub(super) fn sent_trace_id(headers: &HeaderMap) -> Option<String> {
    headers
        .get("x-amzn-trace-id")
        .and_then(|value| value.to_str().ok())
        .filter(|trace| trace.starts_with("Root=") && trace.len() <= TRACE_BYTES_MAX)
        .map(str::to_owned)
}

/// A new trace header, of a trace that is not sampled.
/// Source: <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>.
pub(super) fn trace_id() -> String {
    let now = jiff::Timestamp::now();
    let mut bytes = [0_u8; 20];
    // Not a secret: if the system has no random bytes yet, the time serves.
    if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) != Ok(20) {
        let time = now.as_nanosecond().to_le_bytes();
        bytes
            .iter_mut()
            .zip(time)
            .for_each(|(byte, part)| *byte = part);
    }
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let (root, parent) = digits.split_at(24);
    format!(
        "Root=1-{:08x}-{root};Parent={parent};Sampled=0",
        now.as_second()
    )
}

/// The most bytes of an event.
pub(super) fn limit(kind: InvocationType) -> usize {
    match kind {
        InvocationType::RequestResponse | InvocationType::DryRun => EVENT_BYTES_MAX,
        InvocationType::Event => QUEUED_BYTES_MAX,
    }
}

/// Checks that a request's body is an event, and gives it back byte for byte. No body at all stands for `{}`.
///
/// # Errors
/// [`ServiceError::TooLarge`], or [`ServiceError::InvalidContent`] with the place.
pub(super) fn payload(bytes: Bytes, kind: InvocationType) -> Result<Bytes, ServiceError> {
    let limit = limit(kind);
    if bytes.len() > limit {
        return Err(too_large(limit));
    }
    if bytes.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    let checked = std::str::from_utf8(&bytes)
        .map_err(|error| {
            format!(
                "expected UTF-8, got a stray byte at {}",
                error.valid_up_to()
            )
        })
        .and_then(check_json);
    match checked {
        Ok(()) => Ok(bytes),
        Err(problem) => Err(ServiceError::InvalidContent(format!(
            "Could not parse request body into json: Could not parse payload into json: {problem}"
        ))),
    }
}

/// The refusal of an event that is longer than `limit`. Lambda calls the operation by the name of its permission.
pub(super) fn too_large(limit: usize) -> ServiceError {
    ServiceError::TooLarge {
        limit,
        operation: "InvokeFunction",
    }
}

/// The service's refusal.
pub(super) fn refused(error: &ServiceError, request_id: &str) -> Answer {
    let document = error.document().to_string();
    let mut response = respond(error.status(), full(document.into()), request_id);
    let headers = response.headers_mut();
    set(headers, "content-type", JSON);
    set(headers, "x-amzn-errortype", error.name());
    if let Some(wait) = error.retry_after() {
        set(headers, "retry-after", &wait.as_secs().to_string());
    }
    response
}

/// The event is queued.
pub(super) fn accepted(request_id: &str) -> Answer {
    respond(StatusCode::ACCEPTED, empty(), request_id)
}

/// The event would have been handled.
pub(super) fn dry(request_id: &str) -> Answer {
    respond(StatusCode::NO_CONTENT, empty(), request_id)
}

/// What came of an event: the status is 200 even when the function failed.
pub(super) fn answered(served: &Served, whole: Whole, log: LogType, request_id: &str) -> Answer {
    let (failed, bytes) = match within_limit(whole.result) {
        Ok(bytes) => (false, bytes),
        Err(error) => (true, error.document),
    };
    let mut response = respond(StatusCode::OK, full(bytes), request_id);
    let headers = response.headers_mut();
    let content_type = whole.content_type.filter(|_| !failed);
    // First what is always right, for the case that a runtime's own word cannot be a header.
    set(headers, "content-type", JSON);
    if let Some(content_type) = content_type {
        set(headers, "content-type", &content_type);
    }
    set_served(headers, served);
    if failed {
        // The other value that the model knows, `Handled`, is no longer given by any runtime.
        set(headers, "x-amz-function-error", "Unhandled");
    }
    if log == LogType::Tail {
        set(headers, "x-amz-log-result", &STANDARD.encode(&whole.log));
    }
    response
}

/// The function's failure in place of a response that is longer than Lambda takes.
pub(super) fn within_limit(result: Result<Bytes, FunctionError>) -> Result<Bytes, FunctionError> {
    let bytes = result?;
    if bytes.len() <= RESPONSE_BYTES_MAX {
        return Ok(bytes);
    }
    Err(response_too_large(RESPONSE_BYTES_MAX))
}

/// The function's failure to stay within `limit`, in AWS's words.
pub(super) fn response_too_large(limit: usize) -> FunctionError {
    let message =
        format!("Response payload size exceeded maximum allowed payload size ({limit} bytes).");
    FunctionError::new("Function.ResponseSizeTooLarge", &message)
}

/// An answer with its status, body and identifier.
pub(super) fn respond(status: StatusCode, body: Body, request_id: &str) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    set(response.headers_mut(), "x-amzn-requestid", request_id);
    response
}

/// Says what served an event: the version in Lambda's words, the release in ours.
pub(super) fn set_served(headers: &mut HeaderMap, served: &Served) {
    set(headers, "x-amz-executed-version", &served.version);
    if let Some(release) = &served.release {
        set(headers, "x-crunchbox-release", release);
    }
}

/// Sets a header, whose name is in lower case. A value that cannot be one is left out: it may come from a function.
pub(super) fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        // The map refuses what is beyond its capacity; then this header is missing too.
        let _ = headers.try_insert(HeaderName::from_static(name), value);
    }
}

#[cfg(test)]
mod tests;
