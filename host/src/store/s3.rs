//! A store in S3, or in a server that speaks its protocol.
//!
//! Credentials, region and endpoint come from where AWS's own tools take them, unless the location says otherwise.
//! Every request ends within a bounded time; what a caller does with "no answer" is the caller's to say.

use super::{Ask, Body, Condition, Entry, Found, S3Location, Store, StoreError, Tag};
use crate::aws::s3::{self as aws, Patience, Trouble, status};
use arc_swap::ArcSwap;
use aws_config::Region;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Credentials, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::OnceCell;

/// S3 answers within some 20 ms in its own region; a function's network that leads nowhere never does.
const CONNECT_TIME: Duration = Duration::from_secs(1);

/// The longest wait for the first byte of an answer, and of one attempt at a small request.
const READ_TIME: Duration = Duration::from_secs(3);

/// The slowest line that an upload is waited for on, in bytes per second.
const WRITE_RATE_MIN: u64 = 64 << 10;

/// The first and the longest pause after a write that met another.
const CONFLICT_PAUSE: Duration = Duration::from_millis(100);
const CONFLICT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long requests are waited for, and how often they are tried.
const PATIENCE: Patience = Patience {
    connect: CONNECT_TIME,
    attempt: READ_TIME,
    attempts: 3,
};

/// Objects below a prefix of a bucket.
pub struct S3Store {
    place: S3Location,
    credentials: Option<Credentials>,
    connected: OnceCell<Connected>,
    location: String,
}

/// What the first request makes, and those after it share.
struct Connected {
    client: ArcSwap<Client>,
    config: aws_sdk_s3::Config,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3Store").field(&self.location).finish()
    }
}

impl S3Store {
    /// A store with the credentials of this process's surroundings, as AWS's own tools find them; they are looked for at the
    /// first request.
    pub fn new(location: &S3Location) -> Self {
        Self {
            place: location.clone(),
            credentials: None,
            connected: OnceCell::new(),
            location: location.to_string(),
        }
    }

    /// The same store with credentials of its own.
    #[must_use]
    pub fn signing_as(mut self, access_key: &str, secret_key: &str) -> Self {
        let credentials = Credentials::new(access_key, secret_key, None, None, "given");
        self.credentials = Some(credentials);
        self
    }

    async fn client(&self) -> Arc<Client> {
        let connected = self.connected.get_or_init(|| self.connect()).await;
        connected.client.load_full()
    }

    async fn connect(&self) -> Connected {
        let mut loader = aws::loader(&PATIENCE);
        if let Some(region) = &self.place.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &self.place.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(credentials) = &self.credentials {
            loader = loader.credentials_provider(credentials.clone());
        }
        let mut builder = aws_sdk_s3::config::Builder::from(&crate::aws::load(loader).await);
        builder = builder.force_path_style(self.place.path_style);
        if self.place.checksums_when_required {
            builder = builder
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        }
        let config = builder.build();
        Connected {
            client: ArcSwap::from_pointee(Client::from_conf(config.clone())),
            config,
        }
    }

    /// The key in the bucket.
    fn full(&self, key: &str) -> String {
        let prefix = &self.place.prefix;
        if prefix.is_empty() {
            key.to_owned()
        } else {
            format!("{prefix}/{key}")
        }
    }

    async fn put_once(
        &self,
        key: &str,
        bytes: Bytes,
        condition: &Condition,
    ) -> Result<Tag, SdkError<PutObjectError>> {
        let seconds = u64::try_from(bytes.len()).unwrap_or(u64::MAX) / WRITE_RATE_MIN;
        let time = READ_TIME + Duration::from_secs(seconds);
        let request = self
            .client()
            .await
            .put_object()
            .bucket(&self.place.bucket)
            .key(self.full(key))
            .body(ByteStream::from(bytes));
        let request = match condition {
            Condition::Absent => request.if_none_match("*"),
            Condition::Matches(tag) => request.if_match(&tag.0),
        };
        let patient = aws_sdk_s3::config::Builder::new().timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIME)
                .read_timeout(time)
                .operation_attempt_timeout(time)
                .build(),
        );
        let sent = request.customize().config_override(patient).send().await?;
        Ok(Tag(sent.e_tag.unwrap_or_default()))
    }

    /// Says what an error means for the caller.
    fn classify<E>(&self, key: &str, error: &SdkError<E>) -> StoreError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let (store, key) = (self.location.clone(), key.to_owned());
        match aws::trouble(error) {
            Trouble::Missing => StoreError::Missing { store, key },
            Trouble::Conflict => StoreError::Conflict { store, key },
            Trouble::Denied(problem) => StoreError::Denied {
                store,
                key,
                problem,
            },
            Trouble::Unreachable(problem) => StoreError::Unreachable {
                store,
                key,
                problem,
            },
            Trouble::Unusable(problem) => StoreError::Unusable { store, problem },
        }
    }
}

