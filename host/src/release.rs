//! What runs, sealed: a component, its base configuration, limits and grants, named by the digest of their text. No
//! time, no author, no artifact in it: the same inputs make the same release. The formats are described in `STORE.md`.

mod channel;
mod diff;
mod envelope;
mod place;
mod statement;

use crate::address::FunctionName;
use crate::component::Digest;
use crate::config::{Layer, Schema, Tier};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

pub use crate::grant::Sealed as Grants;
pub use crate::limit::SealedLimits;
pub use channel::{Author, Channel, Move, Serves};
pub use diff::{Diff, Side};
pub use envelope::{Envelope, SIGNATURES_MAX};
pub use place::Place;
pub use statement::SignedStatement;

/// The version of all formats that this program reads and writes.
pub const FORMAT: u32 = 1;

/// Why a text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Made by a later version of this program, perhaps.
    #[error("expected format {FORMAT} of `{expected}`, got format {got}")]
    Version {
        /// The type of document.
        expected: &'static str,
        /// Its format.
        got: u32,
    },
    /// Another type of document, or none at all.
    #[error("expected a document of type `{expected}`: {problem}")]
    Malformed {
        /// The type of document.
        expected: &'static str,
        /// What does not fit, and where.
        problem: String,
    },
}

/// Looks at the type and format of a document before the rest: an unknown format may have any other keys.
fn check_head(expected: &'static str, text: &[u8]) -> Result<(), FormatError> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(rename = "type")]
        kind: String,
        format: u32,
    }
    check_object(expected, text)?;
    let head: Head = serde_json::from_slice(text).map_err(|error| FormatError::Malformed {
        expected,
        problem: error.to_string(),
    })?;
    if head.kind != expected {
        return Err(FormatError::Malformed {
            expected,
            problem: format!("got type `{}`", head.kind),
        });
    }
    match head.format {
        FORMAT => Ok(()),
        got => Err(FormatError::Version { expected, got }),
    }
}

/// A record may be written as an array of its values, as far as the library that reads it is asked; here it may not.
fn check_object(expected: &'static str, text: &[u8]) -> Result<(), FormatError> {
    if text.trim_ascii_start().first() == Some(&b'{') {
        return Ok(());
    }
    Err(FormatError::Malformed {
        expected,
        problem: "got something other than a JSON object".to_owned(),
    })
}

/// Reads a document whose type and format are known, refusing unknown and duplicate keys.
fn parse<'a, T: Deserialize<'a>>(expected: &'static str, text: &'a [u8]) -> Result<T, FormatError> {
    check_head(expected, text)?;
    serde_json::from_slice(text).map_err(|error| FormatError::Malformed {
        expected,
        problem: error.to_string(),
    })
}

/// A component as a release names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentRef {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What it imports, sorted.
    pub imports: Vec<String>,
    /// What it exports, sorted.
    pub exports: Vec<String>,
}

/// A release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    #[serde(rename = "type")]
    kind: String,
    format: u32,
    /// The function it belongs to.
    pub function: FunctionName,
    /// Its code.
    pub component: ComponentRef,
    /// Its base configuration, weak to strong.
    pub config: Vec<Layer>,
    /// What must be true of its whole configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaText>,
    /// What it may use up.
    pub limits: SealedLimits,
    /// What it may reach.
    pub grants: Grants,
}

/// What belongs to a release beside its code.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// Its base configuration, weak to strong.
    pub config: Vec<Layer>,
    /// What must be true of its whole configuration.
    pub schema: Option<SchemaText>,
    /// What it may use up.
    pub limits: SealedLimits,
    /// What it may reach.
    pub grants: Grants,
}

/// A JSON Schema as it is sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchemaText(Box<RawValue>);

