//! A Runtime API server as Lambda's: the headers it sends, the order it insists on, the sizes it takes. What was seen
//! of AWS's own runtime interface emulator: a `next` before the answer hands out the same event again. Beside it, on the
//! same port, the Extensions API for extensions that are told of nothing.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

/// How long a test waits for something that must come; it fails then, and is never slowed by it.
pub const PATIENCE: Duration = Duration::from_secs(60);

const RESPONSE_BYTES_MAX: usize = 6 * 1024 * 1024 + 100;

/// Requests that are remembered: more than any test looks at, and no more for a load that lasts.
const ASKED_MAX: usize = 10_000;

/// What an extension is known by once it has registered.
const EXTENSION: &str = "f4a09a5e-0d5c-4b6f-8f2f-27b4a1b6a2d1";

/// An event as a caller sends it.
#[derive(Clone)]
pub struct Event {
    body: Bytes,
    headers: Vec<(&'static str, String)>,
    time: Duration,
}

impl Event {
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            headers: Vec::new(),
            time: Duration::from_secs(30),
        }
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }
}

/// What the program posted.
#[derive(Debug)]
pub struct Answer {
    /// `response`, `error` or `init/error`.
    pub kind: String,
    pub headers: hyper::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What the program asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// An event to handle.
    Next,
    /// To be an extension.
    Register { name: String, body: String },
    /// To be told, as the extension that it is.
    Told,
}

struct State {
    events: tokio::sync::Mutex<UnboundedReceiver<(String, Event)>>,
    outstanding: Mutex<Vec<(String, Event)>>,
    /// Whether several events may be outstanding, as on Lambda Managed Instances.
    managed: bool,
    answers: Sender<Answer>,
    asked: watch::Sender<Vec<Asked>>,
}

/// The server, on a port of its own.
pub struct RuntimeApi {
    address: String,
    events: UnboundedSender<(String, Event)>,
    answers: Receiver<Answer>,
    count: Mutex<u32>,
    asked: watch::Receiver<Vec<Asked>>,
    runtime: tokio::runtime::Runtime,
}

impl RuntimeApi {
    /// Lambda as most know it: one event at a time.
    pub fn start() -> Self {
        Self::start_as(false)
    }

    /// Lambda Managed Instances: each `next` gets an event of its own.
    pub fn start_managed() -> Self {
        Self::start_as(true)
    }

    fn start_as(managed: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (events, received) = unbounded_channel();
        let (sender, answers) = channel();
        let (asking, asked) = watch::channel(Vec::new());
        let state = State {
            events: received.into(),
            outstanding: Mutex::default(),
            managed,
            answers: sender,
            asked: asking,
        };
        runtime.spawn(accept(listener, Arc::new(state)));
        Self {
            address,
            events,
            answers,
            count: Mutex::default(),
            asked,
            runtime,
        }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends an event and waits for what comes of it.
    pub fn invoke(&self, event: Event) -> Answer {
        self.send(event);
        self.answer()
    }

    /// Sends an event.
    pub fn send(&self, event: Event) {
        let mut count = self.count.lock().unwrap();
        *count += 1;
        let id = format!("8476a536-e9f4-11e8-9739-{:012}", *count);
        self.events.send((id, event)).unwrap();
    }

    /// Waits for an answer, whichever event it is to.
    pub fn answer(&self) -> Answer {
        self.answers
            .recv_timeout(PATIENCE)
            .expect("an answer of the program")
    }

    /// All that was asked for so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.borrow().clone()
    }

    /// Waits until something was asked for so many times.
    pub fn wait_until_asked(&self, wanted: &Asked, times: usize) {
        let mut asked = self.asked.clone();
        let is_enough =
            |asked: &Vec<Asked>| asked.iter().filter(|one| *one == wanted).count() >= times;
        self.runtime.block_on(async {
            let waiting = tokio::time::timeout(PATIENCE, asked.wait_for(is_enough));
            if waiting.await.is_err() {
                panic!("not {times} times {wanted:?}: {:?}", self.asked());
            }
        });
    }
}

