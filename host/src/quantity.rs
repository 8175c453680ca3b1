//! Amounts as people write them, `128 MiB` and `20s`, and back. Pure text; knows no limits.

use serde::{Deserialize, Deserializer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes, written `128 MiB` or `64 kB`; never without its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// `count` mebibytes.
    pub const fn mebi(count: u64) -> Self {
        Self(count << 20)
    }

    /// The amount as this machine counts memory; the largest it can count, where that is less.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Bytes {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let has_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
        text.parse::<bytesize::ByteSize>()
            .ok()
            .filter(|_| has_unit)
            .map(|size| Self(size.as_u64()))
            .ok_or_else(|| format!("expected a size such as `128 MiB`, got `{text}`"))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KIBI: u64 = 1 << 10;
        const MEBI: u64 = 1 << 20;
        match self.0 {
            bytes if bytes < KIBI => write!(f, "{bytes} B"),
            bytes if bytes < MEBI => tenths(f, bytes, KIBI, "KiB"),
            bytes => tenths(f, bytes, MEBI, "MiB"),
        }
    }
}

fn tenths(f: &mut fmt::Formatter<'_>, bytes: u64, unit: u64, name: &str) -> fmt::Result {
    // Rounded to the nearest tenth; a tenth that is zero, or lost beside a hundred, is left out.
    let tenths = (u128::from(bytes) * 10 + u128::from(unit) / 2) / u128::from(unit);
    match (tenths / 10, tenths % 10) {
        (whole, 0) => write!(f, "{whole} {name}"),
        (whole, _) if whole >= 100 => write!(f, "{whole} {name}"),
        (whole, tenth) => write!(f, "{whole}.{tenth} {name}"),
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The longest time that can be set: far beyond any run, and far from where adding it to the clock overflows.
const TIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// A length of time, written `20s`, `1m 30s` or `250ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

impl FromStr for Time {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|time| Duration::try_from(time).ok())
            .filter(|time| !time.is_zero() && *time <= TIME_MAX)
            .map(Self)
            .ok_or_else(|| {
                format!("expected a time above zero and up to a week, such as `20s` or `250ms`, got `{text}`")
            })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_secs_f64() * 1e3;
        match millis {
            ms if ms < 0.1 => write!(f, "{ms:.2} ms"),
            ms if ms < 100.0 => write!(f, "{ms:.1} ms"),
            ms if ms < 1e3 => write!(f, "{ms:.0} ms"),
            ms => write!(f, "{} s", (ms / 100.0).round() / 10.0),
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_printed_as_people_write_them() {
        for (text, bytes, printed) in [
            ("128 MiB", 128 << 20, "128 MiB"),
            ("1.5MiB", 3 << 19, "1.5 MiB"),
            ("512 B", 512, "512 B"),
            ("64 kB", 64_000, "62.5 KiB"),
        ] {
            assert_eq!(text.parse::<Bytes>().map(|size| size.0), Ok(bytes));
            assert_eq!(Bytes(bytes).to_string(), printed);
        }
        assert_eq!(Bytes(u64::MAX).to_string(), "17592186044416 MiB");
        assert!(
            "128".parse::<Bytes>().is_err(),
            "a size without its unit is a guess"
        );
        assert!("much".parse::<Bytes>().unwrap_err().contains("128 MiB"));
    }

    #[test]
    fn times_are_read_and_printed_as_people_write_them() {
        for (text, millis, printed) in [
            ("20s", 20_000, "20 s"),
            ("250ms", 250, "250 ms"),
            ("1m 30s", 90_000, "90 s"),
            ("9 ms", 9, "9.0 ms"),
        ] {
            assert_eq!(
                text.parse::<Time>().map(|time| time.0.as_millis()),
                Ok(millis)
            );
            assert_eq!(
                Time(Duration::from_millis(u64::try_from(millis).unwrap())).to_string(),
                printed
            );
        }
        for text in ["0s", "-1s", "soon", "20", "169h", "9999999999h"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }
}
