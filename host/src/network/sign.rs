//! Signatures by AWS's rules (SigV4), with the credentials that this machine has. The guest never sees them.

use crate::grant::Signing;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName};
use http::{Request, header};
use std::time::{Duration, SystemTime};
use tokio::sync::OnceCell;

/// What a guest could put into a request to be signed in another way.
const OWN: [HeaderName; 5] = [
    AUTHORIZATION,
    HeaderName::from_static("x-amz-date"),
    HeaderName::from_static("x-amz-security-token"),
    HeaderName::from_static("x-amz-content-sha256"),
    header::EXPECT,
];

/// How long credentials may take to be had.
const CREDENTIALS_TIME: Duration = Duration::from_secs(5);

/// Signs requests.
#[derive(Debug, Default)]
pub(crate) struct Signer {
    account: OnceCell<Account>,
}

#[derive(Debug)]
struct Account {
    credentials: SharedCredentialsProvider,
    region: Option<String>,
}

impl Signer {
    /// Finds out where credentials are had from, before any event needs one.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) async fn prepare(&self) -> Result<(), String> {
        self.account().await.map(|_| ())
    }

    async fn account(&self) -> Result<&Account, String> {
        let load = async {
            let loader = aws_config::defaults(aws_config::BehaviorVersion::latest())
                .http_client(crate::aws::http_client());
            let config = crate::aws::load(loader).await;
            let credentials = config.credentials_provider();
            let credentials = credentials.ok_or("this machine has no AWS credentials")?;
            Ok(Account {
                credentials,
                region: config.region().map(ToString::to_string),
            })
        };
        self.account.get_or_try_init(|| load).await
    }

    /// Signs a request whose body is whole.
    ///
    /// # Errors
    /// Why not, without a credential in it.
    pub(crate) async fn sign(
        &self,
        request: &mut Request<Bytes>,
        signing: &Signing,
    ) -> Result<(), String> {
        for name in OWN {
            request.headers_mut().remove(name);
        }
        let account = self.account().await?;
        let region = signing.region.as_ref().or(account.region.as_ref());
        let region = region.ok_or("no region is known to sign for: say `region` in the grant")?;
        let credentials =
            tokio::time::timeout(CREDENTIALS_TIME, account.credentials.provide_credentials());
        let credentials = credentials
            .await
            .map_err(|_| "no AWS credentials in time")?;
        let credentials = credentials.map_err(|error| format!("no AWS credentials: {error}"))?;
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(&signing.service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?;
        let headers = request
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let uri = request.uri().to_string();
        let signable = SignableRequest::new(
            request.method().as_str(),
            &uri,
            headers,
            SignableBody::Bytes(request.body()),
        );
        let signable = signable.map_err(|error| error.to_string())?;
        let signed = sign(signable, &params.into()).map_err(|error| error.to_string())?;
        let (instructions, _) = signed.into_parts();
        instructions.apply_to_request_http1x(request);
        Ok(())
    }
}
