//! Open fields: the strings that begin with `$`, read into patterns and written back.

use super::Problem;
use super::json::{Decimal, Json};
use indexmap::IndexMap;
use regex::Regex;

/// The key of an expected failure.
pub(super) const FAILURE: &str = "$failure";

/// The key of an expected table that may have other keys.
pub(super) const OTHERS: &str = "$others";

/// What stands before the pattern of a string.
const MATCH: &str = "$match ";

/// The markers without a pattern, as they are written.
const MARKERS: [(&str, Open); 7] = [
    ("$any", Open::Any),
    ("$string", Open::Text),
    ("$number", Open::Number),
    ("$integer", Open::Integer),
    ("$boolean", Open::Bool),
    ("$array", Open::List),
    ("$object", Open::Table),
];

/// An expected value.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// Exactly this value, which holds no others.
    Value(Json),
    /// Any value of a kind.
    Open(Open),
    /// A string that the pattern matches as a whole.
    Match(Match),
    /// These, in this order.
    List(Vec<Node>),
    /// These keys.
    Table(Entries),
}

/// A kind of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    Any,
    Text,
    Number,
    Integer,
    Bool,
    List,
    Table,
}

/// A pattern, and as it was written.
#[derive(Debug, Clone)]
pub(super) struct Match {
    written: String,
    whole: Regex,
}

/// The keys of a table.
#[derive(Debug, Clone)]
pub(super) struct Entries {
    pub(super) named: IndexMap<String, Node>,
    pub(super) others: Others,
}

/// What becomes of keys that are not named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    Refused,
    Allowed,
}

impl Node {
    /// Reads what was written at `path`.
    pub(super) fn read(json: &Json, path: &str) -> Result<Self, Problem> {
        Ok(match json {
            Json::Text(text) => Self::read_text(text, path)?,
            Json::List(items) => {
                let items = items.iter().enumerate();
                let items = items.map(|(at, item)| Self::read(item, &item_path(path, at)));
                Self::List(items.collect::<Result<_, _>>()?)
            }
            Json::Table(entries) => {
                let mut read = Entries {
                    named: IndexMap::with_capacity(entries.len()),
                    others: Others::Refused,
                };
                for (key, value) in entries {
                    read.add(key, value, path)?;
                }
                Self::Table(read)
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => Self::Value(json.clone()),
        })
    }

    fn read_text(text: &str, path: &str) -> Result<Self, Problem> {
        let problem = |what: String| Problem {
            path: path.to_owned(),
            what,
        };
        if let Some(literal) = unescaped(text) {
            return Ok(Self::Value(Json::Text(literal)));
        }
        if let Some(pattern) = text.strip_prefix(MATCH) {
            return Ok(Self::Match(Match::read(pattern).map_err(problem)?));
        }
        let known = MARKERS.iter().find(|(marker, _)| *marker == text);
        match known {
            Some((_, open)) => Ok(Self::Open(*open)),
            None => {
                let known = MARKERS.map(|(marker, _)| marker).join(", ");
                Err(problem(format!(
                    "expected {known} or $match REGEX, got `{text}`; a string that begins with `$` is written `${text}`"
                )))
            }
        }
    }

    /// Exactly this value.
    pub(super) fn of(json: &Json) -> Self {
        match json {
            Json::List(items) => Self::List(items.iter().map(Self::of).collect()),
            Json::Table(entries) => {
                let entries = entries.iter();
                Self::Table(Entries {
                    named: entries
                        .map(|(key, value)| (key.clone(), Self::of(value)))
                        .collect(),
                    others: Others::Refused,
                })
            }
            value => Self::Value(value.clone()),
        }
    }

    /// A failure by its kind and its message: traces change with every line of the source.
    pub(super) fn of_failure(failure: &Json) -> Self {
        let mut node = Self::of(failure);
        if let Self::Table(entries) = &mut node {
            entries
                .named
                .retain(|member, _| member == "kind" || member == "message");
        }
        node.with_others()
    }

    /// The same with whatever other keys, where it is a table.
    pub(super) fn with_others(mut self) -> Self {
        if let Self::Table(entries) = &mut self {
            entries.others = Others::Allowed;
        }
        self
    }

    /// As it is written.
    pub(super) fn json(&self) -> Json {
        match self {
            Self::Value(Json::Text(text)) => Json::Text(escaped(text)),
            Self::Value(value) => value.clone(),
            Self::Open(open) => Json::Text(open.marker().to_owned()),
            Self::Match(pattern) => Json::Text(format!("{MATCH}{}", pattern.written)),
            Self::List(items) => Json::List(items.iter().map(Self::json).collect()),
            Self::Table(entries) => entries.json(),
        }
    }
}

impl Entries {
    fn add(&mut self, key: &str, value: &Json, path: &str) -> Result<(), Problem> {
        let problem = |path: String, what: String| Err(Problem { path, what });
        if key == OTHERS {
            self.others = Others::Allowed;
            return match value {
                Json::Text(text) if text == "$any" => Ok(()),
                other => problem(
                    key_path(path, key),
                    format!("expected \"$any\", got {other}"),
                ),
            };
        }
        if key == FAILURE {
            let what = "expected `$failure` as the only key of the whole, got it further inside";
            return problem(path.to_owned(), what.to_owned());
        }
        let Some(name) = unescaped(key) else {
            let what = format!(
                "expected $others, got the key `{key}`; a key that begins with `$` is written `${key}`"
            );
            return problem(path.to_owned(), what);
        };
        let node = Node::read(value, &key_path(path, &name))?;
        self.named.insert(name, node);
        Ok(())
    }

