//! The program behind the Runtime API: what is run, how, and the variables that Lambda would give it. Starts nothing.

use super::LATEST;
use crate::error::{Code, Failure};
use crate::settings::Environment as Variables;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most extensions of a function, external and internal.
/// Source: `MaxAgentsAllowed` in AWS's runtime interface emulator.
pub(super) const EXTENSIONS_MAX: usize = 10;

/// Far beyond Lambda's 15 minutes, and far from where adding it to the clock overflows.
const TIMEOUT_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Where Lambda's own runtimes lie; a custom one is told all the same.
const RUNTIME_DIR: &str = "/var/runtime";

/// What the person's own environment hands on: nothing but who they are to AWS.
const CREDENTIALS: [&str; 3] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
];

/// Where the Runtime API is: the one variable that nobody can override.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

/// How events are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A process for each event at once, as Lambda has been from the first.
    OneAtATime,
    /// One process for all, each of its `next` getting an event of its own: Lambda Managed Instances.
    Managed,
}

/// What becomes of a process while no event is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freeze {
    /// It runs on.
    Never,
    /// It is stopped, as on Lambda, and goes on with the next event.
    BetweenEvents,
}

/// A program, and the function that it is.
#[derive(Clone)]
pub(crate) struct Program {
    /// The `bootstrap`.
    pub(crate) executable: PathBuf,
    /// The folder that the package was unpacked in, where the program is started.
    pub(crate) task_root: PathBuf,
    /// What `_HANDLER` says.
    pub(crate) handler: String,
    /// The function's name.
    pub(crate) function: String,
    /// The region that it believes to be in.
    pub(crate) region: String,
    /// Its Amazon Resource Name, without a qualifier.
    pub(crate) arn: String,
    /// The memory it is told to have; no more than told.
    pub(crate) memory_mb: u64,
    /// The longest an event may take.
    pub(crate) timeout: Duration,
    /// The most events at once.
    pub(crate) concurrency: u32,
    /// How they are shared out.
    pub(crate) mode: Mode,
    /// What becomes of a process between them.
    pub(crate) freeze: Freeze,
    /// The executables of external extensions.
    pub(crate) extensions: Vec<PathBuf>,
    /// The function's own variables, which win over all but the address of the Runtime API.
    pub(crate) variables: Vec<(String, String)>,
    /// The environment that this process was started with, for its credentials.
    pub(crate) caller: Variables,
}

impl fmt::Debug for Program {
    /// Without the values of its variables: there may be secrets among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("executable", &self.executable)
            .field("function", &self.function)
            .field("mode", &self.mode)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

impl Program {
    /// Checks what no start could make good. A missing executable is no failure here: it is the first event's answer,
    /// as on Lambda.
    ///
    /// # Errors
    /// [`Code::SettingInvalid`], naming what is wrong.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let invalid = |message: String| Err(Failure::new(Code::SettingInvalid, message));
        if self.timeout.is_zero() || self.timeout > TIMEOUT_MAX {
            return invalid("the timeout must be above zero and up to a week".to_owned());
        }
        if self.concurrency == 0 {
            return invalid("the concurrency must be at least 1".to_owned());
        }
        if self.extensions.len() > EXTENSIONS_MAX {
            return invalid(format!(
                "expected at most {EXTENSIONS_MAX} extensions, got {}",
                self.extensions.len()
            ));
        }
        if self.extension_names().collect::<BTreeSet<_>>().len() < self.extensions.len() {
            return invalid("extensions need file names of their own".to_owned());
        }
        for (name, value) in self.variables("") {
            let value = value.as_encoded_bytes();
            if name.is_empty() || name.contains(['=', '\0']) || value.contains(&0) {
                return invalid(format!(
                    "the variable `{}` cannot be given to a program: expected a name without `=`, and no NUL",
                    name.escape_default()
                ));
            }
        }
        Ok(())
    }

    /// The same with paths that mean the same from any folder: a process is started in another than this one's.
    #[must_use]
    pub(super) fn absolute(mut self) -> Self {
        let paths = [&mut self.executable, &mut self.task_root];
        for path in paths.into_iter().chain(&mut self.extensions) {
            // It fails for an empty path, which no start finds either.
            if let Ok(absolute) = std::path::absolute(&*path) {
                *path = absolute;
            }
        }
        self
    }

    /// The names by which external extensions register: their files'.
    pub(super) fn extension_names(&self) -> impl Iterator<Item = String> {
        self.extensions.iter().map(|path| extension_name(path))
    }

    /// The account in the function's name.
    pub(super) fn account(&self) -> &str {
        self.arn.split(':').nth(4).unwrap_or_default()
    }

    /// All variables of the process; `api` is the address of its Runtime API, host and port.
    /// Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>.
    pub(super) fn variables(&self, api: &str) -> Vec<(String, OsString)> {
        let mut variables: Vec<(String, OsString)> = self
            .platform()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        let root = self.task_root.as_os_str();
        variables.push(("LAMBDA_TASK_ROOT".to_owned(), root.to_owned()));
        let mut libraries = OsString::from("/lib64:/usr/lib64:");
        for place in ["", "/lib"] {
            libraries.push(root);
            libraries.push(place);
            libraries.push(":");
        }
        libraries.push("/opt/lib");
        variables.push(("LD_LIBRARY_PATH".to_owned(), libraries));
        for name in CREDENTIALS {
            variables.extend(self.caller.get(name).map(|value| (name.to_owned(), value)));
        }
        let own = self.variables.iter();
        variables.extend(own.map(|(name, value)| (name.clone(), value.into())));
        variables.push((RUNTIME_API.to_owned(), api.into()));
        variables
    }

