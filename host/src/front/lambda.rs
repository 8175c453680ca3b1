//! Lambda's Runtime API: asks for the next event, hands its raw bytes to the host, posts the answer.
//!
//! The loop is our own, on AWS's client: `lambda_runtime` 1.5 parses a caller's client context before any layer of ours
//! sees the event, ends its loop when that fails, and cannot name the event it lost; it also panics on a missing header
//! and writes the trace id into the process environment. Here a bad header costs its own event and no other.

mod api;
mod start;
mod summary;

use crate::error::{Code, Failure, Level};
use crate::event::{Invocation, Outcome, check_json};
use crate::follow::Follower;
use crate::front::REPORT_RESERVE;
use crate::guest::Remains;
use crate::host::Host;
use crate::limit::Says;
use crate::quantity::Time;
use crate::settings::{Lambda, Variables};
use crate::telemetry::Log;
use api::{NextEvent, RuntimeApi};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use http::HeaderValue;
use start::Started;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};
use summary::Standing;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, watch};

/// The shortest rest of a timer, whatever the refresh interval.
const TIMER_MIN: Duration = Duration::from_millis(100);

/// And the longest: a look before an event may have left something to go on with.
const TIMER_MAX: Duration = Duration::from_secs(5);

/// How long registering for a notice of the end may take.
const NOTICE_TIME: Duration = Duration::from_secs(1);

/// How long a process that ends waits for its disk; after SIGTERM Lambda gives it 300 ms and more.
const SETTLE_TIME: Duration = Duration::from_millis(200);

/// The longest a Lambda function runs; the caller's deadline is always earlier.
const TIME_MAX: Duration = Duration::from_secs(900);

/// What a front that ends wants of its process.
#[derive(Debug)]
pub enum Ended {
    /// Replace the process by a fresh one of itself.
    ///
    /// Seen with AWS's runtime interface emulator: a process that replaces itself between response and next keeps its
    /// process id, the answered event stays answered, and the next event comes to the new one without a new init. A
    /// process that exits there, even with status 0, turns the answered event into `Runtime.ExitError`.
    Recycle,
    /// Exit: this was asked for, and all that was begun is answered.
    Stopped,
    /// Exit with this failure.
    Failed(Failure),
}

/// Serves events until the process has to end. Posts an init error if it can't start.
pub async fn serve(variables: Variables<'_>, log: &Log) -> Ended {
    let api = match runtime_api(variables) {
        Ok(api) => api,
        Err(failure) => return failed(log, failure),
    };
    // Before anything is served, so that nothing that is begun is cut.
    let stop = match signal(SignalKind::terminate()) {
        Ok(stop) => stop,
        Err(error) => {
            let message = format!("cannot listen for SIGTERM: {error}");
            return init_failed(&api, Failure::new(Code::HostSetup, message), log).await;
        }
    };
    let started = match Lambda::from_environment(variables) {
        Ok(settings) => {
            log.timings().mark("settings read");
            let started = start::start(&settings, log).await;
            started.map(|started| (started, settings.concurrency))
        }
        Err(error) => Err(Failure::from(error)),
    };
    match started {
        Ok((started, concurrency)) => {
            let engines = Arc::clone(started.host.engines());
            let front = front(api, started, concurrency, stop);
            match concurrency {
                1 => engines.carry(front).await.unwrap_or_else(Ended::Failed),
                _ => front.await,
            }
        }
        Err(failure) => init_failed(&api, failure, log).await,
    }
}

/// All of it on the heap, and made in a frame of its own: a start touches no page of the stack that it has no use for.
#[inline(never)]
fn front(
    api: RuntimeApi,
    started: Started,
    concurrency: u32,
    stop: Signal,
) -> BoxFuture<'static, Ended> {
    async move { serve_from(&api, started, concurrency, stop).await }.boxed()
}

fn runtime_api(variables: Variables<'_>) -> Result<RuntimeApi, Failure> {
    let address = Lambda::runtime_api(variables)?;
    RuntimeApi::new(&address).map_err(Failure::from)
}

fn failed(log: &Log, failure: Failure) -> Ended {
    log.host(failure.code.meaning().level, &failure.to_string());
    Ended::Failed(failure)
}

