//! Secrets by reference: who may have them, when they are fetched, and that they are nowhere to be seen.

use crate::rig::shop::{component, shape};
use crate::rig::{
    Deployed, Event, Finished, Followed, Moto, Project, RuntimeApi, S3, Setting, Shop, guest,
};
use async_trait::async_trait;
use crunchbox::clock::SystemClock;
use crunchbox::config::{Layer, Tier};
use crunchbox::error::{Code, Failure};
use crunchbox::publish::{Move, Terms};
use crunchbox::release::{Contents, StoreConfig};
use crunchbox::secret::{Keep, Reference, SecretError, SecretText, Vault};
use crunchbox::settings::Environment;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const CONFIG: &str = r#"{
    "db": {"host": "h", "password": {"$secret": "ssm:/crunch/{{channel}}/db"}},
    "api": {"$secret": "secretsmanager:prod/api#key"},
    "token": {"$secret": "env:API_TOKEN"}
}"#;
const GRANTS: [&str; 3] = [
    "ssm:/crunch/{{channel}}/*",
    "secretsmanager:prod/api",
    "env:API_*",
];

/// The three secrets; no two have a part in common.
const SECRETS: [&str; 3] = ["hunter2-database", "swordfish-api", "opensesame-token"];

fn promote(shop: &Shop, config: &str, grants: &[&str]) -> Result<u64, Failure> {
    let component = component("settings");
    let shape = shape(&component);
    let grants: Vec<Value> = grants.iter().map(|grant| (*grant).into()).collect();
    let contents = Contents {
        config: vec![Layer::parse(Tier::Base, "config.json", config.as_bytes()).unwrap()],
        grants: [("secrets".to_owned(), grants)].into(),
        ..Contents::default()
    };
    let sealed = shop.release_of(component, shape, contents);
    shop.try_move(
        &Shop::live(),
        &Move::Release(sealed.serves()),
        Terms::default(),
    )
}

/// Answers with the reference, and remembers who was asked for.
#[derive(Debug, Default)]
struct Fake(Mutex<Vec<String>>);

#[async_trait]
impl Keep for Fake {
    async fn fetch(&self, reference: &Reference) -> Result<SecretText, SecretError> {
        self.0.lock().unwrap().push(reference.to_string());
        Ok(SecretText::new(&format!(
            "the secret of {}",
            reference.name
        )))
    }
}

fn with_fake(shop: &Shop) -> (Arc<Fake>, Followed) {
    let fake = Arc::new(Fake::default());
    let keeper = Arc::clone(&fake) as Arc<dyn Keep>;
    let _entered = crate::rig::runtime().enter();
    let environment: Environment = [("API_TOKEN", SECRETS[2])].into_iter().collect();
    let vault = Vault::with_keeper(environment, None, keeper, Arc::new(SystemClock::default()));
    (fake, Setting::of(shop).vault(vault).start())
}

fn ask(followed: &Followed, question: &Value) -> Value {
    let outcome = followed.handle(&question.to_string());
    serde_json::from_str(&outcome.result.unwrap()).unwrap()
}

fn shop() -> (S3, Shop) {
    let s3 = S3::start();
    let shop = Shop::in_s3(&s3);
    (s3, shop)
}

#[test]
fn only_the_secrets_at_or_below_the_path_that_is_asked_for_are_fetched_and_each_once() {
    let (_s3, shop) = shop();
    let config = r#"{"a": {"x": {"$secret": "ssm:/a"}, "list": [{"$secret": "ssm:/l"}, 1]}, "b": {"$secret": "ssm:/b"}, "c": 1}"#;
    promote(&shop, config, &["ssm:*"]).unwrap();
    let (fake, followed) = with_fake(&shop);
    let fetched = || std::mem::take(&mut *fake.0.lock().unwrap());
    let tree = |path: &[&str]| ask(&followed, &json!({"path": path, "then": "tree"}))["Ok"].clone();
    assert_eq!(fetched(), [""; 0], "nothing before it is asked for");
    assert_eq!(
        tree(&["a"]),
        r#"{"x":"the secret of /a","list":["the secret of /l",1]}"#
    );
    let mut below = fetched();
    below.sort();
    assert_eq!(below, ["ssm:/a", "ssm:/l"]);
    tree(&["a"]);
    assert_eq!(fetched(), [""; 0], "each once");
    ask(&followed, &json!({"path": ["c"], "key": "b"}));
    assert_eq!(
        fetched(),
        ["ssm:/b"],
        "what `wasi:config/store` asks for, and no more"
    );
}

