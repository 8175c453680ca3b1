//! Where the time of a start goes, for whoever asked: one phase after the other, from the process's start to its first
//! response. Where nobody asked, a mark costs a look at an empty option.

use cpu_time::ProcessTime;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A phase and how long it took.
pub type Phase = (&'static str, Duration);

/// The phases of one start. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Timings(Option<Arc<Mutex<Marks>>>);

#[derive(Debug)]
struct Marks {
    last: Instant,
    /// None once they are told.
    phases: Option<Vec<Phase>>,
}

impl Timings {
    /// Begins to take the time. What this process had of the processor before is the first phase: the system mapped the
    /// program, its loader put addresses right.
    pub fn begin() -> Self {
        let marks = Marks {
            last: Instant::now(),
            phases: Some(vec![("program loaded", ProcessTime::now().as_duration())]),
        };
        Self(Some(Arc::new(Mutex::new(marks))))
    }

    /// Whether somebody asked.
    pub fn is_asked(&self) -> bool {
        self.0.is_some()
    }

    /// The time since the last mark went into this phase.
    pub fn mark(&self, phase: &'static str) {
        let Some(marks) = &self.0 else { return };
        let mut marks = marks.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let took = now - marks.last;
        marks.last = now;
        if let Some(phases) = &mut marks.phases {
            phases.push((phase, took));
        }
    }

    /// All phases so far; they are told once, and what comes later is no part of a start.
    pub fn take(&self) -> Vec<Phase> {
        let Some(marks) = &self.0 else {
            return Vec::new();
        };
        let mut marks = marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.phases.take().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_told_in_their_order_and_once_and_not_at_all_where_nobody_asked() {
        let timings = Timings::begin();
        timings.clone().mark("one");
        timings.mark("two");
        let names: Vec<_> = timings.take().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["program loaded", "one", "two"]);
        timings.mark("three");
        assert!(timings.take().is_empty());
        let silent = Timings::default();
        silent.mark("one");
        assert!(silent.take().is_empty() && !silent.is_asked());
    }
}
