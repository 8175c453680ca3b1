//! What a function answers as an HTTP response: of a shape with `statusCode`, of any other, or streamed behind a prelude.
//! Whatever is wrong with it is the status 502 to the caller, and why is said in a header of our own.
//! Sources: <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-response-payload>; answers of AWS that
//! LocalStack's tests have recorded (`TestLambdaURL` in `tests/aws/services/lambda_/test_lambda.py` there); for what is no
//! JSON, <https://juxt.pro/blog/http-and-lambda>.

use crate::front::service::call::{End, Part, Reply, ReplyBody, Whole};
use crate::front::service::invoke::{
    Answer, Body, BrokenOff, empty, full, respond, set, within_limit,
};
use crate::front::service::stream::Pieces;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::HashMap;
use tokio::sync::mpsc::Receiver;

/// What a runtime calls a stream that begins with the status and the headers.
/// Source: `lambda_runtime`, and AWS's own runtime for Node.js.
const WITH_PRELUDE: &str = "application/vnd.awslambda.http-integration-response";

/// What stands between the prelude and the body.
const DELIMITER: [u8; 8] = [0; 8];

/// The most bytes of a prelude: as much as a client takes of headers.
const PRELUDE_BYTES_MAX: usize = 16 << 10;

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

/// What the server itself says of a body, and would contradict.
const OF_THE_SERVER: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why an answer cannot become a response, in words for who wrote the function.
#[derive(Debug)]
struct Unusable(&'static str);

type Members<'a> = HashMap<String, &'a RawValue>;

/// Makes the response. Returns as soon as its head is known; a streamed body follows as it comes.
pub(in crate::front::service) async fn answered(reply: Reply, request_id: &str) -> Answer {
    let answer = match reply.body {
        ReplyBody::Whole(whole) => of_whole(whole),
        ReplyBody::Streamed {
            content_type,
            parts,
        } => of_stream(content_type, parts).await,
    };
    let mut answer = answer.unwrap_or_else(|Unusable(why)| {
        let body = full(Bytes::from_static(b"Internal Server Error"));
        let mut answer = respond(StatusCode::BAD_GATEWAY, body, request_id);
        set(answer.headers_mut(), "content-type", JSON);
        set(answer.headers_mut(), "x-crunchbox-problem", why);
        answer
    });
    set(answer.headers_mut(), "x-amzn-requestid", request_id);
    if let Some(release) = &reply.served.release {
        set(answer.headers_mut(), "x-crunchbox-release", release);
    }
    answer
}

fn of_whole(whole: Whole) -> Result<Answer, Unusable> {
    let bytes = whole.result.map_err(|_| Unusable("the function failed"))?;
    let bytes = within_limit(Ok(bytes)).map_err(|_| Unusable("the response is too large"))?;
    let members = serde_json::from_slice::<Members<'_>>(&bytes).ok();
    let has_status = |members: &Members<'_>| {
        let status = members.get("statusCode");
        status.is_some_and(|status| status.get() != "null")
    };
    if let Some(members) = members.filter(has_status) {
        return Ok(head(&members, JSON)?.with(full(body(&members)?)));
    }
    // A text is sent without its quotes, whatever the documentation says. All else goes as it came, be it JSON or not.
    let text = serde_json::from_slice::<String>(&bytes);
    Ok(Head::new(JSON).with(full(text.map_or(bytes, Bytes::from))))
}

async fn of_stream(
    content_type: Option<String>,
    mut parts: Receiver<Part>,
) -> Result<Answer, Unusable> {
    let kind = content_type
        .as_deref()
        .and_then(|kind| kind.split(';').next());
    if kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(WITH_PRELUDE)) {
        let (prelude, rest) = prelude(&mut parts).await?;
        let members = serde_json::from_slice::<Members<'_>>(&prelude);
        let members = members.map_err(|_| Unusable("the prelude is not a JSON object"))?;
        let head = head(&members, BYTES)?;
        return Ok(head.with(raw(Pieces::arriving(parts, rest))));
    }
    let mut head = Head::new(BYTES);
    if let Some(content_type) = &content_type {
        set(&mut head.headers, "content-type", content_type);
    }
    // As long as nothing was sent, a failure can still be the status.
    let body = match parts.recv().await {
        Some(Part::Chunk(first)) => raw(Pieces::arriving(parts, first)),
        Some(Part::End(End { error: None, .. })) => empty(),
        Some(Part::End(End { error: Some(_), .. })) | None => {
            return Err(Unusable("the function failed"));
        }
    };
    Ok(head.with(body))
}

