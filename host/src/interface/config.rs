//! `crunchbox:function/config`: the merged tree, as JSON text.

use crate::bindings::crunchbox::function::config::{self, ConfigError, Host};
use crate::config::Config;
use crate::error::{Fault, chain};
use wasmtime::component::{HasData, Linker};

/// The tree as one guest sees it.
#[derive(Debug)]
pub(crate) struct ConfigView<'a>(pub(crate) &'a Config);

struct Has;

impl HasData for Has {
    type Data<'a> = ConfigView<'a>;
}

pub(crate) fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> ConfigView<'_>,
) -> wasmtime::Result<()> {
    config::add_to_linker::<T, Has>(linker, view)
}

impl Host for ConfigView<'_> {
    fn get(&mut self, path: Vec<String>) -> wasmtime::Result<Result<Option<String>, ConfigError>> {
        Ok(self
            .0
            .get(&path)
            .map(|value| value.map(|value| value.to_string()))
            .map_err(Into::into))
    }

    fn tree(&mut self, path: Vec<String>) -> wasmtime::Result<Result<String, ConfigError>> {
        Ok(self.0.tree(&path).map_err(Into::into))
    }
}

impl From<crate::config::ConfigError> for ConfigError {
    fn from(error: crate::config::ConfigError) -> Self {
        Self {
            code: error.code().name().to_owned(),
            message: chain(&error),
            retryable: false,
        }
    }
}
