//! The deployed program, built from Crunchbox's own sources for Lambda's system, whatever system this is: zig brings
//! linker and glibc. Says nothing of what the program does, and leaves the machine's own settings out of it.

use super::elf::GLIBC;
use super::{Architecture, PackageError};
use crate::engine::key::WASMTIME_VERSION;
use crate::settings::Variables;
use crate::toolchain::{BuildError, Setup, run_shown};
use serde::Deserialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What links the program. Both come from PyPI, as programs ready to run.
const ZIG: &str = "0.17.1";
const ZIGBUILD: &str = "0.24.0";

/// Where they lie below cargo's target folder.
const TOOLS: &str = "tools/zig";

/// Where the program is built, there as well.
const BUILD: &str = "lambda";

/// The program's name among what cargo builds.
const PROGRAM: &str = "crunchbox";

/// Settings of this machine that would reach the program, or lead past zig.
const FOREIGN: [&str; 10] = [
    "RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_INCREMENTAL",
    "CFLAGS",
    "CXXFLAGS",
    "TARGET_CC",
    "TARGET_CFLAGS",
    "TARGET_AR",
];

/// What has a setting of its own for each target, as the crate `cc` reads them.
const PER_TARGET: [&str; 7] = ["CC", "CXX", "AR", "RANLIB", "CFLAGS", "CXXFLAGS", "ARFLAGS"];

/// Which program is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// The processor that it is for.
    pub architecture: Architecture,
    /// Whether missing tools may be installed.
    pub setup: Setup,
}

/// Where things lie on this machine.
struct Folders {
    sources: PathBuf,
    target: PathBuf,
    tools: PathBuf,
    sysroot: PathBuf,
    cargo_home: Option<PathBuf>,
}

/// Builds the program and returns its file. `say` is told what takes long, before it does; the tools' own words go to
/// standard error.
///
/// # Errors
/// [`PackageError::Missing`], [`PackageError::Build`] or [`PackageError::NoProgram`].
pub fn program(
    order: Order,
    say: &dyn Fn(&str),
    variables: Variables<'_>,
) -> Result<PathBuf, PackageError> {
    let sources = sources()?;
    let target = target(&sources, variables);
    have_library(&sources, order)?;
    let tools = target.join(TOOLS);
    have_tools(&tools, order.setup, say)?;
    let home = variables.get("HOME").map(PathBuf::from);
    let cargo_home = variables.get("CARGO_HOME").map(PathBuf::from);
    let folders = Folders {
        sysroot: rustc(&sources, &["--print", "sysroot"])?,
        cargo_home: cargo_home.or_else(|| home.map(|home| home.join(".cargo"))),
        sources,
        target,
        tools,
    };
    say(&format!(
        "building the program for {}; the first time takes some minutes",
        order.architecture
    ));
    let messages = run(&mut command(&folders, order.architecture, variables)?)?;
    executable(&messages).ok_or(PackageError::NoProgram)
}

/// The sources that this program was built from, if they still are where they were, and of one engine with it: else
/// hosts would load no native code that it makes.
fn sources() -> Result<PathBuf, PackageError> {
    let host = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = host.parent().unwrap_or(host);
    let engine = format!("name = \"wasmtime\"\nversion = \"{WASMTIME_VERSION}\"\n");
    match std::fs::read_to_string(root.join("Cargo.lock")) {
        Ok(lock) if host.join("Cargo.toml").is_file() && lock.contains(&engine) => {
            Ok(root.to_owned())
        }
        found => Err(PackageError::Missing {
            what: match found {
                Ok(_) => format!("the sources of crunchbox in `{}` are of another version than this program", root.display()),
                Err(_) => format!("the sources of crunchbox are not in `{}` any more, where this program was built", root.display()),
            },
            next: "run the command with a crunchbox built there (`cargo run -- package`), or name a program that was built for Lambda with --program".to_owned(),
        }),
    }
}

fn target(sources: &Path, variables: Variables<'_>) -> PathBuf {
    let named = variables
        .get("CARGO_TARGET_DIR")
        .filter(|folder| !folder.is_empty());
    sources.join(named.unwrap_or_else(|| OsString::from("target")))
}

