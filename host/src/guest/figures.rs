//! What an event took of the processor: the time of each thread while it was at work on it, waiting left out.

use cpu_time::ThreadTime;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

/// Runs a future, and tells for how long it kept processors busy.
pub(super) async fn on_cpu<F: Future>(future: F) -> (F::Output, Duration) {
    let mut future = pin!(future);
    let mut spent = Duration::ZERO;
    let output = poll_fn(|ctx| {
        let before = ThreadTime::now();
        let polled = future.as_mut().poll(ctx);
        spent += before.elapsed();
        polled
    });
    let output = output.await;
    (output, spent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_takes_nothing_and_work_does() {
        let (_, waited) = on_cpu(tokio::time::sleep(Duration::from_millis(30))).await;
        let work = async { (0..1_000_000_u64).map(std::hint::black_box).sum::<u64>() };
        let (_, worked) = on_cpu(work).await;
        assert!(waited < Duration::from_millis(30) && worked > Duration::ZERO);
    }
}
