//! From what a channel names to a guest: documents, native code, limits, configuration, load. Each step that is done
//! stays done, so that a preparation that was broken off by a clock goes on where it was.

mod foreseen;

use crate::address::{Address, Which};
use crate::component::Digest;
use crate::config::{Config, Layer};
use crate::engine::artifact::{Artifact, Download, Statement};
use crate::engine::key::{EngineKey, Interruption};
use crate::engine::{Artifacts, Engines, Origin};
use crate::error::{Code, Failure, Fault, Level};
use crate::event::Identity;
use crate::grant::Granted;
use crate::guest::{Guest, Linked, Parts};
use crate::limit::{Limits, Says, Wanted};
use crate::overlay::{Overlay, Terms};
use crate::quantity::Bytes;
use crate::reach::Outside;
use crate::reader::{Documents, Reader};
use crate::release::{Serves, Side};
use crate::secret::Vault;
use crate::settings::MachineMemory;
use crate::telemetry::Log;
use std::sync::Arc;

pub(crate) use foreseen::Foreseen;

/// Where native code comes from.
#[derive(Debug)]
pub enum Native {
    /// From the store, where a signed statement vouches for it. What Lambda does: compiling there would take all of init.
    /// Guests are to be stopped in this way, if the store has code for that.
    Stored(Interruption),
    /// From this machine's own cache and compiler, whatever the store has.
    Local(Artifacts),
}

/// What a release meets where it is to run.
#[derive(Debug)]
pub struct Conditions {
    /// Where native code comes from.
    pub native: Native,
    /// What a release gets that says nothing.
    pub defaults: Limits,
    /// The most that the policy allows.
    pub ceilings: Wanted,
    /// What the command line says instead of the release.
    pub overrides: Wanted,
    /// The memory of the machine, where it is known to be all there is.
    pub memory: Option<MachineMemory>,
    /// Configuration above the store's.
    pub overlay: Overlay,
    /// Where secrets are had from.
    pub vault: Vault,
    /// What guests reach the outside by.
    pub outside: Outside,
    /// Where lines go.
    pub log: Log,
}

/// Why a release does not become a guest here, beyond what reading, loading and configuring it have to say.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// Nothing here may be loaded.
    #[error(
        "the store has no artifact of {component} for the engine {engine} whose statement counts, and this host does not compile"
    )]
    NoArtifact {
        /// The component.
        component: Digest,
        /// The engine.
        engine: EngineKey,
    },
    /// Nobody vouches for native code here.
    #[error(
        "the store is not signed, so native code from it is not loaded, and this host does not compile"
    )]
    Unsigned,
    /// Old and new at once are too much.
    #[error(
        "serving {old} of native code and loading {new} more needs {need} of memory, there are {have}"
    )]
    TooLarge {
        /// Native code that serves.
        old: Bytes,
        /// Native code to load beside it.
        new: Bytes,
        /// What both need with the host and one instance.
        need: Bytes,
        /// What there is.
        have: Bytes,
    },
}

impl Fault for PrepareError {
    fn code(&self) -> Code {
        match self {
            Self::NoArtifact { .. } | Self::Unsigned => Code::ArtifactMissing,
            Self::TooLarge { .. } => Code::ReleaseTooLarge,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoArtifact { .. } => Some(format!(
                "run `crunchbox precompile --all` with version {} of crunchbox",
                env!("CARGO_PKG_VERSION")
            )),
            Self::Unsigned => Some(
                "sign the store: `crunchbox keys new`, then `crunchbox keys resign`".to_owned(),
            ),
            Self::TooLarge { .. } => None,
        }
    }
}

/// A release on its way to a guest.
#[derive(Debug)]
pub struct Preparation {
    address: Address,
    sequence: Option<u64>,
    serves: Serves,
    documents: Option<Documents>,
    foreseen: Option<Foreseen>,
    download: Option<Download>,
    artifact: Option<(Arc<Artifact>, Origin)>,
    linked: Option<Linked>,
}

