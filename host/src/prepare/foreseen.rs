//! Native code that a start will most likely ask for: what served last, if the cache has it. It is proven and copied on a
//! thread of its own while the store is still being asked what is to serve.

use super::{Conditions, Native, check_memory};
use crate::component::Digest;
use crate::engine::artifact::{Artifact, Statement};
use crate::engine::key::EngineKey;
use crate::reader::Reader;
use tokio::task::JoinHandle;

/// What is being made ready, and may turn out to be of no use.
#[derive(Debug)]
pub(crate) struct Foreseen(JoinHandle<Option<(Statement, Artifact)>>);

impl Foreseen {
    /// Begins with the native code of a component, if this host takes it from a store whose word counts.
    pub(crate) fn begin(
        reader: &Reader,
        conditions: &Conditions,
        component: Digest,
    ) -> Option<Self> {
        let Native::Stored(way) = conditions.native else {
            return None;
        };
        if !reader.trust().is_signed() {
            return None;
        }
        let (reader, memory) = (reader.clone(), conditions.memory);
        Some(Self(tokio::task::spawn_blocking(move || {
            let statement = reader.cached_statement(component, &EngineKey::here(way))?;
            if let Some(memory) = memory {
                check_memory(&memory, 0, statement.size).ok()?;
            }
            let artifact = reader.copied_artifact(&statement)?;
            Some((statement, artifact))
        })))
    }

    /// The native code of a statement; none if another was foreseen, or nothing came of it. Can be dropped and asked again.
    pub(super) async fn ready(&mut self, statement: &Statement) -> Option<Artifact> {
        // A panic on that thread leaves the ordinary way.
        let (ready, artifact) = (&mut self.0).await.ok()??;
        (ready == *statement).then_some(artifact)
    }
}
