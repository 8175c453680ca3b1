//! Native code into the store: compiled for the processors that hosts have, each with a signed statement.

use super::{Publisher, Written};
use crate::component::Component;
use crate::engine::artifact::Statement;
use crate::engine::compile::Compiler;
use crate::engine::key::{Baseline, EngineKey, Interruption};
use crate::error::Failure;
use crate::reader::STATEMENT_BYTES_MAX;
use crate::release::{Envelope, SignedStatement};
use crate::trust::Role;

/// The processors of Lambda's machines, and what people call them.
pub const TARGETS: [(Baseline, &str); 2] = [
    (Baseline::X86_64V3, "x86-64"),
    (Baseline::NeoverseN1, "arm64"),
];

/// What became of one target.
#[derive(Debug, Clone)]
pub struct Precompiled {
    /// What people call the processor.
    pub target: &'static str,
    /// The engine.
    pub engine: EngineKey,
    /// The size of the native code in bytes.
    pub bytes: u64,
    /// Whether it was compiled now.
    pub written: Written,
    /// Whether this machine's processor can run it, so that its load was tried.
    pub tried: bool,
}

impl Publisher {
    /// Compiles a component for one target and one way to stop guests, and puts native code and statement into the store,
    /// unless a statement that counts is there.
    ///
    /// # Errors
    /// A classified failure of the compiler, the keys or the store.
    pub async fn precompile(
        &self,
        component: &Component,
        compiler: &Compiler,
        (baseline, target): (Baseline, &'static str),
        interruption: Interruption,
    ) -> Result<Precompiled, Failure> {
        let engine = EngineKey::new(baseline, interruption);
        let tried = baseline == Baseline::of_this_machine();
        // One that is damaged or signed by nobody is as good as none; what is written then takes its place.
        let known = self.reader.statement(component.digest(), &engine).await;
        if let Ok(Some(statement)) = known
            && self.is_there(&statement).await?
        {
            return Ok(Precompiled {
                target,
                engine,
                bytes: statement.size,
                written: Written::Before,
                tried,
            });
        }
        let code = compiler
            .compile(component, (baseline, interruption))
            .await?;
        let statement = Statement::new(component.digest(), engine.clone(), &code);
        if tried {
            try_load(&code, &statement)?;
        }
        let place = self.reader.place();
        self.put_new(&place.artifact(statement.artifact), code.into())
            .await?;
        let comment = format!("{} artifact {}", statement.engine, statement.artifact);
        let payload = SignedStatement::payload(&statement);
        let envelope = self.envelope(Role::Artifact, payload, &comment)?;
        self.put_statement(&statement, &envelope).await?;
        Ok(Precompiled {
            target,
            engine,
            bytes: statement.size,
            written: Written::Now,
            tried,
        })
    }

    /// Whether the native code that a statement names is in the store, as far as its size tells.
    async fn is_there(&self, statement: &Statement) -> Result<bool, Failure> {
        let key = self.reader.place().artifact(statement.artifact);
        let listed = self.store().list(&key).await?;
        Ok(listed.iter().any(|entry| entry.size == statement.size))
    }

    /// Puts a statement where none is, or in the place of one that does not count.
    async fn put_statement(
        &self,
        statement: &Statement,
        envelope: &Envelope,
    ) -> Result<(), Failure> {
        use crate::store::{Condition, StoreError};
        let key = self
            .reader
            .place()
            .statement(statement.component, &statement.engine);
        let bytes = bytes::Bytes::from(envelope.to_text());
        let first = self
            .store()
            .put(&key, bytes.clone(), Condition::Absent)
            .await;
        match first {
            Ok(_) => return Ok(()),
            Err(StoreError::Conflict { .. } | StoreError::Unreachable { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        // Somebody else was quicker, or the answer was lost: whatever counts there is as good as ours.
        if let Ok(Some(_)) = self
            .reader
            .statement(statement.component, &statement.engine)
            .await
        {
            return Ok(());
        }
        let (_, tag) = crate::store::read(&**self.store(), &key, STATEMENT_BYTES_MAX).await?;
        self.store()
            .put(&key, bytes, Condition::Matches(tag))
            .await?;
        Ok(())
    }
}

/// Whether this machine's engine takes the code.
fn try_load(code: &[u8], statement: &Statement) -> Result<(), Failure> {
    use crate::engine::Engines;
    use crate::engine::artifact::Download;
    use crate::guest::Shape;
    let mut copy = Download::new("the artifact".as_ref(), statement)?;
    copy.write(code)?;
    Shape::of(&Engines::start(1)?, &copy.finish()?)?;
    Ok(())
}
