//! `tcp`: connections to a host and a port, in plain text or with TLS that the host speaks for the guest.

use super::host::{Host, host_and_port};
use super::{Entry, Problem};
use rustls::pki_types::CertificateDer;
use std::sync::Arc;

/// One grant of connections.
#[derive(Debug, Clone)]
pub struct TcpRule {
    /// The other end.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// Whether the host speaks TLS there, the guest none of it.
    pub tls: Option<Tls>,
}

/// How the host secures a connection of a guest.
#[derive(Debug, Clone)]
pub struct Tls {
    /// When it begins.
    pub start: TlsStart,
    /// Who may vouch for the other end; none: whom this machine trusts.
    pub authorities: Option<Authorities>,
}

/// When TLS begins on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsStart {
    /// At once.
    Direct,
    /// After PostgreSQL's request for it.
    Postgres,
}

/// Certificates of authorities.
pub type Authorities = Arc<[CertificateDer<'static>]>;

impl TcpRule {
    pub(super) fn new(entry: &Entry) -> Result<Self, Problem> {
        let (host, port) = host_and_port(&entry.to)?;
        let tls = match entry.tls.as_deref() {
            None => None,
            Some("direct") => Some(TlsStart::Direct),
            Some("postgres") => Some(TlsStart::Postgres),
            Some(other) => {
                return Err(format!(
                    "expected tls to be `direct` or `postgres`, got `{other}`"
                ));
            }
        };
        if tls.is_some() && !matches!(host, Host::Name(_) | Host::Address(_)) {
            return Err("expected one name or one address where there is TLS: its certificate is checked for it".into());
        }
        if tls.is_none() && entry.ca.is_some() {
            return Err("expected `tls` beside `ca`".into());
        }
        Ok(Self {
            host,
            port,
            tls: tls.map(|start| Tls {
                start,
                authorities: entry.authorities.clone(),
            }),
        })
    }

    /// Whether all that another allows, this one allows too.
    pub(super) fn contains(&self, other: &Self) -> bool {
        self.host.contains(&other.host)
            && self.port == other.port
            // An operator who asks for TLS means it.
            && (self.tls.is_none() || other.tls.is_some())
    }
}
