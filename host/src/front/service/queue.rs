//! Asynchronous invokes: events that are accepted at once, then tried until the function answers or Lambda would give
//! them up. All is in memory and ends with the process. Knows nothing of HTTP, nor of what answers an event.

use super::call::{Call, Reply};
use super::destination::{Answer, Condition, Destination, Record};
use super::error::ServiceError;
use crate::error::{Failure, Level};
use crate::event::RESPONSE_BYTES_MAX;
use crate::quantity::{Bytes, Time};
use crate::telemetry::{Line, Log, Source};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// The most events that wait or are tried. Lambda's own queue has no end; a machine's memory has.
const EVENTS_MAX: usize = 10_000;

/// The most that the events of the queue hold together.
const HELD_MAX: Bytes = Bytes::mebi(256);

/// The most tries at once, their records' writing included: each may hold a whole response.
const TRIES_AT_ONCE_MAX: usize = 64;

/// The waits after a try that the service refused.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>.
const THROTTLE_PAUSE: Duration = Duration::from_secs(1);
const THROTTLE_PAUSE_MAX: Duration = Duration::from_secs(5 * 60);

/// How long events that are cut off may take to let go of what they hold.
const CUT_OFF_TIME: Duration = Duration::from_secs(1);

/// As much of an error's kind as a line of the log shows: functions choose it.
const KIND_CHARS_MAX: usize = 200;

/// One version of one function, as the queue needs it.
#[async_trait::async_trait]
pub(crate) trait Attempt: Send + Sync + Debug {
    /// Hands an event to the function once. Dropping the future gives the try up.
    ///
    /// # Errors
    /// [`ServiceError::TooManyRequests`] and [`ServiceError::Unavailable`] are no tries, all others are.
    async fn attempt(&self, call: Call) -> Result<Reply, ServiceError>;

    /// The function's name.
    fn function(&self) -> &str;

    /// Its Amazon Resource Name, with the qualifier that the caller named, if any.
    fn arn(&self) -> &str;
}

/// How often and how long events are tried, and where their records go.
#[derive(Debug, Clone)]
pub(crate) struct QueueSettings {
    /// How often an event is tried again after a failure of the function; on AWS 0 to 2.
    pub(crate) retries: u8,
    /// The wait before the second try; twice that before the third.
    pub(crate) wait: Duration,
    /// How long after an event was accepted it is still tried; on AWS 60 s to 6 h.
    pub(crate) max_age: Duration,
    /// Where the records of events go that were given up.
    pub(crate) on_failure: Option<Destination>,
    /// Where the records of events go that have a response.
    pub(crate) on_success: Option<Destination>,
}

impl Default for QueueSettings {
    /// AWS's defaults.
    /// Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>.
    fn default() -> Self {
        Self {
            retries: 2,
            wait: Duration::from_secs(60),
            max_age: Duration::from_secs(6 * 3600),
            on_failure: None,
            on_success: None,
        }
    }
}

/// Events that were accepted, each on a task of its own. Clones are the same queue.
#[derive(Debug, Clone)]
pub(crate) struct Queue(Arc<Inner>);

/// What became of the events that a queue held when it was told to end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Drained {
    /// How many got their response or were given up in that time.
    pub(crate) finished: usize,
    /// The request ids of those that waited for a try. They are lost with the process.
    pub(crate) waiting: Vec<String>,
    /// The request ids of those whose try was cut off. The function may have done part of its work.
    pub(crate) cut_off: Vec<String>,
}

#[derive(Debug)]
struct Inner {
    settings: QueueSettings,
    log: Log,
    /// The first wait after a refusal.
    pause: Duration,
    tries: Semaphore,
    held: watch::Sender<Held>,
    /// Apart from `held`: thousands of waiting events listen to this, which changes twice.
    phase: watch::Sender<Phase>,
}

/// What a queue does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// It takes events.
    Open,
    /// It takes none, and nothing waits for a try.
    Ending,
    /// Nothing is tried.
    Over,
}

