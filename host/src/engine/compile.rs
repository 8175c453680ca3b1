//! Compiling in a child process with a time and a memory limit: a component may be made to be compiled for hours or
//! into all memory, and wasmtime's authors count neither as a flaw. The child is this program itself; the component
//! goes in by standard input, native code or a reason comes out.

mod extent;

use super::key::{Baseline, EngineKey, Interruption};
use crate::component::Component;
use crate::error::{Code, Fault};
use crate::quantity::{Bytes, Time};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The argument that makes this program the child. Not for people.
pub const CHILD_ARGUMENT: &str = "compile-in-child";

/// The exit statuses of a child that found the component invalid, and of one that could not do its work; its words
/// stand on standard error.
const INVALID: u8 = 3;
const FAILED: u8 = 4;

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
    /// Compiles a component for a processor, to be stopped in a way.
    ///
    /// # Errors
    /// [`CompileError`]; the child is gone when this returns.
    pub async fn compile(
        &self,
        component: &Component,
        (baseline, interruption): (Baseline, Interruption),
    ) -> Result<Vec<u8>, CompileError> {
        let failed = |error: std::io::Error| {
            CompileError::Failed(format!("cannot run `{}`: {error}", self.program.display()))
        };
        let mut child = tokio::process::Command::new(&self.program)
            .args([
                CHILD_ARGUMENT,
                EngineKey::new(baseline, interruption).to_string().as_str(),
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
            // Read to the end, kept only in part: a child whose words nobody takes would wait for ever.
            let listen = async {
                let mut bounded = stderr.take(WORDS_MAX);
                let _ = bounded.read_to_end(&mut words).await;
                let _ = tokio::io::copy(&mut bounded.into_inner(), &mut tokio::io::sink()).await;
            };
            let (_, output, _) = tokio::join!(feed, stdout.read_to_end(&mut code), listen);
            output?;
            child.wait().await
        };
        let finished = tokio::time::timeout(self.limits.time.0, work).await;
        match finished {
            Err(_) => {
                let _ = child.kill().await;
                Err(CompileError::TimeLimit(self.limits.time))
            }
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
            "failed to spawn thread",
            "Resource temporarily unavailable",
        ];
        if status.code() == Some(INVALID.into()) {
            CompileError::Invalid(words.to_owned())
        } else if status.signal() == Some(SIGKILL)
            || out_of_memory.iter().any(|sign| words.contains(sign))
        {
            CompileError::MemoryLimit(self.limits.memory)
        } else {
            CompileError::Failed(format!("{status}: {words}"))
        }
    }
}

/// What the kernel sends when the machine's memory is used up; nothing else here does, but a deadline, which is told
/// before.
const SIGKILL: i32 = 9;

/// The child: limits itself, reads a component, writes native code. Returns the exit status.
pub fn child_main(arguments: &[String]) -> u8 {
    let outcome = match arguments {
        [key, memory] => prepare(key, memory).and_then(compile_stdin),
        _ => Err((
            FAILED,
            "expected an engine key and a memory limit".to_owned(),
        )),
    };
    match outcome {
        Ok(code) => std::io::stdout().write_all(&code).map_or(FAILED, |()| 0),
        Err((status, words)) => {
            // Not `eprintln!`: the words are the child's result, and a closed pipe must not panic.
            let _ = writeln!(std::io::stderr(), "{words}");
            status
        }
    }
}

fn prepare(key: &str, memory: &str) -> Result<wasmtime::Engine, (u8, String)> {
    let failed = |words: String| (FAILED, words);
    let bytes: u64 = memory
        .parse()
        .map_err(|_| failed(format!("expected bytes, got `{memory}`")))?;
    limit_memory(bytes).map_err(failed)?;
    let engines = Baseline::ALL
        .into_iter()
        .flat_map(|baseline| Interruption::ALL.map(|way| (baseline, way)));
    let (baseline, interruption) = engines
        .into_iter()
        .find(|(baseline, way)| EngineKey::new(*baseline, *way).to_string() == key)
        .ok_or_else(|| {
            failed(format!(
                "expected an engine key of this version, got `{key}`"
            ))
        })?;
    let config = super::settings::compiling(baseline, interruption)
        .map_err(|error| failed(format!("{error:#}")))?;
    wasmtime::Engine::new(&config).map_err(|error| failed(format!("{error:#}")))
}

fn compile_stdin(engine: wasmtime::Engine) -> Result<Vec<u8>, (u8, String)> {
    let mut component = Vec::new();
    let read = std::io::stdin().read_to_end(&mut component);
    read.map_err(|error| (FAILED, error.to_string()))?;
    extent::check(&component).map_err(|words| (INVALID, words))?;
    let compiled = engine.precompile_component(&component);
    compiled.map_err(|error| (INVALID, format!("{error:#}")))
}

fn limit_memory(bytes: u64) -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // A limit that is there already can't be raised, only lowered.
    let hard = getrlimit(Resource::As)
        .maximum
        .map_or(bytes, |hard| hard.min(bytes));
    let limit = |bytes| Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    setrlimit(Resource::As, limit(hard))
        .map_err(|error| format!("cannot limit memory: {error}"))?;
    setrlimit(Resource::Core, limit(0))
        .map_err(|error| format!("cannot forbid core files: {error}"))
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
