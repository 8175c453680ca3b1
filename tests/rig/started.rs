//! A project as `crunchbox new` makes it, in a language of its own, with the tools of that language.

use super::{Finished, crunchbox, finish};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The function's name in each of them.
const NAME: &str = "rain";

/// A project that was begun from nothing.
pub struct Started {
    _folder: tempfile::TempDir,
    path: PathBuf,
    language: &'static str,
}

impl Started {
    pub fn new(language: &'static str) -> Self {
        Self::with(language, &[])
    }

    /// The same, with more to be said to `crunchbox new`.
    pub fn with(language: &'static str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let new = [&["new", NAME, "--lang", language][..], arguments].concat();
        let made = finish(crunchbox(&new).current_dir(folder.path()));
        assert_eq!(made.exit, 0, "{}", made.stderr);
        assert_eq!(made.stdout.trim_end(), NAME);
        Self {
            path: folder.path().join(NAME),
            _folder: folder,
            language,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that the handler is in.
    pub fn source(&self) -> &'static str {
        match self.language {
            "rust" => "src/lib.rs",
            "javascript" => "src/handler.js",
            "typescript" => "src/handler.ts",
            "clojure" => "src/handler.cljs",
            "python" => "lambda_function.py",
            other => panic!("no such language: {other}"),
        }
    }

    pub fn write(&self, file: &str, text: &str) {
        let path = self.path.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path.join(file)).unwrap()
    }

    /// Changes what a file says; it has to say it.
    pub fn replace(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert!(text.contains(from), "{file}: {text}");
        self.write(file, &text.replace(from, to));
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = crunchbox(arguments);
        command.current_dir(&self.path).env("USER", "ada");
        command
    }

    pub fn typed(&self, arguments: &[&str]) -> Finished {
        finish(&mut self.command(arguments))
    }

    /// What a command that has to succeed prints, and what it reports.
    pub fn done(&self, arguments: &[&str]) -> (String, String) {
        let done = self.typed(arguments);
        assert_eq!(done.exit, 0, "{arguments:?}: {}", done.stderr);
        (done.stdout.trim_end().to_owned(), done.stderr)
    }

    /// What an event comes to, as `crunchbox run` prints it.
    pub fn run(&self, event: &str) -> Value {
        serde_json::from_str(&self.done(&["run", ".", "--data", event]).0).unwrap()
    }

    /// The exit status and the words of a command that has to fail.
    pub fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let done = self.typed(arguments);
        assert_ne!(
            done.exit, 0,
            "{arguments:?}: {}{}",
            done.stdout, done.stderr
        );
        (done.exit, done.stderr)
    }

    /// Runs the author's own tests, which need no component.
    pub fn unit_tests(&self) -> Finished {
        let line: &[&str] = match self.language {
            "rust" => &["cargo", "test"],
            "python" => &[".venv/bin/python", "-m", "pytest"],
            _ => &["npm", "test"],
        };
        let mut command = Command::new(line[0]);
        finish(command.args(&line[1..]).current_dir(&self.path))
    }
}
