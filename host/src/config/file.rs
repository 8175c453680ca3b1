//! One text into a layer: TOML, JSON, YAML or EDN, told by the name. What has no meaning in JSON is an error that says so.
//! And a layer into the text that releases and configurations in a store hold, and back.

use super::value::{Problem, Table, give_lines, write_sealed_table};
use super::{ConfigError, Layer, Tier, edn, json, toml, yaml};
use serde::de::Error;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::io::Read;
use std::path::Path;

/// How a layer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// TOML.
    Toml,
    /// YAML.
    Yaml,
    /// EDN, as Clojure reads it.
    Edn,
}

/// The ends of names by which formats are told.
pub const ENDINGS: [(&str, Format); 5] = [
    ("toml", Format::Toml),
    ("json", Format::Json),
    ("yaml", Format::Yaml),
    ("yml", Format::Yaml),
    ("edn", Format::Edn),
];

impl Format {
    /// The format that the end of a name tells.
    pub fn of(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        let known = ENDINGS.iter().find(|(known, _)| *known == ending);
        known.map(|(_, format)| *format)
    }
}

impl Layer {
    /// Reads the layer in a file.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] or [`ConfigError::Malformed`], naming the file and the line in it.
    pub fn read(tier: Tier, path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        // One byte more than any layer may have is enough to refuse it.
        let limit = u64::try_from(super::value::TEXT_BYTES_MAX + 1).unwrap_or(u64::MAX);
        file.take(limit)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        Self::parse(tier, &path.display().to_string(), &bytes)
    }

    /// Reads a layer from the text of a file, whose name tells the format.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`], naming `origin` and the line.
    pub fn parse(tier: Tier, origin: &str, text: &[u8]) -> Result<Self, ConfigError> {
        let Some(format) = Format::of(origin) else {
            let endings: Vec<String> = ENDINGS
                .iter()
                .map(|(ending, _)| format!(".{ending}"))
                .collect();
            let what = format!("expected a name that ends in {}", endings.join(", "));
            return Err(malformed(origin, &Problem::new(0, what)));
        };
        let text = std::str::from_utf8(text)
            .map_err(|_| malformed(origin, &Problem::new(0, "expected UTF-8")))?;
        // What some editors put before a text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self::parse_as(tier, origin, format, text)
    }

    /// The same of a text whose format is known, such as that of an environment variable.
    ///
    /// # Errors
    /// As [`Layer::parse`].
    pub fn parse_as(
        tier: Tier,
        origin: &str,
        format: Format,
        text: &str,
    ) -> Result<Self, ConfigError> {
        let table = match format {
            Format::Json => json::read(text),
            Format::Toml => toml::read(text),
            Format::Yaml => yaml::read(text),
            Format::Edn => edn::read(text),
        };
        Ok(Self {
            tier,
            origin: origin.to_owned(),
            table: table.map_err(|problem| malformed(origin, &problem))?,
        })
    }
}

fn malformed(origin: &str, problem: &Problem) -> ConfigError {
    ConfigError::Malformed {
        origin: origin.to_owned(),
        problem: problem.to_string(),
    }
}

impl Serialize for Layer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (mut text, mut lines) = (String::new(), Vec::new());
        write_sealed_table(&mut text, &mut lines, &self.table);
        let has_lines = lines.iter().any(|line| *line > 0);
        let tree = RawValue::from_string(text).map_err(serde::ser::Error::custom)?;
        let mut layer = serializer.serialize_struct("Layer", 2 + usize::from(has_lines))?;
        layer.serialize_field("origin", &self.origin)?;
        layer.serialize_field("tree", &tree)?;
        if has_lines {
            layer.serialize_field("lines", &lines)?;
        }
        layer.end()
    }
}

impl<'de> Deserialize<'de> for Layer {
    /// A base layer; whoever knows better says so with [`Layer::of_tier`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Sealed {
            origin: String,
            tree: Box<RawValue>,
            #[serde(default)]
            lines: Vec<u32>,
        }
        let sealed = Sealed::deserialize(deserializer)?;
        let mut table: Table = json::read_sealed(sealed.tree.get()).map_err(D::Error::custom)?;
        if !sealed.lines.is_empty() && !give_lines(&mut table, &sealed.lines) {
            return Err(D::Error::custom(
                "expected as many lines as there are values",
            ));
        }
        Ok(Self {
            tier: Tier::Base,
            origin: sealed.origin,
            table,
        })
    }
}
