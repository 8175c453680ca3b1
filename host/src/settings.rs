//! The only reader of the process environment. Turns it into plain values that are handed down; tests pass a closure.

use crate::address::{Address, Which};
use crate::error::{Code, Fault, Level};
use crate::quantity::Bytes;
use crate::telemetry::Format;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What this host needs beside its guests: 9 MB measured with a handler loaded.
const HOST_BASE: Bytes = Bytes::mebi(16);

/// And for each event at once: up to four copies of the largest event or response on their way.
const HOST_PER_EVENT: Bytes = Bytes::mebi(24);

/// The host's part of a Lambda function's memory where one event runs at a time.
pub(crate) const HOST_RESERVE: Bytes = Bytes(HOST_BASE.0 + HOST_PER_EVENT.0);

/// The least and the most memory of a Lambda function, and the step in which people choose it, in megabytes.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
const LAMBDA_MIN_MB: u64 = 128;
const LAMBDA_MAX_MB: u64 = 10_240;
const LAMBDA_STEP_MB: u64 = 64;

/// How much of a Lambda function's own disk the cache takes, unless the policy says otherwise; the smallest has 512 MB.
pub const LAMBDA_CACHE_BYTES: Bytes = Bytes::mebi(256);

/// The folder of the package that may hold a store to start from when the real one does not answer.
pub const BUNDLE: &str = "bundle";

/// The memory of a Lambda function that holds the host and a guest of so many bytes, in megabytes.
pub(crate) fn lambda_memory_mb(guest: Bytes) -> u64 {
    guest
        .0
        .saturating_add(HOST_RESERVE.0)
        .div_ceil(1 << 20)
        .div_ceil(LAMBDA_STEP_MB)
        .saturating_mul(LAMBDA_STEP_MB)
        .clamp(LAMBDA_MIN_MB, LAMBDA_MAX_MB)
}

/// The most events at once that Lambda Managed Instances send to one environment.
/// Source: `PerExecutionEnvironmentMaxConcurrency` in AWS's API model of Lambda.
const CONCURRENCY_MAX: u32 = 1_600;

/// The least that is left for a guest, whatever the function's memory: below it no handler starts.
const GUEST_MEMORY_MIN: Bytes = Bytes::mebi(16);

/// The variable that says where the store is.
pub const STORE: &str = "CRUNCHBOX_STORE";

/// The variable that says where to keep what came from the store.
const CACHE: &str = "CRUNCHBOX_CACHE";

/// The only folder that a Lambda function can write.
const LAMBDA_CACHE: &str = "/tmp/crunchbox";

/// The variable that holds the environment layer of the configuration.
pub const CONFIG: &str = "CRUNCHBOX_CONFIG";

/// What begins the names of variables that each hold one value of the configuration.
pub const CONFIG_VALUE: &str = "CRUNCHBOX_CONFIG_";

/// What begins the names of variables that no guest is given, as a secret or otherwise: credentials and settings of the
/// platform, of this host and of the system's loader.
const PRIVATE: [&str; 5] = ["AWS_", "LAMBDA_", "CRUNCHBOX_", "_", "LD_"];

/// What makes a variable one that no guest is given, in whatever case it is written; none if it may be.
pub(crate) fn private_prefix(name: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    PRIVATE.into_iter().find(|prefix| upper.starts_with(prefix))
}

/// The environment that this process was started with.
#[derive(Clone, Default)]
pub struct Environment(Arc<BTreeMap<OsString, OsString>>);

/// The environment, handed down.
pub type Variables<'a> = &'a Environment;

impl Environment {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<OsString> {
        self.0.get(OsStr::new(name)).cloned()
    }

    /// Variables whose names begin with a prefix, in order, with their values.
    pub fn beginning_with(&self, prefix: &str) -> impl Iterator<Item = (&str, &OsStr)> {
        let named = self
            .0
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?, value)));
        named
            .filter(move |(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name, value.as_os_str()))
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        Self(Arc::new(variables.collect()))
    }
}

