//! `http`: requests by method, origin and path, signed for AWS where the grant says so.

use super::host::Host;
use super::tcp::Authorities;
use super::{Entry, Problem};
use crate::template::Glob;
use http::Method;
use http::Uri;

/// One grant of requests.
#[derive(Debug, Clone)]
pub struct HttpRule {
    /// Allowed methods; empty: all but those for proxies.
    methods: Vec<Method>,
    /// Whether TLS is spoken.
    pub secure: bool,
    /// The other end.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// The path, a `*` for anything; none: every path.
    path: Option<Glob>,
    /// What AWS service the request is signed for.
    pub sign: Option<Signing>,
    /// Who may vouch for the other end; none: whom this machine trusts.
    pub authorities: Option<Authorities>,
}

/// What a signature by AWS's rules is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    /// The service's name in signatures, such as `dynamodb`.
    pub service: String,
    /// The region; none: this function's own.
    pub region: Option<String>,
}

/// Methods that a grant can't give: they make a proxy of the other end, or an echo.
const NEVER: [Method; 2] = [Method::CONNECT, Method::TRACE];

/// Services that have grants of their own, with checks that a signed request would go around, or that hand out power.
const INSTEAD: [(&str, &str); 5] = [
    ("s3", "grant `objects`"),
    (
        "ssm",
        "refer to the parameter in the configuration, and grant it as `secrets`",
    ),
    (
        "secretsmanager",
        "refer to the secret in the configuration, and grant it as `secrets`",
    ),
    ("sts", "it hands out credentials"),
    ("iam", "it decides who may do what"),
];

/// As often a path is unescaped in search of dots: servers behind servers unescape once each.
const UNESCAPED_MAX: usize = 4;

impl HttpRule {
    pub(super) fn new(entry: &Entry) -> Result<Self, Problem> {
        let (methods, url) = match entry.to.split_once(' ') {
            Some((methods, url)) => (methods, url.trim_start()),
            None => ("", entry.to.as_str()),
        };
        let methods = methods
            .split(',')
            .filter(|text| !text.is_empty() && *text != "*");
        let methods = methods.map(method).collect::<Result<Vec<_>, _>>()?;
        let (secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => {
                return Err(format!(
                    "expected a request such as `GET https://api.example.com/v1/*`, got `{}`",
                    entry.to
                ));
            }
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if path.contains(['?', '#']) {
            return Err("expected a path without a query: grants end where it begins".into());
        }
        let (host, port) = authority_of(authority, secure)?;
        let sign = entry
            .sign
            .as_deref()
            .map(|service| signing(service, entry))
            .transpose()?;
        if sign.is_some() && !secure && !is_this_machine(&host) {
            return Err("expected https where requests are signed".into());
        }
        if sign.is_some() && !matches!(host, Host::Name(_) | Host::Address(_)) {
            return Err("expected one host where requests are signed: whoever is there can use the signature".into());
        }
        Ok(Self {
            methods,
            secure,
            host,
            port,
            path: (!matches!(path, "" | "/*")).then(|| Glob::new(path)),
            sign,
            authorities: entry.authorities.clone(),
        })
    }

    /// Whether it is about the origin of an address.
    pub fn is_origin_of(&self, uri: &Uri) -> bool {
        let secure = uri.scheme_str() == Some("https");
        self.secure == secure
            && port_of(uri) == self.port
            && uri.host().is_some_and(|host| self.host.means(host))
    }

    /// Whether it allows a request.
    pub fn allows(&self, method: &Method, uri: &Uri) -> bool {
        let fits_method = self.methods.is_empty() || self.methods.contains(method);
        let fits_path = self
            .path
            .as_ref()
            .is_none_or(|path| path.matches(uri.path()));
        fits_method
            && fits_path
            && !is_never(method)
            && self.is_origin_of(uri)
            && !climbs(uri.path())
    }

    /// Whether all that another allows, this one allows too.
    pub(super) fn contains(&self, other: &Self) -> bool {
        let fits_methods = self.methods.is_empty()
            || !other.methods.is_empty()
                && other
                    .methods
                    .iter()
                    .all(|method| self.methods.contains(method));
        let fits_path = match (&self.path, &other.path) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(other)) => own.contains(other),
        };
        fits_methods
            && fits_path
            && self.secure == other.secure
            && self.port == other.port
            && self.host.contains(&other.host)
            // A ceiling without `sign` is about whom to talk to, not in whose name.
            && (other.sign.is_none() || self.sign == other.sign)
    }
}

