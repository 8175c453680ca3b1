//! `crunchbox promote`, `rollback`, `delete`: moves of a channel.

use super::printer::Printer;
use super::publisher::{ChannelArguments, address_or_project, release_with};
use crate::address::{Address, ChannelName, Which};
use crate::error::{Code, Failure};
use crate::publish::Move;
use crate::resolve::resolve;
use crate::settings::Variables;
use std::path::PathBuf;

/// Let a channel stand for a release: running hosts take it up with no redeploy and no lost event.
///
/// Shows what changes first. If two people promote at once one wins, and the other is told who and what.
#[derive(Debug, clap::Args)]
pub(super) struct Promote {
    /// What to promote, such as crunch@3f2a91c0, crunch@staging or crunch@live:41.
    address: Address,
    /// The channel.
    #[arg(long, value_name = "CHANNEL", default_value = "live")]
    to: ChannelName,
    /// A config file for the channel's own layer, moved together with the release; may be repeated, the strongest last.
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) channel: ChannelArguments,
}

/// Bring an earlier state of a channel back. Each rollback goes one state further back; it never toggles.
#[derive(Debug, clap::Args)]
pub(super) struct Rollback {
    /// The channel, such as `crunch` for crunch@live [default: the project's]
    address: Option<Address>,
    /// The number of the state to bring back, instead of the one before.
    #[arg(long, value_name = "SEQ")]
    to: Option<u64>,
    #[command(flatten)]
    pub(super) channel: ChannelArguments,
}

/// Delete a channel. A mark with the next sequence number stays, so that no earlier state can be put back unseen.
#[derive(Debug, clap::Args)]
pub(super) struct Delete {
    /// The channel, in full.
    address: Address,
    #[command(flatten)]
    pub(super) channel: ChannelArguments,
}

impl Promote {
    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<(), Failure> {
        let function = &self.address.function;
        let publisher = self.channel.publisher(function, variables).await?;
        let resolved = resolve(&publisher.reader, &self.address).await?;
        let wanted = release_with(resolved.serves, function, &self.config)?;
        self.channel
            .make(printer, publisher, &self.to, &wanted)
            .await
    }
}

impl Rollback {
    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<(), Failure> {
        let address = address_or_project(self.address.as_ref())?;
        let name = channel_of(&address)?;
        let publisher = self.channel.publisher(&address.function, variables).await?;
        let wanted = Move::Back(self.to);
        self.channel.make(printer, publisher, &name, &wanted).await
    }
}

impl Delete {
    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<(), Failure> {
        let name = channel_of(&self.address)?;
        let function = &self.address.function;
        let publisher = self.channel.publisher(function, variables).await?;
        self.channel
            .make(printer, publisher, &name, &Move::Delete)
            .await
    }
}

/// The channel that an address names; a release or a state cannot be moved.
pub(super) fn channel_of(address: &Address) -> Result<ChannelName, Failure> {
    match &address.which {
        Which::Channel(name) => Ok(name.clone()),
        Which::State(..) | Which::Release(_) => Err(Failure::new(
            Code::AddressInvalid,
            format!(
                "expected a channel such as `{}@live`, got `{address}`",
                address.function
            ),
        )),
    }
}
