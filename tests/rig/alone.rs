//! A test in a process of its own, where no other takes or frees memory: the test program runs itself once more.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where such a test finds what it was given.
const ALONE: &str = "CRUNCHBOX_TEST_ALONE";

/// What this process was given, if it runs a test alone.
pub fn alone() -> Option<PathBuf> {
    std::env::var_os(ALONE).map(PathBuf::from)
}

/// Runs a test of a module once more, alone.
///
/// # Errors
/// What it said, if it did not pass.
pub fn run_alone(module: &str, test: &str, given: &Path) -> Result<(), String> {
    let (_, module) = module.split_once("::").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("{module}::{test}"), "--test-threads=1"])
        .env(ALONE, given);
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stdout);
    if status.success() && said.contains("1 passed") {
        return Ok(());
    }
    Err(format!(
        "{status}\n{said}\n{}",
        String::from_utf8_lossy(&stderr)
    ))
}

/// What the kernel says of this process's memory, in KiB: `VmRSS:` is what is held now, `VmHWM:` the most so far.
pub fn held(what: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
