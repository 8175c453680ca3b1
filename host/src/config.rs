//! The configuration a guest reads: layers merged into one tree, the strongest last. Knows files and text,
//! no guest and no event; what guests are told of it is in `interface/config.rs`.

mod file;
mod set;

use crate::component::Digest;
use crate::error::{Code, Fault};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::PathBuf;

pub use file::read;

/// One source of configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Where it came from, as reports name it: a file's path, or `CRUNCHBOX_CONFIG`.
    pub origin: String,
    /// What it says.
    pub tree: Map<String, Value>,
}

/// All layers merged. Shared by every event between two changes.
#[derive(Debug, Clone, Default)]
pub struct Config {
    tree: Map<String, Value>,
    origins: Vec<String>,
}

/// Why configuration cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file is not there or not ours to read.
    #[error("cannot read the configuration `{path}`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The text of a layer does not parse, or has no meaning in JSON.
    #[error("the configuration `{origin}` is not usable: {problem}")]
    Malformed {
        /// The file or variable.
        origin: String,
        /// What was expected, what was found, and where.
        problem: String,
    },
    /// A `--set` that cannot be applied.
    #[error("`--set {assignment}`: {problem}")]
    Assignment {
        /// What was typed.
        assignment: String,
        /// What was expected and found.
        problem: String,
    },
    /// A path leads through, or ends at, something other than a table.
    #[error("`{path}`: expected a table, got {found}")]
    NotTable {
        /// The path up to the value, dotted.
        path: String,
        /// What kind of value stands there.
        found: &'static str,
    },
}

impl Fault for ConfigError {
    fn code(&self) -> Code {
        match self {
            Self::Unreadable { .. } | Self::Malformed { .. } | Self::Assignment { .. } => {
                Code::ConfigInvalid
            }
            Self::NotTable { .. } => Code::ConfigNotTable,
        }
    }
}

impl Config {
    /// Merges layers, weak to strong: tables merge deeply, everything else is replaced whole, `null` is a value.
    pub fn merge(layers: Vec<Layer>) -> Self {
        let mut config = Self::default();
        for layer in layers {
            merge_table(&mut config.tree, layer.tree);
            config.origins.push(layer.origin);
        }
        config
    }

    /// Applies `KEY=VALUE` on top of everything; `KEY` is a dotted path, quoted as in TOML where a key has a dot.
    /// The value takes the type of the one it replaces (`00123` stays a string); a new one is read as JSON if it is
    /// JSON, else it is a string.
    ///
    /// # Errors
    /// [`ConfigError::Assignment`] when the path or the type does not fit.
    pub fn set(&mut self, assignment: &str) -> Result<(), ConfigError> {
        set::apply(&mut self.tree, assignment).map_err(|problem| ConfigError::Assignment {
            assignment: assignment.split('=').next().unwrap_or_default().to_owned() + "=…",
            problem,
        })?;
        if self.origins.last().is_none_or(|last| last != "--set") {
            self.origins.push("--set".to_owned());
        }
        Ok(())
    }

    /// The digest of the merged tree: what tells one configuration from another in the log.
    pub fn digest(&self) -> Digest {
        Digest::of(to_text(&self.tree).as_bytes())
    }

    /// The merged tree.
    pub fn into_tree(self) -> Map<String, Value> {
        self.tree
    }

    /// Where the layers came from, weak to strong.
    pub fn origins(&self) -> &[String] {
        &self.origins
    }

    /// The value at `path`; none where the path does not exist.
    ///
    /// # Errors
    /// [`ConfigError::NotTable`] when the path leads through something other than a table.
    pub fn get(&self, path: &[String]) -> Result<Option<Value>, ConfigError> {
        let Some((last, above)) = path.split_last() else {
            return Ok(Some(Value::Object(self.tree.clone())));
        };
        Ok(self
            .table(above)?
            .and_then(|table| table.get(last))
            .cloned())
    }

    /// The table at `path` as one JSON object; `{}` where the path does not exist.
    ///
    /// # Errors
    /// [`ConfigError::NotTable`] when the path leads through or ends at something other than a table.
    pub fn tree(&self, path: &[String]) -> Result<String, ConfigError> {
        Ok(self.table(path)?.map_or_else(|| "{}".to_owned(), to_text))
    }

