//! TOML into values. Dates and times become strings; infinities and what is no number have no meaning in JSON.

use super::marker;
use super::value::{Budget, Kind, Lines, Problem, Table, Value, check_length, decimal, radix};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads one table.
pub(crate) fn read(text: &str) -> Result<Table, Problem> {
    check_length(text)?;
    let reader = Reader(Lines::of(text));
    let document = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(0, |span| reader.0.at(span.start));
        Problem::new(line, error.message())
    })?;
    let kind = reader.table(document.into_inner(), 1, 0, &mut Budget::new())?;
    match kind {
        Kind::Table(table) => Ok(table),
        other => Err(super::not_a_table(&other)),
    }
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
