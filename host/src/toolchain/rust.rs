//! Rust projects: `cargo build` for `wasm32-wasip2`, with rustup's target where it is installed, else with Debian's
//! packages, which build the standard library from source.

use super::{BuildError, Setup, Traces, Wanted, Words, run_kept, setup};
use crate::settings::Variables;
use serde::Deserialize;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(super) const TARGET: &str = "wasm32-wasip2";

/// Where Debian's `wasi-libc` puts the C library.
const DEBIAN_LIBC: &str = "/usr/lib/wasm32-wasi";

/// What can build for the target on this machine.
enum Toolchain {
    /// The toolchain on the path has the target.
    Rustup,
    /// Debian's compiler and library sources; the linkers lie in the folder, which is rustup's.
    Debian { linkers: PathBuf },
}

pub(super) fn build(
    folder: &Path,
    wanted: Wanted,
    variables: Variables<'_>,
) -> Result<PathBuf, BuildError> {
    let mut cargo = cargo_build(folder, wanted, variables)?;
    let output = match wanted.words {
        Words::Shown => run_cargo(&mut cargo)?,
        Words::Kept { coloured } => {
            let colour = if coloured { "always" } else { "never" };
            run_kept(cargo.env("CARGO_TERM_COLOR", colour).arg("--quiet"))?
        }
    };
    component_in(&output, folder)
}

/// Where a project that was made by `crunchbox new` has the crates of the SDK.
#[cfg(feature = "dev")]
const SDK: &str = ".crunchbox/sdk";

/// Writes the SDK's crates where the project's Cargo.toml looks for them, if it does.
#[cfg(feature = "dev")]
pub(super) fn bring_sdk(folder: &Path) -> Result<(), BuildError> {
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    if !manifest.contains(SDK) {
        return Ok(());
    }
    let sdk = super::sdk::Sdk::rust();
    sdk.write(&folder.join(SDK))
        .map_err(|error| BuildError::Setup(format!("cannot write to `{SDK}`: {error}")))
}

/// The sources of a component that lie outside its folder, such as crates it names by their paths, as cargo wrote them
/// down beside it.
pub(super) fn sources(component: &Path, folder: &Path) -> Vec<PathBuf> {
    let written = std::fs::read_to_string(component.with_extension("d")).unwrap_or_default();
    let folder = folder.canonicalize().unwrap_or_default();
    let listed = written.lines().filter_map(|line| line.split_once(": "));
    let mut sources: Vec<PathBuf> = listed
        .flat_map(|(_, sources)| paths(sources))
        .filter(|path| path.is_absolute() && !path.starts_with(&folder))
        .collect();
    sources.sort();
    sources.dedup();
    sources
}

/// Paths between spaces; a space within one is written with a backslash before it.
fn paths(text: &str) -> Vec<PathBuf> {
    let mut paths = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        match (c, escaped) {
            ('\\', false) => {
                escaped = true;
                continue;
            }
            (' ', false) => paths.push(String::new()),
            (c, _) => paths.last_mut().into_iter().for_each(|path| path.push(c)),
        }
        escaped = false;
    }
    let named = paths.into_iter().filter(|path| !path.is_empty());
    named.map(PathBuf::from).collect()
}

