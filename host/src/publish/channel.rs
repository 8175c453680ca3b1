//! Moves of a channel: one compare-and-swap each. Of two people who move at once one wins, and the other is told who.

use super::Publisher;
use crate::address::{Address, ChannelName};
use crate::component::Digest;
use crate::config::{ConfigError, Extent, Layers, Override, Rules};
use crate::error::{Code, Failure};
use crate::grant::Ceiling;
use crate::overlay::{self, facts};
use crate::prepare::channel_of;
use crate::reader::{ReadError, SignedChannel};
use crate::release::{Channel, Diff, Serves, Side, StoreConfig};
use crate::resolve;
use crate::review::Review;
use crate::store::{Condition, StoreError};
use crate::trust::Role;
use crate::watched::Watched;
use jiff::Timestamp;

/// What is to become of a channel.
#[derive(Debug, Clone)]
pub enum Move {
    /// It is to stand for a release; its configuration stays.
    Release(Serves),
    /// It is to stand for a release and to have a configuration, at once.
    Both(Serves, StoreConfig),
    /// It is to have a configuration, which is put into the store with the move; its release stays.
    Config(StoreConfig),
    /// An earlier state is to come back: the one before the present one, or one by its number.
    Back(Option<u64>),
    /// Its signatures and its time are to be renewed.
    Renew,
    /// It is to be no more.
    Delete,
}

impl Move {
    /// The configuration that comes with it.
    fn config(&self) -> Option<&StoreConfig> {
        match self {
            Self::Config(config) | Self::Both(_, config) => Some(config),
            Self::Release(_) | Self::Back(_) | Self::Renew | Self::Delete => None,
        }
    }
}

/// A move that has been thought through and not made.
#[derive(Debug)]
pub struct Proposal {
    /// The channel.
    pub address: Address,
    /// What it would change.
    pub diff: Diff,
    /// The state before, if there is one.
    pub from: Option<Channel>,
    /// The state after.
    pub to: Channel,
    /// Values of the configuration that are no defaults and are overridden after the move.
    pub overrides: Vec<Override>,
    /// What the new state may reach.
    pub review: Review,
    condition: Condition,
    config: Option<StoreConfig>,
}

/// A move that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// The channel has the new state.
    Done,
    /// It stood for just that already.
    Unchanged,
}

/// Conditions on a move.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms {
    /// The number the channel must have now.
    pub if_current: Option<u64>,
    /// The number to go on from, where a channel was deleted by hand.
    pub after: Option<u64>,
    /// Whether values that must be given may be missing, since hosts may have them in their environment.
    pub allow_unmet: bool,
    /// How long hosts that start believe the new state.
    pub until: Until,
}

/// How long hosts that start believe a state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Until {
    /// As long from now as the state before was to be believed from its own beginning.
    #[default]
    AsBefore,
    /// Until a moment.
    Moment(Timestamp),
    /// For ever.
    Always,
}

/// What a state may reach, with what its signed layers say; the region is known where it runs.
fn reviewed(address: &Address, side: &Side, ceiling: &Ceiling) -> Result<Review, Failure> {
    let terms = overlay::Terms::of(&side.release)?;
    let mut layers = Layers::new();
    side.layers().for_each(|layer| layers.add(layer));
    let facts = layers.facts(facts(address.function.as_str(), &channel_of(address)));
    let imports = &side.release.component.imports;
    Ok(Review::of(imports, &terms.grants, &facts, ceiling))
}

