//! Requests over HTTP/1.1 on connections that are kept. A request goes to an address that was checked when its connection
//! was made; a connection is kept for its scheme, host and port only.

use super::{DialError, Network, Stream};
use crate::error::chain;
use crate::grant::HttpRule;
use crate::grant::host::Host;
use crate::grant::http::port_of;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

/// How long a connection is kept without a request: below what servers and load balancers keep (60 s, often).
const IDLE_TIME: Duration = Duration::from_secs(50);

/// How many idle connections are kept for one host.
const IDLE_MAX: usize = 8;

/// Connections at a time, idle ones among them: a guest that asks many hosts must not take all the files that this process
/// may have open, 1,024 on Lambda.
const CONNECTIONS_MAX: usize = 256;

/// What is buffered of one connection, a response's head among it.
const BUFFER_BYTES: usize = 64 << 10;

/// What a request's body is.
pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// Why there is no response.
#[derive(Debug)]
pub(crate) enum SendError {
    /// There was no connection.
    Dial(Arc<DialError>),
    /// It did not answer in time.
    Late,
    /// The protocol was broken, or the connection broke off.
    Broken(String),
}

/// Kept connections of one grant: what one grant may connect to, and whom it trusts, is no matter of another.
#[derive(Clone)]
pub(crate) struct Pool(Client<Connector, Body>);

/// Places for connections that may be open at a time, shared by all grants of a guest.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(CONNECTIONS_MAX)))
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

impl Pool {
    pub(crate) fn new(network: Network, rule: HttpRule, places: &Places) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(IDLE_MAX)
            .http1_max_buf_size(BUFFER_BYTES)
            .set_host(false);
        Self(builder.build(Connector {
            network,
            rule: Arc::new(rule),
            places: places.clone(),
        }))
    }

    /// Sends a request that a grant allows, and waits so long for the head of its answer.
    pub(crate) async fn send(
        &self,
        request: Request<Body>,
        first_byte: Duration,
    ) -> Result<Response<Incoming>, SendError> {
        let sent = tokio::time::timeout(first_byte, self.0.request(request)).await;
        match sent {
            Err(_) => Err(SendError::Late),
            Ok(Err(error)) => Err(match dial_error(&error) {
                Some(dial) => SendError::Dial(dial),
                None => SendError::Broken(chain(&error)),
            }),
            Ok(Ok(response)) => Ok(response),
        }
    }
}

/// A [`DialError`] that the client can carry.
#[derive(Debug, Clone)]
struct Failed(Arc<DialError>);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Failed {}

fn dial_error(error: &(dyn Error + 'static)) -> Option<Arc<DialError>> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(Failed(dial)) = error.downcast_ref() {
            return Some(Arc::clone(dial));
        }
        cause = error.source();
    }
    None
}

/// Makes connections that a rule allows.
#[derive(Clone)]
struct Connector {
    network: Network,
    rule: Arc<HttpRule>,
    places: Places,
}

impl Service<Uri> for Connector {
    type Response = Link;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<Link, Failed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let link = connector.dial(&uri).await;
            link.map_err(|error| Failed(Arc::new(error)))
        })
    }
}

impl Connector {
    async fn dial(&self, uri: &Uri) -> Result<Link, DialError> {
        let asked = uri.host().filter(|_| self.rule.is_origin_of(uri));
        let asked = asked.ok_or(DialError::Denied)?;
        let place = Arc::clone(&self.places.0).try_acquire_owned();
        let place = place.map_err(|_| DialError::Full)?;
        let mut last = DialError::Denied;
        for ip in self.network.resolve(asked).await? {
            match self.connect(SocketAddr::new(ip, port_of(uri)), asked).await {
                Ok(stream) => return Ok(Link(TokioIo::new(stream), place)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect(
        &self,
        address: SocketAddr,
        asked: &str,
    ) -> Result<Box<dyn Stream>, DialError> {
        self.network.check(address, &self.rule.host)?;
        let stream = self.network.plain(address).await?;
        if !self.rule.secure {
            return Ok(Box::new(stream));
        }
        let failed = |problem: String| DialError::Tls { address, problem };
        let authorities = self.rule.authorities.as_ref();
        let trust = self.network.trust(authorities).map_err(failed)?;
        let host = Host::parse(asked).map_err(failed)?;
        let handshake = trust.connect(stream, &host);
        let handshake = tokio::time::timeout(super::CONNECT_TIME, handshake).await;
        let handshake = handshake.map_err(|_| failed("no agreement on TLS in time".to_owned()))?;
        let secured = handshake.map_err(|error| failed(chain(&error)))?;
        Ok(Box::new(secured))
    }
}

/// One connection, as the client wants it, and its place among those that may be open.
struct Link(
    TokioIo<Box<dyn Stream>>,
    #[expect(dead_code, reason = "held until the connection is closed")] OwnedSemaphorePermit,
);

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl hyper::rt::Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(ctx, buffer)
    }
}

impl hyper::rt::Write for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(ctx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(ctx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(ctx)
    }
}
