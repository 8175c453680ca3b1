//! `main.tf`, for Terraform or OpenTofu: what `template.yaml` has, in the words of the provider `hashicorp/aws`.

mod network;
mod trigger;

use super::Facts;
use super::iam::{self, Statement};
use super::pattern::{Known, Pattern};
use super::reach;
use super::text::{comment, fill, hcl, hcl_part};

/// The whole configuration.
pub(super) fn configuration(facts: &Facts) -> String {
    let has_network = !facts.reach.tcp.is_empty();
    let mut parts = vec![fill(
        MAIN,
        &[
            ("name", facts.name.as_str()),
            ("stem", facts.stem()),
            ("memory", &facts.memory_mb.to_string()),
            ("timeout", &facts.timeout.as_secs().to_string()),
            ("storage", &storage(facts)),
            ("environment", &environment(facts)),
            ("vpc", if has_network { network::VPC_CONFIG } else { "" }),
            ("network", if has_network { network::DEPENDS } else { "" }),
            ("statements", &statements(&iam::host(facts))),
        ],
    )];
    if facts.store.is_none() {
        parts.push(STORE_VARIABLES.to_owned());
    }
    parts.extend(iam::host(facts).iter().filter_map(signed));
    parts.push(match &facts.metrics {
        None => NO_METRICS.to_owned(),
        Some(namespace) => fill(
            METRICS,
            &[
                ("name", facts.name.as_str()),
                ("namespace", &hcl(namespace)),
                ("stale", &facts.stale_seconds.to_string()),
            ],
        ),
    });
    if has_network {
        parts.push(network::part(facts));
    }
    parts.extend(trigger::parts(facts));
    parts.concat()
}

fn storage(facts: &Facts) -> String {
    let storage = facts.storage_mb.map(|storage| {
        format!("\n# The grant `scratch`, and the host's cache.\nephemeral_storage {{\n  size = {storage}\n}}\n")
    });
    storage.unwrap_or_default()
}

/// Variables: where the store is, if the package does not say it; those that are granted come from whoever deploys.
fn environment(facts: &Facts) -> String {
    let store = if facts.store.is_none() {
        "CRUNCHBOX_STORE = \"s3://${var.store_bucket}/${var.store_prefix}\"\n".to_owned()
    } else {
        let url = facts.store_variable();
        let url = url.map(|url| format!("CRUNCHBOX_STORE = {}\n", hcl(&url)));
        url.unwrap_or_default()
    };
    let granted = facts.reach.variables.iter();
    let granted = granted.map(|name| format!("# Granted by `env`: {}\n", comment(name)));
    fill(
        "<<granted>>\n<<store>>\n",
        &[("granted", &granted.collect::<String>()), ("store", &store)],
    )
}

/// Variables for what only whoever deploys knows of a service that requests are signed for.
fn signed(one: &Statement) -> Option<String> {
    let service = one.signed.as_deref()?;
    let actions: Vec<String> = one.actions.iter().map(|action| hcl(action)).collect();
    let default = match reach::service(service) {
        Some(_) => format!("default     = [{}]\n", actions.join(", ")),
        None => String::new(),
    };
    let text = fill(
        SIGN_VARIABLES,
        &[
            ("service", service),
            ("word", &word(service)),
            ("default", &default),
        ],
    );
    Some(text)
}

/// A service's name in that of a variable.
fn word(service: &str) -> String {
    service.replace('-', "_")
}

/// Statements as items of a list.
fn statements(statements: &[Statement]) -> String {
    statements.iter().map(statement).collect()
}

fn statement(one: &Statement) -> String {
    let list = |patterns: &[Pattern]| {
        let names = patterns
            .iter()
            .map(|pattern| format!("  {},\n", name(pattern)));
        format!("[\n{}]", names.collect::<String>())
    };
    let (actions, on) = match &one.signed {
        Some(service) => (
            format!("var.sign_{}_actions", word(service)),
            format!("var.sign_{}_resources", word(service)),
        ),
        None => {
            let actions: Vec<String> = one.actions.iter().map(|action| hcl(action)).collect();
            (format!("[{}]", actions.join(", ")), list(&one.on))
        }
    };
    let condition = match one.prefixes.as_slice() {
        [] => String::new(),
        prefixes => format!(
            "Condition = {{ StringLike = {{ \"s3:prefix\" = {} }} }}\n",
            list(prefixes)
        ),
    };
    // As `terraform fmt` has it: only what has one line is aligned.
    let width = if one.signed.is_some() { 8 } else { 6 };
    let key = |key: &str, value: &str| format!("{key:<width$} = {value}\n");
    let keys = [
        key("Sid", &hcl(&one.id)),
        key("Effect", "\"Allow\""),
        key("Action", &actions),
        key("Resource", &on),
        condition,
    ];
    fill(
        "# <<why>>\n{\n  <<keys>>\n},\n",
        &[("why", one.why), ("keys", &keys.concat())],
    )
}

/// A name of a policy in HCL. No text in it ends in a dollar, since IAM's own are escaped.
fn name(pattern: &Pattern) -> String {
    let known = |known| {
        let name = match known {
            Known::Partition => "local.partition",
            Known::Region => "local.region",
            Known::Account => "local.account",
            Known::Channel => "var.channel",
            Known::Bucket => "var.store_bucket",
            Known::Prefix => "var.store_prefix",
            Known::TableStream => "var.table_stream_arn",
            Known::DataStream => "var.data_stream_arn",
        };
        format!("${{{name}}}")
    };
    format!("\"{}\"", pattern.render(known, hcl_part))
}

