//! JSON into values. Each value is taken from the text as it stands, so that numbers keep their digits and every value its
//! line; what is one JSON text is left to `serde_json`.

use super::marker;
use super::value::{Budget, Kind, Lines, Problem, Table, Value, check_length};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Reads one table.
pub(crate) fn read(text: &str) -> Result<Table, Problem> {
    check_length(text)?;
    table(text, Budget::new())
}

/// Reads one table that was written by this program; it has no lines of its own.
pub(crate) fn read_sealed(text: &str) -> Result<Table, Problem> {
    let mut table = table(text, Budget::sealed())?;
    table.values_mut().for_each(without_lines);
    Ok(table)
}

fn table(text: &str, mut budget: Budget) -> Result<Table, Problem> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| syntax(&error))?;
    let reader = Reader {
        text,
        lines: Lines::of(text),
    };
    match reader.value(raw, 0, &mut budget)?.kind {
        Kind::Table(table) => Ok(table),
        other => Err(super::not_a_table(&other)),
    }
}

/// Reads one value; none where the text is not JSON at all.
pub(crate) fn value(text: &str) -> Option<Result<Value, Problem>> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    let reader = Reader {
        text,
        lines: Lines::of(text),
    };
    let read = check_length(text).and_then(|()| reader.value(raw, 0, &mut Budget::new()));
    Some(read.map(|mut value| {
        without_lines(&mut value);
        value
    }))
}

/// A value from a variable or an argument stands on no line.
fn without_lines(value: &mut Value) {
    value.line = 0;
    match &mut value.kind {
        Kind::List(items) => items.iter_mut().for_each(without_lines),
        Kind::Table(table) => table.values_mut().for_each(without_lines),
        Kind::Default(inner) => without_lines(inner),
        Kind::Null
        | Kind::Bool(_)
        | Kind::Number(_)
        | Kind::Text(_)
        | Kind::Required(_)
        | Kind::Secret(_) => {}
    }
}

/// What is wrong, without the characters found there.
fn syntax(error: &serde_json::Error) -> Problem {
    let line = u32::try_from(error.line()).unwrap_or(u32::MAX);
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    Problem::new(line, format!("column {}: {what}", error.column()))
}

struct Reader<'a> {
    text: &'a str,
    lines: Lines,
}

impl<'a> Reader<'a> {
    fn value(
        &self,
        raw: &'a RawValue,
        depth: usize,
        budget: &mut Budget,
    ) -> Result<Value, Problem> {
        let text = raw.get();
        let line = self.line(text);
        budget.take(depth, line)?;
        let kind = match text.as_bytes().first() {
            Some(b'n') => Kind::Null,
            Some(b't') => Kind::Bool(true),
            Some(b'f') => Kind::Bool(false),
            Some(b'"') => Kind::Text(self.parse(text)?),
            Some(b'[') => {
                let items: Vec<&RawValue> = self.parse(text)?;
                let items = items
                    .into_iter()
                    .map(|item| self.value(item, depth + 1, budget));
                let items = items.collect::<Result<Vec<_>, _>>()?;
                marker::check_list(&items)?;
                Kind::List(items)
            }
            Some(b'{') => self.table(text, line, depth, budget)?,
            _ => Kind::Number(text.to_owned()),
        };
        Ok(Value { kind, line })
    }

    fn table(
        &self,
        text: &'a str,
        line: u32,
        depth: usize,
        budget: &mut Budget,
    ) -> Result<Kind, Problem> {
        let Entries(entries) = self.parse(text)?;
        let mut table = Table::with_capacity(entries.len());
        for (key, raw) in entries {
            let value = self.value(raw, depth + 1, budget)?;
            let line = value.line;
            if let (index, Some(_)) = table.insert_full(key, value) {
                let key = table.get_index(index).map(|(key, _)| key.as_str());
                return Err(super::doubled(key.unwrap_or_default(), line));
            }
        }
        marker::table(table, line)
    }

    fn parse<T: serde::Deserialize<'a>>(&self, text: &'a str) -> Result<T, Problem> {
        serde_json::from_str(text).map_err(|error| {
            let inside = syntax(&error);
            let before = self.line(text).saturating_sub(1);
            Problem::new(before + inside.line.max(1), inside.what)
        })
    }

    /// The line of a part of the text.
    fn line(&self, part: &str) -> u32 {
        let offset = part.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        self.lines.at(offset.min(self.text.len()))
    }
}

/// The entries of a table, doubles included.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Err(E::custom("expected a table"))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}
