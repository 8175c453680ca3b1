//! From a request to the operation it asks for: paths, bodies within bounds, and who may ask at all.

use super::call::Call;
use super::error::ServiceError;
use super::invoke::{self, Answer, InvocationType, InvokeHead};
use super::name::{FunctionRef, arn};
use super::url::{self, UrlPlace};
use super::{Queued, Served, Service, Via, stream};
use crate::event::{EVENT_BYTES_MAX, RESPONSE_BYTES_MAX};
use crate::front::request_id;
use bytes::{Bytes, BytesMut};
use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long a client may rest within a body.
const BODY_REST: Duration = Duration::from_secs(30);

/// The most bytes of a body that is too long that are read before it is refused.
const DISCARDED_BYTES_MAX: usize = 256 << 20;

/// The most bytes of unfinished bodies of all connections together.
const BODIES_BYTES_MAX: usize = 512 << 20;

/// What an operation is called on, as the path has it.
enum Operation<'a> {
    Invoke(&'a str),
    Stream(&'a str),
    /// A function, and the path below its URL.
    Url(&'a str, &'a str),
    /// What is served here.
    List,
}

impl<'a> Operation<'a> {
    fn of(method: &Method, path: &'a str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("/lambda-url/") {
            let (name, below) = match rest.find('/') {
                Some(slash) => rest.split_at(slash),
                None => (rest, "/"),
            };
            return (!name.is_empty()).then_some(Self::Url(name, below));
        }
        let function = |prefix, suffix| {
            let rest = path.strip_prefix(prefix)?.strip_suffix(suffix)?;
            (method == Method::POST && !rest.is_empty() && !rest.contains('/')).then_some(rest)
        };
        if let Some(name) = function("/2015-03-31/functions/", "/invocations") {
            return Some(Self::Invoke(name));
        }
        let streaming = function("/2021-11-15/functions/", "/response-streaming-invocations");
        match streaming {
            Some(name) => Some(Self::Stream(name)),
            None => (path == "/" && method == Method::GET).then_some(Self::List),
        }
    }
}

/// Answers one request; every refusal is an answer.
pub(super) async fn route(
    service: &Service,
    request: Request<Incoming>,
    peer: IpAddr,
) -> Result<Answer, Infallible> {
    let id = request_id();
    let (parts, body) = request.into_parts();
    let refused = |error: &ServiceError| {
        let request = format!("{} {}", parts.method, parts.uri.path());
        let reason = format!("{}: {error}", error.name());
        let status = error.status().as_u16();
        service.witness.refused(&request, status, &reason);
    };
    if let Err(error) = admitted(&parts.headers, peer) {
        refused(&error);
        return Ok(invoke::refused(&error, &id));
    }
    let path = parts.uri.path().to_owned();
    let answer = match Operation::of(&parts.method, &path) {
        Some(Operation::Invoke(name)) => invoked(service, name, &parts, body, &id).await,
        Some(Operation::Stream(name)) => streamed(service, name, &parts, body, &id).await,
        Some(Operation::Url(name, below)) => {
            let place = UrlPlace {
                function: name.to_owned(),
                raw_path: below.to_owned(),
                domain_name: host(&parts.headers).unwrap_or_default().to_owned(),
                source_ip: peer.to_string(),
                request_id: id.clone(),
            };
            let answer = by_url(service, place, &parts, body).await;
            return Ok(answer.unwrap_or_else(|error| {
                refused(&error);
                url::refused(&error)
            }));
        }
        Some(Operation::List) => Ok(listed(service)),
        None => Err(ServiceError::UnknownOperation(format!(
            "no operation of this service: {} {path}",
            parts.method
        ))),
    };
    Ok(answer.unwrap_or_else(|error| {
        refused(&error);
        invoke::refused(&error, &id)
    }))
}

/// A page in somebody's browser can send requests to this machine, under this machine's name or one of its own that leads
/// here. AWS's clients send no `Origin`, and name the host they mean.
fn admitted(headers: &HeaderMap, peer: IpAddr) -> Result<(), ServiceError> {
    if !peer.to_canonical().is_loopback() {
        return Ok(());
    }
    let from_elsewhere = headers.get("sec-fetch-site");
    if from_elsewhere.is_some_and(|site| site == "cross-site") {
        return Err(ServiceError::Forbidden(
            "the request is from a page of another site".to_owned(),
        ));
    }
    let is_here = |authority: &str| {
        let name = match authority.parse::<http::uri::Authority>() {
            Ok(authority) => authority.host().trim_matches(['[', ']']).to_owned(),
            Err(_) => return false,
        };
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            // Names that containers and emulators have for the machine they run on; no public name ends so.
            || name.ends_with(".internal")
    };
    let origin = headers.get(ORIGIN).map(|origin| origin.to_str());
    let from = match origin {
        None => None,
        Some(Ok(origin)) => origin
            .split_once("://")
            .map(|(_, authority)| authority)
            .or(Some(origin)),
        Some(Err(_)) => Some(""),
    };
    for (what, authority) in [("Host", host(headers)), ("Origin", from)] {
        if let Some(authority) = authority.filter(|authority| !is_here(authority)) {
            return Err(ServiceError::Forbidden(format!(
                "the request's {what} is `{authority}`, which is not this machine"
            )));
        }
    }
    Ok(())
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST)?.to_str().ok()
}

