//! The only file with `unsafe`: mapping native code whose origin is proven, and naming processor features to the
//! compiler. Both are promises that wasmtime can't check; each is kept by what the caller has to hand in.
#![expect(unsafe_code, reason = "invariant 3: `unsafe` stands in this one file")]

use super::artifact::Artifact;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Maps an artifact as executable code.
///
/// # Errors
/// wasmtime's words when the artifact was made for another engine or processor.
pub(super) fn map(engine: &Engine, artifact: &Artifact) -> wasmtime::Result<Component> {
    // JUSTIFICATION: loading instead of compiling is what makes a start take milliseconds, and the deployed host has
    // no compiler.
    // SAFETY: the file must be unmodified output of wasmtime, and stay unchanged while mapped. An `Artifact` can only
    // be made from what only this user, a trusted signature or the deployed package brings. It is hashed while it is copied
    // and compared with its statement, and the copy is a memory file sealed against writing, growing and shrinking; or
    // it is the deployed package's own, like this program, on a file system that is mounted for reading alone.
    unsafe { Component::deserialize_file(engine, artifact.unchanging_path()) }
}

/// Lets the compiler use a processor feature.
#[cfg(feature = "compile")]
pub(super) fn enable(config: &mut wasmtime::Config, flag: &'static str) {
    // JUSTIFICATION: without a named baseline, code is made for the compiling machine alone, or for none in particular.
    // SAFETY: a flag must not make wrong code on the machines that run it. The flags are the processor features of the
    // baselines in `settings.rs`; at load wasmtime compares each with the running machine and refuses what lacks one.
    unsafe { config.cranelift_flag_enable(flag) };
}
