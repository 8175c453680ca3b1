//! The Runtime API of one environment: its port, its connections, and which path is whose. Knows neither processes nor
//! events. Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>; what it refuses, in `refusal.rs`.

mod extension;
mod invocation;

use super::program::{Mode, Program};
use super::refusal::{Answer, Refusal, document_answer};
use super::state::Shared;
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// Connections beside one for each event at once: extensions', and what a client opens and forgets.
const SPARE_CONNECTIONS: usize = 64;

/// The longest head of a request. Runtimes send the cause of an error, with its stack, as a header of up to 1 MiB.
const HEAD_BYTES_MAX: usize = (1 << 20) + (64 << 10);

/// How much is read of a body that is not wanted, so that its sender gets to read why.
const UNWANTED_BYTES_MAX: usize = 64 << 20;
const UNWANTED_TIME: Duration = Duration::from_secs(10);

/// How long to wait before the next connection when this process or machine can take none.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running server. Dropping it closes the port and all connections.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    task: AbortHandle,
}

impl Server {
    /// Listens at a free port of the loopback device.
    ///
    /// # Errors
    /// The system's words when there is none.
    pub(super) async fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, Arc::clone(shared))).abort_handle();
        Ok(Self { address, task })
    }

    /// Host and port.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn connections_max(program: &Program) -> usize {
    let events = match program.mode {
        Mode::OneAtATime => 1,
        Mode::Managed => usize::try_from(program.concurrency).unwrap_or(usize::MAX),
    };
    // Each may have a connection that waits for an event, and another that answers one.
    let both = events.saturating_mul(2).saturating_add(SPARE_CONNECTIONS);
    both.min(Semaphore::MAX_PERMITS)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(connections_max(&shared.program)));
    // Ends with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    serve(stream, shared).await;
                    drop(place);
                });
            }
            // Too many open files, most likely: some will be closed.
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// No timer: a request for the next event waits for as long as there is none, and a frozen client for longer.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
    let connection = http1::Builder::new()
        // As Lambda writes them: some shell scripts look for them so.
        .title_case_headers(true)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // A client that breaks off is seen by what it did not finish.
    let _ = connection.await;
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (head, mut body) = request.into_parts();
    let answered = route(&shared, &head, &mut body).await;
    if answered.is_err() {
        let _ = timeout(UNWANTED_TIME, discard(&mut body)).await;
    }
    Ok(answered.unwrap_or_else(|refusal| refusal.answer()))
}

async fn route(shared: &Shared, head: &Parts, body: &mut Incoming) -> Result<Answer, Refusal> {
    let path: Vec<&str> = head.uri.path().splitn(8, '/').skip(1).collect();
    match (&head.method, path.as_slice()) {
        (&Method::GET, ["2018-06-01", "runtime", "invocation", "next"]) => {
            invocation::next(shared).await
        }
        (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "response"]) => {
            invocation::response(shared, id, &head.headers, body).await
        }
        (&Method::POST, ["2018-06-01", "runtime", "invocation", id, "error"]) => {
            invocation::error(shared, id, &head.headers, body).await
        }
        (&Method::POST, ["2018-06-01", "runtime", "init", "error"]) => {
            invocation::init_error(shared, &head.headers, body).await
        }
        (&Method::POST, ["2020-01-01", "extension", "register"]) => {
            extension::register(shared, &head.headers, body).await
        }
        (&Method::GET, ["2020-01-01", "extension", "event", "next"]) => {
            extension::next(shared, &head.headers).await
        }
        (&Method::POST, ["2020-01-01", "extension", "init", "error"]) => {
            extension::error(shared, &head.headers, "Extension.InitError")
        }
        (&Method::POST, ["2020-01-01", "extension", "exit", "error"]) => {
            extension::error(shared, &head.headers, "Extension.ExitError")
        }
        (&Method::PUT, ["2020-08-15", "logs"]) => Ok(not_supported("Logs")),
        (&Method::PUT, ["2022-07-01", "telemetry"]) => Ok(not_supported("Telemetry")),
        _ => Err(Refusal::Path),
    }
}

/// As the emulator: with a status that lets a subscriber go on.
fn not_supported(api: &str) -> Answer {
    let document = json!({
        "errorMessage": format!("{api} API is not supported"),
        "errorType": format!("{api}.NotSupported"),
    });
    document_answer(StatusCode::ACCEPTED, &document)
}

/// Reads a whole body of at most `most` bytes.
async fn read(body: &mut Incoming, most: usize) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > u64::try_from(most).unwrap_or(u64::MAX) {
        return Err(Refusal::TooLarge(most));
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::Truncated)?;
        let Ok(chunk) = frame.into_data() else {
            continue;
        };
        if bytes.len() + chunk.len() > most {
            return Err(Refusal::TooLarge(most));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

async fn discard(body: &mut Incoming) {
    let mut count = 0;
    while let Some(Ok(frame)) = body.frame().await {
        count += frame.data_ref().map_or(0, Bytes::len);
        if count > UNWANTED_BYTES_MAX {
            return;
        }
    }
}

/// A header's text; none if it is empty.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?;
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests;
