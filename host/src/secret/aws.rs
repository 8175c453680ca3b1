//! Secrets in AWS: SSM's Parameter Store and Secrets Manager, by AWS's SDK with this process's credentials.

use super::{Keep, Keeper, Reference, SecretError, SecretText};
use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use jiff::Timestamp;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

const CONNECT_TIME: Duration = Duration::from_secs(2);
const ATTEMPT_TIME: Duration = Duration::from_secs(4);

/// What the codes of answers say that will be the same when asked again: there is none, or it is not for us.
const FINAL: [&str; 5] = [
    "NotFound",
    "AccessDenied",
    "Validation",
    "InvalidParameter",
    "InvalidKeyId",
];

/// The most of AWS's words that are told.
const WORDS_MAX: usize = 512;

/// After so long a connection may lead nowhere: the process may have slept.
const CONNECTION_TIME: Duration = Duration::from_secs(20);

/// The clients, made when the first secret is asked for: most functions have none.
#[derive(Debug, Default)]
pub(super) struct Aws {
    config: OnceCell<SdkConfig>,
    clients: Mutex<Option<(Clients, Timestamp)>>,
}

#[derive(Debug, Clone)]
struct Clients {
    ssm: aws_sdk_ssm::Client,
    secrets_manager: aws_sdk_secretsmanager::Client,
}

impl Aws {
    /// The clients of a moment ago, else new ones with the same credentials and new connections.
    async fn clients(&self) -> Clients {
        let config = self.config.get_or_init(config).await;
        let now = Timestamp::now();
        let mut kept = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let is_young = |at: Timestamp| {
            let age = Duration::try_from(now.duration_since(at));
            age.is_ok_and(|age| age < CONNECTION_TIME)
        };
        if let Some((clients, used)) = kept.as_mut()
            && is_young(*used)
        {
            *used = now;
            return clients.clone();
        }
        let http = crate::aws::http_client();
        let config = config.to_builder().http_client(http).build();
        let clients = Clients {
            ssm: aws_sdk_ssm::Client::new(&config),
            secrets_manager: aws_sdk_secretsmanager::Client::new(&config),
        };
        *kept = Some((clients.clone(), now));
        clients
    }
}

async fn config() -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIME)
        .operation_attempt_timeout(ATTEMPT_TIME);
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(crate::aws::http_client())
        .timeout_config(timeouts.build())
        .retry_config(RetryConfig::standard().with_max_attempts(2));
    crate::aws::load(loader).await
}

#[async_trait]
impl Keep for Aws {
    async fn fetch(&self, reference: &Reference) -> Result<SecretText, SecretError> {
        let clients = self.clients().await;
        let text = match reference.keeper {
            Keeper::Ssm => {
                let request = clients.ssm.get_parameter().name(&reference.name);
                let answer = request.with_decryption(true).send().await;
                let answer = answer.map_err(|error| failed(reference, &error))?;
                answer.parameter.and_then(|parameter| parameter.value)
            }
            Keeper::SecretsManager => {
                let request = clients.secrets_manager.get_secret_value();
                let answer = request.secret_id(&reference.name).send().await;
                answer
                    .map_err(|error| failed(reference, &error))?
                    .secret_string
            }
            Keeper::Environment => None,
        };
        let text = text.ok_or_else(|| problem(reference, "expected a text, got none"))?;
        match &reference.key {
            None => Ok(SecretText::new(&text)),
            Some(key) => inside(reference, &text, key),
        }
    }
}

/// The value of a key in a secret that is a JSON object, as Secrets Manager's console makes them.
fn inside(reference: &Reference, text: &str, key: &str) -> Result<SecretText, SecretError> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|_| {
            problem(
                reference,
                "expected a JSON object with keys, got something else",
            )
        })?;
    match object.get(key) {
        Some(serde_json::Value::String(text)) => Ok(SecretText::new(text)),
        Some(other) => Ok(SecretText::new(&other.to_string())),
        None => Err(problem(reference, "expected that key in it, got none")),
    }
}

fn problem(reference: &Reference, problem: &str) -> SecretError {
    SecretError {
        reference: reference.to_string(),
        problem: problem.to_owned(),
        retryable: false,
    }
}

/// What AWS, or the way there, had to say.
fn failed<E, R>(reference: &Reference, error: &SdkError<E, R>) -> SecretError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let refused = error.as_service_error().map(ProvideErrorMetadata::meta);
    let code = refused.and_then(|meta| meta.code()).unwrap_or_default();
    let words = match refused.and_then(|meta| meta.message()) {
        Some(message) => format!("{code} {message}"),
        None if code.is_empty() => crate::error::chain(error),
        None => code.to_owned(),
    };
    let retryable = !FINAL.iter().any(|word| code.contains(word));
    SecretError {
        reference: reference.to_string(),
        problem: words.trim().chars().take(WORDS_MAX).collect(),
        retryable,
    }
}
