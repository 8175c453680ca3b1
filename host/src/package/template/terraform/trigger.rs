//! Where events come from, in the words of Terraform: sources, the permission of each to call, and where events go that fail.

use super::super::text::{fill, hcl};
use super::super::{Facts, Trigger};

/// What the configuration has beside for each trigger, and for those that need it a queue of failed events.
pub(super) fn parts(facts: &Facts) -> Vec<String> {
    let own = |text: &str| filled(text, facts);
    let mut parts: Vec<String> = facts
        .triggers
        .iter()
        .map(|trigger| match trigger {
            Trigger::Sns => own(SNS),
            Trigger::Sqs => own(SQS),
            Trigger::S3 => own(S3),
            Trigger::Dynamodb => fill(STREAM, DYNAMODB),
            Trigger::Kinesis => fill(STREAM, KINESIS),
            Trigger::Schedule => own(SCHEDULE),
            Trigger::Url => own(URL),
            Trigger::Api => own(API),
        })
        .collect();
    if facts.is_called_asynchronously() {
        parts.push(ASYNCHRONOUS.to_owned());
    }
    if facts.keeps_failed_events() {
        parts.push(FAILED.to_owned());
    }
    parts
}

fn filled(text: &str, facts: &Facts) -> String {
    let bucket = match &facts.store {
        Some(s3) => hcl(&s3.bucket),
        None => "var.store_bucket".to_owned(),
    };
    fill(
        text,
        &[
            ("bucket", &bucket),
            ("visibility", &facts.visibility_seconds().to_string()),
            ("api-timeout", &facts.api_timeout_ms().to_string()),
        ],
    )
}

const SNS: &str = r#"
resource "aws_sns_topic" "events" {
  name = local.name
}

resource "aws_sns_topic_subscription" "events" {
  topic_arn = aws_sns_topic.events.arn
  protocol  = "lambda"
  endpoint  = aws_lambda_function.host.arn
}

resource "aws_lambda_permission" "sns" {
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.host.function_name
  principal     = "sns.amazonaws.com"
  source_arn    = aws_sns_topic.events.arn
}

output "topic_arn" {
  value = aws_sns_topic.events.arn
}
"#;

const SQS: &str = r#"
resource "aws_sqs_queue" "events" {
  name = local.name
  # Six times the function's timeout, as Lambda wants it: else messages come back while they are worked on.
  visibility_timeout_seconds = <<visibility>>
  sqs_managed_sse_enabled    = true
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead.arn
    maxReceiveCount     = 5
  })
}

resource "aws_sqs_queue" "dead" {
  name                      = "${local.name}-dead"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_lambda_event_source_mapping" "sqs" {
  event_source_arn = aws_sqs_queue.events.arn
  function_name    = aws_lambda_function.host.function_name
  batch_size       = 10
  # Only for a handler that answers with `batchItemFailures`: of any other, failed messages count as done.
  # function_response_types = ["ReportBatchItemFailures"]
}

output "queue_url" {
  value = aws_sqs_queue.events.url
}

output "dead_letters_url" {
  value = aws_sqs_queue.dead.url
}
"#;

const S3: &str = r#"
variable "event_bucket" {
  description = "The bucket to make whose new objects are events; not the store's, and not one the function writes."
  type        = string
  validation {
    condition     = var.event_bucket != <<bucket>>
    error_message = "The store's own bucket is no source of events."
  }
}

# The event has the object's name only. To read it, the function takes a grant `objects`.
resource "aws_s3_bucket" "events" {
  bucket = var.event_bucket
}

resource "aws_s3_bucket_public_access_block" "events" {
  bucket                  = aws_s3_bucket.events.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_notification" "events" {
  bucket = aws_s3_bucket.events.id
  lambda_function {
    lambda_function_arn = aws_lambda_function.host.arn
    events              = ["s3:ObjectCreated:*"]
  }
  depends_on = [aws_lambda_permission.s3]
}

