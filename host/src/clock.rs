//! Two clocks read together. A frozen environment may stop the one and not the other, and the wall's can be set; time
//! has passed when either says so.

use jiff::Timestamp;
use std::fmt;
use std::time::{Duration, Instant};

/// A reading of both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Since the process started, by a clock that is never set.
    pub steady: Duration,
    /// The time of day.
    pub wall: Timestamp,
}

impl Moment {
    /// How much later this is than `earlier`, by whichever clock says more.
    pub fn since(&self, earlier: &Self) -> Duration {
        let steady = self.steady.saturating_sub(earlier.steady);
        let wall = self.wall.duration_since(earlier.wall);
        steady.max(Duration::try_from(wall).unwrap_or_default())
    }
}

/// Something that tells the time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time now.
    fn now(&self) -> Moment;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment {
            steady: self.0.elapsed(),
            wall: Timestamp::now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(steady: u64, wall: i64) -> Moment {
        Moment {
            steady: Duration::from_secs(steady),
            wall: Timestamp::from_second(wall).unwrap(),
        }
    }

    #[test]
    fn time_has_passed_when_either_clock_says_so_and_never_runs_backwards() {
        for (later, earlier, seconds) in [
            (moment(10, 110), moment(0, 100), 10),
            (moment(1, 3700), moment(0, 100), 3600),
            (moment(5, 0), moment(0, 100), 5),
            (moment(0, 0), moment(0, 100), 0),
        ] {
            assert_eq!(later.since(&earlier), Duration::from_secs(seconds));
        }
    }
}
