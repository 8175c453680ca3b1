//! `wasi:sockets/ip-name-lookup`: the addresses of names that a grant means, without those that are guarded.

use super::bindings::wasi::sockets::ip_name_lookup::{
    Host as LookupHost, HostResolveAddressStream,
};
use super::work::{Work, no_waiting};
use super::{Connections, View};
use crate::grant::TcpRule;
use crate::grant::host::Host;
use crate::meter::{Kind, Meter};
use crate::network::{DialError, Network};
use crate::reach::Reach;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::vec::IntoIter;
use tokio::sync::Semaphore;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress, Network as Capability};
use wasmtime_wasi::p2::{DynPollable, Pollable, SocketResult, subscribe};

/// Lookups of one event at a time: the system's resolver takes a thread for each.
const AT_ONCE: usize = 8;

/// Asks for the addresses of names. Clones count together.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    network: Network,
    places: Arc<Semaphore>,
}

impl Resolver {
    pub(super) fn new(network: Network) -> Self {
        Self {
            network,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// The addresses of a name, none of them IPv4 in IPv6's clothes.
    pub(super) async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, DialError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let (network, asked) = (self.network.clone(), name.to_owned());
        // In a task that nobody stops: the system's resolver goes on whoever still listens, so its place stays taken.
        let lookup = tokio::spawn(async move {
            let found = network.resolve(&asked).await;
            drop(place);
            found
        });
        let found = lookup.await.unwrap_or_else(|error| {
            Err(DialError::Lookup {
                name: name.to_owned(),
                problem: error.to_string(),
            })
        })?;
        Ok(found.iter().map(IpAddr::to_canonical).collect())
    }
}

/// The addresses of one name, as a guest goes through them.
#[expect(unreachable_pub, reason = "generated code exports it again")]
pub struct Lookup {
    /// None where an address was written out: such a one is granted or not by itself.
    name: Option<String>,
    work: Work<Result<IntoIter<IpAddr>, ErrorCode>>,
}

impl Connections {
    fn lookup(&self, asked: &str) -> Result<Lookup, ErrorCode> {
        let name = match Host::parse(asked) {
            Ok(Host::Name(name)) => name,
            Ok(Host::Address(address)) => {
                let found = vec![address.to_canonical()].into_iter();
                let work = Work::Done(Ok(found));
                return Ok(Lookup { name: None, work });
            }
            Ok(Host::Below(_) | Host::Any | Host::Network(_)) | Err(_) => {
                return Err(ErrorCode::InvalidArgument);
            }
        };
        if !self.reach.tcp.iter().any(|rule| rule.host.names(&name)) {
            self.meter.denied(Kind::Tcp, &format!("lookup of {name}"));
            return Err(ErrorCode::AccessDenied);
        }
        let search = Search {
            reach: Arc::clone(&self.reach),
            meter: self.meter.clone(),
            resolver: self.resolver.clone(),
            name: name.clone(),
        };
        Ok(Lookup {
            name: Some(name),
            work: Work::start(search.run()),
        })
    }
}

struct Search {
    reach: Arc<Reach>,
    meter: Meter,
    resolver: Resolver,
    name: String,
}

impl Search {
    async fn run(self) -> Result<IntoIter<IpAddr>, ErrorCode> {
        let found = self.resolver.resolve(&self.name).await.map_err(|error| {
            self.meter.noted(Kind::Tcp, &error.to_string());
            ErrorCode::NameUnresolvable
        })?;
        let network = self.reach.outside.network();
        let rules = self.reach.tcp.iter();
        let rules: Vec<_> = rules.filter(|rule| rule.host.names(&self.name)).collect();
        let allowed = allowed(network, &rules, found).map_err(|error| {
            let target = format!("lookup of {}, {error}", self.name);
            self.meter.denied(Kind::Tcp, &target);
            ErrorCode::AccessDenied
        })?;
        Ok(allowed.into_iter())
    }
}

/// The addresses that some rule lets a guest connect to.
fn allowed(
    network: &Network,
    rules: &[&TcpRule],
    found: Vec<IpAddr>,
) -> Result<Vec<IpAddr>, DialError> {
    let mut allowed = Vec::new();
    let mut refused = DialError::Denied;
    for address in found {
        let checks = rules
            .iter()
            .map(|rule| network.check(SocketAddr::new(address, rule.port), &rule.host));
        match checks.reduce(Result::or) {
            Some(Ok(())) => allowed.push(address),
            Some(Err(error)) => refused = error,
            None => {}
        }
    }
    if allowed.is_empty() {
        return Err(refused);
    }
    Ok(allowed)
}

impl LookupHost for View<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Capability>,
        name: String,
    ) -> SocketResult<Resource<Lookup>> {
        // All that a network is for: to be had.
        self.table.get(&network)?;
        let lookup = self.connections.lookup(&name)?;
        Ok(self.table.push(lookup)?)
    }
}

