//! `crunchbox config explain`: why a value is what it is.

use crate::address::Address;
use crate::cli::layers::{LayerArguments, project_of};
use crate::cli::printer::{self, Printer};
use crate::cli::shelf::StoreArguments;
use crate::config::{self, Explained, Extent, Layer, Layers, Step, path};
use crate::error::{Code, Failure, Level};
use crate::grant::Ceiling;
use crate::manifest::Manifest;
use crate::overlay::{Overlay, Terms, stand_in};
use crate::resolve::resolve;
use crate::settings::Variables;
use crate::telemetry::printable;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Why a config value is what it is: who set it, who lost, what markers say. Secrets are shown as ***.
///
/// Reads what `run` would read, and runs nothing: the layers of the project, or of a release in a store and its channel,
/// the environment, local.* and the options below.
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// A key such as `db.host`, quoted as in TOML where a part of it has a dot [default: all]
    #[arg(value_name = "PATH")]
    path: Option<String>,
    /// Whose configuration: the folder of a project, or an address such as crunch@live.
    #[arg(long, value_name = "DIR|ADDRESS", default_value = ".")]
    of: PathBuf,
    #[command(flatten)]
    layers: LayerArguments,
    #[command(flatten)]
    store: StoreArguments,
    /// Print one JSON document.
    #[arg(long)]
    pub(super) json: bool,
}

/// A configuration and what it is checked by.
struct Subject {
    overlay: Overlay,
    below: Vec<Layer>,
    terms: Terms,
    function: String,
    channel: String,
}

impl Explain {
    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<(), Failure> {
        let at = match &self.path {
            None => Vec::new(),
            Some(text) => path::parse(text).map_err(|problem| {
                let message = format!("`{text}` is no path: {problem}");
                Failure::new(Code::ConfigInvalid, message)
            })?,
        };
        let subject = self.subject(printer, variables).await?;
        let layers = subject.overlay.on(subject.below.iter().cloned())?;
        let config = layers.unchecked();
        for note in config.notes() {
            printer.log().host(Level::Warn, note);
        }
        let explained = config.explain(&at)?;
        let problem = subject.problem(&layers);
        if self.json {
            let document = Document {
                values: explained.iter().map(document).collect(),
                problem: problem.map(
                    |failure| json!({"code": failure.code.name(), "message": failure.message}),
                ),
            };
            let text =
                serde_json::to_string(&document).expect("texts and numbers have a JSON text");
            return printer::result(format!("{text}\n").as_bytes());
        }
        let mut text = String::new();
        for value in &explained {
            describe(&mut text, value);
        }
        if explained.is_empty() {
            text.push_str("no layer says anything\n");
        }
        printer::result(text.as_bytes())?;
        if let Some(failure) = problem {
            // Shown is not served: whoever asks wants to see what is wrong, and where.
            printer.text(|| format!("  {} {failure}", printer.mark("✗", false)));
        }
        Ok(())
    }

