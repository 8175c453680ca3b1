//! A file of configuration that somebody edits in the bucket by hand: hosts take it up between events, and whatever is
//! wrong with it the last good one serves on.

use crate::rig::shop::component;
use crate::rig::{Deployed, Event, Fault, Followed, RuntimeApi, S3, Seen, Setting, Shop};
use crunchbox::config::{Layer, Tier};
use crunchbox::error::Code;
use crunchbox::publish::{Move, Terms};
use crunchbox::release::{Contents, SchemaText, StoreConfig};
use serde_json::{Value, json};
use std::time::Duration;

const FILE: &str = "production/config.edn";
const KEY: &str = "prefix/production/config.edn";

/// A bucket with a release whose base is an EDN file.
fn opened(base: &str) -> (S3, Shop) {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    let contents = Contents {
        config: vec![Layer::parse(Tier::Base, "config.edn", base.as_bytes()).unwrap()],
        ..Contents::default()
    };
    release(&shop, contents);
    (s3, shop)
}

fn release(shop: &Shop, contents: Contents) {
    let component = component("facts");
    let shape = crate::rig::shop::shape(&component);
    let sealed = shop.release_of(component, shape, contents);
    shop.promote(&sealed);
}

/// What a guest reads.
fn config(followed: &Followed) -> Value {
    let outcome = followed.handle(r#"{"config": []}"#);
    let facts: Value = serde_json::from_str(&outcome.result.unwrap()).unwrap();
    facts["config"].clone()
}

/// Lines of at least a warning.
fn warnings(followed: &Followed) -> Vec<String> {
    let lines = followed.lines().into_iter();
    let loud = lines.filter(|line| line["level"] == "WARN" || line["level"] == "ERROR");
    loud.map(|line| line["message"].as_str().unwrap().to_owned())
        .collect()
}

const BASE: &str = r#"{:db {:host "localhost" :pool #immuconf/default 4} :percentiles [50 95]}"#;

#[test]
fn a_file_that_is_missing_is_a_warning_and_the_base_serves_and_when_it_is_back_it_is_taken_up() {
    let (s3, shop) = opened(BASE);
    let mut followed = Setting::of(&shop).watching(FILE).start();
    assert_eq!(
        config(&followed)["db"],
        json!({"host": "localhost", "pool": 4})
    );
    let said = warnings(&followed);
    assert!(said.len() == 1 && said[0].contains(FILE), "{said:?}");
    followed.look();
    assert_eq!(warnings(&followed).len(), 1, "said once");

    s3.put(KEY, br#"{:db {:host "db.prod.example"}}"#);
    followed.look();
    assert_eq!(
        config(&followed)["db"],
        json!({"host": "db.prod.example", "pool": 4})
    );
    let said = warnings(&followed);
    let expected =
        "`db.host` of base, config.edn:1 is overridden by watched, production/config.edn:1";
    assert!(said[1].contains(expected), "{said:?}");

    s3.remove(KEY);
    followed.look();
    assert_eq!(config(&followed)["db"]["host"], "localhost");
    assert!(warnings(&followed)[2].contains(FILE));
    s3.put(KEY, br#"{:db {:host "again"}}"#);
    followed.look();
    assert_eq!(config(&followed)["db"]["host"], "again");
}

#[test]
fn a_host_that_starts_has_what_the_file_says_from_its_first_event() {
    let (s3, shop) = opened(BASE);
    s3.put(KEY, br#"{:db {:host "db.prod.example"}}"#);
    let followed = Setting::of(&shop).watching(FILE).start();
    assert_eq!(config(&followed)["db"]["host"], "db.prod.example");
}

#[test]
fn a_file_that_did_not_change_is_not_sent_again() {
    let (s3, shop) = opened(BASE);
    s3.put(KEY, br#"{:db {:host "x"}}"#);
    let mut followed = Setting::of(&shop).watching(FILE).start();
    s3.forget_requests();
    followed.look();
    let seen = s3.requests();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(
        seen.iter()
            .all(|seen| seen.conditional && seen.status == 304),
        "{seen:?}"
    );
}

#[test]
fn whatever_is_wrong_with_the_file_the_last_good_configuration_serves_on_and_the_log_says_why_once()
{
    let (s3, shop) = opened(BASE);
    s3.put(KEY, br#"{:db {:host "good"}}"#);
    let mut followed = Setting::of(&shop).watching(FILE).start();
    for (text, code, words) in [
        (
            &b"{:db {:host"[..],
            Code::ConfigInvalid,
            "production/config.edn",
        ),
        (b"{:db 7}", Code::ConfigMismatch, "`db`: expected a table"),
        (
            b"{:db {:host #crunchbox/secret \"ssm:/x\"}}",
            Code::SecretDenied,
            "`db.host`",
        ),
        (
            b"{:who #immuconf/override \"your name\"}",
            Code::ConfigUnmet,
            "your name",
        ),
        (b"\xff", Code::ConfigInvalid, "UTF-8"),
        (&[b' '; 2 << 20], Code::ConfigInvalid, "at most"),
    ] {
        let before = followed.refusals().len();
        s3.put(KEY, text);
        followed.look();
        assert_eq!(config(&followed)["db"]["host"], "good");
        let refusals = followed.refusals();
        assert_eq!(&refusals[before..], [code.name()], "{words}");
        assert!(
            warnings(&followed).last().unwrap().contains(words),
            "{:?}",
            warnings(&followed)
        );
        followed.look();
        assert_eq!(followed.refusals().len(), before + 1, "said once");
    }
    s3.put(KEY, br#"{:db {:host "better"}}"#);
    followed.look();
    assert_eq!(config(&followed)["db"]["host"], "better");
}

#[test]
fn a_host_that_starts_refuses_a_file_that_is_there_and_broken() {
    let (s3, shop) = opened(BASE);
    s3.put(KEY, b"{:db {:host");
    let failure = Setting::of(&shop).watching(FILE).try_start().err().unwrap();
    assert_eq!(failure.code, Code::ConfigInvalid);
    assert!(
        failure.message.contains("production/config.edn"),
        "{failure}"
    );
}

#[test]
fn an_outage_of_the_store_leaves_what_the_file_said() {
    let (s3, shop) = opened(BASE);
    s3.put(KEY, br#"{:db {:host "good"}}"#);
    let mut followed = Setting::of(&shop).watching(FILE).start();
    s3.inject(
        Fault::Status(503),
        |seen: &Seen| seen.key.contains("production"),
        usize::MAX,
    );
    followed.look();
    assert_eq!(config(&followed)["db"]["host"], "good");
    s3.heal();
    s3.put(KEY, br#"{:db {:host "better"}}"#);
    followed.look();
    assert_eq!(config(&followed)["db"]["host"], "better");
}

#[test]
fn a_file_that_never_comes_holds_up_neither_a_release_nor_another_file() {
    let (s3, shop) = opened("{:a 0 :b 0 :c 0}");
    s3.put("prefix/one.edn", b"{:a 1}");
    s3.put("prefix/two.edn", b"{:b 1}");
    let brief = Duration::from_secs(3);
    let mut followed = Setting::of(&shop)
        .watching("one.edn")
        .watching("two.edn")
        .looks(brief, brief)
        .start();
    assert_eq!(config(&followed), json!({"a": 1, "b": 1, "c": 0}));
    s3.inject(
        Fault::Hang,
        |seen: &Seen| seen.key.contains("two.edn"),
        usize::MAX,
    );
    s3.put("prefix/one.edn", b"{:a 2}");
    let base = Layer::parse(Tier::Base, "config.edn", b"{:a 0 :b 0 :c 2}").unwrap();
    let contents = Contents {
        config: vec![base],
        ..Contents::default()
    };
    release(&shop, contents);
    followed.look();
    assert_eq!(config(&followed), json!({"a": 2, "b": 1, "c": 2}));
    s3.put("prefix/one.edn", b"{:a 3}");
    followed.look();
    assert_eq!(config(&followed), json!({"a": 3, "b": 1, "c": 2}));
}

#[test]
fn a_release_that_cannot_be_taken_up_holds_up_no_change_of_the_file() {
    let (s3, shop) = opened(BASE);
    let mut followed = Setting::of(&shop).watching(FILE).start();
    let base = Layer::parse(Tier::Base, "config.edn", b"{:db {:host \"new\"}}").unwrap();
    let contents = Contents {
        config: vec![base],
        ..Contents::default()
    };
    release(&shop, contents);
    let is_release = |seen: &Seen| seen.method == "GET" && seen.key.contains("/releases/");
    s3.inject(Fault::Status(404), is_release, usize::MAX);
    s3.put(KEY, br#"{:db {:host "an emergency"}}"#);
    followed.look();
    assert_eq!(followed.serves(), 1);
    assert_eq!(config(&followed)["db"]["host"], "an emergency");
}

#[test]
fn a_release_and_the_file_that_it_needs_are_taken_up_in_whatever_order_they_come() {
    let (s3, shop) = opened(BASE);
    s3.put(KEY, br#"{:db {:host "good"}}"#);
    let mut followed = Setting::of(&shop).watching(FILE).start();
    // The file first: what serves can't use it.
    s3.put(KEY, br#"{:db "postgres://good"}"#);
    followed.look();
    assert_eq!(config(&followed)["db"]["host"], "good");
    let base = br#"{:db "postgres://localhost"}"#;
    let contents = Contents {
        config: vec![Layer::parse(Tier::Base, "config.edn", base).unwrap()],
        ..Contents::default()
    };
    release(&shop, contents);
    followed.look();
    assert_eq!(config(&followed)["db"], "postgres://good");
    assert_eq!(followed.serves(), 2);
}

#[test]
fn the_functions_schema_is_asked_at_each_change() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    let schema = r#"{"properties": {"percentiles": {"items": {"maximum": 100}}}}"#;
    let contents = Contents {
        config: vec![Layer::parse(Tier::Base, "config.edn", BASE.as_bytes()).unwrap()],
        schema: Some(SchemaText::new(schema).unwrap()),
        ..Contents::default()
    };
    release(&shop, contents);
    let mut followed = Setting::of(&shop).watching(FILE).start();
    s3.put(KEY, b"{:percentiles [50 1234]}");
    followed.look();
    assert_eq!(config(&followed)["percentiles"], json!([50, 95]));
    let said = warnings(&followed).pop().unwrap();
    let place = "watched, production/config.edn:1";
    assert!(
        said.contains("percentiles") && said.contains(place) && !said.contains("1234"),
        "{said}"
    );
}

#[test]
fn the_log_line_of_an_event_names_the_configuration_that_served_it() {
    let (s3, shop) = opened(BASE);
    let mut followed = Setting::of(&shop).watching(FILE).start();
    let digest = |followed: &Followed| followed.handle("{}").served.unwrap().config.clone();
    let before = digest(&followed);
    s3.put(KEY, br#"{:db {:host "x"}}"#);
    followed.look();
    let after = digest(&followed);
    assert_ne!(before, after);
    let told = followed.lines();
    assert!(
        told.iter()
            .any(|line| line["message"].as_str().unwrap().contains(&after))
    );
}

/// A host that looks after each event.
const EAGER: &str = "refresh = '1ms'\nmax-stale = '1h'";

/// The version of the configuration that an event saw, all of it the same.
fn version(api: &RuntimeApi) -> u64 {
    let answer = api.invoke(Event::new(r#"{"config": []}"#));
    assert_eq!(answer.kind, "response", "{}", answer.text());
    let config = answer.json()["config"].clone();
    assert_eq!(
        config["a"], config["b"]["c"],
        "half of one and half of another"
    );
    config["a"].as_u64().unwrap()
}

#[test]
fn under_load_a_file_changes_breaks_and_goes_and_each_event_sees_one_whole_configuration() {
    let (s3, shop) = opened("{:a 0 :b {:c 0}}");
    let policy = format!("{EAGER}\n[config]\nwatched = ['{FILE}']");
    let api = RuntimeApi::start();
    let _running = Deployed::following(&shop, &policy).start(&api);
    let mut seen = Vec::new();
    for number in 1..=50 {
        let text = format!("{{:a {number} :b {{:c {number}}}}}");
        match number % 3 {
            0 => s3.remove(KEY),
            1 => s3.put(KEY, text.as_bytes()),
            _ => s3.put(KEY, b"{:a"),
        }
        seen.extend([version(&api), version(&api)]);
    }
    s3.put(KEY, b"{:a 51 :b {:c 51}}");
    while version(&api) != 51 {}
    seen.dedup();
    assert!(seen.len() > 5, "{seen:?}");
}

#[test]
fn under_load_the_channels_layer_changes_and_each_event_sees_one_whole_configuration() {
    let (_s3, shop) = opened("{:a 0 :b {:c 0}}");
    let api = RuntimeApi::start();
    let _running = Deployed::following(&shop, EAGER).start(&api);
    let mut seen = Vec::new();
    for number in 1..=30 {
        let text = format!("{{:a {number} :b {{:c {number}}}}}");
        let layer = Layer::parse(Tier::Store, "live.edn", text.as_bytes()).unwrap();
        let config = StoreConfig::new("facts".parse().unwrap(), vec![layer]);
        let pushed = shop.try_move(&Shop::live(), &Move::Config(config), Terms::default());
        assert!(pushed.is_ok(), "{pushed:?}");
        seen.extend([version(&api), version(&api)]);
    }
    while version(&api) != 30 {}
    assert!(seen.is_sorted(), "an event saw an older one: {seen:?}");
    seen.dedup();
    assert!(seen.len() > 5, "{seen:?}");
}