impl HostResolveAddressStream for View<'_> {
    fn resolve_next_address(&mut self, this: Resource<Lookup>) -> SocketResult<Option<IpAddress>> {
        let lookup = self.table.get_mut(&this)?;
        let Poll::Ready(found) = lookup.work.poll(&mut no_waiting()) else {
            return Err(ErrorCode::WouldBlock.into());
        };
        let next = found.as_mut().map_err(|code| *code)?.next();
        if let (Some(address), Some(name)) = (next, &lookup.name) {
            self.connections.found.remember(address, name);
        }
        Ok(next.map(IpAddress::from))
    }

    fn subscribe(&mut self, this: Resource<Lookup>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, this)
    }

    fn drop(&mut self, this: Resource<Lookup>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

#[async_trait::async_trait]
impl Pollable for Lookup {
    async fn ready(&mut self) {
        self.work.ready().await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{connections, rules};
    use super::*;

    fn found(grants: &[&str], addresses: &[&str]) -> Result<Vec<String>, DialError> {
        let rules = rules(grants);
        let rules: Vec<_> = rules.iter().collect();
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        let allowed = allowed(&Network::default(), &rules, addresses.collect())?;
        Ok(allowed.iter().map(IpAddr::to_string).collect())
    }

    #[test]
    fn guarded_addresses_are_left_out_unless_one_grant_names_them_in_full() {
        let both = ["10.0.0.1", "127.0.0.1"];
        assert_eq!(found(&["db.example:1"], &both).unwrap(), ["10.0.0.1"]);
        assert_eq!(found(&["*:1", "localhost:1"], &both).unwrap(), both);
        let refused = found(&["db.example:1", "*:2"], &["127.0.0.1"]);
        assert!(
            matches!(refused, Err(DialError::Guarded { .. })),
            "{refused:?}"
        );
    }

    #[test]
    fn only_names_that_a_grant_means_are_looked_up() {
        let connections = connections(&["db.example:5432", "*.internal:80"]);
        for name in ["other.example", "example", "internal", "localhost"] {
            let refused = connections.lookup(name).err();
            assert_eq!(refused, Some(ErrorCode::AccessDenied), "{name}");
        }
        for name in [
            "",
            "*",
            "*.internal",
            "10.0.0.0/8",
            "user:word@db.example",
            "db.exämple",
        ] {
            let refused = connections.lookup(name).err();
            assert_eq!(refused, Some(ErrorCode::InvalidArgument), "{name}");
        }
        assert_eq!(connections.meter.account().denied(), 4);
    }

    #[test]
    fn an_address_is_its_own_answer_and_nothing_to_remember() {
        let connections = connections(&["db.example:5432"]);
        for (asked, answer) in [
            ("10.0.0.1", "10.0.0.1"),
            ("[::1]", "::1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
        ] {
            let lookup = connections.lookup(asked).ok().unwrap();
            let Work::Done(Ok(found)) = lookup.work else {
                panic!("{asked} was looked up");
            };
            assert_eq!(lookup.name, None);
            assert_eq!(
                found.map(|found| found.to_string()).collect::<Vec<_>>(),
                [answer]
            );
        }
    }
}
