//! What all commands that write a store share: who signs, who is named, and how a move is shown.

use super::printer::Printer;
use super::shelf::{Shelf, StoreArguments, done};
use crate::address::{Address, ChannelName, FunctionName};
use crate::config::{Layer, Tier};
use crate::error::{Code, Failure, Level};
use crate::manifest::Manifest;
use crate::publish::{Keyring, Move, Moved, Proposal, Publisher, Terms, Until};
use crate::release::{Author, Serves, StoreConfig};
use crate::review::Review;
use crate::settings::Variables;
use crate::telemetry::printable;
use jiff::{SignedDuration, SpanRelativeTo, Timestamp};
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Who signs.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SigningArguments {
    /// A secret key to sign with; may be repeated [default: CRUNCHBOX_KEY, and ~/.config/crunchbox/keys]
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// Who does this, for the history [default: CRUNCHBOX_BY, else you at this machine]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// Why and under which conditions a channel moves.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct MoveArguments {
    /// Why, for the history.
    #[arg(short, long, default_value = "")]
    pub(super) message: String,
    /// Only if the channel has this sequence number now.
    #[arg(long, value_name = "SEQ")]
    if_current: Option<u64>,
    /// Hosts that start believe this state for so long from now, such as `90d`; those that run go on.
    #[arg(long, value_name = "TIME|never")]
    not_after: Option<Lifetime>,
    /// Go on from this sequence number, where the channel's object was deleted by hand.
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// Let the release reach more than the one before.
    #[arg(long)]
    allow_grants: bool,
    /// Move though values of the configuration that must be given are not: what hosts have in their environment is not
    /// known here.
    #[arg(long)]
    allow_unmet: bool,
    /// Only show what would change.
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// The layer that config files make together in the store.
pub(super) fn store_config(
    function: &FunctionName,
    files: &[PathBuf],
) -> Result<StoreConfig, Failure> {
    let layers = files.iter().map(|path| {
        let mut layer = Layer::read(Tier::Store, path)?;
        // Where it lies on this machine is nobody's business.
        if let Some(name) = path.file_name() {
            layer.origin = name.to_string_lossy().into_owned();
        }
        Ok::<_, Failure>(layer)
    });
    let layers = layers.collect::<Result<_, _>>()?;
    Ok(StoreConfig::new(function.clone(), layers))
}

/// A release for a channel, with a configuration of the channel's own if there are files of it.
pub(super) fn release_with(
    serves: Serves,
    function: &FunctionName,
    files: &[PathBuf],
) -> Result<Move, Failure> {
    if files.is_empty() {
        return Ok(Move::Release(serves));
    }
    Ok(Move::Both(serves, store_config(function, files)?))
}

/// What every command takes that does nothing but move a channel.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ChannelArguments {
    #[command(flatten)]
    terms: MoveArguments,
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    signing: SigningArguments,
    /// Report in JSON lines on standard error.
    #[arg(long)]
    pub(super) json: bool,
}

impl ChannelArguments {
    /// Opens the store for a function.
    pub(super) async fn publisher(
        &self,
        function: &FunctionName,
        variables: Variables<'_>,
    ) -> Result<Publisher, Failure> {
        let shelf = self.store.open(None, variables).await?;
        self.signing.publisher(&shelf, function)
    }

    /// Moves a channel.
    pub(super) async fn make(
        &self,
        printer: &Printer,
        mut publisher: Publisher,
        name: &ChannelName,
        wanted: &Move,
    ) -> Result<(), Failure> {
        self.terms.make(printer, &mut publisher, name, wanted).await
    }
}

/// Longer is as good as for ever, which has a word of its own.
const LIFETIME_MAX: SignedDuration = SignedDuration::from_hours(100 * 365 * 24);

/// How long a state is to be believed, written `90d`, `12h` or `never` for no end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetime(Option<SignedDuration>);

impl FromStr for Lifetime {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self(None));
        }
        let span = text.parse::<jiff::Span>().ok();
        span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok())
            .filter(|time| time.is_positive() && *time <= LIFETIME_MAX)
            .map(|time| Self(Some(time)))
            .ok_or_else(|| {
                format!("expected a time such as `90d` or `12h`, or `never`, got `{text}`")
            })
    }
}

impl Lifetime {
    /// When it is over, if it begins now.
    pub(super) fn until(self) -> Until {
        let end = self
            .0
            .and_then(|time| Timestamp::now().checked_add(time).ok());
        end.map_or(Until::Always, Until::Moment)
    }
}

impl SigningArguments {
    /// A publisher of one function's objects.
    pub(super) fn publisher(
        &self,
        shelf: &Shelf,
        function: &FunctionName,
    ) -> Result<Publisher, Failure> {
        let mut given = Vec::new();
        for path in &self.keys {
            let text = std::fs::read_to_string(path).map_err(|error| {
                let message = format!("cannot read the secret key `{}`: {error}", path.display());
                Failure::new(Code::KeyMissing, message)
            })?;
            given.push((path.display().to_string(), text));
        }
        let environment = shelf.publishing.key.clone();
        given.extend(environment.map(|text| ("CRUNCHBOX_KEY".to_owned(), text)));
        Ok(Publisher {
            reader: shelf.reader(function)?,
            ceiling: shelf.policy.grants.clone(),
            watched: shelf.policy.watched.clone(),
            keys: Keyring {
                given,
                folder: shelf.publishing.keys.clone(),
                password: shelf.publishing.password.clone(),
            },
            author: Author {
                by: self
                    .by
                    .clone()
                    .unwrap_or_else(|| shelf.publishing.by.clone()),
                at: Timestamp::now(),
                message: String::new(),
            },
        })
    }
}

