//! `crunchbox test`: a project's sample events, each with the response that is right if one is written down.

use super::printer::Printer;
use super::report;
use super::shelf::done;
use super::start::{ArtifactArguments, BuildArguments, Target, report_build, resolve};
use crate::config::{Config, ConfigError};
use crate::engine::Artifacts;
use crate::error::{Code, Failure};
use crate::front::local::{self, EXPECTED, EventSource};
use crate::function::{Function, Surroundings};
use crate::grant::{Ceiling, Granted};
use crate::limit::{Limits, Says, Wanted};
use crate::manifest::Manifest;
use crate::overlay::Overlay;
use crate::quantity::Time;
use crate::reach::Outside;
use crate::secret::Vault;
use crate::settings::Variables;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where the sample events of a project lie, unless its manifest says otherwise.
const EVENTS: &str = "events";

/// Run a project on its sample events, `events/*.json` unless crunchbox.toml says otherwise.
///
/// The response to `x.json` has to be what `x.expected.json` holds, compared as JSON; without that file any response is
/// right, and a failure is not. Local config is not read.
#[derive(Debug, clap::Args)]
pub(super) struct Test {
    /// The folder of the project.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Take the responses of now for right: write them to the `.expected.json` files.
    #[arg(long)]
    update: bool,
    #[command(flatten)]
    build: BuildArguments,
    #[command(flatten)]
    artifacts: ArtifactArguments,
    /// Report in JSON lines on standard error.
    #[arg(long)]
    pub(super) json: bool,
}

/// What to do with responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// Compare them with what is written down.
    Compare,
    /// Write them down.
    Write,
}

impl Test {
    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<(), Failure> {
        let target = resolve(&self.folder, self.build.wanted(), variables)?;
        report_build(printer, &target);
        let artifacts = self.artifacts.artifacts(variables)?;
        let expected = if self.update {
            Expected::Write
        } else {
            Expected::Compare
        };
        run(printer, &target, artifacts, expected, variables).await
    }
}

/// Runs all sample events of a project that was built.
pub(super) async fn run(
    printer: &Printer,
    target: &Target,
    artifacts: Artifacts,
    expected: Expected,
    variables: Variables<'_>,
) -> Result<(), Failure> {
    let started = Instant::now();
    let events = events(target.manifest.as_ref())?;
    if events.is_empty() {
        done(printer, "Tested", "no events: the project has none");
        return Ok(());
    }
    let wanted = target.manifest.as_ref().map(|manifest| manifest.limits);
    let wanted = wanted.unwrap_or_default();
    let (config, granted) = config(target, variables)?;
    let function = Function {
        name: target.name(),
        limits: Limits::default().with(&wanted, Says::Release, &Wanted::default()),
        config,
        vault: Vault::new(variables.clone(), None),
        granted,
        outside: Outside::new(variables, Vec::new()),
    };
    let surroundings = Surroundings {
        artifacts,
        log: printer.log().clone(),
        concurrency: 1,
    };
    let ready = function.start(&target.component, surroundings).await?;
    let (mut compared, mut failed) = (0, 0);
    for event in &events {
        let outcome = local::handle(&ready.host, &EventSource::File(event.clone())).await;
        let verdict = match &outcome.result {
            Ok(response) => judge(event, response, expected),
            Err(failure) => Verdict::Wrong(failure.to_string()),
        };
        compared += u32::from(!matches!(verdict, Verdict::Anything));
        if let Verdict::Wrong(problem) = verdict {
            failed += 1;
            let mark = printer.mark("✗", false);
            let name = event.display();
            printer.text(|| format!("  {mark} {name}: {}", crate::telemetry::printable(&problem)));
            printer.json(|| json!({"type": "test", "event": event, "problem": problem}));
        }
    }
    printer.json(|| json!({"type": "tested", "events": events.len(), "compared": compared, "failed": failed, "ms": report::ms(started.elapsed())}));
    if failed > 0 {
        let message = format!(
            "{failed} of {} events did not come out as expected",
            events.len()
        );
        return Err(Failure::new(Code::TestFailed, message));
    }
    let what = format!(
        "{} events, {compared} compared {}",
        events.len(),
        Time(started.elapsed())
    );
    done(printer, "Tested", &what);
    Ok(())
}

/// The base, and what the project has for its tests; nothing of this machine, so that everybody's tests are the same.
fn config(target: &Target, variables: Variables<'_>) -> Result<(Config, Granted), Failure> {
    let Some(manifest) = &target.manifest else {
        return Ok((Config::default(), Granted::default()));
    };
    let facts = Overlay::new(variables, Ceiling::default()).facts(manifest.name.as_str(), "local");
    let overlay = Overlay {
        layers: manifest.test_layers()?,
        ..Overlay::default()
    };
    let granted = overlay.granted(manifest.layers()?, &manifest.grants, facts.clone());
    let config = overlay.config(manifest.layers()?, &manifest.terms()?, facts);
    let config = config.map_err(|error| match error {
        error @ ConfigError::Unmet(_) => Failure::from(error).with_hint(
            "give what tests need in a file, and name it in crunchbox.toml: `[test] config = [\"test.toml\"]`",
        ),
        error => error.into(),
    })?;
    Ok((config, granted?))
}

/// What is to be thought of a response.
enum Verdict {
    /// Nothing is written down to compare it with.
    Anything,
    /// It is what is written down.
    Right,
    /// It is not.
    Wrong(String),
}

fn judge(event: &Path, response: &str, expected: Expected) -> Verdict {
    let path = event.with_extension("").with_extension(&EXPECTED[1..]);
    if expected == Expected::Write {
        return match std::fs::write(&path, format!("{response}\n")) {
            Ok(()) => Verdict::Right,
            Err(error) => Verdict::Wrong(format!("cannot write `{}`: {error}", path.display())),
        };
    }
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Verdict::Anything,
        Err(error) => {
            return Verdict::Wrong(format!("cannot read `{}`: {error}", path.display()));
        }
    };
    match serde_json::from_str::<Value>(&text) {
        Err(error) => Verdict::Wrong(format!("`{}` is not JSON: {error}", path.display())),
        Ok(right) if serde_json::from_str::<Value>(response).is_ok_and(|got| got == right) => {
            Verdict::Right
        }
        Ok(_) => Verdict::Wrong(format!("expected {}, got {response}", text.trim())),
    }
}

/// The events of a project, by name.
fn events(manifest: Option<&Manifest>) -> Result<Vec<PathBuf>, Failure> {
    let Some(manifest) = manifest else {
        return Ok(Vec::new());
    };
    let folder = match &manifest.events {
        Some(folder) => folder.clone(),
        None => manifest.folder.join(EVENTS),
    };
    if manifest.events.is_none() && !folder.is_dir() {
        return Ok(Vec::new());
    }
    let sources = EventSource::expand(&folder)?;
    let files = sources.into_iter().filter_map(|source| match source {
        EventSource::File(path) => Some(path),
        EventSource::Text(_) | EventSource::Stdin => None,
    });
    Ok(files.collect())
}
