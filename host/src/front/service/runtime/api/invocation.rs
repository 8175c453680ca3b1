//! The runtime's requests: its next event, what it makes of one, and why it can't begin.

use super::super::cause::Cause;
use super::super::refusal::{Answer, Refusal, accepted};
use super::super::state::{self, Event, Shared};
use super::{header, read};
use crate::event::RESPONSE_BYTES_MAX;
use crate::front::service::call::Part;
use crate::front::service::invoke::{response_too_large, set};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const ERROR_BODY: &str = "lambda-runtime-function-error-body";
const INVOCATION_ID: &str = "lambda-runtime-invocation-id";
const RESPONSE_MODE: &str = "lambda-runtime-function-response-mode";

/// Waits for an event.
pub(super) async fn next(shared: &Shared) -> Result<Answer, Refusal> {
    let event = match shared.change(|state| state.ask())? {
        Some(event) => event,
        None => shared.until(|state| state.hand()).await?,
    };
    Ok(event_answer(event))
}

fn event_answer(event: Event) -> Answer {
    let call = event.call;
    let mut answer = Response::new(Full::from(call.event));
    let headers = answer.headers_mut();
    set(headers, "content-type", "application/json");
    set(headers, "lambda-runtime-aws-request-id", &call.request_id);
    set(headers, INVOCATION_ID, &event.nonce);
    let deadline = event.deadline_ms.to_string();
    set(headers, "lambda-runtime-deadline-ms", &deadline);
    let arn = "lambda-runtime-invoked-function-arn";
    set(headers, arn, &call.invoked_arn);
    set(headers, "lambda-runtime-trace-id", &call.trace_id);
    if let Some(context) = call.client_context {
        // Line breaks and tabs stand between the parts of a JSON text, never inside of them.
        let line = context.replace(char::is_control, " ");
        set(headers, "lambda-runtime-client-context", &line);
    }
    if let Some(tenant) = &call.tenant_id {
        set(headers, "lambda-runtime-aws-tenant-id", tenant);
    }
    answer
}

/// Takes a response.
pub(super) async fn response(
    shared: &Shared,
    id: &str,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Answer, Refusal> {
    let claim = Claim::new(shared, id, headers)?;
    let content_type = header(headers, "content-type").map(str::to_owned);
    match header(headers, RESPONSE_MODE) {
        None => {
            let bytes = claim.read(body).await;
            claim.settle(bytes, content_type)
        }
        Some(mode) if mode.eq_ignore_ascii_case("streaming") => {
            stream(claim, content_type, body).await
        }
        Some(_) => claim.settle(Err((Cause::response_mode(), Some(Refusal::Mode))), None),
    }
}

/// Passes a response on as it comes.
async fn stream(
    claim: Claim<'_>,
    content_type: Option<String>,
    body: &mut Incoming,
) -> Result<Answer, Refusal> {
    let nonce = &claim.nonce;
    let mut parts = claim
        .shared
        .change(|state| state.stream(nonce, content_type));
    let mut error = None;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            let broken = (Cause::truncated(), Some(Refusal::Truncated));
            return claim.settle(Err(broken), None);
        };
        match frame.into_data() {
            Ok(chunk) => {
                // The event runs to its end even if nobody listens any more.
                if let Some(sender) = &parts
                    && sender.send(Part::Chunk(chunk)).await.is_err()
                {
                    parts = None;
                }
            }
            Err(frame) => error = frame.trailers_ref().and_then(trailer_error),
        }
    }
    let result = error.map_or_else(|| Ok(Bytes::new()), |cause| Err((cause, None)));
    claim.settle(result, None)
}

/// The error that a streamed response ended with.
fn trailer_error(trailers: &HeaderMap) -> Option<Cause> {
    let kind = header(trailers, ERROR_TYPE);
    let body = header(trailers, ERROR_BODY);
    if kind.is_none() && body.is_none() {
        return None;
    }
    let body = body.unwrap_or_default();
    let plain = |_| body.as_bytes().to_vec();
    let body = STANDARD.decode(body).unwrap_or_else(plain);
    Some(Cause::posted(body.into(), kind))
}

/// Takes an error in place of a response.
pub(super) async fn error(
    shared: &Shared,
    id: &str,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Answer, Refusal> {
    let claim = Claim::new(shared, id, headers)?;
    let posted = claim.read(body).await;
    let cause = posted.map(|body| (Cause::posted(body, header(headers, ERROR_TYPE)), None));
    claim.settle(Err(cause.unwrap_or_else(|broken| broken)), None)
}

/// Takes an error in place of the first request for an event.
pub(super) async fn init_error(
    shared: &Shared,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Answer, Refusal> {
    shared.look(|state| state.check_init())?;
    let body = read(body, RESPONSE_BYTES_MAX).await?;
    let cause = Cause::posted(body, header(headers, ERROR_TYPE));
    shared.change(|state| {
        state.check_init()?;
        state.fail(cause);
        Ok(accepted())
    })
}

/// What became of a body: its bytes, or what the caller and what the runtime is told of it.
type Taken = Result<Bytes, (Cause, Option<Refusal>)>;

/// An event whose answer is being read. Dropped before it is settled, the answer has broken off.
struct Claim<'a> {
    shared: &'a Shared,
    nonce: String,
    is_settled: bool,
}

impl<'a> Claim<'a> {
    fn new(shared: &'a Shared, id: &str, headers: &HeaderMap) -> Result<Self, Refusal> {
        let nonce = header(headers, INVOCATION_ID);
        Ok(Self {
            nonce: shared.change(|state| state.claim(id, nonce))?,
            shared,
            is_settled: false,
        })
    }

    async fn read(&self, body: &mut Incoming) -> Taken {
        read(body, RESPONSE_BYTES_MAX).await.map_err(|refusal| {
            let cause = match &refusal {
                Refusal::TooLarge(most) => Cause::Told(response_too_large(*most)),
                _ => Cause::truncated(),
            };
            (cause, Some(refusal))
        })
    }

    fn settle(mut self, taken: Taken, content_type: Option<String>) -> Result<Answer, Refusal> {
        self.is_settled = true;
        let (result, refusal) = match taken {
            Ok(bytes) => (Ok(bytes), None),
            Err((cause, refusal)) => (Err(cause), refusal),
        };
        let answer = state::Answer {
            result,
            content_type,
        };
        self.shared
            .change(|state| state.answer(&self.nonce, answer))?;
        refusal.map_or_else(|| Ok(accepted()), Err)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            let answer = state::Answer::failed(Cause::truncated());
            // Refused where the event was given up meanwhile.
            let _ = self
                .shared
                .change(|state| state.answer(&self.nonce, answer));
        }
    }
}
