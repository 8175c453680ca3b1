//! The names by which one event found addresses: a guest connects to an address, a grant speaks of a name.

use std::collections::VecDeque;
use std::net::IpAddr;

/// What is remembered; the oldest goes first. Who connects to what it found long ago has its name looked up again.
const FOUND_MAX: usize = 1024;

/// Addresses and their names, the latest first.
#[derive(Debug, Default)]
pub(super) struct Found(VecDeque<(IpAddr, String)>);

impl Found {
    /// Remembers that a name led to an address.
    pub(super) fn remember(&mut self, address: IpAddr, name: &str) {
        self.0.retain(|(known, by)| *known != address || by != name);
        self.0.truncate(FOUND_MAX - 1);
        self.0.push_front((address, name.to_owned()));
    }

    /// The names that led to an address, the latest first.
    pub(super) fn names(&self, address: IpAddr) -> impl Iterator<Item = &str> {
        let found = self.0.iter().filter(move |(known, _)| *known == address);
        found.map(|(_, name)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn an_address_has_the_names_that_led_to_it_the_latest_first() {
        let mut found = Found::default();
        found.remember(address(1), "a.example");
        found.remember(address(2), "b.example");
        found.remember(address(1), "c.example");
        found.remember(address(1), "a.example");
        assert_eq!(
            found.names(address(1)).collect::<Vec<_>>(),
            ["a.example", "c.example"]
        );
        assert_eq!(found.names(address(3)).count(), 0);
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let mut found = Found::default();
        for n in 0..2 * FOUND_MAX {
            found.remember(address(1), &format!("{n}.example"));
        }
        assert_eq!(found.names(address(1)).count(), FOUND_MAX);
        assert_eq!(found.names(address(1)).next(), Some("2047.example"));
    }
}
