//! The grant `objects`: files of folders, objects of S3, and never the store that releases come from.

use super::{answered, granted, kinds, project, run};
use crate::rig::{Moto, Rig, root};
use crunchbox::error::Code;
use crunchbox::grant::{Ceiling, Grants};
use crunchbox::reach::Outside;
use crunchbox::settings::Environment;
use crunchbox::template::Facts;
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

const DENIED: Option<&str> = Some("ObjectDenied");

/// A folder with `in` and `out` in it, and a file beside them.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for inner in ["in", "out", "other"] {
            std::fs::create_dir(folder.path().join(inner)).unwrap();
        }
        std::fs::write(folder.path().join("in/a"), "reading").unwrap();
        std::fs::write(folder.path().join("other/secret"), "hidden").unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The name of an object there.
    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.0.path().display())
    }

    /// `in` to read and list, `out` to write.
    fn grants(&self) -> Value {
        json!({"objects": [
            {"at": self.at("in/"), "allow": ["read", "list"]},
            {"at": self.at("out/"), "allow": ["write"]},
        ]})
    }
}

fn read(at: &str) -> Value {
    json!({"object": {"read": at}})
}

fn write(at: &str, body: &str) -> Value {
    json!({"object": {"write": at, "body": body}})
}

fn list(prefix: &str) -> Value {
    json!({"object": {"list": prefix}})
}

#[test]
fn objects_of_a_folder_are_read_written_and_listed() {
    let folder = Folder::new();
    let event = json!([
        read(&folder.at("in/a")),
        read(&folder.at("in/missing")),
        write(&folder.at("out/b/c"), "result"),
        list(&folder.at("in/")),
    ]);
    let told = answered(&granted(folder.grants()), &event);
    let names = [folder.at("in/a")];
    assert_eq!(
        told,
        json!([{"Ok": "reading"}, {"Ok": null}, {"Ok": null}, {"Ok": names}])
    );
    assert_eq!(
        std::fs::read_to_string(folder.path("out/b/c")).unwrap(),
        "result"
    );
}

#[test]
fn what_is_not_granted_in_a_folder_is_denied_and_stays_as_it_is() {
    let folder = Folder::new();
    let event = json!([
        read(&folder.at("out/b")),
        read(&folder.at("other/secret")),
        read(&folder.at("in/../other/secret")),
        read(&folder.at("in//a")),
        read(&folder.at("in/")),
        read("in/a"),
        read("/etc/passwd"),
        read("s3://functions/in/a"),
        write(&folder.at("in/a"), "x"),
        write(&folder.at("out/../other/secret"), "x"),
        write(&folder.at("outer"), "x"),
        list(&folder.at("out/")),
        list(&folder.at("in")),
        list(&folder.at("")),
    ]);
    let outcome = granted(folder.grants()).handle(&event.to_string());
    assert_eq!(outcome.usage.grants.denied(), 14);
    let told: Value = serde_json::from_str(&outcome.result.unwrap()).unwrap();
    assert_eq!(kinds(&told), [DENIED; 14], "{told}");
    let text = |name: &str| std::fs::read_to_string(folder.path(name)).unwrap();
    assert_eq!(
        (text("in/a"), text("other/secret")),
        ("reading".into(), "hidden".into())
    );
    assert!(!folder.path("outer").exists());
}

#[test]
fn a_refusal_says_what_to_grant() {
    let folder = Folder::new();
    let at = folder.at("other/secret");
    let told = answered(&granted(folder.grants()), &json!([read(&at)]));
    let words = told[0]["Err"]["message"].as_str().unwrap();
    let grant = format!("{{ at = \"{at}\", allow = [\"read\"] }}");
    assert!(words.contains(&grant), "{words}");
}

#[test]
fn a_link_leads_nowhere_out_of_a_granted_folder() {
    let folder = Folder::new();
    symlink(folder.path("other/secret"), folder.path("in/link")).unwrap();
    symlink(folder.path("other"), folder.path("in/folder")).unwrap();
    symlink(folder.path("other"), folder.path("out/folder")).unwrap();
    symlink(folder.path("other/secret"), folder.path("out/link")).unwrap();
    let event = json!([
        read(&folder.at("in/link")),
        read(&folder.at("in/folder/secret")),
        write(&folder.at("out/folder/new"), "x"),
        list(&folder.at("in/")),
        write(&folder.at("out/link"), "mine"),
    ]);
    let told = answered(&granted(folder.grants()), &event);
    let refused = Some("ObjectUnavailable");
    assert_eq!(
        kinds(&told),
        [refused, refused, refused, None, None],
        "{told}"
    );
    assert_eq!(
        told[3],
        json!({"Ok": [folder.at("in/a")]}),
        "links are not listed"
    );
    // What is written takes the link's place, and not that of what it led to.
    assert_eq!(
        std::fs::read_to_string(folder.path("other/secret")).unwrap(),
        "hidden"
    );
    assert_eq!(
        std::fs::read_to_string(folder.path("out/link")).unwrap(),
        "mine"
    );
    assert!(!folder.path("other/new").exists());
}

#[test]
fn an_object_that_is_given_up_was_never_there() {
    let folder = Folder::new();
    std::fs::write(folder.path("out/old"), "before").unwrap();
    let begin = |name: &str| json!({"object": {"begin": folder.at(name), "body": "half"}});
    let event = json!([begin("out/new"), begin("out/old")]);
    let told = answered(&granted(folder.grants()), &event);
    assert_eq!(kinds(&told), [None; 2], "{told}");
    assert!(!folder.path("out/new").exists());
    assert_eq!(
        std::fs::read_to_string(folder.path("out/old")).unwrap(),
        "before"
    );
}

