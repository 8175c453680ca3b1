//! `template.yaml`, for AWS SAM: the function, its role, its log, alarms; where they are wanted, a network and triggers.

mod network;
mod trigger;

use super::Facts;
use super::iam::{self, Statement};
use super::pattern::{Known, Pattern};
use super::reach;
use super::text::{camel, comment, fill, yaml};

/// What one concern adds to the sections of the template.
#[derive(Debug, Clone, Default)]
struct Part {
    metadata: String,
    parameters: String,
    conditions: String,
    rules: String,
    /// Of the function.
    properties: String,
    /// Of the function, below `Events`.
    events: String,
    /// Of the role: policies beside the one that it always has.
    policies: String,
    resources: String,
    outputs: String,
}

/// The whole template.
pub(super) fn template(facts: &Facts) -> String {
    let mut parts = vec![store(facts), signed(facts), alarms(facts)];
    if !facts.reach.tcp.is_empty() {
        parts.push(network::part(facts));
    }
    parts.extend(trigger::parts(facts));
    let all = |section: fn(&Part) -> &str| parts.iter().map(section).collect::<String>();
    let headed = |head: &str, text: String| {
        if text.is_empty() {
            return text;
        }
        format!("{head}:\n{text}")
    };
    let rules = headed("\nRules", all(|part| &part.rules));
    let events = headed("Events", indented(&all(|part| &part.events)));
    fill(
        TEMPLATE,
        &[
            ("name", facts.name.as_str()),
            ("stem", facts.stem()),
            ("memory", &facts.memory_mb.to_string()),
            ("timeout", &facts.timeout.as_secs().to_string()),
            ("storage", &storage(facts)),
            ("environment", &environment(facts)),
            ("statements", &statements(&iam::host(facts))),
            ("metadata", &all(|part| &part.metadata)),
            ("parameters", &all(|part| &part.parameters)),
            ("conditions", &all(|part| &part.conditions)),
            ("rules", &rules),
            ("properties", &all(|part| &part.properties)),
            ("events", &events),
            ("policies", &all(|part| &part.policies)),
            ("resources", &all(|part| &part.resources)),
            ("outputs", &all(|part| &part.outputs)),
        ],
    )
}

fn indented(text: &str) -> String {
    fill("  <<text>>", &[("text", text)])
}

fn storage(facts: &Facts) -> String {
    let storage = facts.storage_mb.map(|storage| {
        format!(
            "# The grant `scratch`, and the host's cache.\nEphemeralStorage:\n  Size: {storage}\n"
        )
    });
    storage.unwrap_or_default()
}

/// Variables: where the store is, if the package does not say it; those that are granted, to be filled in.
fn environment(facts: &Facts) -> String {
    let mut set = String::new();
    if facts.store.is_none() {
        set.push_str("CRUNCHBOX_STORE: !Sub \"s3://${StoreBucket}/${StorePrefix}\"\n");
    } else if let Some(url) = facts.store_variable() {
        set.push_str(&format!("CRUNCHBOX_STORE: {}\n", plain(&url)));
    }
    let mut granted = String::new();
    for name in &facts.reach.variables {
        granted.push_str(&format!("# {}: \"\"   # granted by `env`\n", comment(name)));
    }
    match (set.as_str(), granted.as_str()) {
        ("", "") => String::new(),
        ("", granted) => format!("# Environment:\n#   Variables:\n{}", indented(granted)),
        (set, granted) => fill(
            "Environment:\n  Variables:\n    <<set>>\n    <<granted>>\n",
            &[("set", set), ("granted", granted)],
        ),
    }
}

fn store(facts: &Facts) -> Part {
    let parameters = if facts.store.is_none() {
        STORE_PARAMETERS
    } else {
        ""
    };
    Part {
        parameters: parameters.to_owned(),
        ..Part::default()
    }
}

/// Parameters for what only whoever deploys knows of services that requests are signed for.
fn signed(facts: &Facts) -> Part {
    let mut parameters = String::new();
    for one in iam::host(facts) {
        let Some(service) = &one.signed else {
            continue;
        };
        let default = match reach::service(service) {
            Some(_) => format!("Default: {}\n", one.actions.join(",")),
            None => String::new(),
        };
        let example: Vec<String> = one.on.iter().map(example).collect();
        parameters.push_str(&fill(
            SIGN_PARAMETERS,
            &[
                ("service", service.as_str()),
                ("Service", &camel(service)),
                ("default", &default),
                ("example", &example.join(",")),
            ],
        ));
    }
    Part {
        parameters,
        ..Part::default()
    }
}

