//! From an address to what it stands for in a store.

use crate::address::{Address, ChannelName, Which};
use crate::component::Digest;
use crate::error::{Code, Fault};
use crate::reader::{ReadError, Reader, SignedChannel};
use crate::release::Serves;
use crate::store::StoreError;

/// What an address stands for.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The release, and the configuration beside it.
    pub serves: Serves,
    /// The channel's number, where the address names a channel or a state of one.
    pub sequence: Option<u64>,
}

/// Why an address stands for nothing.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// There is no such thing.
    #[error("there is no {address} in {store}{more}")]
    Missing {
        /// The address.
        address: Address,
        /// The store.
        store: String,
        /// What is known beyond that.
        more: String,
    },
    /// The digits fit several releases.
    #[error("{address} fits {} releases: {}", .fitting.len(), .fitting.join(", "))]
    Ambiguous {
        /// The address.
        address: Address,
        /// The releases, as many digits as tell them apart.
        fitting: Vec<String>,
    },
    /// It could not be read.
    #[error("{0}")]
    Read(#[source] ReadError),
}

impl Fault for ResolveError {
    fn code(&self) -> Code {
        match self {
            Self::Missing { .. } | Self::Ambiguous { .. } => Code::ChannelMissing,
            Self::Read(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => None,
            Self::Ambiguous { .. } => Some("write more digits".to_owned()),
            Self::Read(error) => error.hint(),
        }
    }
}

impl From<ReadError> for ResolveError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

/// The channel, or none where it is not there.
///
/// # Errors
/// [`ReadError`], when it is there and not to be believed, or the store does not answer.
pub async fn channel(
    reader: &Reader,
    name: &ChannelName,
) -> Result<Option<SignedChannel>, ReadError> {
    match reader.channel(name, None).await {
        Ok(found) => Ok(found),
        Err(ReadError::Store(StoreError::Missing { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What an address of the reader's function stands for.
///
/// # Errors
/// [`ResolveError`].
pub async fn resolve(reader: &Reader, address: &Address) -> Result<Resolved, ResolveError> {
    let missing = |more: &str| ResolveError::Missing {
        address: address.clone(),
        store: reader.store().location().to_owned(),
        more: more.to_owned(),
    };
    let (name, sequence) = match &address.which {
        Which::Release(prefix) => {
            let id = release(reader, address, prefix).await?;
            let release = reader.release(id).await?;
            return Ok(Resolved {
                serves: Serves {
                    release: id,
                    component: release.component.digest,
                    config: None,
                },
                sequence: None,
            });
        }
        Which::Channel(name) => (name, None),
        Which::State(name, sequence) => (name, Some(*sequence)),
    };
    let found = channel(reader, name).await?;
    let channel = found.ok_or_else(|| missing(""))?.channel;
    let sequence = sequence.unwrap_or(channel.sequence);
    let state = channel.state(sequence).ok_or_else(|| {
        missing(&format!(
            "; the channel stands at {} and remembers {} states",
            channel.sequence,
            channel.moves.len()
        ))
    })?;
    let serves = state.serves.clone();
    Ok(Resolved {
        serves: serves.ok_or_else(|| missing("; it was deleted"))?,
        sequence: Some(sequence),
    })
}

async fn release(reader: &Reader, address: &Address, digits: &str) -> Result<Digest, ResolveError> {
    let missing = || ResolveError::Missing {
        address: address.clone(),
        store: reader.store().location().to_owned(),
        more: String::new(),
    };
    if digits.len() == 64 {
        return format!("sha256-{digits}").parse().map_err(|_| missing());
    }
    let prefix = reader.place().releases(digits);
    let listed = reader.store().list(&prefix).await;
    let entries = match listed {
        Ok(entries) => entries,
        Err(error) => return Err(ReadError::Store(error).into()),
    };
    let fitting: Vec<Digest> = entries
        .iter()
        .filter_map(|entry| reader.place().release_of(&entry.key))
        .collect();
    match fitting.as_slice() {
        [] => Err(missing()),
        [one] => Ok(*one),
        several => Err(ResolveError::Ambiguous {
            address: address.clone(),
            fitting: several.iter().map(Digest::short).collect(),
        }),
    }
}
