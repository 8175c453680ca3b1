//! `crunchbox config`: the configuration of a function, explained and changed.

mod explain;
#[cfg(feature = "publish")]
mod push;

use super::printer::Printer;
use crate::error::Failure;
use crate::settings::Variables;

/// Explain a function's configuration, or change what a channel gives its release.
#[derive(Debug, clap::Args)]
pub(super) struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Explain(explain::Explain),
    #[cfg(feature = "publish")]
    Push(push::Push),
}

impl Config {
    pub(super) fn wants_json(&self) -> bool {
        match &self.command {
            Command::Explain(explain) => explain.json,
            #[cfg(feature = "publish")]
            Command::Push(push) => push.channel.json,
        }
    }

    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<(), Failure> {
        match &self.command {
            Command::Explain(explain) => explain.execute(printer, variables).await,
            #[cfg(feature = "publish")]
            Command::Push(push) => push.execute(printer, variables).await,
        }
    }
}
