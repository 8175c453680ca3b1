//! The requests of Lambda's Runtime API, version 2018-06-01: their paths, headers and bodies.
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use crate::error::{Blame, Code, Failure, Fault};
use crate::front::error_document;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use lambda_runtime_api_client::PooledClient;
use lambda_runtime_api_client::body::Body;

const PREFIX: &str = "/2018-06-01/runtime";

/// The Extensions API, on the same port.
const EXTENSION_PREFIX: &str = "/2020-01-01/extension";

/// By which an extension is known once it is registered.
const IDENTIFIER: &str = "lambda-extension-identifier";

/// The version of the runtime as Lambda's own telemetry shows it.
const USER_AGENT: &str = concat!("crunchbox/", env!("CARGO_PKG_VERSION"));

/// Why the Runtime API was of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("AWS_LAMBDA_RUNTIME_API is no address: expected host and port, got `{0}`")]
    Address(String),
    #[error("the Runtime API did not answer {request}")]
    Transport {
        request: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the Runtime API answered {request} with {status}: {body}")]
    Status {
        request: &'static str,
        status: u16,
        body: String,
    },
    #[error("the Runtime API gave an event without the header `{0}`")]
    Header(&'static str),
}

impl Fault for ApiError {
    fn code(&self) -> Code {
        match self {
            Self::Address(_) => Code::SettingInvalid,
            Self::Transport { .. } | Self::Status { .. } | Self::Header(_) => Code::RuntimeApi,
        }
    }
}

/// An event as it came, headers taken apart and nothing parsed.
#[derive(Debug)]
pub(super) struct NextEvent {
    pub(super) body: Bytes,
    pub(super) request_id: String,
    /// A nonce to be echoed, by which Lambda tells a late answer to an earlier try from this one's.
    invocation_id: Option<String>,
    pub(super) deadline_ms: Option<u64>,
    pub(super) trace_id: Option<String>,
    pub(super) tenant_id: Option<String>,
    pub(super) invoked_arn: Option<String>,
    pub(super) client_context: Option<String>,
    pub(super) identity: Option<String>,
}

#[derive(Debug)]
pub(super) struct RuntimeApi {
    client: PooledClient,
}

impl RuntimeApi {
    pub(super) fn new(address: &str) -> Result<Self, ApiError> {
        let endpoint = format!("http://{address}")
            .parse::<Uri>()
            .ok()
            .filter(|uri| uri.authority().is_some());
        let endpoint = endpoint.ok_or_else(|| ApiError::Address(address.to_owned()))?;
        Ok(Self {
            client: PooledClient::builder().with_endpoint(endpoint).build(),
        })
    }

    /// Waits for an event, however long: the process may be frozen meanwhile. Calls `arrived` as soon as one begins to
    /// come, from when on it is ours to answer.
    pub(super) async fn next(&self, arrived: impl FnOnce()) -> Result<NextEvent, ApiError> {
        let request = "next";
        let response = self
            .call(request, Method::GET, "/invocation/next", &[], Body::empty())
            .await?;
        arrived();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| ApiError::Transport {
            request,
            source: error.into(),
        })?;
        NextEvent::new(&parts.headers, body.to_bytes())
    }

    pub(super) async fn post_response(
        &self,
        next: &NextEvent,
        response: &str,
    ) -> Result<(), ApiError> {
        let path = format!("/invocation/{}/response", next.request_id);
        self.post("response", &path, &next.echo(), response.to_owned())
            .await
    }

    pub(super) async fn post_error(
        &self,
        next: &NextEvent,
        failure: &Failure,
    ) -> Result<(), ApiError> {
        let path = format!("/invocation/{}/error", next.request_id);
        let mut headers = next.echo();
        headers.push((
            "lambda-runtime-function-error-type",
            error_category(failure.code),
        ));
        self.post("error", &path, &headers, error_document(failure))
            .await
    }

    pub(super) async fn post_init_error(&self, failure: &Failure) -> Result<(), ApiError> {
        let headers = [(
            "lambda-runtime-function-error-type",
            error_category(failure.code),
        )];
        self.post(
            "init error",
            "/init/error",
            &headers,
            error_document(failure),
        )
        .await
    }

    /// Registers as an internal extension that wants to know of nothing; before the first `next`, or it is refused. Returns
    /// what it is called from then on.
    pub(super) async fn register(&self) -> Result<HeaderValue, ApiError> {
        let request = "extension register";
        let failed = |source| ApiError::Transport { request, source };
        let register = Request::builder()
            .method(Method::POST)
            .uri(format!("{EXTENSION_PREFIX}/register"))
            .header("lambda-extension-name", "crunchbox")
            .header("content-type", "application/json")
            .body(Body::from("{\"events\":[]}".to_owned()))
            .map_err(|error| failed(error.into()))?;
        let registered = self.client.call(register).await.map_err(failed)?;
        let identifier = registered.headers().get(IDENTIFIER).cloned();
        match (registered.status().is_success(), identifier) {
            (true, Some(identifier)) => Ok(identifier),
            (true, None) => Err(ApiError::Header(IDENTIFIER)),
            (false, _) => Err(ApiError::Status {
                request,
                status: registered.status().as_u16(),
                body: String::new(),
            }),
        }
    }

    /// Asks for the next event of an extension that wants none, so that nobody waits for it. Does not return.
    pub(super) async fn wait_as(&self, extension: HeaderValue) -> std::convert::Infallible {
        let next = Request::builder()
            .uri(format!("{EXTENSION_PREFIX}/event/next"))
            .header(IDENTIFIER, extension)
            .body(Body::empty());
        if let Ok(next) = next {
            let _never = self.client.call(next).await;
        }
        std::future::pending().await
    }

    async fn post(
        &self,
        request: &'static str,
        path: &str,
        headers: &[(&str, String)],
        body: String,
    ) -> Result<(), ApiError> {
        let response = self
            .call(request, Method::POST, path, headers, Body::from(body))
            .await?;
        // Read to the end, so that the connection serves the next request.
        let drained = response.into_body().collect().await;
        drained.map(drop).map_err(|error| ApiError::Transport {
            request,
            source: error.into(),
        })
    }

    async fn call(
        &self,
        request: &'static str,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: Body,
    ) -> Result<Response<Incoming>, ApiError> {
        let failed = |source| ApiError::Transport { request, source };
        let mut builder = Request::builder()
            .method(method)
            .uri(format!("{PREFIX}{path}"));
        builder = builder
            .header("user-agent", USER_AGENT)
            .header("content-type", "application/json");
        for (name, value) in headers {
            builder = builder.header(*name, value);
        }
        let ready = builder.body(body).map_err(|error| failed(error.into()))?;
        let response = self.client.call(ready).await.map_err(failed)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let body = response
            .into_body()
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        Err(ApiError::Status {
            request,
            status,
            body: String::from_utf8_lossy(&body).trim().to_owned(),
        })
    }
}

