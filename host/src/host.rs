//! The host: one function's guest, the engines it runs on, and places for events. [`Host::handle`] is the boundary that
//! every front calls and most tests stand at.

use crate::engine::Engines;
use crate::engine::artifact::Artifact;
use crate::error::{Code, Failure};
use crate::event::{Invocation, Outcome};
use crate::guest::{Guest, Parts};
use crate::quantity::Time;
use crate::telemetry::Log;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Runs guests for one function.
#[derive(Debug)]
pub struct Host {
    engines: Arc<Engines>,
    /// What serves now. Events in flight keep what they began with.
    slot: ArcSwap<Guest>,
    log: Log,
    places: Semaphore,
}

impl Host {
    /// A host that runs `concurrency` events at once; more of them wait for a place.
    pub fn new(engines: Arc<Engines>, guest: Arc<Guest>, log: Log, concurrency: u32) -> Self {
        let concurrency = usize::try_from(concurrency).unwrap_or(usize::MAX);
        let concurrency = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            engines,
            slot: ArcSwap::new(guest),
            log,
            places: Semaphore::new(concurrency),
        }
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
        guest.try_instance(&self.engines, &self.log, time).await
    }

    /// Loads and links native code, beside the events in flight and where a panic of the engine is a failure.
    ///
    /// # Errors
    /// A classified failure of the component's world.
    pub async fn load(&self, artifact: Arc<Artifact>, parts: Parts) -> Result<Guest, Failure> {
        let engines = Arc::clone(&self.engines);
        let task = async move { Guest::load(&engines, &artifact, parts) };
        match self.engines.run(task, None).await? {
            Some(loaded) => Ok(loaded?),
            None => Err(Failure::new(Code::HostPanic, "the load was given up")),
        }
    }

    /// The engines that guests run on.
    pub fn engines(&self) -> &Arc<Engines> {
        &self.engines
    }

    /// Whether guests that fit it run from a pool of places.
    pub fn has_pool(&self) -> bool {
        self.engines.has_pool()
    }

    /// Whether this process has to be replaced once it has answered: a guest past its deadline still has its thread, or
    /// the host panicked.
    pub fn is_spent(&self) -> bool {
        self.engines.is_spent()
    }

    /// Where lines go.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Handles one event. Never panics, and never waits longer than until the caller's deadline, or the function's time
    /// limit for a place and again for the guest.
    pub async fn handle(&self, invocation: Invocation) -> Outcome {
        self.handle_by(self.guest(), invocation, &self.log).await
    }

    /// The same with a guest that was loaded for this host earlier, and a log of the event's own.
    pub async fn handle_by(&self, guest: Arc<Guest>, invocation: Invocation, log: &Log) -> Outcome {
        let place = match self.place(invocation.deadline).await {
            Ok(place) => place,
            Err(failure) => return Outcome::refused(failure),
        };
        let handled = guest.handle(&self.engines, invocation, log, false);
        let (outcome, _none) = handled.await;
        drop(place);
        outcome
    }

    /// The same where one event runs at a time, and what remains of it is dropped before the next: after the response is
    /// on its way.
    #[cfg(feature = "lambda")]
    pub(crate) async fn handle_alone(
        &self,
        invocation: Invocation,
    ) -> (Outcome, crate::guest::Remains) {
        let guest = self.guest();
        guest
            .handle(&self.engines, invocation, &self.log, true)
            .await
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