impl SchemaText {
    /// Takes the text of a schema.
    ///
    /// # Errors
    /// What is wrong with it as JSON, or as a schema.
    pub fn new(text: &str) -> Result<Self, String> {
        // Sealed without the line breaks and spaces of the file.
        let schema: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let schema = serde_json::value::to_raw_value(&schema).map_err(|error| error.to_string())?;
        let schema = Self(schema);
        schema.parse().map(|_| schema)
    }

    /// The schema itself.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(&self) -> Result<Schema, String> {
        Schema::parse(&self.0)
    }
}

impl PartialEq for SchemaText {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Release {
    const TYPE: &str = "crunchbox-release";

    /// A release of these parts.
    pub fn new(function: FunctionName, component: ComponentRef, contents: Contents) -> Self {
        Self {
            kind: Self::TYPE.to_owned(),
            format: FORMAT,
            function,
            component,
            config: contents.config,
            schema: contents.schema,
            limits: contents.limits,
            grants: contents.grants,
        }
    }

    /// Reads a release.
    ///
    /// # Errors
    /// [`FormatError`].
    pub fn parse(text: &[u8]) -> Result<Self, FormatError> {
        parse(Self::TYPE, text)
    }

    /// Its text; the digest of that is its id.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a tree of texts and numbers has a text")
    }
}

/// A layer of configuration in the store, which a channel names beside its release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    #[serde(rename = "type")]
    kind: String,
    format: u32,
    /// The function it belongs to.
    pub function: FunctionName,
    /// Its layers, weak to strong.
    pub layers: Vec<Layer>,
}

impl StoreConfig {
    const TYPE: &str = "crunchbox-config";

    /// These layers.
    pub fn new(function: FunctionName, layers: Vec<Layer>) -> Self {
        let layers = layers.into_iter().map(|layer| layer.of_tier(Tier::Store));
        Self {
            kind: Self::TYPE.to_owned(),
            format: FORMAT,
            function,
            layers: layers.collect(),
        }
    }

    /// Reads a layer.
    ///
    /// # Errors
    /// [`FormatError`].
    pub fn parse(text: &[u8]) -> Result<Self, FormatError> {
        let read: Self = parse(Self::TYPE, text)?;
        Ok(Self::new(read.function, read.layers))
    }

    /// Its text; the digest of that is its name.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a tree of texts and numbers has a text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Release {
        Release::new(
            "crunch".parse().unwrap(),
            ComponentRef {
                digest: Digest::of(b"wasm"),
                size: 4,
                imports: vec![],
                exports: vec!["x".into()],
            },
            Contents {
                config: vec![
                    Layer::parse(Tier::Base, "c.json", br#"{"b": 1, "a": {"z": 1.5}}"#).unwrap(),
                ],
                limits: SealedLimits {
                    memory_bytes: Some(64 << 20),
                    ..SealedLimits::default()
                },
                ..Contents::default()
            },
        )
    }

    #[test]
    fn the_same_parts_make_the_same_text_and_it_is_read_back() {
        let text = release().to_text();
        assert_eq!(text, release().to_text());
        assert_eq!(Release::parse(text.as_bytes()).unwrap(), release());
        assert!(
            text.contains(r#""limits":{"memoryBytes":67108864},"grants":{}"#),
            "{text}"
        );
    }

    #[test]
    fn what_is_unknown_doubled_or_of_another_kind_is_refused() {
        let text = release().to_text();
        for (from, to, problem) in [
            (r#""format":1"#, r#""format":2"#, "got format 2"),
            ("crunchbox-release", "crunchbox-config", "got type"),
            (
                r#""grants":{}"#,
                r#""grants":{},"extra":1"#,
                "unknown field",
            ),
            (
                r#""grants":{}"#,
                r#""grants":{},"grants":{}"#,
                "duplicate field",
            ),
            (
                r#""function":"crunch""#,
                r#""function":"../x""#,
                "expected a function's name",
            ),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            let error = Release::parse(changed.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
        assert!(Release::parse(b"[]").is_err() && Release::parse(b"").is_err());
    }
}