#[test]
fn an_object_may_be_larger_than_the_memory_of_who_copies_it() {
    let folder = Folder::new();
    let bytes = vec![7; 20 << 20];
    std::fs::write(folder.path("in/large"), &bytes).unwrap();
    let started = Rig::of("network").memory(8).grants(folder.grants()).start();
    let (from, to) = (folder.at("in/large"), folder.at("out/large"));
    let told = answered(&started, &json!({"object": {"copy": from, "to": to}}));
    assert_eq!(told, bytes.len());
    assert!(std::fs::read(folder.path("out/large")).unwrap() == bytes);
}

/// Runs a project of this grant against the S3 of moto.
fn at_moto(moto: &Moto, limits: &Value, event: &Value) -> Value {
    let manifest = json!({"limits": limits, "grants": {"objects": [
        {"at": "s3://functions/in/", "allow": ["read", "list"]},
        {"at": "s3://functions/out/", "allow": ["write"]},
    ]}});
    let endpoint = moto.endpoint();
    run(
        &project(&manifest),
        &[("AWS_ENDPOINT_URL", endpoint.as_str())],
        event,
    )
}

#[test]
fn objects_of_s3_are_read_written_and_listed() {
    let moto = Moto::start();
    moto.put_object("in/a", "reading");
    moto.put_object("other/a", "hidden");
    let event = json!([
        read("s3://functions/in/a"),
        read("s3://functions/in/missing"),
        write("s3://functions/out/b", "result"),
        list("s3://functions/in/"),
    ]);
    let told = at_moto(&moto, &json!({}), &event);
    let names = ["s3://functions/in/a"];
    assert_eq!(
        told,
        json!([{"Ok": "reading"}, {"Ok": null}, {"Ok": null}, {"Ok": names}])
    );
    assert_eq!(moto.object("out/b").as_deref(), Some("result"));
}

#[test]
fn what_is_not_granted_in_s3_is_denied_and_stays_as_it_is() {
    let moto = Moto::start();
    moto.put_object("in/a", "reading");
    moto.put_object("other/a", "hidden");
    let event = json!([
        read("s3://functions/other/a"),
        read("s3://functions/out/b"),
        read("s3://functions/in/../other/a"),
        read("s3://functions/in"),
        read("s3://elsewhere/in/a"),
        read("S3://functions/in/a"),
        write("s3://functions/in/a", "x"),
        write("s3://functions/out/../other/a", "x"),
        list("s3://functions/"),
        list("s3://functions/in"),
        list("s3://functions/out/"),
    ]);
    let told = at_moto(&moto, &json!({}), &event);
    assert_eq!(kinds(&told), [DENIED; 11], "{told}");
    assert_eq!(moto.object("in/a").as_deref(), Some("reading"));
    assert_eq!(moto.object("other/a").as_deref(), Some("hidden"));
}

#[test]
fn a_large_object_goes_through_s3_in_parts() {
    let moto = Moto::start();
    let text = "0123456789abcdef".repeat((20 << 20) / 16);
    moto.put_object("in/large", &text);
    let event =
        json!({"object": {"copy": "s3://functions/in/large", "to": "s3://functions/out/large"}});
    let told = at_moto(&moto, &json!({"memory": "8 MiB"}), &event);
    assert_eq!(told, text.len());
    assert!(moto.object("out/large").unwrap() == text);
}

/// Why a host that takes its releases from a store has nothing to do with a grant.
fn refused(store: &str, at: &str) -> Option<Code> {
    let grants = json!({"objects": [{"at": at, "allow": ["write"]}]});
    let grants = Grants::read(serde_json::from_value(grants).unwrap(), root()).unwrap();
    let granted = grants.fill(&Facts::default(), &Ceiling::default()).unwrap();
    let outside = Outside::new(&Environment::default(), vec![store.parse().unwrap()]);
    outside.reach(granted).err().map(|failure| failure.code)
}

#[test]
fn no_grant_reaches_the_store_that_releases_come_from() {
    let folder = Folder::new();
    symlink(folder.path("other"), folder.path("link")).unwrap();
    let store = folder.at("other");
    for at in ["", "other/", "other/facts/channels/live.json", "link/"] {
        assert_eq!(
            refused(&store, &folder.at(at)),
            Some(Code::GrantInvalid),
            "{at}"
        );
    }
    assert_eq!(refused(&store, &folder.at("in/")), None);
    for at in [
        "s3://functions/",
        "s3://functions/store/",
        "s3://functions/store/facts/a",
    ] {
        assert_eq!(
            refused("s3://functions/store", at),
            Some(Code::GrantInvalid),
            "{at}"
        );
    }
    assert_eq!(
        refused("s3://functions/store", "s3://functions/stores/"),
        None
    );
}

#[test]
fn a_function_that_is_granted_its_store_does_not_start() {
    let folder = Folder::new();
    let manifest = |at: &str| {
        json!({
            "store": {"url": folder.at("other")},
            "grants": {"objects": [{"at": folder.at(at), "allow": ["read"]}]},
        })
    };
    let start =
        |at: &str| project(&manifest(at)).typed(&["run", ".", "--data", r#"{"env": true}"#]);
    assert_eq!(start("in/").exit, 0);
    let done = start("");
    assert_eq!(done.exit, 64, "{}", done.stderr);
    assert!(
        done.stderr.contains("keeps what it runs"),
        "{}",
        done.stderr
    );
}
