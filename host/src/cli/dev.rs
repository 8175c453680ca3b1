//! `crunchbox dev`: functions served here as Lambda serves them, and swapped when their sources or their channel change.

mod bootstrap;
mod project;
mod screen;
mod stored;
mod watch;

use super::printer::{self, Printer};
use super::project::{FunctionArguments, address_in};
use crate::address::{Address, FunctionName};
use crate::error::{Code, Failure};
use crate::front::local::EventSource;
use crate::front::service::call::{Backend, Whole};
use crate::front::service::destination::Destination;
use crate::front::service::queue::{Queue, QueueSettings};
use crate::front::service::{Function, Running, Service, Witness};
use crate::quantity::Time;
use crate::settings::{self, Environment, Variables};
use crate::store::Location;
use bootstrap::BootstrapArguments;
use futures_util::future::BoxFuture;
use project::Project;
use screen::Screen;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use stored::Stored;

/// How many events of an account Lambda handles at once, unless asked for more.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
const CONCURRENCY: u32 = 1_000;

/// How many guests of a function run at once; more events wait for a place.
const PLACES: u32 = 64;

/// The region that functions here are in where nothing says another.
const REGION: &str = "us-east-1";

/// The exit status of a command that Ctrl-C ended before it did anything, as shells count it.
const INTERRUPTED: u8 = 130;

/// How long events in flight have to end after the first Ctrl-C.
const DRAIN_TIME: Duration = Duration::from_secs(30);

/// Serve functions on this machine as AWS Lambda serves them, and swap them when they change.
///
/// Answers Lambda's Invoke API, its streaming form, and function URLs at /lambda-url/NAME/, so that AWS's own clients work
/// unchanged: `aws lambda invoke --endpoint-url http://127.0.0.1:9000 --function-name NAME …`, or `crunchbox invoke NAME`.
/// Projects are built, and built again when their files change; channels of a store are followed. What is in flight
/// finishes with what it began with; what does not build leaves the old one serving. Ctrl-C ends, after the events in
/// flight; twice ends at once.
#[derive(Debug, clap::Args)]
pub(super) struct Dev {
    /// Folders of projects, components (.wasm), or channels in a store such as crunch@live [default: .]
    #[arg(value_name = "DIR|COMPONENT|ADDRESS")]
    functions: Vec<PathBuf>,
    #[command(flatten)]
    bootstrap: BootstrapArguments,
    /// Where to listen; port 0 takes any that is free.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// Events of one function at once; one more is throttled, as with reserved concurrency [default: 1000, as an account]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrency: Option<u32>,
    /// The Lambda function's Timeout [default: what `crunchbox package --template` writes]
    #[arg(long, value_name = "TIME")]
    timeout: Option<Time>,
    #[command(flatten)]
    queue: QueueArguments,
    /// A file with an event, or a folder of .json files, to send as soon as it serves; may be repeated.
    #[arg(short, long = "event", value_name = "PATH")]
    events: Vec<PathBuf>,
    /// End after these events, and those they left in the queue.
    #[arg(long, requires = "events")]
    once: bool,
    /// Look for no changes.
    #[arg(long)]
    no_watch: bool,
    /// Report in JSON lines on standard error.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    function: FunctionArguments,
}

/// What becomes of asynchronous events.
#[derive(Debug, clap::Args)]
struct QueueArguments {
    /// How often an asynchronous event that failed is tried again.
    #[arg(long, value_name = "0..2", default_value = "2", value_parser = clap::value_parser!(u8).range(0..=2))]
    retries: u8,
    /// How long before the first try again; before the second it is twice as long.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    retry_wait: Time,
    /// How old an asynchronous event may become.
    #[arg(long, value_name = "TIME", default_value = "6h")]
    max_age: Time,
    /// Where records of asynchronous events that failed go: a folder or s3://BUCKET/PREFIX.
    #[arg(long, value_name = "STORE")]
    on_failure: Option<Location>,
    /// Where records of those that succeeded go.
    #[arg(long, value_name = "STORE")]
    on_success: Option<Location>,
}