const MAIN: &str = r##"# Written by `crunchbox package --template`; yours from here on. One workspace for each channel.
terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.0"
    }
  }
}

variable "channel" {
  description = "The channel that the host follows."
  type        = string
  default     = "live"
  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,15}$", var.channel))
    error_message = "A channel has 1 to 16 of a-z, 0-9 and dashes here, since other names are made of it."
  }
}

variable "architecture" {
  description = "What bootstrap.zip was made for, x86_64 or arm64; see crunchbox package --arch."
  type        = string
  default     = "x86_64"
}

variable "reserved_concurrency" {
  description = "The most events at once; -1 for whatever the account has left."
  type        = number
  default     = -1
}

variable "alarm_topic_arn" {
  description = "The SNS topic that alarms are sent to; null for none."
  type        = string
  default     = null
}

variable "environment" {
  description = "Variables of the host."
  type        = map(string)
  default     = {}
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region
  name      = "<<stem>>-${var.channel}"
  alarms    = var.alarm_topic_arn == null ? [] : [var.alarm_topic_arn]
  environment = merge(var.environment, {
    <<environment>>
  })
}

resource "aws_lambda_function" "host" {
  function_name    = local.name
  runtime          = "provided.al2023"
  architectures    = [var.architecture]
  filename         = "${path.module}/bootstrap.zip"
  source_code_hash = filebase64sha256("${path.module}/bootstrap.zip")
  handler          = "<<name>>@${var.channel}"
  role             = aws_iam_role.host.arn

  # `limits.memory` and what the host needs, `limits.time` and a second.
  memory_size = <<memory>>
  timeout     = <<timeout>>

  reserved_concurrent_executions = var.reserved_concurrency

  # SnapStart takes a container image: see the Dockerfile.
  # On Lambda Managed Instances (capacity_provider_config) one host serves several events at once: memory_size then has to
  # hold `limits.memory` and 24 MiB for each of them.

  logging_config {
    log_format            = "JSON"
    application_log_level = "INFO"
    system_log_level      = "INFO"
    log_group             = aws_cloudwatch_log_group.host.name
  }

  dynamic "environment" {
    for_each = length(local.environment) == 0 ? [] : [local.environment]
    content {
      variables = environment.value
    }
  }
  <<storage>>
  <<vpc>>

  depends_on = [
    aws_iam_role_policy.host,
    <<network>>
  ]
}

resource "aws_cloudwatch_log_group" "host" {
  name              = "/aws/lambda/${local.name}"
  retention_in_days = 30
}

# What is in policies/host.json.
resource "aws_iam_role" "host" {
  name_prefix = "${substr(local.name, 0, 30)}-host-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "host" {
  name = "host"
  role = aws_iam_role.host.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      <<statements>>
      # Where secrets or objects are encrypted with a key that is not AWS's own:
      # {
      #   Effect   = "Allow"
      #   Action   = ["kms:Decrypt"]
      #   Resource = ["arn:${local.partition}:kms:${local.region}:${local.account}:key/KEY"]
      # },
    ]
  })
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "${local.name}-errors"
  alarm_description   = "Events of <<name>>@${var.channel} end in failures."
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = local.name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarms
}

output "function_name" {
  value = aws_lambda_function.host.function_name
}

output "function_arn" {
  value = aws_lambda_function.host.arn
}
"##;

const STORE_VARIABLES: &str = r#"
variable "store_bucket" {
  description = "The bucket of the store."
  type        = string
}

variable "store_prefix" {
  description = "The store's prefix in that bucket, without a slash at either end."
  type        = string
}
"#;

const SIGN_VARIABLES: &str = r#"
# Requests are signed for <<service>> with the function's role: allow no more than the function does there.
variable "sign_<<word>>_actions" {
  description = "What the function does at <<service>>."
  type        = list(string)
  <<default>>
}

variable "sign_<<word>>_resources" {
  description = "On what, by whole names (ARNs)."
  type        = list(string)
}
"#;

const NO_METRICS: &str = r#"
# policy.toml asks for no metrics. With `[metrics]` in it, write this file again: it then has alarms on ReleaseRefused and
# StaleSeconds, which tell when hosts stay with an old release.
"#;

const METRICS: &str = r#"
resource "aws_cloudwatch_metric_alarm" "release_refused" {
  alarm_name          = "${local.name}-release-refused"
  alarm_description   = "Hosts of <<name>>@${var.channel} refused a release; the last good one serves. Their log has the reason."
  namespace           = <<namespace>>
  metric_name         = "ReleaseRefused"
  dimensions          = { function = "<<name>>", channel = var.channel }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarms
}

resource "aws_cloudwatch_metric_alarm" "stale_seconds" {
  alarm_name          = "${local.name}-stale-seconds"
  alarm_description   = "The store has not answered hosts of <<name>>@${var.channel} for long; they serve what they had."
  namespace           = <<namespace>>
  metric_name         = "StaleSeconds"
  dimensions          = { function = "<<name>>", channel = var.channel }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = <<stale>>
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarms
}
"#;
