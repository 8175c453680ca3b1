//! From nothing to a first guest: the store's state; else the last one that served, from the cache; else the bundle's.

use super::{Follower, Next, smoke_failed};
use crate::config::Layer;
use crate::engine::Engines;
use crate::error::{Code, Failure, Level};
use crate::guest::{Guest, SMOKE_TIME};
use crate::overlay;
use crate::prepare::{Foreseen, Native};
use crate::store::Store;
use crate::watched::Watched;
use futures_util::future::join;
use std::sync::Arc;
use std::time::Duration;

/// How long the store may take where there is something else to start from: an init that is repeated after a crash runs
/// on the function's own time.
const WITH_FALLBACK: Duration = Duration::from_millis(1500);

impl Follower {
    /// The first guest: the store's if it is to be had within `time`, else the last good one.
    ///
    /// # Errors
    /// Why there was nothing to be had from the store; what cache and bundle lacked is logged.
    pub async fn start(
        &mut self,
        engines: &Arc<Engines>,
        time: Duration,
    ) -> Result<Arc<Guest>, Failure> {
        let started = self.first_guest(engines, time).await;
        if started.is_err() {
            self.keep_proven();
            self.settle().await;
        }
        self.tell_notices();
        started
    }

    async fn first_guest(
        &mut self,
        engines: &Arc<Engines>,
        time: Duration,
    ) -> Result<Arc<Guest>, Failure> {
        let started = self.pace.now();
        let served = self.memory().served();
        let hurried = match (&served, &self.with.bundle) {
            (None, None) => time,
            _ => time.min(WITH_FALLBACK),
        };
        // Most often it is what is to serve again.
        let mut foreseen = served.and_then(|served| {
            let component = served.channel.serves?.component;
            Foreseen::begin(&self.with.reader, &self.with.conditions, engines, component)
        });
        self.recall();
        let first = match self.start_within(hurried, engines, &mut foreseen).await {
            Ok(guest) => return Ok(guest),
            Err(failure) => failure,
        };
        self.keep_proven();
        if let Some(next) = &mut self.next {
            // What it came to nothing with serves whoever is next, and takes no memory beside theirs.
            foreseen = foreseen.or_else(|| next.preparation.unforeseen());
        }
        let cache = self.with.reader.cache();
        let cache = cache.map(|cache| Arc::new(cache.as_store()) as Arc<dyn Store>);
        for (name, store) in [("cache", cache), ("bundle", self.with.bundle.clone())] {
            let Some(store) = store else { continue };
            match self.start_from(store, engines, foreseen.take()).await {
                Ok(guest) => {
                    self.pace.look_failed();
                    self.pace.taking();
                    self.pace.take_failed();
                    let number = self.next.as_ref().map(|next| next.signed.channel.sequence);
                    self.say(&first, number.unwrap_or(0));
                    return Ok(guest);
                }
                Err(failure) => {
                    let message =
                        format!("the {name} has nothing for {}: {failure}", self.address());
                    self.with.conditions.log.host(Level::Info, &message);
                }
            }
        }
        // What looked like something else to start from was none: the store gets the rest of the time.
        let taken = self.pace.now().since(&started).max(hurried);
        let left = time.saturating_sub(taken);
        if left.is_zero() || first.code != Code::StoreUnreachable {
            return Err(first);
        }
        self.start_within(left, engines, &mut foreseen).await
    }

    async fn start_within(
        &mut self,
        time: Duration,
        engines: &Engines,
        foreseen: &mut Option<Foreseen>,
    ) -> Result<Arc<Guest>, Failure> {
        let start = self.start_from_store(time, engines, foreseen);
        match tokio::time::timeout(time, start).await {
            Ok(started) => started,
            Err(_) => Err(self.too_slow(time)),
        }
    }

