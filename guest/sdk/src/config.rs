//! The function's configuration, read straight into the author's types.

use crate::imports;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use std::fmt;

/// Why configuration could not be had: names the path, what was wanted, what was found, and who said it (layer, file and
/// line). It does not repeat the value, unless the author's own type says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    code: String,
    message: String,
    retryable: bool,
}

impl ConfigError {
    /// The host's stable code, such as `Crunchbox.ConfigNotTable`; `Mismatch` where a value does not fit its type.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Whether asking again later may succeed, as of a secret that is out of reach.
    pub fn is_retryable(&self) -> bool {
        self.retryable
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
    decode(&[], &text)
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
    read(&keys)?.map(|text| decode(&keys, &text)).transpose()
}

fn read(path: &[String]) -> Result<Option<String>, ConfigError> {
    imports::config_get(path).map_err(|error| ConfigError {
        code: error.code,
        message: error.message,
        retryable: error.retryable,
    })
}

fn decode<T: DeserializeOwned>(at: &[String], text: &str) -> Result<T, ConfigError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let mut keys = at.to_vec();
        let mut path = at.join(".");
        let mut is_table = true;
        for segment in error.path() {
            match segment {
                Segment::Map { key } => {
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(key);
                    if is_table {
                        keys.push(key.clone());
                    }
                }
                Segment::Seq { index } => {
                    // A list is one value to the host, whoever said it said all of it.
                    is_table = false;
                    path.push_str(&format!("[{index}]"));
                }
                Segment::Enum { .. } | Segment::Unknown => is_table = false,
            }
        }
        if path.is_empty() {
            path.push_str("the configuration");
        }
        let source = imports::config_source(&keys);
        let source = source
            .map(|source| format!(" ({source})"))
            .unwrap_or_default();
        let problem = problem(&error.inner().to_string());
        ConfigError {
            code: "Mismatch".to_owned(),
            retryable: false,
            message: format!("{path}: {problem}{source}"),
        }
    })
}

/// What serde says of a value, in the words of configuration and without the value itself, which may be a secret.
fn problem(text: &str) -> String {
    // Line and column would be those of a text the author never saw.
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    let split = |rest: &str| {
        let (got, expected) = rest.rsplit_once(", expected ")?;
        Some((kind(got), wanted(expected)))
    };
    if let Some((got, expected)) = text.strip_prefix("invalid type: ").and_then(split) {
        return format!("expected {expected}, got {got}");
    }
    if let Some((got, expected)) = text.strip_prefix("invalid value: ").and_then(split) {
        return format!("expected {expected}, got {got} that is none");
    }
    if let Some((_, expected)) = text.strip_prefix("unknown variant ").and_then(split) {
        return format!("expected {expected}, got another string");
    }
    text.to_owned()
}

/// The kind of a value that serde shows.
fn kind(shown: &str) -> &'static str {
    match shown.split([' ', '`']).next().unwrap_or_default() {
        "string" | "character" => "a string",
        "integer" | "floating" | "number" => "a number",
        "boolean" => "a boolean",
        "null" | "unit" | "Option" => "null",
        "sequence" => "an array",
        "map" | "struct" => "a table",
        _ => "another kind of value",
    }
}

/// What a type asks for.
fn wanted(expected: &str) -> String {
    match expected {
        "a sequence" => "an array".to_owned(),
        "a map" => "a table".to_owned(),
        _ => match expected.strip_prefix("struct ") {
            Some(name) => format!("a table ({name})"),
            None => expected.to_owned(),
        },
    }
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
            "percentiles: expected an array, got a string (made-up config)"
        );
        let text = load_from("{}").unwrap_err().to_string();
        assert_eq!(
            text,
            "the configuration: missing field `percentiles` (made-up config)"
        );
    }

    #[test]
    fn single_values_are_read_by_dotted_paths() {
        let made = Made::new().config(r#"{"db": {"host": "a", "port": "x"}}"#);
        made.run(|_| {
            assert_eq!(get::<String>("db.host"), Ok(Some("a".to_owned())));
            assert_eq!(get::<String>("db.user"), Ok(None));
            let text = get::<u16>("db.port").unwrap_err().to_string();
            assert_eq!(text, "db.port: expected u16, got a string (made-up config)");
            assert_eq!(
                get::<u16>("db.host.x").unwrap_err().code(),
                "Crunchbox.ConfigNotTable"
            );
        });
    }

    #[test]
    fn an_error_never_repeats_the_value() {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Mode {
            Fast,
        }
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only their types matter")]
        struct Strict {
            mode: Option<Mode>,
            port: Option<u8>,
            hosts: Option<Vec<u8>>,
            db: Option<Inner>,
        }
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only their types matter")]
        struct Inner {
            port: u8,
        }
        for (config, expected) in [
            (
                r#"{"mode": "hunter2"}"#,
                "mode: expected `fast`, got another string",
            ),
            (
                r#"{"port": "hunter2, expected hunter2"}"#,
                "port: expected u8, got a string",
            ),
            (
                r#"{"port": 70000}"#,
                "port: expected u8, got a number that is none",
            ),
            (
                r#"{"hosts": [1, "hunter2"]}"#,
                "hosts[1]: expected u8, got a string",
            ),
            (
                r#"{"db": "hunter2"}"#,
                "db: expected a table (Inner), got a string",
            ),
            (
                r#"{"db": {"port": null}}"#,
                "db.port: expected u8, got null",
            ),
        ] {
            let text = Made::new().config(config).run(|_| load::<Strict>());
            let text = text.unwrap_err().to_string();
            assert_eq!(text, format!("{expected} (made-up config)"));
        }
    }
}
