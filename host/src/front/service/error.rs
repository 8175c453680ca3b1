//! What the service itself refuses: Lambda's exceptions, with their status and the body that AWS's clients read.
//! Sources: the operation `Invoke` of AWS's API model of Lambda (botocore, `lambda/2015-03-31`), and answers of AWS as
//! reported by users of emulators.

use http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

/// Why the service did not hand an event to a function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ServiceError {
    /// No such function, or no such version of it.
    #[error("Function not found: {0}")]
    NotFound(String),
    /// As many events at once as were asked for.
    #[error("Rate Exceeded.")]
    TooManyRequests,
    /// The event is longer than Lambda takes.
    #[error("Request must be smaller than {limit} bytes for the {operation} operation")]
    TooLarge {
        /// The most bytes.
        limit: usize,
        /// Lambda's name of the operation.
        operation: &'static str,
    },
    /// The event, or the client context, is not what it must be.
    #[error("{0}")]
    InvalidContent(String),
    /// Parameters that contradict each other.
    #[error("{0}")]
    InvalidParameter(String),
    /// A parameter outside what Lambda's model of the API allows.
    #[error(
        "1 validation error detected: Value '{got}' at '{field}' failed to satisfy constraint: {constraint}"
    )]
    Validation {
        /// The parameter, as the model names it.
        field: &'static str,
        /// What was sent.
        got: String,
        /// What is allowed.
        constraint: String,
    },
    /// A path that is no operation.
    #[error("{0}")]
    UnknownOperation(String),
    /// Somebody who must not ask.
    #[error("{0}")]
    Forbidden(String),
    /// The queue for events is full, or the service is ending.
    #[error("{0}")]
    Unavailable(String),
}

impl ServiceError {
    /// Lambda's name of the exception.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "ResourceNotFoundException",
            Self::TooManyRequests => "TooManyRequestsException",
            Self::TooLarge { .. } => "RequestTooLargeException",
            Self::InvalidContent(_) => "InvalidRequestContentException",
            Self::InvalidParameter(_) => "InvalidParameterValueException",
            Self::Validation { .. } => "ValidationException",
            Self::UnknownOperation(_) => "UnknownOperationException",
            Self::Forbidden(_) => "AccessDeniedException",
            Self::Unavailable(_) => "ServiceException",
        }
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) | Self::UnknownOperation(_) => StatusCode::NOT_FOUND,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InvalidContent(_) | Self::InvalidParameter(_) | Self::Validation { .. } => {
                StatusCode::BAD_REQUEST
            }
            // As the model has it, though 503 would say it better.
            Self::Unavailable(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// How long a client is asked to wait, where it is.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyRequests | Self::Unavailable(_) => Some(Duration::from_secs(1)),
            Self::NotFound(_)
            | Self::TooLarge { .. }
            | Self::InvalidContent(_)
            | Self::InvalidParameter(_)
            | Self::Validation { .. }
            | Self::UnknownOperation(_)
            | Self::Forbidden(_) => None,
        }
    }

    /// The body. The model spells the message's key differently from one exception to the next.
    pub(crate) fn document(&self) -> Value {
        let message = self.to_string();
        match self {
            Self::NotFound(_) | Self::Unavailable(_) | Self::Forbidden(_) => {
                let kind = if self.status().is_server_error() {
                    "Service"
                } else {
                    "User"
                };
                json!({"Type": kind, "Message": message})
            }
            Self::TooManyRequests => json!({
                "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
                "Type": "User",
                "message": message,
            }),
            Self::TooLarge { .. } | Self::InvalidContent(_) | Self::InvalidParameter(_) => {
                json!({"Type": "User", "message": message})
            }
            Self::Validation { .. } | Self::UnknownOperation(_) => json!({"message": message}),
        }
    }
}
