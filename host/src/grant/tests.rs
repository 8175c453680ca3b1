//! Grants as people write them: what is read, refused, filled, and held against a ceiling.

use super::*;
use serde_json::json;

fn table(value: Value) -> BTreeMap<String, Value> {
    serde_json::from_value(value).unwrap()
}

fn read(value: Value) -> Result<Grants, String> {
    Grants::read(table(value), Path::new("/nowhere")).map_err(|error| error.to_string())
}

fn ceiling(value: Value) -> Ceiling {
    Ceiling::read(table(value), Path::new("/nowhere")).unwrap()
}

fn facts() -> Facts {
    Facts::default()
        .with("db.host", "db.internal.example")
        .with("bucket", "readings")
        .with("region", "eu-west-1")
}

#[test]
fn all_kinds_are_read_filled_and_sealed_as_they_were_written() {
    let written = json!({
        "http": ["GET https://a.example/*", {"to": "https://sqs.{{region}}.amazonaws.com", "sign": "sqs"}],
        "tcp": [{"to": "{{db.host}}:5432", "tls": "postgres"}],
        "objects": [{"at": "s3://{{bucket}}/in/", "allow": ["read", "list"]}],
        "secrets": ["ssm:/crunch/{{channel}}/*"],
        "env": ["STAGE"],
        "scratch": "64 MiB",
    });
    let grants = read(written).unwrap();
    let granted = grants.fill(&facts(), &Ceiling::default()).unwrap();
    assert_eq!((granted.http.len(), granted.objects.len()), (2, 1));
    assert_eq!(granted.tcp[0].host.as_name(), Some("db.internal.example"));
    assert_eq!(granted.scratch, Some(Bytes::mebi(64)));
    assert_eq!(grants.secrets().len(), 1);
    assert_eq!(Grants::parse(&grants.seal()).unwrap(), grants);
    assert!(grants.asked().iter().eq(["bucket", "db.host", "region"]));
}

#[test]
fn what_is_unknown_or_wrong_is_refused_by_kind_and_entry() {
    for (written, words) in [
        (json!({"htpp": []}), "expected one of http, tcp"),
        (json!({"tcp": ["db.example"]}), "expected a host and a port"),
        (
            json!({"tcp": ["db.example:0"]}),
            "expected a host and a port",
        ),
        (
            json!({"tcp": [{"to": "db.example:1", "tls": "mysql"}]}),
            "`direct` or `postgres`",
        ),
        (
            json!({"tcp": [{"to": "10.0.0.0/8:1", "tls": "direct"}]}),
            "its certificate",
        ),
        (
            json!({"tcp": [{"to": "a.example:1", "sign": "x"}]}),
            "unknown key `sign`",
        ),
        (
            json!({"tcp": [{"to": "a.example:1", "tls": "direct", "ca": "missing.pem"}]}),
            "cannot read `/nowhere/missing.pem`",
        ),
        (
            json!({"tcp": [{"to": "a.example:1", "tls": "direct", "ca": "-----BEGIN nothing"}]}),
            "ca",
        ),
        (
            json!({"http": [{"to": "http://a.example", "sign": "sqs"}]}),
            "expected https",
        ),
        (
            json!({"objects": [{"at": "s3://b/", "allow": ["delete"]}]}),
            "unknown variant `delete`",
        ),
        (
            json!({"env": ["AWS_SECRET_ACCESS_KEY"]}),
            "begins with `AWS_`",
        ),
        (json!({"env": ["Aws_Region"]}), "begins with `AWS_`"),
        (json!({"env": ["_HANDLER"]}), "begins with `_`"),
        (json!({"env": [{"to": "STAGE"}]}), "expected a string"),
        (json!({"scratch": ["1 MiB", "2 MiB"]}), "at most 1"),
        (json!({"scratch": 64}), "expected a string"),
    ] {
        let problem = read(written.clone()).unwrap_err();
        assert!(problem.contains(words), "{written}: {problem}");
    }
}

#[test]
fn of_a_file_of_certificates_nothing_else_is_sealed() {
    let block = |what| format!("-----BEGIN {what}-----\nYQ==\n-----END {what}-----\n");
    let pem = format!("words\n{}{}", block("CERTIFICATE"), block("PRIVATE KEY"));
    assert_eq!(certificates_of(&pem), block("CERTIFICATE"));
}

#[test]
fn a_template_that_nothing_fills_is_an_error_that_names_it() {
    let grants = read(json!({"tcp": ["{{db.name}}:5432"]})).unwrap();
    let problem = grants
        .fill(&facts(), &Ceiling::default())
        .unwrap_err()
        .to_string();
    assert!(
        problem.contains("`{{db.name}}` is not known here"),
        "{problem}"
    );
}

#[test]
fn a_value_that_fills_a_template_adds_no_port_no_path_and_no_star() {
    let grants = read(json!({"http": ["https://{{host}}/v1/*"]})).unwrap();
    for value in ["evil.org/", "evil.org:8443", "*", "a@evil.org", "evil.org#"] {
        let facts = Facts::default().with("host", value);
        assert!(grants.fill(&facts, &Ceiling::default()).is_err(), "{value}");
    }
}

#[test]
fn a_release_reaches_no_further_than_the_policy() {
    let policy = json!({
        "http": ["https://*.example"], "tcp": ["10.0.0.0/8:5432", {"to": "db.example:5432", "tls": "postgres"}],
        "objects": [{"at": "s3://readings/", "allow": ["read"]}], "env": [], "scratch": "16 MiB",
    });
    let ceiling = ceiling(policy);
    let fill = |written| read(written).unwrap().fill(&facts(), &ceiling);
    for within in [
        json!({"http": ["GET https://a.example/x"]}),
        json!({"tcp": ["10.1.2.3:5432"]}),
        json!({"tcp": [{"to": "db.example:5432", "tls": "postgres"}]}),
        json!({"objects": [{"at": "s3://{{bucket}}/in/"}]}),
        json!({"scratch": "16 MiB"}),
        json!({"secrets": ["ssm:/anything"]}),
    ] {
        fill(within.clone()).unwrap_or_else(|error| panic!("{within}: {error}"));
    }
    for beyond in [
        json!({"http": ["http://a.example"]}),
        json!({"tcp": ["10.1.2.3:5433"]}),
        json!({"tcp": ["db.example:5432"]}),
        json!({"objects": [{"at": "s3://{{bucket}}/in/", "allow": ["read", "write"]}]}),
        json!({"env": ["STAGE"]}),
        json!({"scratch": "17 MiB"}),
    ] {
        let error = fill(beyond.clone()).unwrap_err();
        assert_eq!(error.code(), Code::GrantBeyondPolicy, "{beyond}");
    }
}
