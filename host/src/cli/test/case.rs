//! The sample events of a project: what each is called, and the files beside it.

use crate::config::{ConfigError, ENDINGS};
use crate::error::{Code, Failure};
use crate::front::local::{EXPECTED, EventSource};
use crate::manifest::Manifest;
use regex::Regex;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where the sample events of a project lie, unless its manifest says otherwise.
const EVENTS: &str = "events";

/// What the name of an event's own configuration has before its ending. In JSON it is a file like an event's.
const CONFIG: &str = ".config";

/// One event.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// The file's name without its ending.
    pub(super) name: String,
    /// The file.
    pub(super) event: PathBuf,
    /// The file with what it has to come to, there or not.
    pub(super) expected: PathBuf,
    /// The file of its own configuration, where there is one.
    pub(super) config: Option<PathBuf>,
}

/// Which events are meant: a part of their names, or a pattern with `*` and `?` for the whole.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    text: String,
    pattern: Option<Regex>,
}

impl FromStr for Filter {
    type Err = regex::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_pattern = text.contains(['*', '?']);
        let escaped = regex::escape(text);
        let whole = escaped.replace(r"\*", ".*").replace(r"\?", ".");
        let pattern = is_pattern.then(|| Regex::new(&format!(r"\A(?s:{whole})\z")));
        Ok(Self {
            text: text.to_owned(),
            pattern: pattern.transpose()?,
        })
    }
}

impl Filter {
    fn takes(&self, name: &str) -> bool {
        match &self.pattern {
            Some(pattern) => pattern.is_match(name),
            None => name.contains(&self.text),
        }
    }
}

/// The events of a project that any of the filters takes, by name; all where there is no filter.
pub(super) fn cases(manifest: Option<&Manifest>, filters: &[Filter]) -> Result<Vec<Case>, Failure> {
    let all = all(manifest)?;
    let is_meant =
        |case: &&Case| filters.is_empty() || filters.iter().any(|filter| filter.takes(&case.name));
    let meant: Vec<Case> = all.iter().filter(is_meant).cloned().collect();
    if meant.is_empty() && !all.is_empty() {
        let names: Vec<&str> = all.iter().map(|case| case.name.as_str()).collect();
        let message = format!(
            "expected --filter to name an event, such as one of: {}",
            names.join(", ")
        );
        return Err(Failure::new(Code::SettingInvalid, message));
    }
    Ok(meant)
}

fn all(manifest: Option<&Manifest>) -> Result<Vec<Case>, Failure> {
    let Some(manifest) = manifest else {
        return Ok(Vec::new());
    };
    let folder = match &manifest.events {
        Some(folder) => folder.clone(),
        None => manifest.folder.join(EVENTS),
    };
    if manifest.events.is_none() && !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut cases = Vec::new();
    for source in EventSource::expand(&folder)? {
        if let EventSource::File(event) = source {
            cases.extend(Case::of(event)?);
        }
    }
    Ok(cases)
}

impl Case {
    /// The case of a file; none where it is a configuration.
    fn of(event: PathBuf) -> Result<Option<Self>, ConfigError> {
        let stem = event.file_stem().unwrap_or_default();
        let name = stem.to_string_lossy().into_owned();
        if name.ends_with(CONFIG) {
            return Ok(None);
        }
        Ok(Some(Self {
            expected: event.with_file_name(format!("{name}{EXPECTED}")),
            config: config_of(&event, &name)?,
            name,
            event,
        }))
    }
}

fn config_of(event: &Path, name: &str) -> Result<Option<PathBuf>, ConfigError> {
    let named = |(ending, _)| event.with_file_name(format!("{name}{CONFIG}.{ending}"));
    let mut files = ENDINGS.map(named).into_iter().filter(|path| path.is_file());
    match (files.next(), files.next()) {
        (Some(one), Some(other)) => Err(ConfigError::TwoFiles(one, other)),
        (found, _) => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_part_of_the_name_or_a_pattern_for_all_of_it() {
        for (filter, name, takes) in [
            ("oslo", "two-oslo-1", true),
            ("oslo", "bergen", false),
            ("oslo*", "oslo-1", true),
            ("oslo*", "two-oslo", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*.x", "a.x", true),
            ("*.x", "abx", false),
        ] {
            let filter: Filter = filter.parse().unwrap();
            assert_eq!(filter.takes(name), takes, "{filter:?} {name}");
        }
    }

    #[test]
    fn an_event_has_its_files_beside_it_whatever_points_are_in_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let event = folder.path().join("a.b.json");
        std::fs::write(folder.path().join("a.b.config.edn"), "{}").unwrap();
        let case = Case::of(event.clone()).unwrap().unwrap();
        assert_eq!(case.name, "a.b");
        assert_eq!(case.expected, folder.path().join("a.b.expected.json"));
        assert_eq!(case.config, Some(folder.path().join("a.b.config.edn")));
        std::fs::write(folder.path().join("a.b.config.json"), "{}").unwrap();
        assert!(matches!(Case::of(event), Err(ConfigError::TwoFiles(..))));
        let config = Case::of(folder.path().join("a.b.config.json"));
        assert!(config.unwrap().is_none());
    }
}
