//! Objects of S3 and of folders as guests reach them: read, written and listed a piece at a time, wherever a rule lets them
//! be. Knows nothing of wasmtime, and nothing of the store that releases come from.

mod folder;
mod name;
mod rule;
#[cfg(feature = "s3")]
mod s3;

use crate::error::{Code, Fault};
use async_trait::async_trait;
use bytes::Bytes;
#[cfg(feature = "s3")]
use std::sync::Arc;

pub use name::Name;
pub use rule::{Access, Place, Rule};

/// The most of a guest's text that an error or a log line repeats.
const SHOWN_CHARS_MAX: usize = 256;

/// The most of S3's words that are told.
const WORDS_MAX: usize = 512;

/// An object that is being read.
#[async_trait]
pub trait Source: Send {
    /// Its size when it was opened.
    fn size(&self) -> u64;

    /// The next bytes, at most `most` of them; empty only at the end, if `most` is not 0. After an error it is of no more use.
    ///
    /// # Errors
    /// [`ObjectError::Unreachable`] or [`ObjectError::Unusable`].
    async fn read(&mut self, most: usize) -> Result<Bytes, ObjectError>;
}

/// An object that is being written. Dropped before it is finished, it leaves nothing behind that anybody sees.
#[async_trait]
pub trait Sink: Send {
    /// Adds bytes at the end. After an error it is of no more use.
    ///
    /// # Errors
    /// As for [`Source::read`].
    async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectError>;

    /// Lets everybody see the object. The last call.
    ///
    /// # Errors
    /// As for [`Source::read`]; [`ObjectError::Unreachable`] also when the answer was lost, and the object may be there.
    async fn finish(&mut self) -> Result<(), ObjectError>;
}

/// A listing in the order of the names' bytes.
#[async_trait]
pub trait Pages: Send {
    /// The next entries; empty at the end, and only there.
    ///
    /// # Errors
    /// As for [`Source::read`]; after an error that is retryable it can be asked again.
    async fn next(&mut self) -> Result<Vec<Entry>, ObjectError>;
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in full.
    pub at: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, in milliseconds since 1970.
    pub modified_ms: u64,
}

/// Why an object cannot be had. Repeats no credentials and no content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// No rule allows it.
    #[error(
        "nothing grants this function to {access} `{at}`; if it is to, add \
         `{{ at = \"{grant}\", allow = [\"{access}\"] }}` to `objects` in [grants] of crunchbox.toml"
    )]
    NotGranted {
        /// What was asked for.
        access: Access,
        /// The object, or the prefix.
        at: String,
        /// The smallest grant that would do.
        grant: String,
    },
    /// A text names no object.
    #[error("`{at}` is refused as the name of an object: {expected}")]
    Name {
        /// The text, or the beginning of it.
        at: String,
        /// What was expected.
        expected: String,
    },
    /// No answer, or one that asks for another try.
    #[error("`{at}` is out of reach: {problem}")]
    Unreachable {
        /// The object, or the prefix.
        at: String,
        /// What happened on the way.
        problem: String,
    },
    /// Trying again is of no use.
    #[error("`{at}` cannot be used: {problem}")]
    Unusable {
        /// The object, or the prefix.
        at: String,
        /// What is wrong.
        problem: String,
    },
    /// An event has as many open as it may.
    #[error("an event may have {most} {what} open at a time, and has; drop one first")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        most: usize,
    },
}

impl Fault for ObjectError {
    fn code(&self) -> Code {
        match self {
            Self::NotGranted { .. } | Self::Name { .. } => Code::ObjectDenied,
            Self::Unreachable { .. } | Self::Unusable { .. } | Self::TooMany { .. } => {
                Code::ObjectUnavailable
            }
        }
    }
}

impl ObjectError {
    /// No rule allows it.
    pub(crate) fn not_granted(name: &Name, access: Access) -> Self {
        let at = name.to_string();
        // What is listed lies below a prefix.
        let end = match access {
            Access::List => at.rfind('/').map_or(at.len(), |slash| slash + "/".len()),
            Access::Read | Access::Write => at.len(),
        };
        Self::NotGranted {
            access,
            grant: at[..end].to_owned(),
            at,
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::NotGranted { .. }
            | Self::Name { .. }
            | Self::Unusable { .. }
            | Self::TooMany { .. } => false,
        }
    }