    async fn subject(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<Subject, Failure> {
        if self.of.exists() {
            return self.of_project(variables);
        }
        let text = self.of.to_string_lossy();
        let address: Address = text.parse()?;
        let shelf = self.store.open(None, variables).await?;
        let reader = shelf.reader(&address.function)?;
        let resolved = resolve(&reader, &address).await?;
        let side = reader.documents(&resolved.serves, &[]).await?.side;
        let channel = crate::prepare::channel_of(&address);
        let project = project_of(&address)?;
        let overlay = self
            .layers
            .overlay(project.as_ref(), &shelf.policy.grants, variables)?;
        let watched = shelf.watched(printer, &address).await?;
        Ok(Subject {
            overlay,
            below: side.layers().chain(watched).collect(),
            terms: Terms::of(&side.release)?,
            function: address.function.to_string(),
            channel,
        })
    }

    fn of_project(&self, variables: Variables<'_>) -> Result<Subject, Failure> {
        let folder = if self.of.is_dir() {
            self.of.as_path()
        } else {
            self.of.parent().unwrap_or_else(|| Path::new(""))
        };
        let Some(manifest) = Manifest::find(folder)? else {
            let message = format!("expected a crunchbox.toml in `{}`", folder.display());
            return Err(Failure::new(Code::ManifestInvalid, message));
        };
        Ok(Subject {
            overlay: self
                .layers
                .overlay(Some(&manifest), &Ceiling::default(), variables)?,
            below: manifest.layers()?,
            terms: manifest.terms()?,
            function: manifest.name.to_string(),
            channel: "local".to_owned(),
        })
    }
}

impl Subject {
    /// Why this configuration would not serve.
    fn problem(&self, layers: &Layers) -> Option<Failure> {
        let facts = stand_in(self.overlay.facts(&self.function, &self.channel));
        let rules = self
            .terms
            .rules(&self.overlay.ceiling, facts, Extent::Whole);
        layers.settle(&rules).err().map(Failure::from)
    }
}

fn describe(text: &mut String, value: &Explained) {
    let shown = match value.value.as_deref() {
        Some(r#""***""#) if value.is_secret => "***",
        Some(shown) => shown,
        None if value.is_unmet => "must be given, and is not",
        None => "not there: a stronger layer took it away",
    };
    let equals = if value.value.is_some() { "=" } else { "—" };
    let path = path::display(&value.path);
    text.push_str(&format!(
        "{} {equals} {}\n",
        printable(&path),
        printable(shown)
    ));
    if let (Some(what), Some(_)) = (&value.what, &value.value) {
        text.push_str(&format!("    # {}\n", printable(what)));
    }
    let width = value
        .chain
        .iter()
        .map(|step| place(step).chars().count())
        .max();
    for step in &value.chain {
        let mark = if step.counts { '→' } else { ' ' };
        let place = place(step);
        let said = match (step.marker, &step.reference) {
            (Some("required"), _) => format!("must be overridden: {}", step.said),
            (_, Some(reference)) => format!("secret {reference}"),
            (Some(marker), None) => format!("{} ({marker})", step.said),
            (None, None) => step.said.clone(),
        };
        let width = width.unwrap_or_default();
        text.push_str(&format!("  {mark} {place:<width$}  {}\n", printable(&said)));
    }
}

/// Who said it, for a column.
fn place(step: &Step) -> String {
    printable(&format!("{:<12} {}", step.source.tier, at(&step.source))).into_owned()
}

fn at(source: &config::Source) -> String {
    match source.line {
        0 => source.origin.clone(),
        line => format!("{}:{line}", source.origin),
    }
}

/// The whole, for a program.
#[derive(Serialize)]
struct Document<'a> {
    values: Vec<ValueDocument<'a>>,
    problem: Option<Value>,
}

#[derive(Serialize)]
struct ValueDocument<'a> {
    path: &'a [String],
    key: String,
    value: Option<&'a RawValue>,
    unmet: bool,
    secret: bool,
    what: Option<&'a str>,
    chain: Vec<StepDocument<'a>>,
}

#[derive(Serialize)]
struct StepDocument<'a> {
    layer: &'static str,
    origin: &'a str,
    line: Option<u32>,
    marker: Option<&'static str>,
    value: Option<&'a RawValue>,
    secret: Option<&'a str>,
    counts: bool,
}

fn document(value: &Explained) -> ValueDocument<'_> {
    ValueDocument {
        path: &value.path,
        key: path::display(&value.path),
        value: value.value.as_deref().and_then(raw),
        unmet: value.is_unmet,
        secret: value.is_secret,
        what: value.what.as_deref(),
        chain: value.chain.iter().map(step_document).collect(),
    }
}

fn step_document(step: &Step) -> StepDocument<'_> {
    StepDocument {
        layer: step.source.tier.name(),
        origin: &step.source.origin,
        line: (step.source.line > 0).then_some(step.source.line),
        marker: step.marker,
        value: raw(&step.said).filter(|_| step.marker != Some("required")),
        secret: step.reference.as_deref(),
        counts: step.counts,
    }
}

/// A JSON text as it stands, digits and all; none of a table, whose values come one by one.
fn raw(text: &str) -> Option<&RawValue> {
    serde_json::from_str(text).ok()
}
