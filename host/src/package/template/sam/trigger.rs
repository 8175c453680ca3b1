//! Where events come from, in a template of SAM: sources, the permission of each to call, and where events go that fail.

use super::super::text::fill;
use super::super::{Facts, Trigger};
use super::{Part, plain};

/// What the template has beside for each trigger, and for those that need it a queue of failed events.
pub(super) fn parts(facts: &Facts) -> Vec<Part> {
    let mut parts: Vec<Part> = facts.triggers.iter().map(|one| part(*one, facts)).collect();
    if facts.keeps_failed_events() {
        parts.push(failed_events(facts));
    }
    parts
}

fn part(trigger: Trigger, facts: &Facts) -> Part {
    let own = |text: &str| filled(text, facts);
    let mut part = Part {
        events: match trigger {
            Trigger::Sns => own(SNS_EVENT),
            Trigger::Sqs => own(SQS_EVENT),
            Trigger::S3 => own(S3_EVENT),
            Trigger::Dynamodb => fill(STREAM_EVENT, DYNAMODB),
            Trigger::Kinesis => fill(STREAM_EVENT, KINESIS),
            Trigger::Schedule => own(SCHEDULE_EVENT),
            Trigger::Url => String::new(),
            Trigger::Api => own(API_EVENT),
        },
        ..Part::default()
    };
    match trigger {
        Trigger::Sns => {
            part.resources = own(SNS_RESOURCES);
            part.outputs = SNS_OUTPUTS.to_owned();
        }
        Trigger::Sqs => {
            part.resources = own(SQS_RESOURCES);
            part.outputs = SQS_OUTPUTS.to_owned();
        }
        Trigger::S3 => {
            part.parameters = S3_PARAMETERS.to_owned();
            part.rules = own(S3_RULES);
            part.resources = own(S3_RESOURCES);
        }
        Trigger::Dynamodb => part.parameters = fill(STREAM_PARAMETERS, DYNAMODB),
        Trigger::Kinesis => part.parameters = fill(STREAM_PARAMETERS, KINESIS),
        Trigger::Schedule => part.parameters = SCHEDULE_PARAMETERS.to_owned(),
        Trigger::Url => {
            part.properties = URL_PROPERTIES.to_owned();
            part.outputs = URL_OUTPUTS.to_owned();
        }
        Trigger::Api => {
            part.resources = own(API_RESOURCES);
            part.outputs = API_OUTPUTS.to_owned();
        }
    }
    part
}

fn failed_events(facts: &Facts) -> Part {
    let properties = if facts.is_called_asynchronously() {
        ASYNCHRONOUS_PROPERTIES
    } else {
        ""
    };
    Part {
        properties: properties.to_owned(),
        resources: filled(FAILED_RESOURCES, facts),
        outputs: FAILED_OUTPUTS.to_owned(),
        ..Part::default()
    }
}

fn filled(text: &str, facts: &Facts) -> String {
    let bucket = match &facts.store {
        Some(s3) => plain(&s3.bucket),
        None => "!Ref StoreBucket".to_owned(),
    };
    fill(
        text,
        &[
            ("stem", facts.stem()),
            ("bucket", &bucket),
            ("visibility", &facts.visibility_seconds().to_string()),
            ("api-timeout", &facts.api_timeout_ms().to_string()),
        ],
    )
}

const SNS_EVENT: &str = r#"Sns:
  Type: SNS
  Properties:
    Topic: !Ref Topic
"#;

const SNS_RESOURCES: &str = r#"
Topic:
  Type: AWS::SNS::Topic
  Properties:
    TopicName: !Sub "<<stem>>-${Channel}"
"#;

const SNS_OUTPUTS: &str = r#"TopicArn:
  Value: !Ref Topic
"#;

const SQS_EVENT: &str = r#"Sqs:
  Type: SQS
  Properties:
    Queue: !GetAtt Queue.Arn
    BatchSize: 10
    # Only for a handler that answers with `batchItemFailures`: of any other, failed messages count as done.
    # FunctionResponseTypes: [ReportBatchItemFailures]
"#;

const SQS_RESOURCES: &str = r#"
Queue:
  Type: AWS::SQS::Queue
  Properties:
    QueueName: !Sub "<<stem>>-${Channel}"
    # Six times the function's Timeout, as Lambda wants it: else messages come back while they are worked on.
    VisibilityTimeout: <<visibility>>
    SqsManagedSseEnabled: true
    RedrivePolicy:
      deadLetterTargetArn: !GetAtt DeadLetters.Arn
      maxReceiveCount: 5

DeadLetters:
  Type: AWS::SQS::Queue
  Properties:
    QueueName: !Sub "<<stem>>-${Channel}-dead"
    MessageRetentionPeriod: 1209600
    SqsManagedSseEnabled: true
"#;

const SQS_OUTPUTS: &str = r#"QueueUrl:
  Value: !Ref Queue