impl std::fmt::Debug for Environment {
    /// Without its values: there are credentials among them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

/// Why the environment is not usable.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// A variable that must be there is not.
    #[error("the environment variable `{name}` is missing: expected {expected}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// A variable holds what can't be used.
    #[error("the environment variable `{name}`: expected {expected}, got `{got}`")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// What it should hold.
        expected: &'static str,
        /// What it holds.
        got: String,
    },
}

impl Fault for SettingError {
    fn code(&self) -> Code {
        match self {
            Self::Missing { .. } | Self::Invalid { .. } => Code::SettingInvalid,
        }
    }
}

/// What Lambda tells a custom runtime, and what the operator adds.
#[derive(Debug, Clone)]
pub struct Lambda {
    /// The Lambda function's name.
    pub function: String,
    /// The folder the package was unpacked in.
    pub task_root: PathBuf,
    /// What to serve.
    pub serve: Serve,
    /// The store, from `CRUNCHBOX_STORE`; the policy may name it instead.
    pub store: Option<String>,
    /// The private folder for what came from the store, from `CRUNCHBOX_CACHE`.
    pub cache: PathBuf,
    /// The environment itself, for configuration and secrets.
    pub environment: Environment,
    /// The function's memory and what shares it.
    pub memory: MachineMemory,
    /// Events at once; more than one only on Lambda Managed Instances.
    pub concurrency: u32,
}

/// What a Lambda function is to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serve {
    /// A component in the package, from `CRUNCHBOX_COMPONENT`.
    Component(PathBuf),
    /// A channel of a function in the store, from `CRUNCHBOX_FUNCTION` or a Handler setting with an `@`.
    Channel(Address),
    /// A Handler setting that is one word: the component of that name if the package has it, else the function's channel
    /// `live`.
    Either(PathBuf, Option<Address>),
}

/// The memory of a machine that this program has to itself.
#[derive(Debug, Clone, Copy)]
pub struct MachineMemory {
    /// All of it.
    pub total: Bytes,
    /// Events at once.
    pub concurrency: u32,
}

impl MachineMemory {
    /// What one guest may use beside the host, native code of `artifact` bytes and the other guests.
    pub fn for_guest(&self, artifact: Bytes) -> Bytes {
        let taken = HOST_BASE.0.saturating_add(artifact.0);
        let each = self.total.0.saturating_sub(taken) / u64::from(self.concurrency.max(1));
        Bytes(
            each.saturating_sub(HOST_PER_EVENT.0)
                .max(GUEST_MEMORY_MIN.0),
        )
    }

    /// What the host needs while it loads new native code beside the old: both, and an instance of each at once.
    pub fn for_swap(&self, old: Bytes, new: Bytes) -> Bytes {
        let instances = u64::from(self.concurrency).saturating_add(1);
        let instances = instances.saturating_mul(GUEST_MEMORY_MIN.0);
        let code = old.0.saturating_add(new.0);
        Bytes(HOST_BASE.0.saturating_add(code).saturating_add(instances))
    }
}

/// Whether this process was started by Lambda, or something that behaves like it.
pub fn is_lambda(variables: Variables<'_>) -> bool {
    variables
        .get("AWS_LAMBDA_RUNTIME_API")
        .is_some_and(|api| !api.is_empty())
}

/// Whether the operator wants to know where the time of a start goes: `CRUNCHBOX_TIMINGS` says anything but nothing or `0`.
pub fn timings_asked(variables: Variables<'_>) -> bool {
    let said = variables.get("CRUNCHBOX_TIMINGS").unwrap_or_default();
    !said.is_empty() && said != "0"
}

/// How Lambda wants log lines.
///
/// # Errors
/// None: what is not understood counts as unset, since there is no log yet to say so.
pub fn lambda_log(variables: Variables<'_>) -> (Format, Level) {
    let text = |name| {
        variables
            .get(name)
            .and_then(|value| value.into_string().ok())
    };
    let format = match text("AWS_LAMBDA_LOG_FORMAT").as_deref() {
        Some(format) if format.eq_ignore_ascii_case("text") => Format::Text,
        _ => Format::Json,
    };
    let level = text("AWS_LAMBDA_LOG_LEVEL").and_then(|level| Level::parse(&level));
    (format, level.unwrap_or(Level::Info))
}

