//! What releases are granted: whatever grants, ceilings and requests are made of, no request is allowed that no grant means, and
//! none beyond a ceiling. What is meant is said here once more, in other words than the host's.

use super::damage::{CASES, whatever_becomes_of};
use super::{holds, on_a_small_stack};
use crunchbox::grant::{Ceiling, Granted, Grants, HttpRule};
use crunchbox::template::Facts;
use http::{Method, Uri};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

type Table = BTreeMap<String, Value>;

/// All kinds, and all that entries of them say.
const GRANTS: [&str; 3] = [
    r#"{"http": ["GET,HEAD https://a.example/v1/*", {"to": "https://sqs.eu-west-1.amazonaws.com", "sign": "sqs", "region": "eu-west-1"}],
        "tcp": [{"to": "db.example:5432", "tls": "postgres", "ca": "-----BEGIN CERTIFICATE-----\nAAECAwQ=\n-----END CERTIFICATE-----\n"}, "10.0.0.0/8:5432"],
        "objects": [{"at": "s3://acme/in/", "allow": ["read", "list"]}, "/data/in/"], "env": ["STAGE"], "scratch": "64 MiB"}"#,
    r#"{"http": "https://*", "tcp": ["*.b.example:1", "[::1]:65535"], "objects": "s3://*", "secrets": ["env:*", "ssm:/a/*"], "env": []}"#,
    r#"{"http": ["https://{{region}}.example:8443"], "objects": ["s3://{{bucket}}/{{ db.name }}/"], "secrets": ["secretsmanager:{{channel}}/db#key"]}"#,
];

fn read(table: Table) -> Option<Grants> {
    Grants::read(table, Path::new("/nowhere")).ok()
}

fn facts() -> Facts {
    let facts = Facts::default().with("region", "eu-west-1");
    let facts = facts.with("bucket", "acme").with("db.name", "in");
    facts.with("channel", "live")
}

fn filled(grants: &Grants) -> Option<Granted> {
    grants.fill(&facts(), &Ceiling::default()).ok()
}

#[test]
fn damaged_grants_are_read_or_refused_and_are_within_themselves() {
    whatever_becomes_of(GRANTS.to_vec(), |bytes| {
        let Ok(table) = serde_json::from_slice::<Table>(bytes) else {
            return;
        };
        let ceiling = Ceiling::read(table.clone(), Path::new("/nowhere"));
        let Some(grants) = read(table) else {
            assert!(ceiling.is_err());
            return;
        };
        assert_eq!(Grants::parse(&grants.seal()).as_ref(), Ok(&grants));
        let asked = grants.asked();
        let apart = grants.apart();
        assert!(asked.is_empty() || !apart.is_empty());
        if let Some(granted) = filled(&grants) {
            granted
                .http
                .iter()
                .for_each(|rule| drop(rule.host.to_string()));
            granted
                .objects
                .iter()
                .for_each(|rule| assert!(rule.covers(rule)));
        }
        // A ceiling has no templates, so there what is asked for is what is allowed, word for word.
        if let Ok(ceiling) = ceiling {
            grants.fill(&facts(), &ceiling).unwrap();
        }
    });
}

const METHODS: [&str; 5] = ["", "GET ", "GET,HEAD ", "* ", "POST  "];
const SCHEMES: [&str; 3] = ["https://", "http://", "HTTPS://"];
const HOSTS: [&str; 14] = [
    "a.example",
    "A.Example.",
    "b.a.example",
    "evil-a.example",
    "a.example.evil",
    "127.0.0.1",
    "[::1]",
    "localhost",
    "a.example@b.example",
    "*.example",
    "*.a.example",
    "*",
    "a.example:80@b.a.example",
    "a.example%2eevil",
];
const PORTS: [&str; 6] = ["", "", "", ":443", ":80", ":8443"];
const PATHS: [&str; 20] = [
    "",
    "/",
    "/*",
    "/v1/*",
    "/v1/x",
    "/v1/x/*/z",
    "/v1/a*b",
    "/v1/x/y/z",
    "/v1/../x",
    "/v1/%2e%2e/x",
    "/v1/%252E%252e/x",
    "/v1/..%2fx",
    "/v1/..;a=b/x",
    "/v1/%5c..%5cx",
    "/v1/...",
    "/v1/x?y=/../",
    "/v2?/v1/x",
    "//v1/x",
    "/v1/%",
    "/v1/x#y",
];

/// The parts of a grant of requests, or of a request.
#[derive(Debug, Clone)]
struct Target {
    methods: &'static str,
    scheme: &'static str,
    host: &'static str,
    port: &'static str,
    path: &'static str,
}

fn target() -> impl Strategy<Value = Target> {
    let parts = (
        select(METHODS.to_vec()),
        prop_oneof![6 => Just(SCHEMES[0]), 1 => select(SCHEMES.to_vec())],
        prop_oneof![1 => Just(HOSTS[0]), 1 => select(HOSTS.to_vec())],
        select(PORTS.to_vec()),
        select(PATHS.to_vec()),
    );
    parts.prop_map(|(methods, scheme, host, port, path)| Target {
        methods,
        scheme,
        host,
        port,
        path,
    })
}

