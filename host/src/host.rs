//! The host: one function's guest, the engines it runs on, and threads of its own for guests, so that none of them can
//! occupy the thread of a front. [`Host::handle`] is the boundary that every front calls and most tests stand at.

use crate::engine::Engines;
use crate::error::{Code, Failure, Fault};
use crate::event::{Invocation, Outcome};
use crate::guest::Guest;
use crate::telemetry::Log;
use std::future::Future;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Runs guests for one function.
#[derive(Debug)]
pub struct Host {
    engines: Arc<Engines>,
    guest: Arc<Guest>,
    log: Log,
    workers: Option<Runtime>,
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
    /// A host that runs `concurrency` events at once.
    ///
    /// # Errors
    /// [`HostError::Workers`].
    pub fn new(engines: Arc<Engines>, guest: Guest, log: Log, concurrency: u32) -> Result<Self, HostError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = usize::try_from(concurrency).unwrap_or(cores).clamp(1, cores);
        let workers = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("guest")
            // wasmtime prepares each thread on its first entry, some hundred microseconds; better now than in an event.
            .on_thread_start(wasmtime_thread)
            .enable_time()
            .build()
            .map_err(HostError::Workers)?;
        Ok(Self { engines, guest: Arc::new(guest), log, workers: Some(workers) })
    }

    /// The guest that handles events now.
    pub fn guest(&self) -> Arc<Guest> {
        Arc::clone(&self.guest)
    }

    /// Where lines go.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Handles one event. Never panics and never waits longer than the event's deadline or the function's time limit.
    pub async fn handle(&self, invocation: Invocation) -> Outcome {
        let guest = Arc::clone(&self.guest);
        let log = self.log.clone();
        let running = self.engines.ticker().running();
        self.guarded(async move { guest.invoke(invocation, log, running).await }).await
    }

    /// Runs a task on the guests' threads; a panic in it becomes an outcome.
    async fn guarded(&self, task: impl Future<Output = Outcome> + Send + 'static) -> Outcome {
        let Some(workers) = &self.workers else {
            return Outcome::refused(Failure::new(Code::HostPanic, "the host is shutting down"));
        };
        match workers.spawn(task).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::refused(Failure::new(Code::HostPanic, panic_message(error))),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Dropping a runtime waits for its threads, which is forbidden inside another runtime.
        if let Some(workers) = self.workers.take() {
            workers.shutdown_background();
        }
    }
}

fn wasmtime_thread() {
    wasmtime::Engine::tls_eager_initialize();
}

fn panic_message(error: tokio::task::JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else { return "the event's task was cancelled".to_owned() };
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    format!("the host panicked: {}", text.unwrap_or_else(|| "without a message".to_owned()))
}