impl Lambda {
    /// The host and port of the Runtime API; asked first, since it is where all else that is wrong is reported.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn runtime_api(variables: Variables<'_>) -> Result<String, SettingError> {
        const NAME: &str = "AWS_LAMBDA_RUNTIME_API";
        const EXPECTED: &str = "the host and port of the Runtime API, which Lambda sets";
        text(variables, NAME)?.ok_or(SettingError::Missing {
            name: NAME,
            expected: EXPECTED,
        })
    }

    /// Reads what Lambda sets.
    ///
    /// # Errors
    /// [`SettingError`], naming the variable, what was expected and what was found.
    pub fn from_environment(variables: Variables<'_>) -> Result<Self, SettingError> {
        let required =
            |name, expected| text(variables, name)?.ok_or(SettingError::Missing { name, expected });
        let task_root: PathBuf =
            required("LAMBDA_TASK_ROOT", "the folder of the deployed package")?.into();
        let concurrency = concurrency(variables)?;
        let memory = number(
            variables,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            "a number of megabytes",
        )?
        .ok_or(SettingError::Missing {
            name: "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            expected: "a number of megabytes",
        })?;
        Ok(Self {
            function: required("AWS_LAMBDA_FUNCTION_NAME", "the function's name")?,
            serve: serve(variables, &task_root)?,
            store: text(variables, STORE)?,
            cache: text(variables, CACHE)?.map_or_else(|| LAMBDA_CACHE.into(), PathBuf::from),
            environment: variables.clone(),
            memory: MachineMemory {
                total: Bytes::mebi(memory.into()),
                concurrency,
            },
            concurrency,
            task_root,
        })
    }
}

fn serve(variables: Variables<'_>, task_root: &Path) -> Result<Serve, SettingError> {
    const EXPECTED: &str = "what to serve as the function's Handler setting: a channel in the store such as \
                            `crunch@live`, or a component in the package such as `crunch` for crunch.wasm (or the one \
                            in CRUNCHBOX_FUNCTION, the other's path in CRUNCHBOX_COMPONENT)";
    const FUNCTION: &str = "CRUNCHBOX_FUNCTION";
    if let Some(path) = text(variables, "CRUNCHBOX_COMPONENT")? {
        return Ok(Serve::Component(task_root.join(path)));
    }
    if let Some(address) = text(variables, FUNCTION)? {
        return channel(FUNCTION, &address).map(Serve::Channel);
    }
    let handler = text(variables, "_HANDLER")?.unwrap_or_default();
    if handler.contains('@') {
        return channel("_HANDLER", &handler).map(Serve::Channel);
    }
    let conventional =
        ["bootstrap", "rust.handler", "index.handler", "provided", ""].contains(&handler.as_str());
    let plain = handler
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        && !handler.starts_with('.');
    if conventional || !plain {
        return Err(SettingError::Invalid {
            name: "_HANDLER",
            expected: EXPECTED,
            got: handler,
        });
    }
    let file = format!("{}.wasm", handler.trim_end_matches(".wasm"));
    Ok(Serve::Either(task_root.join(file), handler.parse().ok()))
}

/// An address that a host can follow.
fn channel(name: &'static str, got: &str) -> Result<Address, SettingError> {
    got.parse::<Address>()
        .ok()
        .filter(|address| matches!(address.which, Which::Channel(_)))
        .ok_or_else(|| SettingError::Invalid {
            name,
            expected: "a function and a channel to follow, such as `crunch@live`",
            got: got.to_owned(),
        })
}

fn concurrency(variables: Variables<'_>) -> Result<u32, SettingError> {
    const NAME: &str = "AWS_LAMBDA_MAX_CONCURRENCY";
    const EXPECTED: &str = "a number of events from 1 to 1600";
    match number(variables, NAME, EXPECTED)? {
        None => Ok(1),
        Some(count @ 1..=CONCURRENCY_MAX) => Ok(count),
        Some(other) => Err(SettingError::Invalid {
            name: NAME,
            expected: EXPECTED,
            got: other.to_string(),
        }),
    }
}

