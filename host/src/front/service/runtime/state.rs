//! What an environment's Runtime API and its driver know together: the phase it is in, the events in flight, what the
//! runtime has asked for. Pure but for the lock; knows no process, no socket and no clock.

use super::cause::Cause;
use super::extension::{Extensions, Registration};
use super::program::{Mode, Program};
use super::refusal::Refusal;
use crate::front::service::call::{Call, Part, Reply, ReplyBody};
use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot, watch};

/// The parts of a streamed response on their way to a slow caller; then the runtime waits.
const PARTS_MAX: usize = 16;

/// Where an environment is in its life.
#[derive(Debug)]
enum Phase {
    /// Its runtime has not asked for its first event, or one of its extensions has not.
    Init,
    /// It takes events.
    Ready,
    /// It is told to end, and its processes with it.
    Ending,
    /// It is no more.
    Ended(Cause),
}

/// What the runtime has asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runtime {
    /// Nothing so far.
    Started,
    /// The next event.
    Asking,
    /// Nothing since it was given one.
    Busy,
}

/// What became of an event, as the runtime told it.
#[derive(Debug)]
pub(super) struct Answer {
    /// The response's bytes, none of a streamed one; or why there are none.
    pub(super) result: Result<Bytes, Cause>,
    /// What the bytes are.
    pub(super) content_type: Option<String>,
}

impl Answer {
    pub(super) fn failed(cause: Cause) -> Self {
        Self {
            result: Err(cause),
            content_type: None,
        }
    }
}

/// Who waits for an answer.
#[derive(Debug)]
pub(super) enum Caller {
    /// For the whole of it, or its beginning.
    Waiting(oneshot::Sender<Reply>),
    /// For more parts.
    Streaming(mpsc::Sender<Part>),
}

/// Where an event is.
#[derive(Debug)]
enum Stage {
    /// Not given out yet.
    Waiting,
    /// With the runtime.
    Handed,
    /// Its answer is being read.
    Answering,
    /// Its answer is there.
    Answered(Answer),
    /// Its caller has been told, or is about to.
    Told,
}

#[derive(Debug)]
struct Flight {
    event: Event,
    caller: Option<Caller>,
    stage: Stage,
}

/// An event as the runtime gets it.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) call: Call,
    /// What tells this try of the event from others.
    pub(super) nonce: String,
    /// When it times out, in milliseconds since 1970.
    pub(super) deadline_ms: u128,
}

impl Event {
    /// The same, as extensions are told of it.
    fn invoke(&self) -> Value {
        json!({
            "eventType": "INVOKE",
            "deadlineMs": u64::try_from(self.deadline_ms).unwrap_or(u64::MAX),
            "requestId": self.call.request_id,
            "invokedFunctionArn": self.call.invoked_arn,
            "tracing": {"type": "X-Amzn-Trace-Id", "value": self.call.trace_id},
        })
    }
}

/// What a driver waits for.
#[derive(Debug)]
pub(super) enum Given {
    /// The runtime's answer.
    Answer(Answer),
    /// The environment's end, without an answer.
    Broken(Cause),
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct State {
    mode: Mode,
    phase: Phase,
    runtime: Runtime,
    /// At most one, but on Managed Instances.
    flights: Vec<Flight>,
    extensions: Extensions,
}

impl State {
    fn new(program: &Program) -> Self {
        Self {
            mode: program.mode,
            phase: Phase::Init,
            runtime: Runtime::Started,
            flights: Vec::new(),
            extensions: Extensions::new(program.mode, program.extension_names()),
        }
    }

    // The runtime.

