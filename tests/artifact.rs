//! Components and artifacts: what loads, what is refused, where native code comes from.

use crate::rig::{Rig, artifacts, compiler, component, guest, kept, read};
use crunchbox::engine::compile::{CompileLimits, Compiler};
use crunchbox::engine::folder::TrustedFolder;
use crunchbox::engine::key::{Baseline, Interruption};
use crunchbox::engine::{Artifacts, Engines, Origin};
use crunchbox::error::{Code, Fault};
use crunchbox::quantity::{Bytes, Time};
use std::time::Duration;

fn refusal(wat: &str) -> (Code, String) {
    let folder = tempfile::tempdir().unwrap();
    let failure = Rig::of_file(&component(folder.path(), wat), "odd")
        .try_start()
        .err()
        .expect("a refusal");
    (failure.code, failure.message)
}

fn block_on<R>(future: impl Future<Output = R>) -> R {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn a_component_without_a_handler_is_refused_with_what_it_exports() {
    let (code, message) = refusal("(component)");
    assert_eq!(code, Code::ComponentWrongWorld);
    assert!(
        message.contains("crunchbox:function/handler@0.1.0") && message.contains("got nothing"),
        "{message}"
    );
    let (_, message) = refusal(
        r#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m)) (func (export "other") (canon lift (core func $i "f"))))"#,
    );
    assert!(message.contains("got `other`"), "{message}");
}

#[test]
fn an_import_that_nobody_offers_is_refused_by_name() {
    let (code, message) = refusal(r#"(component (import "acme:db/rows@1.0.0" (instance)))"#);
    assert_eq!(code, Code::ComponentWrongWorld);
    assert!(
        message.contains("`acme:db/rows@1.0.0`") && message.contains("offered are"),
        "{message}"
    );
}

#[test]
fn an_offered_interface_with_other_functions_is_refused_by_name() {
    let wat = r#"(component
        (import "crunchbox:function/log@0.1.0" (instance (export "whisper" (func))))
        (instance $i) (export "crunchbox:function/handler@0.1.0" (instance $i)))"#;
    let (code, message) = refusal(wat);
    assert_eq!(code, Code::ComponentWrongWorld);
    assert!(message.contains("whisper"), "{message}");
}

#[test]
fn the_oldest_published_contract_is_still_served() {
    // Kept as bytes, for ever: an echo guest built against crunchbox:function@0.1.0.
    let rig = Rig::of_file(
        &crate::rig::root().join("tests/data/echo-0.1.0.wasm"),
        "old",
    )
    .start();
    assert_eq!(rig.handle("[1]").result.unwrap(), "[1]");
}

#[test]
fn a_component_is_compiled_once_and_then_loaded_from_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let cache = || Some(TrustedFolder::private(&folder.path().join("cache")).unwrap());
    let sources = || Artifacts {
        interruption: Interruption::Epoch,
        package: None,
        cache: cache(),
        compiler: Some(compiler()),
    };
    let component = read(&guest("echo"));
    assert_eq!(
        block_on(sources().obtain(&component)).unwrap().1,
        Origin::Compiled
    );
    assert_eq!(
        block_on(sources().obtain(&component)).unwrap().1,
        Origin::Cache
    );
}

#[test]
fn a_damaged_artifact_in_the_cache_is_made_again() {
    let folder = kept("damaged");
    let cache = TrustedFolder::private(&folder).unwrap();
    let component = read(&guest("echo"));
    let sources = Artifacts {
        interruption: Interruption::Epoch,
        package: None,
        cache: Some(cache),
        compiler: Some(compiler()),
    };
    block_on(sources.obtain(&component)).unwrap();
    for entry in std::fs::read_dir(&folder).unwrap() {
        std::fs::write(entry.unwrap().path(), "{}").unwrap();
    }
    assert_eq!(
        block_on(sources.obtain(&component)).unwrap().1,
        Origin::Compiled
    );
}

#[test]
fn a_component_that_does_not_fit_the_pool_is_loaded_to_run_on_demand() {
    // Three memories of its own, where a place in the pool has two.
    let folder = tempfile::tempdir().unwrap();
    let memories = "(core module $m (memory 1)) (core instance (instantiate $m)) (core instance (instantiate $m)) (core instance (instantiate $m))";
    let path = component(folder.path(), &format!("(component {memories})"));
    let (artifact, _) = block_on(artifacts().obtain(&read(&path))).unwrap();
    let engines = Engines::start(1).unwrap();
    assert!(engines.has_pool());
    assert!(
        !crunchbox::guest::Shape::of(&engines, &artifact)
            .unwrap()
            .fits_pool
    );
    let (artifact, _) = block_on(artifacts().obtain(&read(&guest("echo")))).unwrap();
    assert!(
        crunchbox::guest::Shape::of(&engines, &artifact)
            .unwrap()
            .fits_pool
    );
}

/// A component whose one function has `count` steps that the compiler can't fold.
fn large(count: usize) -> String {
    let steps = "local.get 0 i64.load local.get 0 i64.mul local.set 1 ".repeat(count);
    format!(
        "(component (core module (memory 1) (func (export \"f\") (param i32) (local i64) {}))",
        steps.replace("local.get 0 i64.mul", "local.get 1 i64.mul")
    ) + ")"
}

fn compile_with(limits: CompileLimits, steps: usize) -> Code {
    let folder = tempfile::tempdir().unwrap();
    let path = component(folder.path(), &large(steps));
    let compiler = Compiler {
        limits,
        ..compiler()
    };
    block_on(compiler.compile(
        &read(&path),
        (Baseline::of_this_machine(), Interruption::Epoch),
    ))
    .unwrap_err()
    .code()
}

#[test]
fn a_component_that_takes_too_long_to_compile_is_stopped() {
    let limits = CompileLimits {
        time: Time(Duration::from_millis(300)),
        memory: Bytes::mebi(8192),
    };
    assert_eq!(compile_with(limits, 300_000), Code::CompileTimeLimit);
}

#[test]
fn a_component_that_takes_too_much_memory_to_compile_is_stopped() {
    let limits = CompileLimits {
        time: Time(Duration::from_secs(120)),
        memory: Bytes::mebi(64),
    };
    assert_eq!(compile_with(limits, 700_000), Code::CompileMemoryLimit);
}
