//! A configuration as it is written: JSON's values with the line of each and the markers on them, as all four formats
//! are read into it. Numbers stay the digits that somebody wrote.

use crate::secret::Reference;
use indexmap::IndexMap;
use serde_json::value::RawValue;
use std::fmt::Write;

/// The longest text of one layer, in bytes. A configuration is written by people, and some readers take two hundred times
/// the memory of what they read.
pub(crate) const TEXT_BYTES_MAX: usize = 256 << 10;

/// The most values in one layer, what aliases of YAML repeat included.
const VALUES_MAX: usize = 30_000;

/// The deepest nesting of one layer.
pub(crate) const DEPTH_MAX: usize = 64;

/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 1 << 10;

/// The bytes of the paths of all values of one layer together: some of what is told of a configuration names them all.
const PATH_BYTES_MAX: usize = 16 << 20;

/// The longest text of what is wrong.
const PROBLEM_BYTES_MAX: usize = 2 << 10;

/// A table: its keys in the order in which they are written.
pub type Table = IndexMap<String, Value>;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Value {
    /// What it is.
    pub kind: Kind,
    /// Its line, from 1; 0 where it is not known.
    pub line: u32,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `null`: a value like any other.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number, in JSON's spelling and with its own digits.
    Number(String),
    /// A string.
    Text(String),
    /// An array; replaced whole by a stronger layer.
    List(Vec<Value>),
    /// A table; merged with those of other layers.
    Table(Table),
    /// Some layer must give this; the text says what it is.
    Required(String),
    /// May be overridden without a word.
    Default(Box<Value>),
    /// Is to be had elsewhere, when it is asked for.
    Secret(Reference),
}

/// Two values are equal wherever they stand.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The line, from 1; 0 where there is none.
    pub(crate) line: u32,
    /// What was expected and what was found. Never a value that could be secret.
    pub(crate) what: String,
}

impl Problem {
    pub(crate) fn new(line: u32, what: impl Into<String>) -> Self {
        let mut what = what.into();
        // A key or a tag in it may be of any length.
        what.truncate(what.floor_char_boundary(PROBLEM_BYTES_MAX));
        Self { line, what }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            line => write!(f, "line {line}: {}", self.what),
        }
    }
}

impl Kind {
    /// The name of the kind, as error texts spell it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Table(_) => "a table",
            Self::Required(_) => "a value that must be overridden",
            Self::Default(_) => "a default",
            Self::Secret(_) => "a secret",
        }
    }
}

/// What one text may still use up.
#[derive(Debug)]
pub(crate) struct Budget {
    values: usize,
    depth: usize,
    repeated: usize,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            values: VALUES_MAX,
            depth: DEPTH_MAX,
            repeated: TEXT_BYTES_MAX,
        }
    }

    /// What a layer of any format comes to when it is sealed, where each marker is a table.
    pub(crate) fn sealed() -> Self {
        Self {
            values: 2 * VALUES_MAX,
            depth: 2 * DEPTH_MAX,
            repeated: 0,
        }
    }

    /// Takes room for one value at a depth.
    pub(crate) fn take(&mut self, depth: usize, line: u32) -> Result<(), Problem> {
        if depth > self.depth {
            return Err(Problem::new(line, too_deep()));
        }
        match self.values.checked_sub(1) {
            Some(left) => {
                self.values = left;
                Ok(())
            }
            None => Err(Problem::new(
                line,
                format!("expected at most {VALUES_MAX} values, got more"),
            )),
        }
    }
}

impl Budget {
    /// Takes room for a value that is repeated, as if it were written there once more.
    pub(crate) fn repeat(&mut self, value: &Value, depth: usize, line: u32) -> Result<(), Problem> {
        self.take(depth, line)?;
        match &value.kind {
            Kind::List(items) => items
                .iter()
                .try_for_each(|item| self.repeat(item, depth + 1, line)),
            Kind::Table(table) => table.iter().try_for_each(|(key, value)| {
                self.repeat_text(key, line)?;
                self.repeat(value, depth + 1, line)
            }),
            Kind::Default(inner) => self.repeat(inner, depth, line),
            Kind::Number(text) | Kind::Text(text) | Kind::Required(text) => {
                self.repeat_text(text, line)
            }
            Kind::Secret(reference) => {
                let key = reference.key.as_deref().unwrap_or_default();
                self.repeat_text(&reference.name, line)?;
                self.repeat_text(key, line)
            }
            Kind::Null | Kind::Bool(_) => Ok(()),
        }
    }

