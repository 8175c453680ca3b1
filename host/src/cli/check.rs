//! `crunchbox check`: what a component is, and what it would need.

use super::printer::{self};
use super::start::{CompileArguments, resolve};
use crate::component::{Component, Digest};
use crate::engine::{Artifacts, Engines};
use crate::error::Failure;
use crate::guest::{Guest, HANDLER, Identity, Limits, Parts, Shape};
use crate::quantity::Bytes;
use crate::settings::Variables;
use crate::toolchain::Setup;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Say what a component is, what it imports, and whether this host can run it.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// A component (.wasm), or the folder of a project.
    #[arg(value_name = "COMPONENT|DIR")]
    path: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    compile: CompileArguments,
}

impl Check {
    pub(super) fn execute(&self, variables: Variables<'_>) -> Result<(), Failure> {
        let target = resolve(&self.path, Setup::Tell, variables)?;
        let description = describe(&target.component, self.compile.artifacts(variables)?)?;
        let text = if self.json {
            description.json().to_string()
        } else {
            description.text()
        };
        printer::result(format!("{text}\n").as_bytes())?;
        description.refusal().map_or(Ok(()), Err)
    }
}

/// What can be said of a component without running it.
#[derive(Debug)]
pub(super) struct Description {
    digest: Digest,
    bytes: u64,
    artifact_bytes: u64,
    shape: Shape,
    refusal: Option<Failure>,
}

/// Examines a component; compiles it if it is not in the cache.
pub(super) fn describe(path: &Path, artifacts: Artifacts) -> Result<Description, Failure> {
    let component = Component::read(path).map_err(|error| Failure::from(&error))?;
    let (artifact, _) =
        super::block_on(artifacts.obtain(&component))?.map_err(|error| Failure::from(&error))?;
    let engines = Engines::start(1).map_err(|error| Failure::from(&error))?;
    let shape = Shape::of(&engines, &artifact).map_err(|error| Failure::from(&error))?;
    let identity = Identity {
        function: String::new(),
        channel: String::new(),
        release: String::new(),
    };
    let parts = Parts {
        identity,
        component: component.digest(),
        limits: Limits::default(),
        config: Default::default(),
    };
    let refusal = Guest::load(&engines, &artifact, parts)
        .err()
        .map(|error| Failure::from(&error));
    Ok(Description {
        digest: component.digest(),
        bytes: u64::try_from(component.bytes().len()).unwrap_or(u64::MAX),
        artifact_bytes: artifact.bytes(),
        shape,
        refusal,
    })
}

/// What an import gives a guest.
fn meaning(import: &str) -> &'static str {
    let package = import.split(['/', '@']).next().unwrap_or_default();
    match package {
        "crunchbox:function" => "offered",
        "wasi:clocks" | "wasi:random" | "wasi:io" => "offered",
        "wasi:cli" => "offered; no arguments or variables, output becomes log lines",
        "wasi:filesystem" => "offered; no files",
        "wasi:sockets" => "offered; no network",
        "wasi:http" => "not offered; needs a grant that this version does not have",
        _ => "not offered",
    }
}

impl Description {
    /// Why this host would not run it.
    pub(super) fn refusal(self) -> Option<Failure> {
        self.refusal
    }

    fn kind(&self) -> &'static str {
        if self.shape.has_handler() {
            HANDLER
        } else {
            "none"
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "    Component {}\n    Size      {} ({} compiled)\n    Shape     {}",
            self.digest,
            Bytes(self.bytes),
            Bytes(self.artifact_bytes),
            self.kind()
        );
        for (index, import) in self.shape.imports.iter().enumerate() {
            let label = if index == 0 { "Imports" } else { "" };
            text.push_str(&format!(
                "\n    {label:<9} {import:<45} {}",
                meaning(import)
            ));
        }
        text
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "type": "component",
            "digest": self.digest.to_string(),
            "bytes": self.bytes,
            "artifactBytes": self.artifact_bytes,
            "shape": self.kind(),
            "imports": self.shape.imports.iter().map(|name| json!({"name": name, "gives": meaning(name)})).collect::<Vec<_>>(),
            "exports": self.shape.exports,
            "runs": self.refusal.is_none(),
        })
    }
}
