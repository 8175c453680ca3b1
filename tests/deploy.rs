//! `crunchbox package` as a person types it: the files that deploy a function, the zip that Lambda runs, and what is
//! refused on the way to it.

use crate::rig::dev::{Dev, python};
use crate::rig::{
    ACCESS_KEY, Deployed, Event, Finished, Project, RuntimeApi, S3, SECRET_KEY, Shop,
    deployed_binary, deployed_zip, finish, root, text, typed,
};
use crunchbox::package::Architecture;
use crunchbox::package::elf::{GLIBC, has, inspect};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A host looks when nobody waits for it: never, in a test.
const CALM: &str = "refresh = '1h'\nmax-stale = '2h'";

/// The most that a package without releases may have, in bytes: Lambda loads it at each cold start.
const ZIPPED_BYTES_MAX: u64 = 8_000_000;

/// All that brings events.
const TRIGGERS: &str = "sns,sqs,s3,dynamodb,kinesis,schedule,url,api";

/// Grants of each kind that the templates turn into something.
const GRANTS: &str = "\
[limits]
memory = '512 MiB'
time = '20s'
[grants]
tcp = ['db.internal:5432', '10.1.0.0/16:6379']
secrets = ['ssm:/facts/{{channel}}/*', 'secretsmanager:prod/db#password', 'env:KEY']
objects = [
    { at = 's3://acme-in/{{channel}}/', allow = ['read', 'list'] },
    { at = 's3://acme-in/one', allow = ['write'] },
]
http = [{ to = 'POST https://dynamodb.eu-west-1.amazonaws.com/', sign = 'dynamodb' }]
scratch = '600 MiB'
";

/// A store in nobody's bucket.
const STORE: &str = "[store]\nurl = 's3://acme-functions/crunchbox?region=eu-west-1'\n";

/// A project whose manifest says more.
fn project(more: &str) -> Project {
    let project = Project::new("facts");
    let manifest = std::fs::read_to_string(project.path().join("crunchbox.toml")).unwrap();
    project.file("crunchbox.toml", &format!("{manifest}{more}"));
    project
}

/// Writes the templates, and names their folder.
fn templates(project: &Project, arguments: &[&str]) -> PathBuf {
    project.done(&[&["package", "--template"][..], arguments].concat());
    project.path().join("deploy")
}

/// Types what packs the deployed program.
fn pack(project: &Project, arguments: &[&str]) -> Finished {
    let program = ["package", "--program", text(deployed_binary())];
    project.typed(&[&program[..], arguments].concat())
}

/// Packs it, and names the zip.
fn packed(project: &Project, arguments: &[&str]) -> PathBuf {
    let zip = project.path().join("made.zip");
    let done = pack(project, &[&["--out", text(&zip)][..], arguments].concat());
    assert_eq!(done.exit, 0, "{}", done.stderr);
    assert_eq!(done.stdout.trim_end(), text(&zip));
    zip
}

/// The package of somebody who follows a shop, with the channel `live` to start from.
fn bundled(shop: &Shop) -> (Project, PathBuf) {
    let project = project("");
    project.file("policy.toml", &shop.policy(CALM));
    let zip = packed(&project, &["--bundle", "facts@live"]);
    (project, zip)
}

#[test]
fn awss_own_tools_take_the_templates_of_any_project() {
    let projects = [project(""), project(STORE), project(GRANTS)];
    let folders = [
        templates(&projects[0], &[]),
        templates(&projects[1], &["--trigger", TRIGGERS]),
        templates(&projects[2], &["--trigger", "sqs"]),
    ];
    let mut command = Command::new(python("templates"));
    command
        .arg(root().join("tests/package/validate.py"))
        .args(&folders)
        .stdin(Stdio::null());
    let done = finish(&mut command);
    assert_eq!(done.exit, 0, "{}{}", done.stdout, done.stderr);
    let sound: Vec<_> = done.stdout.lines().map(str::to_owned).collect();
    assert_eq!(
        sound,
        folders.map(|folder| format!("{}: ok", text(&folder)))
    );
}

