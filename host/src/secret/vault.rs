//! Gets the secrets that references stand for: when somebody asks, once for all who ask at the same time, and again when
//! the time to live has passed.

use super::{Keeper, Reference};
use crate::clock::{Clock, Moment, SystemClock};
use crate::error::{Code, Fault};
use crate::settings::Environment;
use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// How long a secret is believed unless the policy says otherwise: as long as AWS's own extension caches one.
const TIME_TO_LIVE: Duration = Duration::from_secs(300);

/// How long one that can't be had anew serves on, after its time to live.
const GRACE: Duration = Duration::from_secs(3600);

/// How long one serves on then before it is asked for again.
const REST: Duration = Duration::from_secs(15);

/// How long an event waits for a secret to be had anew while an old one could serve.
const PATIENCE: Duration = Duration::from_millis(500);

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

/// What is known of one secret.
#[derive(Default)]
struct Place(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// The last one that was had, and when.
    secret: Option<(SecretText, Moment)>,
    /// Why it could not be had, and when.
    failed: Option<(SecretError, Moment)>,
    /// The question that is under way, for all who ask meanwhile.
    asking: Option<Shared<BoxFuture<'static, Result<SecretText, SecretError>>>>,
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// What is to be said without asking.
    fn answer(
        &self,
        now: &Moment,
        time_to_live: Duration,
    ) -> Option<Result<SecretText, SecretError>> {
        if let Some((secret, at)) = &self.secret
            && now.since(at) < time_to_live
        {
            return Some(Ok(secret.clone()));
        }
        let (error, at) = self.failed.as_ref()?;
        if now.since(at) >= REST {
            return None;
        }
        match self.old(now, time_to_live) {
            Some(secret) => Some(Ok(secret)),
            // What may come back at any moment is asked for again.
            None if error.retryable => None,
            None => Some(Err(error.clone())),
        }
    }

    /// A secret that serves on though it could not be had anew.
    fn old(&self, now: &Moment, time_to_live: Duration) -> Option<SecretText> {
        let (secret, at) = self.secret.as_ref()?;
        (now.since(at) < time_to_live + GRACE).then(|| secret.clone())
    }

    /// Takes an answer in; an outage of the keeper is no outage of the function.
    fn learned(
        &mut self,
        answer: Result<SecretText, SecretError>,
        now: Moment,
        time_to_live: Duration,
    ) -> Result<SecretText, SecretError> {
        self.asking = None;
        match answer {
            Ok(secret) => {
                self.secret = Some((secret.clone(), now));
                self.failed = None;
                Ok(secret)
            }
            Err(error) => {
                if !error.retryable {
                    self.secret = None;
                }
                self.failed = Some((error.clone(), now));
                self.old(&now, time_to_live).ok_or(error)
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
        let (asking, old) = {
            let now = self.0.clock.now();
            let mut known = place.lock();
            if let Some(answer) = known.answer(&now, self.0.time_to_live) {
                return answer;
            }
            let old = known.old(&now, self.0.time_to_live);
            let asking = match &known.asking {
                Some(asking) => asking.clone(),
                None => {
                    let asking = self.ask(reference, &place).boxed().shared();
                    known.asking.insert(asking).clone()
                }
            };
            (asking, old)
        };
        match old {
            None => asking.await,
            // The question goes on by itself; the next event has its answer.
            Some(old) => match tokio::time::timeout(PATIENCE, asking).await {
                Ok(answer) => answer,
                Err(_) => Ok(old),
            },
        }
    }

    fn variable(&self, reference: &Reference) -> Result<SecretText, SecretError> {
        let value = self.0.environment.get(&reference.name);
        let value = value.ok_or_else(|| "the variable is not set".to_owned());
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

    /// Asks the keeper, on a task of its own: an event that is over ends no question, and its answer is remembered.
    fn ask(
        &self,
        reference: &Reference,
        place: &Arc<Place>,
    ) -> impl Future<Output = Result<SecretText, SecretError>> + Send + 'static + use<> {
        let failed = {
            let reference = reference.to_string();
            move |problem: String| SecretError {
                reference: reference.clone(),
                problem,
                retryable: true,
            }
        };
        let (inner, wanted, place) = (Arc::clone(&self.0), reference.clone(), Arc::clone(place));
        let asking = {
            let (failed, place) = (failed.clone(), Arc::clone(&place));
            async move {
                let answer = tokio::time::timeout(FETCH_TIME, inner.keeper.fetch(&wanted)).await;
                let late = || format!("no answer within {}", crate::quantity::Time(FETCH_TIME));
                let answer = answer.unwrap_or_else(|_| Err(failed(late())));
                let now = inner.clock.now();
                place.lock().learned(answer, now, inner.time_to_live)
            }
        };
        let task = self.0.runtime.as_ref().map(|runtime| runtime.spawn(asking));
        async move {
            let problem = match task {
                None => "there is no runtime to ask from",
                Some(task) => match task.await {
                    Ok(answer) => return answer,
                    Err(_) => "the question was broken off",
                },
            };
            place.lock().asking = None;
            Err(failed(problem.to_owned()))
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

#[cfg(test)]
mod tests;