/// In capitals or not: servers differ.
fn is_never(method: &Method) -> bool {
    let mut never = NEVER.iter();
    never.any(|never| never.as_str().eq_ignore_ascii_case(method.as_str()))
}

/// The port of an address, its scheme's own where it names none.
pub fn port_of(uri: &Uri) -> u16 {
    let own = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    uri.port_u16().unwrap_or(own)
}

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Address(address) => address.is_loopback(),
        Host::Name(name) => name == "localhost",
        Host::Below(_) | Host::Any | Host::Network(_) => false,
    }
}

fn method(text: &str) -> Result<Method, Problem> {
    let upper = text.chars().all(|c| c.is_ascii_uppercase());
    let method = Method::from_bytes(text.as_bytes()).ok();
    method
        .filter(|method| upper && !NEVER.contains(method))
        .ok_or_else(|| format!("expected methods such as `GET,HEAD`, got `{text}`"))
}

fn authority_of(authority: &str, secure: bool) -> Result<(Host, u16), Problem> {
    let own = if secure { 443 } else { 80 };
    let bracket = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[bracket..].rfind(':') {
        Some(at) => {
            let (host, port) = authority.split_at(bracket + at);
            let port = port[1..].parse().ok().filter(|port| *port > 0);
            (
                host,
                port.ok_or_else(|| format!("expected a port, got `{authority}`"))?,
            )
        }
        None => (authority, own),
    };
    match Host::parse(host)? {
        Host::Network(_) => Err("expected a host's name or address, got a network".into()),
        host => Ok((host, port)),
    }
}

fn signing(service: &str, entry: &Entry) -> Result<Signing, Problem> {
    let plain = |text: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !text.is_empty() && text.chars().all(fits)
    };
    if let Some((_, instead)) = INSTEAD.iter().find(|(own, _)| *own == service) {
        return Err(format!(
            "requests to `{service}` are not signed for a guest: {instead}"
        ));
    }
    if !plain(service) || entry.region.as_deref().is_some_and(|region| !plain(region)) {
        return Err(format!(
            "expected sign to be the name of an AWS service such as `dynamodb`, got `{service}`"
        ));
    }
    Ok(Signing {
        service: service.to_owned(),
        region: entry.region.clone(),
    })
}

/// Whether a path could mean another one to a server that reads dots, backslashes or escapes in it.
fn climbs(path: &str) -> bool {
    let mut bytes = path.as_bytes().to_vec();
    for _ in 0..UNESCAPED_MAX {
        if bytes
            .split(|byte| matches!(byte, b'/' | b'\\'))
            .any(|part| {
                // Some servers cut parameters off a part first.
                let part = part.split(|byte| *byte == b';').next().unwrap_or_default();
                part == b"." || part == b".."
            })
        {
            return true;
        }
        let unescaped = unescape(&bytes);
        if unescaped == bytes {
            return false;
        }
        bytes = unescaped;
    }
    true
}