    /// What an earlier process of this environment has seen and proven.
    fn recall(&mut self) {
        if let Some(signed) = self.memory().seen()
            && signed.channel.sequence > self.seen
        {
            self.seen = signed.channel.sequence;
            self.seen_text = Some(signed.envelope.payload);
        }
    }

    async fn start_from_store(
        &mut self,
        time: Duration,
        engines: &Engines,
        foreseen: &mut Option<Foreseen>,
    ) -> Result<Arc<Guest>, Failure> {
        self.pace.looking();
        let timings = self.with.conditions.log.timings().clone();
        let way = match self.with.conditions.native {
            Native::Stored(way) if foreseen.is_none() => Some(way),
            Native::Stored(_) | Native::Local(_) => None,
        };
        let meanwhile = async {
            timings.mark("request to the store made");
            // If it fails, it fails again where it is needed, and says so there.
            way.map(|way| engines.expect(way))
        };
        let (asked, _made) = join(self.ask(time), meanwhile).await;
        asked?;
        self.pace.looked();
        timings.mark("channel asked for");
        let Some(next) = &mut self.next else {
            return Err(Failure::new(
                Code::ChannelMissing,
                "the store names nothing to serve",
            ));
        };
        let (reader, conditions) = (&self.with.reader, &self.with.conditions);
        next.preparation.foresee(foreseen.take());
        next.preparation.fetch(reader, conditions, 0).await?;
        let layers = usable(&self.with.watched)?;
        let guest = Arc::new(next.preparation.load(engines, conditions, &layers)?);
        let smoke = guest.try_instance(engines, &conditions.log, SMOKE_TIME);
        smoke.await.map_err(smoke_failed)?;
        timings.mark("instance tried");
        overlay::report(&conditions.log, guest.config());
        self.with.watched.serves(layers);
        if let Some(next) = self.next.take() {
            self.served(next);
        }
        Ok(guest)
    }

    /// Starts from another store with the same objects: what served before, though more may have been seen since.
    async fn start_from(
        &mut self,
        store: Arc<dyn Store>,
        engines: &Engines,
        foreseen: Option<Foreseen>,
    ) -> Result<Arc<Guest>, Failure> {
        let reader = self.with.reader.instead_of(store);
        let signed = reader.channel(&self.with.channel, None).await?;
        let signed = signed.ok_or_else(|| {
            Failure::new(
                Code::ChannelMissing,
                format!("there is no {}", self.address()),
            )
        })?;
        let sequence = signed.channel.sequence;
        if sequence < self.with.min_sequence {
            return Err(self.back(self.with.min_sequence, sequence).into());
        }
        let mut next = Next {
            preparation: self.preparation(&signed.channel)?,
            signed,
        };
        let conditions = &self.with.conditions;
        next.preparation.foresee(foreseen);
        next.preparation.fetch(&reader, conditions, 0).await?;
        let layers = usable(&self.with.watched)?;
        let guest = Arc::new(next.preparation.load(engines, conditions, &layers)?);
        let smoke = guest.try_instance(engines, &conditions.log, SMOKE_TIME);
        smoke.await.map_err(smoke_failed)?;
        overlay::report(&conditions.log, guest.config());
        self.with.watched.serves(layers);
        self.side = next.preparation.side().cloned();
        self.serving = sequence;
        if self
            .next
            .as_ref()
            .is_some_and(|next| next.signed.channel.sequence <= sequence)
        {
            // What serves is as new as what the store had to offer.
            self.next = None;
            self.tag = None;
        }
        if sequence >= self.seen {
            self.seen = sequence;
            self.seen_text = Some(next.signed.envelope.payload);
        }
        Ok(guest)
    }
}

/// What watched files say. A host that starts has nothing good to go on with if one of them cannot be read; one that is
/// missing is nothing unusual.
fn usable(watched: &Watched) -> Result<Vec<Layer>, Failure> {
    match watched.broken() {
        Some(failure) => Err(failure.clone()),
        None => Ok(watched.layers()),
    }
}
