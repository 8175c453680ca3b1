//! `crunchbox build`: a project into a component.

use super::check::describe;
use super::printer::{self, Printer};
use super::start::{ArtifactArguments, BuildArguments, expect_folder, report_build, resolve};
use crate::error::Failure;
use crate::settings::Variables;
use std::path::PathBuf;

/// Build a project into a component, and say its size and shape. Prints the component's path.
#[derive(Debug, clap::Args)]
pub(super) struct Build {
    /// The folder of the project.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    #[command(flatten)]
    build: BuildArguments,
    /// Report in JSON lines on standard error.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    artifacts: ArtifactArguments,
}

impl Build {
    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<(), Failure> {
        expect_folder(&self.folder)?;
        let target = resolve(&self.folder, self.build.wanted(), variables)?;
        report_build(printer, &target);
        let description = describe(&target.component, self.artifacts.artifacts(variables)?).await?;
        printer.text(|| description.text());
        printer.json(|| description.json());
        description.refusal().map_or(Ok(()), Err)?;
        printer::result(format!("{}\n", target.component.display()).as_bytes())
    }
}
