//! A loaded component: linked once, run in a fresh instance for each event. Knows engines and interfaces; nothing of
//! fronts, files or where the artifact came from.

mod failure;
mod figures;
mod limiter;
mod link;
mod shape;
mod watch;

use crate::bindings::crunchbox::function::types::Failure as GuestFailure;
use crate::bindings::{Hosted, HostedPre};
use crate::config::Config;
use crate::engine::artifact::Artifact;
use crate::engine::{EngineError, Engines, Running, Ticker};
use crate::error::{Code, Failure, Fault};
use crate::event::{Identity, Invocation, Outcome, Usage, check_event, check_response};
use crate::interface::config::EventConfig;
use crate::interface::http::Requests;
use crate::interface::invocation::Facts;
use crate::interface::output::Output;
use crate::interface::scratch::Scratch;
use crate::interface::sockets::Connections;
use crate::interface::{objects, random, scratch, sockets};
use crate::limit::Limits;
use crate::meter::{Kind, Meter, Refusals};
use crate::quantity::Bytes;
use crate::reach::Reach;
use crate::secret::Vault;
use crate::telemetry::Source;
use limiter::MemoryLimiter;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::ResourceTable;
use wasmtime::{Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::filesystem::WasiFilesystemCtxView;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};
use watch::{Seen, Term};

pub(crate) use link::Linked;
pub use shape::{HANDLER, OFFERED, Shape, is_offered};

/// What a guest sees its own folder as: where languages look for temporary files.
const SCRATCH: &str = "/tmp";

/// The longest that making an instance may take before a guest replaces another.
pub const SMOKE_TIME: Duration = Duration::from_secs(1);

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
    /// What it may reach.
    pub reach: Reach,
}

/// A component, loaded and linked. Shared by all its events.
pub struct Guest {
    pre: HostedPre<GuestState>,
    identity: Arc<Identity>,
    config: Config,
    vault: Vault,
    limits: Limits,
    reach: Arc<Reach>,
    refusals: Refusals,
    artifact_bytes: u64,
    /// What interrupts it past its deadline; none where the process is replaced instead.
    clock: Option<Arc<Ticker>>,
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
        let linked = Linked::load(engines, artifact, parts.limits.stack, engines.timings())?;
        Ok(Self::new(linked, parts))
    }

    /// What is linked already, with all else that makes a guest.
    pub(crate) fn new(linked: Linked, parts: Parts) -> Self {
        Self {
            pre: linked.pre,
            identity: Arc::new(parts.identity),
            config: parts.config,
            vault: parts.vault,
            limits: parts.limits,
            reach: Arc::new(parts.reach),
            refusals: Refusals::default(),
            artifact_bytes: linked.bytes,
            clock: linked.clock,
        }
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
            reach: Arc::clone(&self.reach),
            refusals: self.refusals.clone(),
            artifact_bytes: self.artifact_bytes,
            clock: self.clock.clone(),
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
    async fn smoke(&self, seen: Seen, term: Term) -> Result<(), Failure> {
        let running = self.running();
        let facts = self.facts(Invocation::default(), term.deadline);
        // No grants: nothing outside should see that a release is tried.
        let mut store = match self.store(facts, &seen, Arc::default()) {
            Ok(store) => store,
            Err(failure) => return Err(failure),
        };
        let made = self.pre.instantiate_async(&mut store);
        let made = tokio::time::timeout_at(term.deadline.into(), made).await;
        drop(running);
        seen.log.finish();
        let allowed = term.allowed(&self.limits);
        match made {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failure::no_instance(&error, store.data(), &allowed)),
            Err(_) => Err(failure::timed_out(&allowed)),
        }
    }

    /// Keeps its clock going until the guard is dropped.
    fn running(&self) -> Option<Running> {
        self.clock.as_ref().map(|clock| clock.running())
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
    async fn invoke(
        &self,
        mut invocation: Invocation,
        seen: Seen,
        term: Term,
    ) -> (Outcome, Remains) {
        let refused = |failure| (Outcome::refused(failure), Remains::default());
        let event = match check_event(std::mem::take(&mut invocation.event)) {
            Ok(event) => event,
            Err(failure) => return refused(failure),
        };
        let running = self.running();
        let facts = self.facts(invocation, term.deadline);
        let reach = Arc::clone(&self.reach);
        let mut store = match self.store(facts, &seen, reach) {
            Ok(store) => store,
            Err(failure) => return refused(failure),
        };
        let mut clock = Clock::default();
        let call = self.call(&mut store, &event, &mut clock);
        let call = tokio::time::timeout_at(term.deadline.into(), call);
        let (result, cpu) = figures::on_cpu(call).await;
        let ended = Instant::now();
        drop(running);
        let allowed = term.allowed(&self.limits);
        let result = match result {
            Err(_) => Err(failure::timed_out(&allowed)),
            Ok(Err(Stop::Instance(error))) => {
                Err(failure::no_instance(&error, store.data(), &allowed))
            }
            Ok(Err(Stop::Call(error))) => Err(failure::trapped(&error, store.data(), &allowed)),
            Ok(Ok(Err(returned))) => Err(failure::returned(returned)),
            Ok(Ok(Ok(response))) => {
                check_response(&response, self.limits.response).map(|()| response)
            }
        };
        store.data().count_scratch();
        let lines = seen.log.finish();
        let result = result.map_err(|failure| seen.log.masked(failure));
        let state = store.data();
        let usage = Usage {
            instantiate: clock.instance.unwrap_or(ended) - term.started,
            call: clock
                .instance
                .map_or(Duration::ZERO, |instance| ended - instance),
            cpu,
            memory_peak: seen.peak(),
            memory_limit: self.limits.memory.as_usize(),
            scratch_peak: state.scratch_peak(),
            grants: seen.meter.account(),
            log_lines: lines.written,
            log_cut: lines.cut,
        };
        if let Some(scratch) = store.data_mut().scratch.take() {
            scratch.remove().await;
        }
        let outcome = Outcome {
            served: Some(Arc::clone(&self.identity)),
            result,
            usage,
        };
        let remains = Remains {
            _store: Some(Box::new(store)),
        };
        (outcome, remains)
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

    fn store(
        &self,
        facts: Facts,
        seen: &Seen,
        reach: Arc<Reach>,
    ) -> Result<Store<GuestState>, Failure> {
        let deadline = facts.deadline;
        let config = EventConfig {
            config: self.config.clone(),
            vault: self.vault.clone(),
            log: seen.log.clone(),
            meter: seen.meter.clone(),
        };
        let limiter = MemoryLimiter::new(&self.limits, Arc::clone(&seen.memory));
        let state = GuestState::new(&self.limits, limiter, facts, config, reach)?;
        if let Some(scratch) = &state.scratch {
            let _ = seen.scratch.set(Arc::clone(scratch.quota()));
        }
        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(self.limits.host_call);
        store.set_max_component_handles(self.limits.handles);
        if self.clock.is_none() {
            return Ok(store);
        }
        // At each tick the guest lets others have the thread, a timer among them; past its deadline it is stopped.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_: StoreContextMut<'_, GuestState>| {
            Ok(if Instant::now() >= deadline {
                UpdateDeadline::Interrupt
            } else {
                UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
            })
        });
        Ok(store)
    }
}

