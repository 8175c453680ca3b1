//! The network as guests reach it: names looked up, each address checked before a byte goes there, TLS spoken for them.
//! Knows grants; nothing of wasmtime, and nothing of what goes over a connection.

mod guard;
mod pool;
mod postgres;
#[cfg(feature = "sign")]
mod sign;
mod tls;

use crate::error::chain;
use crate::grant::host::Host;
use crate::grant::{Authorities, TcpRule, TlsStart};
use crate::settings::Environment;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

pub(crate) use pool::{Body, Places, Pool, SendError};
#[cfg(feature = "sign")]
pub(crate) use sign::Signer;

/// How long a name may take to be looked up.
const LOOKUP_TIME: Duration = Duration::from_secs(5);

/// How long one address may take to answer, and to agree on TLS.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Sets of own certificates that are kept ready: those of the release that serves, and of some before it.
const OWN_MAX: usize = 16;

/// More addresses than a name is tried at.
const ADDRESSES_MAX: usize = 8;

/// A connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// The network. One per process; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Network(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Where other people's events are, whatever a grant says.
    runtime_api: Option<(IpAddr, u16)>,
    public: OnceLock<tls::Trust>,
    /// The same of releases' own certificates, the last ones.
    own: Mutex<VecDeque<(Authorities, tls::Trust)>>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// The address is guarded, and no grant names it in full.
    #[error("{address} is {what}: name it in full in [grants] if it is meant")]
    Guarded { address: IpAddr, what: &'static str },
    /// As many are open as may be.
    #[error("too many connections are open")]
    Full,
    /// Nothing grants the other end.
    #[error("nothing grants it")]
    Denied,
    /// The name has no address.
    #[error("`{name}` cannot be looked up: {problem}")]
    Lookup { name: String, problem: String },
    /// Nobody answers there.
    #[error("{address} does not answer: {problem}")]
    Connect {
        address: SocketAddr,
        problem: io::Error,
    },
    /// The other end is not who it should be, or does not speak TLS.
    #[error("{address}: {problem}")]
    Tls {
        address: SocketAddr,
        problem: String,
    },
}

impl Network {
    /// The network of this machine.
    pub fn new(environment: &Environment) -> Self {
        let runtime_api = environment.get("AWS_LAMBDA_RUNTIME_API");
        let runtime_api = runtime_api.and_then(|api| api.into_string().ok());
        let runtime_api = runtime_api.and_then(|api| {
            let (host, port) = api.rsplit_once(':').unwrap_or((&api, "80"));
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let host = if host == "localhost" {
                "127.0.0.1"
            } else {
                host
            };
            Some((host.parse().ok()?, port.parse().ok()?))
        });
        Self(Arc::new(Inner {
            runtime_api,
            ..Inner::default()
        }))
    }

    /// Reads whom this machine trusts; takes some milliseconds, so it is done before any event.
    ///
    /// # Errors
    /// What is wrong with the certificates.
    pub(crate) fn prepare_tls(&self, more: Option<&Authorities>) -> Result<(), String> {
        self.trust(more).map(|_| ())
    }

    fn trust(&self, more: Option<&Authorities>) -> Result<tls::Trust, String> {
        if let Some(own) = more {
            return self.own_trust(own);
        }
        if let Some(public) = self.0.public.get() {
            return Ok(public.clone());
        }
        let public = tls::Trust::of_this_machine()?;
        Ok(self.0.public.get_or_init(|| public).clone())
    }

