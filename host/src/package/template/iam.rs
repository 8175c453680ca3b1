//! Who may do what, as one list of statements for each role; the templates and the files of policies print these. The facts
//! are those of `host/STORE.md`, section "Permissions in S3"; here of one function's part of the store. Knows no format.

use super::pattern::{Known, Pattern, Piece};
use super::reach::{self, Objects};
use super::text::camel;
use super::{Facts, Trigger};

/// One statement that allows something.
#[derive(Debug, Clone, Default)]
pub(super) struct Statement {
    /// Its name: letters and digits.
    pub(super) id: String,
    /// Why it is there, in one line.
    pub(super) why: &'static str,
    /// What is allowed.
    pub(super) actions: Vec<String>,
    /// On what.
    pub(super) on: Vec<Pattern>,
    /// What `s3:prefix` is like, where that matters.
    pub(super) prefixes: Vec<Pattern>,
    /// The service whose requests are signed: what is allowed there, and on what, is left to whoever deploys. `actions` and
    /// `on` are examples then.
    pub(super) signed: Option<String>,
}

const READ: &[&str] = &["s3:GetObject"];
const WRITE: &[&str] = &["s3:PutObject"];

/// What a writer of objects does: those that are not small go in parts, and parts of one that failed are taken back.
const WRITE_OBJECTS: &[&str] = &["s3:PutObject", "s3:AbortMultipartUpload"];

fn statement(id: &str, why: &'static str, actions: &[&str], on: Vec<Pattern>) -> Statement {
    Statement {
        id: id.to_owned(),
        why,
        actions: actions.iter().map(|&action| action.to_owned()).collect(),
        on,
        ..Statement::default()
    }
}

/// A resource of this account and region, such as a queue.
fn here(service: &str, rest: impl IntoIterator<Item = Piece>) -> Pattern {
    let head: [Piece; 7] = [
        "arn:".into(),
        Known::Partition.into(),
        Piece::Text(format!(":{service}:")),
        Known::Region.into(),
        ":".into(),
        Known::Account.into(),
        ":".into(),
    ];
    Pattern::new(head.into_iter().chain(rest))
}

/// Of S3 names have neither account nor region.
fn in_s3(rest: Pattern) -> Pattern {
    Pattern::new(["arn:".into(), Known::Partition.into(), ":s3:::".into()]).and(rest)
}

fn object(bucket: Pattern, key: Pattern) -> Pattern {
    in_s3(bucket.and(text("/")).and(key))
}

/// A resource that is named after the Lambda function.
fn named(service: &str, before: &str, facts: &Facts) -> Pattern {
    let name = Piece::Text(format!("{before}{}-", facts.stem()));
    here(service, [name, Known::Channel.into()])
}

fn text(text: &str) -> Pattern {
    Pattern::new([text.into()])
}

impl Facts {
    pub(super) fn bucket(&self) -> Pattern {
        Pattern::new([match &self.store {
            Some(s3) => s3.bucket.as_str().into(),
            None => Known::Bucket.into(),
        }])
    }

    /// A key below the store's prefix.
    pub(super) fn key(&self, rest: Pattern) -> Pattern {
        let prefix = match &self.store {
            Some(s3) if s3.prefix.is_empty() => Pattern::default(),
            Some(s3) => Pattern::new([Piece::Text(format!("{}/", s3.prefix))]),
            None => Pattern::new([Known::Prefix.into(), "/".into()]),
        };
        prefix.and(rest)
    }

    /// All below a folder of the function; with an empty one, all of the function.
    fn keys(&self, folder: &str) -> Pattern {
        self.key(Pattern::new([Piece::Text(format!("{}/{folder}", self.name))]).and_many())
    }

    pub(super) fn in_store(&self, key: Pattern) -> Pattern {
        object(self.bucket(), key)
    }
}

