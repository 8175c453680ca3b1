//! `wasi:sockets/{tcp, tcp-create-socket, ip-name-lookup}`: connections that a grant allows, with TLS where it says so. The
//! guest sees plain bytes. It only connects: nothing listens, and UDP stays with wasmtime's own, which refuses it.

mod bindings;
mod dial;
mod found;
mod lookup;
mod option;
mod rule;
mod socket;
mod stream;
mod tcp;
mod work;

use crate::meter::{Kind, Meter};
use crate::reach::Reach;
use bindings::wasi::sockets::{ip_name_lookup, tcp as tcp_interface, tcp_create_socket};
use dial::Attempt;
use found::Found;
use lookup::Resolver;
use socket::Socket;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddressFamily, Network};
use wasmtime_wasi::p2::{IoError, SocketError, SocketResult};

/// Sockets of one event at a time; a pool of connections has some tens.
const AT_ONCE: usize = 64;

/// One event's connections.
pub(crate) struct Connections {
    reach: Arc<Reach>,
    meter: Meter,
    resolver: Resolver,
    found: Found,
    places: Arc<Semaphore>,
}

impl Connections {
    pub(crate) fn new(reach: Arc<Reach>, meter: Meter) -> Self {
        Self {
            resolver: Resolver::new(reach.outside.network().clone()),
            reach,
            meter,
            found: Found::default(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    fn socket(&self, family: IpAddressFamily) -> Result<Socket, ErrorCode> {
        if self.reach.tcp.is_empty() {
            self.meter.denied(Kind::Tcp, "any connection");
            return Err(ErrorCode::AccessDenied);
        }
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| ErrorCode::NewSocketLimit)?;
        Ok(Socket::new(family, place))
    }

    fn attempt(&self, address: SocketAddr) -> Attempt {
        Attempt {
            reach: Arc::clone(&self.reach),
            meter: self.meter.clone(),
            resolver: self.resolver.clone(),
            address,
            names: self.found.names(address.ip()).map(str::to_owned).collect(),
        }
    }
}

/// One event's connections, and the table of what the guest holds of them.
pub(crate) struct View<'a> {
    pub(crate) connections: &'a mut Connections,
    pub(crate) table: &'a mut ResourceTable,
}

struct Has;

impl HasData for Has {
    type Data<'a> = View<'a>;
}

pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> View<'_>,
) -> wasmtime::Result<()> {
    tcp_interface::add_to_linker::<T, Has>(linker, view)?;
    tcp_create_socket::add_to_linker::<T, Has>(linker, view)?;
    ip_name_lookup::add_to_linker::<T, Has>(linker, view)
}

impl tcp_create_socket::Host for View<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<Socket>> {
        let socket = self.connections.socket(family)?;
        Ok(self.table.push(socket)?)
    }
}

/// Asked for by the generated code, which turns errors into codes by it; guests reach wasmtime's own.
impl network::Host for View<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(&mut self, _: Resource<IoError>) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(None)
    }
}

impl network::HostNetwork for View<'_> {
    fn drop(&mut self, this: Resource<Network>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Identity;
    use crate::grant::TcpRule;
    use crate::grant::host::host_and_port;
    use crate::meter::Refusals;
    use crate::telemetry::{Format, Log, Memory, Scope};

    pub(super) fn meter() -> Meter {
        let log = Log::new(Format::Json, crate::error::Level::Info, Memory::default()).unwrap();
        Meter::new(
            Refusals::default(),
            log,
            Scope::of(&Identity::default(), "r-1"),
        )
    }

    pub(super) fn rules(texts: &[&str]) -> Vec<TcpRule> {
        let rule = |text: &&str| {
            let (host, port) = host_and_port(text).unwrap();
            TcpRule {
                host,
                port,
                tls: None,
            }
        };
        texts.iter().map(rule).collect()
    }

    pub(super) fn connections(grants: &[&str]) -> Connections {
        let reach = Reach {
            tcp: rules(grants).into(),
            ..Reach::default()
        };
        Connections::new(Arc::new(reach), meter())
    }

    #[test]
    fn a_guest_without_a_grant_gets_no_socket() {
        let connections = connections(&[]);
        let refused = connections.socket(IpAddressFamily::Ipv4).err();
        assert_eq!(refused, Some(ErrorCode::AccessDenied));
        assert_eq!(connections.meter.account().denied(), 1);
    }

    #[test]
    fn sockets_are_had_up_to_the_limit_and_again_when_one_is_gone() {
        let connections = connections(&["db.example:5432"]);
        let socket = || connections.socket(IpAddressFamily::Ipv6);
        let mut sockets: Vec<_> = (0..AT_ONCE).map(|_| socket().unwrap()).collect();
        assert_eq!(socket().err(), Some(ErrorCode::NewSocketLimit));
        sockets.pop();
        assert!(socket().is_ok());
    }
}
