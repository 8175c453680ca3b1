//! `policy.toml`: what an operator allows. It lies in the package beside the program, where Lambda's code signing covers
//! it: whose signatures count, where the store is, how often to look there, and the most a release may use up.

use crate::address::{Address, Which};
use crate::config::Format;
use crate::config::toml;
use crate::error::{Code, Fault};
use crate::grant::Ceiling;
use crate::limit::Wanted;
use crate::quantity::{Bytes, Time};
use crate::release::Place;
use crate::store::Location;
use crate::template::Template;
use crate::trust::{Pattern, Role, Trust, TrustedKey};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file's name.
pub const FILE_NAME: &str = "policy.toml";

/// How long a host serves without looking for a new release, and how long at most.
const REFRESH: Duration = Duration::from_secs(15);
const MAX_STALE: Duration = Duration::from_secs(60);

/// The longest key of a file that is watched; S3's longest has 1,024 bytes with the prefix before it.
const WATCHED_BYTES_MAX: usize = 512;

/// The namespace of metrics that are asked for without one.
const NAMESPACE: &str = "Crunchbox";

/// A checked policy. Without a file: no keys, no store, no ceilings.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Where releases live.
    pub store: Option<Location>,
    /// Whose signatures count.
    pub trust: Trust,
    /// When to look for a new release.
    pub refresh: Refresh,
    /// How much of the disk the cache may take.
    pub cache: Option<Bytes>,
    /// The most a release may use up, whatever it says.
    pub ceilings: Wanted,
    /// The most a release may reach, whatever it says.
    pub grants: Ceiling,
    /// How long a secret is believed; none where nothing is said.
    pub secrets_time: Option<Duration>,
    /// Files of the store that are read at each look, unsigned, weak to strong: their keys, `{{function}}` and
    /// `{{channel}}` in them to be filled.
    pub watched: Vec<Template>,
    /// The smallest number of a channel that a host without a memory believes.
    pub min_sequence: BTreeMap<String, u64>,
    /// The namespace of CloudWatch metrics in summary lines; none where none are asked for.
    pub metrics: Option<String>,
}

/// When a host looks for a new release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refresh {
    /// After an event, if the last look is this long ago.
    pub interval: Duration,
    /// Before an event, if the last successful look is this long ago.
    pub max_stale: Duration,
}

impl Default for Refresh {
    fn default() -> Self {
        Self {
            interval: REFRESH,
            max_stale: MAX_STALE,
        }
    }
}

/// Why a policy is not usable.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file is not ours to read.
    #[error("cannot read the policy `{path}`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The text does not parse, or a key is unknown or of the wrong type.
    #[error("the policy `{path}` is not usable: {problem}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected, what was found, and where.
        problem: String,
    },
}

