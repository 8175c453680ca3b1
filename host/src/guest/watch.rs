//! Where a guest runs: on a thread of the engines', watched by who waits for it. A guest that nothing interrupts is given up
//! a little after its deadline: what it came to is told from here, and the process has to be replaced.

use super::{Allowed, Guest, Remains, failure};
use crate::engine::Engines;
use crate::error::Failure;
use crate::event::{Invocation, Outcome, Usage};
use crate::interface::log::EventLog;
use crate::interface::scratch::{Quota, remove_of};
use crate::limit::Limits;
use crate::meter::Meter;
use crate::telemetry::{Log, Scope};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long a guest that nothing interrupts has to come to its own end after its deadline. Most do, since whatever waits is
/// stopped on time; well below what the front keeps to report in.
const GRACE: Duration = Duration::from_millis(10);

/// What is known of an event beside its store, also when that is out of reach.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) log: EventLog,
    pub(super) meter: Meter,
    /// Bytes held at once, at most.
    pub(super) memory: Arc<AtomicUsize>,
    /// Its own folder, once it has one.
    pub(super) scratch: Arc<OnceLock<Arc<Quota>>>,
}

impl Seen {
    fn new(guest: &Guest, log: &Log, request_id: &str) -> Self {
        let scope = Scope::of(&guest.identity, request_id);
        Self {
            log: EventLog::new(log.clone(), scope.clone(), guest.limits.log),
            meter: Meter::new(guest.refusals.clone(), log.clone(), scope),
            memory: Arc::default(),
            scratch: Arc::default(),
        }
    }

    pub(super) fn peak(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }
}

/// From when until when an event may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    pub(super) started: Instant,
    pub(super) deadline: Instant,
    is_callers: bool,
}

impl Term {
    fn new(time: Duration, callers: Option<Instant>) -> Self {
        let started = Instant::now();
        let own = started + time;
        let deadline = callers.map_or(own, |callers| callers.min(own));
        Self {
            started,
            deadline,
            is_callers: deadline < own,
        }
    }

    /// What the event was allowed, for the words on what struck.
    pub(super) fn allowed(&self, limits: &Limits) -> Allowed {
        Allowed {
            time: self.deadline.saturating_duration_since(self.started),
            is_callers: self.is_callers,
            limits: *limits,
        }
    }
}

impl Guest {
    /// Handles one event on a thread for guests. If what remains of it is to be kept, that is dropped by whoever gets it, before
    /// the next event takes its place; else it is gone by then.
    pub(crate) async fn handle(
        self: Arc<Self>,
        engines: &Engines,
        invocation: Invocation,
        log: &Log,
        keep: bool,
    ) -> (Outcome, Remains) {
        let term = Term::new(self.limits.time, invocation.deadline);
        let seen = Seen::new(&self, log, &invocation.request_id);
        let (guest, shared) = (Arc::clone(&self), seen.clone());
        // On the heap, since it would be moved three times on its way to the thread.
        let task = Box::pin(async move {
            let (outcome, remains) = guest.invoke(invocation, shared, term).await;
            (outcome, keep.then_some(remains))
        });
        match engines.run(task, self.overdue(&term)).await {
            Ok(Some((outcome, remains))) => (outcome, remains.unwrap_or_default()),
            Ok(None) => (self.given_up(&seen, &term).await, Remains::default()),
            Err(failure) => (Outcome::refused(failure), Remains::default()),
        }
    }

    /// Tries on a thread for guests whether an instance can be made within `time`.
    ///
    /// # Errors
    /// The failure that an event would have met before its handler was called.
    pub(crate) async fn try_instance(
        self: &Arc<Self>,
        engines: &Engines,
        log: &Log,
        time: Duration,
    ) -> Result<(), Failure> {
        let term = Term::new(self.limits.time.min(time), None);
        let seen = Seen::new(self, log, "smoke-test");
        let (guest, shared) = (Arc::clone(self), seen.clone());
        let task = async move { guest.smoke(shared, term).await };
        match engines.run(task, self.overdue(&term)).await? {
            Some(made) => made,
            None => {
                seen.log.finish();
                Err(failure::timed_out(&term.allowed(&self.limits)))
            }
        }
    }

    /// When it is given up; never where something interrupts it.
    fn overdue(&self, term: &Term) -> Option<Instant> {
        self.clock.is_none().then(|| term.deadline + GRACE)
    }

    async fn given_up(&self, seen: &Seen, term: &Term) -> Outcome {
        let failure = failure::timed_out(&term.allowed(&self.limits));
        let lines = seen.log.finish();
        let spent = term.started.elapsed();
        let scratch = seen.scratch.get().cloned();
        if let Some(quota) = scratch.clone() {
            // Who made the folder will not come to remove it.
            remove_of(quota).await;
        }
        Outcome {
            served: Some(Arc::clone(&self.identity)),
            result: Err(seen.log.masked(failure)),
            usage: Usage {
                call: spent,
                // It was at work all the time, or it would have been stopped.
                cpu: spent,
                memory_peak: seen.peak(),
                memory_limit: self.limits.memory.as_usize(),
                scratch_peak: scratch.map_or(0, |quota| quota.peak()),
                grants: seen.meter.account(),
                log_lines: lines.written,
                log_cut: lines.cut,
                ..Usage::default()
            },
        }
    }
}
