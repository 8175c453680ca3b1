//! Lambda's Runtime API: asks for the next event, hands its raw bytes to the host, posts the answer.
//!
//! The loop is our own, on AWS's client: `lambda_runtime` 1.5 parses a caller's client context before any layer of ours
//! sees the event, ends its loop when that fails, and cannot name the event it lost; it also panics on a missing header
//! and writes the trace id into the process environment. Here a bad header costs its own event and no other.

mod api;

use crate::config::{Config, Layer};
use crate::engine::Artifacts;
use crate::engine::artifact::TrustedFolder;
use crate::error::{Code, Failure, Level};
use crate::event::{Invocation, Outcome, RESPONSE_BYTES_MAX, check_json};
use crate::function::{Function, Surroundings};
use crate::guest::Limits;
use crate::host::Host;
use crate::manifest::Manifest;
use crate::settings::{self, Lambda, Variables};
use crate::telemetry::{Line, Log, Scope, Source};
use api::{NextEvent, RuntimeApi};
use futures_util::future::Either;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

/// What is kept of an event's time to post the answer in: a response of 6 MB over loopback takes some 10 ms.
const REPORT_RESERVE: Duration = Duration::from_millis(50);

/// The longest a Lambda function runs; the caller's deadline is always earlier.
const TIME_MAX: Duration = Duration::from_secs(900);

/// What a front that ends wants of its process.
#[derive(Debug)]
pub enum Ended {
    /// Replace the process by a fresh one of itself.
    ///
    /// Seen with AWS's runtime interface emulator: a process that replaces itself between response and next keeps its
    /// process id, the answered event stays answered, and the next event comes to the new one without a new init. A
    /// process that exits there, even with status 0, turns the answered event into `Runtime.ExitError`.
    Recycle,
    /// Exit with this failure.
    Failed(Failure),
}

/// Serves events until the process has to end. Posts an init error if it can't start.
pub async fn serve(variables: Variables<'_>, log: &Log) -> Ended {
    let api = match runtime_api(variables) {
        Ok(api) => api,
        Err(failure) => return failed(log, failure),
    };
    let started = match Lambda::from_environment(variables) {
        Ok(settings) => start(&settings, log)
            .await
            .map(|host| (host, settings.concurrency)),
        Err(error) => Err(Failure::from(error)),
    };
    match started {
        Ok((host, concurrency)) => poll(&api, &host, concurrency).await,
        Err(failure) => init_failed(&api, failure, log).await,
    }
}

fn runtime_api(variables: Variables<'_>) -> Result<RuntimeApi, Failure> {
    let address = Lambda::runtime_api(variables)?;
    RuntimeApi::new(&address).map_err(Failure::from)
}

fn failed(log: &Log, failure: Failure) -> Ended {
    log.host(failure.code.meaning().level, &failure.to_string());
    Ended::Failed(failure)
}

/// The caller of an init error sees nothing but its document, so the next step goes into the message.
async fn init_failed(api: &RuntimeApi, mut failure: Failure, log: &Log) -> Ended {
    let next_step = failure
        .hint
        .as_deref()
        .unwrap_or_else(|| failure.code.meaning().remedy);
    failure.message = format!("{}; hint: {next_step}", failure.message);
    if let Err(error) = api.post_init_error(&failure).await {
        log.host(Level::Error, &crate::error::chain(&error));
    }
    failed(log, failure)
}

async fn start(settings: &Lambda, log: &Log) -> Result<Host, Failure> {
    let folder = settings
        .component
        .parent()
        .unwrap_or_else(|| Path::new("/"));
    let manifest = Manifest::find(folder)?;
    let function = Function {
        name: manifest.as_ref().map_or_else(
            || settings.function.clone(),
            |manifest| manifest.name.clone(),
        ),
        limits: limits(settings, manifest.as_ref()),
        config: config(settings, manifest.as_ref())?,
    };
    let package = is_below(folder, &settings.task_root).then(|| TrustedFolder::deployed(folder));
    let artifacts = Artifacts {
        package,
        ..Artifacts::default()
    };
    let surroundings = Surroundings {
        artifacts,
        log: log.clone(),
        concurrency: settings.concurrency,
    };
    Ok(function
        .start(&settings.component, surroundings)
        .await?
        .host)
}

