//! What a host makes of a bucket that somebody changed by hand: each object alone, old states put back, native code from
//! elsewhere.

use crate::rig::shop::component;
use crate::rig::{Followed, S3, Setting, Shop, opened};
use crunchbox::component::Digest;
use crunchbox::config::{Layer, Tier};
use crunchbox::engine::key::Interruption;
use crunchbox::error::Code;
use crunchbox::publish::{Move, Terms, Until};
use crunchbox::release::{Envelope, StoreConfig};

/// What became of a host after something in the bucket was changed by hand.
fn tampered(change: impl Fn(&S3, &Shop)) -> (Followed, Vec<String>) {
    let (s3, shop, mut followed) = opened();
    change(&s3, &shop);
    followed.look();
    followed.look();
    let refusals = followed.refusals();
    (followed, refusals)
}

/// Alters what has `part` in its key, once a second release is there and promoted: one object, or native code of both kinds.
fn altering(part: &'static str, alter: impl Fn(Vec<u8>) -> Vec<u8>) -> (Followed, Vec<String>) {
    tampered(|s3, shop| {
        let before = s3.keys();
        shop.deploy("echo", "{}");
        let matching = s3.keys().into_iter();
        let new = |key: &String| part == "/channels/" || !before.contains(key);
        let found: Vec<String> = matching
            .filter(|key| key.contains(part) && new(key))
            .collect();
        let expected = match part {
            ".cwasm" => Interruption::ALL.len(),
            _ => 1,
        };
        assert_eq!(found.len(), expected, "{part}: {:?}", s3.keys());
        for key in found {
            s3.put(&key, &alter(s3.object(&key).unwrap()));
        }
    })
}

fn replaced(from: &'static str, to: &'static str) -> impl Fn(Vec<u8>) -> Vec<u8> {
    move |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        let changed = text.replacen(from, to, 1);
        assert_ne!(text, changed, "{from}");
        changed.into_bytes()
    }
}

#[test]
fn each_object_tampered_with_alone_is_refused() {
    for (part, from, to, code) in [
        (
            "/channels/",
            "ada@lab",
            "eve@lab",
            "Crunchbox.SignatureInvalid",
        ),
        ("json", "\"v\":2", "\"v\":3", "Crunchbox.ObjectDamaged"),
        (
            "-epoch.json",
            "x86_64",
            "x86_65",
            "Crunchbox.SignatureInvalid",
        ),
        (".minisig", "facts", "facto", "Crunchbox.SignatureInvalid"),
    ] {
        let part = if part == "json" { "/releases/" } else { part };
        let (followed, refusals) = if part == "/releases/" {
            altering_release(replaced(from, to))
        } else {
            altering(part, replaced(from, to))
        };
        assert_eq!(
            (followed.serves(), refusals.as_slice()),
            (1, &[code.to_owned()][..])
        );
    }
    let (followed, refusals) = altering(".cwasm", |mut code| {
        let middle = code.len() / 2;
        code[middle] ^= 1;
        code
    });
    assert_eq!(followed.serves(), 1);
    assert_eq!(refusals, ["Crunchbox.ArtifactRefused"]);
}

