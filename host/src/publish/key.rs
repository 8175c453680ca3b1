//! Secret keys: made, found, used. Their bytes never reach a log, an error text or a store.

use crate::address::FunctionName;
use crate::error::{Code, Failure};
use crate::trust::{KeyId, Role, Trust, TrustedKey};
use minisign::{KeyPair, PublicKey, SecretKeyBox};
use std::fmt;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A secret key, ready to sign.
pub struct SecretKey {
    key: minisign::SecretKey,
    id: KeyId,
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretKey").field(&self.id).finish()
    }
}

fn problem(what: &str, error: &minisign::PError) -> Failure {
    Failure::new(Code::KeyMissing, format!("{what}: {error}"))
}

impl SecretKey {
    /// Reads a key in minisign's own form.
    ///
    /// # Errors
    /// [`Code::KeyMissing`] with `name`, never with the text.
    pub fn parse(name: &str, text: &str, password: Option<&str>) -> Result<Self, Failure> {
        let unusable = |error| problem(&format!("the secret key `{name}` is not usable"), &error);
        let sealed = SecretKeyBox::from_string(text.trim()).map_err(unusable)?;
        let key = match password {
            Some(password) => sealed.into_secret_key(Some(password.to_owned())),
            None => sealed.into_unencrypted_secret_key(),
        };
        let key = key.map_err(|error| {
            unusable(error)
                .with_hint("if it is protected by a password, put that into CRUNCHBOX_KEY_PASSWORD")
        })?;
        Ok(Self {
            id: key_id(key.keynum()),
            key,
        })
    }

    /// Its identifier.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Signs bytes; `comment` is part of what is signed.
    ///
    /// # Errors
    /// [`Code::KeyMissing`] when the key does not work.
    pub fn sign(&self, bytes: &[u8], comment: &str) -> Result<String, Failure> {
        let untrusted = format!("signature by {}", self.id);
        minisign::sign(None, &self.key, bytes, Some(comment), Some(&untrusted))
            .map(|signature| signature.to_string())
            .map_err(|error| problem("signing failed", &error))
    }

    /// Makes a key and writes it to `path`, for this user's eyes only. Returns it with its public half in base64.
    ///
    /// # Errors
    /// [`Code::OutputFailed`] when there is a file already, or none can be written.
    pub fn make(path: &Path, password: Option<&str>) -> Result<(Self, String), Failure> {
        let failed = |error| problem("no key can be made", &error);
        let pair = match password {
            Some(password) => KeyPair::generate_encrypted_keypair(Some(password.to_owned())),
            None => KeyPair::generate_unencrypted_keypair(),
        };
        let KeyPair { pk, sk } = pair.map_err(failed)?;
        let text = sk.to_box(None).map_err(failed)?.into_string();
        write_private(path, &text)?;
        let key = Self::parse(&path.display().to_string(), &text, password)?;
        Ok((key, pk.to_base64()))
    }

    /// Its public half in base64.
    ///
    /// # Errors
    /// [`Code::KeyMissing`] when the key is not usable.
    pub fn public(&self) -> Result<String, Failure> {
        let public = PublicKey::from_secret_key(&self.key);
        public
            .map(|public| public.to_base64())
            .map_err(|error| problem("the key has no public half", &error))
    }
}

fn key_id(bytes: &[u8]) -> KeyId {
    KeyId::from_bytes(bytes.try_into().unwrap_or_default())
}

fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let failed = |error: std::io::Error| {
        let message = format!("cannot write the key `{}`: {error}", path.display());
        Failure::new(Code::OutputFailed, message)
    };
    if let Some(folder) = path.parent() {
        let mut builder = std::fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
    }
    // A key that is lost under another of the same name could never be had back.
    let mut file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)
}

/// Where secret keys are looked for.
#[derive(Clone, Default)]
pub struct Keyring {
    /// Keys named on the command line or given in the environment: what to call each, and its text.
    pub given: Vec<(String, String)>,
    /// This user's folder of keys, one file `NAME.key` each.
    pub folder: Option<PathBuf>,
    /// The password of keys that have one.
    pub password: Option<String>,
}

impl fmt::Debug for Keyring {
    /// Without its secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Keyring {
    /// The secret half of a trusted key, if it is here.
    ///
    /// # Errors
    /// [`Code::KeyMissing`] when a file with the key's name is there and is not usable.
    pub fn find(&self, trusted: &TrustedKey) -> Result<Option<SecretKey>, Failure> {
        for (name, text) in &self.given {
            let key = self.open(name, text)?;
            if key.id == trusted.id {
                return Ok(Some(key));
            }
        }
        let Some(path) = self.path(&trusted.name) else {
            return Ok(None);
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let message = format!("cannot read the secret key `{}`: {error}", path.display());
                return Err(Failure::new(Code::KeyMissing, message));
            }
        };
        let key = self.open(&path.display().to_string(), &text)?;
        Ok((key.id == trusted.id).then_some(key))
    }

    fn open(&self, name: &str, text: &str) -> Result<SecretKey, Failure> {
        SecretKey::parse(name, text, None).or_else(|failure| match &self.password {
            Some(password) => SecretKey::parse(name, text, Some(password)),
            None => Err(failure),
        })
    }

    /// Where a key of this user lies.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.folder
            .as_ref()
            .map(|folder| folder.join(format!("{name}.key")))
    }

    /// Why nothing can be signed.
    pub(super) fn missing(&self, trust: &Trust, role: Role, function: &FunctionName) -> Failure {
        let wanted: Vec<_> = trust
            .keys_for(role, function)
            .map(|key| format!("`{}` ({})", key.name, key.id))
            .collect();
        let message = if wanted.is_empty() {
            format!("the policy trusts no key with the role `{role}` for `{function}`")
        } else {
            let folder = self.folder.as_deref().unwrap_or_else(|| Path::new("?"));
            format!(
                "expected the secret half of {} with --key, in CRUNCHBOX_KEY or in {}, found none",
                wanted.join(" or "),
                folder.display()
            )
        };
        Failure::new(Code::KeyMissing, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::Pattern;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_private_found_by_name_and_its_signature_counts() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keyring {
            folder: Some(folder.path().join("keys")),
            ..Keyring::default()
        };
        let path = keys.path("ci").unwrap();
        let (_, public) = SecretKey::make(&path, None).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let trusted =
            TrustedKey::new("ci".into(), &public, Role::ALL.to_vec(), Pattern::any()).unwrap();
        let key = keys.find(&trusted).unwrap().unwrap();
        assert_eq!(key.public().unwrap(), public);
        let signature = key.sign(b"text", "crunch@live 1").unwrap();
        let function = "crunch".parse().unwrap();
        let trust = Trust::new(vec![trusted]);
        trust
            .verify(Role::Channel, &function, b"text", &[signature])
            .unwrap();
        assert!(SecretKey::make(&path, None).is_err(), "never overwritten");
    }

    #[test]
    fn a_key_that_is_not_usable_is_named_and_not_shown() {
        let failure = SecretKey::parse("ci", "not-a-key-but-a-secret", None).unwrap_err();
        let text = format!("{failure}");
        assert!(
            text.contains("`ci`") && !text.contains("not-a-key"),
            "{text}"
        );
    }
}
