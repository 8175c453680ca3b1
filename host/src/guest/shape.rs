//! What a component is by its imports and exports, and whether this host has what it imports. Runs nothing.

use crate::engine::artifact::Artifact;
use crate::engine::{EngineError, Engines, Loaded};

/// The export that makes a component a function.
pub const HANDLER: &str = "crunchbox:function/handler@0.1.0";

/// Packages whose interfaces this host offers. WASI 0.2 is offered whole; what reaches outside of the guest comes to nothing
/// without a grant.
pub const OFFERED: [&str; 9] = [
    "crunchbox:function@0.1.0",
    "wasi:cli@0.2",
    "wasi:clocks@0.2",
    "wasi:config@0.2.0-rc.1",
    "wasi:filesystem@0.2",
    "wasi:http@0.2",
    "wasi:io@0.2",
    "wasi:random@0.2",
    "wasi:sockets@0.2",
];

/// What a component imports and exports, by name.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Interfaces it needs.
    pub imports: Vec<String>,
    /// Interfaces and functions it offers.
    pub exports: Vec<String>,
    /// Whether its instances fit a place of the pool; others are made on demand, which takes longer.
    pub fits_pool: bool,
}

impl Shape {
    /// Reads the shape of an artifact.
    ///
    /// # Errors
    /// [`EngineError::Load`].
    pub fn of(engines: &Engines, artifact: &Artifact) -> Result<Self, EngineError> {
        let loaded = engines.load(artifact, crate::limit::STACK, engines.timings())?;
        Ok(Self::of_loaded(&loaded))
    }

    pub(super) fn of_loaded(
        Loaded {
            engine,
            component,
            pooled,
            clock: _,
        }: &Loaded,
    ) -> Self {
        let ty = component.component_type();
        Self {
            imports: ty
                .imports(engine)
                .map(|(name, _)| name.to_owned())
                .collect(),
            exports: ty
                .exports(engine)
                .map(|(name, _)| name.to_owned())
                .collect(),
            fits_pool: *pooled,
        }
    }

    /// Imports that this host has nothing for.
    pub fn not_offered(&self) -> Vec<String> {
        self.imports
            .iter()
            .filter(|import| !is_offered(import))
            .cloned()
            .collect()
    }

    /// Whether it can handle events.
    pub fn has_handler(&self) -> bool {
        self.exports.iter().any(|export| export == HANDLER)
    }
}

/// Whether this host has the package and version that an import names.
pub fn is_offered(import: &str) -> bool {
    let Some((interface, version)) = import.split_once('@') else {
        return false;
    };
    let Some((package, _)) = interface.split_once('/') else {
        return false;
    };
    let name = format!("{package}@{version}");
    OFFERED
        .iter()
        .any(|offered| name == *offered || name.starts_with(&format!("{offered}.")))
}
