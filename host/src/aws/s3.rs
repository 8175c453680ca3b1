//! What all clients of S3 here have in common: where their settings come from, how long they wait, and what an error means.

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use std::time::Duration;

/// The first and the longest wait between two attempts.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// How long a client waits, and how often it tries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For a connection.
    pub(crate) connect: Duration,
    /// For the first byte of an answer, and for one attempt at a small request.
    pub(crate) attempt: Duration,
    /// Attempts at one request, the first among them.
    pub(crate) attempts: u32,
}

/// Credentials, region and endpoint from where AWS's own tools take them.
pub(crate) fn loader(patience: &Patience) -> ConfigLoader {
    // Pinned: a later version of the SDK must not change how often and how long it tries.
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(super::http_client())
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(patience.attempts)
                .with_initial_backoff(BACKOFF_MIN)
                .with_max_backoff(BACKOFF_MAX),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(patience.connect)
                .read_timeout(patience.attempt)
                .operation_attempt_timeout(patience.attempt)
                .build(),
        )
}

/// What an error means for whoever asked, with S3's words.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// There is no such object.
    Missing,
    /// A condition did not hold, or somebody else writes just now.
    Conflict,
    /// These credentials may not.
    Denied(String),
    /// No answer, or one that asks for another try.
    Unreachable(String),
    /// Trying again is of no use.
    Unusable(String),
}

/// The status of the answer, if there was one.
pub(crate) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error
        .raw_response()
        .map(|response| response.status().as_u16())
}

/// Says what an error means.
pub(crate) fn trouble<E>(error: &SdkError<E>) -> Trouble
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let code = error.code().unwrap_or_default();
    let problem = match (code, error.message()) {
        ("", _) => crate::error::chain(error),
        (code, Some(message)) => format!("{code}: {message}"),
        (code, None) => code.to_owned(),
    };
    match (error, status(error)) {
        (SdkError::ServiceError(_), Some(404)) if code != "NoSuchBucket" => Trouble::Missing,
        (SdkError::ServiceError(_), Some(400)) if code == "RequestTimeout" => {
            Trouble::Unreachable(problem)
        }
        (SdkError::ServiceError(_), Some(400)) if code.contains("Token") => {
            Trouble::Denied(problem)
        }
        (SdkError::ServiceError(_), Some(401 | 403)) => Trouble::Denied(problem),
        (SdkError::ServiceError(_), Some(409 | 412)) => Trouble::Conflict,
        (SdkError::ServiceError(_), Some(408 | 429 | 500..)) => Trouble::Unreachable(problem),
        (SdkError::ServiceError(_), _) => Trouble::Unusable(problem),
        (SdkError::ConstructionFailure(_), _) => Trouble::Unusable(problem),
        // What never left this machine, for want of credentials or a region, has no kind of its own.
        (SdkError::DispatchFailure(failure), _)
            if failure.is_user() || (failure.is_other() && failure.as_other().is_none()) =>
        {
            Trouble::Unusable(problem)
        }
        _ => Trouble::Unreachable(problem),
    }
}
