//! The program as it is deployed: the release profile, no compiler, in a package of its own, behind a Runtime API.

use super::s3::{ACCESS_KEY, SECRET_KEY};
use super::shop::{FUNCTION, Shop};
use super::{
    RuntimeApi, compiler, crunchbox, finish, guest, kept, read, root, target_folder, text,
};
use crunchbox::engine::artifact::Statement;
use crunchbox::engine::folder::TrustedFolder;
use crunchbox::engine::key::{Baseline, EngineKey, Interruption};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, OnceLock};

/// Makes the package that goes to Lambda, once per test run.
pub fn deployed_zip() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let zip = kept("package").join("bootstrap.zip");
        let project = root().join("guest/examples/crunch");
        let mut package = crunchbox(&["package", text(&project), "--out", text(&zip)]);
        let done = finish(package.env("CARGO_TARGET_DIR", target_folder()));
        assert_eq!(
            done.exit, 0,
            "the package is not made; `tests/setup` installs what it takes: {}",
            done.stderr
        );
        zip
    })
}

/// Unpacks that once per test run, and names the program in it.
pub fn deployed_binary() -> &'static Path {
    static UNPACKED: OnceLock<PathBuf> = OnceLock::new();
    UNPACKED.get_or_init(|| {
        let folder = deployed_zip().with_file_name("unpacked");
        let _before = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        unpack(deployed_zip(), &folder);
        folder.join("bootstrap")
    })
}

fn unpack(zip: &Path, folder: &Path) {
    crunchbox::package::zip::unpack(&std::fs::read(zip).unwrap(), folder).unwrap();
}

/// A package on the way to be started.
pub struct Deployed {
    /// The package.
    pub folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
    /// What starts the program in its place, with its arguments.
    starter: Vec<String>,
}

/// Makes and keeps the artifacts that packages take along: the full build's, for the build without a compiler.
fn precompile(component: &Path, folder: &TrustedFolder) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let component = read(component);
    for way in Interruption::ALL {
        let target = (Baseline::of_this_machine(), way);
        let code = runtime
            .block_on(compiler().compile(&component, target))
            .unwrap();
        let engine = EngineKey::new(target.0, target.1);
        let statement = Statement::new(component.digest(), engine, &code);
        folder.keep(&code, &statement).unwrap();
    }
}

impl Deployed {
    /// A package with the program, a guest as `guest.wasm` and its artifact.
    pub fn with(name: &str) -> Self {
        Self::with_file(&guest(name))
    }

    /// The same with any component.
    pub fn with_file(component: &Path) -> Self {
        let deployed = Self::empty().file("guest.wasm", &std::fs::read(component).unwrap());
        precompile(component, &TrustedFolder::deployed(deployed.folder.path()));
        deployed
    }

    /// A package with nothing but the program.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(deployed_binary(), folder.path().join("bootstrap")).unwrap();
        Self {
            folder,
            variables: Vec::new(),
            starter: Vec::new(),
        }
    }

    /// What a package's zip holds, and nothing else.
    pub fn unpacked(zip: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        unpack(zip, folder.path());
        Self {
            folder,
            variables: Vec::new(),
            starter: Vec::new(),
        }
    }

    pub fn file(self, name: &str, bytes: &[u8]) -> Self {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
        self
    }

    pub fn without(self, name: &str) -> Self {
        std::fs::remove_file(self.folder.path().join(name)).unwrap();
        self
    }

    /// A package with the program and a policy, to follow the channel `live` of a shop in a bucket.
    pub fn following(shop: &Shop, policy: &str) -> Self {
        Self::empty()
            .file("policy.toml", shop.policy(policy).as_bytes())
            .channel("live")
    }

    /// Has it follow a channel of the store that its policy names, with a cache of its own.
    pub fn channel(self, name: &str) -> Self {
        let cache = self.folder.path().join("cache");
        self.variable("_HANDLER", &format!("{FUNCTION}@{name}"))
            .variable("CRUNCHBOX_CACHE", cache.to_str().unwrap())
            .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .variable("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has the package mounted for reading alone, as Lambda has it, before whatever starts it.
    pub fn read_only(self) -> Self {
        const MOUNTED: &str =
            r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && exec "$@""#;
        let folder = self.folder.path().display().to_string();
        let own_mounts = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNTED];
        let mut starter = own_mounts.to_vec();
        starter.push(&folder);
        let inner = self.starter.clone();
        starter.extend(inner.iter().map(String::as_str));
        self.under(&starter)
    }

    /// Has another program start it, which is given its path as the last argument.
    pub fn under(mut self, starter: &[&str]) -> Self {
        self.starter = starter.iter().map(ToString::to_string).collect();
        self
    }

    fn command(&self) -> Command {
        let program = self.folder.path().join("bootstrap");
        let [starter, arguments @ ..] = self.starter.as_slice() else {
            return Command::new(program);
        };
        let mut command = Command::new(starter);
        command.args(arguments).arg(program);
        command
    }

    /// Starts `bootstrap` as Lambda does: an environment of its own, no standard input.
    pub fn start(self, api: &RuntimeApi) -> Running {
        let mut running = self.start_once(api);
        running.folder = Some(self.folder);
        running
    }

    /// The same with a package that is to be started again.
    pub fn start_once(&self, api: &RuntimeApi) -> Running {
        let folder = self.folder.path();
        let mut command = self.command();
        command.current_dir(folder).env_clear();
        if !self.starter.is_empty() {
            command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        }
        let mut child = command
            .env("AWS_LAMBDA_RUNTIME_API", api.address())
            .env("AWS_LAMBDA_FUNCTION_NAME", "acme-guest")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("LAMBDA_TASK_ROOT", folder)
            .env("_HANDLER", "guest")
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Running {
            child,
            lines,
            folder: None,
        }
    }
}

