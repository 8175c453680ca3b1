//! How a handler says that it could not do its work.

use std::error::Error;

/// A failure that reaches the caller as Lambda's error document.
///
/// Any type that implements `std::error::Error` becomes one by `?`, with the kind `Error` (`ConfigError` for those of
/// [`config`](crate::config), `ObjectError` for those of [`objects`](crate::objects)) and the whole chain of causes as its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The caller's `errorType`: one word, kept stable; Step Functions matches on it. The prefix `Crunchbox.` is the
    /// host's own.
    pub kind: String,
    /// The caller's `errorMessage`: one sentence for a person.
    pub message: String,
    /// Further detail for the log, as one JSON text.
    pub details: Option<String>,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            message: message.into(),
            details: None,
        }
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let any: &dyn std::any::Any = &error;
        let kind = if any.is::<crate::config::ConfigError>() {
            "ConfigError"
        } else if any.is::<crate::objects::ObjectError>() {
            "ObjectError"
        } else {
            "Error"
        };
        Self::new(kind, chain(&error))
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        // Some errors print their cause themselves; once is enough.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

#[cfg(target_arch = "wasm32")]
impl From<Failure> for crate::bindings::crunchbox::function::types::Failure {
    fn from(failure: Failure) -> Self {
        Self {
            kind: failure.kind,
            message: failure.message,
            trace: Vec::new(),
            details: failure.details,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_becomes_a_failure_with_its_causes() {
        #[derive(Debug)]
        struct Outer(std::num::ParseIntError);
        impl std::fmt::Display for Outer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("no number")
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let failure = Failure::from(Outer("x".parse::<i32>().unwrap_err()));
        assert_eq!(
            failure,
            Failure::new("Error", "no number: invalid digit found in string")
        );
    }
}
