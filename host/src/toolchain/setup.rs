//! Installs the Rust target: by rustup where it reaches its server, else by Debian's packages. Removes nothing, and
//! touches no toolchain that is there.

use super::rust::TARGET;
use super::{BuildError, run_shown};
use std::path::Path;
use std::process::{Command, Stdio};

const APT_INSTALL: [&str; 4] = ["apt-get", "install", "--yes", "--no-install-recommends"];

const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "wasi-libc"];

/// The commands that install it, for a person to run.
pub(super) fn advice() -> String {
    let sudo = if rustix::process::geteuid().is_root() {
        ""
    } else {
        "sudo "
    };
    let by_rustup = format!("`rustup target add {TARGET}`");
    let by_debian = format!("`{sudo}{}`", apt_command().join(" "));
    match (has("rustup"), has("apt-get")) {
        (true, true) => format!("{by_rustup}, or where rustup can't reach its server {by_debian}"),
        (false, true) => by_debian,
        (true, false) | (false, false) => by_rustup,
    }
}

pub(super) fn install(folder: &Path) -> Result<(), BuildError> {
    if has("rustup")
        && run_shown(
            Command::new("rustup")
                .args(["target", "add", TARGET])
                .current_dir(folder),
        )
        .is_ok()
    {
        return Ok(());
    }
    if !has("apt-get") {
        return Err(BuildError::Setup(format!(
            "`rustup target add {TARGET}` did not work, and there is no apt-get to fall back to"
        )));
    }
    // A list that can't be renewed may still know the packages.
    let _ = run_shown(&mut as_root(&["apt-get", "update", "-qq"]));
    refuse_removals()?;
    run_apt(&apt_command())
}

/// Installs Debian's packages that conflict with nothing.
#[cfg(feature = "dev")]
pub(super) fn apt_install(packages: &[&str]) -> Result<(), BuildError> {
    // A list that can't be renewed may still know the packages.
    let _ = run_shown(&mut as_root(&["apt-get", "update", "-qq"]));
    let mut command = APT_INSTALL.to_vec();
    command.extend(packages);
    run_apt(&command)
}

fn run_apt(command: &[&str]) -> Result<(), BuildError> {
    run_shown(as_root(command).env("DEBIAN_FRONTEND", "noninteractive"))
        .map_err(|_| BuildError::Setup(format!("`{}` did not work", command.join(" "))))
}

fn apt_command() -> Vec<&'static str> {
    APT_INSTALL.into_iter().chain(PACKAGES).collect()
}

/// Debian's packages conflict with its other Rust packages; one of those that is there must stay.
fn refuse_removals() -> Result<(), BuildError> {
    let output = Command::new("apt-get")
        .args(["install", "--simulate", "--no-install-recommends"])
        .args(PACKAGES)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| BuildError::Tool {
            tool: "apt-get".to_owned(),
            source,
        })?;
    let plan = String::from_utf8_lossy(&output.stdout);
    let removed: Vec<&str> = plan
        .lines()
        .filter_map(|line| line.strip_prefix("Remv "))
        .collect();
    if removed.is_empty() {
        return Ok(());
    }
    Err(BuildError::Setup(format!(
        "installing {} would remove {}",
        PACKAGES.join(", "),
        removed.join(", ")
    )))
}

fn as_root(arguments: &[&str]) -> Command {
    let root = rustix::process::geteuid().is_root();
    let mut all = arguments.iter().copied();
    let program = if root {
        all.next().unwrap_or_default()
    } else {
        "sudo"
    };
    let mut command = Command::new(program);
    command.args(all);
    command
}

pub(super) fn has(tool: &str) -> bool {
    Command::new(tool)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}
