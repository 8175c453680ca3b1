//! What guests call objects: `s3://BUCKET/KEY`, or the absolute path of a file. A name that some server or system could take
//! for another one is refused, since rules compare names letter by letter.

use super::{ObjectError, shown};
use std::fmt;

/// What begins a name in S3.
const S3: &str = "s3://";

/// The longest key of S3, in bytes; paths are held to the same.
pub(super) const KEY_BYTES_MAX: usize = 1024;

/// The longest name of a bucket. The shortest has three letters, but while a rule is only looked at, one digit stands for
/// what a template will put there.
const BUCKET_BYTES_MAX: usize = 63;

/// How names of access points end, by which a bucket could be reached under another name than its own.
/// Source: Amazon S3 User Guide, "General purpose bucket naming rules".
const ALIASES: [&str; 4] = ["-s3alias", "--ol-s3", ".mrap", "--table-s3"];

/// What begins the names of files that are being written.
pub(super) const UNFINISHED: &str = ".crunchbox-";

/// The checked name of an object, or what names begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// An object of S3.
    S3 {
        /// Its bucket.
        bucket: String,
        /// Its key in the bucket.
        key: String,
    },
    /// A file, by its absolute path.
    File(String),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, key } => write!(f, "{S3}{bucket}/{key}"),
            Self::File(path) => f.write_str(path),
        }
    }
}

impl Name {
    /// Reads the name of one object.
    ///
    /// # Errors
    /// [`ObjectError::Name`].
    pub fn object(text: &str) -> Result<Self, ObjectError> {
        let whole = |name: Self| match name.is_prefix() {
            true => Err("expected the name of one object, which does not end in `/`".to_owned()),
            false => Ok(name),
        };
        Self::parse(text)
            .and_then(whole)
            .map_err(|expected| refused(text, expected))
    }

    /// Reads what names of objects begin with.
    ///
    /// # Errors
    /// [`ObjectError::Name`].
    pub fn prefix(text: &str) -> Result<Self, ObjectError> {
        Self::parse(text).map_err(|expected| refused(text, expected))
    }

    /// Reads a name or a prefix, or says what was expected.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix(S3) {
            let (bucket, key) = rest
                .split_once('/')
                .ok_or("expected a `/` after the bucket")?;
            check_bucket(bucket)?;
            check_key(key)?;
            return Ok(Self::S3 {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
            });
        }
        let inner = text
            .strip_prefix('/')
            .ok_or("expected `s3://BUCKET/KEY` or an absolute path")?;
        check_path(inner)?;
        Ok(Self::File(text.to_owned()))
    }

    /// Whether it names no object, but all below it.
    pub(super) fn is_prefix(&self) -> bool {
        match self {
            Self::S3 { key, .. } => key.is_empty() || key.ends_with('/'),
            Self::File(path) => path.ends_with('/'),
        }
    }

    /// Whether another one begins with this one.
    pub(super) fn begins(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::S3 { bucket, key },
                Self::S3 {
                    bucket: others,
                    key: longer,
                },
            ) => bucket == others && longer.starts_with(key.as_str()),
            (Self::File(path), Self::File(longer)) => longer.starts_with(path.as_str()),
            (Self::S3 { .. }, Self::File(_)) | (Self::File(_), Self::S3 { .. }) => false,
        }
    }
}

fn refused(text: &str, expected: String) -> ObjectError {
    ObjectError::Name {
        at: shown(text),
        expected,
    }
}

fn check_bucket(bucket: &str) -> Result<(), String> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = !bucket.is_empty()
        && bucket.len() <= BUCKET_BYTES_MAX
        && bucket.starts_with(letter)
        && bucket.ends_with(letter)
        && bucket.chars().all(|c| letter(c) || matches!(c, '-' | '.'))
        && !bucket.contains("..");
    if !fits {
        return Err(
            "expected a bucket's name after `s3://`: small letters, digits, `-`, `.`".into(),
        );
    }
    match ALIASES.iter().find(|alias| bucket.ends_with(**alias)) {
        Some(alias) => Err(format!(
            "expected a bucket by its own name, not an access point (`{alias}`)"
        )),
        None => Ok(()),
    }
}

