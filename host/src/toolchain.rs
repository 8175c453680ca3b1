//! From a project's folder to a component: finds what builds it, or says the command that installs it, and runs it.
//! Talks to the person only through the tools' own output, which goes to standard error.

#[cfg(feature = "dev")]
mod driver;
#[cfg(feature = "dev")]
mod javascript;
#[cfg(feature = "dev")]
mod memory;
#[cfg(feature = "dev")]
mod python;
mod rust;
#[cfg(feature = "dev")]
mod sdk;
mod setup;
#[cfg(feature = "dev")]
mod system;

pub use rust::cargo_build;

/// The version of a package of npm's that new projects are given; none of one that we have no use for.
#[cfg(feature = "dev")]
pub fn npm_version(package: &str) -> Option<String> {
    javascript::version(package)
}

use crate::error::{Code, Fault};
use crate::language::Language;
use crate::manifest::{Build, Manifest};
use crate::settings::Variables;
#[cfg(feature = "dev")]
use std::io::{IsTerminal, Write};
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

/// What becomes of the words of the tools that build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// They go to standard error as they come.
    Shown,
    /// They are kept, and told if the build fails; in colour, if somebody looks at them on a terminal.
    Kept {
        /// With colours.
        coloured: bool,
    },
}

impl Words {
    /// Whether tools should write with colours.
    #[cfg(feature = "dev")]
    fn coloured(self, variables: Variables<'_>) -> bool {
        match self {
            Self::Shown => std::io::stderr().is_terminal() && variables.get("NO_COLOR").is_none(),
            Self::Kept { coloured } => coloured,
        }
    }
}

/// How a project is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Whether missing tools may be installed.
    pub setup: Setup,
    /// What traces name.
    pub traces: Traces,
    /// What becomes of the tools' words.
    pub words: Words,
}

/// What a build made.
#[derive(Debug, Clone)]
pub struct Built {
    /// The component's file.
    pub component: PathBuf,
    /// The language it was built from, or `command`.
    pub language: &'static str,
    /// The engine inside the component that runs the language, where there is a choice.
    pub engine: Option<String>,
    /// What a person may wonder about, in a clause.
    pub note: Option<String>,
    /// How long it took, with set-up.
    pub elapsed: Duration,
    /// Files outside the project's folder that went into it, as far as the tools tell.
    pub sources: Vec<PathBuf>,
}

/// Why nothing was built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The folder is no project of a kind we know.
    #[error(
        "`{folder}`: expected a project with a Cargo.toml, package.json, pyproject.toml, requirements.txt or lambda_function.py, or a crunchbox.toml with `build.command`, got none"
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
    /// A program that the tools need is not there, or too old.
    #[error("`{tool}` does not do: {problem}")]
    ToolMissing {
        /// Its name.
        tool: String,
        /// What was expected, and what was found.
        problem: String,
        /// What installs it.
        install: String,
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
    /// A tool ran and refused; its words have been shown, or are here.
    #[error("`{tool}` failed")]
    Failed {
        /// Its name.
        tool: String,
        /// What it said, where it was not shown.
        words: String,
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
            | Self::ToolMissing { .. }
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
            Self::ToolMissing { install, .. } => Some(format!("install it: {install}")),
            Self::NoComponent(_) => Some(
                "compare `[build]` in crunchbox.toml and the project's own settings with the message"
                    .to_owned(),
            ),
            Self::Unknown { .. } => {
                Some("`crunchbox init` makes a folder a project, `crunchbox new` makes a new one".to_owned())
            }
            Self::Setup(_) | Self::Tool { .. } | Self::Failed { .. } => None,
        }
    }
}

/// A project to be built by its language's own tools.
#[cfg_attr(
    not(feature = "dev"),
    expect(dead_code, reason = "without the drivers only Rust is built")
)]
struct Order<'a> {
    folder: &'a Path,
    name: &'a str,
    language: Language,
    build: &'a Build,
    wanted: Wanted,
    variables: Variables<'a>,
}

/// Builds the project in `folder`.
///
/// # Errors
/// [`BuildError`]; the tools' own words have gone to standard error, unless they were to be kept.
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
    if let Some(command) = &overrides.command {
        let component = by_command(
            folder,
            command,
            overrides.component.as_deref(),
            wanted.words,
        )?;
        return Ok(Built {
            component,
            language: "command",
            engine: None,
            note: None,
            elapsed: started.elapsed(),
            sources: Vec::new(),
        });
    }
    let found = overrides
        .language
        .or_else(|| Language::of(folder, overrides.handler.as_deref()));
    let language = found.ok_or_else(|| BuildError::Unknown {
        folder: folder.to_owned(),
    })?;
    let name = match manifest {
        Some(manifest) => manifest.name.to_string(),
        None => folder_name(folder),
    };
    let order = Order {
        folder,
        name: &name,
        language,
        build: &overrides,
        wanted,
        variables,
    };
    let mut built = by_language(&order)?;
    built.elapsed = started.elapsed();
    Ok(built)
}

