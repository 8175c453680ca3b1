//! The commands that write a store, as a person types them, and what becomes of a store when they are broken off.

use crate::rig::shop::variant;
use crate::rig::{Fault, Project, S3, Seen, finish, text};
use crunchbox::release::Release;
use serde_json::Value;
use std::process::Stdio;

const EVENT: [&str; 2] = ["--data", r#"{"config": ["v"]}"#];

fn run(project: &Project, address: &str) -> Value {
    project.json(&["run", address, EVENT[0], EVENT[1]])
}

#[test]
fn a_project_is_deployed_to_a_folder_and_run_from_there_with_no_account() {
    let project = Project::new("facts");
    let id = project.done(&["deploy", "-m", "the first"]);
    assert!(id.starts_with("sha256-") && id.len() == 71, "{id}");
    let facts = run(&project, "facts@live");
    assert_eq!(
        (&facts["release"], &facts["config"]),
        (&id.into(), &1.into())
    );
    assert_eq!(facts["channel"], "live");
    let mistyped = project.typed(&["run", "Facts@live", EVENT[0], EVENT[1]]);
    assert!(
        mistyped.stderr.contains("expected a function's name"),
        "{}",
        mistyped.stderr
    );
    project.file("config.toml", "v = 2\n");
    project.done(&["deploy", "-m", "the second"]);
    assert_eq!(run(&project, "facts@live")["config"], 2);
    assert_eq!(run(&project, "facts@live:1")["config"], 1);
    project.done(&["rollback"]);
    assert_eq!(
        run(&project, "facts")["config"],
        1,
        "a name alone is no file"
    );
}

#[test]
fn the_same_sources_make_the_same_release_wherever_they_lie_and_it_is_not_sent_again() {
    let (here, there) = (Project::new("facts"), Project::new("facts"));
    let id = here.done(&["release"]);
    assert_eq!(there.done(&["release"]), id);
    let again = here.typed(&["release", "--json"]);
    let report: Value = serde_json::from_str(again.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&report["type"], &report["changed"]),
        (&"release".into(), &false.into())
    );
    assert_eq!(again.stdout.trim_end(), id);
    // Several at once, as `release functions/*` names them.
    let both = here.done(&["release", ".", text(there.path()), "--store", "both"]);
    assert_eq!(both.lines().collect::<Vec<_>>(), [&id, &id]);
    let told = here.typed(&["release"]);
    assert!(told.stderr.contains("unchanged"), "{}", told.stderr);
}

#[test]
fn what_a_release_prints_is_an_address() {
    let project = Project::new("facts");
    let id = project.done(&["release"]);
    project.done(&["promote", &format!("facts@{id}"), "--to", "staging"]);
    let short = &id["sha256-".len()..][..8];
    assert_eq!(run(&project, &format!("facts@{short}"))["release"], id);
    project.done(&["promote", "facts@staging"]);
    assert_eq!(run(&project, "facts@live")["release"], id);
}

#[test]
fn store_commands_answer_in_json_and_in_text() {
    let project = Project::new("facts");
    project.done(&["deploy", "-m", "one"]);
    project.file("config.toml", "v = 2\nw = 3\n");
    project.done(&["deploy", "-m", "two", "--by", "grace"]);
    assert_eq!(
        project.json(&["list", "--json"])["functions"],
        serde_json::json!(["facts"])
    );
    let releases = project.json(&["list", "facts", "--json"]);
    assert_eq!(releases["releases"].as_array().unwrap().len(), 2);
    let status = project.json(&["status", "--json"]);
    assert_eq!(status["channels"][0]["sequence"], 2);
    assert_eq!(status["channels"][0]["by"], "grace");
    let history = project.json(&["history", "--json"]);
    let messages: Vec<_> = history["moves"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&messages[0]["message"], &messages[1]["message"]),
        (&"two".into(), &"one".into())
    );
    assert!(messages[1]["by"].as_str().unwrap().starts_with("ada@"));
    let diff = project.json(&["diff", "facts@1", "facts@2", "--json"]);
    assert_eq!(diff["diff"]["configChanged"], serde_json::json!(["v"]));
    assert_eq!(diff["diff"]["configAdded"], serde_json::json!(["w"]));
    for (arguments, words) in [
        (&["list"][..], "facts"),
        (&["list", "facts"], "live"),
        (&["status", "facts@live"], "facts@live 2"),
        (&["history"], "grace"),
        (&["diff", "facts@1", "facts@2"], "config   ~ v"),
        (&["diff", "facts@1", "facts@1"], "no difference"),
    ] {
        let text = project.done(arguments);
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
}