    /// The runtime asks for its next event. It gets at once the one that it has not answered, if there is one; else
    /// [`hand`](Self::hand) tells when there is another.
    ///
    /// # Errors
    /// A refusal when it is not its turn.
    pub(super) fn ask(&mut self) -> Result<Option<Event>, Refusal> {
        match self.phase {
            Phase::Ended(_) => return Err(Refusal::Over),
            Phase::Ending => return Ok(None),
            Phase::Init | Phase::Ready => {}
        }
        if self.mode == Mode::OneAtATime
            && let Some(flight) = self.flights.first()
        {
            match flight.stage {
                Stage::Handed => return Ok(Some(flight.event.clone())),
                Stage::Answering => {
                    return Err(Refusal::Order {
                        from: "InvocationResponse",
                        to: "Ready",
                    });
                }
                Stage::Waiting | Stage::Answered(_) | Stage::Told => {}
            }
        }
        self.runtime = Runtime::Asking;
        self.settle();
        Ok(None)
    }

    /// Gives out an event that waits.
    pub(super) fn hand(&mut self) -> Option<Result<Event, Refusal>> {
        match self.phase {
            Phase::Ended(_) => return Some(Err(Refusal::Over)),
            Phase::Init | Phase::Ending => return None,
            Phase::Ready => {}
        }
        let waits = |flight: &&mut Flight| matches!(flight.stage, Stage::Waiting);
        let flight = self.flights.iter_mut().find(waits)?;
        flight.stage = Stage::Handed;
        if self.mode == Mode::OneAtATime {
            self.runtime = Runtime::Busy;
        }
        Some(Ok(flight.event.clone()))
    }

    /// The runtime begins to answer the event with this id; the nonce is there if it echoes it. From here on until
    /// [`answer`](Self::answer) the event is whoever's has the nonce that is returned.
    ///
    /// # Errors
    /// A refusal when no such event waits for an answer.
    pub(super) fn claim(&mut self, id: &str, nonce: Option<&str>) -> Result<String, Refusal> {
        let flight = match nonce {
            Some(nonce) => self.flight(nonce).ok_or(Refusal::Stale)?,
            None => {
                let fits = |flight: &&mut Flight| flight.event.call.request_id == id;
                let found = self.flights.iter_mut().find(fits);
                found.ok_or(Refusal::RequestId)?
            }
        };
        if flight.event.call.request_id != id {
            return Err(Refusal::RequestId);
        }
        let from = match flight.stage {
            Stage::Handed => {
                flight.stage = Stage::Answering;
                return Ok(flight.event.nonce.clone());
            }
            Stage::Waiting => "Ready",
            Stage::Answering => "InvocationResponse",
            Stage::Answered(_) | Stage::Told => "ResponseSent",
        };
        Err(Refusal::Order {
            from,
            to: "InvocationResponse",
        })
    }

    /// The answer to a claimed event.
    ///
    /// # Errors
    /// A refusal when it comes too late.
    pub(super) fn answer(&mut self, nonce: &str, answer: Answer) -> Result<(), Refusal> {
        let flight = self.flight(nonce).ok_or(Refusal::Stale)?;
        match flight.stage {
            Stage::Answering => {
                flight.stage = Stage::Answered(answer);
                Ok(())
            }
            Stage::Waiting | Stage::Handed | Stage::Answered(_) | Stage::Told => {
                Err(Refusal::Stale)
            }
        }
    }

    /// Tells the caller of a claimed event that its response comes in parts; where they go. None when nobody waits.
    pub(super) fn stream(
        &mut self,
        nonce: &str,
        content_type: Option<String>,
    ) -> Option<mpsc::Sender<Part>> {
        let flight = self.flight(nonce)?;
        let caller = flight.caller.take()?;
        let (sender, parts) = mpsc::channel(PARTS_MAX);
        match caller {
            Caller::Waiting(caller) => {
                let body = ReplyBody::Streamed {
                    content_type,
                    parts,
                };
                // Whoever has gone away lets go of the parts as well.
                let _ = caller.send(Reply {
                    served: super::served(),
                    body,
                });
                flight.caller = Some(Caller::Streaming(sender.clone()));
                Some(sender)
            }
            Caller::Streaming(_) => None,
        }
    }

