//! Why an event came to nothing, in Lambda's words. The names are those of AWS's runtime interface emulator
//! (`fatalerror/fatalerror.go`), `Sandbox.Timedout` is what real callers see.

use super::process::Exit;
use crate::event::check_json;
use crate::front::service::call::FunctionError;
use bytes::Bytes;
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;

/// The longest name of an error, which goes into headers.
const KIND_CHARS_MAX: usize = 256;

/// What callers see of a timeout.
const TIMEOUT: &str = "Sandbox.Timedout";

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// In the runtime's own words.
    Told(FunctionError),
    /// In Lambda's, which begin with the event's id.
    Words {
        /// The `errorType`.
        kind: &'static str,
        /// What follows the id.
        text: String,
    },
}

impl Cause {
    fn words(kind: &'static str, text: impl Into<String>) -> Self {
        Self::Words {
            kind,
            text: text.into(),
        }
    }

    /// An error as the runtime posted it: any JSON text is passed on, byte for byte; else a document is made of it.
    pub(super) fn posted(body: Bytes, header: Option<&str>) -> Self {
        #[derive(Deserialize)]
        struct Document {
            #[serde(rename = "errorType")]
            kind: String,
        }
        // A list would be taken for the members in their order.
        let object = body.trim_ascii_start().starts_with(b"{");
        let named = object.then(|| serde_json::from_slice(&body).ok()).flatten();
        let named = named.map(|document: Document| document.kind);
        let kind = named
            .filter(|kind| !kind.is_empty())
            .or_else(|| header.filter(|kind| !kind.is_empty()).map(str::to_owned));
        let kind = kind.map_or_else(
            || "Unhandled".to_owned(),
            |kind| kind.chars().take(KIND_CHARS_MAX).collect(),
        );
        let is_json = std::str::from_utf8(&body).is_ok_and(|text| check_json(text).is_ok());
        Self::Told(if is_json {
            FunctionError {
                kind,
                document: body,
            }
        } else {
            FunctionError::new(&kind, &String::from_utf8_lossy(&body))
        })
    }

    /// The runtime's process ended.
    pub(super) fn runtime_exit(exit: Exit) -> Self {
        let text = if exit.is_success() {
            "Runtime exited without providing a reason".to_owned()
        } else {
            format!("Runtime exited with error: {exit}")
        };
        Self::words("Runtime.ExitError", text)
    }

    /// An extension's process ended.
    pub(super) fn extension_exit(exit: Exit) -> Self {
        let text = if exit.is_success() {
            "exit code 0".to_owned()
        } else {
            exit.to_string()
        };
        Self::words("Extension.Crash", text)
    }

    /// An extension said that it failed: in its own init, or later.
    pub(super) fn extension_error(kind: &'static str, name: &str, error: &str) -> Self {
        Self::words(kind, format!("extension {name} failed: {error}"))
    }

    /// The runtime could not be started.
    pub(super) fn entrypoint(path: &Path, error: &std::io::Error) -> Self {
        let text = if error.kind() == std::io::ErrorKind::NotFound && !path.exists() {
            format!("Couldn't find valid bootstrap(s): [{}]", path.display())
        } else {
            fork_error(path, error)
        };
        Self::words("Runtime.InvalidEntrypoint", text)
    }

    /// An extension could not be started.
    pub(super) fn extension_launch(path: &Path, error: &std::io::Error) -> Self {
        Self::words("Extension.LaunchError", fork_error(path, error))
    }

    /// The folder to start in is not there.
    pub(super) fn working_dir(path: &Path) -> Self {
        let text = format!("chdir {}: no such directory", path.display());
        Self::words("Runtime.InvalidWorkingDir", text)
    }

    /// This side could not do its part.
    pub(super) fn sandbox(text: impl Into<String>) -> Self {
        Self::words("Sandbox.Failure", text)
    }

    /// The service is ending.
    pub(super) fn ending() -> Self {
        Self::sandbox("the environment was shut down")
    }

    /// The event's time is over.
    pub(super) fn timeout(limit: Duration) -> Self {
        let text = format!("Task timed out after {:.2} seconds", limit.as_secs_f64());
        Self::words(TIMEOUT, text)
    }

    /// The response broke off.
    pub(super) fn truncated() -> Self {
        Self::words("Runtime.TruncatedResponse", "the response broke off")
    }

    /// The response says to come in a way that there is none of.
    pub(super) fn response_mode() -> Self {
        let text = "the mode of the response is none: expected `streaming`";
        Self::words("Runtime.InvalidResponseModeHeader", text)
    }

    /// What the caller of an event is told.
    pub(super) fn failure(&self, request_id: &str) -> FunctionError {
        match self {
            Self::Told(error) => error.clone(),
            Self::Words { kind, text } => {
                FunctionError::new(kind, &format!("RequestId: {request_id} Error: {text}"))
            }
        }
    }

    /// The lines that Lambda adds to the log; none for what the runtime itself has told.
    pub(super) fn log_lines(&self, request_id: &str) -> Option<String> {
        match self {
            Self::Told(_) => None,
            Self::Words { kind, text } if *kind == TIMEOUT => Some(format!(
                "{:.3} {request_id} {text}\n",
                jiff::Timestamp::now()
            )),
            Self::Words { kind, text } => {
                Some(format!("RequestId: {request_id} Error: {text}\n{kind}"))
            }
        }
    }
}

fn fork_error(path: &Path, error: &std::io::Error) -> String {
    format!("fork/exec {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &str, header: Option<&str>) -> FunctionError {
        Cause::posted(Bytes::copy_from_slice(body.as_bytes()), header).failure("abc")
    }

    #[test]
    fn an_error_in_json_is_passed_on_byte_for_byte() {
        for (body, header, kind) in [
            ("{\"errorType\":\"A\", \"more\":1e400}", Some("B"), "A"),
            ("{\"errorMessage\":\"x\"}", Some("Function.B"), "Function.B"),
            ("{\"errorType\":1}", None, "Unhandled"),
            ("{\"errorType\":\"\"}", Some(""), "Unhandled"),
            ("[\"any\"]", None, "Unhandled"),
        ] {
            let error = told(body, header);
            assert_eq!(
                (error.kind.as_str(), &error.document[..]),
                (kind, body.as_bytes())
            );
        }
    }

    #[test]
    fn an_error_that_is_not_json_becomes_a_document() {
        let error = told("it \"broke\"", Some("Runtime.X"));
        assert_eq!(error, FunctionError::new("Runtime.X", "it \"broke\""));
        assert_eq!(told("", None), FunctionError::new("Unhandled", ""));
    }

    #[test]
    fn what_lambda_says_begins_with_the_events_id() {
        let error = Cause::timeout(Duration::from_millis(1_500)).failure("abc");
        assert_eq!(error.kind, "Sandbox.Timedout");
        let document: serde_json::Value = serde_json::from_slice(&error.document).unwrap();
        let message = "RequestId: abc Error: Task timed out after 1.50 seconds";
        assert_eq!(document["errorMessage"], message);
    }

    #[test]
    fn a_name_as_long_as_a_header_is_cut() {
        assert_eq!(
            told("", Some(&"x".repeat(10_000))).kind.len(),
            KIND_CHARS_MAX
        );
    }
}
