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

#[cfg(test)]
mod tests {
    use crate::config::json;
    use crate::config::tests::sealed;

    /// What a file of JSON holds, as it is sealed.
    fn file(text: &str) -> String {
        sealed(&json::read(text).unwrap()).0
    }

    fn refused(cases: &[(&str, &str)]) {
        for (text, words) in cases {
            let problem = json::read(text).unwrap_err();
            assert!(problem.what.contains(words), "{text}: {problem}");
            assert_eq!(problem.line, 1, "{text}: {problem}");
            assert!(!problem.what.contains("hunter2"), "{text}: {problem}");
        }
    }

    #[test]
    fn a_table_with_one_key_that_begins_with_a_dollar_is_a_marker() {
        for text in [
            r#"{"a":{"$required":"it"}}"#,
            r#"{"a":{"$default":null}}"#,
            r#"{"a":{"$default":[1,{"b":2}]}}"#,
            r#"{"a":{"$default":{"b":{"c":1}}}}"#,
            r#"{"a":{"$secret":"env:A"}}"#,
            r#"{"a":{"b":{"$required":"it"},"c":{"$default":1}}}"#,
        ] {
            assert_eq!(file(text), text);
            assert!(json::read(text).unwrap().contains_key("a"));
        }
    }

    #[test]
    fn two_dollars_are_one_that_is_meant() {
        for text in [
            r#"{"$$required":"it"}"#,
            r#"{"a":{"$$default":1}}"#,
            r#"{"a":{"$$b":1,"c":2,"$$$d":3,"$$":4}}"#,
        ] {
            assert_eq!(file(text), text);
        }
        let table = json::read(r#"{"$$b":1,"$$$d":2,"e$":3,"$$":4}"#).unwrap();
        let keys: Vec<&str> = table.keys().map(String::as_str).collect();
        assert_eq!(keys, ["$b", "$$d", "e$", "$"]);
    }

    #[test]
    fn a_secret_may_be_a_default_and_stand_in_lists_and_defaults() {
        for text in [
            r#"{"a":{"$default":{"$secret":"env:A"}}}"#,
            r#"{"a":[{"$secret":"env:A"},{"b":{"$secret":"env:B"}}]}"#,
            r#"{"a":{"$default":{"b":[{"$secret":"env:A"}]}}}"#,
        ] {
            assert_eq!(file(text), text);
        }
    }

    #[test]
    fn a_marker_has_no_key_beside_it() {
        let words = "expected no other key beside it";
        refused(&[
            (r#"{"a":{"$required":"it","b":"hunter2"}}"#, words),
            (r#"{"a":{"b":1,"$default":"hunter2"}}"#, words),
            (r#"{"a":{"$required":"it","$default":"hunter2"}}"#, words),
            (r#"{"a":{"$secret":"env:A","$$b":1}}"#, words),
            (r#"{"$default":1,"b":2}"#, words),
        ]);
    }

    #[test]
    fn a_marker_that_nobody_knows_is_refused() {
        let words = "expected one of the markers `required`, `default`, `secret`, got";
        refused(&[
            (r#"{"a":{"$requires":"hunter2"}}"#, words),
            (r#"{"a":{"$Default":1}}"#, words),
            (r#"{"a":{"$":1}}"#, words),
            (r#"{"a":{"$ref":"x","b":1}}"#, "got `$ref`"),
        ]);
    }

    #[test]
    fn a_demand_is_a_string_that_says_what_is_wanted() {
        for (value, kind) in [
            ("4", "a number"),
            ("null", "null"),
            (r#"["hunter2"]"#, "an array"),
            (r#"{"b":1}"#, "a table"),
            (r#"{"$required":"it"}"#, "a value that must be overridden"),
            (r#"{"$secret":"env:A"}"#, "a secret"),
        ] {
            let text = format!(r#"{{"a":{{"$required":{value}}}}}"#);
            let words = format!(
                "the marker `required`: expected a string that says what is wanted, got {kind}"
            );
            refused(&[(&text, &words)]);
        }
    }

    #[test]
    fn a_secret_is_a_reference() {
        refused(&[
            (
                r#"{"a":{"$secret":["hunter2"]}}"#,
                "the marker `secret`: expected a string such as `ssm:/crunch/db`, got an array",
            ),
            (
                r#"{"a":{"$secret":"hunter2"}}"#,
                "marker `secret`: expected a secret such as",
            ),
            (
                r#"{"a":{"$secret":"env:AWS_SESSION_TOKEN"}}"#,
                "is the platform's",
            ),
        ]);
    }

    #[test]
    fn a_default_holds_no_demand_and_no_default() {
        let inside = "the marker `default`: expected no other marker inside it, got";
        refused(&[
            (
                r#"{"a":{"$default":{"$default":1}}}"#,
                "the marker `default`: expected",
            ),
            (
                r#"{"a":{"$default":{"$required":"it"}}}"#,
                "the marker `default`: expected",
            ),
            (r#"{"a":{"$default":{"b":{"$default":1}}}}"#, inside),
            (
                r#"{"a":{"$default":{"b":{"c":{"$required":"it"}}}}}"#,
                inside,
            ),
        ]);
    }

    #[test]
    fn a_list_holds_no_demand_and_no_default_however_deep() {
        let words = "expected no marker but a secret inside a list, got";
        refused(&[
            (r#"{"a":[{"$default":1}]}"#, words),
            (r#"{"a":[[{"$required":"it"}]]}"#, words),
            (r#"{"a":[{"b":{"c":{"$default":1}}}]}"#, words),
            (r#"{"a":{"$default":[{"b":{"$default":1}}]}}"#, words),
        ]);
    }

    #[test]
    fn a_problem_has_the_line_of_what_is_wrong() {
        for (text, line) in [
            ("{\"a\":\n{\"$required\":\n4}}", 3),
            ("{\"a\":\n{\"$required\": \"it\",\n\"b\": 1}}", 2),
            ("{\"a\": [\n1,\n{\"$default\":\n1}]}", 3),
        ] {
            assert_eq!(json::read(text).unwrap_err().line, line, "{text}");
        }
    }
}
