//! Rules of the templates as text; that AWS's own tools take them is for `tests/package/validate.py`.

use super::*;
use crate::grant::Grants;
use crate::quantity::Time;
use serde_json::{Value, json};
use std::path::Path;

const TRIGGERS: [Trigger; 8] = [
    Trigger::Sns,
    Trigger::Sqs,
    Trigger::S3,
    Trigger::Dynamodb,
    Trigger::Kinesis,
    Trigger::Schedule,
    Trigger::Url,
    Trigger::Api,
];

fn manifest(grants: Value) -> Manifest {
    let table = serde_json::from_value(grants).unwrap();
    Manifest {
        folder: "/f".into(),
        name: "crunch".parse().unwrap(),
        build: Default::default(),
        limits: Wanted::default(),
        base: Vec::new(),
        schema: None,
        grants: Grants::read(table, Path::new("")).unwrap(),
        events: None,
        test_config: Vec::new(),
        store: None,
    }
}

fn policy() -> Policy {
    Policy {
        metrics: Some("Crunchbox".to_owned()),
        ..Policy::default()
    }
}

fn facts(grants: Value, triggers: &[Trigger]) -> Facts {
    let store = "s3://acme-functions/crunchbox".parse().unwrap();
    Facts::of(&manifest(grants), &policy(), Some(&store), triggers)
}

fn file(facts: &Facts, name: &str) -> String {
    let mut files = files(facts).into_iter();
    let found = files.find(|(path, _)| path == Path::new(name));
    found.unwrap_or_else(|| panic!("no {name}")).1
}

fn policy_of(facts: &Facts, role: &str) -> Vec<Value> {
    let text = file(facts, &format!("policies/{role}.json"));
    let document: Value = serde_json::from_str(&text).unwrap();
    document["Statement"].as_array().unwrap().clone()
}

