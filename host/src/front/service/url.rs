//! Function URLs: any HTTP request becomes an event in the payload format 2.0, and what the function answers becomes an HTTP
//! response. Knows no function; nobody has to sign here, as with the auth type `NONE`.
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>; where that is silent, events and answers of
//! AWS that others have recorded, named where they count.

mod answer;

pub(super) use answer::answered;

use super::error::ServiceError;
use super::invoke::{Answer, full, set, too_large};
use crate::event::EVENT_BYTES_MAX;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, HeaderMap, USER_AGENT};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

/// What speaks of the connection and not of the request, and cookies, which have a place of their own.
const NOT_PASSED: [&str; 9] = [
    "cookie",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-authorization",
];

/// Where a request came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UrlPlace {
    /// The function, as the path names it.
    pub(super) function: String,
    /// The path below the function's own, still percent-encoded: function URLs decode nothing, unlike API Gateway.
    /// Source: <https://github.com/middleapi/standard-server/pull/93>, after events recorded on AWS.
    pub(super) raw_path: String,
    /// The host that the client named, with its port.
    pub(super) domain_name: String,
    /// The client's address.
    pub(super) source_ip: String,
    /// The invocation's identifier.
    pub(super) request_id: String,
}

/// The event of a request.
///
/// # Errors
/// [`ServiceError::TooLarge`]: the body may well be within bounds while the event around it is not.
pub(super) fn event(parts: &Parts, body: &Bytes, place: &UrlPlace) -> Result<Bytes, ServiceError> {
    if body.len() > EVENT_BYTES_MAX {
        return Err(too_large(EVENT_BYTES_MAX));
    }
    let query = parts.uri.query().unwrap_or_default();
    let mut event = Map::new();
    let mut put = |name: &str, value: Value| event.insert(name.to_owned(), value);
    put("version", "2.0".into());
    put("routeKey", "$default".into());
    put("rawPath", place.raw_path.as_str().into());
    put("rawQueryString", query.into());
    let cookies = cookies(&parts.headers);
    if !cookies.is_empty() {
        put("cookies", cookies.into());
    }
    put("headers", headers(&parts.headers, place).into());
    if !query.is_empty() {
        put("queryStringParameters", parameters(query).into());
    }
    put("requestContext", context(parts, place));
    let text = text(&parts.headers, body);
    if !body.is_empty() {
        let encoded = || Value::from(STANDARD.encode(body));
        put("body", text.map_or_else(encoded, Value::from));
    }
    put(
        "isBase64Encoded",
        (text.is_none() && !body.is_empty()).into(),
    );
    let event = Value::Object(event).to_string();
    if event.len() > EVENT_BYTES_MAX {
        return Err(too_large(EVENT_BYTES_MAX));
    }
    Ok(event.into())
}

/// The service's refusal, as function URLs word theirs. What AWS says of a URL that is nobody's is `{"Message":null}` with
/// the status 403; here the caller learns what is wrong.
pub(super) fn refused(error: &ServiceError) -> Answer {
    let document = json!({"Message": error.to_string()}).to_string();
    let mut answer = Response::new(full(document.into()));
    *answer.status_mut() = error.status();
    let headers = answer.headers_mut();
    set(headers, "content-type", "application/json");
    set(headers, "x-amzn-errortype", error.name());
    if let Some(wait) = error.retry_after() {
        set(headers, "retry-after", &wait.as_secs().to_string());
    }
    answer
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(COOKIE).iter().map(lossy);
    lines
        .flat_map(|line| {
            let cookies = line.split(';').map(|cookie| cookie.trim().to_owned());
            cookies
                .filter(|cookie| !cookie.is_empty())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The headers, those with several values joined; cookies are elsewhere. What AWS's front adds is added here too.
fn headers(headers: &HeaderMap, place: &UrlPlace) -> Map<String, Value> {
    let is_passed = |name: &&HeaderName| !NOT_PASSED.contains(&name.as_str());
    let mut passed: Map<String, Value> = headers
        .keys()
        .filter(is_passed)
        .map(|name| {
            let values: Vec<_> = headers.get_all(name).iter().map(lossy).collect();
            (name.as_str().to_owned(), Value::from(values.join(",")))
        })
        .collect();
    let port = place.domain_name.rsplit_once(':');
    let port = port.filter(|(_, port)| port.parse::<u16>().is_ok());
    for (name, value) in [
        ("x-forwarded-for", place.source_ip.as_str()),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", port.map_or("80", |(_, port)| port)),
    ] {
        passed.insert(name.to_owned(), value.into());
    }
    passed
}

fn parameters(query: &str) -> Map<String, Value> {
    let mut values = IndexMap::<String, Vec<String>>::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        values
            .entry(name.into_owned())
            .or_default()
            .push(value.into_owned());
    }
    let joined = |(name, values): (String, Vec<String>)| (name, Value::from(values.join(",")));
    values.into_iter().map(joined).collect()
}

fn context(parts: &Parts, place: &UrlPlace) -> Value {
    let now = jiff::Timestamp::now();
    let user_agent = parts.headers.get(USER_AGENT).map(lossy);
    json!({
        "accountId": "anonymous",
        "apiId": place.function,
        "domainName": place.domain_name,
        "domainPrefix": place.function,
        "http": {
            "method": parts.method.as_str(),
            "path": place.raw_path,
            "protocol": format!("{:?}", parts.version),
            "sourceIp": place.source_ip,
            "userAgent": user_agent.unwrap_or_default(),
        },
        "requestId": place.request_id,
        "routeKey": "$default",
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
        "timeEpoch": now.as_millisecond(),
    })
}

/// The body as text, if it is of a type that AWS hands on as such. All else is encoded, forms and what says nothing of its
/// type included. Source: <https://github.com/ministackorg/ministack/pull/766>, measured on AWS with the same format.
fn text<'a>(headers: &HeaderMap, body: &'a Bytes) -> Option<&'a str> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let content_type = content_type.split(';').next()?.trim().to_ascii_lowercase();
    let is_text = content_type.starts_with("text/")
        || matches!(
            content_type.as_str(),
            "application/json" | "application/xml" | "application/javascript"
        );
    let text = std::str::from_utf8(body).ok()?;
    is_text.then_some(text)
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests;
