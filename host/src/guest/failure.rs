//! What a trap means: which limit struck, or what the guest did, and where. The only place that reads wasmtime's errors
//! of a running guest.

use super::GuestState;
use crate::bindings::crunchbox::function::types::Failure as GuestFailure;
use crate::engine::settings::STACK_BYTES_MAX;
use crate::error::{Code, Failure};
use crate::event::check_json;
use crate::interface::invocation::Abort;
use crate::quantity::{Bytes, Time};
use std::time::Duration;
use wasmtime::{FrameInfo, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// The prefix of kinds that only the host gives.
const RESERVED: &str = "Crunchbox.";

/// Bounds on what a guest says of its failure: Lambda's own logs and callers show no more.
const KIND_BYTES_MAX: usize = 128;
const MESSAGE_BYTES_MAX: usize = 32 << 10;
const TRACE_LINES_MAX: usize = 64;
const DETAILS_BYTES_MAX: usize = 64 << 10;

/// What wasmtime says, in no type of its own, when more is copied in one call than allowed. Inside a call of the guest
/// the error has a call stack; after the guest has returned, it is the response that is too much.
const HOST_CALL_EXHAUSTED: &str = "fuel allocated for hostcalls";

/// Names that belong to a language's machinery, not to the author's code.
const MACHINERY: [&str; 8] = [
    "std::",
    "core::",
    "alloc::",
    "crunchbox_sdk::",
    "__rust",
    "rust_panic",
    "rust_begin_unwind",
    "cabi_",
];

/// A failure that the handler returned.
pub(super) fn returned(failure: GuestFailure) -> Failure {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let kind = if failure.kind.is_empty() {
        "Error".to_owned()
    } else {
        failure.kind
    };
    let message = cut(failure.message, MESSAGE_BYTES_MAX);
    if kind.starts_with(RESERVED) || kind.len() > KIND_BYTES_MAX || !kind.chars().all(allowed) {
        let shown = cut(kind, KIND_BYTES_MAX);
        return Failure::new(
            Code::ReservedKind,
            format!("the handler failed with the kind `{shown}`: {message}"),
        );
    }
    Failure {
        kind,
        trace: failure
            .trace
            .into_iter()
            .take(TRACE_LINES_MAX)
            .map(|line| cut(line, 1 << 10))
            .collect(),
        details: failure
            .details
            .filter(|json| json.len() <= DETAILS_BYTES_MAX && check_json(json).is_ok()),
        ..Failure::new(Code::GuestFailure, message)
    }
}

/// A guest stopped while it waited.
pub(super) fn timed_out(limit: Duration) -> Failure {
    Failure::new(
        Code::TimeLimit,
        format!("stopped after {}, the time it had", Time(limit)),
    )
}

/// A guest stopped by a trap, its own or one of ours.
pub(super) fn trapped(error: &wasmtime::Error, state: &GuestState, allowed: Duration) -> Failure {
    let trap = error.downcast_ref::<Trap>();
    let trace = error
        .downcast_ref::<WasmBacktrace>()
        .map(places)
        .unwrap_or_default();
    let failure = if let Some(abort) = error.downcast_ref::<Abort>() {
        return panicked(abort, trace);
    } else if trap == Some(&Trap::Interrupt) {
        timed_out(allowed)
    } else if let Some(wanted) = state.limiter.refused() {
        memory(wanted, state.limiter.limit())
    } else if trap == Some(&Trap::StackOverflow) {
        let size = Bytes(u64::try_from(STACK_BYTES_MAX).unwrap_or(u64::MAX));
        Failure::new(
            Code::StackLimit,
            format!("the call stack grew beyond {size}"),
        )
    } else if let Some(I32Exit(status)) = error.downcast_ref::<I32Exit>() {
        Failure::new(
            Code::GuestExit,
            format!("the guest called exit({status}) instead of returning"),
        )
    } else if trace.is_empty() && root_cause(error).contains(HOST_CALL_EXHAUSTED) {
        let message = format!(
            "the response or failure has more than {} bytes",
            super::HOST_CALL_BYTES_MAX
        );
        Failure::new(Code::ResponseTooLarge, message)
    } else {
        Failure::new(
            Code::Trap,
            trap.map_or_else(|| root_cause(error), ToString::to_string),
        )
    };
    Failure { trace, ..failure }
}

fn panicked(abort: &Abort, mut trace: Vec<String>) -> Failure {
    if let Some(place) = &abort.place {
        trace.insert(0, cut(place.clone(), 1 << 10));
    }
    Failure {
        trace,
        ..Failure::new(
            Code::GuestPanic,
            cut(abort.message.clone(), MESSAGE_BYTES_MAX),
        )
    }
}

fn memory(wanted: usize, limit: usize) -> Failure {
    let bytes = |count: usize| Bytes(u64::try_from(count).unwrap_or(u64::MAX));
    let message = format!(
        "asked for {} in all, limits.memory is {}",
        bytes(wanted),
        bytes(limit)
    );
    Failure::new(Code::MemoryLimit, message)
}

fn root_cause(error: &wasmtime::Error) -> String {
    cut(error.root_cause().to_string(), MESSAGE_BYTES_MAX)
}

/// The author's part of the call stack, innermost first.
fn places(backtrace: &WasmBacktrace) -> Vec<String> {
    backtrace
        .frames()
        .iter()
        .filter_map(place)
        .take(TRACE_LINES_MAX)
        .collect()
}

/// The author's function and line: the innermost one of the frame that is not the standard library's. Small functions
/// are inlined, so a frame can hold several; the whole frame's name has its module path, an inlined one's has not.
fn place(frame: &FrameInfo) -> Option<String> {
    let name = format!("{:#}", rustc_demangle::demangle(frame.func_name()?));
    if MACHINERY
        .iter()
        .any(|prefix| name.trim_start_matches('<').starts_with(prefix))
    {
        return None;
    }
    let lines = frame.symbols().iter().rev().enumerate().rev();
    let mut own = lines.filter_map(|(outward, symbol)| {
        let file = symbol.file()?.trim_start_matches("./");
        let inlined = if outward == 0 { None } else { symbol.name() };
        (!file.starts_with('/')).then_some((inlined.unwrap_or(&name), file, symbol.line()?))
    });
    Some(match own.next() {
        Some((name, file, line)) => format!("{name} ({file}:{line})"),
        None => name,
    })
}

fn cut(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max.min(text.len())));
    text
}
