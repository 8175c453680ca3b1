//! `crunchbox:function/config` and `wasi:config/store`: one tree, parsed before the event, as JSON texts and as plain
//! strings. A secret is fetched when its value is asked for, and what was handed out is kept out of the event's log.

use super::log::EventLog;
use crate::bindings::crunchbox::function::config::{self, ConfigError, Host};
use crate::bindings::wasi::config::store;
use crate::config::{self as layers, Config, Piece, path};
use crate::error::{Fault, chain};
use crate::meter::{Kind, Meter};
use crate::secret::{SecretError, SecretText, Vault};
use futures_util::future::try_join_all;
use wasmtime::component::{HasData, Linker};

/// The configuration as one event sees it.
#[derive(Debug)]
pub(crate) struct EventConfig {
    pub(crate) config: Config,
    pub(crate) vault: Vault,
    pub(crate) log: EventLog,
    pub(crate) meter: Meter,
}

struct Has;

impl HasData for Has {
    type Data<'a> = &'a EventConfig;
}

pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    config: fn(&mut T) -> &EventConfig,
) -> wasmtime::Result<()> {
    config::add_to_linker::<T, Has>(linker, config)?;
    store::add_to_linker::<T, Has>(linker, config)
}

impl EventConfig {
    /// The secrets in a value.
    async fn secrets(&self, piece: Piece<'_>) -> Result<Vec<SecretText>, SecretError> {
        let secrets = piece.secrets().iter();
        let secrets = try_join_all(secrets.map(|secret| self.vault.get(&secret.reference))).await?;
        for secret in &secrets {
            self.meter.called(Kind::Secrets);
            self.meter.received(Kind::Secrets, secret.reveal().len());
            self.log.mask(secret);
        }
        Ok(secrets)
    }

    /// A value's JSON text with its secrets in it.
    async fn filled(&self, piece: Piece<'_>) -> Result<String, SecretError> {
        if piece.secrets().is_empty() {
            return Ok(piece.unfilled().to_owned());
        }
        let secrets = self.secrets(piece).await?;
        let texts = secrets.iter();
        Ok(piece.filled(texts.map(|secret| serde_json::Value::from(secret.reveal()).to_string())))
    }

    /// A value as a plain string: a string without its quotes, anything else as JSON; none for `null`.
    async fn plain(&self, piece: Piece<'_>) -> Result<Option<String>, SecretError> {
        let json = self.filled(piece).await?;
        Ok(match json.as_bytes().first() {
            Some(b'n') => None,
            Some(b'"') => serde_json::from_str(&json).ok(),
            _ => Some(json),
        })
    }
}

impl Host for &EventConfig {
    async fn get(
        &mut self,
        path: Vec<String>,
    ) -> wasmtime::Result<Result<Option<String>, ConfigError>> {
        let piece = match self.config.get(&path) {
            Ok(Some(piece)) => piece,
            Ok(None) => return Ok(Ok(None)),
            Err(error) => return Ok(Err(error.into())),
        };
        Ok(self.filled(piece).await.map(Some).map_err(Into::into))
    }

    async fn tree(&mut self, path: Vec<String>) -> wasmtime::Result<Result<String, ConfigError>> {
        let piece = match self.config.tree(&path) {
            Ok(Some(piece)) => piece,
            Ok(None) => return Ok(Ok("{}".to_owned())),
            Err(error) => return Ok(Err(error.into())),
        };
        Ok(self.filled(piece).await.map_err(Into::into))
    }

    async fn source(&mut self, path: Vec<String>) -> wasmtime::Result<Option<String>> {
        Ok(self.config.source(&path).map(|source| source.to_string()))
    }
}

impl store::Host for &EventConfig {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, store::Error>> {
        let Ok(path) = path::parse(&key) else {
            return Ok(Ok(None));
        };
        match self.config.get(&path) {
            Ok(Some(piece)) if self.config.tree(&path).is_err() => {
                Ok(self.plain(piece).await.map_err(upstream))
            }
            // A table is no value, and what leads through a value leads nowhere.
            Ok(_) | Err(_) => Ok(Ok(None)),
        }
    }

    async fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, store::Error>> {
        let this: &EventConfig = self;
        let values = this.config.values();
        let filled = values.iter().map(|(path, piece)| async move {
            let value = this.plain(*piece).await?;
            Ok(value.map(|value| (path::display(path), value)))
        });
        let filled = try_join_all(filled).await;
        Ok(filled
            .map(|values: Vec<_>| values.into_iter().flatten().collect())
            .map_err(upstream))
    }
}

fn upstream(error: SecretError) -> store::Error {
    store::Error::Upstream(format!("{}: {error}", error.code().name()))
}

impl From<layers::ConfigError> for ConfigError {
    fn from(error: layers::ConfigError) -> Self {
        Self {
            code: error.code().name().to_owned(),
            message: chain(&error),
            retryable: false,
        }
    }
}

impl From<SecretError> for ConfigError {
    fn from(error: SecretError) -> Self {
        Self {
            code: error.code().name().to_owned(),
            message: chain(&error),
            retryable: error.retryable,
        }
    }
}