    fn table(&self, path: &[String]) -> Result<Option<&Map<String, Value>>, ConfigError> {
        let mut table = &self.tree;
        for (depth, key) in path.iter().enumerate() {
            match table.get(key) {
                None => return Ok(None),
                Some(Value::Object(inner)) => table = inner,
                Some(other) => {
                    return Err(ConfigError::NotTable {
                        path: path[..=depth].join("."),
                        found: kind(other),
                    });
                }
            }
        }
        Ok(Some(table))
    }
}

fn to_text(table: &Map<String, Value>) -> String {
    serde_json::to_string(table).expect("a JSON tree has a text")
}

fn merge_table(weak: &mut Map<String, Value>, strong: Map<String, Value>) {
    for (key, value) in strong {
        match (weak.get_mut(&key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => merge_table(below, above),
            (_, value) => {
                weak.insert(key, value);
            }
        }
    }
}

/// The name of a value's type, as error texts spell it.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn layer(origin: &str, tree: Value) -> Layer {
        let Value::Object(tree) = tree else {
            unreachable!("tests write tables")
        };
        Layer {
            origin: origin.to_owned(),
            tree,
        }
    }

    fn path(dotted: &str) -> Vec<String> {
        dotted.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn a_stronger_layer_wins_key_by_key_and_replaces_lists_whole() {
        let config = Config::merge(vec![
            layer(
                "weak",
                json!({"db": {"host": "a", "port": 1}, "list": [1, 2], "gone": 1}),
            ),
            layer(
                "strong",
                json!({"db": {"host": "b"}, "list": [3], "gone": null}),
            ),
        ]);
        assert_eq!(
            config.tree(&[]).unwrap(),
            r#"{"db":{"host":"b","port":1},"list":[3],"gone":null}"#
        );
        assert_eq!(config.origins(), ["weak", "strong"]);
    }

    #[test]
    fn a_missing_path_is_none_and_a_null_is_a_value() {
        let config = Config::merge(vec![layer("x", json!({"a": {"b": null}}))]);
        assert_eq!(config.get(&path("a.b")).unwrap(), Some(Value::Null));
        assert_eq!(config.get(&path("a.c")).unwrap(), None);
        assert_eq!(config.get(&path("x.y.z")).unwrap(), None);
        assert_eq!(config.tree(&path("x.y")).unwrap(), "{}");
    }

    #[test]
    fn a_path_through_a_leaf_names_the_leaf() {
        let config = Config::merge(vec![layer("x", json!({"a": {"b": 7}}))]);
        let error = config.get(&path("a.b.c")).unwrap_err();
        assert_eq!(error.to_string(), "`a.b`: expected a table, got a number");
    }

    #[test]
    fn a_set_value_takes_the_type_of_what_it_replaces() {
        let mut config = Config::merge(vec![layer(
            "x",
            json!({"zip": "00123", "n": 1, "on": false, "t": {"k": 1}}),
        )]);
        for assignment in [
            "zip=00456",
            "n=2",
            "on=true",
            "new.deep=[1]",
            "text=hello",
            "t.\"a.b\"=null",
            "zip2=007",
        ] {
            config.set(assignment).unwrap();
        }
        assert_eq!(
            config.tree(&[]).unwrap(),
            r#"{"zip":"00456","n":2,"on":true,"t":{"k":1,"a.b":null},"new":{"deep":[1]},"text":"hello","zip2":"007"}"#
        );
        assert_eq!(config.origins(), ["x", "--set"]);
    }

    #[test]
    fn a_set_that_does_not_fit_is_refused_without_repeating_the_value() {
        let mut config = Config::merge(vec![layer("x", json!({"n": 1, "t": {"k": 1}}))]);
        for assignment in [
            "n=secret",
            "t=secret",
            "n.deep=secret",
            "novalue",
            "=secret",
            "a b=secret",
            "a..b=secret",
        ] {
            let text = config.set(assignment).unwrap_err().to_string();
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
