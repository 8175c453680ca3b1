//! `crunchbox.toml`: what a function is called, how it is built, what it may use up, where its configuration lies.
//! Reads and checks; builds and runs nothing.

use crate::config::{self, ConfigError, Layer};
use crate::error::{Code, Fault};
use crate::quantity::{Bytes, Time};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The file's name.
pub const FILE_NAME: &str = "crunchbox.toml";

/// The longest name of a function: what fits a DNS label.
const NAME_CHARS_MAX: usize = 63;

/// A checked `crunchbox.toml`.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The folder it lies in; paths in it start there.
    pub folder: PathBuf,
    /// The function's name.
    pub name: String,
    /// What overrides the guesses of `crunchbox build`.
    pub build: Build,
    /// What the guest may use up.
    pub limits: Limits,
    /// Files of the base layer, weak to strong.
    pub base: Vec<PathBuf>,
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
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFunction {
    name: String,
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
        check_name(&raw.function.name).map_err(malformed)?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let base = raw
            .config
            .base
            .iter()
            .map(|file| folder.join(file))
            .collect();
        Ok(Self {
            folder,
            name: raw.function.name,
            build: raw.build,
            limits: raw.limits,
            base,
        })
    }

    /// Reads the files of the base layer, weak to strong.
    ///
    /// # Errors
    /// [`ConfigError`], naming the file and the place.
    pub fn layers(&self) -> Result<Vec<Layer>, ConfigError> {
        self.base.iter().map(|path| config::read(path)).collect()
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty()
        || name.len() > NAME_CHARS_MAX
        || name.starts_with('-')
        || !name.chars().all(allowed)
    {
        return Err(format!(
            "function.name: expected 1 to {NAME_CHARS_MAX} of `a-z`, `0-9` and `-`, not starting with `-`, got `{name}`"
        ));
    }
    Ok(())
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
        assert_eq!(manifest.base, [PathBuf::from("/f/config.toml")]);
    }

    #[test]
    fn what_is_unknown_or_wrong_is_refused_by_name() {
        for (text, named) in [
            ("[function]\nname='A'", "function.name"),
            ("[function]\nname=''", "function.name"),
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
