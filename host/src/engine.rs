//! The engines: one that runs guests from a pool; others, made when they are first needed, on demand, for what does not fit
//! it or where the address space is too small; all load the same artifacts. Beside them where artifacts come from: the deployed package, the private
//! cache, the compiler. Knows nothing of events.

pub mod artifact;
#[cfg(feature = "compile")]
pub mod compile;
pub mod folder;
pub mod key;
mod native;
mod overdue;
mod settings;
mod ticker;
mod workers;

use crate::component::{Component, Digest};
use crate::error::{Code, Failure, Fault};
use crate::limit::STACK;
use crate::quantity::Bytes;
use crate::telemetry::Timings;
use arc_swap::ArcSwap;
use artifact::{Artifact, ArtifactError};
use folder::TrustedFolder;
use futures_util::future::Either;
use key::{EngineKey, Interruption};
use overdue::Watch;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use wasmtime::Engine;

pub(crate) use ticker::{Running, Ticker};
use workers::Workers;

/// The engines, each made when an artifact first needs it, the clock that interrupts guests, and the threads that guests
/// run on. One per process.
#[derive(Debug)]
pub struct Engines {
    concurrency: u32,
    made: Mutex<Made>,
    /// Others take their place when a guest that nobody can stop keeps one of them.
    workers: ArcSwap<Workers>,
    watch: Watch,
    /// A guest that nobody can stop still has its thread, or the host panicked.
    spent: AtomicBool,
    timings: Timings,
}

/// What was needed so far.
#[derive(Debug, Default)]
struct Made {
    /// None where the address space is too small for a pool.
    pools: BTreeMap<Interruption, Option<Engine>>,
    /// Engines without a pool, by the size of their stack.
    on_demand: BTreeMap<(Interruption, Bytes), Engine>,
    ticker: Option<Arc<Ticker>>,
}

/// Native code ready to be linked.
pub(crate) struct Loaded {
    pub(crate) engine: Engine,
    pub(crate) component: wasmtime::component::Component,
    pub(crate) pooled: bool,
    /// What interrupts its guests; none where the process is replaced instead.
    pub(crate) clock: Option<Arc<Ticker>>,
}

/// Why the engines can't start, or don't load an artifact.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No threads for guests.
    #[error("the threads that run guests cannot start")]
    Workers(#[source] std::io::Error),
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
            Self::Workers(_) | Self::Start(_) | Self::Ticker(_) => Code::HostSetup,
            Self::Load(_) => Code::ArtifactRefused,
        }
    }
}

impl Engines {
    /// Engines and threads for `concurrency` events at once.
    ///
    /// # Errors
    /// [`EngineError::Workers`].
    pub fn start(concurrency: u32) -> Result<Self, EngineError> {
        let workers = Workers::start(concurrency).map_err(EngineError::Workers)?;
        Ok(Self {
            concurrency,
            made: Mutex::default(),
            workers: ArcSwap::from_pointee(workers),
            watch: Watch::default(),
            spent: AtomicBool::new(false),
            timings: Timings::default(),
        })
    }

    /// The same engines in a start whose phases somebody may want to know.
    #[must_use]
    pub fn timed(mut self, timings: &Timings) -> Self {
        self.timings = timings.clone();
        self.timings.mark("threads for guests started");
        self
    }

    /// Where the time of this start goes.
    pub(crate) fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Whether guests that fit it run from the pool, as far as one was needed.
    pub fn has_pool(&self) -> bool {
        !self.made().pools.values().any(Option::is_none)
    }

