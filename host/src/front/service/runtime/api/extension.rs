//! The requests of extensions. Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>.

use super::super::LATEST;
use super::super::cause::Cause;
use super::super::extension::Registration;
use super::super::refusal::{Answer, Refusal, accepted, document_answer};
use super::super::state::Shared;
use super::{header, read};
use crate::front::service::invoke::set;
use http::{HeaderMap, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

const NAME: &str = "lambda-extension-name";
const IDENTIFIER: &str = "lambda-extension-identifier";
const FEATURES: &str = "lambda-extension-accept-feature";
const ERROR_TYPE: &str = "lambda-extension-function-error-type";

/// A list of events, no more.
const REGISTRATION_BYTES_MAX: usize = 64 << 10;

/// Registers an extension, while the runtime has not asked for its first event.
pub(super) async fn register(
    shared: &Shared,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Answer, Refusal> {
    let unnamed = || Refusal::extension("Extension.InvalidExtensionName", "Empty extension name");
    let name = header(headers, NAME).ok_or_else(unnamed)?;
    let wanted = Registration::parse(&read(body, REGISTRATION_BYTES_MAX).await?)?;
    let id = crate::front::request_id();
    shared.change(|state| state.register(name, &wanted, &id))?;
    let program = &shared.program;
    let mut document = json!({
        "functionName": program.function,
        "functionVersion": LATEST,
        "handler": program.handler,
    });
    let features = header(headers, FEATURES).unwrap_or_default();
    if features.split(',').any(|one| one.trim() == "accountId")
        && let Some(members) = document.as_object_mut()
    {
        members.insert("accountId".to_owned(), program.account().into());
    }
    let mut answer = document_answer(StatusCode::OK, &document);
    set(answer.headers_mut(), IDENTIFIER, &id);
    Ok(answer)
}

/// Waits for an extension's next event.
pub(super) async fn next(shared: &Shared, headers: &HeaderMap) -> Result<Answer, Refusal> {
    let id = identifier(headers)?;
    shared.change(|state| state.extension_ask(id))?;
    let event = shared.until(|state| state.extension_event(id)).await?;
    let mut answer = document_answer(StatusCode::OK, &event);
    let unique = crate::front::request_id();
    let name = "lambda-extension-event-identifier";
    set(answer.headers_mut(), name, &unique);
    Ok(answer)
}

/// Takes an extension's word that it failed; the environment ends with that.
pub(super) fn error(
    shared: &Shared,
    headers: &HeaderMap,
    kind: &'static str,
) -> Result<Answer, Refusal> {
    let id = identifier(headers)?;
    let untyped = || {
        let words = "Lambda-Extension-Function-Error-Type not found";
        Refusal::extension("Extension.MissingHeader", words)
    };
    let error = header(headers, ERROR_TYPE).ok_or_else(untyped)?;
    shared.change(|state| {
        let cause = Cause::extension_error(kind, state.extension_name(id)?, error);
        state.fail(cause);
        Ok(accepted())
    })
}

fn identifier(headers: &HeaderMap) -> Result<&str, Refusal> {
    header(headers, IDENTIFIER).ok_or_else(|| {
        let words = "Missing Lambda-Extension-Identifier header";
        Refusal::extension("Extension.MissingExtensionIdentifier", words)
    })
}
