//! The local Lambda service: Lambda's Invoke API, its streaming form, function URLs, asynchronous invokes, on one port, for
//! any number of functions. What answers is a [`call::Backend`]: guests of this process, or a program behind the Runtime API.
//! Knows no command line; whoever starts it watches what it does through a [`Witness`].

pub(crate) mod call;
pub(crate) mod destination;
mod error;
pub(crate) mod guest;
mod invoke;
mod name;
pub(crate) mod queue;
mod route;
pub(crate) mod runtime;
mod server;
mod stream;
mod tail;
mod url;

use crate::error::{Code, Failure};
use call::{Backend, Call, FunctionError, Part, Reply, ReplyBody, Whole};
use error::ServiceError;
use queue::{Attempt, Queue};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

pub(crate) use name::arn;

/// The parts of a streamed answer that wait for a slow reader.
const PARTS_WAITING: usize = 16;

/// How long a reader may take for one of them.
const READ_TIME: Duration = Duration::from_secs(30);

/// A function as it is served.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// What answers its events.
    pub(crate) backend: Arc<dyn Backend>,
    /// Events at once; one more is refused.
    pub(crate) concurrency: u32,
}

/// How an event came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// The Invoke API, the caller waiting.
    Invoke,
    /// The Invoke API's queue.
    Queue,
    /// The streaming form of the Invoke API.
    Stream,
    /// The function's URL.
    Url,
}

/// What became of an event.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) function: String,
    pub(crate) request_id: String,
    /// What served it.
    pub(crate) version: String,
    pub(crate) via: Via,
    /// The bytes of the response, or the failure's `errorType` and document.
    pub(crate) result: Result<usize, (String, String)>,
    pub(crate) took: Duration,
}

/// Somebody who watches. Called on the event's path, so it must be quick.
pub(crate) trait Witness: Debug + Send + Sync {
    /// An event was answered.
    fn answered(&self, seen: &Seen);

    /// A request came to no function: its method and path, the status of the answer, and why.
    fn refused(&self, request: &str, status: u16, reason: &str);
}

/// The service, ready for requests.
#[derive(Debug)]
pub(crate) struct Service {
    functions: BTreeMap<String, Arc<Served>>,
    region: String,
    queue: Queue,
    witness: Arc<dyn Witness>,
    /// Bytes of requests' bodies that are on their way.
    bodies: AtomicUsize,
}

/// A function and its places.
#[derive(Debug)]
struct Served {
    function: Function,
    places: Arc<Semaphore>,
    witness: Arc<dyn Witness>,
}

/// A running service.
#[derive(Debug)]
pub(crate) struct Running {
    service: Arc<Service>,
    address: SocketAddr,
    ending: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
}

/// What was not finished when a service ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Whether all requests were answered.
    pub(crate) all_answered: bool,
    /// Asynchronous events that waited for another try, or were in the middle of one.
    pub(crate) waiting: Vec<String>,
}

impl Service {
    pub(crate) fn new(
        functions: Vec<Function>,
        region: &str,
        queue: Queue,
        witness: &Arc<dyn Witness>,
    ) -> Self {
        let served = |function: Function| {
            let places = usize::try_from(function.concurrency).unwrap_or(usize::MAX);
            let served = Served {
                places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
                witness: Arc::clone(witness),
                function,
            };
            (served.function.name.clone(), Arc::new(served))
        };
        Self {
            functions: functions.into_iter().map(served).collect(),
            region: region.to_owned(),
            queue,
            witness: Arc::clone(witness),
            bodies: AtomicUsize::new(0),
        }
    }

    /// Listens at an address; port 0 takes any that is free.
    ///
    /// # Errors
    /// [`Code::HostSetup`] when the address is not to be had.
    pub(crate) async fn listen(self, address: SocketAddr) -> Result<Running, Failure> {
        let failed = |error: std::io::Error| {
            let hint = match error.kind() {
                std::io::ErrorKind::AddrInUse => {
                    "something else listens there: end it, or take another address by `--listen 127.0.0.1:9001`"
                }
                _ => "take another address by `--listen ADDRESS:PORT`",
            };
            Failure::new(
                Code::HostSetup,
                format!("cannot listen at {address}: {error}"),
            )
            .with_hint(hint)
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let service = Arc::new(self);
        let (ending, ended) = watch::channel(false);
        let server = tokio::spawn(server::serve(listener, Arc::clone(&service), ended));
        Ok(Running {
            service,
            address,
            ending,
            server,
        })
    }

    fn find(&self, name: &str, qualifier: Option<&str>) -> Result<&Arc<Served>, ServiceError> {
        let missing = || ServiceError::NotFound(arn(&self.region, name, qualifier));
        self.functions.get(name).ok_or_else(missing)
    }
}

impl Running {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Handles one event as if it had come by the Invoke API.
    pub(crate) async fn invoke(
        &self,
        name: &str,
        event: bytes::Bytes,
    ) -> Result<Whole, ServiceError> {
        let served = self.service.find(name, None)?;
        let request_id = crate::front::request_id();
        let call = Call {
            event: invoke::payload(event, invoke::InvocationType::RequestResponse)?,
            invoked_arn: arn(&self.service.region, name, None),
            trace_id: invoke::trace_id(),
            request_id,
            client_context: None,
            tenant_id: None,
        };
        let reply = served.handle(None, call, Via::Invoke).await?;
        Ok(reply.body.collect(crate::event::RESPONSE_BYTES_MAX).await)
    }

