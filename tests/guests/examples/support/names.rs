//! The addresses of a name, by `wasi:sockets` with no library between.

mod raw {
    wit_bindgen::generate!({
        inline: "
            package test:names;
            world names {
                import wasi:sockets/instance-network@0.2.12;
                import wasi:sockets/ip-name-lookup@0.2.12;
            }
        ",
        path: "../../wit",
        world: "test:names/names",
        generate_all,
    });
}

use raw::wasi::sockets::instance_network::instance_network;
use raw::wasi::sockets::ip_name_lookup::resolve_addresses;
use raw::wasi::sockets::network::{ErrorCode, IpAddress};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All addresses of a name.
///
/// # Errors
/// The name of the `error-code`, as WIT spells it.
pub(crate) fn resolve(name: &str) -> Result<Vec<IpAddr>, &'static str> {
    let network = instance_network();
    let answers = resolve_addresses(&network, name).map_err(|code| code.name())?;
    let mut addresses = Vec::new();
    loop {
        match answers.resolve_next_address() {
            Ok(Some(address)) => addresses.push(plain(address)),
            Ok(None) => return Ok(addresses),
            Err(ErrorCode::WouldBlock) => answers.subscribe().block(),
            Err(code) => return Err(code.name()),
        }
    }
}

fn plain(address: IpAddress) -> IpAddr {
    match address {
        IpAddress::Ipv4((a, b, c, d)) => Ipv4Addr::new(a, b, c, d).into(),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => Ipv6Addr::new(a, b, c, d, e, f, g, h).into(),
    }
}