async fn invoked(
    service: &Service,
    name: &str,
    parts: &Parts,
    body: Incoming,
    id: &str,
) -> Result<Answer, ServiceError> {
    let asked = Asked::of(service, name, parts)?;
    let head = InvokeHead::read(&parts.headers)?;
    let limit = invoke::limit(head.kind);
    let event = read(service, body, limit, "InvokeFunction").await?;
    let event = invoke::payload(event, head.kind)?;
    let (kind, log) = (head.kind, head.log);
    let call = asked.call(head, event, id);
    let qualifier = asked.qualifier();
    match kind {
        InvocationType::RequestResponse => {
            let reply = asked.served.handle(qualifier, call, Via::Invoke).await?;
            let whole = reply.body.collect(RESPONSE_BYTES_MAX).await;
            Ok(invoke::answered(&reply.served, whole, log, id))
        }
        InvocationType::Event => {
            asked.served.function.backend.check(qualifier).await?;
            let queued = Queued {
                served: Arc::clone(asked.served),
                qualifier: qualifier.map(str::to_owned),
                arn: arn(
                    &service.region,
                    &asked.name.function,
                    Some(qualifier.unwrap_or(super::guest::LATEST)),
                ),
            };
            service.queue.accept(Arc::new(queued), call)?;
            Ok(invoke::accepted(id))
        }
        InvocationType::DryRun => {
            asked.served.function.backend.check(qualifier).await?;
            Ok(invoke::dry(id))
        }
    }
}

async fn streamed(
    service: &Service,
    name: &str,
    parts: &Parts,
    body: Incoming,
    id: &str,
) -> Result<Answer, ServiceError> {
    let asked = Asked::of(service, name, parts)?;
    let head = InvokeHead::read(&parts.headers)?;
    if head.kind == InvocationType::Event {
        return Err(ServiceError::InvalidParameter(
            "an event for the queue has no response to stream".to_owned(),
        ));
    }
    let event = read(service, body, EVENT_BYTES_MAX, "InvokeWithResponseStream").await?;
    let event = invoke::payload(event, head.kind)?;
    let (kind, log) = (head.kind, head.log);
    let call = asked.call(head, event, id);
    if kind == InvocationType::DryRun {
        asked
            .served
            .function
            .backend
            .check(asked.qualifier())
            .await?;
        return Ok(invoke::dry(id));
    }
    let reply = asked
        .served
        .handle(asked.qualifier(), call, Via::Stream)
        .await?;
    Ok(stream::streamed(reply, log, id))
}

async fn by_url(
    service: &Service,
    place: UrlPlace,
    parts: &Parts,
    body: Incoming,
) -> Result<Answer, ServiceError> {
    let name = FunctionRef::parse(&place.function, None)?;
    let served = service.find(&name.function, name.qualifier.as_deref())?;
    let body = read(service, body, EVENT_BYTES_MAX, "InvokeFunction").await?;
    let event = url::event(parts, &body, &place)?;
    let call = Call {
        event,
        request_id: place.request_id.clone(),
        client_context: None,
        tenant_id: None,
        trace_id: invoke::sent_trace_id(&parts.headers).unwrap_or_else(invoke::trace_id),
        invoked_arn: arn(&service.region, &name.function, name.qualifier.as_deref()),
    };
    let reply = served
        .handle(name.qualifier.as_deref(), call, Via::Url)
        .await?;
    Ok(url::answered(reply, &place.request_id).await)
}

fn listed(service: &Service) -> Answer {
    let functions: Vec<_> = service
        .functions
        .keys()
        .map(|name| json!({"FunctionName": name, "FunctionArn": arn(&service.region, name, None)}))
        .collect();
    let mut answer = http::Response::new(invoke::full(
        json!({"Functions": functions}).to_string().into(),
    ));
    answer.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    answer
}

/// What a request asks of which function.
struct Asked<'a> {
    region: &'a str,
    name: FunctionRef,
    served: &'a Arc<Served>,
}

impl<'a> Asked<'a> {
    fn of(service: &'a Service, name: &str, parts: &Parts) -> Result<Self, ServiceError> {
        let query = parts.uri.query().unwrap_or_default();
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        let qualifier = pairs.find(|(key, _)| key == "Qualifier");
        let qualifier = qualifier.map(|(_, value)| value.into_owned());
        let name = FunctionRef::parse(name, qualifier.as_deref())?;
        let served = service.find(&name.function, name.qualifier.as_deref())?;
        Ok(Self {
            region: &service.region,
            name,
            served,
        })
    }

