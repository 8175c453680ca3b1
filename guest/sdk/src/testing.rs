//! A made-up host for native tests: `cargo test` runs a handler with the context, the config and the objects that the test
//! says.

use crate::Context;
use std::cell::RefCell;
use std::collections::BTreeMap;
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
    objects: BTreeMap<String, Vec<u8>>,
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

    /// Puts an object where the handler may read it. Everything is granted here.
    #[must_use]
    pub fn object(self, at: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        self.with(|state| {
            state.objects.insert(at.to_owned(), bytes);
        })
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

    /// The bytes of an object, as it was put there or written by the handler; none where there is none.
    pub fn object_at(&self, at: &str) -> Option<Vec<u8>> {
        self.state.borrow().objects.get(at).cloned()
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
    use crate::digest::Algorithm;
    use crate::imports::{Fact, HostConfigError, object_entry};
    use crate::objects::{Entry, ObjectError};
    use serde_json::Value;
    use sha2::{Digest, Sha256, Sha512};
    use std::cell::{Cell, RefCell};

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

    pub(crate) fn host_digest(which: Algorithm, bytes: &[u8]) -> Vec<u8> {
        match which {
            Algorithm::Sha256 => Sha256::digest(bytes).to_vec(),
            Algorithm::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    /// Gathers, and hashes when it is asked.
    #[derive(Debug)]
    pub(crate) struct HostHasher(Algorithm, RefCell<Vec<u8>>);

    impl HostHasher {
        pub(crate) fn new(which: Algorithm) -> Self {
            Self(which, RefCell::default())
        }

        pub(crate) fn update(&self, bytes: &[u8]) {
            self.1.borrow_mut().extend_from_slice(bytes);
        }

        pub(crate) fn finish(&self) -> Vec<u8> {
            host_digest(self.0, &self.1.take())
        }
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

    /// When the made-up objects were written.
    const MODIFIED_MS: u64 = 1_700_000_000_000;

    #[derive(Debug)]
    pub(crate) struct ObjectReader {
        bytes: Vec<u8>,
        offset: Cell<usize>,
    }

    impl ObjectReader {
        pub(crate) fn open(at: &str) -> Result<Option<Self>, ObjectError> {
            let bytes = ask(|state| state.objects.get(at).cloned());
            Ok(bytes.map(|bytes| Self {
                bytes,
                offset: Cell::new(0),
            }))
        }

        pub(crate) fn size(&self) -> u64 {
            u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)
        }

        pub(crate) fn read(&self, most: u32) -> Result<Vec<u8>, ObjectError> {
            let rest = &self.bytes[self.offset.get()..];
            let most = usize::try_from(most.max(1)).unwrap_or(usize::MAX);
            let piece = &rest[..rest.len().min(most)];
            self.offset.set(self.offset.get() + piece.len());
            Ok(piece.to_vec())
        }
    }

    #[derive(Debug)]
    pub(crate) struct ObjectWriter {
        at: String,
        /// None when it is finished.
        bytes: RefCell<Option<Vec<u8>>>,
    }

    impl ObjectWriter {
        pub(crate) fn create(at: &str) -> Result<Self, ObjectError> {
            Ok(Self {
                at: at.to_owned(),
                bytes: RefCell::new(Some(Vec::new())),
            })
        }

        pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), ObjectError> {
            let mut held = self.bytes.borrow_mut();
            let held = held.as_mut().ok_or_else(|| self.over())?;
            held.extend_from_slice(bytes);
            Ok(())
        }

        pub(crate) fn finish(&self) -> Result<(), ObjectError> {
            let bytes = self.bytes.take().ok_or_else(|| self.over())?;
            ask(|state| state.objects.insert(self.at.clone(), bytes));
            Ok(())
        }

        fn over(&self) -> ObjectError {
            ObjectError {
                code: "Crunchbox.ObjectUnavailable".to_owned(),
                message: format!("`{}` cannot be used: it is finished", self.at),
                retryable: false,
            }
        }
    }

    #[derive(Debug)]
    pub(crate) struct ObjectListing(RefCell<Vec<Entry>>);

    impl ObjectListing {
        pub(crate) fn open(prefix: &str) -> Result<Self, ObjectError> {
            let entries = ask(|state| {
                let objects = state.objects.iter();
                let objects = objects.filter(|(at, _)| at.starts_with(prefix));
                let entries = objects.map(|(at, bytes)| {
                    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    object_entry(at.clone(), size, MODIFIED_MS)
                });
                entries.collect()
            });
            Ok(Self(RefCell::new(entries)))
        }

        pub(crate) fn next(&self) -> Result<Vec<Entry>, ObjectError> {
            Ok(self.0.take())
        }
    }

    pub(crate) fn threshold() -> log::LevelFilter {
        log::LevelFilter::Trace
    }

    pub(crate) fn emit(level: log::Level, message: &str, _: &[(String, String)]) {
        ask(|state| state.lines.push(format!("{level} {message}")));
    }
}
