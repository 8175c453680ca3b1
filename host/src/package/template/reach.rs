//! What a function's grants mean to those who deploy it: names in policies, ports, endpoints. Which guest is let through is
//! not decided here.

use super::pattern::{Pattern, Stars};
use crate::grant::Grants;
use crate::grant::host::{Host, host_and_port};
use crate::quantity::Bytes;
use crate::template::Template;
use serde_json::Value;

/// What a function may reach, as far as that has to be deployed.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach {
    /// Prefixes and objects of S3.
    pub(super) objects: Vec<Objects>,
    /// Parameters of SSM, by what stands after `ssm:`.
    pub(super) parameters: Vec<Pattern>,
    /// Secrets of Secrets Manager, by what stands after `secretsmanager:`.
    pub(super) secrets: Vec<Pattern>,
    /// Services of AWS that requests are signed for, each once.
    pub(super) signed: Vec<String>,
    /// Connections.
    pub(super) tcp: Vec<Tcp>,
    /// Whether requests go to hosts that are not AWS's.
    pub(super) http: bool,
    /// Variables of the host's environment, secrets among them.
    pub(super) variables: Vec<String>,
    /// The folder that an event has to itself.
    pub(super) scratch: Option<Bytes>,
}

/// Objects of one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Objects {
    pub(super) bucket: Pattern,
    /// The key, or all that begins with the prefix.
    pub(super) key: Pattern,
    /// Of `read`, `write`, `list`.
    pub(super) allow: Vec<String>,
}

impl Objects {
    /// Whether something may be done with them.
    pub(super) fn allows(&self, access: &str) -> bool {
        self.allow.iter().any(|own| own == access)
    }
}

/// Connections to one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tcp {
    /// The grant, for a comment.
    pub(super) text: String,
    /// The port; none where the configuration says it.
    pub(super) port: Option<u16>,
    /// The network, where the grant names one; a name's addresses are known to nobody here.
    pub(super) network: Option<Network>,
}

/// A network as AWS writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Network {
    V4(String),
    V6(String),
}

impl Reach {
    /// What the grants of a function named so come to.
    pub(super) fn of(grants: &Grants, function: &str) -> Self {
        let mut reach = Self::default();
        for (kind, entries) in grants.seal() {
            for entry in &entries {
                reach.add(&kind, entry, function);
            }
        }
        reach
    }

    fn add(&mut self, kind: &str, entry: &Value, function: &str) {
        let named = ["to", "at"]
            .iter()
            .find_map(|key| entry.get(*key)?.as_str());
        let Some(text) = entry.as_str().or(named) else {
            return;
        };
        match kind {
            "http" => match entry.get("sign").and_then(Value::as_str) {
                Some(service) if !self.signed.iter().any(|own| own == service) => {
                    self.signed.push(service.to_owned());
                }
                Some(_) => {}
                None => self.http = true,
            },
            "tcp" => self.tcp.push(tcp(text)),
            "objects" => self.objects.extend(objects(text, entry, function)),
            "secrets" => self.add_secret(text, function),
            "env" => self.variables.push(text.to_owned()),
            _ => self.scratch = text.parse().ok(),
        }
    }

    fn add_secret(&mut self, text: &str, function: &str) {
        let Some((keeper, name)) = text.split_once(':') else {
            return;
        };
        let pattern = |name: &str| Pattern::read(name, Stars::Wild, function);
        match keeper {
            "env" if !name.contains(['*', '{']) => self.variables.push(name.to_owned()),
            "ssm" => self.parameters.push(pattern(name)),
            "secretsmanager" => {
                let name = name.split_once('#').map_or(name, |(name, _)| name);
                let pattern = pattern(name);
                // Several grants may be of keys in one secret.
                if !self.secrets.contains(&pattern) {
                    self.secrets.push(pattern);
                }
            }
            _ => {}
        }
    }
}

fn objects(text: &str, entry: &Value, function: &str) -> Option<Objects> {
    let rest = text.strip_prefix("s3://")?;
    let allow = entry.get("allow").and_then(Value::as_array);
    let named = allow.map(|all| all.iter().filter_map(Value::as_str).map(str::to_owned));
    let allow = named.map_or_else(|| vec!["read".to_owned()], Iterator::collect);
    if rest == "*" {
        return Some(Objects {
            bucket: Pattern::many(),
            key: Pattern::many(),
            allow,
        });
    }
    let (bucket, key) = Pattern::read(rest, Stars::Plain, function).split_once('/')?;
    let below = key.is_empty() || key.ends_with('/');
    Some(Objects {
        bucket,
        key: if below { key.and_many() } else { key },
        allow,
    })
}

fn tcp(text: &str) -> Tcp {
    let plain = Template::parse(text).map(|template| template.plain());
    let has_template = |part: &str| part.contains("{{") || part.contains("}}");
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let parsed = plain.and_then(|plain| host_and_port(&plain)).ok();
    let network = parsed.as_ref().and_then(|(host, _)| network(host));
    Tcp {
        text: text.to_owned(),
        port: parsed.map(|(_, port)| port).filter(|_| !has_template(port)),
        network: network.filter(|_| !has_template(host)),
    }
}

fn network(host: &Host) -> Option<Network> {
    let (is_v4, text) = match host {
        Host::Address(address) if address.is_ipv4() => (true, format!("{address}/32")),
        Host::Address(address) => (false, format!("{address}/128")),
        Host::Network(network) => (network.addr().is_ipv4(), network.to_string()),
        Host::Name(_) | Host::Below(_) | Host::Any => return None,
    };
    Some(if is_v4 {
        Network::V4(text)
    } else {
        Network::V6(text)
    })
}

