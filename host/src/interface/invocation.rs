//! `crunchbox:function/invocation`: facts about the event, and the way out in an emergency.

use crate::bindings::crunchbox::function::invocation::{self, Host};
use crate::event::{Identity, Invocation};
use std::sync::Arc;
use std::time::Instant;
use wasmtime::component::{HasData, Linker};

/// What one event's guest may ask.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) identity: Arc<Identity>,
    pub(crate) invocation: Invocation,
    pub(crate) deadline: Instant,
    pub(crate) memory_limit: usize,
}

/// A guest that gave up. Travels as the trap that ends it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Abort {
    pub(crate) message: String,
    pub(crate) place: Option<String>,
}

struct Has;

impl HasData for Has {
    type Data<'a> = &'a Facts;
}

pub(crate) fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    facts: fn(&mut T) -> &Facts,
) -> wasmtime::Result<()> {
    invocation::add_to_linker::<T, Has>(linker, facts)
}

impl Host for &Facts {
    fn request_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.invocation.request_id.clone())
    }

    fn function(&mut self) -> wasmtime::Result<String> {
        Ok(self.identity.function.clone())
    }

    fn channel(&mut self) -> wasmtime::Result<String> {
        Ok(self.identity.channel.clone())
    }

    fn release(&mut self) -> wasmtime::Result<String> {
        Ok(self.identity.release.clone())
    }

    fn remaining_ms(&mut self) -> wasmtime::Result<u64> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        Ok(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }

    fn memory_limit(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::try_from(self.memory_limit).unwrap_or(u64::MAX))
    }

    fn trace_id(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.invocation.trace_id.clone())
    }

    fn tenant_id(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.invocation.tenant_id.clone())
    }

    fn invoked_arn(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.invocation.invoked_arn.clone())
    }

    fn client_context(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.invocation.client_context.clone())
    }

    fn identity(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.invocation.identity.clone())
    }

    fn abort(&mut self, message: String, place: Option<String>) -> wasmtime::Result<()> {
        Err(Abort { message, place }.into())
    }
}
