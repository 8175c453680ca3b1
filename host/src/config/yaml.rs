//! YAML 1.2 into values, by its core schema: `no` and `2015-12-30` are strings, `true` and `1` are not. Anchors and merge
//! keys work; what they repeat counts against the size of the layer.

use super::marker;
use super::value::{
    Budget, Kind, Problem, Table, Value, check_length, decimal, is_json_number, radix,
};
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use std::borrow::Cow;
use std::collections::HashMap;

/// Reads one table; an empty document is an empty one.
pub(crate) fn read(text: &str) -> Result<Table, Problem> {
    check_length(text.len())?;
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        budget: Budget::new(),
    };
    match reader.document()? {
        None => Ok(Table::new()),
        Some(Value {
            kind: Kind::Table(table),
            ..
        }) => Ok(table),
        Some(other) => Err(super::not_a_table(&other.kind)),
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    /// Finished values by the number of their anchor.
    anchors: HashMap<usize, Value>,
    budget: Budget,
}

impl<'a> Reader<'a> {
    /// The next event and its line.
    fn next(&mut self) -> Result<(Event<'a>, u32), Problem> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, line_of(&span))),
            Some(Err(error)) => {
                let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
                Err(Problem::new(line, error.info()))
            }
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    fn document(&mut self) -> Result<Option<Value>, Problem> {
        let mut found = None;
        loop {
            let (event, line) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(_) if found.is_some() => {
                    return Err(Problem::new(line, "expected one document, got a second"));
                }
                Event::DocumentStart(_) => {}
                event => found = Some(self.value(event, line, 0)?),
            }
        }
        let is_nothing = |value: &Value| value.kind == Kind::Null;
        Ok(found.filter(|value| !is_nothing(value)))
    }

