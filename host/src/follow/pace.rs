//! When to look, and when to try again: at an interval, sooner when nobody has looked for too long, ever more seldom
//! while it fails. Counts and clocks only; knows no store.

use crate::clock::{Clock, Moment};
use crate::policy::Refresh;
use std::sync::Arc;
use std::time::Duration;

/// The longest pause after failures, whatever their number.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// How long an idle connection is believed to lead somewhere: S3 closes them sooner or later, and a frozen environment
/// does not notice.
const CONNECTION_TIME: Duration = Duration::from_secs(30);

/// When the last try was, and how many have failed in a row.
#[derive(Debug)]
struct Tries {
    last: Option<Moment>,
    failures: u32,
}

/// The pace of one follower.
#[derive(Debug)]
pub(super) struct Pace {
    clock: Arc<dyn Clock>,
    refresh: Refresh,
    /// Up to a tenth more or less, so that a fleet that started at once does not ask at once.
    jitter: f64,
    looks: Tries,
    /// Looks before an event, which have little time; their failures say nothing to those that have more.
    hurried: Tries,
    takes: Tries,
    good: Moment,
}

impl Pace {
    pub(super) fn new(clock: Arc<dyn Clock>, refresh: Refresh) -> Self {
        let never = || Tries {
            last: None,
            failures: 0,
        };
        Self {
            good: clock.now(),
            clock,
            refresh,
            jitter: jitter(),
            looks: never(),
            hurried: never(),
            takes: never(),
        }
    }

    pub(super) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// How long ago the store last answered with something to be believed.
    pub(super) fn stale(&self) -> Duration {
        self.now().since(&self.good)
    }

    /// Whether it is time to look again.
    pub(super) fn may_look(&self) -> bool {
        self.wait(&self.looks, self.interval()).is_zero()
    }

    /// Whether the last good look is too long ago, and no bad one too recent.
    pub(super) fn must_look(&self) -> bool {
        self.stale() >= self.refresh.max_stale
            && self.wait(&self.looks, Duration::ZERO).is_zero()
            && self.wait(&self.hurried, Duration::ZERO).is_zero()
    }

    /// Whether nobody has asked for so long that connections may lead nowhere.
    pub(super) fn is_out_of_touch(&self) -> bool {
        let last = self.looks.last.as_ref();
        last.is_some_and(|last| self.now().since(last) >= CONNECTION_TIME)
    }

    /// Whether to try again to take up what is new.
    pub(super) fn may_take(&self) -> bool {
        self.wait(&self.takes, Duration::ZERO).is_zero()
    }

    /// Whether what is new has not failed yet.
    pub(super) fn is_untried(&self) -> bool {
        self.takes.failures == 0
    }

    /// How long until there is something to do; `waiting` says that something new waits to be taken up.
    pub(super) fn rest(&self, waiting: bool) -> Duration {
        let look = self.wait(&self.looks, self.interval());
        if waiting {
            look.min(self.wait(&self.takes, Duration::ZERO))
        } else {
            look
        }
    }

    pub(super) fn looking(&mut self) {
        self.looks.last = Some(self.now());
    }

    pub(super) fn hurrying(&mut self) {
        self.hurried.last = Some(self.now());
    }

    /// The store answered with something to be believed.
    pub(super) fn looked(&mut self) {
        self.looks.last = Some(self.now());
        self.looks.failures = 0;
        self.hurried.failures = 0;
        self.good = self.now();
    }

    pub(super) fn look_failed(&mut self) {
        self.looks.failures = self.looks.failures.saturating_add(1);
    }

    pub(super) fn hurry_failed(&mut self) {
        self.hurried.failures = self.hurried.failures.saturating_add(1);
    }

    pub(super) fn taking(&mut self) {
        self.takes.last = Some(self.now());
    }

    /// Something new is there, or was taken up: what failed before says nothing of it.
    pub(super) fn takes_afresh(&mut self) {
        self.takes.failures = 0;
    }

    pub(super) fn take_failed(&mut self) {
        self.takes.failures = self.takes.failures.saturating_add(1);
    }

