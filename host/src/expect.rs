//! What an event is expected to come to: a response or a failure, as somebody wrote it down beside the event, with fields
//! that are left open. Compares values, never texts. Knows no file, no event and no guest.

mod compare;
mod json;
mod marker;

use json::Json;
use marker::Node;
use serde::Serialize;
use std::fmt;

/// The members of a failure that can be expected.
const FAILURE_MEMBERS: [&str; 4] = ["kind", "message", "trace", "details"];

/// An expectation that was read and makes sense.
#[derive(Debug)]
pub enum Expectation {
    /// A response.
    Response(Pattern),
    /// A failure.
    Failure(Pattern),
}

/// A JSON value with open fields.
#[derive(Debug, Clone)]
pub struct Pattern(Node);

/// What an event came to.
#[derive(Debug, Clone)]
pub enum Got {
    /// A response.
    Response(Answer),
    /// A failure.
    Failure(Answer),
}

/// A JSON value that was answered, its numbers as they were written.
#[derive(Debug, Clone)]
pub struct Answer(Json);

/// A failure as callers see it.
#[derive(Debug, Clone, Copy)]
pub struct FailureParts<'a> {
    /// Its `errorType`.
    pub kind: &'a str,
    /// Its message.
    pub message: &'a str,
    /// Its trace, innermost first.
    pub trace: &'a [String],
    /// Whatever else was said of it, as one JSON text.
    pub details: Option<&'a str>,
}

/// Why an expectation is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {what}")]
pub struct Problem {
    /// Where in the expectation, as `$.stations.oslo`.
    pub path: String,
    /// What was expected, and what was found.
    pub what: String,
}

/// How a place differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// It is expected, and not there.
    Missing,
    /// It is there, and not expected.
    Unexpected,
    /// It is there, and something else.
    Different,
}

/// One place at which what was got is not what was expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The place, as `$.stations.oslo.count`.
    pub path: String,
    /// How it differs.
    pub kind: How,
    /// What was expected there, as JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was got there, as JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub got: Option<String>,
}

impl Expectation {
    /// Reads an expectation.
    ///
    /// # Errors
    /// [`Problem`], with the place: no JSON, a marker that is none, a member of a failure that there is not.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let json = Json::parse(text).map_err(|what| Problem {
            path: "$".to_owned(),
            what,
        })?;
        match &json {
            Json::Table(entries) if entries.contains_key(marker::FAILURE) => failure(entries),
            _ => Ok(Self::Response(Pattern(Node::read(&json, "$")?))),
        }
    }

    /// All places that are not as expected; none where everything is.
    pub fn differences(&self, got: &Got) -> Vec<Difference> {
        match (self, got) {
            (Self::Response(expected), Got::Response(got)) => {
                compare::differences(&expected.0, &got.0, "$")
            }
            (Self::Failure(expected), Got::Failure(got)) => {
                compare::differences(&expected.0, &got.0, "$failure")
            }
            (Self::Response(_), Got::Failure(_)) | (Self::Failure(_), Got::Response(_)) => {
                vec![Difference {
                    path: "$".to_owned(),
                    kind: How::Different,
                    expected: Some(self.json().to_string()),
                    got: Some(got.json().to_string()),
                }]
            }
        }
    }

    /// What is to be expected from now on, where `got` is right: what was left open stays so wherever it still fits.
    pub fn updated(before: Option<&Self>, got: &Got) -> Self {
        match (before, got) {
            (Some(Self::Response(before)), Got::Response(got)) => {
                Self::Response(Pattern(compare::updated(&before.0, &got.0)))
            }
            (_, Got::Response(got)) => Self::Response(Pattern(Node::of(&got.0))),
            (Some(Self::Failure(before)), Got::Failure(got)) => {
                Self::Failure(Pattern(compare::updated(&before.0, &got.0)))
            }
            (_, Got::Failure(got)) => Self::Failure(Pattern(Node::of_failure(&got.0))),
        }
    }

    fn json(&self) -> Json {
        match self {
            Self::Response(pattern) => pattern.0.json(),
            Self::Failure(pattern) => failure_json(&pattern.0),
        }
    }
}

/// The text of a file that holds it, for people to read and edit.
impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:#}", self.json())
    }
}

/// An expected failure as it is written: that other members may be left out goes without saying.
fn failure_json(members: &Node) -> Json {
    let mut json = members.json();
    if let Json::Table(members) = &mut json {
        members.shift_remove(marker::OTHERS);
    }
    Json::single(marker::FAILURE, json)
}

fn failure(entries: &json::Table) -> Result<Expectation, Problem> {
    let problem = |path: String, what: String| Err(Problem { path, what });
    if let Some(other) = entries.keys().find(|key| *key != marker::FAILURE) {
        let what = format!("expected `$failure` alone, got `{other}` beside it");
        return problem("$".to_owned(), what);
    }
    let path = marker::FAILURE;
    let members = match &entries[path] {
        Json::Table(members) => members,
        other => {
            let what = format!("expected a table, got {}", other.name());
            return problem(path.to_owned(), what);
        }
    };
    for member in members.keys() {
        if !FAILURE_MEMBERS.contains(&member.as_str()) && member != marker::OTHERS {
            let known = FAILURE_MEMBERS.join(", ");
            return problem(path.to_owned(), format!("expected {known}, got `{member}`"));
        }
    }
    let node = Node::read(&entries[path], path)?;
    Ok(Expectation::Failure(Pattern(node.with_others())))
}

impl Got {
    /// A response.
    ///
    /// # Errors
    /// In words, why its text can't be compared.
    pub fn response(text: &str) -> Result<Self, String> {
        Ok(Self::Response(Answer(Json::parse(text)?)))
    }

    /// A failure.
    pub fn failure(parts: FailureParts<'_>) -> Self {
        let text = |text: &str| Json::Text(text.to_owned());
        let trace = parts.trace.iter().map(|place| text(place)).collect();
        let mut members = json::Table::from_iter([
            ("kind".to_owned(), text(parts.kind)),
            ("message".to_owned(), text(parts.message)),
            ("trace".to_owned(), Json::List(trace)),
        ]);
        if let Some(details) = parts.details {
            let details = Json::parse(details).unwrap_or_else(|_| text(details));
            members.insert("details".to_owned(), details);
        }
        Self::Failure(Answer(Json::Table(members)))
    }

    fn json(&self) -> Json {
        match self {
            Self::Response(answer) => answer.0.clone(),
            Self::Failure(answer) => failure_json(&Node::of_failure(&answer.0)),
        }
    }
}

#[cfg(test)]
mod tests;
