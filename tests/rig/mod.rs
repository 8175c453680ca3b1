//! What tests stand on: guests built once, a host in a sentence, the command, the deployed program.

pub mod alone;
mod deployed;
pub mod dev;
mod followed;
mod moto;
mod postgres;
mod project;
mod runtime_api;
mod s3;
pub mod shop;
pub mod started;

pub use deployed::{Deployed, Running, deployed_binary, deployed_zip};
pub use followed::{Followed, Setting, opened};
pub use moto::Moto;
pub use postgres::Postgres;
pub use project::Project;
pub use runtime_api::{Asked, Event, RuntimeApi};
pub use s3::{ACCESS_KEY, Fault, S3, SECRET_KEY, Seen};
pub use shop::{Shop, runtime};

use crunchbox::component::Component;
use crunchbox::config::{Config, Layer, Layers, Rules, Tier};
use crunchbox::engine::Artifacts;
use crunchbox::engine::compile::{CompileLimits, Compiler};
use crunchbox::engine::folder::TrustedFolder;
use crunchbox::engine::key::Interruption;
use crunchbox::error::{Failure, Level};
use crunchbox::event::{Invocation, Outcome};
use crunchbox::function::{Function, Surroundings};
use crunchbox::grant::{Ceiling, Grants};
use crunchbox::host::Host;
use crunchbox::limit::Limits;
use crunchbox::quantity::Bytes;
use crunchbox::reach::Outside;
use crunchbox::secret::Vault;
use crunchbox::settings::Environment;
use crunchbox::telemetry::{Format, Log, Memory};
use crunchbox::template::Facts;
use crunchbox::toolchain::{Setup, Traces, Wanted, Words, cargo_build};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_crunchbox");

/// The root of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A folder that stays between runs, for what takes long to make.
pub fn kept(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    TrustedFolder::private(&folder).unwrap();
    folder
}

/// A guest of `tests/guests/examples`, or the demonstration `crunch`; all are built at the first call.
pub fn guest(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        build_guests(&root().join("guest/examples/crunch"), &[]);
        build_guests(&root().join("tests/guests"), &["--examples"]);
        target_folder().join("wasm32-wasip2/release")
    });
    let path = if name == "crunch" {
        folder.join("crunch.wasm")
    } else {
        folder.join(format!("examples/{name}.wasm"))
    };
    assert!(path.is_file(), "{} was not built", path.display());
    path
}

/// The target folder that this test itself was built in.
pub fn target_folder() -> PathBuf {
    Path::new(PROGRAM)
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .to_owned()
}

