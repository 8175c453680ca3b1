//! One socket of a guest, from being made to being connected.

use super::bindings::wasi::sockets::tcp::ShutdownType;
use super::dial::Attempt;
use super::option::Options;
use super::stream::{Input, Output, streams};
use super::work::{Work, no_waiting};
use crate::meter::Meter;
use crate::network::Stream;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::Poll;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime_wasi::p2::Pollable;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily};

/// A socket, of which there are only so many at a time.
#[expect(unreachable_pub, reason = "generated code exports it again")]
pub struct Socket {
    pub(super) family: IpAddressFamily,
    pub(super) options: Options,
    state: State,
    _place: OwnedSemaphorePermit,
}

enum State {
    Unbound,
    Binding,
    /// Bound to whatever the system will choose; all that this host lets a guest ask for.
    Bound,
    Connecting {
        remote: SocketAddr,
        work: Work<Result<Box<dyn Stream>, ErrorCode>>,
    },
    Connected {
        remote: SocketAddr,
        input: Input,
        output: Output,
    },
    Closed,
}

impl Socket {
    pub(super) fn new(family: IpAddressFamily, place: OwnedSemaphorePermit) -> Self {
        Self {
            family,
            options: Options::default(),
            state: State::Unbound,
            _place: place,
        }
    }

    /// Binds to whatever the system will choose, as a libc may ask before it connects.
    pub(super) fn start_bind(&mut self, local: SocketAddr) -> Result<(), ErrorCode> {
        match self.state {
            State::Unbound => {}
            State::Binding | State::Connecting { .. } => {
                return Err(ErrorCode::ConcurrencyConflict);
            }
            State::Bound | State::Connected { .. } | State::Closed => {
                return Err(ErrorCode::InvalidState);
            }
        }
        if !is_of(self.family, local.ip()) {
            return Err(ErrorCode::InvalidArgument);
        }
        if local != self.unspecified() {
            return Err(ErrorCode::AccessDenied);
        }
        self.state = State::Binding;
        Ok(())
    }

    pub(super) fn finish_bind(&mut self) -> Result<(), ErrorCode> {
        if !matches!(self.state, State::Binding) {
            return Err(ErrorCode::NotInProgress);
        }
        self.state = State::Bound;
        Ok(())
    }

    /// Whether it could connect to an address now, were that granted.
    pub(super) fn check_connect(&self, remote: SocketAddr) -> Result<(), ErrorCode> {
        match self.state {
            State::Unbound | State::Bound => {}
            State::Binding | State::Connecting { .. } => {
                return Err(ErrorCode::ConcurrencyConflict);
            }
            State::Connected { .. } | State::Closed => return Err(ErrorCode::InvalidState),
        }
        if is_of(self.family, remote.ip()) && is_one_host(remote.ip()) && remote.port() != 0 {
            Ok(())
        } else {
            Err(ErrorCode::InvalidArgument)
        }
    }

    pub(super) fn start_connect(&mut self, attempt: Attempt) {
        self.state = State::Connecting {
            remote: attempt.address,
            work: Work::start(attempt.dial()),
        };
    }

    pub(super) fn finish_connect(&mut self, meter: &Meter) -> Result<(Input, Output), ErrorCode> {
        let State::Connecting { remote, work } = &mut self.state else {
            return Err(ErrorCode::NotInProgress);
        };
        let Poll::Ready(dialled) = work.poll(&mut no_waiting()) else {
            return Err(ErrorCode::WouldBlock);
        };
        let (remote, dialled) = (*remote, mem::replace(dialled, Err(ErrorCode::InvalidState)));
        self.state = State::Closed;
        let (input, output) = streams(dialled?, meter);
        self.state = State::Connected {
            remote,
            input: input.clone(),
            output: output.clone(),
        };
        Ok((input, output))
    }

    /// Where it is bound; to which of this machine's addresses is not for guests.
    pub(super) fn local(&self) -> Result<SocketAddr, ErrorCode> {
        match self.state {
            State::Bound | State::Connected { .. } => Ok(self.unspecified()),
            State::Unbound | State::Binding | State::Connecting { .. } | State::Closed => {
                Err(ErrorCode::InvalidState)
            }
        }
    }

    pub(super) fn remote(&self) -> Result<SocketAddr, ErrorCode> {
        match self.state {
            State::Connected { remote, .. } => Ok(remote),
            State::Unbound
            | State::Binding
            | State::Bound
            | State::Connecting { .. }
            | State::Closed => Err(ErrorCode::InvalidState),
        }
    }

    /// Whether how many wait for it could matter yet.
    pub(super) fn check_backlog(&self) -> Result<(), ErrorCode> {
        match self.state {
            State::Unbound | State::Binding | State::Bound => Ok(()),
            State::Connecting { .. } | State::Connected { .. } | State::Closed => {
                Err(ErrorCode::InvalidState)
            }
        }
    }

    pub(super) fn shutdown(&self, what: ShutdownType) -> Result<(), ErrorCode> {
        let State::Connected { input, output, .. } = &self.state else {
            return Err(ErrorCode::InvalidState);
        };
        if let ShutdownType::Receive | ShutdownType::Both = what {
            input.close();
        }
        if let ShutdownType::Send | ShutdownType::Both = what {
            output.end();
        }
        Ok(())
    }

