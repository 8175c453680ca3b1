//! Counts in a static; an instance that served another event before would say 2.

use crunchbox_sdk::{Failure, handler};
use serde_json::Value;
use std::sync::atomic::{AtomicU32, Ordering};

static EVENTS: AtomicU32 = AtomicU32::new(0);

#[handler]
fn count(_: Value) -> Result<u32, Failure> {
    Ok(EVENTS.fetch_add(1, Ordering::Relaxed) + 1)
}
