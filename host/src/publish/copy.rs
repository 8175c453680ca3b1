//! Releases from one store to another, as they stand: signatures go along, nothing is signed anew.

use super::{Written, put_new};
use crate::address::ChannelName;
use crate::component::Digest;
use crate::engine::key::EngineKey;
use crate::error::{Code, Failure};
use crate::reader::{DOCUMENT_BYTES_MAX, Reader, SIGNATURE_BYTES_MAX};
use crate::release::{Serves, SignedStatement};
use crate::resolve;
use crate::store::{self, Condition, Store};
use crate::trust::Role;
use bytes::Bytes;

/// What a copy came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Objects written.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Copied {
    /// Copies all that a state names, each object verified before it is written: the release last.
    ///
    /// # Errors
    /// A classified failure of either store, or of an object.
    pub async fn release(from: &Reader, to: &dyn Store, serves: &Serves) -> Result<Self, Failure> {
        let mut copied = Self::default();
        let (place, store) = (from.place(), &**from.store());
        let release = from.release(serves.release).await?;
        let component = from.component(&release).await?;
        let bytes = Bytes::copy_from_slice(component.bytes());
        copied
            .put(to, &place.component(component.digest()), bytes)
            .await?;
        // Names of the other store are never used as they stand: each key is made anew from what was read out of it.
        for entry in store.list(&place.statements(serves.component)).await? {
            if let Some(engine) = place.engine_of(serves.component, &entry.key) {
                copied.artifact(from, to, serves.component, &engine).await?;
            }
        }
        if let Some(config) = serves.config {
            from.config(config).await?;
            let key = place.config(config);
            copied.named(store, to, &key, config).await?;
        }
        let key = place.release(serves.release);
        for entry in store.list(&format!("{key}.")).await? {
            if let Some(signer) = place.signer_of(serves.release, &entry.key) {
                let key = place.signature(serves.release, &signer);
                let (bytes, _) = store::read(store, &key, SIGNATURE_BYTES_MAX).await?;
                copied.put_unless_there(to, &key, bytes).await?;
            }
        }
        copied.named(store, to, &key, serves.release).await?;
        Ok(copied)
    }

    /// Copies a channel's state as it was signed, if it still is what was copied before it, unless the other store's is as new: what a bundle is made of.
    ///
    /// # Errors
    /// A classified failure of either store, or of the channel.
    pub async fn channel(
        from: &Reader,
        to: &Reader,
        name: &ChannelName,
        serves: &Serves,
    ) -> Result<Self, Failure> {
        let mut copied = Self::default();
        let (Some(ours), theirs) = (
            resolve::channel(from, name).await?,
            resolve::channel(to, name).await?,
        ) else {
            return Ok(copied);
        };
        if ours.channel.serves.as_ref() != Some(serves) {
            let message = format!("{}@{name} was moved while it was copied", from.function());
            return Err(Failure::new(Code::ChannelConflict, message));
        }
        let condition = match theirs {
            Some(theirs) if theirs.channel.sequence >= ours.channel.sequence => return Ok(copied),
            Some(theirs) => Condition::Matches(theirs.tag),
            None => Condition::Absent,
        };
        let bytes = Bytes::from(ours.envelope.to_text());
        copied.count(&bytes);
        let key = to.place().channel(name);
        to.store().put(&key, bytes, condition).await?;
        Ok(copied)
    }

    /// Copies native code and the statement on it; what is damaged, missing or vouched for by nobody stays behind.
    async fn artifact(
        &mut self,
        from: &Reader,
        to: &dyn Store,
        component: Digest,
        engine: &EngineKey,
    ) -> Result<(), Failure> {
        let key = &from.place().statement(component, engine);
        let (envelope, _) = from.statement_envelope(key).await?;
        let counts = envelope.verify(from.trust(), Role::Artifact, from.function());
        let (Ok(()), Ok(statement)) = (counts, SignedStatement::read(&envelope)) else {
            return Ok(());
        };
        let code = from.place().artifact(statement.artifact);
        if !from.trust().is_signed() {
            return Ok(());
        }
        let read = store::read(&**from.store(), &code, statement.size).await;
        if let Ok((bytes, _)) = read
            && Digest::of(&bytes) == statement.artifact
        {
            self.put(to, &code, bytes).await?;
            let text = Bytes::from(envelope.to_text());
            self.put_unless_there(to, key, text).await?;
        }
        Ok(())
    }

    /// Copies an object that is named by its digest, byte for byte.
    async fn named(
        &mut self,
        from: &dyn Store,
        to: &dyn Store,
        key: &str,
        digest: Digest,
    ) -> Result<(), Failure> {
        let (bytes, _) = store::read(from, key, DOCUMENT_BYTES_MAX).await?;
        if Digest::of(&bytes) != digest {
            let message = format!("`{key}` changed while it was copied");
            return Err(Failure::new(Code::ObjectDamaged, message));
        }
        self.put(to, key, bytes).await
    }

    async fn put(&mut self, to: &dyn Store, key: &str, bytes: Bytes) -> Result<(), Failure> {
        if put_new(to, key, bytes.clone()).await? == Written::Now {
            self.count(&bytes);
        }
        Ok(())
    }

    /// For signatures: two of one text by one key differ in every byte and say the same.
    async fn put_unless_there(
        &mut self,
        to: &dyn Store,
        key: &str,
        bytes: Bytes,
    ) -> Result<(), Failure> {
        match self.put(to, key, bytes).await {
            Err(failure) if failure.code == Code::ObjectDamaged => Ok(()),
            other => other,
        }
    }

    fn count(&mut self, bytes: &Bytes) {
        self.objects += 1;
        self.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    }
}
