//! New signatures on what is there, when keys change: every release, statement and channel of a function that some key
//! of the policy still vouches for.

use super::channel::{Move, Terms, Until};
use super::{Publisher, Written};
use crate::error::Failure;
use crate::reader::{DOCUMENT_BYTES_MAX, ReadError};
use crate::release::{Envelope, SIGNATURES_MAX, SignedStatement};
use crate::store::Condition;
use crate::trust::{Role, Trust, signer};

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
        renewed: Option<Until>,
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
            if !entry.key.ends_with(".json") {
                continue;
            }
            match self.resign_statement(&entry.key).await? {
                Ok(signed) => done.statements += u64::from(signed),
                Err(problem) => done.skipped.push(problem),
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
            if let (Some(until), true) = (renewed, signed.channel.serves.is_some()) {
                let terms = Terms {
                    until,
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
    /// Says why not, where it is to be left.
    async fn resign_statement(&self, key: &str) -> Result<Result<bool, String>, Failure> {
        let (envelope, tag) = match self.reader.statement_envelope(key).await {
            Ok(found) => found,
            Err(ReadError::Store(error)) => return Err(error.into()),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let trusted = envelope.verify(self.reader.trust(), Role::Artifact, self.function());
        let statement = match (trusted, SignedStatement::read(&envelope)) {
            (Ok(()), Ok(statement)) => statement,
            (Err(error), _) => return Ok(Err(format!("`{key}`: {error}"))),
            (_, Err(error)) => return Ok(Err(format!("`{key}`: {error}"))),
        };
        let comment = format!("{} artifact {}", statement.engine, statement.artifact);
        let Some(envelope) = self.added(Role::Artifact, &envelope, &comment)? else {
            return Ok(Ok(false));
        };
        let text = envelope.to_text().into();
        self.store().put(key, text, Condition::Matches(tag)).await?;
        Ok(Ok(true))
    }

    /// The envelope with signatures by those of our keys that have not signed yet; none if all have.
    fn added(
        &self,
        role: Role,
        envelope: &Envelope,
        comment: &str,
    ) -> Result<Option<Envelope>, Failure> {
        let trust = self.reader.trust();
        let counts = |text: &String| {
            let (payload, text) = (envelope.payload.as_bytes(), std::slice::from_ref(text));
            trust.verify(role, self.function(), payload, text).is_ok()
        };
        let mut kept = envelope.signatures.clone();
        let counting = envelope.signatures.iter().filter(|text| counts(text));
        let there: Vec<_> = counting.filter_map(|text| signer(text)).collect();
        let ours = self.sign(role, &envelope.payload, comment)?;
        let new: Vec<String> = ours
            .into_iter()
            .filter(|(id, _)| !there.contains(id))
            .map(|(_, text)| text)
            .collect();
        if new.is_empty() {
            return Ok(None);
        }
        if kept.len() + new.len() > SIGNATURES_MAX {
            // Hosts would refuse so many; those of keys that this policy has dropped go.
            kept.retain(|text| counts(text));
        }
        kept.extend(new);
        Ok(Some(Envelope {
            payload: envelope.payload.clone(),
            signatures: kept,
        }))
    }
}