impl NextEvent {
    fn new(headers: &HeaderMap, body: Bytes) -> Result<Self, ApiError> {
        let text = |name: &str| {
            let value = headers.get(name)?;
            (!value.is_empty()).then(|| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        const REQUEST_ID: &str = "lambda-runtime-aws-request-id";
        Ok(Self {
            body,
            request_id: text(REQUEST_ID).ok_or(ApiError::Header(REQUEST_ID))?,
            invocation_id: text("lambda-runtime-invocation-id"),
            deadline_ms: text("lambda-runtime-deadline-ms").and_then(|ms| ms.parse().ok()),
            trace_id: text("lambda-runtime-trace-id"),
            tenant_id: text("lambda-runtime-aws-tenant-id"),
            invoked_arn: text("lambda-runtime-invoked-function-arn"),
            client_context: text("lambda-runtime-client-context"),
            identity: text("lambda-runtime-cognito-identity"),
        })
    }

    fn echo(&self) -> Vec<(&'static str, String)> {
        self.invocation_id
            .iter()
            .map(|id| ("lambda-runtime-invocation-id", id.clone()))
            .collect()
    }
}

/// `category.Reason`, the only form that Lambda's telemetry keeps; all else becomes `Runtime.Unknown` there.
fn error_category(code: Code) -> String {
    let category = match code.meaning().blame {
        Blame::Guest | Blame::Caller | Blame::Config => "Function",
        Blame::Store | Blame::Host => "Runtime",
    };
    code.name().replacen("Crunchbox", category, 1)
}
