//! A change of a watched file while a release serves: the same code with another configuration, tried and swapped as a
//! release is.

use super::{Follower, LOOK_MIN, smoke_failed};
use crate::config::Layer;
use crate::error::{Blame, Failure};
use crate::guest::{Guest, SMOKE_TIME};
use crate::host::Host;
use crate::overlay;
use crate::watched::{Notice, Watched};
use std::sync::Arc;
use std::time::Duration;

impl Follower {
    /// Tells what a look at watched files brought to light.
    pub(super) fn notice(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            let code = notice.failure.code;
            let level = if notice.is_broken {
                code.meaning().level
            } else {
                crate::error::Level::Warn
            };
            self.counts.refused += u64::from(notice.is_broken);
            self.tell(level, &notice.failure, &notice.failure.message);
        }
    }

    /// Lets what is new in watched files serve, within `time`. Whatever is wrong with it, what served before serves on.
    pub(super) async fn configure(&mut self, host: &Host, time: Duration) {
        if !self.with.watched.is_new() || self.next.is_some() || time < LOOK_MIN {
            return;
        }
        let layers = self.with.watched.layers();
        let Err(failure) = self.reconfigure(host, &layers, time).await else {
            self.with.watched.serves(layers);
            self.counts.swaps += 1;
            return;
        };
        self.with.watched.refuse();
        self.counts.refused += 1;
        let words = format!(
            "watched configuration of {} is not taken up: {}; the one before serves on",
            self.address(),
            failure.message
        );
        self.tell(failure.code.meaning().level, &failure, &words);
    }

    async fn reconfigure(
        &self,
        host: &Host,
        layers: &[Layer],
        time: Duration,
    ) -> Result<(), Failure> {
        let Some(side) = &self.side else {
            return Ok(());
        };
        let conditions = &self.with.conditions;
        let config = conditions.config(&self.address(), side, layers)?;
        let serving = host.guest();
        if serving.config().digest() == config.digest() {
            return Ok(());
        }
        let guest = Arc::new(Guest::configured(&serving, config));
        let smoke = host.smoke(Arc::clone(&guest), time.mul_f64(0.9).min(SMOKE_TIME));
        smoke.await.map_err(smoke_failed)?;
        overlay::report(&conditions.log, guest.config());
        let message = format!(
            "serving {} {} with another configuration: {}",
            self.address(),
            self.serving,
            guest.identity().config
        );
        conditions.log.host(crate::error::Level::Info, &message);
        host.swap(guest);
        Ok(())
    }
}

/// Makes something with what watched files say; if that is what is wrong, with what served of them before. Returns the
/// layers that it was made with.
pub(super) fn with_layers<T>(
    watched: &Watched,
    make: impl Fn(&[Layer]) -> Result<T, Failure>,
) -> Result<(Vec<Layer>, T), Failure> {
    let layers = watched.layers();
    match make(&layers) {
        Ok(made) => Ok((layers, made)),
        Err(failure)
            if failure.code.meaning().blame == Blame::Config && layers != watched.good() =>
        {
            let good = watched.good().to_vec();
            make(&good).map(|made| (good, made)).map_err(|_| failure)
        }
        Err(failure) => Err(failure),
    }
}