#[test]
fn templates_that_somebody_changed_stay_unless_force_is_said() {
    let project = project("");
    let folder = templates(&project, &[]);
    let (terraform, page) = (folder.join("main.tf"), folder.join("README.md"));
    let made = std::fs::read_to_string(&terraform).unwrap();
    std::fs::write(&terraform, "# ours\n").unwrap();
    std::fs::remove_file(&page).unwrap();
    let (exit, words) = project.refused(&["package", "--template"]);
    assert!(exit == 62 && words.contains("deploy/main.tf"), "{words}");
    assert!(words.contains("--force"), "{words}");
    assert_eq!(std::fs::read_to_string(&terraform).unwrap(), "# ours\n");
    assert!(!page.exists(), "some were written");
    templates(&project, &["--force"]);
    assert_eq!(std::fs::read_to_string(&terraform).unwrap(), made);
    assert!(page.exists());
}

#[test]
fn templates_of_a_folder_that_is_no_project_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let done = typed(&["package", "--template", text(folder.path())]);
    assert_eq!((done.exit, done.stdout.as_str()), (52, ""));
    assert!(done.stderr.contains("crunchbox.toml"), "{}", done.stderr);
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_host_may_read_its_functions_part_of_the_store_and_nothing_beyond() {
    let project = project(STORE);
    let folder = templates(&project, &[]);
    let policy = std::fs::read(folder.join("policies/host.json")).unwrap();
    let policy: Value = serde_json::from_slice(&policy).unwrap();
    for statement in policy["Statement"].as_array().unwrap() {
        let own = match statement["Sid"].as_str().unwrap() {
            "ReadStore" => json!(["arn:aws:s3:::acme-functions/crunchbox/facts/*"]),
            "ToldWhatIsMissing" => {
                let prefixes = &statement["Condition"]["StringLike"]["s3:prefix"];
                assert_eq!(prefixes, &json!(["crunchbox/facts/*"]));
                json!(["arn:aws:s3:::acme-functions"])
            }
            "WriteLogs" => {
                json!(["arn:aws:logs:eu-west-1:ACCOUNT:log-group:/aws/lambda/facts-live:*"])
            }
            _ => panic!("{statement}"),
        };
        assert_eq!(statement["Resource"], own, "{statement}");
    }
}

#[test]
fn the_same_parts_make_the_same_package_in_whatever_folder() {
    let made = std::fs::read(deployed_zip()).unwrap();
    for _ in 0..2 {
        let project = project("");
        let again = std::fs::read(packed(&project, &[])).unwrap();
        assert!(again == made, "{} bytes, {}", again.len(), made.len());
    }
}

#[test]
fn the_package_is_small_and_needs_no_more_than_lambdas_system_has() {
    let bytes = deployed_zip().metadata().unwrap().len();
    assert!(bytes <= ZIPPED_BYTES_MAX, "{bytes} bytes");
    let program = inspect(&std::fs::read(deployed_binary()).unwrap()).unwrap();
    program.check(Architecture::X86_64).unwrap();
    let glibc = program.glibc.expect("a version of glibc");
    assert!(glibc <= GLIBC, "{glibc}");
}

#[test]
fn the_program_tells_nothing_of_the_machine_that_built_it_and_cannot_compile() {
    let program = std::fs::read(deployed_binary()).unwrap();
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let below_home = [".cargo", ".rustup"].map(|name| home.as_ref().map(|home| home.join(name)));
    let named = ["CARGO_HOME", "RUSTUP_HOME"].map(|name| std::env::var_os(name).map(PathBuf::from));
    let folders = below_home.into_iter().chain(named).flatten();
    for folder in folders.chain([root().to_owned()]) {
        let path = text(&folder);
        assert!(!has(&program, path.as_bytes()), "{path}");
    }
    for compiler in ["cranelift-codegen", "cranelift_codegen", "regalloc2"] {
        assert!(!has(&program, compiler.as_bytes()), "{compiler}");
    }
}

/// The deployed program, as if it asked for a version of glibc that there is not yet.
fn ahead_of_lambda() -> Vec<u8> {
    let (asked, newer) = (b"\0GLIBC_2.34\0", b"\0GLIBC_2.99\0");
    let mut program = std::fs::read(deployed_binary()).unwrap();
    let mut windows = program.windows(asked.len());
    let at = windows.position(|window| window == asked);
    let at = at.expect("what a program for Lambda's system asks for");
    program[at..at + newer.len()].copy_from_slice(newer);
    program
}

