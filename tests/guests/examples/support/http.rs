//! A request by `wasi:http`, with no library between: what the event says goes to the host as it stands.

mod raw {
    wit_bindgen::generate!({
        inline: "
            package test:http;
            world http {
                import wasi:http/outgoing-handler@0.2.12;
            }
        ",
        path: "../../wit",
        world: "test:http/http",
        generate_all,
    });
}

use crunchbox_sdk::Failure;
use raw::wasi::http::outgoing_handler;
use raw::wasi::http::types::{
    Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
    http_error_code,
};
use raw::wasi::io::streams::StreamError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// The most that `blocking-write-and-flush` takes at once.
const WRITE_BYTES_MAX: usize = 4096;

/// As much is read at once.
const READ_BYTES: u64 = 64 << 10;

/// Words that WIT has in capitals.
const ABBREVIATIONS: [&str; 5] = ["dns", "http", "ip", "tls", "uri"];

/// A request as the event has it.
#[derive(Deserialize)]
pub(crate) struct Asked {
    method: String,
    url: String,
    /// Stands in place of the URL's own path, in whatever form.
    path: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
}

impl Asked {
    /// Sends it, and tells what came back.
    ///
    /// # Errors
    /// The kind is the name of the `error-code` or the `header-error`, as WIT spells it: `HTTP-request-denied`.
    pub(crate) fn send(&self) -> Result<Value, Failure> {
        let response = self.response()?;
        let headers = response.headers().entries().into_iter();
        let headers: BTreeMap<String, String> =
            headers.map(|(name, value)| (name, text(&value))).collect();
        let body = response.consume().map_err(|()| refused("internal-error"))?;
        let body = read(&body)?;
        Ok(json!({"status": response.status(), "headers": headers, "body": body}))
    }

    fn response(&self) -> Result<IncomingResponse, Failure> {
        let request = self.request()?;
        let body = match self.body.as_str() {
            "" => None,
            _ => Some(request.body().map_err(|()| refused("internal-error"))?),
        };
        let pending = outgoing_handler::handle(request, None).map_err(|code| named(&code))?;
        if let Some(body) = body {
            hand_over(body, self.body.as_bytes());
        }
        loop {
            if let Some(answer) = pending.get() {
                let answer = answer.map_err(|()| refused("internal-error"))?;
                return answer.map_err(|code| named(&code));
            }
            pending.subscribe().block();
        }
    }

    fn request(&self) -> Result<OutgoingRequest, Failure> {
        let invalid = |()| refused("HTTP-request-URI-invalid");
        let (scheme, rest) = self.url.split_once("://").ok_or(()).map_err(invalid)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = self.path.as_deref().unwrap_or(path);
        let path = if path.is_empty() { "/" } else { path };
        let request = OutgoingRequest::new(self.fields()?);
        request
            .set_method(&self.method())
            .map_err(|()| refused("HTTP-request-method-invalid"))?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => Scheme::Other(other.to_owned()),
        };
        request.set_scheme(Some(&scheme)).map_err(invalid)?;
        request.set_authority(Some(authority)).map_err(invalid)?;
        request.set_path_with_query(Some(path)).map_err(invalid)?;
        Ok(request)
    }

    fn fields(&self) -> Result<Fields, Failure> {
        let entries = self.headers.iter();
        let entries: Vec<_> = entries
            .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
            .collect();
        Fields::from_list(&entries).map_err(|error| named(&error))
    }

    fn method(&self) -> Method {
        match self.method.as_str() {
            "GET" => Method::Get,
            "POST" => Method::Post,
            "CONNECT" => Method::Connect,
            "TRACE" => Method::Trace,
            other => Method::Other(other.to_owned()),
        }
    }
}

/// Makes requests with as much in their headers and bodies as the host takes, and sends none.
pub(crate) fn hoard() -> ! {
    let mut held = Vec::new();
    loop {
        let fields = Fields::new();
        (0..15).for_each(|_| drop(fields.append("x-hoarded", &[b'x'; 1000])));
        let request = OutgoingRequest::new(fields);
        let body = request.body().ok();
        let stream = body.as_ref().and_then(|body| body.write().ok());
        if let Some(stream) = &stream {
            while let Ok(room @ 1..) = stream.check_write() {
                let room = usize::try_from(room).unwrap_or_default();
                let _ = stream.write(&vec![b'x'; room]);
            }
        }
        held.push((stream, body, request));
    }
}

/// Hands a body over. Who refuses the request takes none of it, and says why in the answer.
fn hand_over(body: OutgoingBody, bytes: &[u8]) {
    if let Ok(stream) = body.write() {
        let mut pieces = bytes.chunks(WRITE_BYTES_MAX);
        let _ = pieces.try_for_each(|piece| stream.blocking_write_and_flush(piece));
    }
    let _ = OutgoingBody::finish(body, None);
}

fn read(body: &IncomingBody) -> Result<String, Failure> {
    let stream = body.stream().map_err(|()| refused("internal-error"))?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES) {
            Ok(piece) => bytes.extend(piece),
            Err(StreamError::Closed) => return Ok(text(&bytes)),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(match http_error_code(&error) {
                    Some(code) => named(&code),
                    None => Failure::new("Broken", error.to_debug_string()),
                });
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A failure whose kind is the name of a case. The bindings know it in camel case only: `ErrorCode::DnsError(…)`.
fn named(case: &impl Debug) -> Failure {
    let shown = format!("{case:?}");
    let path = shown.split('(').next().unwrap_or_default();
    let camel = path.rsplit("::").next().unwrap_or_default();
    let mut words: Vec<String> = Vec::new();
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() || words.is_empty() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(letter.to_ascii_lowercase());
        }
    }
    for word in &mut words {
        if ABBREVIATIONS.contains(&word.as_str()) {
            word.make_ascii_uppercase();
        }
    }
    Failure::new(words.join("-"), shown)
}

fn refused(kind: &str) -> Failure {
    Failure::new(kind, "the host takes no such request")
}
