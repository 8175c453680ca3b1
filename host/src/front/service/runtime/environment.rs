//! One execution environment: its processes, its Runtime API, and an event's way through them, from init to the end.
//! Knows nothing of other environments, nor of who calls.

use super::super::guest::LATEST;
use super::super::tail::{Report, Tail};
use super::api::Server;
use super::cause::Cause;
use super::output::{Current, Sink};
use super::process::{Exit, Launch, Process};
use super::program::{Freeze, Mode, Program, extension_name};
use super::state::{Answer, Caller, Event, Given, Shared};
use crate::front::service::call::{Call, End, Part, Reply, ReplyBody, Whole};
use crate::telemetry::Log;
use rustix::process::Signal;
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;
use tokio::time::{sleep_until, timeout};

/// What a runtime with extensions has to end in after SIGTERM, and all of it together, once there are external ones.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>, shutdown phase.
const END_TIME_INTERNAL: Duration = Duration::from_millis(500);
const END_TIME_BEFORE_EXTERNAL: Duration = Duration::from_millis(300);
const END_TIME_EXTERNAL: Duration = Duration::from_secs(2);

/// Why an environment did not come to be.
#[derive(Debug)]
pub(super) enum StartError {
    /// It failed.
    Failed(Cause),
    /// It was not ready in time, and was killed.
    Slow,
}

/// An event on its way in.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) call: Call,
    pub(super) caller: oneshot::Sender<Reply>,
    /// The log that its caller may ask for, with what the environment said while it was made ready for this event.
    pub(super) tail: Tail,
    /// From when its time counts; now, unless it has paid for an init.
    pub(super) since: Option<Instant>,
}

/// What became of the environment, after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It takes another.
    Kept,
    /// It must end.
    Lost(Reason),
}

/// Why an environment ends, as extensions are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Nobody needs it any more.
    Spindown,
    /// An event took too long.
    Timeout,
    /// A process of it failed.
    Failure,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Spindown => "spindown",
            Self::Timeout => "timeout",
            Self::Failure => "failure",
        }
    }
}

/// An environment that is ready for events. Dropping it kills its processes.
#[derive(Debug)]
pub(super) struct Environment {
    shared: Arc<Shared>,
    sink: Sink,
    runtime: Process,
    /// In the order of the program's list.
    extensions: Vec<Process>,
    _server: Server,
    /// What making it ready took, until an event has been charged for it.
    init: Mutex<Option<Duration>>,
    is_frozen: AtomicBool,
    peak_mb: AtomicU64,
}

impl Environment {
    /// Starts the processes and waits until they are ready for an event; their output goes to `tail` meanwhile.
    ///
    /// # Errors
    /// [`StartError`]; nothing of the environment is left then.
    pub(super) async fn start(
        program: &Arc<Program>,
        log: &Log,
        tail: &Tail,
        limit: Duration,
    ) -> Result<Self, StartError> {
        let began = Instant::now();
        let sink = Sink::new(log.clone(), &program.function);
        sink.turn_to(Some(Current {
            request_id: None,
            tail: tail.clone(),
        }));
        let started = match timeout(limit, Self::launch(program, sink)).await {
            Ok(started) => started.map_err(StartError::Failed)?,
            Err(_) => return Err(StartError::Slow),
        };
        *started.init() = Some(began.elapsed());
        if !started.is_alone() {
            // With many events at once, nobody can tell whose a line is.
            started.sink.turn_to(None);
        }
        Ok(started)
    }

    async fn launch(program: &Arc<Program>, sink: Sink) -> Result<Self, Cause> {
        if !program.task_root.is_dir() {
            return Err(Cause::working_dir(&program.task_root));
        }
        let shared = Arc::new(Shared::new(program));
        let server = Server::start(&shared)
            .await
            .map_err(|error| Cause::sandbox(format!("no port for the Runtime API: {error}")))?;
        let variables = program.variables(&server.address().to_string());
        let launch = Launch {
            executable: &program.executable,
            folder: &program.task_root,
            variables: &variables,
        };
        let mut extensions = Vec::new();
        for executable in &program.extensions {
            let process = Process::spawn(
                Launch {
                    executable,
                    ..launch
                },
                &sink,
            )
            .await;
            let process = process.map_err(|error| Cause::extension_launch(executable, &error))?;
            watch(&process, &shared, Cause::extension_exit);
            extensions.push(process);
        }
        shared.until(|state| state.may_start()).await?;
        let process = Process::spawn(launch, &sink).await;
        let runtime = process.map_err(|error| Cause::entrypoint(launch.executable, &error))?;
        watch(&runtime, &shared, Cause::runtime_exit);
        let ready = shared.until(|state| state.is_ready()).await;
        runtime.drain().await;
        ready?;
        Ok(Self {
            shared,
            sink,
            runtime,
            extensions,
            _server: server,
            init: Mutex::default(),
            is_frozen: AtomicBool::new(false),
            peak_mb: AtomicU64::new(0),
        })
    }