    /// Whether this process has to be replaced: a guest past its deadline still has its thread, or the host panicked.
    pub fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Acquire)
    }

    /// Runs a task on a thread for guests, and waits for it until `overdue`; what is not there by then never will be, and
    /// the process is spent.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        task: impl Future<Output = R> + Send + 'static,
        overdue: Option<Instant>,
    ) -> Result<Option<R>, Failure> {
        let is_watched = self.watch.is_watched();
        let late = async {
            match overdue {
                None => std::future::pending().await,
                Some(overdue) if is_watched => self.watch.until(overdue).await,
                Some(overdue) => tokio::time::sleep_until(overdue.into()).await,
            }
        };
        let ran = self.workers.load().run(task, late).await;
        if !matches!(ran, Ok(Some(_))) {
            self.spent.store(true, Ordering::Release);
        }
        if let Ok(None) = ran
            // A front keeps the threads that it runs on. Where there are no others, what comes next is given up as well, and
            // the process replaced.
            && let Ok(workers) = Workers::start(self.concurrency)
        {
            self.workers.store(Arc::new(workers));
        }
        ran
    }

    /// Runs a front on the threads of the guests, so that no event has to come from another runtime and go back there. This
    /// thread waits, and watches over guests that nobody can stop.
    ///
    /// # Errors
    /// [`Code::HostPanic`] when the front panicked.
    pub async fn carry<R: Send + 'static>(
        &self,
        front: impl Future<Output = R> + Send + 'static,
    ) -> Result<R, Failure> {
        let workers = self.workers.load_full();
        let never = std::future::pending::<()>();
        let ran = std::pin::pin!(workers.run(front, never));
        // The watch first: no guest may run before somebody watches over it.
        match futures_util::future::select(std::pin::pin!(self.watch.watch()), ran).await {
            Either::Left((never, _)) => match never {},
            Either::Right((ran, _)) => {
                let gone = || Failure::new(Code::HostPanic, "the front was given up");
                ran?.ok_or_else(gone)
            }
        }
    }

    /// Lets go of what an event left behind, where no task catches a panic in that: the event has its answer, and the process
    /// is spent.
    #[cfg(feature = "lambda")]
    pub(crate) fn let_go<R>(&self, remains: R) {
        let gone = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(remains)));
        if gone.is_err() {
            self.spent.store(true, Ordering::Release);
        }
    }

    /// Makes the engine that an artifact will need, before there is one.
    ///
    /// # Errors
    /// [`EngineError`].
    pub(crate) fn expect(&self, way: Interruption) -> Result<(), EngineError> {
        self.pool(way, &self.timings).map(drop)
    }

    fn pool(&self, way: Interruption, timings: &Timings) -> Result<Option<Engine>, EngineError> {
        let mut made = self.made();
        if let Some(pool) = made.pools.get(&way) {
            return Ok(pool.clone());
        }
        let pool = made.pool(way, self.concurrency)?;
        timings.mark("engine made");
        Ok(pool)
    }

    /// Maps an artifact for the pool, or on demand where it does not fit a place of the pool.
    /// Another stack than the default has an engine of its own, without a pool.
    pub(crate) fn load(
        &self,
        artifact: &Artifact,
        stack: Bytes,
        timings: &Timings,
    ) -> Result<Loaded, EngineError> {
        let way = artifact.interruption();
        let pool = match stack == STACK {
            true => self.pool(way, timings)?,
            false => None,
        };
        let mapped = pool.and_then(|pool| Some((native::map(&pool, artifact).ok()?, pool)));
        let pooled = mapped.is_some();
        let (component, engine) = match mapped {
            Some(mapped) => mapped,
            None => {
                let engine = self.made().on_demand(way, stack)?;
                let component = native::map(&engine, artifact)
                    .map_err(|error| EngineError::Load(format!("{error:#}")))?;
                (component, engine)
            }
        };
        let clock = match way {
            Interruption::Epoch => self.made().ticker.clone(),
            Interruption::Replace => None,
        };
        Ok(Loaded {
            engine,
            component,
            pooled,
            clock,
        })
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        // Whoever held it left whole maps behind.
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Made {
    /// The pool reserves 4 GiB of addresses for each memory. Containers and small processors may not have them: then every
    /// guest runs on demand, slower to start, and otherwise the same.
    fn pool(&mut self, way: Interruption, concurrency: u32) -> Result<Option<Engine>, EngineError> {
        let pool = Engine::new(&settings::pooling(way, concurrency)).ok();
        if let Some(engine) = &pool {
            self.clocked(way, engine)?;
        }
        self.pools.insert(way, pool.clone());
        Ok(pool)
    }

    fn on_demand(&mut self, way: Interruption, stack: Bytes) -> Result<Engine, EngineError> {
        if let Some(engine) = self.on_demand.get(&(way, stack)) {
            return Ok(engine.clone());
        }
        let engine = Engine::new(&settings::on_demand(way, stack))
            .map_err(|error| EngineError::Start(format!("{error:#}")))?;
        self.clocked(way, &engine)?;
        self.on_demand.insert((way, stack), engine.clone());
        Ok(engine)
    }

    /// Lets the clock advance an engine's epoch, if it has one.
    fn clocked(&mut self, way: Interruption, engine: &Engine) -> Result<(), EngineError> {
        if way == Interruption::Replace {
            return Ok(());
        }
        let ticker = match &self.ticker {
            Some(ticker) => ticker,
            None => {
                let started = Ticker::start().map_err(EngineError::Ticker)?;
                self.ticker.insert(Arc::new(started))
            }
        };
        ticker.add(engine.weak());
        Ok(())
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
    /// How guests are to be stopped, if there is an artifact for that.
    pub interruption: Interruption,
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
        // One that costs more is better than none, but not than one that can be made.
        let usable = if self.can_compile() { 1 } else { usize::MAX };
        for engine in EngineKey::here(self.interruption).into_iter().take(usable) {
            if let Some(package) = &self.package
                && let Some(artifact) = package
                    .find(component, &engine)
                    .map_err(ObtainError::Artifact)?
            {
                return Ok(Some((artifact, Origin::Package)));
            }
            if let Some(artifact) = self.cached(component, &engine)? {
                return Ok(Some((artifact, Origin::Cache)));
            }
        }
        Ok(None)
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
        let target = (key::Baseline::of_this_machine(), self.interruption);
        let engine = EngineKey::new(target.0, target.1);
        let (Some(compiler), Some(cache)) = (&self.compiler, &self.cache) else {
            return Err(ObtainError::Missing {
                component: component.digest(),
                engine,
            });
        };
        let code = compiler
            .compile(component, target)
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
            engine: EngineKey::new(key::Baseline::of_this_machine(), self.interruption),
        })
    }
}

#[cfg(all(test, feature = "lambda"))]
mod tests {
    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a bug")
        }
    }

    #[test]
    fn a_panic_while_an_event_is_let_go_of_is_caught_and_ends_the_process() {
        let engines = Engines::start(1).unwrap();
        engines.let_go(());
        assert!(!engines.is_spent());
        engines.let_go(Bomb);
        assert!(engines.is_spent());
    }
}
