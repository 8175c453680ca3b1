//! Configuration as a person meets it: files in a folder, a file in S3, one that only this machine has; and what commands
//! say of them.

use crate::rig::{Fault, Finished, Project, S3, Seen, guest, typed};
use serde_json::{Value, json};

const BASE: &str = r#";; What every deployment has.
{:db {:host "localhost" :pool #immuconf/default 4}
 :percentiles [50 95]
 :report/title "readings"}
"#;

/// A project as the one in the story: its checked-in file is EDN, and so is everything above it.
fn project(manifest: &str) -> Project {
    let project = Project::new("settings");
    project.component(&std::fs::read(guest("settings")).unwrap());
    project.file(
        "crunchbox.toml",
        &format!(
            "[function]\nname = 'facts'\n[build]\ncommand = 'true'\ncomponent = 'guest.wasm'\n\
             [config]\nbase = ['config.edn']\n{manifest}"
        ),
    );
    project.file("config.edn", BASE);
    project
}

/// What the guest reads at a path, and what the command said.
fn read(project: &Project, what: &[&str], path: &[&str]) -> (Value, Finished) {
    let event = json!({"path": path}).to_string();
    let mut arguments = vec!["run"];
    arguments.extend_from_slice(what);
    arguments.extend_from_slice(&["--data", &event]);
    let done = project.typed(&arguments);
    let told: Value = serde_json::from_str(&done.stdout).unwrap_or_default();
    (told["sdk"]["Ok"].clone(), done)
}

const HOST: [&str; 2] = ["db", "host"];

#[test]
fn a_checked_in_file_is_overridden_by_one_in_s3_and_that_by_one_on_this_machine() {
    let s3 = S3::start();
    let project = project("");
    let store = s3.url("prefix");
    project.done(&["deploy", "--store", &store]);
    let policy = std::fs::read_to_string(project.path().join("policy.toml")).unwrap();
    project.file(
        "policy.toml",
        &format!("{policy}\n[config]\nwatched = ['production/config.edn']\n"),
    );
    let live = ["facts@live"];

    let (host, done) = read(&project, &live, &HOST);
    assert_eq!(host, "localhost", "{}", done.stderr);
    assert!(
        done.stderr
            .contains("WARN the configuration `production/config.edn` is not read"),
        "{}",
        done.stderr
    );

    s3.put(
        "prefix/production/config.edn",
        b"{:db {:host \"db.prod.example\"}}",
    );
    let (host, done) = read(&project, &live, &HOST);
    assert_eq!(host, "db.prod.example", "{}", done.stderr);
    let functions = project.json(&["list", "--json"]);
    assert_eq!(
        functions["functions"],
        json!(["facts"]),
        "a folder of files is no function"
    );

    project.file("local.edn", "{:db\n {:host \"127.0.0.1\"}}");
    let (host, done) = read(&project, &live, &HOST);
    assert_eq!(host, "127.0.0.1", "{}", done.stderr);
    assert!(
        done.stderr.contains(
            "Config config.edn < production/config.edn (0 values) < ./local.edn (1 value)"
        ),
        "{}",
        done.stderr
    );
    for link in [
        "`db.host` of base, config.edn:2 is overridden by watched, production/config.edn:1",
        "`db.host` of watched, production/config.edn:1 is overridden by local, ./local.edn:2",
    ] {
        assert!(done.stderr.contains(link), "{}", done.stderr);
    }
    let (host, _) = read(&project, &["facts@live", "--no-local"], &HOST);
    assert_eq!(host, "db.prod.example");

    s3.inject(
        Fault::Status(503),
        |seen: &Seen| seen.key.contains("production"),
        usize::MAX,
    );
    let (host, done) = read(&project, &["facts@live", "--no-local"], &HOST);
    assert_eq!(host, "localhost", "{}", done.stderr);
    assert!(
        done.stderr
            .contains("WARN the configuration `production/config.edn`"),
        "{}",
        done.stderr
    );
}

#[test]
fn the_same_by_config_push_is_signed_shown_and_rolled_back() {
    let s3 = S3::start();
    let project = project("");
    let store = s3.url("prefix");
    project.done(&["deploy", "--store", &store]);
    project.file(
        "production/config.edn",
        "{:db {:host \"db.prod.example\"}\n :percentiles [99]}",
    );
    let push = [
        "config",
        "push",
        "production/config.edn",
        "--to",
        "facts@live",
        "-m",
        "to production",
    ];
    let done = project.typed(&push);
    assert_eq!(done.exit, 0, "{}", done.stderr);
    for shown in [
        "live 1 → 2",
        "config   ~ db.host",
        "config   ~ percentiles",
        "`percentiles` of base, config.edn:3 is overridden by store, config.edn:2",
    ] {
        assert!(done.stderr.contains(shown), "{shown} in {}", done.stderr);
    }
    assert!(
        !done.stderr.contains("db.prod.example"),
        "no value is shown: {}",
        done.stderr
    );
    let (host, _) = read(&project, &["facts@live"], &HOST);
    assert_eq!(host, "db.prod.example");
    project.done(&["rollback"]);
    let (host, _) = read(&project, &["facts@live"], &HOST);
    assert_eq!(host, "localhost");
}

#[test]
fn what_does_not_fit_the_live_release_is_not_pushed() {
    let schema = r#"{"properties": {"percentiles": {"type": "array"}}}"#;
    let project = project("schema = 'schema.json'\n");
    project.file("schema.json", schema);
    project.done(&["deploy"]);
    for (name, text, exit, words) in [
        (
            "a.yaml",
            "db: 7\n",
            58,
            "`db`: expected a table as in base, config.edn:2, got a number (store, a.yaml:1)",
        ),
        (
            "b.json",
            "{\"percentiles\": 7}",
            58,
            "`percentiles`: expected an array, got a number (store, b.json:1)",
        ),
        (
            "c.toml",
            "[db]\npassword = { \"$secret\" = \"ssm:/x\" }\n",
            59,
            "`db.password`: the secret `ssm:/x` is not granted",
        ),
        (
            "d.toml",
            "x = { \"$required\" = \"a name\" }\n",
            57,
            "`x`: must be overridden: a name (store, d.toml:1)",
        ),
        (
            "e.toml",
            "x = { \"$reqired\" = \"a name\" }\n",
            50,
            "line 1: expected one of the markers",
        ),
        ("f.edn", "{:a 1/3}", 50, "line 1: a ratio"),
        ("g.ini", "x", 50, ".toml, .json, .yaml, .yml, .edn"),
        ("missing.toml", "", 50, "cannot read"),
    ] {
        if name != "missing.toml" {
            project.file(name, text);
        }
        let (status, said) = project.refused(&["config", "push", name, "--to", "facts@live"]);
        assert!(said.contains(words), "{said}");
        assert_eq!(status, exit, "{said}");
    }
    let history = project.json(&["history", "--json"]);
    assert_eq!(history["moves"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_value_that_must_be_given_comes_with_the_first_promotion_or_from_the_hosts_environment() {
    let project = project("[test]\nconfig = ['test.edn']\n");
    project.file(
        "config.edn",
        "{:db {:host #immuconf/override \"the reporting database\"}}",
    );
    project.file("test.edn", "{}");
    project.file("events/one.json", "{}");
    let (exit, said) = project.refused(&["test", "."]);
    assert!(exit == 57 && said.contains("[test] config"), "{said}");
    project.file("test.edn", "{:db {:host \"nowhere\"}}");
    project.file("live.edn", "{:db {:host \"db.prod.example\"}}");
    let (exit, said) = project.refused(&["deploy"]);
    assert!(
        exit == 57 && said.contains("the reporting database") && said.contains("--config"),
        "{said}"
    );
    project.done(&["deploy", "--config", "live.edn"]);
    let (host, _) = read(&project, &["facts@live"], &HOST);
    assert_eq!(host, "db.prod.example");
    project.done(&["deploy", "--to", "other", "--allow-unmet"]);
    let (_, done) = read(&project, &["facts@other"], &HOST);
    assert_eq!(done.exit, 57, "{}", done.stderr);
    let (host, done) = {
        let mut command = project.command(&[
            "run",
            "facts@other",
            "--data",
            r#"{"path": ["db", "host"]}"#,
        ]);
        let done = crate::rig::finish(command.env("CRUNCHBOX_CONFIG_DB__HOST", "from-outside"));
        let told: Value = serde_json::from_str(&done.stdout).unwrap_or_default();
        (told["sdk"]["Ok"].clone(), done)
    };
    assert_eq!(host, "from-outside", "{}", done.stderr);
}

#[test]
fn test_and_release_never_read_the_local_file() {
    let project = project("");
    let first = project.done(&["deploy"]);
    project.file("local.edn", "{:db");
    project.done(&["test", "."]);
    assert_eq!(project.done(&["release", "."]), first);
    let (_, done) = read(&project, &["."], &HOST);
    assert!(
        done.exit == 50 && done.stderr.contains("local.edn"),
        "{}",
        done.stderr
    );
    project.file("local.edn", "{}");
    project.file("local.toml", "");
    let (_, done) = read(&project, &["."], &HOST);
    assert!(
        done.stderr
            .contains("expected one file of local configuration"),
        "{}",
        done.stderr
    );
}

#[test]
fn explain_names_who_set_a_value_and_who_lost() {
    let project = project("[grants]\nsecrets = ['env:DB_*']\n");
    project.file(
        "config.edn",
        "{:db {:host #immuconf/override \"the reporting database\"\n      :pool #immuconf/default 4\n      :password #crunchbox/secret \"env:DB_PASSWORD\"}\n :x #immuconf/override \"still open\"}",
    );
    project.file(
        "local.yaml",
        "db:\n  host: 127.0.0.1\n  \"a.b\": 10000000000000000000000.10\n",
    );
    let done = project.typed(&["config", "explain"]);
    assert_eq!(done.exit, 0, "{}", done.stderr);
    let expected = "\
db.host = \"127.0.0.1\"
    # the reporting database
  → local        ./local.yaml:2  \"127.0.0.1\"
    base         ./config.edn:1  must be overridden: the reporting database
db.pool = 4
  → base         ./config.edn:2  4 (default)
db.password = ***
  → base         ./config.edn:3  secret env:DB_PASSWORD
db.\"a.b\" = 10000000000000000000000.10
  → local        ./local.yaml:3  10000000000000000000000.10
x — must be given, and is not
    base         ./config.edn:4  must be overridden: still open
";
    assert_eq!(done.stdout, expected);
    assert!(
        done.stderr.contains("ConfigUnmet") && done.stderr.contains("`x`"),
        "{}",
        done.stderr
    );
    let one = project.typed(&["config", "explain", "db.pool", "--set", "db.pool=9"]);
    assert_eq!(
        one.stdout,
        "db.pool = 9\n  → command line --set           9\n    base         ./config.edn:2  4 (default)\n"
    );
    let (exit, said) = project.refused(&["config", "explain", "db.pol"]);
    assert!(exit == 50 && said.contains("db.pol"), "{said}");
    let text = project.done(&["config", "explain", "--json"]);
    assert!(
        text.contains(r#""value":10000000000000000000000.10"#),
        "digits are kept: {text}"
    );
    let all: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(all["problem"]["code"], "Crunchbox.ConfigUnmet");
    let host = &all["values"][0];
    assert_eq!(
        (&host["key"], &host["value"], &host["what"]),
        (
            &"db.host".into(),
            &"127.0.0.1".into(),
            &"the reporting database".into()
        )
    );
    assert_eq!(host["chain"][0]["layer"], "local");
    assert_eq!(
        (&host["chain"][1]["marker"], &host["chain"][1]["line"]),
        (&"required".into(), &1.into())
    );
}

#[test]
fn explain_of_an_address_has_every_layer_that_hosts_have() {
    let project = project("");
    project.file("live.json", "{\"db\": {\n\"host\": \"db.prod.example\"}}");
    project.done(&["deploy", "--config", "live.json"]);
    let done = project.typed(&["config", "explain", "db.host", "--of", "facts@live"]);
    assert_eq!(
        done.stdout,
        "db.host = \"db.prod.example\"\n  → store        live.json:2   \"db.prod.example\"\n    base         config.edn:2  \"localhost\"\n",
        "{}",
        done.stderr
    );
}

#[test]
fn an_environment_variable_takes_the_type_and_the_place_of_the_value_that_it_names() {
    let project = project("");
    let run = |name: &str, value: &str, path: &[&str]| {
        let event = json!({"path": path}).to_string();
        let mut command = project.command(&["run", ".", "--data", &event]);
        let done = crate::rig::finish(command.env(name, value));
        let told: Value = serde_json::from_str(&done.stdout).unwrap_or_default();
        (told["sdk"]["Ok"].clone(), done)
    };
    assert_eq!(run("CRUNCHBOX_CONFIG_DB__HOST", "00123", &HOST).0, "00123");
    assert_eq!(run("CRUNCHBOX_CONFIG_db__pool", "8", &["db", "pool"]).0, 8);
    assert_eq!(
        run("CRUNCHBOX_CONFIG_REPORT_TITLE", "x", &["report/title"]).0,
        "x"
    );
    assert_eq!(
        run("CRUNCHBOX_CONFIG", r#"{"db": {"new": 1}}"#, &["db", "new"]).0,
        1
    );
    let (_, done) = run("CRUNCHBOX_CONFIG_DB__POOL", "many", &HOST);
    assert!(
        done.exit == 50 && done.stderr.contains("CRUNCHBOX_CONFIG_DB__POOL"),
        "{}",
        done.stderr
    );
    assert!(!done.stderr.contains("many"), "no value: {}", done.stderr);
    let (_, done) = run("CRUNCHBOX_CONFIG_DB__HSOT", "x", &HOST);
    assert!(
        done.exit == 0
            && done
                .stderr
                .contains("CRUNCHBOX_CONFIG_DB__HSOT names no value"),
        "{}",
        done.stderr
    );
}

#[test]
fn one_tree_reads_the_same_by_the_sdk_by_the_contract_and_by_wasi_config() {
    let project = project("");
    project.file(
        "config.edn",
        "{:db/host \"h\" \"a.b\" {:c/d 1.50 \"e f\" true} :list [1 {:x nil}] :nothing nil :n 12345678901234567890123 :t \"tab\\t\\\"q\\\"\"}",
    );
    for (path, key, json, plain) in [
        (&["db/host"][..], "db/host", r#""h""#, Some("h")),
        (&["a.b", "c/d"], r#""a.b".c/d"#, "1.50", Some("1.50")),
        (&["a.b", "e f"], r#""a.b"."e f""#, "true", Some("true")),
        (
            &["list"],
            "list",
            r#"[1,{"x":null}]"#,
            Some(r#"[1,{"x":null}]"#),
        ),
        (&["nothing"], "nothing", "null", None),
        (
            &["n"],
            "n",
            "12345678901234567890123",
            Some("12345678901234567890123"),
        ),
        (&["t"], "t", r#""tab\t\"q\"""#, Some("tab\t\"q\"")),
        (&["a.b"], r#""a.b""#, r#"{"c/d":1.50,"e f":true}"#, None),
    ] {
        let event = json!({"path": path, "key": key}).to_string();
        let done = project.typed(&["run", ".", "--data", &event]);
        let told: Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(told["get"]["Ok"], json, "{told}");
        assert_eq!(told["store"]["Ok"].as_str(), plain, "{told}");
        let read: Value = serde_json::from_str(json).unwrap();
        assert_eq!(told["sdk"]["Ok"], read);
        assert_eq!(told["source"], "base, ./config.edn:1");
        let all = told["all"]["Ok"].as_array().unwrap();
        let found = all.iter().find(|entry| entry[0] == key);
        assert_eq!(
            found.map(|entry| entry[1].as_str().unwrap()),
            plain,
            "{told}"
        );
    }
}

#[test]
fn a_folder_without_a_manifest_and_a_path_that_is_none_are_refused_by_name() {
    let empty = tempfile::tempdir().unwrap();
    let done = typed(&["config", "explain", "--of", crate::rig::text(empty.path())]);
    assert!(
        done.exit == 52 && done.stderr.contains("crunchbox.toml"),
        "{}",
        done.stderr
    );
    let project = project("");
    let (exit, said) = project.refused(&["config", "explain", "a..b"]);
    assert!(exit == 50 && said.contains("a..b"), "{said}");
}
