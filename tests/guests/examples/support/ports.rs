//! What a function is not for, by `wasi:sockets` with no library between: waiting for connections, and datagrams.

mod raw {
    wit_bindgen::generate!({
        inline: "
            package test:ports;
            world ports {
                import wasi:sockets/instance-network@0.2.12;
                import wasi:sockets/tcp@0.2.12;
                import wasi:sockets/tcp-create-socket@0.2.12;
                import wasi:sockets/udp@0.2.12;
                import wasi:sockets/udp-create-socket@0.2.12;
            }
        ",
        path: "../../wit",
        world: "test:ports/ports",
        generate_all,
    });
}

use raw::wasi::sockets::instance_network::instance_network;
use raw::wasi::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use raw::wasi::sockets::tcp_create_socket::create_tcp_socket;
use raw::wasi::sockets::udp::OutgoingDatagram;
use raw::wasi::sockets::udp_create_socket::create_udp_socket;
use std::net::Ipv4Addr;

/// Binds to an address and listens there.
///
/// # Errors
/// The name of the `error-code`, as WIT spells it.
pub(crate) fn listen(address: Ipv4Addr, port: u16) -> Result<(), &'static str> {
    let listening = || -> Result<(), ErrorCode> {
        let network = instance_network();
        let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
        socket.start_bind(&network, at(address, port))?;
        socket.finish_bind()?;
        socket.start_listen()?;
        socket.finish_listen()
    };
    listening().map_err(|code| code.name())
}

/// Sends one datagram.
///
/// # Errors
/// As [`listen`].
pub(crate) fn send_to(address: Ipv4Addr, port: u16) -> Result<(), &'static str> {
    let sending = || -> Result<(), ErrorCode> {
        let network = instance_network();
        let socket = create_udp_socket(IpAddressFamily::Ipv4)?;
        socket.start_bind(&network, at(Ipv4Addr::UNSPECIFIED, 0))?;
        socket.finish_bind()?;
        let (_incoming, outgoing) = socket.stream(None)?;
        outgoing.check_send()?;
        let datagram = OutgoingDatagram {
            data: b"hello".to_vec(),
            remote_address: Some(at(address, port)),
        };
        outgoing.send(&[datagram])?;
        Ok(())
    };
    sending().map_err(|code| code.name())
}

fn at(address: Ipv4Addr, port: u16) -> IpSocketAddress {
    let [a, b, c, d] = address.octets();
    IpSocketAddress::Ipv4(Ipv4SocketAddress {
        port,
        address: (a, b, c, d),
    })
}
