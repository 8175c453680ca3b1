//! What a Runtime API answers to requests that it does not take: status, type and words as AWS's runtime interface
//! emulator has them (`internal/lambda/rapi/rendering/render_error.go` and `rapi/handler` there).

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

/// The body of every answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// Why a request was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The path is none of the API's.
    Path,
    /// The event is not one that is waited for.
    RequestId,
    /// The answer is to an earlier try of the event.
    Stale,
    /// The request does not come after the one before it.
    Order {
        /// Where things stand.
        from: &'static str,
        /// Where they would go.
        to: &'static str,
    },
    /// The body is longer than Lambda takes.
    TooLarge(usize),
    /// The body broke off.
    Truncated,
    /// A mode of responding that is none.
    Mode,
    /// The environment is at its end.
    Over,
    /// What an extension may not do.
    Extension {
        /// Its type.
        kind: &'static str,
        /// In words.
        message: String,
    },
}

impl Refusal {
    pub(super) fn extension(kind: &'static str, message: impl Into<String>) -> Self {
        Self::Extension {
            kind,
            message: message.into(),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::RequestId | Self::Truncated | Self::Mode => StatusCode::BAD_REQUEST,
            // Not the emulator's: what Lambda answers since July 2026, according to its Rust runtime.
            Self::Stale => StatusCode::GONE,
            Self::Order { .. } | Self::Extension { .. } => StatusCode::FORBIDDEN,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Over => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Path => "NoSuchPath",
            Self::RequestId => "InvalidRequestID",
            Self::Stale => "InvalidInvocationID",
            Self::Order { .. } => "InvalidStateTransition",
            Self::TooLarge(_) => "RequestEntityTooLarge",
            Self::Truncated => "TruncatedHTTPRequest",
            Self::Mode => "InvalidFunctionResponseMode",
            Self::Over => "InternalServerError",
            Self::Extension { kind, .. } => kind,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Path => "No such path".to_owned(),
            Self::RequestId => "Invalid request ID".to_owned(),
            Self::Stale => "The invocation is over".to_owned(),
            Self::Order { from, to } => format!(
                "State transition from {from} to {to} failed for runtime. Error: State transition is not allowed"
            ),
            Self::TooLarge(most) => {
                format!("Exceeded maximum allowed payload size ({most} bytes).")
            }
            Self::Truncated => "HTTP request detected as truncated".to_owned(),
            Self::Mode => "Invalid function response mode".to_owned(),
            Self::Over => "Internal Server Error".to_owned(),
            Self::Extension { message, .. } => message.clone(),
        }
    }

    /// The answer that says so.
    pub(super) fn answer(&self) -> Answer {
        let document = json!({"errorMessage": self.message(), "errorType": self.kind()});
        document_answer(self.status(), &document)
    }
}

/// The answer to what was taken.
pub(super) fn accepted() -> Answer {
    document_answer(StatusCode::ACCEPTED, &json!({"status": "OK"}))
}

/// An answer that is one JSON document, with the line break that Go's encoder adds.
pub(super) fn document_answer(status: StatusCode, document: &Value) -> Answer {
    let mut answer = Response::new(Full::from(format!("{document}\n")));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    answer
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, kind);
    answer
}
