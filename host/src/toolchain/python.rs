//! Projects in Python: tools in a virtual environment of the project, then the driver that is in the SDK.

use super::driver::{Answer, Driven, Request, drive};
use super::memory::{Memory, digest_of_all};
use super::sdk::Sdk;
use super::system::{PYTHON, need};
use super::{BuildError, Order, run_with, say};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// The virtual environment, where editors look for it.
const VENV: &str = ".venv";

/// What pip was last run for.
const STAMP: &str = ".venv/.crunchbox";

/// What says which packages a project needs.
const PACKAGES: [&str; 2] = ["pyproject.toml", "requirements.txt"];

pub(super) fn build(order: &Order<'_>) -> Result<Answer, BuildError> {
    let sdk = Sdk::python();
    install(order, &sdk)?;
    let request = Request::new(order);
    let text = request.text();
    let memory = Memory::new(
        order.folder,
        &request.output,
        &[&text, &sdk.version()],
        &PACKAGES,
    );
    if let Some(answer) = memory.recall() {
        return Ok(answer);
    }
    let started = SystemTime::now();
    let mut python = Command::new(VENV_PYTHON);
    python.args(["-m", "crunchbox.build"]).arg(&text);
    match drive(&mut python, order.folder, order.wanted.words)? {
        Driven::Made(answer) => {
            memory.keep(&answer, started)?;
            Ok(answer)
        }
        Driven::Missing(missing) => Err(BuildError::Setup(format!(
            "{} is missing, because {}",
            missing.packages.join(", "),
            missing.because()
        ))),
    }
}

/// Its interpreter, from the project's folder.
const VENV_PYTHON: &str = ".venv/bin/python";

/// Makes the virtual environment hold our tools, what the project needs, and the SDK.
fn install(order: &Order<'_>, sdk: &Sdk) -> Result<(), BuildError> {
    let tools = tools(sdk);
    let current = format!(
        "{}\n{}",
        tools.join(" "),
        digest_of_all(order.folder, &PACKAGES)
    );
    let stamp = order.folder.join(STAMP);
    let works = order.folder.join(VENV_PYTHON).exists();
    if !works || std::fs::read_to_string(&stamp).ok().as_ref() != Some(&current) {
        if !works {
            need(&PYTHON, order.wanted)?;
            say(order.wanted.words, "Making   .venv (python3 -m venv)");
            let mut venv = Command::new(PYTHON.tool);
            venv.args(["-m", "venv", VENV]).current_dir(order.folder);
            run_with(&mut venv, order.wanted.words).map_err(|_| {
                BuildError::Setup(
                    "`python3 -m venv .venv` did not work; on Debian, `apt-get install python3-venv` brings it"
                        .to_owned(),
                )
            })?;
        }
        say(
            order.wanted.words,
            &format!("Installing {} into .venv (pip)", tools.join(", ")),
        );
        let mut pip = Command::new(VENV_PYTHON);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
        ])
        .args(&tools)
        .args(requirements(order.folder)?)
        .current_dir(order.folder);
        run_with(&mut pip, order.wanted.words)?;
        sdk.write(&site_packages(order.folder)?.join("crunchbox"))
            .map_err(unwritable)?;
        return std::fs::write(stamp, current).map_err(unwritable);
    }
    sdk.write(&site_packages(order.folder)?.join("crunchbox"))
        .map_err(unwritable)
}

/// What pip is to install beside the tools, as its arguments.
fn requirements(folder: &Path) -> Result<Vec<String>, BuildError> {
    let mut arguments = Vec::new();
    if folder.join("requirements.txt").is_file() {
        arguments.extend(["-r", "requirements.txt"].map(str::to_owned));
    }
    let path = folder.join("pyproject.toml");
    let Ok(text) = std::fs::read_to_string(&path) else {
        return Ok(arguments);
    };
    let project: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        BuildError::Setup(format!(
            "`{}` is not TOML: {}",
            path.display(),
            error.message()
        ))
    })?;
    let dependencies = project
        .get("project")
        .and_then(|project| project.get("dependencies"));
    let named = dependencies
        .and_then(toml::Value::as_array)
        .into_iter()
        .flatten();
    arguments.extend(named.filter_map(|name| name.as_str().map(str::to_owned)));
    Ok(arguments)
}

/// Where the environment's packages lie.
fn site_packages(folder: &Path) -> Result<PathBuf, BuildError> {
    let lib = folder.join(VENV).join("lib");
    let found = std::fs::read_dir(&lib).into_iter().flatten().flatten();
    let mut places = found.map(|entry| entry.path().join("site-packages"));
    places.find(|place| place.is_dir()).ok_or_else(|| {
        BuildError::Setup(format!(
            "`{}` has no site-packages; remove .venv and build again",
            lib.display()
        ))
    })
}

/// The tools as pip takes them.
fn tools(sdk: &Sdk) -> Vec<String> {
    let tools: BTreeMap<String, String> =
        serde_json::from_str(sdk.text("tools.json").unwrap_or("{}")).unwrap_or_default();
    tools
        .iter()
        .map(|(name, version)| format!("{name}=={version}"))
        .collect()
}

fn unwritable(error: std::io::Error) -> BuildError {
    BuildError::Setup(format!("cannot write to `{VENV}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_project_needs_comes_from_both_files() {
        let folder = tempfile::tempdir().unwrap();
        assert!(requirements(folder.path()).unwrap().is_empty());
        let project = "[project]\nname = \"a\"\ndependencies = [\"pg8000==1.31\"]\n";
        std::fs::write(folder.path().join("pyproject.toml"), project).unwrap();
        std::fs::write(folder.path().join("requirements.txt"), "").unwrap();
        let arguments = requirements(folder.path()).unwrap();
        assert_eq!(arguments, ["-r", "requirements.txt", "pg8000==1.31"]);
        std::fs::write(folder.path().join("pyproject.toml"), "[project").unwrap();
        let error = requirements(folder.path()).unwrap_err();
        assert!(error.to_string().contains("pyproject.toml"), "{error}");
    }
}
