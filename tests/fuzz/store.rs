//! What a store holds, damaged or made up: each document is read or refused, what is read is written as a text that means the
//! same, and neither a signature nor a statement on native code counts for other bytes.

use super::damage::{CASES, hostile, whatever_becomes_of};
use super::{Bytes, JSON, LANGUAGES, holds, is_shown_as_json, merged, on_a_small_stack};
use crunchbox::address::{Address, ChannelName, FunctionName};
use crunchbox::component::Digest;
use crunchbox::config::{Extent, Layer, Layers, Rules};
use crunchbox::engine::artifact::Statement;
use crunchbox::engine::folder::TrustedFolder;
use crunchbox::engine::key::{Baseline, EngineKey, Interruption};
use crunchbox::error::{Code, Fault};
use crunchbox::grant::Grants;
use crunchbox::limit::{Limits, Says, Wanted};
use crunchbox::quantity;
use crunchbox::release::{
    Author, Channel, ComponentRef, Contents, Diff, Envelope, Place, Release, SchemaText,
    SealedLimits, Serves, Side, SignedStatement, StoreConfig,
};
use crunchbox::secret;
use crunchbox::store::Location;
use crunchbox::template::Facts;
use crunchbox::trust::{KeyId, Pattern, Role, Trust, TrustedKey, signer};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use std::fmt::Debug;
use std::path::Path;
use std::str::FromStr;

/// A key of the reference implementation's, and what it signed.
pub const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
const SIGNED: &str = "test";
const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
    RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
    trusted comment: timestamp:1633700835\tfile:test\tprehashed\n\
    wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==";

const SCHEMA: &str = r##"{"type": "object", "required": ["db"], "properties": {"db": {"$ref": "#/$defs/db"}, "list": {"minItems": 1}},
    "$defs": {"db": {"properties": {"port": {"type": "integer", "maximum": 65535}, "host": {"pattern": "^[a-z.]+$"}}}}}"##;

pub const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAECAwQ=\n-----END CERTIFICATE-----\n";

fn function() -> FunctionName {
    "crunch".parse().unwrap()
}

fn grants() -> Grants {
    let table = json!({
        "http": ["GET https://a.example/*", {"to": "https://sqs.{{region}}.amazonaws.com", "sign": "sqs"}],
        "tcp": [{"to": "{{db.host}}:5432", "tls": "postgres", "ca": CERTIFICATE}],
        "objects": [{"at": "s3://{{bucket}}/in/", "allow": ["read", "list"]}],
        "secrets": ["ssm:/crunch/{{channel}}/*", "env:*"],
        "env": ["STAGE"],
        "scratch": "64 MiB",
    });
    Grants::read(
        serde_json::from_value(table).unwrap(),
        Path::new("/nowhere"),
    )
    .unwrap()
}

fn limits() -> SealedLimits {
    SealedLimits {
        time_ms: Some(20_000),
        memory_bytes: Some(64 << 20),
        stack_bytes: Some(1 << 20),
        handles: Some(500),
        log_bytes: Some(4_096),
        ..SealedLimits::default()
    }
}

/// Of every format, with every marker.
fn layers() -> Vec<Layer> {
    LANGUAGES.map(|language| language.sound(0)).to_vec()
}

fn release() -> Release {
    let component = ComponentRef {
        digest: Digest::of(b"wasm"),
        size: 4,
        imports: vec!["wasi:io/streams@0.2.6".into()],
        exports: vec!["crunchbox:function/handler@0.1.0".into()],
    };
    let contents = Contents {
        config: layers(),
        schema: Some(SchemaText::new(SCHEMA).unwrap()),
        limits: limits(),
        grants: grants().seal(),
    };
    Release::new(function(), component, contents)
}

fn channel() -> Channel {
    let author = |message: &str| Author {
        by: "ada@lab".into(),
        at: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        message: message.into(),
    };
    let serves = |release: &str, config: Option<&str>| Serves {
        release: Digest::of(release.as_bytes()),
        component: Digest::of(b"wasm"),
        config: config.map(|config| Digest::of(config.as_bytes())),
    };
    let mut channel = Channel::new(function(), ChannelName::default(), 40)
        .moved(Some(serves("a", None)), None, &author("first"))
        .moved(Some(serves("b", Some("c"))), None, &author("é \"quoted\""))
        .moved(None, None, &author(""))
        .moved(Some(serves("a", None)), Some(41), &author("back"));
    channel.not_after = Some("2027-01-01T00:00:00Z".parse().unwrap());
    channel
}

fn statement() -> Statement {
    let engine = EngineKey::new(Baseline::X86_64V3, Interruption::Epoch);
    Statement::new(Digest::of(b"wasm"), engine, b"native code")
}

fn envelope(payload: String) -> String {
    let signatures = vec![SIGNATURE.to_owned(), "junk".to_owned()];
    let envelope = Envelope {
        payload,
        signatures,
    };
    envelope.to_text()
}