/// Only what lies in the package came with this program; a component elsewhere brings no native code.
fn is_below(folder: &Path, root: &Path) -> bool {
    match (folder.canonicalize(), root.canonicalize()) {
        (Ok(folder), Ok(root)) => folder.starts_with(root),
        _ => false,
    }
}

fn limits(settings: &Lambda, manifest: Option<&Manifest>) -> Limits {
    let wanted = manifest.map(|manifest| manifest.limits).unwrap_or_default();
    Limits {
        time: wanted.time.map_or(TIME_MAX, |time| time.0.min(TIME_MAX)),
        memory: wanted.memory.map_or(settings.guest_memory, |memory| {
            memory.min(settings.guest_memory)
        }),
        response: RESPONSE_BYTES_MAX,
    }
}

fn config(settings: &Lambda, manifest: Option<&Manifest>) -> Result<Config, Failure> {
    let mut layers = manifest
        .map(Manifest::layers)
        .transpose()?
        .unwrap_or_default();
    if let Some(text) = &settings.config {
        layers.push(Layer::from_json(settings::CONFIG, text)?);
    }
    Ok(Config::merge(layers))
}

/// One loop per event that may be handled at once. The first that has to end ends all: the others answer what they have
/// and ask for no more, and only those that wait for an event are cut off.
async fn poll(api: &RuntimeApi, host: &Host, concurrency: u32) -> Ended {
    let state = Polling {
        cold: AtomicBool::new(true),
        ending: AtomicBool::new(false),
        handling: watch::Sender::new(0),
    };
    let loops = (0..concurrency).map(|_| Box::pin(poll_one(api, host, &state)));
    let (first, _, others) = futures_util::future::select_all(loops).await;
    let mut handling = state.handling.subscribe();
    let all_answered = std::pin::pin!(handling.wait_for(|count| *count == 0));
    let rest = futures_util::future::join_all(others);
    let later = match futures_util::future::select(all_answered, rest).await {
        Either::Left(_) => Vec::new(),
        Either::Right((later, _)) => later,
    };
    let mut failures = later
        .into_iter()
        .chain([first])
        .filter_map(|ended| match ended {
            Ended::Failed(failure) => Some(failure),
            Ended::Recycle => None,
        });
    // A failed Runtime API fails them all; one word of it is enough.
    match failures.next_back() {
        Some(failure) => failed(host.log(), failure),
        None => Ended::Recycle,
    }
}

/// What the loops share.
#[derive(Debug)]
struct Polling {
    /// No event has been handled yet.
    cold: AtomicBool,
    /// One loop has ended; no other asks for another event.
    ending: AtomicBool,
    /// Events that have begun to arrive and are not answered yet.
    handling: watch::Sender<usize>,
}

/// An event that has begun to arrive; dropped when it is answered, or lost on its way.
struct Handling<'a>(&'a Polling);

impl<'a> Handling<'a> {
    fn begin(state: &'a Polling) -> Self {
        state.handling.send_modify(|count| *count += 1);
        Self(state)
    }
}

impl Drop for Handling<'_> {
    fn drop(&mut self) {
        self.0.handling.send_modify(|count| *count -= 1);
    }
}

async fn poll_one(api: &RuntimeApi, host: &Host, state: &Polling) -> Ended {
    let ended = loop {
        let mut arrived = None;
        let next = match api.next(|| arrived = Some(Handling::begin(state))).await {
            Ok(next) => next,
            Err(error) => break Ended::Failed(Failure::from(error)),
        };
        let outcome = answer(api, host, &next).await;
        let cold = state.cold.swap(false, Ordering::Relaxed);
        summarise(host, &next, &outcome, cold);
        // Lambda freezes the process once it asks for the next event; what was not written then may never be.
        host.log().flush();
        drop(arrived);
        let panicked = outcome
            .result
            .is_err_and(|failure| failure.code == Code::HostPanic);
        if panicked || state.ending.load(Ordering::Relaxed) {
            break Ended::Recycle;
        }
    };
    state.ending.store(true, Ordering::Relaxed);
    ended
}

/// Handles an event and posts what it came to. A response that the API does not take becomes a failure.
async fn answer(api: &RuntimeApi, host: &Host, next: &NextEvent) -> Outcome {
    let mut outcome = handle(host, next).await;
    if let Ok(response) = &outcome.result {
        match api.post_response(next, response).await {
            Ok(()) => return outcome,
            Err(error) => outcome.result = Err(Failure::from(error)),
        }
    }
    if let Err(failure) = &outcome.result
        && let Err(error) = api.post_error(next, failure).await
    {
        host.log().host(Level::Error, &crate::error::chain(&error));
    }
    outcome
}