/// `cargo build --release` for the target in `folder`, ready to be run or to be told more; its messages are JSON.
///
/// # Errors
/// [`BuildError::TargetMissing`], [`BuildError::RustMissing`] or [`BuildError::Setup`].
pub fn cargo_build(
    folder: &Path,
    wanted: Wanted,
    variables: Variables<'_>,
) -> Result<Command, BuildError> {
    let toolchain = match (find(folder)?, wanted.setup) {
        (Some(toolchain), _) => toolchain,
        (None, Setup::Tell) => return Err(missing()),
        (None, Setup::Install) => {
            setup::install(folder)?;
            find(folder)?
                .ok_or_else(|| BuildError::Setup("the target is still not there".to_owned()))?
        }
    };
    let mut command = match &toolchain {
        Toolchain::Rustup => Command::new("cargo"),
        Toolchain::Debian { linkers } => debian_cargo(linkers, variables)?,
    };
    command.args([
        "build",
        "--release",
        "--target",
        TARGET,
        "--message-format",
        "json-render-diagnostics",
    ]);
    // Lines of the author's own crate; those of dependencies would only add size. Names stay in either case.
    command.args(["--config", "profile.release.package.'*'.debug=false"]);
    let (debug, strip) = match wanted.traces {
        Traces::Lines => ("line-tables-only", "none"),
        Traces::Functions => ("none", "debuginfo"),
    };
    command
        .current_dir(folder)
        .env("CARGO_PROFILE_RELEASE_DEBUG", debug)
        .env("CARGO_PROFILE_RELEASE_STRIP", strip)
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env(
            "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS",
            rustflags(folder, &toolchain, variables),
        );
    // Flags meant for the machine's own processor would take precedence over ours, or break the target.
    for foreign in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_BUILD_RUSTFLAGS",
    ] {
        command.env_remove(foreign);
    }
    Ok(command)
}

fn missing() -> BuildError {
    BuildError::TargetMissing {
        install: setup::advice(),
    }
}

fn find(folder: &Path) -> Result<Option<Toolchain>, BuildError> {
    let sysroot = sysroot("rustc", folder)?;
    if sysroot
        .join("lib/rustlib")
        .join(TARGET)
        .join("lib")
        .is_dir()
    {
        return Ok(Some(Toolchain::Rustup));
    }
    let linkers = sysroot.join(format!(
        "lib/rustlib/{}-unknown-linux-gnu/bin",
        std::env::consts::ARCH
    ));
    let there = [
        linkers.join("wasm-component-ld"),
        linkers.join("rust-lld"),
        "/usr/bin/cargo".into(),
        Path::new(DEBIAN_LIBC).join("libc.a"),
    ];
    let complete = there.iter().all(|path| path.is_file());
    let sources = || {
        sysroot_of_debian()
            .is_some_and(|root| root.join("lib/rustlib/src/rust/library/std").is_dir())
    };
    Ok((complete && sources()).then_some(Toolchain::Debian { linkers }))
}

fn sysroot(rustc: &str, folder: &Path) -> Result<PathBuf, BuildError> {
    let output = Command::new(rustc)
        .args(["--print", "sysroot"])
        .current_dir(folder)
        .output();
    let problem = match output {
        Ok(output) if output.status.success() => {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().into());
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(BuildError::RustMissing {
        folder: folder.to_owned(),
        problem,
    })
}

fn sysroot_of_debian() -> Option<PathBuf> {
    sysroot("/usr/bin/rustc", Path::new("/")).ok()
}

fn debian_cargo(linkers: &Path, variables: Variables<'_>) -> Result<Command, BuildError> {
    let inherited = variables.get("PATH").unwrap_or_default();
    let folders = std::iter::once(linkers.to_owned()).chain(std::env::split_paths(&inherited));
    let path = std::env::join_paths(folders)
        .map_err(|error| BuildError::Setup(format!("PATH: {error}")))?;
    let mut command = Command::new("/usr/bin/cargo");
    command
        .arg("-Zbuild-std=std,panic_abort")
        .env("PATH", path)
        .env("RUSTC", "/usr/bin/rustc")
        // Lets a stable compiler build its own standard library from source.
        .env("RUSTC_BOOTSTRAP", "1");
    for of_rustup in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTDOC", "RUSTC_WRAPPER"] {
        command.env_remove(of_rustup);
    }
    Ok(command)
}

