#![doc = include_str!("../ARCHITECTURE.md")]

mod bindings;
pub mod cli;
pub mod component;
pub mod config;
pub mod engine;
pub mod error;
pub mod event;
pub mod front;
pub mod function;
pub mod guest;
pub mod host;
mod interface;
pub mod manifest;
pub mod quantity;
pub mod settings;
pub mod telemetry;
pub mod toolchain;
