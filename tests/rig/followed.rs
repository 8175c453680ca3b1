//! A host that follows a channel, in this process, with clocks moved by hand.

use super::runtime_api::PATIENCE;
use super::s3::S3;
use super::shop::{Shop, runtime};
use crunchbox::cache::Cache;
use crunchbox::clock::{Clock, Moment};
use crunchbox::engine::Engines;
use crunchbox::engine::key::Interruption;
use crunchbox::error::{Failure, Level};
use crunchbox::event::{Invocation, Outcome};
use crunchbox::follow::{Follower, Following, Looks};
use crunchbox::host::Host;
use crunchbox::limit::{Limits, Wanted};
use crunchbox::overlay::{Overlay, facts};
use crunchbox::policy::Refresh;
use crunchbox::prepare::{Conditions, Native};
use crunchbox::quantity::Bytes;
use crunchbox::reach::Outside;
use crunchbox::secret::Vault;
use crunchbox::settings::MachineMemory;
use crunchbox::store::{Folder, Store};
use crunchbox::telemetry::{Format, Log, Memory};
use crunchbox::template::Template;
use crunchbox::watched::Watched;
use serde_json::Value;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A bucket, somebody who publishes there, and a host that serves the first release.
pub fn opened() -> (S3, Shop, Followed) {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy("facts", r#"{"v": 1}"#);
    let followed = Setting::of(&shop).start();
    assert_eq!(followed.serves(), 1);
    (s3, shop, followed)
}

/// Clocks moved by hand.
#[derive(Debug)]
pub struct Hand(Mutex<Moment>);

impl Default for Hand {
    fn default() -> Self {
        Self(Mutex::new(Moment {
            steady: Duration::ZERO,
            wall: jiff::Timestamp::now(),
        }))
    }
}

impl Hand {
    /// Both go on.
    pub fn forward(&self, time: Duration) {
        let mut now = self.0.lock().unwrap();
        now.steady += time;
        now.wall += jiff::SignedDuration::try_from(time).unwrap();
    }

    /// Only the wall's clock is set, forward or back.
    pub fn set_wall(&self, seconds: i64) {
        self.0.lock().unwrap().wall += jiff::SignedDuration::from_secs(seconds);
    }
}

impl Clock for Hand {
    fn now(&self) -> Moment {
        *self.0.lock().unwrap()
    }
}

/// What a host that follows is given.
pub struct Setting<'a> {
    shop: &'a Shop,
    cache: Option<&'a Path>,
    bundle: Option<&'a Path>,
    cache_limit: Bytes,
    min_sequence: u64,
    memory: u64,
    start_time: Duration,
    looks: Looks,
    overlay: Overlay,
    vault: Option<Vault>,
    watched: Vec<Template>,
}

impl<'a> Setting<'a> {
    /// A host for the shop's function, as on a Lambda function of 256 MB.
    pub fn of(shop: &'a Shop) -> Self {
        Self {
            shop,
            cache: None,
            bundle: None,
            cache_limit: Bytes::mebi(64),
            min_sequence: 0,
            memory: 256,
            start_time: PATIENCE,
            // Patient, however slow the machine; tests of what waits for ever say less.
            looks: Looks {
                hurried: PATIENCE,
                patient: PATIENCE,
            },
            overlay: Overlay::default(),
            vault: None,
            watched: Vec::new(),
        }
    }

    /// A file of configuration that is read at each look.
    pub fn watching(mut self, key: &str) -> Self {
        self.watched.push(Template::parse(key).unwrap());
        self
    }

    /// Where secrets are had from.
    pub fn vault(mut self, vault: Vault) -> Self {
        self.vault = Some(vault);
        self
    }

    pub fn cache(mut self, folder: &'a Path) -> Self {
        self.cache = Some(folder);
        self
    }

    /// How much the cache may hold.
    pub fn cache_limit(mut self, limit: Bytes) -> Self {
        self.cache_limit = limit;
        self
    }

    pub fn bundle(mut self, folder: &'a Path) -> Self {
        self.bundle = Some(folder);
        self
    }

    pub fn min_sequence(mut self, number: u64) -> Self {
        self.min_sequence = number;
        self
    }

    /// The machine's memory in MB.
    pub fn memory(mut self, megabytes: u64) -> Self {
        self.memory = megabytes;
        self
    }