impl Target {
    fn url(&self) -> String {
        [self.scheme, self.host, self.port, self.path].concat()
    }

    fn rule(&self) -> Option<HttpRule> {
        rules(std::slice::from_ref(self))?.pop()
    }

    fn port(&self) -> Option<u16> {
        let usual = if self.scheme == "https://" { 443 } else { 80 };
        self.port
            .strip_prefix(':')
            .map_or(Some(usual), |port| port.parse().ok())
    }

    /// Whether a request can be meant, as whoever wrote the grant would say.
    fn means(&self, method: &Method, uri: &Uri) -> bool {
        let methods = self.methods.trim().trim_matches('*');
        let fits_method =
            methods.is_empty() || methods.split(',').any(|one| one == method.as_str());
        let is_secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let prefix = self.path.split('*').next().unwrap_or_default();
        fits_method
            && is_secure == (self.scheme == "https://")
            && self.port() == Some(port)
            && means_host(self.host, uri.host().unwrap_or_default())
            && uri.path().starts_with(prefix)
            && !climbs(uri.path().as_bytes())
    }
}

fn rules(targets: &[Target]) -> Option<Vec<HttpRule>> {
    let grants = grants_of(targets)?;
    Some(filled(&grants)?.http)
}

fn entries(targets: &[Target]) -> Table {
    let entries = targets
        .iter()
        .map(|target| target.methods.to_owned() + &target.url());
    Table::from([("http".to_owned(), entries.collect())])
}

fn grants_of(targets: &[Target]) -> Option<Grants> {
    read(entries(targets))
}

fn means_host(meant: &str, asked: &str) -> bool {
    let plain = |host: &str| host.strip_suffix('.').unwrap_or(host).to_lowercase();
    let (meant, asked) = (plain(meant), plain(asked));
    match meant.strip_prefix('*') {
        Some(end) => asked.ends_with(end) && asked.len() > end.len(),
        None => asked == meant,
    }
}

/// Whether some server, behind however many others that unescape a path, could find a way up in it.
fn climbs(path: &[u8]) -> bool {
    let parts = path.split(|byte| b"/\\".contains(byte));
    let mut names = parts.map(|part| part.split(|byte| *byte == b';').next().unwrap_or_default());
    if names.any(|name| name == b"." || name == b"..") {
        return true;
    }
    let mut unescaped = Vec::new();
    let mut rest = path;
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).filter(|_| *first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                unescaped.push(byte);
                rest = &after[2..];
            }
            None => {
                unescaped.push(*first);
                rest = after;
            }
        }
    }
    unescaped.len() < path.len() && climbs(&unescaped)
}

/// Methods that guests ask by, those that no grant gives among them.
fn asked() -> impl Strategy<Value = Vec<(&'static str, Target)>> {
    let methods = select(vec!["GET", "HEAD", "POST", "CONNECT", "TRACE", "Trace"]);
    vec((methods, target()), 1..6)
}

fn requests(asked: &[(&str, Target)]) -> Vec<(Method, Uri)> {
    let requests = asked.iter().filter_map(|(method, target)| {
        let method = Method::from_bytes(method.as_bytes()).ok()?;
        Some((method, target.url().parse::<Uri>().ok()?))
    });
    requests.collect()
}

#[test]
fn no_request_is_allowed_that_its_grant_does_not_mean() {
    let allowed = AtomicU32::new(0);
    on_a_small_stack(|| {
        holds(4 * CASES, &(target(), asked()), |(target, asked)| {
            let Some(rule) = target.rule() else { return };
            for (method, uri) in requests(&asked) {
                let never = ["CONNECT", "TRACE"];
                let never = never.contains(&&*method.as_str().to_uppercase());
                if rule.allows(&method, &uri) {
                    assert!(!never && target.means(&method, &uri), "{method} {uri}");
                    allowed.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    });
    let allowed = allowed.into_inner();
    assert!(
        allowed > 10,
        "only {allowed} were allowed: little was tried"
    );
}

#[test]
fn no_request_is_allowed_beyond_a_ceiling() {
    on_a_small_stack(|| {
        let strategy = (vec(target(), 1..3), vec(target(), 1..4), asked());
        holds(4 * CASES, &strategy, |(grants, most, asked)| {
            let ceiling = Ceiling::read(entries(&most), Path::new("/nowhere"));
            let (Some(grants), Ok(ceiling)) = (grants_of(&grants), ceiling) else {
                return;
            };
            let Ok(granted) = grants.fill(&facts(), &ceiling) else {
                return;
            };
            let most = rules(&most).unwrap();
            for (method, uri) in requests(&asked) {
                let allowed =
                    |rules: &[HttpRule]| rules.iter().any(|rule| rule.allows(&method, &uri));
                assert!(!allowed(&granted.http) || allowed(&most), "{method} {uri}");
            }
        });
    });
}
