//! `crunchbox config push`: the store's layer of a channel's configuration.

use super::printer::Printer;
use super::promote::channel_of;
use super::publisher::ChannelArguments;
use crate::address::Address;
use crate::config;
use crate::error::Failure;
use crate::publish::Move;
use crate::release::StoreConfig;
use crate::settings::Variables;
use std::path::PathBuf;

/// Change the configuration that a channel gives its release.
#[derive(Debug, clap::Args)]
pub(super) struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Push(Push),
}

/// Put config files into the store and let a channel use them above its release's own. `rollback` undoes it.
#[derive(Debug, clap::Args)]
struct Push {
    /// Config files (.toml, .json), weak to strong; together they take the place of what the channel had.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The channel, such as crunch@live.
    #[arg(long, value_name = "CHANNEL")]
    to: Address,
    #[command(flatten)]
    channel: ChannelArguments,
}

impl Config {
    pub(super) fn wants_json(&self) -> bool {
        let Command::Push(push) = &self.command;
        push.channel.json
    }

    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<(), Failure> {
        let Command::Push(push) = &self.command;
        let name = channel_of(&push.to)?;
        let layers = push.files.iter().map(|path| {
            let mut layer = config::read(path)?;
            // Where it lies on this machine is nobody's business.
            if let Some(name) = path.file_name() {
                layer.origin = name.to_string_lossy().into_owned();
            }
            Ok::<_, Failure>(layer)
        });
        let layers = layers.collect::<Result<Vec<_>, _>>()?;
        let function = &push.to.function;
        let publisher = push.channel.publisher(function, variables).await?;
        let wanted = Move::Config(StoreConfig::new(function.clone(), layers));
        push.channel.make(printer, publisher, &name, &wanted).await
    }
}
