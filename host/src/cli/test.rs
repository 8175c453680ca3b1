//! `crunchbox test`: a project's sample events, each with what it has to come to if that is written down.

mod case;
mod junit;
mod show;
mod verdict;

use super::printer::Printer;
use super::start::{ArtifactArguments, BuildArguments, Target, report_build, resolve};
use crate::config::{Config, ConfigError, Layer, Tier};
use crate::error::{Code, Failure};
use crate::event::{Invocation, Outcome};
use crate::front::local::EventSource;
use crate::front::request_id;
use crate::function::{Function, Ready, Surroundings};
use crate::grant::{Ceiling, Granted};
use crate::host::Host;
use crate::limit::{Limits, Says, Wanted};
use crate::overlay::Overlay;
use crate::reach::Outside;
use crate::secret::Vault;
use crate::settings::Variables;
use crate::telemetry::{Format, Log};
use case::{Case, Filter, cases};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use verdict::{Verdict, judge};

/// Run a project on its sample events, `events/*.json` unless crunchbox.toml says otherwise.
///
/// What `x.json` comes to has to be what `x.expected.json` holds, compared as values; without that file any response is
/// right, and a failure is not. Strings such as "$any", "$integer" and "$match [a-z]+" leave a field open, the key "$others"
/// other keys, and {"$failure": {"kind": "NoReadings"}} expects a failure. `x.config.toml` (.json, .yaml, .edn) configures
/// that event. Local config is not read.
#[derive(Debug, clap::Args)]
pub(super) struct Test {
    /// The folder of the project.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Only events with this in their names, or whose names are like this, with `*` and `?`; may be repeated.
    #[arg(long, value_name = "NAME")]
    filter: Vec<Filter>,
    /// Take what comes now for right: write it to the `.expected.json` files, except where open fields still fit.
    #[arg(long)]
    update: bool,
    /// Write the results to a file as JUnit does, for CI servers.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    #[command(flatten)]
    build: BuildArguments,
    #[command(flatten)]
    artifacts: ArtifactArguments,
    /// Report in JSON lines on standard error.
    #[arg(long)]
    pub(super) json: bool,
}

/// What to do with what events come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Compare it with what is written down.
    Compare,
    /// Write it down where it is not what is.
    Update,
}

/// What to test, and how.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    target: &'a Target,
    artifacts: &'a ArtifactArguments,
    mode: Mode,
    filters: &'a [Filter],
    junit: Option<&'a Path>,
}

/// What was tested, where all of it came out as expected.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "publish"),
    expect(dead_code, reason = "only what releases asks for it")
)]
pub(super) struct Tested {
    /// The digests of what ran: one, unless the file changed meanwhile; none where there were no events.
    pub(super) components: BTreeSet<String>,
}

impl Test {
    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<(), Failure> {
        let target = resolve(&self.folder, self.build.wanted(), variables)?;
        report_build(printer, &target);
        let plan = Plan {
            target: &target,
            artifacts: &self.artifacts,
            mode: match self.update {
                true => Mode::Update,
                false => Mode::Compare,
            },
            filters: &self.filter,
            junit: self.junit.as_deref(),
        };
        run(printer, &plan, variables).await?;
        Ok(())
    }
}

impl<'a> Plan<'a> {
    /// All events of a project, compared.
    #[cfg(feature = "publish")]
    pub(super) fn whole(target: &'a Target, artifacts: &'a ArtifactArguments) -> Self {
        Self {
            target,
            artifacts,
            mode: Mode::Compare,
            filters: &[],
            junit: None,
        }
    }
}

#[cfg(feature = "publish")]
impl Tested {
    /// Whether there was nothing to test with.
    pub(super) fn is_nothing(&self) -> bool {
        self.components.is_empty()
    }
}

/// Runs the sample events of a project that was built.
///
/// # Errors
/// [`Code::TestFailed`] where one did not come out as expected, once all have run; whatever keeps them from running.
pub(super) async fn run(
    printer: &Printer,
    plan: &Plan<'_>,
    variables: Variables<'_>,
) -> Result<Tested, Failure> {
    let started = Instant::now();
    let cases = cases(plan.target.manifest.as_ref(), plan.filters)?;
    let mut session = Session::new(printer, plan, variables)?;
    let mut verdicts = Vec::with_capacity(cases.len());
    for case in cases {
        let verdict = session.verdict(case).await?;
        show::verdict(printer, &verdict);
        verdicts.push(verdict);
    }
    if let Some(path) = plan.junit {
        junit::write(path, &plan.target.name(), &verdicts)?;
    }
    show::summary(printer, &verdicts, started.elapsed());
    let failed = verdicts.iter().filter(|verdict| verdict.judgement.is_bad());
    match failed.count() {
        0 => Ok(Tested {
            components: session.components,
        }),
        failed => {
            let all = verdicts.len();
            let message = format!("{failed} of {all} events did not come out as expected");
            Err(Failure::new(Code::TestFailed, message))
        }
    }
}

