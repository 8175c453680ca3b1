//! Follows a channel: which state of it to believe, and how its release takes the place of the one that serves.
//! Whatever goes wrong on the way, the last good release serves on; the reason is logged once per cause.

mod configure;
mod memory;
mod pace;
mod start;

use crate::address::{Address, ChannelName};
use crate::clock::Clock;
use crate::error::{Code, Failure, Fault, Level};
use crate::guest::SMOKE_TIME;
use crate::host::Host;
use crate::overlay;
use crate::policy::Refresh;
use crate::prepare::{Conditions, Preparation};
use crate::quantity::Time;
use crate::reader::{Reader, SignedChannel};
use crate::release::{Channel, Side};
use crate::store::{Store, Tag};
use crate::telemetry::{Line, Source};
use crate::watched::Watched;
use futures_util::future::join;
use jiff::Timestamp;
use memory::Memory;
use pace::Pace;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A look that has less than this is not begun: it would only tell of its own haste.
const LOOK_MIN: Duration = Duration::from_millis(50);

/// The part of an event's time that taking up a release may cost it, as a divisor.
const EVENT_SHARE: u32 = 4;

/// The part of a look's time that watched files get, as a divisor.
const WATCHED_SHARE: u32 = 2;

/// What a download has to bring in one look to be called slow and not stuck; one that fetched all it needed has more.
const PROGRESS_MIN: u64 = 64 << 10;

/// The most of an error's text that is logged: some of it may be a stranger's words.
const WORDS_MAX: usize = 1 << 10;

/// Why a state of a channel is not taken up, though it is signed and sound.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// It is older than one that was there before.
    #[error(
        "{channel} has the sequence number {got}, expected at least {seen}, which was there before"
    )]
    Back {
        /// The channel.
        channel: Address,
        /// The highest number seen, or the policy's.
        seen: u64,
        /// The number now.
        got: u64,
    },
    /// Two states have one number: a store that lost a write, or a forged past.
    #[error("{channel} has two different states with the sequence number {sequence}")]
    Twice {
        /// The channel.
        channel: Address,
        /// The number.
        sequence: u64,
    },
    /// Its time is over.
    #[error("{channel}, state {sequence}, was to be believed until {until}")]
    Expired {
        /// The channel.
        channel: Address,
        /// The number.
        sequence: u64,
        /// The end of its time.
        until: Timestamp,
    },
    /// It was deleted.
    #[error("{channel} was deleted by {by} (state {sequence})")]
    Deleted {
        /// The channel.
        channel: Address,
        /// The number.
        sequence: u64,
        /// Who did it.
        by: String,
    },
}

impl Fault for FollowError {
    fn code(&self) -> Code {
        match self {
            Self::Back { .. } | Self::Twice { .. } => Code::SequenceBack,
            Self::Expired { .. } => Code::ChannelExpired,
            Self::Deleted { .. } => Code::ChannelMissing,
        }
    }
}

/// How long looks may take.
#[derive(Debug, Clone, Copy)]
pub struct Looks {
    /// The longest that one conditional request may hold up an event.
    pub hurried: Duration,
    /// The longest that a look and what it leads to may take at a time; what is not finished then goes on at the next.
    pub patient: Duration,
}

impl Default for Looks {
    fn default() -> Self {
        Self {
            hurried: Duration::from_millis(150),
            patient: Duration::from_secs(1),
        }
    }
}

/// What a follower is told at its start.
#[derive(Debug)]
pub struct Following {
    /// The verified reader of the function's objects.
    pub reader: Reader,
    /// The channel.
    pub channel: ChannelName,
    /// When to look.
    pub refresh: Refresh,
    /// How long looks may take.
    pub looks: Looks,
    /// The smallest number that is believed.
    pub min_sequence: u64,
    /// A store in the package, to start from when there is nothing else.
    pub bundle: Option<Arc<dyn Store>>,
    /// What releases meet here.
    pub conditions: Conditions,
    /// Files of configuration that are read at each look.
    pub watched: Watched,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Follows one channel of one function.
#[derive(Debug)]
pub struct Follower {
    with: Following,
    pace: Pace,
    /// The version of the channel's object that was believed last.
    tag: Option<Tag>,
    /// The highest number that was believed, and the text that had it.
    seen: u64,
    seen_text: Option<String>,
    /// The number that serves.
    serving: u64,
    /// What the store says of what serves.
    side: Option<Side>,
    next: Option<Next>,
    /// What has been said already, and of which number; 0 stands for the channel itself.
    said: HashSet<(Code, u64)>,
    counts: Counts,
    /// What writes down what the next process of this environment may start from.
    keeping: Option<JoinHandle<()>>,
}

/// What is to serve next.
#[derive(Debug)]
struct Next {
    signed: SignedChannel,
    preparation: Preparation,
}

/// How far a take-over got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Swapped {
    Done,
    Later,
}

