//! Addresses that no guest reaches by accident: this machine's own, the platform's metadata, whole groups of machines.
//! Where such an address is meant, a grant names it in full.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is guarded.
///
/// Sources: the registries of special addresses of IANA (RFC 6890), AWS's documentation of the instance metadata service
/// (169.254.169.254, fd00:ec2::254).
pub(super) fn guarded(address: IpAddr) -> Option<&'static str> {
    match plain(address) {
        IpAddr::V4(address) => guarded_v4(address),
        IpAddr::V6(address) => guarded_v6(address),
    }
}

fn guarded_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [first, ..] = address.octets();
    if address.is_loopback() {
        Some("loopback")
    } else if first == 0 {
        // The whole of 0.0.0.0/8 means "this machine" to some systems.
        Some("unspecified")
    } else if address.is_link_local() {
        Some("link-local")
    } else if address.is_multicast() {
        Some("multicast")
    } else if first >= 240 {
        Some("reserved")
    } else {
        None
    }
}

fn guarded_v6(address: Ipv6Addr) -> Option<&'static str> {
    let [first, second, ..] = address.segments();
    if address.is_loopback() {
        Some("loopback")
    } else if address.is_unspecified() {
        Some("unspecified")
    } else if first & 0xffc0 == 0xfe80 || first & 0xffc0 == 0xfec0 {
        Some("link-local")
    } else if address.is_multicast() {
        Some("multicast")
    } else if (first, second) == (0xfd00, 0x0ec2) {
        Some("the platform's metadata")
    } else {
        None
    }
}

/// An address as the one that packets for it go to: IPv4 in all the ways that IPv6 can spell it.
pub(super) fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let embedded = |high: u16, low: u16| {
        let [w, x] = high.to_be_bytes();
        let [y, z] = low.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(w, x, y, z))
    };
    match [a, b, c, d, e, f] {
        // Mapped (RFC 4291, 2.5.5.2), and translated (RFC 2765).
        [0, 0, 0, 0, 0, 0xffff] | [0, 0, 0, 0, 0xffff, 0] => embedded(g, h),
        // Compatible (RFC 4291, 2.5.5.1); `::` and `::1` are no IPv4.
        [0, 0, 0, 0, 0, 0] if g != 0 || h > 1 => embedded(g, h),
        // NAT64's well-known and local prefixes (RFC 6052, RFC 8215).
        [0x64, 0xff9b, 0, 0, 0, 0] | [0x64, 0xff9b, 1, _, _, _] => embedded(g, h),
        // 6to4 (RFC 3056).
        [0x2002, high, low, _, _, _] => embedded(high, low),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_and_the_platform_are_guarded_however_they_are_spelled() {
        for text in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.100.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd00:0ec2::23",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b:1::169.254.169.254",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "::ffff:0.0.0.0",
        ] {
            assert!(guarded(text.parse().unwrap()).is_some(), "{text}");
        }
    }

    #[test]
    fn private_and_public_addresses_are_not() {
        for text in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "8.8.8.8",
            "fd12::1",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            "64:ff9b::8.8.8.8",
        ] {
            assert_eq!(guarded(text.parse().unwrap()), None, "{text}");
        }
    }
}