    /// Whether it could take an event.
    pub(super) fn is_alive(&self) -> bool {
        self.shared.look(|state| state.is_alive())
    }

    /// Hands an event to the runtime and sees to it that its caller is told. Returns when the environment is free for
    /// another, or lost; on Managed Instances at once, since it always is.
    pub(super) async fn handle(&self, arrival: Arrival) -> Fate {
        let Arrival {
            call,
            caller,
            tail,
            since,
        } = arrival;
        let request_id = call.request_id.clone();
        let started = since.unwrap_or_else(Instant::now);
        let deadline = started + self.program().timeout;
        // An init within the event's time is part of its duration.
        let init = self.init().take().filter(|_| since.is_none());
        tail.start(&request_id, LATEST);
        if self.is_alone() {
            self.sink.turn_to(Some(Current {
                request_id: Some(request_id.clone()),
                tail: tail.clone(),
            }));
            self.thaw();
        }
        let event = Event {
            call,
            nonce: crate::front::request_id(),
            deadline_ms: epoch_ms(deadline),
        };
        let nonce = event.nonce.clone();
        self.shared.change(|state| state.begin(event, caller));
        let (answer, lost) = self.wait(&nonce, deadline).await;
        let lost = lost.filter(|_| self.is_alone());
        if lost.is_some() {
            // Nothing may go on behind the back of a caller who has been told that it failed.
            self.note_peak();
            self.runtime.kill().await;
        }
        let duration = started.elapsed();
        if self.is_alone() {
            self.runtime.drain().await;
        }
        self.note_peak();
        let report = Report {
            request_id,
            duration,
            init,
            memory_mb: self.program().memory_mb,
            memory_used_mb: self.peak_mb.load(Ordering::Relaxed),
        };
        let caller = self.shared.change(|state| state.take_caller(&nonce));
        tell(caller, answer, &tail, &report);
        match lost {
            Some(reason) => Fate::Lost(reason),
            None if self.is_alone() => self.settle(deadline).await,
            None => Fate::Kept,
        }
    }

    /// What the event came to, and why the environment is lost with it, if it is.
    async fn wait(&self, nonce: &str, deadline: Instant) -> (Answer, Option<Reason>) {
        let given = tokio::select! {
            biased;
            given = self.shared.until(|state| state.given(nonce)) => given,
            () = sleep_until(deadline.into()) => {
                match self.shared.change(|state| state.give_up(nonce)) {
                    Some(answer) => Given::Answer(answer),
                    None => {
                        let cause = Cause::timeout(self.program().timeout);
                        return (Answer::failed(cause), Some(Reason::Timeout));
                    }
                }
            }
        };
        match given {
            Given::Answer(answer) => (answer, None),
            Given::Broken(cause) => (Answer::failed(cause), Some(Reason::Failure)),
        }
    }

    /// Waits until runtime and extensions ask for the next event; the one before lasts until then, with its time.
    async fn settle(&self, deadline: Instant) -> Fate {
        let idle = self.shared.until(|state| state.is_idle());
        let fate = match tokio::time::timeout_at(deadline.into(), idle).await {
            Ok(true) => Fate::Kept,
            Ok(false) => Fate::Lost(Reason::Failure),
            Err(_) => Fate::Lost(Reason::Timeout),
        };
        // Also one that is lost: it gets no event any more.
        self.rest();
        fate
    }

    /// Makes it wait for an event: what it still says belongs to none, and where it is to be frozen, it is.
    pub(super) fn rest(&self) {
        self.sink.turn_to(None);
        if self.program().freeze == Freeze::BetweenEvents && self.is_alone() {
            self.is_frozen.store(true, Ordering::Release);
            self.signal_all(Signal::STOP);
        }
    }

    fn thaw(&self) {
        if self.is_frozen.swap(false, Ordering::AcqRel) {
            self.signal_all(Signal::CONT);
        }
    }

