//! What `run`, `check` and `build` share: from what was named to a component, and where its artifact may come from.

use super::printer::Printer;
use crate::engine::Artifacts;
use crate::engine::folder::TrustedFolder;
use crate::engine::key::Interruption;
use crate::error::{Code, Failure};
use crate::manifest::Manifest;
use crate::quantity::{Bytes, Time};
use crate::settings::{self, Variables};
use crate::toolchain::{self, Built, Setup, Traces, Wanted, Words};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Where artifacts are kept, and what compiling may take.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ArtifactArguments {
    /// The private folder for compiled components [default: ~/.cache/crunchbox]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    #[command(flatten)]
    pub(super) compile: CompileArguments,
}

/// What compiling may take.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct CompileArguments {
    /// The longest that compiling may take [default: 60s]
    #[cfg(feature = "compile")]
    #[arg(long, value_name = "TIME")]
    compile_time: Option<Time>,
    /// The most memory that compiling may take [default: 2048 MiB]
    #[cfg(feature = "compile")]
    #[arg(long, value_name = "SIZE")]
    compile_memory: Option<Bytes>,
}

impl ArtifactArguments {
    /// The private folder for what is compiled and fetched.
    pub(super) fn folder(&self, variables: Variables<'_>) -> Result<PathBuf, Failure> {
        match &self.cache {
            Some(folder) => Ok(folder.clone()),
            None => Ok(settings::cache_folder(variables)?),
        }
    }

    /// Opens the cache and, where there is one, readies the compiler.
    pub(super) fn artifacts(&self, variables: Variables<'_>) -> Result<Artifacts, Failure> {
        let cache = TrustedFolder::private(&self.folder(variables)?)?;
        Ok(Artifacts {
            interruption: Interruption::Epoch,
            package: None,
            cache: Some(cache),
            #[cfg(feature = "compile")]
            compiler: Some(self.compile.compiler()?),
        })
    }
}

impl CompileArguments {
    #[cfg(feature = "compile")]
    pub(super) fn compiler(&self) -> Result<crate::engine::compile::Compiler, Failure> {
        use crate::engine::compile::{CompileLimits, Compiler, this_program};
        let defaults = CompileLimits::default();
        let limits = CompileLimits {
            time: self.compile_time.unwrap_or(defaults.time),
            memory: self.compile_memory.unwrap_or(defaults.memory),
        };
        let program = this_program().map_err(|error| {
            Failure::new(
                Code::HostSetup,
                format!("cannot find this program's own file: {error}"),
            )
        })?;
        Ok(Compiler { program, limits })
    }
}

/// How a project is built.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct BuildArguments {
    /// Install what is missing to build the project.
    #[arg(long)]
    setup: bool,
    /// Leave out debug lines: a fraction of the size, and traces that name functions only.
    #[arg(long)]
    release: bool,
}

/// Where a project is needed: a component alone does not do.
pub(super) fn expect_folder(folder: &Path) -> Result<(), Failure> {
    if folder.is_dir() {
        return Ok(());
    }
    let message = format!("`{}`: expected the folder of a project", folder.display());
    Err(Failure::new(Code::ManifestInvalid, message))
}

impl BuildArguments {
    pub(super) fn wanted(&self) -> Wanted {
        Wanted {
            words: Words::Shown,
            setup: if self.setup {
                Setup::Install
            } else {
                Setup::Tell
            },
            traces: if self.release {
                Traces::Functions
            } else {
                Traces::Lines
            },
        }
    }
}

/// A component that was named, or built from the folder that was named.
#[derive(Debug)]
pub(super) struct Target {
    /// Its file.
    pub(super) component: PathBuf,
    /// The project's manifest, where a folder was named.
    pub(super) manifest: Option<Manifest>,
    /// What was built, where a folder was named.
    pub(super) built: Option<Built>,
}

impl Target {
    /// The function's name: the manifest's, else the file's.
    pub(super) fn name(&self) -> String {
        let stem = || {
            self.component
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
        };
        self.manifest
            .as_ref()
            .map(|manifest| manifest.name.to_string())
            .or_else(stem)
            .unwrap_or_default()
    }
}

/// Builds `path` if it is a folder; else takes it as a component, with the crunchbox.toml beside it if there is one, as
/// the Lambda front does.
pub(super) fn resolve(
    path: &Path,
    wanted: Wanted,
    variables: Variables<'_>,
) -> Result<Target, Failure> {
    if !path.is_dir() {
        return target_of(path);
    }
    let manifest = Manifest::find(path)?;
    let built = toolchain::build(path, manifest.as_ref(), wanted, variables)?;
    Ok(Target {
        component: built.component.clone(),
        manifest,
        built: Some(built),
    })
}

/// A component, with the crunchbox.toml beside it if there is one.
pub(super) fn target_of(component: &Path) -> Result<Target, Failure> {
    let beside = component.parent().unwrap_or_else(|| Path::new(""));
    Ok(Target {
        component: component.to_owned(),
        manifest: Manifest::find(beside)?,
        built: None,
    })
}

/// Says what was built.
pub(super) fn report_build(printer: &Printer, target: &Target) {
    let Some(built) = &target.built else { return };
    let bytes = std::fs::metadata(&built.component)
        .map(|metadata| metadata.len())
        .unwrap_or_default();
    printer.text(|| {
        let (name, language) = (target.name(), built.language);
        format!(
            "    Built {name} ({language}{}) {} → {}{}",
            built
                .engine
                .as_ref()
                .map_or_else(String::new, |engine| format!(", {engine}")),
            Time(built.elapsed),
            Bytes(bytes),
            built
                .note
                .as_ref()
                .map_or_else(String::new, |note| format!("   {note}")),
        )
    });
    printer.json(|| {
        json!({
            "type": "build",
            "function": target.name(),
            "language": built.language,
            "engine": built.engine,
            "note": built.note,
            "component": built.component,
            "bytes": bytes,
            "ms": built.elapsed.as_secs_f64() * 1e3,
        })
    });
}