    fn platform(&self) -> Vec<(&'static str, String)> {
        let started = match self.mode {
            Mode::OneAtATime => "on-demand",
            Mode::Managed => "lambda-managed-instances",
        };
        let mut variables = vec![
            ("AWS_LAMBDA_FUNCTION_NAME", self.function.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION", LATEST.to_owned()),
            (
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
                self.memory_mb.to_string(),
            ),
            (
                "AWS_LAMBDA_LOG_GROUP_NAME",
                format!("/aws/lambda/{}", self.function),
            ),
            ("AWS_LAMBDA_LOG_STREAM_NAME", log_stream()),
            ("AWS_LAMBDA_LOG_FORMAT", "Text".to_owned()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", started.to_owned()),
            ("AWS_REGION", self.region.clone()),
            ("AWS_DEFAULT_REGION", self.region.clone()),
            ("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR".to_owned()),
            ("_HANDLER", self.handler.clone()),
            ("LAMBDA_RUNTIME_DIR", RUNTIME_DIR.to_owned()),
            ("TZ", ":UTC".to_owned()),
            ("LANG", "en_US.UTF-8".to_owned()),
            ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin".to_owned()),
        ];
        if self.mode == Mode::Managed {
            variables.push(("AWS_LAMBDA_MAX_CONCURRENCY", self.concurrency.to_string()));
        }
        variables
    }
}

/// The name by which the extension at a path registers.
pub(super) fn extension_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The day, the version, and what tells this environment from others.
fn log_stream() -> String {
    let day = jiff::Timestamp::now().strftime("%Y/%m/%d").to_string();
    let id = crate::front::request_id().replace('-', "");
    format!("{day}/[{LATEST}]{id}")
}

#[cfg(test)]
mod tests {
    use super::super::testing::program;
    use super::*;

    fn value(program: &Program, name: &str) -> Option<String> {
        let mut variables = program.variables("127.0.0.1:9001");
        // The last of a name wins, as in a process.
        variables.retain(|(found, _)| found == name);
        variables
            .pop()
            .map(|(_, value)| value.into_string().unwrap())
    }

    #[test]
    fn a_program_is_told_what_lambda_tells_it() {
        let program = program();
        for (name, expected) in [
            ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"),
            ("AWS_LAMBDA_FUNCTION_NAME", "crunch"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/crunch"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_REGION", "eu-west-1"),
            ("_HANDLER", "app.handler"),
            ("LAMBDA_TASK_ROOT", "/"),
            ("TZ", ":UTC"),
        ] {
            assert_eq!(value(&program, name).as_deref(), Some(expected), "{name}");
        }
        assert_eq!(value(&program, "AWS_LAMBDA_MAX_CONCURRENCY"), None);
        let stream = value(&program, "AWS_LAMBDA_LOG_STREAM_NAME").unwrap();
        assert!(stream.contains("/[$LATEST]"), "{stream}");
    }

    #[test]
    fn of_the_callers_environment_only_credentials_are_handed_on() {
        let mut program = program();
        program.caller = Variables::from_iter([("AWS_ACCESS_KEY_ID", "AKIA"), ("HOME", "/root")]);
        assert_eq!(
            value(&program, "AWS_ACCESS_KEY_ID").as_deref(),
            Some("AKIA")
        );
        assert_eq!(value(&program, "AWS_SESSION_TOKEN"), None);
        assert_eq!(value(&program, "HOME"), None);
    }

    #[test]
    fn the_functions_variables_win_over_all_but_the_address_of_the_runtime_api() {
        let mut program = program();
        for name in ["TZ", "AWS_LAMBDA_RUNTIME_API"] {
            program.variables.push((name.to_owned(), "mine".to_owned()));
        }
        assert_eq!(value(&program, "TZ").as_deref(), Some("mine"));
        assert_eq!(
            value(&program, "AWS_LAMBDA_RUNTIME_API").as_deref(),
            Some("127.0.0.1:9001")
        );
    }

    #[test]
    fn a_managed_instance_is_told_how_many_events_it_gets_at_once() {
        let mut program = program();
        program.mode = Mode::Managed;
        program.concurrency = 8;
        assert_eq!(
            value(&program, "AWS_LAMBDA_MAX_CONCURRENCY").as_deref(),
            Some("8")
        );
    }

    #[test]
    fn what_no_start_could_make_good_is_refused() {
        type Spoil = fn(&mut Program);
        let spoils: [Spoil; 7] = [
            |program| program.timeout = Duration::ZERO,
            |program| program.timeout = Duration::MAX,
            |program| program.concurrency = 0,
            |program| program.extensions = vec!["/a/x".into(), "/b/x".into()],
            |program| program.extensions = (0..11).map(|n| format!("/{n}").into()).collect(),
            |program| program.variables.push(("A=B".into(), String::new())),
            |program| program.handler = "a\0b".into(),
        ];
        assert!(program().check().is_ok());
        for spoil in spoils {
            let mut program = program();
            spoil(&mut program);
            assert_eq!(program.check().unwrap_err().code, Code::SettingInvalid);
        }
    }
}