/// Whether a look found something to take up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    New,
    Nothing,
}

/// What happened since somebody asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// New releases that began to serve.
    pub swaps: u64,
    /// States or releases that were refused, each cause once.
    pub refused: u64,
}

impl Follower {
    /// A follower that has not looked yet.
    pub fn new(mut with: Following) -> Self {
        with.reader = with.reader.keeping_later();
        Self {
            pace: Pace::new(Arc::clone(&with.clock), with.refresh),
            tag: None,
            seen: with.min_sequence,
            seen_text: None,
            serving: 0,
            side: None,
            next: None,
            said: HashSet::new(),
            counts: Counts::default(),
            keeping: None,
            with,
        }
    }

    /// The channel's address.
    pub fn address(&self) -> Address {
        Address::channel(
            self.with.reader.function().clone(),
            self.with.channel.clone(),
        )
    }

    /// What happened since this was asked last.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// How long ago the store last answered with a state that could be believed.
    pub fn stale(&self) -> Duration {
        self.pace.stale()
    }

    /// Whether there is something to do after an event.
    pub fn is_due(&self) -> bool {
        self.rest().is_zero()
    }

    /// Whether the last good look is too long ago to serve another event without one.
    pub fn is_stale(&self) -> bool {
        self.pace.must_look()
    }

    /// How long until there is something to do, for those that are never frozen and can use a timer.
    pub fn rest(&self) -> Duration {
        self.pace
            .rest(self.next.is_some() || self.with.watched.is_new())
    }

    /// Looks before an event that would else be served by what nobody has looked at for too long: one request within a
    /// short time of its own. Only if it finds something new is more of the event's `time` spent, a quarter at most.
    pub async fn look_before(&mut self, host: &Host, time: Duration) {
        let look = (time / EVENT_SHARE).min(self.with.looks.hurried);
        if look < LOOK_MIN {
            return;
        }
        self.wake();
        self.pace.hurrying();
        match tokio::time::timeout(look, self.ask(look)).await {
            Ok(Ok(Found::New)) => {
                self.looked();
                let time = (time / EVENT_SHARE).min(self.with.looks.patient);
                self.take_up(host, time).await;
            }
            Ok(Ok(Found::Nothing)) => {
                self.looked();
            }
            Ok(Err(failure)) => {
                self.pace.hurry_failed();
                self.say(&failure, 0);
            }
            // Too little time is no news of the store; the look after the event has more.
            Err(_) => self.pace.hurry_failed(),
        }
        self.configure(host);
    }

    /// Looks if it is time to, and takes up what is new, within `time` and a second at most; what is not finished then
    /// goes on at the next look.
    pub async fn look(&mut self, host: &Host, time: Duration) {
        let time = time.min(self.with.looks.patient);
        if time < LOOK_MIN {
            return;
        }
        let started = self.pace.now();
        // What is fetched already needs all the time for its first instance.
        let is_fetched = |next: &Next| next.preparation.is_fetched();
        let comes_first = self.next.as_ref().is_some_and(is_fetched) && self.pace.is_untried();
        if comes_first || !self.pace.may_look() || self.ask_within(time).await {
            let left = time.saturating_sub(self.pace.now().since(&started));
            self.take_up(host, left).await;
        }
        self.configure(host);
    }

    /// One conditional request for the channel; whether there was an answer to be believed.
    async fn ask_within(&mut self, time: Duration) -> bool {
        self.wake();
        self.pace.looking();
        let failure = match tokio::time::timeout(time, self.ask(time)).await {
            Ok(Ok(_)) => {
                self.looked();
                return true;
            }
            Ok(Err(failure)) => failure,
            Err(_) => self.too_slow(time),
        };
        self.pace.look_failed();
        self.say(&failure, 0);
        false
    }

    /// Connections that were open when an environment fell asleep lead nowhere when it wakes.
    fn wake(&self) {
        if self.pace.is_out_of_touch() {
            self.with.reader.store().wake();
        }
    }

    fn looked(&mut self) {
        self.pace.looked();
        self.said.retain(|(_, number)| *number != 0);
    }

