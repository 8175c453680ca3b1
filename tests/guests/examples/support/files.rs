//! Files by the standard library, as any program has them.

use crunchbox_sdk::Failure;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where a path begins that is not absolute.
const FOLDER: &str = "/tmp";

/// What is done with a file.
#[derive(Deserialize)]
pub(crate) struct Act {
    #[serde(flatten)]
    verb: Verb,
    /// What is written.
    #[serde(default)]
    body: String,
    /// And so many bytes after it.
    #[serde(default)]
    bytes: usize,
    /// The other path.
    #[serde(default)]
    to: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Verb {
    Write(String),
    /// Tells its text.
    Read(String),
    /// Tells the names in a folder.
    List(String),
    Remove(String),
    /// Makes a folder.
    Folder(String),
    /// Gives it another name.
    Rename(String),
    /// Makes a symbolic link of this name.
    Link(String),
    /// Gives it a second name.
    Twin(String),
}

impl Act {
    /// Does it.
    ///
    /// # Errors
    /// The system's words.
    pub(crate) fn perform(&self) -> Result<Value, Failure> {
        let done = |()| Value::Null;
        let result = match &self.verb {
            Verb::Write(at) => fs::write(place(at), self.content()).map(done),
            Verb::Read(at) => fs::read_to_string(place(at)).map(Value::from),
            Verb::List(at) => names(&place(at)).map(|names| json!(names)),
            Verb::Remove(at) => fs::remove_file(place(at)).map(done),
            Verb::Folder(at) => fs::create_dir(place(at)).map(done),
            Verb::Rename(at) => fs::rename(place(at), place(&self.to)).map(done),
            Verb::Link(at) => link(&place(at), &self.to).map(done),
            Verb::Twin(at) => fs::hard_link(place(at), place(&self.to)).map(done),
        };
        Ok(result?)
    }

    fn content(&self) -> Vec<u8> {
        let mut content = self.body.clone().into_bytes();
        content.resize(content.len() + self.bytes, b'x');
        content
    }
}

fn place(at: &str) -> PathBuf {
    Path::new(FOLDER).join(at)
}

fn names(at: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(at)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[expect(deprecated, reason = "what replaces it is not stable for WASI")]
fn link(at: &Path, to: &str) -> io::Result<()> {
    fs::soft_link(to, at)
}
