//! The files of policies, as IAM and S3 take them: what [`iam`] says, what the bucket refuses, whom roles trust.

use super::Facts;
use super::iam::{self, Statement};
use super::pattern::{Known, Pattern};
use serde_json::{Map, Value, json};

/// The files of policies, for those who make roles by hand: a path and a text for each. What is not known is in capitals.
pub(super) fn files(facts: &Facts) -> Vec<(&'static str, String)> {
    let mut host = iam::host(facts);
    if !facts.reach.tcp.is_empty() {
        host.extend(iam::network());
    }
    let policy = |statements: &[Statement]| {
        let statements = statements.iter().map(|statement| allow(statement, facts));
        document(statements.collect())
    };
    let mut files = vec![
        ("policies/host.json", policy(&host)),
        ("policies/releaser.json", policy(&iam::releaser(facts))),
        ("policies/promoter.json", policy(&iam::promoter(facts))),
        ("policies/bucket-policy.json", bucket_policy(facts)),
        ("policies/github-trust.json", github_trust(facts)),
    ];
    let caller = iam::caller(facts);
    if !caller.is_empty() {
        files.push(("policies/caller.json", policy(&caller)));
    }
    files
}

fn document(statements: Vec<Value>) -> String {
    let document = json!({"Version": "2012-10-17", "Statement": statements});
    format!("{document:#}\n")
}

fn allow(statement: &Statement, facts: &Facts) -> Value {
    let shown = |pattern: &Pattern| facts.shown(pattern);
    let mut one = Map::new();
    one.insert("Sid".to_owned(), json!(statement.id));
    one.insert("Effect".to_owned(), json!("Allow"));
    one.insert("Action".to_owned(), json!(statement.actions));
    let on: Vec<String> = statement.on.iter().map(shown).collect();
    one.insert("Resource".to_owned(), json!(on));
    if !statement.prefixes.is_empty() {
        let prefixes: Vec<String> = statement.prefixes.iter().map(shown).collect();
        let condition = json!({"StringLike": {"s3:prefix": prefixes}});
        one.insert("Condition".to_owned(), condition);
    }
    Value::Object(one)
}

impl Facts {
    fn region(&self) -> &str {
        let region = self.store.as_ref().and_then(|s3| s3.region.as_deref());
        region.unwrap_or("REGION")
    }

    fn partition(&self) -> &'static str {
        match self.region() {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }

    /// A name in a file of policies.
    fn shown(&self, pattern: &Pattern) -> String {
        let (partition, region) = (self.partition(), self.region());
        let stream = |service: &str, rest: &str| {
            format!("arn:{partition}:{service}:{region}:ACCOUNT:{rest}")
        };
        let known = |known| match known {
            Known::Partition => partition.to_owned(),
            Known::Region => region.to_owned(),
            Known::Account => "ACCOUNT".to_owned(),
            Known::Channel => "live".to_owned(),
            Known::Bucket => "BUCKET".to_owned(),
            Known::Prefix => "PREFIX".to_owned(),
            Known::TableStream => stream("dynamodb", "table/TABLE/stream/*"),
            Known::DataStream => stream("kinesis", "stream/STREAM"),
        };
        pattern.render(known, str::to_owned)
    }
}

/// What the bucket itself refuses, for all functions in the store: `host/STORE.md`, section "Replay".
fn bucket_policy(facts: &Facts) -> String {
    let deny = |id: &str, actions: &[&str], keys: &[Pattern]| {
        let keys = keys
            .iter()
            .cloned()
            .map(|key| facts.in_store(facts.key(key)));
        let keys: Vec<String> = keys.map(|key| facts.shown(&key)).collect();
        json!({"Sid": id, "Effect": "Deny", "Principal": "*", "Action": actions, "Resource": keys})
    };
    let text = |text: &str| Pattern::new([text.into()]);
    let below = |folder: &str| Pattern::many().and(text(folder)).and_many();
    let channels = [below("/channels/")];
    let once = [
        below("/components/"),
        below("/configs/"),
        below("/releases/"),
        // Not the statements on it, which can gain signatures.
        below("/artifacts/").and(text(".cwasm")),
    ];
    let delete = ["s3:DeleteObject", "s3:DeleteObjectVersion"];
    let promoter = format!("arn:{}:iam::ACCOUNT:role/PROMOTER", facts.partition());
    let mut moves = deny("OnlyThePromoterMoves", &["s3:PutObject"], &channels);
    moves["Condition"] = json!({"ArnNotLike": {"aws:PrincipalArn": promoter}});
    let mut writes = deny("WrittenOnce", &["s3:PutObject"], &once);
    writes["Condition"] = json!({"Null": {"s3:if-none-match": "true"}});
    let deletes = deny("NobodyDeletesChannels", &delete, &channels);
    document(vec![moves, deletes, writes])
}

/// Whom the roles of releaser and promoter trust: jobs of one environment of one repository.
/// Source: <https://docs.github.com/en/actions/deployment/security-hardening-your-deployments/configuring-openid-connect-in-amazon-web-services>.
fn github_trust(facts: &Facts) -> String {
    const TOKEN: &str = "token.actions.githubusercontent.com";
    let provider = format!(
        "arn:{}:iam::ACCOUNT:oidc-provider/{TOKEN}",
        facts.partition()
    );
    let mut claims = Map::new();
    claims.insert(format!("{TOKEN}:aud"), json!("sts.amazonaws.com"));
    let subject = "repo:OWNER/REPOSITORY:environment:ENVIRONMENT";
    claims.insert(format!("{TOKEN}:sub"), json!(subject));
    document(vec![json!({
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": claims},
    })])
}
