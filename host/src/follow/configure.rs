//! A change of a watched file while a release serves: the same code with another configuration, by the same exchange.

use super::Follower;
use crate::config::Layer;
use crate::error::{Blame, Failure, Level};
use crate::guest::Guest;
use crate::host::Host;
use crate::overlay;
use crate::watched::Watched;
use std::sync::Arc;

/// Something made with what watched files say.
pub(super) struct Layered<T> {
    pub(super) made: T,
    /// The layers that it was made with.
    pub(super) layers: Vec<Layer>,
    /// Why those are not what the files say now.
    pub(super) refused: Option<Failure>,
}

impl Follower {
    /// Tells what a look at watched files brought to light.
    pub(super) fn tell_notices(&mut self) {
        for notice in self.with.watched.take_notices() {
            let level = if notice.is_broken {
                notice.failure.code.meaning().level
            } else {
                Level::Warn
            };
            self.counts.refused += u64::from(notice.is_broken);
            self.tell(level, &notice.failure, &notice.failure.message);
        }
    }

    /// Lets what is new in watched files serve. Whatever is wrong with it, what served before serves on.
    pub(super) fn configure(&mut self, host: &Host) {
        self.tell_notices();
        if !self.with.watched.is_new() {
            return;
        }
        let layers = self.with.watched.layers();
        match self.reconfigure(host, &layers) {
            Ok(()) => self.with.watched.serves(layers),
            Err(failure) => self.refuse_watched(&failure),
        }
    }

    /// What watched files say is not taken up until they say something else.
    pub(super) fn refuse_watched(&mut self, failure: &Failure) {
        self.with.watched.refuse();
        self.counts.refused += 1;
        let words = format!(
            "watched configuration of {} is not taken up: {}; the one before serves on",
            self.address(),
            failure.message
        );
        self.tell(failure.code.meaning().level, failure, &words);
    }

    /// The instances' code is what it was and knows nothing of its configuration before it asks, so there is nothing to try.
    fn reconfigure(&mut self, host: &Host, layers: &[Layer]) -> Result<(), Failure> {
        let Some(side) = &self.side else {
            return Ok(());
        };
        let conditions = &self.with.conditions;
        let config = conditions.config(&self.address(), side, layers)?;
        let serving = host.guest();
        let is_same = serving.config().digest() == config.digest();
        let guest = Guest::configured(&serving, config);
        if !is_same {
            overlay::report(&conditions.log, guest.config());
            let message = format!(
                "serving {} {} with another configuration: {}",
                self.address(),
                self.serving,
                guest.identity().config
            );
            conditions.log.host(Level::Info, &message);
            self.counts.swaps += 1;
        }
        // Also of the same values: they may stand on other lines now.
        host.swap(Arc::new(guest));
        Ok(())
    }
}

/// Makes something with what watched files say; if that is what is wrong, with what served of them before.
pub(super) fn with_layers<T>(
    watched: &Watched,
    make: impl Fn(&[Layer]) -> Result<T, Failure>,
) -> Result<Layered<T>, Failure> {
    let layers = watched.layers();
    let failure = match make(&layers) {
        Ok(made) => {
            return Ok(Layered {
                made,
                layers,
                refused: None,
            });
        }
        Err(failure) => failure,
    };
    if failure.code.meaning().blame != Blame::Config || layers == watched.good() {
        return Err(failure);
    }
    let good = watched.good().to_vec();
    match make(&good) {
        Ok(made) => Ok(Layered {
            made,
            layers: good,
            refused: Some(failure),
        }),
        Err(_) => Err(failure),
    }
}
