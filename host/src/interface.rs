//! What guests import from us, one file per interface of `wit/`. Each has an owned value, a borrowed view that
//! implements the generated trait, and one `add_to_linker`; none knows the store's state or another interface.

pub(crate) mod config;
pub(crate) mod digests;
pub(crate) mod http;
pub(crate) mod invocation;
pub(crate) mod log;
pub(crate) mod objects;
pub(crate) mod output;
pub(crate) mod random;
pub(crate) mod scratch;
pub(crate) mod sockets;
