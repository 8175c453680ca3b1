//! `crunchbox.toml`: what a function is called, how it is built, what it may use up, where its configuration lies.
//! Reads and checks; builds and runs nothing.

use crate::address::FunctionName;
use crate::config::toml;
use crate::config::{Config, ConfigError, ENDINGS, Layer, Tier};
use crate::error::{Code, Failure, Fault};
use crate::grant::{Granted, Grants};
use crate::language::{Dialect, Engine, Language};
use crate::limit::Wanted;
use crate::overlay::{Overlay, Terms};
use crate::release::{Contents, SchemaText, SealedLimits};
use crate::store::{Location, LocationError};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file's name.
pub const FILE_NAME: &str = "crunchbox.toml";

/// A checked `crunchbox.toml`.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The folder it lies in; paths in it start there.
    pub folder: PathBuf,
    /// The function's name.
    pub name: FunctionName,
    /// What overrides the guesses of `crunchbox build`.
    pub build: Build,
    /// What the guest may use up.
    pub limits: Wanted,
    /// Files of the base layer, weak to strong, as the manifest names them.
    pub base: Vec<PathBuf>,
    /// The schema of the configuration, as the manifest names it.
    pub schema: Option<PathBuf>,
    /// What the guest may reach.
    pub grants: Grants,
    /// The folder of events to test with.
    pub events: Option<PathBuf>,
    /// Files of configuration above the base in tests, weak to strong.
    pub test_config: Vec<PathBuf>,
    /// Where releases go.
    pub store: Option<Location>,
}

/// Overrides for `crunchbox build`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The language, where the folder's files leave it open.
    pub language: Option<Language>,
    /// The handler as Lambda spells it: a file without its ending, a dot, a name in it.
    pub handler: Option<String>,
    /// Which Clojure is meant.
    pub dialect: Option<Dialect>,
    /// Which engine runs the JavaScript.
    pub engine: Option<Engine>,
    /// A shell command to run in the folder, instead of the language's own tool.
    pub command: Option<String>,
    /// The component that the command makes, relative to the folder.
    pub component: Option<PathBuf>,
}

/// Why a manifest is not usable.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file is not there or not ours to read.
    #[error("cannot read `{path}`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The text does not parse, or a key is unknown or of the wrong type.
    #[error("`{path}` is not usable: {problem}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected, what was found, and where.
        problem: String,
    },
}

