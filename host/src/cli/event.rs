//! `crunchbox event`: sample events as AWS sends them.

use super::printer;
use crate::error::{Code, Failure};
use crate::event::EVENT_BYTES_MAX;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::io::{IsTerminal, Read};

/// Make sample events.
#[derive(Debug, Args)]
pub(super) struct Event {
    #[command(subcommand)]
    source: Source,
}

#[derive(Debug, Subcommand)]
enum Source {
    /// An event of the Simple Notification Service, one record per message.
    Sns(Sns),
}

/// An event of the Simple Notification Service, one record per message.
#[derive(Debug, Args)]
struct Sns {
    /// The messages; without any, standard input is one message.
    messages: Vec<String>,
    /// The subject of every message.
    #[arg(long)]
    subject: Option<String>,
    /// The topic's name.
    #[arg(long, default_value = "readings", value_parser = topic_name)]
    topic: String,
    /// A string attribute of every message; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    attribute: Vec<(String, String)>,
}

fn topic_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !text.is_empty() && text.len() <= 256 && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("expected 1 to 256 letters, digits, `-`, `_` and `.`".to_owned())
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Event {
    pub(super) fn execute(&self) -> Result<(), Failure> {
        let Source::Sns(sns) = &self.source;
        let event = sns.event()?;
        printer::result(format!("{event:#}\n").as_bytes())
    }
}

impl Sns {
    fn event(&self) -> Result<Value, Failure> {
        let messages = if self.messages.is_empty() {
            vec![stdin_message()?]
        } else {
            self.messages.clone()
        };
        let records: Vec<Value> = messages
            .iter()
            .enumerate()
            .map(|(index, text)| self.record(index, text))
            .collect();
        Ok(json!({ "Records": records }))
    }

    /// One record, with the keys, in the order and of the types that Lambda's guide shows.
    /// Source: <https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html>.
    fn record(&self, index: usize, message: &str) -> Value {
        let topic = format!("arn:aws:sns:eu-west-1:123456789012:{}", self.topic);
        let subscription = format!("{topic}:21be56ed-a058-49f5-8c98-aedd2564c486");
        let attributes: Map<String, Value> = self
            .attribute
            .iter()
            .map(|(name, value)| (name.clone(), json!({"Type": "String", "Value": value})))
            .collect();
        json!({
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": subscription,
            "Sns": {
                "Type": "Notification",
                "MessageId": format!("95df01b4-ee98-5cb9-9903-{index:012}"),
                "TopicArn": topic,
                "Subject": self.subject,
                "Message": message,
                "Timestamp": format!("{:.3}", jiff::Timestamp::now()),
                "SignatureVersion": "1",
                "Signature": "EXAMPLE",
                "SigningCertUrl": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-EXAMPLE.pem",
                "UnsubscribeUrl": format!("https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={subscription}"),
                "MessageAttributes": attributes,
            }
        })
    }
}

fn stdin_message() -> Result<String, Failure> {
    let unreadable = |problem: String| Failure::new(Code::EventUnreadable, problem);
    if std::io::stdin().is_terminal() {
        return Err(unreadable(
            "expected a message as argument or on standard input, got neither".to_owned(),
        ));
    }
    let most = u64::try_from(EVENT_BYTES_MAX).unwrap_or(u64::MAX);
    let mut text = String::new();
    std::io::stdin()
        .take(most + 1)
        .read_to_string(&mut text)
        .map_err(|error| {
            unreadable(format!(
                "cannot read the message from standard input: {error}"
            ))
        })?;
    if text.len() > EVENT_BYTES_MAX {
        let message = format!("the message has more than {EVENT_BYTES_MAX} bytes");
        return Err(Failure::new(Code::EventTooLarge, message));
    }
    Ok(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text))
}
