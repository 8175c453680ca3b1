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

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use jiff::Timestamp;
    use std::sync::atomic::AtomicUsize;
    use tokio::sync::{Notify, Semaphore};

    /// A clock moved by hand.
    #[derive(Debug)]
    struct Hand(Mutex<Moment>);

    impl Clock for Hand {
        fn now(&self) -> Moment {
            *self.0.lock().unwrap()
        }
    }

    /// A secret, or why there is none: whether it helps to ask again.
    type Answer = Result<&'static str, bool>;

    /// Keeps one secret behind a gate and counts who asks for it.
    #[derive(Debug)]
    struct Gate {
        answer: Mutex<Answer>,
        asked: AtomicUsize,
        is_asked: Notify,
        open: Semaphore,
    }

    #[async_trait]
    impl Keep for Gate {
        async fn fetch(&self, reference: &Reference) -> Result<SecretText, SecretError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.is_asked.notify_one();
            let _open = self
                .open
                .acquire()
                .await
                .expect("nobody takes the gate away");
            let answer = *self.answer.lock().unwrap();
            answer
                .map(SecretText::new)
                .map_err(|retryable| SecretError {
                    reference: reference.to_string(),
                    problem: "it is down".to_owned(),
                    retryable,
                })
        }
    }

    struct Rig {
        gate: Arc<Gate>,
        hand: Arc<Hand>,
        vault: Vault,
    }

    const TIME: Duration = Duration::from_secs(60);

    const SECOND: Duration = Duration::from_secs(1);

    impl Rig {
        /// A vault whose keeper gives no answer before its gate is opened.
        fn closed(answer: Answer) -> Self {
            let gate = Arc::new(Gate {
                answer: Mutex::new(answer),
                asked: AtomicUsize::new(0),
                is_asked: Notify::new(),
                open: Semaphore::new(0),
            });
            let hand = Arc::new(Hand(Mutex::new(Moment {
                steady: Duration::ZERO,
                wall: Timestamp::UNIX_EPOCH,
            })));
            let vault = Vault::with_keeper(
                Environment::from_iter([("DB_PASSWORD", "hunter2")]),
                Some(TIME),
                Arc::clone(&gate) as Arc<dyn Keep>,
                Arc::clone(&hand) as Arc<dyn Clock>,
            );
            Self { gate, hand, vault }
        }

        fn new(answer: Answer) -> Self {
            let rig = Self::closed(answer);
            rig.open();
            rig
        }

        fn open(&self) {
            self.gate.open.add_permits(1);
        }

        fn answers(&self, answer: Answer) {
            *self.gate.answer.lock().unwrap() = answer;
        }

        fn forward(&self, time: Duration) {
            self.hand.0.lock().unwrap().steady += time;
        }

        fn asked(&self) -> usize {
            self.gate.asked.load(Ordering::SeqCst)
        }

        /// The secret, or whether it helps to ask again.
        async fn get(&self) -> Result<String, bool> {
            let secret = self.vault.get(&reference("ssm:/db")).await;
            secret
                .map(|secret| secret.reveal().to_owned())
                .map_err(|error| error.retryable)
        }
    }

    fn reference(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn many_who_ask_at_once_share_one_request_and_its_answer_good_or_bad() {
        for answer in [Ok("hunter2"), Err(true), Err(false)] {
            let rig = Rig::closed(answer);
            let keeper = async {
                rig.gate.is_asked.notified().await;
                rig.open();
            };
            let (answers, ()) = tokio::join!(join_all((0..8).map(|_| rig.get())), keeper);
            assert_eq!(answers, vec![answer.map(str::to_owned); 8]);
            assert_eq!(rig.asked(), 1);
        }
    }

    #[tokio::test]
    async fn clones_of_a_vault_share_what_they_keep() {
        let rig = Rig::new(Ok("one"));
        rig.vault.clone().get(&reference("ssm:/db")).await.unwrap();
        rig.vault.clone().get(&reference("ssm:/db")).await.unwrap();
        assert_eq!(rig.asked(), 1);
    }

    #[tokio::test]
    async fn each_secret_is_asked_for_by_itself() {
        let rig = Rig::new(Ok("one"));
        for text in [
            "ssm:/a",
            "ssm:/b",
            "secretsmanager:/a",
            "secretsmanager:/a#b",
        ] {
            rig.vault.get(&reference(text)).await.unwrap();
        }
        assert_eq!(rig.asked(), 4);
    }

    #[tokio::test]
    async fn a_secret_is_believed_for_its_time_to_live_and_then_asked_for_anew() {
        let rig = Rig::new(Ok("one"));
        assert_eq!(rig.get().await.as_deref(), Ok("one"));
        rig.answers(Ok("two"));
        rig.forward(TIME - SECOND);
        assert_eq!(rig.get().await.as_deref(), Ok("one"));
        assert_eq!(rig.asked(), 1);
        rig.forward(SECOND);
        assert_eq!(rig.get().await.as_deref(), Ok("two"));
        assert_eq!(rig.get().await.as_deref(), Ok("two"));
        assert_eq!(rig.asked(), 2);
    }

    #[tokio::test]
    async fn a_secret_ages_by_the_time_of_day_too() {
        let rig = Rig::new(Ok("one"));
        rig.get().await.unwrap();
        rig.hand.0.lock().unwrap().wall += jiff::SignedDuration::from_secs(60);
        rig.get().await.unwrap();
        assert_eq!(rig.asked(), 2);
    }

    #[tokio::test]
    async fn an_outage_leaves_the_old_secret_serving_and_is_not_asked_about_all_the_time() {
        let rig = Rig::new(Ok("one"));
        rig.get().await.unwrap();
        rig.answers(Err(true));
        rig.forward(TIME);
        for _ in 0..3 {
            assert_eq!(rig.get().await.as_deref(), Ok("one"));
        }
        assert_eq!(rig.asked(), 2);
        rig.forward(REST - SECOND);
        assert_eq!((rig.get().await.as_deref(), rig.asked()), (Ok("one"), 2));
        rig.forward(SECOND);
        assert_eq!((rig.get().await.as_deref(), rig.asked()), (Ok("one"), 3));
    }

    #[tokio::test]
    async fn after_an_outage_the_new_secret_serves() {
        let rig = Rig::new(Ok("one"));
        rig.get().await.unwrap();
        rig.answers(Err(true));
        rig.forward(TIME);
        assert_eq!(rig.get().await.as_deref(), Ok("one"));
        rig.answers(Ok("two"));
        rig.forward(REST);
        assert_eq!(rig.get().await.as_deref(), Ok("two"));
        rig.forward(TIME - SECOND);
        assert_eq!((rig.get().await.as_deref(), rig.asked()), (Ok("two"), 3));
    }

    #[tokio::test]
    async fn an_outage_that_lasts_too_long_ends_the_old_secret() {
        let rig = Rig::new(Ok("one"));
        rig.get().await.unwrap();
        rig.answers(Err(true));
        rig.forward(TIME + GRACE - SECOND);
        assert_eq!(rig.get().await.as_deref(), Ok("one"));
        rig.forward(SECOND);
        assert_eq!(rig.get().await, Err(true));
    }

    #[tokio::test]
    async fn a_secret_that_was_never_had_fails_and_is_asked_for_again() {
        let rig = Rig::new(Err(true));
        assert_eq!(rig.get().await, Err(true));
        rig.answers(Ok("one"));
        assert_eq!(rig.get().await.as_deref(), Ok("one"));
        assert_eq!(rig.asked(), 2);
    }

    #[tokio::test]
    async fn a_refusal_ends_the_old_secret_at_once() {
        let rig = Rig::new(Ok("one"));
        rig.get().await.unwrap();
        rig.answers(Err(false));
        rig.forward(TIME);
        assert_eq!(rig.get().await, Err(false));
        rig.answers(Err(true));
        assert_eq!(
            rig.get().await,
            Err(true),
            "what was refused does not come back"
        );
    }

    #[tokio::test]
    async fn one_who_gives_up_takes_nothing_from_the_next() {
        let rig = Rig::closed(Ok("one"));
        tokio::select! {
            _ = rig.get() => unreachable!("the gate is closed"),
            () = rig.gate.is_asked.notified() => {}
        }
        rig.open();
        assert_eq!(rig.get().await.as_deref(), Ok("one"));
    }

    #[tokio::test]
    async fn a_variable_is_read_without_asking_anybody() {
        let rig = Rig::closed(Err(false));
        let secret = rig.vault.get(&reference("env:DB_PASSWORD")).await.unwrap();
        assert_eq!(secret.reveal(), "hunter2");
        let error = rig.vault.get(&reference("env:OTHER")).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the secret `env:OTHER` cannot be had: the variable is not set"
        );
        assert!(!error.retryable);
        assert_eq!(rig.asked(), 0);
    }

    #[tokio::test]
    async fn an_empty_vault_has_no_secret() {
        let vault = Vault::empty();
        for text in ["env:DB_PASSWORD", "ssm:/db"] {
            let error = vault.get(&reference(text)).await.unwrap_err();
            assert!(!error.retryable && error.reference == text);
        }
    }

    #[tokio::test]
    async fn no_secret_is_shown_for_debugging() {
        let rig = Rig::new(Ok("hunter2"));
        let secret = rig.vault.get(&reference("ssm:/db")).await.unwrap();
        let place = rig.vault.place(&reference("ssm:/db"));
        let shown = format!("{secret:?} {place:?} {:?}", rig.vault.0.environment);
        assert!(
            shown.contains("***") && !shown.contains("hunter2"),
            "{shown}"
        );
        // The keeper of this test holds the secret itself, and shows it.
        rig.answers(Err(true));
        assert!(!format!("{:?}", rig.vault).contains("hunter2"));
    }

    #[test]
    fn without_a_runtime_a_secret_cannot_be_asked_for() {
        let rig = Rig::new(Ok("one"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        assert_eq!(runtime.block_on(rig.get()), Err(true));
        assert_eq!(rig.asked(), 0);
    }
}