    /// The runtime says why it can't make itself ready.
    ///
    /// # Errors
    /// A refusal when it was ready already.
    pub(super) fn check_init(&self) -> Result<(), Refusal> {
        match (&self.phase, self.runtime) {
            (Phase::Init, Runtime::Started) => Ok(()),
            (Phase::Ended(_), _) => Err(Refusal::Over),
            (Phase::Init | Phase::Ready | Phase::Ending, _) => Err(Refusal::Order {
                from: "Ready",
                to: "InitError",
            }),
        }
    }

    // Extensions.

    /// # Errors
    /// A refusal when the runtime is ready already, or by [`Extensions::register`].
    pub(super) fn register(
        &mut self,
        name: &str,
        wanted: &Registration,
        id: &str,
    ) -> Result<(), Refusal> {
        if !matches!(self.phase, Phase::Init) || self.runtime != Runtime::Started {
            let words = "Extension registration closed already";
            return Err(Refusal::extension("Extension.RegistrationClosed", words));
        }
        self.extensions.register(name, wanted, id)
    }

    /// An extension asks for its next event; [`extension_event`](Self::extension_event) tells when there is one.
    ///
    /// # Errors
    /// A refusal when there is no such extension, or the environment is no more.
    pub(super) fn extension_ask(&mut self, id: &str) -> Result<(), Refusal> {
        if matches!(self.phase, Phase::Ended(_)) {
            return Err(Refusal::Over);
        }
        self.extensions.ask(id)?;
        self.settle();
        Ok(())
    }

    /// Gives out an extension's event.
    pub(super) fn extension_event(&mut self, id: &str) -> Option<Result<Value, Refusal>> {
        match self.phase {
            Phase::Ended(_) => Some(Err(Refusal::Over)),
            Phase::Init | Phase::Ready | Phase::Ending => self.extensions.take_due(id).map(Ok),
        }
    }

    /// # Errors
    /// A refusal when there is no extension with that id.
    pub(super) fn extension_name(&self, id: &str) -> Result<&str, Refusal> {
        self.extensions.name(id)
    }

    fn settle(&mut self) {
        let all_asked = self.runtime == Runtime::Asking && self.extensions.have_asked();
        if matches!(self.phase, Phase::Init) && all_asked {
            self.phase = Phase::Ready;
        }
    }

    // The driver.

    /// Whether the runtime may be started, all external extensions having registered; or why it never may.
    pub(super) fn may_start(&self) -> Option<Result<(), Cause>> {
        self.unless_over(|state| state.extensions.have_registered())
    }

    /// Whether it takes events; or why it never will.
    pub(super) fn is_ready(&self) -> Option<Result<(), Cause>> {
        self.unless_over(|state| matches!(state.phase, Phase::Ready))
    }

    fn unless_over(&self, done: impl FnOnce(&Self) -> bool) -> Option<Result<(), Cause>> {
        match &self.phase {
            Phase::Ended(cause) => Some(Err(cause.clone())),
            Phase::Ending => Some(Err(Cause::ending())),
            Phase::Init | Phase::Ready => done(self).then_some(Ok(())),
        }
    }

    /// An event for the runtime, and for those extensions that want to know.
    pub(super) fn begin(&mut self, event: Event, caller: oneshot::Sender<Reply>) {
        if self.mode == Mode::OneAtATime {
            self.flights.clear();
        }
        self.extensions.invoke(&event.invoke());
        self.flights.push(Flight {
            event,
            caller: Some(Caller::Waiting(caller)),
            stage: Stage::Waiting,
        });
    }