/// The release itself, not its signature beside it.
fn altering_release(alter: impl Fn(Vec<u8>) -> Vec<u8>) -> (Followed, Vec<String>) {
    tampered(|s3, shop| {
        let sealed = shop.release("facts", r#"{"v": 2}"#);
        shop.promote(&sealed);
        let key = format!("prefix/{}", shop.place().release(sealed.id));
        s3.put(&key, &alter(s3.object(&key).unwrap()));
    })
}

#[test]
fn a_configuration_tampered_with_is_refused_and_with_it_the_whole_state() {
    let (s3, shop, mut followed) = opened();
    let layer = Layer::parse(Tier::Store, "live.toml", b"v = 7").unwrap();
    let config = StoreConfig::new("facts".parse().unwrap(), vec![layer]);
    let digest = Digest::of(config.to_text().as_bytes());
    shop.try_move(&Shop::live(), &Move::Config(config), Terms::default())
        .unwrap();
    let key = format!("prefix/{}", shop.place().config(digest));
    let good = s3.object(&key).unwrap();
    s3.put(&key, &replaced("\"v\":7", "\"v\":8")(good.clone()));
    followed.look();
    assert_eq!(followed.serves(), 1);
    assert_eq!(followed.refusals(), ["Crunchbox.ObjectDamaged"]);
    s3.put(&key, &good);
    followed.look();
    let facts = followed.handle(r#"{"config": ["v"]}"#).result.unwrap();
    assert!(facts.contains(r#""config":7"#), "{facts}");
}

#[test]
fn a_signed_channel_of_another_channel_copied_over_is_refused() {
    let (followed, refusals) = tampered(|s3, shop| {
        let sealed = shop.release("facts", r#"{"v": 2}"#);
        let staging = "staging".parse().unwrap();
        for _ in 0..3 {
            shop.promote_to(&staging, &sealed, Terms::default());
            shop.try_move(&staging, &Move::Renew, Terms::default())
                .unwrap();
        }
        let signed = s3.object("prefix/facts/channels/staging.json").unwrap();
        s3.put(&shop.channel_key(), &signed);
    });
    assert_eq!(
        (followed.serves(), refusals),
        (1, vec!["Crunchbox.WrongPlace".to_owned()])
    );
}

#[test]
fn an_old_signed_channel_put_back_is_refused_by_a_running_host() {
    let (s3, shop, mut followed) = opened();
    let old = s3.object(&shop.channel_key()).unwrap();
    shop.deploy("facts", r#"{"v": 2}"#);
    followed.look();
    s3.put(&shop.channel_key(), &old);
    followed.look();
    assert_eq!(followed.serves(), 2);
    assert_eq!(followed.refusals(), ["Crunchbox.SequenceBack"]);
}

#[test]
fn an_old_signed_channel_put_back_is_refused_by_a_fresh_host_with_a_memory_a_number_or_a_date() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    let past = Terms {
        until: Until::Moment(jiff::Timestamp::now() - jiff::SignedDuration::from_secs(60)),
        ..Terms::default()
    };
    let first = shop.release("facts", r#"{"v": 1}"#);
    shop.promote_to(&Shop::live(), &first, past);
    let expired = s3.object(&shop.channel_key()).unwrap();
    let future = Terms {
        until: Until::Moment(jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)),
        ..Terms::default()
    };
    shop.promote_to(&Shop::live(), &shop.release("facts", r#"{"v": 2}"#), future);
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("cache");
    assert_eq!(Setting::of(&shop).cache(&folder).start().serves(), 2);
    s3.put(&shop.channel_key(), &expired);
    let refusal = |setting: Setting<'_>| setting.try_start().err().map(|failure| failure.code);
    assert_eq!(refusal(Setting::of(&shop)), Some(Code::ChannelExpired));
    let numbered = Setting::of(&shop).min_sequence(2);
    assert_eq!(refusal(numbered), Some(Code::SequenceBack));
    let mut remembering = Setting::of(&shop).cache(&folder).start();
    assert_eq!(remembering.serves(), 2, "the last good one of the cache");
    assert_eq!(remembering.refusals(), ["Crunchbox.SequenceBack"]);
    remembering.look();
    assert_eq!(remembering.serves(), 2);
}

#[test]
fn a_channel_deleted_by_hand_and_made_again_is_refused_until_it_goes_on_from_its_number() {
    let (s3, shop, mut followed) = opened();
    shop.deploy("facts", r#"{"v": 2}"#);
    followed.look();
    s3.remove(&shop.channel_key());
    followed.look();
    let sealed = shop.release("facts", r#"{"v": 3}"#);
    assert_eq!(shop.promote(&sealed), 1);
    followed.look();
    assert_eq!(followed.serves(), 2);
    assert_eq!(
        followed.refusals(),
        ["Crunchbox.ObjectMissing", "Crunchbox.SequenceBack"]
    );
    let after = Terms {
        after: Some(2),
        ..Terms::default()
    };
    let other = shop.release("facts", r#"{"v": 4}"#);
    assert_eq!(shop.promote_to(&Shop::live(), &other, after), 3);
    followed.look();
    assert_eq!(followed.serves(), 3);
}

#[test]
fn a_channel_deleted_as_it_should_be_leaves_running_hosts_serving_and_starts_none() {
    let (_s3, shop, mut followed) = opened();
    shop.try_move(&Shop::live(), &Move::Delete, Terms::default())
        .unwrap();
    followed.look();
    assert_eq!(followed.serves(), 1);
    assert_eq!(followed.refusals(), ["Crunchbox.ChannelMissing"]);
    let failure = Setting::of(&shop).try_start().err().unwrap();
    assert!(failure.message.contains("deleted by ada@lab"), "{failure}");
    shop.rollback();
    followed.look();
    assert_eq!(followed.serves(), 3);
}

#[test]
fn two_states_with_one_number_are_refused() {
    let (s3, shop, mut followed) = opened();
    let first = s3.object(&shop.channel_key()).unwrap();
    shop.deploy("facts", r#"{"v": 2}"#);
    followed.look();
    s3.put(&shop.channel_key(), &first);
    shop.deploy("facts", r#"{"v": 3}"#);
    followed.look();
    assert_eq!(followed.serves(), 2);
    assert_eq!(followed.refusals(), ["Crunchbox.SequenceBack"]);
}

#[test]
fn native_code_for_another_engine_or_without_a_statement_that_counts_is_never_mapped() {
    use crunchbox::engine::artifact::Statement;
    use crunchbox::engine::key::{Baseline, EngineKey, Interruption};
    use crunchbox::release::SignedStatement;
    let here = EngineKey::new(Baseline::of_this_machine(), Interruption::Epoch);
    let other = EngineKey::new(Baseline::NeoverseN1, Interruption::Epoch);
    let digest = component("facts").digest();
    let junk = b"\x7fELF random bytes with a right-looking name".to_vec();
    let wrong = |engine: &EngineKey, component: Digest| Statement {
        artifact: Digest::of(&junk),
        ..Statement::new(component, engine.clone(), &junk)
    };
    for (statement, signed, code) in [
        (wrong(&other, digest), true, "Crunchbox.WrongPlace"),
        (
            wrong(&here, Digest::of(b"other")),
            true,
            "Crunchbox.WrongPlace",
        ),
        (wrong(&here, digest), false, "Crunchbox.SignatureInvalid"),
        // A trusted key signed nonsense: the engine itself is the last to look.
        (wrong(&here, digest), true, "Crunchbox.ArtifactRefused"),
    ] {
        let s3 = S3::start();
        let shop = Shop::in_s3(&s3);
        shop.deploy("facts", "{}");
        let payload = SignedStatement::payload(&statement);
        let key = shop.publisher.keys.find(&shop.key).unwrap().unwrap();
        let signature = key.sign(payload.as_bytes(), "").unwrap();
        let envelope = Envelope {
            payload,
            signatures: if signed { vec![signature] } else { vec![] },
        };
        let place = |key: String| format!("prefix/{key}");
        s3.put(
            &place(shop.place().statement(digest, &here)),
            envelope.to_text().as_bytes(),
        );
        s3.put(&place(shop.place().artifact(statement.artifact)), &junk);
        let failure = Setting::of(&shop).try_start().err().unwrap();
        assert_eq!(failure.code.name(), code, "{failure}");
    }
}

#[test]
fn an_old_state_put_back_after_a_deletion_is_refused() {
    let (s3, shop, mut followed) = opened();
    let old = s3.object(&shop.channel_key()).unwrap();
    shop.try_move(&Shop::live(), &Move::Delete, Terms::default())
        .unwrap();
    followed.look();
    s3.put(&shop.channel_key(), &old);
    followed.look();
    let refusals = followed.refusals();
    assert_eq!(
        refusals,
        ["Crunchbox.ChannelMissing", "Crunchbox.SequenceBack"]
    );
}

#[test]
fn a_component_tampered_with_is_refused_by_whoever_reads_it() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    let sealed = shop.release("facts", "{}");
    let digest = sealed.component.digest();
    let key = format!("prefix/{}", shop.place().component(digest));
    let mut bytes = s3.object(&key).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    s3.put(&key, &bytes);
    let wanted = Move::Release(sealed.serves());
    let refused = shop.try_move(&Shop::live(), &wanted, Terms::default());
    assert_eq!(refused.unwrap_err().code, Code::ObjectDamaged);
}

#[test]
fn a_format_from_the_future_leaves_the_last_good_release_serving_though_it_is_signed() {
    let (followed, refusals) = tampered(|s3, shop| {
        let text = String::from_utf8(s3.object(&shop.channel_key()).unwrap()).unwrap();
        let mut envelope = Envelope::parse(text.as_bytes()).unwrap();
        envelope.payload = envelope.payload.replacen("\"format\":1", "\"format\":2", 1);
        let key = shop.publisher.keys.find(&shop.key).unwrap().unwrap();
        envelope.signatures = vec![key.sign(envelope.payload.as_bytes(), "").unwrap()];
        s3.put(&shop.channel_key(), envelope.to_text().as_bytes());
    });
    assert_eq!(
        (followed.serves(), refusals),
        (1, vec!["Crunchbox.FormatUnknown".to_owned()])
    );
}
