//! The function's configuration, read straight into the author's types.

use crate::imports;
use serde::de::DeserializeOwned;
use std::fmt;

/// Why configuration could not be had: names the path, what was wanted, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    code: String,
    message: String,
}

impl ConfigError {
    /// The host's stable code, such as `Crunchbox.ConfigNotTable`; `Mismatch` where a value does not fit its type.
    pub fn code(&self) -> &str {
        &self.code
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

/// Reads the whole configuration.
///
/// # Errors
/// [`ConfigError`] when a value is missing or of another type, naming its path.
pub fn load<T: DeserializeOwned>() -> Result<T, ConfigError> {
    let text = read(&[])?.unwrap_or_else(|| "{}".to_owned());
    decode("", &text)
}

/// Reads the value at a dotted path, such as `db.host`; none where there is none. A key that has a dot itself is
/// reached by [`get_path`].
///
/// # Errors
/// [`ConfigError`] when the value is of another type, or the path leads through something other than a table.
pub fn get<T: DeserializeOwned>(path: &str) -> Result<Option<T>, ConfigError> {
    let keys: Vec<&str> = path.split('.').collect();
    get_path(&keys)
}

/// Reads the value at a path given key by key; none where there is none.
///
/// # Errors
/// As [`get`].
pub fn get_path<T: DeserializeOwned>(path: &[&str]) -> Result<Option<T>, ConfigError> {
    let keys: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
    read(&keys)?
        .map(|text| decode(&path.join("."), &text))
        .transpose()
}

fn read(path: &[String]) -> Result<Option<String>, ConfigError> {
    imports::config_get(path).map_err(|error| ConfigError {
        code: error.code,
        message: error.message,
    })
}

fn decode<T: DeserializeOwned>(at: &str, text: &str) -> Result<T, ConfigError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let inner = error.path().to_string();
        let path = match (at, inner.as_str()) {
            ("", ".") => "the configuration".to_owned(),
            (at, ".") => at.to_owned(),
            ("", inner) => inner.to_owned(),
            (at, inner) => format!("{at}.{inner}"),
        };
        // Line and column would be those of a text the author never saw.
        let problem = error.inner().to_string();
        let problem = problem.split(" at line ").next().unwrap_or_default();
        ConfigError {
            code: "Mismatch".to_owned(),
            message: format!("{path}: {problem}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Settings {
        percentiles: Vec<u8>,
    }

    fn load_from(config: &str) -> Result<Settings, ConfigError> {
        Made::new().config(config).run(|_| load())
    }

    #[test]
    fn the_tree_is_read_into_the_authors_type() {
        assert_eq!(
            load_from(r#"{"percentiles": [50, 95]}"#),
            Ok(Settings {
                percentiles: vec![50, 95]
            })
        );
    }

    #[test]
    fn a_value_that_does_not_fit_is_named_by_its_path() {
        let text = load_from(r#"{"percentiles": "all"}"#)
            .unwrap_err()
            .to_string();
        assert_eq!(
            text,
            r#"percentiles: invalid type: string "all", expected a sequence"#
        );
        let text = load_from("{}").unwrap_err().to_string();
        assert_eq!(text, "the configuration: missing field `percentiles`");
    }

    #[test]
    fn single_values_are_read_by_dotted_paths() {
        let made = Made::new().config(r#"{"db": {"host": "a", "port": "x"}}"#);
        made.run(|_| {
            assert_eq!(get::<String>("db.host"), Ok(Some("a".to_owned())));
            assert_eq!(get::<String>("db.user"), Ok(None));
            let text = get::<u16>("db.port").unwrap_err().to_string();
            assert_eq!(text, r#"db.port: invalid type: string "x", expected u16"#);
            assert_eq!(
                get::<u16>("db.host.x").unwrap_err().code(),
                "Crunchbox.ConfigNotTable"
            );
        });
    }
}
