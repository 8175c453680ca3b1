//! What stands between clients and the bucket: a record of all requests, and what tests let go wrong with them.

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, IF_MATCH, IF_NONE_MATCH};
use hyper::{Request, Response, StatusCode};
use s3s::service::S3Service;
use s3s::{Body, S3Error, S3ErrorCode, StdError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is carried out that much later.
    Delay(Duration),
    /// The request is refused with this status and the error that S3 sends with it.
    Status(u16),
    /// The connection ends before any answer; nothing is carried out.
    Reset,
    /// The request is carried out, then the connection ends before any answer.
    LoseAnswer,
    /// The connection ends after the head of the answer, which promises all of the body, and at most half of the body.
    Truncate,
    /// One bit in the middle of the answer's body is another.
    FlipByte,
    /// No answer ever comes; nothing is carried out.
    Hang,
    /// The request is carried out as if it had no conditions.
    IgnoreConditions,
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method in capitals.
    pub method: String,
    /// The object's key; empty if the request is about the bucket.
    pub key: String,
    /// Whether there is an `If-Match` or an `If-None-Match`.
    pub conditional: bool,
    /// What was answered; 0 if nothing was, or nothing yet.
    pub status: u16,
}

impl Seen {
    fn new(request: &Request<Incoming>) -> Self {
        let (uri, headers) = (request.uri(), request.headers());
        let path = uri.path().strip_prefix('/').unwrap_or_default();
        let key = path.split_once('/').map(|(_bucket, key)| key);
        Self {
            method: request.method().to_string(),
            key: decoded(key.unwrap_or_default()),
            conditional: headers.contains_key(IF_MATCH) || headers.contains_key(IF_NONE_MATCH),
            status: 0,
        }
    }
}

/// Undoes percent-encoding; a plus is a plus in a path.
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).unwrap());
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).unwrap()
}

/// Says to the bucket that a request's conditions are to be ignored. They can't be taken out of the request: they are
/// signed.
#[derive(Clone, Copy)]
pub(super) struct Unconditional;

/// The record of requests, and the faults that wait for some.
#[derive(Default)]
pub(super) struct Traffic {
    record: Mutex<Record>,
    injected: Mutex<Vec<Injected>>,
}

#[derive(Default)]
struct Record {
    arrivals: u64,
    by_arrival: BTreeMap<u64, Seen>,
}

struct Injected {
    fault: Fault,
    on: Box<dyn Fn(&Seen) -> bool + Send + Sync>,
    times: usize,
}

impl Traffic {
    pub(super) fn requests(&self) -> Vec<Seen> {
        let record = self.record.lock().unwrap();
        record.by_arrival.values().cloned().collect()
    }

    pub(super) fn forget_requests(&self) {
        self.record.lock().unwrap().by_arrival.clear();
    }

    pub(super) fn inject(
        &self,
        fault: Fault,
        on: impl Fn(&Seen) -> bool + Send + Sync + 'static,
        times: usize,
    ) {
        self.injected.lock().unwrap().push(Injected {
            fault,
            on: Box::new(on),
            times,
        });
    }

    pub(super) fn heal(&self) {
        self.injected.lock().unwrap().clear();
    }

    /// Records a request; gives its number and its faults.
    fn arrived(&self, seen: Seen) -> (u64, Vec<Fault>) {
        let mut faults = Vec::new();
        for injected in self.injected.lock().unwrap().iter_mut() {
            if injected.times > 0 && (injected.on)(&seen) {
                injected.times -= 1;
                faults.push(injected.fault);
            }
        }
        let mut record = self.record.lock().unwrap();
        record.arrivals += 1;
        let arrival = record.arrivals;
        record.by_arrival.insert(arrival, seen);
        (arrival, faults)
    }

    fn answered(&self, arrival: u64, status: StatusCode) {
        if let Some(seen) = self.record.lock().unwrap().by_arrival.get_mut(&arrival) {
            seen.status = status.as_u16();
        }
    }
}

type Answer = UnsyncBoxBody<Bytes, StdError>;

/// Passes a request on to the bucket, with all that goes wrong; an error ends the connection.
pub(super) async fn answer(
    traffic: Arc<Traffic>,
    service: S3Service,
    mut request: Request<Incoming>,
) -> Result<Response<Answer>, StdError> {
    let (arrival, faults) = traffic.arrived(Seen::new(&request));
    let mut refusal = None;
    for fault in &faults {
        match *fault {
            Fault::Delay(time) => tokio::time::sleep(time).await,
            Fault::Status(status) => refusal = Some(refuse(status)),
            Fault::Reset => return Err("reset, as a test asked for".into()),
            Fault::Hang => std::future::pending().await,
            Fault::IgnoreConditions => {
                request.extensions_mut().insert(Unconditional);
            }
            Fault::LoseAnswer | Fault::Truncate | Fault::FlipByte => {}
        }
    }
    let response = match refusal {
        Some(refusal) => {
            // A client that is still sending could miss the answer.
            request.into_body().collect().await?;
            refusal.to_http_response()?
        }
        None => service.call(request.map(Body::from)).await?,
    };
    let (mut parts, body) = response.into_parts();
    let mut bytes = read(body).await?;
    if parts.headers.contains_key(CONTENT_RANGE) {
        // The crate answers 200 if only the head of a range is asked for.
        parts.status = StatusCode::PARTIAL_CONTENT;
    }
    if faults.contains(&Fault::LoseAnswer) {
        return Err("lost, as a test asked for".into());
    }
    if faults.contains(&Fault::FlipByte) {
        bytes = flipped(&bytes);
    }
    let body = if faults.contains(&Fault::Truncate) && !bytes.is_empty() {
        parts.headers.insert(CONTENT_LENGTH, bytes.len().into());
        half(&bytes)
    } else {
        Full::new(bytes)
            .map_err(|never| match never {})
            .boxed_unsync()
    };
    traffic.answered(arrival, parts.status);
    Ok(Response::from_parts(parts, body))
}

/// All of a body. Its name is in full because the type is a stream, too.
pub(super) async fn read(body: Body) -> Result<Bytes, StdError> {
    Ok(BodyExt::collect(body).await?.to_bytes())
}

fn refuse(status: u16) -> S3Error {
    let code = match status {
        403 => S3ErrorCode::AccessDenied,
        409 => S3ErrorCode::ConditionalRequestConflict,
        500 => S3ErrorCode::InternalError,
        503 => S3ErrorCode::SlowDown,
        _ => S3ErrorCode::Custom("InjectedFault".into()),
    };
    let mut error = S3Error::with_message(code, "refused, as a test asked for");
    error.set_status_code(StatusCode::from_u16(status).unwrap());
    error
}

fn flipped(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes.into()
}

/// The first half of a body, then an error.
fn half(bytes: &Bytes) -> Answer {
    use futures_util::stream::{StreamExt, iter, once};
    let half = Ok(Frame::data(bytes.slice(..bytes.len() / 2)));
    let end = once(async {
        // The server sends what it has while it waits for more; if it did not wait, it would send nothing.
        tokio::task::yield_now().await;
        Err("truncated, as a test asked for".into())
    });
    StreamBody::new(iter([half]).chain(end)).boxed_unsync()
}
