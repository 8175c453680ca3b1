//! What the parts of an event, a start and a swap take, each for itself:
//! `cargo bench --profile dev --config profile.dev.opt-level=3 --bench parts`. The first run builds the demonstration in every
//! language, which takes minutes.
#![allow(clippy::unwrap_used, reason = "a measurement that fails has no figure")]
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    unused_imports,
    reason = "what the tests stand on is read as a module here"
)]

#[path = "../../tests/rig/mod.rs"]
mod rig;

use crunchbox::component::Component;
use crunchbox::engine::Engines;
use crunchbox::engine::artifact::Artifact;
use crunchbox::event::{Identity, Invocation};
use crunchbox::guest::{Guest, Parts, SMOKE_TIME};
use crunchbox::limit::Limits;
use crunchbox::quantity::Bytes;
use crunchbox::reach::Reach;
use crunchbox::secret::Vault;
use divan::Bencher;
use rig::{S3, Setting, Shop, Started, config_of, root, runtime};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

const LANGUAGES: [&str; 4] = ["rust", "clojure", "javascript", "python"];
const CONFIG: &str = r#"{"percentiles": [50, 95], "outliers": {"iqr": 1.5}}"#;
const EVENTS: [(&str, &str); 2] = [
    (
        "1 record",
        include_str!("../../guest/examples/crunch/events/one-record.json"),
    ),
    (
        "10 records",
        include_str!("compare/events/ten-records.json"),
    ),
];

fn main() {
    divan::main();
}

/// The demonstration in a language, built once.
fn component(language: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap();
    built
        .entry(language.to_owned())
        .or_insert_with(|| build(language))
        .clone()
}

fn build(language: &str) -> PathBuf {
    if language == "rust" {
        return rig::guest("crunch");
    }
    let folder = root().join(format!("guest/examples/crunch-{language}"));
    let mut build = Command::new(rig::PROGRAM);
    build
        .args(["build", "--release", "--setup"])
        .arg(folder)
        .stdin(Stdio::null());
    let output = build.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().into()
}

fn artifact(language: &str) -> Artifact {
    let component = Component::read(&component(language)).unwrap();
    runtime()
        .block_on(rig::artifacts().obtain(&component))
        .unwrap()
        .0
}

fn parts() -> Parts {
    Parts {
        identity: Identity::default(),
        limits: Limits {
            memory: Bytes::mebi(256),
            ..Limits::default()
        },
        config: config_of(CONFIG),
        vault: Vault::empty(),
        reach: Reach::default(),
    }
}

fn started(language: &str) -> Started {
    let limits = |limits: &mut Limits| limits.memory = Bytes::mebi(256);
    rig::Rig::of_file(&component(language), "crunch")
        .config(CONFIG)
        .limits(limits)
        .start()
}

fn invocation(event: &str) -> Invocation {
    Invocation {
        event: event.as_bytes().to_vec(),
        ..Invocation::default()
    }
}

#[divan::bench(args = LANGUAGES)]
fn artifact_mapped_and_linked(bencher: Bencher<'_, '_>, language: &str) {
    let (engines, artifact) = (Engines::start(1).unwrap(), artifact(language));
    bencher
        .with_inputs(parts)
        .bench_values(|parts| Guest::load(&engines, &artifact, parts).unwrap());
}

#[divan::bench(args = LANGUAGES)]
fn instance_made_and_dropped(bencher: Bencher<'_, '_>, language: &str) {
    let rig = started(language);
    bencher.bench_local(|| {
        rig.block_on(rig.host.smoke(rig.host.guest(), SMOKE_TIME))
            .unwrap()
    });
}

/// With the way to the guest's thread and back, the check of the event and of the response.
#[divan::bench(args = LANGUAGES.iter().flat_map(|language| EVENTS.map(|(name, event)| Case { language, name, event })))]
fn event_through_the_host(bencher: Bencher<'_, '_>, case: &Case) {
    let rig = started(case.language);
    bencher
        .with_inputs(|| invocation(case.event))
        .bench_local_values(|invocation| rig.block_on(rig.host.handle(invocation)).result.unwrap());
}

struct Case {
    language: &'static str,
    name: &'static str,
    event: &'static str,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}", self.language, self.name)
    }
}

#[divan::bench]
fn look_that_finds_nothing_new(bencher: Bencher<'_, '_>) {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy("facts", r#"{"v": 1}"#);
    let mut followed = Setting::of(&shop).start();
    let time = std::time::Duration::from_secs(10);
    s3.forget_requests();
    let mut looks = 0;
    bencher.bench_local(|| {
        // Just when one is due: sooner nobody would ask, much later on a new connection.
        followed.clock.forward(followed.follower.rest());
        looks += 1;
        runtime().block_on(followed.follower.look(&followed.host, time));
    });
    assert_eq!(s3.requests().len(), looks, "one request each");
}

/// From native code in memory to serving: mapped, linked, tried and swapped in.
#[divan::bench(args = LANGUAGES)]
fn swap(bencher: Bencher<'_, '_>, language: &str) {
    let rig = started(language);
    let artifact = Arc::new(artifact(language));
    bencher
        .with_inputs(|| (Arc::clone(&artifact), parts()))
        .bench_local_values(|(artifact, parts)| {
            rig.block_on(async {
                let guest = Arc::new(rig.host.load(artifact, parts).await.unwrap());
                rig.host
                    .smoke(Arc::clone(&guest), SMOKE_TIME)
                    .await
                    .unwrap();
                rig.host.swap(guest);
            });
        });
}

#[divan::bench]
fn config_of_four_layers_resolved() -> crunchbox::config::Config {
    use crunchbox::config::{Layer, Layers, Rules, Tier};
    let text = |n: u32| {
        let keys = (0..50).map(|key| {
            format!("[table-{key}]\nvalue = {n}\nname = \"{key} of {n}\"\nlist = [1, 2, {n}]\n")
        });
        keys.collect::<String>()
    };
    let mut layers = Layers::new();
    for n in 0..4 {
        layers.add(Layer::parse(Tier::Base, &format!("{n}.toml"), text(n).as_bytes()).unwrap());
    }
    layers.settle(&Rules::default()).unwrap()
}

#[divan::bench(args = ["memory", "folder", "s3"])]
fn object_of_a_kilobyte_read(bencher: Bencher<'_, '_>, backend: &str) {
    use crunchbox::store::{Condition, Folder, MemoryStore, Store};
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::start();
    let store: Arc<dyn Store> = match backend {
        "memory" => Arc::new(MemoryStore::default()),
        "folder" => Arc::new(Folder::new(folder.path())),
        _ => Arc::clone(Shop::in_s3(&s3).publisher.reader.store()),
    };
    runtime()
        .block_on(store.put("a/b", vec![7; 1024].into(), Condition::Absent))
        .unwrap();
    bencher.bench_local(|| {
        runtime()
            .block_on(crunchbox::store::read(&*store, "a/b", 4096))
            .unwrap()
    });
}