impl Publisher {
    /// Thinks a move through: verifies that all it names is in the store, and works out what it changes.
    ///
    /// # Errors
    /// A classified failure: of the channel, of what it names, or of the terms.
    pub async fn propose(
        &self,
        name: &ChannelName,
        wanted: &Move,
        terms: Terms,
    ) -> Result<Proposal, Failure> {
        let address = Address::channel(self.function().clone(), name.clone());
        let current = match (resolve::channel(&self.reader, name).await, wanted) {
            // Who may not list the bucket is told this of a channel that is not there; if it is, the write will say so.
            (
                Err(ReadError::Store(StoreError::Denied { .. })),
                Move::Release(_) | Move::Both(..),
            ) => None,
            (found, _) => found?,
        };
        let now = current.as_ref().map(|signed| &signed.channel);
        check_current(&address, now, terms.if_current)?;
        let mut base = match now {
            Some(channel) => channel.clone(),
            None => Channel::new(self.function().clone(), name.clone(), 0),
        };
        let (serves, restores) = target(&address, &base, wanted)?;
        let to_side = match &serves {
            Some(serves) => Some(self.verified(serves, wanted).await?),
            None => None,
        };
        let overrides = match (&to_side, wanted) {
            (Some(side), Move::Release(_) | Move::Both(..) | Move::Config(_)) => {
                self.check_config(&address, side, terms.allow_unmet).await?
            }
            // What served before is not held up.
            _ => Vec::new(),
        };
        let review = match &to_side {
            Some(side) => reviewed(&address, side, &self.ceiling)?,
            None => Review::default(),
        };
        if let (Some(refusal), Move::Release(_) | Move::Both(..) | Move::Config(_)) =
            (review.refusal(), wanted)
        {
            return Err(refusal.clone());
        }
        // What was there before need not be there any more to be left.
        let from_side = match base.serves.as_ref() {
            Some(serves) => self.reader.documents(serves, &[]).await.ok(),
            None => None,
        };
        let diff = to_side
            .map(|to| Diff::between(from_side.map(|documents| documents.side).as_ref(), &to))
            .unwrap_or_default();
        // A state that was to be believed for a month is followed by one that is, from now.
        let lifetime = base.lifetime();
        let lasting = lifetime.and_then(|time| self.author.at.checked_add(time).ok());
        base.sequence = base.sequence.max(terms.after.unwrap_or_default());
        let mut to = base.moved(serves, restores, &self.author);
        to.not_after = match terms.until {
            Until::AsBefore => lasting,
            Until::Moment(moment) => Some(moment),
            Until::Always => None,
        };
        Ok(Proposal {
            address,
            diff,
            from: now.cloned(),
            to,
            overrides,
            review,
            condition: condition(current.as_ref()),
            config: wanted.config().cloned(),
        })
    }

    /// Whether hosts would take the configuration: release, channel and watched files together, without what hosts have
    /// in their environment. Returns what is overridden in it.
    async fn check_config(
        &self,
        address: &Address,
        side: &Side,
        allow_unmet: bool,
    ) -> Result<Vec<Override>, Failure> {
        let names = facts(address.function.as_str(), &channel_of(address));
        let watched = Watched::new(&self.watched, &names);
        let mut watched = watched.map_err(|problem| Failure::new(Code::PolicyInvalid, problem))?;
        watched.look(&**self.store()).await;
        if let Some(failure) = watched.broken() {
            return Err(failure.clone());
        }
        let mut layers = Layers::new();
        for layer in side.layers().chain(watched.layers()) {
            layers.add(layer);
        }
        let terms = overlay::Terms::of(&side.release)?;
        let rules = Rules {
            allow_unmet,
            ..terms.rules(&self.ceiling, overlay::stand_in(names), Extent::Whole)
        };
        let config = match layers.settle(&rules) {
            Err(error @ ConfigError::Unmet(_)) => {
                return Err(Failure::from(error).with_hint(
                    "give it with `--config FILE` or `crunchbox config push FILE`; if hosts have it in their environment, \
                     repeat with `--allow-unmet`",
                ));
            }
            settled => settled?,
        };
        Ok(config.overrides().to_vec())
    }

    /// All that a state names, read from the store and verified, the component included; but for a configuration that
    /// comes with the move.
    async fn verified(&self, serves: &Serves, wanted: &Move) -> Result<Side, Failure> {
        let new = wanted.config();
        let known = Serves {
            config: serves.config.filter(|_| new.is_none()),
            ..serves.clone()
        };
        let mut side = self.reader.documents(&known, &[]).await?.side;
        self.reader.component(&side.release).await?;
        side.config = new.cloned().or(side.config);
        Ok(side)
    }

    /// Makes a move.
    ///
    /// # Errors
    /// [`Code::ChannelConflict`] when somebody else was quicker, with who and what; else a failure of keys or store.
    pub async fn make(&self, proposal: &Proposal) -> Result<Moved, Failure> {
        if let Some(from) = &proposal.from
            && from.serves == proposal.to.serves
            // A state that is believed for a time only is renewed by being promoted again.
            && from.not_after.is_none()
            && proposal.to.not_after.is_none()
            && proposal.to.sequence == from.sequence + 1
            && from.serves.is_some()
        {
            return Ok(Moved::Unchanged);
        }
        self.write(proposal).await
    }

