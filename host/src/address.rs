//! What functions, channels and their states are called: `crunch`, `crunch@live`, `crunch@live:41`, `crunch@3f2a91c0`.
//! Pure text; knows no store.

use crate::error::{Code, Fault};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The longest name: what fits a DNS label.
const NAME_CHARS_MAX: usize = 63;

/// The fewest digits of a release's id that stand for it: eight are unique among a hundred thousand releases.
const PREFIX_DIGITS_MIN: usize = 8;

/// The channel that is meant where none is named.
const DEFAULT_CHANNEL: &str = "live";

/// Why a text is no name or address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, got `{got}`")]
pub struct AddressError {
    expected: &'static str,
    got: String,
}

impl Fault for AddressError {
    fn code(&self) -> Code {
        Code::AddressInvalid
    }
}

const FUNCTION: &str = "a function's name: 1 to 63 of `a-z`, `0-9` and `-`, not starting with `-`";
const CHANNEL: &str = "a channel's name: 1 to 63 of `a-z`, `0-9` and `-`, not starting with `-`, and neither a number nor \
                       eight or more hexadecimal digits";
const ADDRESS: &str = "an address such as `crunch`, `crunch@live`, `crunch@live:41` (its 41st state) or \
                       `crunch@3f2a91c0` (a release by at least eight digits)";

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $expected:ident, $fits:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = AddressError;
            fn from_str(text: &str) -> Result<Self, AddressError> {
                let fits: fn(&str) -> bool = $fits;
                if is_name(text) && fits(text) {
                    return Ok(Self(text.to_owned()));
                }
                Err(AddressError { expected: $expected, got: text.to_owned() })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

names! {
    /// The name of a function, such as `crunch`.
    FunctionName, FUNCTION, |_| true;
    /// The name of a channel, such as `live`; never to be taken for a state's number or a release's digits.
    ChannelName, CHANNEL, |text| !is_number(text) && !is_prefix(text);
}

fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty()
        && text.len() <= NAME_CHARS_MAX
        && !text.starts_with('-')
        && text.chars().all(allowed)
}

/// The digits of a release's id, with or without the name of the digest.
fn digits(text: &str) -> &str {
    text.strip_prefix("sha256-").unwrap_or(text)
}

fn is_number(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit())
}

fn is_prefix(text: &str) -> bool {
    let digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    (PREFIX_DIGITS_MIN..=64).contains(&text.len()) && text.chars().all(digit)
}

impl Default for ChannelName {
    fn default() -> Self {
        Self(DEFAULT_CHANNEL.to_owned())
    }
}

/// A function, and which of its releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The function.
    pub function: FunctionName,
    /// Which release of it.
    pub which: Which,
}

/// Which release of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// What a channel serves now.
    Channel(ChannelName),
    /// What a channel served at a sequence number.
    State(ChannelName, u64),
    /// The release whose id starts with these digits.
    Release(String),
}

impl Address {
    /// A channel of a function.
    pub fn channel(function: FunctionName, channel: ChannelName) -> Self {
        Self {
            function,
            which: Which::Channel(channel),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refused = || AddressError {
            expected: ADDRESS,
            got: text.to_owned(),
        };
        let Some((function, which)) = text.split_once('@') else {
            return Ok(Self::channel(text.parse()?, ChannelName::default()));
        };
        let which = match which.split_once(':') {
            Some((channel, number)) => {
                Which::State(channel.parse()?, number.parse().map_err(|_| refused())?)
            }
            None if is_prefix(digits(which)) => Which::Release(digits(which).to_owned()),
            None if !which.is_empty() && is_number(which) => Which::State(
                ChannelName::default(),
                which.parse().map_err(|_| refused())?,
            ),
            None => Which::Channel(which.parse().map_err(|_| refused())?),
        };
        Ok(Self {
            function: function.parse()?,
            which,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.which {
            Which::Channel(channel) => write!(f, "{}@{channel}", self.function),
            Which::State(channel, sequence) => write!(f, "{}@{channel}:{sequence}", self.function),
            Which::Release(prefix) => write!(f, "{}@{prefix}", self.function),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_channel_a_state_or_a_release() {
        for (text, shown) in [
            ("crunch", "crunch@live"),
            ("crunch@staging", "crunch@staging"),
            ("crunch@41", "crunch@live:41"),
            ("crunch@staging:7", "crunch@staging:7"),
            ("crunch@3f2a91c0", "crunch@3f2a91c0"),
            ("a@12345678", "a@12345678"),
            ("crunch@sha256-3f2a91c0", "crunch@3f2a91c0"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        assert!(matches!(
            "a@12345678".parse::<Address>().unwrap().which,
            Which::Release(_)
        ));
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_was_expected() {
        for text in [
            "",
            "@live",
            "crunch@",
            "Crunch",
            "-a",
            "a b@live",
            "a@../x",
            "a@live:x",
            "a@b@c",
            "a@live:99999999999999999999",
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.starts_with("expected "), "{error}");
        }
        assert!("x".repeat(64).parse::<FunctionName>().is_err());
    }

    #[test]
    fn a_channel_cannot_pass_for_a_number_or_a_release() {
        for text in ["41", "deadbeef", "1234567890"] {
            assert!(text.parse::<ChannelName>().is_err(), "{text}");
        }
        assert!("beef".parse::<ChannelName>().is_ok());
    }
}