    /// Asks for the channel within `time`, and beside it for watched files. Those get less, so that one of them that never
    /// comes holds up no release.
    async fn ask(&mut self, time: Duration) -> Result<Found, Failure> {
        let with = &mut self.with;
        let store = Arc::clone(with.reader.store());
        let channel = with.reader.channel(&with.channel, self.tag.clone());
        let watched = tokio::time::timeout(time / WATCHED_SHARE, with.watched.look(&*store));
        let (channel, watched) = join(channel, watched).await;
        if watched.is_err() {
            self.with.watched.broken_off(&*store);
        }
        match channel? {
            Some(signed) => self.believe(signed),
            None => Ok(Found::Nothing),
        }
    }

    /// Whether a state may serve here; if it is new, it is what comes next.
    fn believe(&mut self, signed: SignedChannel) -> Result<Found, Failure> {
        let (channel, text) = (&signed.channel, &signed.envelope.payload);
        if channel.sequence < self.seen {
            return Err(self.back(self.seen, channel.sequence).into());
        }
        let same_number = channel.sequence == self.seen;
        if same_number && self.seen_text.as_ref().is_some_and(|seen| seen != text) {
            let channel_and_number = FollowError::Twice {
                channel: self.address(),
                sequence: channel.sequence,
            };
            return Err(channel_and_number.into());
        }
        self.seen = channel.sequence;
        self.seen_text = Some(text.clone());
        self.memory().keep_seen(&signed);
        let preparation = match self.preparation(channel) {
            Ok(preparation) => preparation,
            Err(error) => {
                // The channel has left whatever waited to be taken up, and whatever it was believed to be.
                self.next = None;
                self.tag = None;
                return Err(error.into());
            }
        };
        self.tag = Some(signed.tag.clone());
        let waiting = self.next.as_ref().map(|next| next.signed.channel.sequence);
        if channel.sequence != self.serving && waiting != Some(channel.sequence) {
            self.pace.takes_afresh();
            self.next = Some(Next {
                signed,
                preparation,
            });
            return Ok(Found::New);
        }
        Ok(Found::Nothing)
    }

    fn memory(&self) -> Memory {
        Memory::new(&self.with.reader, &self.with.channel)
    }

    /// The way from a state to a guest, if the state is one that anything can be made of.
    fn preparation(&self, channel: &Channel) -> Result<Preparation, FollowError> {
        let (address, sequence) = (self.address(), channel.sequence);
        let now = self.pace.now().wall;
        if let Some(until) = channel.not_after.filter(|until| *until < now) {
            return Err(FollowError::Expired {
                channel: address,
                sequence,
                until,
            });
        }
        match channel.serves.clone() {
            Some(serves) => Ok(Preparation::new(address, Some(sequence), serves)),
            None => Err(FollowError::Deleted {
                channel: address,
                sequence,
                by: channel
                    .moves
                    .first()
                    .map(|last| last.by.clone())
                    .unwrap_or_default(),
            }),
        }
    }

    /// Lets what is new take the place of what serves, as far as it gets within `time`.
    async fn take_up(&mut self, host: &Host, time: Duration) {
        let Some(next) = &self.next else { return };
        if time < LOOK_MIN || !self.pace.may_take() {
            return;
        }
        let number = next.signed.channel.sequence;
        let before = next.preparation.progress();
        let failure = match tokio::time::timeout(time, self.swap(host, time)).await {
            Ok(Ok(_)) => return,
            Ok(Err(failure)) => failure,
            Err(_) => {
                let next = self.next.as_ref();
                let now = next.map(|next| next.preparation.progress());
                // Slow is not stuck: what has come stays, and the next look goes on from there. But a trickle would
                // cost each event of a day a second.
                if now.is_some_and(|now| now >= before.saturating_add(PROGRESS_MIN)) {
                    return;
                }
                if next.is_some_and(|next| next.preparation.is_fetched()) {
                    let time = Time(time);
                    let message = format!("loading and trying it took longer than {time}");
                    Failure::new(Code::SmokeFailed, message)
                } else {
                    self.too_slow(time)
                }
            }
        };
        self.pace.taking();
        self.pace.take_failed();
        if let Some(next) = &mut self.next
            && let Some(remember) = next.preparation.let_go(&self.with.reader)
        {
            self.keep(remember);
        }
        self.keep_proven();
        self.say(&failure, number);
    }

