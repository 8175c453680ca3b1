//! One log line and its two shapes. Whatever a guest says stays in its place: under `fields` and `message` in JSON,
//! on indented lines without control characters in text, so it can't pass for a line of the host.

use super::Format;
use crate::error::Level;
use crate::event::Identity;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The host.
    Host,
    /// The guest, through the log interface.
    Guest,
    /// The guest's standard output.
    Stdout,
    /// The guest's standard error.
    Stderr,
}

impl Source {
    fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Guest => "guest",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// What a line belongs to.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The invocation's identifier.
    pub request_id: String,
    /// The function's name.
    pub function: String,
    /// The component's digest, `sha256-` and 64 digits.
    pub component: String,
}

impl Scope {
    /// The scope of an event that a guest serves.
    pub fn of(identity: &Identity, request_id: &str) -> Self {
        Self {
            request_id: request_id.to_owned(),
            function: identity.function.clone(),
            component: identity.component.clone(),
        }
    }
}

/// One line, before it has a shape. Field values are JSON texts; what is not JSON is taken as a string.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// How severe it is.
    pub level: Level,
    /// What it says.
    pub message: &'a str,
    /// Who says it.
    pub source: Source,
    /// The event it belongs to, if any.
    pub scope: Option<&'a Scope>,
    /// Names and JSON texts.
    pub fields: &'a [(String, String)],
    /// Names and JSON texts beside the host's own keys, in JSON only. Nothing that a guest says.
    pub top: &'a [(String, String)],
}

impl Line<'_> {
    pub(super) fn render(&self, format: Format) -> String {
        match format {
            Format::Json => self.to_json(),
            Format::Text => self.to_text(&self.head()),
            Format::Plain => self.to_text(&format!("{:>7}", self.level.as_str())),
            Format::Colour => self.to_text(&coloured(self.level)),
        }
    }

    /// What the host alone says of a line, so that no guest's line can pass for another's or for the host's.
    fn head(self) -> String {
        let time = jiff::Timestamp::now();
        let request = self.scope.map_or("-", |scope| scope.request_id.as_str());
        format!(
            "{time:.3} {} {request} {}:",
            self.level.as_str(),
            self.source.as_str()
        )
    }

    fn to_json(self) -> String {
        let scope = self.scope;
        let document = Document {
            // Lambda files a line under INFO unless this is a valid RFC 3339 time, whatever its level says.
            timestamp: format!("{:.3}", jiff::Timestamp::now()),
            level: self.level.as_str(),
            message: self.message,
            source: self.source.as_str(),
            request_id: scope.map(|scope| scope.request_id.as_str()),
            function: scope.map(|scope| scope.function.as_str()),
            component: scope.map(|scope| scope.component.as_str()),
            fields: Fields(self.fields),
            top: Fields(self.top),
        };
        serde_json::to_string(&document).expect("strings and checked JSON have a text")
    }

    fn to_text(self, head: &str) -> String {
        let mut text = format!("{head} {}", printable(self.message));
        for (name, value) in self.fields {
            let _ = write!(text, "  {}={}", printable(name), printable(value));
        }
        text
    }
}

fn coloured(level: Level) -> String {
    let colour = match level {
        Level::Trace | Level::Debug => "2",
        Level::Info => "32",
        Level::Warn => "33",
        Level::Error | Level::Fatal => "31",
    };
    format!("\x1b[{colour}m{:>7}\x1b[0m", level.as_str())
}

/// Text that a terminal shows as it is: control characters spelled out, further lines indented.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.trim_end_matches('\n').chars() {
        match c {
            '\n' => shown.push_str("\n        "),
            '\t' => shown.push('\t'),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    timestamp: String,
    level: &'a str,
    message: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<&'a str>,
    #[serde(skip_serializing_if = "Fields::is_empty")]
    fields: Fields<'a>,
    #[serde(flatten)]
    top: Fields<'a>,
}

struct Fields<'a>(&'a [(String, String)]);

impl Fields<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            match one_line(value) {
                Some(json) => map.serialize_entry(name, &json)?,
                None => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

/// A JSON text without line breaks, digits and keys untouched: in valid JSON they stand only between tokens. None for what
/// some readers of lines refuse: half of a surrogate pair, a depth without end, a number that is none to them.
fn one_line(value: &str) -> Option<Box<RawValue>> {
    serde_json::from_str::<Value>(value).ok()?;
    RawValue::from_string(value.trim().replace(['\n', '\r'], " ")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line<'a>(message: &'a str, fields: &'a [(String, String)], scope: &'a Scope) -> Line<'a> {
        Line {
            level: Level::Warn,
            message,
            source: Source::Guest,
            scope: Some(scope),
            fields,
            top: &[],
        }
    }

    fn scope() -> Scope {
        Scope {
            request_id: "r-1".into(),
            function: "crunch".into(),
            component: "sha256-00".into(),
        }
    }

    #[test]
    fn a_json_line_has_what_lambdas_filter_reads() {
        let value: serde_json::Value =
            serde_json::from_str(&line("hot", &[], &scope()).to_json()).unwrap();
        assert_eq!(
            (&value["level"], &value["message"]),
            (&"WARN".into(), &"hot".into())
        );
        assert_eq!(
            (&value["requestId"], &value["function"]),
            (&"r-1".into(), &"crunch".into())
        );
        let time = value["timestamp"].as_str().unwrap();
        assert!(
            time.parse::<jiff::Timestamp>().is_ok() && time.ends_with('Z') && time.len() == 24,
            "{time}"
        );
    }

    #[test]
    fn a_guests_fields_cannot_forge_the_hosts_keys_or_a_second_line() {
        let fields = [
            ("level".to_owned(), "\"FATAL\"".to_owned()),
            (
                "big".to_owned(),
                "{\"n\":\n123456789012345678901234567890}".to_owned(),
            ),
            (
                "text".to_owned(),
                "not json\n{\"level\":\"FATAL\"}".to_owned(),
            ),
        ];
        let text = line("a\n{\"level\":\"FATAL\"}", &fields, &scope()).to_json();
        assert!(
            !text.contains('\n') && text.contains("{\"n\": 123456789012345678901234567890}"),
            "{text}"
        );
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&value["level"], &value["fields"]["level"]),
            (&"WARN".into(), &"FATAL".into())
        );
    }

    #[test]
    fn text_for_a_terminal_spells_out_control_characters() {
        let text = line("red \x1b[31m\nnext", &[], &scope()).render(Format::Plain);
        assert_eq!(text, "   WARN red \\u{1b}[31m\n        next");
    }

    #[test]
    fn text_for_an_operator_tells_whose_line_it_is() {
        let text = line("event handled", &[], &scope()).render(Format::Text);
        assert!(text.ends_with(" WARN r-1 guest: event handled"), "{text}");
    }
}
