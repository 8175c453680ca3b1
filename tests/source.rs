//! Rules about the source itself, read as text: the invariants of ARCHITECTURE.md that a test can check.

use crate::rig::root;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    collect(&root().join("host/src"), &mut found);
    assert!(found.len() > 20);
    found
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            // Guests as components lie beside the sources of tests.
            let Ok(text) = std::fs::read_to_string(&path) else {
                continue;
            };
            let place = path.strip_prefix(root().join("host/src"));
            found.push((place.unwrap_or(&path).to_owned(), text));
        }
    }
}

/// Files outside `allowed` whose code (not their comments) has `word`.
fn elsewhere(word: &str, allowed: &[&str]) -> Vec<String> {
    let is_allowed = |path: &Path| {
        allowed
            .iter()
            .any(|prefix| path.starts_with(prefix) || path.with_extension("") == Path::new(prefix))
    };
    let has = |text: &str| {
        text.lines()
            .any(|line| line.split("//").next().unwrap_or_default().contains(word))
    };
    sources()
        .into_iter()
        .filter(|(path, text)| !is_allowed(path) && has(text))
        .map(|(path, _)| path.display().to_string())
        .collect()
}

#[test]
fn only_who_speaks_with_aws_names_its_crates() {
    assert_eq!(
        elsewhere("lambda_runtime_api_client", &["front/lambda"]),
        [""; 0]
    );
    let allowed = [
        "front/lambda",
        // Only names of Terraform's resources.
        "package/template",
        "settings",
        "store/s3",
        "secret/aws",
        "object/s3",
        "network/sign",
        "aws",
    ];
    assert_eq!(elsewhere("aws_", &allowed), [""; 0]);
}

#[test]
fn only_who_publishes_writes_a_store() {
    for verb in [".put(", "store().delete(", "store.delete("] {
        // Records of events are no objects of a store of releases.
        let allowed = ["publish", "store", "front/service/destination"];
        assert_eq!(elsewhere(verb, &allowed), [""; 0]);
    }
    // The tests of the package make secret keys to see them refused.
    assert_eq!(elsewhere("minisign::", &["publish", "package"]), [""; 0]);
    let publish = std::fs::read_to_string(root().join("host/src/lib.rs")).unwrap();
    assert!(publish.contains("#[cfg(feature = \"publish\")]\npub mod publish;"));
}

#[test]
fn only_engine_bindings_interface_and_guest_name_wasmtime() {
    let allowed = ["engine", "bindings", "interface", "guest"];
    assert_eq!(elsewhere("wasmtime::", &allowed), [""; 0]);
    assert_eq!(elsewhere("wasmtime_wasi", &["interface", "guest"]), [""; 0]);
}

#[test]
fn unsafe_stands_in_one_file() {
    assert_eq!(elsewhere("unsafe", &["engine/native"]), [""; 0]);
}

#[test]
fn only_the_program_itself_reads_the_environment() {
    assert_eq!(elsewhere("env::var", &["main"]), [""; 0]);
    assert_eq!(elsewhere("set_var", &[]), [""; 0]);
}

