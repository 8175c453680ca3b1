//! A program behind Lambda's Runtime API as what answers a function's events: the package that goes to AWS, or anything
//! else that runs there. Knows no front of the service, and of guests nothing at all.

mod api;
mod cause;
mod environment;
mod extension;
mod output;
mod pool;
mod process;
pub(crate) mod program;
mod refusal;
mod state;
#[cfg(test)]
mod testing;

use super::call::{Backend, Call, FunctionError, Reply, Served};
use super::error::ServiceError;
use super::guest::LATEST;
use super::tail::Tail;
use crate::error::Failure;
use crate::telemetry::Log;
use environment::{Arrival, tell_failure};
use pool::Pool;
use program::Program;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

/// How long events may take to notice that their environments are gone.
const NOTICE_TIME: Duration = Duration::from_secs(3);

/// A function whose events a program answers.
#[derive(Debug)]
pub(crate) struct Runtime(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    program: Arc<Program>,
    pool: Pool,
    /// One for each event at once; more wait.
    slots: Semaphore,
}

impl Runtime {
    /// A function that starts its program with the first event. What the program writes goes to `log`.
    ///
    /// # Errors
    /// [`Code::SettingInvalid`](crate::error::Code::SettingInvalid) when it could not be started on any day.
    pub(crate) fn start(program: Program, log: Log) -> Result<Self, Failure> {
        program.check()?;
        let program = Arc::new(program.absolute());
        let slots = usize::try_from(program.concurrency).unwrap_or(usize::MAX);
        Ok(Self(Arc::new(Inner {
            pool: Pool::new(&program, log),
            slots: Semaphore::new(slots.min(Semaphore::MAX_PERMITS)),
            program,
        })))
    }

    /// Starts the program ahead of the first event, and waits until it is ready.
    ///
    /// # Errors
    /// What the first event would have been answered with; the next one tries again.
    pub(crate) async fn warm(&self) -> Result<(), FunctionError> {
        let Ok(_slot) = self.0.slots.acquire().await else {
            return Ok(());
        };
        let warm = self.0.pool.warm().await;
        warm.map_err(|cause| cause.failure("-"))
    }
}

#[async_trait::async_trait]
impl Backend for Runtime {
    async fn check(&self, qualifier: Option<&str>) -> Result<(), ServiceError> {
        match qualifier {
            None | Some(LATEST) => Ok(()),
            Some(other) => {
                let arn = &self.0.program.arn;
                Err(ServiceError::NotFound(format!("{arn}:{other}")))
            }
        }
    }

    /// Dropping the future gives up the answer; the event itself runs to its end, as on Lambda.
    async fn invoke(&self, qualifier: Option<&str>, call: Call) -> Result<Reply, ServiceError> {
        self.check(qualifier).await?;
        let (caller, reply) = oneshot::channel();
        tokio::spawn(Arc::clone(&self.0).drive(call, caller));
        let ending = |_| ServiceError::Unavailable("the service is ending".to_owned());
        reply.await.map_err(ending)
    }

    async fn shut_down(&self) {
        self.0.pool.shut_down().await;
        let all = self.0.slots.acquire_many(self.0.program.concurrency);
        let _ = timeout(NOTICE_TIME, all).await;
    }
}

impl Inner {
    async fn drive(self: Arc<Self>, call: Call, caller: oneshot::Sender<Reply>) {
        let Ok(_slot) = self.slots.acquire().await else {
            return;
        };
        if caller.is_closed() {
            return;
        }
        let began = Instant::now();
        let tail = Tail::default();
        let lease = self.pool.lease(&tail).await;
        let arrival = Arrival {
            call,
            caller,
            tail,
            since: lease.as_ref().ok().and_then(|lease| lease.since),
        };
        match lease {
            Ok(lease) => {
                let fate = lease.environment.handle(arrival).await;
                self.pool.give_back(lease.environment, fate).await;
            }
            Err(cause) => tell_failure(arrival, &self.program, cause, began),
        }
    }
}

/// What serves every event: there is one version, and no release.
fn served() -> Served {
    Served {
        version: LATEST.to_owned(),
        release: None,
    }
}

#[cfg(test)]
mod tests;