/// A function that is ready to be served, and what looks after its changes.
struct Started {
    name: String,
    backend: Arc<dyn Backend>,
    /// What to show of it at the start.
    version: String,
    /// Never ends.
    watch: Option<BoxFuture<'static, ()>>,
}

/// What all functions are started with.
#[derive(Debug, Clone)]
struct Setting {
    arguments: FunctionArguments,
    environment: Environment,
    printer: Printer,
    screen: Arc<Screen>,
    region: String,
    timeout: Option<Duration>,
    places: u32,
    watches: Watches,
}

/// Whether changes are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watches {
    Changes,
    Nothing,
}

impl Dev {
    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<u8, Failure> {
        // Before anything is started that would outlive this process.
        let mut signals = Signals::listen()?;
        open_many_files();
        let setting = self.setting(printer, variables);
        let starting = async {
            match self.bootstrap.is_asked_for() {
                true => Ok(vec![self.program(&setting).await?]),
                false => self.start(&setting).await,
            }
        };
        let started = tokio::select! {
            started = starting => started?,
            () = signals.next() => return Ok(INTERRUPTED),
        };
        let witness: Arc<dyn Witness> = Arc::clone(&setting.screen) as Arc<dyn Witness>;
        let concurrency = self.concurrency.unwrap_or(CONCURRENCY);
        let function = |started: &Started| Function {
            name: started.name.clone(),
            backend: Arc::clone(&started.backend),
            concurrency,
        };
        let functions = started.iter().map(function).collect();
        let queue = self.queue.open(printer).await?;
        let service = Service::new(functions, &setting.region, queue, &witness);
        let running = service.listen(self.listen).await?;
        let shown: Vec<_> = started
            .iter()
            .map(|started| (started.name.as_str(), started.version.as_str()))
            .collect();
        setting.screen.serving(running.address(), &shown);
        let first = started.first().map(|started| started.name.clone());
        for watch in started.into_iter().filter_map(|started| started.watch) {
            tokio::spawn(watch);
        }
        self.until_ended(&setting, running, first.unwrap_or_default(), signals)
            .await
    }

    fn setting(&self, printer: &Printer, variables: Variables<'_>) -> Setting {
        Setting {
            arguments: self.function.clone(),
            environment: variables.clone(),
            printer: printer.clone(),
            screen: Arc::new(Screen::new(printer.clone())),
            region: settings::region(variables).unwrap_or_else(|| REGION.to_owned()),
            timeout: self.timeout.map(|time| time.0),
            places: self.concurrency.unwrap_or(PLACES).min(PLACES),
            watches: match self.no_watch {
                true => Watches::Nothing,
                false => Watches::Changes,
            },
        }
    }

    /// Gets all functions ready, in the order they were named.
    async fn start(&self, setting: &Setting) -> Result<Vec<Started>, Failure> {
        let here = [PathBuf::from(".")];
        let named: &[PathBuf] = match self.functions.as_slice() {
            [] => &here,
            named => named,
        };
        let mut started = Vec::new();
        let mut channels: BTreeMap<FunctionName, Vec<Address>> = BTreeMap::new();
        for path in named {
            match address_in(path)? {
                Some(address) => channels
                    .entry(address.function.clone())
                    .or_default()
                    .push(address),
                None => started.push(Project::new(path, setting).start().await?),
            }
        }
        for addresses in channels.into_values() {
            started.push(Stored::start(setting, addresses).await?);
        }
        check_names(&started)?;
        Ok(started)
    }

    async fn program(&self, setting: &Setting) -> Result<Started, Failure> {
        if !self.functions.is_empty() {
            let message = "expected either functions or --bootstrap, got both";
            return Err(Failure::new(Code::SettingInvalid, message)
                .with_hint("the program says by its Handler (`--handler`) what it serves"));
        }
        let memory = self.function.memory;
        self.bootstrap
            .start(setting, self.concurrency.unwrap_or(CONCURRENCY), memory)
            .await
    }

