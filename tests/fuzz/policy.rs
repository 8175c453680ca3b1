//! What an operator and a project's author write, damaged or made up: a policy or a manifest is read, or refused by its name.

use super::damage::whatever_becomes_of;
use super::store::{CERTIFICATE, KEY};
use crate::rig::{Finished, text, typed};
use crunchbox::error::Code;
use crunchbox::grant::Grants;
use crunchbox::limit::Wanted;
use crunchbox::manifest::{self, Manifest};
use crunchbox::policy::{self, Policy};
use crunchbox::release::SealedLimits;
use crunchbox::template::Facts;

/// Everything a policy can say, and a policy that says little.
fn policies() -> Vec<String> {
    let full = format!(
        r#"[store]
url = "s3://acme/crunchbox?region=eu-west-1"
refresh = "5s"
max-stale = "1m 30s"
cache = "256 MiB"
[limits]
time = "20s"
memory = "64 MiB"
stack = "1 MiB"
tables = 5000
response = "1.5 MiB"
[min-sequence]
"crunch@live" = 41
[secrets]
time-to-live = "5m"
[config]
watched = ["config/{{{{function}}}}/{{{{channel}}}}.edn", "all.toml"]
[metrics]
namespace = "Crunch"
[grants]
http = ["GET,HEAD https://*.example/v1/*", {{ to = "https://sqs.eu-west-1.amazonaws.com", sign = "sqs" }}]
tcp = ["10.0.0.0/8:5432", {{ to = "db.example:5432", tls = "direct", ca = """
{CERTIFICATE}""" }}]
objects = [{{ at = "s3://*", allow = ["read"] }}, "/data/in/"]
env = []
scratch = "64 MiB"
[[keys]]
name = "ci"
public = "{KEY}"
roles = ["release", "artifact"]
functions = "cru*"
[[keys]]
name = "ada"
public = "{KEY}"
roles = ["channel"]
"#
    );
    vec![full, "[store]\nurl = 'store'\n[metrics]\n".to_owned()]
}

/// Everything a manifest can say.
const MANIFEST: &str = r#"[function]
name = "crunch"
[build]
command = "make"
component = "out/crunch.wasm"
[limits]
time = "20s"
memory = "64 MiB"
stack = "512 KiB"
handles = 1_000
[config]
base = ["config.toml", 'more.json']
schema = "schema.json"
[test]
events = "events"
config = ["test.yaml"]
[store]
url = "../store"
[grants]
http = "https://{{region}}.example"
tcp = [{ to = "{{db.host}}:5432", tls = "postgres" }]
objects = [{ at = "s3://{{bucket}}/in/", allow = ["read", "list"] }]
secrets = ["ssm:/crunch/{{channel}}/*"]
scratch = "1 MiB"
"#;

#[test]
fn a_damaged_policy_is_read_or_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(policy::FILE_NAME);
    let facts = Facts::default()
        .with("function", "crunch")
        .with("channel", "live");
    let sound = policies();
    for text in &sound {
        std::fs::write(&path, text).unwrap();
        Policy::find(&path).unwrap();
    }
    whatever_becomes_of(sound, |bytes| {
        std::fs::write(&path, bytes).unwrap();
        match Policy::find(&path) {
            Ok(policy) => {
                let policy = policy.unwrap();
                policy.ceilings.check().unwrap();
                let filled = policy.watched.iter().map(|key| key.fill(&facts));
                for key in filled.flatten() {
                    let climbs = |part: &str| matches!(part, "" | "." | "..");
                    assert!(!key.split('/').any(climbs), "{key}");
                }
            }
            Err(error) => assert!(error.to_string().contains(policy::FILE_NAME), "{error}"),
        }
    });
}

#[test]
fn a_damaged_manifest_is_read_or_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(manifest::FILE_NAME);
    std::fs::write(&path, MANIFEST).unwrap();
    Manifest::find(folder.path()).unwrap();
    let sound = vec![MANIFEST, "[function]\nname = 'facts'\n"];
    whatever_becomes_of(sound, |bytes| {
        std::fs::write(&path, bytes).unwrap();
        match Manifest::find(folder.path()) {
            Ok(manifest) => {
                let manifest = manifest.unwrap();
                let sealed = SealedLimits::from(&manifest.limits);
                Wanted::from(&sealed).check().unwrap();
                let grants = manifest.grants.seal();
                assert_eq!(Grants::parse(&grants), Ok(manifest.grants));
            }
            Err(error) => {
                assert!(error.to_string().contains(manifest::FILE_NAME), "{error}")
            }
        }
    });
}

/// Levels that the parser's own limit does not count, each of its eighty being eighty more.
fn deep() -> String {
    let dotted = (0..80).fold("1".to_owned(), |inner, _| {
        format!("{{{}a={inner}}}", "a.".repeat(78))
    });
    format!("[grants]\nhttp = {dotted}\n")
}

#[test]
fn a_manifest_and_a_policy_that_nest_without_an_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    write(policy::FILE_NAME, deep());
    let policy = folder.path().join(policy::FILE_NAME);
    let store = folder.path().join("store");
    refused(
        &typed(&["list", "--policy", text(&policy), "--store", text(&store)]),
        Code::PolicyInvalid,
    );
    write(
        manifest::FILE_NAME,
        format!("[function]\nname = \"deep\"\n{}", deep()),
    );
    refused(
        &typed(&[
            "config",
            "explain",
            "--of",
            text(folder.path()),
            "--no-local",
        ]),
        Code::ManifestInvalid,
    );
}

/// With the status of a code, and with words that a person reads to their end.
fn refused(finished: &Finished, code: Code) {
    const WORDS_MAX: usize = 16 << 10;
    let said = &finished.stderr[..finished.stderr.floor_char_boundary(1 << 10)];
    assert_eq!(finished.exit, i32::from(code.meaning().exit), "{said}");
    assert!(finished.stderr.len() < WORDS_MAX, "{said}");
}