#[test]
fn the_bottom_knows_nothing_of_what_stands_on_it() {
    for (file, forbidden) in [
        ("error.rs", vec!["crate::"]),
        (
            "event.rs",
            vec![
                "crate::guest",
                "crate::host",
                "crate::engine",
                "crate::front",
                "crate::config",
            ],
        ),
        (
            "config.rs",
            vec![
                "crate::guest",
                "crate::host",
                "crate::engine",
                "crate::front",
                "crate::event",
            ],
        ),
        (
            "config/settle.rs",
            vec![
                "crate::guest",
                "crate::store",
                "crate::release",
                "crate::overlay",
            ],
        ),
        (
            "secret.rs",
            vec![
                "crate::config",
                "crate::store",
                "crate::release",
                "crate::guest",
            ],
        ),
        (
            "grant.rs",
            vec![
                "crate::config",
                "crate::network",
                "crate::reach",
                "crate::release",
            ],
        ),
        (
            "network.rs",
            vec![
                "crate::meter",
                "crate::reach",
                "crate::interface",
                "crate::guest",
            ],
        ),
        (
            "object.rs",
            vec![
                "crate::grant",
                "crate::meter",
                "crate::reach",
                "crate::interface",
            ],
        ),
        (
            "reach.rs",
            vec![
                "crate::guest",
                "crate::interface",
                "crate::prepare",
                "crate::host",
            ],
        ),
        ("account.rs", vec!["crate::"]),
        (
            "overlay.rs",
            vec![
                "crate::prepare",
                "crate::guest",
                "crate::store",
                "crate::cli",
            ],
        ),
        (
            "watched.rs",
            vec![
                "crate::release",
                "crate::reader",
                "crate::follow",
                "crate::guest",
            ],
        ),
        (
            "engine.rs",
            vec!["crate::guest", "crate::host", "crate::front", "crate::cli"],
        ),
        (
            "guest.rs",
            vec!["crate::host", "crate::front", "crate::cli"],
        ),
        (
            "store.rs",
            vec!["crate::release", "crate::trust", "crate::reader"],
        ),
        (
            "trust.rs",
            vec!["crate::store", "crate::release", "crate::reader"],
        ),
        (
            "release.rs",
            vec!["crate::store", "crate::reader", "crate::host"],
        ),
        (
            "reader.rs",
            vec!["crate::guest", "crate::host", "crate::follow"],
        ),
        (
            "prepare.rs",
            vec!["crate::host", "crate::follow", "crate::front"],
        ),
        (
            "follow.rs",
            vec!["crate::function", "crate::front", "crate::cli"],
        ),
        ("host.rs", vec!["crate::front", "crate::cli"]),
        ("front/local.rs", vec!["crate::cli"]),
        ("front/lambda.rs", vec!["crate::cli"]),
    ] {
        let text = std::fs::read_to_string(root().join("host/src").join(file)).unwrap();
        for word in forbidden {
            assert!(!text.contains(word), "{file} knows {word}");
        }
    }
}

/// What `cargo tree` prints.
fn tree(arguments: &[&str]) -> String {
    let mut tree = Command::new(env!("CARGO"));
    let output = tree.arg("tree").args(arguments).current_dir(root());
    let output = output.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_deployed_program_contains_no_compiler() {
    let deployed = ["--no-default-features", "--features", "deployed"];
    let tree = tree(
        &[
            &["--package", "crunchbox", "--edges", "normal"][..],
            &deployed,
        ]
        .concat(),
    );
    assert!(tree.contains("wasmtime v48"), "{tree}");
    // Two small crates of that name hold data structures that the runtime shares with the compiler.
    assert!(!tree.contains("cranelift-codegen"), "{tree}");
    // Nor anything that could sign.
    assert!(!tree.contains("minisign v"), "{tree}");
}

#[test]
fn the_program_and_its_tests_are_built_of_the_same_crates_so_that_the_engine_is_built_once() {
    let crates = |selected: &[&str]| -> BTreeSet<String> {
        let format = [
            "--prefix",
            "none",
            "--no-dedupe",
            "--format",
            "{p} with {f}",
        ];
        let tree = tree(&[selected, &format].concat());
        tree.lines().map(str::to_owned).collect()
    };
    let program = crates(&["--package", "crunchbox", "--edges", "normal,build"]);
    let tests = crates(&["--workspace", "--edges", "normal,build,dev"]);
    assert!(program.len() > 200);
    let twice: Vec<_> = program.difference(&tests).collect();
    let remedy = "ask for what the tests have in addition, in the feature `one-build`";
    assert!(twice.is_empty(), "{remedy}: {twice:#?}");
}

#[test]
fn no_file_is_too_long_to_be_read_in_one_sitting() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| text.lines().count() > 600)
        .map(|(path, _)| path)
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn every_test_that_the_page_on_threats_names_is_there() {
    let page = std::fs::read_to_string(root().join("host/THREATS.md")).unwrap();
    let mut code = String::new();
    let mut found = Vec::new();
    for folder in ["host/src", "tests", "guest/sdk/src"] {
        collect(&root().join(folder), &mut found);
    }
    found.iter().for_each(|(_, text)| code.push_str(text));
    let is_test = |word: &&str| word.matches('_').count() > 3 && !word.contains([' ', '.', '/']);
    let named: Vec<_> = page.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 50, "{named:?}");
    let gone: Vec<_> = named
        .into_iter()
        .filter(|name| !code.contains(&format!("fn {name}(")))
        .collect();
    assert!(gone.is_empty(), "{gone:?}");
}
