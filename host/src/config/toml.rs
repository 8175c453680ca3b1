//! TOML into values. Dates and times become strings; infinities and what is no number have no meaning in JSON.

use super::marker;
use super::value::{
    Budget, DEPTH_MAX, Kind, Lines, Problem, Table, Value, check_length, decimal, radix, too_deep,
};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads one table.
pub(crate) fn read(text: &str) -> Result<Table, Problem> {
    check_length(text.len())?;
    let reader = Reader(Lines::of(text));
    let document = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(0, |span| reader.0.at(span.start));
        match error.message() {
            "recursion limit" => Problem::new(line, too_deep()),
            other => Problem::new(line, other),
        }
    })?;
    let document = document.into_inner();
    if let Some(offset) = too_deep_at(&document) {
        take_apart(document);
        return Err(Problem::new(reader.0.at(offset), too_deep()));
    }
    let kind = reader.table(document, 1, 0, &mut Budget::new())?;
    match kind {
        Kind::Table(table) => Ok(table),
        other => Err(super::not_a_table(&other)),
    }
}

/// Reads a text of the project's or the operator's into a type, unless it is nested deeper than the reader's stack may be.
///
/// # Errors
/// What was expected, what was found, and where.
pub(crate) fn read_as<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    if let Ok(document) = DeTable::parse(text) {
        let document = document.into_inner();
        let place = too_deep_at(&document);
        take_apart(document);
        if place.is_some() {
            return Err(too_deep());
        }
    }
    ::toml::from_str(text).map_err(|error| error.to_string().trim().to_owned())
}

/// Where a document is nested too deep. Dotted keys inside inline tables make it deeper than its parser is.
fn too_deep_at(document: &DeTable<'_>) -> Option<usize> {
    let mut open: Vec<(&Spanned<DeValue<'_>>, usize)> = Vec::new();
    open.extend(document.values().map(|value| (value, 1)));
    while let Some((value, depth)) = open.pop() {
        if depth > DEPTH_MAX {
            return Some(value.span().start);
        }
        match value.get_ref() {
            DeValue::Table(table) => open.extend(table.values().map(|value| (value, depth + 1))),
            DeValue::Array(items) => open.extend(items.iter().map(|value| (value, depth + 1))),
            _ => {}
        }
    }
    None
}

/// Lets a document go level by level: dropped as a whole it would take a stack as deep as it is.
fn take_apart(document: DeTable<'_>) {
    let mut open: Vec<DeValue<'_>> = Vec::new();
    open.extend(values(document));
    while let Some(value) = open.pop() {
        match value {
            DeValue::Table(table) => open.extend(values(table)),
            DeValue::Array(items) => open.extend(items.into_iter().map(Spanned::into_inner)),
            _ => {}
        }
    }
}

fn values<'a>(table: DeTable<'a>) -> impl Iterator<Item = DeValue<'a>> {
    table.into_iter().map(|(_, value)| value.into_inner())
}

struct Reader(Lines);

impl Reader {
    fn value(
        &self,
        value: Spanned<DeValue<'_>>,
        line: u32,
        depth: usize,
        budget: &mut Budget,
    ) -> Result<Value, Problem> {
        budget.take(depth, line)?;
        let kind = match value.into_inner() {
            DeValue::String(text) => Kind::Text(text.into_owned()),
            DeValue::Integer(number) => {
                let text = number.as_str();
                let (sign, digits) = match text.strip_prefix(['-', '+']) {
                    Some(digits) => text.split_at(text.len() - digits.len()),
                    None => ("", text),
                };
                let number = match number.radix() {
                    10 => decimal(text),
                    other => radix(sign, digits, other),
                };
                Kind::Number(number.ok_or_else(|| {
                    Problem::new(
                        line,
                        "expected a whole number of at most 128 bits, got a longer one",
                    )
                })?)
            }
            DeValue::Float(number) => {
                Kind::Number(decimal(number.as_str()).ok_or_else(|| super::no_number(line))?)
            }
            DeValue::Boolean(truth) => Kind::Bool(truth),
            DeValue::Datetime(time) => Kind::Text(time.to_string()),
            DeValue::Array(items) => {
                let items = items.into_iter().map(|item| {
                    let line = self.0.at(item.span().start);
                    self.value(item, line, depth + 1, budget)
                });
                let items = items.collect::<Result<Vec<_>, _>>()?;
                marker::check_list(&items)?;
                Kind::List(items)
            }
            DeValue::Table(table) => self.table(table, line, depth, budget)?,
        };
        Ok(Value { kind, line })
    }

