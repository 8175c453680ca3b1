//! What `run` and `dev` share: a function from a project, a component or a store, under what was typed and what this
//! machine puts on top.

use super::layers::{LayerArguments, project_of};
use super::shelf::{Shelf, StoreArguments};
use super::start::{ArtifactArguments, BuildArguments, Target};
use crate::address::Address;
use crate::error::Failure;
use crate::function::Function;
use crate::grant::{Ceiling, Granted};
use crate::limit::{Limits, Says, Wanted};
use crate::prepare::{Conditions, Native};
use crate::quantity::{Bytes, Time};
use crate::reach::Outside;
use crate::secret::Vault;
use crate::settings::Variables;
use crate::store::Location;
use crate::telemetry::Log;
use std::path::Path;

/// Under which conditions a function runs here.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct FunctionArguments {
    #[command(flatten)]
    pub(super) layers: LayerArguments,
    /// The most memory the guest may use [default: crunchbox.toml's, else 128 MiB]
    #[arg(long, value_name = "SIZE")]
    pub(super) memory: Option<Bytes>,
    /// The longest an event may take [default: crunchbox.toml's, else 60s]
    #[arg(long, value_name = "TIME")]
    pub(super) time: Option<Time>,
    #[command(flatten)]
    pub(super) build: BuildArguments,
    #[command(flatten)]
    pub(super) artifacts: ArtifactArguments,
    #[command(flatten)]
    pub(super) store: StoreArguments,
}

/// The address that was typed, if it was one: there is no file of that name, and it does not look like a file's.
pub(super) fn address_in(path: &Path) -> Result<Option<Address>, Failure> {
    let Some(text) = path.to_str().filter(|_| !path.exists()) else {
        return Ok(None);
    };
    if text.contains('@') {
        return Ok(Some(text.parse()?));
    }
    Ok(text.parse().ok())
}

impl FunctionArguments {
    /// A function that was built or named by its component's file.
    pub(super) fn function(
        &self,
        target: &Target,
        variables: Variables<'_>,
    ) -> Result<Function, Failure> {
        let manifest = target.manifest.as_ref();
        let overlay = self
            .layers
            .overlay(manifest, &Ceiling::default(), variables)?;
        let store = manifest.and_then(|manifest| manifest.store.clone());
        Ok(Function {
            name: target.name(),
            limits: self.limits(target),
            // The layers, weak to strong: the project's base, the environment, its local file, `--config`, `--set`.
            config: match manifest {
                Some(manifest) => manifest.config(&overlay)?,
                None => overlay.config_of_nothing(&target.name())?,
            },
            vault: Vault::new(variables.clone(), None),
            granted: match manifest {
                Some(manifest) => manifest.granted(&overlay)?,
                None => Granted::default(),
            },
            outside: self.outside(store, variables)?,
            build: None,
        })
    }

    /// What a release of a store meets here: its sealed limits and configuration, native code of this machine's own.
    pub(super) fn conditions(
        &self,
        shelf: &Shelf,
        address: &Address,
        log: &Log,
        variables: Variables<'_>,
    ) -> Result<Conditions, Failure> {
        let project = project_of(address)?;
        Ok(Conditions {
            native: Native::Local(self.artifacts.artifacts(variables)?),
            defaults: Limits::default(),
            ceilings: shelf.policy.ceilings,
            overrides: self.overrides(),
            memory: None,
            overlay: self
                .layers
                .overlay(project.as_ref(), &shelf.policy.grants, variables)?,
            vault: Vault::new(variables.clone(), shelf.policy.secrets_time),
            outside: self.outside(Some(shelf.location.clone()), variables)?,
            log: log.clone(),
        })
    }

    /// What guests reach; neither the store nor the cache.
    fn outside(
        &self,
        store: Option<Location>,
        variables: Variables<'_>,
    ) -> Result<Outside, Failure> {
        let cache = Location::Folder(self.artifacts.folder(variables)?);
        let own = store.into_iter().chain([cache]).collect();
        Ok(Outside::new(variables, own))
    }

    /// What was typed instead of what the manifest or the release says.
    fn overrides(&self) -> Wanted {
        Wanted {
            time: self.time,
            memory: self.memory,
            ..Wanted::default()
        }
    }

    fn limits(&self, target: &Target) -> Limits {
        let manifest = target.manifest.as_ref();
        let wanted = manifest.map(|manifest| manifest.limits).unwrap_or_default();
        let none = Wanted::default();
        Limits::default().with(&wanted, Says::Release, &none).with(
            &self.overrides(),
            Says::Argument,
            &none,
        )
    }
}