/// What reading the function's part of the store takes, and other keys of it.
fn read_store(facts: &Facts, others: &[Pattern]) -> [Statement; 2] {
    let mut keys = vec![facts.keys("")];
    keys.extend(facts.watched.iter().map(|key| facts.key(key.clone())));
    keys.extend(others.iter().cloned());
    let objects = keys.iter().cloned().map(|key| facts.in_store(key));
    let read = statement(
        "ReadStore",
        "Releases, channels, configuration, native code.",
        READ,
        objects.collect(),
    );
    let mut list = statement(
        "ToldWhatIsMissing",
        "Without it S3 answers 403 for what is missing; the key that is asked for counts as the prefix.",
        &["s3:ListBucket"],
        vec![in_s3(facts.bucket())],
    );
    list.prefixes = keys;
    [read, list]
}

/// The Lambda function's role.
pub(super) fn host(facts: &Facts) -> Vec<Statement> {
    let mut statements = Vec::from(read_store(facts, &[]));
    let logs = named("logs", "log-group:/aws/lambda/", facts);
    let logs = logs.and(text(":")).and_many();
    statements.push(statement(
        "WriteLogs",
        "The log group is there before the function; it makes none.",
        &["logs:CreateLogStream", "logs:PutLogEvents"],
        vec![logs],
    ));
    statements.extend(secrets(facts));
    statements.extend(objects(facts));
    statements.extend(facts.reach.signed.iter().map(|service| signed(service)));
    statements.extend(
        facts
            .triggers
            .iter()
            .filter_map(|trigger| polled(*trigger, facts)),
    );
    if facts.keeps_failed_events() {
        statements.push(statement(
            "KeepFailedEvents",
            "Lambda puts there, with this role, what the function could not handle.",
            &["sqs:SendMessage"],
            vec![named("sqs", "", facts).and(text("-failed"))],
        ));
    }
    statements
}

/// What a function in a VPC takes beside; AWS allows none of it for single resources before they are there.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html>.
pub(super) fn network() -> Vec<Statement> {
    vec![statement(
        "UseNetwork",
        "Lambda makes the function's network interfaces with this role.",
        &[
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
        ],
        vec![Pattern::many()],
    )]
}

/// Who makes releases, such as a build server.
pub(super) fn releaser(facts: &Facts) -> Vec<Statement> {
    let folders = ["components/", "releases/", "artifacts/"];
    let keys = folders.map(|folder| facts.in_store(facts.keys(folder)));
    let mut statements = Vec::from(read_store(facts, &[]));
    statements.push(statement(
        "WriteReleases",
        "No channel: releasing changes nothing that is served.",
        WRITE,
        keys.into(),
    ));
    statements
}

/// Who moves channels.
pub(super) fn promoter(facts: &Facts) -> Vec<Statement> {
    let probe = facts.key(text(".crunchbox-probe"));
    let folders = ["channels/", "configs/"];
    let keys = folders.map(|folder| facts.in_store(facts.keys(folder)));
    let mut keys = Vec::from(keys);
    keys.push(facts.in_store(probe.clone()));
    // A write with If-Match reads.
    let mut statements = Vec::from(read_store(facts, &[probe]));
    statements.push(statement(
        "MoveChannels",
        "No component and no release: nobody who moves channels makes code.",
        WRITE,
        keys,
    ));
    statements
}

/// Who calls the function at its own address or behind an API.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html>.
pub(super) fn caller(facts: &Facts) -> Vec<Statement> {
    let mut statements = Vec::new();
    if facts.triggers.contains(&Trigger::Url) {
        statements.push(statement(
            "CallByUrl",
            "Addresses made since October 2025 take both.",
            &["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"],
            vec![named("lambda", "function:", facts)],
        ));
    }
    if facts.triggers.contains(&Trigger::Api) {
        let all = ["API-ID/".into(), Piece::Many];
        statements.push(statement(
            "CallByApi",
            "The API's id is an output of the template.",
            &["execute-api:Invoke"],
            vec![here("execute-api", all)],
        ));
    }
    statements
}

