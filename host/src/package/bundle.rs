//! What hosts start from when the store does not answer: of a channel, exactly the objects that hosts of one architecture
//! ask for, proven by the policy's keys. Writes no file of the package itself.

use super::UNZIPPED_BYTES_MAX;
use crate::address::{Address, ChannelName};
use crate::component::Digest;
use crate::engine::key::EngineKey;
use crate::error::{Code, Failure};
use crate::prepare::PrepareError;
use crate::publish::Copied;
use crate::reader::Reader;
use crate::release::Serves;
use crate::resolve::resolve;
use crate::settings::BUNDLE;
use crate::store::{self, Folder};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A channel's state, ready to be packed.
#[derive(Debug, Clone)]
pub struct Bundled {
    /// The channel.
    pub address: Address,
    /// The number of its state.
    pub sequence: u64,
    /// The release that it stands for.
    pub release: Digest,
    /// When hosts that start stop believing it.
    pub until: Option<Timestamp>,
    /// The objects, by their paths in the package.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Takes a channel's state for hosts with some engines out of a store.
///
/// # Errors
/// A classified failure of the store, its objects or their signatures; [`Code::ArtifactMissing`] when the store has no
/// native code for one of the engines, or is not signed, so that hosts could load none.
pub async fn bundle(
    from: &Reader,
    channel: &ChannelName,
    engines: &[EngineKey],
) -> Result<Bundled, Failure> {
    if !from.trust().is_signed() {
        return Err(PrepareError::Unsigned.into());
    }
    let address = Address::channel(from.function().clone(), channel.clone());
    let staging = tempfile::tempdir().map_err(|error| {
        let message = format!("there is no place for temporary files: {error}");
        Failure::new(Code::OutputFailed, message)
    })?;
    let to = from.instead_of(Arc::new(Folder::new(staging.path())));
    let serves = resolve(from, &address).await?.serves;
    Copied::release(from, &**to.store(), &serves).await?;
    Copied::channel(from, &to, channel, &serves).await?;
    // Read back as hosts will read it, with the same proofs.
    let signed = to.channel(channel, None).await?.ok_or_else(|| {
        let message = format!("{address} was not there any more when it was copied");
        Failure::new(Code::ChannelConflict, message)
    })?;
    Ok(Bundled {
        files: files(&to, channel, &serves, engines).await?,
        address,
        sequence: signed.channel.sequence,
        release: serves.release,
        until: signed.channel.not_after,
    })
}

/// The objects that a host starts from, by their paths in the package. Neither the component nor other engines' code is
/// among them.
async fn files(
    reader: &Reader,
    channel: &ChannelName,
    serves: &Serves,
    engines: &[EngineKey],
) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    reader.documents(serves, &[]).await?;
    let (place, store) = (reader.place(), &**reader.store());
    let mut keys = vec![place.channel(channel), place.release(serves.release)];
    for engine in engines {
        let statement = reader.statement(serves.component, engine).await?;
        let statement = statement.ok_or_else(|| PrepareError::NoArtifact {
            component: serves.component,
            engine: engine.clone(),
        })?;
        keys.push(place.statement(serves.component, engine));
        keys.push(place.artifact(statement.artifact));
    }
    keys.extend(serves.config.map(|digest| place.config(digest)));
    let signatures = format!("{}.", place.release(serves.release));
    let signatures = store.list(&signatures).await?;
    keys.extend(signatures.into_iter().map(|entry| entry.key));
    let mut files = BTreeMap::new();
    for key in keys {
        let (bytes, _) = store::read(store, &key, UNZIPPED_BYTES_MAX.0).await?;
        files.insert(format!("{BUNDLE}/{key}"), bytes.to_vec());
    }
    Ok(files)
}