fn text(variables: Variables<'_>, name: &'static str) -> Result<Option<String>, SettingError> {
    // Not shown: it may be a secret.
    let refused = |got: OsString| SettingError::Invalid {
        name,
        expected: "UTF-8",
        got: format!("{} bytes of something else", got.len()),
    };
    variables
        .get(name)
        .filter(|value| !value.is_empty())
        .map(|value| value.into_string().map_err(refused))
        .transpose()
}

fn number(
    variables: Variables<'_>,
    name: &'static str,
    expected: &'static str,
) -> Result<Option<u32>, SettingError> {
    let parse = |got: String| {
        got.parse().map_err(|_| SettingError::Invalid {
            name,
            expected,
            got,
        })
    };
    text(variables, name)?.map(parse).transpose()
}

/// The AWS region that this process is in or is to use.
pub fn region(variables: Variables<'_>) -> Option<String> {
    let names = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter();
    let set = names.filter_map(|name| variables.get(name)?.into_string().ok());
    set.into_iter().find(|region| !region.is_empty())
}

/// What publishing takes from the environment.
#[derive(Clone, Default)]
pub struct Publishing {
    /// The store, from `CRUNCHBOX_STORE`.
    pub store: Option<String>,
    /// The policy's file, from `CRUNCHBOX_POLICY`.
    pub policy: Option<PathBuf>,
    /// A secret key itself, from `CRUNCHBOX_KEY`, as build servers keep it.
    pub key: Option<String>,
    /// The password of secret keys, from `CRUNCHBOX_KEY_PASSWORD`.
    pub password: Option<String>,
    /// This user's folder of secret keys: `crunchbox/keys` in `XDG_CONFIG_HOME`, else in `~/.config`.
    pub keys: Option<PathBuf>,
    /// Who moves channels, from `CRUNCHBOX_BY`, else the user's name at the machine's.
    pub by: String,
}

impl std::fmt::Debug for Publishing {
    /// Without its secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publishing")
            .field("store", &self.store)
            .field("policy", &self.policy)
            .field("by", &self.by)
            .finish_non_exhaustive()
    }
}

impl Publishing {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`SettingError::Invalid`] when a variable is not UTF-8.
    pub fn from_environment(variables: Variables<'_>) -> Result<Self, SettingError> {
        let config = home(variables, "XDG_CONFIG_HOME", ".config");
        let user = match text(variables, "USER")? {
            Some(user) => user,
            None => text(variables, "LOGNAME")?.unwrap_or_else(|| "somebody".to_owned()),
        };
        let machine = rustix::system::uname();
        let machine = machine.nodename().to_string_lossy();
        Ok(Self {
            store: text(variables, STORE)?,
            policy: text(variables, "CRUNCHBOX_POLICY")?.map(PathBuf::from),
            key: text(variables, "CRUNCHBOX_KEY")?,
            password: text(variables, "CRUNCHBOX_KEY_PASSWORD")?,
            keys: config.map(|config| config.join("crunchbox/keys")),
            by: text(variables, "CRUNCHBOX_BY")?.unwrap_or_else(|| format!("{user}@{machine}")),
        })
    }
}