    fn qualifier(&self) -> Option<&str> {
        self.name.qualifier.as_deref()
    }

    fn call(&self, head: InvokeHead, event: Bytes, id: &str) -> Call {
        Call {
            request_id: id.to_owned(),
            event,
            client_context: head.client_context,
            tenant_id: head.tenant_id,
            trace_id: head.trace_id,
            invoked_arn: arn(self.region, &self.name.function, self.qualifier()),
        }
    }
}

/// One body's part of the bytes of all that are on their way.
struct Share<'a> {
    all: &'a AtomicUsize,
    own: usize,
}

impl Share<'_> {
    fn grow(&mut self, bytes: usize) -> bool {
        self.own += bytes;
        self.all.fetch_add(bytes, Ordering::Relaxed) + bytes <= BODIES_BYTES_MAX
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.own, Ordering::Relaxed);
    }
}

/// Reads a body of at most `limit` bytes, from a client that does not rest too long.
async fn read(
    service: &Service,
    mut body: Incoming,
    limit: usize,
    operation: &'static str,
) -> Result<Bytes, ServiceError> {
    let broken =
        |problem: &str| ServiceError::InvalidContent(format!("the request's body {problem}"));
    let mut bytes = BytesMut::new();
    let mut discarded = 0;
    let mut share = Share {
        all: &service.bodies,
        own: 0,
    };
    loop {
        let frame = tokio::time::timeout(BODY_REST, body.frame()).await;
        let frame = frame.map_err(|_| broken("did not come in time"))?;
        let Some(frame) = frame else {
            return match discarded {
                0 => Ok(bytes.freeze()),
                _ => Err(ServiceError::TooLarge { limit, operation }),
            };
        };
        let frame = frame.map_err(|error| broken(&format!("broke off: {error}")))?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        if discarded > 0 || bytes.len() + piece.len() > limit {
            // A client that is still sending would see a broken connection instead of the answer.
            discarded += piece.len();
            if discarded > DISCARDED_BYTES_MAX {
                return Err(ServiceError::TooLarge { limit, operation });
            }
            continue;
        }
        if !share.grow(piece.len()) {
            return Err(ServiceError::Unavailable(
                "too many large requests at once".to_owned(),
            ));
        }
        bytes.extend_from_slice(&piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&'static str, &str)], peer: &str) -> Result<(), ServiceError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        admitted(&headers, peer.parse().unwrap())
    }

    #[test]
    fn a_page_in_a_browser_and_a_name_that_leads_here_reach_nothing() {
        for here in [
            "127.0.0.1:9000",
            "localhost:9000",
            "[::1]:9000",
            "crunch.localhost",
            "host.docker.internal:9000",
        ] {
            assert_eq!(asked(&[("host", here)], "127.0.0.1"), Ok(()), "{here}");
        }
        assert_eq!(
            asked(
                &[
                    ("host", "localhost:9000"),
                    ("origin", "http://localhost:3000")
                ],
                "::1"
            ),
            Ok(())
        );
        for (name, value) in [
            ("host", "evil.example"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
        ] {
            let refused = asked(&[("host", "127.0.0.1:9000"), (name, value)], "127.0.0.1");
            assert!(
                matches!(refused, Err(ServiceError::Forbidden(_))),
                "{value}"
            );
        }
        // Whoever lets other machines in has said so by `--listen`.
        assert_eq!(asked(&[("host", "build.example:9000")], "10.0.0.7"), Ok(()));
    }

    #[test]
    fn a_path_is_one_operation_or_none() {
        let of = |method: Method, path: &str| match Operation::of(&method, path) {
            Some(Operation::Invoke(name)) => format!("invoke {name}"),
            Some(Operation::Stream(name)) => format!("stream {name}"),
            Some(Operation::Url(name, below)) => format!("url {name} {below}"),
            Some(Operation::List) => "list".to_owned(),
            None => "none".to_owned(),
        };
        for (method, path, expected) in [
            (
                Method::POST,
                "/2015-03-31/functions/crunch/invocations",
                "invoke crunch",
            ),
            (
                Method::GET,
                "/2015-03-31/functions/crunch/invocations",
                "none",
            ),
            (Method::POST, "/2015-03-31/functions//invocations", "none"),
            (
                Method::POST,
                "/2015-03-31/functions/a/b/invocations",
                "none",
            ),
            (
                Method::POST,
                "/2021-11-15/functions/a%3Alive/response-streaming-invocations",
                "stream a%3Alive",
            ),
            (Method::GET, "/lambda-url/crunch", "url crunch /"),
            (Method::PUT, "/lambda-url/crunch/a/b", "url crunch /a/b"),
            (Method::GET, "/lambda-url/", "none"),
            (Method::GET, "/", "list"),
            (Method::POST, "/", "none"),
        ] {
            assert_eq!(of(method, path), expected, "{path}");
        }
    }
}
