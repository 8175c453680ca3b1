//! Objects in S3, or in a server that speaks its protocol, by the credentials, the region and the endpoint that AWS's own
//! tools would take. Requests run on the runtime of the process's front, so that an upload that is given
//! up is cleared away though its event is over.

mod upload;

use super::{Entry, Name, ObjectError, Pages, Sink, Source};
use crate::aws::s3::{Patience, Trouble, loader, trouble};
use crate::error::chain;
use crate::quantity::Time;
use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, Config, RequestChecksumCalculation};
use aws_sdk_s3::primitives::ByteStream;
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use std::future::Future;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long the next bytes of an answer are waited for, and one attempt at a request: enough for a part of 8 MiB on a slow
/// line of a function's network.
const ATTEMPT_TIME: Duration = Duration::from_secs(10);

const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(2),
    attempt: ATTEMPT_TIME,
    attempts: 3,
};

/// How often an object is read on where its connection broke.
const RESUMES: u32 = 2;

/// After so long a connection may lead nowhere: the process may have slept.
const CONNECTION_TIME: Duration = Duration::from_secs(20);

/// The way to S3. The client is made when the first grant of it is loaded, or at the first use.
#[derive(Debug)]
pub(super) struct S3 {
    runtime: OnceLock<Handle>,
    settings: OnceCell<Settings>,
    client: Mutex<Option<(Client, Timestamp)>>,
}

#[derive(Debug)]
struct Settings {
    config: Config,
    /// Whether bytes on their way are protected by checksums of ours; some servers refuse them.
    checksums: bool,
}

impl Default for S3 {
    fn default() -> Self {
        Self {
            runtime: Handle::try_current().map_or_else(|_| OnceLock::new(), OnceLock::from),
            settings: OnceCell::new(),
            client: Mutex::default(),
        }
    }
}

impl S3 {
    pub(super) async fn prepare(&self) -> Result<(), String> {
        let runtime = self.runtime.get_or_init(Handle::current);
        let settings = self.settings(runtime).await?;
        drop(self.client(settings));
        Ok(())
    }

