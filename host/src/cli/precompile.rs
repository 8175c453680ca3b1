//! `crunchbox precompile`: native code for hosts without a compiler.

use super::printer::{self, Printer};
use super::start::CompileArguments;
use crate::component::Component;
use crate::engine::artifact::{Statement, TrustedFolder};
use crate::engine::key::{Baseline, EngineKey};
use crate::error::{Code, Failure};
use crate::quantity::Bytes;
use std::path::{Path, PathBuf};

/// Compile a component ahead of time for hosts without a compiler.
///
/// Writes native code and a statement beside the component: deploy both with it. Hosts load them only from the package
/// they were deployed in, and only if version, settings and processor match. Prints the native code's path.
#[derive(Debug, clap::Args)]
pub(super) struct Precompile {
    /// The component (.wasm).
    component: PathBuf,
    /// Where to write [default: the component's own folder]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    compile: CompileArguments,
}

impl Precompile {
    pub(super) fn execute(&self, printer: &Printer) -> Result<(), Failure> {
        let component = Component::read(&self.component)?;
        let compiler = self.compile.compiler()?;
        // What Lambda's x86-64 machines all have, whatever this one has; arm64 comes with its own compiler.
        let baseline = if cfg!(target_arch = "x86_64") {
            Baseline::X86_64V3
        } else {
            Baseline::NeoverseN1
        };
        let code = super::block_on(compiler.compile(&component, baseline))??;
        let statement = Statement::new(component.digest(), EngineKey::new(baseline), &code);
        let beside = self.component.parent().unwrap_or_else(|| Path::new("."));
        let output = self.output.as_deref().unwrap_or(beside);
        std::fs::create_dir_all(output).map_err(|error| {
            Failure::new(
                Code::OutputFailed,
                format!("cannot make `{}`: {error}", output.display()),
            )
        })?;
        let folder = TrustedFolder::deployed(output);
        folder
            .keep(&code, &statement)
            .map_err(|error| Failure::new(Code::OutputFailed, crate::error::chain(&error)))?;
        printer.text(|| {
            format!(
                "    Compiled for {} → {}",
                statement.engine,
                Bytes(statement.size)
            )
        });
        let path = folder.code_path(statement.component, &statement.engine);
        printer::result(format!("{}\n", path.display()).as_bytes())
    }
}
