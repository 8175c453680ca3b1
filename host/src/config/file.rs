//! One text into a layer: TOML, JSON, YAML or EDN, told by the name. What has no meaning in JSON is an error that says so.
//! And a layer into the text that releases and configurations in a store hold, and back.

use super::value::{Problem, Table, check_length, check_paths, give_lines, write_sealed_table};
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
        check_length(text.len()).map_err(|problem| malformed(origin, &problem))?;
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
            table: table
                .and_then(|table| check_paths(&table).map(|()| table))
                .map_err(|problem| malformed(origin, &problem))?,
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
        check_paths(&table).map_err(D::Error::custom)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::sealed;

    fn parse(name: &str, text: &str) -> Result<Layer, ConfigError> {
        Layer::parse(Tier::Local, name, text.as_bytes())
    }

    /// Why a file of that name is not usable.
    fn problem(name: &str, text: &str) -> String {
        parse(name, text).unwrap_err().to_string()
    }

    /// The same configuration in each format, each marker among it.
    const SAME: [(&str, &str); 4] = [
        (
            "a.toml",
            "pool = { \"$default\" = 1.50 }\n[db]\nhost = { \"$required\" = \"it\" }\n\
             key = { \"$secret\" = \"ssm:/{{channel}}\" }\n\"$$x\" = [1, \"b\", {}]\n",
        ),
        (
            "a.json",
            "{\"pool\": {\"$default\": 1.50},\n\"db\": {\n\"host\": {\"$required\": \"it\"},\n\
             \"key\": {\"$secret\": \"ssm:/{{channel}}\"},\n\"$$x\": [1, \"b\", {}]}}\n",
        ),
        (
            "a.yaml",
            "pool: !default 1.50\ndb:\n  host: !required it\n  key: !secret ssm:/{{channel}}\n  $$x: [1, b, {}]\n",
        ),
        (
            "a.edn",
            "{:pool #immuconf/default 1.50\n :db {\n :host #immuconf/override \"it\"\n \
             :key #crunchbox/secret \"ssm:/{{channel}}\"\n :$x [1 :b {}]}}\n",
        ),
    ];

    #[test]
    fn a_format_is_told_by_the_end_of_a_name() {
        for (name, expected) in [
            ("a.toml", Some(Format::Toml)),
            ("b/a.json", Some(Format::Json)),
            ("a.b.yaml", Some(Format::Yaml)),
            ("a.yml", Some(Format::Yaml)),
            (".edn", Some(Format::Edn)),
            ("edn", None),
            ("a.edn.bak", None),
            ("a.EDN", None),
        ] {
            assert_eq!(Format::of(name), expected, "{name}");
        }
        assert!(
            problem("a.ini", "x")
                .ends_with("expected a name that ends in .toml, .json, .yaml, .yml, .edn")
        );
    }

    #[test]
    fn every_format_says_the_same_in_its_own_way() {
        for (name, text) in SAME {
            let layer = parse(name, text).unwrap();
            let (json, lines) = sealed(&layer.table);
            assert_eq!(
                json,
                r#"{"pool":{"$default":1.50},"db":{"host":{"$required":"it"},"key":{"$secret":"ssm:/{{channel}}"},"$$x":[1,"b",{}]}}"#,
                "{name}"
            );
            assert_eq!(lines, [1, 1, 2, 3, 4, 5, 5, 5, 5], "{name}");
            assert_eq!((layer.tier, layer.origin.as_str()), (Tier::Local, name));
        }
    }

    #[test]
    fn a_sealed_layer_keeps_values_markers_and_lines() {
        for (name, text) in SAME {
            let layer = parse(name, text).unwrap();
            let json = serde_json::to_string(&layer).unwrap();
            let again: Layer = serde_json::from_str(&json).unwrap();
            assert_eq!(again.tier, Tier::Base);
            assert_eq!(sealed(&again.table), sealed(&layer.table));
            assert_eq!(again.of_tier(Tier::Local), layer);
        }
    }

    #[test]
    fn a_layer_without_lines_is_sealed_without_them() {
        let json = r#"{"origin":"a","tree":{"b":[1.10]}}"#;
        let layer: Layer = serde_json::from_str(json).unwrap();
        assert_eq!(sealed(&layer.table).1, [0, 0]);
        assert_eq!(serde_json::to_string(&layer).unwrap(), json);
    }

    #[test]
    fn what_was_not_sealed_here_is_refused() {
        for json in [
            r#"{"origin":"a","tree":{"b":1},"lines":[1,2]}"#,
            r#"{"origin":"a","tree":{"b":[1,2]},"lines":[1,2]}"#,
            r#"{"origin":"a","tree":{},"more":1}"#,
            r#"{"origin":"a","tree":[1]}"#,
            r#"{"origin":"a","tree":{"b":1,"b":2}}"#,
            r#"{"origin":"a","tree":{"b":{"$wanted":1}}}"#,
            r#"{"tree":{}}"#,
        ] {
            assert!(serde_json::from_str::<Layer>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_broken_file_is_named_with_the_place() {
        for (name, text, expected) in [
            (
                "a.toml",
                "\nx = ",
                "the configuration `a.toml` is not usable: line 2: ",
            ),
            (
                "a.json",
                "{\"x\":}",
                "the configuration `a.json` is not usable: line 1: column 6: ",
            ),
            (
                "a.yaml",
                "x: 1\ny: *z",
                "the configuration `a.yaml` is not usable: line 2: ",
            ),
            (
                "a.yml",
                "- x",
                "the configuration `a.yml` is not usable: line 1: expected a table",
            ),
            (
                "a.edn",
                "{:x\n",
                "the configuration `a.edn` is not usable: line 2: ",
            ),
        ] {
            let problem = problem(name, text);
            assert!(problem.starts_with(expected), "{problem}");
        }
    }

    #[test]
    fn no_problem_repeats_a_value() {
        for (name, text) in [
            ("a.toml", "password = hunter2"),
            ("a.toml", "password = \"hunter2"),
            ("a.toml", "password = \"hunter2\" hunter2"),
            ("a.json", "{\"password\": hunter2}"),
            ("a.json", "{\"password\": \"hunter2}"),
            ("a.json", "\"hunter2\""),
            ("a.yaml", "password: \"hunter2"),
            ("a.yaml", "password: !!int hunter2"),
            ("a.yaml", "hunter2"),
            ("a.yaml", "password: [hunter2"),
            ("a.edn", "{:password \"hunter2"),
            ("a.edn", "{:password 1hunter2}"),
            ("a.edn", "{:password #inst [\"hunter2\"]}"),
        ] {
            let problem = problem(name, text);
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn a_value_that_stands_where_a_key_belongs_is_not_repeated_either() {
        let problem = problem("a.edn", "{:user :password \"hunter2\"}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }

    #[test]
    fn a_text_is_utf_8_with_or_without_a_mark_in_front() {
        let layer = parse("a.json", "\u{feff}{\"a\":\"ü\"}").unwrap();
        assert_eq!(sealed(&layer.table), (r#"{"a":"ü"}"#.to_owned(), vec![1]));
        let error = Layer::parse(Tier::Local, "a.json", b"{\"a\":\"\xfc\"}").unwrap_err();
        assert!(error.to_string().ends_with("expected UTF-8"), "{error}");
    }

    #[test]
    fn a_file_is_read_under_its_path_and_one_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.edn");
        std::fs::write(&path, "{:a 1}").unwrap();
        let layer = Layer::read(Tier::Local, &path).unwrap();
        assert_eq!(layer.origin, path.display().to_string());
        let path = folder.path().join("b.edn");
        let error = Layer::read(Tier::Local, &path).unwrap_err();
        let expected = format!("cannot read the configuration `{}`", path.display());
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_file_longer_than_any_layer_is_refused_in_every_format() {
        let folder = tempfile::tempdir().unwrap();
        for (ending, _) in ENDINGS {
            let path = folder.path().join(format!("a.{ending}"));
            std::fs::write(&path, " ".repeat(2 << 20)).unwrap();
            let error = Layer::read(Tier::Local, &path).unwrap_err().to_string();
            assert!(error.contains("expected at most 262144 bytes"), "{error}");
        }
    }
}
