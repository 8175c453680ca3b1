//! Vaults with a keeper and a clock moved by hand.

use super::*;
use futures_util::future::join_all;
use jiff::Timestamp;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    rig.forward(REST);
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
    let shown = format!("{secret:?} {:?}", rig.vault.0.environment);
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

#[tokio::test]
async fn an_event_that_is_over_ends_no_question_and_the_next_event_has_its_answer() {
    let rig = Rig::closed(Ok("hunter2"));
    let reference = reference("ssm:/db");
    let mut first = Box::pin(rig.vault.get(&reference));
    assert!(futures_util::poll!(&mut first).is_pending());
    rig.gate.is_asked.notified().await;
    drop(first);
    rig.open();
    assert_eq!(rig.get().await.as_deref(), Ok("hunter2"));
    assert_eq!(rig.asked(), 1);
}

#[tokio::test]
async fn a_keeper_that_does_not_answer_leaves_the_old_secret_serving() {
    let rig = Rig::closed(Ok("hunter2"));
    rig.open();
    assert_eq!(rig.get().await.as_deref(), Ok("hunter2"));
    rig.gate.open.forget_permits(1);
    rig.forward(TIME + SECOND);
    assert_eq!(rig.get().await.as_deref(), Ok("hunter2"));
    assert_eq!(rig.get().await.as_deref(), Ok("hunter2"));
    assert_eq!(rig.asked(), 2, "one question is under way at a time");
}