impl Preparation {
    /// The beginning: a release under the name that it is served by.
    pub fn new(address: Address, sequence: Option<u64>, serves: Serves) -> Self {
        Self {
            address,
            sequence,
            serves,
            documents: None,
            foreseen: None,
            download: None,
            artifact: None,
            linked: None,
        }
    }

    /// Takes native code from there, if it turns out to be what is asked for.
    pub(crate) fn foresee(&mut self, foreseen: Option<Foreseen>) {
        self.foreseen = foreseen;
    }

    /// Gives back what it had no use for yet.
    pub(crate) fn unforeseen(&mut self) -> Option<Foreseen> {
        self.foreseen.take()
    }

    /// The channel's sequence number.
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// Where the native code came from, once it is there.
    pub fn origin(&self) -> Option<Origin> {
        self.artifact.as_ref().map(|(_, origin)| *origin)
    }

    /// How much of the native code has come; what tells a slow download from one that stands still.
    pub fn progress(&self) -> u64 {
        match (&self.artifact, &self.download, &self.documents) {
            // Each step that is done counts as much as any download could bring.
            (Some(_), _, _) => 2 << 40,
            (None, Some(download), _) => (1 << 40) + download.bytes(),
            (None, None, Some(_)) => 1 << 40,
            (None, None, None) => 0,
        }
    }

    /// Gets everything from the store. Can be dropped at any point and begun again.
    ///
    /// # Errors
    /// A classified failure of the store, its objects or this machine; the next try asks only for what is not there.
    pub async fn fetch(
        &mut self,
        reader: &Reader,
        conditions: &Conditions,
        serving_bytes: u64,
    ) -> Result<(), Failure> {
        if self.documents.is_none() {
            let engines = match conditions.native {
                Native::Stored(way) if reader.trust().is_signed() => EngineKey::here(way),
                Native::Stored(_) | Native::Local(_) => Vec::new(),
            };
            let documents = reader.documents(&self.serves, &engines).await?;
            // Before anything is fetched that it may not have, and before any event waits for a client of AWS.
            let granted = conditions.granted(&self.address, &documents.side)?;
            conditions.outside.prepare(&granted).await?;
            if matches!(conditions.native, Native::Stored(_)) {
                // What is not there may come; it is asked for again at the next try.
                stored(reader, &documents)?;
            }
            self.documents = Some(documents);
            conditions.log.timings().mark("release fetched");
        }
        let fetched = self.fetch_artifact(reader, conditions, serving_bytes).await;
        if let Err(failure) = &fetched
            && matches!(
                failure.code,
                Code::ArtifactRefused
                    | Code::ArtifactMissing
                    | Code::ObjectMissing
                    | Code::ObjectDamaged
            )
        {
            // What was said of native code that is not there, or not what was said, may be said anew.
            if let Some(documents) = self.documents.take() {
                for engine in EngineKey::here(Interruption::Replace) {
                    reader.forget_statement(documents.side.release.component.digest, &engine);
                }
            }
        }
        if fetched
            .as_ref()
            .is_err_and(|failure| failure.code != Code::StoreUnreachable)
        {
            self.download = None;
        }
        fetched
    }

    async fn fetch_artifact(
        &mut self,
        reader: &Reader,
        conditions: &Conditions,
        serving_bytes: u64,
    ) -> Result<(), Failure> {
        let Some(documents) = &self.documents else {
            return Ok(());
        };
        let found = match &conditions.native {
            Native::Local(artifacts) => {
                local(reader, artifacts, &documents.side, &conditions.log).await?
            }
            Native::Stored(_) => {
                let statement = stored(reader, documents)?;
                // Also of what was fetched already: something else may serve by now.
                if let Some(memory) = &conditions.memory {
                    check_memory(memory, serving_bytes, statement.size)?;
                }
                if self.artifact.is_some() {
                    return Ok(());
                }
                let foreseen = match &mut self.foreseen {
                    Some(foreseen) => foreseen.ready(&statement).await,
                    None => None,
                };
                // Gone before anything else is fetched: there may be no room for both.
                self.foreseen = None;
                match foreseen {
                    Some((artifact, linked)) => {
                        self.linked = linked;
                        (artifact, Origin::Cache)
                    }
                    None => download(reader, &mut self.download, &statement).await?,
                }
            }
        };
        self.artifact = Some((Arc::new(found.0), found.1));
        conditions.log.timings().mark("native code fetched");
        Ok(())
    }

