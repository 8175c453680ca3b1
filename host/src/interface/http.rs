//! `wasi:http/outgoing-handler`: requests that a grant allows, on kept connections, signed where the grant says so. Redirects
//! are answers like others: a guest that follows one makes a request that is checked by itself.

use crate::error::chain;
use crate::grant::HttpRule;
use crate::meter::{Kind, Meter};
use crate::network::{DialError, Pool, SendError};
use crate::reach::Reach;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

/// How long the other end may take to answer, and between two pieces of an answer, unless the guest says less. The event's
/// own deadline ends every wait.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// Requests of one event at a time: each may hold a connection.
const AT_ONCE: usize = 64;

/// The most that one collection of headers takes: what servers take, and not what a guest could pile up in thousands of them.
pub(crate) const FIELDS_BYTES_MAX: usize = 16 << 10;

/// Bytes of a body that are taken at once, for each of its first requests and for those after them. A piece waits in the host
/// for the request to be sent, and a guest need not send any.
const PIECE: usize = 64 << 10;
const PIECES: usize = 64;
const LATER_PIECE: usize = 1 << 10;

/// The longest body of a request that is signed, since all of it is read first. DynamoDB takes 16 MB, SQS 1 MiB.
#[cfg(feature = "sign")]
const SIGNED_BYTES_MAX: usize = 16 << 20;

/// One event's requests.
pub(crate) struct Requests {
    ctx: WasiHttpCtx,
    sender: Sender,
}

#[derive(Clone)]
struct Sender {
    reach: Arc<Reach>,
    meter: Meter,
    places: Arc<Semaphore>,
    /// How many bodies the guest has begun.
    bodies: usize,
}

impl Requests {
    pub(crate) fn new(reach: Arc<Reach>, meter: Meter) -> Self {
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(FIELDS_BYTES_MAX);
        Self {
            ctx,
            sender: Sender {
                bodies: 0,
                reach,
                meter,
                places: Arc::new(Semaphore::new(AT_ONCE)),
            },
        }
    }

    pub(crate) fn view<'a>(&'a mut self, table: &'a mut ResourceTable) -> WasiHttpCtxView<'a> {
        WasiHttpCtxView {
            hooks: &mut self.sender,
            table,
            ctx: &mut self.ctx,
        }
    }
}

pub(crate) fn add_to_linker<T: WasiHttpView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
}

type Sent = Result<
    (
        Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

impl WasiHttpHooks for Sender {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        self.bodies += 1;
        if self.bodies <= PIECES {
            PIECE
        } else {
            LATER_PIECE
        }
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let sender = self.clone();
        Box::new(async move {
            let response = sender.send(request, options.unwrap_or_default()).await?;
            let done: Box<dyn Future<Output = _> + Send> = Box::new(async { Ok(()) });
            Ok((response, done))
        })
    }
}

