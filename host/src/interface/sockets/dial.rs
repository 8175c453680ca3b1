//! One attempt to connect: which grant it falls under, whether that allows the address, then the connection. All of it goes
//! on beside the guest, and before its end nothing of the guest's has left.

use super::lookup::Resolver;
use super::rule::{candidates, named};
use crate::error::chain;
use crate::grant::TcpRule;
use crate::meter::{Kind, Meter};
use crate::network::{DialError, Network, Stream};
use crate::reach::Reach;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

/// All that an attempt needs.
pub(super) struct Attempt {
    pub(super) reach: Arc<Reach>,
    pub(super) meter: Meter,
    pub(super) resolver: Resolver,
    pub(super) address: SocketAddr,
    /// The names by which the guest found the address, the latest first.
    pub(super) names: Vec<String>,
}

impl Attempt {
    /// Connects, and accounts for it.
    pub(super) async fn dial(self) -> Result<Box<dyn Stream>, ErrorCode> {
        match self.connect().await {
            Ok(stream) => {
                self.meter.called(Kind::Tcp);
                Ok(stream)
            }
            Err(error) => {
                self.report(&error);
                Err(code(&error))
            }
        }
    }

    fn network(&self) -> &Network {
        self.reach.outside.network()
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, DialError> {
        let rule = self.rule().await?;
        self.network().connect(self.address, rule).await
    }

    /// The grant that allows this.
    async fn rule(&self) -> Result<&TcpRule, DialError> {
        let mut refused = DialError::Denied;
        for rule in candidates(&self.reach.tcp, self.address, &self.names) {
            match self.network().check(self.address, &rule.host) {
                Ok(()) => return Ok(rule),
                Err(error) => refused = error,
            }
        }
        // A guest may have the address from elsewhere: out of its configuration, or because it asked long ago.
        for (rule, name) in named(&self.reach.tcp, self.address) {
            if self.network().check(self.address, &rule.host).is_ok() && self.is_one_of(name).await
            {
                return Ok(rule);
            }
        }
        Err(refused)
    }

    async fn is_one_of(&self, name: &str) -> bool {
        let found = self.resolver.resolve(name).await;
        found.is_ok_and(|addresses| addresses.contains(&self.address.ip()))
    }

    /// The other end as a person knows it.
    fn target(&self) -> String {
        match self.names.first() {
            Some(name) => format!("{name}:{}", self.address.port()),
            None => self.address.to_string(),
        }
    }

    fn report(&self, error: &DialError) {
        let target = self.target();
        match error {
            DialError::Denied => self.meter.denied(Kind::Tcp, &target),
            DialError::Guarded { .. } => {
                self.meter.denied(Kind::Tcp, &format!("{target}, {error}"));
            }
            DialError::Full
            | DialError::Lookup { .. }
            | DialError::Connect { .. }
            | DialError::Tls { .. } => {
                let error = chain(error);
                let named = self.names.first().map(|name| format!("{name}, {error}"));
                self.meter.noted(Kind::Tcp, &named.unwrap_or(error));
            }
        }
    }
}

/// What the guest hears; a libc turns it into an `errno`. Not the codes for names: wasi-libc aborts where it gets one of
/// those from a socket.
fn code(error: &DialError) -> ErrorCode {
    match error {
        DialError::Guarded { .. } | DialError::Denied => ErrorCode::AccessDenied,
        DialError::Full => ErrorCode::NewSocketLimit,
        DialError::Lookup { .. } => ErrorCode::RemoteUnreachable,
        DialError::Connect { problem, .. } => match problem.kind() {
            ErrorKind::ConnectionRefused => ErrorCode::ConnectionRefused,
            ErrorKind::ConnectionReset => ErrorCode::ConnectionReset,
            ErrorKind::TimedOut => ErrorCode::Timeout,
            _ => ErrorCode::RemoteUnreachable,
        },
        // There was somebody, and we hung up; the log says why.
        DialError::Tls { .. } => ErrorCode::ConnectionAborted,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::connections;
    use super::*;
    use crate::account::Figures;
    use tokio::net::TcpListener;

    async fn dialled(grants: &[&str], name: Option<&str>) -> (Result<(), ErrorCode>, Figures) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let port = address.port().to_string();
        let grants: Vec<String> = grants
            .iter()
            .map(|grant| grant.replace("PORT", &port))
            .collect();
        let grants: Vec<&str> = grants.iter().map(String::as_str).collect();
        let mut connections = connections(&grants);
        if let Some(name) = name {
            connections.found.remember(address.ip(), name);
        }
        let dialled = connections.attempt(address).dial().await;
        let account = connections.meter.account();
        let figures = account.used().next().map(|(_, figures)| figures);
        (dialled.map(|_| ()), figures.unwrap_or_default())
    }

    #[tokio::test]
    async fn an_address_that_is_granted_is_connected_to_and_counted() {
        for (grants, name) in [
            (["127.0.0.1:PORT"], None),
            (["localhost:PORT"], Some("localhost")),
        ] {
            let (dialled, figures) = dialled(&grants, name).await;
            assert_eq!(
                (dialled, figures.calls, figures.denied),
                (Ok(()), 1, 0),
                "{grants:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_address_that_nothing_grants_or_that_is_guarded_is_refused_and_counted() {
        for grants in [
            ["127.0.0.1:1"],
            ["10.0.0.0/8:PORT"],
            ["127.0.0.0/8:PORT"],
            ["*:PORT"],
        ] {
            for name in [None, Some("db.example")] {
                let (dialled, figures) = dialled(&grants, name).await;
                let expected = (Err(ErrorCode::AccessDenied), 0, 1);
                assert_eq!(
                    (dialled, figures.calls, figures.denied),
                    expected,
                    "{grants:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_grant_that_names_the_address_in_full_serves_where_a_wider_one_refuses() {
        let (dialled, _) = dialled(&["*:PORT", "127.0.0.1:PORT"], Some("db.example")).await;
        assert_eq!(dialled, Ok(()));
    }

    #[tokio::test]
    async fn an_address_that_was_not_looked_up_is_one_of_the_granted_names() {
        let (dialled, _) = dialled(&["localhost:PORT"], None).await;
        assert_eq!(dialled, Ok(()));
    }

    #[tokio::test]
    async fn nobody_at_the_other_end_is_no_refusal_of_ours() {
        let free = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let connections = connections(&[&free.to_string()]);
        let dialled = connections.attempt(free).dial().await;
        assert_eq!(dialled.err(), Some(ErrorCode::ConnectionRefused));
        assert_eq!(connections.meter.account().denied(), 0);
    }
}