    /// What became of an event, once something has.
    pub(super) fn given(&mut self, nonce: &str) -> Option<Given> {
        let over = match &self.phase {
            Phase::Ended(cause) => Some(cause.clone()),
            Phase::Ending => Some(Cause::ending()),
            Phase::Init | Phase::Ready => None,
        };
        let Some(flight) = self.flight(nonce) else {
            return Some(Given::Broken(Cause::ending()));
        };
        match std::mem::replace(&mut flight.stage, Stage::Told) {
            Stage::Answered(answer) => Some(Given::Answer(answer)),
            // The end of a process breaks off what it sends; who reads it will say what it was worth.
            Stage::Answering => {
                flight.stage = Stage::Answering;
                None
            }
            stage @ (Stage::Waiting | Stage::Handed | Stage::Told) => {
                if over.is_none() {
                    flight.stage = stage;
                }
                over.map(Given::Broken)
            }
        }
    }

    /// Gives an event up whose time is over, unless its answer has just come.
    pub(super) fn give_up(&mut self, nonce: &str) -> Option<Answer> {
        let flight = self.flight(nonce)?;
        match std::mem::replace(&mut flight.stage, Stage::Told) {
            Stage::Answered(answer) => Some(answer),
            Stage::Waiting | Stage::Handed | Stage::Answering | Stage::Told => None,
        }
    }

    /// Who is to be told of an event. On Managed Instances the event is forgotten with that, so that a late answer
    /// finds nothing.
    pub(super) fn take_caller(&mut self, nonce: &str) -> Option<Caller> {
        let caller = self.flight(nonce)?.caller.take();
        if self.mode == Mode::Managed {
            self.flights.retain(|flight| flight.event.nonce != nonce);
        }
        caller
    }

    /// Whether runtime and extensions have asked for the next event; false if they never will.
    pub(super) fn is_idle(&self) -> Option<bool> {
        match self.phase {
            Phase::Ended(_) | Phase::Ending => Some(false),
            Phase::Init | Phase::Ready => {
                let idle = self.runtime == Runtime::Asking && self.extensions.are_done();
                idle.then_some(true)
            }
        }
    }

    /// Whether it could take an event.
    pub(super) fn is_alive(&self) -> bool {
        matches!(self.phase, Phase::Ready)
    }

    /// Something in it failed, or ended. The first cause counts; none does once it is told to end.
    pub(super) fn fail(&mut self, cause: Cause) {
        match self.phase {
            Phase::Init | Phase::Ready => self.phase = Phase::Ended(cause),
            Phase::Ending | Phase::Ended(_) => {}
        }
    }

    /// Begins the end; whether there are extensions. None if it has begun already.
    pub(super) fn end(&mut self) -> Option<bool> {
        let before = std::mem::replace(&mut self.phase, Phase::Ending);
        match before {
            Phase::Ending => None,
            Phase::Init | Phase::Ready | Phase::Ended(_) => Some(self.extensions.are_there()),
        }
    }

    /// Tells extensions of the end; the names of those that want to know.
    pub(super) fn shut_down_extensions(&mut self, event: &Value) -> Vec<String> {
        self.extensions.shut_down(event)
    }

    fn flight(&mut self, nonce: &str) -> Option<&mut Flight> {
        let fits = |flight: &&mut Flight| flight.event.nonce == nonce;
        self.flights.iter_mut().find(fits)
    }
}

/// The state, and word of its changes.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) program: Arc<Program>,
    state: Mutex<State>,
    changes: watch::Sender<()>,
}

impl Shared {
    pub(super) fn new(program: &Arc<Program>) -> Self {
        Self {
            state: Mutex::new(State::new(program)),
            program: Arc::clone(program),
            changes: watch::Sender::new(()),
        }
    }

    /// Looks at the state.
    pub(super) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the state, and wakes who waits for a change.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_replace(());
        result
    }

    /// Waits until `find` finds something, which may change the state.
    pub(super) async fn until<T>(&self, mut find: impl FnMut(&mut State) -> Option<T>) -> T {
        // From before the first look, so that no change falls between a look and the wait for the next.
        let mut changes = self.changes.subscribe();
        loop {
            let found = find(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
            if let Some(found) = found {
                self.changes.send_replace(());
                return found;
            }
            // The sender lives as long as this does.
            let _ = changes.changed().await;
        }
    }
}

#[cfg(test)]
mod tests;
