//! What a trap means: which limit struck, or what the guest did, and where. The only place that reads wasmtime's errors
//! of a running guest.

use super::{Allowed, GuestState};
use crate::bindings::crunchbox::function::types::Failure as GuestFailure;
use crate::error::{Code, Failure};
use crate::interface::http::FIELDS_BYTES_MAX;
use crate::interface::invocation::Abort;
use crate::limit::Limits;
use crate::quantity::{Bytes, Time};
use std::collections::HashSet;
use wasmtime::component::ResourceTableError;
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

/// The same of more handles than allowed, and of more random bytes.
const TOO_MANY_HANDLES: &str = "store handle limit exceeded";
const TOO_RANDOM: &str = "requested len";
const TOO_LONG_HEADERS: &str = "size of fields exceeds limit";

/// The longest line of a trace; a name section may hold names of any length.
const PLACE_BYTES_MAX: usize = 1 << 10;

/// All the frames that a trace holds, and how few functions they are of, when a recursion is told from a mistake.
const RECURSION_FRAMES: usize = 20;
const RECURSION_FUNCTIONS: usize = 4;

/// What wasmtime says, in no type of its own, of more instances, memories or tables than the limiter allows.
const TOO_MANY_PARTS: &str = "resource limit exceeded";

/// Parts of the paths that toolchains give their own sources.
const LIBRARY_SOURCES: [&str; 3] = ["/rustc/", "/rustlib/", "wasi-libc"];

/// Names that belong to a language's machinery, not to the author's code.
const MACHINERY: [&str; 10] = [
    "std::",
    "core::",
    "alloc::",
    "crunchbox_sdk::",
    "wasi_snapshot_preview1::",
    "__rust",
    "__wasi",
    "rust_panic",
    "rust_begin_unwind",
    "cabi_",
];

/// The same, whole names: the C library's ways out.
const C_LIBRARY: [&str; 4] = ["abort", "exit", "_Exit", "proc_exit"];

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
            .map(|line| cut(line, PLACE_BYTES_MAX))
            .collect(),
        details: failure
            .details
            .filter(|json| json.len() <= DETAILS_BYTES_MAX && is_readable(json)),
        ..Failure::new(Code::GuestFailure, message)
    }
}

/// Whether everybody who reads a log line takes it as JSON: some take no half of a surrogate pair, and no depth without end.
fn is_readable(json: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(json).is_ok()
}

/// A guest stopped while it waited.
pub(super) fn timed_out(allowed: &Allowed) -> Failure {
    let time = Time(allowed.time);
    if allowed.is_callers {
        let message = format!("stopped after {time}, at the caller's deadline");
        return Failure::new(Code::TimeLimit, message)
            .with_hint("do less in one event, or raise Timeout of the Lambda function");
    }
    let message = format!(
        "stopped after {time}: limits.time is {}",
        Time(allowed.limits.time)
    );
    Failure::new(Code::TimeLimit, message).with_hint(allowed.limits.time_by.hint("time"))
}

/// A guest stopped by a trap, its own or one of ours.
pub(super) fn trapped(error: &wasmtime::Error, state: &GuestState, allowed: &Allowed) -> Failure {
    let trap = error.downcast_ref::<Trap>();
    let trace = error
        .downcast_ref::<WasmBacktrace>()
        .map(places)
        .unwrap_or_default();
    let failure = if let Some(abort) = error.downcast_ref::<Abort>() {
        return panicked(abort, trace);
    } else if trap == Some(&Trap::Interrupt) {
        timed_out(allowed)
    } else if trap == Some(&Trap::StackOverflow) || exhausted_its_own_stack(error) {
        let message = format!(
            "the call stack grew beyond its limit, in a deep recursion: limits.stack is {}, beside what the language \
             keeps in memory",
            allowed.limits.stack
        );
        Failure::new(Code::StackLimit, message)
    } else if let Some(I32Exit(status)) = error.downcast_ref::<I32Exit>() {
        let how = if *status == 0 { "success" } else { "an error" };
        Failure::new(
            Code::GuestExit,
            format!("the guest ended its process, as {how}, instead of returning"),
        )
    } else if let Some(wanted) = state.limiter.refused() {
        memory(wanted, &allowed.limits)
    } else if let Some(elements) = state.limiter.too_many_elements() {
        let most = allowed.limits.tables;
        let message = format!("tables would have had {elements} elements: limits.tables is {most}");
        Failure::new(Code::PartsLimit, message).with_hint(raise("tables"))
    } else if let Some(failure) = exhausted(error, &allowed.limits) {
        failure
    } else {
        Failure::new(
            Code::Trap,
            trap.map_or_else(|| root_cause(error), ToString::to_string),
        )
    };
    Failure { trace, ..failure }
}

