//! A text and its signatures in one object, so that one write replaces both.

use super::{FormatError, check_object};
use crate::address::FunctionName;
use crate::trust::{Role, Trust, TrustError};
use serde::{Deserialize, Serialize};

/// More than any rotation of keys needs.
pub const SIGNATURES_MAX: usize = 16;

/// A text, exactly as it was signed, and its signatures in minisign's own form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The text.
    pub payload: String,
    /// Who vouches for it.
    pub signatures: Vec<String>,
}

impl Envelope {
    /// Reads an envelope; its payload is not looked at.
    ///
    /// # Errors
    /// [`FormatError::Malformed`].
    pub fn parse(text: &[u8]) -> Result<Self, FormatError> {
        const EXPECTED: &str = "payload and signatures";
        check_object(EXPECTED, text)?;
        let malformed = |problem| FormatError::Malformed {
            expected: EXPECTED,
            problem,
        };
        let envelope: Self =
            serde_json::from_slice(text).map_err(|error| malformed(error.to_string()))?;
        // Each costs a verification before anything is proven.
        if envelope.signatures.len() > SIGNATURES_MAX {
            let count = envelope.signatures.len();
            return Err(malformed(format!(
                "expected at most {SIGNATURES_MAX} signatures, got {count}"
            )));
        }
        Ok(envelope)
    }

    /// Its text.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("texts have a text")
    }

    /// Checks that a signature counts.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn verify(
        &self,
        trust: &Trust,
        role: Role,
        function: &FunctionName,
    ) -> Result<(), TrustError> {
        trust.verify(role, function, self.payload.as_bytes(), &self.signatures)
    }
}
