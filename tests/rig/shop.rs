//! A store with keys of its own and somebody who publishes there, as the commands do.

use super::s3::{ACCESS_KEY, S3, SECRET_KEY};
use super::{artifacts, compiler, guest};
use crunchbox::address::{ChannelName, FunctionName};
use crunchbox::component::Component;
use crunchbox::config::{Layer, Tier};
use crunchbox::engine::Engines;
use crunchbox::engine::key::{Baseline, Interruption};
use crunchbox::error::Failure;
use crunchbox::guest::Shape;
use crunchbox::publish::{Keyring, Move, Publisher, Sealed, SecretKey, Terms};
use crunchbox::reader::Reader;
use crunchbox::release::{Author, Contents, SealedLimits};
use crunchbox::store::{Location, S3Store, Store};
use crunchbox::trust::{Pattern, Role, Trust, TrustedKey};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

/// The function that is published.
pub const FUNCTION: &str = "facts";

/// Somebody who publishes one function.
pub struct Shop {
    pub publisher: Publisher,
    pub key: TrustedKey,
    keys: tempfile::TempDir,
    /// The store as a person names it.
    pub url: String,
}

impl Shop {
    pub fn in_s3(s3: &S3) -> Self {
        let url = s3.url("prefix");
        let Location::S3(location) = url.parse().unwrap() else {
            panic!("{url}")
        };
        let store = S3Store::new(&location).signing_as(ACCESS_KEY, SECRET_KEY);
        Self::of(Arc::new(store), url)
    }

    pub fn of(store: Arc<dyn Store>, url: String) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let key = make_key(keys.path().join("ci.key"), "ci");
        let publisher = Publisher {
            reader: Reader::new(
                store,
                Arc::new(Trust::new(vec![key.clone()])),
                None,
                FUNCTION.parse().unwrap(),
            ),
            keys: Keyring {
                folder: Some(keys.path().to_owned()),
                ..Keyring::default()
            },
            author: Author {
                by: "ada@lab".into(),
                at: jiff::Timestamp::now(),
                message: "a test".into(),
            },
            ceiling: Default::default(),
            watched: Vec::new(),
        };
        Self {
            publisher,
            key,
            keys,
            url,
        }
    }

    pub fn block_on<R>(&self, future: impl Future<Output = R>) -> R {
        runtime().block_on(future)
    }

    /// Another key, made where the publisher finds it.
    pub fn another_key(&self, name: &str) -> TrustedKey {
        make_key(self.keys.path().join(format!("{name}.key")), name)
    }

    /// The same shop for another set of trusted keys, or another function.
    pub fn trusting(&mut self, keys: Vec<TrustedKey>) {
        self.publisher.reader = self.publisher.reader.trusting(Trust::new(keys));
    }

    pub fn place(&self) -> &crunchbox::release::Place {
        self.publisher.reader.place()
    }

    /// The channel `live`.
    pub fn live() -> ChannelName {
        ChannelName::default()
    }

    /// The key of the channel's object in the bucket.
    pub fn channel_key(&self) -> String {
        format!("prefix/{}", self.place().channel(&Self::live()))
    }

    /// The policy of hosts that trust this shop.
    pub fn policy(&self, more: &str) -> String {
        format!(
            "[store]\nurl = {:?}\n{more}\n[[keys]]\nname = 'ci'\npublic = '{}'\nroles = ['release', 'artifact', 'channel']\n",
            self.url,
            self.key.public()
        )
    }

    /// Publishes a guest of the tests with a base configuration, and its native code for this machine.
    pub fn release(&self, name: &str, config: &str) -> Sealed {
        self.release_with(component(name), config, SealedLimits::default())
    }

    pub fn release_with(&self, component: Component, config: &str, limits: SealedLimits) -> Sealed {
        let shape = shape(&component);
        let contents = Contents {
            config: vec![Layer::parse(Tier::Base, "config.json", config.as_bytes()).unwrap()],
            limits,
            ..Contents::default()
        };
        self.release_of(component, shape, contents)
    }

    /// Publishes a component with whatever belongs to it.
    pub fn release_of(&self, component: Component, shape: Shape, contents: Contents) -> Sealed {
        let function: FunctionName = self.publisher.reader.function().clone();
        let sealed = Sealed::new(function, component, shape, contents);
        self.block_on(self.upload(&sealed)).unwrap();
        sealed
    }

    async fn upload(&self, sealed: &Sealed) -> Result<(), Failure> {
        self.publisher.upload_component(sealed).await?;
        let target = (Baseline::of_this_machine(), "here");
        for way in Interruption::ALL {
            self.publisher
                .precompile(&sealed.component, &compiler(), target, way)
                .await?;
        }
        self.publisher.upload_release(sealed).await?;
        Ok(())
    }

    /// Removes what is said of native code that nothing interrupts.
    pub fn forget_replaced(&self) {
        let (store, place) = (self.publisher.reader.store(), self.place());
        self.block_on(async {
            let listed = store.list("").await.unwrap();
            let of_replaced = |key: &str| key.contains("-replace");
            let keys: Vec<_> = listed.into_iter().map(|entry| entry.key).collect();
            assert!(
                keys.iter().any(|key| of_replaced(key)),
                "{place:?}: {keys:?}"
            );
            for key in keys.iter().filter(|key| of_replaced(key)) {
                store.delete(key).await.unwrap();
            }
        });
    }

    /// Lets `live` stand for a release; returns its number.
    pub fn promote(&self, sealed: &Sealed) -> u64 {
        self.promote_to(&Self::live(), sealed, Terms::default())
    }

    pub fn promote_to(&self, channel: &ChannelName, sealed: &Sealed, terms: Terms) -> u64 {
        let serves = sealed.serves();
        self.try_move(channel, &Move::Release(serves), terms)
            .unwrap()
    }

    pub fn rollback(&self) -> u64 {
        self.try_move(&Self::live(), &Move::Back(None), Terms::default())
            .unwrap()
    }

    pub fn try_move(
        &self,
        channel: &ChannelName,
        wanted: &Move,
        terms: Terms,
    ) -> Result<u64, Failure> {
        self.block_on(async {
            let proposal = self.publisher.propose(channel, wanted, terms).await?;
            self.publisher.make(&proposal).await?;
            Ok(proposal.to.sequence)
        })
    }

    /// A release and a promotion in one.
    pub fn deploy(&self, name: &str, config: &str) -> u64 {
        let sealed = self.release(name, config);
        self.promote(&sealed)
    }
}

