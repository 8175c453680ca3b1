//! One `KEY=VALUE` from the command line, put into a tree. Error texts never repeat the value: it may be a secret.

use super::kind;
use serde_json::{Map, Value};

/// Puts the assignment into `tree`, or says why it does not fit.
pub(super) fn apply(tree: &mut Map<String, Value>, assignment: &str) -> Result<(), String> {
    let (key, text) = assignment
        .split_once('=')
        .ok_or("expected KEY=VALUE, got no `=`")?;
    let path = parse_path(key)?;
    let (last, above) = path
        .split_last()
        .ok_or("expected a key before `=`, got nothing")?;
    let mut table = tree;
    for step in above {
        let below = table
            .entry(step.clone())
            .or_insert_with(|| Value::Object(Map::new()));
        let found = kind(below);
        table = below
            .as_object_mut()
            .ok_or_else(|| format!("expected a table at `{step}`, got {found}"))?;
    }
    let value = read_value(text, table.get(last))?;
    table.insert(last.clone(), value);
    Ok(())
}

/// A dotted path in TOML's own syntax, quotes included: the parser of TOML reads it as the key of a document.
fn parse_path(key: &str) -> Result<Vec<String>, String> {
    let refused = || format!("expected a dotted key such as `db.host`, got `{key}`");
    if key.contains('\n') {
        return Err(refused());
    }
    let mut table: toml::Table = format!("{key} = 0").parse().map_err(|_| refused())?;
    let mut path = Vec::new();
    while let Some((name, value)) = table.into_iter().next() {
        path.push(name);
        match value {
            toml::Value::Table(inner) => table = inner,
            _ => return Ok(path),
        }
    }
    Err(refused())
}

fn read_value(text: &str, replaced: Option<&Value>) -> Result<Value, String> {
    let parsed = serde_json::from_str::<Value>(text);
    match replaced {
        None | Some(Value::Null) => Ok(parsed.unwrap_or_else(|_| Value::String(text.to_owned()))),
        Some(Value::String(_)) => Ok(Value::String(text.to_owned())),
        Some(expected) => match parsed {
            Ok(value) if kind(&value) == kind(expected) => Ok(value),
            Ok(value) => Err(format!(
                "expected {} as before, got {}",
                kind(expected),
                kind(&value)
            )),
            Err(_) => Err(format!(
                "expected {} as before, got other text",
                kind(expected)
            )),
        },
    }
}
