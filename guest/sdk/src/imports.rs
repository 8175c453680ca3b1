//! What the host offers, under one name each: the real host in a component, a made-up one natively.

/// A configuration error as the host tells it.
pub(crate) struct HostConfigError {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) retryable: bool,
}

/// One invocation's facts that are texts.
#[derive(Clone, Copy)]
pub(crate) enum Fact {
    RequestId,
    Function,
    Channel,
    Release,
    TraceId,
    TenantId,
    InvokedArn,
    ClientContext,
    Identity,
}

#[cfg(target_arch = "wasm32")]
mod component {
    use super::{Fact, HostConfigError};
    use crate::bindings::crunchbox::function::{config, invocation, log};

    pub(crate) fn fact(fact: Fact) -> Option<String> {
        match fact {
            Fact::RequestId => Some(invocation::request_id()),
            Fact::Function => Some(invocation::function()),
            Fact::Channel => Some(invocation::channel()),
            Fact::Release => Some(invocation::release()),
            Fact::TraceId => invocation::trace_id(),
            Fact::TenantId => invocation::tenant_id(),
            Fact::InvokedArn => invocation::invoked_arn(),
            Fact::ClientContext => invocation::client_context(),
            Fact::Identity => invocation::identity(),
        }
    }

    pub(crate) fn remaining_ms() -> u64 {
        invocation::remaining_ms()
    }

    pub(crate) fn memory_limit() -> u64 {
        invocation::memory_limit()
    }

    pub(crate) fn config_get(path: &[String]) -> Result<Option<String>, HostConfigError> {
        config::get(path).map_err(|error| HostConfigError {
            code: error.code,
            message: error.message,
            retryable: error.retryable,
        })
    }

    pub(crate) fn config_source(path: &[String]) -> Option<String> {
        config::source(path)
    }

    pub(crate) fn threshold() -> ::log::LevelFilter {
        match log::threshold() {
            log::Level::Trace => ::log::LevelFilter::Trace,
            log::Level::Debug => ::log::LevelFilter::Debug,
            log::Level::Info => ::log::LevelFilter::Info,
            log::Level::Warn => ::log::LevelFilter::Warn,
            log::Level::Error => ::log::LevelFilter::Error,
            log::Level::Fatal => ::log::LevelFilter::Off,
        }
    }

    pub(crate) fn emit(level: ::log::Level, message: &str, fields: &[(String, String)]) {
        let level = match level {
            ::log::Level::Trace => log::Level::Trace,
            ::log::Level::Debug => log::Level::Debug,
            ::log::Level::Info => log::Level::Info,
            ::log::Level::Warn => log::Level::Warn,
            ::log::Level::Error => log::Level::Error,
        };
        log::emit(level, message, fields);
    }

    /// Does not return.
    pub(crate) fn abort(message: &str, place: Option<&str>) {
        invocation::abort(message, place);
    }
}

#[cfg(target_arch = "wasm32")]
pub(crate) use component::*;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::host::*;
