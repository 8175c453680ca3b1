//! A project in a folder, and the commands that somebody types in it.

use super::{ACCESS_KEY, Finished, SECRET_KEY, crunchbox, finish, guest};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// A project whose component is there already, and a home of its own for keys and caches.
pub struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    pub fn new(guest_name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = Self { folder };
        project.component(&std::fs::read(guest(guest_name)).unwrap());
        project.file(
            "crunchbox.toml",
            "[function]\nname = 'facts'\n[build]\ncommand = 'true'\ncomponent = 'guest.wasm'\n[config]\nbase = ['config.toml']\n",
        );
        project.file("config.toml", "v = 1\n");
        project
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn component(&self, bytes: &[u8]) {
        std::fs::write(self.path().join("guest.wasm"), bytes).unwrap();
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = crunchbox(arguments);
        command
            .current_dir(self.path())
            .env("HOME", self.path().join("home"))
            .env("USER", "ada")
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .env_remove("XDG_CONFIG_HOME");
        command
    }

    pub fn typed(&self, arguments: &[&str]) -> Finished {
        finish(&mut self.command(arguments))
    }

    /// What a command that has to succeed prints.
    pub fn done(&self, arguments: &[&str]) -> String {
        let done = self.typed(arguments);
        assert_eq!(done.exit, 0, "{arguments:?}: {}", done.stderr);
        done.stdout.trim_end().to_owned()
    }

    /// The same as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(arguments)).unwrap()
    }

    /// The exit status and the words of a command that has to fail.
    pub fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let done = self.typed(arguments);
        assert!(done.stderr.contains("hint: "), "{}", done.stderr);
        (done.exit, done.stderr)
    }
}
