//! A bucket as S3 keeps it, in memory: signatures are verified, a condition is checked and its write made in one step,
//! listings come in small pages. What goes wrong on the way to it is in `faults`.

mod faults;

pub use faults::{Fault, Seen};

use faults::{Traffic, Unconditional};
use hyper::body::Bytes;
use hyper::header::{ETAG, HeaderMap};
use hyper::http::Extensions;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::dto::{
    self, CommonPrefix, DeleteObjectInput, DeleteObjectOutput, ETag, ETagCondition, GetObjectInput,
    GetObjectOutput, HeadObjectInput, HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output,
    PutObjectInput, PutObjectOutput, Range, Timestamp,
};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

/// Whom the server knows.
pub const ACCESS_KEY: &str = "test";
/// What requests are signed with.
pub const SECRET_KEY: &str = "secret-of-tests";
/// The only bucket there is.
pub const BUCKET: &str = "functions";

/// How many entries a page of a listing has at most: so few that tests turn pages.
const PAGE: usize = 7;

/// What continuation tokens begin with: characters of S3's tokens that do not survive careless encoding.
const TOKEN: &str = "1/+=";

/// The server, on a port of its own.
pub struct S3 {
    endpoint: String,
    store: Store,
    traffic: Arc<Traffic>,
    _runtime: tokio::runtime::Runtime,
}

impl S3 {
    /// Starts with an empty bucket.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let store = Store::default();
        let traffic = Arc::new(Traffic::default());
        let mut builder = S3ServiceBuilder::new(store.clone());
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        runtime.spawn(accept(listener, builder.build(), Arc::clone(&traffic)));
        Self {
            endpoint,
            store,
            traffic,
            _runtime: runtime,
        }
    }

    /// A store in the bucket as a person names it.
    pub fn url(&self, prefix: &str) -> String {
        url(&self.endpoint, prefix)
    }

    /// The content of an object.
    pub fn object(&self, key: &str) -> Option<Vec<u8>> {
        let objects = self.store.lock();
        objects.by_key.get(key).map(|object| object.bytes.to_vec())
    }

    /// Writes an object behind the back of clients.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        self.store.lock().write(key, Bytes::copy_from_slice(bytes));
    }

    /// Removes an object behind the back of clients.
    pub fn remove(&self, key: &str) {
        self.store.lock().by_key.remove(key);
    }

    /// The keys of all objects, in order.
    pub fn keys(&self) -> Vec<String> {
        self.store.lock().by_key.keys().cloned().collect()
    }

    /// Makes an object that much older.
    pub fn age(&self, key: &str, by: Duration) {
        let mut objects = self.store.lock();
        let object = objects.by_key.get_mut(key).expect("an object to age");
        object.modified -= by;
    }

    /// Takes `s3:ListBucket` away: a missing object is forbidden from now on, and so is a listing.
    pub fn without_list_permission(&self) {
        self.store.lock().unlisted = true;
    }

    /// All requests so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Seen> {
        self.traffic.requests()
    }

    /// Starts a new record of requests.
    pub fn forget_requests(&self) {
        self.traffic.forget_requests();
    }

    /// Does something to the first requests that match; [`Seen::status`] is 0 when asked. Of several faults that match
    /// a request, it gets all.
    pub fn inject(
        &self,
        fault: Fault,
        on: impl Fn(&Seen) -> bool + Send + Sync + 'static,
        times: usize,
    ) {
        self.traffic.inject(fault, on, times);
    }

    /// Removes all faults.
    pub fn heal(&self) {
        self.traffic.heal();
    }
}

/// A store in [`BUCKET`] of whatever listens at an endpoint.
pub(super) fn url(endpoint: &str, prefix: &str) -> String {
    let endpoint: String = form_urlencoded::byte_serialize(endpoint.as_bytes()).collect();
    format!("s3://{BUCKET}/{prefix}?endpoint={endpoint}&region=eu-west-1")
}