    /// Sends the first events, then waits for a signal.
    async fn until_ended(
        &self,
        setting: &Setting,
        mut running: Running,
        name: String,
        mut signals: Signals,
    ) -> Result<u8, Failure> {
        let mut result = Ok(0);
        let sending = async {
            let exit = self.send(&running, &name).await;
            match exit {
                Ok(exit) if self.once => {
                    running.idle().await;
                    Ok(exit)
                }
                // Whoever edits the function wants to go on.
                Ok(_) => std::future::pending().await,
                Err(failure) => Err(failure),
            }
        };
        tokio::select! {
            sent = sending => result = sent,
            () = signals.next() => {}
        }
        setting.screen.ending();
        tokio::select! {
            ended = running.end(DRAIN_TIME) => setting.screen.ended(&ended),
            () = signals.next() => {
                running.cut().await;
                setting.screen.cut();
            }
        }
        result
    }

    /// Sends the events of `--event` to the first function; the status of the first that failed.
    async fn send(&self, running: &Running, name: &str) -> Result<u8, Failure> {
        let mut exit = 0;
        for path in &self.events {
            for source in EventSource::expand(path)? {
                let whole = running.invoke(name, source.read()?.into()).await;
                let whole = whole.map_err(|error| {
                    Failure::new(Code::EventNotJson, format!("{}: {error}", source.name()))
                })?;
                let status = print(&whole)?;
                exit = if exit == 0 { status } else { exit };
            }
        }
        Ok(exit)
    }
}

/// The response, or the failure's document, as a caller gets it.
fn print(whole: &Whole) -> Result<u8, Failure> {
    let (bytes, status) = match &whole.result {
        Ok(response) => (response, 0),
        Err(error) => {
            let known = Code::ALL.iter().map(|code| code.meaning());
            let meaning = known.into_iter().find(|meaning| meaning.name == error.kind);
            let exit = meaning.unwrap_or_else(|| Code::GuestFailure.meaning()).exit;
            (&error.document, exit)
        }
    };
    printer::result(bytes)?;
    printer::result(b"\n")?;
    Ok(status)
}

/// Each name stands for one function, and is one that Lambda's clients can ask for.
fn check_names(started: &[Started]) -> Result<(), Failure> {
    for (place, function) in started.iter().enumerate() {
        let name = &function.name;
        let message = if started.iter().take(place).any(|other| other.name == *name) {
            format!("two functions are called `{name}`")
        } else if !is_function_name(name) {
            format!(
                "`{name}` is no name of a Lambda function: expected letters, digits, `-` and `_`"
            )
        } else {
            continue;
        };
        return Err(Failure::new(Code::SettingInvalid, message)
            .with_hint("give it another name under [function] in crunchbox.toml"));
    }
    Ok(())
}

fn is_function_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=64).contains(&name.len()) && name.chars().all(allowed)
}

/// The name that a file or a folder gives a function.
fn name_of(path: &Path) -> String {
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let stem = match absolute.is_dir() {
        true => absolute.file_name(),
        false => absolute.file_stem(),
    };
    let stem = stem.unwrap_or_default().to_string_lossy();
    let fitting = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
            c
        } else {
            '-'
        }
    };
    stem.chars().map(fitting).take(64).collect()
}

impl QueueArguments {
    async fn open(&self, printer: &Printer) -> Result<Queue, Failure> {
        let settings = QueueSettings {
            retries: self.retries,
            wait: self.retry_wait.0,
            max_age: self.max_age.0,
            on_failure: open(self.on_failure.as_ref()).await?,
            on_success: open(self.on_success.as_ref()).await?,
        };
        Ok(Queue::new(settings, printer.log().clone()))
    }
}

async fn open(location: Option<&Location>) -> Result<Option<Destination>, Failure> {
    match location {
        Some(location) => Ok(Some(Destination::open(location).await?)),
        None => Ok(None),
    }
}

/// Lets this process have as many files and connections open as the system allows it to ask for.
fn open_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // Where it is refused, fewer connections fit; they wait for each other.
    let _refused = setrlimit(Resource::Nofile, most);
}

/// Ctrl-C, and what systems send that stop a service or close its terminal.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error: std::io::Error| {
            Failure::new(
                Code::HostSetup,
                format!("cannot listen for signals: {error}"),
            )
        };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            hangup: signal(SignalKind::hangup()).map_err(failed)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
