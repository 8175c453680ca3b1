//! What Lambda's init phase does: a host for a component of the package, or one that follows a channel of the store.

use super::TIME_MAX;
use crate::address::{Address, Which};
use crate::cache::Cache;
use crate::clock::SystemClock;
use crate::component::DIGEST_EXTENSION;
use crate::config::Config;
use crate::engine::folder::TrustedFolder;
use crate::engine::key::Interruption;
use crate::engine::{Artifacts, Engines};
use crate::error::{Code, Failure, Level};
use crate::follow::{Follower, Following, Looks};
use crate::function::{Function, Surroundings};
use crate::grant::Granted;
use crate::host::Host;
use crate::limit::{Limits, Says, Wanted};
use crate::manifest::Manifest;
use crate::overlay::{self, Overlay};
use crate::policy::{self, Policy};
use crate::prepare::{Conditions, Native};
use crate::quantity::{Bytes, Time};
use crate::reach::Outside;
use crate::reader::Reader;
use crate::secret::Vault;
use crate::settings::{self, Lambda, Serve};
use crate::store::{self, Folder, Location, Store};
use crate::telemetry::Log;
use crate::watched::Watched;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long the store may take at init before the cache or the bundle serves: Lambda ends init after ten seconds.
const STORE_TIME: Duration = Duration::from_secs(8);

/// A host ready for events.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) host: Host,
    pub(super) follower: Option<Follower>,
    pub(super) metrics: Option<String>,
}

/// On the heap, and made in a frame of its own, as the front is that comes after it.
#[inline(never)]
pub(super) fn start<'a>(
    settings: &'a Lambda,
    log: &'a Log,
) -> BoxFuture<'a, Result<Started, Failure>> {
    ready(settings, log).boxed()
}

async fn ready(settings: &Lambda, log: &Log) -> Result<Started, Failure> {
    let policy = Policy::find(&settings.task_root.join(policy::FILE_NAME))?.unwrap_or_default();
    log.timings().mark("policy read");
    let metrics = policy.metrics.clone();
    let address = match &settings.serve {
        Serve::Component(path) => Err(path),
        Serve::Channel(address) => Ok(address),
        Serve::Either(path, address) => match address {
            Some(address) if !is_there(path) && has_store(settings, &policy) => Ok(address),
            _ => Err(path),
        },
    };
    let (host, follower) = match address {
        Ok(address) => {
            let (host, follower) = follow(settings, policy, address, log).await?;
            (host, Some(follower))
        }
        Err(component) => (
            start_component(settings, &policy, component, log).await?,
            None,
        ),
    };
    Ok(Started {
        host,
        follower,
        metrics,
    })
}

/// Whether the package has a component, or what stands for one.
fn is_there(component: &Path) -> bool {
    component.exists() || component.with_extension(DIGEST_EXTENSION).exists()
}

fn has_store(settings: &Lambda, policy: &Policy) -> bool {
    policy.store.is_some() || settings.store.is_some()
}

/// Where the store is: the policy's word counts, since it came with the program; another one beside it is a mistake.
fn location(settings: &Lambda, policy: &Policy) -> Result<Location, Failure> {
    let from_environment = settings
        .store
        .as_deref()
        .map(str::parse::<Location>)
        .transpose()?;
    match (&policy.store, from_environment) {
        (Some(ours), Some(other)) if *ours != other => Err(Failure::new(
            Code::SettingInvalid,
            format!("policy.toml says the store is `{ours}`, {} says `{other}`", settings::STORE),
        )
        .with_hint("say it in one place")),
        (Some(location), _) => Ok(location.clone()),
        (None, Some(location @ Location::S3(_))) if !policy.trust.is_signed() => Err(Failure::new(
            Code::PolicyInvalid,
            format!("the store `{location}` needs keys whose signatures count, and policy.toml names none"),
        )
        .with_hint("put the policy.toml that `crunchbox keys new` writes into the package")),
        (None, Some(location)) => Ok(location),
        (None, None) => Err(Failure::new(
            Code::SettingInvalid,
            format!("expected a store in policy.toml or {}, got none", settings::STORE),
        )),
    }
}

