//! The other ends: a server of HTTP/1.1 that remembers what it was asked, one of TCP, and listeners that nobody may come
//! to.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

/// A request that came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// What stood between method and version.
    pub target: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Asked {
    /// The values of a header, in their order.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }
}

/// A server that answers every request in the same way.
pub struct Web {
    origin: String,
    state: Arc<State>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Default)]
struct State {
    status: u16,
    location: Option<String>,
    connections: AtomicUsize,
    asked: Mutex<Vec<Asked>>,
}

impl Web {
    /// Answers `hello`.
    pub fn start() -> Self {
        Self::start_as("http://127.0.0.1", 200, None, None)
    }

    /// Sends everybody somewhere else.
    pub fn redirecting(to: &str) -> Self {
        Self::start_as("http://127.0.0.1", 302, Some(to), None)
    }

    /// Answers over TLS, as `localhost`; with the certificate to trust.
    pub fn secure() -> (Self, String) {
        let (acceptor, certificate) = acceptor("localhost");
        let web = Self::start_as("https://localhost", 200, None, Some(acceptor));
        (web, certificate)
    }

    fn start_as(host: &str, status: u16, location: Option<&str>, tls: Option<TlsAcceptor>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0");
        let listener = runtime.block_on(listener).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            status,
            location: location.map(str::to_owned),
            ..State::default()
        });
        runtime.spawn(accept(listener, Arc::clone(&state), tls));
        Self {
            origin: format!("{host}:{port}"),
            state,
            _runtime: runtime,
        }
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        self.origin.rsplit('/').next().unwrap()
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    /// The only request.
    pub fn only(&self) -> Asked {
        let mut asked = self.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked.remove(0)
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

/// TLS with a certificate of its own, and that certificate.
fn acceptor(name: &str) -> (TlsAcceptor, String) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}

async fn accept(listener: tokio::net::TcpListener, state: Arc<State>, tls: Option<TlsAcceptor>) {
    while let Ok((stream, _)) = listener.accept().await {
        state.connections.fetch_add(1, Ordering::SeqCst);
        let (state, tls) = (Arc::clone(&state), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(stream, state).await,
                Some(tls) => {
                    // Who does not like the certificate hangs up.
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, state).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, state: Arc<State>) {
    let service = service_fn(move |request| answer(Arc::clone(&state), request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // A guest that is stopped hangs up wherever it is.
    let _ = connection.await;
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    state.asked.lock().unwrap().push(Asked {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    let mut response = Response::builder()
        .status(state.status)
        .header("X-Served", "yes");
    if let Some(location) = &state.location {
        response = response.header("Location", location);
    }
    Ok(response.body(Full::from("hello")).unwrap())
}

/// Answers one connection with what came first, in capitals, and hangs up; returns the port, at 127.0.0.1.
pub fn shouting() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 64];
        let count = stream.read(&mut bytes).unwrap();
        bytes.make_ascii_uppercase();
        stream.write_all(&bytes[..count]).unwrap();
    });
    port
}

/// Listens on this machine's own addresses, at one port: IPv4, IPv6 where there is such, and UDP. Accepts nobody, so
/// whoever connects waits for an answer without end.
pub struct Listener {
    v4: TcpListener,
    v6: Option<TcpListener>,
    udp: Option<UdpSocket>,
}

impl Listener {
    pub fn start() -> Self {
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = v4.local_addr().unwrap().port();
        let v6 = TcpListener::bind(("::1", port)).ok();
        let udp = UdpSocket::bind(("127.0.0.1", port)).ok();
        v4.set_nonblocking(true).unwrap();
        if let Some(listener) = &v6 {
            listener.set_nonblocking(true).unwrap();
        }
        if let Some(socket) = &udp {
            socket.set_nonblocking(true).unwrap();
        }
        Self { v4, v6, udp }
    }

    pub fn port(&self) -> u16 {
        self.v4.local_addr().unwrap().port()
    }

    /// A text with this port in place of `PORT`.
    pub fn at(&self, text: &str) -> String {
        text.replace("PORT", &self.port().to_string())
    }

    /// Whether somebody has connected, or sent a datagram. A connection waits here before the guest hears of it, so
    /// there is nothing to wait for.
    pub fn is_visited(&self) -> bool {
        let mut tcp = std::iter::once(&self.v4).chain(&self.v6);
        let came = |error: std::io::Error| error.kind() != ErrorKind::WouldBlock;
        tcp.any(|listener| listener.accept().map_or_else(came, |_| true))
            || self
                .udp
                .iter()
                .any(|socket| socket.recv(&mut [0; 64]).map_or_else(came, |_| true))
    }
}
