//! Markers: what a value says of itself beyond being one. The same three in every format, each in the format's own way.

use super::value::{Kind, Problem, Table, Value};

/// How the marker is named after `$`, `!` or `#crunchbox/`.
const REQUIRED: &str = "required";
const DEFAULT: &str = "default";
const SECRET: &str = "secret";

/// A marker by its name.
pub(crate) fn marked(name: &str, value: Value) -> Result<Kind, Problem> {
    let line = value.line;
    match (name, value.kind) {
        (REQUIRED, Kind::Text(what)) => Ok(Kind::Required(what)),
        (REQUIRED, other) => Err(expected(
            name,
            "a string that says what is wanted",
            &other,
            line,
        )),
        (SECRET, Kind::Text(reference)) => match reference.parse() {
            Ok(reference) => Ok(Kind::Secret(reference)),
            Err(problem) => Err(Problem::new(line, format!("marker `{name}`: {problem}"))),
        },
        (SECRET, other) => Err(expected(
            name,
            "a string such as `ssm:/crunch/db`",
            &other,
            line,
        )),
        (DEFAULT, kind @ (Kind::Required(_) | Kind::Default(_))) => {
            Err(expected(name, "a value", &kind, line))
        }
        (DEFAULT, kind) => {
            check_unmarked_inside(&kind, line)?;
            Ok(Kind::Default(Box::new(Value { kind, line })))
        }
        _ => Err(unknown(&format!("`{name}`"), line)),
    }
}

/// A table as JSON, TOML and YAML write it: one with the single key `$name` is a marker, and a key that begins with `$$`
/// begins with one `$` less.
pub(crate) fn table(mut table: Table, line: u32) -> Result<Kind, Problem> {
    if !table.keys().any(|key| key.starts_with('$')) {
        return Ok(Kind::Table(table));
    }
    let is_marker = |key: &String| key.starts_with('$') && !key.starts_with("$$");
    if let Some(key) = table.keys().find(|key| is_marker(key)).cloned() {
        if ![REQUIRED, DEFAULT, SECRET].contains(&&key[1..]) {
            return Err(unknown(&format!("`{key}`"), line));
        }
        if table.len() > 1 {
            let what = format!("the marker `{key}`: expected no other key beside it");
            return Err(Problem::new(line, what));
        }
        let value = table.swap_remove(&key).expect("its key was just found");
        return marked(&key[1..], value);
    }
    let unescaped = table.into_iter().map(|(key, value)| {
        let key = match key.strip_prefix("$$") {
            Some(_) => key[1..].to_owned(),
            None => key,
        };
        (key, value)
    });
    Ok(Kind::Table(unescaped.collect()))
}

/// Refuses markers where no layer could ever meet them: inside a list, which is replaced whole.
pub(crate) fn check_list(items: &[Value]) -> Result<(), Problem> {
    for item in items {
        match &item.kind {
            Kind::Required(_) | Kind::Default(_) => {
                let what = format!(
                    "expected no marker but a secret inside a list, got {}: a list is replaced whole",
                    marker_name(&item.kind)
                );
                return Err(Problem::new(item.line, what));
            }
            Kind::Table(table) => table
                .values()
                .try_for_each(|value| check_list(std::slice::from_ref(value)))?,
            Kind::Null
            | Kind::Bool(_)
            | Kind::Number(_)
            | Kind::Text(_)
            | Kind::List(_)
            | Kind::Secret(_) => {}
        }
    }
    Ok(())
}

/// Refuses markers of the same sort inside of a default's tables: they would contradict it.
fn check_unmarked_inside(kind: &Kind, line: u32) -> Result<(), Problem> {
    let Kind::Table(table) = kind else {
        return Ok(());
    };
    for value in table.values() {
        if let Kind::Required(_) | Kind::Default(_) = value.kind {
            let what = format!(
                "the marker `default`: expected no other marker inside it, got {}",
                marker_name(&value.kind)
            );
            return Err(Problem::new(line, what));
        }
        check_unmarked_inside(&value.kind, line)?;
    }
    Ok(())
}

fn marker_name(kind: &Kind) -> &'static str {
    if matches!(kind, Kind::Required(_)) {
        REQUIRED
    } else {
        DEFAULT
    }
}

fn expected(name: &str, wanted: &str, got: &Kind, line: u32) -> Problem {
    let what = format!("the marker `{name}`: expected {wanted}, got {}", got.name());
    Problem::new(line, what)
}

/// A marker that nobody knows; `name` as it is written.
pub(crate) fn unknown(name: &str, line: u32) -> Problem {
    let what = format!(
        "expected one of the markers `{REQUIRED}`, `{DEFAULT}`, `{SECRET}`, got {name} \
         (a key that begins with `$` itself is written `$$…`)"
    );
    Problem::new(line, what)
}
