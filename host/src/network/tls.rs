//! TLS by ring: whom to trust, and the handshake.

use crate::grant::Authorities;
use crate::grant::host::Host;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whom to trust. Clones share sessions, so that the next handshake is shorter.
#[derive(Debug, Clone)]
pub(super) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Authorities that this machine trusts.
    pub(super) fn of_this_machine() -> Result<Self, String> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            return Err("this machine has no certificates of authorities: install ca-certificates, or name a `ca`".to_owned());
        }
        Self::new(roots)
    }

    /// These authorities and no others.
    pub(super) fn of(authorities: &Authorities) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in authorities.iter() {
            let added = roots.add(certificate.clone());
            added.map_err(|error| format!("a certificate in `ca` cannot be used: {error}"))?;
        }
        Self::new(roots)
    }

    fn new(roots: RootCertStore) -> Result<Self, String> {
        // Named, not the process' default: another library could set that.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    /// Speaks TLS on a connection with whom a grant names.
    pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        host: &Host,
    ) -> io::Result<TlsStream<S>> {
        let name = match host {
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(io::Error::other)?,
            Host::Address(address) => ServerName::IpAddress((*address).into()),
            Host::Below(_) | Host::Any | Host::Network(_) => {
                return Err(io::Error::other(
                    "expected a name or an address to check the certificate for",
                ));
            }
        };
        TlsConnector::from(Arc::clone(&self.0))
            .connect(name, stream)
            .await
    }
}
