//! Where requests go: an address that somebody said, or AWS's own for a region. Pure text; opens no connection.

use crate::settings::{SettingError, Variables};
use http::Uri;
use std::fmt;
use std::str::FromStr;

/// Where `crunchbox dev` serves, unless told otherwise.
const LOCAL: &str = "http://127.0.0.1:9000";

/// The variables in which AWS's own tools are told another endpoint, the first before the second.
/// Source: <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>.
const VARIABLES: [&str; 2] = ["AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL"];

const EXPECTED: &str = "an address such as `http://127.0.0.1:9000`";

/// How the names of regions begin, and the domain of AWS there; all others are in [`DOMAIN`].
/// Source: `dnsSuffix` in botocore's `partitions.json`.
const DOMAINS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
];
const DOMAIN: &str = "amazonaws.com";

/// The longest name of a region that is believed.
const REGION_CHARS_MAX: usize = 32;

/// A region's name, such as `eu-west-1`; nothing in it can be more than a part of a host's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Region(String);

impl Region {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = (1..=REGION_CHARS_MAX).contains(&text.len()) && text.chars().all(allowed);
        if fits && !text.starts_with('-') && !text.ends_with('-') {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "expected a region such as `eu-west-1`, got `{text}`"
        ))
    }
}

/// The beginning of each request's address: scheme, host, port, and the path below which the API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint(String);

impl Endpoint {
    /// AWS's own.
    pub(crate) fn of_region(region: &Region) -> Self {
        let domain = DOMAINS
            .iter()
            .find(|(beginning, _)| region.0.starts_with(beginning))
            .map_or(DOMAIN, |(_, domain)| domain);
        Self(format!("https://lambda.{}.{domain}", region.0))
    }

    /// What the environment tells AWS's tools, and so this one.
    ///
    /// # Errors
    /// [`SettingError::Invalid`] where it is no address.
    pub(crate) fn of_environment(variables: Variables<'_>) -> Result<Option<Self>, SettingError> {
        let mut set = VARIABLES.into_iter().filter_map(|name| {
            let value = variables.get(name)?.to_string_lossy().into_owned();
            (!value.is_empty()).then_some((name, value))
        });
        let Some((name, value)) = set.next() else {
            return Ok(None);
        };
        let endpoint: Self = value.parse().map_err(|_| SettingError::Invalid {
            name,
            expected: EXPECTED,
            got: value,
        })?;
        Ok(Some(endpoint))
    }

    /// Whether it is where `crunchbox dev` serves when neither is told otherwise.
    pub(crate) fn is_local(&self) -> bool {
        self.0 == LOCAL
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self(LOCAL.to_owned())
    }
}

impl FromStr for Endpoint {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("expected {EXPECTED}, got `{text}`");
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let scheme = uri
            .scheme_str()
            .filter(|scheme| ["http", "https"].contains(scheme));
        // What stands before an `@` would be a password in the open, and a host that looks like another.
        let authority = uri
            .authority()
            .filter(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
        match (scheme, authority, uri.query()) {
            (Some(scheme), Some(authority), None) => {
                let path = uri.path().trim_end_matches('/');
                Ok(Self(format!("{scheme}://{authority}{path}")))
            }
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Environment;

    #[test]
    fn an_endpoint_is_an_address_with_its_scheme() {
        for (text, kept) in [
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("http://[::1]:9000/", "http://[::1]:9000"),
            (
                "https://gate.example/lambda/",
                "https://gate.example/lambda",
            ),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), kept);
        }
        for text in [
            "",
            "127.0.0.1:9000",
            "/functions",
            "ftp://example",
            "http://",
            "http://me:secret@example",
            "http://example/?x=1",
            "http://exa mple",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_region_has_its_partitions_domain() {
        for (region, endpoint) in [
            ("eu-west-1", "https://lambda.eu-west-1.amazonaws.com"),
            (
                "us-gov-west-1",
                "https://lambda.us-gov-west-1.amazonaws.com",
            ),
            ("cn-north-1", "https://lambda.cn-north-1.amazonaws.com.cn"),
            (
                "eusc-de-east-1",
                "https://lambda.eusc-de-east-1.amazonaws.eu",
            ),
        ] {
            let region: Region = region.parse().unwrap();
            assert_eq!(Endpoint::of_region(&region).to_string(), endpoint);
        }
        let long = "a".repeat(REGION_CHARS_MAX + 1);
        for text in ["", "eu_west", "a.example/", "-a", "a-", long.as_str()] {
            assert!(text.parse::<Region>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_variable_for_lambda_stands_above_the_one_for_all_services() {
        let read = |variables: &[(&str, &str)]| {
            let variables: Environment = variables.iter().copied().collect();
            let endpoint = Endpoint::of_environment(&variables);
            endpoint
                .map(|endpoint| endpoint.map(|endpoint| endpoint.to_string()))
                .map_err(|error| error.to_string())
        };
        assert_eq!(read(&[]), Ok(None));
        let all = ("AWS_ENDPOINT_URL", "http://all.example");
        let lambda = ("AWS_ENDPOINT_URL_LAMBDA", "http://lambda.example");
        assert_eq!(read(&[all]), Ok(Some(all.1.to_owned())));
        assert_eq!(read(&[all, lambda]), Ok(Some(lambda.1.to_owned())));
        assert_eq!(read(&[all, (lambda.0, "")]), Ok(Some(all.1.to_owned())));
        let error = read(&[(lambda.0, "nowhere")]).unwrap_err();
        assert!(
            error.contains(lambda.0) && error.contains("nowhere"),
            "{error}"
        );
    }
}
