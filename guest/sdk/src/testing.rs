//! A made-up host for native tests: `cargo test` runs a handler with the context and config that the test says.

use crate::Context;
use std::cell::RefCell;
use std::rc::Rc;

/// A made-up invocation. Build it, then [`run`](Self::run) a handler in it.
#[derive(Debug, Clone, Default)]
pub struct Made {
    state: Rc<RefCell<State>>,
}

#[derive(Debug, Default)]
struct State {
    request_id: Option<String>,
    tenant_id: Option<String>,
    trace_id: Option<String>,
    client_context: Option<String>,
    remaining_ms: Option<u64>,
    config: Option<serde_json::Value>,
    lines: Vec<String>,
}

impl Made {
    /// An invocation of the function `test` on the channel `local`, with an empty config and a minute left.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the configuration.
    ///
    /// # Panics
    /// When `json` is not JSON.
    #[must_use]
    pub fn config(self, json: &str) -> Self {
        let tree = serde_json::from_str(json).expect("the made-up configuration is JSON");
        self.with(|state| state.config = Some(tree))
    }

    /// Sets the request id.
    #[must_use]
    pub fn request_id(self, id: &str) -> Self {
        self.with(|state| state.request_id = Some(id.to_owned()))
    }

    /// Sets the tenant.
    #[must_use]
    pub fn tenant_id(self, id: &str) -> Self {
        self.with(|state| state.tenant_id = Some(id.to_owned()))
    }

    /// Sets the trace header.
    #[must_use]
    pub fn trace_id(self, header: &str) -> Self {
        self.with(|state| state.trace_id = Some(header.to_owned()))
    }

    /// Sets the client context, a JSON text.
    #[must_use]
    pub fn client_context(self, json: &str) -> Self {
        self.with(|state| state.client_context = Some(json.to_owned()))
    }

    /// Sets the milliseconds left.
    #[must_use]
    pub fn remaining_ms(self, ms: u64) -> Self {
        self.with(|state| state.remaining_ms = Some(ms))
    }

    fn with(self, change: impl FnOnce(&mut State)) -> Self {
        change(&mut self.state.borrow_mut());
        self
    }

    /// Runs `call` as if the host had called it.
    pub fn run<R>(&self, call: impl FnOnce(Context) -> R) -> R {
        let before = CURRENT.replace(Some(self.clone()));
        let _restored = Restore(before);
        crate::logger::install();
        call(Context::current())
    }

    /// The lines logged so far, each `LEVEL message`.
    pub fn log_lines(&self) -> Vec<String> {
        self.state.borrow().lines.clone()
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Made>> = const { RefCell::new(None) };
}

struct Restore(Option<Made>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// The imports' native side: answers from the made-up invocation of this thread, or with nothing outside of one.
pub(crate) mod host {
    use super::{CURRENT, State};
    use crate::imports::{Fact, HostConfigError};
    use serde_json::Value;

    fn ask<R>(question: impl FnOnce(&mut State) -> R) -> R {
        CURRENT.with_borrow(|made| match made {
            Some(made) => question(&mut made.state.borrow_mut()),
            None => question(&mut State::default()),
        })
    }

    pub(crate) fn fact(fact: Fact) -> Option<String> {
        ask(|state| match fact {
            Fact::RequestId => Some(
                state
                    .request_id
                    .clone()
                    .unwrap_or_else(|| "test-request".to_owned()),
            ),
            Fact::Function => Some("test".to_owned()),
            Fact::Channel => Some("local".to_owned()),
            Fact::Release => Some(format!("sha256-{}", "0".repeat(64))),
            Fact::TraceId => state.trace_id.clone(),
            Fact::TenantId => state.tenant_id.clone(),
            Fact::ClientContext => state.client_context.clone(),
            Fact::InvokedArn | Fact::Identity => None,
        })
    }

    pub(crate) fn remaining_ms() -> u64 {
        ask(|state| state.remaining_ms.unwrap_or(60_000))
    }

    pub(crate) fn memory_limit() -> u64 {
        128 << 20
    }

    pub(crate) fn config_get(path: &[String]) -> Result<Option<String>, HostConfigError> {
        ask(|state| {
            let mut value = state.config.as_ref().unwrap_or(&Value::Null);
            for (depth, key) in path.iter().enumerate() {
                match value {
                    Value::Object(table) => match table.get(key) {
                        Some(inner) => value = inner,
                        None => return Ok(None),
                    },
                    Value::Null if depth == 0 => return Ok(None),
                    _ => {
                        return Err(HostConfigError {
                            code: "Crunchbox.ConfigNotTable".to_owned(),
                            retryable: false,
                            message: format!(
                                "`{}`: expected a table, got something else",
                                path[..depth].join(".")
                            ),
                        });
                    }
                }
            }
            Ok(Some(if value.is_null() && path.is_empty() {
                "{}".to_owned()
            } else {
                value.to_string()
            }))
        })
    }

    pub(crate) fn config_source(_: &[String]) -> Option<String> {
        ask(|state| {
            let config = state.config.as_ref();
            config.map(|_| "made-up config".to_owned())
        })
    }

    pub(crate) fn threshold() -> log::LevelFilter {
        log::LevelFilter::Trace
    }

    pub(crate) fn emit(level: log::Level, message: &str, _: &[(String, String)]) {
        ask(|state| state.lines.push(format!("{level} {message}")));
    }
}