/// The caller of an init error sees nothing but its document, so the next step goes into the message.
async fn init_failed(api: &RuntimeApi, mut failure: Failure, log: &Log) -> Ended {
    let next_step = failure
        .hint
        .as_deref()
        .unwrap_or_else(|| failure.code.meaning().remedy);
    failure.message = format!("{}; hint: {next_step}", failure.message);
    if let Err(error) = api.post_init_error(&failure).await {
        log.host(Level::Error, &crate::error::chain(&error));
    }
    failed(log, failure)
}

/// Polls for events, and beside that looks for new releases where nothing is ever frozen.
async fn serve_from(api: &RuntimeApi, started: Started, concurrency: u32, stop: Signal) -> Ended {
    let state = Serving {
        host: started.host,
        follower: started.follower.map(Mutex::new),
        metrics: started.metrics,
        alone: concurrency == 1,
        too_long: Mutex::new(Duration::ZERO),
        cold: AtomicBool::new(true),
        told_timings: AtomicBool::new(false),
        ending: AtomicBool::new(false),
        handling: watch::Sender::new(0),
    };
    let extension = state.ask_for_notice(api).await;
    let polling = std::pin::pin!(poll(api, &state, concurrency, stop));
    let waiting = async {
        match extension {
            Some(extension) => api.wait_as(extension).await,
            None => std::future::pending().await,
        }
    };
    let beside = futures_util::future::join(state.follow(), waiting);
    let ended = match futures_util::future::select(polling, Box::pin(beside)).await {
        Either::Left((ended, _)) => ended,
        Either::Right(((never, _), _)) => match never {},
    };
    state.settle(SETTLE_TIME).await;
    ended
}

/// One loop per event that may be handled at once. The first that has to end, or SIGTERM, ends all: the others answer what
/// they have and ask for no more, and only those that wait for an event are cut off.
async fn poll(api: &RuntimeApi, state: &Serving, concurrency: u32, stop: Signal) -> Ended {
    let loops = (0..concurrency).map(|_| poll_one(api, state).boxed());
    let loops = loops.chain([stopped(state, stop).boxed()]);
    let (first, _, others) = futures_util::future::select_all(loops).await;
    let is_stopped = matches!(first, Ended::Stopped);
    let mut handling = state.handling.subscribe();
    let all_answered = std::pin::pin!(handling.wait_for(|count| *count == 0));
    let rest = futures_util::future::join_all(others);
    let later = match futures_util::future::select(all_answered, rest).await {
        Either::Left(_) => Vec::new(),
        Either::Right((later, _)) => later,
    };
    let mut failures = later
        .into_iter()
        .chain([first])
        .filter_map(|ended| match ended {
            Ended::Failed(failure) => Some(failure),
            Ended::Recycle | Ended::Stopped => None,
        });
    // A failed Runtime API fails them all; one word of it is enough.
    match failures.next_back() {
        Some(failure) => failed(state.host.log(), failure),
        None if is_stopped => Ended::Stopped,
        None => Ended::Recycle,
    }
}

/// Waits for SIGTERM; from then on no loop asks for another event. What is written goes out now: Lambda says nothing more
/// before it kills the process.
async fn stopped(state: &Serving, mut stop: Signal) -> Ended {
    stop.recv().await;
    state.ending.store(true, Ordering::Relaxed);
    state.host.log().flush();
    Ended::Stopped
}

/// What the loops share.
#[derive(Debug)]
struct Serving {
    host: Host,
    /// What looks for new releases, where there is a channel to follow.
    follower: Option<Mutex<Follower>>,
    /// The namespace of metrics; none where none are asked for.
    metrics: Option<String>,
    /// One event at a time: Lambda freezes the process between events, so that timers are of no use.
    alone: bool,
    /// The time limit that was last found to be longer than events get.
    too_long: Mutex<Duration>,
    /// No event has been handled yet.
    cold: AtomicBool,
    /// The phases of the start have been told.
    told_timings: AtomicBool,
    /// One loop has ended; no other asks for another event.
    ending: AtomicBool,
    /// Events that have begun to arrive and are not answered yet.
    handling: watch::Sender<usize>,
}