fn make_key(path: PathBuf, name: &str) -> TrustedKey {
    let (_, public) = SecretKey::make(&path, None).unwrap();
    TrustedKey::new(name.into(), &public, Role::ALL.to_vec(), Pattern::any()).unwrap()
}

/// One runtime for all tests: clients keep connections alive on the one that they were made on.
pub fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    })
}

/// A guest of the tests.
pub fn component(name: &str) -> Component {
    super::read(&guest(name))
}

/// The same guest with other bytes: a section that nobody reads.
pub fn variant(name: &str, number: u8) -> Component {
    let mut bytes = std::fs::read(guest(name)).unwrap();
    bytes.extend([0, 3, 1, b'v', number]);
    Component::from_bytes("variant", bytes).unwrap()
}

/// What a component imports and exports, found out once for each.
pub fn shape(component: &Component) -> Shape {
    static KNOWN: Mutex<Option<HashMap<String, Shape>>> = Mutex::new(None);
    let digest = component.digest().to_string();
    if let Some(shape) = KNOWN.lock().unwrap().get_or_insert_default().get(&digest) {
        return shape.clone();
    }
    let (artifact, _) = runtime().block_on(artifacts().obtain(component)).unwrap();
    let shape = Shape::of(&Engines::start(1).unwrap(), &artifact).unwrap();
    let mut known = KNOWN.lock().unwrap();
    known.get_or_insert_default().insert(digest, shape.clone());
    shape
}

/// Limits that say nothing but how much memory.
pub fn memory_limit(bytes: u64) -> SealedLimits {
    SealedLimits {
        memory_bytes: Some(bytes),
        ..SealedLimits::default()
    }
}
