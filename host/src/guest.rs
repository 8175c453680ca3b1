//! A loaded component: linked once, run in a fresh instance for each event. Knows engines and interfaces; nothing of
//! fronts, files or where the artifact came from.

mod failure;
mod limiter;
mod shape;

use crate::bindings::crunchbox::function::types::Failure as GuestFailure;
use crate::bindings::{Hosted, HostedPre};
use crate::config::Config;
use crate::engine::artifact::Artifact;
use crate::engine::{EngineError, Engines, Loaded, Running};
use crate::error::{Code, Failure, Fault};
use crate::event::{
    Identity, Invocation, Outcome, RESPONSE_BYTES_MAX, Usage, check_event, check_response,
};
use crate::interface::config::EventConfig;
use crate::interface::invocation::Facts;
use crate::interface::log::EventLog;
use crate::interface::output::Output;
use crate::interface::{config, invocation, log};
use crate::quantity::Bytes;
use crate::secret::Vault;
use crate::telemetry::{Log, Scope, Source};
use limiter::MemoryLimiter;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::{InstancePre, Linker, ResourceTable};
use wasmtime::{Engine, Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

pub use shape::{HANDLER, OFFERED, Shape, is_offered};

/// Bytes a guest may have the host copy in one call, and in its result: the largest response, its failure beside it,
/// and room for what interpreters pass at once.
const HOST_CALL_BYTES_MAX: usize = 16 << 20;
/// Resource handles, and what stands behind them. An interpreter uses some tens.
const HANDLES_MAX: usize = 10_000;
/// Random bytes in one call; a seed takes 32.
const RANDOM_BYTES_MAX: u64 = 1 << 20;

/// The longest that making an instance may take before a guest replaces another.
pub const SMOKE_TIME: Duration = Duration::from_secs(1);

/// What a guest may use up.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest an event may take.
    pub time: Duration,
    /// All memories and tables together.
    pub memory: Bytes,
    /// The longest response, in bytes.
    pub response: usize,
}

impl Default for Limits {
    /// What `crunchbox run` gives: a minute, the smallest Lambda's memory, Lambda's response limit.
    fn default() -> Self {
        Self {
            time: Duration::from_secs(60),
            memory: Bytes::mebi(128),
            response: RESPONSE_BYTES_MAX,
        }
    }
}

/// All that makes a guest of an artifact.
#[derive(Debug, Clone)]
pub struct Parts {
    /// What it is called and where it comes from.
    pub identity: Identity,
    /// What it may use up.
    pub limits: Limits,
    /// What it is configured with.
    pub config: Config,
    /// Where the secrets of its configuration are had from.
    pub vault: Vault,
}

/// A component, loaded and linked. Shared by all its events.
pub struct Guest {
    pre: HostedPre<GuestState>,
    identity: Arc<Identity>,
    config: Config,
    vault: Vault,
    limits: Limits,
    artifact_bytes: u64,
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest")
            .field("identity", &self.identity)
            .field("limits", &self.limits)
            .finish()
    }
}

/// Why a component does not become a guest.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The artifact does not load.
    #[error("{0}")]
    Engine(#[source] EngineError),
    /// There is nothing to call.
    #[error("the component exports no handler: expected `{HANDLER}`, got {}", listed(.exports))]
    NoHandler {
        /// What it exports instead.
        exports: Vec<String>,
    },
    /// It wants what nobody offers.
    #[error("the component imports what this host does not offer: {}; offered are {}", listed(.imports), OFFERED.join(", "))]
    ImportNotOffered {
        /// Interfaces outside the offered packages.
        imports: Vec<String>,
    },
    /// It names an offered interface, but has another idea of what is in it.
    #[error("the component does not fit `crunchbox:function`: {problem}")]
    Mismatch {
        /// The function or type, what was expected and what was found.
        problem: String,
    },
}