    /// How long looks before and after events may take.
    pub fn looks(mut self, hurried: Duration, patient: Duration) -> Self {
        self.looks = Looks { hurried, patient };
        self
    }

    /// How long the store may take at the start.
    pub fn start_time(mut self, time: Duration) -> Self {
        self.start_time = time;
        self
    }

    pub fn try_start(self) -> Result<Followed, Failure> {
        let memory = Memory::default();
        let log = Log::new(Format::Json, Level::Info, memory.clone()).unwrap();
        let clock = Arc::new(Hand::default());
        let reader = &self.shop.publisher.reader;
        let cache = self.cache.map(|folder| {
            Cache::open(folder, reader.store().location(), self.cache_limit).unwrap()
        });
        let conditions = Conditions {
            native: Native::Stored(Interruption::Epoch),
            defaults: Limits::default(),
            ceilings: Wanted::default(),
            overrides: Wanted::default(),
            memory: Some(MachineMemory {
                total: Bytes::mebi(self.memory),
                concurrency: 1,
            }),
            overlay: self.overlay,
            vault: self.vault.unwrap_or_else(Vault::empty),
            outside: Outside::default(),
            log: log.clone(),
        };
        let names = facts(reader.function().as_str(), Shop::live().as_str());
        let mut follower = Follower::new(Following {
            reader: reader.clone().with_cache(cache),
            channel: Shop::live(),
            refresh: Refresh::default(),
            looks: self.looks,
            min_sequence: self.min_sequence,
            bundle: self
                .bundle
                .map(|folder| Arc::new(Folder::new(folder)) as Arc<dyn Store>),
            conditions,
            watched: Watched::new(&self.watched, &names).unwrap(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
        });
        let engines = Arc::new(Engines::start(1).unwrap());
        let guest = runtime().block_on(follower.start(&engines, self.start_time))?;
        let host = Host::new(engines, guest, log, 1);
        let mut followed = Followed {
            host,
            follower,
            clock,
            memory,
        };
        followed.settle();
        Ok(followed)
    }

    pub fn start(self) -> Followed {
        self.try_start().unwrap()
    }
}

/// A host that follows.
pub struct Followed {
    pub host: Host,
    pub follower: Follower,
    pub clock: Arc<Hand>,
    memory: Memory,
}

impl Followed {
    pub fn handle(&self, event: &str) -> Outcome {
        let invocation = Invocation {
            event: event.into(),
            request_id: "test".into(),
            ..Invocation::default()
        };
        runtime().block_on(self.host.handle(invocation))
    }

    /// The number that serves an event now, and that nothing else is mixed into its response.
    pub fn serves(&self) -> u64 {
        let outcome = self.handle(r#"{"config": []}"#);
        let facts: Value = serde_json::from_str(&outcome.result.unwrap()).unwrap();
        let served = outcome.served.unwrap();
        assert_eq!(facts["release"], served.release);
        served.sequence.unwrap()
    }

    /// Looks as after an event, long after the last time: every pause is over.
    pub fn look(&mut self) {
        self.clock.forward(Duration::from_secs(600));
        self.look_now(PATIENCE);
    }

    /// Looks with so much time.
    pub fn look_now(&mut self, time: Duration) {
        assert!(self.follower.is_due());
        runtime().block_on(self.follower.look(&self.host, time));
    }

    /// Looks as before an event.
    pub fn look_before(&mut self) {
        let time = PATIENCE;
        runtime().block_on(self.follower.look_before(&self.host, time));
    }

    /// Has all written down that the next process may start from.
    pub fn settle(&mut self) {
        runtime().block_on(self.follower.settle());
    }

    /// Looks until a number serves, as many times as a slow machine may need.
    pub fn look_until(&mut self, number: u64) {
        for _ in 0..100 {
            if self.host.guest().identity().sequence == Some(number) {
                return;
            }
            self.clock.forward(Duration::from_secs(600));
            if self.follower.is_due() {
                self.look_now(PATIENCE);
            }
        }
        panic!("{number} does not serve: {:?}", self.lines());
    }

    /// The codes of all refusals logged so far.
    pub fn refusals(&self) -> Vec<String> {
        let codes = self.lines().into_iter();
        codes
            .filter_map(|line| Some(line["fields"]["code"].as_str()?.to_owned()))
            .collect()
    }

    /// All log lines so far.
    pub fn lines(&self) -> Vec<Value> {
        self.host.log().flush();
        let text = self.memory.text();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}
