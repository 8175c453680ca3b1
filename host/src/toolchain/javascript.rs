//! Projects in JavaScript, TypeScript and Clojure: packages by npm, then the driver that is in the SDK.

use super::driver::{Answer, Driven, Missing, Request, drive};
use super::memory::{Memory, digest_of_all};
use super::sdk::Sdk;
use super::system::{NODE, NPM, need};
use super::{BuildError, Order, say};
use std::process::Command;
use std::time::SystemTime;

/// Where the SDK lies, among the project's packages.
const PLACE: &str = "node_modules/crunchbox";

/// What npm was last run for.
const STAMP: &str = "node_modules/.crunchbox";

/// What says which packages there are.
const PACKAGES: [&str; 2] = ["package.json", "package-lock.json"];

/// The packages that every build takes; the driver asks for others when a project needs them.
const ALWAYS: [&str; 2] = ["esbuild", "componentize-qjs"];

pub(super) fn build(order: &Order<'_>) -> Result<Answer, BuildError> {
    need(&NODE, order.wanted)?;
    if !order.folder.join("package.json").is_file() {
        return Err(BuildError::Setup(format!(
            "`{}` has no package.json; `crunchbox init --lang {}` writes one",
            order.folder.display(),
            order.language
        )));
    }
    let sdk = Sdk::javascript();
    install(order, &sdk)?;
    let request = Request::new(order);
    let text = request.text();
    let setting = [text.as_str(), &sdk.version()];
    let files = [
        "package.json",
        "package-lock.json",
        "tsconfig.json",
        "node_modules/.package-lock.json",
    ];
    let memory = || Memory::new(order.folder, &request.output, &setting, &files);
    if let Some(answer) = memory().recall() {
        return Ok(answer);
    }
    let started = SystemTime::now();
    let answer = match run(order, &text)? {
        Driven::Made(answer) => answer,
        Driven::Missing(missing) => {
            bring(order, &missing)?;
            sdk.write(&order.folder.join(PLACE)).map_err(unwritable)?;
            match run(order, &text)? {
                Driven::Made(answer) => answer,
                Driven::Missing(missing) => return Err(still_missing(&missing)),
            }
        }
    };
    memory().keep(&answer, started)?;
    Ok(answer)
}

fn run(order: &Order<'_>, request: &str) -> Result<Driven, BuildError> {
    let mut node = Command::new("node");
    node.arg(format!("{PLACE}/build.mjs")).arg(request);
    drive(&mut node, order.folder, order.wanted.words)
}

/// Makes node_modules what package.json says, with our tools, and the SDK in it.
fn install(order: &Order<'_>, sdk: &Sdk) -> Result<(), BuildError> {
    let stamp = order.folder.join(STAMP);
    let current = || digest_of_all(order.folder, &PACKAGES);
    if std::fs::read_to_string(&stamp).ok() != Some(current()) {
        npm(order, &[], "the packages that package.json names")?;
    }
    let absent: Vec<String> = tools(sdk)
        .filter(|(name, _)| ALWAYS.contains(&name.as_str()))
        .filter(|(name, _)| !order.folder.join("node_modules").join(name).is_dir())
        .map(|(name, version)| format!("{name}@{version}"))
        .collect();
    if !absent.is_empty() {
        npm(order, &absent, &absent.join(", "))?;
    }
    sdk.write(&order.folder.join(PLACE)).map_err(unwritable)?;
    std::fs::write(stamp, current()).map_err(unwritable)
}

/// Installs what the driver missed.
fn bring(order: &Order<'_>, missing: &Missing) -> Result<(), BuildError> {
    say(
        order.wanted.words,
        &format!(
            "Needed   {}, because {}",
            missing.packages.join(", "),
            missing.because()
        ),
    );
    npm(order, &missing.packages, &missing.packages.join(", "))?;
    let stamp = order.folder.join(STAMP);
    std::fs::write(stamp, digest_of_all(order.folder, &PACKAGES)).map_err(unwritable)
}

/// Runs `npm install`; `packages` become part of package.json.
fn npm(order: &Order<'_>, packages: &[String], what: &str) -> Result<(), BuildError> {
    need(&NPM, order.wanted)?;
    say(order.wanted.words, &format!("Installing {what} (npm)"));
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]);
    if !packages.is_empty() {
        npm.args(["--save-dev", "--save-exact"]).args(packages);
    }
    super::run_with(npm.current_dir(order.folder), order.wanted.words)
}

/// The version of a tool that the SDK goes with.
pub(super) fn version(package: &str) -> Option<String> {
    let found = tools(&Sdk::javascript()).find(|(name, _)| name == package);
    found.map(|(_, version)| version)
}

fn tools(sdk: &Sdk) -> impl Iterator<Item = (String, String)> + use<> {
    let text = sdk.text("tools.json").unwrap_or("{}");
    let tools: std::collections::BTreeMap<String, String> =
        serde_json::from_str(text).unwrap_or_default();
    tools.into_iter()
}

fn unwritable(error: std::io::Error) -> BuildError {
    BuildError::Setup(format!("cannot write to `node_modules`: {error}"))
}

fn still_missing(missing: &Missing) -> BuildError {
    BuildError::Setup(format!(
        "npm installed {}, and it is still not there",
        missing.packages.join(", ")
    ))
}
