#![doc = include_str!("../ARCHITECTURE.md")]

pub mod account;
pub mod address;
#[cfg(any(feature = "s3", feature = "secrets", feature = "sign"))]
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
pub mod expect;
pub mod follow;
pub mod front;
pub mod function;
pub mod grant;
pub mod guest;
pub mod host;
mod interface;
#[cfg(feature = "dev")]
mod invoke;
pub mod language;
pub mod limit;
pub mod manifest;
mod meter;
pub mod network;
pub mod object;
pub mod overlay;
#[cfg(feature = "dev")]
pub mod package;
pub mod policy;
pub mod prepare;
#[cfg(feature = "publish")]
pub mod publish;
pub mod quantity;
pub mod reach;
pub mod reader;
pub mod release;
pub mod resolve;
pub mod review;
pub mod secret;
pub mod settings;
#[cfg(feature = "dev")]
pub mod starter;
pub mod store;
pub mod telemetry;
pub mod template;
pub mod toolchain;
pub mod trust;
pub mod watched;