impl Fault for LoadError {
    fn code(&self) -> Code {
        match self {
            Self::Engine(error) => error.code(),
            Self::NoHandler { .. } | Self::ImportNotOffered { .. } | Self::Mismatch { .. } => {
                Code::ComponentWrongWorld
            }
        }
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

impl Guest {
    /// Loads and links an artifact.
    ///
    /// # Errors
    /// [`LoadError`], naming the export or import that does not fit and what was expected.
    pub fn load(engines: &Engines, artifact: &Artifact, parts: Parts) -> Result<Self, LoadError> {
        let loaded = engines.load(artifact).map_err(LoadError::Engine)?;
        let shape = Shape::of_loaded(&loaded);
        let missing = shape.not_offered();
        if !missing.is_empty() {
            return Err(LoadError::ImportNotOffered { imports: missing });
        }
        if !shape.has_handler() {
            return Err(LoadError::NoHandler {
                exports: shape.exports,
            });
        }
        let pre = link(&loaded).map_err(|error| LoadError::Mismatch {
            problem: format!("{error:#}"),
        })?;
        Ok(Self {
            pre,
            identity: Arc::new(parts.identity),
            config: parts.config,
            vault: parts.vault,
            limits: parts.limits,
            artifact_bytes: artifact.bytes(),
        })
    }

    /// The same code with another configuration.
    #[must_use]
    pub fn configured(&self, config: Config) -> Self {
        let identity = Identity {
            config: config.digest().to_string(),
            ..Identity::clone(&self.identity)
        };
        Self {
            pre: self.pre.clone(),
            identity: Arc::new(identity),
            config,
            vault: self.vault.clone(),
            limits: self.limits,
            artifact_bytes: self.artifact_bytes,
        }
    }

    /// What it is configured with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What it may use up.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What it is called and where it comes from.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// The size of its native code, which stays in memory as long as it does.
    pub fn artifact_bytes(&self) -> u64 {
        self.artifact_bytes
    }

    /// Makes one instance under the guest's own limits, and lets it go.
    ///
    /// # Errors
    /// The failure that an event would have met before its handler was called.
    pub(crate) async fn smoke(
        &self,
        log: Log,
        running: Running,
        time: Duration,
    ) -> Result<(), Failure> {
        let allowed = self.limits.time.min(time);
        let deadline = Instant::now() + allowed;
        let event_log = EventLog::new(log, Scope::of(&self.identity, "smoke-test"));
        let facts = self.facts(Invocation::default(), deadline);
        let mut store = self.store(facts, event_log.clone());
        let made = self.pre.instantiate_async(&mut store);
        let made = tokio::time::timeout_at(deadline.into(), made).await;
        drop(running);
        event_log.finish();
        match made {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failure::no_instance(&error, store.data(), allowed)),
            Err(_) => Err(failure::timed_out(allowed)),
        }
    }

    fn facts(&self, invocation: Invocation, deadline: Instant) -> Facts {
        Facts {
            identity: Arc::clone(&self.identity),
            invocation,
            deadline,
            memory_limit: self.limits.memory.as_usize(),
        }
    }

    /// Handles one event in an instance of its own.
    pub(crate) async fn invoke(
        &self,
        mut invocation: Invocation,
        log: Log,
        running: Running,
    ) -> Outcome {
        let event = match check_event(std::mem::take(&mut invocation.event)) {
            Ok(event) => event,
            Err(failure) => return Outcome::refused(failure),
        };
        let started = Instant::now();
        let own = started + self.limits.time;
        let deadline = invocation.deadline.map_or(own, |callers| callers.min(own));
        let event_log = EventLog::new(log, Scope::of(&self.identity, &invocation.request_id));
        let facts = self.facts(invocation, deadline);
        let mut store = self.store(facts, event_log.clone());
        let mut clock = Clock::default();
        let call = self.call(&mut store, &event, &mut clock);
        let result = tokio::time::timeout_at(deadline.into(), call).await;
        let ended = Instant::now();
        drop(running);
        let allowed = deadline.saturating_duration_since(started);
        let result = match result {
            Err(_) => Err(failure::timed_out(allowed)),
            Ok(Err(Stop::Instance(error))) => {
                Err(failure::no_instance(&error, store.data(), allowed))
            }
            Ok(Err(Stop::Call(error))) => Err(failure::trapped(&error, store.data(), allowed)),
            Ok(Ok(Err(returned))) => Err(failure::returned(returned)),
            Ok(Ok(Ok(response))) => {
                check_response(&response, self.limits.response).map(|()| response)
            }
        };
        let lines = event_log.finish();
        let result = result.map_err(|failure| event_log.masked(failure));
        let usage = Usage {
            instantiate: clock.instance.unwrap_or(ended) - started,
            call: clock
                .instance
                .map_or(Duration::ZERO, |instance| ended - instance),
            memory_peak: store.data().limiter.peak(),
            memory_limit: self.limits.memory.as_usize(),
            log_lines: lines.written,
            log_cut: lines.cut,
        };
        Outcome {
            served: Some(Arc::clone(&self.identity)),
            result,
            usage,
        }
    }

    async fn call(
        &self,
        store: &mut Store<GuestState>,
        event: &str,
        clock: &mut Clock,
    ) -> Result<Result<String, GuestFailure>, Stop> {
        let instance = self.pre.instantiate_async(&mut *store).await;
        let instance: Hosted = instance.map_err(Stop::Instance)?;
        clock.instance = Some(Instant::now());
        let handler = instance.crunchbox_function_handler();
        handler.call_handle(store, event).await.map_err(Stop::Call)
    }

    fn store(&self, facts: Facts, log: EventLog) -> Store<GuestState> {
        let deadline = facts.deadline;
        let config = EventConfig {
            config: self.config.clone(),
            vault: self.vault.clone(),
            log: log.clone(),
        };
        let state = GuestState::new(facts, config, log);
        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(HOST_CALL_BYTES_MAX);
        store.set_max_component_handles(HANDLES_MAX);
        // At each tick the guest lets others have the thread, a timer among them; past its deadline it is stopped.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_: StoreContextMut<'_, GuestState>| {
            Ok(if Instant::now() >= deadline {
                UpdateDeadline::Interrupt
            } else {
                UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
            })
        });
        store
    }
}