/// A folder that a variable names, else one of this user's home.
fn home(variables: Variables<'_>, name: &str, below: &str) -> Option<PathBuf> {
    let folder = |name| {
        variables
            .get(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    folder(name).or_else(|| folder("HOME").map(|home| home.join(below)))
}

/// The private cache of this user: `XDG_CACHE_HOME`, else `~/.cache`, and `crunchbox` in it.
///
/// # Errors
/// [`SettingError::Missing`] where neither is known.
pub fn cache_folder(variables: Variables<'_>) -> Result<PathBuf, SettingError> {
    home(variables, "XDG_CACHE_HOME", ".cache")
        .map(|cache| cache.join("crunchbox"))
        .ok_or(SettingError::Missing {
            name: "HOME",
            expected: "a home folder, or --cache with a folder for artifacts",
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lambda(changes: &[(&str, &str)]) -> Result<Lambda, String> {
        let mut all = vec![
            ("AWS_LAMBDA_FUNCTION_NAME", "acme-crunch"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("LAMBDA_TASK_ROOT", "/var/task"),
            ("_HANDLER", "crunch"),
        ];
        all.extend_from_slice(changes);
        Lambda::from_environment(&all.into_iter().collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_handler_setting_names_a_component_or_a_channel() {
        let serve = |changes: &[(&str, &str)]| lambda(changes).unwrap().serve;
        let address = |text: &str| text.parse::<Address>().unwrap();
        assert_eq!(
            serve(&[]),
            Serve::Either("/var/task/crunch.wasm".into(), Some(address("crunch@live")))
        );
        assert_eq!(
            serve(&[("_HANDLER", "A.wasm")]),
            Serve::Either("/var/task/A.wasm".into(), None)
        );
        assert_eq!(
            serve(&[("_HANDLER", "crunch@staging")]),
            Serve::Channel(address("crunch@staging"))
        );
        assert_eq!(
            serve(&[
                ("_HANDLER", "bootstrap"),
                ("CRUNCHBOX_COMPONENT", "fns/a.wasm")
            ]),
            Serve::Component("/var/task/fns/a.wasm".into())
        );
        assert_eq!(
            serve(&[("_HANDLER", "bootstrap"), ("CRUNCHBOX_FUNCTION", "crunch")]),
            Serve::Channel(address("crunch@live"))
        );
    }

    #[test]
    fn a_handler_that_names_nothing_to_serve_is_refused_with_a_hint() {
        for handler in ["bootstrap", "rust.handler", "../x", "a/b", ".hidden"] {
            let text = lambda(&[("_HANDLER", handler)]).unwrap_err();
            assert!(
                text.contains("such as `crunch@live`") && text.contains(handler),
                "{text}"
            );
        }
        for address in ["crunch@41", "crunch@3f2a91c04b", "Crunch@live"] {
            let text = lambda(&[("CRUNCHBOX_FUNCTION", address)]).unwrap_err();
            assert!(text.contains("a channel to follow"), "{text}");
        }
    }

    #[test]
    fn the_guest_gets_the_functions_memory_less_the_hosts_shared_by_concurrency() {
        let guest = |changes: &[(&str, &str)], artifact| {
            lambda(changes)
                .unwrap()
                .memory
                .for_guest(Bytes::mebi(artifact))
        };
        assert_eq!(guest(&[], 0), Bytes::mebi(216));
        assert_eq!(guest(&[], 16), Bytes::mebi(200));
        let managed = [
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "2576"),
            ("AWS_LAMBDA_MAX_CONCURRENCY", "16"),
        ];
        assert_eq!(guest(&managed, 0), Bytes::mebi(136));
        assert!(
            lambda(&[("AWS_LAMBDA_MAX_CONCURRENCY", "4294967295")])
                .unwrap_err()
                .contains("1 to 1600")
        );
        assert_eq!(
            guest(&[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1")], 0),
            GUEST_MEMORY_MIN
        );
    }

    #[test]
    fn a_swap_needs_both_releases_and_an_instance_of_each() {
        let memory = lambda(&[]).unwrap().memory;
        assert_eq!(
            memory.for_swap(Bytes::mebi(40), Bytes::mebi(50)),
            Bytes::mebi(16 + 90 + 32)
        );
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let text = lambda(&[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "lots")]).unwrap_err();
        assert!(
            text.contains("AWS_LAMBDA_FUNCTION_MEMORY_SIZE") && text.contains("`lots`"),
            "{text}"
        );
        assert!(
            lambda(&[("LAMBDA_TASK_ROOT", "")])
                .unwrap_err()
                .contains("LAMBDA_TASK_ROOT")
        );
    }

    #[test]
    fn log_settings_are_lambdas_own() {
        let asked = [
            ("AWS_LAMBDA_LOG_FORMAT", "Text"),
            ("AWS_LAMBDA_LOG_LEVEL", "warn"),
        ];
        let log = |variables: Environment| lambda_log(&variables);
        assert_eq!(
            log(asked.into_iter().collect()),
            (Format::Text, Level::Warn)
        );
        assert_eq!(log(Environment::default()), (Format::Json, Level::Info));
    }
}
