//! Moves of a channel, and what goes when nothing names it any more: by the library, against a bucket that misbehaves.

use crate::rig::shop::component;
use crate::rig::{Fault, S3, Seen, Setting, Shop};
use crunchbox::error::Code;
use crunchbox::publish::{Move, Sealed, Terms};
use std::time::Duration;

#[test]
fn of_two_who_promote_at_once_one_wins_and_the_other_is_told_who_and_what() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy("facts", r#"{"v": 1}"#);
    let (mine, theirs) = (
        shop.release("facts", r#"{"v": 2}"#),
        shop.release("facts", r#"{"v": 3}"#),
    );
    let serves = |sealed: &Sealed| Move::Release(sealed.serves());
    let propose = |sealed: &Sealed| {
        let wanted = serves(sealed);
        let live = Shop::live();
        shop.block_on(shop.publisher.propose(&live, &wanted, Terms::default()))
            .unwrap()
    };
    let (first, second) = (propose(&mine), propose(&theirs));
    shop.block_on(shop.publisher.make(&first)).unwrap();
    let lost = shop.block_on(shop.publisher.make(&second)).unwrap_err();
    assert_eq!(lost.code, Code::ChannelConflict);
    for word in ["is 2 now", &mine.id.short(), "ada@lab", "a test"] {
        assert!(lost.message.contains(word), "{lost}");
    }
    let terms = Terms {
        if_current: Some(1),
        ..Terms::default()
    };
    let late = shop
        .try_move(&Shop::live(), &serves(&theirs), terms)
        .unwrap_err();
    assert_eq!(late.code, Code::ChannelConflict);
    assert!(late.message.contains("expected number 1"), "{late}");
}

#[test]
fn a_move_whose_answer_is_lost_is_found_to_be_made() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy("facts", r#"{"v": 1}"#);
    let put = |seen: &Seen| seen.method == "PUT" && seen.key.contains("/channels/");
    s3.inject(Fault::LoseAnswer, put, 1);
    assert_eq!(shop.deploy("facts", r#"{"v": 2}"#), 2);
    // All answers, all tries; but for the probe, which asks for an answer.
    let put = |seen: &Seen| seen.method == "PUT" && !seen.key.contains("probe");
    s3.inject(Fault::LoseAnswer, put, usize::MAX);
    assert_eq!(shop.deploy("facts", r#"{"v": 3}"#), 3);
    s3.heal();
    assert_eq!(Setting::of(&shop).start().serves(), 3);
}

#[test]
fn a_first_promotion_needs_no_permission_to_list_and_neither_does_a_host() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    let sealed = shop.release("facts", "{}");
    s3.without_list_permission();
    assert_eq!(shop.promote(&sealed), 1);
    let mut followed = Setting::of(&shop).start();
    assert_eq!(followed.serves(), 1);
    s3.remove(&shop.channel_key());
    followed.look();
    assert_eq!(followed.refusals(), ["Crunchbox.StoreDenied"]);
    // Somebody's channel that can't be read is not taken for one that is not there.
    let rollback = shop.try_move(&Shop::live(), &Move::Back(None), Terms::default());
    assert_eq!(rollback.unwrap_err().code, Code::StoreDenied);
}

#[test]
fn a_server_that_ignores_conditions_is_not_promoted_in() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    let sealed = shop.release("facts", "{}");
    s3.inject(Fault::IgnoreConditions, |_| true, usize::MAX);
    let serves = sealed.serves();
    let refused = shop
        .try_move(&Shop::live(), &Move::Release(serves), Terms::default())
        .unwrap_err();
    assert_eq!(refused.code, Code::StoreUnusable);
    assert!(refused.message.contains("condition"), "{refused}");
    assert!(s3.object(&shop.channel_key()).is_none());
}

#[test]
fn a_promotion_of_what_is_not_in_the_store_is_refused() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    for (part, code) in [
        ("/components/", Code::ObjectMissing),
        (".minisig", Code::SignatureInvalid),
    ] {
        let sealed = shop.release("facts", r#"{"v": 1}"#);
        for key in s3.keys() {
            if key.contains(part) {
                s3.remove(&key);
            }
        }
        let serves = sealed.serves();
        let refused = shop
            .try_move(&Shop::live(), &Move::Release(serves), Terms::default())
            .unwrap_err();
        assert_eq!(refused.code, code, "{refused}");
    }
}

#[test]
fn prune_shows_first_and_spares_what_is_young_or_remembered() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy("facts", r#"{"v": 1}"#);
    let sealed = shop.release_with(component("echo"), "{}", Default::default());
    let week = Duration::from_secs(8 * 24 * 3600);
    let doomed = || {
        let found = shop.publisher.doomed(std::time::SystemTime::now());
        let found = shop.block_on(found).unwrap();
        found
            .into_iter()
            .map(|object| object.key)
            .collect::<Vec<_>>()
    };
    assert_eq!(doomed(), [""; 0], "all of it is young");
    for key in s3.keys() {
        s3.age(&key, week);
    }
    let keys = doomed();
    assert_eq!(
        keys.len(),
        7,
        "component, release, signature, and for each way of stopping guests statement and code: {keys:?}"
    );
    assert!(keys[0].contains("/releases/") && keys[0].contains(&sealed.id.to_string()));
    let found = shop.publisher.doomed(std::time::SystemTime::now());
    let found = shop.block_on(found).unwrap();
    shop.block_on(shop.publisher.prune(&found)).unwrap();
    assert_eq!(doomed(), [""; 0]);
    assert_eq!(Setting::of(&shop).start().serves(), 1);
}