fn example(pattern: &Pattern) -> String {
    let known = |known| match known {
        Known::Partition => "aws",
        Known::Region => "REGION",
        Known::Account => "ACCOUNT",
        Known::Channel | Known::Bucket | Known::Prefix | Known::TableStream | Known::DataStream => {
            "…"
        }
    };
    pattern.render(|name| known(name).to_owned(), str::to_owned)
}

fn alarms(facts: &Facts) -> Part {
    let resources = match &facts.metrics {
        None => NO_METRICS.to_owned(),
        Some(namespace) => fill(
            METRICS,
            &[
                ("name", facts.name.as_str()),
                ("namespace", &plain(namespace)),
                ("stale", &facts.stale_seconds.to_string()),
            ],
        ),
    };
    Part {
        resources,
        ..Part::default()
    }
}

/// Statements as items of a YAML list.
fn statements(statements: &[Statement]) -> String {
    statements.iter().map(statement).collect()
}

fn statement(one: &Statement) -> String {
    let list = |patterns: &[Pattern]| {
        let lines = patterns
            .iter()
            .map(|pattern| format!("- {}\n", name(pattern)));
        lines.collect::<String>()
    };
    let condition = match one.prefixes.as_slice() {
        [] => String::new(),
        prefixes => fill(
            "Condition:\n  StringLike:\n    s3:prefix:\n      <<prefixes>>\n",
            &[("prefixes", &list(prefixes))],
        ),
    };
    let (actions, on) = match &one.signed {
        Some(service) => {
            let service = camel(service);
            (
                format!("Action: !Ref Sign{service}Actions\n"),
                format!("Resource: !Ref Sign{service}Resources\n"),
            )
        }
        None => {
            let actions = one.actions.iter().map(|action| format!("  - {action}\n"));
            let on = indented(&list(&one.on));
            (
                format!("Action:\n{}", actions.collect::<String>()),
                format!("Resource:\n{on}"),
            )
        }
    };
    fill(
        "# <<why>>\n- Sid: <<id>>\n  Effect: Allow\n  <<actions>>\n  <<on>>\n  <<condition>>\n",
        &[
            ("why", one.why),
            ("id", &one.id),
            ("actions", &actions),
            ("on", &on),
            ("condition", &condition),
        ],
    )
}

/// In what is substituted a dollar has to come from somewhere else to mean itself.
const DOLLAR: &str = "${Dollar}";

/// A name of a policy in YAML.
fn name(pattern: &Pattern) -> String {
    let known = |known| {
        let name = match known {
            Known::Partition => "AWS::Partition",
            Known::Region => "AWS::Region",
            Known::Account => "AWS::AccountId",
            Known::Channel => "Channel",
            Known::Bucket => "StoreBucket",
            Known::Prefix => "StorePrefix",
            Known::TableStream => "TableStreamArn",
            Known::DataStream => "DataStreamArn",
        };
        format!("${{{name}}}")
    };
    if !pattern.has_known() {
        return plain(&pattern.render(known, str::to_owned));
    }
    let text = pattern.render(known, |text| text.replace('$', DOLLAR));
    if text.contains(DOLLAR) {
        return with_dollars(&text);
    }
    format!("!Sub {}", yaml(&text))
}

/// A text that means itself, whatever is in it.
fn plain(text: &str) -> String {
    if text.contains("${") {
        return with_dollars(&text.replace('$', DOLLAR));
    }
    yaml(text)
}

fn with_dollars(text: &str) -> String {
    format!("!Sub [{}, {{Dollar: \"$\"}}]", yaml(text))
}

const TEMPLATE: &str = r##"# Written by `crunchbox package --template`; yours from here on.
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Description: The function <<name>>, on a host that takes its releases from a store. One stack for each channel.
<<metadata>>

Parameters:
  Channel:
    Type: String
    Default: live
    AllowedPattern: "[a-z0-9][a-z0-9-]{0,15}"
    Description: The channel that the host follows.
  Architecture:
    Type: String
    Default: x86_64
    AllowedValues: [x86_64, arm64]
    Description: What bootstrap.zip was made for; see crunchbox package --arch.
  ReservedConcurrency:
    Type: Number
    Default: -1
    MinValue: -1
    Description: The most events at once; -1 for whatever the account has left.
  AlarmTopicArn:
    Type: String
    Default: ""
    Description: The SNS topic that alarms are sent to; empty for none.
  <<parameters>>
<<rules>>

Conditions:
  HasReservedConcurrency: !Not [!Equals [!Ref ReservedConcurrency, -1]]
  HasAlarmTopic: !Not [!Equals [!Ref AlarmTopicArn, ""]]
  <<conditions>>