// Looks are boxed: most events need none, and a place for one, on the way to S3, would be most of each event's future.
impl Serving {
    /// Before an event: nobody has looked for so long that the channel may stand for something else by now.
    async fn look_before(&self, deadline: Option<Instant>) {
        if let Some(follower) = &self.follower
            // Whoever holds it is looking already.
            && let Ok(mut follower) = follower.try_lock()
            && follower.is_stale()
        {
            Box::pin(follower.look_before(&self.host, left(deadline))).await;
        }
    }

    /// Says once of a time limit that no event here gets: Lambda tells of its own only with an event.
    async fn check_timeout(&self, got: Duration) {
        let limits = self.host.guest().limits();
        if limits.time <= got || !matches!(limits.time_by, Says::Release | Says::Policy) {
            return;
        }
        let mut told = self.too_long.lock().await;
        if *told != limits.time {
            *told = limits.time;
            let (wanted, got) = (Time(limits.time), Time(got));
            let message = format!(
                "limits.time is {wanted}, but this Lambda function's Timeout leaves an event {got}: raise Timeout, or lower limits.time"
            );
            self.host.log().host(Level::Warn, &message);
        }
    }

    /// After an event, while its time lasts and before the next is asked for.
    async fn look_after(&self, deadline: Option<Instant>) {
        if self.alone
            && let Some(follower) = &self.follower
            && let Ok(mut follower) = follower.try_lock()
            && follower.is_due()
        {
            Box::pin(follower.look(&self.host, left(deadline))).await;
        }
    }

    /// What is on its way to the disk gets there, if it does within `time`; else it goes on.
    async fn settle(&self, time: Duration) {
        if let Some(follower) = &self.follower
            && let Ok(mut follower) = follower.try_lock()
        {
            let _late = tokio::time::timeout(time, follower.settle()).await;
        }
    }

    /// Looks by a timer, for ever.
    async fn follow(&self) -> std::convert::Infallible {
        let Some(follower) = self.follower.as_ref().filter(|_| !self.alone) else {
            return std::future::pending().await;
        };
        loop {
            let rest = follower.lock().await.rest();
            tokio::time::sleep(rest.clamp(TIMER_MIN, TIMER_MAX)).await;
            let mut follower = follower.lock().await;
            if follower.is_due() {
                Box::pin(follower.look(&self.host, Duration::MAX)).await;
            }
        }
    }

    /// Lambda sends SIGTERM only where an extension is registered; else it kills at once. Where one event runs at a time
    /// there is nothing to lose, since a process is ended only between events, with its log written: no request of its
    /// start is spent on it. Where many run at once, one that does nothing is registered from within.
    /// Source: <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>.
    async fn ask_for_notice(&self, api: &RuntimeApi) -> Option<HeaderValue> {
        if self.alone {
            return None;
        }
        let problem = match tokio::time::timeout(NOTICE_TIME, api.register()).await {
            Ok(Ok(extension)) => return Some(extension),
            Ok(Err(error)) => crate::error::chain(&error),
            Err(_) => "no answer in time".to_owned(),
        };
        let message = format!("this environment will end without notice: {problem}");
        self.host.log().host(Level::Warn, &message);
        None
    }

    /// What the summary of an event says of the follower.
    fn standing(&self) -> Option<Standing> {
        // Whoever holds it is looking right now, and will have its counts told with the next event.
        let mut follower = self.follower.as_ref()?.try_lock().ok()?;
        Some(Standing {
            stale: follower.stale(),
            counts: follower.take_counts(),
        })
    }
}

/// What is left of an event's time.
fn left(deadline: Option<Instant>) -> Duration {
    deadline.map_or(Duration::MAX, |deadline| {
        deadline.saturating_duration_since(Instant::now())
    })
}

/// An event that has begun to arrive; dropped when it is answered, or lost on its way.
struct Handling<'a>(&'a Serving);

impl<'a> Handling<'a> {
    fn begin(state: &'a Serving) -> Self {
        state.handling.send_modify(|count| *count += 1);
        Self(state)
    }
}