    fn unreachable(at: &str, problem: &str) -> Self {
        Self::Unreachable {
            at: at.to_owned(),
            problem: problem.chars().take(WORDS_MAX).collect(),
        }
    }

    fn unusable(at: &str, problem: &str) -> Self {
        Self::Unusable {
            at: at.to_owned(),
            problem: problem.chars().take(WORDS_MAX).collect(),
        }
    }

    /// Whoever goes on with what has ended gets no further.
    fn over(at: &str) -> Self {
        Self::unusable(at, "it is finished, or an error ended it")
    }
}

/// The beginning of a guest's text, fit for one line.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .flat_map(char::escape_debug)
        .take(SHOWN_CHARS_MAX)
        .collect()
}

/// Reaches objects. One per process; clones share clients and connections. Requests to S3 run on the runtime that the first
/// one was made on, or else on that of the first [`Objects::prepare`].
#[derive(Debug, Clone, Default)]
pub struct Objects {
    #[cfg(feature = "s3")]
    s3: Arc<s3::S3>,
}

impl Objects {
    /// Makes the client of S3, which takes time; to be called before an event that may want one.
    ///
    /// # Errors
    /// What is missing.
    #[cfg(feature = "s3")]
    pub async fn prepare(&self) -> Result<(), String> {
        self.s3.prepare().await
    }

    /// There is no client of S3 in this build.
    ///
    /// # Errors
    /// What is missing.
    #[cfg(not(feature = "s3"))]
    pub async fn prepare(&self) -> Result<(), String> {
        Err(NO_S3.to_owned())
    }

    /// Opens an object; none where there is none.
    ///
    /// # Errors
    /// [`ObjectError::Unreachable`] or [`ObjectError::Unusable`].
    pub async fn open(&self, place: &Place) -> Result<Option<Box<dyn Source>>, ObjectError> {
        match place {
            Place::Folder { root, rest } => folder::open(root, rest).await,
            #[cfg(feature = "s3")]
            Place::S3 { bucket, key } => self.s3.open(bucket, key).await,
            #[cfg(not(feature = "s3"))]
            Place::S3 { .. } => Err(no_s3(place)),
        }
    }

    /// Begins an object, in place of the one that is there.
    ///
    /// # Errors
    /// As for [`Objects::open`].
    pub async fn create(&self, place: &Place) -> Result<Box<dyn Sink>, ObjectError> {
        match place {
            Place::Folder { root, rest } => folder::create(root, rest).await,
            #[cfg(feature = "s3")]
            Place::S3 { bucket, key } => self.s3.create(bucket, key).await,
            #[cfg(not(feature = "s3"))]
            Place::S3 { .. } => Err(no_s3(place)),
        }
    }

    /// Lists objects whose names begin with a place's.
    ///
    /// # Errors
    /// As for [`Objects::open`].
    pub async fn list(&self, place: &Place) -> Result<Box<dyn Pages>, ObjectError> {
        match place {
            Place::Folder { root, rest } => Ok(folder::list(root, rest)),
            #[cfg(feature = "s3")]
            Place::S3 { bucket, key } => self.s3.list(bucket, key).await,
            #[cfg(not(feature = "s3"))]
            Place::S3 { .. } => Err(no_s3(place)),
        }
    }
}

#[cfg(not(feature = "s3"))]
const NO_S3: &str = "this build of crunchbox has no S3 back-end; build it with `--features s3`";

#[cfg(not(feature = "s3"))]
fn no_s3(place: &Place) -> ObjectError {
    ObjectError::unusable(&place.to_string(), NO_S3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_grant_and_repeats_little_of_a_long_text() {
        for (at, access, grant) in [
            (
                "s3://acme/a",
                Access::Read,
                r#"{ at = "s3://acme/a", allow = ["read"] }"#,
            ),
            (
                "/in/2024-",
                Access::List,
                r#"{ at = "/in/", allow = ["list"] }"#,
            ),
        ] {
            let error = ObjectError::not_granted(&Name::prefix(at).unwrap(), access);
            assert_eq!(error.code(), Code::ObjectDenied);
            assert!(error.to_string().contains(grant), "{error}");
        }
        let error = Name::object(&"x\n".repeat(1 << 20)).unwrap_err();
        assert!(error.to_string().len() < 1024 && !error.to_string().contains('\n'));
    }
}
