//! The outside worlds, each turning what it gets into [`Host::handle`](crate::host::Host::handle) and back.
//! All words of their protocols stay in here.

#[cfg(feature = "lambda")]
pub mod lambda;
pub mod local;
#[cfg(feature = "dev")]
pub(crate) mod service;

#[cfg(feature = "lambda")]
use crate::error::Failure;
#[cfg(feature = "lambda")]
use std::time::Duration;

/// What is kept of an event's time to post the answer in: a response of 6 MB over loopback takes some 10 ms.
#[cfg(feature = "lambda")]
const REPORT_RESERVE: Duration = Duration::from_millis(50);

/// What a caller gets of a failure.
#[cfg(feature = "lambda")]
fn error_document(failure: &Failure) -> String {
    serde_json::json!({"errorType": failure.kind, "errorMessage": failure.message, "stackTrace": failure.trace})
        .to_string()
}

/// An identifier in the form of Lambda's: a random UUID, version 4.
pub(crate) fn request_id() -> String {
    let mut bytes = [0; 16];
    // Not a secret: if the system has no random bytes yet, the time serves.
    if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) != Ok(16) {
        bytes = jiff::Timestamp::now().as_nanosecond().to_be_bytes();
    }
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..]
    )
}
