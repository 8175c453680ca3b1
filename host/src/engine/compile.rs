//! Compiling in a child process with a time and a memory limit: a component may be made to be compiled for hours or
//! into all memory, and wasmtime's authors count neither as a flaw. The child is this program itself; the component
//! goes in by standard input, native code or a reason comes out.

use super::key::{Baseline, EngineKey};
use crate::component::Component;
use crate::error::{Code, Fault};
use crate::quantity::{Bytes, Time};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The argument that makes this program the child. Not for people.
pub const CHILD_ARGUMENT: &str = "compile-in-child";

/// The exit status of a child that found the component invalid; its words stand on standard error.
const INVALID: u8 = 3;

/// Address space that the child's threads and allocator reserve without using it.
const CHILD_OVERHEAD: Bytes = Bytes::mebi(512);

/// The most that is kept of what the child says.
const WORDS_MAX: u64 = 16 << 10;

/// What compiling one component may take.
#[derive(Debug, Clone, Copy)]
pub struct CompileLimits {
    /// Wall-clock time.
    pub time: Time,
    /// Memory.
    pub memory: Bytes,
}

impl Default for CompileLimits {
    /// Six times what CPython takes on two shared cores, in time and in memory.
    fn default() -> Self {
        Self {
            time: Time(Duration::from_secs(60)),
            memory: Bytes::mebi(2048),
        }
    }
}

/// Makes native code from components.
#[derive(Debug, Clone)]
pub struct Compiler {
    /// This program's own file.
    pub program: PathBuf,
    /// What one component may take.
    pub limits: CompileLimits,
}

/// Why there is no native code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The clock ran out.
    #[error("compiling was stopped after {0}, its limit")]
    TimeLimit(Time),
    /// Memory ran out.
    #[error("compiling was stopped when it needed more than {0}, its limit")]
    MemoryLimit(Bytes),
    /// The component does not validate.
    #[error("the component is not valid: {0}")]
    Invalid(String),
    /// The child could not be run, or failed in a way of its own.
    #[error("the compiler failed: {0}")]
    Failed(String),
}

impl Fault for CompileError {
    fn code(&self) -> Code {
        match self {
            Self::TimeLimit(_) => Code::CompileTimeLimit,
            Self::MemoryLimit(_) => Code::CompileMemoryLimit,
            Self::Invalid(_) => Code::ComponentInvalid,
            Self::Failed(_) => Code::CompileFailed,
        }
    }
}

impl Compiler {
    /// Compiles a component for the engine with `key`.
    ///
    /// # Errors
    /// [`CompileError`]; the child is gone when this returns.
    pub async fn compile(
        &self,
        component: &Component,
        baseline: Baseline,
    ) -> Result<Vec<u8>, CompileError> {
        let failed = |error: std::io::Error| {
            CompileError::Failed(format!("cannot run `{}`: {error}", self.program.display()))
        };
        let mut child = tokio::process::Command::new(&self.program)
            .args([
                CHILD_ARGUMENT,
                EngineKey::new(baseline).to_string().as_str(),
            ])
            .arg(
                self.limits
                    .memory
                    .0
                    .saturating_add(CHILD_OVERHEAD.0)
                    .to_string(),
            )
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(mut stdout), Some(stderr)) = pipes else {
            return Err(CompileError::Failed("its pipes are missing".to_owned()));
        };
        let mut code = Vec::new();
        let mut words = Vec::new();
        let work = async {
            // A child that stops reading has said why on standard error; the broken pipe adds nothing.
            let feed = async {
                let _ = stdin.write_all(component.bytes()).await;
                drop(stdin);
            };
            let mut bounded = stderr.take(WORDS_MAX);
            let (_, output, _) = tokio::join!(
                feed,
                stdout.read_to_end(&mut code),
                bounded.read_to_end(&mut words)
            );
            output?;
            drop(bounded);
            child.wait().await
        };
        match tokio::time::timeout(self.limits.time.0, work).await {
            Err(_) => Err(CompileError::TimeLimit(self.limits.time)),
            Ok(Err(error)) => Err(failed(error)),
            Ok(Ok(status)) if status.success() => Ok(code),
            Ok(Ok(status)) => Err(self.classify(status, String::from_utf8_lossy(&words).trim())),
        }
    }

    fn classify(&self, status: ExitStatus, words: &str) -> CompileError {
        // These are the words of Rust's allocator and of its threads and mappings when the address space is used up.
        let out_of_memory = [
            "memory allocation of",
            "Cannot allocate memory",
            "os error 12",
            "out of memory",
            "failed to spawn thread",
        ];
        if out_of_memory.iter().any(|sign| words.contains(sign)) {
            CompileError::MemoryLimit(self.limits.memory)
        } else if status.code() == Some(INVALID.into()) {
            CompileError::Invalid(words.to_owned())
        } else {
            CompileError::Failed(format!("{status}: {words}"))
        }
    }
}

/// The child: limits itself, reads a component, writes native code. Returns the exit status.
pub fn child_main(arguments: &[String]) -> u8 {
    let outcome = match arguments {
        [key, memory] => compile_stdin(key, memory),
        _ => Err("expected an engine key and a memory limit".to_owned()),
    };
    match outcome {
        Ok(code) => std::io::stdout().write_all(&code).map_or(1, |()| 0),
        Err(words) => {
            // Not `eprintln!`: the words are the child's result, and a closed pipe must not panic.
            let _ = writeln!(std::io::stderr(), "{words}");
            INVALID
        }
    }
}

fn compile_stdin(key: &str, memory: &str) -> Result<Vec<u8>, String> {
    let bytes: u64 = memory
        .parse()
        .map_err(|_| format!("expected a memory limit in bytes, got `{memory}`"))?;
    limit_memory(bytes)?;
    let baseline = [Baseline::X86_64V3, Baseline::X86_64, Baseline::NeoverseN1]
        .into_iter()
        .find(|baseline| EngineKey::new(*baseline).to_string() == key)
        .ok_or_else(|| format!("expected an engine key of this version, got `{key}`"))?;
    let mut component = Vec::new();
    std::io::stdin()
        .read_to_end(&mut component)
        .map_err(|error| error.to_string())?;
    let config = super::settings::compiling(baseline).map_err(|error| format!("{error:#}"))?;
    let engine = wasmtime::Engine::new(&config).map_err(|error| format!("{error:#}"))?;
    engine
        .precompile_component(&component)
        .map_err(|error| format!("{error:#}"))
}

fn limit_memory(bytes: u64) -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    setrlimit(Resource::As, limit).map_err(|error| format!("cannot limit memory: {error}"))?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).map_err(|error| format!("cannot forbid core files: {error}"))
}

/// The file of this program, as a child is started from it.
///
/// # Errors
/// The system's words when it does not know.
pub fn this_program() -> std::io::Result<PathBuf> {
    // A program replaced while it runs still has this path, where `current_exe` would name a deleted file.
    let path = Path::new("/proc/self/exe");
    if path.exists() {
        Ok(path.to_owned())
    } else {
        std::env::current_exe()
    }
}
