//! The clock that interrupts guests: a thread that advances the epoch each millisecond while a guest runs, and sleeps
//! when none does. A thread and no timer of the async runtime, since a guest that never yields would starve that.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;
use wasmtime::EngineWeak;

/// How often a running guest is looked at: short against any deadline, long against the cost of a look.
const TICK: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Ticker {
    state: Arc<State>,
    thread: Thread,
    handle: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    running: AtomicUsize,
    stopped: AtomicBool,
    engines: Mutex<Vec<EngineWeak>>,
}

impl Ticker {
    pub(super) fn start() -> std::io::Result<Self> {
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let handle = std::thread::Builder::new()
            .name("ticker".to_owned())
            .spawn(move || tick(&shared))?;
        Ok(Self {
            state,
            thread: handle.thread().clone(),
            handle: Some(handle),
        })
    }

    /// Lets the clock advance an engine's epoch.
    pub(super) fn add(&self, engine: EngineWeak) {
        self.state.engines().push(engine);
    }

    /// Keeps the clock going until the guard is dropped.
    pub(crate) fn running(&self) -> Running {
        if self.state.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.thread.unpark();
        }
        Running(Arc::clone(&self.state))
    }
}

impl State {
    fn engines(&self) -> MutexGuard<'_, Vec<EngineWeak>> {
        // Taken for a push or a pass, neither of which leaves anything half done.
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("State")
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Release);
        self.thread.unpark();
        if let Some(handle) = self.handle.take() {
            let _ = handle.join();
        }
    }
}

/// A guest is running.
#[derive(Debug)]
pub(crate) struct Running(Arc<State>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

fn tick(state: &State) {
    while !state.stopped.load(Ordering::Acquire) {
        if state.running.load(Ordering::Acquire) == 0 {
            // An `unpark` between the look and this call is remembered, so no start is missed.
            std::thread::park();
            continue;
        }
        std::thread::park_timeout(TICK);
        for engine in state.engines().iter().filter_map(EngineWeak::upgrade) {
            engine.increment_epoch();
        }
    }
}
