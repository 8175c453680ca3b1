//! Secrets in AWS: SSM's Parameter Store and Secrets Manager, by AWS's SDK with this process's credentials.

use super::{Keep, Keeper, Reference, SecretError, SecretText};
use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_secretsmanager::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use std::time::Duration;
use tokio::sync::OnceCell;

const CONNECT_TIME: Duration = Duration::from_secs(2);
const ATTEMPT_TIME: Duration = Duration::from_secs(4);

/// The most of AWS's words that are told.
const WORDS_MAX: usize = 512;

/// The clients, made when the first secret is asked for: most functions have none.
#[derive(Debug, Default)]
pub(super) struct Aws(OnceCell<Clients>);

#[derive(Debug)]
struct Clients {
    ssm: aws_sdk_ssm::Client,
    secrets_manager: aws_sdk_secretsmanager::Client,
}

impl Aws {
    async fn clients(&self) -> &Clients {
        self.0
            .get_or_init(|| async {
                let config = config().await;
                Clients {
                    ssm: aws_sdk_ssm::Client::new(&config),
                    secrets_manager: aws_sdk_secretsmanager::Client::new(&config),
                }
            })
            .await
    }
}

async fn config() -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIME)
        .operation_attempt_timeout(ATTEMPT_TIME);
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(crate::aws::http_client())
        .timeout_config(timeouts.build())
        .retry_config(RetryConfig::standard().with_max_attempts(2))
        .load()
        .await
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
    let (words, retryable) = match refused {
        Some(meta) => {
            let code = meta.code().unwrap_or("an error without a code");
            let throttled = code.contains("Throttl") || code.contains("InternalS");
            let message = meta.message().unwrap_or_default();
            (format!("{code} {message}"), throttled)
        }
        None => (DisplayErrorContext(error).to_string(), true),
    };
    SecretError {
        reference: reference.to_string(),
        problem: words.trim().chars().take(WORDS_MAX).collect(),
        retryable,
    }
}
