//! The engines: one that runs guests from a pool; others, made when they are first needed, on demand, for what does not fit
//! it or where the address space is too small; all load the same artifacts. Beside them where artifacts come from: the deployed package, the private
//! cache, the compiler. Knows nothing of events.

pub mod artifact;
#[cfg(feature = "compile")]
pub mod compile;
pub mod folder;
pub mod key;
mod native;
mod settings;
mod ticker;

use crate::component::{Component, Digest};
use crate::error::{Code, Fault};
use crate::limit::STACK;
use crate::quantity::Bytes;
use artifact::{Artifact, ArtifactError};
use folder::TrustedFolder;
use key::{Baseline, EngineKey};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use wasmtime::Engine;

pub(crate) use ticker::{Running, Ticker};

/// The engines and the clock that interrupts guests. One per process.
#[derive(Debug)]
pub struct Engines {
    pooling: Option<Engine>,
    /// Engines without a pool, by the size of their stack, made when a release first needs one.
    on_demand: Mutex<BTreeMap<Bytes, Engine>>,
    ticker: Ticker,
}

/// Native code ready to be linked.
pub(crate) struct Loaded {
    pub(crate) engine: Engine,
    pub(crate) component: wasmtime::component::Component,
    pub(crate) pooled: bool,
}

/// Why the engines can't start, or don't load an artifact.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Not even the on-demand engine starts.
    #[error("the WebAssembly engine cannot start: {0}")]
    Start(String),
    /// No thread for the clock.
    #[error("the thread that interrupts guests cannot start")]
    Ticker(#[source] std::io::Error),
    /// The artifact fits neither engine.
    #[error("the artifact does not load: {0}")]
    Load(String),
}

impl Fault for EngineError {
    fn code(&self) -> Code {
        match self {
            Self::Start(_) | Self::Ticker(_) => Code::HostSetup,
            Self::Load(_) => Code::ArtifactRefused,
        }
    }
}

impl Engines {
    /// Starts engines for `concurrency` events at once.
    ///
    /// # Errors
    /// [`EngineError::Start`] or [`EngineError::Ticker`].
    pub fn start(concurrency: u32) -> Result<Self, EngineError> {
        // The pool reserves 4 GiB of addresses for each memory. Containers and small processors may not have them:
        // then every guest runs on demand, slower to start, and otherwise the same.
        let pooling = Engine::new(&settings::pooling(concurrency)).ok();
        let clocked = pooling.iter().map(Engine::weak).collect();
        let engines = Self {
            ticker: Ticker::start(clocked).map_err(EngineError::Ticker)?,
            on_demand: Mutex::default(),
            pooling,
        };
        if !engines.has_pool() {
            // Whether there is any engine at all is better known now.
            engines.on_demand(STACK)?;
        }
        Ok(engines)
    }

    /// Whether guests that fit it run from the pool.
    pub fn has_pool(&self) -> bool {
        self.pooling.is_some()
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.ticker
    }

    /// Maps an artifact for the pool, or on demand where it does not fit a place of the pool.
    /// Another stack than the default has an engine of its own, without a pool.
    pub(crate) fn load(&self, artifact: &Artifact, stack: Bytes) -> Result<Loaded, EngineError> {
        if let Some(engine) = &self.pooling
            && stack == STACK
            && let Ok(component) = native::map(engine, artifact)
        {
            return Ok(Loaded {
                engine: engine.clone(),
                component,
                pooled: true,
            });
        }
        let engine = self.on_demand(stack)?;
        let component = native::map(&engine, artifact)
            .map_err(|error| EngineError::Load(format!("{error:#}")))?;
        Ok(Loaded {
            engine,
            component,
            pooled: false,
        })
    }
}

impl Engines {
    fn on_demand(&self, stack: Bytes) -> Result<Engine, EngineError> {
        // Whoever held it left a whole map behind.
        let mut stacks = self
            .on_demand
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = stacks.get(&stack) {
            return Ok(engine.clone());
        }
        let engine = Engine::new(&settings::on_demand(stack))
            .map_err(|error| EngineError::Start(format!("{error:#}")))?;
        self.ticker.add(engine.weak());
        stacks.insert(stack, engine.clone());
        Ok(engine)
    }
}

/// Where an artifact came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It lay in the deployed package.
    Package,
    /// It lay in the private cache.
    Cache,
    /// It was compiled just now.
    Compiled,
    /// It was downloaded from the store.
    Store,
}

/// The places that artifacts come from, asked in this order.
#[derive(Debug, Default)]
pub struct Artifacts {
    /// The folder this program was deployed in.
    pub package: Option<TrustedFolder>,
    /// This user's own cache.
    pub cache: Option<TrustedFolder>,
    /// What makes them; none in a host without one.
    #[cfg(feature = "compile")]
    pub compiler: Option<compile::Compiler>,
}

