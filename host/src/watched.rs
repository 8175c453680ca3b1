//! Files of configuration in the store that somebody writes by hand, unsigned, where the policy allows it. They may be
//! missing; one that can't be read never takes the place of one that could.

use crate::config::{ConfigError, Layer, Tier};
use crate::error::{Code, Failure};
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
    /// The versions of the files that serve.
    serving: Vec<u64>,
    /// The versions of the files that are not to serve.
    refused: Vec<u64>,
}

#[derive(Debug)]
struct File {
    key: String,
    /// The version that was read last, whatever it was worth.
    tag: Option<Tag>,
    state: State,
    /// How often what it says has changed.
    version: u64,
    /// What was said of it last, so that it is said once.
    said: Option<Code>,
    /// What is to be told of it.
    notice: Option<Notice>,
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
                version: 0,
                said: None,
                notice: None,
            })
        });
        let files = files.collect::<Result<Vec<_>, String>>()?;
        Ok(Self {
            good: Vec::new(),
            serving: vec![0; files.len()],
            refused: vec![0; files.len()],
            files,
        })
    }

    /// Asks for all files at once, unless they still are what they were. Can be dropped at any point: what has come by then
    /// is kept.
    pub async fn look(&mut self, store: &dyn Store) {
        join_all(self.files.iter_mut().map(|file| file.look(store))).await;
    }

    /// A look was broken off for its time; a file that nobody has seen yet is as good as missing.
    pub fn broken_off(&mut self, store: &dyn Store) {
        for file in &mut self.files {
            if let State::Unknown = file.state {
                file.unreadable(StoreError::Unreachable {
                    store: store.location().to_owned(),
                    key: file.key.clone(),
                    problem: "no answer in time".to_owned(),
                });
            }
        }
    }

    /// What is worth telling since somebody asked last, each thing once.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        let notices = self.files.iter_mut().filter_map(|file| file.notice.take());
        notices.collect()
    }

    /// What the files say, weak to strong: of one that cannot be used, what it said before.
    pub fn layers(&self) -> Vec<Layer> {
        self.files.iter().filter_map(File::layer).cloned().collect()
    }

    /// What serves of them.
    pub fn good(&self) -> &[Layer] {
        &self.good
    }

    /// Whether there is something that does not serve yet, and might.
    pub fn is_new(&self) -> bool {
        let differs = |others: &[u64]| {
            let pairs = self.files.iter().zip(others);
            pairs
                .into_iter()
                .any(|(file, other)| file.version != *other)
        };
        differs(&self.serving) && differs(&self.refused)
    }

    /// These layers serve now: what the files say.
    pub fn serves(&mut self, layers: Vec<Layer>) {
        self.serving = self.versions();
        self.good = layers;
    }

    /// What is new is not to serve until it changes again.
    pub fn refuse(&mut self) {
        self.refused = self.versions();
    }

    fn versions(&self) -> Vec<u64> {
        self.files.iter().map(|file| file.version).collect()
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

    /// Looks. What is learned is noted in one go, when all of the file is there.
    async fn look(&mut self, store: &dyn Store) {
        match self.read(store).await {
            Ok(None) => {
                if let State::Read(_) = self.state {
                    // The store answers again; its next outage is news.
                    self.said = None;
                }
            }
            Ok(Some(layer)) => {
                self.said = None;
                self.state = State::Read(layer);
                self.version += 1;
            }
            Err(Unread::Store(error)) => self.unreadable(error),
            Err(Unread::Config(error)) => {
                let failure = Failure::from(error);
                let before = self.layer().cloned();
                self.state = State::Broken(before, failure.clone());
                self.notice = Some(Notice {
                    failure,
                    is_broken: true,
                });
            }
        }
    }

    fn unreadable(&mut self, error: StoreError) {
        let had_layer = self.layer().is_some();
        // On S3 a file that is not there may look like one that may not be read; one that was read was there.
        let is_gone =
            error.is_missing() && (!had_layer || matches!(error, StoreError::Missing { .. }));
        let mut failure = Failure::from(error);
        if is_gone {
            self.tag = None;
            self.state = State::Missing;
            self.version += u64::from(had_layer);
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
        failure.hint =
            Some("put the file there, or take it out of `watched` in policy.toml".to_owned());
        if self.said != Some(failure.code) {
            self.said = Some(failure.code);
            self.notice = Some(Notice {
                failure,
                is_broken: false,
            });
        }
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
