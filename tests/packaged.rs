//! The package as it is deployed, behind `crunchbox dev`: a store in a bucket, events of Lambda's API, swaps, failures. Its
//! answers are those that it gives to any other Runtime API.

use crate::rig::dev::{Answer, Ask, Dev, package};
use crate::rig::shop::component;
use crate::rig::{ACCESS_KEY, Deployed, Event, RuntimeApi, S3, SECRET_KEY, Shop, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crunchbox::release::SealedLimits;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A host looks after each event.
const EAGER: &str = "refresh = '1ms'\nmax-stale = '1h'";

/// A host looks when nobody waits for it: never, in a test.
const CALM: &str = "refresh = '1h'\nmax-stale = '2h'";

/// A bucket, and somebody who has published a guest there.
fn opened(guest: &str) -> (S3, Shop) {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy(guest, r#"{"v": 1}"#);
    (s3, shop)
}

/// The package of a shop's function while it is served.
struct Served {
    dev: Dev,
    _folder: TempDir,
}

impl Served {
    /// One event at a time, and so one process.
    fn of(shop: &Shop, policy: &str) -> Self {
        Self::with(shop, policy, &["--concurrency", "1"])
    }

    fn with(shop: &Shop, policy: &str, arguments: &[&str]) -> Self {
        let folder = package(shop, policy);
        let cache = format!("CRUNCHBOX_CACHE={}", text(&folder.path().join("cache")));
        let package = ["--bootstrap", text(folder.path()), "--name", "facts"];
        let lambda = [
            "--handler",
            "facts@live",
            "--memory",
            "256 MiB",
            "--timeout",
            "30s",
        ];
        let variables = ["--env", &cache];
        let dev = Dev::launch(&[&package[..], &lambda, &variables, arguments].concat())
            .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .variable("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .start();
        Self {
            dev,
            _folder: folder,
        }
    }

    fn invoke(&self, event: &'static str) -> Answer {
        self.dev.invoke("facts", event)
    }

    fn facts(&self) -> Value {
        let answer = self.invoke(r#"{"config": []}"#);
        answer.response();
        answer.json()
    }

    /// The version in the configuration that served an event.
    fn version(&self) -> u64 {
        self.facts()["config"]["v"].as_u64().unwrap()
    }
}

#[test]
fn a_package_starts_from_a_bucket_and_its_guest_knows_its_invocation() {
    let (_s3, shop) = opened("facts");
    let served = Served::of(&shop, CALM);
    let ask = Ask::invoke("facts", "{}").header("X-Amz-Tenant-Id", "blue");
    let answer = served.dev.ask(ask);
    answer.response();
    assert_eq!(answer.header("X-Amz-Executed-Version"), "$LATEST");
    let facts = answer.json();
    assert_eq!(
        (&facts["function"], &facts["channel"], &facts["tenantId"]),
        (&"facts".into(), &"live".into(), &"blue".into())
    );
    assert_eq!(facts["requestId"], answer.header("x-amzn-RequestId"));
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:facts";
    assert_eq!(facts["invokedArn"], arn);
    // What the host needs, and the native code that was loaded, are not the guest's.
    let memory = facts["memoryLimit"].as_u64().unwrap();
    assert!(
        memory <= (256 - 40) << 20 && memory > (256 - 48) << 20,
        "{memory}"
    );
    let left = facts["remainingMs"].as_u64().unwrap();
    assert!((1..=29_950).contains(&left), "{left}");
}

#[test]
fn events_move_to_a_promoted_release_and_back_in_the_same_process_frozen_or_not() {
    let one = ["--concurrency", "1"];
    for arguments in [&one[..], &[one[0], one[1], "--freeze"]] {
        let (_s3, shop) = opened("facts");
        let served = Served::with(&shop, EAGER, arguments);
        assert_eq!(served.version(), 1);
        shop.deploy("facts", r#"{"v": 2}"#);
        // The event whose end makes the host look, and the one that is served by what it found.
        served.version();
        assert_eq!(served.version(), 2);
        shop.rollback();
        served.version();
        assert_eq!(served.version(), 1);
    }
}

#[test]
fn the_answers_are_those_that_any_other_runtime_api_gets() {
    let (_s3, shop) = opened("misbehave");
    let served = Served::of(&shop, CALM);
    let api = RuntimeApi::start();
    let _running = Deployed::following(&shop, CALM).start(&api);
    for event in [
        "\"forge\"",
        "\"long 100000\"",
        "\"fail\"",
        "\"fail-as-host\"",
        "\"fail-unnamed\"",
        "\"panic\"",
        "\"exit\"",
        "\"garbage\"",
        "\"long 6291557\"",
        "\"hoard 400\"",
        "\"trap\"",
        "\"overflow 100000000\"",
    ] {
        let (here, there) = (served.invoke(event), api.invoke(Event::new(event)));
        let marked = here.header("X-Amz-Function-Error") == "Unhandled";
        assert_eq!(marked, there.kind == "error", "{event}: {here:?}");
        assert_eq!(here.status, 200);
        assert!(
            here.body == there.body,
            "{event}: {} {}",
            here.text(),
            there.text()
        );
    }
}

/// Limits that say nothing but how much time.
fn time_limit(ms: u64) -> SealedLimits {
    SealedLimits {
        time_ms: Some(ms),
        ..SealedLimits::default()
    }
}

#[test]
fn a_guest_beyond_its_own_time_is_stopped_and_the_process_serves_on() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.promote(&shop.release_with(component("misbehave"), "{}", time_limit(300)));
    let served = Served::of(&shop, CALM);
    for event in ["\"spin\"", "\"sleep\""] {
        assert_eq!(served.invoke(event).kind(), "Crunchbox.TimeLimit");
    }
    let ask = Ask::invoke("facts", "\"forge\"").header("X-Amz-Log-Type", "Tail");
    let answer = served.dev.ask(ask);
    assert_eq!(answer.response(), "null");
    let log = answer.header("X-Amz-Log-Result");
    let log = STANDARD.decode(log);
    let log = String::from_utf8(log.unwrap()).unwrap();
    assert!(!log.contains("Init Duration"), "another process: {log}");
}

#[test]
fn what_is_wrong_at_the_start_is_the_callers_answer_and_each_event_tries_again() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    let served = Served::of(&shop, CALM);
    for _ in 0..2 {
        let failure = served.invoke("{}").failure();
        assert_eq!(failure["errorType"], "Crunchbox.ObjectMissing");
        let said = failure["errorMessage"].as_str().unwrap();
        assert!(said.contains("facts/channels/live.json"), "{failure}");
    }
    shop.deploy("facts", r#"{"v": 1}"#);
    assert_eq!(served.version(), 1);
}

#[test]
fn a_managed_instance_serves_events_beside_one_that_has_no_end() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.promote(&shop.release_with(component("misbehave"), "{}", time_limit(3000)));
    let managed = ["--managed", "--concurrency", "2"];
    let served = Served::with(&shop, CALM, &managed);
    let spinning = served.dev.asking(Ask::invoke("facts", "\"spin\""));
    for _ in 0..5 {
        assert_eq!(served.invoke("\"forge\"").response(), "null");
    }
    assert_eq!(spinning.answer().kind(), "Crunchbox.TimeLimit");
    assert_eq!(served.invoke("\"forge\"").response(), "null");
}

#[test]
fn the_queue_and_the_url_lead_to_a_package_as_to_a_guest() {
    let (_s3, shop) = opened("facts");
    let folder = tempfile::tempdir().unwrap();
    let keeping = ["--on-success", text(folder.path())];
    let served = Served::with(&shop, CALM, &keeping);
    let sent = served.dev.ask(Ask::event("facts", r#"{"config": ["v"]}"#));
    assert_eq!(sent.status, 202);
    let line = served.dev.line_of("invocation");
    assert_eq!(
        (&line["outcome"], &line["via"]),
        (&"ok".into(), &"async".into())
    );
    let facts = served.dev.ask(Ask::new("GET", "/lambda-url/facts/")).json();
    assert_eq!(facts["config"], json!({"v": 1}));
    served.dev.interrupt();
    assert_eq!(served.dev.ended(), 0);
    assert!(folder.path().join("aws/lambda/async/facts").is_dir());
}
