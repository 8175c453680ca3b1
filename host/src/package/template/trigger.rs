//! Where a function's events come from, and what follows from that whatever the template's language.

use super::Facts;
use std::fmt;

/// Where events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Trigger {
    /// Messages of a topic of the Simple Notification Service.
    Sns,
    /// Messages of a queue of the Simple Queue Service.
    Sqs,
    /// New objects of a bucket.
    S3,
    /// Changes of a table of DynamoDB.
    Dynamodb,
    /// Records of a stream of Kinesis.
    Kinesis,
    /// The clock, by a rule of EventBridge.
    Schedule,
    /// Requests to an address of the function's own.
    Url,
    /// Requests to an HTTP API of API Gateway.
    Api,
}

/// Lambda wants a queue to hide a message for so many times the function's timeout.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>.
const VISIBILITY_FACTOR: u64 = 6;

/// The longest that an HTTP API waits.
/// Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>.
const API_TIMEOUT_MAX_MS: u64 = 30_000;

impl Trigger {
    /// Its name as `--trigger` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sns => "sns",
            Self::Sqs => "sqs",
            Self::S3 => "s3",
            Self::Dynamodb => "dynamodb",
            Self::Kinesis => "kinesis",
            Self::Schedule => "schedule",
            Self::Url => "url",
            Self::Api => "api",
        }
    }

    /// Whether nobody waits for the response: Lambda tries again, and keeps what fails.
    fn is_asynchronous(self) -> bool {
        match self {
            Self::Sns | Self::S3 | Self::Schedule => true,
            Self::Sqs | Self::Dynamodb | Self::Kinesis | Self::Url | Self::Api => false,
        }
    }

    /// Whether Lambda reads a stream, which a record that fails holds up.
    fn is_stream(self) -> bool {
        match self {
            Self::Dynamodb | Self::Kinesis => true,
            Self::Sns | Self::Sqs | Self::S3 | Self::Schedule | Self::Url | Self::Api => false,
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Facts {
    pub(super) fn is_called_asynchronously(&self) -> bool {
        let mut triggers = self.triggers.iter();
        triggers.any(|trigger| trigger.is_asynchronous())
    }

    /// Whether there is a queue of events that the function could not handle.
    pub(super) fn keeps_failed_events(&self) -> bool {
        self.is_called_asynchronously() || self.triggers.iter().any(|trigger| trigger.is_stream())
    }

    /// How long a queue hides a message that is worked on.
    pub(super) fn visibility_seconds(&self) -> u64 {
        self.timeout.as_secs().saturating_mul(VISIBILITY_FACTOR)
    }

    /// How long an API waits for the function.
    pub(super) fn api_timeout_ms(&self) -> u64 {
        let timeout = self.timeout.as_secs().saturating_mul(1_000);
        timeout.min(API_TIMEOUT_MAX_MS)
    }
}
