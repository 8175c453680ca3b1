//! Events from files, arguments or standard input, one after the other, on a laptop.

use crate::error::{Code, Failure};
use crate::event::{EVENT_BYTES_MAX, Invocation, Outcome};
use crate::front::request_id;
use crate::host::Host;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What the file with the right response to the event `x.json` ends in: `x.expected.json` is no event.
pub const EXPECTED: &str = ".expected.json";

/// How a file ends that configures one event, where it is JSON as well.
const CONFIG: &str = ".config.json";

/// Where an event comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventSource {
    /// The text itself.
    Text(String),
    /// Standard input, whole.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl EventSource {
    /// What reports call it.
    pub fn name(&self) -> String {
        match self {
            Self::Text(_) => "--data".to_owned(),
            Self::Stdin => "standard input".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// The files of a folder that end in `.json`, by name; a path that is no folder stands for itself.
    ///
    /// # Errors
    /// [`Code::EventUnreadable`] when the folder cannot be listed or holds no event.
    pub fn expand(path: &Path) -> Result<Vec<Self>, Failure> {
        if path == Path::new("-") {
            return Ok(vec![Self::Stdin]);
        }
        if !path.is_dir() {
            return Ok(vec![Self::File(path.to_owned())]);
        }
        let unreadable = |error: std::io::Error| unreadable(&path.display().to_string(), &error);
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if file
                .extension()
                .is_some_and(|extension| extension == "json")
                && ![EXPECTED, CONFIG]
                    .iter()
                    .any(|end| file.to_string_lossy().ends_with(end))
                && file.is_file()
            {
                files.push(file);
            }
        }
        if files.is_empty() {
            let message = format!(
                "`{}`: expected files that end in .json, got none",
                path.display()
            );
            return Err(Failure::new(Code::EventUnreadable, message));
        }
        files.sort();
        Ok(files.into_iter().map(Self::File).collect())
    }

    /// The event's bytes; where it is too long, only enough of them to be refused for it.
    ///
    /// # Errors
    /// [`Code::EventUnreadable`].
    pub fn read(&self) -> Result<Vec<u8>, Failure> {
        let problem = |error: std::io::Error| unreadable(&self.name(), &error);
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Stdin => read_bounded(std::io::stdin()).map_err(problem),
            Self::File(path) => std::fs::File::open(path)
                .and_then(read_bounded)
                .map_err(problem),
        }
    }
}

fn unreadable(name: &str, error: &std::io::Error) -> Failure {
    Failure::new(
        Code::EventUnreadable,
        format!("cannot read the event `{name}`: {error}"),
    )
}

/// One byte more than allowed is enough to be refused for its size, whatever endless thing is read.
fn read_bounded(source: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(EVENT_BYTES_MAX).unwrap_or(u64::MAX);
    source.take(most + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Handles one event.
pub async fn handle(host: &Host, source: &EventSource) -> Outcome {
    let event = match source.read() {
        Ok(event) => event,
        Err(failure) => return Outcome::refused(failure),
    };
    host.handle(Invocation {
        event,
        request_id: request_id(),
        ..Invocation::default()
    })
    .await
}
