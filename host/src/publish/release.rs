//! A release into the store: component, native code, signatures, and the release itself last, so that whoever sees it
//! finds all it names.

use super::{Publisher, Written};
use crate::address::FunctionName;
use crate::component::{Component, Digest};
use crate::error::{Code, Failure};
use crate::guest::Shape;
use crate::reader::SIGNATURE_BYTES_MAX;
use crate::release::{ComponentRef, Contents, Release, Serves};
use crate::store::{self, Condition};
use crate::trust::{KeyId, Role, Trust};
use bytes::Bytes;

/// A release that is not in a store yet.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// The release.
    pub release: Release,
    /// Its text.
    pub text: String,
    /// Its id.
    pub id: Digest,
    /// Its code.
    pub component: Component,
}

impl Sealed {
    /// Seals a component with what belongs to it. The same parts make the same id.
    pub fn new(
        function: FunctionName,
        component: Component,
        mut shape: Shape,
        contents: Contents,
    ) -> Self {
        shape.imports.sort_unstable();
        shape.exports.sort_unstable();
        let component_ref = ComponentRef {
            digest: component.digest(),
            size: u64::try_from(component.bytes().len()).unwrap_or(u64::MAX),
            imports: shape.imports,
            exports: shape.exports,
        };
        let release = Release::new(function, component_ref, contents);
        let text = release.to_text();
        Self {
            id: Digest::of(text.as_bytes()),
            text,
            release,
            component,
        }
    }

    /// What a channel stands for that serves it, with no configuration of its own.
    pub fn serves(&self) -> Serves {
        Serves {
            release: self.id,
            component: self.component.digest(),
            config: None,
        }
    }
}

impl Publisher {
    /// Puts the code of a release into the store. The release itself follows when all that it needs is there.
    ///
    /// # Errors
    /// A classified failure of the store.
    pub async fn upload_component(&self, sealed: &Sealed) -> Result<Written, Failure> {
        let key = self.reader.place().component(sealed.component.digest());
        let bytes = Bytes::copy_from_slice(sealed.component.bytes());
        self.put_new(&key, bytes).await
    }

    /// Signs a release and puts it into the store.
    ///
    /// # Errors
    /// A classified failure of the keys or the store.
    pub async fn upload_release(&self, sealed: &Sealed) -> Result<Written, Failure> {
        let comment = format!("{} release {}", self.function(), sealed.id);
        let signatures = self.sign(Role::Release, &sealed.text, &comment)?;
        for (key, signature) in signatures {
            self.put_signature(sealed.id, &sealed.text, &key, signature)
                .await?;
        }
        let key = self.reader.place().release(sealed.id);
        self.put_new(&key, Bytes::copy_from_slice(sealed.text.as_bytes()))
            .await
    }

    /// Puts a signature beside its release, unless that key's is there: two by one key differ, and either will do. One
    /// that is there and does not fit is replaced.
    pub(super) async fn put_signature(
        &self,
        release: Digest,
        text: &str,
        key: &KeyId,
        signature: String,
    ) -> Result<Written, Failure> {
        let place = self.reader.place().signature(release, key);
        match self.put_new(&place, signature.clone().into()).await {
            Err(failure) if failure.code == Code::ObjectDamaged => {}
            other => return other,
        }
        let (there, tag) = store::read(&**self.store(), &place, SIGNATURE_BYTES_MAX).await?;
        let there = String::from_utf8_lossy(&there).into_owned();
        let own = self
            .reader
            .trust()
            .keys()
            .iter()
            .filter(|own| own.id == *key);
        let trust = Trust::new(own.cloned().collect());
        let verified = trust.verify(Role::Release, self.function(), text.as_bytes(), &[there]);
        if verified.is_ok() {
            return Ok(Written::Before);
        }
        let condition = Condition::Matches(tag);
        self.store()
            .put(&place, signature.into(), condition)
            .await?;
        Ok(Written::Now)
    }
}