/// A service of AWS that requests are signed for.
#[derive(Debug)]
pub(super) struct Service {
    /// Its name in signatures.
    name: &'static str,
    /// What a function commonly does there; to be narrowed.
    pub(super) actions: &'static [&'static str],
    /// How a resource's name ends, for an example.
    pub(super) resource: &'static str,
    /// What leads there from a VPC.
    pub(super) endpoint: Endpoint,
}

/// A VPC endpoint, by the last part of its service's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Endpoint {
    /// Entries in route tables; costs nothing.
    Gateway(&'static str),
    /// An address in each subnet; paid for by the hour.
    Interface(&'static str),
}

/// Names of endpoints: <https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html>.
static SERVICES: [Service; 7] = [
    Service {
        name: "dynamodb",
        actions: &[
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
        ],
        resource: "table/TABLE",
        endpoint: Endpoint::Gateway("dynamodb"),
    },
    Service {
        name: "events",
        actions: &["events:PutEvents"],
        resource: "event-bus/BUS",
        endpoint: Endpoint::Interface("events"),
    },
    Service {
        name: "kinesis",
        actions: &["kinesis:PutRecord", "kinesis:PutRecords"],
        resource: "stream/STREAM",
        endpoint: Endpoint::Interface("kinesis-streams"),
    },
    Service {
        name: "lambda",
        actions: &["lambda:InvokeFunction"],
        resource: "function:FUNCTION",
        endpoint: Endpoint::Interface("lambda"),
    },
    Service {
        name: "sns",
        actions: &["sns:Publish"],
        resource: "TOPIC",
        endpoint: Endpoint::Interface("sns"),
    },
    Service {
        name: "sqs",
        actions: &["sqs:SendMessage"],
        resource: "QUEUE",
        endpoint: Endpoint::Interface("sqs"),
    },
    Service {
        name: "states",
        actions: &["states:StartExecution"],
        resource: "stateMachine:MACHINE",
        endpoint: Endpoint::Interface("states"),
    },
];

/// What is known of a service; none of one that nobody has written down here.
pub(super) fn service(name: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.name == name)
}

impl Reach {
    /// The endpoints that a host in a VPC needs beside that of its store, in order, each once.
    pub(super) fn endpoints(&self) -> Vec<Endpoint> {
        let signed = self.signed.iter();
        let mut endpoints: Vec<_> = signed
            .filter_map(|name| Some(service(name)?.endpoint))
            .collect();
        if !self.parameters.is_empty() {
            endpoints.push(Endpoint::Interface("ssm"));
        }
        if !self.secrets.is_empty() {
            endpoints.push(Endpoint::Interface("secretsmanager"));
        }
        endpoints.sort();
        endpoints.dedup();
        endpoints
    }

    /// Services of which it is not known here how they are reached from a VPC.
    pub(super) fn unknown_services(&self) -> impl Iterator<Item = &str> {
        let signed = self.signed.iter().map(String::as_str);
        signed.filter(|name| service(name).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::Path;

    fn reach(kind: &str, entries: Value) -> Reach {
        let table = BTreeMap::from([(kind.to_owned(), entries)]);
        Reach::of(&Grants::read(table, Path::new("")).unwrap(), "crunch")
    }

    #[test]
    fn a_connection_has_the_port_and_the_network_that_its_grant_names() {
        let v4 = |text: &str| Some(Network::V4(text.to_owned()));
        for (text, port, network) in [
            ("db.example.com:5432", Some(5432), None),
            ("{{db.host}}:5432", Some(5432), None),
            ("db.example.com:{{db.port}}", None, None),
            ("10.1.{{db.net}}.0/24:5432", Some(5432), None),
            ("10.1.0.0/16:6379", Some(6379), v4("10.1.0.0/16")),
            ("10.1.2.3:6379", Some(6379), v4("10.1.2.3/32")),
            (
                "[fd00::1]:80",
                Some(80),
                Some(Network::V6("fd00::1/128".to_owned())),
            ),
        ] {
            let reach = reach("tcp", serde_json::json!([text]));
            let Tcp {
                port: got,
                network: at,
                ..
            } = &reach.tcp[0];
            assert_eq!((*got, at), (port, &network), "{text}");
        }
    }

    #[test]
    fn signed_requests_name_services_and_others_want_a_way_out() {
        let to = "https://dynamodb.eu-west-1.amazonaws.com/";
        let signed = serde_json::json!({"to": to, "sign": "dynamodb"});
        let both = reach("http", serde_json::json!([signed, signed]));
        assert_eq!(
            (both.signed.as_slice(), both.http),
            (["dynamodb".to_owned()].as_slice(), false)
        );
        assert_eq!(both.endpoints(), [Endpoint::Gateway("dynamodb")]);
        assert!(reach("http", serde_json::json!(["https://example.com"])).http);
        let other = serde_json::json!([{"to": "https://x.amazonaws.com/", "sign": "bedrock"}]);
        let other = reach("http", other);
        assert_eq!(other.unknown_services().collect::<Vec<_>>(), ["bedrock"]);
    }

    #[test]
    fn secrets_need_the_endpoints_of_those_who_keep_them() {
        let all = [
            "env:STAGE",
            "ssm:/a/*",
            "secretsmanager:b#x",
            "secretsmanager:b#y",
        ];
        let reach = reach("secrets", serde_json::json!(all));
        assert_eq!((reach.parameters.len(), reach.secrets.len()), (1, 1));
        assert_eq!(reach.variables, ["STAGE"]);
        let expected = ["secretsmanager", "ssm"].map(Endpoint::Interface);
        assert_eq!(reach.endpoints(), expected);
    }
}
