//! What the host offers, under one name each: the real host in a component, a made-up one natively.

use crate::objects::Entry;
use std::time::{Duration, SystemTime};

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

/// An entry of a listing as the host tells it.
pub(crate) fn object_entry(at: String, size: u64, modified_ms: u64) -> Entry {
    let age = Duration::from_millis(modified_ms);
    Entry {
        at,
        size,
        modified: SystemTime::UNIX_EPOCH + age,
    }
}

#[cfg(target_arch = "wasm32")]
mod component {
    use super::{Fact, HostConfigError, object_entry};
    use crate::bindings::crunchbox::function::{config, digests, invocation, log, objects};
    use crate::digest::Algorithm;
    use crate::objects::{Entry, ObjectError};

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

    fn algorithm(algorithm: Algorithm) -> digests::Algorithm {
        match algorithm {
            Algorithm::Sha256 => digests::Algorithm::Sha256,
            Algorithm::Sha512 => digests::Algorithm::Sha512,
        }
    }

    pub(crate) fn host_digest(which: Algorithm, bytes: &[u8]) -> Vec<u8> {
        digests::digest(algorithm(which), bytes)
    }

    #[derive(Debug)]
    pub(crate) struct HostHasher(digests::Hasher);

    impl HostHasher {
        pub(crate) fn new(which: Algorithm) -> Self {
            Self(digests::Hasher::new(algorithm(which)))
        }

        pub(crate) fn update(&self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        pub(crate) fn finish(&self) -> Vec<u8> {
            self.0.finish()
        }
    }

    #[derive(Debug)]
    pub(crate) struct ObjectReader(objects::Reader);

    impl ObjectReader {
        pub(crate) fn open(at: &str) -> Result<Option<Self>, ObjectError> {
            let reader = objects::read(at).map_err(object_error)?;
            Ok(reader.map(Self))
        }

        pub(crate) fn size(&self) -> u64 {
            self.0.size()
        }

        pub(crate) fn read(&self, most: u32) -> Result<Vec<u8>, ObjectError> {
            self.0.read(most).map_err(object_error)
        }
    }

    #[derive(Debug)]
    pub(crate) struct ObjectWriter(objects::Writer);

    impl ObjectWriter {
        pub(crate) fn create(at: &str) -> Result<Self, ObjectError> {
            objects::write(at).map(Self).map_err(object_error)
        }

        pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), ObjectError> {
            self.0.write(bytes).map_err(object_error)
        }

        pub(crate) fn finish(&self) -> Result<(), ObjectError> {
            self.0.finish().map_err(object_error)
        }
    }

    #[derive(Debug)]
    pub(crate) struct ObjectListing(objects::Listing);

    impl ObjectListing {
        pub(crate) fn open(prefix: &str) -> Result<Self, ObjectError> {
            objects::list(prefix).map(Self).map_err(object_error)
        }

        pub(crate) fn next(&self) -> Result<Vec<Entry>, ObjectError> {
            let entries = self.0.next().map_err(object_error)?.into_iter();
            let entries =
                entries.map(|entry| object_entry(entry.at, entry.size, entry.modified_ms));
            Ok(entries.collect())
        }
    }

    fn object_error(error: objects::ObjectError) -> ObjectError {
        ObjectError {
            code: error.code,
            message: error.message,
            retryable: error.retryable,
        }
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