fn unescape(bytes: &[u8]) -> Vec<u8> {
    let hex = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        if let (b'%', [high, low, ..]) = (first, after)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push(high << 4 | low);
            rest = &after[2..];
        } else {
            out.push(first);
            rest = after;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(to: &str) -> Result<HttpRule, Problem> {
        HttpRule::new(&Entry {
            to: to.to_owned(),
            ..Entry::default()
        })
    }

    fn allows(to: &str, method: &str, uri: &str) -> bool {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        rule(to).unwrap().allows(&method, &uri.parse().unwrap())
    }

    #[test]
    fn a_request_fits_by_method_origin_and_path() {
        let v1 = "GET,HEAD https://api.example.com/v1/*";
        assert!(allows(v1, "GET", "https://api.example.com/v1/x?y=1"));
        assert!(allows(v1, "HEAD", "https://API.example.com.:443/v1/"));
        for (method, uri) in [
            ("POST", "https://api.example.com/v1/x"),
            ("GET", "http://api.example.com/v1/x"),
            ("GET", "https://api.example.com:8443/v1/x"),
            ("GET", "https://api.example.com/v2/x"),
            ("GET", "https://api.example.com/v1"),
            ("GET", "https://api.example.com.evil.org/v1/x"),
            ("GET", "https://evil.org/v1/x?https://api.example.com/v1/"),
        ] {
            assert!(!allows(v1, method, uri), "{method} {uri}");
        }
        assert!(allows(
            "https://api.example.com",
            "DELETE",
            "https://api.example.com/any/thing"
        ));
        assert!(!allows(
            "https://api.example.com",
            "CONNECT",
            "https://api.example.com/"
        ));
    }

    #[test]
    fn a_path_that_climbs_is_refused_however_it_is_spelled() {
        let v1 = "https://a.example/v1/*";
        for path in [
            "/v1/../admin",
            "/v1/./x",
            "/v1/%2e%2e/admin",
            "/v1/%2E./admin",
            "/v1/..%2fadmin",
            "/v1/..%5cadmin",
            "/v1/%252e%252e/admin",
            "/v1/..;a=b/admin",
            "/v1/x/..",
        ] {
            assert!(
                !allows(v1, "GET", &format!("https://a.example{path}")),
                "{path}"
            );
        }
        for path in ["/v1/a..b", "/v1/...", "/v1/a%2Fb", "/v1/100%25", "/v1/%zz"] {
            assert!(
                allows(v1, "GET", &format!("https://a.example{path}")),
                "{path}"
            );
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for (to, words) in [
            ("api.example.com", "expected a request such as"),
            ("get https://a.example", "expected methods such as"),
            ("CONNECT https://a.example", "expected methods such as"),
            ("https://a.example/x?y", "without a query"),
            ("https://a.example:0/", "expected a port"),
            ("https://10.0.0.0%2f8/", "expected a host's name"),
            ("https://user@a.example/", "expected a host's name"),
            ("ftp://a.example", "expected a request such as"),
        ] {
            let problem = rule(to).unwrap_err();
            assert!(problem.contains(words), "{to}: {problem}");
        }
    }

    #[test]
    fn requests_are_signed_only_for_one_host_and_over_tls() {
        let sign = |to: &str| {
            let entry = Entry {
                to: to.to_owned(),
                sign: Some("sqs".into()),
                ..Entry::default()
            };
            HttpRule::new(&entry).is_ok()
        };
        assert!(sign("https://sqs.eu-west-1.amazonaws.com") && sign("http://127.0.0.1:5000"));
        assert!(!sign("http://sqs.eu-west-1.amazonaws.com") && !sign("https://*.amazonaws.com"));
    }

    #[test]
    fn a_ceiling_contains_what_it_allows_all_of() {
        let contains = |wide, narrow| rule(wide).unwrap().contains(&rule(narrow).unwrap());
        for (wide, narrow) in [
            ("https://*", "GET https://a.example/x"),
            ("GET,PUT https://*.example", "GET https://a.example"),
            ("https://a.example/v1/*", "https://a.example/v1/x/*"),
        ] {
            assert!(
                contains(wide, narrow) && !contains(narrow, wide),
                "{wide} {narrow}"
            );
        }
        assert!(
            !contains("GET https://*", "https://a.example")
                && !contains("https://*", "http://a.example")
        );
    }
}
