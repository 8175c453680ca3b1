//! Threads of their own for guests, so that none of them can occupy the last thread of a front.

use crate::error::{Code, Failure};
use futures_util::future::{Either, select};
use std::future::Future;
use std::pin::pin;
use tokio::runtime::Runtime;

#[derive(Debug)]
pub(super) struct Workers(Option<Runtime>);

impl Workers {
    pub(super) fn start(concurrency: u32) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads(concurrency))
            .thread_name("guest")
            // wasmtime prepares each thread on its first entry, some hundred microseconds; better now than in an event.
            .on_thread_start(wasmtime::Engine::tls_eager_initialize)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs a task, and waits for it until it is `late`; then there is nothing. A panic in it becomes a failure.
    pub(super) async fn run<R: Send + 'static>(
        &self,
        task: impl Future<Output = R> + Send + 'static,
        late: impl Future<Output = ()>,
    ) -> Result<Option<R>, Failure> {
        let Some(runtime) = &self.0 else {
            return Err(Failure::new(Code::HostPanic, "the host is shutting down"));
        };
        let mut task = AbortOnDrop(runtime.spawn(task));
        let finished = match select(&mut task.0, pin!(late)).await {
            Either::Left((finished, _)) => finished,
            Either::Right(_) => return Ok(None),
        };
        finished
            .map(Some)
            .map_err(|error| Failure::new(Code::HostPanic, panic_message(error)))
    }
}

/// One for each event that runs at once, and no more than there are processors. Where it is one, those are not counted, which
/// takes a dozen reads of the system's files, and there is another for what cannot wait until the guest has come to its end; with
/// one alone events took no less time, tried in turn on two processors.
fn threads(concurrency: u32) -> usize {
    match concurrency {
        0 | 1 => 2,
        more => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            usize::try_from(more).map_or(cores, |more| more.min(cores))
        }
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
    use std::future::{pending, ready};

    #[tokio::test]
    async fn a_panic_of_the_host_is_an_outcome_and_the_next_task_runs() {
        let workers = Workers::start(1).unwrap();
        let panic = async {
            if true {
                panic!("a {}", "bug")
            }
        };
        let failure = workers.run(panic, pending()).await.unwrap_err();
        assert_eq!(failure.code, Code::HostPanic);
        assert_eq!(failure.message, "the host panicked: a bug");
        assert_eq!(workers.run(async { 1 }, pending()).await, Ok(Some(1)));
    }

    #[tokio::test]
    async fn a_task_that_lets_nobody_in_is_waited_for_no_longer_than_said() {
        let workers = Workers::start(1).unwrap();
        let (release, held) = std::sync::mpsc::channel::<()>();
        // As a guest that computes: it never comes back to the runtime.
        let task = async move { held.recv() };
        let waited = workers.run(task, ready(())).await;
        assert_eq!(waited, Ok(None));
        drop(release);
        assert_eq!(workers.run(async { 1 }, pending()).await, Ok(Some(1)));
    }
}
