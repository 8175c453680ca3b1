//! Where releases live: objects by key, read whole or from an offset, written only under a condition. Back-ends for a
//! folder, for memory and for S3 pass one conformance suite. Knows no format and trusts nothing: whoever reads verifies.

mod folder;
mod location;
mod memory;
#[cfg(feature = "s3")]
mod s3;

use crate::error::{Code, Fault};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

pub use folder::Folder;
pub use location::{Location, LocationError, S3Location};
pub use memory::MemoryStore;
#[cfg(feature = "s3")]
pub use s3::S3Store;

/// Objects by key. Keys are relative, `/`-separated, and made by `release/place.rs` from checked names and digests only.
#[async_trait::async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Where it is, as people name it; also what tells one store's cached objects from another's.
    fn location(&self) -> &str;

    /// Reads an object.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Denied`] (which on S3 may mean missing too),
    /// [`StoreError::Unreachable`] or [`StoreError::Unusable`].
    async fn get(&self, key: &str, ask: Ask) -> Result<Found, StoreError>;

    /// Writes an object whole, or not at all.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the condition does not hold; [`StoreError::Unreachable`] when the answer was lost
    /// and the object may have been written or not; else as for [`Store::get`].
    async fn put(&self, key: &str, bytes: Bytes, condition: Condition) -> Result<Tag, StoreError>;

    /// All objects whose keys start with `prefix`, in the order of their keys.
    ///
    /// # Errors
    /// As for [`Store::get`], but never [`StoreError::Missing`].
    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError>;

    /// The process may have slept: connections from before are not to be used again.
    fn wake(&self) {}

    /// Removes an object; one that is not there is removed already.
    ///
    /// # Errors
    /// As for [`Store::list`].
    async fn delete(&self, key: &str) -> Result<(), StoreError>;
}

/// What a reader has already.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// The version it knows; if the object still is that, nothing is sent.
    pub unless: Option<Tag>,
    /// How many bytes it has; sending starts after them.
    pub from: u64,
}

/// An answer to [`Store::get`].
pub enum Found {
    /// The object still is the version that the reader knows.
    Unchanged,
    /// The object.
    Object {
        /// Its version.
        tag: Tag,
        /// Its bytes, from the offset asked for.
        body: Body,
    },
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => f.write_str("Unchanged"),
            Self::Object { tag, .. } => f.debug_tuple("Object").field(tag).finish(),
        }
    }
}

/// The bytes of an object as they arrive.
pub type Body = BoxStream<'static, Result<Bytes, StoreError>>;

/// A version of an object, as the store names it; only ever compared with another of the same store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(pub String);

/// What must hold for an object to be written.
#[derive(Debug, Clone)]
pub enum Condition {
    /// There is none of that key.
    Absent,
    /// It still is this version.
    Matches(Tag),
}

/// One object of a listing.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was written.
    pub modified: SystemTime,
}

/// Why a store did not do what it was asked, told apart by what the asker can do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// There is no such object.
    #[error("`{key}` is not in {store}")]
    Missing {
        /// The store's location.
        store: String,
        /// The key.
        key: String,
    },
    /// Not for us; S3 says so of a missing object too, unless the asker may list the bucket.
    #[error("{store} denies access to `{key}`{}", reason(.problem))]
    Denied {
        /// The store's location.
        store: String,
        /// The key, or the prefix of a listing.
        key: String,
        /// The store's words.
        problem: String,
    },
    /// The condition of a write did not hold.
    #[error("`{key}` in {store} is not what it was when it was read")]
    Conflict {
        /// The store's location.
        store: String,
        /// The key.
        key: String,
    },
    /// No answer, or one that asks for another try.
    #[error("{store} did not answer for `{key}`{}", reason(.problem))]
    Unreachable {
        /// The store's location.
        store: String,
        /// The key.
        key: String,
        /// What happened on the way.
        problem: String,
    },
    /// The object is longer than what it is read as can be.
    #[error("`{key}` in {store}: expected at most {limit} bytes, got more")]
    TooLong {
        /// The store's location.
        store: String,
        /// The key.
        key: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// Trying again is of no use: no such bucket, no credentials, a disk that is full.
    #[error("{store} is not usable{}", reason(.problem))]
    Unusable {
        /// The store's location.
        store: String,
        /// What is wrong.
        problem: String,
    },
}

fn reason(problem: &str) -> String {
    if problem.is_empty() {
        String::new()
    } else {
        format!(": {problem}")
    }
}

impl StoreError {
    /// Whether the object is not there, as far as the asker may know.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Denied { .. })
    }
}

impl Fault for StoreError {
    fn code(&self) -> Code {
        match self {
            Self::Missing { .. } => Code::ObjectMissing,
            Self::Denied { .. } => Code::StoreDenied,
            Self::Conflict { .. } => Code::ChannelConflict,
            Self::Unreachable { .. } => Code::StoreUnreachable,
            Self::TooLong { .. } => Code::ObjectDamaged,
            Self::Unusable { .. } => Code::StoreUnusable,
        }
    }

    fn hint(&self) -> Option<String> {
        // The two that everybody meets first, told by AWS's own words.
        match self {
            Self::Unusable { problem, .. } if problem.contains("region must be set") => {
                Some("add `?region=eu-west-1` (or yours) to the store, or set AWS_REGION".to_owned())
            }
            Self::Unusable { problem, .. } if problem.contains("credentials") => Some(
                "log in (`aws sso login`), or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned(),
            ),
            _ => None,
        }
    }
}

/// Reads an object of at most `limit` bytes.
///
/// # Errors
/// As [`Store::get`], and [`StoreError::TooLong`].
pub async fn read(store: &dyn Store, key: &str, limit: u64) -> Result<(Bytes, Tag), StoreError> {
    match store.get(key, Ask::default()).await? {
        Found::Object { tag, body } => Ok((collect(store, key, body, limit).await?, tag)),
        Found::Unchanged => Err(StoreError::Unusable {
            store: store.location().to_owned(),
            problem: format!("it calls `{key}` unchanged to a reader that has nothing of it"),
        }),
    }
}

/// Takes in the bytes of an object, at most `limit` of them.
///
/// # Errors
/// [`StoreError::TooLong`], or whatever breaks off the body.
pub async fn collect(
    store: &dyn Store,
    key: &str,
    mut body: Body,
    limit: u64,
) -> Result<Bytes, StoreError> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece?;
        if size(bytes.len()) + size(piece.len()) > limit {
            return Err(StoreError::TooLong {
                store: store.location().to_owned(),
                key: key.to_owned(),
                limit,
            });
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

fn size(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Opens the store at a location.
///
/// # Errors
/// [`StoreError::Unusable`] when this build has no back-end for it.
pub async fn open(location: &Location) -> Result<Arc<dyn Store>, StoreError> {
    match location {
        Location::Folder(path) => Ok(Arc::new(Folder::new(path))),
        #[cfg(feature = "s3")]
        Location::S3(s3) => Ok(Arc::new(S3Store::new(s3))),
        #[cfg(not(feature = "s3"))]
        Location::S3(s3) => Err(StoreError::Unusable {
            store: s3.to_string(),
            problem: "this build of crunchbox has no S3 back-end; build it with `--features s3`"
                .to_owned(),
        }),
    }
}