fn rustflags(folder: &Path, toolchain: &Toolchain, variables: Variables<'_>) -> OsString {
    let mut flags = OsString::from("-Ctarget-feature=+simd128");
    if let Toolchain::Debian { .. } = toolchain {
        flags.push(" -Clink-self-contained=no -Lnative=");
        flags.push(DEBIAN_LIBC);
        flags.push(" -Clink-arg=");
        flags.push(DEBIAN_LIBC);
        flags.push("/crt1-reactor.o");
    }
    // A component must not tell in which folder of which person it was built.
    let home = variables.get("HOME").map(PathBuf::from);
    let cargo_home = variables
        .get("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| home.map(|home| home.join(".cargo")));
    // The workspace is where cargo runs the compiler, so paths in it are relative to that.
    let prefixes = [
        cargo_home.map(|home| home.join("registry/src")),
        workspace(folder),
    ];
    for prefix in prefixes
        .into_iter()
        .flatten()
        .filter(|prefix| !contains_space(prefix.as_os_str()))
    {
        flags.push(" --remap-path-prefix=");
        flags.push(prefix);
        flags.push("=.");
    }
    flags
}

/// The root of the workspace that the project belongs to: itself, where it stands alone.
fn workspace(folder: &Path) -> Option<PathBuf> {
    let arguments = ["locate-project", "--workspace", "--message-format", "plain"];
    let output = Command::new("cargo")
        .args(arguments)
        .current_dir(folder)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let manifest = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    manifest.parent().map(Path::to_owned)
}

/// Cargo splits flags at spaces and knows no quotes; such a folder stays as it is.
fn contains_space(path: &OsStr) -> bool {
    path.as_encoded_bytes().iter().any(u8::is_ascii_whitespace)
}

fn run_cargo(command: &mut Command) -> Result<Vec<u8>, BuildError> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(output.stdout),
        Ok(_) => Err(BuildError::Failed {
            tool: "cargo build".to_owned(),
            words: String::new(),
        }),
        Err(source) => Err(BuildError::Tool { tool, source }),
    }
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
    #[serde(default)]
    target: Target,
}

#[derive(Default, Deserialize)]
struct Target {
    #[serde(default)]
    kind: Vec<String>,
}

/// The component that cargo says it made for the package in the folder.
fn component_in(messages: &[u8], folder: &Path) -> Result<PathBuf, BuildError> {
    let own = folder.join("Cargo.toml").canonicalize().unwrap_or_default();
    let mut made = messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .filter(|message| message.reason == "compiler-artifact" && message.manifest_path == own)
        .filter(|message| message.target.kind.iter().any(|kind| kind == "cdylib"))
        .flat_map(|message| message.filenames)
        .filter(|path| path.extension() == Some(OsStr::new("wasm")));
    made.next_back().ok_or_else(|| {
        BuildError::NoComponent("cargo made no library for this package; it needs `crate-type = [\"cdylib\"]` in its Cargo.toml".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_outside_the_project_are_those_that_cargo_wrote_down() {
        let folder = tempfile::tempdir().unwrap();
        let component = folder.path().join("a.wasm");
        let own = folder.path().canonicalize().unwrap().join("src/lib.rs");
        let text = format!(
            "/t/a.wasm: {} /sdk/src/lib.rs /with\\ space/b.rs\n",
            own.display()
        );
        std::fs::write(component.with_extension("d"), text).unwrap();
        let outside = sources(&component, folder.path());
        assert_eq!(
            outside,
            [Path::new("/sdk/src/lib.rs"), Path::new("/with space/b.rs")]
        );
        assert!(sources(Path::new("/nowhere.wasm"), folder.path()).is_empty());
    }

    #[test]
    fn the_component_is_the_one_that_cargo_names_for_this_package() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("Cargo.toml");
        std::fs::write(&manifest, "").unwrap();
        let manifest = manifest.canonicalize().unwrap();
        let messages = format!(
            "{}\n{}\n{{\"reason\":\"build-finished\",\"success\":true}}\nnoise",
            serde_json::json!({"reason": "compiler-artifact", "manifest_path": "/x/Cargo.toml", "filenames": ["/x.wasm"]}),
            serde_json::json!({"reason": "compiler-artifact", "manifest_path": manifest, "target": {"kind": ["cdylib"]}, "filenames": ["/a.rlib", "/a.wasm"]}),
        );
        assert_eq!(
            component_in(messages.as_bytes(), folder.path()).unwrap(),
            Path::new("/a.wasm")
        );
        let error = component_in(b"", folder.path()).unwrap_err();
        assert!(error.to_string().contains("cdylib"), "{error}");
    }
}
