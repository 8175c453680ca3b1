//! What is said of an artifact in a store: the same as in a private folder, but signed.

use super::{Envelope, FORMAT, FormatError, parse};
use crate::component::Digest;
use crate::engine::artifact::Statement;
use crate::engine::key::EngineKey;
use serde::{Deserialize, Serialize};

/// A statement as the payload of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedStatement {
    #[serde(rename = "type")]
    kind: String,
    format: u32,
    /// The component it was compiled from.
    pub component: Digest,
    /// The engine it was compiled for.
    pub engine: EngineKey,
    /// The digest of the native code.
    pub artifact: Digest,
    /// Its size in bytes.
    pub size: u64,
}

impl SignedStatement {
    const TYPE: &str = "crunchbox-statement";

    /// The payload that says the same.
    pub fn payload(statement: &Statement) -> String {
        let signed = Self {
            kind: Self::TYPE.to_owned(),
            format: FORMAT,
            component: statement.component,
            engine: statement.engine.clone(),
            artifact: statement.artifact,
            size: statement.size,
        };
        serde_json::to_string(&signed).expect("digests and numbers have a text")
    }

    /// Reads the payload of an envelope.
    ///
    /// # Errors
    /// [`FormatError`].
    pub fn read(envelope: &Envelope) -> Result<Statement, FormatError> {
        let signed: Self = parse(Self::TYPE, envelope.payload.as_bytes())?;
        Ok(Statement {
            component: signed.component,
            engine: signed.engine,
            artifact: signed.artifact,
            size: signed.size,
        })
    }
}
