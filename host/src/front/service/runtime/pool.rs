//! The environments of one function: which of them gets an event, when another is started and on whose time, what
//! becomes of those that failed. Knows nothing of what happens inside of one.

use super::super::tail::Tail;
use super::cause::Cause;
use super::environment::{Environment, Fate, Reason, StartError};
use super::program::{Mode, Program};
use crate::telemetry::Log;
use futures_util::future::join_all;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long making ready may take that no event pays for.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>, init phase.
pub(super) const INIT_TIME: Duration = Duration::from_secs(10);

/// The same on Managed Instances, or the function's timeout if that is longer.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-context.html>.
const INIT_TIME_MANAGED: Duration = Duration::from_secs(130);

/// An environment for an event.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) environment: Arc<Environment>,
    /// From when the event's time counts, if it paid for the init.
    pub(super) since: Option<Instant>,
}

/// All environments of a function.
#[derive(Debug)]
pub(super) struct Pool {
    program: Arc<Program>,
    log: Log,
    shelf: Mutex<Shelf>,
    single: tokio::sync::Mutex<Single>,
    /// How often the single environment was started, or failed to.
    starts: AtomicU64,
    closing: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Shelf {
    /// The one used last is the last.
    idle: Vec<Arc<Environment>>,
    /// Those and the ones with events.
    all: Vec<Arc<Environment>>,
    /// How many were lost that have not been replaced. Lambda makes no room for an init of its own to replace one: the
    /// next event pays.
    resets: u32,
    is_closed: bool,
}

/// What all events share on Managed Instances.
#[derive(Debug, Default)]
struct Single {
    environment: Option<Arc<Environment>>,
    failure: Option<Cause>,
}

impl Pool {
    pub(super) fn new(program: &Arc<Program>, log: Log) -> Self {
        Self {
            program: Arc::clone(program),
            log,
            shelf: Mutex::default(),
            single: tokio::sync::Mutex::default(),
            starts: AtomicU64::new(0),
            closing: watch::Sender::new(false),
        }
    }

    /// An environment for an event, started if there is none. What it says meanwhile goes to `tail`.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn lease(&self, tail: &Tail) -> Result<Lease, Cause> {
        match self.program.mode {
            Mode::OneAtATime => self.lease_alone(tail).await,
            Mode::Managed => self.lease_shared(tail).await,
        }
    }

    async fn lease_alone(&self, tail: &Tail) -> Result<Lease, Cause> {
        if let Some(environment) = self.take_idle() {
            return Ok(Lease {
                environment,
                since: None,
            });
        }
        if !self.take_reset() {
            match self.start(tail, INIT_TIME).await {
                Ok(environment) => {
                    return Ok(Lease {
                        environment,
                        since: None,
                    });
                }
                Err(StartError::Failed(cause)) => {
                    self.shelf().resets += 1;
                    return Err(cause);
                }
                // As on Lambda: once more, on the event's time.
                Err(StartError::Slow) => {}
            }
        }
        let since = Instant::now();
        let limit = self.program.timeout;
        match self.start(tail, limit).await {
            Ok(environment) => Ok(Lease {
                environment,
                since: Some(since),
            }),
            Err(error) => {
                self.shelf().resets += 1;
                Err(cause_of(error, limit))
            }
        }
    }

    async fn lease_shared(&self, tail: &Tail) -> Result<Lease, Cause> {
        let seen = self.starts.load(Ordering::Acquire);
        let mut single = self.single.lock().await;
        let alive = single.environment.as_ref().filter(|one| one.is_alive());
        if let Some(environment) = alive {
            return Ok(Lease {
                environment: Arc::clone(environment),
                since: None,
            });
        }
        // Whoever waited for a start that failed has its failure; else each would wait for a start of its own in turn.
        if self.starts.load(Ordering::Acquire) != seen
            && let Some(cause) = &single.failure
        {
            return Err(cause.clone());
        }
        if let Some(lost) = single.environment.take() {
            self.retire(&lost, Reason::Failure).await;
        }
        let limit = INIT_TIME_MANAGED.max(self.program.timeout);
        let started = self.start(tail, limit).await;
        self.starts.fetch_add(1, Ordering::AcqRel);
        match started {
            Ok(environment) => {
                single.failure = None;
                single.environment = Some(Arc::clone(&environment));
                Ok(Lease {
                    environment,
                    since: None,
                })
            }
            Err(error) => {
                let cause = cause_of(error, limit);
                single.failure = Some(cause.clone());
                Err(cause)
            }
        }
    }