    /// Lets go: what was written leaves, the other end hears that this is all.
    pub(super) async fn close(self) {
        if let State::Connected { output, .. } = self.state {
            output.end();
            output.last_bytes().await;
        }
    }

    fn unspecified(&self) -> SocketAddr {
        let address: IpAddr = match self.family {
            IpAddressFamily::Ipv4 => Ipv4Addr::UNSPECIFIED.into(),
            IpAddressFamily::Ipv6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        SocketAddr::new(address, 0)
    }
}

#[async_trait::async_trait]
impl Pollable for Socket {
    async fn ready(&mut self) {
        if let State::Connecting { work, .. } = &mut self.state {
            work.ready().await;
        }
    }
}

/// Whether an address is of a family; those that are IPv4 in IPv6's clothes are of none, as `wasi:sockets` says.
fn is_of(family: IpAddressFamily, address: IpAddr) -> bool {
    match (family, address) {
        (IpAddressFamily::Ipv4, IpAddr::V4(_)) => true,
        (IpAddressFamily::Ipv6, IpAddr::V6(address)) => {
            address.is_unspecified() || address.is_loopback() || address.to_ipv4().is_none()
        }
        (IpAddressFamily::Ipv4, IpAddr::V6(_)) | (IpAddressFamily::Ipv6, IpAddr::V4(_)) => false,
    }
}

fn is_one_host(address: IpAddr) -> bool {
    let is_broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    !address.is_unspecified() && !address.is_multicast() && !is_broadcast
}

#[cfg(test)]
mod tests {
    use super::super::tests::connections;
    use super::*;
    use tokio::net::TcpListener;

    const V4: IpAddressFamily = IpAddressFamily::Ipv4;
    const V6: IpAddressFamily = IpAddressFamily::Ipv6;

    fn socket(family: IpAddressFamily) -> Socket {
        connections(&["db.example:5432"]).socket(family).unwrap()
    }

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn only_one_host_of_the_sockets_own_family_is_connected_to() {
        for (family, address) in [(V4, "10.0.0.1:1"), (V6, "[2001:db8::1]:1"), (V6, "[::1]:1")] {
            assert_eq!(
                socket(family).check_connect(at(address)),
                Ok(()),
                "{address}"
            );
        }
        for (family, address) in [
            (V4, "10.0.0.1:0"),
            (V4, "0.0.0.0:1"),
            (V4, "224.0.0.1:1"),
            (V4, "255.255.255.255:1"),
            (V4, "[::1]:1"),
            (V6, "10.0.0.1:1"),
            (V6, "[::]:1"),
            (V6, "[ff02::1]:1"),
            (V6, "[::ffff:10.0.0.1]:1"),
            (V6, "[::10.0.0.1]:1"),
        ] {
            let refused = socket(family).check_connect(at(address));
            assert_eq!(refused, Err(ErrorCode::InvalidArgument), "{address}");
        }
    }

    #[test]
    fn a_socket_binds_once_and_to_nothing_in_particular() {
        let mut socket = socket(V4);
        assert_eq!(
            socket.start_bind(at("[::]:0")),
            Err(ErrorCode::InvalidArgument)
        );
        for address in ["0.0.0.0:80", "127.0.0.1:0", "10.0.0.1:80"] {
            assert_eq!(
                socket.start_bind(at(address)),
                Err(ErrorCode::AccessDenied),
                "{address}"
            );
        }
        assert_eq!(socket.finish_bind(), Err(ErrorCode::NotInProgress));
        assert_eq!(socket.start_bind(at("0.0.0.0:0")), Ok(()));
        assert_eq!(socket.finish_bind(), Ok(()));
        assert_eq!(
            socket.start_bind(at("0.0.0.0:0")),
            Err(ErrorCode::InvalidState)
        );
        assert_eq!(socket.check_connect(at("10.0.0.1:1")), Ok(()));
    }

    #[tokio::test]
    async fn a_connection_is_had_once_and_knows_its_other_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let remote = listener.local_addr().unwrap();
        let connections = connections(&[&remote.to_string()]);
        let mut socket = connections.socket(V4).unwrap();
        assert_eq!(socket.remote(), Err(ErrorCode::InvalidState));
        socket.start_connect(connections.attempt(remote));
        assert_eq!(
            socket.check_connect(remote),
            Err(ErrorCode::ConcurrencyConflict)
        );
        socket.ready().await;
        assert!(socket.finish_connect(&connections.meter).is_ok());
        assert_eq!(
            socket.finish_connect(&connections.meter).err(),
            Some(ErrorCode::NotInProgress)
        );
        assert_eq!(socket.remote(), Ok(remote));
        assert_eq!(socket.shutdown(ShutdownType::Both), Ok(()));
    }

    #[tokio::test]
    async fn a_socket_that_failed_to_connect_is_closed() {
        let connections = connections(&["db.example:5432"]);
        let mut socket = connections.socket(V4).unwrap();
        socket.start_connect(connections.attempt(at("10.0.0.1:1")));
        socket.ready().await;
        let refused = socket.finish_connect(&connections.meter).err();
        assert_eq!(refused, Some(ErrorCode::AccessDenied));
        assert_eq!(
            socket.check_connect(at("10.0.0.1:1")),
            Err(ErrorCode::InvalidState)
        );
    }
}