    fn table(
        &self,
        table: DeTable<'_>,
        line: u32,
        depth: usize,
        budget: &mut Budget,
    ) -> Result<Kind, Problem> {
        let mut entries: Vec<_> = table.into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entries = entries.into_iter().map(|(key, value)| {
            // A value stands where its key does: that of `[db]` would begin with the next line.
            let line = self.0.at(key.span().start);
            let value = self.value(value, line, depth + 1, budget)?;
            Ok((key.into_inner().into_owned(), value))
        });
        marker::table(entries.collect::<Result<_, Problem>>()?, line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::sealed;

    /// A whole file as it is sealed.
    fn file(text: &str) -> String {
        sealed(&read(text).unwrap()).0
    }

    /// Each value is what its JSON says.
    fn values_are(cases: &[(&str, &str)]) {
        for (value, expected) in cases {
            let text = format!("v = {value}\n");
            assert_eq!(file(&text), format!(r#"{{"v":{expected}}}"#), "{value}");
        }
    }

    /// Each text is refused with these words at this line.
    fn refused(cases: &[(&str, &str, u32)]) {
        crate::config::tests::refused(read, cases);
    }

    #[test]
    fn numbers_are_decimal_and_keep_their_digits() {
        values_are(&[
            ("42", "42"),
            ("+42", "42"),
            ("-42", "-42"),
            ("1_000", "1000"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("0xFf", "255"),
            ("0o17", "15"),
            ("0b101", "5"),
            ("1.10", "1.10"),
            ("-0.0", "-0.0"),
            ("1e999", "1e999"),
            ("+6.5E+03", "6.5E+03"),
            ("1_0.0_1", "10.01"),
        ]);
    }

    #[test]
    fn strings_and_truth_are_those_of_json() {
        values_are(&[
            ("true", "true"),
            ("false", "false"),
            (r"'a\b'", r#""a\\b""#),
            (r#""a\n\u00e9""#, r#""a\né""#),
            ("'''\na\n b'''", r#""a\n b""#),
            ("\"\"\"a\\\n  b\"\"\"", r#""ab""#),
        ]);
    }

    #[test]
    fn dates_and_times_become_strings() {
        values_are(&[
            ("2015-12-30T10:00:00Z", r#""2015-12-30T10:00:00Z""#),
            (
                "2015-12-30 10:00:00.5+01:00",
                r#""2015-12-30T10:00:00.5+01:00""#,
            ),
            ("2015-12-30", r#""2015-12-30""#),
            ("10:00:00", r#""10:00:00""#),
        ]);
    }

    #[test]
    fn arrays_and_inline_tables_are_those_of_json() {
        values_are(&[
            ("[1, 'a', {b = 2}, [],]", r#"[1,"a",{"b":2},[]]"#),
            (
                "{b = 1, a.c = 2, 'd.e' = {}}",
                r#"{"b":1,"a":{"c":2},"d.e":{}}"#,
            ),
        ]);
    }

    #[test]
    fn tables_dotted_keys_and_arrays_of_tables_nest() {
        let text = "a.b = 1\na.c.d = 2\n[t]\nk = 1\n[t.u]\nk = 2\n[[x]]\nk = 1\n[[x]]\nk = 2\n[x.y]\nz = 3\n";
        assert_eq!(
            file(text),
            r#"{"a":{"b":1,"c":{"d":2}},"t":{"k":1,"u":{"k":2}},"x":[{"k":1},{"k":2,"y":{"z":3}}]}"#
        );
    }

    #[test]
    fn keys_keep_the_order_in_which_they_are_written() {
        let text = "z = 1\nb.y = 2\na = 3\nb.x = 4\n[m]\nd = 1\nc = {q = 1, p = 2}\n[l]\n";
        assert_eq!(
            file(text),
            r#"{"z":1,"b":{"y":2,"x":4},"a":3,"m":{"d":1,"c":{"q":1,"p":2}},"l":{}}"#
        );
    }

    #[test]
    fn a_table_with_a_dollar_key_is_a_marker() {
        values_are(&[
            (
                r#"{ "$required" = "reporting database" }"#,
                r#"{"$required":"reporting database"}"#,
            ),
            (r#"{ "$default" = 4 }"#, r#"{"$default":4}"#),
            (r#"{ "$default" = { a = 1 } }"#, r#"{"$default":{"a":1}}"#),
            (
                r#"{ '$secret' = "secretsmanager:prod/db#p" }"#,
                r#"{"$secret":"secretsmanager:prod/db#p"}"#,
            ),
            (r#"[{ "$secret" = "env:A" }]"#, r#"[{"$secret":"env:A"}]"#),
        ]);
        assert_eq!(
            file("[db.\"$default\"]\nhost = 1\n"),
            r#"{"db":{"$default":{"host":1}}}"#
        );
        assert_eq!(file("\"$$default\" = 1\n"), r#"{"$$default":1}"#);
    }

    #[test]
    fn a_file_with_nothing_in_it_is_an_empty_table() {
        for text in ["", "\n", "# a comment"] {
            assert_eq!(file(text), "{}", "{text}");
        }
    }

    #[test]
    fn a_value_has_the_line_of_its_key_and_an_item_its_own() {
        let text = "a = 1\n\n[db]\nhost = '''\nx'''\nlist = [\n  1,\n  2,\n]\n[[x]]\nk = 1\n[[x]]\nk.l = 2\n";
        let (json, lines) = sealed(&read(text).unwrap());
        assert_eq!(
            json,
            r#"{"a":1,"db":{"host":"x","list":[1,2]},"x":[{"k":1},{"k":{"l":2}}]}"#
        );
        assert_eq!(lines, [1, 3, 4, 6, 7, 8, 10, 10, 11, 12, 13, 13]);
    }

    #[test]
    fn a_default_that_is_a_table_has_the_line_of_its_header() {
        let table = read("a = 1\n[db.\"$default\"]\nhost = 1\n").unwrap();
        assert_eq!(table["db"].line, 2);
    }

    #[test]
    fn what_has_no_meaning_in_json_is_refused() {
        refused(&[
            ("a = 1\nb = inf", "expected a number that JSON has", 2),
            ("a = -nan", "expected a number that JSON has", 1),
            ("a = [\n1,\nnan]", "expected a number that JSON has", 3),
        ]);
        let long = format!("a = 1\nb = 0x1{}", "0".repeat(32));
        refused(&[(long.as_str(), "of at most 128 bits", 2)]);
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_line() {
        refused(&[
            ("a = 1\na = 2", "duplicate key", 2),
            ("[a]\n\n[a]", "duplicate key", 3),
            ("a = 1\nb = x", "string values must be quoted", 2),
            ("a = 1\n\nb = ", "", 3),
            ("a = 007", "unexpected leading zero", 1),
            ("a = 1\nb = \"x\nc = 1", "", 2),
        ]);
    }

    #[test]
    fn markers_that_make_no_sense_are_refused() {
        refused(&[
            ("a = 1\nb = { \"$wanted\" = 1 }", "got `$wanted`", 2),
            (
                "a = { \"$default\" = 1, b = 2 }",
                "expected no other key beside it",
                1,
            ),
            (
                "[a]\n\"$default\" = 1\nb = 2",
                "expected no other key beside it",
                1,
            ),
            (
                "a = [\n{ \"$default\" = 1 }]",
                "expected no marker but a secret inside a list",
                2,
            ),
            (
                "[[a]]\nb = { \"$required\" = \"it\" }",
                "expected no marker but a secret inside a list",
                2,
            ),
        ]);
    }
}