    /// Starts an environment ahead of the first event.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn warm(&self) -> Result<(), Cause> {
        let tail = Tail::default();
        match self.program.mode {
            Mode::Managed => self.lease_shared(&tail).await.map(drop),
            Mode::OneAtATime => match self.start(&tail, INIT_TIME).await {
                Ok(environment) => {
                    environment.rest();
                    self.shelf().idle.push(environment);
                    Ok(())
                }
                Err(error) => {
                    self.shelf().resets += 1;
                    Err(cause_of(error, INIT_TIME))
                }
            },
        }
    }

    /// Takes an environment back after an event.
    pub(super) async fn give_back(&self, environment: Arc<Environment>, fate: Fate) {
        match (fate, self.program.mode) {
            (Fate::Kept, Mode::OneAtATime) => {
                let mut shelf = self.shelf();
                if !shelf.is_closed {
                    shelf.idle.push(environment);
                }
            }
            (Fate::Kept, Mode::Managed) => {}
            (Fate::Lost(reason), Mode::OneAtATime | Mode::Managed) => {
                self.shelf().resets += 1;
                self.retire(&environment, reason).await;
            }
        }
    }

    /// Ends all environments, and those that are being started. There will be none after this.
    pub(super) async fn shut_down(&self) {
        let all = {
            let mut shelf = self.shelf();
            shelf.is_closed = true;
            shelf.idle.clear();
            std::mem::take(&mut shelf.all)
        };
        self.closing.send_replace(true);
        join_all(all.iter().map(|one| one.end(Reason::Spindown))).await;
    }

    async fn start(&self, tail: &Tail, limit: Duration) -> Result<Arc<Environment>, StartError> {
        let ending = || StartError::Failed(Cause::ending());
        let started = tokio::select! {
            started = Environment::start(&self.program, &self.log, tail, limit) => started,
            () = self.closed() => Err(ending()),
        };
        let environment = Arc::new(started?);
        let is_closed = {
            let mut shelf = self.shelf();
            if !shelf.is_closed {
                shelf.all.push(Arc::clone(&environment));
            }
            shelf.is_closed
        };
        if is_closed {
            environment.end(Reason::Spindown).await;
            return Err(ending());
        }
        Ok(environment)
    }

    async fn closed(&self) {
        // The sender lives as long as this does.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    async fn retire(&self, environment: &Arc<Environment>, reason: Reason) {
        self.shelf()
            .all
            .retain(|other| !Arc::ptr_eq(other, environment));
        environment.end(reason).await;
    }

    /// The environment used last, of those that still live; one that died while nobody looked counts as lost.
    fn take_idle(&self) -> Option<Arc<Environment>> {
        let mut shelf = self.shelf();
        while let Some(environment) = shelf.idle.pop() {
            if environment.is_alive() {
                return Some(environment);
            }
            // The last hold on it, so that what is left of it is killed.
            shelf.all.retain(|other| !Arc::ptr_eq(other, &environment));
            shelf.resets += 1;
        }
        None
    }

    fn take_reset(&self) -> bool {
        let mut shelf = self.shelf();
        let owes = shelf.resets > 0;
        shelf.resets = shelf.resets.saturating_sub(1);
        owes
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cause_of(error: StartError, limit: Duration) -> Cause {
    match error {
        StartError::Failed(cause) => cause,
        StartError::Slow => Cause::timeout(limit),
    }
}
