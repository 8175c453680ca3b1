//! Reads one file into a layer: TOML or JSON, told by the name. What has no meaning in JSON is an error that says so.

use super::{ConfigError, Layer};
use serde_json::{Map, Value};
use std::path::Path;

/// Reads the layer in `path`.
///
/// # Errors
/// [`ConfigError::Unreadable`] or [`ConfigError::Malformed`], naming the file and the place in it.
pub fn read(path: &Path) -> Result<Layer, ConfigError> {
    let origin = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let tree = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => from_toml(&text),
        Some("json") => from_json(&text),
        _ => Err("expected a name that ends in .toml or .json".to_owned()),
    };
    let tree = tree.map_err(|problem| ConfigError::Malformed {
        origin: origin.clone(),
        problem,
    })?;
    Ok(Layer { origin, tree })
}

impl Layer {
    /// Reads a layer from JSON text, as an environment variable holds it.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`], naming `origin` and the place.
    pub fn from_json(origin: &str, text: &str) -> Result<Self, ConfigError> {
        let tree = from_json(text).map_err(|problem| ConfigError::Malformed {
            origin: origin.to_owned(),
            problem,
        })?;
        Ok(Self {
            origin: origin.to_owned(),
            tree,
        })
    }
}

fn from_json(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text).map_err(|error| error.to_string())? {
        Value::Object(tree) => Ok(tree),
        other => Err(format!(
            "expected a table at the top, got {}",
            super::kind(&other)
        )),
    }
}

fn from_toml(text: &str) -> Result<Map<String, Value>, String> {
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| error.to_string().trim().to_owned())?;
    table
        .into_iter()
        .map(|(key, value)| Ok((key, to_json(value)?)))
        .collect()
}

fn to_json(value: toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => serde_json::Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| format!("expected a number that JSON has, got `{number}`"))?,
        toml::Value::Boolean(truth) => Value::Bool(truth),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => {
            Value::Array(items.into_iter().map(to_json).collect::<Result<_, _>>()?)
        }
        toml::Value::Table(table) => Value::Object(
            table
                .into_iter()
                .map(|(key, value)| Ok((key, to_json(value)?)))
                .collect::<Result<_, String>>()?,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(name: &str, text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read(&path).unwrap_err().to_string()
    }

    #[test]
    fn toml_becomes_json_with_times_as_text() {
        let tree =
            from_toml("a = [1, 2.5, true]\nat = 2015-12-30T10:00:00Z\n[t]\nk = \"v\"").unwrap();
        let text = serde_json::to_string(&tree).unwrap();
        assert_eq!(
            text,
            r#"{"a":[1,2.5,true],"at":"2015-12-30T10:00:00Z","t":{"k":"v"}}"#
        );
    }

    #[test]
    fn a_broken_file_is_named_with_the_place() {
        assert!(
            problem("a.toml", "x = ").contains("line 1"),
            "{}",
            problem("a.toml", "x = ")
        );
        assert!(problem("a.json", "{\"x\":}").contains("line 1 column 6"));
        assert!(problem("a.json", "[1]").contains("expected a table at the top, got an array"));
        assert!(problem("a.toml", "x = nan").contains("a number that JSON has"));
        assert!(problem("a.ini", "x").contains(".toml or .json"));
    }
}
