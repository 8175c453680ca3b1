//! New signatures on what is there, when keys change: every release, statement and channel of a function that some key
//! of the policy still vouches for.

use super::channel::{Move, Terms, Until};
use super::{Publisher, Written};
use crate::error::Failure;
use crate::reader::{DOCUMENT_BYTES_MAX, ReadError};
use crate::release::{Envelope, SignedStatement};
use crate::store::Condition;
use crate::trust::{Role, Trust};
use jiff::Timestamp;

/// How many of each were signed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resigned {
    /// What was left as it is, and why.
    pub skipped: Vec<String>,
    /// Releases.
    pub releases: u64,
    /// Statements on artifacts.
    pub statements: u64,
    /// Channels.
    pub channels: u64,
}

impl Publisher {
    /// Adds signatures by the keys that are here. What nobody trusted vouches for is left as it is, unless the store was
    /// not signed at all before: then everything that is sound is signed.
    ///
    /// # Errors
    /// A classified failure of the keys or the store.
    pub async fn resign(
        &self,
        was_unsigned: bool,
        not_after: Option<Timestamp>,
    ) -> Result<Resigned, Failure> {
        let mut done = Resigned::default();
        let before = if was_unsigned {
            self.reader.trusting(Trust::default())
        } else {
            self.reader.clone()
        };
        for listed in super::inventory::releases(&before).await? {
            match listed.release {
                Ok(_) => done.releases += u64::from(self.resign_release(listed.id).await?),
                // Not to have been able to read it says nothing of it.
                Err(ReadError::Store(error)) => return Err(error.into()),
                Err(error) => done.skipped.push(error.to_string()),
            }
        }
        for entry in self.store().list(&self.reader.place().artifacts()).await? {
            if entry.key.ends_with(".json") && self.resign_statement(&entry.key).await? {
                done.statements += 1;
            }
        }
        for (name, signed) in super::inventory::channels(&before).await? {
            let signed = match signed {
                Ok(signed) => signed,
                Err(ReadError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    done.skipped.push(error.to_string());
                    continue;
                }
            };
            if not_after.is_some() && signed.channel.serves.is_some() {
                let terms = Terms {
                    until: not_after.map_or(Until::AsBefore, Until::Moment),
                    ..Terms::default()
                };
                let proposal = self.propose(&name, &Move::Renew, terms).await?;
                self.write(&proposal).await?;
                done.channels += 1;
                continue;
            }
            let comment = format!("{}@{name} {}", self.function(), signed.channel.sequence);
            let key = self.reader.place().channel(&name);
            let more = self.added(Role::Channel, &signed.envelope, &comment)?;
            if let Some(envelope) = more {
                let condition = Condition::Matches(signed.tag);
                self.store()
                    .put(&key, envelope.to_text().into(), condition)
                    .await?;
                done.channels += 1;
            }
        }
        Ok(done)
    }

    async fn resign_release(&self, id: crate::component::Digest) -> Result<bool, Failure> {
        let key = self.reader.place().release(id);
        let (text, _) = crate::store::read(&**self.store(), &key, DOCUMENT_BYTES_MAX).await?;
        // It was verified a moment ago; what is signed now must still be that, not what somebody put there since.
        if crate::component::Digest::of(&text) != id {
            return Ok(false);
        }
        let text = String::from_utf8_lossy(&text);
        let comment = format!("{} release {id}", self.function());
        let mut new = false;
        for (key, signature) in self.sign(Role::Release, &text, &comment)? {
            new |= self.put_signature(id, &text, &key, signature).await? == Written::Now;
        }
        Ok(new)
    }

    /// A statement is signed only if a trusted key vouches for it: nobody can see from native code what it does.
    async fn resign_statement(&self, key: &str) -> Result<bool, Failure> {
        let (envelope, tag) = self.reader.statement_envelope(key).await?;
        let trusted = envelope.verify(self.reader.trust(), Role::Artifact, self.function());
        let Ok(statement) = SignedStatement::read(&envelope) else {
            return Ok(false);
        };
        if trusted.is_err() {
            return Ok(false);
        }
        let comment = format!("{} artifact {}", statement.engine, statement.artifact);
        let Some(envelope) = self.added(Role::Artifact, &envelope, &comment)? else {
            return Ok(false);
        };
        let text = envelope.to_text().into();
        self.store().put(key, text, Condition::Matches(tag)).await?;
        Ok(true)
    }

    /// The envelope with signatures by those of our keys that have not signed yet; none if all have.
    fn added(
        &self,
        role: Role,
        envelope: &Envelope,
        comment: &str,
    ) -> Result<Option<Envelope>, Failure> {
        let there = envelope.signers();
        let ours = self.sign(role, &envelope.payload, comment)?;
        let new: Vec<String> = ours
            .into_iter()
            .filter(|(id, _)| !there.contains(id))
            .map(|(_, text)| text)
            .collect();
        if new.is_empty() {
            return Ok(None);
        }
        let mut more = envelope.clone();
        more.signatures.extend(new);
        Ok(Some(more))
    }
}
