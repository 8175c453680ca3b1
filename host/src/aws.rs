//! What all clients of AWS here have in common.

#[cfg(feature = "s3")]
pub(crate) mod s3;

use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

#[cfg(feature = "s3")]
use aws_sdk_s3::config::SharedHttpClient;
#[cfg(not(feature = "s3"))]
use aws_sdk_ssm::config::SharedHttpClient;

/// Connections of their own, with TLS by ring: it builds without cmake and starts without delay.
pub(crate) fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}