Resources:
  Host:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub "<<stem>>-${Channel}"
      Runtime: provided.al2023
      Architectures: [!Ref Architecture]
      CodeUri: ./bootstrap.zip
      Handler: !Sub "<<name>>@${Channel}"
      # `limits.memory` and what the host needs, `limits.time` and a second.
      MemorySize: <<memory>>
      Timeout: <<timeout>>
      <<storage>>
      Role: !GetAtt HostRole.Arn
      ReservedConcurrentExecutions: !If [HasReservedConcurrency, !Ref ReservedConcurrency, !Ref "AWS::NoValue"]
      LoggingConfig:
        LogFormat: JSON
        ApplicationLogLevel: INFO
        SystemLogLevel: INFO
        LogGroup: !Ref HostLogs
      # SnapStart takes a container image: see the Dockerfile.
      # On Lambda Managed Instances (CapacityProviderConfig) one host serves several events at once: MemorySize then has to
      # hold `limits.memory` and 24 MiB for each of them.
      <<environment>>
      <<properties>>
      <<events>>

  HostLogs:
    Type: AWS::Logs::LogGroup
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      LogGroupName: !Sub "/aws/lambda/<<stem>>-${Channel}"
      RetentionInDays: 30

  # What is in policies/host.json.
  HostRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal:
              Service: lambda.amazonaws.com
            Action: sts:AssumeRole
      Policies:
        - PolicyName: host
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              <<statements>>
              # Where secrets or objects are encrypted with a key that is not AWS's own:
              # - Effect: Allow
              #   Action: kms:Decrypt
              #   Resource: !Sub "arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/KEY"
        <<policies>>

  Errors:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmDescription: !Sub "Events of <<name>>@${Channel} end in failures."
      Namespace: AWS/Lambda
      MetricName: Errors
      Dimensions:
        - Name: FunctionName
          Value: !Ref Host
      Statistic: Sum
      Period: 300
      EvaluationPeriods: 1
      Threshold: 1
      ComparisonOperator: GreaterThanOrEqualToThreshold
      TreatMissingData: notBreaching
      AlarmActions: !If [HasAlarmTopic, [!Ref AlarmTopicArn], !Ref "AWS::NoValue"]
  <<resources>>

Outputs:
  FunctionName:
    Value: !Ref Host
  FunctionArn:
    Value: !GetAtt Host.Arn
  <<outputs>>
"##;

const STORE_PARAMETERS: &str = r#"StoreBucket:
  Type: String
  Description: The bucket of the store.
StorePrefix:
  Type: String
  AllowedPattern: "[^/].*[^/]|[^/]"
  Description: The store's prefix in that bucket, without a slash at either end.
"#;

const SIGN_PARAMETERS: &str = r#"# Requests are signed for <<service>> with the function's role: allow no more than the function does there.
Sign<<Service>>Actions:
  Type: CommaDelimitedList
  <<default>>
  Description: What the function does at <<service>>.
Sign<<Service>>Resources:
  Type: CommaDelimitedList
  Description: On what, such as <<example>>
"#;

const NO_METRICS: &str = r#"
# policy.toml asks for no metrics. With `[metrics]` in it, write this file again: it then has alarms on ReleaseRefused and
# StaleSeconds, which tell when hosts stay with an old release.
"#;

const METRICS: &str = r#"
ReleaseRefused:
  Type: AWS::CloudWatch::Alarm
  Properties:
    AlarmDescription: !Sub "Hosts of <<name>>@${Channel} refused a release; the last good one serves. Their log has the reason."
    Namespace: <<namespace>>
    MetricName: ReleaseRefused
    Dimensions:
      - Name: function
        Value: "<<name>>"
      - Name: channel
        Value: !Ref Channel
    Statistic: Sum
    Period: 300
    EvaluationPeriods: 1
    Threshold: 1
    ComparisonOperator: GreaterThanOrEqualToThreshold
    TreatMissingData: notBreaching
    AlarmActions: !If [HasAlarmTopic, [!Ref AlarmTopicArn], !Ref "AWS::NoValue"]

StaleSeconds:
  Type: AWS::CloudWatch::Alarm
  Properties:
    AlarmDescription: !Sub "The store has not answered hosts of <<name>>@${Channel} for long; they serve what they had."
    Namespace: <<namespace>>
    MetricName: StaleSeconds
    Dimensions:
      - Name: function
        Value: "<<name>>"
      - Name: channel
        Value: !Ref Channel
    Statistic: Maximum
    Period: 300
    EvaluationPeriods: 1
    Threshold: <<stale>>
    ComparisonOperator: GreaterThanThreshold
    TreatMissingData: notBreaching
    AlarmActions: !If [HasAlarmTopic, [!Ref AlarmTopicArn], !Ref "AWS::NoValue"]
"#;