    /// What a release's own certificates make, kept so that no connection waits for it, and sessions are taken up again.
    fn own_trust(&self, own: &Authorities) -> Result<tls::Trust, String> {
        // Whoever held it left a whole list behind.
        let mut kept = self.0.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, trust)) = kept.iter().find(|(known, _)| Arc::ptr_eq(known, own)) {
            return Ok(trust.clone());
        }
        let trust = tls::Trust::of(own)?;
        if kept.len() == OWN_MAX {
            kept.pop_front();
        }
        kept.push_back((Arc::clone(own), trust.clone()));
        Ok(trust)
    }

    /// Whether a guest may connect to an address of whom a grant names.
    pub(crate) fn check(&self, address: SocketAddr, host: &Host) -> Result<(), DialError> {
        let guarded = guard::guarded(address.ip());
        let refused = |what| DialError::Guarded {
            address: address.ip(),
            what,
        };
        if let Some((api, port)) = self.0.runtime_api {
            // A server of this machine answers at every loopback address if it listens at all of them.
            let here = guarded.is_some() && guard::guarded(api).is_some();
            if address.port() == port && (here || guard::plain(address.ip()) == guard::plain(api)) {
                return Err(refused("the Runtime API, where other events are"));
            }
        }
        match guarded {
            Some(what) if !host.names_in_full(address.ip()) => Err(refused(what)),
            _ => Ok(()),
        }
    }

    /// The addresses of a name, or the address that a text is.
    pub(crate) async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, DialError> {
        let inner = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        if let Ok(address) = inner.unwrap_or(name).parse() {
            return Ok(vec![address]);
        }
        let failed = |problem: String| DialError::Lookup {
            name: name.to_owned(),
            problem,
        };
        let lookup = tokio::net::lookup_host((name, 0));
        let found = tokio::time::timeout(LOOKUP_TIME, lookup)
            .await
            .map_err(|_| failed("no answer in time".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in found.map(|address| address.ip()) {
            if !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(failed("it has no address".to_owned()));
        }
        Ok(addresses)
    }

    /// Connects to one address that has been checked for a host, in plain text.
    async fn plain(&self, address: SocketAddr) -> Result<TcpStream, DialError> {
        let failed = |problem| DialError::Connect { address, problem };
        let stream = tokio::time::timeout(CONNECT_TIME, TcpStream::connect(address)).await;
        let stream = stream
            .map_err(|_| failed(io::ErrorKind::TimedOut.into()))?
            .map_err(failed)?;
        // Requests are small and waited for.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    /// Connects to an address as a grant says, checked once more.
    ///
    /// # Errors
    /// [`DialError`].
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        rule: &TcpRule,
    ) -> Result<Box<dyn Stream>, DialError> {
        self.check(address, &rule.host)?;
        let mut stream = self.plain(address).await?;
        let Some(tls) = &rule.tls else {
            return Ok(Box::new(stream));
        };
        let failed = |problem: String| DialError::Tls { address, problem };
        let trust = self.trust(tls.authorities.as_ref()).map_err(failed)?;
        let asks = tls.start == TlsStart::Postgres;
        let handshake = async {
            if asks {
                let asked = postgres::ask(&mut stream).await;
                asked.map_err(|refused| refused.to_string())?;
            }
            let secured = trust.connect(stream, &rule.host).await;
            secured.map_err(|error| chain(&error))
        };
        let secured = tokio::time::timeout(CONNECT_TIME, handshake).await;
        let secured = secured.map_err(|_| failed("no agreement on TLS in time".to_owned()))?;
        let secured = secured.map_err(failed)?;
        Ok(if asks {
            Box::new(postgres::Answered::new(secured))
        } else {
            Box::new(secured)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(api: &str) -> Network {
        Network::new(&[("AWS_LAMBDA_RUNTIME_API", api)].into_iter().collect())
    }

    fn allowed(network: &Network, address: &str, host: &str) -> bool {
        network
            .check(address.parse().unwrap(), &Host::parse(host).unwrap())
            .is_ok()
    }

    #[test]
    fn a_guarded_address_is_reached_only_by_whoever_names_it_in_full() {
        let network = network("127.0.0.1:9001");
        assert!(allowed(&network, "127.0.0.1:5432", "127.0.0.1"));
        assert!(allowed(&network, "127.0.0.1:5432", "localhost"));
        assert!(allowed(&network, "10.0.0.7:5432", "db.example"));
        for host in ["db.example", "*", "127.0.0.0/8", "*.example"] {
            assert!(!allowed(&network, "127.0.0.1:5432", host), "{host}");
            assert!(
                !allowed(&network, "[::ffff:127.0.0.1]:5432", host),
                "{host}"
            );
        }
    }

    #[test]
    fn the_runtime_api_is_reached_by_nobody_however_it_is_spelled() {
        for (api, addresses) in [
            (
                "[::1]:9001",
                [
                    "127.0.0.1:9001",
                    "[::1]:9001",
                    "127.0.0.2:9001",
                    "[::ffff:127.0.0.1]:9001",
                ],
            ),
            (
                "127.0.0.1:9001",
                [
                    "127.0.0.1:9001",
                    "[::1]:9001",
                    "127.0.0.2:9001",
                    "[::ffff:127.0.0.1]:9001",
                ],
            ),
            (
                "localhost:9001",
                [
                    "127.0.0.1:9001",
                    "0.0.0.0:9001",
                    "[::]:9001",
                    "[::ffff:0.0.0.0]:9001",
                ],
            ),
            (
                "169.254.100.1:9001",
                [
                    "169.254.100.1:9001",
                    "[::ffff:169.254.100.1]:9001",
                    "[64:ff9b::169.254.100.1]:9001",
                    "[2002:a9fe:6401::]:9001",
                ],
            ),
        ] {
            let network = network(api);
            for address in addresses {
                let parsed: SocketAddr = address.parse().unwrap();
                assert!(
                    !allowed(&network, address, &parsed.ip().to_string()),
                    "{api} {address}"
                );
                assert!(!allowed(&network, address, "localhost"), "{api} {address}");
            }
        }
    }
}