fn by_language(order: &Order<'_>) -> Result<Built, BuildError> {
    match order.language {
        Language::Rust => {
            #[cfg(feature = "dev")]
            rust::bring_sdk(order.folder)?;
            let component = rust::build(order.folder, order.wanted, order.variables)?;
            Ok(Built {
                sources: rust::sources(&component, order.folder),
                component,
                language: order.language.name(),
                engine: None,
                note: None,
                elapsed: Duration::ZERO,
            })
        }
        #[cfg(feature = "dev")]
        Language::JavaScript | Language::TypeScript | Language::Clojure => {
            javascript::build(order).map(|answer| by_driver(order, answer))
        }
        #[cfg(feature = "dev")]
        Language::Python => python::build(order).map(|answer| by_driver(order, answer)),
        #[cfg(not(feature = "dev"))]
        Language::JavaScript | Language::TypeScript | Language::Clojure | Language::Python => {
            Err(BuildError::Unknown {
                folder: order.folder.to_owned(),
            })
        }
    }
}

/// What a driver made, with its paths as this process sees them.
#[cfg(feature = "dev")]
fn by_driver(order: &Order<'_>, answer: driver::Answer) -> Built {
    let own = order.folder.canonicalize().unwrap_or_default();
    let inputs = answer
        .inputs
        .iter()
        .filter_map(|input| own.join(input).canonicalize().ok());
    Built {
        component: order.folder.join(&answer.component),
        language: order.language.name(),
        sources: inputs.filter(|input| !input.starts_with(&own)).collect(),
        engine: answer.engine,
        note: answer.note,
        elapsed: Duration::ZERO,
    }
}

/// What a project without a manifest is called.
fn folder_name(folder: &Path) -> String {
    let full = folder.canonicalize().unwrap_or_default();
    let name = full.file_name().unwrap_or_default().to_string_lossy();
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect()
}

fn by_command(
    folder: &Path,
    command: &str,
    component: Option<&Path>,
    words: Words,
) -> Result<PathBuf, BuildError> {
    let component = component.ok_or_else(|| {
        BuildError::NoComponent("`build.component` must say where it lies".to_owned())
    })?;
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(folder);
    run_with(&mut shell, words)?;
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

/// Says what takes long, before it does, where the tools' own words are shown as well.
#[cfg(feature = "dev")]
fn say(words: Words, text: &str) {
    if words == Words::Shown {
        // Whoever closed standard error does not want to know.
        let _ = writeln!(std::io::stderr(), "    {text}");
    }
}

/// Runs a tool, with its words shown or kept.
fn run_with(command: &mut Command, words: Words) -> Result<(), BuildError> {
    match words {
        Words::Shown => run_shown(command),
        Words::Kept { .. } => run_kept(command).map(drop),
    }
}

/// Runs a program that answers on standard output, and returns how it ended, whichever way that was.
#[cfg(feature = "dev")]
fn run_for_answer(command: &mut Command, words: Words) -> Result<std::process::Output, BuildError> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let stderr = match words {
        Words::Shown => Stdio::inherit(),
        Words::Kept { .. } => Stdio::piped(),
    };
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .output();
    output.map_err(|source| BuildError::Tool { tool, source })
}

/// Runs a tool whose output a person should see, all of it on standard error.
pub(crate) fn run_shown(command: &mut Command) -> Result<(), BuildError> {
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
        Ok(_) => Err(BuildError::Failed {
            tool,
            words: String::new(),
        }),
        Err(source) => Err(BuildError::Tool { tool, source }),
    }
}

/// Runs a tool whose output is seen only if it fails. Returns what it wrote to standard output.
fn run_kept(command: &mut Command) -> Result<Vec<u8>, BuildError> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|source| BuildError::Tool {
        tool: tool.clone(),
        source,
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    // A shell's command may say what is wrong on either; messages for programs are no words.
    let mut words = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines()
        .filter(|line| !line.starts_with("{\"reason\":"))
        .for_each(|line| {
            words.push_str(line);
            words.push('\n');
        });
    Err(BuildError::Failed {
        tool,
        words: words.trim_end().to_owned(),
    })
}