    /// Makes a move though it may change nothing but signatures and time.
    ///
    /// # Errors
    /// As [`Publisher::make`].
    pub async fn write(&self, proposal: &Proposal) -> Result<Moved, Failure> {
        self.probe().await?;
        if let Some(config) = &proposal.config {
            let text = config.to_text();
            let key = self.reader.place().config(Digest::of(text.as_bytes()));
            self.put_new(&key, text.into()).await?;
        }
        let payload = proposal.to.to_text();
        let comment = format!("{} {}", proposal.address, proposal.to.sequence);
        let envelope = self.envelope(Role::Channel, payload.clone(), &comment)?;
        let key = self.reader.place().channel(&proposal.to.channel);
        let bytes = bytes::Bytes::from(envelope.to_text());
        let written = self
            .store()
            .put(&key, bytes, proposal.condition.clone())
            .await;
        let error = match written {
            Ok(_) => return Ok(Moved::Done),
            Err(error @ (StoreError::Conflict { .. } | StoreError::Unreachable { .. })) => error,
            Err(error) => return Err(error.into()),
        };
        // Refused, or the answer was lost: the channel itself says whether it was ours that was written.
        match resolve::channel(&self.reader, &proposal.to.channel).await {
            Ok(Some(signed)) if signed.envelope.payload == payload => Ok(Moved::Done),
            Ok(Some(signed)) => Err(lost(proposal, &signed)),
            Ok(None) | Err(ReadError::Store(_)) => Err(error.into()),
            Err(error) => Err(error.into()),
        }
    }
}

fn condition(current: Option<&SignedChannel>) -> Condition {
    current.map_or(Condition::Absent, |signed| {
        Condition::Matches(signed.tag.clone())
    })
}

fn check_current(
    address: &Address,
    now: Option<&Channel>,
    expected: Option<u64>,
) -> Result<(), Failure> {
    let got = now.map(|channel| channel.sequence);
    match expected {
        Some(expected) if got != Some(expected) => {
            let got = match now {
                Some(channel) => stands(channel),
                None => "is not there".to_owned(),
            };
            let message = format!("{address}: expected number {expected}, but it {got}");
            Err(Failure::new(Code::ChannelConflict, message))
        }
        _ => Ok(()),
    }
}

/// Where a channel stands and who brought it there.
fn stands(channel: &Channel) -> String {
    let what = match &channel.serves {
        Some(serves) => format!("release {}", serves.release.short()),
        None => "deleted".to_owned(),
    };
    let last = channel.moves.first();
    let by = last.map_or("somebody", |last| last.by.as_str());
    let message = last
        .map(|last| last.message.as_str())
        .filter(|message| !message.is_empty());
    let message = message.map(|message| format!(": {message}"));
    format!(
        "is {} now ({what}), moved by {by}{}",
        channel.sequence,
        message.unwrap_or_default()
    )
}

fn lost(proposal: &Proposal, signed: &SignedChannel) -> Failure {
    let message = format!("{} {}", proposal.address, stands(&signed.channel));
    Failure::new(Code::ChannelConflict, message)
}

/// What a channel is to stand for, and which earlier state that brings back.
fn target(
    address: &Address,
    base: &Channel,
    wanted: &Move,
) -> Result<(Option<Serves>, Option<u64>), Failure> {
    let nothing =
        |problem: &str| Failure::new(Code::ChannelMissing, format!("{address} {problem}"));
    let present = || {
        base.serves
            .clone()
            .ok_or_else(|| nothing("stands for nothing yet; promote a release first"))
    };
    match wanted {
        Move::Release(serves) => {
            let config = base.serves.as_ref().and_then(|serves| serves.config);
            Ok((
                Some(Serves {
                    config,
                    ..serves.clone()
                }),
                None,
            ))
        }
        Move::Both(serves, config) => Ok((
            Some(Serves {
                config: Some(Digest::of(config.to_text().as_bytes())),
                ..serves.clone()
            }),
            None,
        )),
        Move::Config(config) => Ok((
            Some(Serves {
                config: Some(Digest::of(config.to_text().as_bytes())),
                ..present()?
            }),
            None,
        )),
        Move::Renew => Ok((Some(present()?), None)),
        Move::Delete => {
            present()?;
            Ok((None, None))
        }
        Move::Back(None) => {
            let state = base
                .before()
                .ok_or_else(|| nothing("has no earlier state to go back to"))?;
            Ok((state.serves.clone(), Some(state.sequence)))
        }
        Move::Back(Some(sequence)) => {
            let state = base
                .state(*sequence)
                .filter(|state| state.serves.is_some() && state.sequence < base.sequence)
                .ok_or_else(|| {
                    nothing(&format!(
                        "remembers no earlier state {sequence} to go back to"
                    ))
                })?;
            Ok((state.serves.clone(), Some(state.sequence)))
        }
    }
}
