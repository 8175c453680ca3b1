//! Native code and what is said of it: a statement counts by its signature, the code by the digest in the statement.

use super::{ReadError, Reader};
use crate::component::Digest;
use crate::engine::artifact::{Artifact, Download, Statement};
use crate::engine::key::EngineKey;
use crate::release::{Envelope, SignedStatement};
use crate::store::{self, Ask, Found, Tag};
use crate::trust::Role;
use futures_util::StreamExt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// A statement has some 250 bytes, its signatures some 300 each.
pub(crate) const STATEMENT_BYTES_MAX: u64 = 64 << 10;

impl Reader {
    /// Reads the statement on a component's artifact for an engine; none where there is none.
    ///
    /// # Errors
    /// [`ReadError`]: one that is there and not to be believed is refused.
    pub async fn statement(
        &self,
        component: Digest,
        engine: &EngineKey,
    ) -> Result<Option<Statement>, ReadError> {
        let key = self.place.statement(component, engine);
        if let Some(statement) = self.kept_statement(&key, component, engine) {
            return Ok(Some(statement));
        }
        match store::read(&*self.store, &key, STATEMENT_BYTES_MAX).await {
            Ok((text, _)) => {
                let statement = self.check_statement(&key, &text, component, engine)?;
                self.remember(&key, &text);
                Ok(Some(statement))
            }
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The statement in the cache on the artifact for the first of some engines that has any.
    pub(crate) fn cached_statement(
        &self,
        component: Digest,
        engines: &[EngineKey],
    ) -> Option<Statement> {
        engines.iter().find_map(|engine| {
            self.kept_statement(&self.place.statement(component, engine), component, engine)
        })
    }

    fn kept_statement(
        &self,
        key: &str,
        component: Digest,
        engine: &EngineKey,
    ) -> Option<Statement> {
        let text = self.cached(key, STATEMENT_BYTES_MAX)?;
        // A key may have been taken out of the policy since; then the store may have a newer statement.
        let checked = self.check_statement(key, &text, component, engine);
        checked.inspect_err(|_| self.forget(key)).ok()
    }

    fn check_statement(
        &self,
        key: &str,
        text: &[u8],
        component: Digest,
        engine: &EngineKey,
    ) -> Result<Statement, ReadError> {
        let format = |source| ReadError::Format {
            key: key.to_owned(),
            source,
        };
        let envelope = Envelope::parse(text).map_err(format)?;
        envelope
            .verify(&self.trust, Role::Artifact, &self.function)
            .map_err(|source| ReadError::Signature {
                key: key.to_owned(),
                source,
            })?;
        let statement = SignedStatement::read(&envelope).map_err(format)?;
        if statement.component == component && statement.engine == *engine {
            return Ok(statement);
        }
        Err(ReadError::Place {
            key: key.to_owned(),
            expected: format!("a statement on {component} for {engine}"),
            got: format!("one on {} for {}", statement.component, statement.engine),
        })
    }

    /// The envelope of a statement, for whoever adds a signature.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn statement_envelope(&self, key: &str) -> Result<(Envelope, Tag), ReadError> {
        let (text, tag) = store::read(&*self.store, key, STATEMENT_BYTES_MAX).await?;
        let envelope = Envelope::parse(&text).map_err(|source| ReadError::Format {
            key: key.to_owned(),
            source,
        })?;
        Ok((envelope, tag))
    }

    /// Native code in the cache, if there is a file of its name and size; what is in it is seen when it is copied.
    pub fn cached_artifact(&self, statement: &Statement) -> Option<File> {
        let key = self.place.artifact(statement.artifact);
        let file = self.cache.as_ref()?.file(&key)?;
        let size = file.metadata().ok()?.len();
        (size == statement.size).then_some(file)
    }

    /// The same, copied and proven at once; none if there is none, or not what the statement says.
    pub(crate) fn copied_artifact(&self, statement: &Statement) -> Option<Artifact> {
        let key = self.place.artifact(statement.artifact);
        let file = self.cached_artifact(statement)?;
        Artifact::copy_of(file, key.as_ref(), statement).ok()
    }

    /// Goes on with a download from a file, in pieces between which others have their turn. If the future is dropped,
    /// what has been copied stays.
    ///
    /// # Errors
    /// [`ReadError::Artifact`].
    pub async fn copy(&self, download: &mut Download, mut file: File) -> Result<(), ReadError> {
        const PIECE: usize = 256 << 10;
        let mut piece = vec![0; PIECE];
        let read = file
            .seek(SeekFrom::Start(download.bytes()))
            .and_then(|_| file.read(&mut piece));
        let mut read = read;
        while let Ok(count @ 1..) = read {
            download.write(&piece[..count])?;
            tokio::task::yield_now().await;
            read = file.read(&mut piece);
        }
        // A file that can't be read to its end has too few bytes, which `finish` will see.
        Ok(())
    }

    /// Lets the cache forget native code.
    pub fn forget_artifact(&self, statement: &Statement) {
        self.forget(&self.place.artifact(statement.artifact));
    }

    /// Lets the cache forget what was said of a component's native code.
    pub fn forget_statement(&self, component: Digest, engine: &EngineKey) {
        self.forget(&self.place.statement(component, engine));
    }

    /// Begins a download of native code; [`Reader::download`] goes on with it.
    ///
    /// # Errors
    /// [`ReadError::Artifact`] when there is no memory for it.
    pub fn begin(&self, statement: &Statement) -> Result<Download, ReadError> {
        let key = self.place.artifact(statement.artifact);
        Ok(Download::new(key.as_ref(), statement)?)
    }

    /// Goes on with a download from where it is. If the future is dropped, what has come stays.
    ///
    /// # Errors
    /// [`ReadError`]; after [`store::StoreError::Unreachable`] it can be gone on with.
    pub async fn download(&self, download: &mut Download) -> Result<(), ReadError> {
        let statement = download.statement().clone();
        if download.bytes() >= statement.size {
            return Ok(());
        }
        let key = self.place.artifact(statement.artifact);
        let ask = Ask {
            unless: None,
            from: download.bytes(),
        };
        if let Found::Object { mut body, .. } = self.store.get(&key, ask).await? {
            while let Some(piece) = body.next().await {
                download.write(&piece?)?;
            }
        }
        if download.bytes() < statement.size {
            return Err(ReadError::Damaged {
                key,
                expected: format!("{} bytes", statement.size),
                got: format!("{} bytes", download.bytes()),
            });
        }
        Ok(())
    }

    /// Keeps native code for the next start.
    pub fn remember_artifact(&self, statement: &Statement, artifact: &Artifact) {
        let key = self.place.artifact(statement.artifact);
        if let (Some(cache), Ok(file)) = (&self.cache, artifact.open())
            && !cache.path(&key).exists()
        {
            // A full disk costs the next start a download, and this event nothing.
            let _ = cache.keep(&key, file);
        }
    }
}