DeadLettersUrl:
  Value: !Ref DeadLetters
"#;

const S3_PARAMETERS: &str = r#"EventBucketName:
  Type: String
  Description: The bucket to make whose new objects are events; not the store's, and not one the function writes.
"#;

const S3_RULES: &str = r#"  EventsAreNotReleases:
    Assertions:
      - Assert: !Not [!Equals [!Ref EventBucketName, <<bucket>>]]
        AssertDescription: The store's own bucket is no source of events.
"#;

const S3_EVENT: &str = r#"S3:
  Type: S3
  Properties:
    Bucket: !Ref EventBucket
    Events: s3:ObjectCreated:*
"#;

const S3_RESOURCES: &str = r#"
# The event has the object's name only. To read it, the function takes a grant `objects`.
EventBucket:
  Type: AWS::S3::Bucket
  DeletionPolicy: Retain
  UpdateReplacePolicy: Retain
  Properties:
    BucketName: !Ref EventBucketName
    PublicAccessBlockConfiguration:
      BlockPublicAcls: true
      BlockPublicPolicy: true
      IgnorePublicAcls: true
      RestrictPublicBuckets: true
"#;

/// What has to be said of a stream, by the name of its service.
const DYNAMODB: &[(&str, &str)] = &[
    ("type", "DynamoDB"),
    ("event", "Dynamodb"),
    ("stream", "TableStreamArn"),
    ("arn", "arn:[^:]+:dynamodb:.+/stream/.+"),
    ("what", "The stream of the table whose changes are events."),
];
const KINESIS: &[(&str, &str)] = &[
    ("type", "Kinesis"),
    ("event", "Kinesis"),
    ("stream", "DataStreamArn"),
    ("arn", "arn:[^:]+:kinesis:.+:stream/.+"),
    ("what", "The stream of Kinesis whose records are events."),
];

const STREAM_PARAMETERS: &str = r#"<<stream>>:
  Type: String
  AllowedPattern: "<<arn>>"
  Description: <<what>>
"#;

const STREAM_EVENT: &str = r#"<<event>>:
  Type: <<type>>
  Properties:
    Stream: !Ref <<stream>>
    StartingPosition: TRIM_HORIZON
    BatchSize: 100
    # One bad record holds up its shard until these give it up.
    BisectBatchOnFunctionError: true
    MaximumRetryAttempts: 5
    MaximumRecordAgeInSeconds: 3600
    DestinationConfig:
      OnFailure:
        Type: SQS
        Destination: !GetAtt FailedEvents.Arn
    # Only for a handler that answers with `batchItemFailures`.
    # FunctionResponseTypes: [ReportBatchItemFailures]
"#;

const SCHEDULE_PARAMETERS: &str = r#"ScheduleExpression:
  Type: String
  Default: rate(1 hour)
  Description: When, as rate(…) or cron(…) in UTC.
"#;

const SCHEDULE_EVENT: &str = r#"Schedule:
  Type: Schedule
  Properties:
    Schedule: !Ref ScheduleExpression
"#;

const URL_PROPERTIES: &str = r#"# Callers sign their requests and need what is in policies/caller.json. NONE lets in everybody.
FunctionUrlConfig:
  AuthType: AWS_IAM
"#;

const URL_OUTPUTS: &str = r#"Url:
  Value: !GetAtt HostUrl.FunctionUrl
"#;

const API_EVENT: &str = r#"Api:
  Type: HttpApi
  Properties:
    ApiId: !Ref Api
    PayloadFormatVersion: "2.0"
    # An API waits for 30 seconds at most.
    TimeoutInMillis: <<api-timeout>>
"#;

const API_RESOURCES: &str = r#"
# Callers sign their requests and need what is in policies/caller.json.
Api:
  Type: AWS::Serverless::HttpApi
  Properties:
    Name: !Sub "<<stem>>-${Channel}"
    Auth:
      EnableIamAuthorizer: true
      DefaultAuthorizer: AWS_IAM
"#;

const API_OUTPUTS: &str = r#"ApiUrl:
  Value: !Sub "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/"
"#;

const ASYNCHRONOUS_PROPERTIES: &str = r#"# Events that nobody waits for: two more tries, then the queue.
EventInvokeConfig:
  MaximumRetryAttempts: 2
  MaximumEventAgeInSeconds: 21600
  DestinationConfig:
    OnFailure:
      Type: SQS
      Destination: !GetAtt FailedEvents.Arn
"#;

const FAILED_RESOURCES: &str = r#"
FailedEvents:
  Type: AWS::SQS::Queue
  Properties:
    QueueName: !Sub "<<stem>>-${Channel}-failed"
    MessageRetentionPeriod: 1209600
    SqsManagedSseEnabled: true
"#;

const FAILED_OUTPUTS: &str = r#"FailedEventsUrl:
  Value: !Ref FailedEvents
"#;