fn check_text(text: &str) -> Result<(), String> {
    if text.len() > KEY_BYTES_MAX {
        return Err(format!("expected at most {KEY_BYTES_MAX} bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err("expected no control characters".to_owned());
    }
    Ok(())
}

fn check_key(key: &str) -> Result<(), String> {
    check_text(key)?;
    // Some servers make paths of keys, and some of those take `\` for `/`.
    let climbs = |part: &str| part == "." || part == "..";
    if key.split(['/', '\\']).any(climbs) {
        return Err("expected no part of the key to be `.` or `..`".to_owned());
    }
    Ok(())
}

/// Checks a path without the slash that it begins with.
fn check_path(path: &str) -> Result<(), String> {
    check_text(path)?;
    if path.is_empty() {
        return Ok(());
    }
    let parts = path.strip_suffix('/').unwrap_or(path);
    if parts.split('/').all(is_plain) {
        return Ok(());
    }
    Err(format!(
        "expected no part of the path to be empty, `.` or `..`, to have a `\\` in it or to begin with `{UNFINISHED}`"
    ))
}

/// Whether a part of a path means what it says.
pub(super) fn is_plain(part: &str) -> bool {
    !matches!(part, "" | "." | "..")
        && !part.starts_with(UNFINISHED)
        && !part.contains(|c: char| c == '\\' || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_key_in_a_bucket_or_an_absolute_path() {
        for text in [
            "s3://acme/readings/2024/a.json",
            "s3://acme/a b//ü?#%2e*",
            "s3://my.bucket-1/.hidden",
            "s3://acme/a..b/...",
            "/data/in/a.json",
            "/.hidden",
        ] {
            assert_eq!(Name::object(text).unwrap().to_string(), text);
        }
        for text in [
            "s3://acme/",
            "s3://acme/2024-",
            "/",
            "/data/",
            "/data/2024-",
        ] {
            assert_eq!(Name::prefix(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_a_server_or_a_system_could_take_for_another_name_is_refused() {
        let long = format!("s3://acme/{}", "x".repeat(KEY_BYTES_MAX + 1));
        for (text, expected) in [
            ("", "an absolute path"),
            ("readings/a", "an absolute path"),
            ("S3://acme/a", "an absolute path"),
            ("https://acme/a", "an absolute path"),
            ("s3://acme", "`/` after the bucket"),
            ("s3://acme/", "does not end in `/`"),
            ("s3://acme/a/", "does not end in `/`"),
            ("s3:///a", "a bucket's name"),
            ("s3://Acme/a", "a bucket's name"),
            ("s3://../a", "a bucket's name"),
            ("s3://a..b/a", "a bucket's name"),
            ("s3://acme@evil/a", "a bucket's name"),
            ("s3://acme:80/a", "a bucket's name"),
            (
                "s3://arn:aws:s3:eu-west-1:1:accesspoint/x/a",
                "a bucket's name",
            ),
            ("s3://my-point-abc-s3alias/a", "access point"),
            ("s3://acme/../other/a", "`.` or `..`"),
            ("s3://acme/a/..", "`.` or `..`"),
            ("s3://acme/./a", "`.` or `..`"),
            ("s3://acme/a\\..\\b", "`.` or `..`"),
            ("s3://acme/a\0b", "control characters"),
            ("s3://acme/a\u{85}b", "control characters"),
            (long.as_str(), "at most 1024 bytes"),
            ("/data/../etc/passwd", "`.` or `..`"),
            ("/data/./a", "`.` or `..`"),
            ("//data/a", "to be empty"),
            ("/data//a", "to be empty"),
            ("/data/a\\b", "`\\`"),
            ("/data/a\nb", "control characters"),
            ("/data/.crunchbox-0", "`.crunchbox-`"),
            ("/data/", "does not end in `/`"),
            ("/", "does not end in `/`"),
        ] {
            let error = Name::object(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
