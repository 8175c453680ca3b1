//! Guests of this process as what answers: one host for each channel of a function, and earlier states of it by their
//! numbers, as an alias and the versions behind it.

use super::call::{Backend, Call, FunctionError, Reply, ReplyBody, Served, Whole};
use super::error::ServiceError;
use super::name::arn;
use super::tail::{Report, Tail};
use crate::error::{Code, Failure};
use crate::event::{Invocation, Outcome};
use crate::front::{REPORT_RESERVE, error_document};
use crate::guest::Guest;
use crate::host::Host;
use crate::limit::{Limits, Says};
use crate::package::template::lambda_timeout;
use crate::settings::lambda_memory_mb;
use crate::telemetry::Format;
use bytes::Bytes;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many earlier states stay loaded.
const EARLIER_MAX: usize = 10;

/// The qualifier of what a function serves by default.
pub(super) const LATEST: &str = "$LATEST";

/// Where earlier states of a function are had from, beyond those that served here.
#[async_trait::async_trait]
pub(crate) trait Earlier: Debug + Send + Sync {
    /// The state of a number; none where there is no such state.
    async fn state(&self, number: u64) -> Result<Option<Arc<Guest>>, Failure>;
}

/// One channel of a function, and the host that serves it.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    /// Its name: an alias of the function.
    pub(crate) name: String,
    /// What serves it.
    pub(crate) host: Arc<Host>,
}

/// How a function stands in Lambda.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// Its name.
    pub(crate) function: String,
    /// The region that its Amazon Resource Name has.
    pub(crate) region: String,
    /// How long an event may take, where that was asked for; else it follows from the guest's limits.
    pub(crate) timeout: Option<Duration>,
}

impl Terms {
    /// How long an event of a guest may take, as the templates of `package` write it.
    fn timeout(&self, limits: &Limits) -> Duration {
        let said = (limits.time_by != Says::Default).then_some(limits.time);
        self.timeout.unwrap_or_else(|| lambda_timeout(said))
    }
}

/// What answers for a function by guests of this process.
#[derive(Debug)]
pub(crate) struct Guests {
    terms: Terms,
    /// The first is what the function serves by default. Never empty.
    first: Channel,
    others: Vec<Channel>,
    earlier: Option<Arc<dyn Earlier>>,
    /// What served before, or was asked for by its number; the newest last.
    kept: Mutex<VecDeque<Arc<Guest>>>,
}

impl Guests {
    pub(crate) fn new(
        terms: Terms,
        first: Channel,
        others: Vec<Channel>,
        earlier: Option<Arc<dyn Earlier>>,
    ) -> Self {
        Self {
            terms,
            first,
            others,
            earlier,
            kept: Mutex::default(),
        }
    }

    /// Keeps a guest that another took the place of in a host. Numbers are those of the first channel; what served another
    /// one has others, and belongs to another host.
    pub(crate) fn keep_of(&self, host: &Arc<Host>, guest: Arc<Guest>) {
        if Arc::ptr_eq(host, &self.first.host) {
            self.keep(guest);
        }
    }

    fn keep(&self, guest: Arc<Guest>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|other| other.identity().sequence != guest.identity().sequence);
        kept.push_back(guest);
        if kept.len() > EARLIER_MAX {
            kept.pop_front();
        }
    }

    fn kept(&self, number: u64) -> Option<Arc<Guest>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |guest: &&Arc<Guest>| guest.identity().sequence == Some(number);
        kept.iter().rev().find(fits).map(Arc::clone)
    }

    /// The guest that a qualifier names, and the host that it belongs to.
    async fn find(&self, qualifier: Option<&str>) -> Result<(Arc<Host>, Arc<Guest>), ServiceError> {
        let host = &self.first.host;
        let Some(qualifier) = qualifier.filter(|qualifier| *qualifier != LATEST) else {
            return Ok((Arc::clone(host), host.guest()));
        };
        let missing = || ServiceError::NotFound(self.arn(Some(qualifier)));
        let Ok(number) = qualifier.parse::<u64>() else {
            let mut channels = std::iter::once(&self.first).chain(&self.others);
            let channel = channels.find(|channel| channel.name == qualifier);
            let host = &channel.ok_or_else(missing)?.host;
            return Ok((Arc::clone(host), host.guest()));
        };
        let current = host.guest();
        if current.identity().sequence == Some(number) {
            return Ok((Arc::clone(host), current));
        }
        if let Some(guest) = self.kept(number) {
            return Ok((Arc::clone(host), guest));
        }
        let earlier = self.earlier.as_ref().ok_or_else(missing)?;
        let unavailable = |failure: Failure| ServiceError::Unavailable(failure.to_string());
        let guest = earlier.state(number).await.map_err(unavailable)?;
        let guest = guest.ok_or_else(missing)?;
        self.keep(Arc::clone(&guest));
        Ok((Arc::clone(host), guest))
    }

    fn arn(&self, qualifier: Option<&str>) -> String {
        arn(&self.terms.region, &self.terms.function, qualifier)
    }
}

#[async_trait::async_trait]
impl Backend for Guests {
    async fn check(&self, qualifier: Option<&str>) -> Result<(), ServiceError> {
        self.find(qualifier).await.map(drop)
    }

    async fn invoke(&self, qualifier: Option<&str>, call: Call) -> Result<Reply, ServiceError> {
        let (host, guest) = self.find(qualifier).await?;
        let served = served(&guest);
        let tail = Tail::default();
        tail.start(&call.request_id, &served.version);
        let reader = tail.clone();
        let log = host
            .log()
            .copied(Format::Text, Arc::new(move |line: &str| reader.line(line)));
        let (request_id, started) = (call.request_id.clone(), Instant::now());
        let limits = guest.limits();
        let time = self.terms.timeout(&limits).saturating_sub(REPORT_RESERVE);
        let invocation = Invocation {
            event: call.event.into(),
            request_id: call.request_id,
            deadline: Some(started + time),
            trace_id: Some(call.trace_id),
            tenant_id: call.tenant_id,
            invoked_arn: Some(call.invoked_arn),
            client_context: call.client_context,
            identity: None,
        };
        let outcome = host.handle_by(guest, invocation, &log).await;
        // No place came free: Lambda would have started another environment, or said so.
        if outcome
            .result
            .as_ref()
            .is_err_and(|failure| failure.code == Code::Busy)
        {
            return Err(ServiceError::TooManyRequests);
        }
        tail.end(&Report {
            request_id,
            duration: started.elapsed(),
            memory_mb: lambda_memory_mb(limits.memory),
            memory_used_mb: used_mb(&outcome),
            init: None,
        });
        Ok(Reply {
            served,
            body: ReplyBody::Whole(Whole {
                result: result(outcome),
                content_type: None,
                log: tail.take(),
            }),
        })
    }

    async fn shut_down(&self) {}
}

fn served(guest: &Guest) -> Served {
    let identity = guest.identity();
    Served {
        version: identity
            .sequence
            .map_or_else(|| LATEST.to_owned(), |sequence| sequence.to_string()),
        release: Some(identity.release.clone()),
    }
}

/// The guest's own; the host beside it is another program here than on Lambda.
fn used_mb(outcome: &Outcome) -> u64 {
    let peak = u64::try_from(outcome.usage.memory_peak).unwrap_or(u64::MAX);
    peak.div_ceil(1 << 20)
}

fn result(outcome: Outcome) -> Result<Bytes, FunctionError> {
    match outcome.result {
        Ok(response) => Ok(response.into()),
        Err(failure) => Err(FunctionError {
            document: error_document(&failure).into(),
            kind: failure.kind,
        }),
    }
}