#[test]
fn a_configuration_is_pushed_over_a_releases_own_and_rolled_back_with_the_channel() {
    let project = Project::new("facts");
    project.done(&["deploy"]);
    project.file("live.toml", "v = 'pushed'\n");
    project.done(&[
        "config",
        "push",
        "live.toml",
        "--to",
        "facts@live",
        "--dry-run",
    ]);
    assert_eq!(run(&project, "facts@live")["config"], 1);
    project.done(&["config", "push", "live.toml", "--to", "facts@live"]);
    assert_eq!(run(&project, "facts@live")["config"], "pushed");
    project.file("config.toml", "v = 2\n");
    project.done(&["deploy"]);
    assert_eq!(
        run(&project, "facts@live")["config"],
        "pushed",
        "it stays above"
    );
    project.done(&["rollback"]);
    project.done(&["rollback"]);
    assert_eq!(run(&project, "facts@live")["config"], 1);
}

#[test]
fn the_first_release_into_a_bucket_makes_a_key_and_a_policy_and_prints_no_secret() {
    let s3 = S3::start();
    let url = s3.url("acme");
    let project = Project::new("facts");
    let (exit, words) = project.refused(&["list", "facts", "--store", &url]);
    assert_eq!((exit, words.contains("keys new")), (55, true), "{words}");
    let done = project.typed(&["deploy", "--store", &url]);
    assert_eq!(done.exit, 0, "{}", done.stderr);
    assert!(
        done.stderr.contains("arm64 ✓") && done.stderr.contains("untried here"),
        "{}",
        done.stderr
    );
    let secret = project.path().join("home/.config/crunchbox/keys/first.key");
    let secret = std::fs::read_to_string(secret).unwrap();
    let secret = secret.lines().nth(1).unwrap();
    let policy = std::fs::read_to_string(project.path().join("policy.toml")).unwrap();
    assert!(policy.contains("[[keys]]") && !policy.contains(secret));
    // The policy is all that a host needs, and says where the store is for those who stand here.
    assert!(policy.contains("url = \"s3://functions/acme"), "{policy}");
    assert_eq!(project.json(&["list", "--json"])["functions"][0], "facts");
    assert!(!done.stderr.contains(secret) && !done.stdout.contains(secret));
    for key in s3.keys() {
        let object = s3.object(&key).unwrap();
        assert!(!String::from_utf8_lossy(&object).contains(secret), "{key}");
    }
    assert_eq!(
        project.json(&["run", "facts@live", "--store", &url, EVENT[0], EVENT[1]])["config"],
        1
    );
    let status = project.done(&["status", "facts", "--store", &url]);
    assert!(status.contains("x86-64 ✓ arm64 ✓"), "{status}");
}

#[test]
fn a_folder_is_signed_when_there_are_keys_and_then_nothing_unsigned_is_believed() {
    let project = Project::new("facts");
    project.done(&["deploy"]);
    project.file("config.toml", "v = 3\n");
    project.done(&["deploy"]);
    project.done(&["rollback"]);
    project.done(&["keys", "new", "ci"]);
    let (exit, words) = project.refused(&["run", "facts@live", EVENT[0], EVENT[1]]);
    assert_eq!((exit, words.contains("not signed")), (86, true), "{words}");
    project.done(&["keys", "resign", "--first"]);
    assert_eq!(run(&project, "facts@live")["config"], 1);
    std::fs::remove_dir_all(project.path().join("home")).unwrap();
    let (exit, words) = project.refused(&["rollback", "--to", "2"]);
    assert_eq!(exit, 56, "{words}");
    project.file("config.toml", "v = 2\n");
    let (exit, words) = project.refused(&["deploy"]);
    assert_eq!(
        (exit, words.contains("secret half of `ci`")),
        (56, true),
        "{words}"
    );
}

#[test]
fn an_unsigned_folder_is_guarded_by_digests_and_loads_no_native_code() {
    let project = Project::new("facts");
    let id = project.done(&["deploy"]);
    let store = project.path().join(".crunchbox/store/facts");
    let release = store.join(format!("releases/{id}.json"));
    let good = std::fs::read_to_string(&release).unwrap();
    std::fs::write(&release, good.replace("\"v\":1", "\"v\":9")).unwrap();
    assert_eq!(
        project
            .refused(&["run", "facts@live", EVENT[0], EVENT[1]])
            .0,
        84
    );
    std::fs::write(&release, good).unwrap();
    assert!(!store.join("artifacts").exists());
    let (exit, words) = project.refused(&["precompile", "facts@live"]);
    assert_eq!((exit, words.contains("not signed")), (56, true), "{words}");
}

