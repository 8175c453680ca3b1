//! Whose signatures count, and for what: public minisign keys with roles and function patterns. Verifies bytes as they
//! stand; knows nothing of what they say. Secret keys are `publish/key.rs`'s.

use crate::address::FunctionName;
use base64::Engine as _;
use minisign_verify::{PublicKey, Signature};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Releases: this code and these limits belong together.
    Release,
    /// Statements on artifacts: this native code is that component.
    Artifact,
    /// Channels: this release is to be served.
    Channel,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Release, Self::Artifact, Self::Channel];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Release => "release",
            Self::Artifact => "artifact",
            Self::Channel => "channel",
        })
    }
}

/// A key's identifier, sixteen hexadecimal digits as `minisign` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    /// From the eight bytes of a key or a signature.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(format!("{:016X}", u64::from_le_bytes(bytes)))
    }

    /// Reads the digits of an identifier.
    pub fn parse(digits: &str) -> Option<Self> {
        let is_digit = |c: u8| matches!(c, b'0'..=b'9' | b'A'..=b'F');
        (digits.len() == 16 && digits.bytes().all(is_digit)).then(|| Self(digits.to_owned()))
    }

    /// Of a key or a signature in base64: two bytes of algorithm come first.
    fn of_base64(text: &str) -> Option<Self> {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(text)
            .ok()?;
        bytes.get(2..10)?.try_into().ok().map(Self::from_bytes)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which functions a key may sign for: a name, or the start of one and a `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Pattern {
    /// A pattern as people write it.
    ///
    /// # Errors
    /// What was expected: a star anywhere but at the end would fit nothing.
    pub fn new(text: &str) -> Result<Self, String> {
        let start = text.strip_suffix('*').unwrap_or(text);
        if text.is_empty() || start.contains(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
            return Err(format!(
                "expected a function's name, or the start of one and a `*`, got `{text}`"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Every function.
    pub fn any() -> Self {
        Self("*".to_owned())
    }

    fn fits(&self, function: &FunctionName) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => function.as_str().starts_with(start),
            None => function.as_str() == self.0,
        }
    }
}

/// A key whose signatures count.
#[derive(Debug, Clone)]
pub struct TrustedKey {
    /// What people call it.
    pub name: String,
    /// Its identifier.
    pub id: KeyId,
    /// What it may sign.
    pub roles: Vec<Role>,
    /// For which functions.
    pub functions: Pattern,
    public: PublicKey,
    text: String,
}

impl TrustedKey {
    /// A key from the base64 text of its public half.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub fn new(
        name: String,
        public: &str,
        roles: Vec<Role>,
        functions: Pattern,
    ) -> Result<Self, String> {
        let refused =
            // Not shown: somebody may have put the secret half there.
            || format!("expected a minisign public key, 56 characters of base64, got {} characters", public.len());
        Ok(Self {
            id: KeyId::of_base64(public).ok_or_else(refused)?,
            public: PublicKey::from_base64(public).map_err(|_| refused())?,
            text: public.to_owned(),
            name,
            roles,
            functions,
        })
    }

    /// The public half, base64.
    pub fn public(&self) -> &str {
        &self.text
    }

    /// Whether it counts for a role and a function.
    pub fn may(&self, role: Role, function: &FunctionName) -> bool {
        self.roles.contains(&role) && self.functions.fits(function)
    }
}

/// The keys whose signatures count. None at all means that nothing is signed, which only a folder may be.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    keys: Vec<TrustedKey>,
}

/// Why signatures do not count.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TrustError {
    /// Nobody signed.
    #[error("it is not signed; expected a signature by {expected}")]
    Unsigned {
        /// The keys that count.
        expected: String,
    },
    /// Others signed.
    #[error("it is signed by {got}; expected {expected}")]
    Untrusted {
        /// The keys that count.
        expected: String,
        /// Whose signatures are there.
        got: String,
    },
    /// One of ours is named, but the bytes are not what it signed.
    #[error("its signature by {key} does not fit its bytes")]
    Forged {
        /// The key.
        key: String,
    },
}

impl Trust {
    /// These keys.
    pub fn new(keys: Vec<TrustedKey>) -> Self {
        Self { keys }
    }

    /// Whether signatures are asked for.
    pub fn is_signed(&self) -> bool {
        !self.keys.is_empty()
    }

    /// All keys.
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    /// The keys that count for a role and a function.
    pub fn keys_for(
        &self,
        role: Role,
        function: &FunctionName,
    ) -> impl Iterator<Item = &TrustedKey> {
        self.keys.iter().filter(move |key| key.may(role, function))
    }

    /// Checks that at least one signature counts. Where nothing is signed, everything passes.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn verify(
        &self,
        role: Role,
        function: &FunctionName,
        payload: &[u8],
        signatures: &[String],
    ) -> Result<(), TrustError> {
        if !self.is_signed() {
            return Ok(());
        }
        let mut forged = None;
        let mut others = Vec::new();
        for text in signatures {
            let id = signer(text);
            let key = self
                .keys_for(role, function)
                .find(|key| Some(&key.id) == id.as_ref());
            match (key, Signature::decode(text)) {
                (Some(key), Ok(signature)) => match key.public.verify(payload, &signature, false) {
                    Ok(()) => return Ok(()),
                    Err(_) => forged = Some(key),
                },
                _ => others.push(id.map_or_else(|| "what is no signature".to_owned(), |id| id.0)),
            }
        }
        if let Some(key) = forged {
            return Err(TrustError::Forged {
                key: format!("`{}` ({})", key.name, key.id),
            });
        }
        let expected = self.expected(role, function);
        Err(if others.is_empty() {
            TrustError::Unsigned { expected }
        } else {
            TrustError::Untrusted {
                expected,
                got: others.join(", "),
            }
        })
    }

    fn expected(&self, role: Role, function: &FunctionName) -> String {
        let names: Vec<_> = self
            .keys_for(role, function)
            .map(|key| format!("`{}` ({})", key.name, key.id))
            .collect();
        if names.is_empty() {
            format!(
                "a key with the role `{role}` for `{function}`, and the policy trusts none for that"
            )
        } else {
            names.join(" or ")
        }
    }
}

/// Who made a signature, as it says itself.
pub fn signer(signature: &str) -> Option<KeyId> {
    KeyId::of_base64(signature.lines().nth(1)?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with the reference implementation: `minisign -G -W`, then `minisign -S` over `test`.
    const PUBLIC: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
        RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
        trusted comment: timestamp:1633700835\tfile:test\tprehashed\n\
        wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==";

    fn trust(roles: &[Role], functions: &str) -> Trust {
        let key = TrustedKey::new(
            "ci".into(),
            PUBLIC,
            roles.to_vec(),
            Pattern::new(functions).unwrap(),
        );
        Trust::new(vec![key.unwrap()])
    }

    fn verify(trust: &Trust, payload: &[u8], signatures: &[&str]) -> Result<(), String> {
        let signatures: Vec<String> = signatures.iter().map(|text| (*text).to_owned()).collect();
        let function = "crunch".parse().unwrap();
        let result = trust.verify(Role::Channel, &function, payload, &signatures);
        result.map_err(|error| error.to_string())
    }

    #[test]
    fn a_signature_by_a_trusted_key_counts_for_its_roles_functions_and_bytes_only() {
        let ours = trust(&[Role::Channel], "crunch");
        assert_eq!(verify(&ours, b"test", &[SIGNATURE]), Ok(()));
        assert_eq!(
            verify(&trust(&Role::ALL, "cru*"), b"test", &["junk", SIGNATURE]),
            Ok(())
        );
        assert!(
            verify(&ours, b"tesT", &[SIGNATURE])
                .unwrap_err()
                .contains("does not fit its bytes")
        );
        for other in [
            trust(&[Role::Release], "*"),
            trust(&[Role::Channel], "other-*"),
        ] {
            assert!(
                verify(&other, b"test", &[SIGNATURE])
                    .unwrap_err()
                    .contains("trusts none for that")
            );
        }
    }

    #[test]
    fn what_nobody_signed_is_refused_unless_nothing_is_signed_at_all() {
        let error = verify(&trust(&Role::ALL, "*"), b"test", &[]).unwrap_err();
        assert!(
            error.contains("not signed") && error.contains("`ci` (E7620F1842B4E81F)"),
            "{error}"
        );
        assert_eq!(verify(&Trust::default(), b"test", &[]), Ok(()));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "RWQ", &PUBLIC[1..], &format!("{PUBLIC}AAAA")] {
            assert!(TrustedKey::new("x".into(), text, vec![], Pattern::any()).is_err());
        }
    }
}
