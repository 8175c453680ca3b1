//! JSON values whose numbers keep their digits, so that large ones compare exactly; `serde_json` alone would round them.

use indexmap::IndexMap;
use serde::de::Deserialize;
use serde::ser::{Error, Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;

/// The deepest nesting that is compared: a response may be as deep as it likes, this thread's stack may not.
const DEPTH_MAX: usize = 128;

/// A table, in the order in which it was written.
pub(super) type Table = IndexMap<String, Json>;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// In the digits that somebody wrote.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Table(Table),
}

impl Json {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Self::read(raw, 0)
    }

    fn read(raw: &RawValue, depth: usize) -> Result<Self, String> {
        if depth > DEPTH_MAX {
            return Err(format!("expected at most {DEPTH_MAX} levels of nesting"));
        }
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'"') => Self::Text(parse(text)?),
            Some(b'[') => {
                let items: Vec<&RawValue> = parse(text)?;
                let items = items.into_iter().map(|item| Self::read(item, depth + 1));
                Self::List(items.collect::<Result<_, _>>()?)
            }
            Some(b'{') => {
                let entries: IndexMap<String, &RawValue> = parse(text)?;
                let entries = entries
                    .into_iter()
                    .map(|(key, value)| Ok((key, Self::read(value, depth + 1)?)));
                Self::Table(entries.collect::<Result<_, String>>()?)
            }
            _ => Self::Number(text.to_owned()),
        })
    }

    /// A table of one entry.
    pub(super) fn single(key: &str, value: Self) -> Self {
        Self::Table(Table::from_iter([(key.to_owned(), value)]))
    }

    /// What it is, as error texts spell it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Table(_) => "a table",
        }
    }

    /// Whether the two are the same value: numbers by what they come to, tables in any order.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => Decimal::of(one) == Decimal::of(other),
            (Self::List(one), Self::List(other)) => {
                let mut pairs = one.iter().zip(other);
                one.len() == other.len() && pairs.all(|(one, other)| one.is_same(other))
            }
            (Self::Table(one), Self::Table(other)) => {
                let is_in = |(key, value): (&String, &Self)| {
                    other.get(key).is_some_and(|other| value.is_same(other))
                };
                one.len() == other.len() && one.iter().all(is_in)
            }
            (one, other) => one == other,
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(digits) => RawValue::from_string(digits.clone())
                .map_err(S::Error::custom)?
                .serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Table(table) => serializer.collect_map(table),
        }
    }
}

/// On one line, or by `{:#}` on many, two spaces deeper for each level.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match f.alternate() {
            true => serde_json::to_string_pretty(self),
            false => serde_json::to_string(self),
        };
        f.write_str(&text.map_err(|_| fmt::Error)?)
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// A number by its value: `0.digits × 10^exponent`, the digits without zeros on either side.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    is_negative: bool,
    digits: String,
    /// Beyond 38 digits of its own an exponent counts as the largest there is.
    exponent: i128,
}

impl Decimal {
    /// The value of a number in JSON's spelling.
    pub(super) fn of(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let unsigned = mantissa.trim_start_matches('-');
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let all = format!("{whole}{fraction}");
        let leading = all.len() - all.trim_start_matches('0').len();
        let digits = all.trim_matches('0').to_owned();
        if digits.is_empty() {
            return Self {
                is_negative: false,
                digits,
                exponent: 0,
            };
        }
        let shift = |length: usize| i128::try_from(length).unwrap_or(i128::MAX);
        let farthest = match exponent.starts_with('-') {
            true => i128::MIN,
            false => i128::MAX,
        };
        let exponent = exponent.parse::<i128>().unwrap_or(farthest);
        Self {
            is_negative: mantissa.starts_with('-'),
            digits,
            exponent: exponent.saturating_add(shift(whole.len()) - shift(leading)),
        }
    }

    /// Whether nothing stands behind the point.
    pub(super) fn is_integer(&self) -> bool {
        i128::try_from(self.digits.len()).is_ok_and(|digits| digits <= self.exponent)
            || self.digits.is_empty()
    }
}
