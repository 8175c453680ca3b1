#![doc = include_str!("../ARCHITECTURE.md")]

pub mod address;
#[cfg(any(feature = "s3", feature = "secrets"))]
mod aws;
mod bindings;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod component;
pub mod config;
pub mod engine;
pub mod error;
pub mod event;
pub mod follow;
pub mod front;
pub mod function;
pub mod guest;
pub mod host;
mod interface;
pub mod manifest;
pub mod overlay;
pub mod policy;
pub mod prepare;
#[cfg(feature = "publish")]
pub mod publish;
pub mod quantity;
pub mod reader;
pub mod release;
pub mod resolve;
pub mod secret;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod template;
pub mod toolchain;
pub mod trust;
pub mod watched;