impl Drop for Handling<'_> {
    fn drop(&mut self) {
        self.0.handling.send_modify(|count| *count -= 1);
    }
}

async fn poll_one(api: &RuntimeApi, state: &Serving) -> Ended {
    let ended = loop {
        let mut arrived = None;
        let next = match api.next(|| arrived = Some(Handling::begin(state))).await {
            Ok(next) => next,
            Err(error) => break Ended::Failed(Failure::from(error)),
        };
        state.host.log().timings().mark("event asked for");
        let deadline = next
            .deadline_ms
            .map(|deadline| instant_of(deadline, SystemTime::now()));
        state.check_timeout(left(deadline)).await;
        state.look_before(deadline).await;
        let outcome = answer(api, state, &next, deadline).await;
        state.tell_timings();
        state.summarise(&next, &outcome);
        state.look_after(deadline).await;
        // Lambda freezes the process once it asks for the next event; what was not written then may never be.
        state.host.log().flush();
        if state.alone {
            state.settle(left(deadline)).await;
        }
        drop(arrived);
        if state.host.is_spent() || state.ending.load(Ordering::Relaxed) {
            break Ended::Recycle;
        }
    };
    state.ending.store(true, Ordering::Relaxed);
    ended
}

/// Handles an event and posts what it came to; then its instance is let go of.
async fn answer(
    api: &RuntimeApi,
    state: &Serving,
    next: &NextEvent,
    deadline: Option<Instant>,
) -> Outcome {
    let (outcome, remains) = handle(state, next, deadline).await;
    state.host.log().timings().mark("event handled");
    let outcome = post(api, &state.host, next, outcome).await;
    state.host.engines().let_go(remains);
    outcome
}

/// Posts what an event came to. A response that the API does not take becomes a failure.
async fn post(api: &RuntimeApi, host: &Host, next: &NextEvent, mut outcome: Outcome) -> Outcome {
    if let Ok(response) = &outcome.result {
        match api.post_response(next, response).await {
            Ok(()) => return outcome,
            Err(error) => outcome.result = Err(Failure::from(error)),
        }
    }
    if let Err(failure) = &outcome.result
        && let Err(error) = api.post_error(next, failure).await
    {
        host.log().host(Level::Error, &crate::error::chain(&error));
    }
    outcome
}

async fn handle(
    state: &Serving,
    next: &NextEvent,
    deadline: Option<Instant>,
) -> (Outcome, Remains) {
    if let Some(context) = &next.client_context
        && let Err(problem) = check_json(context)
    {
        let message = format!("the client context is not one JSON text: {problem}");
        let failure = Failure::new(Code::ClientContext, message);
        return (Outcome::refused(failure), Remains::default());
    }
    let invocation = Invocation {
        event: next.body.to_vec(),
        request_id: next.request_id.clone(),
        deadline,
        trace_id: next.trace_id.clone(),
        tenant_id: next.tenant_id.clone(),
        invoked_arn: next.invoked_arn.clone(),
        client_context: next.client_context.clone(),
        identity: next.identity.clone(),
    };
    match state.alone {
        true => state.host.handle_alone(invocation).await,
        false => (state.host.handle(invocation).await, Remains::default()),
    }
}

/// The caller's deadline, in milliseconds since 1970, on the monotonic clock and less the time to report in.
fn instant_of(deadline_ms: u64, now: SystemTime) -> Instant {
    let deadline = SystemTime::UNIX_EPOCH
        + Duration::from_millis(deadline_ms.min(u64::from(u32::MAX) * 1_000));
    let left = deadline
        .duration_since(now)
        .unwrap_or_default()
        .min(TIME_MAX);
    Instant::now() + left.saturating_sub(REPORT_RESERVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_leaves_time_to_report_and_a_past_or_absurd_one_is_bounded() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(10_000);
        let left =
            |deadline_ms| instant_of(deadline_ms, now).saturating_duration_since(Instant::now());
        assert!(
            left(13_000) <= Duration::from_millis(2_950)
                && left(13_000) > Duration::from_millis(2_000)
        );
        assert_eq!(left(9_000), Duration::ZERO);
        assert!(left(u64::MAX) <= TIME_MAX);
    }
}
