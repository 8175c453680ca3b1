//! A store in memory: for tests, and as the plainest reading of what a store must do.

use super::{Ask, Body, Condition, Entry, Found, Store, StoreError, Tag};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Objects in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    objects: Mutex<Objects>,
}

#[derive(Debug, Default)]
struct Objects {
    by_key: BTreeMap<String, Object>,
    written: u64,
}

#[derive(Debug)]
struct Object {
    bytes: Bytes,
    tag: Tag,
    modified: SystemTime,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Store for MemoryStore {
    fn location(&self) -> &str {
        "memory"
    }

    async fn get(&self, key: &str, ask: Ask) -> Result<Found, StoreError> {
        let objects = self.objects();
        let object = objects.by_key.get(key).ok_or_else(|| StoreError::Missing {
            store: "memory".to_owned(),
            key: key.to_owned(),
        })?;
        if ask.unless.as_ref() == Some(&object.tag) {
            return Ok(Found::Unchanged);
        }
        let from = usize::try_from(ask.from).unwrap_or(usize::MAX);
        let bytes = object.bytes.slice(from.min(object.bytes.len())..);
        let body: Body = Box::pin(futures_util::stream::iter([Ok(bytes)]));
        Ok(Found::Object {
            tag: object.tag.clone(),
            body,
        })
    }

    async fn put(&self, key: &str, bytes: Bytes, condition: Condition) -> Result<Tag, StoreError> {
        let mut objects = self.objects();
        let current = objects.by_key.get(key).map(|object| &object.tag);
        let holds = match &condition {
            Condition::Absent => current.is_none(),
            Condition::Matches(tag) => current == Some(tag),
        };
        if !holds {
            return Err(StoreError::Conflict {
                store: "memory".to_owned(),
                key: key.to_owned(),
            });
        }
        objects.written += 1;
        let tag = Tag(objects.written.to_string());
        let object = Object {
            bytes,
            tag: tag.clone(),
            modified: SystemTime::now(),
        };
        objects.by_key.insert(key.to_owned(), object);
        Ok(tag)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let objects = self.objects();
        let matching = objects
            .by_key
            .iter()
            .filter(|(key, _)| key.starts_with(prefix));
        Ok(matching
            .map(|(key, object)| Entry {
                key: key.clone(),
                size: super::size(object.bytes.len()),
                modified: object.modified,
            })
            .collect())
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.objects().by_key.remove(key);
        Ok(())
    }
}
