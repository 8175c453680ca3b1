//! Which grants a connection may fall under. Asks nobody, connects nothing.

use crate::grant::TcpRule;
use crate::grant::host::Host;
use std::net::SocketAddr;

/// The grants that mean an address: those for the names by which it was found, in their order, then those for the address
/// itself. Of each, a grant of one host comes before a grant of many, so that TLS which is asked for one is not lost to
/// a wider grant without it.
pub(super) fn candidates<'r>(
    rules: &'r [TcpRule],
    address: SocketAddr,
    names: &[String],
) -> Vec<&'r TcpRule> {
    let by_name = names.iter().flat_map(|name| {
        let naming = at_port(rules, address).filter(|rule| rule.host.names(name));
        closest_first(naming)
    });
    let by_address = at_port(rules, address)
        .filter(|rule| rule.host.covers(address.ip()) || rule.host == Host::Any);
    by_name.chain(closest_first(by_address)).collect()
}

/// The grants of one name at the port of an address, each with the name: the address may be one of its own.
pub(super) fn named(
    rules: &[TcpRule],
    address: SocketAddr,
) -> impl Iterator<Item = (&TcpRule, &str)> {
    at_port(rules, address).filter_map(|rule| Some((rule, rule.host.as_name()?)))
}

fn at_port(rules: &[TcpRule], address: SocketAddr) -> impl Iterator<Item = &TcpRule> {
    rules.iter().filter(move |rule| rule.port == address.port())
}

fn closest_first<'r>(rules: impl Iterator<Item = &'r TcpRule>) -> Vec<&'r TcpRule> {
    let mut rules: Vec<_> = rules.collect();
    rules.sort_by_key(|rule| match rule.host {
        Host::Name(_) | Host::Address(_) => 0,
        Host::Below(_) | Host::Network(_) => 1,
        Host::Any => 2,
    });
    rules
}

#[cfg(test)]
mod tests {
    use super::super::tests::rules;
    use super::*;

    fn chosen(grants: &[&str], address: &str, names: &[&str]) -> Vec<String> {
        let rules = rules(grants);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let chosen = candidates(&rules, address.parse().unwrap(), &names);
        chosen.iter().map(|rule| rule.host.to_string()).collect()
    }

    #[test]
    fn a_connection_falls_under_grants_of_its_port_for_its_names_or_its_address() {
        type Case<'c> = (&'c [&'c str], &'c str, &'c [&'c str], &'c [&'c str]);
        let cases: [Case<'_>; 9] = [
            (
                &["db.example:5432"],
                "10.0.0.1:5432",
                &["db.example"],
                &["db.example"],
            ),
            (&["db.example:5432"], "10.0.0.1:5432", &[], &[]),
            (&["db.example:5432"], "10.0.0.1:5433", &["db.example"], &[]),
            (
                &["db.example:5432"],
                "10.0.0.1:5432",
                &["other.example"],
                &[],
            ),
            (
                &["*.example:5432"],
                "10.0.0.1:5432",
                &["db.example"],
                &["*.example"],
            ),
            (&["10.0.0.0/8:5432"], "10.0.0.1:5432", &[], &["10.0.0.0/8"]),
            (&["10.0.0.0/8:5432"], "11.0.0.1:5432", &["db.example"], &[]),
            (&["*:5432"], "10.0.0.1:5432", &[], &["*"]),
            (
                &["[2001:db8::1]:5432"],
                "[2001:db8::1]:5432",
                &[],
                &["[2001:db8::1]"],
            ),
        ];
        for (grants, address, names, expected) in cases {
            assert_eq!(
                chosen(grants, address, names),
                expected,
                "{grants:?} {address} {names:?}"
            );
        }
    }

    #[test]
    fn the_name_found_last_comes_first_and_one_host_before_many() {
        let grants = [
            "*:1",
            "*.example:1",
            "10.0.0.1:1",
            "a.example:1",
            "b.example:1",
        ];
        let address = "10.0.0.1:1";
        assert_eq!(
            chosen(&grants, address, &["b.example", "a.example"])[0],
            "b.example"
        );
        assert_eq!(
            chosen(&grants, address, &["a.example", "b.example"])[0],
            "a.example"
        );
        assert_eq!(chosen(&grants, address, &["c.example"])[0], "*.example");
        assert_eq!(chosen(&grants, address, &["c.other"])[0], "*");
        assert_eq!(chosen(&grants, address, &[]), ["10.0.0.1", "*"]);
    }

    #[test]
    fn only_grants_of_one_name_are_looked_up_again() {
        let rules = rules(&[
            "*:1",
            "*.example:1",
            "10.0.0.1:1",
            "a.example:1",
            "b.example:2",
        ]);
        let named: Vec<_> = named(&rules, "10.0.0.9:1".parse().unwrap()).collect();
        assert!(matches!(named[..], [(_, "a.example")]), "{named:?}");
    }
}