/// Makes sure that Rust's standard library is here for the processor.
fn have_library(sources: &Path, order: Order) -> Result<(), PackageError> {
    let triple = order.architecture.triple();
    let install = ["target", "add", triple];
    let arguments = ["--print", "target-libdir", "--target", triple];
    if rustc(sources, &arguments)?.is_dir() {
        return Ok(());
    }
    if order.setup == Setup::Install {
        let mut rustup = Command::new("rustup");
        run_shown(rustup.args(install).current_dir(sources)).map_err(PackageError::Build)?;
        if rustc(sources, &arguments)?.is_dir() {
            return Ok(());
        }
    }
    Err(PackageError::Missing {
        what: format!("the Rust target {triple} is not installed"),
        next: match order.setup {
            Setup::Tell => format!(
                "run `rustup {}`; or repeat with --setup to have it run for you",
                install.join(" ")
            ),
            Setup::Install => {
                "`rustup` did not bring it; compare `rustup show` with the compiler on the path"
                    .to_owned()
            }
        },
    })
}

/// What rustc says of where something lies.
fn rustc(sources: &Path, arguments: &[&str]) -> Result<PathBuf, PackageError> {
    let output = Command::new("rustc")
        .args(arguments)
        .current_dir(sources)
        .stdin(Stdio::null())
        .output();
    let problem = match output {
        Ok(output) if output.status.success() => {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().into());
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(PackageError::Build(BuildError::RustMissing {
        folder: sources.to_owned(),
        problem,
    }))
}

/// Makes sure that zig and cargo-zigbuild are here, in a Python environment of their own.
fn have_tools(folder: &Path, setup: Setup, say: &dyn Fn(&str)) -> Result<(), PackageError> {
    let names = format!("zig {ZIG} and cargo-zigbuild {ZIGBUILD}");
    if are_installed(folder) {
        return Ok(());
    }
    if setup == Setup::Tell {
        return Err(PackageError::Missing {
            what: format!("{names} are not in `{}`", folder.display()),
            next: "run `crunchbox package --setup`, which installs them there from PyPI".to_owned(),
        });
    }
    say(&format!("installing {names} into {}", folder.display()));
    let failed = |problem: &str| PackageError::Build(BuildError::Setup(problem.to_owned()));
    let mut venv = Command::new("python3");
    run_shown(venv.args(["-m", "venv", "--clear"]).arg(folder)).map_err(|_| {
        failed(
            "`python3 -m venv` did not work; on Debian, `apt-get install python3-venv` brings it",
        )
    })?;
    let mut pip = Command::new(folder.join("bin/python3"));
    pip.args(["-m", "pip", "install", "--quiet", "--no-input"])
        .args(["--disable-pip-version-check", "--only-binary", ":all:"])
        .args([
            format!("ziglang=={ZIG}"),
            format!("cargo-zigbuild=={ZIGBUILD}"),
        ]);
    run_shown(&mut pip).map_err(|_| failed("`pip install` did not work"))?;
    match are_installed(folder) {
        true => Ok(()),
        false => Err(failed("the tools are still not there")),
    }
}

/// By the packages' metadata: to ask the tools themselves would take longer.
fn are_installed(folder: &Path) -> bool {
    let ask = "from importlib.metadata import version; print(version('ziglang'), version('cargo-zigbuild'))";
    let output = Command::new(folder.join("bin/python3"))
        .args(["-I", "-c", ask])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    output.is_ok_and(|output| {
        let said = String::from_utf8_lossy(&output.stdout);
        output.status.success() && said.trim() == format!("{ZIG} {ZIGBUILD}")
    })
}

/// The build of what goes to Lambda, ready to be run; its messages are JSON.
fn command(
    folders: &Folders,
    architecture: Architecture,
    variables: Variables<'_>,
) -> Result<Command, PackageError> {
    let bin = folders.tools.join("bin");
    let path = variables.get("PATH").unwrap_or_default();
    // An empty entry would be the folder that cargo runs in.
    let inherited = std::env::split_paths(&path).filter(|folder| !folder.as_os_str().is_empty());
    let path = std::iter::once(bin.clone()).chain(inherited);
    let path = std::env::join_paths(path)
        .map_err(|error| PackageError::Build(BuildError::Setup(format!("PATH: {error}"))))?;
    // By its path: cargo would take one of the same name in its own folder first.
    let mut command = Command::new(bin.join("cargo-zigbuild"));
    command
        .args(["zigbuild", "--release", "--locked", "--package", PROGRAM])
        .args(["--no-default-features", "--features", "deployed"])
        .args(["--message-format", "json-render-diagnostics"])
        .arg("--target")
        .arg(format!("{}.{GLIBC}", architecture.triple()))
        .arg("--target-dir")
        // A folder of its own, so that it waits for no other build and no other for it.
        .arg(folders.target.join(BUILD))
        .current_dir(&folders.sources)
        .env("PATH", path)
        // The paths in it are settings of what is built: another place for each caller would build all anew.
        .env("CARGO_ZIGBUILD_CACHE_DIR", folders.tools.join("cache"))
        .env("ZIG_GLOBAL_CACHE_DIR", folders.tools.join("cache/zig"))
        // It takes precedence over all other flags, those in cargo's configuration among them. No processor is named:
        // the target's own floor runs on all of Lambda.
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(folders));
    remove_foreign(&mut command, architecture, variables);
    Ok(command)
}

