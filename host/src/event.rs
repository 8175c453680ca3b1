//! What crosses the host: an invocation coming in, an outcome going out. Plain values; knows no wasmtime and no AWS.

use crate::account::Account;
use crate::error::{Code, Failure};
use serde::Deserialize as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most bytes of an event that Lambda delivers to a synchronous caller's function.
/// Source: the deep dive cited by AWS's own runtime interface emulator, whose constant agrees.
pub const EVENT_BYTES_MAX: usize = 6 * 1024 * 1024;

/// The most bytes of a response that Lambda takes: 100 more than of an event.
pub const RESPONSE_BYTES_MAX: usize = EVENT_BYTES_MAX + 100;

/// One event and what is known of its caller.
#[derive(Debug, Clone, Default)]
pub struct Invocation {
    /// The event, exactly as it came in.
    pub event: Vec<u8>,
    /// The invocation's identifier.
    pub request_id: String,
    /// When the caller stops waiting. None: only the function's own time limit counts.
    pub deadline: Option<Instant>,
    /// The trace header in X-Ray's form.
    pub trace_id: Option<String>,
    /// The tenant, where Lambda's tenant isolation is in use.
    pub tenant_id: Option<String>,
    /// The Amazon Resource Name the caller used.
    pub invoked_arn: Option<String>,
    /// The caller's client context, as JSON text.
    pub client_context: Option<String>,
    /// The caller's Cognito identity, as JSON text.
    pub identity: Option<String>,
}

/// What served an event; the same for every event of one loaded guest.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// The function's name.
    pub function: String,
    /// The channel, or `local`.
    pub channel: String,
    /// The channel's sequence number, where there is a channel.
    pub sequence: Option<u64>,
    /// The release's id, or the component's digest.
    pub release: String,
    /// The component's digest.
    pub component: String,
    /// The digest of the merged configuration.
    pub config: String,
}

/// What an invocation came to.
#[derive(Debug)]
pub struct Outcome {
    /// What served it; nothing where it never came to a guest.
    pub served: Option<Arc<Identity>>,
    /// The response, byte for byte as the guest gave it, or why there is none.
    pub result: Result<String, Failure>,
    /// What it took.
    pub usage: Usage,
}

impl Outcome {
    /// An outcome that no guest had a part in.
    pub fn refused(failure: Failure) -> Self {
        Self {
            served: None,
            result: Err(failure),
            usage: Usage::default(),
        }
    }

    /// The code that reports and logs carry: `ok`, or the stable code.
    pub fn code(&self) -> &'static str {
        match &self.result {
            Ok(_) => "ok",
            Err(failure) => failure.code.name(),
        }
    }
}

/// What one event took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Making a store and an instance.
    pub instantiate: Duration,
    /// Inside the handler, host calls and waiting included.
    pub call: Duration,
    /// Processor time of both: the guest's own work and the host's for it, waiting left out.
    pub cpu: Duration,
    /// The most memory held at once: all memories and tables, in bytes.
    pub memory_peak: usize,
    /// What the guest was allowed of it.
    pub memory_limit: usize,
    /// The most bytes in its scratch folder at once.
    pub scratch_peak: u64,
    /// What went through its grants.
    pub grants: Account,
    /// Log lines written for the guest.
    pub log_lines: u64,
    /// Log lines and pieces of lines left out beyond the log limit.
    pub log_cut: u64,
}

/// Checks that `bytes` are an event: UTF-8, one JSON text, not longer than Lambda delivers.
///
/// # Errors
/// [`Code::EventTooLarge`] or [`Code::EventNotJson`], with the place.
pub fn check_event(bytes: Vec<u8>) -> Result<String, Failure> {
    if bytes.len() > EVENT_BYTES_MAX {
        let message = format!(
            "the event has {} bytes, at most {EVENT_BYTES_MAX} are allowed",
            bytes.len()
        );
        return Err(Failure::new(Code::EventTooLarge, message));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::new(
            Code::EventNotJson,
            format!("the event is not UTF-8: expected text, got a stray byte at {at}"),
        )
    })?;
    check_json(&text).map_err(|problem| {
        Failure::new(
            Code::EventNotJson,
            format!("the event is not one JSON text: {problem}"),
        )
    })?;
    Ok(text)
}

/// Checks a guest's response. The text itself is not changed.
///
/// # Errors
/// [`Code::ResponseTooLarge`] or [`Code::ResponseNotJson`], with the place.
pub fn check_response(text: &str, bytes_max: usize) -> Result<(), Failure> {
    if text.len() > bytes_max {
        let message = format!(
            "the response has {} bytes, limits.response is {bytes_max}",
            text.len()
        );
        let failure = Failure::new(Code::ResponseTooLarge, message);
        return Err(if bytes_max < RESPONSE_BYTES_MAX {
            failure.with_hint(
                "raise `response` under [limits] in crunchbox.toml, as far as policy.toml allows",
            )
        } else {
            failure
        });
    }
    check_json(text).map_err(|problem| {
        Failure::new(
            Code::ResponseNotJson,
            format!("the response is not one JSON text: {problem}"),
        )
    })
}

/// Scans for exactly one JSON text; builds nothing, recurses nowhere.
///
/// # Errors
/// Says what was expected, and at which line and column.
pub fn check_json(text: &str) -> Result<(), String> {
    if text.trim_ascii().is_empty() {
        return Err("expected a value, got nothing".to_owned());
    }
    let mut scanner = serde_json::Deserializer::from_str(text);
    serde::de::IgnoredAny::deserialize(&mut scanner)
        .and_then(|_| scanner.end())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_json_text_passes_whatever_its_numbers_keys_and_spaces() {
        for text in [
            "123456789012345678901234567890",
            "1e400",
            "{\"a\":1,\"a\":2}",
            " \n[ 1 ,2 ]\t",
            "\"x\"",
            "null",
            "-0.0E-7",
        ] {
            assert_eq!(check_json(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn anything_but_one_json_text_is_refused_with_its_place() {
        for text in [
            "",
            "  ",
            "{",
            "[1,]",
            "1 2",
            "{'a':1}",
            "nul",
            "\"\u{1}\"",
            "{\"a\":1}}",
            "NaN",
            "\u{feff}{}",
        ] {
            assert!(check_json(text).is_err(), "{text:?}");
        }
        assert_eq!(
            check_json("{\"a\":1} x"),
            Err("trailing characters at line 1 column 9".to_owned())
        );
    }

    #[test]
    fn nesting_has_no_limit_that_would_refuse_a_valid_event() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(check_json(&deep), Ok(()));
    }

    #[test]
    fn an_event_over_six_mebibytes_is_refused_and_one_byte_less_is_not() {
        let exact = format!("\"{}\"", "a".repeat(EVENT_BYTES_MAX - 2));
        assert!(check_event(exact.clone().into_bytes()).is_ok());
        let failure = check_event(format!("{exact} ").into_bytes()).unwrap_err();
        assert_eq!(failure.code, Code::EventTooLarge);
    }

    #[test]
    fn an_event_that_is_not_utf8_is_the_callers_fault() {
        let failure = check_event(b"\"\xff\"".to_vec()).unwrap_err();
        assert_eq!(failure.code, Code::EventNotJson);
        assert!(
            failure.message.contains("stray byte at 1"),
            "{}",
            failure.message
        );
    }
}
