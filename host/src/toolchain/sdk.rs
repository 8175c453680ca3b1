//! The parts of Crunchbox that projects build with, one for each language. They are in this program, so that what a
//! project is built with and what runs it are of one version. Knows where they lie in a project; runs nothing.

use rust_embed::{Embed, EmbeddedFile};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

/// Beside what is written: which version it is, so that it is written once.
const STAMP: &str = ".version";

/// The contract.
#[derive(Embed)]
#[folder = "../wit"]
struct Wit;

#[derive(Embed)]
#[folder = "../guest/javascript"]
#[exclude = "test/*"]
#[exclude = "**/test/*"]
#[exclude = "**/node_modules/*"]
#[exclude = "**/.*"]
struct JavaScript;

#[derive(Embed)]
#[folder = "../guest/python"]
#[include = "crunchbox/*"]
#[include = "tools.json"]
#[exclude = "**/__pycache__/*"]
struct Python;

#[derive(Embed)]
#[folder = "../guest/sdk"]
#[include = "*.toml"]
#[include = "*.rs"]
struct Rust;

/// The files of one SDK, by their places below its folder.
#[derive(Debug)]
pub(super) struct Sdk(BTreeMap<String, Cow<'static, [u8]>>);

impl Sdk {
    /// The package `crunchbox` of npm's kind: runtime, driver, Clojure's namespaces, the contract.
    pub(super) fn javascript() -> Self {
        let mut files = all::<JavaScript>("");
        files.extend(all::<Wit>("wit/"));
        Self(files)
    }

    /// The package `crunchbox` of Python's kind, with the contract in it.
    pub(super) fn python() -> Self {
        let mut files = all::<Python>("");
        files.extend(all::<Wit>("crunchbox/wit/"));
        // One folder, the package itself.
        let inner = files.into_iter().map(|(path, bytes)| {
            let place = path.strip_prefix("crunchbox/").unwrap_or(&path).to_owned();
            (place, bytes)
        });
        Self(inner.collect())
    }

    /// A workspace of the crate `crunchbox-sdk` and its macros, in folders as the crate expects them.
    pub(super) fn rust() -> Self {
        let mut files = all::<Rust>("guest/sdk/");
        files.extend(all::<Wit>("wit/"));
        files.insert("Cargo.toml".to_owned(), Cow::Owned(workspace()));
        Self(files)
    }

    /// The text of one file, if there is one.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        std::str::from_utf8(self.0.get(path)?).ok()
    }

    /// What tells it from every other version.
    pub(super) fn version(&self) -> String {
        let mut digest = Sha256::new();
        for (path, bytes) in &self.0 {
            digest.update(path.as_bytes());
            digest.update([0]);
            digest.update(Sha256::digest(bytes));
        }
        hex(&digest.finalize())
    }

    /// Makes `folder` hold these files and no others.
    ///
    /// # Errors
    /// The system's, for a folder that can't be written.
    pub(super) fn write(&self, folder: &Path) -> std::io::Result<()> {
        let version = self.version();
        let stamp = folder.join(STAMP);
        if std::fs::read_to_string(&stamp).is_ok_and(|there| there == version) {
            return Ok(());
        }
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for (path, bytes) in &self.0 {
            let path = folder.join(path);
            path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(path, bytes)?;
        }
        std::fs::write(stamp, version)
    }
}

/// Bytes as people write digests.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn all<Files: Embed>(prefix: &str) -> BTreeMap<String, Cow<'static, [u8]>> {
    let found = Files::iter().filter_map(|path| {
        let EmbeddedFile { data, .. } = Files::get(&path)?;
        Some((format!("{prefix}{path}"), data))
    });
    found.collect()
}

/// What the SDK's crates inherit from the workspace they are written in, as a workspace of them alone.
fn workspace() -> Vec<u8> {
    let ours = include_str!("../../../Cargo.toml");
    let mut manifest: toml::Table = ours.parse().unwrap_or_default();
    manifest.retain(|key, _| key == "workspace");
    if let Some(toml::Value::Table(workspace)) = manifest.get_mut("workspace") {
        let members = ["guest/sdk", "guest/sdk/macros"].map(toml::Value::from);
        workspace.insert("members".to_owned(), members.to_vec().into());
    }
    manifest.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sdk_brings_the_contract_and_its_own_files() {
        let (javascript, python, rust) = (Sdk::javascript(), Sdk::python(), Sdk::rust());
        for (sdk, file) in [
            (&javascript, "build.mjs"),
            (&javascript, "wit/function.wit"),
            (&javascript, "package.json"),
            (&python, "build/__main__.py"),
            (&python, "wit/function.wit"),
            (&python, "wit/deps/wasi-io-0.2.12/package.wit"),
            (&rust, "guest/sdk/src/lib.rs"),
            (&rust, "guest/sdk/macros/Cargo.toml"),
            (&rust, "wit/function.wit"),
        ] {
            assert!(sdk.0.contains_key(file), "{file} of {:?}", sdk.0.keys());
        }
        for path in javascript
            .0
            .keys()
            .chain(python.0.keys())
            .chain(rust.0.keys())
        {
            let foreign = [
                "node_modules",
                "__pycache__",
                ".test.",
                "test/",
                "tests/",
                ".pyc",
            ];
            assert!(!foreign.iter().any(|part| path.contains(part)), "{path}");
        }
    }

    #[test]
    fn the_workspace_of_the_rust_sdk_has_what_its_crates_inherit_and_no_other_member() {
        let text = String::from_utf8(workspace()).unwrap();
        let table: toml::Table = text.parse().unwrap();
        let workspace = &table["workspace"];
        assert_eq!(workspace["members"].as_array().unwrap().len(), 2);
        assert!(workspace["dependencies"].get("wit-bindgen").is_some());
        assert!(workspace["package"].get("edition").is_some());
        assert!(!table.contains_key("profile"));
    }

    #[test]
    fn what_is_written_again_is_what_is_there_and_nothing_of_an_older_version_stays() {
        let folder = tempfile::tempdir().unwrap();
        let sdk = Sdk::rust();
        let place = folder.path().join("sdk");
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("old.rs"), "").unwrap();
        sdk.write(&place).unwrap();
        assert!(!place.join("old.rs").exists());
        let file = place.join("wit/function.wit");
        let written = std::fs::metadata(&file).unwrap().modified().unwrap();
        sdk.write(&place).unwrap();
        let again = std::fs::metadata(&file).unwrap().modified().unwrap();
        assert_eq!(written, again, "a second time nothing is written");
    }
}
