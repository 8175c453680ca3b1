use super::*;
use crate::front::service::call::{FunctionError, ReplyBody, Served, Whole};
use crate::store::{self, Folder, Location, Store};
use crate::telemetry::{Format, Memory};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Mutex;
use tempfile::TempDir;
use tokio::sync::Notify;

const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:crunch";

/// An event that only survives byte for byte.
const ODD: &str = "{\"n\": 123456789012345678901234567890,\n \"n\":1.10}";

/// Longer than any test runs.
const LONG: Duration = Duration::from_secs(3600);

/// What a try comes to.
#[derive(Debug)]
enum Play {
    Answer(&'static str),
    Fail(&'static str),
    Refuse(ServiceError),
    /// Answers once the gate is opened.
    Hold,
    Panic,
}

#[derive(Debug)]
struct Scripted {
    plays: Mutex<VecDeque<Play>>,
    seen: Mutex<Vec<Call>>,
    begun: Notify,
    gate: Semaphore,
}

impl Scripted {
    fn new(plays: impl IntoIterator<Item = Play>) -> Arc<Self> {
        Arc::new(Self {
            plays: Mutex::new(plays.into_iter().collect()),
            seen: Mutex::default(),
            begun: Notify::new(),
            gate: Semaphore::new(0),
        })
    }

    fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|call| call.request_id.clone()).collect()
    }
}

#[async_trait::async_trait]
impl Attempt for Scripted {
    async fn attempt(&self, call: Call) -> Result<Reply, ServiceError> {
        self.seen.lock().unwrap().push(call);
        self.begun.notify_one();
        let play = self.plays.lock().unwrap().pop_front();
        let result = match play.expect("a try more than the test knows of") {
            Play::Answer(text) => Ok(text.into()),
            Play::Fail(kind) => Err(FunctionError::new(kind, "no luck")),
            Play::Refuse(error) => return Err(error),
            Play::Hold => {
                self.gate.acquire().await.unwrap().forget();
                Ok("null".into())
            }
            Play::Panic => panic!("as the test wants it"),
        };
        Ok(Reply {
            served: Served {
                version: "$LATEST".to_owned(),
                release: None,
            },
            body: ReplyBody::Whole(Whole {
                result,
                content_type: None,
                log: bytes::Bytes::new(),
            }),
        })
    }

    fn function(&self) -> &str {
        "crunch"
    }

    fn arn(&self) -> &str {
        ARN
    }
}

/// A queue that waits for nothing, with a folder for each kind of record.
struct Rig {
    queue: Queue,
    log: Log,
    lines: Memory,
    folder: TempDir,
}

impl Rig {
    async fn new(change: impl FnOnce(&mut QueueSettings)) -> Self {
        Self::paced(Duration::ZERO, change).await
    }

