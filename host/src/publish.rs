//! What writes a store: releases, native code, channels, housekeeping. Never part of the deployed program; a host only
//! reads. Every write is an object that was not there, or a channel that is still what it was when it was read.

mod artifact;
mod channel;
mod copy;
pub mod inventory;
mod key;
mod release;
mod resign;

use crate::address::FunctionName;
use crate::error::{Code, Failure};
use crate::grant::Ceiling;
use crate::reader::Reader;
use crate::release::{Author, Envelope};
use crate::store::{self, Condition, Store, StoreError, Tag};
use crate::template::Template;
use crate::trust::{KeyId, Role};
use bytes::Bytes;
use std::sync::Arc;

pub use artifact::{Precompiled, TARGETS};
pub use channel::{Move, Moved, Proposal, Terms, Until};
pub use copy::Copied;
pub use key::{Keyring, SecretKey};
pub use release::Sealed;
pub use resign::Resigned;

/// The object that tells whether a store keeps conditions; it stays, so that telling takes one request from then on.
pub const PROBE: &str = ".crunchbox-probe";

/// Writes one function's objects.
#[derive(Debug)]
pub struct Publisher {
    /// Reads what is there, verified.
    pub reader: Reader,
    /// Signs.
    pub keys: Keyring,
    /// Who does all this.
    pub author: Author,
    /// The most that the policy lets releases reach.
    pub ceiling: Ceiling,
    /// Files of configuration that hosts read beside what is published.
    pub watched: Vec<Template>,
}

/// How an object came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It was written now.
    Now,
    /// The same bytes were there before.
    Before,
}

impl Publisher {
    fn store(&self) -> &Arc<dyn Store> {
        self.reader.store()
    }

    fn function(&self) -> &FunctionName {
        self.reader.function()
    }

    /// Signs a text for a role by every key here that counts for it. Nothing where the store is not signed.
    fn sign(&self, role: Role, text: &str, comment: &str) -> Result<Vec<(KeyId, String)>, Failure> {
        if !self.reader.trust().is_signed() {
            return Ok(Vec::new());
        }
        let mut signatures = Vec::new();
        for trusted in self.reader.trust().keys_for(role, self.function()) {
            if let Some(secret) = self.keys.find(trusted)? {
                signatures.push((trusted.id.clone(), secret.sign(text.as_bytes(), comment)?));
            }
        }
        if signatures.is_empty() {
            return Err(self
                .keys
                .missing(self.reader.trust(), role, self.function()));
        }
        Ok(signatures)
    }

    fn envelope(&self, role: Role, payload: String, comment: &str) -> Result<Envelope, Failure> {
        let signatures = self.sign(role, &payload, comment)?;
        Ok(Envelope {
            payload,
            signatures: signatures.into_iter().map(|(_, text)| text).collect(),
        })
    }

    /// Writes an object that is named by what it holds. After a refusal or a lost answer the object itself says whether
    /// it is there.
    async fn put_new(&self, key: &str, bytes: Bytes) -> Result<Written, Failure> {
        put_new(&**self.store(), key, bytes).await
    }

    /// Checks that the store keeps conditions: some servers take every write and say nothing. Two people who promote at
    /// once would both be told that they won.
    ///
    /// # Errors
    /// [`Code::StoreUnusable`].
    pub async fn probe(&self) -> Result<(), Failure> {
        let bytes =
            Bytes::from_static(b"kept by crunchbox, to see whether conditional writes are kept\n");
        let ignored = |condition: &str| {
            Failure::new(
                Code::StoreUnusable,
                format!("{} takes a write though its condition `{condition}` does not hold", self.store().location()),
            )
            .with_hint("use a store with conditional writes, such as S3, MinIO or a folder; without them a move can be lost")
        };
        let first = self
            .store()
            .put(PROBE, bytes.clone(), Condition::Absent)
            .await;
        match first {
            Err(StoreError::Conflict { .. }) => {}
            Ok(_) => match self
                .store()
                .put(PROBE, bytes.clone(), Condition::Absent)
                .await
            {
                Err(StoreError::Conflict { .. }) => {}
                Ok(_) => return Err(ignored("If-None-Match: *")),
                Err(error) => return Err(error.into()),
            },
            Err(error) => return Err(error.into()),
        }
        let nonsense = Condition::Matches(Tag("\"00000000000000000000000000000000\"".to_owned()));
        match self.store().put(PROBE, bytes, nonsense).await {
            Err(StoreError::Conflict { .. }) => Ok(()),
            Ok(_) => Err(ignored("If-Match")),
            Err(error) => Err(error.into()),
        }
    }
}

async fn put_new(store: &dyn Store, key: &str, bytes: Bytes) -> Result<Written, Failure> {
    let error = match store.put(key, bytes.clone(), Condition::Absent).await {
        Ok(_) => return Ok(Written::Now),
        Err(error @ (StoreError::Conflict { .. } | StoreError::Unreachable { .. })) => error,
        Err(error) => return Err(error.into()),
    };
    let limit = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    match store::read(store, key, limit).await {
        Ok((found, _)) if found == bytes => Ok(match error {
            StoreError::Conflict { .. } => Written::Before,
            _ => Written::Now,
        }),
        Ok(_) | Err(StoreError::TooLong { .. }) => Err(Failure::new(
            Code::ObjectDamaged,
            format!(
                "`{key}` in {} is there with other bytes than it is named by",
                store.location()
            ),
        )),
        Err(_) => Err(error.into()),
    }
}