/// Whether what a reader made of a text is written, and read again, as the same.
fn is_read_again<T: Debug + PartialEq, E: Debug>(
    value: &T,
    write: impl Fn(&T) -> String,
    read: impl Fn(&[u8]) -> Result<T, E>,
) {
    let written = write(value);
    let again = read(written.as_bytes()).unwrap();
    assert_eq!(again, *value);
    assert_eq!(write(&again), written);
}

/// What a host and whoever reviews it make of a release that was read.
fn is_of_use(release: &Release) {
    let wanted = Wanted::from(&release.limits);
    let limits = Limits::default().with(&wanted, Says::Release, &Wanted::default());
    assert!(limits.response <= Limits::default().response);
    let schema = release.schema.as_ref().map(SchemaText::parse);
    let grants = Grants::parse(&release.grants);
    let secrets = grants.as_ref().map(Grants::secrets).unwrap_or_default();
    let rules = |extent| Rules {
        facts: Facts::default().with("channel", "live"),
        grants: secrets,
        schema: schema.as_ref().and_then(|schema| schema.as_ref().ok()),
        extent,
        ..Rules::default()
    };
    let layers = merged(&release.config.iter().collect::<Vec<_>>());
    for extent in [Extent::Part, Extent::Whole] {
        settles(&layers, &rules(extent));
    }
    let side = |release: &Release| Side {
        release: release.clone(),
        config: None,
    };
    let sound = side(&self::release());
    drop(Diff::between(Some(&sound), &side(release)).lines());
}

fn settles(layers: &Layers, rules: &Rules<'_>) {
    match layers.settle(rules) {
        Ok(config) => is_shown_as_json(&config),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    is_shown_as_json(&layers.unchecked());
}

#[test]
fn a_damaged_release_is_read_or_refused() {
    let config = StoreConfig::new(function(), layers()).to_text();
    let texts = vec![release().to_text(), config];
    whatever_becomes_of(texts, |bytes| {
        if let Ok(release) = Release::parse(bytes) {
            is_read_again(&release, Release::to_text, Release::parse);
            is_of_use(&release);
        }
        if let Ok(config) = StoreConfig::parse(bytes) {
            is_read_again(&config, StoreConfig::to_text, StoreConfig::parse);
            let sound = JSON.sound(0);
            let layers = config.layers.iter().chain([&sound]);
            settles(&merged(&layers.collect::<Vec<_>>()), &Rules::default());
        }
    });
}

#[test]
fn a_damaged_channel_or_statement_is_read_or_refused() {
    let (channel, statement) = (channel().to_text(), SignedStatement::payload(&statement()));
    let texts = vec![
        envelope(channel.clone()),
        envelope(statement.clone()),
        channel,
        statement,
    ];
    whatever_becomes_of(texts, |bytes| {
        is_channel_or_not(bytes);
        if let Ok(envelope) = Envelope::parse(bytes) {
            is_read_again(&envelope, Envelope::to_text, Envelope::parse);
            is_channel_or_not(envelope.payload.as_bytes());
            is_statement_or_not(envelope.payload);
        } else if let Ok(payload) = std::str::from_utf8(bytes) {
            is_statement_or_not(payload.to_owned());
        }
    });
}

fn is_channel_or_not(payload: &[u8]) {
    let Ok(read) = Channel::parse(payload) else {
        return;
    };
    is_read_again(&read, Channel::to_text, Channel::parse);
    assert!(read.lifetime().is_some() || read.not_after.is_none());
    // What a rollback would bring back is an older state, and the next move is one that a reader takes.
    let before = read.before();
    assert!(before.is_none_or(|before| before.sequence < read.sequence));
    let author = Author {
        by: "ada".into(),
        at: read.moves[0].at,
        message: String::new(),
    };
    let restores = before.map(|before| before.sequence);
    let moved = read.moved(
        before.and_then(|before| before.serves.clone()),
        restores,
        &author,
    );
    is_read_again(&moved, Channel::to_text, Channel::parse);
}

fn is_statement_or_not(payload: String) {
    let read = |text: &[u8]| {
        SignedStatement::read(&Envelope {
            payload: String::from_utf8(text.to_vec()).unwrap(),
            signatures: Vec::new(),
        })
    };
    if let Ok(statement) = read(payload.as_bytes()) {
        is_read_again(&statement, SignedStatement::payload, read);
    }
}

fn trusting(public: &str) -> Result<Trust, String> {
    let key = TrustedKey::new("ci".into(), public, Role::ALL.to_vec(), Pattern::any())?;
    Ok(Trust::new(vec![key]))
}

#[test]
fn a_damaged_signature_or_key_counts_for_nothing_that_was_not_signed() {
    let others = vec!["", "tesT", "test\n", "test\0", "{\"sequence\":41}"];
    let counts = |trust: &Trust, signature: &str, payload: &str| {
        let signatures = [signature.to_owned()];
        let counts = trust.verify(Role::Channel, &function(), payload.as_bytes(), &signatures);
        counts.is_ok()
    };
    let sound = trusting(KEY).unwrap();
    assert!(counts(&sound, SIGNATURE, SIGNED));
    on_a_small_stack(|| {
        let payloads = prop_oneof![2 => Just(SIGNED), 1 => select(others)];
        let strategy = (hostile(vec![SIGNATURE]), hostile(vec![KEY]), payloads);
        holds(CASES, &strategy, |(signature, key, payload)| {
            let signature = String::from_utf8_lossy(&signature.0);
            assert!(!counts(&sound, &signature, payload) || payload == SIGNED);
            drop(signer(&signature));
            let key = String::from_utf8_lossy(&key.0);
            if let Ok(trust) = trusting(&key) {
                // What stands before is the algorithm and the name of the key.
                let same = key.get(14..) == KEY.get(14..);
                assert!(!counts(&trust, SIGNATURE, payload) || (same && payload == SIGNED));
            }
            drop((KeyId::parse(&key), Pattern::new(&key)));
        });
    });
}

#[test]
fn no_damage_to_native_code_or_its_statement_lets_other_bytes_be_loaded() {
    const CODE: &[u8] = b"native code that nobody runs";
    let folder = tempfile::tempdir().unwrap();
    let trusted = TrustedFolder::private(&folder.path().join("cache")).unwrap();
    let engine = EngineKey::new(Baseline::X86_64, Interruption::Epoch);
    let statement = Statement::new(Digest::of(b"wasm"), engine, CODE);
    trusted.keep(CODE, &statement).unwrap();
    let code = trusted.code_path(statement.component, &statement.engine);
    let says = code.with_extension("json");
    let sound = std::fs::read(&says).unwrap();
    let codes = prop_oneof![1 => Just(Bytes(CODE.to_vec())), 1 => hostile(vec![CODE])];
    let statements = prop_oneof![1 => Just(Bytes(sound.clone())), 2 => hostile(vec![sound])];
    holds(CASES, &(codes, statements), |(bytes, text)| {
        std::fs::write(&code, &bytes.0).unwrap();
        std::fs::write(&says, &text.0).unwrap();
        match trusted.find(statement.component, &statement.engine) {
            Ok(found) => {
                let loaded = found.unwrap().open().map(std::io::read_to_string);
                assert_eq!(loaded.unwrap().unwrap().as_bytes(), CODE);
                assert_eq!(bytes.0, CODE);
            }
            Err(error) => assert_eq!(error.code(), Code::ArtifactRefused, "{error}"),
        }
    });
}

/// What is read of a text is written as one that means the same.
fn means_itself<T: FromStr + ToString + PartialEq + Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let again = value.to_string().parse::<T>().ok();
        assert_eq!(again.as_ref(), Some(&value), "{text}");
    }
}