    fn value(&mut self, event: Event<'a>, line: u32, depth: usize) -> Result<Value, Problem> {
        self.budget.take(depth, line)?;
        let (kind, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, line, depth),
            Event::Scalar(text, style, anchor, tag) => {
                (scalar(text, style, tag.as_deref(), line)?, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                (self.sequence(tag.as_deref(), line, depth)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                (self.mapping(tag.as_deref(), line, depth)?, anchor)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(Problem::new(line, "expected a value")),
        };
        let value = Value { kind, line };
        if anchor > 0 {
            self.budget.repeat(&value, depth, line)?;
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    /// What an anchor stands for, counted as if it were written here.
    fn alias(&mut self, anchor: usize, line: u32, depth: usize) -> Result<Value, Problem> {
        let Some(value) = self.anchors.get(&anchor) else {
            return Err(Problem::new(
                line,
                "expected an anchor that ends before its alias",
            ));
        };
        self.budget.repeat(value, depth, line)?;
        Ok(value.clone())
    }

    fn sequence(&mut self, tag: Option<&Tag>, line: u32, depth: usize) -> Result<Kind, Problem> {
        let mut items = Vec::new();
        loop {
            let (event, line) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            items.push(self.value(event, line, depth + 1)?);
        }
        marker::check_list(&items)?;
        tagged(tag, "seq", Kind::List(items), line)
    }

    fn mapping(&mut self, tag: Option<&Tag>, line: u32, depth: usize) -> Result<Kind, Problem> {
        let mut table = Table::new();
        let mut merged = Vec::new();
        loop {
            let (event, line) = self.next()?;
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, _, tag) => (text, style, tag),
                _ => {
                    let what = "expected a key that is a string, got another kind of value";
                    return Err(Problem::new(line, what));
                }
            };
            let (event, value_line) = self.next()?;
            let mut value = self.value(event, value_line, depth + 1)?;
            if key.1 == ScalarStyle::Plain && key.2.is_none() && key.0 == "<<" {
                merged.push(value);
                continue;
            }
            value.line = line;
            let key = key_text(scalar(key.0, key.1, key.2.as_deref(), line)?, line)?;
            if table.contains_key(&key) {
                return Err(super::doubled(&key, line));
            }
            table.insert(key, value);
        }
        let mut kind = marker::table(table, line)?;
        for value in merged {
            match &mut kind {
                Kind::Table(table) => merge(table, value)?,
                _ => return Err(Problem::new(line, "expected no `<<` beside a marker")),
            }
        }
        tagged(tag, "map", kind, line)
    }
}

fn line_of(span: &Span) -> u32 {
    u32::try_from(span.start.line()).unwrap_or(u32::MAX)
}

/// What `<<` brings in: keys of one table or several, the first one first, none that is there already.
fn merge(table: &mut Table, value: Value) -> Result<(), Problem> {
    match value.kind {
        Kind::Table(other) => {
            for (key, value) in other {
                table.entry(key).or_insert(value);
            }
            Ok(())
        }
        Kind::List(items) => items.into_iter().try_for_each(|item| merge(table, item)),
        other => {
            let what = format!(
                "`<<`: expected a table or a list of tables, got {}",
                other.name()
            );
            Err(Problem::new(value.line, what))
        }
    }
}

fn key_text(kind: Kind, line: u32) -> Result<String, Problem> {
    match kind {
        Kind::Text(text) => Ok(text),
        Kind::Number(number) => Ok(number),
        Kind::Bool(truth) => Ok(truth.to_string()),
        other => {
            let what = format!("expected a key that is a string, got {}", other.name());
            Err(Problem::new(line, what))
        }
    }
}

/// A scalar by its tag, else by the core schema.
fn scalar(
    text: Cow<'_, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
    line: u32,
) -> Result<Kind, Problem> {
    let Some(tag) = tag else {
        return if style == ScalarStyle::Plain {
            plain(text, line)
        } else {
            Ok(Kind::Text(text.into_owned()))
        };
    };
    if tag.is_yaml_core_schema() {
        let kind = match tag.suffix.as_str() {
            "str" => return Ok(Kind::Text(text.into_owned())),
            "null" | "bool" | "int" | "float" => plain(text, line)?,
            _ => return Err(unknown_tag(tag, line)),
        };
        let fits = match tag.suffix.as_str() {
            "null" => kind == Kind::Null,
            "bool" => matches!(kind, Kind::Bool(_)),
            "int" => {
                matches!(&kind, Kind::Number(number) if !number.contains(['.', 'e', 'E']))
            }
            _ => matches!(kind, Kind::Number(_)),
        };
        return if fits {
            Ok(kind)
        } else {
            let what = format!("expected what `!!{}` says, got {}", tag.suffix, kind.name());
            Err(Problem::new(line, what))
        };
    }
    // `!` alone says: not by its looks.
    if tag.handle.is_empty() && tag.suffix == "!" || tag.handle == "!" && tag.suffix.is_empty() {
        return Ok(Kind::Text(text.into_owned()));
    }
    let inner = match tag.suffix.as_str() {
        "default" if style == ScalarStyle::Plain => plain(text, line)?,
        _ => Kind::Text(text.into_owned()),
    };
    tagged(Some(tag), "", inner, line)
}

/// A value under a tag: one of ours, or the one that says what it is anyway.
fn tagged(tag: Option<&Tag>, core: &str, kind: Kind, line: u32) -> Result<Kind, Problem> {
    match tag {
        None => Ok(kind),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == core => Ok(kind),
        Some(tag) if tag.handle == "!" => marker::marked(&tag.suffix, Value { kind, line }),
        Some(tag) => Err(unknown_tag(tag, line)),
    }
}

fn unknown_tag(tag: &Tag, line: u32) -> Problem {
    let name = if tag.is_yaml_core_schema() {
        format!("!!{}", tag.suffix)
    } else {
        format!("{}{}", tag.handle, tag.suffix)
    };
    Problem::new(line, format!("the tag `{name}` has no meaning in JSON"))
}

/// A scalar without quotes, by YAML's core schema.
fn plain(text: Cow<'_, str>, line: u32) -> Result<Kind, Problem> {
    Ok(match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        number => match plain_number(number, line)? {
            Some(number) => Kind::Number(number),
            None => Kind::Text(text.into_owned()),
        },
    })
}

fn plain_number(text: &str, line: u32) -> Result<Option<String>, Problem> {
    if is_json_number(text) {
        return Ok(Some(text.to_owned()));
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(super::no_number(line));
    }
    for (prefix, base) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && !digits.is_empty()
            && digits.chars().all(|c| c.is_digit(base))
        {
            let number = radix("", digits, base);
            let too_long = || {
                Problem::new(
                    line,
                    "expected a whole number of at most 128 bits, got a longer one",
                )
            };
            return number.ok_or_else(too_long).map(Some);
        }
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(unsigned) && unsigned.len() > 1 && unsigned.starts_with('0') {
        let what = "expected a number without zeros in front, or a string in quotes: YAML's versions read this as \
                    different numbers";
        return Err(Problem::new(line, what));
    }
    // Words such as `e5` or `.` are none.
    let looks = unsigned.starts_with(|c: char| c.is_ascii_digit())
        || unsigned
            .strip_prefix('.')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    Ok(if looks { decimal(text) } else { None })
}

#[cfg(test)]
mod tests;