async fn handle(host: &Host, next: &NextEvent) -> Outcome {
    if let Some(context) = &next.client_context
        && let Err(problem) = check_json(context)
    {
        let message = format!("the client context is not one JSON text: {problem}");
        return Outcome::refused(Failure::new(Code::ClientContext, message));
    }
    let invocation = Invocation {
        event: next.body.to_vec(),
        request_id: next.request_id.clone(),
        deadline: next.deadline_ms.map(|ms| instant_of(ms, SystemTime::now())),
        trace_id: next.trace_id.clone(),
        tenant_id: next.tenant_id.clone(),
        invoked_arn: next.invoked_arn.clone(),
        client_context: next.client_context.clone(),
        identity: next.identity.clone(),
    };
    host.handle(invocation).await
}

/// The caller's deadline, in milliseconds since 1970, on the monotonic clock and less the time to report in.
fn instant_of(deadline_ms: u64, now: SystemTime) -> Instant {
    let deadline = SystemTime::UNIX_EPOCH
        + Duration::from_millis(deadline_ms.min(u64::from(u32::MAX) * 1_000));
    let left = deadline
        .duration_since(now)
        .unwrap_or_default()
        .min(TIME_MAX);
    Instant::now() + left.saturating_sub(REPORT_RESERVE)
}

/// One line per event: what it came to and what it took.
fn summarise(host: &Host, next: &NextEvent, outcome: &Outcome, cold: bool) {
    let usage = outcome.usage;
    let ms = |time: Duration| format!("{:.3}", time.as_secs_f64() * 1e3);
    let mut fields = vec![
        ("outcome".to_owned(), format!("\"{}\"", outcome.code())),
        ("cold".to_owned(), cold.to_string()),
        ("instantiateMs".to_owned(), ms(usage.instantiate)),
        ("callMs".to_owned(), ms(usage.call)),
        ("memoryPeakBytes".to_owned(), usage.memory_peak.to_string()),
        (
            "memoryLimitBytes".to_owned(),
            usage.memory_limit.to_string(),
        ),
        ("eventBytes".to_owned(), next.body.len().to_string()),
        ("logLines".to_owned(), usage.log_lines.to_string()),
        ("logCut".to_owned(), usage.log_cut.to_string()),
    ];
    let (level, message) = match &outcome.result {
        Ok(response) => {
            fields.push(("responseBytes".to_owned(), response.len().to_string()));
            (Level::Info, "event handled")
        }
        Err(failure) => {
            let meaning = failure.code.meaning();
            let text = |text: &str| serde_json::Value::from(text).to_string();
            fields.push(("blame".to_owned(), text(&meaning.blame.to_string())));
            fields.push(("errorType".to_owned(), text(&failure.kind)));
            fields.push(("errorMessage".to_owned(), text(&failure.message)));
            fields.push((
                "stackTrace".to_owned(),
                serde_json::Value::from(failure.trace.clone()).to_string(),
            ));
            fields.extend(
                failure
                    .details
                    .clone()
                    .map(|details| ("details".to_owned(), details)),
            );
            (meaning.level, "event failed")
        }
    };
    let scope: Scope = host.guest().scope(&next.request_id);
    host.log().write(&Line {
        level,
        message,
        source: Source::Host,
        scope: Some(&scope),
        fields: &fields,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_reached_by_leaving_the_package_is_not_in_it() {
        let root = tempfile::tempdir().unwrap();
        let (package, outside) = (root.path().join("package"), root.path().join("outside"));
        std::fs::create_dir_all(package.join("functions")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        assert!(is_below(&package, &package) && is_below(&package.join("functions"), &package));
        assert!(!is_below(&package.join("../outside"), &package));
        assert!(!is_below(&package.join("missing"), &package));
    }

    #[test]
    fn a_deadline_leaves_time_to_report_and_a_past_or_absurd_one_is_bounded() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(10_000);
        let left =
            |deadline_ms| instant_of(deadline_ms, now).saturating_duration_since(Instant::now());
        assert!(
            left(13_000) <= Duration::from_millis(2_950)
                && left(13_000) > Duration::from_millis(2_000)
        );
        assert_eq!(left(9_000), Duration::ZERO);
        assert!(left(u64::MAX) <= TIME_MAX);
    }
}
