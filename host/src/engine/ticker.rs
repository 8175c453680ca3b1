//! The clock that interrupts guests: a thread that advances the epoch each millisecond while a guest runs, and sleeps
//! when none does. A thread and no timer of the async runtime, since a guest that never yields would starve that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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

#[derive(Debug, Default)]
struct State {
    running: AtomicUsize,
    stopped: AtomicBool,
}

impl Ticker {
    pub(super) fn start(engines: Vec<EngineWeak>) -> std::io::Result<Self> {
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let handle = std::thread::Builder::new()
            .name("ticker".to_owned())
            .spawn(move || tick(&shared, &engines))?;
        Ok(Self {
            state,
            thread: handle.thread().clone(),
            handle: Some(handle),
        })
    }

    /// Keeps the clock going until the guard is dropped.
    pub(crate) fn running(&self) -> Running {
        if self.state.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.thread.unpark();
        }
        Running(Arc::clone(&self.state))
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

fn tick(state: &State, engines: &[EngineWeak]) {
    while !state.stopped.load(Ordering::Acquire) {
        if state.running.load(Ordering::Acquire) == 0 {
            // An `unpark` between the look and this call is remembered, so no start is missed.
            std::thread::park();
            continue;
        }
        std::thread::park_timeout(TICK);
        for engine in engines.iter().filter_map(EngineWeak::upgrade) {
            engine.increment_epoch();
        }
    }
}