#[test]
fn a_release_that_may_reach_more_is_promoted_only_when_that_is_allowed() {
    let project = Project::new("facts");
    let id = project.done(&["deploy"]);
    let releases = project.path().join(".crunchbox/store/facts/releases");
    let text = std::fs::read_to_string(releases.join(format!("{id}.json"))).unwrap();
    let mut wider = Release::parse(text.as_bytes()).unwrap();
    let reach = vec![Value::from("GET https://api.weather.example/*")];
    wider.grants.insert("http".into(), reach);
    let text = wider.to_text();
    let digest = crunchbox::component::Digest::of(text.as_bytes());
    std::fs::write(releases.join(format!("{digest}.json")), text).unwrap();
    let address = format!("facts@{digest}");
    let (exit, words) = project.refused(&["promote", &address]);
    assert_eq!(
        (exit, words.contains("api.weather.example")),
        (94, true),
        "{words}"
    );
    project.done(&["promote", &address, "--allow-grants"]);
    project.done(&["run", "facts@live", EVENT[0], EVENT[1]]);
}

#[test]
fn a_release_with_a_kind_of_grant_that_nobody_here_knows_is_not_promoted() {
    let project = Project::new("facts");
    let id = project.done(&["deploy"]);
    let releases = project.path().join(".crunchbox/store/facts/releases");
    let text = std::fs::read_to_string(releases.join(format!("{id}.json"))).unwrap();
    let mut later = Release::parse(text.as_bytes()).unwrap();
    later.grants.insert("gpu".into(), vec![Value::from("any")]);
    let text = later.to_text();
    let digest = crunchbox::component::Digest::of(text.as_bytes());
    std::fs::write(releases.join(format!("{digest}.json")), text).unwrap();
    let (exit, words) = project.refused(&["promote", &format!("facts@{digest}")]);
    assert_eq!((exit, words.contains("`gpu`")), (96, true), "{words}");
}