#[test]
fn a_reference_that_is_not_granted_is_refused_by_promote() {
    let (_s3, shop) = shop();
    for (config, grants) in [
        (
            r#"{"x": {"$secret": "ssm:/other"}}"#,
            &["ssm:/crunch/*"][..],
        ),
        (
            r#"{"x": {"$secret": "ssm:/crunch/staging/db"}}"#,
            &["ssm:/crunch/{{channel}}/*"],
        ),
        (r#"{"x": {"$secret": "ssm:/x"}}"#, &[]),
        (r#"{"x": [{"$secret": "env:HOME"}]}"#, &["env:API_*"]),
        (
            r#"{"at": "../..", "x": {"$secret": "ssm:/crunch/{{at}}/db"}}"#,
            &["ssm:/crunch/*"],
        ),
        (
            r#"{"at": "a/b", "x": {"$secret": "ssm:/crunch/{{at}}/db"}}"#,
            &["ssm:/crunch/*"],
        ),
        (
            r#"{"at": "*", "x": {"$secret": "ssm:/other"}}"#,
            &["ssm:/{{at}}"],
        ),
    ] {
        let failure = promote(&shop, config, grants).unwrap_err();
        assert_eq!(failure.code, Code::SecretDenied, "{config}: {failure}");
        assert!(failure.message.contains("`x`"), "{failure}");
    }
}

#[test]
fn the_platforms_own_variables_are_no_secrets_of_a_function_whatever_is_granted() {
    for name in [
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "CRUNCHBOX_KEY",
        "_HANDLER",
    ] {
        let text = format!(r#"{{"x": {{"$secret": "env:{name}"}}}}"#);
        let error = Layer::parse(Tier::Base, "c.json", text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    // Nor by a grant that takes in everything, and a template that makes the name.
    let (_s3, shop) = shop();
    let config = r#"{"of": "AWS", "x": {"$secret": "env:{{of}}_SECRET_ACCESS_KEY"}}"#;
    let failure = promote(&shop, config, &["env:*"]).unwrap_err();
    assert_eq!(failure.code, Code::SecretDenied, "{failure}");
}

#[test]
fn a_secret_that_a_stronger_layer_refers_to_has_to_be_granted_by_the_release() {
    let (_s3, shop) = shop();
    promote(&shop, r#"{"x": "plain"}"#, &["ssm:/crunch/*"]).unwrap();
    let pushed = |reference: &str| {
        let text = format!(r#"{{"x": {{"$secret": "{reference}"}}}}"#);
        let layer = Layer::parse(Tier::Store, "live.json", text.as_bytes()).unwrap();
        let config = StoreConfig::new("facts".parse().unwrap(), vec![layer]);
        shop.try_move(&Shop::live(), &Move::Config(config), Terms::default())
    };
    assert_eq!(pushed("ssm:/other").unwrap_err().code, Code::SecretDenied);
    pushed("ssm:/crunch/x").unwrap();
}

/// The deployed program with three keepers: two of AWS's, played by moto, and its environment.
fn deployed(shop: &Shop, endpoint: &str, api: &RuntimeApi) -> crate::rig::Running {
    Deployed::following(shop, "")
        .variable("AWS_REGION", "eu-west-1")
        .variable("AWS_ENDPOINT_URL_SSM", endpoint)
        .variable("AWS_ENDPOINT_URL_SECRETS_MANAGER", endpoint)
        .variable("API_TOKEN", SECRETS[2])
        .start(api)
}

fn filled(moto: &Moto) {
    moto.put_parameter("/crunch/live/db", SECRETS[0]);
    moto.put_secret(
        "prod/api",
        &json!({"key": SECRETS[1], "other": 1}).to_string(),
    );
}

#[test]
fn a_secret_reaches_the_guest_and_is_nowhere_else_to_be_seen() {
    let (s3, shop) = shop();
    let moto = Moto::start();
    filled(&moto);
    promote(&shop, CONFIG, &GRANTS).unwrap();
    let api = RuntimeApi::start();
    let running = deployed(&shop, &moto.endpoint(), &api);
    let mut seen = String::new();
    for (path, secret) in [
        (&["db", "password"][..], SECRETS[0]),
        (&["api"], SECRETS[1]),
        (&["token"], SECRETS[2]),
    ] {
        let event = |then: &str| {
            Event::new(json!({"path": path, "key": path.join("."), "then": then}).to_string())
        };
        let told = api.invoke(event("print")).json();
        assert_eq!(told["sdk"]["Ok"], secret, "{told}");
        assert_eq!(told["store"]["Ok"], secret);
        for then in ["panic", "fail", "type"] {
            let answer = api.invoke(event(then));
            assert_eq!(answer.kind, "error", "{}", answer.text());
            seen.push_str(answer.text());
        }
        for _ in 0..4 {
            let lines = running.lines_of_an_event();
            seen.push_str(&serde_json::to_string(&lines).unwrap());
        }
    }
    assert!(seen.contains("the value is"), "the guest did tell: {seen}");
    assert!(seen.contains("***"), "{seen}");
    for key in s3.keys() {
        seen.push_str(&String::from_utf8_lossy(&s3.object(&key).unwrap()));
    }
    for secret in SECRETS {
        assert!(!seen.contains(secret), "{secret} in {seen}");
    }
}

#[test]
fn a_type_that_a_secret_does_not_fit_is_told_with_its_source_and_without_its_value() {
    let (_s3, shop) = shop();
    promote(&shop, r#"{"port": {"$secret": "ssm:/port"}}"#, &["ssm:*"]).unwrap();
    let (_, followed) = with_fake(&shop);
    let outcome = followed.handle(r#"{"path": ["port"], "then": "type"}"#);
    let failure = outcome.result.unwrap_err();
    assert_eq!(
        failure.message,
        "port: expected u8, got a string (base, config.json:1)"
    );
}

#[test]
fn where_aws_is_out_of_reach_the_guest_gets_an_error_that_it_can_handle() {
    let (_s3, shop) = shop();
    promote(&shop, CONFIG, &GRANTS).unwrap();
    let api = RuntimeApi::start();
    // Nobody listens at the port of a listener that is gone.
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let _running = deployed(&shop, &format!("http://{gone}"), &api);
    let told = api
        .invoke(Event::new(
            r#"{"path": ["db", "password"], "key": "db.host"}"#,
        ))
        .json();
    let error = &told["get"]["Err"];
    assert_eq!(error["code"], "Crunchbox.SecretUnavailable", "{told}");
    assert_eq!(error["retryable"], true);
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("ssm:/crunch/live/db"),
        "{told}"
    );
    assert_eq!(told["sdk"]["Err"]["code"], "Crunchbox.SecretUnavailable");
    assert_eq!(
        told["store"]["Ok"], "h",
        "what is no secret is there all the same"
    );
    let all = told["all"]["Err"].as_str().unwrap();
    assert!(all.contains("Crunchbox.SecretUnavailable"), "{all}");
}

#[test]
fn a_parameter_that_is_not_there_is_no_reason_to_ask_again() {
    let (_s3, shop) = shop();
    let moto = Moto::start();
    promote(&shop, CONFIG, &GRANTS).unwrap();
    let api = RuntimeApi::start();
    let _running = deployed(&shop, &moto.endpoint(), &api);
    let told = api
        .invoke(Event::new(r#"{"path": ["db", "password"]}"#))
        .json();
    let error = &told["get"]["Err"];
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&"Crunchbox.SecretUnavailable".into(), &false.into())
    );
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("ParameterNotFound"),
        "{told}"
    );
}

#[test]
fn on_a_laptop_a_secret_comes_from_the_environment_and_a_local_file_can_stand_in() {
    let project = Project::new("settings");
    project.file(
        "crunchbox.toml",
        "[function]\nname = 'facts'\n[build]\ncommand = 'true'\ncomponent = 'guest.wasm'\n\
         [config]\nbase = ['config.toml']\n[grants]\nsecrets = ['env:API_TOKEN', 'ssm:/db']\n",
    );
    project.file(
        "config.toml",
        "token = { \"$secret\" = \"env:API_TOKEN\" }\ndb = { \"$secret\" = \"ssm:/db\" }\n",
    );
    project.component(&std::fs::read(guest("settings")).unwrap());
    project.file("local.toml", "db = 'stand-in'\n");
    let run = |path: &str| -> (Value, Finished) {
        let event = format!(r#"{{"path": ["{path}"], "then": "print"}}"#);
        let mut command = project.command(&["run", ".", "--data", &event]);
        let done = crate::rig::finish(command.env("API_TOKEN", SECRETS[2]));
        (serde_json::from_str(&done.stdout).unwrap_or_default(), done)
    };
    let (told, done) = run("token");
    assert_eq!(told["sdk"]["Ok"], SECRETS[2], "{}", done.stderr);
    assert!(
        done.stderr.contains("***") && !done.stderr.contains(SECRETS[2]),
        "{}",
        done.stderr
    );
    let (told, done) = run("db");
    assert_eq!(told["sdk"]["Ok"], "stand-in", "{}", done.stderr);
    assert!(
        done.stderr.contains("local.toml (1 value)"),
        "{}",
        done.stderr
    );
    let mut explain = project.command(&["config", "explain", "token"]);
    let explained = crate::rig::finish(explain.env("API_TOKEN", SECRETS[2]));
    assert!(
        explained.stdout.contains("token = ***")
            && explained.stdout.contains("secret env:API_TOKEN"),
        "{}",
        explained.stdout
    );
    assert!(!explained.stdout.contains(SECRETS[2]));
}
