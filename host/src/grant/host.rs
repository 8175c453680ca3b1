//! Whom a grant names: one host, the hosts below a domain, an address, a network.

use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;

/// The other end of connections, as a grant names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name, in lower case and without a dot at its end.
    Name(String),
    /// All names below a domain: `*.example.com`.
    Below(String),
    /// Any name.
    Any,
    /// An address.
    Address(IpAddr),
    /// All addresses of a network.
    Network(IpNet),
}

/// The longest name (RFC 1035, 2.3.4).
const NAME_BYTES_MAX: usize = 253;

impl Host {
    /// Reads a host: a name, `*.` and a domain, `*`, an address (of IPv6 in brackets or not), or a network.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let inner = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        let inner = inner.unwrap_or(text);
        if let Ok(address) = inner.parse::<IpAddr>() {
            return Ok(Self::Address(address));
        }
        if let Ok(network) = inner.parse::<IpNet>() {
            return Ok(Self::Network(network.trunc()));
        }
        if text == "*" {
            return Ok(Self::Any);
        }
        match text.strip_prefix("*.") {
            Some(domain) => name(domain).map(Self::Below),
            None => name(text).map(Self::Name),
        }
    }

    /// Whether a name, as a guest spells it, is meant.
    pub fn names(&self, asked: &str) -> bool {
        let asked = canonical(asked);
        match self {
            Self::Name(name) => *name == asked,
            Self::Below(domain) => asked
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            Self::Any => true,
            Self::Address(_) | Self::Network(_) => false,
        }
    }

    /// Whether an address is meant.
    pub fn covers(&self, address: IpAddr) -> bool {
        match self {
            Self::Address(own) => *own == address,
            Self::Network(network) => network.contains(&address),
            Self::Name(_) | Self::Below(_) | Self::Any => false,
        }
    }

    /// Whether whom a guest asks for, by name or by address, is meant.
    pub fn means(&self, asked: &str) -> bool {
        let inner = asked
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        match inner.unwrap_or(asked).parse::<IpAddr>() {
            Ok(address) => self.covers(address) || *self == Self::Any,
            Err(_) => self.names(asked),
        }
    }

    /// Whether a guarded address was named in full: itself, or this machine by its one well-known name.
    pub fn names_in_full(&self, address: IpAddr) -> bool {
        match self {
            Self::Address(own) => *own == address,
            Self::Name(name) => name == "localhost" && address.is_loopback(),
            Self::Below(_) | Self::Any | Self::Network(_) => false,
        }
    }

    /// Whether it is one name or one address, not several.
    pub fn is_one(&self) -> bool {
        matches!(self, Self::Name(_) | Self::Address(_))
    }

    /// The name, where it is one.
    pub fn as_name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Below(_) | Self::Any | Self::Address(_) | Self::Network(_) => None,
        }
    }

    /// Whether all that another means, this one means too.
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Name(name)) => self.names(name),
            (Self::Below(own), Self::Below(other)) => own == other || self.names(other),
            (_, Self::Address(address)) => self.covers(*address),
            (Self::Network(own), Self::Network(other)) => own.contains(other),
            (_, Self::Any | Self::Below(_) | Self::Network(_)) => false,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Below(domain) => write!(f, "*.{domain}"),
            Self::Any => f.write_str("*"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Network(network) => write!(f, "{network}"),
        }
    }
}

/// A name as it is compared.
pub fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn name(text: &str) -> Result<String, String> {
    let name = canonical(text);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let label = |label: &str| !label.is_empty() && label.len() <= 63 && label.chars().all(plain);
    if name.len() <= NAME_BYTES_MAX && name.split('.').all(label) {
        Ok(name)
    } else {
        Err(format!(
            "expected a host's name, `*.` and a domain, an address or a network such as `10.0.0.0/16`, got `{text}`"
        ))
    }
}

/// Splits `host:port`.
///
/// # Errors
/// What was expected.
pub fn host_and_port(text: &str) -> Result<(Host, u16), String> {
    let expected =
        || format!("expected a host and a port such as `db.example.com:5432`, got `{text}`");
    let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
    let port: u16 = port.parse().map_err(|_| expected())?;
    if port == 0 || host.is_empty() {
        return Err(expected());
    }
    Ok((Host::parse(host)?, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }

    #[test]
    fn a_host_is_a_name_a_domain_an_address_or_a_network() {
        assert_eq!(host("DB.Example.com."), Host::Name("db.example.com".into()));
        assert_eq!(host("*.example.com"), Host::Below("example.com".into()));
        assert!(matches!(host("10.0.0.1"), Host::Address(_)));
        assert!(matches!(host("[::1]"), Host::Address(_)));
        assert!(matches!(host("10.0.0.0/8"), Host::Network(_)));
        for wrong in [
            "",
            "a b",
            "a..b",
            "*.*",
            "a*",
            "http://x",
            "x/y",
            "é.example",
            "*.",
        ] {
            assert!(Host::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_domain_means_what_is_below_it_and_neither_itself_nor_its_neighbours() {
        let below = host("*.example.com");
        assert!(below.means("a.example.com") && below.means("a.b.Example.COM."));
        for other in [
            "example.com",
            ".example.com",
            "badexample.com",
            "example.com.evil.org",
            "10.0.0.1",
        ] {
            assert!(!below.means(other), "{other}");
        }
    }

    #[test]
    fn only_an_address_itself_or_localhost_names_a_guarded_one_in_full() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        assert!(
            host("127.0.0.1").names_in_full(loopback) && host("localhost").names_in_full(loopback)
        );
        for not in [
            "127.0.0.0/8",
            "*",
            "*.localhost",
            "127.0.0.2",
            "localhost.example",
            "::ffff:127.0.0.1",
        ] {
            assert!(!host(not).names_in_full(loopback), "{not}");
        }
        assert!(!host("localhost").names_in_full("169.254.169.254".parse().unwrap()));
    }

    #[test]
    fn containing_is_knowing_all_that_the_other_means() {
        for (wide, narrow) in [
            ("*", "a.example"),
            ("*.example", "a.example"),
            ("*.example", "*.b.example"),
            ("10.0.0.0/8", "10.1.0.0/16"),
            ("10.0.0.0/8", "10.1.2.3"),
            ("a.example", "A.example."),
        ] {
            assert!(host(wide).contains(&host(narrow)), "{wide} {narrow}");
            let same = host(wide) == host(narrow);
            assert!(
                same || !host(narrow).contains(&host(wide)),
                "{narrow} {wide}"
            );
        }
    }
}
