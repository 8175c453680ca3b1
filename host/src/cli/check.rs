//! `crunchbox check`: what a component is, and what it would need.

use super::printer::{self};
use super::start::{ArtifactArguments, BuildArguments, resolve};
use crate::component::{Component, Digest};
use crate::config::Layers;
use crate::engine::{Artifacts, Engines};
use crate::error::{Code, Failure};
use crate::event::Identity;
use crate::grant::{Ceiling, Grants};
use crate::guest::{Guest, HANDLER, Parts, Shape, is_offered};
use crate::limit::Limits;
use crate::manifest::Manifest;
use crate::policy::{self, Policy};
use crate::quantity::Bytes;
use crate::review::Review;
use crate::secret::Vault;
use crate::settings::Variables;
use crate::telemetry::printable;
use crate::template::Facts;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Say what a component is, what it imports, what it may reach, and whether this host can run it.
///
/// With a project, what it asks for in [grants] of crunchbox.toml is held against what the component imports, and against
/// a policy: the one of the project, or `--policy`.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// A component (.wasm), or the folder of a project.
    #[arg(value_name = "COMPONENT|DIR")]
    path: PathBuf,
    #[command(flatten)]
    build: BuildArguments,
    /// The operator's policy to hold grants against [default: the project's policy.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    artifacts: ArtifactArguments,
}

impl Check {
    pub(super) async fn execute(&self, variables: Variables<'_>) -> Result<(), Failure> {
        let target = resolve(&self.path, self.build.wanted(), variables)?;
        let artifacts = self.artifacts.artifacts(variables)?;
        let mut description = describe(&target.component, artifacts).await?;
        let policy = self.policy(target.manifest.as_ref())?;
        description.review = reviewed(
            &description.shape.imports,
            target.manifest.as_ref(),
            &policy.grants,
        )?;
        let text = if self.json {
            description.json().to_string()
        } else {
            description.text()
        };
        printer::result(format!("{text}\n").as_bytes())?;
        description.refusal().map_or(Ok(()), Err)
    }

    fn policy(&self, manifest: Option<&Manifest>) -> Result<Policy, Failure> {
        let own = manifest.map(|manifest| manifest.folder.join(policy::FILE_NAME));
        let Some(path) = self.policy.clone().or(own) else {
            return Ok(Policy::default());
        };
        match Policy::find(&path)? {
            Some(policy) => Ok(policy),
            None if self.policy.is_none() => Ok(Policy::default()),
            None => {
                let message = format!("there is no policy at `{}`", path.display());
                Err(Failure::new(Code::PolicyInvalid, message))
            }
        }
    }
}

/// What can be said of a component without running it.
#[derive(Debug)]
pub(super) struct Description {
    digest: Digest,
    bytes: u64,
    artifact_bytes: u64,
    shape: Shape,
    review: Review,
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
        reach: Default::default(),
    };
    let refusal = Guest::load(&engines, &artifact, parts)
        .err()
        .map(Failure::from);
    Ok(Description {
        digest: component.digest(),
        bytes: u64::try_from(component.bytes().len()).unwrap_or(u64::MAX),
        artifact_bytes: artifact.bytes(),
        review: Review::default(),
        shape,
        refusal,
    })
}

/// What a project's component may reach, as far as can be told before there is a channel.
pub(super) fn reviewed(
    imports: &[String],
    manifest: Option<&Manifest>,
    ceiling: &Ceiling,
) -> Result<Review, Failure> {
    let Some(manifest) = manifest else {
        let (grants, facts) = (Grants::default(), Facts::default());
        return Ok(Review::of(imports, &grants, &facts, ceiling));
    };
    let mut layers = Layers::new();
    manifest
        .layers()?
        .into_iter()
        .for_each(|layer| layers.add(layer));
    let facts = Facts::default().with("function", manifest.name.as_str());
    Ok(Review::of(
        imports,
        &manifest.grants,
        &layers.facts(facts),
        ceiling,
    ))
}

/// What an import gives a guest of this host.
fn meaning(import: &str) -> &'static str {
    if !is_offered(import) {
        return "not offered";
    }
    let interface = import.split('@').next().unwrap_or_default();
    match interface {
        "wasi:cli/stdout" | "wasi:cli/stderr" => "becomes log lines",
        "wasi:cli/exit" => "ends the event as a failure",
        "wasi:cli/stdin" => "empty",
        "wasi:cli/environment" => "empty but for an `env` grant's variables",
        _ if interface.starts_with("wasi:cli/") => "no terminal",
        _ if interface.starts_with("wasi:filesystem/") => "no files but a `scratch` grant's",
        _ if interface.starts_with("wasi:sockets/") => "no network but a `tcp` grant's",
        _ if interface.starts_with("wasi:http/") => "no requests but an `http` grant's",
        "crunchbox:function/objects" => "no objects but an `objects` grant's",
        _ => "works",
    }
}

impl Description {
    /// Why this host would not run it.
    pub(super) fn refusal(self) -> Option<Failure> {
        self.refusal.or_else(|| self.review.refusal().cloned())
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
            "    Component {}\n    Size      {} ({} compiled)\n    Shape     {}\n    Instances {}",
            self.digest,
            Bytes(self.bytes),
            Bytes(self.artifact_bytes),
            self.kind(),
            if self.shape.fits_pool {
                "from the pool"
            } else {
                "on demand; too large for the pool"
            },
        );
        for (index, import) in self.shape.imports.iter().enumerate() {
            let label = if index == 0 { "Imports" } else { "" };
            text.push_str(&format!(
                "\n    {label:<9} {:<45} {}",
                printable(import),
                meaning(import)
            ));
        }
        for (index, line) in self.review.lines().iter().enumerate() {
            let label = if index == 0 { "Reach" } else { "" };
            text.push_str(&format!("\n    {label:<9} {line}"));
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
            "reach": self.review,
            "fitsPool": self.shape.fits_pool,
            "runs": self.refusal.is_none() && self.review.refusal().is_none(),
            "refusal": self.refusal.as_ref().or_else(|| self.review.refusal()).map(super::report::failure_json),
        })
    }
}