resource "aws_lambda_permission" "s3" {
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.host.function_name
  principal      = "s3.amazonaws.com"
  source_arn     = aws_s3_bucket.events.arn
  source_account = local.account
}
"#;

/// What has to be said of a stream, by the name of its service.
const DYNAMODB: &[(&str, &str)] = &[
    ("service", "dynamodb"),
    ("stream", "table_stream_arn"),
    ("what", "The stream of the table whose changes are events."),
];
const KINESIS: &[(&str, &str)] = &[
    ("service", "kinesis"),
    ("stream", "data_stream_arn"),
    ("what", "The stream of Kinesis whose records are events."),
];

const STREAM: &str = r#"
variable "<<stream>>" {
  description = "<<what>>"
  type        = string
}

resource "aws_lambda_event_source_mapping" "<<service>>" {
  event_source_arn  = var.<<stream>>
  function_name     = aws_lambda_function.host.function_name
  starting_position = "TRIM_HORIZON"
  batch_size        = 100
  # One bad record holds up its shard until these give it up.
  bisect_batch_on_function_error = true
  maximum_retry_attempts         = 5
  maximum_record_age_in_seconds  = 3600
  destination_config {
    on_failure {
      destination_arn = aws_sqs_queue.failed.arn
    }
  }
  # Only for a handler that answers with `batchItemFailures`.
  # function_response_types = ["ReportBatchItemFailures"]
}
"#;

const SCHEDULE: &str = r#"
variable "schedule" {
  description = "When, as rate(…) or cron(…) in UTC."
  type        = string
  default     = "rate(1 hour)"
}

resource "aws_cloudwatch_event_rule" "schedule" {
  name                = local.name
  schedule_expression = var.schedule
}

resource "aws_cloudwatch_event_target" "schedule" {
  rule = aws_cloudwatch_event_rule.schedule.name
  arn  = aws_lambda_function.host.arn
}

resource "aws_lambda_permission" "schedule" {
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.host.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.schedule.arn
}
"#;

const URL: &str = r#"
# Callers sign their requests and need what is in policies/caller.json. NONE lets in everybody.
resource "aws_lambda_function_url" "host" {
  function_name      = aws_lambda_function.host.function_name
  authorization_type = "AWS_IAM"
}

output "url" {
  value = aws_lambda_function_url.host.function_url
}
"#;

const API: &str = r#"
# Callers sign their requests and need what is in policies/caller.json.
resource "aws_apigatewayv2_api" "host" {
  name          = local.name
  protocol_type = "HTTP"
}

resource "aws_apigatewayv2_integration" "host" {
  api_id                 = aws_apigatewayv2_api.host.id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_function.host.invoke_arn
  payload_format_version = "2.0"
  # An API waits for 30 seconds at most.
  timeout_milliseconds = <<api-timeout>>
}

resource "aws_apigatewayv2_route" "host" {
  api_id             = aws_apigatewayv2_api.host.id
  route_key          = "$default"
  target             = "integrations/${aws_apigatewayv2_integration.host.id}"
  authorization_type = "AWS_IAM"
}

resource "aws_apigatewayv2_stage" "host" {
  api_id      = aws_apigatewayv2_api.host.id
  name        = "$default"
  auto_deploy = true
}

resource "aws_lambda_permission" "api" {
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.host.function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.host.execution_arn}/*"
}

output "api_url" {
  value = aws_apigatewayv2_api.host.api_endpoint
}
"#;

const ASYNCHRONOUS: &str = r#"
# Events that nobody waits for: two more tries, then the queue.
resource "aws_lambda_function_event_invoke_config" "host" {
  function_name                = aws_lambda_function.host.function_name
  maximum_retry_attempts       = 2
  maximum_event_age_in_seconds = 21600
  destination_config {
    on_failure {
      destination = aws_sqs_queue.failed.arn
    }
  }
}
"#;

const FAILED: &str = r#"
resource "aws_sqs_queue" "failed" {
  name                      = "${local.name}-failed"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

output "failed_events_url" {
  value = aws_sqs_queue.failed.url
}
"#;