fn remove_foreign(command: &mut Command, architecture: Architecture, variables: Variables<'_>) {
    let triple = architecture.triple();
    let underscored = triple.replace('-', "_");
    for name in FOREIGN {
        command.env_remove(name);
    }
    for name in PER_TARGET {
        command.env_remove(format!("{name}_{triple}"));
        command.env_remove(format!("{name}_{underscored}"));
    }
    let of_target = format!("CARGO_TARGET_{}_", underscored.to_uppercase());
    for prefix in ["CARGO_PROFILE_", of_target.as_str()] {
        for (name, _) in variables.beginning_with(prefix) {
            command.env_remove(name);
        }
    }
}

/// A program must not tell in which folder of which person it was built, nor differ by that. Of two prefixes that fit,
/// rustc takes the later.
fn rustflags(folders: &Folders) -> OsString {
    let prefixes = [
        (Some(&folders.sources), "/crunchbox"),
        (Some(&folders.target), "/target"),
        (Some(&folders.sysroot), "/rust"),
        (folders.cargo_home.as_ref(), "/cargo"),
    ];
    let mut flags = OsString::new();
    for (folder, name) in prefixes {
        let Some(folder) = folder else { continue };
        if !flags.is_empty() {
            // What separates flags here, so that paths may have spaces.
            flags.push("\x1f");
        }
        flags.push("--remap-path-prefix=");
        flags.push(folder);
        flags.push("=");
        flags.push(name);
    }
    flags
}

/// Runs the build: its words are shown, its messages kept.
fn run(command: &mut Command) -> Result<Vec<u8>, PackageError> {
    let tool = || "cargo zigbuild".to_owned();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(output.stdout),
        Ok(_) => Err(PackageError::Build(BuildError::Failed {
            tool: tool(),
            words: String::new(),
        })),
        Err(source) => Err(PackageError::Build(BuildError::Tool {
            tool: tool(),
            source,
        })),
    }
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    target: Target,
    executable: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
struct Target {
    #[serde(default)]
    name: String,
}

