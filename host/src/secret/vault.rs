//! Gets the secrets that references stand for: when somebody asks, once for all who ask at the same time, and again when
//! the time to live has passed.

use super::{Keeper, Reference};
use crate::clock::{Clock, Moment, SystemClock};
use crate::error::{Code, Fault};
use crate::settings::Environment;
use async_trait::async_trait;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// How long a secret is believed unless the policy says otherwise: as long as AWS's own extension caches one.
const TIME_TO_LIVE: Duration = Duration::from_secs(300);

/// How long one that can't be had anew serves on, after its time to live.
const GRACE: Duration = Duration::from_secs(3600);

/// How long one serves on then before it is asked for again.
const REST: Duration = Duration::from_secs(15);

/// The longest that fetching one may take. The event's own time ends sooner, as a rule.
const FETCH_TIME: Duration = Duration::from_secs(10);

/// A secret. Only whoever asks for its text sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Arc<str>);

impl SecretText {
    /// Keeps a text from being shown.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a secret cannot be had. Says where it is kept, never what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret `{reference}` cannot be had: {problem}")]
pub struct SecretError {
    /// Where it should be.
    pub reference: String,
    /// The keeper's words.
    pub problem: String,
    /// Whether asking again later may help.
    pub retryable: bool,
}

impl Fault for SecretError {
    fn code(&self) -> Code {
        Code::SecretUnavailable
    }
}

/// Who keeps secrets elsewhere.
#[async_trait]
pub trait Keep: fmt::Debug + Send + Sync {
    /// Gets one. Its reference names SSM or Secrets Manager.
    ///
    /// # Errors
    /// The keeper's words, and whether asking again may help.
    async fn fetch(&self, reference: &Reference) -> Result<SecretText, SecretError>;
}

/// Gets secrets, and keeps them for their time to live. Clones share what they keep.
#[derive(Debug, Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    environment: Environment,
    keeper: Arc<dyn Keep>,
    time_to_live: Duration,
    clock: Arc<dyn Clock>,
    /// Where requests run: a guest's thread has no network.
    runtime: Option<Handle>,
    places: Mutex<HashMap<Reference, Arc<Place>>>,
}

impl fmt::Debug for Inner {
    /// Without the environment, which has secrets in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("keeper", &self.keeper)
            .field("time_to_live", &self.time_to_live)
            .finish_non_exhaustive()
    }
}

/// What is known of one secret. Whoever holds the lock asks for it; the others wait for the answer.
#[derive(Debug, Default)]
struct Place {
    known: tokio::sync::Mutex<Known>,
    /// How many questions have been answered.
    answered: AtomicU64,
}

#[derive(Debug, Default)]
struct Known {
    /// The last one that was had, and when.
    secret: Option<(SecretText, Moment)>,
    /// When it could not be had anew.
    failed: Option<Moment>,
    /// The last answer, and the number of the question.
    answer: Option<(Result<SecretText, SecretError>, u64)>,
}

impl Known {
    /// The secret, if there is no need to ask for it.
    fn fresh(&self, now: &Moment, time_to_live: Duration) -> Option<SecretText> {
        let (secret, at) = self.secret.as_ref()?;
        let is_young = now.since(at) < time_to_live;
        let rests = self.failed.is_some_and(|failed| now.since(&failed) < REST);
        (is_young || (rests && self.may_serve(now, time_to_live))).then(|| secret.clone())
    }

    /// Whether a secret that can't be had anew serves on.
    fn may_serve(&self, now: &Moment, time_to_live: Duration) -> bool {
        let at = self.secret.as_ref().map(|(_, at)| at);
        at.is_some_and(|at| now.since(at) < time_to_live + GRACE)
    }

    /// Takes an answer in; an outage of the keeper is no outage of the function.
    fn learned(
        &mut self,
        answer: Result<SecretText, SecretError>,
        now: Moment,
        time_to_live: Duration,
    ) -> Result<SecretText, SecretError> {
        match answer {
            Ok(secret) => {
                self.secret = Some((secret.clone(), now));
                self.failed = None;
                Ok(secret)
            }
            Err(error) => {
                self.failed = Some(now);
                match &self.secret {
                    Some((secret, _)) if error.retryable && self.may_serve(&now, time_to_live) => {
                        Ok(secret.clone())
                    }
                    _ => {
                        self.secret = None;
                        Err(error)
                    }
                }
            }
        }
    }
}

