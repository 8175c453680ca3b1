//! What is to be thought of what an event came to, and the files that hold what is expected.

use super::Mode;
use super::case::Case;
use crate::error::{Code, Failure};
use crate::event::Outcome;
use crate::expect::{Difference, Expectation, FailureParts, Got};
use std::path::Path;
use std::time::Duration;

/// An event, what it came to, and what is to be thought of that.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) case: Case,
    pub(super) time: Duration,
    pub(super) judgement: Judgement,
    /// What was logged meanwhile, line by line.
    pub(super) lines: String,
}

/// What is to be thought of it.
#[derive(Debug)]
pub(super) enum Judgement {
    /// Nothing is written down to compare it with.
    Unchecked,
    /// It is what is written down.
    Right,
    /// It was written down now.
    Written,
    /// It is not what is written down.
    Differs {
        /// Where not.
        differences: Vec<Difference>,
        /// What was got, where it is a failure.
        failure: Option<Failure>,
    },
    /// It failed, and nothing says that it should.
    Failed(Failure),
    /// It can't be compared, or not be written down.
    Unusable(String),
}

impl Judgement {
    /// Whether the test failed.
    pub(super) fn is_bad(&self) -> bool {
        match self {
            Self::Unchecked | Self::Right | Self::Written => false,
            Self::Differs { .. } | Self::Failed(_) | Self::Unusable(_) => true,
        }
    }

    /// Whether there was something to compare it with.
    pub(super) fn is_compared(&self) -> bool {
        !matches!(self, Self::Unchecked)
    }

    /// The name, as JSON has it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Right => "right",
            Self::Written => "written",
            Self::Differs { .. } => "differs",
            Self::Failed(_) => "failed",
            Self::Unusable(_) => "unusable",
        }
    }

    /// The reason of a bad one, on one line.
    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Self::Unchecked | Self::Right | Self::Written => None,
            Self::Differs { differences, .. } => Some(match differences.as_slice() {
                [one] => format!("{} is not as expected", one.path),
                many => format!("{} places are not as expected", many.len()),
            }),
            Self::Failed(failure) => Some(failure.to_string()),
            Self::Unusable(problem) => Some(problem.clone()),
        }
    }
}

/// Compares what an event came to with what is written down, or writes it down.
pub(super) fn judge(case: &Case, outcome: &Outcome, mode: Mode) -> Judgement {
    let before = match read(&case.expected) {
        Ok(before) => before,
        Err(problem) => return Judgement::Unusable(problem),
    };
    let got = match got(&outcome.result) {
        Ok(got) => got,
        Err(problem) => {
            return match before {
                None if mode == Mode::Compare => Judgement::Unchecked,
                _ => Judgement::Unusable(format!("the response cannot be compared: {problem}")),
            };
        }
    };
    let differences = before.as_ref().map(|before| before.differences(&got));
    match (differences, &outcome.result) {
        (Some(differences), _) if differences.is_empty() => Judgement::Right,
        (_, result) if mode == Mode::Update && is_the_functions_own(result) => {
            write(&case.expected, &Expectation::updated(before.as_ref(), &got))
        }
        (None, Ok(_)) => Judgement::Unchecked,
        (None, Err(failure)) => Judgement::Failed(failure.clone()),
        // Where a response was expected, the failure's own words say more than its comparison.
        (Some(_), Err(failure)) if matches!(before, Some(Expectation::Response(_))) => {
            Judgement::Failed(failure.clone())
        }
        (Some(differences), result) => Judgement::Differs {
            differences,
            failure: result.as_ref().err().cloned(),
        },
    }
}

/// A response, or a failure that the handler returned; what the host says of time, memory or panics is never expected by
/// itself.
fn is_the_functions_own(result: &Result<String, Failure>) -> bool {
    match result {
        Ok(_) => true,
        Err(failure) => failure.code == Code::GuestFailure,
    }
}

fn got(result: &Result<String, Failure>) -> Result<Got, String> {
    match result {
        Ok(response) => Got::response(response),
        Err(failure) => Ok(Got::failure(FailureParts {
            kind: &failure.kind,
            message: &failure.message,
            trace: &failure.trace,
            details: failure.details.as_deref(),
        })),
    }
}

fn read(path: &Path) -> Result<Option<Expectation>, String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read `{}`: {error}", path.display())),
    };
    match Expectation::parse(&text) {
        Ok(expectation) => Ok(Some(expectation)),
        Err(problem) => Err(format!("`{}` is not usable: {problem}", path.display())),
    }
}

fn write(path: &Path, expectation: &Expectation) -> Judgement {
    match std::fs::write(path, expectation.to_string()) {
        Ok(()) => Judgement::Written,
        Err(error) => Judgement::Unusable(format!("cannot write `{}`: {error}", path.display())),
    }
}
