//! Files of configuration in the store that somebody writes by hand, unsigned, where the policy allows it. They may be
//! missing; one that can't be read never takes the place of one that could.

use crate::config::{ConfigError, Layer, Tier};
use crate::error::Failure;
use crate::store::{self, Ask, Found, Store, StoreError, Tag};
use crate::template::{Facts, Template};
use futures_util::future::join_all;

/// As long as any layer may be.
const BYTES_MAX: u64 = 256 << 10;

/// The files that belong to one channel, weak to strong.
#[derive(Debug, Default)]
pub struct Watched {
    files: Vec<File>,
    /// What serves.
    good: Vec<Layer>,
    /// Something changed that does not serve yet.
    is_new: bool,
}

#[derive(Debug)]
struct File {
    key: String,
    /// The version that was read last, whatever it was worth.
    tag: Option<Tag>,
    state: State,
    /// What was said of it last, so that it is said once.
    said: Option<String>,
}

/// What is known of a file.
#[derive(Debug)]
enum State {
    /// Nobody could look yet.
    Unknown,
    /// It is not there.
    Missing,
    /// It is there.
    Read(Layer),
    /// It is there and cannot be used; what it said before, if it ever could be.
    Broken(Option<Layer>, Failure),
}

/// What happened at a look.
#[derive(Debug)]
pub struct Notice {
    /// What to tell, and how loudly.
    pub failure: Failure,
    /// Whether a file is there that cannot be used.
    pub is_broken: bool,
}

impl Watched {
    /// The files that a policy names for a function and a channel.
    ///
    /// # Errors
    /// What is wrong with a key.
    pub fn new(keys: &[Template], facts: &Facts) -> Result<Self, String> {
        let files = keys.iter().map(|key| {
            Ok(File {
                key: key.fill(facts)?,
                tag: None,
                state: State::Unknown,
                said: None,
            })
        });
        Ok(Self {
            files: files.collect::<Result<_, String>>()?,
            ..Self::default()
        })
    }

    /// Asks for all files at once, unless they still are what they were. Returns what is worth telling, each thing once.
    pub async fn look(&mut self, store: &dyn Store) -> Vec<Notice> {
        let looks = join_all(self.files.iter_mut().map(|file| file.look(store))).await;
        let mut notices = Vec::new();
        for (is_new, notice) in looks {
            self.is_new |= is_new;
            notices.extend(notice);
        }
        notices
    }

    /// What the files say, weak to strong: of one that cannot be used, what it said before.
    pub fn layers(&self) -> Vec<Layer> {
        self.files.iter().filter_map(File::layer).cloned().collect()
    }

    /// What serves of them.
    pub fn good(&self) -> &[Layer] {
        &self.good
    }

    /// Whether there is something that does not serve yet.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// These layers serve now.
    pub fn serves(&mut self, layers: Vec<Layer>) {
        self.is_new = false;
        self.good = layers;
    }

    /// What is new is not to serve until it changes again.
    pub fn refuse(&mut self) {
        self.is_new = false;
    }

    /// A file that is there and was never usable: there is nothing good to go on with.
    pub fn broken(&self) -> Option<&Failure> {
        self.files.iter().find_map(|file| match &file.state {
            State::Broken(None, failure) => Some(failure),
            State::Broken(Some(_), _) | State::Unknown | State::Missing | State::Read(_) => None,
        })
    }
}

impl File {
    fn layer(&self) -> Option<&Layer> {
        match &self.state {
            State::Read(layer) | State::Broken(Some(layer), _) => Some(layer),
            State::Unknown | State::Missing | State::Broken(None, _) => None,
        }
    }

    /// Looks; whether something changed, and what is to be told.
    async fn look(&mut self, store: &dyn Store) -> (bool, Option<Notice>) {
        let read = self.read(store).await;
        match read {
            Ok(None) => {
                if let State::Read(_) = self.state {
                    // The store answers again; its next outage is news.
                    self.said = None;
                }
                (false, None)
            }
            Ok(Some(layer)) => {
                self.said = None;
                self.state = State::Read(layer);
                (true, None)
            }
            Err(Unread::Store(error)) => {
                let mut failure = Failure::from(error.clone());
                let had_layer = self.layer().is_some();
                // On S3 a file that is not there may look like one that may not be read; one that was read was there.
                let is_gone = error.is_missing()
                    && (!had_layer || matches!(error, StoreError::Missing { .. }));
                if is_gone {
                    self.tag = None;
                    self.state = State::Missing;
                }
                let rest = if is_gone || !had_layer {
                    "going on without it"
                } else {
                    "going on with what it said before"
                };
                failure.message = format!(
                    "the configuration `{}` is not read: {}; {rest}",
                    self.key, failure.message
                );
                failure.hint = Some(
                    "put the file there, or take it out of `watched` in policy.toml".to_owned(),
                );
                let notice = self.once(failure, false);
                (is_gone && had_layer, notice)
            }
            Err(Unread::Config(error)) => {
                let failure = Failure::from(error);
                let before = self.layer().cloned();
                self.state = State::Broken(before, failure.clone());
                (false, self.once(failure, true))
            }
        }
    }

    fn once(&mut self, failure: Failure, is_broken: bool) -> Option<Notice> {
        if self.said.as_deref() == Some(failure.code.name()) && !is_broken {
            return None;
        }
        self.said = Some(failure.code.name().to_owned());
        Some(Notice { failure, is_broken })
    }

    async fn read(&mut self, store: &dyn Store) -> Result<Option<Layer>, Unread> {
        let ask = Ask {
            unless: self.tag.clone(),
            from: 0,
        };
        let (tag, body) = match store.get(&self.key, ask).await.map_err(Unread::Store)? {
            Found::Unchanged => return Ok(None),
            Found::Object { tag, body } => (tag, body),
        };
        let collected = store::collect(store, &self.key, body, BYTES_MAX).await;
        let bytes = match collected {
            Ok(bytes) => bytes,
            Err(error @ StoreError::TooLong { .. }) => {
                self.tag = Some(tag);
                return Err(Unread::Config(ConfigError::Malformed {
                    origin: self.key.clone(),
                    problem: error.to_string(),
                }));
            }
            Err(error) => return Err(Unread::Store(error)),
        };
        // Whatever it is worth, it need not be sent again.
        self.tag = Some(tag);
        let layer = Layer::parse(Tier::Watched, &self.key, &bytes);
        layer.map(Some).map_err(Unread::Config)
    }
}

enum Unread {
    Store(StoreError),
    Config(ConfigError),
}
