//! Reads a function's objects from a store, and believes none of them unproven: a channel and a statement by their
//! signatures, a release by its digest and its signature, all else by its digest. What was proven once is kept in the
//! cache, at once or when there is time for it, and proven again when it is read from there.

mod native;

use crate::address::{Address, ChannelName, FunctionName};
use crate::cache::Cache;
use crate::component::{Component, ComponentError, Digest};
use crate::engine::artifact::{ArtifactError, Statement};
use crate::engine::key::EngineKey;
use crate::error::{Code, Fault};
use crate::release::{Channel, Envelope, FormatError, Place, Release, Serves, Side, StoreConfig};
use crate::store::{self, Ask, Found, Store, StoreError, Tag};
use crate::trust::{Role, Trust, TrustError};
use bytes::Bytes;
use futures_util::future::{join_all, try_join, try_join3};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most bytes of each kind of document: fifty moves; a base configuration far beyond any; a few signatures.
const CHANNEL_BYTES_MAX: u64 = 1 << 20;
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 8 << 20;
pub(crate) const SIGNATURE_BYTES_MAX: u64 = 4 << 10;

#[cfg(feature = "publish")]
pub(crate) use native::STATEMENT_BYTES_MAX;

/// A verified reader of one function's objects.
#[derive(Debug, Clone)]
pub struct Reader {
    store: Arc<dyn Store>,
    trust: Arc<Trust>,
    cache: Option<Cache>,
    /// What was proven and is not in the cache yet; none where it is written there at once.
    unkept: Option<Arc<Mutex<BTreeMap<String, Bytes>>>>,
    function: FunctionName,
    place: Place,
}

/// A channel with the proof of it.
#[derive(Debug, Clone)]
pub struct SignedChannel {
    /// What it says.
    pub channel: Channel,
    /// How it was signed.
    pub envelope: Envelope,
    /// Which version of the object it is.
    pub tag: Tag,
}