pub fn build_guests(folder: &Path, more: &[&str]) {
    let wanted = Wanted {
        words: Words::Shown,
        setup: Setup::Tell,
        traces: Traces::Lines,
    };
    let command = cargo_build(folder, wanted, &std::env::vars_os().collect());
    let mut command = command.unwrap_or_else(|error| {
        panic!("{error}; run: cargo run -- build --setup guest/examples/crunch");
    });
    command
        .args(more)
        .env("CARGO_TARGET_DIR", target_folder())
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Where artifacts of tests come from: compiled once, by the program under test.
pub fn artifacts() -> Artifacts {
    let cache = TrustedFolder::private(&kept("cache")).unwrap();
    Artifacts {
        interruption: Interruption::Epoch,
        package: None,
        cache: Some(cache),
        compiler: Some(compiler()),
    }
}

pub fn compiler() -> Compiler {
    Compiler {
        program: PROGRAM.into(),
        limits: CompileLimits::default(),
    }
}

/// A host for one guest, built as a sentence: `Rig::of("echo").memory(8).start().handle("1")`.
pub struct Rig {
    component: PathBuf,
    function: Function,
    at_once: u32,
    interruption: Interruption,
}

impl Rig {
    pub fn of(name: &str) -> Self {
        Self::of_file(&guest(name), name)
    }

    pub fn of_file(component: &Path, name: &str) -> Self {
        let function = Function {
            name: name.to_owned(),
            limits: Limits::default(),
            config: Config::default(),
            vault: Vault::empty(),
            granted: Default::default(),
            outside: Outside::default(),
            build: None,
        };
        Self {
            component: component.to_owned(),
            function,
            at_once: 2,
            interruption: Interruption::Epoch,
        }
    }

    /// As on Lambda: one event at a time, in a guest that nothing interrupts.
    pub fn on_lambda(mut self) -> Self {
        self.interruption = Interruption::Replace;
        self.at_once(1)
    }

    /// How many events may run at once; two unless said.
    pub fn at_once(mut self, events: usize) -> Self {
        self.at_once = events.try_into().unwrap();
        self
    }

    /// What it may reach, as `[grants]` says it.
    pub fn grants(mut self, grants: serde_json::Value) -> Self {
        let table = serde_json::from_value(grants).unwrap();
        let grants = Grants::read(table, root()).unwrap();
        self.function.granted = grants.fill(&Facts::default(), &Ceiling::default()).unwrap();
        self
    }

    /// What its host has in its environment.
    pub fn environment(mut self, variables: &[(&str, &str)]) -> Self {
        let environment: Environment = variables.iter().copied().collect();
        self.function.outside = Outside::new(&environment, Vec::new());
        self
    }

    pub fn limits(mut self, set: impl FnOnce(&mut Limits)) -> Self {
        set(&mut self.function.limits);
        self
    }

    pub fn memory(mut self, mebibytes: u64) -> Self {
        self.function.limits.memory = Bytes::mebi(mebibytes);
        self
    }

    pub fn time(mut self, time: Duration) -> Self {
        self.function.limits.time = time;
        self
    }

    pub fn config(mut self, json: &str) -> Self {
        self.function.config = config_of(json);
        self
    }

    pub fn try_start(self) -> Result<Started, Failure> {
        let memory = Memory::default();
        let log = Log::new(Format::Json, Level::Info, memory.clone()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let surroundings = Surroundings {
            artifacts: Artifacts {
                interruption: self.interruption,
                ..artifacts()
            },
            log,
            concurrency: self.at_once,
        };
        let ready = runtime.block_on(self.function.start(&self.component, surroundings))?;
        Ok(Started {
            host: ready.host,
            memory,
            runtime,
        })
    }

    pub fn start(self) -> Started {
        self.try_start().unwrap()
    }
}

/// A configuration of one layer.
pub fn config_of(json: &str) -> Config {
    let mut layers = Layers::new();
    layers.add(Layer::parse(Tier::Base, "test.json", json.as_bytes()).unwrap());
    layers.settle(&Rules::default()).unwrap()
}

/// A host that runs.
pub struct Started {
    pub host: Host,
    memory: Memory,
    runtime: tokio::runtime::Runtime,
}

impl Started {
    pub fn handle(&self, event: &str) -> Outcome {
        self.handle_as(Invocation {
            event: event.into(),
            request_id: "test".into(),
            ..Invocation::default()
        })
    }

    pub fn handle_as(&self, invocation: Invocation) -> Outcome {
        self.runtime.block_on(self.host.handle(invocation))
    }

    pub fn block_on<R>(&self, future: impl Future<Output = R>) -> R {
        self.runtime.block_on(future)
    }

    /// All log lines of events so far.
    pub fn lines(&self) -> Vec<serde_json::Value> {
        self.host.log().flush();
        let text = self.memory.text();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines
            .filter(|line: &serde_json::Value| line["requestId"].is_string())
            .collect()
    }
}

/// The failure of an outcome that must have one.
pub fn failure(outcome: Outcome) -> Failure {
    outcome
        .result
        .expect_err("expected a failure, got a response")
}

/// The command with arguments, with a cache that tests share.
pub fn crunchbox(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .env("XDG_CACHE_HOME", kept("xdg"))
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    for lambdas in [
        "AWS_LAMBDA_RUNTIME_API",
        "CRUNCHBOX_CONFIG",
        "CRUNCHBOX_POLICY",
        "CRUNCHBOX_STORE",
    ] {
        command.env_remove(lambdas);
    }
    command
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The folder of the demonstration's events.
pub fn events() -> String {
    text(&root().join("guest/examples/crunch/events")).to_owned()
}

/// What a finished command printed, and its exit status.
pub struct Finished {
    pub stdout: String,
    pub stderr: String,
    pub exit: i32,
}

/// Runs the command with arguments, as a person types it.
pub fn typed(arguments: &[&str]) -> Finished {
    finish(&mut crunchbox(arguments))
}

pub fn finish(command: &mut Command) -> Finished {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    Finished {
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
        exit: status.code().unwrap_or(-1),
    }
}

/// A component written as text.
pub fn component(folder: &Path, wat: &str) -> PathBuf {
    let path = folder.join("component.wasm");
    std::fs::write(&path, wat::parse_str(wat).unwrap()).unwrap();
    path
}

/// Reads a component that a test needs as bytes.
pub fn read(path: &Path) -> Component {
    Component::read(path).unwrap()
}
