//! What all clients of AWS here have in common.

#[cfg(feature = "dev")]
pub(crate) mod frame;
#[cfg(feature = "dev")]
pub(crate) mod http;
#[cfg(feature = "s3")]
pub(crate) mod s3;

use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// Connections of their own, with TLS by ring: it builds without cmake and starts without delay.
pub(crate) fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}