/// A started program; killed when dropped.
pub struct Running {
    pub child: Child,
    lines: Receiver<String>,
    /// The package, where it goes with the process.
    folder: Option<tempfile::TempDir>,
}

impl Running {
    /// The log lines up to the one that reports an event, that one last.
    pub fn lines_of_an_event(&self) -> Vec<serde_json::Value> {
        let mut lines: Vec<serde_json::Value> = Vec::new();
        loop {
            let line = self
                .lines
                .recv_timeout(super::runtime_api::PATIENCE)
                .expect("a log line");
            lines.push(serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}")));
            if lines.last().unwrap()["fields"]["outcome"].is_string() {
                return lines;
            }
        }
    }

    /// The next line as it is.
    pub fn line(&self) -> String {
        self.lines
            .recv_timeout(super::runtime_api::PATIENCE)
            .expect("a log line")
    }

    /// All lines that have come so far.
    pub fn lines(&self) -> Vec<serde_json::Value> {
        let lines = self.lines.try_iter();
        lines
            .map(|line| serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}")))
            .collect()
    }

    /// Where the time of its start went, phase by phase, if it was asked to tell.
    pub fn timings(&self) -> Vec<(String, f64)> {
        loop {
            let line: serde_json::Value = serde_json::from_str(&self.line()).unwrap();
            let message = line["message"].as_str().unwrap_or_default();
            if message.starts_with("start to first response") {
                let fields = line["fields"].as_object().unwrap();
                let phases = fields.iter();
                return phases
                    .map(|(name, took)| (name.clone(), took.as_f64().unwrap()))
                    .collect();
            }
        }
    }

    /// Stops the process, as Lambda freezes it, or lets it go on.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Lets the process have no more memory than a mebibyte beyond what it has: not enough for the stack of a thread. Returns
    /// what it runs as now.
    pub fn leave_no_room(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let size = status
            .lines()
            .find_map(|line| line.strip_prefix("VmSize:"))
            .unwrap();
        let kibibytes: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
        self.limit_addresses(Some((kibibytes + 1024) << 10));
        self.image()
    }

    /// Takes that back.
    pub fn leave_room(&self) {
        self.limit_addresses(None);
    }

    fn limit_addresses(&self, bytes: Option<u64>) {
        let limit = rustix::process::Rlimit {
            current: bytes,
            maximum: None,
        };
        let pid = rustix::process::Pid::from_raw(self.child.id().try_into().unwrap());
        rustix::process::prlimit(pid, rustix::process::Resource::As, limit).unwrap();
    }

    /// All that the process has mapped.
    pub fn maps(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/maps", self.child.id())).unwrap()
    }

    /// Where the process' code lies: elsewhere in each process that is started.
    pub fn image(&self) -> String {
        self.maps().lines().next().unwrap_or_default().to_owned()
    }

    /// Whether another process has taken its place under the same number.
    pub fn is_fresh_since(&self, before: &str) -> bool {
        self.image() != before
    }

    /// Asks the process to end, as Lambda does before it kills, and waits until it has been told.
    pub fn terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
        while self.has_signals_waiting() {
            std::thread::yield_now();
        }
    }

    /// Whether a signal has been sent that no thread of the process has taken yet.
    fn has_signals_waiting(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let pending = status
            .lines()
            .find_map(|line| line.strip_prefix("ShdPnd:"))
            .unwrap();
        pending.trim().bytes().any(|digit| digit != b'0')
    }

    /// Waits for the end of a process that was asked to end: it has come when its standard output is closed.
    pub fn ended(mut self) -> i32 {
        loop {
            match self.lines.recv_timeout(super::runtime_api::PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the process goes on"),
            }
        }
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Waits for the process to end.
    pub fn exit(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
