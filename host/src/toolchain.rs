//! From a project's folder to a component: finds what builds it, or says the command that installs it, and runs it.
//! Talks to the person only through the tools' own output, which goes to standard error.

mod rust;
mod setup;

pub use rust::cargo_build;

use crate::error::{Code, Fault};
use crate::manifest::{Build, Manifest};
use crate::settings::Variables;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Whether missing tools may be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// Say what is missing and how to install it.
    Tell,
    /// Install it.
    Install,
}

/// What a trace of the component names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traces {
    /// Functions, files and lines; the component holds tables for them.
    Lines,
    /// Functions; the component is a fraction of the size.
    Functions,
}

/// How a project is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Whether missing tools may be installed.
    pub setup: Setup,
    /// What traces name.
    pub traces: Traces,
}

/// What a build made.
#[derive(Debug, Clone)]
pub struct Built {
    /// The component's file.
    pub component: PathBuf,
    /// The language it was built from.
    pub language: &'static str,
    /// How long it took, with set-up.
    pub elapsed: Duration,
}

/// Why nothing was built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The folder is no project of a kind we know.
    #[error(
        "`{folder}`: expected a project with a Cargo.toml, or a crunchbox.toml with `build.command`, got neither"
    )]
    Unknown {
        /// The folder.
        folder: PathBuf,
    },
    /// The target is not there.
    #[error("the Rust target wasm32-wasip2 is not installed")]
    TargetMissing {
        /// The commands that install it, whichever works here.
        install: String,
    },
    /// There is no Rust at all, or it does not work in this folder.
    #[error("`rustc` does not run in `{folder}`: {problem}")]
    RustMissing {
        /// The project's folder.
        folder: PathBuf,
        /// The tool's or the system's words.
        problem: String,
    },
    /// Set-up was tried and failed.
    #[error("set-up failed: {0}")]
    Setup(String),
    /// A tool could not be run.
    #[error("cannot run `{tool}`")]
    Tool {
        /// Its name.
        tool: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// A tool ran and refused; its words have been shown.
    #[error("`{tool}` failed")]
    Failed {
        /// Its name.
        tool: String,
    },
    /// The build went well and left no component.
    #[error("the build left no component: {0}")]
    NoComponent(String),
}

impl Fault for BuildError {
    fn code(&self) -> Code {
        match self {
            Self::Unknown { .. } => Code::ManifestInvalid,
            Self::TargetMissing { .. }
            | Self::RustMissing { .. }
            | Self::Setup(_)
            | Self::Tool { .. } => Code::ToolchainMissing,
            Self::Failed { .. } | Self::NoComponent(_) => Code::BuildFailed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::TargetMissing { install } => Some(format!(
                "run {install}; or repeat with --setup to have it run for you"
            )),
            Self::RustMissing { .. } => Some(
                "install Rust from https://rustup.rs, or correct the project's rust-toolchain.toml"
                    .to_owned(),
            ),
            Self::NoComponent(_) => Some(
                "compare `[build]` in crunchbox.toml and the project's own settings with the message"
                    .to_owned(),
            ),
            Self::Unknown { .. } | Self::Setup(_) | Self::Tool { .. } | Self::Failed { .. } => None,
        }
    }
}

/// Builds the project in `folder`.
///
/// # Errors
/// [`BuildError`]; the tools' own words have gone to standard error.
pub fn build(
    folder: &Path,
    manifest: Option<&Manifest>,
    wanted: Wanted,
    variables: Variables<'_>,
) -> Result<Built, BuildError> {
    let started = Instant::now();
    let overrides = manifest
        .map(|manifest| manifest.build.clone())
        .unwrap_or_default();
    let (language, component) = match &overrides {
        Build {
            command: Some(command),
            component,
        } => (
            "command",
            by_command(folder, command, component.as_deref())?,
        ),
        Build { command: None, .. } if folder.join("Cargo.toml").is_file() => {
            ("rust", rust::build(folder, wanted, variables)?)
        }
        Build { command: None, .. } => {
            return Err(BuildError::Unknown {
                folder: folder.to_owned(),
            });
        }
    };
    Ok(Built {
        component,
        language,
        elapsed: started.elapsed(),
    })
}

fn by_command(
    folder: &Path,
    command: &str,
    component: Option<&Path>,
) -> Result<PathBuf, BuildError> {
    let component = component.ok_or_else(|| {
        BuildError::NoComponent("`build.component` must say where it lies".to_owned())
    })?;
    run_shown(Command::new("sh").args(["-c", command]).current_dir(folder))?;
    let path = folder.join(component);
    if path.is_file() {
        Ok(path)
    } else {
        Err(BuildError::NoComponent(format!(
            "`{}` is missing",
            path.display()
        )))
    }
}

/// Runs a tool whose output a person should see, all of it on standard error.
fn run_shown(command: &mut Command) -> Result<(), BuildError> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let stderr = std::io::stderr();
    let shown = std::os::fd::AsFd::as_fd(&stderr)
        .try_clone_to_owned()
        .map_err(|source| BuildError::Tool {
            tool: tool.clone(),
            source,
        })?;
    let status = command.stdin(Stdio::null()).stdout(shown).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(BuildError::Failed { tool }),
        Err(source) => Err(BuildError::Tool { tool, source }),
    }
}
