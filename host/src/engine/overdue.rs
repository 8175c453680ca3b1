//! Who waits for a guest that nobody can stop, and until when. Where the front runs on the threads of the guests, these may
//! all be at work; the time is then watched by the thread that the front came from, which has nothing else to do. It is
//! told of a time only if that comes before the one it sleeps for, so that most events cost it nothing.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use tokio::sync::Notify;

/// All that wait, by the time when they give up.
#[derive(Debug, Default)]
pub(super) struct Watch {
    is_watched: AtomicBool,
    state: Mutex<State>,
    earlier: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<(Instant, u64), Waker>,
    /// What the watcher sleeps for.
    target: Option<Instant>,
    /// Tells waits for the same time apart.
    count: u64,
}

impl Watch {
    /// Whether somebody watches.
    pub(super) fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Acquire)
    }

    /// Wakes whoever has waited long enough, until this is dropped.
    pub(super) async fn watch(&self) -> std::convert::Infallible {
        self.is_watched.store(true, Ordering::Release);
        let _unwatched = Unwatched(self);
        loop {
            let (target, due) = self.state().take_due(Instant::now());
            due.into_iter().for_each(Waker::wake);
            let earlier = self.earlier.notified();
            match target {
                None => earlier.await,
                // Whichever comes first; what is due is seen at the next turn.
                Some(target) => drop(tokio::time::timeout_at(target.into(), earlier).await),
            }
        }
    }

    /// Comes back at `at`.
    pub(super) fn until(&self, at: Instant) -> Until<'_> {
        Until {
            watch: self,
            at,
            place: None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No step leaves anything half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_due(&mut self, now: Instant) -> (Option<Instant>, Vec<Waker>) {
        let later = self.waiting.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut self.waiting, later);
        self.target = self.waiting.keys().next().map(|(at, _)| *at);
        (self.target, due.into_values().collect())
    }
}

struct Unwatched<'a>(&'a Watch);

impl Drop for Unwatched<'_> {
    fn drop(&mut self) {
        self.0.is_watched.store(false, Ordering::Release);
    }
}

/// A time that is waited for.
pub(super) struct Until<'a> {
    watch: &'a Watch,
    at: Instant,
    place: Option<u64>,
}

impl Future for Until<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.at {
            return Poll::Ready(());
        }
        let (watch, at) = (self.watch, self.at);
        let mut state = watch.state();
        let place = *self.place.get_or_insert_with(|| {
            state.count += 1;
            state.count
        });
        state.waiting.insert((at, place), ctx.waker().clone());
        if state.target.is_none_or(|target| at < target) {
            // Until the watcher has come to it, nobody else needs to tell.
            state.target = Some(at);
            watch.earlier.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for Until<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.watch.state().waiting.remove(&(self.at, place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LATER: Duration = Duration::from_millis(5);

    async fn watched(watch: &Watch, waits: impl Future<Output = ()>) {
        tokio::select! {
            never = watch.watch() => match never {},
            () = waits => {}
        }
    }

    #[tokio::test]
    async fn each_is_woken_at_its_time_whichever_was_told_of_first() {
        let watch = Watch::default();
        let start = Instant::now();
        watched(&watch, async {
            let (early, late) = (watch.until(start + LATER), watch.until(start + 3 * LATER));
            let long = watch.until(start + Duration::from_secs(3600));
            let both = futures_util::future::join(late, early);
            futures_util::future::select(Box::pin(long), Box::pin(both)).await;
            assert!(start.elapsed() >= 3 * LATER);
        })
        .await;
        assert!(watch.state().waiting.is_empty() && !watch.is_watched());
    }

    #[tokio::test]
    async fn after_one_that_was_given_up_the_next_is_woken_still() {
        let watch = Watch::default();
        watched(&watch, async {
            for _ in 0..3 {
                let mut given_up = Box::pin(watch.until(Instant::now() + LATER));
                let _pending = futures_util::poll!(&mut given_up);
                drop(given_up);
                watch.until(Instant::now() + 2 * LATER).await;
            }
        })
        .await;
    }
}