#[test]
fn a_damaged_name_address_or_reference_means_itself_or_nothing() {
    let digest = Digest::of(b"wasm").to_string();
    let texts = [
        "crunch@live:41",
        "crunch@3f2a91c0",
        digest.as_str(),
        "48.0.8-s1-x86_64-v3-epoch",
        "secretsmanager:prod/{{channel}}/db#password",
        "ssm:/crunch/{{ channel }}/db:3",
        "env:DB_PASSWORD",
        "s3://acme/crunchbox?endpoint=http%3A%2F%2F127.0.0.1%3A9000&region=eu-west-1",
        "1m 30s",
        "1.5 MiB",
    ];
    let texts: Vec<String> = texts.map(str::to_owned).to_vec();
    whatever_becomes_of(texts, |bytes| {
        let text = &String::from_utf8_lossy(bytes);
        means_itself::<FunctionName>(text);
        means_itself::<ChannelName>(text);
        means_itself::<Address>(text);
        means_itself::<Digest>(text);
        means_itself::<EngineKey>(text);
        means_itself::<secret::Reference>(text);
        means_itself::<secret::Grant>(text);
        if let Ok(Location::S3(s3)) = text.parse() {
            assert_eq!(s3.url().parse(), Ok(Location::S3(s3)), "{text}");
        }
        if let Ok(size) = text.parse::<quantity::Bytes>() {
            assert!(!size.to_string().is_empty());
        }
        if let Ok(time) = text.parse::<quantity::Time>() {
            assert!(!time.to_string().is_empty());
        }
    });
}

#[test]
fn a_damaged_key_of_a_store_names_its_own_place_or_none() {
    let place = Place::of(&function());
    let id = Digest::of(b"release");
    let signer = KeyId::parse("E7620F1842B4E81F").unwrap();
    let engine = EngineKey::new(Baseline::X86_64V3, Interruption::Epoch);
    let keys = vec![
        place.channel(&ChannelName::default()),
        place.release(id),
        place.signature(id, &signer),
        place.statement(id, &engine),
        place.artifact(id),
        place.config(id),
    ];
    whatever_becomes_of(keys, |bytes| {
        let key = String::from_utf8_lossy(bytes);
        let key = &*key;
        let named = [
            place.channel_of(key).map(|name| place.channel(&name)),
            place.release_of(key).map(|id| place.release(id)),
            place
                .signer_of(id, key)
                .map(|key| place.signature(id, &key)),
            place
                .engine_of(id, key)
                .map(|engine| place.statement(id, &engine)),
        ];
        for named in named.into_iter().flatten() {
            assert_eq!(named, key);
        }
    });
}
