//! JSON into values. Each value is taken from the text as it stands, so that numbers keep their digits and every value its
//! line; what is one JSON text is left to `serde_json`.

use super::marker;
use super::value::{Budget, Kind, Lines, Problem, Table, Value, check_length};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Reads one table.
pub(crate) fn read(text: &str) -> Result<Table, Problem> {
    check_length(text.len())?;
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
    let read = check_length(text.len()).and_then(|()| reader.value(raw, 0, &mut Budget::new()));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::sealed;

    /// Each text is refused with these words at this line.
    fn refused(cases: &[(&str, &str, u32)]) {
        crate::config::tests::refused(read, cases);
    }

    #[test]
    fn values_stay_what_they_are_in_their_order() {
        let text =
            r#" { "z" : [ 1 , "a\u0062\n" , { } , [ ] ] , "a" : { "y" : null , "x" : true } } "#;
        let (json, _) = sealed(&read(text).unwrap());
        assert_eq!(json, r#"{"z":[1,"ab\n",{},[]],"a":{"y":null,"x":true}}"#);
    }

    #[test]
    fn numbers_keep_their_digits() {
        for number in [
            "0",
            "-0",
            "1.10",
            "0.1000",
            "1e999",
            "1E+05",
            "12345678901234567890123",
        ] {
            let table = read(&format!(r#"{{"n":{number}}}"#)).unwrap();
            assert_eq!(table["n"].kind, Kind::Number(number.to_owned()));
        }
    }

    #[test]
    fn a_value_has_the_line_on_which_it_begins() {
        let text = "{\n\"a\": 1, \"b\":\n{\n\"c\": [2,\n3], \"d\": {\"$default\":\n4}}}";
        let (_, lines) = sealed(&read(text).unwrap());
        assert_eq!(lines, [2, 3, 4, 4, 5, 5, 6]);
    }

    #[test]
    fn a_key_is_there_once() {
        refused(&[
            (
                "{\n\"a\": 1,\n\"a\": 2}",
                "expected each key once, got `a` twice",
                3,
            ),
            (
                "{\"a\": {\n\"b\": 1, \"\\u0062\": 2}}",
                "expected each key once, got `b` twice",
                2,
            ),
        ]);
    }

    #[test]
    fn the_top_is_a_table() {
        refused(&[
            ("[1]", "expected a table at the top, got an array", 1),
            ("null", "expected a table at the top, got null", 1),
            (r#"{"$required":"it"}"#, "expected a table at the top", 1),
        ]);
    }

    #[test]
    fn a_default_at_the_top_is_refused_in_words_that_make_sense() {
        let problem = read(r#"{"$default":{"a":1}}"#).unwrap_err();
        assert!(!problem.what.contains("got a table"), "{problem}");
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_line_and_column_and_without_what_stands_there() {
        refused(&[
            ("", "EOF while parsing a value", 1),
            ("{\"x\":}", "column 6: expected value", 1),
            ("{\n\"x\": hunter2}", "column 6: expected value", 2),
            ("{\"x\": 1,}", "key must be a string", 1),
            ("{\"x\": 1}\n{", "trailing characters", 2),
            ("{\n'x': 1}", "key must be a string", 2),
            ("{\"x\": NaN}", "expected value", 1),
            ("{\"x\": 01}", "", 1),
            ("{\n\"x\":\n\"\\ud800\"}", "hex escape", 3),
        ]);
        assert!(
            !read("{\"x\": hunter2}")
                .unwrap_err()
                .what
                .contains("hunter2")
        );
    }

    #[test]
    fn nesting_and_length_are_bounded() {
        let nested = |depth| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(60)).is_ok());
        let problem = read(&nested(5_000)).unwrap_err();
        assert!(
            problem
                .what
                .contains("expected at most 64 levels of nesting"),
            "{problem}"
        );
        let problem = read(&" ".repeat((256 << 10) + 1)).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "expected at most 262144 bytes, got more"
        );
        let many = format!(r#"{{"a":[{}0]}}"#, "0,".repeat(30_000));
        let problem = read(&many).unwrap_err();
        assert!(
            problem
                .what
                .contains("expected at most 30000 values, got more"),
            "{problem}"
        );
    }

    #[test]
    fn a_single_value_stands_on_no_line_and_other_text_is_none() {
        let single = value("\n[1,\n{\"a\": {\"$default\": 2}}]");
        assert!(
            single.is_some_and(|read| read.is_err()),
            "a default in a list"
        );
        let single = value("\n{\"a\":\n{\"$default\": [2]}}").unwrap().unwrap();
        let Kind::Table(table) = single.kind else {
            unreachable!("a table")
        };
        assert_eq!((single.line, sealed(&table).1), (0, vec![0, 0, 0]));
        for text in ["", "no", "007", "1 2", "{'a':1}", "nan"] {
            assert!(value(text).is_none(), "{text}");
        }
    }
}