impl Vault {
    /// A vault that asks AWS, and this environment.
    pub fn new(environment: Environment, time_to_live: Option<Duration>) -> Self {
        #[cfg(feature = "secrets")]
        let keeper = Arc::new(super::aws::Aws::default());
        #[cfg(not(feature = "secrets"))]
        let keeper = Arc::new(Nobody);
        Self::with_keeper(
            environment,
            time_to_live,
            keeper,
            Arc::new(SystemClock::default()),
        )
    }

    /// A vault that asks somebody else than AWS, by another clock.
    pub fn with_keeper(
        environment: Environment,
        time_to_live: Option<Duration>,
        keeper: Arc<dyn Keep>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(Inner {
            environment,
            keeper,
            time_to_live: time_to_live.unwrap_or(TIME_TO_LIVE),
            clock,
            runtime: Handle::try_current().ok(),
            places: Mutex::default(),
        }))
    }

    /// A vault with nothing in it: every secret is missing.
    pub fn empty() -> Self {
        let clock = Arc::new(SystemClock::default());
        Self::with_keeper(Environment::default(), None, Arc::new(Nobody), clock)
    }

    /// Gets a secret. Its reference has been filled and granted before.
    ///
    /// # Errors
    /// [`SecretError`].
    pub async fn get(&self, reference: &Reference) -> Result<SecretText, SecretError> {
        if reference.keeper == Keeper::Environment {
            return self.variable(reference);
        }
        let place = self.place(reference);
        let answered = place.answered.load(Ordering::Acquire);
        let mut known = place.known.lock().await;
        if let Some((answer, number)) = &known.answer
            && *number > answered
        {
            // It was asked for while this one waited.
            return answer.clone();
        }
        let now = self.0.clock.now();
        if let Some(secret) = known.fresh(&now, self.0.time_to_live) {
            return Ok(secret);
        }
        let answer = self.fetch(reference).await;
        let answer = known.learned(answer, now, self.0.time_to_live);
        let number = place.answered.fetch_add(1, Ordering::AcqRel) + 1;
        known.answer = Some((answer.clone(), number));
        answer
    }

    fn variable(&self, reference: &Reference) -> Result<SecretText, SecretError> {
        let value = self.0.environment.get(&reference.name);
        let value = value.ok_or("the variable is not set".to_owned());
        let text = value.and_then(|value| {
            let text = value.into_string();
            text.map_err(|_| "expected UTF-8 in the variable".to_owned())
        });
        match text {
            Ok(text) => Ok(SecretText::new(&text)),
            Err(problem) => Err(SecretError {
                reference: reference.to_string(),
                problem,
                retryable: false,
            }),
        }
    }

    fn place(&self, reference: &Reference) -> Arc<Place> {
        let mut places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.entry(reference.clone()).or_default())
    }

    async fn fetch(&self, reference: &Reference) -> Result<SecretText, SecretError> {
        let failed = |problem: String| SecretError {
            reference: reference.to_string(),
            problem,
            retryable: true,
        };
        let Some(runtime) = &self.0.runtime else {
            return Err(failed("there is no runtime to ask from".to_owned()));
        };
        let (keeper, wanted) = (Arc::clone(&self.0.keeper), reference.clone());
        let task = async move { tokio::time::timeout(FETCH_TIME, keeper.fetch(&wanted)).await };
        match runtime.spawn(task).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(failed(format!(
                "no answer within {}",
                crate::quantity::Time(FETCH_TIME)
            ))),
            Err(_) => Err(failed("the request was broken off".to_owned())),
        }
    }
}

/// Keeps nothing.
#[derive(Debug)]
struct Nobody;

#[async_trait]
impl Keep for Nobody {
    async fn fetch(&self, reference: &Reference) -> Result<SecretText, SecretError> {
        Err(SecretError {
            reference: reference.to_string(),
            problem: "this program was built without AWS's secrets".to_owned(),
            retryable: false,
        })
    }
}
