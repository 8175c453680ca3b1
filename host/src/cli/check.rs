//! `crunchbox check`: what a component is, and what it would need.

use super::printer::{self};
use super::start::{ArtifactArguments, BuildArguments, resolve};
use crate::component::{Component, Digest};
use crate::engine::{Artifacts, Engines};
use crate::error::Failure;
use crate::event::Identity;
use crate::guest::{Guest, HANDLER, Limits, Parts, Shape, is_offered};
use crate::quantity::Bytes;
use crate::secret::Vault;
use crate::settings::Variables;
use crate::telemetry::printable;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Say what a component is, what it imports, and whether this host can run it.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// A component (.wasm), or the folder of a project.
    #[arg(value_name = "COMPONENT|DIR")]
    path: PathBuf,
    #[command(flatten)]
    build: BuildArguments,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    artifacts: ArtifactArguments,
}

impl Check {
    pub(super) async fn execute(&self, variables: Variables<'_>) -> Result<(), Failure> {
        let target = resolve(&self.path, self.build.wanted(), variables)?;
        let description = describe(&target.component, self.artifacts.artifacts(variables)?).await?;
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
pub(super) async fn describe(path: &Path, artifacts: Artifacts) -> Result<Description, Failure> {
    let component = Component::read(path)?;
    let (artifact, _) = artifacts.obtain(&component).await?;
    let engines = Engines::start(1)?;
    let shape = Shape::of(&engines, &artifact)?;
    let parts = Parts {
        identity: Identity::default(),
        limits: Limits::default(),
        config: Default::default(),
        vault: Vault::empty(),
    };
    let refusal = Guest::load(&engines, &artifact, parts)
        .err()
        .map(Failure::from);
    Ok(Description {
        digest: component.digest(),
        bytes: u64::try_from(component.bytes().len()).unwrap_or(u64::MAX),
        artifact_bytes: artifact.bytes(),
        shape,
        refusal,
    })
}

/// What an import gives a guest of this host.
fn meaning(import: &str) -> &'static str {
    if !is_offered(import) {
        return match import.split(['/', '@']).next().unwrap_or_default() {
            "wasi:http" => "not offered, unless there is an `http` grant",
            _ => "not offered",
        };
    }
    let interface = import.split('@').next().unwrap_or_default();
    match interface {
        "wasi:cli/stdout" | "wasi:cli/stderr" => "becomes log lines",
        "wasi:cli/exit" => "ends the event as a failure",
        "wasi:cli/stdin" | "wasi:cli/environment" => "empty",
        _ if interface.starts_with("wasi:cli/") => "no terminal",
        _ if interface.starts_with("wasi:filesystem/") => {
            "no files, unless there is a `scratch` grant"
        }
        _ if interface.starts_with("wasi:sockets/") => "no network, unless there is a `tcp` grant",
        _ => "works",
    }
}

/// The grants without which an import is refused or comes to nothing.
fn grant(import: &str) -> Option<&'static str> {
    ["http", "scratch", "tcp"]
        .into_iter()
        .find(|grant| meaning(import).contains(&format!("`{grant}`")))
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

    /// What it could use if it were granted; this version grants nothing.
    fn grants(&self) -> Vec<&'static str> {
        let mut grants: Vec<_> = self
            .shape
            .imports
            .iter()
            .filter_map(|import| grant(import))
            .collect();
        grants.sort_unstable();
        grants.dedup();
        grants
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "    Component {}\n    Size      {} ({} compiled)\n    Shape     {}\n    Instances {}\n    Grants    {}",
            self.digest,
            Bytes(self.bytes),
            Bytes(self.artifact_bytes),
            self.kind(),
            if self.shape.fits_pool {
                "from the pool"
            } else {
                "on demand; too large for the pool"
            },
            match self.grants().as_slice() {
                [] => "none to use".to_owned(),
                grants => format!(
                    "could use {}; this version has no such grants",
                    grants.join(", ")
                ),
            }
        );
        for (index, import) in self.shape.imports.iter().enumerate() {
            let label = if index == 0 { "Imports" } else { "" };
            text.push_str(&format!(
                "\n    {label:<9} {:<45} {}",
                printable(import),
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
            "grants": self.grants(),
            "fitsPool": self.shape.fits_pool,
            "runs": self.refusal.is_none(),
            "refusal": self.refusal.as_ref().map(super::report::failure_json),
        })
    }
}
