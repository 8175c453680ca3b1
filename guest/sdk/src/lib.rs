//! Crunchbox functions in Rust: a handler is one plain function from an event to a response or a [`Failure`].
//!
//! ```
//! use crunchbox_sdk::{Context, Failure, config, handler, log};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize)]
//! struct Order { items: Vec<u64> }
//!
//! #[derive(Serialize)]
//! struct Total { cents: u64 }
//!
//! #[handler]
//! fn total(order: Order, ctx: Context) -> Result<Total, Failure> {
//!     let discount: u64 = config::get("discount.cents")?.unwrap_or(0);
//!     let sum: u64 = order.items.iter().sum();
//!     log::info!(request = ctx.request_id(); "{} items", order.items.len());
//!     let cents = sum.checked_sub(discount).ok_or_else(|| Failure::new("TooCheap", "less than the discount"))?;
//!     Ok(Total { cents })
//! }
//!
//! // `cargo test` runs natively, with a made-up context and config:
//! use crunchbox_sdk::testing::Made;
//! let made = Made::new().config(r#"{"discount": {"cents": 5}}"#);
//! let total = made.run(|ctx| total(Order { items: vec![3, 4] }, ctx)).unwrap();
//! assert_eq!(total.cents, 2);
//! assert_eq!(made.log_lines(), ["INFO 2 items"]);
//! ```
//!
//! Built for `wasm32-wasip2` as a `cdylib`, the crate is a component of the world `crunchbox:function`.
//! Each event runs in an instance of its own: statics start anew every time, and nothing is left behind.

#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
mod allocator;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;
pub mod config;
mod context;
pub mod digest;
#[cfg(feature = "events")]
pub mod events;
mod failure;
mod imports;
mod logger;
pub mod objects;
mod run;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use context::Context;
pub use failure::Failure;
/// The `log` facade: `log::info!` and its sisters write structured lines. Key-values become fields: numbers and
/// booleans as such, everything else as its text.
pub use log;

/// Makes a plain function the handler of a component.
///
/// The function takes the event, and the [`Context`] if it wants it, and returns `Result<response, failure>`:
/// - the event is any type that serde can deserialize; one that does not fit fails as `InvalidEvent`, naming the path;
/// - the response is any type that serde can serialize;
/// - the failure is anything that becomes a [`Failure`]: itself, or any type that implements `std::error::Error`.
///
/// A response that serde cannot write fails as `InvalidResponse`, configuration that does not fit as `ConfigError`.
///
/// With `#[handler(raw)]` event and response are `String`s, and pass byte for byte.
///
/// A panic arrives at the caller as `Crunchbox.GuestPanic` with message, place and trace.
/// Natively the attribute leaves the function as it is, so that `cargo test` can call it.
pub use crunchbox_sdk_macros::handler;

/// What `#[handler]` expands to. Not for authors; may change with any version.
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod __private {
    pub use crate::bindings;
    pub use crate::bindings::crunchbox::function::types::Failure as WitFailure;
    pub use crate::bindings::export;
    pub use crate::bindings::exports::crunchbox::function::handler::Guest;
    pub use crate::run::{run, run_raw};
}

/// The handler in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
