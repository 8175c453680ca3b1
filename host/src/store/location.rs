//! Where a store is, in one text: a folder's path, or `s3://bucket/prefix` with settings as in a URL's query.

use crate::error::{Code, Fault};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder.
    Folder(PathBuf),
    /// A prefix of a bucket.
    S3(S3Location),
}

/// A prefix of an S3 bucket, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Location {
    /// The bucket.
    pub bucket: String,
    /// What all keys start with; empty, or without a slash at either end.
    pub prefix: String,
    /// `region=`; else AWS's own settings say.
    pub region: Option<String>,
    /// `endpoint=`, a server that speaks S3's protocol; else AWS's own settings say.
    pub endpoint: Option<String>,
    /// `path-style=true`: the bucket in the path instead of the host name; where an endpoint is named, unless said.
    pub path_style: bool,
    /// `checksums=when-required`: none beyond what the protocol asks for; some servers refuse the others.
    pub checksums_when_required: bool,
}

/// Why a text is no location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store `{}`: expected {expected}", .got.split('?').next().unwrap_or_default())]
pub struct LocationError {
    got: String,
    expected: String,
}

impl Fault for LocationError {
    fn code(&self) -> Code {
        Code::SettingInvalid
    }
}

impl FromStr for Location {
    type Err = LocationError;
    fn from_str(text: &str) -> Result<Self, LocationError> {
        let refused = |expected: &str| LocationError {
            got: text.to_owned(),
            expected: expected.to_owned(),
        };
        if let Some(rest) = text.strip_prefix("s3://") {
            return s3(rest)
                .map(Self::S3)
                .map_err(|expected| refused(&expected));
        }
        if text.is_empty() || text.contains("://") {
            return Err(refused("a folder's path or `s3://BUCKET/PREFIX`"));
        }
        Ok(Self::Folder(text.into()))
    }
}

fn s3(rest: &str) -> Result<S3Location, String> {
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    if bucket.is_empty() {
        return Err("a bucket after `s3://`".to_owned());
    }
    let mut location = S3Location {
        bucket: bucket.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
        region: None,
        endpoint: None,
        path_style: false,
        checksums_when_required: false,
    };
    let mut path_style = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let value = value.into_owned();
        match (name.as_ref(), value.as_str()) {
            ("region", _) => location.region = Some(value),
            // No user and password: this is shown in logs.
            ("endpoint", _)
                if (value.starts_with("http://") || value.starts_with("https://"))
                    && !value.contains('@') =>
            {
                location.endpoint = Some(value);
            }
            ("path-style", "true" | "false") => path_style = Some(value == "true"),
            ("checksums", "when-required" | "when-supported") => {
                location.checksums_when_required = value == "when-required";
            }
            _ => {
                return Err(format!(
                    "`region=NAME`, `endpoint=http(s)://HOST`, `path-style=true|false` or \
                     `checksums=when-required|when-supported` after the `?`, got `{name}=…`"
                ));
            }
        }
    }
    location.path_style = path_style.unwrap_or_else(|| location.endpoint.is_some());
    Ok(location)
}

impl S3Location {
    /// The text that this was read from, or one that says the same.
    pub fn url(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let mut pair = |name, value: Option<&str>| {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        };
        pair("region", self.region.as_deref());
        pair("endpoint", self.endpoint.as_deref());
        let usual = self.path_style == self.endpoint.is_some();
        let path_style = if self.path_style { "true" } else { "false" };
        pair("path-style", (!usual).then_some(path_style));
        pair(
            "checksums",
            self.checksums_when_required.then_some("when-required"),
        );
        let place = if self.prefix.is_empty() {
            self.bucket.clone()
        } else {
            format!("{}/{}", self.bucket, self.prefix)
        };
        match query.finish().as_str() {
            "" => format!("s3://{place}"),
            query => format!("s3://{place}?{query}"),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::S3(location) => location.fmt(f),
        }
    }
}

impl fmt::Display for S3Location {
    /// The bucket and prefix, and the endpoint where it is not AWS's: what tells one store from another.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        match &self.endpoint {
            Some(endpoint) => write!(f, " at {endpoint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_a_prefix_and_settings_are_one_text() {
        let text = "s3://acme/crunchbox/?endpoint=http%3A%2F%2F127.0.0.1%3A9000&region=eu-west-1&checksums=when-required";
        let Location::S3(s3) = text.parse().unwrap() else {
            panic!("a folder")
        };
        assert_eq!(
            (s3.bucket.as_str(), s3.prefix.as_str()),
            ("acme", "crunchbox")
        );
        assert!(s3.path_style && s3.checksums_when_required);
        assert_eq!(
            s3.to_string(),
            "s3://acme/crunchbox at http://127.0.0.1:9000"
        );
        assert_eq!(s3.url().parse(), Ok(Location::S3(s3)));
        assert_eq!(
            "s3://acme".parse::<Location>().unwrap().to_string(),
            "s3://acme"
        );
        assert_eq!(
            "./store".parse::<Location>().unwrap(),
            Location::Folder("./store".into())
        );
    }

    #[test]
    fn what_is_no_location_is_refused_with_what_was_expected() {
        for (text, expected) in [
            ("", "a folder's path"),
            ("gs://bucket", "s3://BUCKET"),
            ("s3:///prefix", "a bucket"),
            ("s3://a?endpoint=localhost", "endpoint=http(s)://"),
            ("s3://a?path_style=true", "path-style=true|false"),
        ] {
            let error = text.parse::<Location>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
