//! The host: one function's guest, the engines it runs on, and threads of its own for guests, so that none of them can
//! occupy the thread of a front. [`Host::handle`] is the boundary that every front calls and most tests stand at.

use crate::engine::Engines;
use crate::engine::artifact::Artifact;
use crate::error::{Code, Failure, Fault};
use crate::event::{Invocation, Outcome};
use crate::guest::{Guest, Parts};
use crate::quantity::Time;
use crate::telemetry::Log;
use arc_swap::ArcSwap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Runs guests for one function.
#[derive(Debug)]
pub struct Host {
    engines: Arc<Engines>,
    /// What serves now. Events in flight keep what they began with.
    slot: ArcSwap<Guest>,
    log: Log,
    places: Semaphore,
    workers: Workers,
}

/// Why a host can't be made.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// No threads for guests.
    #[error("the threads that run guests cannot start")]
    Workers(#[source] std::io::Error),
}

impl Fault for HostError {
    fn code(&self) -> Code {
        match self {
            Self::Workers(_) => Code::HostSetup,
        }
    }
}

impl Host {
    /// A host that runs `concurrency` events at once; more of them wait for a place.
    ///
    /// # Errors
    /// [`HostError::Workers`].
    pub fn new(
        engines: Arc<Engines>,
        guest: Guest,
        log: Log,
        concurrency: u32,
    ) -> Result<Self, HostError> {
        let concurrency = usize::try_from(concurrency).unwrap_or(usize::MAX);
        let concurrency = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            engines,
            slot: ArcSwap::from_pointee(guest),
            log,
            places: Semaphore::new(concurrency),
            workers: Workers::start(concurrency).map_err(HostError::Workers)?,
        })
    }

    /// The guest that handles events now.
    pub fn guest(&self) -> Arc<Guest> {
        self.slot.load_full()
    }

    /// Lets another guest handle all events from now on. Events in flight finish with the one they began with.
    pub fn swap(&self, guest: Arc<Guest>) {
        self.slot.store(guest);
    }

    /// Tries whether an instance of a guest can be made within `time`, beside the events in flight and in a place of its own.
    ///
    /// # Errors
    /// Why not.
    pub async fn smoke(&self, guest: Arc<Guest>, time: Duration) -> Result<(), Failure> {
        let log = self.log.clone();
        let running = self.engines.ticker().running();
        let task = async move { guest.smoke(log, running, time).await };
        self.workers.run(task).await.unwrap_or_else(Err)
    }

    /// Loads and links native code, beside the events in flight and where a panic of the engine is a failure.
    ///
    /// # Errors
    /// A classified failure of the component's world.
    pub async fn load(&self, artifact: Arc<Artifact>, parts: Parts) -> Result<Guest, Failure> {
        let engines = Arc::clone(&self.engines);
        let task = async move { Guest::load(&engines, &artifact, parts) };
        Ok(self.workers.run(task).await??)
    }

    /// Whether guests that fit it run from a pool of places.
    pub fn has_pool(&self) -> bool {
        self.engines.has_pool()
    }

    /// Where lines go.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Handles one event. Never panics, and never waits longer than until the caller's deadline, or the function's time
    /// limit for a place and again for the guest.
    pub async fn handle(&self, invocation: Invocation) -> Outcome {
        let place = match self.place(invocation.deadline).await {
            Ok(place) => place,
            Err(failure) => return Outcome::refused(failure),
        };
        let outcome = self.run(self.guest(), invocation, self.log.clone()).await;
        drop(place);
        outcome
    }

    /// The same with a guest that was loaded for this host earlier, and a log of the event's own.
    pub async fn handle_by(&self, guest: Arc<Guest>, invocation: Invocation, log: Log) -> Outcome {
        let place = match self.place(invocation.deadline).await {
            Ok(place) => place,
            Err(failure) => return Outcome::refused(failure),
        };
        let outcome = self.run(guest, invocation, log).await;
        drop(place);
        outcome
    }

    async fn run(&self, guest: Arc<Guest>, invocation: Invocation, log: Log) -> Outcome {
        let running = self.engines.ticker().running();
        let task = async move { guest.invoke(invocation, log, running).await };
        self.workers
            .run(task)
            .await
            .unwrap_or_else(Outcome::refused)
    }

    /// Waits for a place among those that run at once.
    async fn place(&self, deadline: Option<Instant>) -> Result<SemaphorePermit<'_>, Failure> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let limit = self.slot.load().limits().time;
        let left = deadline.map_or(limit, |deadline| {
            deadline
                .saturating_duration_since(Instant::now())
                .min(limit)
        });
        match tokio::time::timeout(left, self.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(busy(left)),
        }
    }
}

fn busy(waited: Duration) -> Failure {
    let waited = Time(waited);
    Failure::new(
        Code::Busy,
        format!("no place for an instance came free within {waited}"),
    )
}

/// Threads for guests.
#[derive(Debug)]
struct Workers(Option<Runtime>);

impl Workers {
    fn start(concurrency: usize) -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(concurrency.min(cores))
            .thread_name("guest")
            // wasmtime prepares each thread on its first entry, some hundred microseconds; better now than in an event.
            .on_thread_start(wasmtime::Engine::tls_eager_initialize)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs a task; a panic in it becomes a failure.
    async fn run<R: Send + 'static>(
        &self,
        task: impl Future<Output = R> + Send + 'static,
    ) -> Result<R, Failure> {
        let Some(runtime) = &self.0 else {
            return Err(Failure::new(Code::HostPanic, "the host is shutting down"));
        };
        let mut task = AbortOnDrop(runtime.spawn(task));
        let finished = (&mut task.0).await;
        finished.map_err(|error| Failure::new(Code::HostPanic, panic_message(error)))
    }
}

/// A task that nobody waits for any more has nothing left to do.
struct AbortOnDrop<R>(tokio::task::JoinHandle<R>);

impl<R> Drop for AbortOnDrop<R> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Dropping a runtime waits for its threads, which is forbidden inside another runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn panic_message(error: tokio::task::JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else {
        return "the event's task was cancelled".to_owned();
    };
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    format!(
        "the host panicked: {}",
        text.unwrap_or_else(|| "without a message".to_owned())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_of_the_host_is_an_outcome_and_the_next_task_runs() {
        let workers = Workers::start(1).unwrap();
        let failure = workers
            .run(async {
                if true {
                    panic!("a {}", "bug")
                }
            })
            .await
            .unwrap_err();
        assert_eq!(failure.code, Code::HostPanic);
        assert_eq!(failure.message, "the host panicked: a bug");
        assert_eq!(workers.run(async { 1 }).await, Ok(1));
    }
}
