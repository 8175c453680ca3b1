//! A TCP connection by `wasi:sockets`, with no library between: blocking, and read and written as `std::io` has it.
//! Knows nothing of what goes over it.

mod raw {
    wit_bindgen::generate!({
        inline: "
            package test:sockets;
            world sockets {
                import wasi:sockets/instance-network@0.2.12;
                import wasi:sockets/ip-name-lookup@0.2.12;
                import wasi:sockets/tcp@0.2.12;
                import wasi:sockets/tcp-create-socket@0.2.12;
            }
        ",
        path: "../../wit",
        world: "test:sockets/sockets",
        generate_all,
    });
}

use raw::wasi::io::streams::{InputStream, OutputStream, StreamError};
use raw::wasi::sockets::instance_network::instance_network;
use raw::wasi::sockets::ip_name_lookup::resolve_addresses;
use raw::wasi::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
    Network,
};
use raw::wasi::sockets::tcp::TcpSocket;
use raw::wasi::sockets::tcp_create_socket::create_tcp_socket;
use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;

/// The most that `blocking-write-and-flush` takes at once.
const WRITE_BYTES_MAX: usize = 4096;

/// A connection that is open; closed when dropped.
pub(crate) struct Connection {
    // In the order they must go in: a socket with streams left is a broken contract.
    input: InputStream,
    output: OutputStream,
    _socket: TcpSocket,
}

/// Connects to a host, by its address or its name, at the first address that answers.
///
/// # Errors
/// The name of the last address's `error-code`, as WIT spells it: `access-denied`.
pub(crate) fn connect(host: &str, port: u16) -> Result<Connection, &'static str> {
    let network = instance_network();
    let addresses = addresses(&network, host).map_err(|code| code.name())?;
    let mut last = ErrorCode::NameUnresolvable;
    for address in addresses {
        match dial(&network, address, port) {
            Ok(connection) => return Ok(connection),
            Err(code) => last = code,
        }
    }
    Err(last.name())
}

fn addresses(network: &Network, host: &str) -> Result<Vec<IpAddress>, ErrorCode> {
    if let Ok(address) = host.parse() {
        return Ok(vec![as_wasi(address)]);
    }
    let answers = resolve_addresses(network, host)?;
    let mut addresses = Vec::new();
    loop {
        match answers.resolve_next_address() {
            Ok(Some(address)) => addresses.push(address),
            Ok(None) => return Ok(addresses),
            Err(ErrorCode::WouldBlock) => answers.subscribe().block(),
            Err(code) => return Err(code),
        }
    }
}

fn as_wasi(address: IpAddr) -> IpAddress {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            IpAddress::Ipv4((a, b, c, d))
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h] = address.segments();
            IpAddress::Ipv6((a, b, c, d, e, f, g, h))
        }
    }
}

fn dial(network: &Network, address: IpAddress, port: u16) -> Result<Connection, ErrorCode> {
    let (family, remote) = match address {
        IpAddress::Ipv4(address) => (
            IpAddressFamily::Ipv4,
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address }),
        ),
        IpAddress::Ipv6(address) => (
            IpAddressFamily::Ipv6,
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port,
                flow_info: 0,
                address,
                scope_id: 0,
            }),
        ),
    };
    let socket = create_tcp_socket(family)?;
    socket.start_connect(network, remote)?;
    loop {
        match socket.finish_connect() {
            Ok((input, output)) => {
                return Ok(Connection {
                    input,
                    output,
                    _socket: socket,
                });
            }
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            Err(code) => return Err(code),
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() {
            match self.input.blocking_read(buffer.len() as u64) {
                // No bytes are no end: that is `closed`.
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => {
                    buffer[..bytes.len()].copy_from_slice(&bytes);
                    return Ok(bytes.len());
                }
                Err(StreamError::Closed) => break,
                Err(StreamError::LastOperationFailed(error)) => {
                    return Err(io::Error::other(error.to_debug_string()));
                }
            }
        }
        Ok(0)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = &bytes[..bytes.len().min(WRITE_BYTES_MAX)];
        match self.output.blocking_write_and_flush(part) {
            Ok(()) => Ok(part.len()),
            Err(StreamError::Closed) => Err(ErrorKind::BrokenPipe.into()),
            Err(StreamError::LastOperationFailed(error)) => {
                Err(io::Error::other(error.to_debug_string()))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