    /// Gives the room of one value back: what was taken for one turned out to be a key.
    pub(crate) fn give_back(&mut self) {
        self.values += 1;
    }

    /// Takes room for text that is repeated.
    pub(crate) fn repeat_text(&mut self, text: &str, line: u32) -> Result<(), Problem> {
        match self.repeated.checked_sub(text.len()) {
            Some(left) => {
                self.repeated = left;
                Ok(())
            }
            None => Err(Problem::new(
                line,
                format!("expected at most {TEXT_BYTES_MAX} bytes that are repeated, got more"),
            )),
        }
    }
}

/// Refuses a text that is longer than any layer.
pub(crate) fn check_length(bytes: usize) -> Result<(), Problem> {
    if bytes <= TEXT_BYTES_MAX {
        return Ok(());
    }
    let what = format!("expected at most {TEXT_BYTES_MAX} bytes, got more");
    Err(Problem::new(0, what))
}

/// Refuses keys, and paths of them, that are longer than anybody writes.
pub(crate) fn check_paths(table: &Table) -> Result<(), Problem> {
    fn add(table: &Table, above: usize, sum: &mut usize) -> Result<(), Problem> {
        for (key, value) in table {
            if key.len() > KEY_BYTES_MAX {
                let what =
                    format!("expected a key of at most {KEY_BYTES_MAX} bytes, got a longer one");
                return Err(Problem::new(value.line, what));
            }
            let path = above + key.len() + 1;
            *sum += path;
            if *sum > PATH_BYTES_MAX {
                let what =
                    "expected shorter paths: so many values with such long ones are too much";
                return Err(Problem::new(value.line, what));
            }
            let mut kind = &value.kind;
            if let Kind::Default(inner) = kind {
                kind = &inner.kind;
            }
            if let Kind::Table(inner) = kind {
                add(inner, path, sum)?;
            }
        }
        Ok(())
    }
    add(table, 0, &mut 0)
}

/// What is said of too much nesting.
pub(crate) fn too_deep() -> String {
    format!("expected at most {DEPTH_MAX} levels of nesting, got more")
}

/// The line on which each byte of a text stands.
#[derive(Debug)]
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn of(text: &str) -> Self {
        let breaks = text.bytes().enumerate();
        Self(
            breaks
                .filter(|(_, byte)| *byte == b'\n')
                .map(|(at, _)| at)
                .collect(),
        )
    }

    /// The line, from 1, of the byte at `offset`.
    pub(crate) fn at(&self, offset: usize) -> u32 {
        let before = self.0.partition_point(|end| *end < offset);
        u32::try_from(before + 1).unwrap_or(u32::MAX)
    }
}

/// Whether a text is one JSON number.
pub(crate) fn is_json_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get().len() == text.len())
}

/// A decimal number as JSON spells it, from the spellings that other formats add: a sign `+`, no digit before or after
/// the point, zeros in front.
pub(crate) fn decimal(text: &str) -> Option<String> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let mut number = format!("{sign}{}", if whole.is_empty() { "0" } else { whole });
    if mantissa.contains('.') {
        let fraction = if fraction.is_empty() { "0" } else { fraction };
        write!(number, ".{fraction}").ok()?;
    }
    number.push_str(exponent);
    is_json_number(&number).then_some(number)
}

/// A whole number of another radix, in decimal; at most 128 bits.
pub(crate) fn radix(sign: &str, digits: &str, radix: u32) -> Option<String> {
    let has_sign = digits.starts_with(['+', '-']);
    let number = u128::from_str_radix(digits, radix)
        .ok()
        .filter(|_| !has_sign)?;
    let sign = if sign == "-" && number > 0 { "-" } else { "" };
    Some(format!("{sign}{number}"))
}

/// Writes a string as JSON.
pub(crate) fn write_text(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).expect("a string has a JSON text"));
}