/// What an event leaves behind: its instance, which still has its place among those that run at once. To let go of it takes
/// as long as to make it; where one event runs at a time, whoever waits for the response need not wait for that.
#[derive(Default)]
pub(crate) struct Remains {
    _store: Option<Box<dyn Send>>,
}

/// What an event was allowed, for the words on what struck.
struct Allowed {
    /// From its start to its deadline.
    time: Duration,
    /// Whether the deadline was the caller's.
    is_callers: bool,
    limits: Limits,
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

/// What belongs to one event, and goes with it.
pub(crate) struct GuestState {
    wasi: WasiCtx,
    table: ResourceTable,
    limiter: MemoryLimiter,
    facts: Facts,
    config: EventConfig,
    meter: Meter,
    requests: Requests,
    connections: Connections,
    objects: objects::Reach,
    scratch: Option<Scratch>,
}

impl GuestState {
    fn new(
        limits: &Limits,
        limiter: MemoryLimiter,
        facts: Facts,
        config: EventConfig,
        reach: Arc<Reach>,
    ) -> Result<Self, Failure> {
        let output = |source| Output {
            log: config.log.clone(),
            source,
        };
        let mut wasi = WasiCtx::builder();
        wasi.stdout(output(Source::Stdout))
            .stderr(output(Source::Stderr))
            .envs(&reach.variables)
            .secure_random(random::System)
            .insecure_random(random::System)
            .insecure_random_seed(random::seed())
            .max_random_size(limits.random);
        let scratch = match reach.scratch {
            Some(quota) => Some(scratch_folder(&mut wasi, &reach, quota)?),
            None => None,
        };
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        let meter = config.meter.clone();
        Ok(Self {
            wasi: wasi.build(),
            table,
            limiter,
            facts,
            config,
            requests: Requests::new(Arc::clone(&reach), meter.clone()),
            connections: Connections::new(Arc::clone(&reach), meter.clone()),
            objects: objects::Reach::new(&reach, meter.clone()),
            meter,
            scratch,
        })
    }

    fn sockets(&mut self) -> sockets::View<'_> {
        sockets::View {
            connections: &mut self.connections,
            table: &mut self.table,
        }
    }

    fn objects(&mut self) -> objects::View<'_> {
        objects::View {
            table: &mut self.table,
            reach: &self.objects,
        }
    }

    fn files(&mut self) -> scratch::Files<'_> {
        scratch::Files {
            wasi: WasiFilesystemCtxView {
                ctx: self.wasi.filesystem(),
                table: &mut self.table,
            },
            quota: self.scratch.as_ref().map(Scratch::quota),
        }
    }

    /// Brings what the folder's quota refused into the account.
    fn count_scratch(&self) {
        if let Some(quota) = self.scratch.as_ref().map(Scratch::quota) {
            let full = "the folder is full: raise `scratch` under [grants] in crunchbox.toml";
            self.meter.refused(Kind::Scratch, quota.refused(), full);
        }
    }

    fn scratch_peak(&self) -> u64 {
        self.scratch
            .as_ref()
            .map_or(0, |scratch| scratch.quota().peak())
    }
}

/// Makes the folder that an event has to itself.
fn scratch_folder(
    wasi: &mut WasiCtxBuilder,
    reach: &Reach,
    quota: Bytes,
) -> Result<Scratch, Failure> {
    let parent = reach.outside.scratch_parent();
    let failed = |problem: String| {
        let message = format!("no scratch folder in `{}`: {problem}", parent.display());
        Failure::new(Code::HostSetup, message)
    };
    let scratch = Scratch::create(&parent, quota).map_err(|error| failed(error.to_string()))?;
    wasi.preopened_dir(scratch.path(), SCRATCH, FsPerms::ReadWrite)
        .map_err(|error| failed(format!("{error:#}")))?;
    Ok(scratch)
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for GuestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.requests.view(&mut self.table)
    }
}