#[async_trait::async_trait]
impl Store for S3Store {
    fn location(&self) -> &str {
        &self.location
    }

    fn wake(&self) {
        let Some(connected) = self.connected.get() else {
            return;
        };
        let config = connected
            .config
            .to_builder()
            .http_client(crate::aws::http_client())
            .build();
        let client = Client::from_conf(config);
        connected.client.store(Arc::new(client));
    }

    async fn get(&self, key: &str, ask: Ask) -> Result<Found, StoreError> {
        let mut request = self
            .client()
            .await
            .get_object()
            .bucket(&self.place.bucket)
            .key(self.full(key));
        request = request.set_if_none_match(ask.unless.map(|tag| tag.0));
        let from = ask.from;
        if from > 0 {
            request = request.range(format!("bytes={}-", ask.from));
        }
        let output = match request.send().await {
            Ok(output) => output,
            Err(error) => {
                return match status(&error) {
                    Some(304) => Ok(Found::Unchanged),
                    _ => Err(self.classify(key, &error)),
                };
            }
        };
        // A server that does not know ranges sends everything.
        let skip = if output.content_range.is_some() {
            0
        } else {
            from
        };
        let tag = Tag(output.e_tag.unwrap_or_default());
        Ok(Found::Object {
            tag,
            body: body(self.location.clone(), key.to_owned(), output.body, skip),
        })
    }

    async fn put(&self, key: &str, bytes: Bytes, condition: Condition) -> Result<Tag, StoreError> {
        let mut pause = CONFLICT_PAUSE;
        loop {
            match self.put_once(key, bytes.clone(), &condition).await {
                // Two writes at once: S3 asks both to try again, and says nothing of whose condition holds.
                Err(error) if status(&error) == Some(409) && pause < CONFLICT_PAUSE_MAX => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Ok(tag) => return Ok(tag),
                // S3 answers 404 where the object that a condition names is gone.
                Err(error) => {
                    return Err(match self.classify(key, &error) {
                        StoreError::Missing { store, key } => StoreError::Conflict { store, key },
                        other => other,
                    });
                }
            }
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let mut pages = self
            .client()
            .await
            .list_objects_v2()
            .bucket(&self.place.bucket)
            .prefix(self.full(prefix))
            .into_paginator()
            .send();
        let (own, mut entries) = (self.full(""), Vec::new());
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.classify(&format!("{prefix}*"), &error))?;
            for object in page.contents.unwrap_or_default() {
                let Some(key) = object.key.as_deref().and_then(|key| key.strip_prefix(&own)) else {
                    continue;
                };
                entries.push(Entry {
                    key: key.to_owned(),
                    size: u64::try_from(object.size.unwrap_or_default()).unwrap_or_default(),
                    modified: object
                        .last_modified
                        .and_then(|time| SystemTime::try_from(time).ok())
                        .unwrap_or(SystemTime::UNIX_EPOCH),
                });
            }
        }
        Ok(entries)
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let request = self
            .client()
            .await
            .delete_object()
            .bucket(&self.place.bucket)
            .key(self.full(key));
        let sent = request.send().await;
        sent.map(drop).map_err(|error| self.classify(key, &error))
    }
}

/// The bytes of an answer as they arrive. A connection that breaks in the middle is an error, never an end.
fn body(location: String, key: String, stream: ByteStream, skip: u64) -> Body {
    Box::pin(futures_util::stream::try_unfold(
        (location, key, stream, skip),
        |(location, key, mut stream, skip)| async move {
            match stream.next().await {
                None => Ok(None),
                Some(Ok(mut piece)) => {
                    let skipped = piece.len().min(usize::try_from(skip).unwrap_or(usize::MAX));
                    let piece = piece.split_off(skipped);
                    let skip = skip - u64::try_from(skipped).unwrap_or(skip);
                    Ok(Some((piece, (location, key, stream, skip))))
                }
                Some(Err(error)) => Err(StoreError::Unreachable {
                    problem: format!("the answer broke off: {}", crate::error::chain(&error)),
                    store: location,
                    key,
                }),
            }
        },
    ))
}
