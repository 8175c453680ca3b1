//! The only reader of the process environment. Turns it into plain values that are handed down; tests pass a closure.

use crate::error::{Code, Fault, Level};
use crate::quantity::Bytes;
use crate::telemetry::Format;
use std::ffi::OsString;
use std::path::PathBuf;

/// What this host needs beside its guests: 9 MB measured with a handler loaded.
const HOST_BASE: Bytes = Bytes::mebi(16);

/// And for each event at once: up to four copies of the largest event or response on their way.
const HOST_PER_EVENT: Bytes = Bytes::mebi(24);

/// The host's part of a Lambda function's memory where one event runs at a time.
pub(crate) const HOST_RESERVE: Bytes = Bytes(HOST_BASE.0 + HOST_PER_EVENT.0);

/// The most events at once that Lambda Managed Instances send to one environment.
/// Source: `PerExecutionEnvironmentMaxConcurrency` in AWS's API model of Lambda.
const CONCURRENCY_MAX: u32 = 1_600;

/// The least that is left for a guest, whatever the function's memory: below it no handler starts.
const GUEST_MEMORY_MIN: Bytes = Bytes::mebi(16);

/// The variable that holds the environment layer of the configuration.
pub const CONFIG: &str = "CRUNCHBOX_CONFIG";

/// Reads one variable; `std::env::var_os` outside of tests.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

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
    /// The component, from `CRUNCHBOX_COMPONENT` or Lambda's Handler setting, below the task root.
    pub component: PathBuf,
    /// The environment layer of the configuration, JSON text.
    pub config: Option<String>,
    /// What one guest may use, from the function's memory and concurrency.
    pub guest_memory: Bytes,
    /// Events at once; more than one only on Lambda Managed Instances.
    pub concurrency: u32,
}

/// Whether this process was started by Lambda, or something that behaves like it.
pub fn is_lambda(variables: Variables<'_>) -> bool {
    variables("AWS_LAMBDA_RUNTIME_API").is_some_and(|api| !api.is_empty())
}

/// How Lambda wants log lines.
///
/// # Errors
/// None: what is not understood counts as unset, since there is no log yet to say so.
pub fn lambda_log(variables: Variables<'_>) -> (Format, Level) {
    let text = |name| variables(name).and_then(|value| value.into_string().ok());
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
        let component = match text(variables, "CRUNCHBOX_COMPONENT")? {
            Some(path) => task_root.join(path),
            None => task_root.join(component_of(&required(
                "_HANDLER",
                "the name of the component",
            )?)?),
        };
        Ok(Self {
            function: required("AWS_LAMBDA_FUNCTION_NAME", "the function's name")?,
            component,
            config: environment_config(variables)?,
            guest_memory: guest_memory(u64::from(memory), u64::from(concurrency)),
            concurrency,
            task_root,
        })
    }
}

/// The component that a Handler setting names: `crunch` is `crunch.wasm` in the package.
fn component_of(handler: &str) -> Result<String, SettingError> {
    let conventional =
        ["bootstrap", "rust.handler", "index.handler", "provided", ""].contains(&handler);
    let plain = handler
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        && !handler.starts_with('.');
    if conventional || !plain {
        return Err(SettingError::Invalid {
            name: "_HANDLER",
            expected: "the name of a component in the package as the function's Handler setting, such as `crunch` for \
                       crunch.wasm (or CRUNCHBOX_COMPONENT with its path)",
            got: handler.to_owned(),
        });
    }
    Ok(format!("{}.wasm", handler.trim_end_matches(".wasm")))
}

fn guest_memory(megabytes: u64, concurrency: u64) -> Bytes {
    let left = Bytes::mebi(megabytes).0.saturating_sub(HOST_BASE.0) / concurrency;
    Bytes(
        left.saturating_sub(HOST_PER_EVENT.0)
            .max(GUEST_MEMORY_MIN.0),
    )
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
    let refused = |got: OsString| SettingError::Invalid {
        name,
        expected: "UTF-8",
        got: got.to_string_lossy().into(),
    };
    variables(name)
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

/// The environment layer of the configuration, JSON text.
///
/// # Errors
/// [`SettingError::Invalid`] when it is not UTF-8.
pub fn environment_config(variables: Variables<'_>) -> Result<Option<String>, SettingError> {
    text(variables, CONFIG)
}

/// The private cache of this user: `XDG_CACHE_HOME`, else `~/.cache`, and `crunchbox` in it.
///
/// # Errors
/// [`SettingError::Missing`] where neither is known.
pub fn cache_folder(variables: Variables<'_>) -> Result<PathBuf, SettingError> {
    let folder = |name| {
        variables(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    folder("XDG_CACHE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".cache")))
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
        let read = |name: &str| {
            all.iter()
                .rev()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        };
        Lambda::from_environment(&read).map_err(|error| error.to_string())
    }

    #[test]
    fn the_handler_setting_names_the_component() {
        assert_eq!(
            lambda(&[]).unwrap().component,
            PathBuf::from("/var/task/crunch.wasm")
        );
        assert_eq!(
            lambda(&[("_HANDLER", "a.wasm")]).unwrap().component,
            PathBuf::from("/var/task/a.wasm")
        );
        let explicit = lambda(&[
            ("_HANDLER", "bootstrap"),
            ("CRUNCHBOX_COMPONENT", "fns/a.wasm"),
        ])
        .unwrap();
        assert_eq!(explicit.component, PathBuf::from("/var/task/fns/a.wasm"));
    }

    #[test]
    fn a_conventional_handler_is_refused_with_a_hint() {
        for handler in ["bootstrap", "rust.handler", "../x", "a/b", ".hidden"] {
            let text = lambda(&[("_HANDLER", handler)]).unwrap_err();
            assert!(
                text.contains("such as `crunch`") && text.contains(handler),
                "{text}"
            );
        }
    }

    #[test]
    fn the_guest_gets_the_functions_memory_less_the_hosts_shared_by_concurrency() {
        assert_eq!(lambda(&[]).unwrap().guest_memory, Bytes::mebi(216));
        let managed = lambda(&[
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "2576"),
            ("AWS_LAMBDA_MAX_CONCURRENCY", "16"),
        ]);
        assert_eq!(managed.unwrap().guest_memory, Bytes::mebi(136));
        assert!(
            lambda(&[("AWS_LAMBDA_MAX_CONCURRENCY", "4294967295")])
                .unwrap_err()
                .contains("1 to 1600")
        );
        assert_eq!(
            lambda(&[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1")])
                .unwrap()
                .guest_memory,
            GUEST_MEMORY_MIN
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
        let read = |name: &str| match name {
            "AWS_LAMBDA_LOG_FORMAT" => Some("Text".into()),
            "AWS_LAMBDA_LOG_LEVEL" => Some("warn".into()),
            _ => None,
        };
        assert_eq!(lambda_log(&read), (Format::Text, Level::Warn));
        assert_eq!(lambda_log(&|_| None), (Format::Json, Level::Info));
    }
}
