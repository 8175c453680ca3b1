//! Integration tests: events through the host with real guests, the command as a person types it, and the deployed
//! program behind a Runtime API server. Names are rules.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![allow(
    unreachable_pub,
    missing_docs,
    reason = "the modules of a test are read together"
)]

mod artifact;
mod config;
mod deploy;
mod dev;
mod follow;
mod fuzz;
mod handle;
mod hostile;
mod lambda;
mod languages;
mod moves;
mod network;
mod packaged;
mod postgres;
mod publish;
mod replace;
mod rig;
mod run;
mod secrets;
mod shutdown;
mod source;
mod store;
mod swap;
mod tamper;
mod testing;
mod tools;
mod watched;