#[test]
fn a_program_that_lambda_would_not_start_is_refused() {
    let sound = std::fs::read(deployed_binary()).unwrap();
    for (program, architecture, words) in [
        (ahead_of_lambda(), "x86-64", "asks for GLIBC_2.99"),
        (sound, "arm64", "is for x86-64, the package for arm64"),
        (b"#!/bin/sh\n".to_vec(), "x86-64", "Lambda cannot start"),
    ] {
        let project = project("");
        std::fs::write(project.path().join("program"), program).unwrap();
        let wanted = ["--program", "program", "--arch", architecture];
        let (exit, said) = project.refused(&[&["package"][..], &wanted].concat());
        assert!(exit == 53 && said.contains(words), "{said}");
        assert!(!project.path().join("bootstrap.zip").exists());
    }
}

#[test]
fn a_package_for_a_store_in_s3_needs_keys() {
    for policy in [None, Some("[limits]\nmemory = '64 MiB'\n")] {
        let project = project(STORE);
        if let Some(policy) = policy {
            project.file("policy.toml", policy);
        }
        let done = pack(&project, &[]);
        assert_eq!((done.exit, done.stdout.as_str()), (55, ""));
        assert!(done.stderr.contains("need keys"), "{}", done.stderr);
        assert!(done.stderr.contains("keys new"), "{}", done.stderr);
    }
}

#[test]
fn a_secret_key_never_goes_into_a_package_or_onto_the_screen() {
    let project = project("");
    project.done(&["keys", "new", "ci"]);
    let key = project.path().join("home/.config/crunchbox/keys/ci.key");
    let key = std::fs::read_to_string(key).unwrap();
    let secret = key.lines().last().unwrap();
    let policy = std::fs::read_to_string(project.path().join("policy.toml")).unwrap();
    packed(&project, &[]);
    project.file("policy.toml", &format!("{policy}# {secret}\n"));
    let done = pack(&project, &["--out", "other.zip"]);
    assert_eq!((done.exit, done.stdout.as_str()), (55, ""));
    let words = "`policy.toml` holds a secret key";
    assert!(done.stderr.contains(words), "{}", done.stderr);
    assert!(!done.stderr.contains(secret), "the key is shown");
    assert!(!project.path().join("other.zip").exists());
}

#[test]
fn a_package_starts_from_its_bundle_when_there_is_no_store_any_more() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy("facts", r#"{"v": 1}"#);
    let (_project, zip) = bundled(&shop);
    drop(s3);
    let api = RuntimeApi::start();
    let _running = Deployed::unpacked(&zip).channel("live").start(&api);
    let answer = api.invoke(Event::new(r#"{"config": []}"#));
    assert_eq!(answer.kind, "response", "{}", answer.text());
    assert_eq!(answer.json()["config"], json!({"v": 1}));
}

#[test]
fn a_channel_that_is_not_there_is_not_bundled() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    let project = project("");
    project.file("policy.toml", &shop.policy(CALM));
    let done = pack(&project, &["--bundle", "facts@live"]);
    assert_eq!((done.exit, done.stdout.as_str()), (92, ""));
    let words = "there is no facts@live";
    assert!(done.stderr.contains(words), "{}", done.stderr);
    assert!(!project.path().join("bootstrap.zip").exists());
}

/// Serves a zip as the function `facts`.
fn served(zip: &Path, cache: &Path) -> Dev {
    let cache = format!("CRUNCHBOX_CACHE={}", text(cache));
    let package = ["--bootstrap", text(zip), "--name", "facts"];
    let lambda = ["--handler", "facts@live", "--memory", "256 MiB"];
    let process = ["--concurrency", "1", "--env", &cache];
    Dev::launch(&[&package[..], &lambda, &process].concat())
        .variable("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .variable("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .start()
}

#[test]
fn a_package_is_served_from_its_zip() {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    shop.deploy("facts", r#"{"v": 1}"#);
    let (project, zip) = bundled(&shop);
    // The store has moved on since.
    shop.deploy("facts", r#"{"v": 2}"#);
    let dev = served(&zip, &project.path().join("cache"));
    let answer = dev.invoke("facts", r#"{"config": []}"#);
    answer.response();
    assert_eq!(answer.json()["config"], json!({"v": 2}));
}