/// The events of a queue, as a whole.
#[derive(Debug, Default)]
struct Held {
    /// Their request ids, by numbers of the queue's own: callers may send an id twice.
    events: BTreeMap<u64, String>,
    next: u64,
    bytes: usize,
    finished: usize,
    /// The request ids of those that left unfinished because the queue ends.
    left: Vec<String>,
}

impl Held {
    fn add(&mut self, request_id: &str, bytes: usize) -> Result<u64, String> {
        if self.events.len() >= EVENTS_MAX {
            return Err(format!("{EVENTS_MAX} events wait already"));
        }
        if self.bytes.saturating_add(bytes) > HELD_MAX.as_usize() {
            return Err(format!("the events that wait would hold over {HELD_MAX}"));
        }
        let number = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.events.insert(number, request_id.to_owned());
        Ok(number)
    }
}

impl Queue {
    /// An empty queue.
    pub(crate) fn new(settings: QueueSettings, log: Log) -> Self {
        Self::paced(settings, log, THROTTLE_PAUSE)
    }

    fn paced(settings: QueueSettings, log: Log, pause: Duration) -> Self {
        Self(Arc::new(Inner {
            settings,
            log,
            pause,
            tries: Semaphore::new(TRIES_AT_ONCE_MAX),
            held: watch::Sender::new(Held::default()),
            phase: watch::Sender::new(Phase::Open),
        }))
    }

    /// Takes an event; returns before it is tried. Called on a runtime.
    ///
    /// # Errors
    /// [`ServiceError::Unavailable`] when the queue is full or ending.
    pub(crate) fn accept(&self, target: Arc<dyn Attempt>, call: Call) -> Result<(), ServiceError> {
        let event = Event {
            place: self.place(&call).map_err(ServiceError::Unavailable)?,
            target,
            call,
            accepted: Instant::now(),
            tries: 0,
            pause: self.0.pause,
        };
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = inner.reached(Phase::Over) => {}
                () = inner.run(event) => {}
            }
        });
        Ok(())
    }

    fn place(&self, call: &Call) -> Result<Place, String> {
        let bytes = weight(call);
        let mut added = Err(String::new());
        self.0.held.send_if_modified(|held| {
            // Asked in here, so that whoever ends the queue counts either this event or its refusal.
            added = match *self.0.phase.borrow() {
                Phase::Open => held.add(&call.request_id, bytes),
                Phase::Ending | Phase::Over => Err("the service is ending".to_owned()),
            };
            added.is_ok()
        });
        added.map(|number| Place {
            inner: Arc::clone(&self.0),
            number,
            bytes,
            end: End::CutOff,
        })
    }

    /// Waits until nothing waits or is tried.
    pub(crate) async fn idle(&self) {
        let mut held = self.0.held.subscribe();
        // The sender lives as long as this queue.
        drop(held.wait_for(|held| held.events.is_empty()).await);
    }

    /// Ends the queue: refuses what comes, gives running tries `time` to end, and gives up what waits for a try. Each
    /// event is named once, by the call that ends it.
    pub(crate) async fn drain(&self, time: Duration) -> Drained {
        let inner = &self.0;
        let before = inner.held.borrow().finished;
        inner.phase.send_replace(Phase::Ending);
        let idle = tokio::time::timeout(time, self.idle()).await;
        let mut drained = Drained::default();
        inner.held.send_modify(|held| {
            drained.finished = held.finished - before;
            drained.waiting = std::mem::take(&mut held.left);
            drained.cut_off = held.events.values().cloned().collect();
        });
        if idle.is_err() {
            inner.phase.send_replace(Phase::Over);
            // What answers the events is shut down next; their futures should be gone by then.
            let _ = tokio::time::timeout(CUT_OFF_TIME, self.idle()).await;
        }
        drained
    }
}

/// What an event holds while it waits, in bytes.
fn weight(call: &Call) -> usize {
    let texts = [
        Some(&call.request_id),
        call.client_context.as_ref(),
        call.tenant_id.as_ref(),
        Some(&call.trace_id),
        Some(&call.invoked_arn),
    ];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    call.event.len() + texts
}

