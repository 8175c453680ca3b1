//! The outside worlds, each turning what it gets into [`Host::handle`](crate::host::Host::handle) and back.
//! All words of their protocols stay in here.

#[cfg(feature = "lambda")]
pub mod lambda;
pub mod local;
