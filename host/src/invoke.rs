//! The caller's side of Lambda's Invoke API: makes a request of an event, signs it where it goes to AWS, sends it once, and
//! reads the answer. Knows neither what serves it nor where results are shown.
//! Source: the operations `Invoke` and `InvokeWithResponseStream` of AWS's API model of Lambda.

mod answer;
mod endpoint;
mod target;

pub(crate) use answer::Answer;
pub(crate) use endpoint::{Endpoint, Region};
pub(crate) use target::{Qualifier, Target};

use crate::aws::frame::{Frame, Frames};
use crate::aws::http::{Arriving, SendError, send};
use crate::error::{Code, Failure};
use crate::event::check_json;
use crate::grant::Signing;
use crate::network::Signer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::{Duration, Instant};

/// The most bytes of an event that Lambda queues.
/// Source: <https://aws.amazon.com/blogs/compute/more-room-to-build-serverless-services-now-support-payloads-up-to-1-mb>.
pub(crate) const QUEUED_BYTES_MAX: usize = 1 << 20;

/// The most characters of a client context, in Base64.
/// Source: <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>, `ClientContext`.
const CLIENT_CONTEXT_CHARS_MAX: usize = 3_583;

/// The most that is held of an answer: ten times what Lambda gives in one piece, so that it bounds nothing but what is no
/// Lambda.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The most that is read of a refusal.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// All but what RFC 3986 calls unreserved, as AWS's own clients escape a name in a path.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

const USER_AGENT: &str = concat!("crunchbox/", env!("CARGO_PKG_VERSION"));

/// What is asked of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The response, whole.
    Response,
    /// The response in parts, as the function makes them.
    Stream,
    /// To queue the event and answer at once.
    Queue,
    /// Whether these credentials may invoke the function; no event is handled.
    DryRun,
}

impl Mode {
    fn invocation_type(self) -> &'static str {
        match self {
            Self::Response | Self::Stream => "RequestResponse",
            Self::Queue => "Event",
            Self::DryRun => "DryRun",
        }
    }

    fn success(self) -> StatusCode {
        match self {
            Self::Response | Self::Stream => StatusCode::OK,
            Self::Queue => StatusCode::ACCEPTED,
            Self::DryRun => StatusCode::NO_CONTENT,
        }
    }
}

/// Whether the end of the invocation's log comes with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogTail {
    /// It does not.
    None,
    /// The last 4 KiB of it do.
    Wanted,
}

/// One invocation to ask for.
#[derive(Debug, Clone)]
pub(crate) struct Invoke {
    /// The function.
    pub(crate) target: Target,
    /// What is asked.
    pub(crate) mode: Mode,
    /// Whether the log is wanted.
    pub(crate) log: LogTail,
    /// The event, as JSON text.
    pub(crate) event: Bytes,
    /// What is told of the caller, as the text of a JSON object.
    pub(crate) client_context: Option<String>,
    /// The tenant whose event it is.
    pub(crate) tenant: Option<String>,
}

impl Invoke {
    fn path(&self) -> String {
        let function = utf8_percent_encode(&self.target.function, ESCAPED);
        let path = match self.mode {
            Mode::Stream => {
                format!("/2021-11-15/functions/{function}/response-streaming-invocations")
            }
            Mode::Response | Mode::Queue | Mode::DryRun => {
                format!("/2015-03-31/functions/{function}/invocations")
            }
        };
        match &self.target.qualifier {
            Some(qualifier) => {
                let qualifier = utf8_percent_encode(qualifier.as_str(), ESCAPED);
                format!("{path}?Qualifier={qualifier}")
            }
            None => path,
        }
    }

    fn request(&self, endpoint: &Endpoint) -> Result<Request<Bytes>, Failure> {
        let mut request = Request::post(format!("{endpoint}{}", self.path()))
            .header("content-type", "application/json")
            .header("user-agent", USER_AGENT)
            .header("x-amz-invocation-type", self.mode.invocation_type());
        if self.log == LogTail::Wanted {
            request = request.header("x-amz-log-type", "Tail");
        }
        if let Some(context) = &self.client_context {
            request = request.header("x-amz-client-context", client_context(context)?);
        }
        if let Some(tenant) = &self.tenant {
            request = request.header("x-amz-tenant-id", tenant);
        }
        request.body(self.event.clone()).map_err(|error| {
            let message = format!("the request cannot be made: {error}");
            Failure::new(Code::SettingInvalid, message)
        })
    }
}

fn client_context(text: &str) -> Result<HeaderValue, Failure> {
    let refused = |problem: &str| {
        let message = format!("the client context is not one JSON object: {problem}");
        Failure::new(Code::ClientContext, message).with_hint(
            "say it as text, such as '{\"custom\":{\"caller\":\"me\"}}'; it is encoded for you",
        )
    };
    check_json(text).map_err(|problem| refused(&problem))?;
    if !text.trim_start().starts_with('{') {
        return Err(refused("expected `{` at its start"));
    }
    let encoded = STANDARD.encode(text);
    if encoded.len() > CLIENT_CONTEXT_CHARS_MAX {
        let message = format!(
            "the client context has {} characters in Base64, at most {CLIENT_CONTEXT_CHARS_MAX} are allowed",
            encoded.len()
        );
        return Err(Failure::new(Code::ClientContext, message));
    }
    HeaderValue::try_from(encoded).map_err(|error| refused(&error.to_string()))
}

