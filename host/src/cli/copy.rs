//! `crunchbox copy` and `prune`: releases to another store, and what nobody needs out of one.

use super::printer::Printer;
use super::publisher::SigningArguments;
use super::shelf::{StoreArguments, done};
use crate::address::{Address, FunctionName};
use crate::error::Failure;
use crate::publish::Copied;
use crate::quantity::Bytes;
use crate::resolve::resolve;
use crate::settings::Variables;
use crate::store::{self, Location};
use crate::telemetry::printable;
use serde_json::json;
use std::time::SystemTime;

/// Copy a release to another store, such as another account's: code, artifacts, configuration and signatures as they are.
///
/// Promote it there. With --channel the channel's signed state goes along, which makes a bundle for the host's package.
#[derive(Debug, clap::Args)]
pub(super) struct Copy {
    /// What to copy.
    address: Address,
    /// The other store: a folder or s3://BUCKET/PREFIX.
    #[arg(long, value_name = "STORE")]
    to: String,
    /// Copy the channel as well, unless it stands further there.
    #[arg(long)]
    channel: bool,
    #[command(flatten)]
    store: StoreArguments,
    /// Report in JSON lines on standard error.
    #[arg(long)]
    pub(super) json: bool,
}

/// Show what no channel names in any state it remembers and is older than a week; with --yes, delete it.
#[derive(Debug, clap::Args)]
pub(super) struct Prune {
    /// The functions.
    #[arg(required = true)]
    functions: Vec<FunctionName>,
    /// Delete it.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    signing: SigningArguments,
    /// Report in JSON lines on standard error.
    #[arg(long)]
    pub(super) json: bool,
}

impl Copy {
    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<(), Failure> {
        let shelf = self.store.open(None, variables).await?;
        let from = shelf.reader(&self.address.function)?;
        let location: Location = self.to.parse()?;
        let to = from.instead_of(store::open(&location).await?);
        let resolved = resolve(&from, &self.address).await?;
        let mut copied = Copied::release(&from, &**to.store(), &resolved.serves).await?;
        if self.channel {
            let name = super::promote::channel_of(&self.address)?;
            let channel = Copied::channel(&from, &to, &name, &resolved.serves).await?;
            copied.objects += channel.objects;
            copied.bytes += channel.bytes;
        }
        let what = format!(
            "{} ({}) to {location}: {} objects, {}",
            self.address,
            resolved.serves.release.short(),
            copied.objects,
            Bytes(copied.bytes)
        );
        done(printer, "Copied", &what);
        printer.json(|| {
            json!({
                "type": "copied",
                "release": resolved.serves.release,
                "to": location.to_string(),
                "objects": copied.objects,
                "bytes": copied.bytes,
            })
        });
        super::printer::result(format!("{}\n", resolved.serves.release).as_bytes())
    }
}

impl Prune {
    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<(), Failure> {
        let shelf = self.store.open(None, variables).await?;
        for function in &self.functions {
            let publisher = self.signing.publisher(&shelf, function)?;
            let doomed = publisher.doomed(SystemTime::now()).await?;
            let bytes = doomed.iter().map(|object| object.bytes).sum();
            for object in &doomed {
                let size = Bytes(object.bytes);
                printer.text(|| format!("    {size:>9}  {}", printable(&object.key)));
            }
            if self.yes {
                publisher.prune(&doomed).await?;
            }
            let (count, size) = (doomed.len(), Bytes(bytes));
            let what = match (count, self.yes) {
                (0, _) => format!("{function}: nothing to prune"),
                (_, true) => format!("{function}: {count} objects, {size}"),
                (_, false) => {
                    format!("{function}: would delete {count} objects, {size}; add --yes")
                }
            };
            done(printer, "Pruned", &what);
            printer.json(|| {
                json!({
                    "type": "pruned",
                    "function": function,
                    "deleted": self.yes,
                    "objects": doomed.iter().map(|object| &object.key).collect::<Vec<_>>(),
                    "bytes": bytes,
                })
            });
        }
        Ok(())
    }
}