    fn json(&self) -> Json {
        let named = self.named.iter();
        let named = named.map(|(key, node)| (escaped(key), node.json()));
        let others = (self.others == Others::Allowed)
            .then(|| (OTHERS.to_owned(), Json::Text("$any".to_owned())));
        Json::Table(named.chain(others).collect())
    }
}

impl Open {
    pub(super) fn fits(self, json: &Json) -> bool {
        match (self, json) {
            (Self::Any, _)
            | (Self::Text, Json::Text(_))
            | (Self::Number, Json::Number(_))
            | (Self::Bool, Json::Bool(_))
            | (Self::List, Json::List(_))
            | (Self::Table, Json::Table(_)) => true,
            (Self::Integer, Json::Number(digits)) => Decimal::of(digits).is_integer(),
            _ => false,
        }
    }

    fn marker(self) -> &'static str {
        let written = MARKERS.iter().find(|(_, open)| *open == self);
        written.map_or("$any", |(marker, _)| marker)
    }
}

impl Match {
    fn read(pattern: &str) -> Result<Self, String> {
        let words = |error: regex::Error| format!("expected a regular expression, got {error}");
        // By itself first: brackets that do not pair must not pair with those around it.
        Regex::new(pattern).map_err(words)?;
        Ok(Self {
            written: pattern.to_owned(),
            whole: Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(words)?,
        })
    }

    pub(super) fn fits(&self, json: &Json) -> bool {
        matches!(json, Json::Text(text) if self.whole.is_match(text))
    }
}

/// The string that is meant, unless it is a marker.
fn unescaped(text: &str) -> Option<String> {
    match text.strip_prefix('$') {
        None => Some(text.to_owned()),
        Some(rest) => rest.starts_with('$').then(|| rest.to_owned()),
    }
}

/// A string as it is written where markers could stand.
fn escaped(text: &str) -> String {
    let mark = if text.starts_with('$') { "$" } else { "" };
    format!("{mark}{text}")
}

pub(super) fn item_path(path: &str, at: usize) -> String {
    format!("{path}[{at}]")
}

pub(super) fn key_path(path: &str, key: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    match !key.is_empty() && key.chars().all(is_word) {
        true => format!("{path}.{key}"),
        false => format!("{path}[{}]", Json::Text(key.to_owned())),
    }
}