async fn accept(listener: tokio::net::TcpListener, service: S3Service, traffic: Arc<Traffic>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (service, traffic) = (service.clone(), Arc::clone(&traffic));
        let service = service_fn(move |request| {
            faults::answer(Arc::clone(&traffic), service.clone(), request)
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

/// The bucket, behind the one lock under which conditions are checked and writes made.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<Objects>>);

#[derive(Default)]
struct Objects {
    by_key: BTreeMap<String, Object>,
    /// How many writes there were: each gets an entity tag of its own, also one that brings old content back.
    writes: u64,
    /// Whether clients are without `s3:ListBucket`.
    unlisted: bool,
}

struct Object {
    bytes: Bytes,
    etag: ETag,
    modified: SystemTime,
}

/// What a request asks of the object that is there.
struct Conditions {
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
}

impl Conditions {
    fn new(
        extensions: &Extensions,
        if_match: Option<ETagCondition>,
        if_none_match: Option<ETagCondition>,
    ) -> Self {
        let ignored = extensions.get::<Unconditional>().is_some();
        Self {
            if_match: if_match.filter(|_| !ignored),
            if_none_match: if_none_match.filter(|_| !ignored),
        }
    }
}

fn matches(condition: &ETagCondition, etag: &ETag) -> bool {
    match condition {
        ETagCondition::ETag(wanted) => wanted.value() == etag.value(),
        ETagCondition::Any => true,
    }
}

fn precondition_failed() -> S3Error {
    s3_error!(PreconditionFailed, "A precondition does not hold")
}

fn access_denied() -> S3Error {
    s3_error!(AccessDenied, "Access Denied")
}

fn no_such_key() -> S3Error {
    s3_error!(NoSuchKey, "The specified key does not exist.")
}

/// What a read gives: all of an object, or a range of it.
struct Part {
    bytes: Bytes,
    length: i64,
    content_range: Option<String>,
    etag: ETag,
    modified: Timestamp,
}

impl Objects {
    fn write(&mut self, key: &str, bytes: Bytes) -> ETag {
        self.writes += 1;
        let etag = ETag::Strong(format!("{:032x}", self.writes));
        let object = Object {
            bytes,
            etag: etag.clone(),
            modified: SystemTime::now(),
        };
        self.by_key.insert(key.to_owned(), object);
        etag
    }

    fn read(&self, key: &str, conditions: &Conditions, range: Option<Range>) -> S3Result<Part> {
        let object = self.by_key.get(key).ok_or_else(|| match self.unlisted {
            true => access_denied(),
            false => no_such_key(),
        })?;
        let holds = |condition: &ETagCondition| matches(condition, &object.etag);
        if !conditions.if_match.as_ref().is_none_or(holds) {
            return Err(precondition_failed());
        }
        if conditions.if_none_match.as_ref().is_some_and(holds) {
            let etag = object.etag.to_http_header().unwrap();
            let mut unchanged = s3_error!(NotModified);
            unchanged.set_headers(HeaderMap::from_iter([(ETAG, etag)]));
            return Err(unchanged);
        }
        let length = object.bytes.len();
        let (bytes, content_range) = match range {
            Some(range) => {
                let range = range.check(length as u64)?;
                let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
                let content_range = format!("bytes {start}-{}/{length}", end - 1);
                (object.bytes.slice(start..end), Some(content_range))
            }
            None => (object.bytes.clone(), None),
        };
        Ok(Part {
            length: bytes.len().try_into().unwrap(),
            bytes,
            content_range,
            etag: object.etag.clone(),
            modified: object.modified.into(),
        })
    }

    /// Whether the conditions of a write or a removal hold.
    fn allow_change(&self, key: &str, conditions: &Conditions) -> S3Result<()> {
        let present = self.by_key.get(key);
        match &conditions.if_none_match {
            Some(ETagCondition::ETag(_)) => return Err(s3_error!(NotImplemented)),
            Some(ETagCondition::Any) if present.is_some() => return Err(precondition_failed()),
            Some(ETagCondition::Any) | None => {}
        }
        match (&conditions.if_match, present) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(no_such_key()),
            (Some(condition), Some(object)) if matches(condition, &object.etag) => Ok(()),
            (Some(_), Some(_)) => Err(precondition_failed()),
        }
    }
}

impl Store {
    fn lock(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().unwrap()
    }

    fn bucket(&self, name: &str) -> S3Result<MutexGuard<'_, Objects>> {
        match name {
            BUCKET => Ok(self.lock()),
            _ => Err(s3_error!(NoSuchBucket, "There is no bucket {name}")),
        }
    }
}

#[async_trait::async_trait]
impl s3s::S3 for Store {
    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let (input, extensions) = (request.input, request.extensions);
        let conditions = Conditions::new(&extensions, input.if_match, input.if_none_match);
        let objects = self.bucket(&input.bucket)?;
        let part = objects.read(&input.key, &conditions, input.range)?;
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(part.length),
            content_range: part.content_range,
            e_tag: Some(part.etag),
            last_modified: Some(part.modified),
            body: Some(Body::from(part.bytes).into()),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let (input, extensions) = (request.input, request.extensions);
        let conditions = Conditions::new(&extensions, input.if_match, input.if_none_match);
        let objects = self.bucket(&input.bucket)?;
        let part = objects.read(&input.key, &conditions, input.range)?;
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(part.length),
            content_range: part.content_range,
            e_tag: Some(part.etag),
            last_modified: Some(part.modified),
            ..HeadObjectOutput::default()
        }))
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let (input, extensions) = (request.input, request.extensions);
        let conditions = Conditions::new(&extensions, input.if_match, input.if_none_match);
        let bytes = match input.body {
            Some(body) => faults::read(body.into()).await,
            None => Ok(Bytes::new()),
        };
        let incomplete = |error| S3Error::with_source(S3ErrorCode::IncompleteBody, error);
        let bytes = bytes.map_err(incomplete)?;
        let mut objects = self.bucket(&input.bucket)?;
        objects.allow_change(&input.key, &conditions)?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(objects.write(&input.key, bytes)),
            ..PutObjectOutput::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let (input, extensions) = (request.input, request.extensions);
        let conditions = Conditions::new(&extensions, input.if_match, None);
        let mut objects = self.bucket(&input.bucket)?;
        objects.allow_change(&input.key, &conditions)?;
        objects.by_key.remove(&input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let objects = self.bucket(&input.bucket)?;
        if objects.unlisted {
            return Err(access_denied());
        }
        let token = input.continuation_token.as_deref().unwrap_or(TOKEN);
        let Some(last_seen) = token.strip_prefix(TOKEN) else {
            return Err(s3_error!(InvalidArgument, "The token is not of here"));
        };
        let mut entries = objects.entries(&input);
        entries.retain(|entry, _| *entry > last_seen);
        let wanted = input.max_keys.unwrap_or(1000);
        let page = PAGE.min(wanted.try_into().unwrap_or_default());
        let is_truncated = entries.len() > page;
        let page: Vec<_> = entries.into_iter().take(page).collect();
        let next = page.last().filter(|_| is_truncated);
        let prefixes = page.iter().filter(|(_, object)| object.is_none());
        let prefixes = prefixes.map(|(prefix, _)| CommonPrefix {
            prefix: Some((*prefix).to_owned()),
        });
        let contents = page.iter().filter_map(|(key, object)| {
            object.map(|object| dto::Object {
                key: Some((*key).to_owned()),
                size: Some(object.bytes.len().try_into().unwrap()),
                e_tag: Some(object.etag.clone()),
                last_modified: Some(object.modified.into()),
                ..dto::Object::default()
            })
        });
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket.clone()),
            prefix: input.prefix.clone(),
            delimiter: input.delimiter.clone(),
            start_after: input.start_after.clone(),
            continuation_token: input.continuation_token.clone(),
            max_keys: Some(wanted),
            key_count: Some(page.len().try_into().unwrap()),
            is_truncated: Some(is_truncated),
            next_continuation_token: next.map(|(last, _)| format!("{TOKEN}{last}")),
            contents: Some(contents.collect()),
            common_prefixes: Some(prefixes.collect()),
            ..ListObjectsV2Output::default()
        }))
    }
}

impl Objects {
    /// What a listing has in all its pages: objects, and without an object the prefixes that stand for many.
    fn entries(&self, input: &ListObjectsV2Input) -> BTreeMap<&str, Option<&Object>> {
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let delimiter = input.delimiter.as_deref().filter(|text| !text.is_empty());
        let start_after = input.start_after.as_deref().unwrap_or_default();
        let is_listed = |key: &str| key.starts_with(prefix) && key > start_after;
        let mut entries = BTreeMap::new();
        for (key, object) in self.by_key.iter().filter(|(key, _)| is_listed(key)) {
            let common = delimiter.and_then(|delimiter| {
                let end = key[prefix.len()..].find(delimiter)? + delimiter.len();
                Some(&key[..prefix.len() + end])
            });
            match common {
                Some(common) => entries.insert(common, None),
                None => entries.insert(key, Some(object)),
            };
        }
        entries
    }
}
