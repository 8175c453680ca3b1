//! `dev --bootstrap`: a program behind the Runtime API instead of guests of this process.

use super::{Setting, Started, check_names, name_of};
use crate::error::{Code, Failure};
use crate::front::service::arn;
use crate::front::service::call::FunctionError;
use crate::front::service::runtime::Runtime;
use crate::front::service::runtime::program::{Freeze, Mode, Program};
use crate::package::zip;
use crate::quantity::Bytes;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Lambda's own defaults of a function.
const MEMORY_MB: u64 = 128;
const TIMEOUT: Duration = Duration::from_secs(3);

/// A program of its own as what answers.
#[derive(Debug, clap::Args)]
pub(super) struct BootstrapArguments {
    /// Serve any custom runtime instead: a program, a package's folder, or its .zip; started as Lambda starts it.
    #[arg(long, value_name = "PATH")]
    bootstrap: Option<PathBuf>,
    /// The function's name [default: the program's or folder's]
    #[arg(long, value_name = "NAME", requires = "bootstrap")]
    name: Option<String>,
    /// The function's Handler setting.
    #[arg(
        long,
        value_name = "TEXT",
        requires = "bootstrap",
        default_value = "bootstrap"
    )]
    handler: String,
    /// A variable of the function's environment; may be repeated.
    #[arg(long = "env", value_name = "KEY=VALUE", requires = "bootstrap")]
    variables: Vec<String>,
    /// An external extension to start beside the runtime; may be repeated.
    #[arg(long = "extension", value_name = "PATH", requires = "bootstrap")]
    extensions: Vec<PathBuf>,
    /// Stop the processes between events, as Lambda freezes them.
    #[arg(long, requires = "bootstrap")]
    freeze: bool,
    /// Start the program before the first event, as provisioned concurrency does; one that fails to start ends this.
    #[arg(long, requires = "bootstrap")]
    provisioned: bool,
    /// One process that gets many events at once, as on Lambda Managed Instances.
    #[arg(long, requires = "bootstrap", conflicts_with = "freeze")]
    managed: bool,
}

impl BootstrapArguments {
    pub(super) fn is_asked_for(&self) -> bool {
        self.bootstrap.is_some()
    }

    pub(super) async fn start(
        &self,
        setting: &Setting,
        concurrency: u32,
        memory: Option<Bytes>,
    ) -> Result<Started, Failure> {
        let path = self.bootstrap.as_deref().unwrap_or_else(|| Path::new("."));
        let (package, unpacked) = Package::open(path)?;
        let function = self.name.clone().unwrap_or_else(|| name_of(path));
        let program = Program {
            executable: package.executable,
            task_root: package.folder,
            handler: self.handler.clone(),
            arn: arn(&setting.region, &function, None),
            region: setting.region.clone(),
            memory_mb: memory.map_or(MEMORY_MB, |memory| memory.0.div_ceil(1 << 20)),
            timeout: setting.timeout.unwrap_or(TIMEOUT),
            concurrency,
            mode: match self.managed {
                true => Mode::Managed,
                false => Mode::OneAtATime,
            },
            freeze: match self.freeze {
                true => Freeze::BetweenEvents,
                false => Freeze::Never,
            },
            extensions: self.extensions.clone(),
            variables: self.variables()?,
            caller: setting.environment.clone(),
            function: function.clone(),
        };
        let runtime = Runtime::start(program, setting.printer.log().clone())?;
        if self.provisioned {
            let failed = |error: FunctionError| {
                let document = String::from_utf8_lossy(&error.document);
                let message = format!("the program did not start: {}: {document}", error.kind);
                Failure::new(Code::HostSetup, message)
                    .with_hint("what it wrote stands above; on Lambda its init would fail as well")
            };
            runtime.warm().await.map_err(failed)?;
        }
        let started = Started {
            name: function,
            backend: Arc::new(runtime),
            version: "$LATEST".to_owned(),
            // Keeps the unpacked folder as long as the function is served.
            watch: unpacked.map(|unpacked| {
                Box::pin(async move {
                    let _kept = unpacked;
                    std::future::pending::<()>().await;
                }) as _
            }),
        };
        check_names(std::slice::from_ref(&started))?;
        Ok(started)
    }

    fn variables(&self) -> Result<Vec<(String, String)>, Failure> {
        let pair = |text: &String| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(Failure::new(
                Code::SettingInvalid,
                "--env: expected KEY=VALUE, got something without a `=`",
            )),
        };
        self.variables.iter().map(pair).collect()
    }
}

/// A program and the folder it lies in.
struct Package {
    executable: PathBuf,
    folder: PathBuf,
}

impl Package {
    /// Finds the program; a .zip is unpacked into a folder that goes when it is dropped.
    fn open(path: &Path) -> Result<(Self, Option<tempfile::TempDir>), Failure> {
        let unusable = |problem: String| {
            Failure::new(
                Code::SettingInvalid,
                format!("--bootstrap `{}`: {problem}", path.display()),
            )
        };
        let is_zip = path.extension().is_some_and(|extension| extension == "zip");
        if is_zip && path.is_file() {
            let bytes = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
            let folder = tempfile::Builder::new()
                .prefix("crunchbox-package-")
                .tempdir();
            let folder = folder.map_err(|error| unusable(error.to_string()))?;
            zip::unpack(&bytes, folder.path())?;
            let package = Self::in_folder(folder.path());
            return Ok((package, Some(folder)));
        }
        let path = path
            .canonicalize()
            .map_err(|error| unusable(error.to_string()))?;
        if path.is_dir() {
            return Ok((Self::in_folder(&path), None));
        }
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let package = Self {
            executable: path,
            folder,
        };
        Ok((package, None))
    }

    fn in_folder(folder: &Path) -> Self {
        Self {
            executable: folder.join("bootstrap"),
            folder: folder.to_owned(),
        }
    }
}
