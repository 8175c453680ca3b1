//! What a new project begins with: a function that works, with events, expectations and a test of its own, the same in every
//! language. Writes files and never changes one that is there.

use crate::address::FunctionName;
use crate::error::{Code, Failure};
use crate::language::{Dialect, Language};
use crate::manifest;
use crate::toolchain::npm_version;
use rust_embed::Embed;
use serde_json::Value;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Stands for the function's name in the templates.
const NAME: &str = "__NAME__";

/// What a file whose name begins with a dot is called among the templates, so that nobody's tools take it for theirs.
const HIDDEN: [(&str, &str); 1] = [("gitignore", ".gitignore")];

#[derive(Embed)]
#[folder = "../guest/templates"]
#[exclude = "**/node_modules/*"]
#[exclude = "**/.*"]
#[exclude = "**/__pycache__/*"]
struct Templates;

/// What is wanted of a new project.
#[derive(Debug)]
pub struct Starter {
    /// The function's name.
    pub name: FunctionName,
    /// What it is written in.
    pub language: Language,
    /// Which Clojure, in a project of Clojure.
    pub dialect: Option<Dialect>,
}

/// What was done with the files of a template.
#[derive(Debug, Default)]
pub struct Written {
    /// Files that are new, below the folder.
    pub new: Vec<PathBuf>,
    /// Files that were there, and stayed as they were.
    pub kept: Vec<PathBuf>,
}

impl Starter {
    /// Writes the project's files into `folder`, which may have files already.
    ///
    /// # Errors
    /// A failure where the folder is a project already, or a file can't be written.
    pub fn write(&self, folder: &Path) -> Result<Written, Failure> {
        let manifest = folder.join(manifest::FILE_NAME);
        if manifest.exists() {
            let message = format!(
                "`{}` is there already: this folder is a project",
                manifest.display()
            );
            return Err(Failure::new(Code::ManifestInvalid, message));
        }
        let mut written = Written::default();
        for (path, text) in self.files() {
            match create(&folder.join(&path), &text) {
                Ok(()) => written.new.push(path),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => written.kept.push(path),
                Err(error) => {
                    let message =
                        format!("cannot write `{}`: {error}", folder.join(path).display());
                    return Err(Failure::new(Code::OutputFailed, message));
                }
            }
        }
        Ok(written)
    }

    /// The project's files, by their places below its folder.
    fn files(&self) -> Vec<(PathBuf, String)> {
        let prefix = format!("{}/", self.language.name());
        let all = Templates::iter().filter_map(|path| {
            let below = path.strip_prefix(&prefix)?;
            let file = Templates::get(&path)?;
            let text = String::from_utf8_lossy(&file.data).into_owned();
            Some((PathBuf::from(visible(below)), self.filled(below, &text)))
        });
        all.collect()
    }

    fn filled(&self, path: &str, text: &str) -> String {
        let text = text.replace(NAME, self.name.as_str());
        match (path, self.dialect) {
            ("crunchbox.toml", Some(dialect @ Dialect::Squint)) => {
                format!("{}\n[build]\ndialect = \"{}\"\n", text, dialect.name())
            }
            ("package.json", Some(Dialect::Squint)) => squint(&text),
            _ => text,
        }
    }
}

/// A package.json with the other compiler in the place of cherry.
fn squint(text: &str) -> String {
    let Ok(mut package) = serde_json::from_str::<Value>(text) else {
        return text.to_owned();
    };
    if let Some(tools) = package["devDependencies"].as_object_mut() {
        tools.shift_remove("cherry-cljs");
        let version = npm_version("squint-cljs").unwrap_or_default();
        tools.insert("squint-cljs".to_owned(), version.into());
    }
    format!("{package:#}\n")
}

fn visible(path: &str) -> String {
    let hidden = HIDDEN.iter().find(|(name, _)| *name == path);
    hidden.map_or(path, |(_, name)| name).to_owned()
}

/// Writes a file that must not be there yet.
fn create(path: &Path, text: &str) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn starter(language: Language) -> Starter {
        Starter {
            name: "rainfall".parse().unwrap(),
            language,
            dialect: None,
        }
    }

    #[test]
    fn every_language_has_a_whole_project_with_the_same_events_and_expectations() {
        let shared = |language: Language| -> BTreeMap<PathBuf, serde_json::Value> {
            let files = starter(language).files().into_iter();
            let events = files.filter(|(path, _)| path.starts_with("events"));
            events
                .map(|(path, text)| (path, serde_json::from_str(&text).unwrap()))
                .collect()
        };
        for language in Language::ALL {
            let files: BTreeMap<_, _> = starter(language).files().into_iter().collect();
            for file in ["crunchbox.toml", "config.toml", "README.md", ".gitignore"] {
                assert!(files.contains_key(Path::new(file)), "{language}: {file}");
            }
            assert!(
                files[Path::new("README.md")].lines().count() <= 12,
                "{language}"
            );
            assert!(
                files.values().all(|text| !text.contains(NAME)),
                "{language}"
            );
            assert_eq!(shared(language), shared(Language::Rust), "{language}");
            assert_eq!(shared(language).len(), 4, "{language}");
        }
    }

    #[test]
    fn a_project_is_what_its_files_say_it_is() {
        for language in Language::ALL {
            let folder = tempfile::tempdir().unwrap();
            starter(language).write(folder.path()).unwrap();
            let manifest = manifest::Manifest::find(folder.path()).unwrap().unwrap();
            assert_eq!(manifest.name.as_str(), "rainfall");
            assert_eq!(Language::of(folder.path(), None), Some(language));
        }
    }

    #[test]
    fn a_file_that_is_there_stays_and_a_project_is_not_made_twice() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("README.md"), "mine").unwrap();
        let written = starter(Language::Python).write(folder.path()).unwrap();
        assert_eq!(written.kept, [Path::new("README.md")]);
        assert_eq!(
            std::fs::read_to_string(folder.path().join("README.md")).unwrap(),
            "mine"
        );
        let failure = starter(Language::Python).write(folder.path()).unwrap_err();
        assert_eq!(failure.code, Code::ManifestInvalid);
    }

    #[test]
    fn the_other_clojure_brings_its_own_compiler_and_says_so() {
        let mut starter = starter(Language::Clojure);
        starter.dialect = Some(Dialect::Squint);
        let files: BTreeMap<_, _> = starter.files().into_iter().collect();
        let package = &files[Path::new("package.json")];
        let package: serde_json::Value = serde_json::from_str(package).unwrap();
        assert!(
            package["devDependencies"]["squint-cljs"].is_string(),
            "{package}"
        );
        assert!(
            package["devDependencies"]["cherry-cljs"].is_null(),
            "{package}"
        );
        assert!(files[Path::new("crunchbox.toml")].contains("dialect = \"squint\""));
    }
}