/// The program that cargo says it made.
fn executable(messages: &[u8]) -> Option<PathBuf> {
    messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .filter(|message| message.target.name == PROGRAM)
        .filter_map(|message| message.executable)
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Environment;
    use std::ffi::OsStr;

    fn folders() -> Folders {
        Folders {
            sources: "/home/x/crunch box".into(),
            target: "/home/x/crunch box/target".into(),
            tools: "/home/x/crunch box/target/tools/zig".into(),
            sysroot: "/home/x/.rustup/toolchains/stable".into(),
            cargo_home: Some("/home/x/.cargo".into()),
        }
    }

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let owned = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
        variables.iter().map(owned).collect()
    }

    fn ready(variables: &[(&str, &str)]) -> Command {
        command(&folders(), Architecture::Arm64, &environment(variables)).unwrap()
    }

    fn set(command: &Command, wanted: &str) -> Option<Option<OsString>> {
        command
            .get_envs()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value.map(OsStr::to_owned))
    }

    #[test]
    fn the_program_is_built_for_lambdas_glibc_without_what_is_not_deployed() {
        let command = ready(&[("PATH", "/bin")]);
        let arguments: Vec<&OsStr> = command.get_args().collect();
        for expected in [
            &["--locked"][..],
            &["--target", "aarch64-unknown-linux-gnu.2.34"],
            &["--no-default-features", "--features", "deployed"],
            &["--target-dir", "/home/x/crunch box/target/lambda"],
        ] {
            let expected: Vec<&OsStr> = expected.iter().map(OsStr::new).collect();
            assert!(
                arguments
                    .windows(expected.len())
                    .any(|found| found == expected),
                "{arguments:?}"
            );
        }
        let path = set(&command, "PATH").unwrap().unwrap();
        assert_eq!(path, "/home/x/crunch box/target/tools/zig/bin:/bin");
    }

    #[test]
    fn no_setting_of_the_machine_reaches_the_program() {
        let named = [
            "CARGO_PROFILE_RELEASE_DEBUG",
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER",
            "CC_aarch64_unknown_linux_gnu",
            "CFLAGS_aarch64-unknown-linux-gnu",
            "RUSTFLAGS",
            "CFLAGS",
        ];
        let command = ready(&named.map(|name| (name, "1")));
        for name in named {
            assert_eq!(set(&command, name), Some(None), "{name}");
        }
        assert_eq!(set(&command, "RUSTC_WRAPPER"), None);
    }

    #[test]
    fn paths_of_the_machine_have_other_names_in_the_program() {
        let flags = set(&ready(&[]), "CARGO_ENCODED_RUSTFLAGS")
            .unwrap()
            .unwrap();
        let flags = flags.into_string().unwrap();
        let flags: Vec<&str> = flags.split('\x1f').collect();
        assert_eq!(
            flags,
            [
                "--remap-path-prefix=/home/x/crunch box=/crunchbox",
                "--remap-path-prefix=/home/x/crunch box/target=/target",
                "--remap-path-prefix=/home/x/.rustup/toolchains/stable=/rust",
                "--remap-path-prefix=/home/x/.cargo=/cargo",
            ]
        );
    }

    #[test]
    fn the_program_is_the_one_that_cargo_names() {
        let messages = [
            serde_json::json!({"reason": "compiler-artifact", "target": {"name": "other"}, "executable": "/other"}),
            serde_json::json!({"reason": "compiler-artifact", "target": {"name": PROGRAM}, "executable": null}),
            serde_json::json!({"reason": "compiler-artifact", "target": {"name": PROGRAM}, "executable": "/t/crunchbox"}),
            serde_json::json!({"reason": "build-finished", "success": true}),
        ];
        let text = messages.map(|message| message.to_string()).join("\n");
        let noisy = format!("noise\n{text}\n\n{{\n");
        assert_eq!(executable(noisy.as_bytes()), Some("/t/crunchbox".into()));
        assert_eq!(executable(b""), None);
    }

    #[test]
    fn tools_that_are_not_there_are_asked_for_by_the_command_that_brings_them() {
        let folder = tempfile::tempdir().unwrap();
        let error = have_tools(folder.path(), Setup::Tell, &|_| ()).unwrap_err();
        let hint = crate::error::Fault::hint(&error).unwrap();
        assert!(hint.contains("crunchbox package --setup"), "{hint}");
        assert!(error.to_string().contains(ZIGBUILD), "{error}");
    }

    #[test]
    fn the_target_folder_is_cargos() {
        let sources = Path::new("/src");
        for (said, expected) in [
            (None, "/src/target"),
            (Some(""), "/src/target"),
            (Some("out"), "/src/out"),
            (Some("/out"), "/out"),
        ] {
            let variables: Vec<_> = said
                .map(|value| ("CARGO_TARGET_DIR", value))
                .into_iter()
                .collect();
            assert_eq!(
                target(sources, &environment(&variables)),
                Path::new(expected)
            );
        }
    }
}