    /// Whether asynchronous events still wait or run.
    pub(crate) async fn idle(&self) {
        self.service.queue.idle().await;
    }

    /// Answers nothing more, and lets go of everything at once.
    pub(crate) async fn cut(&self) {
        self.server.abort();
        for served in self.service.functions.values() {
            served.function.backend.shut_down().await;
        }
    }

    /// Takes no more requests, lets those in flight end within `time`, then lets go of everything.
    pub(crate) async fn end(&mut self, time: Duration) -> Ended {
        self.ending.send_replace(true);
        let until = Instant::now() + time;
        let drained = self.service.queue.drain(time).await;
        let left = until.saturating_duration_since(Instant::now());
        let all_answered = tokio::time::timeout(left, &mut self.server).await.is_ok();
        self.cut().await;
        Ended {
            all_answered,
            waiting: drained.waiting.into_iter().chain(drained.cut_off).collect(),
        }
    }
}

impl Served {
    /// Handles an event in a place of its own. It runs to its end even if nobody waits for it any more, as on Lambda.
    async fn handle(
        self: &Arc<Self>,
        qualifier: Option<&str>,
        call: Call,
        via: Via,
    ) -> Result<Reply, ServiceError> {
        let place = Arc::clone(&self.places);
        let place = place.try_acquire_owned();
        let place = place.map_err(|_| ServiceError::TooManyRequests)?;
        let (served, qualifier) = (Arc::clone(self), qualifier.map(str::to_owned));
        let task = tokio::spawn(async move { served.run(qualifier, call, via, place).await });
        let failed = |error: tokio::task::JoinError| {
            Reply::failed(&FunctionError::new(
                Code::HostPanic.meaning().name,
                &format!("the service failed while it handled the event: {error}"),
            ))
        };
        task.await.unwrap_or_else(|error| Ok(failed(error)))
    }

    async fn run(
        self: Arc<Self>,
        qualifier: Option<String>,
        call: Call,
        via: Via,
        place: OwnedSemaphorePermit,
    ) -> Result<Reply, ServiceError> {
        let (request_id, started) = (call.request_id.clone(), Instant::now());
        let backend = &self.function.backend;
        let reply = backend.invoke(qualifier.as_deref(), call).await?;
        let seen = Seen {
            function: self.function.name.clone(),
            request_id,
            version: reply.served.version.clone(),
            via,
            result: Ok(0),
            took: Duration::ZERO,
        };
        match reply.body {
            ReplyBody::Whole(whole) => {
                let result = match &whole.result {
                    Ok(response) => Ok(response.len()),
                    Err(error) => Err((
                        error.kind.clone(),
                        String::from_utf8_lossy(&error.document).into_owned(),
                    )),
                };
                self.tell(seen, result, started);
                drop(place);
                Ok(Reply {
                    served: reply.served,
                    body: ReplyBody::Whole(whole),
                })
            }
            ReplyBody::Streamed {
                content_type,
                parts,
            } => {
                let (sender, passed_on) = mpsc::channel(PARTS_WAITING);
                tokio::spawn(async move {
                    let result = pass_on(parts, sender).await;
                    self.tell(seen, result, started);
                    drop(place);
                });
                Ok(Reply {
                    served: reply.served,
                    body: ReplyBody::Streamed {
                        content_type,
                        parts: passed_on,
                    },
                })
            }
        }
    }

    fn tell(&self, seen: Seen, result: Result<usize, (String, String)>, started: Instant) {
        self.witness.answered(&Seen {
            result,
            took: started.elapsed(),
            ..seen
        });
    }
}

/// Hands on the parts of an answer, and says what they came to. A reader that is gone stops nothing.
async fn pass_on(
    mut parts: mpsc::Receiver<Part>,
    reader: mpsc::Sender<Part>,
) -> Result<usize, (String, String)> {
    let (mut bytes, mut is_gone) = (0, false);
    while let Some(part) = parts.recv().await {
        let end = match &part {
            Part::Chunk(chunk) => {
                bytes += chunk.len();
                None
            }
            Part::End(end) => Some(match &end.error {
                None => Ok(bytes),
                Some(error) => Err((
                    error.kind.clone(),
                    String::from_utf8_lossy(&error.document).into_owned(),
                )),
            }),
        };
        if !is_gone {
            // One that reads nothing is as good as gone: what answers must not wait for it for ever.
            let sent = tokio::time::timeout(READ_TIME, reader.send(part)).await;
            is_gone = !matches!(sent, Ok(Ok(())));
        }
        if let Some(result) = end {
            return result;
        }
    }
    Err((
        "Runtime.TruncatedResponse".to_owned(),
        "the response broke off".to_owned(),
    ))
}

/// An event of the queue on its way to its function.
#[derive(Debug)]
struct Queued {
    served: Arc<Served>,
    qualifier: Option<String>,
    arn: String,
}

#[async_trait::async_trait]
impl Attempt for Queued {
    async fn attempt(&self, call: Call) -> Result<Reply, ServiceError> {
        let qualifier = self.qualifier.as_deref();
        self.served.handle(qualifier, call, Via::Queue).await
    }

    fn function(&self) -> &str {
        &self.served.function.name
    }

    fn arn(&self) -> &str {
        &self.arn
    }
}