    pub(super) async fn open(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<Option<Box<dyn Source>>, ObjectError> {
        let target = self.target(bucket, key).await?;
        let asking = target.clone();
        let answer = target.run(async move { asking.get(0, None).await }).await?;
        let Some(body) = answer else {
            return Ok(None);
        };
        Ok(Some(Box::new(Object {
            size: body.size,
            body: Some(body),
            target,
        })))
    }

    pub(super) async fn create(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<Box<dyn Sink>, ObjectError> {
        let target = self.target(bucket, key).await?;
        Ok(Box::new(upload::Upload::new(target)))
    }

    pub(super) async fn list(
        &self,
        bucket: &str,
        prefix: &str,
    ) -> Result<Box<dyn Pages>, ObjectError> {
        Ok(Box::new(Listing {
            target: self.target(bucket, prefix).await?,
            token: None,
            is_over: false,
        }))
    }

    async fn settings(&self, runtime: &Handle) -> Result<&Settings, String> {
        let settings = self.settings.get_or_try_init(|| runtime.spawn(load()));
        settings.await.map_err(|error| error.to_string())
    }

    /// The client of a moment ago, else another with the same credentials and new connections.
    fn client(&self, settings: &Settings) -> Client {
        let now = Timestamp::now();
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let is_young = |at: Timestamp| {
            let age = Duration::try_from(now.duration_since(at));
            age.is_ok_and(|age| age < CONNECTION_TIME)
        };
        if let Some((client, used)) = kept.as_mut()
            && is_young(*used)
        {
            *used = now;
            return client.clone();
        }
        let http = crate::aws::http_client();
        let config = settings.config.to_builder().http_client(http).build();
        let client = Client::from_conf(config);
        *kept = Some((client.clone(), now));
        client
    }

    async fn target(&self, bucket: &str, key: &str) -> Result<Target, ObjectError> {
        let unusable = |problem: &str| ObjectError::unusable(&full(bucket, key), problem);
        let runtime = self.runtime.get();
        let runtime = runtime.ok_or_else(|| unusable("there is no runtime to ask from"))?;
        let settings = self.settings(runtime).await;
        let settings = settings.map_err(|problem| unusable(&problem))?;
        Ok(Target {
            client: self.client(settings),
            checksums: settings.checksums,
            runtime: runtime.clone(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }
}

async fn load() -> Settings {
    let config = crate::aws::load(loader(&PATIENCE)).await;
    let checksums = config.request_checksum_calculation();
    // A server of one's own seldom has a name for each bucket.
    let has_endpoint = config.endpoint_url().is_some();
    Settings {
        config: Builder::from(&config)
            .force_path_style(has_endpoint)
            .build(),
        checksums: checksums != Some(RequestChecksumCalculation::WhenRequired),
    }
}

/// The name of an object as guests know it.
fn full(bucket: &str, key: &str) -> String {
    format!("s3://{bucket}/{key}")
}

/// One key, or what keys begin with, and the way there.
#[derive(Debug, Clone)]
struct Target {
    client: Client,
    checksums: bool,
    runtime: Handle,
    bucket: String,
    key: String,
}

impl Target {
    fn at(&self) -> String {
        full(&self.bucket, &self.key)
    }

    /// Runs what needs the network where there is one. It ends with the event.
    async fn run<R: Send + 'static>(
        &self,
        work: impl Future<Output = Result<R, ObjectError>> + Send + 'static,
    ) -> Result<R, ObjectError> {
        // Of the two ways to wait for a task, this is the one that ends it when nobody waits any more.
        let mut tasks = JoinSet::new();
        tasks.spawn_on(work, &self.runtime);
        match tasks.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(_)) | None => Err(self.unreachable("the request was broken off")),
        }
    }

    fn unreachable(&self, problem: &str) -> ObjectError {
        ObjectError::unreachable(&self.at(), problem)
    }

    fn failed(&self, trouble: Trouble) -> ObjectError {
        let unusable = |problem: &str| ObjectError::unusable(&self.at(), problem);
        match trouble {
            Trouble::Missing => unusable("it is gone"),
            Trouble::Conflict => self.unreachable("somebody else is writing it"),
            Trouble::Denied(problem) => unusable(&format!(
                "S3 denies it to this host, as it does what is missing where s3:ListBucket is not allowed: {problem}"
            )),
            Trouble::Unreachable(problem) => self.unreachable(&problem),
            Trouble::Unusable(problem) => unusable(&problem),
        }
    }

    /// Asks for the object from an offset on, at the version of a tag; none where there is none.
    async fn get(&self, from: u64, tag: Option<String>) -> Result<Option<Body>, ObjectError> {
        let range = (from > 0).then(|| format!("bytes={from}-"));
        let request = self.client.get_object().bucket(&self.bucket).key(&self.key);
        let sent = request.set_range(range).set_if_match(tag).send().await;
        let output = match sent {
            Ok(output) => output,
            Err(error) => {
                return match trouble(&error) {
                    Trouble::Missing => Ok(None),
                    other => Err(self.failed(other)),
                };
            }
        };
        if from > 0 && output.content_range.is_none() {
            return Err(self.unreachable("the server does not send the rest of an object"));
        }
        let rest = u64::try_from(output.content_length.unwrap_or_default());
        Ok(Some(Body {
            target: self.clone(),
            stream: output.body,
            held: Bytes::new(),
            offset: from,
            size: from + rest.unwrap_or_default(),
            tag: output.e_tag,
            resumes: RESUMES,
        }))
    }

    /// One page of a listing, and where the next one begins.
    async fn page(
        &self,
        token: Option<String>,
    ) -> Result<(Vec<Entry>, Option<String>), ObjectError> {
        let request = self.client.list_objects_v2().bucket(&self.bucket);
        let request = request.prefix(&self.key).set_continuation_token(token);
        let output = request.send().await;
        let output = output.map_err(|error| self.failed(trouble(&error)))?;
        let objects = output.contents.unwrap_or_default().into_iter();
        let entries = objects.filter_map(|object| {
            // Nobody is told more than was asked for, whatever the server says.
            let key = object.key.filter(|key| key.starts_with(&self.key))?;
            let at = full(&self.bucket, &key);
            Name::object(&at).ok()?;
            let modified = object.last_modified.and_then(|time| time.to_millis().ok());
            Some(Entry {
                at,
                size: u64::try_from(object.size.unwrap_or_default()).unwrap_or_default(),
                modified_ms: u64::try_from(modified.unwrap_or_default()).unwrap_or_default(),
            })
        });
        Ok((entries.collect(), output.next_continuation_token))
    }
}

struct Object {
    target: Target,
    size: u64,
    /// None while it is read, or after an error.
    body: Option<Body>,
}

#[async_trait]
impl Source for Object {
    fn size(&self) -> u64 {
        self.size
    }

    async fn read(&mut self, most: usize) -> Result<Bytes, ObjectError> {
        let Some(mut body) = self.body.take() else {
            return Err(ObjectError::over(&self.target.at()));
        };
        let read = self.target.run(async move {
            let piece = body.read(most).await?;
            Ok::<_, ObjectError>((body, piece))
        });
        let (body, piece) = read.await?;
        self.body = Some(body);
        Ok(piece)
    }
}

/// What is left of an answer.
struct Body {
    target: Target,
    stream: ByteStream,
    /// What came and was not asked for yet.
    held: Bytes,
    /// How many bytes have come.
    offset: u64,
    size: u64,
    tag: Option<String>,
    resumes: u32,
}

impl Body {
    async fn read(&mut self, most: usize) -> Result<Bytes, ObjectError> {
        let mut piece = BytesMut::new();
        while piece.len() < most {
            if self.held.is_empty() {
                let Some(bytes) = self.next().await? else {
                    break;
                };
                self.held = bytes;
            }
            let taken = self.held.len().min(most - piece.len());
            piece.extend_from_slice(&self.held.split_to(taken));
        }
        Ok(piece.freeze())
    }

    /// The next bytes as they come, on another connection if need be; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, ObjectError> {
        loop {
            let problem = match timeout(ATTEMPT_TIME, self.stream.next()).await {
                Ok(Some(Ok(bytes))) => {
                    self.offset += u64::try_from(bytes.len()).unwrap_or_default();
                    return Ok(Some(bytes));
                }
                Ok(None) if self.offset >= self.size => return Ok(None),
                Ok(None) => "the answer ended too soon".to_owned(),
                Ok(Some(Err(error))) => format!("the answer broke off: {}", chain(&error)),
                Err(_) => format!("nothing more came for {}", Time(ATTEMPT_TIME)),
            };
            // All of it came, and is not what its checksum says.
            if self.resumes == 0 || self.offset >= self.size {
                return Err(self.target.unreachable(&problem));
            }
            let resumes = self.resumes - 1;
            let rest = self.target.get(self.offset, self.tag.clone()).await;
            let rest = rest?.ok_or_else(|| self.target.failed(Trouble::Missing))?;
            *self = Self { resumes, ..rest };
        }
    }
}

struct Listing {
    target: Target,
    token: Option<String>,
    is_over: bool,
}

#[async_trait]
impl Pages for Listing {
    async fn next(&mut self) -> Result<Vec<Entry>, ObjectError> {
        while !self.is_over {
            let (asking, token) = (self.target.clone(), self.token.clone());
            let asked = self.target.run(async move { asking.page(token).await });
            let (entries, token) = asked.await?;
            self.is_over = token.is_none();
            self.token = token;
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
        Ok(Vec::new())
    }
}