fn texts(value: &Value) -> Vec<String> {
    let values = value.as_array().unwrap().iter();
    values.map(|one| one.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_memory_is_the_guests_and_the_hosts_in_steps() {
    for (mebi, expected) in [
        (1, 128),
        (88, 128),
        (89, 192),
        (128, 192),
        (512, 576),
        (1 << 20, 10_240),
    ] {
        assert_eq!(lambda_memory_mb(Bytes::mebi(mebi)), expected, "{mebi}");
    }
    assert_eq!(lambda_memory_mb(Bytes(u64::MAX)), 10_240);
}

#[test]
fn the_timeout_leaves_a_second_and_ends_where_lambda_ends_it() {
    let seconds = |limit| lambda_timeout(limit).as_secs();
    let ms = Duration::from_millis;
    for (limit, expected) in [(250, 2), (20_000, 21), (899_500, 900), (10_000_000, 900)] {
        assert_eq!(seconds(Some(ms(limit))), expected, "{limit} ms");
    }
    assert_eq!((seconds(None), seconds(Some(Duration::MAX))), (30, 900));
}

#[test]
fn a_policys_ceiling_makes_the_function_smaller() {
    let wanted = Wanted {
        time: Some(Time(Duration::from_secs(60))),
        memory: Some(Bytes::mebi(512)),
        ..Wanted::default()
    };
    let most = Wanted {
        time: Some(Time(Duration::from_secs(10))),
        memory: Some(Bytes::mebi(64)),
        ..Wanted::default()
    };
    assert_eq!(memory(&wanted, &most), Bytes::mebi(64));
    assert_eq!(time(&wanted, &most), Some(Duration::from_secs(10)));
    assert_eq!(
        memory(&Wanted::default(), &Wanted::default()),
        Bytes::mebi(128)
    );
}

#[test]
fn scratch_folders_make_room_beside_the_cache() {
    for (mebi, expected) in [
        (64, None),
        (256, None),
        (257, Some(576)),
        (400, Some(704)),
        (1 << 20, Some(10_240)),
    ] {
        assert_eq!(
            storage_mb(Some(Bytes::mebi(mebi)), LAMBDA_CACHE_BYTES),
            expected,
            "{mebi}"
        );
    }
    assert_eq!(storage_mb(None, LAMBDA_CACHE_BYTES), None);
    let facts = facts(json!({"scratch": "600 MiB"}), &[]);
    assert!(file(&facts, "template.yaml").contains("Size: 896"));
    assert!(file(&facts, "main.tf").contains("size = 896"));
}

#[test]
fn without_grants_no_statement_names_a_resource_beyond_the_functions_part_of_the_store_and_its_log()
{
    let facts = facts(json!({}), &[]);
    for role in ["host", "releaser", "promoter"] {
        for statement in policy_of(&facts, role) {
            for resource in texts(&statement["Resource"]) {
                let own = resource.starts_with("arn:aws:s3:::acme-functions/crunchbox/crunch/")
                    || resource == "arn:aws:s3:::acme-functions/crunchbox/.crunchbox-probe"
                    || resource
                        == "arn:aws:logs:REGION:ACCOUNT:log-group:/aws/lambda/crunch-live:*";
                let listed = texts(&statement["Action"]) == ["s3:ListBucket"]
                    && statement["Condition"]["StringLike"]["s3:prefix"].is_array();
                assert!(own || listed, "{role}: {resource}");
            }
        }
    }
}

#[test]
fn a_host_writes_nothing_a_releaser_no_channel_and_a_promoter_no_code() {
    let facts = facts(json!({}), &[]);
    let written = |role: &str| {
        let statements = policy_of(&facts, role).into_iter();
        let writing =
            statements.filter(|one| texts(&one["Action"]).contains(&"s3:PutObject".to_owned()));
        let resources = writing.flat_map(|one| texts(&one["Resource"]));
        let start = "arn:aws:s3:::acme-functions/crunchbox/";
        resources
            .map(|one| one.replace(start, ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(written("host"), [""; 0]);
    let releaser = [
        "crunch/components/*",
        "crunch/releases/*",
        "crunch/artifacts/*",
    ];
    assert_eq!(written("releaser"), releaser);
    let promoter = ["crunch/channels/*", "crunch/configs/*", ".crunchbox-probe"];
    assert_eq!(written("promoter"), promoter);
}

#[test]
fn a_bucket_refuses_to_overwrite_what_is_written_once_and_moves_by_others() {
    let facts = facts(json!({}), &[]);
    let statements = policy_of(&facts, "bucket-policy");
    assert!(statements.iter().all(|one| one["Effect"] == "Deny"));
    let once = statements
        .iter()
        .find(|one| one["Sid"] == "WrittenOnce")
        .unwrap();
    assert_eq!(once["Condition"]["Null"]["s3:if-none-match"], "true");
    let start = "arn:aws:s3:::acme-functions/crunchbox/*";
    let folders = [
        "/components/*",
        "/configs/*",
        "/releases/*",
        "/artifacts/*.cwasm",
    ];
    assert_eq!(
        texts(&once["Resource"]),
        folders.map(|folder| format!("{start}{folder}"))
    );
}

#[test]
fn grants_become_statements_on_what_they_name() {
    let grants = json!({
        "objects": [
            {"at": "s3://acme-in/{{channel}}/", "allow": ["read", "list"]},
            {"at": "s3://acme-in/one", "allow": ["write"]},
        ],
        "secrets": ["ssm:/crunch/{{channel}}/*", "secretsmanager:prod/db#password", "env:KEY"],
        "http": [{"to": "POST https://dynamodb.eu-west-1.amazonaws.com/", "sign": "dynamodb"}],
    });
    let facts = facts(grants, &[]);
    let statements = policy_of(&facts, "host");
    let of = |id: &str| {
        let found = statements.iter().find(|one| one["Sid"] == id);
        texts(&found.unwrap_or_else(|| panic!("no {id}"))["Resource"])
    };
    assert_eq!(of("ReadObjects"), ["arn:aws:s3:::acme-in/live/*"]);
    assert_eq!(of("WriteObjects"), ["arn:aws:s3:::acme-in/one"]);
    assert_eq!(of("ListObjects1"), ["arn:aws:s3:::acme-in"]);
    assert_eq!(
        of("ReadParameters"),
        ["arn:aws:ssm:REGION:ACCOUNT:parameter/crunch/live/*"]
    );
    assert_eq!(
        of("ReadSecrets"),
        ["arn:aws:secretsmanager:REGION:ACCOUNT:secret:prod/db-??????"]
    );
    assert_eq!(
        of("SignDynamodb"),
        ["arn:aws:dynamodb:REGION:ACCOUNT:table/TABLE"]
    );
    let sam = file(&facts, "template.yaml");
    assert!(sam.contains("Resource: !Ref SignDynamodbResources"));
    assert!(sam.contains("parameter/crunch/${Channel}/*"));
    assert!(file(&facts, "main.tf").contains("var.sign_dynamodb_resources"));
    assert!(sam.contains("# KEY:"));
}

#[test]
fn a_tcp_grant_asks_for_a_vpc_and_what_leads_out_of_it() {
    let grants = json!({
        "tcp": ["{{db.host}}:5432", "10.1.0.0/16:6379"],
        "secrets": ["ssm:/crunch/*"],
    });
    let facts = facts(grants, &[]);
    for (name, said) in [
        (
            "template.yaml",
            [
                "VpcConfig:",
                "5432",
                "CidrIp: 10.1.0.0/16",
                "VpcEndpointType: Gateway",
                "SsmEndpoint:",
            ],
        ),
        (
            "main.tf",
            [
                "vpc_config",
                "5432",
                "[\"10.1.0.0/16\"]",
                "toset([\"s3\"])",
                "toset([\"ssm\"])",
            ],
        ),
        ("policies/host.json", ["ec2:CreateNetworkInterface"; 5]),
    ] {
        let text = file(&facts, name);
        for said in said {
            assert!(text.contains(said), "{name}: {said}\n{text}");
        }
    }
    let without = self::facts(json!({}), &[]);
    for name in ["template.yaml", "main.tf", "policies/host.json"] {
        let text = file(&without, name).to_lowercase();
        assert!(!text.contains("vpc") && !text.contains("ec2:"), "{name}");
    }
}

#[test]
fn each_trigger_has_its_permission_and_no_other() {
    for (trigger, principal, action) in [
        (Trigger::Sns, Some("sns.amazonaws.com"), None),
        (Trigger::Sqs, None, Some("sqs:ReceiveMessage")),
        (Trigger::S3, Some("s3.amazonaws.com"), None),
        (Trigger::Dynamodb, None, Some("dynamodb:GetRecords")),
        (Trigger::Kinesis, None, Some("kinesis:GetRecords")),
        (Trigger::Schedule, Some("events.amazonaws.com"), None),
        (Trigger::Url, None, None),
        (Trigger::Api, Some("apigateway.amazonaws.com"), None),
    ] {
        let facts = facts(json!({}), &[trigger]);
        let terraform = file(&facts, "main.tf");
        let permits = terraform.contains("  principal ");
        assert_eq!(permits, principal.is_some(), "{trigger}");
        assert!(
            terraform.contains(principal.unwrap_or_default()),
            "{trigger}"
        );
        let host = file(&facts, "policies/host.json");
        assert!(host.contains(action.unwrap_or_default()), "{trigger}");
        assert_eq!(
            host.contains("GetRecords") || host.contains("ReceiveMessage"),
            action.is_some()
        );
        let keeps = host.contains("crunch-live-failed");
        assert_eq!(keeps, facts.keeps_failed_events(), "{trigger}");
    }
}

#[test]
fn callers_of_an_address_or_an_api_have_a_policy_and_others_none() {
    let has = |triggers: &[Trigger]| {
        let files = files(&facts(json!({}), triggers));
        files
            .iter()
            .any(|(path, _)| path == Path::new("policies/caller.json"))
    };
    assert!(has(&[Trigger::Url]) && has(&[Trigger::Api]) && !has(&[Trigger::Sqs]));
}

#[test]
fn watched_files_are_readable_and_nothing_else_beside_the_function() {
    let mut policy = policy();
    policy.watched = ["{{channel}}/channel-{{channel}}.toml", "{{unknown}}.toml"]
        .map(|key| Template::parse(key).unwrap())
        .into();
    let store = "s3://acme".parse().unwrap();
    let facts = Facts::of(&manifest(json!({})), &policy, Some(&store), &[]);
    let read = &policy_of(&facts, "host")[0];
    let expected = [
        "arn:aws:s3:::acme/crunch/*",
        "arn:aws:s3:::acme/live/channel-live.toml",
    ];
    assert_eq!(texts(&read["Resource"]), expected);
}

#[test]
fn without_metrics_there_is_no_alarm_on_them_but_a_word() {
    let store = "s3://acme/x".parse().unwrap();
    let silent = Facts::of(&manifest(json!({})), &Policy::default(), Some(&store), &[]);
    let loud = facts(json!({}), &[]);
    for (name, alarm) in [
        ("template.yaml", "MetricName: ReleaseRefused"),
        ("main.tf", "\"ReleaseRefused\""),
    ] {
        assert!(!file(&silent, name).contains(alarm) && file(&loud, name).contains(alarm));
        assert!(file(&silent, name).contains("`[metrics]`"));
    }
    assert!(
        silent
            .notes()
            .iter()
            .any(|note| note.contains("ReleaseRefused"))
    );
}

#[test]
fn a_store_that_no_file_names_is_asked_for() {
    let folder = "./store".parse().unwrap();
    for store in [None, Some(&folder)] {
        let facts = Facts::of(&manifest(json!({})), &policy(), store, &[Trigger::S3]);
        assert!(file(&facts, "template.yaml").contains("s3://${StoreBucket}/${StorePrefix}"));
        assert!(file(&facts, "main.tf").contains("s3://${var.store_bucket}/${var.store_prefix}"));
        assert!(file(&facts, "policies/host.json").contains("arn:aws:s3:::BUCKET/PREFIX/crunch/*"));
    }
}

#[test]
fn hostile_names_break_out_of_nothing() {
    let store = "s3://acme/a\"\n*${x}%{y}${{ z }}<<name>>?region=r\"\n"
        .parse()
        .unwrap();
    let mut policy = policy();
    policy.metrics = Some("M\"\n${Channel}${{ secrets.K }}".to_owned());
    let grants = json!({"tcp": ["{{a\n  b: $c}}:1"], "env": ["KEY"]});
    let facts = Facts::of(&manifest(grants), &policy, Some(&store), &TRIGGERS);
    for (path, text) in files(&facts) {
        let broken = text
            .lines()
            .find(|line| line.starts_with(['*', '$', '%']) && !line.starts_with("* "));
        assert_eq!(broken, None, "{}", path.display());
    }
    let sam = file(&facts, "template.yaml");
    assert!(
        sam.contains(r#"acme/a\"\u000a${Dollar}{*}${Dollar}{${Dollar}}{x}%{y}"#),
        "{sam}"
    );
    assert!(
        sam.contains(r#"Namespace: !Sub ["M\"\u000a${Dollar}{Channel}"#),
        "{sam}"
    );
    let terraform = file(&facts, "main.tf");
    assert!(
        terraform.contains(r#"acme/a\"\u000a$${*}$${$}{x}%%{y}"#),
        "{terraform}"
    );
    let workflow = file(&facts, ".github/workflows/crunchbox.yml");
    assert!(
        workflow.contains(r#"${{ '${{' }} z }}"#) && !workflow.contains("${{ z"),
        "{workflow}"
    );
}

#[test]
fn no_place_is_left_unfilled() {
    let grants = json!({
        "tcp": ["db.example.com:5432"],
        "http": [{"to": "https://x.amazonaws.com/", "sign": "bedrock"}, "https://example.com"],
        "objects": ["s3://*"],
        "scratch": "1000 MiB",
    });
    for facts in [facts(json!({}), &[]), facts(grants, &TRIGGERS)] {
        for (path, text) in files(&facts) {
            assert!(!text.contains("<<"), "{}", path.display());
            assert!(
                text.ends_with('\n') && !text.contains('\t'),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn the_longest_names_fit_lambdas() {
    let mut manifest = manifest(json!({}));
    manifest.name = "x".repeat(63).parse().unwrap();
    let facts = Facts::of(&manifest, &policy(), None, &[]);
    assert_eq!(facts.stem().len() + "-".len() + 16, 64);
    let handler = format!("Handler: !Sub \"{}@${{Channel}}\"", "x".repeat(63));
    assert!(file(&facts, "template.yaml").contains(&handler));
}
