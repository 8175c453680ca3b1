//! From a component's file to a host that serves it: read, obtain the artifact, load, configure. What both fronts do
//! before their first event.

use crate::component::{Component, ComponentError, Digest};
use crate::config::{Config, Layer};
use crate::engine::artifact::Artifact;
use crate::engine::{Artifacts, Engines, Origin};
use crate::error::{Code, Failure, Level};
use crate::event::Identity;
use crate::grant::Granted;
use crate::guest::{Guest, Parts, SMOKE_TIME, Shape};
use crate::host::Host;
use crate::limit::Limits;
use crate::prepare::{Conditions, Preparation};
use crate::quantity::Bytes;
use crate::reach::Outside;
use crate::reader::Reader;
use crate::secret::Vault;
use crate::telemetry::Log;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What stands for a channel where there is no store.
pub const LOCAL: &str = "local";

/// What is served, under which name and conditions.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it may use up.
    pub limits: Limits,
    /// What it is configured with.
    pub config: Config,
    /// Where the secrets of its configuration are had from.
    pub vault: Vault,
    /// What it may reach.
    pub granted: Granted,
    /// What guests reach the outside by.
    pub outside: Outside,
    /// Which build of it this is, where builds are counted.
    pub build: Option<u64>,
}

/// Where it runs.
#[derive(Debug)]
pub struct Surroundings {
    /// Where artifacts come from.
    pub artifacts: Artifacts,
    /// Where lines go.
    pub log: Log,
    /// Events at once.
    pub concurrency: u32,
}

/// A host ready for events, and what it took.
#[derive(Debug)]
pub struct Ready {
    /// The host.
    pub host: Host,
    /// Where the artifact came from.
    pub origin: Origin,
    /// Finding or compiling the artifact.
    pub obtain: Duration,
    /// Loading and linking it.
    pub load: Duration,
}

impl Function {
    /// Gets the function ready to serve.
    ///
    /// # Errors
    /// A classified failure: of the component, its artifact, its world, or this machine.
    pub async fn start(
        self,
        component: &Path,
        surroundings: Surroundings,
    ) -> Result<Ready, Failure> {
        self.outside.prepare(&self.granted).await?;
        let started = Instant::now();
        let (digest, artifact, origin) =
            obtain_for_file(component, &surroundings.artifacts, &surroundings.log).await?;
        let obtained = Instant::now();
        let timings = surroundings.log.timings();
        timings.mark("native code found");
        let engines = Engines::start(surroundings.concurrency)?.timed(timings);
        let guest = Guest::load(&engines, &artifact, self.parts(digest)?)?;
        let host = Host::new(
            Arc::new(engines),
            Arc::new(guest),
            surroundings.log,
            surroundings.concurrency,
        );
        Ok(Ready {
            host,
            origin,
            obtain: obtained - started,
            load: obtained.elapsed(),
        })
    }

    /// Gets another build of the function ready to take over in a host that serves already, and tries whether an instance
    /// of it can be made. Nothing is swapped.
    ///
    /// # Errors
    /// As [`Function::start`], or why there is no instance.
    pub async fn reload(
        self,
        component: &Path,
        artifacts: &Artifacts,
        host: &Host,
    ) -> Result<Arc<Guest>, Failure> {
        self.outside.prepare(&self.granted).await?;
        let path = component.to_owned();
        // Read beside the events in flight: a component may have some ten megabytes.
        let read = tokio::task::spawn_blocking(move || Component::read(&path)).await;
        let component =
            read.map_err(|error| Failure::new(Code::HostPanic, error.to_string()))??;
        let (artifact, _) = obtain(&component, artifacts, host.log()).await?;
        let parts = self.parts(component.digest())?;
        let guest = Arc::new(host.load(Arc::new(artifact), parts).await?);
        host.smoke(Arc::clone(&guest), SMOKE_TIME).await?;
        Ok(guest)
    }

    fn parts(self, component: Digest) -> Result<Parts, Failure> {
        Ok(Parts {
            identity: Identity {
                function: self.name,
                channel: LOCAL.to_owned(),
                sequence: self.build,
                release: component.to_string(),
                component: component.to_string(),
                config: self.config.digest().to_string(),
            },
            limits: self.limits,
            config: self.config,
            vault: self.vault,
            reach: self.outside.reach(self.granted)?,
        })
    }
}

/// Gets a release of a store ready to serve, once and for all: nobody looks for a newer one.
///
/// # Errors
/// A classified failure: of the store, the release, its artifact, its world, or this machine.
pub async fn start_release(
    mut release: Preparation,
    reader: &Reader,
    conditions: &Conditions,
    watched: &[Layer],
    concurrency: u32,
) -> Result<Ready, Failure> {
    let started = Instant::now();
    release.fetch(reader, conditions, 0).await?;
    let obtained = Instant::now();
    let engines = Engines::start(concurrency)?.timed(conditions.log.timings());
    let guest = release.load(&engines, conditions, watched)?;
    let log = conditions.log.clone();
    Ok(Ready {
        host: Host::new(Arc::new(engines), Arc::new(guest), log, concurrency),
        origin: release.origin().unwrap_or(Origin::Cache),
        obtain: obtained - started,
        load: obtained.elapsed(),
    })
}

/// Loads a component with the limits and the configuration it is to have, and makes one instance.
///
/// # Errors
/// A classified failure: of the component, its artifact, its world, or why there is no instance.
pub async fn try_out(
    component: &Component,
    parts: Parts,
    artifacts: Artifacts,
    log: &Log,
) -> Result<Shape, Failure> {
    let (artifact, _) = obtain(component, &artifacts, log).await?;
    let engines = Engines::start(1)?;
    let shape = Shape::of(&engines, &artifact)?;
    let guest = Arc::new(Guest::load(&engines, &artifact, parts)?);
    guest.try_instance(&engines, log, SMOKE_TIME).await?;
    Ok(shape)
}

/// Native code for a component's file, or for one that was left out of a package. Its bytes are read for their digest, and
/// held only to be compiled.
async fn obtain_for_file(
    path: &Path,
    artifacts: &Artifacts,
    log: &Log,
) -> Result<(Digest, Artifact, Origin), Failure> {
    let digest = match Digest::of_component(path) {
        Err(error @ ComponentError::Missing { .. }) => {
            Digest::instead_of_component(path)?.ok_or(error)?
        }
        digest => digest?,
    };
    if let Some((artifact, origin)) = artifacts.find(digest)? {
        return Ok((digest, artifact, origin));
    }
    let component = Component::read(path)?;
    let (artifact, origin) = obtain(&component, artifacts, log).await?;
    Ok((component.digest(), artifact, origin))
}

/// Compiling may take seconds, so it is announced.
async fn obtain(
    component: &Component,
    artifacts: &Artifacts,
    log: &Log,
) -> Result<(Artifact, Origin), Failure> {
    if let Some(found) = artifacts.find(component.digest())? {
        return Ok(found);
    }
    if artifacts.can_compile() {
        let size = Bytes(u64::try_from(component.bytes().len()).unwrap_or(u64::MAX));
        let message = format!("compiling {size}; the next run takes it from the cache");
        log.host(Level::Info, &message);
    }
    artifacts.compile(component).await.map_err(Failure::from)
}