#[test]
fn a_command_killed_at_any_write_leaves_a_store_that_works_and_is_repeated_with_success() {
    let s3 = S3::start();
    let project = Project::new("facts");
    let url = s3.url("acme");
    project.done(&["deploy", "--store", &url]);
    for (version, write) in (2_u8..).zip(0..) {
        project.component(variant("facts", version).bytes());
        project.file("config.toml", &format!("v = {version}\n"));
        s3.forget_requests();
        let arguments = ["deploy", "--store", &url];
        let passed = std::sync::atomic::AtomicUsize::new(0);
        let nth = move |seen: &Seen| {
            let before = |_: &Seen| passed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            seen.method == "PUT" && before(seen) == write
        };
        s3.inject(Fault::Hang, nth, 1);
        let mut child = project
            .command(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Either it ends because it has no such write, or it hangs in it and is killed.
        let hangs = || {
            let requests = s3.requests().into_iter();
            requests.filter(|seen| seen.method == "PUT").count() > write
        };
        let ended = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if hangs() {
                break None;
            }
            std::thread::yield_now();
        };
        s3.heal();
        if let Some(status) = ended {
            assert!(status.success() && write > 4, "ended at write {write}");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let run = ["run", "facts@live", "--store", &url, EVENT[0], EVENT[1]];
        let served = project.json(&run)["config"].as_u64().unwrap();
        assert_eq!(served, u64::from(version) - 1, "write {write}");
        project.done(&arguments);
        assert_eq!(project.json(&run)["config"], version);
    }
}

#[test]
fn a_copy_goes_to_another_store_with_its_signatures_and_writes_nowhere_else() {
    let s3 = S3::start();
    let project = Project::new("facts");
    let url = s3.url("acme");
    project.done(&["deploy", "--store", &url]);
    let other = project.path().join("deep/other");
    // What somebody who can write the bucket may put there, to be copied out of the folder.
    let key = s3
        .keys()
        .into_iter()
        .find(|key| key.ends_with(".minisig"))
        .unwrap();
    let (release, _) = key.split_once(".json.").unwrap();
    s3.put(
        &format!("{release}.json./../../../../evil.minisig"),
        b"evil",
    );
    let copy = [
        "copy",
        "facts@live",
        "--channel",
        "--store",
        &url,
        "--to",
        text(&other),
    ];
    project.done(&copy);
    assert!(!project.path().join("deep/evil.minisig").exists());
    assert!(!project.path().join("evil.minisig").exists());
    let run = [
        "run",
        "facts@live",
        "--store",
        text(&other),
        EVENT[0],
        EVENT[1],
    ];
    assert_eq!(project.json(&run)["config"], 1);
    assert!(
        other.join("facts/artifacts").is_dir(),
        "native code goes along"
    );
}

#[test]
fn native_code_is_made_again_for_all_that_channels_remember() {
    let s3 = S3::start();
    let project = Project::new("facts");
    let url = s3.url("acme");
    project.done(&["deploy", "--store", &url]);
    let artifacts = || {
        s3.keys()
            .into_iter()
            .filter(|key| key.contains("/artifacts/"))
    };
    let before: Vec<_> = artifacts().collect();
    // Statement and code for two processors and two ways of stopping guests.
    assert_eq!(before.len(), 8, "{before:?}");
    for key in artifacts() {
        s3.remove(&key);
    }
    project.done(&["precompile", "--all", "--store", &url]);
    assert_eq!(artifacts().collect::<Vec<_>>(), before);
    let again = project.typed(&["precompile", "facts@live", "--store", &url]);
    assert!(again.stderr.contains("There is"), "{}", again.stderr);
}

#[test]
fn sample_events_are_compared_with_the_responses_that_are_written_down() {
    let project = Project::new("echo");
    let untold = project.typed(&["test"]);
    assert_eq!(
        (untold.exit, untold.stderr.contains("no events")),
        (0, true)
    );
    project.file("events/a.json", r#"{"b": 1, "a": 2}"#);
    project.file("events/b.json", "[1]");
    let done = project.typed(&["test"]);
    assert!(
        done.stderr.contains("2 events, 0 compared"),
        "{}",
        done.stderr
    );
    project.done(&["test", "--update"]);
    project.file("events/a.expected.json", r#"{"a": 2, "b": 1}"#);
    let done = project.typed(&["test"]);
    assert!(
        done.stderr.contains("2 events, 2 compared"),
        "{}",
        done.stderr
    );
    project.file("events/b.expected.json", "[2]");
    let (exit, words) = project.refused(&["test"]);
    assert_eq!(
        (exit, words.contains("$[0]\n        - 2\n        + 1")),
        (95, true),
        "{words}"
    );
    assert_eq!(project.refused(&["deploy"]).0, 95, "nothing is released");
    assert!(!project.path().join(".crunchbox").exists());
}

#[test]
fn a_store_without_a_region_or_without_credentials_says_what_to_do() {
    let project = Project::new("facts");
    let bare = |url: &str| {
        let mut command = project.command(&["list", "--store", url]);
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_REGION",
            "AWS_DEFAULT_REGION",
        ] {
            command.env_remove(name);
        }
        finish(command.env("AWS_EC2_METADATA_DISABLED", "true"))
    };
    let done = bare("s3://acme");
    assert_eq!(
        (done.exit, done.stderr.contains("?region=")),
        (82, true),
        "{}",
        done.stderr
    );
    let done = bare("s3://acme?region=eu-west-1&endpoint=http://127.0.0.1:9");
    assert_eq!(
        (done.exit, done.stderr.contains("aws sso login")),
        (82, true),
        "{}",
        done.stderr
    );
    let deployed = project.typed(&[
        "deploy",
        "--store",
        "s3://acme?region=eu-west-1&endpoint=http://127.0.0.1:9",
    ]);
    assert_eq!(deployed.exit, 80, "{}", deployed.stderr);
    assert!(
        !project.path().join("policy.toml").exists(),
        "no policy for a store that is not there"
    );
    let unreachable = project.typed(&[
        "list",
        "--store",
        "s3://acme?region=eu-west-1&endpoint=http://127.0.0.1:9",
    ]);
    assert_eq!(unreachable.exit, 80, "{}", unreachable.stderr);
    assert!(
        unreachable.stderr.contains("refused"),
        "{}",
        unreachable.stderr
    );
}

#[test]
fn what_is_typed_wrong_is_refused_with_its_own_exit_status() {
    let project = Project::new("facts");
    for (arguments, exit) in [
        (&["rollback", "facts@live:41"][..], 54),
        (&["rollback", "facts@41"], 54),
        (&["status", "facts"], 92),
        (&["history", "facts@live"], 92),
        (&["run", "facts@live", "--data", "1"], 92),
        (&["list", "--store", "gs://bucket"], 53),
        (&["list", "--policy", "none.toml"], 55),
        (&["diff", "facts@1", "other@1"], 54),
        (&["release", "missing.wasm"], 20),
        (&["release", "nowhere/missing.wasm"], 20),
    ] {
        let (got, words) = project.refused(arguments);
        assert_eq!(got, exit, "{arguments:?}: {words}");
    }
}