/// Why an object is not what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store did not give it.
    #[error("{0}")]
    Store(#[source] StoreError),
    /// Its bytes are not those that it is named by.
    #[error("`{key}` is damaged: expected {expected}, got {got}")]
    Damaged {
        /// The object.
        key: String,
        /// The digest, or the bytes.
        expected: String,
        /// What came.
        got: String,
    },
    /// Nobody whom we trust vouches for it.
    #[error("`{key}` is refused: {source}")]
    Signature {
        /// The object.
        key: String,
        /// Who should have, and who did.
        source: TrustError,
    },
    /// It belongs elsewhere.
    #[error("`{key}` belongs elsewhere: expected {expected}, got {got}")]
    Place {
        /// The object.
        key: String,
        /// What was asked for.
        expected: String,
        /// What it says of itself.
        got: String,
    },
    /// It has another format, or keys that are not known.
    #[error("`{key}` cannot be read: {source}")]
    Format {
        /// The object.
        key: String,
        /// What does not fit.
        source: FormatError,
    },
    /// The bytes have the right digest and are no component.
    #[error("{0}")]
    Component(#[source] ComponentError),
    /// Native code is not what its statement says, or there is no memory for it.
    #[error("{0}")]
    Artifact(#[source] ArtifactError),
}

impl Fault for ReadError {
    fn code(&self) -> Code {
        match self {
            Self::Store(error) => error.code(),
            Self::Damaged { .. } => Code::ObjectDamaged,
            Self::Signature { .. } => Code::SignatureInvalid,
            Self::Place { .. } => Code::WrongPlace,
            Self::Format { .. } => Code::FormatUnknown,
            Self::Component(error) => error.code(),
            Self::Artifact(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Artifact(error) => error.hint(),
            Self::Damaged { .. }
            | Self::Signature { .. }
            | Self::Place { .. }
            | Self::Format { .. }
            | Self::Component(_) => None,
        }
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ArtifactError> for ReadError {
    fn from(error: ArtifactError) -> Self {
        Self::Artifact(error)
    }
}

/// All documents that a channel's state names, and the statement on native code if one was asked for.
#[derive(Debug, Clone)]
pub struct Documents {
    /// The release and the store's configuration.
    pub side: Side,
    /// What native code to load; none where there is no statement on any.
    pub statement: Option<Statement>,
}

impl Reader {
    /// A reader of a function's objects in a store.
    pub fn new(
        store: Arc<dyn Store>,
        trust: Arc<Trust>,
        cache: Option<Cache>,
        function: FunctionName,
    ) -> Self {
        let place = Place::of(&function);
        Self {
            store,
            trust,
            cache,
            unkept: None,
            function,
            place,
        }
    }

    /// The same reader of another store with the same objects, such as a cache or a bundle.
    #[must_use]
    pub fn instead_of(&self, store: Arc<dyn Store>) -> Self {
        Self {
            store,
            cache: None,
            unkept: None,
            ..self.clone()
        }
    }

    /// The same reader with a cache, or without one.
    #[must_use]
    pub fn with_cache(self, cache: Option<Cache>) -> Self {
        Self { cache, ..self }
    }

    /// The same reader, whose cache gets what was proven when [`Self::keep`] says so: a start does not wait for the disk.
    #[must_use]
    pub fn keeping_later(self) -> Self {
        Self {
            unkept: Some(Arc::default()),
            ..self
        }
    }

    /// The same reader with other keys whose signatures count.
    #[must_use]
    pub fn trusting(&self, trust: Trust) -> Self {
        Self {
            trust: Arc::new(trust),
            ..self.clone()
        }
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Whose signatures count.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The cache.
    pub fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    /// The function.
    pub fn function(&self) -> &FunctionName {
        &self.function
    }

    /// Where its objects lie.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Reads a channel; none if it still is the version that the asker knows. One request.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn channel(
        &self,
        name: &ChannelName,
        unless: Option<Tag>,
    ) -> Result<Option<SignedChannel>, ReadError> {
        let key = self.place.channel(name);
        let ask = Ask { unless, from: 0 };
        let (tag, body) = match self.store.get(&key, ask).await? {
            Found::Unchanged => return Ok(None),
            Found::Object { tag, body } => (tag, body),
        };
        let text = store::collect(&*self.store, &key, body, CHANNEL_BYTES_MAX).await?;
        self.check_channel(&key, name, &text, tag).map(Some)
    }

    /// Checks a channel's text, wherever it came from.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn check_channel(
        &self,
        key: &str,
        name: &ChannelName,
        text: &[u8],
        tag: Tag,
    ) -> Result<SignedChannel, ReadError> {
        let format = |source| ReadError::Format {
            key: key.to_owned(),
            source,
        };
        let envelope = Envelope::parse(text).map_err(format)?;
        envelope
            .verify(&self.trust, Role::Channel, &self.function)
            .map_err(|source| ReadError::Signature {
                key: key.to_owned(),
                source,
            })?;
        let channel = Channel::parse(envelope.payload.as_bytes()).map_err(format)?;
        let expected = Address::channel(self.function.clone(), name.clone());
        let got = Address::channel(channel.function.clone(), channel.channel.clone());
        if expected != got {
            return Err(ReadError::Place {
                key: key.to_owned(),
                expected: expected.to_string(),
                got: got.to_string(),
            });
        }
        Ok(SignedChannel {
            channel,
            envelope,
            tag,
        })
    }

    /// Reads all that a channel's state names, and what is said of native code for the first of some engines that has any:
    /// one round trip where it is the first.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn documents(
        &self,
        serves: &Serves,
        engines: &[EngineKey],
    ) -> Result<Documents, ReadError> {
        let config = async {
            match serves.config {
                Some(digest) => self.config(digest).await.map(Some),
                None => Ok(None),
            }
        };
        let statement = async {
            for engine in engines {
                let found = self.statement(serves.component, engine).await?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            Ok(None)
        };
        let (release, config, statement) =
            try_join3(self.release(serves.release), config, statement).await?;
        if release.component.digest != serves.component {
            return Err(ReadError::Place {
                key: self.place.release(serves.release),
                expected: format!("a release of the component {}", serves.component),
                got: release.component.digest.to_string(),
            });
        }
        Ok(Documents {
            side: Side { release, config },
            statement,
        })
    }

    /// Reads a release, and checks its digest, its signature and its function.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn release(&self, id: Digest) -> Result<Release, ReadError> {
        let key = self.place.release(id);
        let signatures = async { Ok(self.signatures(id).await) };
        let (text, (mut signatures, mut unread)) =
            try_join(self.named(&key, id, DOCUMENT_BYTES_MAX), signatures).await?;
        let mut verified = self.verify_release(&text, &signatures);
        if verified.is_err() && self.forget_signatures(&signatures) {
            (signatures, unread) = self.signatures(id).await;
            verified = self.verify_release(&text, &signatures);
        }
        if let Err(source) = verified {
            // One that nobody could read may be the one that counts.
            return Err(match unread {
                Some(error) => ReadError::Store(error),
                None => ReadError::Signature { key, source },
            });
        }
        self.remember(&key, &text);
        for (key, text) in signatures {
            self.remember(&key, &text.into());
        }
        let release = Release::parse(&text).map_err(|source| ReadError::Format {
            key: key.clone(),
            source,
        })?;
        self.check_function(&key, &release.function)?;
        Ok(release)
    }

    fn verify_release(
        &self,
        text: &[u8],
        signatures: &[(String, String)],
    ) -> Result<(), TrustError> {
        let texts: Vec<String> = signatures.iter().map(|(_, text)| text.clone()).collect();
        self.trust
            .verify(Role::Release, &self.function, text, &texts)
    }

    /// Lets the cache forget signatures that turned out not to count; whether it had any.
    fn forget_signatures(&self, signatures: &[(String, String)]) -> bool {
        let Some(cache) = &self.cache else {
            return false;
        };
        let cached = signatures
            .iter()
            .filter(|(key, _)| cache.path(key).exists());
        cached.map(|(key, _)| cache.forget(key)).count() > 0
    }

    /// The signatures of a release by keys that count, with their keys in the store; and why one of them could not be read
    /// though it may be there.
    async fn signatures(&self, id: Digest) -> (Vec<(String, String)>, Option<StoreError>) {
        let keys = self.trust.keys_for(Role::Release, &self.function);
        let asked = keys.map(|key| async move {
            let key = self.place.signature(id, &key.id);
            let bytes = match self.cached(&key, SIGNATURE_BYTES_MAX) {
                Some(bytes) => bytes,
                None => {
                    store::read(&*self.store, &key, SIGNATURE_BYTES_MAX)
                        .await?
                        .0
                }
            };
            Ok((key, String::from_utf8_lossy(&bytes).into_owned()))
        });
        let (mut signatures, mut unread) = (Vec::new(), None);
        for result in join_all(asked).await {
            match result {
                Ok(signature) => signatures.push(signature),
                Err(StoreError::Missing { .. } | StoreError::Denied { .. }) => {}
                Err(error) => unread = Some(error),
            }
        }
        (signatures, unread)
    }

    /// Reads a layer of configuration, and checks its digest and its function.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn config(&self, digest: Digest) -> Result<StoreConfig, ReadError> {
        let key = self.place.config(digest);
        let text = self.named(&key, digest, DOCUMENT_BYTES_MAX).await?;
        self.remember(&key, &text);
        let config = StoreConfig::parse(&text).map_err(|source| ReadError::Format {
            key: key.clone(),
            source,
        })?;
        self.check_function(&key, &config.function)?;
        Ok(config)
    }

    fn check_function(&self, key: &str, got: &FunctionName) -> Result<(), ReadError> {
        if *got == self.function {
            return Ok(());
        }
        Err(ReadError::Place {
            key: key.to_owned(),
            expected: format!("an object of `{}`", self.function),
            got: format!("one of `{got}`"),
        })
    }

    /// Reads a component, and checks its digest.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn component(&self, release: &Release) -> Result<Component, ReadError> {
        let digest = release.component.digest;
        let key = self.place.component(digest);
        let bytes = self.named(&key, digest, release.component.size).await?;
        self.remember(&key, &bytes);
        Component::from_bytes(&key, bytes.to_vec()).map_err(ReadError::Component)
    }

    /// Reads an object that is named by its digest, from the cache or the store.
    async fn named(&self, key: &str, digest: Digest, limit: u64) -> Result<Bytes, ReadError> {
        if let Some(bytes) = self.cached(key, limit) {
            if Digest::of(&bytes) == digest {
                return Ok(bytes);
            }
            self.forget(key);
        }
        let (bytes, _) = store::read(&*self.store, key, limit).await?;
        let got = Digest::of(&bytes);
        if got == digest {
            return Ok(bytes);
        }
        Err(ReadError::Damaged {
            key: key.to_owned(),
            expected: digest.to_string(),
            got: got.to_string(),
        })
    }

    fn cached(&self, key: &str, limit: u64) -> Option<Bytes> {
        let cache = self.cache.as_ref()?;
        let unkept = self.unkept().and_then(|unkept| unkept.get(key).cloned());
        unkept.or_else(|| cache.read(key, limit).map(Bytes::from))
    }

    fn forget(&self, key: &str) {
        if let Some(mut unkept) = self.unkept() {
            unkept.remove(key);
        }
        if let Some(cache) = &self.cache {
            cache.forget(key);
        }
    }

    /// Keeps what has been proven, unless it is there already.
    fn remember(&self, key: &str, bytes: &Bytes) {
        let Some(cache) = &self.cache else { return };
        match self.unkept() {
            Some(mut unkept) => drop(unkept.insert(key.to_owned(), bytes.clone())),
            None => keep(cache, key, bytes),
        }
    }

    /// Whether something was proven that is not in the cache yet.
    pub fn has_unkept(&self) -> bool {
        self.unkept().is_some_and(|unkept| !unkept.is_empty())
    }

    /// Writes down what was proven since this was called last.
    pub fn keep(&self) {
        let Some(cache) = &self.cache else { return };
        while let Some((key, bytes)) = self.next_unkept() {
            keep(cache, &key, &bytes);
            let mut unkept = self.unkept();
            let unkept = unkept.as_deref_mut();
            let kept = unkept.and_then(|unkept| unkept.remove(&key));
            if kept != Some(bytes) {
                // Forgotten meanwhile, or proven anew.
                cache.forget(&key);
            }
        }
    }

    fn next_unkept(&self) -> Option<(String, Bytes)> {
        let unkept = self.unkept()?;
        let (key, bytes) = unkept.first_key_value()?;
        Some((key.clone(), bytes.clone()))
    }

    fn unkept(&self) -> Option<MutexGuard<'_, BTreeMap<String, Bytes>>> {
        let unkept = self.unkept.as_ref()?;
        // Whoever held it left a whole map behind.
        Some(unkept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn keep(cache: &Cache, key: &str, bytes: &[u8]) {
    if !cache.path(key).exists() {
        // A full disk costs the next start a request, and this one nothing.
        let _ = cache.keep(key, bytes);
    }
}