    /// Lets go of native code that came to nothing, and of its memory. What keeps it on disk for the next try is returned.
    pub fn let_go(&mut self, reader: &Reader) -> Option<impl FnOnce() + Send + 'static + use<>> {
        let statement = self.documents.as_ref()?.statement.clone()?;
        self.linked = None;
        let (artifact, origin) = self.artifact.take()?;
        let reader = reader.clone();
        (origin == Origin::Store).then_some(move || reader.remember_artifact(&statement, &artifact))
    }

    /// Whether there is nothing more to fetch.
    pub fn is_fetched(&self) -> bool {
        self.artifact.is_some()
    }

    /// All that makes a guest of what has been fetched.
    ///
    /// # Errors
    /// A classified failure of the configuration.
    pub fn parts(
        &self,
        conditions: &Conditions,
        watched: &[Layer],
    ) -> Result<(Arc<Artifact>, Parts), Failure> {
        let (Some(documents), Some((artifact, _))) = (&self.documents, &self.artifact) else {
            let message = "the release has not been fetched yet";
            return Err(Failure::new(Code::HostSetup, message));
        };
        let config = conditions.config(&self.address, &documents.side, watched)?;
        let parts = Parts {
            identity: Identity {
                function: self.address.function.to_string(),
                channel: channel_of(&self.address),
                sequence: self.sequence,
                release: self.serves.release.to_string(),
                component: self.serves.component.to_string(),
                config: config.digest().to_string(),
            },
            limits: conditions.limits(&documents.side, artifact.bytes()),
            config,
            vault: conditions.vault.clone(),
            reach: conditions
                .outside
                .reach(conditions.granted(&self.address, &documents.side)?)?,
        };
        Ok((Arc::clone(artifact), parts))
    }

    /// Loads and links what has been fetched, unless it was foreseen and is linked already.
    ///
    /// # Errors
    /// A classified failure of the component's world or the configuration.
    pub fn load(
        &mut self,
        engines: &Engines,
        conditions: &Conditions,
        watched: &[Layer],
    ) -> Result<Guest, Failure> {
        let linked = self.linked.take();
        let (artifact, parts) = self.parts(conditions, watched)?;
        match linked.filter(|linked| linked.is_for(parts.limits.stack)) {
            Some(linked) => Ok(Guest::new(linked, parts)),
            None => Ok(Guest::load(engines, &artifact, parts)?),
        }
    }

    /// What the store says of it, once it is fetched.
    pub fn side(&self) -> Option<&Side> {
        self.documents.as_ref().map(|documents| &documents.side)
    }
}

/// The channel's name, as guests and templates see it.
pub(crate) fn channel_of(address: &Address) -> String {
    match &address.which {
        Which::Channel(name) | Which::State(name, _) => name.to_string(),
        Which::Release(_) => "local".to_owned(),
    }
}

impl Conditions {
    /// All layers of configuration merged, weak to strong, and checked.
    ///
    /// # Errors
    /// A classified failure that names every path that is wrong.
    pub fn config(
        &self,
        address: &Address,
        side: &Side,
        watched: &[Layer],
    ) -> Result<Config, Failure> {
        let terms = Terms::of(&side.release)?;
        let facts = self
            .overlay
            .facts(address.function.as_str(), &channel_of(address));
        let below = side.layers().chain(watched.iter().cloned());
        Ok(self.overlay.config(below, &terms, facts)?)
    }

