//! The grant `http` with `sign`: requests in the host's name, whose credentials no guest sees.

use super::web::Web;
use super::{get, project, run, typed};
use crate::rig::shop::{component, shape};
use crate::rig::{ACCESS_KEY, Deployed, Event, Moto, Project, RuntimeApi, S3, SECRET_KEY, Shop};
use crunchbox::release::Contents;
use serde_json::{Value, json};

const TOKEN: &str = "session-token-of-tests";

/// A project whose guest may send requests to a server, signed for DynamoDB.
fn signing(to: &str) -> Project {
    let grant = json!({"to": to, "sign": "dynamodb", "region": "eu-west-1"});
    project(&json!({"grants": {"http": [grant]}}))
}

/// A call of DynamoDB.
fn call(origin: &str, operation: &str, body: &Value) -> Value {
    json!({"http": {
        "method": "POST",
        "url": format!("{origin}/"),
        "headers": {
            "content-type": "application/x-amz-json-1.0",
            "x-amz-target": format!("DynamoDB_20120810.{operation}"),
        },
        "body": body.to_string(),
    }})
}

#[test]
fn an_item_is_put_into_a_table_by_a_guest_that_has_no_credentials() {
    let moto = Moto::start();
    moto.create_table("readings");
    let item = json!({"id": {"S": "oslo"}, "temp": {"N": "7"}});
    let put = json!({"TableName": "readings", "Item": item});
    let look = json!({"TableName": "readings", "Key": {"id": {"S": "oslo"}}});
    let origin = moto.endpoint();
    let event = json!([
        call(&origin, "PutItem", &put),
        call(&origin, "GetItem", &look)
    ]);
    let told = run(&signing(&origin), &[], &event);
    assert_eq!(told[0]["Ok"]["status"], 200, "{told}");
    let found: Value = serde_json::from_str(told[1]["Ok"]["body"].as_str().unwrap()).unwrap();
    assert_eq!(found["Item"], item);
    assert_eq!(moto.items("readings"), json!([item]));
}

#[test]
fn a_request_is_signed_for_its_service_whatever_the_guest_says_of_itself() {
    let web = Web::start();
    let event = json!({"http": {"method": "POST", "url": web.origin(), "body": "{}", "headers": {
        "authorization": "Bearer mine",
        "x-amz-date": "20150101T000000Z",
        "x-amz-security-token": "mine",
    }}});
    let told = run(
        &signing(web.origin()),
        &[("AWS_SESSION_TOKEN", TOKEN)],
        &event,
    );
    assert_eq!(told["status"], 200);
    let asked = web.only();
    let [authorization] = asked.values("authorization")[..] else {
        panic!("{asked:?}");
    };
    let begin = format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/");
    assert!(authorization.starts_with(&begin), "{authorization}");
    assert!(
        authorization.contains("/eu-west-1/dynamodb/aws4_request"),
        "{authorization}"
    );
    assert_eq!(asked.values("x-amz-security-token"), [TOKEN]);
    let [date] = asked.values("x-amz-date")[..] else {
        panic!("{asked:?}");
    };
    assert!(!date.starts_with("2015"), "{date}");
    assert_eq!(
        (asked.body.as_str(), asked.values("content-length")),
        ("{}", vec!["2"])
    );
}

#[test]
fn a_guest_sees_nothing_of_the_credentials_that_its_requests_are_signed_with() {
    let web = Web::start();
    let event = json!([get(web.origin()), {"env": true}]);
    let project = signing(web.origin());
    let done = typed(&project, &[("AWS_SESSION_TOKEN", TOKEN)], &event);
    assert_eq!(done.exit, 0, "{}", done.stderr);
    let told: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(
        (&told[0]["Ok"]["status"], &told[1]),
        (&200.into(), &json!({"Ok": {}}))
    );
    for secret in [SECRET_KEY, TOKEN, "AWS4-HMAC-SHA256"] {
        assert!(!done.stdout.contains(secret), "{}", done.stdout);
        assert!(!done.stderr.contains(secret), "{}", done.stderr);
    }
}

#[test]
fn only_what_the_grant_names_is_signed() {
    let (signed, plain) = (Web::start(), Web::start());
    let project = project(&json!({"grants": {"http": [
        {"to": format!("{}/signed", signed.origin()), "sign": "dynamodb", "region": "eu-west-1"},
        signed.origin(),
        plain.origin(),
    ]}}));
    let event = json!([
        get(&format!("{}/signed", signed.origin())),
        get(&format!("{}/plain", signed.origin())),
        get(&format!("{}/signed", plain.origin())),
    ]);
    run(&project, &[], &event);
    let signatures = |web: &Web| -> Vec<usize> {
        let asked = web.asked().into_iter();
        asked
            .map(|asked| asked.values("authorization").len())
            .collect()
    };
    assert_eq!(
        (signatures(&signed), signatures(&plain)),
        (vec![1, 0], vec![0])
    );
}

#[test]
fn without_credentials_a_request_that_is_to_be_signed_does_not_leave() {
    let web = Web::start();
    let project = signing(web.origin());
    let mut command = project.command(&["run", ".", "--data", &get(web.origin()).to_string()]);
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
    ] {
        command.env_remove(name);
    }
    command
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let done = crate::rig::finish(&mut command);
    assert_ne!(done.exit, 0);
    assert!(done.stderr.contains("credentials"), "{}", done.stderr);
    assert_eq!(web.connections(), 0);
}

#[test]
fn the_deployed_program_signs_as_its_lambda_function_in_its_region() {
    let (s3, web) = (S3::start(), Web::start());
    let shop = Shop::in_s3(&s3);
    let component = component("network");
    let shape = shape(&component);
    let grant = json!({"to": web.origin(), "sign": "execute-api"});
    let contents = Contents {
        grants: [("http".to_owned(), vec![grant])].into(),
        ..Contents::default()
    };
    shop.promote(&shop.release_of(component, shape, contents));
    let api = RuntimeApi::start();
    let deployed = Deployed::following(&shop, "").variable("AWS_REGION", "eu-central-1");
    let running = deployed.start(&api);
    let answer = api.invoke(Event::new(get(web.origin()).to_string()));
    assert_eq!(answer.kind, "response", "{}", answer.text());
    let asked = web.only();
    let scope = "/eu-central-1/execute-api/aws4_request";
    assert!(
        asked.values("authorization")[0].contains(scope),
        "{asked:?}"
    );
    let lines = running.lines_of_an_event();
    let figures = &lines.last().unwrap()["fields"]["http"];
    assert_eq!(
        (&figures["calls"], &figures["receivedBytes"]),
        (&1.into(), &5.into())
    );
}
