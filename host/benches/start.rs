//! From a process's start to its first response, side by side in one run: the deployed program with the demonstration in its
//! package, from a bucket on loopback with a full cache and with an empty one; beside it a function in Rust on AWS's
//! `lambda_runtime` that does the same. Then where the time of ours goes, as `CRUNCHBOX_TIMINGS` tells it.
//!
//! `cargo bench --profile dev --bench start`. Packages are mounted for reading alone, as Lambda has them, by `unshare`.
#![allow(clippy::unwrap_used, reason = "a measurement that fails has no figure")]
#![allow(clippy::print_stdout, reason = "the table is what this program is for")]
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    unused_imports,
    reason = "what the tests stand on is read as a module here"
)]

#[path = "../../tests/rig/mod.rs"]
mod rig;

mod figures;

use crunchbox::component::Component;
use crunchbox::release::SealedLimits;
use figures::{HEAD, Times, row};
use rig::{Deployed, Event, Running, RuntimeApi, S3, Shop, root, target_folder};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Starts that are measured of each, in turn, after some that are not.
const ROUNDS: usize = 60;
const WARM_UP: usize = 3;

const EVENT: &str = include_str!("../../guest/examples/crunch/events/one-record.json");
const CONFIG: &str = include_str!("../../guest/examples/crunch/config.toml");
const MANIFEST: &str = include_str!("../../guest/examples/crunch/crunchbox.toml");

/// Set in a process that has mounts of its own.
const OWN_MOUNTS: &str = "CRUNCHBOX_BENCH_OWN_MOUNTS";

/// Begins this program anew where it may mount.
fn have_own_mounts() {
    if std::env::var_os(OWN_MOUNTS).is_some() {
        return;
    }
    let mut again = Command::new("unshare");
    again.args(["--map-root-user", "--mount"]);
    again.arg(std::env::current_exe().unwrap());
    again.args(std::env::args_os().skip(1));
    let error = again.env(OWN_MOUNTS, "1").exec();
    panic!("`unshare` does not start: {error}");
}

/// Lets nobody write in a package, until this process ends.
fn mount_read_only(folder: &Path) {
    for options in [&["--bind"][..], &["-o", "remount,bind,ro"]] {
        let mut mount = Command::new("mount");
        let mount = mount.args(options).args([folder, folder]);
        assert!(mount.status().unwrap().success(), "{mount:?}");
    }
}

/// A package that is mounted so; its folder can be removed once it no longer is.
struct Mounted(Deployed);

impl Mounted {
    fn new(package: Deployed) -> Self {
        mount_read_only(package.folder.path());
        Self(package)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let mut unmount = Command::new("umount");
        let unmount = unmount.arg("--lazy").arg(self.0.folder.path());
        assert!(unmount.status().unwrap().success(), "{unmount:?}");
    }
}

/// The configuration of the demonstration, as JSON.
fn config() -> String {
    let config: toml::Value = toml::from_str(CONFIG).unwrap();
    serde_json::to_string(&config).unwrap()
}

/// A function in Rust without us, built as people build them.
fn native() -> PathBuf {
    let target = target_folder().join("bench/native");
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--locked", "--target-dir"]);
    build.arg(&target);
    build.current_dir(root().join("host/benches/compare/peers/native"));
    assert!(build.status().unwrap().success());
    target.join("release/native")
}