/// One event and how far it has come.
struct Event {
    target: Arc<dyn Attempt>,
    call: Call,
    accepted: Instant,
    tries: u32,
    /// The wait after the next refusal.
    pause: Duration,
    place: Place,
}

/// An event's share of the queue, given back however the event ends.
struct Place {
    inner: Arc<Inner>,
    number: u64,
    bytes: usize,
    end: End,
}

/// How an event left the queue.
enum End {
    /// In the middle of a try.
    CutOff,
    /// Before a try.
    Waiting,
    /// With a response, or given up.
    Finished,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lost = None;
        self.inner.held.send_modify(|held| {
            held.bytes = held.bytes.saturating_sub(self.bytes);
            let request_id = held.events.remove(&self.number);
            match self.end {
                End::CutOff => lost = request_id,
                End::Waiting => held.left.extend(request_id),
                End::Finished => held.finished += 1,
            }
        });
        if let Some(request_id) = lost.filter(|_| std::thread::panicking()) {
            let message = format!("the event {request_id} is lost: its try panicked");
            self.inner.log.host(Level::Error, &message);
        }
    }
}

/// What follows from a try.
enum Step {
    Over(Condition),
    Again(Duration),
}

impl Inner {
    /// Tries an event until it is over or the queue ends.
    async fn run(&self, mut event: Event) {
        loop {
            let Some(turn) = self.turn().await else {
                event.place.end = End::Waiting;
                return;
            };
            if self.is_late(&event, Duration::ZERO) {
                return self.finish(event, Condition::EventAgeExceeded, None).await;
            }
            let answer = event.attempt().await;
            let wait = match self.step(&mut event, &answer) {
                Step::Over(condition) => return self.finish(event, condition, Some(answer)).await,
                Step::Again(wait) => wait,
            };
            self.tell_again(&event, &answer, wait);
            // Thousands of events that wait must not hold a response each.
            drop((answer, turn));
            tokio::select! {
                biased;
                () = self.reached(Phase::Ending) => {
                    event.place.end = End::Waiting;
                    return;
                }
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn reached(&self, phase: Phase) {
        let mut phases = self.phase.subscribe();
        // The sender is a part of this value.
        drop(phases.wait_for(|now| *now >= phase).await);
    }

    /// Room for a try; none when the queue ends first.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            // An event accepted just before the end still gets its first try.
            biased;
            permit = self.tries.acquire() => permit.ok(),
            () = self.reached(Phase::Ending) => None,
        }
    }

    /// Whether an event would be too old after a wait.
    fn is_late(&self, event: &Event, wait: Duration) -> bool {
        event.accepted.elapsed().saturating_add(wait) > self.settings.max_age
    }

    /// Says what follows from a try. An event that would be too old for its next one is over at once, as on AWS:
    /// <https://github.com/localstack/localstack/blob/main/tests/aws/services/lambda_/test_lambda_destinations.snapshot.json>.
    fn step(&self, event: &mut Event, answer: &Answer) -> Step {
        let wait = match answer {
            Answer::Function { result: Ok(_), .. } => {
                event.tries += 1;
                return Step::Over(Condition::Success);
            }
            Answer::Refused(ServiceError::TooManyRequests | ServiceError::Unavailable(_)) => {
                let pause = event.pause;
                event.pause = pause.saturating_mul(2).min(THROTTLE_PAUSE_MAX);
                pause
            }
            Answer::Function { result: Err(_), .. }
            | Answer::Refused(
                ServiceError::NotFound(_)
                | ServiceError::TooLarge { .. }
                | ServiceError::InvalidContent(_)
                | ServiceError::InvalidParameter(_)
                | ServiceError::Validation { .. }
                | ServiceError::UnknownOperation(_)
                | ServiceError::Forbidden(_),
            ) => {
                event.tries += 1;
                event.pause = self.pause;
                if event.tries > u32::from(self.settings.retries) {
                    return Step::Over(Condition::RetriesExhausted);
                }
                self.settings.wait.saturating_mul(event.tries)
            }
        };
        if self.is_late(event, wait) {
            return Step::Over(Condition::EventAgeExceeded);
        }
        Step::Again(wait)
    }

    /// Writes an event's record where there is a place for it, and says which event was given up or lost its record.
    async fn finish(&self, mut event: Event, condition: Condition, answer: Option<Answer>) {
        let kind = kind(answer.as_ref());
        let record = Record {
            function: event.target.function().to_owned(),
            arn: event.target.arn().to_owned(),
            request_id: event.call.request_id.clone(),
            condition,
            tries: event.tries,
            event: event.call.event.clone(),
            answer,
        };
        let kept = self.keep(&record).await;
        let tries = match event.tries {
            1 => "1 try".to_owned(),
            tries => format!("{tries} tries"),
        };
        let message = match (condition, kept) {
            (Condition::Success, Ok(_)) => None,
            (Condition::Success, Err(failure)) => {
                Some(format!("event handled, but its record is lost: {failure}"))
            }
            (Condition::RetriesExhausted | Condition::EventAgeExceeded, kept) => {
                let rest = kept.unwrap_or_else(|failure| format!("its record is lost: {failure}"));
                Some(format!("event given up after {tries}: {rest}"))
            }
        };
        if let Some(message) = message {
            let more = [
                ("condition", condition.as_str()),
                ("errorType", kind.as_str()),
            ];
            self.tell(Level::Error, &event, &message, &more);
        }
        event.place.end = End::Finished;
    }

    /// Writes a record, and says where it is.
    async fn keep(&self, record: &Record) -> Result<String, Failure> {
        let destination = match record.condition {
            Condition::Success => &self.settings.on_success,
            Condition::RetriesExhausted | Condition::EventAgeExceeded => &self.settings.on_failure,
        };
        let Some(destination) = destination else {
            return Ok("nothing keeps it (`--on-failure FOLDER` would)".to_owned());
        };
        let key = destination.write(record).await?;
        Ok(format!(
            "its record is `{key}` in {}",
            destination.location()
        ))
    }

    fn tell_again(&self, event: &Event, answer: &Answer, wait: Duration) {
        let (level, what) = match answer {
            Answer::Function { .. } => (Level::Warn, "event failed"),
            Answer::Refused(_) => (Level::Debug, "event refused by the service"),
        };
        let message = format!("{what}, tried again in {}", Time(wait));
        let kind = kind(Some(answer));
        self.tell(level, event, &message, &[("errorType", kind.as_str())]);
    }

    fn tell(&self, level: Level, event: &Event, message: &str, more: &[(&str, &str)]) {
        let own = [
            ("function", event.target.function()),
            ("requestId", event.call.request_id.as_str()),
        ];
        let json = |text: &str| serde_json::Value::from(text).to_string();
        let fields: Vec<(String, String)> = own
            .iter()
            .chain(more)
            .map(|(name, text)| ((*name).to_owned(), json(text)))
            .collect();
        self.log.write(&Line {
            level,
            message,
            source: Source::Host,
            scope: None,
            fields: &fields,
            top: &[],
        });
    }
}

/// What went wrong, in one word.
fn kind(answer: Option<&Answer>) -> String {
    match answer {
        Some(Answer::Function {
            result: Err(error), ..
        }) => error.kind.chars().take(KIND_CHARS_MAX).collect(),
        Some(Answer::Function { result: Ok(_), .. }) => "none".to_owned(),
        Some(Answer::Refused(error)) => error.name().to_owned(),
        None => "never tried".to_owned(),
    }
}

impl Event {
    /// One try, to the end of its response.
    async fn attempt(&self) -> Answer {
        match self.target.attempt(self.call.clone()).await {
            Err(error) => Answer::Refused(error),
            Ok(reply) => Answer::Function {
                version: reply.served.version,
                result: reply.body.collect(RESPONSE_BYTES_MAX).await.result,
            },
        }
    }
}

#[cfg(test)]
mod tests;
