//! Why configuration cannot be had. No text here repeats a value: it may be a secret.

use super::Source;
use crate::error::{Code, Fault};
use std::fmt;
use std::path::PathBuf;

/// The most issues that one error names.
const ISSUES_MAX: usize = 10;

/// One thing that is wrong at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The path, as people write it.
    pub path: String,
    /// What was expected, and what was found.
    pub what: String,
    /// Who said it, where somebody did.
    pub source: Option<Source>,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "the configuration: {}", self.what)?,
            path => write!(f, "`{path}`: {}", self.what)?,
        }
        match &self.source {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
        }
    }
}

/// Why configuration cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file is not there or not ours to read.
    #[error("cannot read the configuration `{path}`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The text of a layer does not parse, or has no meaning in JSON.
    #[error("the configuration `{origin}` is not usable: {problem}")]
    Malformed {
        /// The file or variable.
        origin: String,
        /// What was expected, what was found, and where.
        problem: String,
    },
    /// A single value from the command line or the environment that can't be applied.
    #[error("`{assignment}`: {problem}")]
    Assignment {
        /// The key or the variable.
        assignment: String,
        /// What was expected and found.
        problem: String,
    },
    /// Two files claim to be the same one.
    #[error("expected one file of local configuration, got `{0}` and `{1}`")]
    TwoFiles(PathBuf, PathBuf),
    /// A path leads through, or ends at, something other than a table.
    #[error("`{path}`: expected a table, got {found} ({said_by})")]
    NotTable {
        /// The path up to the value.
        path: String,
        /// What kind of value stands there.
        found: &'static str,
        /// Who said it.
        said_by: Source,
    },
    /// Values that must be given and are not.
    #[error("{}", listed(.0))]
    Unmet(Vec<Issue>),
    /// Layers that contradict each other, or what the function's schema says.
    #[error("{}", listed(.0))]
    Mismatch(Vec<Issue>),
    /// References to secrets that the release may not have.
    #[error("{}", listed(.0))]
    Denied(Vec<Issue>),
}

fn listed(issues: &[Issue]) -> String {
    let shown = issues.iter().take(ISSUES_MAX).map(ToString::to_string);
    let mut text = shown.collect::<Vec<_>>().join("; ");
    if issues.len() > ISSUES_MAX {
        text.push_str(&format!("; and {} more", issues.len() - ISSUES_MAX));
    }
    text
}

impl Fault for ConfigError {
    fn code(&self) -> Code {
        match self {
            Self::Unreadable { .. }
            | Self::Malformed { .. }
            | Self::Assignment { .. }
            | Self::TwoFiles(..) => Code::ConfigInvalid,
            Self::NotTable { .. } => Code::ConfigNotTable,
            Self::Unmet(_) => Code::ConfigUnmet,
            Self::Mismatch(_) => Code::ConfigMismatch,
            Self::Denied(_) => Code::SecretDenied,
        }
    }
}