/// Writes a value as guests read it: JSON, with what `secret` writes in the place of each secret.
pub(crate) fn write_plain(
    out: &mut String,
    value: &Value,
    secret: &mut impl FnMut(&mut String, &Reference),
) {
    match &value.kind {
        Kind::Null | Kind::Required(_) => out.push_str("null"),
        Kind::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Kind::Number(number) => out.push_str(number),
        Kind::Text(text) => write_text(out, text),
        Kind::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write_plain(out, item, secret);
            }
            out.push(']');
        }
        Kind::Table(table) => {
            out.push('{');
            for (index, (key, value)) in table.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write_text(out, key);
                out.push(':');
                write_plain(out, value, secret);
            }
            out.push('}');
        }
        Kind::Default(inner) => write_plain(out, inner, secret),
        Kind::Secret(reference) => secret(out, reference),
    }
}

/// Writes a value as it is sealed: JSON, markers as marker maps. Collects the line of each value, in order.
pub(crate) fn write_sealed(out: &mut String, lines: &mut Vec<u32>, value: &Value) {
    lines.push(value.line);
    match &value.kind {
        Kind::Null => out.push_str("null"),
        Kind::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Kind::Number(number) => out.push_str(number),
        Kind::Text(text) => write_text(out, text),
        Kind::List(items) => {
            let separated = items.iter().enumerate();
            out.push('[');
            for (index, item) in separated {
                out.push_str(if index == 0 { "" } else { "," });
                write_sealed(out, lines, item);
            }
            out.push(']');
        }
        Kind::Table(table) => write_sealed_table(out, lines, table),
        Kind::Required(what) => {
            out.push_str(r#"{"$required":"#);
            write_text(out, what);
            out.push('}');
        }
        Kind::Default(inner) => {
            out.push_str(r#"{"$default":"#);
            write_sealed(out, lines, inner);
            out.push('}');
        }
        Kind::Secret(reference) => {
            out.push_str(r#"{"$secret":"#);
            write_text(out, &reference.to_string());
            out.push('}');
        }
    }
}

/// The same of a table.
pub(crate) fn write_sealed_table(out: &mut String, lines: &mut Vec<u32>, table: &Table) {
    out.push('{');
    for (index, (key, value)) in table.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        if key.starts_with('$') {
            write_text(out, &format!("${key}"));
        } else {
            write_text(out, key);
        }
        out.push(':');
        write_sealed(out, lines, value);
    }
    out.push('}');
}

/// Gives each value its line, in the order in which [`write_sealed`] collects them; false if there are more or fewer.
pub(crate) fn give_lines(table: &mut Table, lines: &[u32]) -> bool {
    fn give(value: &mut Value, lines: &mut std::slice::Iter<'_, u32>) -> bool {
        let Some(line) = lines.next() else {
            return false;
        };
        value.line = *line;
        match &mut value.kind {
            Kind::List(items) => items.iter_mut().all(|item| give(item, lines)),
            Kind::Table(table) => table.values_mut().all(|value| give(value, lines)),
            Kind::Default(inner) => give(inner, lines),
            Kind::Null
            | Kind::Bool(_)
            | Kind::Number(_)
            | Kind::Text(_)
            | Kind::Required(_)
            | Kind::Secret(_) => true,
        }
    }
    let mut lines = lines.iter();
    table.values_mut().all(|value| give(value, &mut lines)) && lines.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_number_keeps_its_digits_in_jsons_spelling() {
        for (text, expected) in [
            ("12345678901234567890123", "12345678901234567890123"),
            ("+1", "1"),
            ("-0", "-0"),
            (".5", "0.5"),
            ("5.", "5.0"),
            ("007.10", "7.10"),
            ("-1.50e+999", "-1.50e+999"),
        ] {
            assert_eq!(decimal(text).as_deref(), Some(expected));
        }
        for text in [
            "", ".", "-", "1e", "1.2.3", "0x10", "1_000", "e5", "+-1", "1 ",
        ] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }

    #[test]
    fn a_line_is_counted_by_breaks() {
        let lines = Lines::of("a\nbc\n\nd");
        assert_eq!([0, 1, 2, 5, 6].map(|at| lines.at(at)), [1, 1, 2, 3, 4]);
    }
}
