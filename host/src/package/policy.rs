//! The policy as it goes into the package: its author's text, and the store in it if only the project names one. Decides
//! nothing else of what operators allow.

use super::PackageError;
use crate::policy::Policy;
use crate::store::{Location, S3Location};
use std::io::ErrorKind;
use std::path::Path;

/// A policy's text for the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedPolicy {
    /// The text.
    pub text: String,
    /// The store that its author's text does not name, and this one does.
    pub added: Option<S3Location>,
}

/// Reads the policy at `path`, for hosts that follow a project whose store is `store`. Without a policy there is none in
/// the package, which only a store in a folder leaves as a choice.
///
/// # Errors
/// [`PackageError::Policy`] when hosts could not believe what is in the store, or could not find it;
/// [`PackageError::Unreadable`].
pub fn packed(path: &Path, store: &Location) -> Result<Option<PackedPolicy>, PackageError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(source) => {
            return Err(PackageError::Unreadable {
                path: path.to_owned(),
                source,
            });
        }
    };
    let policy = read(path)?;
    let signed = policy
        .as_ref()
        .is_some_and(|policy| policy.trust.is_signed());
    let names_store = policy.is_some_and(|policy| policy.store.is_some());
    match (text, store) {
        (_, Location::S3(s3)) if !signed => Err(PackageError::Policy {
            problem: format!(
                "hosts of the store `{s3}` need keys whose signatures count, and `{}` names none",
                path.display()
            ),
            next: "name the policy with --policy, or make a key and a policy with `crunchbox keys new NAME`"
                .to_owned(),
        }),
        (Some(text), Location::S3(s3)) if !names_store => with_store(&text, s3).map(Some),
        (Some(text), Location::S3(_) | Location::Folder(_)) => {
            Ok(Some(PackedPolicy { text, added: None }))
        }
        (None, Location::S3(_) | Location::Folder(_)) => Ok(None),
    }
}

fn read(path: &Path) -> Result<Option<Policy>, PackageError> {
    Policy::find(path).map_err(|error| PackageError::Policy {
        problem: crate::error::chain(&error),
        next: "correct the file; the message names the key, what was expected and what was found"
            .to_owned(),
    })
}

/// The same text with the store in it: under its own `[store]`, else at the end, where it takes nothing from what stands
/// there. Read again, so that it is known to say what it should.
fn with_store(text: &str, store: &S3Location) -> Result<PackedPolicy, PackageError> {
    let entry = format!("url = {}\n", toml::Value::from(store.url()));
    let mut with = String::with_capacity(text.len() + entry.len() + "\n\n[store]\n".len());
    let mut rest = entry.as_str();
    for line in text.split_inclusive('\n') {
        with.push_str(line);
        if !line.ends_with('\n') {
            with.push('\n');
        }
        if is_store(line) {
            with.push_str(std::mem::take(&mut rest));
        }
    }
    if !rest.is_empty() {
        with.push_str("\n[store]\n");
        with.push_str(rest);
    }
    match parsed(&with)? {
        Some(Location::S3(named)) if named == *store => Ok(PackedPolicy {
            text: with,
            added: Some(store.clone()),
        }),
        _ => Err(PackageError::Policy {
            problem: format!("the policy names no store, and `{store}` cannot be added to it"),
            next: format!("write {} under [store] in it", entry.trim_end()),
        }),
    }
}

fn is_store(line: &str) -> bool {
    line.split('#').next().unwrap_or_default().trim() == "[store]"
}

/// The store that a policy's text names, read as a host reads it.
fn parsed(text: &str) -> Result<Option<Location>, PackageError> {
    let folder = tempfile::tempdir().map_err(|source| PackageError::Unwritable {
        path: std::env::temp_dir(),
        source,
    })?;
    let path = folder.path().join(crate::policy::FILE_NAME);
    std::fs::write(&path, text).map_err(|source| PackageError::Unwritable {
        path: path.clone(),
        source,
    })?;
    // One that cannot be read names none; what is wrong with it is what was added.
    let policy = Policy::find(&path).ok().flatten();
    Ok(policy.and_then(|policy| policy.store))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "[[keys]]\nname = 'ci'\npublic = 'RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3'\nroles = ['release', 'channel']";

    fn packed_from(text: Option<&str>, store: &str) -> Result<Option<PackedPolicy>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        packed(&path, &store.parse().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_policy_that_names_its_store_goes_as_it_stands() {
        let text = format!("# ours\n[store]\nurl = 's3://acme/ours'\n{KEY}\n");
        for store in ["s3://acme/ours", "s3://acme/other", "folder"] {
            let policy = packed_from(Some(&text), store).unwrap().unwrap();
            assert_eq!((policy.text.as_str(), policy.added), (text.as_str(), None));
        }
    }

    #[test]
    fn a_store_that_only_the_project_names_is_added() {
        let url = "s3://acme/crunchbox?region=eu-west-1";
        for text in [
            KEY.to_owned(),
            format!("{KEY}\n[store] # soon\nrefresh = '5s'\n"),
            format!("[store]\r\n{KEY}\r\n"),
            format!("min-sequence = {{ 'crunch@live' = 3 }}\n{KEY}\n"),
        ] {
            let policy = packed_from(Some(&text), url).unwrap().unwrap();
            assert_eq!(parsed(&policy.text).unwrap(), Some(url.parse().unwrap()));
            assert!(
                policy.added.is_some() && policy.text.contains("RWQf6"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_store_that_cannot_be_added_is_asked_for() {
        let text = format!("store = {{ refresh = '5s' }}\n{KEY}\n");
        let error = packed_from(Some(&text), "s3://acme").unwrap_err();
        assert!(error.contains("cannot be added"), "{error}");
    }

    #[test]
    fn a_store_in_s3_needs_a_policy_with_keys() {
        for text in [None, Some(""), Some("[limits]\nmemory = '64 MiB'\n")] {
            let error = packed_from(text, "s3://acme").unwrap_err();
            assert!(
                error.contains("s3://acme") && error.contains("policy.toml"),
                "{error}"
            );
        }
        assert_eq!(packed_from(None, "folder").unwrap(), None);
        let error = packed_from(Some("[stores]\n"), "folder").unwrap_err();
        assert!(error.contains("stores"), "{error}");
    }
}