/// When an event's instance was there; survives the call being dropped at its deadline.
#[derive(Debug, Default)]
struct Clock {
    instance: Option<Instant>,
}

/// What stopped a guest: there was no instance, or the call into it did not return.
enum Stop {
    Instance(wasmtime::Error),
    Call(wasmtime::Error),
}

fn link(loaded: &Loaded) -> wasmtime::Result<HostedPre<GuestState>> {
    let linker = linker(&loaded.engine)?;
    let pre: InstancePre<GuestState> = linker.instantiate_pre(&loaded.component)?;
    HostedPre::new(pre)
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    invocation::add_to_linker(&mut linker, |state: &mut GuestState| &state.facts)?;
    config::add_to_linker(&mut linker, |state: &mut GuestState| &state.config)?;
    log::add_to_linker(&mut linker, |state: &mut GuestState| &state.log)?;
    Ok(linker)
}

/// What belongs to one event, and goes with it.
pub(crate) struct GuestState {
    wasi: WasiCtx,
    table: ResourceTable,
    limiter: MemoryLimiter,
    facts: Facts,
    config: EventConfig,
    log: EventLog,
}

impl GuestState {
    fn new(facts: Facts, config: EventConfig, log: EventLog) -> Self {
        let wasi = WasiCtx::builder()
            .stdout(Output {
                log: log.clone(),
                source: Source::Stdout,
            })
            .stderr(Output {
                log: log.clone(),
                source: Source::Stderr,
            })
            .max_random_size(RANDOM_BYTES_MAX)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        let limiter = MemoryLimiter::new(facts.memory_limit);
        Self {
            wasi,
            table,
            limiter,
            facts,
            config,
            log,
        }
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}
