//! What a handler may know of its invocation.

use crate::imports::{self, Fact};
use std::time::Duration;

/// The invocation being handled. Each question goes to the host when it is asked; unasked ones cost nothing.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Context {}

impl Context {
    pub(crate) fn current() -> Self {
        Self {}
    }

    /// The identifier of this invocation; retries of an asynchronous event carry the same one.
    pub fn request_id(&self) -> String {
        imports::fact(Fact::RequestId).unwrap_or_default()
    }

    /// The name of the function.
    pub fn function(&self) -> String {
        imports::fact(Fact::Function).unwrap_or_default()
    }

    /// The channel the host follows, such as `live`; `local` without a store.
    pub fn channel(&self) -> String {
        imports::fact(Fact::Channel).unwrap_or_default()
    }

    /// The release that handles the event, `sha256-…`; the component's digest where it runs without a release.
    pub fn release(&self) -> String {
        imports::fact(Fact::Release).unwrap_or_default()
    }

    /// The caller's trace header in X-Ray's form.
    pub fn trace_id(&self) -> Option<String> {
        imports::fact(Fact::TraceId)
    }

    /// The tenant, where Lambda's tenant isolation is in use.
    pub fn tenant_id(&self) -> Option<String> {
        imports::fact(Fact::TenantId)
    }

    /// The Amazon Resource Name the caller used.
    pub fn invoked_arn(&self) -> Option<String> {
        imports::fact(Fact::InvokedArn)
    }

    /// The caller's client context, as JSON text.
    pub fn client_context(&self) -> Option<String> {
        imports::fact(Fact::ClientContext)
    }

    /// The caller's Cognito identity, as JSON text.
    pub fn identity(&self) -> Option<String> {
        imports::fact(Fact::Identity)
    }

    /// The time left before the host stops this guest.
    pub fn remaining(&self) -> Duration {
        Duration::from_millis(imports::remaining_ms())
    }

    /// Bytes of memory this guest may use.
    pub fn memory_limit(&self) -> u64 {
        imports::memory_limit()
    }
}