    /// Fetches, loads and tries what is new, then lets it serve. Until the last step nothing has changed. Says whether it
    /// came to that, or is better gone on with in a look of its own.
    async fn swap(&mut self, host: &Host, time: Duration) -> Result<Swapped, Failure> {
        let started = self.pace.now();
        if let Some(next) = &self.next {
            // Its time may have passed while it waited.
            self.preparation(&next.signed.channel)?;
        }
        let Some(next) = &mut self.next else {
            return Ok(Swapped::Later);
        };
        let was_fetched = next.preparation.is_fetched();
        let serving = host.guest().artifact_bytes();
        let (reader, conditions) = (&self.with.reader, &self.with.conditions);
        next.preparation.fetch(reader, conditions, serving).await?;
        let left = time.saturating_sub(self.pace.now().since(&started));
        if !was_fetched && left < time / 2 {
            // An instance that is slow to be made would be blamed for what the network took.
            return Ok(Swapped::Later);
        }
        let layered = configure::with_layers(&self.with.watched, |layers| {
            next.preparation.parts(conditions, layers)
        })?;
        let (artifact, parts) = layered.made;
        let guest = Arc::new(host.load(artifact, parts).await?);
        let left = time.saturating_sub(self.pace.now().since(&started));
        // Its own end comes before that of the look, so that it is the instance that was too slow, not the store.
        let smoke = host.smoke(Arc::clone(&guest), left.mul_f64(0.9).min(SMOKE_TIME));
        smoke.await.map_err(smoke_failed)?;
        overlay::report(&self.with.conditions.log, guest.config());
        host.swap(guest);
        self.with.watched.serves(layered.layers);
        if let Some(failure) = layered.refused {
            self.refuse_watched(&failure);
        }
        if let Some(next) = self.next.take() {
            self.served(next);
        }
        self.counts.swaps += 1;
        Ok(Swapped::Done)
    }

    /// Remembers what serves now, so that the next process of this environment can start from it: documents, native code, and
    /// the state that names them.
    fn served(&mut self, mut next: Next) {
        let channel = &next.signed.channel;
        self.serving = channel.sequence;
        self.side = next.preparation.side().cloned();
        self.pace.takes_afresh();
        self.said.clear();
        let release = channel.serves.as_ref().map(|serves| serves.release.short());
        let message = format!(
            "serving {} {}: release {}",
            self.address(),
            self.serving,
            release.unwrap_or_default()
        );
        self.with.conditions.log.host(Level::Info, &message);
        let memory = self.memory();
        let reader = self.with.reader.clone();
        let code = next.preparation.let_go(&reader);
        self.keep(move || {
            reader.keep();
            if let Some(keep_code) = code {
                keep_code();
            }
            // Last: whoever finds it finds what it names.
            memory.keep_served(&next.signed);
        });
    }

    fn back(&self, seen: u64, got: u64) -> FollowError {
        FollowError::Back {
            channel: self.address(),
            seen,
            got,
        }
    }

    fn too_slow(&self, time: Duration) -> Failure {
        let store = self.with.reader.store().location();
        Failure::new(
            Code::StoreUnreachable,
            format!("{store} did not answer within {}", Time(time)),
        )
    }

    /// Says why a state or its release is not taken up, once per cause.
    fn say(&mut self, failure: &Failure, number: u64) {
        if !self.said.insert((failure.code, number)) {
            return;
        }
        // An outage shows in how stale the host is; a refusal is somebody's mistake, or an attack.
        self.counts.refused += u64::from(failure.code != Code::StoreUnreachable);
        let what = match number {
            0 => self.address().to_string(),
            number => format!("{} {number}", self.address()),
        };
        let serving = match self.serving {
            0 => String::new(),
            serving => format!("; {serving} serves on"),
        };
        let words: String = failure.message.chars().take(WORDS_MAX).collect();
        let message = format!("{what} is not taken up: {words}{serving}");
        self.tell(failure.code.meaning().level, failure, &message);
    }

    /// Writes a line on a failure, with its code and what to do about it.
    fn tell(&self, level: Level, failure: &Failure, message: &str) {
        let meaning = failure.code.meaning();
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let fields = [
            ("code".to_owned(), text(meaning.name)),
            ("blame".to_owned(), text(&meaning.blame.to_string())),
            ("serving".to_owned(), self.serving.to_string()),
            (
                "hint".to_owned(),
                text(failure.hint.as_deref().unwrap_or(meaning.remedy)),
            ),
        ];
        self.with.conditions.log.write(&Line {
            level,
            message,
            source: Source::Host,
            scope: None,
            fields: &fields,
            top: &[],
        });
    }
}

/// An instance that can't be made, as the reason that a release is not taken up.
fn smoke_failed(failure: Failure) -> Failure {
    Failure::new(
        Code::SmokeFailed,
        format!("no instance can be made: {failure}"),
    )
}
