//! What all clients of AWS here have in common.

#[cfg(feature = "dev")]
pub(crate) mod frame;
#[cfg(feature = "dev")]
pub(crate) mod http;
#[cfg(feature = "s3")]
pub(crate) mod s3;

use aws_config::{ConfigLoader, SdkConfig};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use futures_util::future::BoxFuture;

/// Reads what AWS's own tools are set to. The future lies on the heap, and comes from a frame that is gone before it runs: it has
/// 11 kB, which each event and each start would carry along otherwise, though few have a use for it.
#[inline(never)]
pub(crate) fn load(loader: ConfigLoader) -> BoxFuture<'static, SdkConfig> {
    Box::pin(loader.load())
}

/// Connections of their own, with TLS by ring: it builds without cmake and starts without delay.
pub(crate) fn http_client() -> SharedHttpClient {
    let tls = Provider::Rustls(CryptoMode::Ring);
    SharedHttpClient::new(ByScheme {
        plain: Builder::new().build_http(),
        secure: Builder::new().tls_provider(tls).build_https(),
    })
}

/// Reads this machine's certificate authorities, a hundred and more of them, when the first request has a use for them.
#[derive(Debug, Clone)]
struct ByScheme {
    plain: SharedHttpClient,
    secure: SharedHttpClient,
}

impl HttpClient for ByScheme {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Chooser {
            clients: self.clone(),
            settings: settings.clone(),
            components: components.clone(),
        })
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.plain.connector_metadata()
    }
}

/// The connector of a client that has one for each scheme. Each keeps its connections, by the settings asked for.
#[derive(Debug)]
struct Chooser {
    clients: ByScheme,
    settings: HttpConnectorSettings,
    components: RuntimeComponents,
}

impl HttpConnector for Chooser {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = match request.uri().starts_with("http:") {
            true => &self.clients.plain,
            false => &self.clients.secure,
        };
        client
            .http_connector(&self.settings, &self.components)
            .call(request)
    }
}
