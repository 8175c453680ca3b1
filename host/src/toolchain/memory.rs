//! Builds that need not be done again: what went into the last one, beside its component.

use super::BuildError;
use super::driver::Answer;
use super::sdk::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The last build of a project.
#[derive(Debug)]
pub(super) struct Memory {
    folder: PathBuf,
    file: PathBuf,
    /// All that counts beside the author's files: the request, the SDK, the files that say what is installed.
    setting: String,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    /// Of the setting, and of each input's path and content.
    digest: String,
    /// Of the component, which somebody may have replaced since.
    component: String,
    answer: Answer,
}

impl Memory {
    /// The memory of the build that makes `output`, both below `folder`. `setting` is what it depends on beside the author's
    /// files; `files` are such that belong to the setting, there or not.
    pub(super) fn new(folder: &Path, output: &str, setting: &[&str], files: &[&str]) -> Self {
        let text = format!("{}\n{}", setting.join("\n"), digest_of_all(folder, files));
        Self {
            folder: folder.to_owned(),
            file: folder.join(output).with_extension("json"),
            setting: text,
        }
    }

    /// What the last build made, if this one would make the same.
    pub(super) fn recall(&self) -> Option<Answer> {
        let text = std::fs::read_to_string(&self.file).ok()?;
        let remembered: Remembered = serde_json::from_str(&text).ok()?;
        let component = digest_of(&self.folder.join(&remembered.answer.component));
        let same = remembered.digest == self.digest(&remembered.answer.inputs)
            && remembered.component == component;
        same.then_some(remembered.answer)
    }

    /// Remembers what was made, unless an input was written since `started`: the tools may have read it before that.
    ///
    /// # Errors
    /// [`BuildError::NoComponent`], if the component is not there or the folder takes no file.
    pub(super) fn keep(&self, answer: &Answer, started: SystemTime) -> Result<(), BuildError> {
        let written_since = |input: &PathBuf| {
            let metadata = std::fs::metadata(self.folder.join(input));
            metadata
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|time| time >= started)
        };
        if answer.inputs.iter().any(written_since) {
            return Ok(());
        }
        let remembered = Remembered {
            digest: self.digest(&answer.inputs),
            component: digest_of(&self.folder.join(&answer.component)),
            answer: answer.clone(),
        };
        let text = serde_json::to_string_pretty(&remembered).unwrap_or_default();
        std::fs::write(&self.file, text).map_err(|error| {
            BuildError::NoComponent(format!("cannot write `{}`: {error}", self.file.display()))
        })
    }

    fn digest(&self, inputs: &[PathBuf]) -> String {
        let mut digest = Sha256::new();
        digest.update(self.setting.as_bytes());
        for input in inputs {
            digest.update(input.as_os_str().as_encoded_bytes());
            digest.update(digest_of(&self.folder.join(input)).as_bytes());
        }
        hex(&digest.finalize())
    }
}

/// What tells the contents of `files` from any others.
pub(super) fn digest_of_all(folder: &Path, files: &[&str]) -> String {
    let digests = files.iter().map(|file| digest_of(&folder.join(file)));
    digests.collect::<Vec<_>>().join(" ")
}

/// The digest of a file's content; of a file that is not there it is that of nothing.
fn digest_of(path: &Path) -> String {
    let content = std::fs::read(path).ok();
    let digest = content.map(Sha256::digest);
    digest.map_or_else(|| "absent".to_owned(), |digest| hex(&digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> (tempfile::TempDir, Answer) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.wasm"), "component").unwrap();
        std::fs::write(folder.path().join("handler.js"), "one").unwrap();
        let answer = Answer {
            component: "a.wasm".into(),
            engine: None,
            note: None,
            inputs: vec!["handler.js".into()],
        };
        (folder, answer)
    }

    fn memory(folder: &Path, setting: &str) -> Memory {
        Memory::new(folder, "a.wasm", &[setting], &["package.json"])
    }

    #[test]
    fn a_build_is_recalled_until_something_that_went_into_it_changes() {
        let (folder, answer) = project();
        let folder = folder.path();
        assert!(memory(folder, "x").recall().is_none());
        memory(folder, "x")
            .keep(&answer, SystemTime::now())
            .unwrap();
        assert!(memory(folder, "x").recall().is_some());
        assert!(memory(folder, "other request").recall().is_none());
        for (file, text) in [
            ("handler.js", "two"),
            ("package.json", "{}"),
            ("a.wasm", "broken"),
        ] {
            memory(folder, "x")
                .keep(&answer, SystemTime::now())
                .unwrap();
            std::fs::write(folder.join(file), text).unwrap();
            assert!(memory(folder, "x").recall().is_none(), "{file}");
        }
        memory(folder, "x")
            .keep(&answer, SystemTime::now())
            .unwrap();
        std::fs::remove_file(folder.join("handler.js")).unwrap();
        assert!(
            memory(folder, "x").recall().is_none(),
            "an input that is gone"
        );
    }
}
