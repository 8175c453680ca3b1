//! `crunchbox list`, `status`, `history`, `diff`: what is in a store and how it came there.

use super::promote::channel_of;
use super::publisher::{address_or_project, print};
use super::shelf::StoreArguments;
use crate::address::{Address, ChannelName, FunctionName, Which};
use crate::engine::key::{EngineKey, Interruption};
use crate::error::{Code, Failure};
use crate::publish::{TARGETS, inventory};
use crate::quantity::Bytes;
use crate::reader::Reader;
use crate::release::{Channel, Diff, Serves};
use crate::resolve::{self, resolve};
use crate::settings::Variables;
use crate::telemetry::printable;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::SystemTime;

/// List the functions of a store, or the releases of one function.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// The function.
    function: Option<FunctionName>,
    #[command(flatten)]
    store: StoreArguments,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Show where the channels of a function stand, and whether hosts of this version can load what they name.
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    /// The function, or one of its channels in full [default: the project's]
    address: Option<String>,
    #[command(flatten)]
    store: StoreArguments,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Show how a channel came to where it stands: who moved it, when and why.
#[derive(Debug, clap::Args)]
pub(super) struct History {
    /// The channel [default: the project's]
    address: Option<Address>,
    #[command(flatten)]
    store: StoreArguments,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Compare two releases or states: code, imports, grants, limits, configuration keys.
#[derive(Debug, clap::Args)]
pub(super) struct DiffCommand {
    /// What was.
    from: Address,
    /// What would be.
    to: Address,
    #[command(flatten)]
    store: StoreArguments,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl List {
    pub(super) async fn execute(&self, variables: Variables<'_>) -> Result<(), Failure> {
        let shelf = self.store.open(None, variables).await?;
        let Some(function) = &self.function else {
            let functions = inventory::functions(&*shelf.store).await?;
            let text = || {
                let names: Vec<_> = functions.iter().map(ToString::to_string).collect();
                match names.as_slice() {
                    [] => format!("no functions in {}", shelf.location),
                    names => names.join("\n"),
                }
            };
            return print(self.json, || json!({"functions": functions}), text);
        };
        let reader = shelf.reader(function)?;
        let releases = inventory::releases(&reader).await?;
        let channels = inventory::channels(&reader).await?;
        let named_by = |id| -> Vec<String> {
            let serving = channels.iter().filter(|(_, signed)| {
                let serves = signed.as_ref().ok();
                let serves = serves.and_then(|signed| signed.channel.serves.as_ref());
                serves.is_some_and(|serves| serves.release == id)
            });
            serving.map(|(name, _)| name.to_string()).collect()
        };
        let document = || {
            let releases = releases.iter().map(|listed| {
                json!({
                    "release": listed.id,
                    "at": time(listed.modified),
                    "bytes": listed.release.as_ref().ok().map(|release| release.component.size),
                    "engines": listed.engines,
                    "channels": named_by(listed.id),
                    "problem": listed.release.as_ref().err().map(ToString::to_string),
                })
            });
            json!({"function": function, "releases": releases.collect::<Vec<_>>()})
        };
        let text = || {
            let lines = releases.iter().map(|listed| {
                let what = match &listed.release {
                    Ok(release) => Bytes(release.component.size).to_string(),
                    Err(problem) => format!("✗ {}", printable(&problem.to_string())),
                };
                format!(
                    "{function}@{}  {}  {what:>9}  {}  {}",
                    listed.id.short(),
                    time(listed.modified),
                    targets(&listed.engines),
                    named_by(listed.id).join(" ")
                )
            });
            let lines: Vec<_> = lines.map(|line| line.trim_end().to_owned()).collect();
            match lines.as_slice() {
                [] => format!("no releases of {function} in {}", shelf.location),
                lines => lines.join("\n"),
            }
        };
        print(self.json, document, text)
    }
}

/// A time to the second.
fn time(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| "?".to_owned(), |time| format!("{time:.0}"))
}

/// Which of the processors that hosts have are provided for.
fn targets(engines: &[EngineKey]) -> String {
    let marks = TARGETS.iter().map(|(baseline, name)| {
        let mut keys = Interruption::ALL
            .map(|way| EngineKey::new(*baseline, way))
            .into_iter();
        let there = keys.any(|key| engines.contains(&key));
        format!("{name} {}", if there { "✓" } else { "–" })
    });
    marks.collect::<Vec<_>>().join(" ")
}

impl Status {
    /// The channel that was typed; a function's name stands for all of its channels.
    fn only(&self) -> Option<ChannelName> {
        let typed = self.address.as_ref().filter(|typed| typed.contains('@'))?;
        match typed.parse::<Address>().ok()?.which {
            Which::Channel(name) => Some(name),
            Which::State(..) | Which::Release(_) => None,
        }
    }

