//! What passes between the service's fronts (Invoke, streaming, function URLs, the queue) and what answers events: plain
//! values, and the one trait behind which a guest of this process and a program of its own look alike.

use super::error::ServiceError;
use bytes::{Bytes, BytesMut};
use std::fmt::Debug;
use tokio::sync::mpsc::Receiver;

/// The most bytes of a log that a caller is shown.
/// Source: <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>, `LogResult`.
pub(crate) const LOG_TAIL_BYTES: usize = 4 << 10;

/// One invocation on its way to what answers it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The invocation's identifier; the same for each try of an event of the queue.
    pub(crate) request_id: String,
    /// The event, checked to be one JSON text and not too long.
    pub(crate) event: Bytes,
    /// The caller's client context, as JSON text.
    pub(crate) client_context: Option<String>,
    /// The tenant that the caller named.
    pub(crate) tenant_id: Option<String>,
    /// The trace header in X-Ray's form.
    pub(crate) trace_id: String,
    /// The Amazon Resource Name by which the caller named the function.
    pub(crate) invoked_arn: String,
}

/// What served an invocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Served {
    /// `$LATEST`, or a number: the sequence number of the channel's state, or of the build.
    pub(crate) version: String,
    /// The release's id or the component's digest, where there is one.
    pub(crate) release: Option<String>,
}

/// The beginning of an answer.
#[derive(Debug)]
pub(crate) struct Reply {
    /// What served it.
    pub(crate) served: Served,
    /// What it came to, or will come to.
    pub(crate) body: ReplyBody,
}

impl Reply {
    /// A failure that nothing in particular served.
    pub(crate) fn failed(error: &FunctionError) -> Self {
        Self {
            served: Served::default(),
            body: ReplyBody::Whole(Whole {
                result: Err(error.clone()),
                content_type: None,
                log: Bytes::new(),
            }),
        }
    }
}

/// An answer that is there, or one that arrives in parts.
#[derive(Debug)]
pub(crate) enum ReplyBody {
    /// All of it.
    Whole(Whole),
    /// In parts, as a runtime streams it.
    Streamed {
        /// What the runtime says the bytes are.
        content_type: Option<String>,
        /// Its parts; [`Part::End`] is the last. A channel that closes without one was broken off.
        parts: Receiver<Part>,
    },
}

/// A part of a streamed answer.
#[derive(Debug)]
pub(crate) enum Part {
    /// Some bytes of the response.
    Chunk(Bytes),
    /// Nothing more comes.
    End(End),
}

/// How a streamed answer ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct End {
    /// Why it is not complete, if so.
    pub(crate) error: Option<FunctionError>,
    /// The last bytes of the invocation's log, at most [`LOG_TAIL_BYTES`].
    pub(crate) log: Bytes,
}

/// A failure of the function, as against one of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FunctionError {
    /// Its `errorType`.
    pub(crate) kind: String,
    /// The JSON document with `errorType`, `errorMessage` and, where there is one, `stackTrace`.
    pub(crate) document: Bytes,
}

impl FunctionError {
    /// A failure of which the service itself has the words, such as a timeout.
    pub(crate) fn new(kind: &str, message: &str) -> Self {
        let document = serde_json::json!({"errorType": kind, "errorMessage": message});
        Self {
            kind: kind.to_owned(),
            document: document.to_string().into(),
        }
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Whole {
    /// The response's bytes, or the function's failure.
    pub(crate) result: Result<Bytes, FunctionError>,
    /// What the runtime says the bytes are, where it says something.
    pub(crate) content_type: Option<String>,
    /// The last bytes of the invocation's log, at most [`LOG_TAIL_BYTES`].
    pub(crate) log: Bytes,
}

impl ReplyBody {
    /// Waits for the end, for callers that take no stream. Holds at most `limit` bytes of response.
    pub(crate) async fn collect(self, limit: usize) -> Whole {
        let (content_type, mut parts) = match self {
            Self::Whole(whole) => return whole,
            Self::Streamed {
                content_type,
                parts,
            } => (content_type, parts),
        };
        let mut bytes = BytesMut::new();
        let mut end = End {
            error: Some(FunctionError::new(
                "Runtime.TruncatedResponse",
                "the response broke off",
            )),
            log: Bytes::new(),
        };
        let mut too_large = false;
        while let Some(part) = parts.recv().await {
            match part {
                Part::Chunk(chunk) if bytes.len() + chunk.len() <= limit => {
                    bytes.extend_from_slice(&chunk);
                }
                Part::Chunk(_) => too_large = true,
                Part::End(last) => {
                    end = last;
                    break;
                }
            }
        }
        let error = end.error.or_else(|| {
            let message = format!(
                "Response payload size exceeded maximum allowed payload size ({limit} bytes)."
            );
            too_large.then(|| FunctionError::new("Function.ResponseSizeTooLarge", &message))
        });
        Whole {
            result: error.map_or_else(|| Ok(bytes.freeze()), Err),
            content_type,
            log: end.log,
        }
    }
}

/// What answers the events of one function.
#[async_trait::async_trait]
pub(crate) trait Backend: Debug + Send + Sync {
    /// Whether a qualifier names a version here; none stands for the one that is served by default.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`].
    async fn check(&self, qualifier: Option<&str>) -> Result<(), ServiceError>;

    /// Handles one event. Dropping the future gives the event up.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] for a qualifier; whatever the function does wrong is an answer.
    async fn invoke(&self, qualifier: Option<&str>, call: Call) -> Result<Reply, ServiceError>;

    /// Lets go of what outlives an event, after the last one has been answered.
    async fn shut_down(&self);
}