    fn signal_all(&self, signal: Signal) {
        for process in self.extensions.iter().chain([&self.runtime]) {
            process.signal_group(signal);
        }
    }

    /// Ends it as Lambda does: at once if there are no extensions, else with a little time. No process is left.
    pub(super) async fn end(&self, reason: Reason) {
        let began = Instant::now();
        let Some(has_extensions) = self.shared.change(|state| state.end()) else {
            return self.gone().await;
        };
        self.thaw();
        if has_extensions && reason == Reason::Spindown {
            let limit = if self.extensions.is_empty() {
                END_TIME_INTERNAL
            } else {
                END_TIME_BEFORE_EXTERNAL
            };
            self.runtime.signal(Signal::TERM);
            let _ = timeout(limit, self.runtime.exited()).await;
        }
        self.runtime.kill().await;
        if !self.extensions.is_empty() {
            self.end_extensions(reason, began + END_TIME_EXTERNAL).await;
        }
    }

    /// Waits for an end that somebody else has begun.
    async fn gone(&self) {
        for process in self.extensions.iter().chain([&self.runtime]) {
            let _ = timeout(END_TIME_EXTERNAL, process.exited()).await;
        }
    }

    async fn end_extensions(&self, reason: Reason, deadline: Instant) {
        let event = json!({
            "eventType": "SHUTDOWN",
            "shutdownReason": reason.as_str(),
            "deadlineMs": u64::try_from(epoch_ms(deadline)).unwrap_or(u64::MAX),
        });
        let told = self
            .shared
            .change(|state| state.shut_down_extensions(&event));
        let named = self.program().extensions.iter().zip(&self.extensions);
        for (path, process) in named {
            if told.contains(&extension_name(path)) {
                let _ = tokio::time::timeout_at(deadline.into(), process.exited()).await;
            }
        }
        for process in &self.extensions {
            process.kill().await;
        }
    }

    fn is_alone(&self) -> bool {
        self.program().mode == Mode::OneAtATime
    }

    fn note_peak(&self) {
        if let Some(peak) = self.runtime.memory_peak_mb() {
            self.peak_mb.fetch_max(peak, Ordering::Relaxed);
        }
    }

    fn program(&self) -> &Program {
        &self.shared.program
    }

    fn init(&self) -> std::sync::MutexGuard<'_, Option<Duration>> {
        self.init.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes the end of a process as the environment's.
fn watch(process: &Process, shared: &Arc<Shared>, cause: fn(Exit) -> Cause) {
    let (exited, shared) = (process.exited(), Arc::clone(shared));
    tokio::spawn(async move {
        let exit = exited.await;
        shared.change(|state| state.fail(cause(exit)));
    });
}

/// Tells an event's caller what it came to.
fn tell(caller: Option<Caller>, answer: Answer, tail: &Tail, report: &Report) {
    let lines = answer.result.as_ref().err();
    let lines = lines.and_then(|cause| cause.log_lines(&report.request_id));
    tail.end(report);
    if let Some(lines) = lines {
        tail.line(&lines);
    }
    let log = tail.take();
    let result = answer.result;
    let result = result.map_err(|cause| cause.failure(&report.request_id));
    match caller {
        Some(Caller::Waiting(caller)) => {
            let body = ReplyBody::Whole(Whole {
                result,
                content_type: answer.content_type,
                log,
            });
            // Nobody is told when nobody waits any more.
            let _ = caller.send(Reply {
                served: super::served(),
                body,
            });
        }
        Some(Caller::Streaming(parts)) => {
            let end = End {
                error: result.err(),
                log,
            };
            // A slow caller holds up no other event.
            tokio::spawn(async move {
                let _ = parts.send(Part::End(end)).await;
            });
        }
        None => {}
    }
}

/// Tells the caller of an event that never came to an environment.
pub(super) fn tell_failure(arrival: Arrival, program: &Program, cause: Cause, began: Instant) {
    let request_id = arrival.call.request_id;
    arrival.tail.start(&request_id, LATEST);
    let report = Report {
        request_id,
        duration: began.elapsed(),
        memory_mb: program.memory_mb,
        ..Report::default()
    };
    let caller = Some(Caller::Waiting(arrival.caller));
    tell(caller, Answer::failed(cause), &arrival.tail, &report);
}

fn epoch_ms(at: Instant) -> u128 {
    let left = at.saturating_duration_since(Instant::now());
    let then = SystemTime::now() + left;
    then.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis()
}