    /// What the release may reach here.
    ///
    /// # Errors
    /// A classified failure that names the grant.
    pub fn granted(&self, address: &Address, side: &Side) -> Result<Granted, Failure> {
        let terms = Terms::of(&side.release)?;
        let channel = channel_of(address);
        let facts = self.overlay.facts(address.function.as_str(), &channel);
        self.overlay.granted(side.layers(), &terms.grants, facts)
    }

    /// What the release may use up here.
    fn limits(&self, side: &Side, artifact_bytes: u64) -> Limits {
        let available = self
            .memory
            .map(|machine| machine.for_guest(Bytes(artifact_bytes)));
        let defaults = Limits {
            memory: available.unwrap_or(self.defaults.memory),
            memory_by: available.map_or(self.defaults.memory_by, |_| Says::Machine),
            ..self.defaults
        };
        let sealed = Wanted::from(&side.release.limits);
        let mut limits = match self.overrides == Wanted::default() {
            true => defaults.with(&sealed, Says::Release, &self.ceilings),
            false => defaults
                .with(&sealed, Says::Release, &Wanted::default())
                .with(&self.overrides, Says::Argument, &self.ceilings),
        };
        limits.capped_memory(available, Says::Machine);
        if let Some(warning) = limits.warning() {
            self.log.host(Level::Warn, &warning);
        }
        limits
    }
}

fn check_memory(memory: &MachineMemory, old: u64, new: u64) -> Result<(), PrepareError> {
    let (old, new) = (Bytes(old), Bytes(new));
    let need = memory.for_swap(old, new);
    if need <= memory.total {
        return Ok(());
    }
    Err(PrepareError::TooLarge {
        old,
        new,
        need,
        have: memory.total,
    })
}

/// The statement on native code that may be loaded.
fn stored(reader: &Reader, documents: &Documents) -> Result<Statement, PrepareError> {
    if !reader.trust().is_signed() {
        return Err(PrepareError::Unsigned);
    }
    documents
        .statement
        .clone()
        .ok_or_else(|| PrepareError::NoArtifact {
            component: documents.side.release.component.digest,
            engine: EngineKey::here(Interruption::Epoch).remove(0),
        })
}

/// Native code from the cache, else from the store.
async fn download(
    reader: &Reader,
    kept: &mut Option<Download>,
    statement: &Statement,
) -> Result<(Artifact, Origin), Failure> {
    let mut cached = reader.cached_artifact(statement);
    loop {
        let cached = cached.take();
        let is_cached = cached.is_some();
        let download = match kept {
            Some(download) => download,
            None => kept.insert(reader.begin(statement)?),
        };
        match cached {
            Some(file) => reader.copy(download, file).await?,
            None => reader.download(download).await?,
        }
        let Some(download) = kept.take() else {
            return Err(Failure::new(Code::HostSetup, "the download vanished"));
        };
        match download.finish() {
            Ok(artifact) if is_cached => return Ok((artifact, Origin::Cache)),
            Ok(artifact) => return Ok((artifact, Origin::Store)),
            // Whatever damaged the cache, the store may have it whole.
            Err(_) if is_cached => reader.forget_artifact(statement),
            Err(error) => return Err(error.into()),
        }
    }
}

/// From this machine's cache, or compiled. Says so first, since it may take seconds.
async fn local(
    reader: &Reader,
    artifacts: &Artifacts,
    side: &Side,
    log: &Log,
) -> Result<(Artifact, Origin), Failure> {
    let component = reader.component(&side.release).await?;
    if let Some(found) = artifacts.find(component.digest())? {
        return Ok(found);
    }
    if artifacts.can_compile() {
        let message = format!(
            "compiling {}; the next run takes it from the cache",
            Bytes(side.release.component.size)
        );
        log.host(Level::Info, &message);
    }
    Ok(artifacts.compile(&component).await?)
}
