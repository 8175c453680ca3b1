//! Where each object of a function lies in a store. Every part of a key is a checked name or digest, so that no key
//! leads out of its folder.

use crate::address::{ChannelName, FunctionName};
use crate::component::Digest;
use crate::engine::key::EngineKey;
use crate::trust::KeyId;

/// The keys of one function's objects.
#[derive(Debug, Clone)]
pub struct Place {
    function: FunctionName,
}

impl Place {
    /// The folders of a function, in which names say what an object is.
    pub const FOLDERS: [&str; 5] = ["components", "releases", "configs", "artifacts", "channels"];

    /// The place of a function.
    pub fn of(function: &FunctionName) -> Self {
        Self {
            function: function.clone(),
        }
    }

    /// What all keys of the function start with.
    pub fn root(&self) -> String {
        format!("{}/", self.function)
    }

    /// A component.
    pub fn component(&self, digest: Digest) -> String {
        format!("{}/components/{digest}.wasm", self.function)
    }

    /// All components.
    pub fn components(&self) -> String {
        format!("{}/components/", self.function)
    }

    /// A release.
    pub fn release(&self, id: Digest) -> String {
        format!("{}/releases/{id}.json", self.function)
    }

    /// All releases and their signatures; with digits, those whose ids start with them.
    pub fn releases(&self, digits: &str) -> String {
        format!("{}/releases/sha256-{digits}", self.function)
    }

    /// A key's signature of a release.
    pub fn signature(&self, id: Digest, key: &KeyId) -> String {
        format!("{}/releases/{id}.json.{key}.minisig", self.function)
    }

    /// A layer of configuration.
    pub fn config(&self, digest: Digest) -> String {
        format!("{}/configs/{digest}.json", self.function)
    }

    /// All layers of configuration.
    pub fn configs(&self) -> String {
        format!("{}/configs/", self.function)
    }

    /// The statement on a component's artifact for an engine.
    pub fn statement(&self, component: Digest, engine: &EngineKey) -> String {
        format!("{}/artifacts/{component}/{engine}.json", self.function)
    }

    /// All statements on a component's artifacts.
    pub fn statements(&self, component: Digest) -> String {
        format!("{}/artifacts/{component}/", self.function)
    }

    /// An artifact.
    pub fn artifact(&self, digest: Digest) -> String {
        format!("{}/artifacts/{digest}.cwasm", self.function)
    }

    /// All artifacts and statements.
    pub fn artifacts(&self) -> String {
        format!("{}/artifacts/", self.function)
    }

    /// A channel.
    pub fn channel(&self, name: &ChannelName) -> String {
        format!("{}/channels/{name}.json", self.function)
    }

    /// All channels.
    pub fn channels(&self) -> String {
        format!("{}/channels/", self.function)
    }

    /// The key that made the signature of a release at `key`.
    pub fn signer_of(&self, id: Digest, key: &str) -> Option<KeyId> {
        let start = format!("{}.", self.release(id));
        KeyId::parse(key.strip_prefix(&start)?.strip_suffix(".minisig")?)
    }

    /// The engine that the statement on a component at `key` is for.
    pub fn engine_of(&self, component: Digest, key: &str) -> Option<EngineKey> {
        let name = key.strip_prefix(&self.statements(component))?;
        name.strip_suffix(".json")?.parse().ok()
    }

    /// The channel that a key belongs to.
    pub fn channel_of(&self, key: &str) -> Option<ChannelName> {
        let name = key.strip_prefix(&self.channels())?.strip_suffix(".json")?;
        name.parse().ok()
    }

    /// The release that a key belongs to, if it is no signature's.
    pub fn release_of(&self, key: &str) -> Option<Digest> {
        let name = key.strip_prefix(&format!("{}/releases/", self.function))?;
        name.strip_suffix(".json")?.parse().ok()
    }
}
