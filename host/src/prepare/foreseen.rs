//! Native code that a start will most likely ask for: what served last, if the cache has it. It is proven, copied, mapped and
//! linked on a thread of its own while the store is still being asked what is to serve.

use super::{Conditions, Native, check_memory};
use crate::component::Digest;
use crate::engine::Engines;
use crate::engine::artifact::{Artifact, Statement};
use crate::engine::key::EngineKey;
use crate::guest::Linked;
use crate::limit::STACK;
use crate::reader::Reader;
use crate::telemetry::Timings;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;

/// What is being made ready, and may turn out to be of no use.
#[derive(Debug)]
pub(crate) struct Foreseen {
    component: Digest,
    /// Something else turned out to serve.
    is_unwanted: Arc<AtomicBool>,
    task: JoinHandle<Option<Ready>>,
}

#[derive(Debug)]
struct Ready {
    statement: Statement,
    artifact: Artifact,
    /// None if it does not load; whoever has a use for it will hear why.
    linked: Option<Linked>,
}

impl Foreseen {
    /// Begins with the native code of a component, if this host takes it from a store whose word counts.
    pub(crate) fn begin(
        reader: &Reader,
        conditions: &Conditions,
        engines: &Arc<Engines>,
        component: Digest,
    ) -> Option<Self> {
        let Native::Stored(way) = conditions.native else {
            return None;
        };
        if !reader.trust().is_signed() {
            return None;
        }
        let (reader, memory) = (reader.clone(), conditions.memory);
        let engines = Arc::clone(engines);
        // Nobody waits for this, so it is no phase of the start.
        let timings = Timings::default();
        let is_unwanted = Arc::<AtomicBool>::default();
        let unwanted = Arc::clone(&is_unwanted);
        let task = tokio::task::spawn_blocking(move || {
            let statement = reader.cached_statement(component, &EngineKey::here(way))?;
            if let Some(memory) = memory {
                check_memory(&memory, 0, statement.size).ok()?;
            }
            let artifact = reader.copied_artifact(&statement)?;
            if unwanted.load(Ordering::Relaxed) {
                return None;
            }
            let linked = Linked::load(&engines, &artifact, STACK, &timings).ok();
            Some(Ready {
                statement,
                artifact,
                linked,
            })
        });
        Some(Self {
            component,
            is_unwanted,
            task,
        })
    }

    /// The native code of a statement, linked for the usual stack if it can be; none if another was foreseen, or nothing came
    /// of it. Can be dropped and asked again.
    pub(super) async fn ready(
        &mut self,
        statement: &Statement,
    ) -> Option<(Artifact, Option<Linked>)> {
        if statement.component != self.component {
            // Waited for all the same: its memory is gone then.
            self.is_unwanted.store(true, Ordering::Relaxed);
        }
        // A panic on that thread leaves the ordinary way.
        let ready = (&mut self.task).await.ok()??;
        (ready.statement == *statement).then_some((ready.artifact, ready.linked))
    }
}
