//! What is in a store, and what of it nobody needs any more.

use super::Publisher;
use crate::address::{ChannelName, FunctionName};
use crate::component::Digest;
use crate::engine::key::{Baseline, EngineKey, Interruption};
use crate::error::Failure;
use crate::reader::{ReadError, Reader, SignedChannel};
use crate::release::{Place, Release, SignedStatement};
use crate::store::{Entry, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

/// What is younger than this stays, whoever names it: a release that is on its way to a channel is named by none yet.
pub const GRACE: Duration = Duration::from_secs(7 * 24 * 3600);

/// All functions of a store.
///
/// # Errors
/// A classified failure of the store.
pub async fn functions(store: &dyn Store) -> Result<BTreeSet<FunctionName>, Failure> {
    let entries = store.list("").await?;
    let named = |entry: &Entry| {
        let mut parts = entry.key.split('/');
        let name = parts.next()?.parse().ok()?;
        // Files of configuration may lie beside functions, in folders of any name.
        let folder = parts.next()?;
        Place::FOLDERS.contains(&folder).then_some(name)
    };
    Ok(entries.iter().filter_map(named).collect())
}

/// The channels of a function, each with what is wrong with it if it is not to be believed.
///
/// # Errors
/// A classified failure of the store.
pub async fn channels(
    reader: &Reader,
) -> Result<BTreeMap<ChannelName, Result<SignedChannel, ReadError>>, Failure> {
    let mut channels = BTreeMap::new();
    for entry in reader.store().list(&reader.place().channels()).await? {
        let Some(name) = reader.place().channel_of(&entry.key) else {
            continue;
        };
        match reader.channel(&name, None).await {
            Ok(Some(signed)) => drop(channels.insert(name, Ok(signed))),
            Ok(None) => {}
            Err(error) => drop(channels.insert(name, Err(error))),
        }
    }
    Ok(channels)
}

/// One release of a function.
#[derive(Debug)]
pub struct Listed {
    /// Its id.
    pub id: Digest,
    /// When it was written.
    pub modified: SystemTime,
    /// The release, or why it is not to be believed.
    pub release: Result<Release, ReadError>,
    /// For which engines of this version there is native code whose statement counts.
    pub engines: Vec<EngineKey>,
}

/// The releases of a function, the newest first.
///
/// # Errors
/// A classified failure of the store.
pub async fn releases(reader: &Reader) -> Result<Vec<Listed>, Failure> {
    let mut listed = Vec::new();
    for entry in reader.store().list(&reader.place().releases("")).await? {
        let Some(id) = reader.place().release_of(&entry.key) else {
            continue;
        };
        let release = reader.release(id).await;
        let engines = match &release {
            Ok(release) => engines(reader, release.component.digest).await,
            Err(_) => Vec::new(),
        };
        listed.push(Listed {
            id,
            modified: entry.modified,
            release,
            engines,
        });
    }
    listed.sort_by_key(|listed| std::cmp::Reverse(listed.modified));
    Ok(listed)
}

/// The engines of this version that a component has native code for.
pub async fn engines(reader: &Reader, component: Digest) -> Vec<EngineKey> {
    let mut engines = Vec::new();
    for baseline in Baseline::ALL {
        for engine in Interruption::ALL.map(|way| EngineKey::new(baseline, way)) {
            if let Ok(Some(_)) = reader.statement(component, &engine).await {
                engines.push(engine);
            }
        }
    }
    engines
}

/// An object that nobody needs.
#[derive(Debug, Clone)]
pub struct Doomed {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Publisher {
    /// What no channel names in any state that it remembers, and is old enough. Deletes nothing.
    ///
    /// # Errors
    /// A classified failure of the store. A channel that can't be read ends it: what it names is not known.
    pub async fn doomed(&self, now: SystemTime) -> Result<Vec<Doomed>, Failure> {
        let needed = self.needed().await?;
        let old = |entry: &Entry| {
            now.duration_since(entry.modified)
                .is_ok_and(|age| age >= GRACE)
        };
        let place = self.reader.place();
        let mut doomed = Vec::new();
        for folder in [
            place.components(),
            place.releases(""),
            place.configs(),
            place.artifacts(),
        ] {
            for entry in self.store().list(&folder).await? {
                // The name of an object or of its folder is a digest; what has none was not put there by us.
                let Some(digest) = digest_in(&entry.key) else {
                    continue;
                };
                if old(&entry) && !needed.contains(&digest) {
                    doomed.push(Doomed {
                        key: entry.key,
                        bytes: entry.size,
                    });
                }
            }
        }
        // A release goes before what it names, so that at no time one is there that can't be served.
        // The same holds for a statement and its native code.
        doomed.sort_by_key(|doomed| match doomed.key.as_str() {
            key if key.contains("/releases/") => 0,
            key if key.ends_with(".json") => 1,
            _ => 2,
        });
        Ok(doomed)
    }

    /// Deletes objects.
    ///
    /// # Errors
    /// A classified failure of the store; what was deleted before stays deleted.
    pub async fn prune(&self, doomed: &[Doomed]) -> Result<(), Failure> {
        for object in doomed {
            self.store().delete(&object.key).await?;
        }
        Ok(())
    }

    /// The digests of all that some state of some channel names, and of native code for it.
    async fn needed(&self) -> Result<BTreeSet<Digest>, Failure> {
        let mut needed = BTreeSet::new();
        let mut components = BTreeSet::new();
        for signed in channels(&self.reader).await?.into_values() {
            let moves = signed?.channel.moves;
            for serves in moves.into_iter().filter_map(|state| state.serves) {
                needed.extend([serves.release, serves.component]);
                needed.extend(serves.config);
                components.insert(serves.component);
            }
        }
        for component in components {
            let statements = self.reader.place().statements(component);
            for entry in self.store().list(&statements).await? {
                let (envelope, _) = self.reader.statement_envelope(&entry.key).await?;
                let statement = SignedStatement::read(&envelope);
                needed.extend(statement.ok().map(|statement| statement.artifact));
            }
        }
        Ok(needed)
    }
}

/// The digest that an object belongs to: in its own name, or for a statement in its folder's.
fn digest_in(key: &str) -> Option<Digest> {
    let parse = |name: &str| name.get(.."sha256-".len() + 64)?.parse().ok();
    let mut parts = key.rsplit('/');
    parse(parts.next()?).or_else(|| parse(parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_says_what_it_belongs_to() {
        let digest = Digest::of(b"x");
        for key in [
            format!("f/components/{digest}.wasm"),
            format!("f/releases/{digest}.json"),
            format!("f/releases/{digest}.json.E7620F1842B4E81F.minisig"),
            format!("f/artifacts/{digest}/48.0.8-s1-x86_64-v3-epoch.json"),
            format!("f/artifacts/{digest}.cwasm"),
        ] {
            assert_eq!(digest_in(&key), Some(digest), "{key}");
        }
        assert_eq!(digest_in("f/releases/notes.txt"), None);
        assert_eq!(
            digest_in("f/releases/§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§§"),
            None
        );
    }
}