/// A service that answers invocations.
#[derive(Debug)]
pub(crate) struct Service {
    /// Where it is.
    pub(crate) endpoint: Endpoint,
    /// The region that requests are signed for; none: they are not signed.
    pub(crate) signed_for: Option<Region>,
    /// How long all of an answer may take.
    pub(crate) time: Duration,
}

/// Takes the parts of a streamed response.
pub(crate) type Parts<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), Failure>;

impl Service {
    /// Asks for one invocation, once: an event that was sent may run, whatever becomes of the answer, so none is sent again.
    /// A streamed response goes to `parts`, any other into the answer.
    ///
    /// # Errors
    /// Why there is no answer, or why the service refused. A failure of the function is an answer.
    pub(crate) async fn invoke(
        &self,
        invoke: &Invoke,
        parts: Parts<'_>,
    ) -> Result<Answer, Failure> {
        let mut request = invoke.request(&self.endpoint)?;
        if let Some(region) = &self.signed_for {
            sign(&mut request, region).await?;
        }
        let started = Instant::now();
        let response = send(request, self.time).await;
        let response = response.map_err(|error| self.unanswered(error))?;
        let (head, body) = response.into_parts();
        if !head.status.is_success() {
            let said = body.beginning(REFUSAL_BYTES_MAX).await;
            let failure = answer::refusal(head.status, &head.headers, &said);
            return Err(self.hinted(failure));
        }
        if head.status != invoke.mode.success() {
            return Err(unexpected(invoke.mode, head.status));
        }
        let answer = Answer::of_head(head.status, &head.headers);
        let mut answer = if invoke.mode == Mode::Stream {
            let (end, bytes) = follow(body, parts).await?;
            answer.with_end(&end, bytes)
        } else {
            let payload = body.whole(ANSWER_BYTES_MAX).await?;
            answer.with_payload(&head.headers, payload)
        };
        answer.took = started.elapsed();
        Ok(answer)
    }

    fn unanswered(&self, error: SendError) -> Failure {
        let nobody = matches!(error, SendError::Dial(_));
        let mut failure = Failure::from(error);
        failure.message = format!("{}: {}", self.endpoint, failure.message);
        if nobody && self.endpoint.is_local() {
            failure.hint = Some(
                "start `crunchbox dev` in another terminal; an event goes to AWS with --aws only"
                    .to_owned(),
            );
        }
        failure
    }

    /// A function that is not found at AWS is not one that nobody serves here.
    fn hinted(&self, failure: Failure) -> Failure {
        match (&self.signed_for, failure.code) {
            (Some(region), Code::ChannelMissing) => {
                let hint = format!(
                    "compare the name, the qualifier and the account; the region is {}",
                    region.as_str()
                );
                failure.with_hint(hint)
            }
            _ => failure,
        }
    }
}

async fn sign(request: &mut Request<Bytes>, region: &Region) -> Result<(), Failure> {
    let signing = Signing {
        service: "lambda".to_owned(),
        region: Some(region.as_str().to_owned()),
    };
    let signed = Signer::default().sign(request, &signing).await;
    signed.map_err(|problem| {
        Failure::new(
            Code::SettingInvalid,
            format!("the request cannot be signed: {problem}"),
        )
        .with_hint("give credentials as to AWS's own tools: `aws configure`, `aws sso login`, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    })
}

/// Some that stand in for Lambda know one kind of invocation, and run the event whatever is asked.
fn unexpected(mode: Mode, status: StatusCode) -> Failure {
    let message = format!(
        "the endpoint answered {status}, where Lambda answers {} to an invocation of the type {}: the event may have run",
        mode.success(),
        mode.invocation_type()
    );
    Failure::new(Code::ServiceRefused, message)
}

/// Hands on the chunks of a stream of events, up to its last one; gives that, and how many bytes there were.
async fn follow(mut body: Arriving, parts: Parts<'_>) -> Result<(Bytes, u64), Failure> {
    let broken = |problem: String| Failure::from(SendError::Broken(problem));
    let mut frames = Frames::default();
    let mut bytes: u64 = 0;
    while let Some(part) = body.chunk().await? {
        frames.push(&part);
        while let Some(frame) = frames.frame().map_err(broken)? {
            match (frame.kind.as_str(), frame.name.as_str()) {
                ("event", "PayloadChunk") => {
                    let more = u64::try_from(frame.payload.len()).unwrap_or(u64::MAX);
                    bytes = bytes.saturating_add(more);
                    parts(&frame.payload)?;
                }
                ("event", "InvokeComplete") => return Ok((frame.payload, bytes)),
                // Events that a later version of the API adds.
                ("event", _) => {}
                _ => return Err(broken(exception(&frame))),
            }
        }
    }
    Err(broken("the stream ended without its last event".to_owned()))
}

/// What the service says in the middle of a stream.
fn exception(frame: &Frame) -> String {
    let words = match &frame.words {
        Some(words) => words.clone(),
        None => String::from_utf8_lossy(&frame.payload).into_owned(),
    };
    format!("{}: {words}", frame.name)
}

#[cfg(test)]
mod tests;
