//! The languages that functions are written in, and how a project's folder tells which. Knows nothing of how they are built.

use serde::Deserialize;
use serde_json::Value;
use std::fmt;
use std::path::Path;

/// A language with an SDK of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Rust.
    Rust,
    /// JavaScript.
    #[value(alias = "js")]
    #[value(name = "javascript")]
    JavaScript,
    /// TypeScript.
    #[value(alias = "ts")]
    #[value(name = "typescript")]
    TypeScript,
    /// Clojure.
    #[value(aliases = ["clj", "cljs", "clojurescript"])]
    Clojure,
    /// Python.
    #[value(alias = "py")]
    Python,
}

/// A compiler of Clojure to JavaScript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Clojure's data and functions as they are.
    Cherry,
    /// Clojure's syntax on JavaScript's own data.
    Squint,
}

/// An engine that runs JavaScript inside a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Small and quick to start.
    QuickJs,
    /// All Web APIs.
    StarlingMonkey,
}

impl Language {
    /// All of them, in the order that they are offered.
    pub const ALL: [Self; 5] = [
        Self::JavaScript,
        Self::TypeScript,
        Self::Clojure,
        Self::Python,
        Self::Rust,
    ];

    /// The language's name as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::JavaScript => "javascript",
            Self::TypeScript => "typescript",
            Self::Clojure => "clojure",
            Self::Python => "python",
        }
    }

    /// The language of the project in `folder`, by the files that its tools leave there; none where there are none. `handler` is
    /// the one that the manifest names, as Lambda spells it.
    pub fn of(folder: &Path, handler: Option<&str>) -> Option<Self> {
        let has = |file: &str| folder.join(file).is_file();
        if has("Cargo.toml") {
            return Some(Self::Rust);
        }
        if has("package.json") {
            let typescript = match handler.and_then(|handler| handler.rsplit_once('.')) {
                Some((file, _)) => has(&format!("{file}.ts")),
                None => has("src/handler.ts") || has("index.ts"),
            };
            return Some(match (depends_on_clojure(folder), typescript) {
                (true, _) => Self::Clojure,
                (false, true) => Self::TypeScript,
                (false, false) => Self::JavaScript,
            });
        }
        let python = ["pyproject.toml", "requirements.txt", "lambda_function.py"];
        python.into_iter().any(has).then_some(Self::Python)
    }
}

/// Whether package.json names a compiler of Clojure.
fn depends_on_clojure(folder: &Path) -> bool {
    let text = std::fs::read_to_string(folder.join("package.json")).unwrap_or_default();
    let package: Value = serde_json::from_str(&text).unwrap_or_default();
    ["dependencies", "devDependencies"].iter().any(|kind| {
        ["cherry-cljs", "squint-cljs"]
            .iter()
            .any(|compiler| package[kind].get(compiler).is_some())
    })
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Dialect {
    /// The dialect's name as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cherry => "cherry",
            Self::Squint => "squint",
        }
    }
}

impl Engine {
    /// The engine's name as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::QuickJs => "quickjs",
            Self::StarlingMonkey => "starlingmonkey",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_folder_tell_its_language() {
        let clojure = r#"{"devDependencies": {"cherry-cljs": "1"}}"#;
        for (files, handler, language) in [
            (&[("Cargo.toml", "")][..], None, Some(Language::Rust)),
            (&[("package.json", "{}")], None, Some(Language::JavaScript)),
            (
                &[("package.json", "no json")],
                None,
                Some(Language::JavaScript),
            ),
            (&[("package.json", clojure)], None, Some(Language::Clojure)),
            (
                &[("package.json", "{}"), ("index.ts", "")],
                None,
                Some(Language::TypeScript),
            ),
            (
                &[("package.json", "{}"), ("app.ts", "")],
                Some("app.run"),
                Some(Language::TypeScript),
            ),
            (&[("lambda_function.py", "")], None, Some(Language::Python)),
            (&[("requirements.txt", "")], None, Some(Language::Python)),
            (&[("README.md", "")], None, None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for (file, text) in files {
                std::fs::write(folder.path().join(file), text).unwrap();
            }
            assert_eq!(Language::of(folder.path(), handler), language, "{files:?}");
        }
    }

    #[test]
    fn names_are_what_the_manifest_and_the_command_line_take() {
        use clap::ValueEnum;
        for language in Language::ALL {
            assert_eq!(Language::from_str(language.name(), false), Ok(language));
            let read: Language = serde_json::from_str(&format!("\"{language}\"")).unwrap();
            assert_eq!(read, language);
        }
        for engine in [Engine::QuickJs, Engine::StarlingMonkey] {
            let read: Engine = serde_json::from_str(&format!("\"{}\"", engine.name())).unwrap();
            assert_eq!(read, engine);
        }
    }
}