    fn interval(&self) -> Duration {
        self.refresh.interval.mul_f64(self.jitter)
    }

    /// What is left of the pause after the last try: `least`, or twice as long after each failure.
    fn wait(&self, tries: &Tries, least: Duration) -> Duration {
        let Some(last) = &tries.last else {
            return Duration::ZERO;
        };
        let pause = match tries.failures {
            0 => Duration::ZERO,
            failures => {
                let doubled = 1_u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
                self.interval().saturating_mul(doubled).min(PAUSE_MAX)
            }
        };
        pause.max(least).saturating_sub(self.now().since(last))
    }
}

fn jitter() -> f64 {
    let mut byte = [0; 1];
    // Without random bytes everybody is on time, which works as well.
    let _ = rustix::rand::getrandom(&mut byte, rustix::rand::GetRandomFlags::empty());
    0.9 + 0.2 * f64::from(byte[0]) / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use std::sync::Mutex;

    /// A clock moved by hand.
    #[derive(Debug)]
    struct Hand(Mutex<Moment>);

    impl Hand {
        fn forward(&self, steady: u64, wall: i64) {
            let mut now = self.0.lock().unwrap();
            now.steady += Duration::from_secs(steady);
            now.wall += jiff::SignedDuration::from_secs(wall);
        }
    }

    impl Clock for Hand {
        fn now(&self) -> Moment {
            *self.0.lock().unwrap()
        }
    }

    fn pace() -> (Arc<Hand>, Pace) {
        let start = Moment {
            steady: Duration::ZERO,
            wall: Timestamp::UNIX_EPOCH,
        };
        let hand = Arc::new(Hand(Mutex::new(start)));
        let clock = Arc::clone(&hand) as Arc<dyn Clock>;
        let mut pace = Pace::new(clock, Refresh::default());
        pace.jitter = 1.0;
        (hand, pace)
    }

    #[test]
    fn a_look_is_due_at_the_interval_and_overdue_at_the_limit_by_either_clock() {
        for (steady, wall) in [(1, 0), (0, 1)] {
            let (hand, mut pace) = pace();
            pace.looking();
            pace.looked();
            hand.forward(14 * steady, 14 * wall as i64);
            assert!(!pace.may_look());
            hand.forward(steady, wall as i64);
            assert!(pace.may_look() && !pace.must_look());
            hand.forward(45 * steady, 45 * wall as i64);
            assert!(pace.must_look());
        }
    }

    #[test]
    fn a_clock_set_back_hides_no_time_that_the_other_saw() {
        let (hand, mut pace) = pace();
        pace.looking();
        pace.looked();
        hand.forward(60, -7200);
        assert!(pace.must_look());
        assert_eq!(pace.stale(), Duration::from_secs(60));
    }

    #[test]
    fn failures_make_looks_more_seldom_up_to_a_bound_and_success_ends_that() {
        let (hand, mut pace) = pace();
        for expected in [15, 30, 60, 120, 240, 300, 300] {
            pace.looking();
            pace.look_failed();
            assert_eq!(pace.rest(false), Duration::from_secs(expected));
        }
        hand.forward(299, 299);
        assert!(!pace.may_look() && !pace.must_look(), "though long stale");
        hand.forward(1, 1);
        pace.looking();
        pace.looked();
        assert_eq!(pace.rest(false), Duration::from_secs(15));
    }

    #[test]
    fn a_hurried_look_that_fails_puts_off_the_next_hurried_one_only() {
        let (hand, mut pace) = pace();
        pace.looking();
        pace.looked();
        hand.forward(60, 60);
        pace.hurrying();
        pace.hurry_failed();
        assert!(!pace.must_look() && pace.may_look());
    }

    #[test]
    fn what_waits_to_be_taken_up_is_tried_at_once_and_after_a_failure_later() {
        let (_hand, mut pace) = pace();
        pace.looking();
        pace.looked();
        assert_eq!(pace.rest(true), Duration::ZERO);
        pace.taking();
        pace.take_failed();
        assert_eq!(pace.rest(true), Duration::from_secs(15));
        pace.takes_afresh();
        assert!(pace.may_take());
    }
}
