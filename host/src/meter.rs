//! What one event did through its grants: calls, bytes and refusals by kind. Counts; decides nothing.

use crate::account::{Account, Figures};
use crate::error::Level;
use crate::telemetry::{Line, Log, Scope, Source};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use crate::account::Kind;

#[derive(Debug, Default)]
struct Counters {
    calls: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    denied: AtomicU64,
}

/// More targets than an honest guest tries in vain; what comes after is counted only.
const TARGETS_MAX: usize = 64;

/// The longest target that is logged.
const TARGET_BYTES_MAX: usize = 256;

/// The targets that a guest was refused already, so that each is logged once however many events try it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusals(Arc<Mutex<HashSet<String>>>);

impl Refusals {
    fn is_new(&self, target: &str) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.len() < TARGETS_MAX && seen.insert(target.to_owned())
    }
}

/// Counts for one event. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Meter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    counters: [Counters; Kind::ALL.len()],
    refusals: Refusals,
    log: Log,
    scope: Scope,
}

impl Meter {
    pub(crate) fn new(refusals: Refusals, log: Log, scope: Scope) -> Self {
        Self(Arc::new(Inner {
            counters: Default::default(),
            refusals,
            log,
            scope,
        }))
    }

    fn of(&self, kind: Kind) -> &Counters {
        let [http, tcp, objects, secrets, scratch] = &self.0.counters;
        match kind {
            Kind::Http => http,
            Kind::Tcp => tcp,
            Kind::Objects => objects,
            Kind::Secrets => secrets,
            Kind::Scratch => scratch,
        }
    }

    /// A call that something grants.
    pub(crate) fn called(&self, kind: Kind) {
        self.of(kind).calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes that left the guest.
    pub(crate) fn sent(&self, kind: Kind, bytes: usize) {
        add(&self.of(kind).sent, bytes);
    }

    /// Bytes that reached the guest.
    pub(crate) fn received(&self, kind: Kind, bytes: usize) {
        add(&self.of(kind).received, bytes);
    }

    /// A call that was refused: counted each time, logged once for each target.
    pub(crate) fn denied(&self, kind: Kind, target: &str) {
        self.of(kind).denied.fetch_add(1, Ordering::Relaxed);
        let short = target
            .char_indices()
            .take_while(|(at, _)| *at < TARGET_BYTES_MAX);
        let target: String = short.map(|(_, c)| c).collect();
        let name = kind.name();
        if !self.0.refusals.is_new(&format!("{name} {target}")) {
            return;
        }
        self.warn(&format!("denied {name}: {target} (not in [grants])"));
    }

    /// Calls that were refused for want of room.
    pub(crate) fn refused(&self, kind: Kind, calls: u64, problem: &str) {
        if calls > 0 {
            self.of(kind).denied.fetch_add(calls, Ordering::Relaxed);
            self.noted(kind, problem);
        }
    }

    /// A word of the host on a call that was granted and failed; once for each text.
    pub(crate) fn noted(&self, kind: Kind, problem: &str) {
        let name = kind.name();
        let message = format!("{name}: {problem}");
        if self.0.refusals.is_new(&message) {
            self.warn(&message);
        }
    }

    fn warn(&self, message: &str) {
        self.0.log.write(&Line {
            level: Level::Warn,
            message,
            source: Source::Host,
            scope: Some(&self.0.scope),
            fields: &[],
            top: &[],
        });
    }

    /// What it came to so far.
    pub(crate) fn account(&self) -> Account {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Account::of(|kind| {
            let counters = self.of(kind);
            Figures {
                calls: read(&counters.calls),
                sent: read(&counters.sent),
                received: read(&counters.received),
                denied: read(&counters.denied),
            }
        })
    }
}

fn add(counter: &AtomicU64, bytes: usize) {
    counter.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Format, Memory};

    fn meter() -> (Meter, Log, Memory) {
        let memory = Memory::default();
        let log = Log::new(Format::Json, Level::Info, memory.clone()).unwrap();
        let scope = Scope::of(&crate::event::Identity::default(), "r-1");
        (
            Meter::new(Refusals::default(), log.clone(), scope),
            log,
            memory,
        )
    }

    #[test]
    fn a_refusal_is_counted_each_time_and_logged_once_for_each_target() {
        let (meter, log, memory) = meter();
        for _ in 0..3 {
            meter.denied(Kind::Http, "GET https://a.example");
        }
        for n in 0..2 * TARGETS_MAX {
            meter.denied(Kind::Tcp, &format!("b.example:{n}"));
        }
        log.flush();
        assert_eq!(memory.text().lines().count(), TARGETS_MAX);
        assert_eq!(memory.text().matches("a.example").count(), 1);
        assert_eq!(meter.account().denied(), 3 + 2 * 64);
    }

    #[test]
    fn only_kinds_that_were_used_are_told() {
        let (meter, _, _) = meter();
        meter.called(Kind::Objects);
        meter.sent(Kind::Objects, 7);
        meter.received(Kind::Objects, 5);
        let used: Vec<_> = meter.account().used().collect();
        let figures = Figures {
            calls: 1,
            sent: 7,
            received: 5,
            denied: 0,
        };
        assert_eq!(used, [(Kind::Objects, figures)]);
    }
}