    async fn paced(pause: Duration, change: impl FnOnce(&mut QueueSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = QueueSettings {
            wait: Duration::ZERO,
            on_failure: Some(open(&folder, "failed").await),
            on_success: Some(open(&folder, "done").await),
            ..QueueSettings::default()
        };
        change(&mut settings);
        let lines = Memory::default();
        let log = Log::new(Format::Text, Level::Warn, lines.clone()).unwrap();
        Self {
            queue: Queue::paced(settings, log.clone(), pause),
            log,
            lines,
            folder,
        }
    }

    fn accept(&self, target: &Arc<Scripted>, request_id: &str) -> Result<(), ServiceError> {
        let target = Arc::clone(target) as Arc<dyn Attempt>;
        self.queue.accept(target, call(request_id, ODD))
    }

    fn is_idle(&self) -> bool {
        self.queue.0.held.borrow().events.is_empty()
    }

    /// Has one event tried until it is over.
    async fn run(&self, target: &Arc<Scripted>) {
        self.accept(target, "r-1").unwrap();
        self.queue.idle().await;
    }

    /// The texts of the records of one kind.
    async fn records(&self, kind: &str) -> Vec<String> {
        let folder = Folder::new(&self.folder.path().join(kind));
        let mut texts = Vec::new();
        for entry in folder.list("").await.unwrap() {
            assert!(entry.key.starts_with("aws/lambda/async/crunch/"));
            let (bytes, _) = store::read(&folder, &entry.key, 1 << 20).await.unwrap();
            texts.push(String::from_utf8(bytes.to_vec()).unwrap());
        }
        texts
    }

    fn text(&self) -> String {
        self.log.flush();
        self.lines.text()
    }
}

async fn open(folder: &TempDir, kind: &str) -> Destination {
    let location = Location::Folder(folder.path().join(kind));
    Destination::open(&location).await.unwrap()
}

fn call(request_id: &str, event: &'static str) -> Call {
    Call {
        request_id: request_id.to_owned(),
        event: event.into(),
        client_context: None,
        tenant_id: None,
        trace_id: "Root=1-00000000-000000000000000000000000".to_owned(),
        invoked_arn: ARN.to_owned(),
    }
}

fn only(records: &[String]) -> Value {
    assert_eq!(records.len(), 1, "{records:?}");
    serde_json::from_str(&records[0]).unwrap()
}

#[tokio::test]
async fn an_event_that_fails_is_tried_twice_more_under_the_same_request_id() {
    let rig = Rig::new(|_| {}).await;
    let target = Scripted::new([Play::Fail("A"), Play::Fail("B"), Play::Fail("C")]);
    rig.run(&target).await;
    assert_eq!(target.seen(), ["r-1", "r-1", "r-1"]);
    let record = only(&rig.records("failed").await);
    let expected = json!({
        "requestId": "r-1",
        "functionArn": format!("{ARN}:$LATEST"),
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 3,
    });
    assert_eq!(record["requestContext"], expected);
    let expected =
        json!({"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"});
    assert_eq!(record["responseContext"], expected);
    let expected = json!({"errorType": "C", "errorMessage": "no luck"});
    assert_eq!(record["responsePayload"], expected);
    assert!(rig.records("done").await.is_empty());
}

#[tokio::test]
async fn an_event_and_its_response_are_recorded_byte_for_byte() {
    let rig = Rig::new(|_| {}).await;
    rig.run(&Scripted::new([Play::Answer("[0.10,\n1e400]")]))
        .await;
    let records = rig.records("done").await;
    let [record] = records.as_slice() else {
        panic!("{records:?}")
    };
    assert!(
        record.contains(&format!("\"requestPayload\":{ODD},")),
        "{record}"
    );
    assert!(
        record.contains("\"responsePayload\":[0.10,\n1e400]"),
        "{record}"
    );
    assert!(!record.contains("functionError"), "{record}");
}

#[tokio::test]
async fn a_response_to_a_later_try_is_a_success_and_no_failure() {
    let rig = Rig::new(|_| {}).await;
    rig.run(&Scripted::new([Play::Fail("A"), Play::Answer("null")]))
        .await;
    let record = only(&rig.records("done").await);
    let context = &record["requestContext"];
    assert_eq!(context["condition"], json!("Success"));
    assert_eq!(context["approximateInvokeCount"], json!(2));
    assert!(rig.records("failed").await.is_empty());
    assert!(!rig.text().contains("ERROR"), "{}", rig.text());
}

#[tokio::test]
async fn being_throttled_is_no_try() {
    let rig = Rig::new(|settings| settings.retries = 0).await;
    let target = Scripted::new([
        Play::Refuse(ServiceError::TooManyRequests),
        Play::Refuse(ServiceError::Unavailable("later".to_owned())),
        Play::Refuse(ServiceError::TooManyRequests),
        Play::Answer("null"),
    ]);
    rig.run(&target).await;
    let record = only(&rig.records("done").await);
    let tries = &record["requestContext"]["approximateInvokeCount"];
    assert_eq!(tries, &json!(1));
}

#[tokio::test]
async fn a_function_that_is_gone_is_tried_as_often_as_one_that_fails() {
    let rig = Rig::new(|settings| settings.retries = 1).await;
    let gone = || Play::Refuse(ServiceError::NotFound("crunch".to_owned()));
    rig.run(&Scripted::new([gone(), gone()])).await;
    let record = only(&rig.records("failed").await);
    let context = &record["requestContext"];
    assert_eq!(context["condition"], json!("RetriesExhausted"));
    assert_eq!(record["responseContext"], json!({"statusCode": 404}));
}

#[tokio::test]
async fn an_event_that_would_be_too_old_for_its_next_try_is_over_at_once() {
    let rig = Rig::new(|settings| (settings.wait, settings.max_age) = (2 * LONG, LONG)).await;
    rig.run(&Scripted::new([Play::Fail("A")])).await;
    let record = only(&rig.records("failed").await);
    let context = &record["requestContext"];
    assert_eq!(context["condition"], json!("EventAgeExceeded"));
    assert_eq!(context["approximateInvokeCount"], json!(1));
    assert_eq!(record["responsePayload"]["errorType"], json!("A"));
}

#[tokio::test]
async fn an_event_that_is_throttled_until_it_is_too_old_is_recorded_without_a_response() {
    let rig = Rig::paced(2 * LONG, |settings| settings.max_age = LONG).await;
    rig.run(&Scripted::new([Play::Refuse(
        ServiceError::TooManyRequests,
    )]))
    .await;
    let record = only(&rig.records("failed").await);
    let context = &record["requestContext"];
    assert_eq!(context["condition"], json!("EventAgeExceeded"));
    assert_eq!(context["approximateInvokeCount"], json!(0));
    assert_eq!(record["responseContext"], json!({"statusCode": 429}));
    assert!(record.get("responsePayload").is_none(), "{record}");
}

#[tokio::test]
async fn an_event_that_is_given_up_without_a_destination_is_told_with_the_way_to_one() {
    let rig = Rig::new(|settings| (settings.retries, settings.on_failure) = (1, None)).await;
    rig.run(&Scripted::new([Play::Fail("A"), Play::Fail("Broken\n")]))
        .await;
    let text = rig.text();
    let line = text.lines().find(|line| line.contains("ERROR")).unwrap();
    for part in [
        "given up after 2 tries",
        "`--on-failure FOLDER`",
        "\"crunch\"",
        "\"r-1\"",
        "\"RetriesExhausted\"",
        "\"Broken\\n\"",
    ] {
        assert!(line.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_written_is_told_with_its_code() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let location = Location::Folder(file.path().to_owned());
    let broken = Destination::open(&location).await.unwrap();
    let rig = Rig::new(|settings| {
        settings.retries = 0;
        settings.on_failure = Some(broken.clone());
        settings.on_success = Some(broken);
    })
    .await;
    rig.run(&Scripted::new([Play::Fail("A")])).await;
    rig.run(&Scripted::new([Play::Answer("null")])).await;
    let text = rig.text();
    let told = text.matches("its record is lost: Crunchbox.StoreUnusable");
    assert_eq!(told.count(), 2, "{text}");
}

#[tokio::test]
async fn a_full_queue_refuses_the_next_event() {
    let rig = Rig::new(|_| {}).await;
    let target = Scripted::new((0..EVENTS_MAX).map(|_| Play::Hold));
    for _ in 0..EVENTS_MAX {
        rig.accept(&target, "r-1").unwrap();
    }
    let refused = rig.accept(&target, "r-1").unwrap_err();
    assert!(matches!(refused, ServiceError::Unavailable(_)), "{refused}");
}

#[tokio::test]
async fn events_that_would_hold_too_much_together_are_refused_until_some_are_gone() {
    let rig = Rig::new(|settings| settings.on_success = None).await;
    let half = bytes::Bytes::from(vec![0; HELD_MAX.as_usize() / 2 - 1024]);
    let large = || Call {
        event: half.clone(),
        ..call("r-1", "")
    };
    let target = Scripted::new([Play::Hold, Play::Hold, Play::Answer("null")]);
    let accept = || {
        let target = Arc::clone(&target) as Arc<dyn Attempt>;
        rig.queue.accept(target, large())
    };
    accept().unwrap();
    accept().unwrap();
    let refused = accept().unwrap_err();
    assert!(refused.to_string().contains("256 MiB"), "{refused}");
    target.gate.add_permits(2);
    rig.queue.idle().await;
    accept().unwrap();
    rig.queue.idle().await;
}

#[tokio::test]
async fn a_queue_that_ends_waits_for_running_tries_and_names_the_events_that_wait() {
    let rig = Rig::new(|settings| settings.wait = LONG).await;
    let failing = Scripted::new([Play::Fail("A")]);
    let slow = Scripted::new([Play::Hold]);
    rig.accept(&failing, "waits").unwrap();
    rig.accept(&slow, "runs").unwrap();
    slow.begun.notified().await;
    assert!(!rig.is_idle());
    let (drained, ()) = tokio::join!(rig.queue.drain(LONG), async {
        slow.gate.add_permits(1);
    });
    let expected = Drained {
        finished: 1,
        waiting: vec!["waits".to_owned()],
        cut_off: Vec::new(),
    };
    assert_eq!(drained, expected);
    assert!(rig.is_idle());
    let refused = rig.accept(&slow, "late").unwrap_err();
    assert!(matches!(refused, ServiceError::Unavailable(_)), "{refused}");
}

#[tokio::test]
async fn a_try_that_does_not_end_in_time_is_cut_off_and_named() {
    let rig = Rig::new(|_| {}).await;
    let slow = Scripted::new([Play::Hold]);
    rig.accept(&slow, "runs").unwrap();
    slow.begun.notified().await;
    let drained = rig.queue.drain(Duration::ZERO).await;
    assert_eq!(drained.cut_off, ["runs"]);
    assert_eq!((drained.finished, drained.waiting.len()), (0, 0));
    assert!(rig.is_idle());
    assert!(rig.records("failed").await.is_empty());
}

#[tokio::test]
async fn a_try_that_panics_holds_no_place_and_is_told() {
    let rig = Rig::new(|_| {}).await;
    rig.run(&Scripted::new([Play::Panic])).await;
    assert!(rig.is_idle());
    assert!(rig.text().contains("r-1 is lost"), "{}", rig.text());
    rig.run(&Scripted::new([Play::Answer("null")])).await;
    assert_eq!(rig.records("done").await.len(), 1);
}
