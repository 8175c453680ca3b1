//! The deployed program, a bucket, and a stream of events: releases change under load and no event fails.

use crate::rig::shop::variant;
use crate::rig::{Deployed, Event, Fault, RuntimeApi, S3, Seen, Shop};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A host looks after each event.
const EAGER: &str = "refresh = '1ms'\nmax-stale = '1h'";

/// A host looks before each event, and hardly after.
const CAREFUL: &str = "refresh = '2s'\nmax-stale = '1ms'";

/// A bucket, and somebody who has published a first release there.
fn opened() -> (S3, Shop) {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy("facts", r#"{"v": 1}"#);
    (s3, shop)
}

/// What an event's response says of the release that made it.
fn facts(api: &RuntimeApi) -> Value {
    let answer = api.invoke(Event::new(r#"{"config": []}"#));
    assert_eq!(answer.kind, "response", "{}", answer.text());
    answer.json()
}

fn version(api: &RuntimeApi) -> u64 {
    facts(api)["config"]["v"].as_u64().unwrap()
}

#[test]
fn events_move_to_a_promoted_release_and_back_with_no_redeploy() {
    let (_s3, shop) = opened();
    let api = RuntimeApi::start();
    let running = Deployed::following(&shop, EAGER).start(&api);
    assert_eq!(version(&api), 1);
    shop.deploy("facts", r#"{"v": 2}"#);
    // The event whose end makes the host look, and the one that is served by what it found.
    version(&api);
    assert_eq!(version(&api), 2);
    shop.rollback();
    version(&api);
    assert_eq!(version(&api), 1);
    let lines = running.lines_of_an_event();
    let summary = lines.last().unwrap();
    let (fields, guests) = (&summary["fields"], facts(&api));
    assert_eq!(fields["release"], guests["release"]);
    assert_eq!(
        (&fields["channel"], &fields["sequence"]),
        (&"live".into(), &1.into())
    );
    assert!(fields["staleSeconds"].is_number());
    assert!(fields["config"].as_str().unwrap().starts_with("sha256-"));
    assert_eq!(guests["channel"], "live");
}

#[test]
fn a_host_that_was_stopped_over_a_promotion_or_a_rollback_serves_its_next_event_right() {
    let (_s3, shop) = opened();
    let api = RuntimeApi::start();
    let running = Deployed::following(&shop, CAREFUL).start(&api);
    assert_eq!(version(&api), 1);
    running.signal(Signal::STOP);
    shop.deploy("facts", r#"{"v": 2}"#);
    running.signal(Signal::CONT);
    assert_eq!(version(&api), 2);
    running.signal(Signal::STOP);
    shop.rollback();
    running.signal(Signal::CONT);
    assert_eq!(version(&api), 1);
}

#[test]
fn a_store_slower_than_the_time_left_fails_no_event() {
    let (s3, shop) = opened();
    for policy in [EAGER, CAREFUL] {
        let api = RuntimeApi::start();
        let _running = Deployed::following(&shop, policy).start(&api);
        assert_eq!(version(&api), 1);
        s3.inject(Fault::Hang, |_| true, usize::MAX);
        for _ in 0..5 {
            let hurried = Event::new(r#"{"config": []}"#).time(Duration::from_secs(4));
            let answer = api.invoke(hurried);
            assert_eq!(answer.kind, "response", "{}", answer.text());
        }
        s3.heal();
    }
}

/// Hosts under constant load while releases change, until each serves the last: what each event's response said, in
/// order.
fn under_load(
    hosts: usize,
    last: u64,
    shop: &Shop,
    change: impl FnOnce(&AtomicU64),
) -> Vec<Vec<(u64, String)>> {
    let ending = AtomicBool::new(false);
    let handled = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..hosts)
            .map(|_| {
                let api = RuntimeApi::start();
                let running = Deployed::following(shop, EAGER).start(&api);
                let (ending, handled) = (&ending, &handled);
                scope.spawn(move || {
                    let mut served = Vec::new();
                    while !ending.load(Ordering::Relaxed)
                        || served.last().is_none_or(|(version, _)| *version != last)
                    {
                        let facts = facts(&api);
                        let version = facts["config"]["v"].as_u64().unwrap();
                        let release = facts["release"].as_str().unwrap().to_owned();
                        served.push((version, release));
                        handled.fetch_add(1, Ordering::Relaxed);
                    }
                    drop(running);
                    served
                })
            })
            .collect();
        change(&handled);
        ending.store(true, Ordering::Relaxed);
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// Waits until some more events have been handled, by counting them.
fn some_events_later(handled: &AtomicU64, events: u64) {
    let enough = handled.load(Ordering::Relaxed) + events;
    while handled.load(Ordering::Relaxed) < enough {
        std::thread::yield_now();
    }
}

#[test]
fn a_hundred_promotions_under_load_fail_no_event_mix_no_releases_and_never_go_back() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    let components = [variant("facts", 1), variant("facts", 2)];
    let mut releases: HashMap<u64, String> = HashMap::new();
    let mut publish = |version: u64| {
        let component = components[usize::try_from(version % 2).unwrap()].clone();
        let config = format!(r#"{{"v": {version}}}"#);
        let sealed = shop.release_with(component, &config, Default::default());
        releases.insert(version, sealed.id.to_string());
        sealed
    };
    shop.promote(&publish(1));
    let all = under_load(3, 101, &shop, |handled| {
        some_events_later(handled, 3);
        for version in 2..=101 {
            shop.promote(&publish(version));
            some_events_later(handled, 3);
        }
    });
    for served in &all {
        assert!(served.len() > 100, "{} events", served.len());
        assert!(
            served.is_sorted_by_key(|(version, _)| *version),
            "a host went back"
        );
        assert_eq!(served.last().unwrap().0, 101);
        for (version, release) in served {
            assert_eq!(release, &releases[version], "a response of two releases");
        }
    }
    let distinct = |served: &[(u64, String)]| {
        let mut versions: Vec<u64> = served.iter().map(|(version, _)| *version).collect();
        versions.dedup();
        versions.len()
    };
    assert!(all.iter().map(|served| distinct(served)).max().unwrap() > 5);
}

#[test]
fn faults_of_the_store_under_load_fail_no_event_and_are_logged_once_each() {
    let (s3, shop) = opened();
    let channel = |seen: &Seen| seen.key.contains("/channels/");
    let any = |_: &Seen| true;
    for (number, fault) in (2..).zip([
        Fault::Status(503),
        Fault::Reset,
        Fault::Truncate,
        Fault::FlipByte,
        Fault::Status(403),
        Fault::Delay(Duration::from_millis(100)),
    ]) {
        let api = RuntimeApi::start();
        let running = Deployed::following(&shop, EAGER).start(&api);
        let before = version(&api);
        shop.deploy("facts", &format!(r#"{{"v": {number}}}"#));
        let on: Box<dyn Fn(&Seen) -> bool + Send + Sync> = match fault {
            Fault::Delay(_) => Box::new(any),
            _ => Box::new(channel),
        };
        s3.inject(fault, on, usize::MAX);
        let served: Vec<u64> = (0..20).map(|_| version(&api)).collect();
        s3.heal();
        let refusals = running
            .lines()
            .into_iter()
            .filter(|line| line["fields"]["code"].is_string())
            .count();
        match fault {
            Fault::Delay(_) => assert_eq!((refusals, served[19]), (0, number)),
            _ => assert_eq!((refusals, served), (1, vec![before; 20]), "{fault:?}"),
        }
    }
}

#[test]
fn a_deleted_object_leaves_running_hosts_serving_and_is_logged_once() {
    let (s3, shop) = opened();
    let api = RuntimeApi::start();
    let running = Deployed::following(&shop, EAGER).start(&api);
    assert_eq!(version(&api), 1);
    for key in s3.keys() {
        s3.remove(&key);
    }
    for _ in 0..10 {
        assert_eq!(version(&api), 1);
    }
    let lines = running.lines();
    let refusals: Vec<_> = lines
        .iter()
        .filter_map(|line| line["fields"]["code"].as_str())
        .collect();
    assert_eq!(refusals, ["Crunchbox.ObjectMissing"]);
}

#[test]
fn metrics_that_are_asked_for_come_with_the_summary_line() {
    let (_s3, shop) = opened();
    let api = RuntimeApi::start();
    let policy = format!("{EAGER}\n[metrics]\nnamespace = 'Acme'\n");
    let running = Deployed::following(&shop, &policy).start(&api);
    version(&api);
    running.lines_of_an_event();
    shop.deploy("facts", r#"{"v": 2}"#);
    version(&api);
    running.lines_of_an_event();
    api.invoke(Event::new("1"));
    let lines = running.lines_of_an_event();
    let summary = lines.last().unwrap();
    let emf = &summary["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(emf["Namespace"], "Acme");
    assert_eq!(
        emf["Dimensions"],
        serde_json::json!([["function", "channel"]])
    );
    assert!(summary["_aws"]["Timestamp"].as_u64().unwrap() > 1_700_000_000_000);
    for metric in emf["Metrics"].as_array().unwrap() {
        let name = metric["Name"].as_str().unwrap();
        assert!(summary[name].is_number(), "{name} in {summary}");
    }
    assert_eq!(
        (&summary["function"], &summary["channel"]),
        (&"facts".into(), &"live".into())
    );
    assert_eq!(
        (
            &summary["Errors"],
            &summary["Swaps"],
            &summary["ReleaseRefused"]
        ),
        (&1.into(), &1.into(), &0.into())
    );
}

#[test]
fn a_host_for_several_events_at_once_looks_by_a_timer() {
    let (_s3, shop) = opened();
    let api = RuntimeApi::start_managed();
    let running = Deployed::following(&shop, "refresh = '100ms'\nmax-stale = '1h'")
        .variable("AWS_LAMBDA_MAX_CONCURRENCY", "4")
        .variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
        .start(&api);
    assert_eq!(version(&api), 1);
    shop.deploy("facts", r#"{"v": 2}"#);
    // No event is needed for it to look: it says when it serves the new state.
    while !running.line().contains("serving facts@live 2") {}
    assert_eq!(version(&api), 2);
}

#[test]
fn guests_that_never_end_hold_up_no_look_and_are_stopped_at_their_deadlines() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy("misbehave", "{}");
    let api = RuntimeApi::start_managed();
    let running = Deployed::following(&shop, "refresh = '100ms'\nmax-stale = '1h'")
        .variable("AWS_LAMBDA_MAX_CONCURRENCY", "4")
        .variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
        .start(&api);
    assert_eq!(api.invoke(Event::new("\"log 1\"")).kind, "response");
    // As many as there are places, and more than there are threads.
    for _ in 0..4 {
        api.send(Event::new("\"spin\"").time(Duration::from_secs(10)));
    }
    shop.deploy("facts", r#"{"v": 2}"#);
    let is_served = |line: &str| line.contains("serving facts@live 2");
    let is_over = |line: &str| line.contains("TimeLimit");
    let mut lines = std::iter::from_fn(|| Some(running.line()));
    let first = lines.find(|line| is_served(line) || is_over(line));
    assert!(
        first.is_some_and(|line| is_served(&line)),
        "nobody looked beside them"
    );
    for _ in 0..4 {
        assert_eq!(api.answer().json()["errorType"], "Crunchbox.TimeLimit");
    }
    assert_eq!(version(&api), 2);
}

#[test]
fn a_start_without_anything_to_serve_is_an_init_error_that_says_what_to_do() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    let missing = |deployed: Deployed, kind: &str, words: &str| {
        let api = RuntimeApi::start();
        let _running = deployed.start(&api);
        let error = api.answer().json();
        assert_eq!(error["errorType"], kind, "{error}");
        let message = error["errorMessage"].as_str().unwrap();
        assert!(
            message.contains(words) && message.contains("hint: "),
            "{message}"
        );
    };
    missing(
        Deployed::following(&shop, EAGER),
        "Crunchbox.ObjectMissing",
        "facts/channels/live.json",
    );
    let sealed = shop.release("facts", "{}");
    shop.promote(&sealed);
    let statements = format!(
        "prefix/{}",
        shop.place().statements(sealed.component.digest())
    );
    for key in s3.keys() {
        if key.starts_with(&statements) {
            s3.remove(&key);
        }
    }
    missing(
        Deployed::following(&shop, EAGER),
        "Crunchbox.ArtifactMissing",
        "crunchbox precompile --all",
    );
    missing(
        Deployed::empty()
            .variable("_HANDLER", "facts@live")
            .variable("CRUNCHBOX_STORE", &shop.url),
        "Crunchbox.PolicyInvalid",
        "needs keys",
    );
    missing(
        Deployed::empty().variable("_HANDLER", "facts@live"),
        "Crunchbox.SettingInvalid",
        "expected a store in policy.toml or CRUNCHBOX_STORE",
    );
    missing(
        Deployed::following(&shop, EAGER).variable("_HANDLER", "rust.handler"),
        "Crunchbox.SettingInvalid",
        "crunch@live",
    );
}

#[test]
fn one_package_serves_whatever_function_its_handler_setting_names() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    let sealed = shop.release("facts", r#"{"v": 7}"#);
    shop.promote_to(&"staging".parse().unwrap(), &sealed, Default::default());
    let api = RuntimeApi::start();
    let _running = Deployed::following(&shop, EAGER)
        .variable("_HANDLER", "facts@staging")
        .start(&api);
    let facts = facts(&api);
    assert_eq!(
        (&facts["channel"], &facts["function"]),
        (&"staging".into(), &"facts".into())
    );
}