    pub(super) async fn execute(&self, variables: Variables<'_>) -> Result<(), Failure> {
        let address = match &self.address {
            Some(address) => address.parse()?,
            None => address_or_project(None)?,
        };
        let shelf = self.store.open(None, variables).await?;
        let reader = shelf.reader(&address.function)?;
        let mut channels = inventory::channels(&reader).await?;
        if let Some(only) = self.only() {
            channels.retain(|name, _| *name == only);
        }
        if channels.is_empty() {
            let message = format!("there is no channel {address} in {}", shelf.location);
            return Err(Failure::new(Code::ChannelMissing, message));
        }
        let (mut documents, mut lines, mut first) = (Vec::new(), Vec::new(), None);
        for (name, signed) in channels {
            match signed {
                Ok(signed) => {
                    let (document, line) = stands(&reader, &signed.channel).await;
                    documents.push(document);
                    lines.push(line);
                }
                Err(problem) => {
                    let failure = Failure::from(problem);
                    let shown = failure.to_string();
                    lines.push(format!(
                        "{}@{name}  ✗ {}",
                        address.function,
                        printable(&shown)
                    ));
                    documents.push(json!({"channel": name, "problem": failure.to_string()}));
                    first = first.or(Some(failure));
                }
            }
        }
        print(
            self.json,
            || json!({"function": address.function, "store": shelf.location.to_string(), "channels": documents}),
            || lines.join("\n"),
        )?;
        first.map_or(Ok(()), Err)
    }
}

/// Where a channel stands, as a document and as a line.
async fn stands(reader: &Reader, channel: &Channel) -> (Value, String) {
    let last = channel.moves.first();
    let engines = match &channel.serves {
        Some(serves) => inventory::engines(reader, serves.component).await,
        None => Vec::new(),
    };
    let expired = channel
        .not_after
        .is_some_and(|until| until < Timestamp::now());
    let document = json!({
        "channel": channel.channel,
        "sequence": channel.sequence,
        "serves": channel.serves,
        "at": last.map(|last| last.at),
        "by": last.map(|last| &last.by),
        "message": last.map(|last| &last.message),
        "notAfter": channel.not_after,
        "expired": expired,
        "engines": engines,
    });
    let mut line = format!(
        "{}@{} {}  {}",
        channel.function,
        channel.channel,
        channel.sequence,
        release(channel.serves.as_ref())
    );
    if channel.serves.is_some() && reader.trust().is_signed() {
        line.push_str(&format!("  {}", targets(&engines)));
    }
    if let Some(last) = last {
        line.push_str(&format!(
            "  {:.0} {} {}",
            last.at,
            printable(&last.by),
            printable(&last.message)
        ));
    }
    if let Some(until) = channel.not_after {
        let word = if expired { "EXPIRED" } else { "until" };
        line.push_str(&format!("  {word} {until:.0}"));
    }
    (document, line.trim_end().to_owned())
}

fn release(serves: Option<&Serves>) -> String {
    serves.map_or_else(
        || "deleted".to_owned(),
        |serves| {
            let config = serves
                .config
                .map(|config| format!(" + config {}", config.short()));
            format!("{}{}", serves.release.short(), config.unwrap_or_default())
        },
    )
}

impl History {
    pub(super) async fn execute(&self, variables: Variables<'_>) -> Result<(), Failure> {
        let address = address_or_project(self.address.as_ref())?;
        let name = channel_of(&address)?;
        let shelf = self.store.open(None, variables).await?;
        let reader = shelf.reader(&address.function)?;
        let found = resolve::channel(&reader, &name).await?;
        let Some(signed) = found else {
            let message = format!("there is no {address} in {}", shelf.location);
            return Err(Failure::new(Code::ChannelMissing, message));
        };
        let moves = &signed.channel.moves;
        let text = || {
            let lines = moves.iter().map(|state| {
                let restores = state
                    .restores
                    .map(|restored| format!(" (back to {restored})"));
                let line = format!(
                    "{:>5}  {:.0}  {}{}  {}  {}",
                    state.sequence,
                    state.at,
                    release(state.serves.as_ref()),
                    restores.unwrap_or_default(),
                    printable(&state.by),
                    printable(&state.message)
                );
                line.trim_end().to_owned()
            });
            lines.collect::<Vec<_>>().join("\n")
        };
        print(
            self.json,
            || json!({"channel": address.to_string(), "moves": moves}),
            text,
        )
    }
}

impl DiffCommand {
    pub(super) async fn execute(&self, variables: Variables<'_>) -> Result<(), Failure> {
        if self.from.function != self.to.function {
            let message = format!(
                "expected two states of one function, got {} and {}",
                self.from, self.to
            );
            return Err(Failure::new(Code::AddressInvalid, message));
        }
        let shelf = self.store.open(None, variables).await?;
        let reader = shelf.reader(&self.from.function)?;
        let mut sides = Vec::new();
        for address in [&self.from, &self.to] {
            let resolved = resolve(&reader, address).await?;
            let mut documents = reader.documents(&resolved.serves, &[]).await?;
            // A release by itself has no configuration beside it; the other side's would all seem gone or new.
            if matches!(address.which, Which::Release(_)) {
                documents.side.config = None;
            }
            sides.push(documents.side);
        }
        let [from, to] = sides.as_slice() else {
            return Err(Failure::new(Code::AddressInvalid, "expected two addresses"));
        };
        let diff = Diff::between(Some(from), to);
        let text = || match diff.lines().as_slice() {
            [] => "no difference".to_owned(),
            lines => printable(&lines.join("\n")).replace("\n        ", "\n"),
        };
        print(
            self.json,
            || json!({"from": self.from.to_string(), "to": self.to.to_string(), "diff": diff}),
            text,
        )
    }
}
