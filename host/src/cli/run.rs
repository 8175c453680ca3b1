//! `crunchbox run`: a component, or a project that is built first, on one event or many.

use super::layers::listed;
use super::printer::{self, Printer};
use super::project::{FunctionArguments, address_in};
use super::report::{self, Summary};
use super::start::{report_build, resolve};
use crate::address::Address;
use crate::engine::Origin;
use crate::error::Failure;
use crate::event::Outcome;
use crate::front::local::{self, EventSource};
use crate::function::{Ready, Surroundings, start_release};
use crate::overlay;
use crate::prepare::Preparation;
use crate::quantity::Time;
use crate::resolve::resolve as resolve_address;
use crate::settings::Variables;
use crate::telemetry::{Log, Phase, Timings};
use serde_json::json;
use std::io::IsTerminal;
use std::path::PathBuf;

/// Run a component, or a project that is built first, on one event or many.
///
/// The response goes to standard output byte for byte (a line break follows on a terminal, and between several events);
/// logs and reports go to standard error.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("an event").args(["events", "data"]).required(true))]
pub(super) struct Run {
    /// A component (.wasm), the folder of a project, or a release in a store such as crunch@live.
    #[arg(value_name = "COMPONENT|DIR|ADDRESS")]
    path: PathBuf,
    /// A file with the event, a folder of .json files, or `-` for standard input; may be repeated.
    #[arg(short, long = "event", value_name = "PATH")]
    events: Vec<PathBuf>,
    /// The event itself.
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    #[command(flatten)]
    function: FunctionArguments,
    /// Report where the time up to the first response goes, phase by phase. On Lambda, CRUNCHBOX_TIMINGS=1 logs the same.
    #[arg(long)]
    timings: bool,
    /// Report in JSON lines on standard error.
    #[arg(long)]
    pub(super) json: bool,
}

impl Run {
    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<u8, Failure> {
        let sources = self.sources()?;
        let timings = match self.timings {
            true => Timings::begin(),
            false => Timings::default(),
        };
        let log = printer.log().timed(timings);
        let ready = match address_in(&self.path)? {
            Some(address) => self.stored(printer, &log, &address, variables).await?,
            None => self.built(printer, &log, variables).await?,
        };
        let config = ready.host.guest().config().clone();
        overlay::report(printer.log(), &config);
        report_start(printer, &ready, &listed(&config));
        handle_all(printer, &ready, &sources).await
    }

    async fn built(
        &self,
        printer: &Printer,
        log: &Log,
        variables: Variables<'_>,
    ) -> Result<Ready, Failure> {
        let target = resolve(&self.path, self.function.build.wanted(), variables)?;
        log.timings().mark("project built");
        report_build(printer, &target);
        let function = self.function.function(&target, variables)?;
        let surroundings = Surroundings {
            artifacts: self.function.artifacts.artifacts(variables)?,
            log: log.clone(),
            concurrency: 1,
        };
        function.start(&target.component, surroundings).await
    }

    /// Runs what the store has, as a host would: verified, under its sealed limits and configuration.
    async fn stored(
        &self,
        printer: &Printer,
        log: &Log,
        address: &Address,
        variables: Variables<'_>,
    ) -> Result<Ready, Failure> {
        let shelf = self.function.store.open(None, variables).await?;
        let reader = shelf.caching_reader(
            &address.function,
            &self.function.artifacts.folder(variables)?,
        )?;
        let resolved = resolve_address(&reader, address).await?;
        log.timings().mark("address resolved");
        printer.text(|| {
            let number = resolved.sequence.map(|sequence| format!(" {sequence}"));
            let release = resolved.serves.release.short();
            format!(
                "    Release {address}{}: {release} from {}",
                number.unwrap_or_default(),
                shelf.location
            )
        });
        let conditions = self.function.conditions(&shelf, address, log, variables)?;
        let watched = shelf.watched(printer, address).await?;
        let release = Preparation::new(address.clone(), resolved.sequence, resolved.serves);
        start_release(release, &reader, &conditions, &watched, 1).await
    }

    fn sources(&self) -> Result<Vec<EventSource>, Failure> {
        if let Some(text) = &self.data {
            return Ok(vec![EventSource::Text(text.clone())]);
        }
        let mut sources = Vec::new();
        for path in &self.events {
            sources.extend(EventSource::expand(path)?);
        }
        Ok(sources)
    }
}

fn report_start(printer: &Printer, ready: &Ready, config: &[String]) {
    let (verb, took) = match ready.origin {
        Origin::Compiled => ("Compiled, kept in the cache", ready.obtain),
        Origin::Cache => ("Loaded from the cache", ready.obtain + ready.load),
        Origin::Package => ("Loaded from the package", ready.obtain + ready.load),
        Origin::Store => ("Loaded from the store", ready.obtain + ready.load),
    };
    printer.text(|| format!("    {verb} {}", Time(took)));
    if !config.is_empty() {
        printer.text(|| format!("    Config {}", config.join(" < ")));
    }
    printer.json(|| {
        json!({
            "type": "start",
            "artifact": match ready.origin {
                Origin::Compiled => "compiled",
                Origin::Cache => "cache",
                Origin::Package => "package",
                Origin::Store => "store",
            },
            "pool": ready.host.has_pool(),
            "config": config,
            "ms": {"obtain": report::ms(ready.obtain), "load": report::ms(ready.load)},
        })
    });
}

/// Handles each event in turn; the exit status is that of the first failure.
async fn handle_all(
    printer: &Printer,
    ready: &Ready,
    sources: &[EventSource],
) -> Result<u8, Failure> {
    let several = sources.len() > 1;
    let mut summary = Summary::default();
    let mut exit = 0;
    for source in sources {
        let outcome = local::handle(&ready.host, source).await;
        ready.host.log().timings().mark("event handled");
        print_outcome(printer, &source.name(), &outcome, several)?;
        report_timings(printer, &ready.host.log().timings().take());
        if let (0, Err(failure)) = (exit, &outcome.result) {
            exit = failure.code.meaning().exit;
        }
        summary.add(&outcome);
    }
    if several {
        printer.text(|| summary.text());
        printer.json(|| summary.json());
    }
    Ok(exit)
}

/// Once: after the first event there are no more phases of a start.
fn report_timings(printer: &Printer, phases: &[Phase]) {
    if !phases.iter().any(|(phase, _)| *phase == "program loaded") {
        return;
    }
    let whole = phases.iter().map(|(_, took)| *took).sum();
    printer.text(|| {
        let lines = phases.iter().copied().chain([("in all", whole)]);
        let lines = lines.map(|(phase, took)| format!("    {:>9.3} ms  {phase}", report::ms(took)));
        lines.collect::<Vec<_>>().join("\n")
    });
    printer.json(|| {
        let phases = phases
            .iter()
            .map(|(phase, took)| json!({"phase": phase, "ms": report::ms(*took)}));
        json!({"type": "timings", "ms": report::ms(whole), "phases": phases.collect::<Vec<_>>()})
    });
}

fn print_outcome(
    printer: &Printer,
    event: &str,
    outcome: &Outcome,
    several: bool,
) -> Result<(), Failure> {
    // The lines of the guest come before its response, as it wrote them.
    printer.log().flush();
    if let Ok(response) = &outcome.result {
        printer::result(response.as_bytes())?;
        if several || std::io::stdout().is_terminal() {
            printer::result(b"\n")?;
        }
    }
    printer.text(|| report::outcome_text(printer, event, outcome));
    printer.json(|| report::outcome_json(event, outcome));
    Ok(())
}