impl MoveArguments {
    fn terms(&self) -> Terms {
        Terms {
            if_current: self.if_current,
            after: self.after,
            allow_unmet: self.allow_unmet,
            until: match self.not_after {
                None => Until::AsBefore,
                Some(lifetime) => lifetime.until(),
            },
        }
    }

    /// Shows a move, asks where it lets a release reach more, and makes it.
    pub(super) async fn make(
        &self,
        printer: &Printer,
        publisher: &mut Publisher,
        name: &ChannelName,
        wanted: &Move,
    ) -> Result<(), Failure> {
        publisher.author.message.clone_from(&self.message);
        let proposal = publisher.propose(name, wanted, self.terms()).await?;
        show(printer, &proposal);
        for one in &proposal.overrides {
            printer.log().host(Level::Warn, &format!("config: {one}"));
        }
        if self.dry_run {
            done(printer, "Nothing", "is changed: --dry-run");
            return Ok(());
        }
        if proposal.diff.widens() && !self.allow_grants && !agreed(printer)? {
            return Err(Failure::new(
                Code::GrantsWider,
                format!(
                    "{} would give {} for the first time",
                    proposal.address,
                    proposal.diff.grants_added.join(", ")
                ),
            ));
        }
        let moved = publisher.make(&proposal).await?;
        report(printer, &proposal, moved);
        Ok(())
    }
}

/// The address that was typed, or the project's own channel.
pub(super) fn address_or_project(typed: Option<&Address>) -> Result<Address, Failure> {
    if let Some(address) = typed {
        return Ok(address.clone());
    }
    match Manifest::find(Path::new("."))? {
        Some(manifest) => Ok(Address::channel(manifest.name, Default::default())),
        None => Err(Failure::new(
            Code::AddressInvalid,
            "expected an address such as `crunch@live`, or a crunchbox.toml in this folder",
        )),
    }
}

/// Prints one JSON document or lines for a person, as the result of a command.
pub(super) fn print(
    json: bool,
    document: impl FnOnce() -> serde_json::Value,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let text = if json { document().to_string() } else { text() };
    super::printer::result(format!("{text}\n").as_bytes())
}

/// Asks a person at a terminal; nobody else.
fn agreed(printer: &Printer) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(false);
    }
    printer.text(|| "    Widen grants? [y/N] ".to_owned());
    printer.log().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.map_err(|error| Failure::new(Code::GrantsWider, error.to_string()))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The number a channel had, for a person.
fn number(proposal: &Proposal) -> String {
    proposal
        .from
        .as_ref()
        .map_or_else(|| "new".to_owned(), |from| from.sequence.to_string())
}

fn show(printer: &Printer, proposal: &Proposal) {
    let (from, to) = (number(proposal), &proposal.to);
    printer.text(|| {
        let release = to.serves.as_ref().map_or_else(
            || "nothing: it is deleted".to_owned(),
            |serves| format!("release {}", serves.release.short()),
        );
        let mut text = format!(
            "    {} {from} → {}   {release}",
            proposal.address, to.sequence
        );
        // Of the first state everything is new; only what it may reach matters.
        let first = proposal.from.is_none();
        let lines = proposal.diff.lines().into_iter();
        for line in lines.filter(|line| !first || line.starts_with("grants")) {
            text.push_str(&format!("\n      {}", printable(&line)));
        }
        text.push_str(&review_text(&proposal.review));
        if proposal.diff.widens() && proposal.from.is_some() {
            text.push_str("\n      the release may reach MORE than the one before");
        }
        text
    });
}

/// Shows what a component may reach.
pub(super) fn show_review(printer: &Printer, review: &Review) {
    if !review.rows.is_empty() {
        printer.text(|| review_text(review).trim_start_matches('\n').to_owned());
    }
}

fn review_text(review: &Review) -> String {
    let lines = review.lines().into_iter();
    lines.map(|line| format!("\n      {line}")).collect()
}

fn report(printer: &Printer, proposal: &Proposal, moved: Moved) {
    let (address, sequence) = (&proposal.address, proposal.to.sequence);
    printer.text(|| match moved {
        Moved::Unchanged => {
            format!("    {address} stands for that already; it stays {}", number(proposal))
        }
        Moved::Done => {
            let mark = printer.mark("✓", true);
            format!(
                "  {mark} {address} is {sequence}. Hosts take it up after their next event, or before it if idle for a minute. \
                 Undo: crunchbox rollback {address}"
            )
        }
    });
    printer.json(|| move_json(proposal, moved));
}

fn move_json(proposal: &Proposal, moved: Moved) -> Value {
    let serves = match moved {
        Moved::Done => proposal.to.serves.as_ref(),
        Moved::Unchanged => proposal.from.as_ref().and_then(|from| from.serves.as_ref()),
    };
    json!({
        "type": "move",
        "channel": proposal.address.to_string(),
        "changed": moved == Moved::Done,
        "from": proposal.from.as_ref().map(|from| from.sequence),
        "sequence": match moved {
            Moved::Done => Some(proposal.to.sequence),
            Moved::Unchanged => proposal.from.as_ref().map(|from| from.sequence),
        },
        "serves": serves,
        "diff": proposal.diff,
        "reach": proposal.review,
    })
}