fn secrets(facts: &Facts) -> Vec<Statement> {
    let whole = |name: &Pattern| name.starts_with("arn:").then(|| name.clone());
    let parameter = |name: &Pattern| {
        whole(name).unwrap_or_else(|| {
            let slash = if name.starts_with("/") { "" } else { "/" };
            let head = Piece::Text(format!("parameter{slash}"));
            here("ssm", [head]).and(name.clone())
        })
    };
    let secret = |name: &Pattern| {
        whole(name).unwrap_or_else(|| {
            let named = here("secretsmanager", ["secret:".into()]).and(name.clone());
            if name.is_open() {
                named
            } else {
                named.and(Pattern::new(["-".into(), Piece::Suffix]))
            }
        })
    };
    let reach = &facts.reach;
    let parameters = statement(
        "ReadParameters",
        "What the grant `secrets` names.",
        &["ssm:GetParameter"],
        reach.parameters.iter().map(parameter).collect(),
    );
    let secrets = statement(
        "ReadSecrets",
        "What the grant `secrets` names.",
        &["secretsmanager:GetSecretValue"],
        reach.secrets.iter().map(secret).collect(),
    );
    let both = [parameters, secrets];
    both.into_iter().filter(|one| !one.on.is_empty()).collect()
}

fn objects(facts: &Facts) -> Vec<Statement> {
    let of = |access: &str| {
        let allowed = facts.reach.objects.iter();
        let allowed = allowed.filter(|objects| objects.allows(access));
        allowed.collect::<Vec<_>>()
    };
    let names = |all: &[&Objects]| {
        let names = all
            .iter()
            .map(|one| object(one.bucket.clone(), one.key.clone()));
        names.collect::<Vec<_>>()
    };
    let why = "What the grant `objects` names.";
    let read = statement("ReadObjects", why, READ, names(&of("read")));
    let write = statement("WriteObjects", why, WRITE_OBJECTS, names(&of("write")));
    let mut statements = vec![read, write];
    // One for each bucket: a prefix of one means nothing in another.
    for one in of("list") {
        let bucket = in_s3(one.bucket.clone());
        let known = statements
            .iter_mut()
            .find(|other| !other.prefixes.is_empty() && other.on.first() == Some(&bucket));
        if let Some(known) = known {
            known.prefixes.push(one.key.clone());
            continue;
        }
        let id = format!("ListObjects{}", statements.len() - 1);
        let mut list = statement(&id, why, &["s3:ListBucket"], vec![bucket]);
        list.prefixes = vec![one.key.clone()];
        statements.push(list);
    }
    let said = |one: &Statement| !one.on.is_empty();
    statements.into_iter().filter(said).collect()
}

/// What requests may do that the host signs: whatever the role may do at that service.
fn signed(service: &str) -> Statement {
    let known = reach::service(service);
    let resource = known.map_or("RESOURCE", |known| known.resource);
    let every = [format!("{service}:ACTION")];
    let examples = known.map(|known| known.actions.iter().map(|&action| action.to_owned()));
    Statement {
        id: format!("Sign{}", camel(service)),
        why: "A guest may do there whatever this allows: name the resources, and no action that it does not need.",
        actions: examples.map_or_else(|| Vec::from(every), Iterator::collect),
        on: vec![here(service, [resource.into()])],
        prefixes: Vec::new(),
        signed: Some(service.to_owned()),
    }
}

/// What Lambda does with the function's role to fetch events.
/// Sources: <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>, `with-ddb.html`, `with-kinesis.html`.
fn polled(trigger: Trigger, facts: &Facts) -> Option<Statement> {
    let why = "Lambda fetches events with this role.";
    let stream = |id: &str, actions: &[&str], known: Known| {
        statement(id, why, actions, vec![Pattern::new([known.into()])])
    };
    match trigger {
        Trigger::Sqs => Some(statement(
            "FetchMessages",
            why,
            &[
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
            ],
            vec![named("sqs", "", facts)],
        )),
        Trigger::Dynamodb => Some(stream(
            "FetchChanges",
            &[
                "dynamodb:DescribeStream",
                "dynamodb:GetRecords",
                "dynamodb:GetShardIterator",
                "dynamodb:ListStreams",
            ],
            Known::TableStream,
        )),
        Trigger::Kinesis => Some(stream(
            "FetchRecords",
            &[
                "kinesis:DescribeStream",
                "kinesis:DescribeStreamSummary",
                "kinesis:GetRecords",
                "kinesis:GetShardIterator",
                "kinesis:ListShards",
            ],
            Known::DataStream,
        )),
        Trigger::Sns | Trigger::S3 | Trigger::Schedule | Trigger::Url | Trigger::Api => None,
    }
}
