//! Single values that come as text, from `--set` and from environment variables: they take the type of the value that they
//! replace. Error texts never repeat a value: it may be a secret.

use super::merge::{Said, Tree};
use super::value::{DEPTH_MAX, Kind, Table, Value, too_deep};
use super::{json, path};

/// What the text of a value means where it is to go.
pub(crate) fn read(text: &str, tree: &Tree, at: &[String]) -> Result<Value, String> {
    let plain = || Value {
        kind: Kind::Text(text.to_owned()),
        line: 0,
    };
    let parsed = json::value(text);
    let replaced = tree.find(at).and_then(|tree| {
        let values = tree.links.iter().rev();
        values.into_iter().find_map(|link| match &link.said {
            Said::Table => Some(link.kind()),
            Said::Value(value) if value.kind == Kind::Null => None,
            Said::Value(value) => Some(value.kind.name()),
            Said::Required(_) => None,
        })
    });
    match replaced {
        None => match parsed {
            Some(value) => value.map_err(|problem| problem.to_string()),
            None => Ok(plain()),
        },
        Some("a string" | "a secret") => Ok(plain()),
        Some(expected) => match parsed {
            Some(Ok(value)) if value.kind.name() == expected => Ok(value),
            Some(Ok(value)) => Err(format!(
                "expected {expected} as before, got {}",
                value.kind.name()
            )),
            Some(Err(problem)) => Err(problem.to_string()),
            None => Err(format!("expected {expected} as before, got other text")),
        },
    }
}

/// One `KEY=VALUE` as a layer's table.
pub(crate) fn assignment(assignment: &str, tree: &Tree) -> Result<Table, String> {
    let (key, text) = assignment
        .split_once('=')
        .ok_or("expected KEY=VALUE, got no `=`")?;
    let at = path::parse(key)?;
    if at.len() > DEPTH_MAX {
        return Err(too_deep());
    }
    let value = read(text, tree, &at)?;
    Ok(nested(&at, value))
}

/// A value at the end of a path.
pub(crate) fn nested(path: &[String], value: Value) -> Table {
    let (last, above) = path.split_last().expect("a path has a key");
    let table = Table::from_iter([(last.clone(), value)]);
    above.iter().rev().fold(table, |table, key| {
        let kind = Kind::Table(table);
        Table::from_iter([(key.clone(), Value { kind, line: 0 })])
    })
}

/// The paths that the rest of a variable's name may stand for: `DB__HOST` is `db.host`, whatever its case and whether its
/// words are joined by `-` or `_`.
pub(crate) fn named(name: &str, tree: &Tree) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    search(&canonical(name), tree, &mut Vec::new(), &mut found);
    found
}

fn search(rest: &str, tree: &Tree, at: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    for (key, child) in &tree.children {
        let Some(after) = rest.strip_prefix(&canonical(key)) else {
            continue;
        };
        at.push(key.clone());
        if after.is_empty() {
            found.push(at.clone());
        } else if let Some(after) = after.strip_prefix("__") {
            search(after, child, at, found);
        }
        at.pop();
    }
}

/// A key or a part of a variable's name, in the letters that both may have.
fn canonical(name: &str) -> String {
    let letter = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    name.chars().map(letter).collect()
}