/// Reads up to the delimiter, wherever the parts are split: the prelude, and what has arrived of the body.
async fn prelude(parts: &mut Receiver<Part>) -> Result<(Bytes, Bytes), Unusable> {
    let mut bytes = BytesMut::new();
    loop {
        // The delimiter may have begun in what was there before.
        let from = bytes.len().saturating_sub(DELIMITER.len() - 1);
        match parts.recv().await {
            Some(Part::Chunk(chunk)) => bytes.extend_from_slice(&chunk),
            Some(Part::End(End { error: Some(_), .. })) => {
                return Err(Unusable("the function failed"));
            }
            Some(Part::End(End { error: None, .. })) | None => {
                return Err(Unusable("the response ended within its prelude"));
            }
        }
        let most = bytes.len().min(PRELUDE_BYTES_MAX + DELIMITER.len());
        let fresh = bytes.get(from..most).unwrap_or_default();
        let place = fresh
            .windows(DELIMITER.len())
            .position(|place| place == DELIMITER);
        if let Some(place) = place {
            let prelude = bytes.split_to(from + place).freeze();
            let rest = bytes.freeze().slice(DELIMITER.len()..);
            return Ok((prelude, rest));
        }
        if bytes.len() >= PRELUDE_BYTES_MAX + DELIMITER.len() {
            return Err(Unusable("the prelude is too long"));
        }
    }
}

/// A body as it comes. When it breaks off, so does the connection.
fn raw(pieces: Pieces) -> Body {
    let frames = unfold(pieces, |mut pieces| async move {
        let frame = match pieces.next().await? {
            Part::Chunk(bytes) => Ok(Frame::data(bytes)),
            Part::End(End { error: None, .. }) => return None,
            Part::End(End { error: Some(_), .. }) => Err(BrokenOff),
        };
        Some((frame, pieces))
    });
    Body::new(StreamBody::new(frames.fuse()))
}

/// The status and the headers.
#[derive(Debug)]
struct Head {
    status: StatusCode,
    headers: HeaderMap,
}

impl Head {
    fn new(content_type: &'static str) -> Self {
        let mut headers = HeaderMap::new();
        set(&mut headers, "content-type", content_type);
        Self {
            status: StatusCode::OK,
            headers,
        }
    }

    fn with(self, body: Body) -> Answer {
        let mut answer = Answer::new(body);
        *answer.status_mut() = self.status;
        *answer.headers_mut() = self.headers;
        answer
    }
}

fn head(members: &Members<'_>, content_type: &'static str) -> Result<Head, Unusable> {
    let mut head = Head::new(content_type);
    if let Some(status) = members.get("statusCode") {
        head.status = self::status(status.get())?;
    }
    let headers = members
        .get("headers")
        .map_or("null", |headers| headers.get());
    let headers = serde_json::from_str::<Option<Map<String, Value>>>(headers)
        .map_err(|_| Unusable("`headers` is not an object"))?;
    for (name, value) in headers.unwrap_or_default() {
        put(&mut head.headers, &name, value)?;
    }
    let cookies = members
        .get("cookies")
        .map_or("null", |cookies| cookies.get());
    let cookies = serde_json::from_str::<Option<Vec<String>>>(cookies)
        .map_err(|_| Unusable("`cookies` is not an array of strings"))?;
    for cookie in cookies.unwrap_or_default() {
        let cookie = HeaderValue::from_bytes(cookie.as_bytes())
            .map_err(|_| Unusable("a cookie has bytes that no header can have"))?;
        head.headers
            .try_append(SET_COOKIE, cookie)
            .map_err(|_| Unusable("there are too many headers"))?;
    }
    Ok(head)
}

/// A number, or a text that is one. Lower ones than 200 announce a response and are none.
fn status(value: &str) -> Result<StatusCode, Unusable> {
    if value == "null" {
        return Ok(StatusCode::OK);
    }
    let number = value.trim_matches('"').parse::<u16>().ok();
    number
        .filter(|number| (200..600).contains(number))
        .and_then(|number| StatusCode::from_u16(number).ok())
        .ok_or(Unusable("`statusCode` is not a number from 200 to 599"))
}

fn put(headers: &mut HeaderMap, name: &str, value: Value) -> Result<(), Unusable> {
    let text = match value {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Null => return Ok(()),
        Value::Array(_) | Value::Object(_) => {
            return Err(Unusable("a header is neither text nor a number"));
        }
    };
    let name =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| Unusable("a header's name is none"))?;
    let value = HeaderValue::from_bytes(text.as_bytes())
        .map_err(|_| Unusable("a header has bytes that no header can have"))?;
    if OF_THE_SERVER.contains(&name.as_str()) {
        return Ok(());
    }
    headers
        .try_insert(name, value)
        .map(drop)
        .map_err(|_| Unusable("there are too many headers"))
}

/// The body's bytes; what is no text is sent as the JSON that it is.
fn body(members: &Members<'_>) -> Result<Bytes, Unusable> {
    let raw = members.get("body").map_or("null", |body| body.get());
    if raw == "null" {
        return Ok(Bytes::new());
    }
    let text = serde_json::from_str::<String>(raw).ok();
    let is_encoded = members
        .get("isBase64Encoded")
        .is_some_and(|flag| flag.get() == "true");
    match (text, is_encoded) {
        (Some(text), false) => Ok(text.into()),
        (None, false) => Ok(Bytes::copy_from_slice(raw.as_bytes())),
        (text, true) => text
            .and_then(|text| STANDARD.decode(text).ok())
            .map(Bytes::from)
            .ok_or(Unusable("`body` is not Base64, as `isBase64Encoded` says")),
    }
}

#[cfg(test)]
mod tests;
