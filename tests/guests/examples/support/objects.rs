//! Objects, as the SDK has them.

use crunchbox_sdk::Failure;
use crunchbox_sdk::objects::{self, ObjectError};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::Write;

/// What is done with an object.
#[derive(Deserialize)]
pub(crate) struct Act {
    #[serde(flatten)]
    verb: Verb,
    /// What is written.
    #[serde(default)]
    body: String,
    /// The other object.
    #[serde(default)]
    to: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Verb {
    /// Tells its text, or nothing where there is none.
    Read(String),
    Write(String),
    /// Begins it, and gives it up.
    Begin(String),
    /// Tells the names that begin with a prefix.
    List(String),
    /// Copies it piece by piece; tells how many bytes.
    Copy(String),
}

impl Act {
    /// Does it.
    ///
    /// # Errors
    /// The kind is the host's code without `Crunchbox.`, which is not a guest's to say.
    pub(crate) fn perform(&self) -> Result<Value, Failure> {
        let body = self.body.as_bytes();
        match &self.verb {
            Verb::Read(at) => {
                let bytes = objects::read_all(at).map_err(failed)?;
                let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                Ok(json!(text))
            }
            Verb::Write(at) => {
                objects::write_all(at, body).map_err(failed)?;
                Ok(Value::Null)
            }
            Verb::Begin(at) => {
                let mut writer = objects::write(at).map_err(failed)?;
                writer.write_all(body)?;
                writer.flush()?;
                drop(writer);
                Ok(Value::Null)
            }
            Verb::List(prefix) => {
                let entries: Result<Vec<_>, _> = objects::list(prefix).collect();
                let entries = entries.map_err(failed)?.into_iter();
                Ok(json!(entries.map(|entry| entry.at).collect::<Vec<_>>()))
            }
            Verb::Copy(at) => copy(at, &self.to).map(Value::from),
        }
    }
}

fn copy(from: &str, to: &str) -> Result<u64, Failure> {
    let reader = objects::read(from).map_err(failed)?;
    let mut reader = reader.ok_or_else(|| Failure::new("Missing", from))?;
    let mut writer = objects::write(to).map_err(failed)?;
    let count = std::io::copy(&mut reader, &mut writer)?;
    writer.finish().map_err(failed)?;
    Ok(count)
}

fn failed(error: ObjectError) -> Failure {
    let code = error.code();
    let kind = code.strip_prefix("Crunchbox.").unwrap_or(code);
    Failure::new(kind, error.to_string())
}