impl Sender {
    async fn send(
        &self,
        request: Request<WasiBody>,
        options: RequestOptions,
    ) -> Result<Response<WasiBody>, Error> {
        let target = target(&request);
        let Some((rule, pool)) = self.rule(&request) else {
            self.meter.denied(Kind::Http, &target);
            return Err(Error::HttpRequestDenied);
        };
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| Error::ConnectionLimitReached)?;
        self.meter.called(Kind::Http);
        let request = self.outgoing(request, rule).await?;
        let at_most =
            |asked: Option<Duration>| asked.map_or(ANSWER_TIME, |asked| asked.min(ANSWER_TIME));
        let first_byte = at_most(options.first_byte_timeout);
        let response = self.answer(pool, request, first_byte, &target).await?;
        let body = Incoming {
            inner: response,
            meter: self.meter.clone(),
            between: at_most(options.between_bytes_timeout),
            late: Box::pin(tokio::time::sleep(Duration::ZERO)),
            _place: place,
        };
        Ok(body.into_response())
    }

    /// The grant that allows a request: of several one that names its host, then the first.
    fn rule(&self, request: &Request<WasiBody>) -> Option<&(HttpRule, Pool)> {
        // What stands before an `@` looks like a host to a person.
        let has_user = request
            .uri()
            .authority()
            .is_none_or(|authority| authority.as_str().contains('@'));
        let rules = self.reach.http.iter();
        let mut fitting =
            rules.filter(|(rule, _)| !has_user && rule.allows(request.method(), request.uri()));
        let first = fitting.next()?;
        Some(match first.0.host.is_one() {
            true => first,
            false => fitting
                .find(|(rule, _)| rule.host.is_one())
                .unwrap_or(first),
        })
    }

    async fn outgoing(
        &self,
        request: Request<WasiBody>,
        rule: &HttpRule,
    ) -> Result<Request<crate::network::Body>, Error> {
        #[cfg(feature = "sign")]
        if let Some(signing) = &rule.sign {
            let (head, body) = request.into_parts();
            let body = http_body_util::Limited::new(body, SIGNED_BYTES_MAX);
            let body = body
                .collect()
                .await
                .map_err(|_| Error::HttpRequestBodySize(None))?
                .to_bytes();
            self.meter.sent(Kind::Http, body.len());
            let mut request = Request::from_parts(head, body);
            // The length is known now, and part of what is signed.
            request
                .headers_mut()
                .remove(http::header::TRANSFER_ENCODING);
            let signed = self
                .reach
                .outside
                .signer()
                .sign(&mut request, signing)
                .await;
            signed.map_err(|problem| {
                self.meter.noted(
                    Kind::Http,
                    &format!("a request cannot be signed: {problem}"),
                );
                Error::ConfigurationError
            })?;
            return Ok(request.map(|body| {
                http_body_util::Full::new(body)
                    .map_err(|never| match never {})
                    .boxed_unsync()
            }));
        }
        #[cfg(not(feature = "sign"))]
        let _ = rule;
        let meter = self.meter.clone();
        Ok(request.map(|body| {
            let counted = body.map_frame(move |frame| {
                meter.sent(Kind::Http, frame.data_ref().map_or(0, Bytes::len));
                frame
            });
            counted.map_err(Into::into).boxed_unsync()
        }))
    }

    async fn answer(
        &self,
        pool: &Pool,
        request: Request<crate::network::Body>,
        first_byte: Duration,
        target: &str,
    ) -> Result<Response<hyper::body::Incoming>, Error> {
        let error = match pool.send(request, first_byte).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        Err(match error {
            SendError::Late => Error::ConnectionReadTimeout,
            SendError::Broken(problem) => {
                self.meter
                    .noted(Kind::Http, &format!("{target}: {problem}"));
                Error::HttpProtocolError
            }
            SendError::Dial(error) => {
                if let DialError::Guarded { .. } | DialError::Denied = &*error {
                    self.meter.denied(Kind::Http, &format!("{target}, {error}"));
                } else {
                    self.meter
                        .noted(Kind::Http, &format!("{target}: {}", chain(&*error)));
                }
                translated(&error)
            }
        })
    }
}

fn translated(error: &DialError) -> Error {
    match error {
        DialError::Guarded { .. } => Error::DestinationIpProhibited,
        DialError::Full => Error::ConnectionLimitReached,
        DialError::Denied => Error::HttpRequestDenied,
        DialError::Lookup { .. } => Error::DnsError {
            rcode: None,
            info_code: None,
        },
        DialError::Connect { problem, .. } => match problem.kind() {
            std::io::ErrorKind::TimedOut => Error::ConnectionTimeout,
            std::io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
            _ => Error::DestinationUnavailable,
        },
        DialError::Tls { .. } => Error::TlsCertificateError,
    }
}

/// What a log line says of a request: no query, no user, since there may be secrets in them.
fn target(request: &Request<WasiBody>) -> String {
    let uri = request.uri();
    let host = uri.host().unwrap_or_default();
    let port = crate::grant::http::port_of(uri);
    let scheme = uri.scheme_str().unwrap_or_default();
    format!("{} {scheme}://{host}:{port}", request.method())
}

/// A response on its way to the guest: counted, and not waited for without end.
struct Incoming {
    inner: Response<hyper::body::Incoming>,
    meter: Meter,
    between: Duration,
    late: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Incoming {
    fn into_response(mut self) -> Response<WasiBody> {
        let (status, headers) = (
            self.inner.status(),
            std::mem::take(self.inner.headers_mut()),
        );
        self.wait();
        let mut response = Response::new(self.boxed_unsync());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    fn wait(&mut self) {
        let next = Instant::now() + self.between;
        self.late.as_mut().reset(next);
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(self.inner.body_mut()).poll_frame(ctx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.meter
                    .received(Kind::Http, frame.data_ref().map_or(0, Bytes::len));
                self.wait();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                ready!(self.late.as_mut().poll(ctx));
                Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.body().is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.body().size_hint()
    }
}
