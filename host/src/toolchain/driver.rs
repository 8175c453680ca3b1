//! The language's own half of a build: a program in its SDK that takes one request and gives one answer, both JSON. What
//! it says to people goes to standard error.

use super::{BuildError, Order, Traces, Words, run_for_answer};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where components are made, below the project's folder.
pub(super) const OUTPUT: &str = ".crunchbox/build";

/// The status by which a driver says that a package is missing that only some projects need.
const MISSING: i32 = 3;

/// What is asked of a driver.
#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    pub(super) language: &'static str,
    pub(super) handler: Option<&'a str>,
    pub(super) dialect: Option<&'static str>,
    pub(super) engine: Option<&'static str>,
    pub(super) release: bool,
    pub(super) name: &'a str,
    pub(super) output: String,
    pub(super) colour: bool,
}

/// What a driver answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) component: PathBuf,
    pub(super) engine: Option<String>,
    /// What a person may wonder about, in a clause.
    pub(super) note: Option<String>,
    /// The author's files that went in, below the project's folder or beside it.
    pub(super) inputs: Vec<PathBuf>,
}

/// What a driver came to.
pub(super) enum Driven {
    Made(Answer),
    /// Packages that this project needs beyond the usual ones, and why.
    Missing(Missing),
}

/// Packages to be installed into the project.
#[derive(Debug, Deserialize)]
pub(super) struct Missing {
    #[serde(rename = "missing")]
    pub(super) packages: Vec<String>,
    /// Why; none where crunchbox.toml asks for it.
    because: Option<String>,
}

impl Missing {
    /// Why this project needs them.
    pub(super) fn because(&self) -> &str {
        self.because
            .as_deref()
            .unwrap_or("crunchbox.toml asks for it")
    }
}

impl<'a> Request<'a> {
    pub(super) fn new(order: &Order<'a>) -> Self {
        let Order {
            build,
            name,
            wanted,
            ..
        } = *order;
        Self {
            language: order.language.name(),
            handler: build.handler.as_deref(),
            dialect: build.dialect.map(|dialect| dialect.name()),
            engine: build.engine.map(|engine| engine.name()),
            release: wanted.traces == Traces::Functions,
            name,
            output: format!("{OUTPUT}/{name}.wasm"),
            colour: wanted.words.coloured(order.variables),
        }
    }

    /// The request's own text, which is what a driver gets and what a build is remembered by.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Runs a driver, which has its request already, in the project's folder.
pub(super) fn drive(
    command: &mut Command,
    folder: &Path,
    words: Words,
) -> Result<Driven, BuildError> {
    let output = run_for_answer(command.current_dir(folder), words)?;
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = lines.trim_end().lines().next_back().unwrap_or_default();
    let unclear = |error: serde_json::Error| {
        BuildError::NoComponent(format!(
            "the driver's answer is not understood: {error}: `{last}`"
        ))
    };
    match output.status.code() {
        Some(0) => serde_json::from_str(last)
            .map(Driven::Made)
            .map_err(unclear),
        Some(MISSING) => serde_json::from_str(last)
            .map(Driven::Missing)
            .map_err(unclear),
        _ => Err(BuildError::Failed {
            tool: "crunchbox build".to_owned(),
            words: match words {
                Words::Shown => String::new(),
                Words::Kept { .. } => String::from_utf8_lossy(&output.stderr)
                    .trim_end()
                    .to_owned(),
            },
        }),
    }
}