/// An instance that could not be made: by its own start code, for want of memory within the limit, for having more parts
/// than allowed, or because this machine has no more to give.
pub(super) fn no_instance(
    error: &wasmtime::Error,
    state: &GuestState,
    allowed: &Allowed,
) -> Failure {
    let ran = error.is::<Trap>() || error.is::<I32Exit>() || error.is::<WasmBacktrace>();
    let limiter = &state.limiter;
    if ran || limiter.refused().is_some() || limiter.too_many_elements().is_some() {
        return trapped(error, state, allowed);
    }
    let cause = root_cause(error);
    if cause.contains(TOO_MANY_PARTS) {
        let most = allowed.limits.instances;
        let message = format!(
            "the component has more instances, memories or tables than limits.instances, {most}: {cause}"
        );
        return Failure::new(Code::PartsLimit, message).with_hint(raise("instances"));
    }
    Failure::new(
        Code::HostSetup,
        format!("no instance could be made: {cause}"),
    )
}

/// Compiled languages keep a stack of their own in their memory, at its low end: a recursion leaves the memory below
/// zero before the engine's stack is full. So much nesting of so few functions is nothing else in practice.
fn exhausted_its_own_stack(error: &wasmtime::Error) -> bool {
    let out_of_bounds = error.downcast_ref::<Trap>() == Some(&Trap::MemoryOutOfBounds);
    let frames = frames(error);
    let distinct: HashSet<_> = frames.iter().map(FrameInfo::func_index).collect();
    out_of_bounds && frames.len() >= RECURSION_FRAMES && distinct.len() <= RECURSION_FUNCTIONS
}

fn frames(error: &wasmtime::Error) -> &[FrameInfo] {
    error
        .downcast_ref::<WasmBacktrace>()
        .map(WasmBacktrace::frames)
        .unwrap_or_default()
}

fn panicked(abort: &Abort, mut trace: Vec<String>) -> Failure {
    if let Some(place) = &abort.place {
        trace.insert(0, cut(place.clone(), PLACE_BYTES_MAX));
    }
    Failure {
        trace,
        ..Failure::new(
            Code::GuestPanic,
            cut(abort.message.clone(), MESSAGE_BYTES_MAX),
        )
    }
}

/// What the engine says, in no type of its own, of what a guest used up of the host.
fn exhausted(error: &wasmtime::Error, limits: &Limits) -> Option<Failure> {
    let cause = root_cause(error);
    if cause.contains(HOST_CALL_EXHAUSTED) {
        let most = limits.host_call;
        return Some(if frames(error).is_empty() {
            let message = format!("the response or failure has more than {most} bytes");
            Failure::new(Code::ResponseTooLarge, message)
        } else {
            let message =
                format!("one call passed the host more than limits.host-call, {most} bytes");
            Failure::new(Code::HostCallLimit, message).with_hint(raise("host-call"))
        });
    }
    if cause.contains(TOO_MANY_HANDLES) || is_full(error) {
        let message = format!("held more handles than limits.handles, {}", limits.handles);
        return Some(Failure::new(Code::HandleLimit, message).with_hint(raise("handles")));
    }
    if cause.contains(TOO_LONG_HEADERS) {
        let message = format!("one message's headers are longer than {FIELDS_BYTES_MAX} bytes");
        return Some(Failure::new(Code::HostCallLimit, message));
    }
    cause.contains(TOO_RANDOM).then(|| {
        let message = format!(
            "asked for more random bytes in one call than limits.random, {}",
            limits.random
        );
        Failure::new(Code::HostCallLimit, message).with_hint(raise("random"))
    })
}

/// Whether the table of what stands behind handles has no room. Its other errors are about one handle, used wrongly.
fn is_full(error: &wasmtime::Error) -> bool {
    let table = error.root_cause().downcast_ref();
    matches!(table, Some(ResourceTableError::Full))
}

fn raise(limit: &str) -> String {
    format!("raise `{limit}` under [limits] in crunchbox.toml, as far as policy.toml allows")
}

fn memory(wanted: usize, limits: &Limits) -> Failure {
    let limit = limits.memory;
    let wanted = Bytes(u64::try_from(wanted).unwrap_or(u64::MAX));
    let over = Bytes(wanted.0.saturating_sub(limit.0));
    let message = format!("asked for {wanted} in all, {over} more than limits.memory, {limit}");
    Failure::new(Code::MemoryLimit, message).with_hint(limits.memory_by.hint("memory"))
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
    let plain = name.trim_start_matches('<');
    if MACHINERY.iter().any(|prefix| plain.starts_with(prefix)) || C_LIBRARY.contains(&plain) {
        return None;
    }
    let lines = frame.symbols().iter().rev().enumerate().rev();
    let lines = lines.filter_map(|(outward, symbol)| {
        let inlined = if outward == 0 { None } else { symbol.name() };
        Some((
            inlined.unwrap_or(&name),
            symbol.file()?.trim_start_matches("./"),
            symbol.line()?,
        ))
    });
    let lines: Vec<_> = lines.collect();
    let is_library = |file: &str| LIBRARY_SOURCES.iter().any(|part| file.contains(part));
    match lines.iter().find(|(_, file, _)| !is_library(file)) {
        Some((name, file, line)) => Some(cut(format!("{name} ({file}:{line})"), PLACE_BYTES_MAX)),
        None if lines.is_empty() => Some(cut(name, PLACE_BYTES_MAX)),
        None => None,
    }
}

fn cut(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max.min(text.len())));
    text
}
