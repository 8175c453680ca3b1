//! `crunchbox config push`: the store's layer of a channel's configuration.

use crate::address::Address;
use crate::cli::printer::Printer;
use crate::cli::promote::channel_of;
use crate::cli::publisher::{ChannelArguments, store_config};
use crate::error::Failure;
use crate::publish::Move;
use crate::settings::Variables;
use std::path::PathBuf;

/// Put config files into the store and let a channel use them above its release's own. `rollback` undoes it.
///
/// They are checked with the release that the channel stands for: markers that nobody meets, tables over values, the
/// function's schema, secrets that are not granted.
#[derive(Debug, clap::Args)]
pub(super) struct Push {
    /// Config files (.toml, .json, .yaml, .edn), weak to strong; together they take the place of what the channel had.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The channel, such as crunch@live.
    #[arg(long, value_name = "CHANNEL")]
    to: Address,
    #[command(flatten)]
    pub(super) channel: ChannelArguments,
}

impl Push {
    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<(), Failure> {
        let name = channel_of(&self.to)?;
        let function = &self.to.function;
        let wanted = Move::Config(store_config(function, &self.files)?);
        let publisher = self.channel.publisher(function, variables).await?;
        self.channel.make(printer, publisher, &name, &wanted).await
    }
}