async fn accept(listener: tokio::net::TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(Arc::clone(&state), request));
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    if let Some(path) = path.strip_prefix("/2020-01-01/extension/") {
        return Ok(extend(&state, path, request).await);
    }
    let Some(path) = path.strip_prefix("/2018-06-01/runtime/") else {
        return Ok(refuse(404, "NoSuchPath"));
    };
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Ok(
        match (
            &parts.method,
            path.split('/').collect::<Vec<_>>().as_slice(),
        ) {
            (&Method::GET, ["invocation", "next"]) => next(&state).await,
            (&Method::POST, ["init", "error"]) => {
                state
                    .answers
                    .send(Answer {
                        kind: "init/error".into(),
                        headers: parts.headers,
                        body,
                    })
                    .unwrap();
                accepted()
            }
            (&Method::POST, ["invocation", id, kind @ ("response" | "error")]) => {
                let mut outstanding = state.outstanding.lock().unwrap();
                let Some(place) = outstanding.iter().position(|(expected, _)| expected == id)
                else {
                    return Ok(refuse(400, "InvalidRequestID"));
                };
                if body.len() > RESPONSE_BYTES_MAX {
                    return Ok(refuse(413, "RequestEntityTooLarge"));
                }
                outstanding.remove(place);
                state
                    .answers
                    .send(Answer {
                        kind: (*kind).to_owned(),
                        headers: parts.headers,
                        body,
                    })
                    .unwrap();
                accepted()
            }
            _ => refuse(404, "NoSuchPath"),
        },
    )
}

/// Registers an extension that wants to be told of nothing, and lets it wait until then.
async fn extend(state: &State, path: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers.get(name)?.to_str().ok();
    match (&parts.method, path) {
        // As on Lambda: only during init, which the first `next` ends.
        (&Method::POST, "register") if state.asked.borrow().contains(&Asked::Next) => {
            refuse(403, "Extension.AlreadyInitialized")
        }
        (&Method::POST, "register") => {
            let Some(name) = header("Lambda-Extension-Name").map(str::to_owned) else {
                return refuse(400, "Extension.InvalidExtensionName");
            };
            let body = body.collect().await.unwrap().to_bytes();
            let body = String::from_utf8(body.to_vec()).unwrap();
            state.ask(Asked::Register { name, body });
            Response::builder()
                .header("Lambda-Extension-Identifier", EXTENSION)
                .body(Full::from("{\"functionName\":\"acme-guest\"}"))
                .unwrap()
        }
        (&Method::GET, "event/next")
            if header("Lambda-Extension-Identifier") == Some(EXTENSION) =>
        {
            state.ask(Asked::Told);
            std::future::pending().await
        }
        (&Method::GET, "event/next") => refuse(403, "Extension.InvalidExtensionIdentifier"),
        _ => refuse(404, "NoSuchPath"),
    }
}

impl State {
    fn ask(&self, asked: Asked) {
        self.asked.send_if_modified(|all| {
            let is_kept = all.len() < ASKED_MAX;
            if is_kept {
                all.push(asked);
            }
            is_kept
        });
    }
}

async fn next(state: &State) -> Response<Full<Bytes>> {
    state.ask(Asked::Next);
    let again = match state.managed {
        true => None,
        false => state.outstanding.lock().unwrap().pop(),
    };
    let (id, event) = match again {
        Some(event) => event,
        None => match state.events.lock().await.recv().await {
            Some(event) => event,
            // Whoever sent events is gone, and soon this as well.
            None => std::future::pending().await,
        },
    };
    state
        .outstanding
        .lock()
        .unwrap()
        .push((id.clone(), event.clone()));
    let deadline = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        + event.time;
    let mut response = Response::builder()
        .header("Content-Type", "application/json")
        .header("Lambda-Runtime-Aws-Request-Id", &id)
        .header(
            "Lambda-Runtime-Deadline-Ms",
            deadline.as_millis().to_string(),
        )
        .header(
            "Lambda-Runtime-Invoked-Function-Arn",
            "arn:aws:lambda:eu-west-1:123456789012:function:acme-guest",
        )
        .header(
            "Lambda-Runtime-Trace-Id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
        );
    for (name, value) in &event.headers {
        response = response.header(*name, value);
    }
    response.body(Full::new(event.body)).unwrap()
}

fn accepted() -> Response<Full<Bytes>> {
    Response::builder()
        .status(202)
        .body(Full::from("{\"status\":\"OK\"}\n"))
        .unwrap()
}

fn refuse(status: u16, kind: &str) -> Response<Full<Bytes>> {
    let body = format!("{{\"errorMessage\":\"refused\",\"errorType\":\"{kind}\"}}");
    Response::builder()
        .status(status)
        .body(Full::from(body))
        .unwrap()
}
