//! What commands that run or explain a function put on top of its configuration.

use crate::address::Address;
use crate::config::{Config, Layer, Tier};
use crate::error::Failure;
use crate::grant::Ceiling;
use crate::manifest::Manifest;
use crate::overlay::Overlay;
use crate::settings::Variables;
use std::path::{Path, PathBuf};

/// Configuration from the command line and from this machine.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct LayerArguments {
    /// Sets a config value, such as `db.host=localhost`; it takes the type of the one it replaces.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A config file (.toml, .json, .yaml, .edn) above all others; may be repeated, the strongest last.
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Leave out the project's local.toml (.json, .yaml, .edn).
    #[arg(long)]
    no_local: bool,
}

impl LayerArguments {
    /// The files that were typed.
    #[cfg(feature = "dev")]
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.config.iter().cloned()
    }

    /// What comes above base and store: the environment, the project's local file, `--config`, `--set`.
    pub(super) fn overlay(
        &self,
        manifest: Option<&Manifest>,
        ceiling: &Ceiling,
        variables: Variables<'_>,
    ) -> Result<Overlay, Failure> {
        let mut overlay = Overlay::new(variables, ceiling.clone());
        if let Some(manifest) = manifest.filter(|_| !self.no_local) {
            overlay.layers.extend(manifest.local()?);
        }
        for path in &self.config {
            overlay.layers.push(Layer::read(Tier::Argument, path)?);
        }
        overlay.assignments.clone_from(&self.set);
        Ok(overlay)
    }
}

/// The project one is in, if it is the function's.
pub(super) fn project_of(address: &Address) -> Result<Option<Manifest>, Failure> {
    let manifest = Manifest::find(Path::new("."))?;
    Ok(manifest.filter(|manifest| manifest.name == address.function))
}

/// The layers of a configuration on one line, weak to strong, with how many values of each count.
pub(super) fn listed(config: &Config) -> Vec<String> {
    let mut layers: Vec<(Tier, &str, usize)> = Vec::new();
    for (tier, origin, count) in config.layers() {
        match layers.last_mut() {
            // Each `--set` is a layer.
            Some(last) if (last.0, last.1) == (tier, origin) => last.2 += count,
            _ => layers.push((tier, origin, count)),
        }
    }
    let named = layers
        .into_iter()
        .map(|(tier, origin, count)| match (tier, count) {
            (Tier::Base, _) => origin.to_owned(),
            (_, 1) => format!("{origin} (1 value)"),
            (_, count) => format!("{origin} ({count} values)"),
        });
    named.collect()
}