async fn follow(
    settings: &Lambda,
    policy: Policy,
    address: &Address,
    log: &Log,
) -> Result<(Host, Follower), Failure> {
    let Which::Channel(channel) = &address.which else {
        let message = format!("expected a channel to follow, got `{address}`");
        return Err(Failure::new(Code::SettingInvalid, message));
    };
    let location = location(settings, &policy)?;
    let store = store::open(&location).await?;
    log.timings().mark("store opened");
    let limit = policy.cache.unwrap_or(settings::LAMBDA_CACHE_BYTES);
    // Without a cache a start takes longer, and an outage of the store ends it; no reason to end it now.
    let cache = Cache::open(&settings.cache, store.location(), limit);
    if let Err(error) = &cache {
        let message = format!("going on without a cache: {}", crate::error::chain(error));
        log.host(Level::Warn, &message);
    }
    let overlay = Overlay::new(&settings.environment, policy.grants.clone());
    let watched = Watched::new(
        &policy.watched,
        &overlay::facts(address.function.as_str(), channel.as_str()),
    );
    let watched = watched.map_err(|problem| Failure::new(Code::PolicyInvalid, problem))?;
    let conditions = Conditions {
        native: Native::Stored(interruption(settings)),
        defaults: Limits {
            time: TIME_MAX,
            memory: settings.memory.total,
            ..Limits::default()
        },
        ceilings: ceilings(&policy),
        overrides: Wanted::default(),
        memory: Some(settings.memory),
        overlay,
        vault: Vault::new(settings.environment.clone(), policy.secrets_time),
        outside: Outside::new(&settings.environment, own(settings, Some(location))),
        log: log.clone(),
    };
    let bundle = settings.task_root.join(settings::BUNDLE);
    let bundle = bundle
        .is_dir()
        .then(|| Arc::new(Folder::new(&bundle)) as Arc<dyn Store>);
    let min_sequence = policy.min_sequence.get(&address.to_string());
    let mut follower = Follower::new(Following {
        channel: channel.clone(),
        refresh: policy.refresh,
        looks: Looks::default(),
        min_sequence: min_sequence.copied().unwrap_or_default(),
        bundle,
        conditions,
        watched,
        clock: Arc::new(SystemClock::default()),
        reader: Reader::new(
            store,
            Arc::new(policy.trust),
            cache.ok(),
            address.function.clone(),
        ),
    });
    let engines = Arc::new(Engines::start(settings.concurrency)?.timed(log.timings()));
    let guest = follower.start(&engines, STORE_TIME).await?;
    let host = Host::new(engines, guest, log.clone(), settings.concurrency);
    Ok((host, follower))
}

/// Where one event runs at a time, one past its deadline is answered for, and the process replaced: no other event is lost
/// by that, and guests run without a look at the clock in every loop.
fn interruption(settings: &Lambda) -> Interruption {
    match settings.concurrency {
        1 => Interruption::Replace,
        _ => Interruption::Epoch,
    }
}

async fn start_component(
    settings: &Lambda,
    policy: &Policy,
    component: &Path,
    log: &Log,
) -> Result<Host, Failure> {
    let folder = component.parent().unwrap_or_else(|| Path::new("/"));
    let manifest = Manifest::find(folder)?;
    let overlay = Overlay::new(&settings.environment, policy.grants.clone());
    let function = Function {
        name: manifest.as_ref().map_or_else(
            || settings.function.clone(),
            |manifest| manifest.name.to_string(),
        ),
        limits: limits(settings, policy, manifest.as_ref(), log),
        config: config(settings, &overlay, manifest.as_ref())?,
        vault: Vault::new(settings.environment.clone(), policy.secrets_time),
        granted: match &manifest {
            Some(manifest) => manifest.granted(&overlay)?,
            None => Granted::default(),
        },
        outside: Outside::new(&settings.environment, own(settings, None)),
        build: None,
    };
    overlay::report(log, &function.config);
    log.timings().mark("manifest and configuration read");
    let package = is_below(folder, &settings.task_root).then(|| TrustedFolder::deployed(folder));
    let artifacts = Artifacts {
        interruption: interruption(settings),
        package,
        ..Artifacts::default()
    };
    let surroundings = Surroundings {
        artifacts,
        log: log.clone(),
        concurrency: settings.concurrency,
    };
    Ok(function.start(component, surroundings).await?.host)
}

/// Only what lies in the package came with this program; a component elsewhere brings no native code.
fn is_below(folder: &Path, root: &Path) -> bool {
    match (folder.canonicalize(), root.canonicalize()) {
        (Ok(folder), Ok(root)) => folder.starts_with(root),
        _ => false,
    }
}

/// What no grant may reach.
fn own(settings: &Lambda, store: Option<Location>) -> Vec<Location> {
    let folders = [&settings.cache, &settings.task_root];
    let folders = folders.into_iter().cloned().map(Location::Folder);
    folders.chain(store).collect()
}

/// The policy's ceilings, none above Lambda's own.
fn ceilings(policy: &Policy) -> Wanted {
    let time = policy.ceilings.time.unwrap_or(Time(TIME_MAX));
    Wanted {
        time: Some(time.min(Time(TIME_MAX))),
        ..policy.ceilings
    }
}

fn limits(settings: &Lambda, policy: &Policy, manifest: Option<&Manifest>, log: &Log) -> Limits {
    let wanted = manifest.map(|manifest| manifest.limits).unwrap_or_default();
    let available = settings.memory.for_guest(Bytes(0));
    let defaults = Limits {
        time: TIME_MAX,
        memory: available,
        memory_by: Says::Machine,
        ..Limits::default()
    };
    let mut limits = defaults.with(&wanted, Says::Release, &ceilings(policy));
    limits.capped_memory(Some(available), Says::Machine);
    if let Some(warning) = limits.warning() {
        log.host(Level::Warn, &warning);
    }
    limits
}

fn config(
    settings: &Lambda,
    overlay: &Overlay,
    manifest: Option<&Manifest>,
) -> Result<Config, Failure> {
    match manifest {
        Some(manifest) => manifest.config(overlay),
        None => Ok(overlay.config_of_nothing(&settings.function)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_reached_by_leaving_the_package_is_not_in_it() {
        let root = tempfile::tempdir().unwrap();
        let (package, outside) = (root.path().join("package"), root.path().join("outside"));
        std::fs::create_dir_all(package.join("functions")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        assert!(is_below(&package, &package) && is_below(&package.join("functions"), &package));
        assert!(!is_below(&package.join("../outside"), &package));
        assert!(!is_below(&package.join("missing"), &package));
    }
}
