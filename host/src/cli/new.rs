//! `crunchbox new` and `crunchbox init`: a project that builds, tests and runs at once.

use super::printer::{self, Printer};
use crate::address::FunctionName;
use crate::error::{Code, Failure};
use crate::language::{Dialect, Language};
use crate::starter::{Starter, Written};
use serde_json::json;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Make a project in a new folder: a handler, its config, sample events and what they come to, a test. Prints the folder.
///
/// What is not said is asked for on a terminal.
#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// The function's name; also the folder's, below this one.
    name: Option<FunctionName>,
    #[command(flatten)]
    language: LanguageArguments,
    /// Report in JSON lines on standard error.
    #[arg(long)]
    pub(super) json: bool,
}

/// Make the folder a project: what it lacks for that is written, and no file that is there is changed.
#[derive(Debug, clap::Args)]
pub(super) struct Init {
    /// The folder.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The function's name [default: the folder's]
    #[arg(long)]
    name: Option<FunctionName>,
    #[command(flatten)]
    language: LanguageArguments,
    /// Report in JSON lines on standard error.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
struct LanguageArguments {
    /// What the function is written in.
    #[arg(long = "lang", value_name = "LANGUAGE")]
    language: Option<Language>,
    /// Which Clojure: cherry has Clojure's own data, squint JavaScript's [default: cherry]
    #[arg(long)]
    dialect: Option<Dialect>,
}

impl New {
    pub(super) fn execute(&self, printer: &Printer) -> Result<(), Failure> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => ask(printer, "Name of the function", "NAME", |answer| {
                answer.parse().map_err(|error| format!("{error}"))
            })?,
        };
        let folder = PathBuf::from(name.as_str());
        let has_files =
            std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
        if has_files || folder.is_file() {
            let message = format!("`{name}`: expected a folder that is new or empty");
            return Err(Failure::new(Code::ManifestInvalid, message)
                .with_hint("`crunchbox init` makes a folder that has files a project"));
        }
        let starter = self.language.starter(printer, name, None)?;
        start(printer, &starter, &folder)
    }
}

impl Init {
    pub(super) fn execute(&self, printer: &Printer) -> Result<(), Failure> {
        if !self.folder.is_dir() {
            let message = format!("`{}`: expected a folder", self.folder.display());
            return Err(Failure::new(Code::ManifestInvalid, message)
                .with_hint("`crunchbox new NAME` makes one"));
        }
        let name = match &self.name {
            Some(name) => name.clone(),
            None => name_of(&self.folder)?,
        };
        let found = Language::of(&self.folder, None);
        let starter = self.language.starter(printer, name, found)?;
        start(printer, &starter, &self.folder)
    }
}

impl LanguageArguments {
    fn starter(
        &self,
        printer: &Printer,
        name: FunctionName,
        found: Option<Language>,
    ) -> Result<Starter, Failure> {
        // Whoever names a dialect has said the language.
        let by_dialect = self.dialect.map(|_| Language::Clojure);
        let language = match self.language.or(by_dialect).or(found) {
            Some(language) => language,
            None => ask_language(printer)?,
        };
        if self.dialect.is_some() && language != Language::Clojure {
            let message = format!("`--dialect` is for clojure, and the language is {language}");
            return Err(Failure::new(Code::ManifestInvalid, message));
        }
        Ok(Starter {
            name,
            language,
            dialect: self.dialect,
        })
    }
}

fn ask_language(printer: &Printer) -> Result<Language, Failure> {
    let names = Language::ALL.map(Language::name).join(", ");
    ask(
        printer,
        &format!("Language ({names})"),
        "--lang LANGUAGE",
        |answer| {
            <Language as clap::ValueEnum>::from_str(answer, true)
                .map_err(|_| format!("expected one of {names}"))
        },
    )
}

/// Asks a person until the answer can be taken. Nobody else is asked: scripts give the argument.
fn ask<T>(
    printer: &Printer,
    question: &str,
    argument: &str,
    take: impl Fn(&str) -> Result<T, String>,
) -> Result<T, Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        let message = format!("{argument} is missing, and there is no terminal to ask on");
        return Err(Failure::new(Code::ManifestInvalid, message)
            .with_hint("for example: `crunchbox new rainfall --lang python`"));
    }
    loop {
        printer.text(|| format!("    {question}:"));
        printer.log().flush();
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        if read.map_err(|error| Failure::new(Code::HostSetup, error.to_string()))? == 0 {
            return Err(Failure::new(
                Code::ManifestInvalid,
                format!("{argument} is missing"),
            ));
        }
        match take(answer.trim()) {
            Ok(value) => return Ok(value),
            Err(problem) => printer.text(|| format!("    {problem}")),
        }
    }
}

/// The folder's own name, if a function may be called so.
fn name_of(folder: &Path) -> Result<FunctionName, Failure> {
    let full = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = full
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    name.parse().map_err(|error| {
        Failure::new(Code::ManifestInvalid, format!("`{name}`: {error}"))
            .with_hint("say another one with --name")
    })
}

fn start(printer: &Printer, starter: &Starter, folder: &Path) -> Result<(), Failure> {
    let written = starter.write(folder)?;
    report(printer, starter, folder, &written);
    printer::result(format!("{}\n", folder.display()).as_bytes())
}

fn report(printer: &Printer, starter: &Starter, folder: &Path, written: &Written) {
    let language = starter.language;
    printer.text(|| {
        let mut text = format!(
            "    Made {} ({language}) in `{}`",
            starter.name,
            folder.display()
        );
        for path in &written.new {
            text.push_str(&format!("\n      + {}", path.display()));
        }
        for path in &written.kept {
            text.push_str(&format!(
                "\n        {} was there, and is as it was",
                path.display()
            ));
        }
        text
    });
    printer.text(|| next_steps(starter, folder));
    printer.json(|| {
        json!({
            "type": "new",
            "function": starter.name.as_str(),
            "language": language.name(),
            "folder": folder,
            "new": written.new,
            "kept": written.kept,
        })
    });
}

fn next_steps(starter: &Starter, folder: &Path) -> String {
    let enter = match folder == Path::new(".") {
        true => String::new(),
        false => format!("\n      cd {}", folder.display()),
    };
    let unit = match starter.language {
        Language::Rust => "cargo test",
        Language::JavaScript | Language::TypeScript | Language::Clojure => "npm test",
        Language::Python => ".venv/bin/pytest",
    };
    let pad = " ".repeat(29_usize.saturating_sub(unit.len()));
    format!(
        "    Next{enter}
      crunchbox test               builds it, and runs it on events/
      {unit}{pad}the handler alone
      crunchbox dev                serves it as Lambda would, and follows your changes"
    )
}