/// A process, ended when it is dropped.
enum Process {
    Native(Child),
    Ours(Running),
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Self::Native(child) = self {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

/// What is started again and again.
struct Subject {
    name: &'static str,
    start: Box<dyn Fn(&RuntimeApi) -> Process>,
    times: Vec<Duration>,
}

impl Subject {
    fn new(name: &'static str, start: impl Fn(&RuntimeApi) -> Process + 'static) -> Self {
        Self {
            name,
            start: Box::new(start),
            times: Vec::new(),
        }
    }

    fn native(program: PathBuf) -> Self {
        let config = config();
        Self::new("Rust, lambda_runtime", move |api| {
            let mut command = Command::new(&program);
            command.env_clear().env("CRUNCH_CONFIG", &config);
            command.env("AWS_LAMBDA_RUNTIME_API", api.address());
            for (name, value) in [
                ("AWS_LAMBDA_FUNCTION_NAME", "acme-guest"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ] {
                command.env(name, value);
            }
            // It says that the Runtime API is gone, when that goes.
            Process::Native(command.stderr(Stdio::null()).spawn().unwrap())
        })
    }

    fn ours(name: &'static str, package: Deployed) -> Self {
        let package = Mounted::new(package);
        Self::new(name, move |api| Process::Ours(package.0.start_once(api)))
    }

    /// One start, up to its first response.
    fn measure(&self) -> (Duration, Process) {
        let api = RuntimeApi::start();
        api.send(Event::new(EVENT));
        let before = Instant::now();
        let process = (self.start)(&api);
        assert_eq!(api.answer().kind, "response");
        (before.elapsed(), process)
    }
}

/// The demonstration as `crunchbox package` and `crunchbox deploy` build it, without debug lines.
fn demonstration() -> PathBuf {
    let project = root().join("guest/examples/crunch");
    let mut build = rig::crunchbox(&["build", "--release", rig::text(&project)]);
    let built = rig::finish(build.env("CARGO_TARGET_DIR", target_folder().join("bench/guest")));
    assert_eq!(built.exit, 0, "{}", built.stderr);
    built.stdout.lines().next_back().unwrap().into()
}

/// The package with it, as `crunchbox package` lays it out.
fn packaged(component: &Path) -> Deployed {
    let digest = Component::read(component).unwrap().digest().to_string();
    Deployed::with_file(component)
        .file("crunchbox.toml", MANIFEST.as_bytes())
        .file("config.toml", CONFIG.as_bytes())
        .file("guest.digest", digest.as_bytes())
        .without("guest.wasm")
}

fn emptied(cache: &Path) {
    let _before = std::fs::remove_dir_all(cache);
}

/// Where the time of starts goes, each after something was done: the median of each phase, in the order they come in.
fn phases(subject: &Subject, before: &dyn Fn()) -> Vec<(String, f64)> {
    let mut phases: Vec<(String, Vec<f64>)> = Vec::new();
    for _ in 0..ROUNDS {
        before();
        let (_, process) = subject.measure();
        let Process::Ours(running) = &process else {
            unreachable!("only ours tells")
        };
        let fields = running.timings();
        for (place, (name, took)) in fields.into_iter().enumerate() {
            if phases.len() == place {
                phases.push((name.clone(), Vec::new()));
            }
            assert_eq!(phases[place].0, name, "each start has the same phases");
            phases[place].1.push(took);
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let phases = phases.into_iter();
    phases.map(|(name, times)| (name, median(times))).collect()
}

fn main() {
    have_own_mounts();
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    let guest = demonstration();
    let component = Component::read(&guest).unwrap();
    let sealed = shop.release_with(component, &config(), SealedLimits::default());
    shop.promote(&sealed);
    let caches = tempfile::tempdir().unwrap();
    let following = |cache: &Path| {
        Deployed::following(&shop, "").variable("CRUNCHBOX_CACHE", cache.to_str().unwrap())
    };
    let (full, empty) = (caches.path().join("full"), caches.path().join("empty"));
    let mut subjects = vec![
        Subject::native(native()),
        Subject::ours("Crunchbox, no store", packaged(&guest)),
        Subject::ours("Crunchbox, S3, full cache", following(&full)),
        Subject::ours("Crunchbox, S3, empty cache", following(&empty)),
    ];
    for round in 0..WARM_UP + ROUNDS {
        for subject in &mut subjects {
            emptied(&empty);
            let (took, _process) = subject.measure();
            if round >= WARM_UP {
                subject.times.push(took);
            }
        }
    }
    println!("{HEAD}");
    let mut base = None;
    for subject in subjects {
        let times = Times::new(subject.times);
        println!("{}", row(subject.name, &times, base.as_ref()));
        base = base.or(Some(times));
    }
    let asked = |deployed: Deployed| deployed.variable("CRUNCHBOX_TIMINGS", "1");
    let nothing: &dyn Fn() = &|| ();
    for (name, package, before) in [
        ("no store", packaged(&guest), nothing),
        ("S3, full cache", following(&full), nothing),
        ("S3, empty cache", following(&empty), &|| emptied(&empty)),
    ] {
        println!("\n| {name}: phase | ms, median |\n| --- | ---: |");
        for (phase, took) in phases(&Subject::ours("ours", asked(package)), before) {
            println!("| {phase} | {took:.2} |");
        }
    }
}
