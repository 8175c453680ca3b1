//! A host that follows a channel: what it takes up, what it refuses, and that the last good release serves on.

use crate::rig::shop::{component, memory_limit, variant};
use crate::rig::{Fault, S3, Seen, Setting, Shop, opened};
use crunchbox::error::Code;
use crunchbox::publish::Copied;
use crunchbox::quantity::Bytes;
use crunchbox::release::SealedLimits;
use crunchbox::store::{Folder, Store};
use std::path::PathBuf;
use std::time::Duration;

fn is_get(part: &'static str) -> impl Fn(&Seen) -> bool + Send + Sync {
    move |seen: &Seen| seen.method == "GET" && seen.key.contains(part)
}

/// A shop with one release, and the cache of a host that has served it, as long as its parent is kept.
fn served_once() -> (S3, Shop, tempfile::TempDir, PathBuf) {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy("facts", r#"{"v": 1}"#);
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("cache");
    Setting::of(&shop).cache(&folder).start();
    (s3, shop, cache, folder)
}

#[test]
fn a_promoted_release_and_its_configuration_serve_after_the_next_look() {
    let (_s3, shop, mut followed) = opened();
    shop.deploy("facts", r#"{"v": 2}"#);
    assert_eq!(followed.serves(), 1);
    followed.look();
    assert_eq!(followed.serves(), 2);
    let facts = followed.handle(r#"{"config": ["v"]}"#).result.unwrap();
    assert!(facts.contains(r#""config":2"#), "{facts}");
    assert_eq!(followed.follower.take_counts().swaps, 1);
}

#[test]
fn a_rollback_serves_the_earlier_release_under_a_later_number() {
    let (_s3, shop, mut followed) = opened();
    let first = followed.host.guest().identity().release.clone();
    shop.deploy("facts", r#"{"v": 2}"#);
    followed.look();
    shop.rollback();
    followed.look();
    assert_eq!(followed.serves(), 3);
    assert_eq!(followed.host.guest().identity().release, first);
}

#[test]
fn a_look_with_nothing_new_is_one_conditional_request() {
    let (s3, _shop, mut followed) = opened();
    s3.forget_requests();
    followed.look();
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
fn from_nothing_to_serving_takes_three_round_trips() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    let sealed = shop.release("facts", "{}");
    shop.promote(&sealed);
    s3.forget_requests();
    // The second round: all of it is asked for though none of it is answered.
    s3.inject(Fault::Hang, is_get("/releases/"), usize::MAX);
    s3.inject(Fault::Hang, is_get("/artifacts/"), usize::MAX);
    let short = Setting::of(&shop).start_time(Duration::from_secs(3));
    assert!(short.try_start().is_err());
    let mut asked: Vec<String> = s3.requests().into_iter().map(|seen| seen.key).collect();
    asked.sort();
    assert_eq!(
        asked.len(),
        4,
        "channel, release, signature, statement: {asked:?}"
    );
    assert!(asked[0].contains("/artifacts/") && asked[1].contains("/channels/live"));
    s3.heal();
    s3.forget_requests();
    Setting::of(&shop).start();
    let seen = s3.requests();
    assert_eq!(seen.len(), 5, "{seen:?}");
    assert!(seen[0].key.contains("/channels/live") && seen[4].key.ends_with(".cwasm"));
}

#[test]
fn from_a_full_cache_to_serving_takes_one_request() {
    let (s3, shop, _cache, folder) = served_once();
    s3.forget_requests();
    let followed = Setting::of(&shop).cache(&folder).start();
    assert_eq!(followed.serves(), 1);
    assert_eq!(s3.requests().len(), 1, "{:?}", s3.requests());
}

#[test]
fn whatever_goes_wrong_on_the_way_the_last_good_release_serves_on_and_says_so_once() {
    use Code::{ArtifactMissing, ArtifactRefused, FormatUnknown, ObjectDamaged, SignatureInvalid};
    use Code::{ObjectMissing, StoreDenied, StoreUnreachable};
    let damaged = &[
        ObjectDamaged,
        ArtifactRefused,
        SignatureInvalid,
        FormatUnknown,
    ][..];
    let gone = &[
        StoreDenied,
        SignatureInvalid,
        ArtifactMissing,
        ObjectMissing,
    ][..];
    let silent = &[StoreUnreachable, SignatureInvalid][..];
    for (fault, part, codes) in [
        (Fault::Reset, "/channels/", silent),
        (Fault::Status(503), "/channels/", silent),
        (Fault::Status(403), "/channels/", gone),
        (Fault::Status(404), "/channels/", gone),
        (Fault::Truncate, "/channels/", silent),
        (Fault::FlipByte, "/channels/", damaged),
        (Fault::Hang, "/channels/", silent),
        (Fault::Reset, "/releases/", silent),
        (Fault::Status(503), ".json", silent),
        (Fault::Truncate, "/releases/", silent),
        (Fault::FlipByte, "/releases/", damaged),
        (Fault::Status(403), "/releases/", gone),
        (Fault::Status(403), ".minisig", gone),
        (Fault::FlipByte, ".minisig", damaged),
        (Fault::Status(404), "-epoch.json", gone),
        (Fault::Hang, "-epoch.json", silent),
        (Fault::Status(404), ".cwasm", gone),
        (Fault::Status(503), ".cwasm", silent),
        (Fault::Reset, ".cwasm", silent),
        (Fault::FlipByte, ".cwasm", damaged),
    ] {
        let s3 = S3::start();
        let shop = Shop::in_s3(&s3);
        shop.deploy("echo", r#"{"v": 1}"#);
        let setting = Setting::of(&shop);
        // Nobody waits for ever for what never comes.
        let short = Duration::from_millis(400);
        let mut followed = match fault {
            Fault::Hang => setting.looks(short, short).start(),
            _ => setting.start(),
        };
        shop.deploy("facts", r#"{"v": 2}"#);
        s3.inject(fault, is_get(part), usize::MAX);
        for _ in 0..3 {
            followed.look();
            assert_eq!(
                followed.handle("1").result.as_deref(),
                Ok("1"),
                "{fault:?} on {part}: {:?}",
                followed.lines()
            );
        }
        let refusals = followed.refusals();
        assert_eq!(refusals.len(), 1, "{fault:?} on {part}: {refusals:?}");
        let code = Code::parse(&refusals[0]).unwrap();
        assert!(codes.contains(&code), "{fault:?} on {part}: {code}");
        s3.heal();
        followed.look_until(2);
    }
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_was() {
    let (s3, shop, mut followed) = opened();
    let sealed = shop.release_with(variant("facts", 2), "{}", Default::default());
    shop.promote(&sealed);
    s3.inject(Fault::Truncate, is_get(".cwasm"), 1);
    s3.forget_requests();
    followed.look();
    followed.look();
    assert_eq!(followed.serves(), 2);
    let downloads = s3.requests().into_iter();
    let statuses: Vec<u16> = downloads
        .filter(|seen| seen.key.ends_with(".cwasm"))
        .map(|seen| seen.status)
        .collect();
    assert_eq!(statuses, [200, 206], "the second asks for the rest only");
}

#[test]
fn keys_are_changed_with_no_event_refused() {
    let s3 = S3::start();
    let mut shop = Shop::in_s3(&s3);
    shop.deploy("facts", r#"{"v": 1}"#);
    let (old, new) = (shop.key.clone(), shop.another_key("new"));
    let mut before = Setting::of(&shop).start();
    shop.trusting(vec![old.clone(), new.clone()]);
    let signed = shop.block_on(shop.publisher.resign(false, None)).unwrap();
    assert_eq!(
        (signed.releases, signed.statements, signed.channels),
        (1, 2, 1),
        "a statement for each way of stopping guests"
    );
    before.look();
    assert_eq!(before.refusals(), [""; 0], "those with the old key go on");
    let again = shop.block_on(shop.publisher.resign(false, None)).unwrap();
    assert_eq!(
        (again.releases, again.statements, again.channels),
        (0, 0, 0)
    );
    shop.trusting(vec![new]);
    let mut after = Setting::of(&shop).start();
    shop.deploy("facts", r#"{"v": 2}"#);
    after.look();
    assert_eq!(after.serves(), 2);
    before.look();
    assert_eq!(before.serves(), 1);
    assert_eq!(before.refusals(), ["Crunchbox.SignatureInvalid"]);
}

#[test]
fn a_release_that_cannot_be_instantiated_or_does_not_fit_does_not_take_over() {
    let (_s3, shop, mut followed) = opened();
    let tight = shop.release_with(component("facts"), "{}", memory_limit(64 << 10));
    shop.promote(&tight);
    followed.look();
    assert_eq!(followed.refusals(), ["Crunchbox.SmokeFailed"]);
    let odd = wat::parse_str(r#"(component (import "acme:db/rows@1.0.0" (instance)))"#).unwrap();
    let odd = crunchbox::component::Component::from_bytes("odd", odd).unwrap();
    shop.promote(&shop.release_with(odd, "{}", Default::default()));
    followed.look();
    assert_eq!(
        followed.refusals(),
        ["Crunchbox.SmokeFailed", "Crunchbox.ComponentWrongWorld"]
    );
    assert_eq!(followed.serves(), 1);
    shop.rollback();
    shop.rollback();
    followed.look();
    assert_eq!(followed.serves(), 5);
}

#[test]
fn a_release_too_large_beside_the_old_one_is_refused_before_it_is_downloaded() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy("facts", r#"{"v": 1}"#);
    // The host's base, two instances, and little native code beside them.
    let mut followed = Setting::of(&shop).memory(50).start();
    shop.promote(&shop.release_with(variant("facts", 2), "{}", Default::default()));
    s3.forget_requests();
    followed.look();
    assert_eq!(followed.refusals(), ["Crunchbox.ReleaseTooLarge"]);
    assert_eq!(followed.serves(), 1);
    assert!(
        !s3.requests()
            .iter()
            .any(|seen| seen.key.ends_with(".cwasm"))
    );
}

#[test]
fn a_host_starts_from_its_cache_when_the_store_is_down_and_goes_on_when_it_is_back() {
    let (s3, shop, _cache, folder) = served_once();
    s3.inject(Fault::Status(503), |_| true, usize::MAX);
    let mut followed = Setting::of(&shop).cache(&folder).start();
    assert_eq!(followed.serves(), 1);
    assert_eq!(followed.refusals(), ["Crunchbox.StoreUnreachable"]);
    s3.heal();
    shop.deploy("facts", r#"{"v": 2}"#);
    followed.look();
    assert_eq!(followed.serves(), 2);
}

#[test]
fn after_several_swaps_the_cache_has_what_served_last() {
    let (s3, shop, _cache, folder) = served_once();
    let mut followed = Setting::of(&shop).cache(&folder).start();
    // Nothing waits for the disk between them.
    for number in 2..=4 {
        shop.deploy("facts", &format!(r#"{{"v": {number}}}"#));
        followed.look();
        assert_eq!(followed.serves(), number);
    }
    followed.settle();
    s3.inject(Fault::Status(503), |_| true, usize::MAX);
    assert_eq!(Setting::of(&shop).cache(&folder).start().serves(), 4);
}

#[test]
fn what_was_proven_of_a_release_that_did_not_come_is_not_asked_for_again_by_the_next_process() {
    let (s3, shop, _cache, folder) = served_once();
    let mut followed = Setting::of(&shop).cache(&folder).start();
    shop.promote(&shop.release("echo", r#"{"v": 2}"#));
    s3.inject(Fault::Status(403), is_get(".cwasm"), usize::MAX);
    followed.look();
    assert_eq!(followed.refusals(), ["Crunchbox.StoreDenied"]);
    followed.settle();
    let started = || -> Vec<String> {
        s3.forget_requests();
        assert_eq!(Setting::of(&shop).cache(&folder).start().serves(), 1);
        s3.requests().into_iter().map(|seen| seen.key).collect()
    };
    let only_code = |asked: &[String]| asked.len() == 2 && asked[1].ends_with(".cwasm");
    let asked = started();
    assert!(only_code(&asked), "kept after a look: {asked:?}");
    shop.promote(&shop.release("echo", r#"{"v": 3}"#));
    let asked = started();
    assert!(asked.len() > 2, "another release: {asked:?}");
    let asked = started();
    assert!(only_code(&asked), "kept after a start: {asked:?}");
}

#[test]
fn a_release_with_another_stack_has_it_from_a_full_cache_too() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("cache");
    let deep = r#""overflow 2000""#;
    let start = || Setting::of(&shop).cache(&folder).start();
    shop.promote(&shop.release_with(component("misbehave"), "{}", SealedLimits::default()));
    start().handle(deep).result.unwrap();
    let limits = SealedLimits {
        stack_bytes: Some(64 << 10),
        ..SealedLimits::default()
    };
    shop.promote(&shop.release_with(component("misbehave"), "{}", limits));
    for _ in 0..2 {
        let failure = start().handle(deep).result.unwrap_err();
        assert_eq!(failure.code, Code::StackLimit, "{failure}");
    }
}

#[test]
fn processes_that_share_a_cache_too_small_for_all_of_them_all_start() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy("facts", "{}");
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("cache");
    for limit in [Bytes(0), Bytes(100_000), Bytes::mebi(64)] {
        std::thread::scope(|scope| {
            for _ in 0..6 {
                let setting = Setting::of(&shop).cache(&folder).cache_limit(limit);
                scope.spawn(move || assert_eq!(setting.start().serves(), 1));
            }
        });
    }
}

#[test]
fn what_is_damaged_in_the_cache_is_fetched_again() {
    let (s3, shop, _cache, folder) = served_once();
    let damage = |folder: &std::path::Path| {
        for entry in walk(folder) {
            let mut bytes = std::fs::read(&entry).unwrap();
            bytes.truncate(bytes.len() / 2);
            std::fs::write(&entry, bytes).unwrap();
        }
    };
    damage(&folder);
    let followed = Setting::of(&shop).cache(&folder).start();
    assert_eq!(followed.serves(), 1);
    damage(&folder);
    s3.inject(Fault::Reset, |_| true, usize::MAX);
    let failure = Setting::of(&shop).cache(&folder).try_start().err().unwrap();
    assert_eq!(failure.code, Code::StoreUnreachable, "{failure}");
}

#[test]
fn native_code_that_differs_in_the_cache_by_one_byte_is_fetched_again() {
    let (s3, shop, _cache, folder) = served_once();
    let is_code = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "cwasm");
    let code = walk(&folder).into_iter().find(is_code).unwrap();
    let mut bytes = std::fs::read(&code).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&code, bytes).unwrap();
    s3.forget_requests();
    let followed = Setting::of(&shop).cache(&folder).start();
    assert_eq!(followed.serves(), 1);
    let seen = s3.requests();
    assert!(
        seen.iter().any(|seen| seen.key.ends_with(".cwasm")),
        "{seen:?}"
    );
}

#[test]
fn what_served_before_is_not_what_starts_where_the_channel_names_other_code_by_now() {
    let (_s3, shop, _cache, folder) = served_once();
    let other = variant("facts", 1);
    let digest = other.digest();
    let limits = SealedLimits::default();
    shop.promote(&shop.release_with(other, r#"{"v": 2}"#, limits));
    let followed = Setting::of(&shop).cache(&folder).start();
    assert_eq!(followed.serves(), 2);
    let serving = followed.host.guest().identity().component.clone();
    assert_eq!(serving, digest.to_string());
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_refused_release_leaves_the_last_good_one_whole_in_the_cache() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy("facts", r#"{"v": 1}"#);
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("cache");
    let mut followed = Setting::of(&shop).cache(&folder).start();
    // The same code with too little memory: what is refused is the release, not what was said of its code.
    let tight = shop.release_with(component("facts"), "{}", memory_limit(64 << 10));
    shop.promote(&tight);
    followed.look();
    assert_eq!(followed.refusals(), ["Crunchbox.SmokeFailed"]);
    assert!(!followed.follower.is_due(), "it is not tried again at once");
    s3.inject(Fault::Status(503), |_| true, usize::MAX);
    assert_eq!(Setting::of(&shop).cache(&folder).start().serves(), 1);
}

#[test]
fn a_host_with_nothing_else_starts_from_the_bundle_of_its_package_if_that_is_signed() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    let sealed = shop.release("facts", r#"{"v": 1}"#);
    shop.promote(&sealed);
    let bundle = tempfile::tempdir().unwrap();
    let reader = &shop.publisher.reader;
    let to = reader.instead_of(std::sync::Arc::new(Folder::new(bundle.path())));
    let serves = sealed.serves();
    shop.block_on(async {
        let store: &dyn Store = &**to.store();
        Copied::release(reader, store, &serves).await.unwrap();
        Copied::channel(reader, &to, &Shop::live(), &serves)
            .await
            .unwrap();
    });
    s3.inject(Fault::Status(503), |_| true, usize::MAX);
    let mut followed = Setting::of(&shop).bundle(bundle.path()).start();
    assert_eq!(followed.serves(), 1);
    s3.heal();
    shop.deploy("facts", r#"{"v": 2}"#);
    followed.look();
    assert_eq!(followed.serves(), 2);
    let channel = bundle.path().join("facts/channels/live.json");
    let text = std::fs::read_to_string(&channel).unwrap();
    std::fs::write(&channel, text.replace("ada@lab", "eve@lab")).unwrap();
    s3.inject(Fault::Status(503), |_| true, usize::MAX);
    let forged = Setting::of(&shop).bundle(bundle.path()).try_start();
    assert_eq!(forged.err().unwrap().code, Code::StoreUnreachable);
}

#[test]
fn an_event_after_a_long_sleep_is_served_by_what_was_promoted_meanwhile() {
    let (_s3, shop, mut followed) = opened();
    assert!(!followed.follower.is_stale());
    shop.deploy("facts", r#"{"v": 2}"#);
    // An environment that slept: its steady clock stood still.
    followed.clock.set_wall(3600);
    assert!(followed.follower.is_stale());
    followed.look_before();
    assert_eq!(followed.serves(), 2);
    shop.rollback();
    followed.clock.set_wall(-7200);
    followed.clock.forward(Duration::from_secs(61));
    assert!(
        followed.follower.is_stale(),
        "though the wall's clock was set back"
    );
    followed.look_before();
    assert_eq!(followed.serves(), 3);
    let (s3, other, _) = opened();
    let short = Duration::from_millis(300);
    let mut followed = Setting::of(&other).looks(short, short).start();
    s3.inject(Fault::Hang, |_| true, usize::MAX);
    followed.clock.forward(Duration::from_secs(61));
    let before = std::time::Instant::now();
    followed.look_before();
    assert!(
        before.elapsed() < Duration::from_secs(3),
        "a store that hangs costs the event less than one try at a request"
    );
    assert_eq!(followed.serves(), 1);
    assert!(
        !followed.follower.is_stale(),
        "and not the next one as well"
    );
}

#[test]
fn a_look_with_hardly_any_time_is_left_for_later() {
    let (s3, _shop, mut followed) = opened();
    s3.forget_requests();
    followed.clock.forward(Duration::from_secs(600));
    followed.look_now(Duration::from_millis(5));
    assert!(s3.requests().is_empty() && followed.refusals().is_empty());
    assert!(followed.follower.is_due());
}
