//! `crunchbox.toml`: what a function is called, how it is built, what it may use up, where its configuration lies.
//! Reads and checks; builds and runs nothing.

use crate::address::FunctionName;
use crate::config::{self, ConfigError, Layer};
use crate::error::{Code, Fault};
use crate::quantity::{Bytes, Time};
use crate::store::{Location, LocationError};
use serde::Deserialize;
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
    pub limits: Limits,
    /// Files of the base layer, weak to strong, as the manifest names them.
    pub base: Vec<PathBuf>,
    /// The folder of events to test with.
    pub events: Option<PathBuf>,
    /// Where releases go.
    pub store: Option<Location>,
}

/// Overrides for `crunchbox build`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// A shell command to run in the folder, instead of the language's own tool.
    pub command: Option<String>,
    /// The component that the command makes, relative to the folder.
    pub component: Option<PathBuf>,
}

/// What a guest may use up, as far as the file says.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The longest an event may take.
    pub time: Option<Time>,
    /// All memories and tables together.
    pub memory: Option<Bytes>,
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
    limits: Limits,
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
        let raw: Raw =
            toml::from_str(text).map_err(|error| malformed(error.to_string().trim().to_owned()))?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let store = raw.store.url.as_deref().map(str::parse).transpose();
        let store = store.map_err(|error: LocationError| malformed(error.to_string()))?;
        Ok(Self {
            name: raw.function.name,
            build: raw.build,
            limits: raw.limits,
            base: raw.config.base,
            events: raw.test.events.map(|events| folder.join(events)),
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
        files.map(|path| config::read(&path)).collect()
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