impl Fault for ManifestError {
    fn code(&self) -> Code {
        match self {
            Self::Unreadable { .. } | Self::Malformed { .. } => Code::ManifestInvalid,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    function: RawFunction,
    #[serde(default)]
    build: Build,
    #[serde(default)]
    limits: Wanted,
    #[serde(default)]
    grants: BTreeMap<String, Value>,
    #[serde(default)]
    config: RawConfig,
    #[serde(default)]
    test: RawTest,
    #[serde(default)]
    store: RawStore,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFunction {
    name: FunctionName,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTest {
    events: Option<PathBuf>,
    #[serde(default)]
    config: Vec<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStore {
    url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    #[serde(default)]
    base: Vec<PathBuf>,
    schema: Option<PathBuf>,
}

impl Manifest {
    /// Reads `crunchbox.toml` in `folder`; none where there is no such file.
    ///
    /// # Errors
    /// [`ManifestError`], naming the file, the key, what was expected and what was found.
    pub fn find(folder: &Path) -> Result<Option<Self>, ManifestError> {
        let path = folder.join(FILE_NAME);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&path, &text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ManifestError::Unreadable { path, source }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ManifestError> {
        let malformed = |problem: String| ManifestError::Malformed {
            path: path.to_owned(),
            problem,
        };
        let raw: Raw = toml::read_as(text).map_err(malformed)?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let store = raw.store.url.as_deref().map(str::parse).transpose();
        let store = store.map_err(|error: LocationError| malformed(error.to_string()))?;
        raw.limits.check().map_err(malformed)?;
        let grants = Grants::read(raw.grants, &folder);
        let grants = grants.map_err(|error| malformed(error.to_string()))?;
        Ok(Self {
            name: raw.function.name,
            build: raw.build,
            limits: raw.limits,
            base: raw.config.base,
            schema: raw.config.schema,
            grants,
            events: raw.test.events.map(|events| folder.join(events)),
            test_config: raw
                .test
                .config
                .iter()
                .map(|path| folder.join(path))
                .collect(),
            store: store.map(|store| match store {
                Location::Folder(path) => Location::Folder(folder.join(path)),
                s3 @ Location::S3(_) => s3,
            }),
            folder,
        })
    }

    /// Reads the files of the base layer, weak to strong.
    ///
    /// # Errors
    /// [`ConfigError`], naming the file and the place.
    pub fn layers(&self) -> Result<Vec<Layer>, ConfigError> {
        let files = self.base.iter().map(|path| self.folder.join(path));
        files.map(|path| Layer::read(Tier::Base, &path)).collect()
    }

    /// Reads the file that only this machine has: `local.toml` in the folder, or another of the formats.
    ///
    /// # Errors
    /// [`ConfigError`], naming the file and the place, or two such files.
    pub fn local(&self) -> Result<Option<Layer>, ConfigError> {
        let named = |(ending, _)| self.folder.join(format!("local.{ending}"));
        let mut files = ENDINGS.map(named).into_iter().filter(|path| path.is_file());
        match (files.next(), files.next()) {
            (Some(one), Some(other)) => Err(ConfigError::TwoFiles(one, other)),
            (Some(path), None) => Layer::read(Tier::Local, &path).map(Some),
            (None, _) => Ok(None),
        }
    }

    /// Reads the files of configuration for tests, weak to strong.
    ///
    /// # Errors
    /// [`ConfigError`], naming the file and the place.
    pub fn test_layers(&self) -> Result<Vec<Layer>, ConfigError> {
        let files = self.test_config.iter();
        files.map(|path| Layer::read(Tier::Local, path)).collect()
    }

    /// Reads the schema of the configuration.
    ///
    /// # Errors
    /// [`ManifestError::Malformed`], naming the file.
    pub fn schema(&self) -> Result<Option<SchemaText>, ManifestError> {
        let Some(schema) = &self.schema else {
            return Ok(None);
        };
        let path = self.folder.join(schema);
        let text = std::fs::read_to_string(&path).map_err(|source| ManifestError::Unreadable {
            path: path.clone(),
            source,
        })?;
        let schema = SchemaText::new(&text);
        let problem = |problem| ManifestError::Malformed { path, problem };
        schema.map(Some).map_err(problem)
    }

    /// What the function says of its configuration beside its layers.
    ///
    /// # Errors
    /// As [`Manifest::schema`].
    pub fn terms(&self) -> Result<Terms, ManifestError> {
        let schema = self.schema()?.map(|schema| schema.parse()).transpose();
        let schema = schema.map_err(|problem| ManifestError::Malformed {
            path: self.folder.join(FILE_NAME),
            problem,
        })?;
        Ok(Terms {
            grants: self.grants.clone(),
            schema,
        })
    }

    /// The configuration of the project where there is no store, with what this machine puts on top.
    ///
    /// # Errors
    /// Of the configuration's files or the schema, or what is wrong with the whole.
    pub fn config(&self, overlay: &Overlay) -> Result<Config, Failure> {
        let facts = overlay.facts(self.name.as_str(), "local");
        Ok(overlay.config(self.layers()?, &self.terms()?, facts)?)
    }

    /// What it may reach where there is no store.
    ///
    /// # Errors
    /// Of the configuration's files, or of a grant.
    pub fn granted(&self, overlay: &Overlay) -> Result<Granted, Failure> {
        let facts = overlay.facts(self.name.as_str(), "local");
        overlay.granted(self.layers()?, &self.grants, facts)
    }

    /// What belongs to a release beside its code.
    ///
    /// # Errors
    /// Of the configuration's files or the schema.
    pub fn contents(&self) -> Result<Contents, Failure> {
        Ok(Contents {
            config: self.sealed_layers()?,
            schema: self.schema()?,
            limits: SealedLimits::from(&self.limits),
            grants: self.grants.seal(),
        })
    }

    /// The same, named as the manifest names them, so that the same files make the same release wherever they lie.
    ///
    /// # Errors
    /// [`ConfigError`], naming the file and the place.
    pub fn sealed_layers(&self) -> Result<Vec<Layer>, ConfigError> {
        let named = |(mut layer, path): (Layer, &PathBuf)| {
            layer.origin = path.display().to_string();
            layer
        };
        let layers = self.layers()?;
        Ok(layers.into_iter().zip(&self.base).map(named).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Bytes;

    fn parse(text: &str) -> Result<Manifest, String> {
        Manifest::parse(Path::new("/f/crunchbox.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn only_the_name_is_needed() {
        let manifest = parse("[function]\nname = \"crunch\"").unwrap();
        assert_eq!((manifest.name.as_str(), manifest.base.len()), ("crunch", 0));
    }

    #[test]
    fn limits_and_base_files_are_read_relative_to_the_folder() {
        let text = "[function]\nname='a'\n[limits]\ntime='20s'\nmemory='64 MiB'\n[config]\nbase=['config.toml']";
        let manifest = parse(text).unwrap();
        assert_eq!(manifest.limits.memory, Some(Bytes::mebi(64)));
        assert_eq!(manifest.base, [PathBuf::from("config.toml")]);
    }

    #[test]
    fn what_is_unknown_or_wrong_is_refused_by_name() {
        for (text, named) in [
            ("[function]\nname='A'", "expected a function's name"),
            ("[function]\nname=''", "expected a function's name"),
            ("[function]\nname='a'\n[limit]\n", "unknown field `limit`"),
            ("[function]\nname='a'\n[limits]\nmemory='lots'", "128 MiB"),
            ("[function]\nname='a'\n[limits]\ntime='0s'", "above zero"),
            ("name='a'", "function"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(
                problem.contains(named) && problem.contains("/f/crunchbox.toml"),
                "{problem}"
            );
        }
    }
}