/// Why there is no artifact.
#[derive(Debug, thiserror::Error)]
pub enum ObtainError {
    /// One was found and refused, or a folder failed.
    #[error("{0}")]
    Artifact(#[source] ArtifactError),
    /// It could not be compiled.
    #[cfg(feature = "compile")]
    #[error("{0}")]
    Compile(#[source] compile::CompileError),
    /// None was found, and nothing here compiles.
    #[error(
        "there is no artifact of {component} for the engine {engine}, and this host has no compiler"
    )]
    Missing {
        /// The component's digest.
        component: Digest,
        /// The engine's key.
        engine: EngineKey,
    },
}

impl Fault for ObtainError {
    fn code(&self) -> Code {
        match self {
            Self::Artifact(error) => error.code(),
            #[cfg(feature = "compile")]
            Self::Compile(error) => error.code(),
            Self::Missing { .. } => Code::ArtifactMissing,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Artifact(error) => error.hint(),
            #[cfg(feature = "compile")]
            Self::Compile(error) => error.hint(),
            Self::Missing { .. } => None,
        }
    }
}

impl Artifacts {
    /// Finds the artifact of a component for this machine; none where it has to be compiled.
    ///
    /// # Errors
    /// [`ObtainError::Artifact`] when the package holds one that is not what it says, or a folder fails. A damaged file
    /// of the cache is no error: it is as if it were not there.
    pub fn find(&self, component: Digest) -> Result<Option<(Artifact, Origin)>, ObtainError> {
        let engine = EngineKey::new(Baseline::of_this_machine());
        if let Some(package) = &self.package
            && let Some(artifact) = package
                .find(component, &engine)
                .map_err(ObtainError::Artifact)?
        {
            return Ok(Some((artifact, Origin::Package)));
        }
        let cached = self.cached(component, &engine)?;
        Ok(cached.map(|artifact| (artifact, Origin::Cache)))
    }

    /// Whether what is not found can be made here.
    pub fn can_compile(&self) -> bool {
        #[cfg(feature = "compile")]
        return self.compiler.is_some() && self.cache.is_some();
        #[cfg(not(feature = "compile"))]
        return false;
    }

    /// Finds or makes the artifact of a component for this machine.
    ///
    /// # Errors
    /// [`ObtainError`].
    pub async fn obtain(&self, component: &Component) -> Result<(Artifact, Origin), ObtainError> {
        match self.find(component.digest())? {
            Some(found) => Ok(found),
            None => self.compile(component).await,
        }
    }

    fn cached(
        &self,
        component: Digest,
        engine: &EngineKey,
    ) -> Result<Option<Artifact>, ObtainError> {
        let Some(cache) = &self.cache else {
            return Ok(None);
        };
        match cache.find(component, engine) {
            Ok(found) => Ok(found),
            Err(ArtifactError::Refused { .. }) => Ok(None),
            Err(error) => Err(ObtainError::Artifact(error)),
        }
    }

    /// Makes the artifact of a component for this machine, and keeps it in the cache. May take seconds.
    ///
    /// # Errors
    /// [`ObtainError`]; [`ObtainError::Missing`] where nothing here compiles.
    #[cfg(feature = "compile")]
    pub async fn compile(&self, component: &Component) -> Result<(Artifact, Origin), ObtainError> {
        let baseline = Baseline::of_this_machine();
        let engine = EngineKey::new(baseline);
        let (Some(compiler), Some(cache)) = (&self.compiler, &self.cache) else {
            return Err(ObtainError::Missing {
                component: component.digest(),
                engine,
            });
        };
        let code = compiler
            .compile(component, baseline)
            .await
            .map_err(ObtainError::Compile)?;
        let statement = artifact::Statement::new(component.digest(), engine, &code);
        cache
            .keep(&code, &statement)
            .map_err(ObtainError::Artifact)?;
        let artifact = cache
            .find(statement.component, &statement.engine)
            .map_err(ObtainError::Artifact)?;
        artifact
            .map(|artifact| (artifact, Origin::Compiled))
            .ok_or(ObtainError::Missing {
                component: statement.component,
                engine: statement.engine,
            })
    }

    /// Nothing here compiles.
    ///
    /// # Errors
    /// [`ObtainError::Missing`], always.
    #[cfg(not(feature = "compile"))]
    pub async fn compile(&self, component: &Component) -> Result<(Artifact, Origin), ObtainError> {
        Err(ObtainError::Missing {
            component: component.digest(),
            engine: EngineKey::new(Baseline::of_this_machine()),
        })
    }
}