/// What all events are run with.
struct Session<'a> {
    printer: &'a Printer,
    plan: &'a Plan<'a>,
    variables: Variables<'a>,
    /// What serves events without a configuration of their own, once one was there.
    plain: Option<Ready>,
    /// Where events log.
    log: Log,
    lines: Lines,
    /// What has run.
    components: BTreeSet<String>,
}

impl<'a> Session<'a> {
    fn new(
        printer: &'a Printer,
        plan: &'a Plan<'a>,
        variables: Variables<'a>,
    ) -> Result<Self, Failure> {
        let lines = Lines::default();
        let format = match printer.log().format() {
            // What is coloured would be so in the file, too.
            Format::Colour if plan.junit.is_some() => Format::Plain,
            format => format,
        };
        let log = Log::new(format, printer.log().threshold(), lines.clone());
        Ok(Self {
            printer,
            plan,
            variables,
            plain: None,
            log: log.map_err(|error| {
                let message = format!("cannot start the log's thread: {error}");
                Failure::new(Code::HostSetup, message)
            })?,
            lines,
            components: BTreeSet::new(),
        })
    }

    async fn verdict(&mut self, case: Case) -> Result<Verdict, Failure> {
        let outcome = self.handle(&case).await?;
        self.log.flush();
        Ok(Verdict {
            judgement: judge(&case, &outcome, self.plan.mode),
            time: outcome.usage.instantiate + outcome.usage.call,
            lines: self.lines.take(),
            case,
        })
    }

    async fn handle(&mut self, case: &Case) -> Result<Outcome, Failure> {
        if let Some(config) = &case.config {
            // What is wrong with it is wrong with this event alone.
            return Ok(match self.start(Some(config)).await {
                Ok(ready) => self.invoke(&ready.host, case).await,
                Err(failure) => Outcome::refused(failure),
            });
        }
        let ready = match self.plain.take() {
            Some(ready) => ready,
            None => self.start(None).await?,
        };
        let outcome = self.invoke(&ready.host, case).await;
        self.plain = Some(ready);
        Ok(outcome)
    }

    async fn invoke(&self, host: &Host, case: &Case) -> Outcome {
        let event = match EventSource::File(case.event.clone()).read() {
            Ok(event) => event,
            Err(failure) => return Outcome::refused(failure),
        };
        let invocation = Invocation {
            event,
            request_id: request_id(),
            ..Invocation::default()
        };
        host.handle_by(host.guest(), invocation, &self.log).await
    }

    /// A host for the project's configuration, with the event's own on top where it has one.
    async fn start(&mut self, own: Option<&Path>) -> Result<Ready, Failure> {
        let target = self.plan.target;
        let wanted = target.manifest.as_ref().map(|manifest| manifest.limits);
        let wanted = wanted.unwrap_or_default();
        let (config, granted) = config(target, own, self.variables)?;
        let function = Function {
            name: target.name(),
            limits: Limits::default().with(&wanted, Says::Release, &Wanted::default()),
            config,
            vault: Vault::new(self.variables.clone(), None),
            granted,
            outside: Outside::new(self.variables, Vec::new()),
            build: None,
        };
        let surroundings = Surroundings {
            artifacts: self.plan.artifacts.artifacts(self.variables)?,
            log: self.printer.log().clone(),
            concurrency: 1,
        };
        let ready = function.start(&target.component, surroundings).await?;
        let component = ready.host.guest().identity().component.clone();
        self.components.insert(component);
        Ok(ready)
    }
}

/// The lines that were logged since they were last asked for.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn take(&self) -> String {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&std::mem::take(&mut *bytes)).into_owned()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The base, what the project has for its tests, and the event's own above it; nothing of this machine, so that everybody's tests are the same.
fn config(
    target: &Target,
    own: Option<&Path>,
    variables: Variables<'_>,
) -> Result<(Config, Granted), Failure> {
    let Some(manifest) = &target.manifest else {
        return Ok((Config::default(), Granted::default()));
    };
    let facts = Overlay::new(variables, Ceiling::default()).facts(manifest.name.as_str(), "local");
    let mut layers = manifest.test_layers()?;
    if let Some(own) = own {
        layers.push(Layer::read(Tier::Local, own)?);
    }
    let overlay = Overlay {
        layers,
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