impl Fault for PolicyError {
    fn code(&self) -> Code {
        match self {
            Self::Unreadable { .. } | Self::Malformed { .. } => Code::PolicyInvalid,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Raw {
    #[serde(default)]
    store: RawStore,
    #[serde(default)]
    keys: Vec<RawKey>,
    #[serde(default)]
    limits: Wanted,
    #[serde(default)]
    min_sequence: BTreeMap<String, u64>,
    #[serde(default)]
    grants: BTreeMap<String, Value>,
    #[serde(default)]
    secrets: RawSecrets,
    #[serde(default)]
    config: RawConfig,
    metrics: Option<RawMetrics>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawSecrets {
    time_to_live: Option<Time>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    #[serde(default)]
    watched: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawStore {
    url: Option<String>,
    refresh: Option<Time>,
    max_stale: Option<Time>,
    cache: Option<Bytes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    name: String,
    public: String,
    roles: Vec<Role>,
    #[serde(default = "Pattern::any")]
    functions: Pattern,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMetrics {
    #[serde(default)]
    namespace: Option<String>,
}

impl Policy {
    /// Reads the policy at `path`; none where there is no such file.
    ///
    /// # Errors
    /// [`PolicyError`], naming the file, the key, what was expected and what was found.
    pub fn find(path: &Path) -> Result<Option<Self>, PolicyError> {
        let Some(policy) = Self::find_unfinished(path)? else {
            return Ok(None);
        };
        if matches!(policy.store, Some(Location::S3(_))) && !policy.trust.is_signed() {
            return Err(PolicyError::Malformed {
                path: path.to_owned(),
                problem: "a store in S3 needs keys whose signatures count: expected at least one \
                          `[[keys]]`; `crunchbox keys new` makes one"
                    .to_owned(),
            });
        }
        Ok(Some(policy))
    }

    /// The same of a policy that may still lack the keys its store needs: for whoever makes them, and whoever asks for
    /// them before anything of the store is believed.
    ///
    /// # Errors
    /// As [`Policy::find`].
    pub fn find_unfinished(path: &Path) -> Result<Option<Self>, PolicyError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PolicyError::Unreadable {
                path: path.to_owned(),
                source,
            }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, PolicyError> {
        let malformed = |problem: String| PolicyError::Malformed {
            path: path.to_owned(),
            problem,
        };
        let raw: Raw = toml::read_as(text).map_err(malformed)?;
        Self::check(path, raw).map_err(malformed)
    }

    fn check(path: &Path, raw: Raw) -> Result<Self, String> {
        let keys = raw.keys.into_iter().map(|key| {
            let named = |problem| format!("the key `{}`: {problem}", key.name);
            TrustedKey::new(key.name.clone(), &key.public, key.roles, key.functions).map_err(named)
        });
        raw.limits.check()?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let trust = Trust::new(keys.collect::<Result<_, _>>()?);
        let store = raw.store.url.map(|url| beside(path, &url)).transpose()?;
        for address in raw.min_sequence.keys() {
            let parsed: Address = address
                .parse()
                .map_err(|error| format!("min-sequence: {error}"))?;
            let names_channel = matches!(parsed.which, Which::Channel(_));
            if !names_channel || parsed.to_string() != *address {
                return Err(format!(
                    "min-sequence: expected a channel such as `crunch@live`, got `{address}`"
                ));
            }
        }
        let defaults = Refresh::default();
        let interval = raw.store.refresh.map_or(defaults.interval, |time| time.0);
        let refresh = Refresh {
            interval,
            // Else every look of a host that looks seldom would hold up an event.
            max_stale: raw
                .store
                .max_stale
                .map_or_else(|| defaults.max_stale.max(interval), |time| time.0),
        };
        Ok(Self {
            store,
            trust,
            refresh,
            cache: raw.store.cache,
            ceilings: raw.limits,
            grants: Ceiling::read(raw.grants, folder).map_err(|error| error.to_string())?,
            secrets_time: raw.secrets.time_to_live.map(|time| time.0),
            watched: raw
                .config
                .watched
                .iter()
                .map(|key| watched(key))
                .collect::<Result<_, _>>()?,
            min_sequence: raw.min_sequence,
            metrics: raw
                .metrics
                .map(|metrics| metrics.namespace.unwrap_or_else(|| NAMESPACE.to_owned())),
        })
    }
}

/// The key of a file that is watched. The store's own objects are not: their names say what they are.
fn watched(key: &str) -> Result<Template, String> {
    let refused = |expected: &str| {
        Err(format!(
            "[config] watched: expected {expected}, got `{key}`"
        ))
    };
    if Format::of(key).is_none() {
        return refused("a name that ends in .toml, .json, .yaml, .yml or .edn");
    }
    let mut parts = key.split('/');
    if key.len() > WATCHED_BYTES_MAX || parts.any(|part| matches!(part, "" | "." | "..")) {
        return refused("the key of a file in the store, such as `production/config.edn`");
    }
    if key.split('/').any(|part| Place::FOLDERS.contains(&part)) {
        return refused("a key outside of the folders that the store itself uses");
    }
    Template::parse(key).map_err(|problem| format!("[config] watched, `{key}`: {problem}"))
}

/// A folder's path in the policy starts where the policy lies.
fn beside(path: &Path, url: &str) -> Result<Location, String> {
    let location = url.parse::<Location>().map_err(|error| error.to_string())?;
    Ok(match location {
        Location::Folder(folder) => {
            Location::Folder(path.parent().unwrap_or_else(|| Path::new("")).join(folder))
        }
        s3 @ Location::S3(_) => s3,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "[[keys]]\nname = 'ci'\npublic = 'RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3'\nroles = ['release', 'channel']\n";

    fn parse(text: &str) -> Result<Policy, String> {
        Policy::parse(Path::new("/task/policy.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_policy_has_the_defaults() {
        let policy = parse("").unwrap();
        assert!(!policy.trust.is_signed() && policy.store.is_none() && policy.metrics.is_none());
        assert_eq!(policy.refresh, Refresh::default());
    }

    #[test]
    fn a_policy_says_store_keys_ceilings_and_numbers() {
        let text = format!(
            "[store]\nurl = 'store'\nrefresh = '5s'\n[limits]\nmemory = '64 MiB'\n[min-sequence]\n'crunch@live' = 41\n[metrics]\n{KEY}"
        );
        let policy = parse(&text).unwrap();
        assert_eq!(policy.store, Some(Location::Folder("/task/store".into())));
        assert_eq!(policy.refresh.interval, Duration::from_secs(5));
        assert_eq!(policy.ceilings.memory, Some(Bytes::mebi(64)));
        assert_eq!(policy.min_sequence["crunch@live"], 41);
        assert_eq!(policy.metrics.as_deref(), Some("Crunchbox"));
        assert_eq!(policy.trust.keys()[0].name, "ci");
    }

    #[test]
    fn a_store_in_s3_without_keys_is_unfinished_and_nothing_more() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[store]\nurl='s3://b'").unwrap();
        let refused = Policy::find(file.path()).unwrap_err().to_string();
        assert!(
            refused.contains("`crunchbox keys new` makes one"),
            "{refused}"
        );
        let unfinished = Policy::find_unfinished(file.path()).unwrap().unwrap();
        assert!(!unfinished.trust.is_signed());
    }

    #[test]
    fn what_is_unknown_or_wrong_is_refused_by_name() {
        for (text, named) in [
            ("[stores]", "stores"),
            ("[store]\nurl='ftp://b'", "s3://BUCKET"),
            (
                "[[keys]]\nname='x'\npublic='y'\nroles=['release']",
                "the key `x`",
            ),
            (
                "[[keys]]\nname='x'\npublic='y'\nroles=['admin']",
                "unknown variant `admin`",
            ),
            ("[min-sequence]\ncrunch = 1", "such as `crunch@live`"),
            ("[min-sequence]\n'a b' = 1", "expected a function's name"),
            ("[min-sequence]\n'a@live:3' = 1", "such as `crunch@live`"),
            ("[store]\nrefresh='0s'", "above zero"),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(
                problem.contains(named) && problem.contains("/task/policy.toml"),
                "{problem}"
            );
        }
    }
}
