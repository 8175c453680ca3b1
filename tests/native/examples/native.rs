//! A program for Lambda as people write them in Rust, on AWS's own `lambda_runtime`: it does what an event says, in the
//! words of `tests/dev/handler.py`. Knows nothing of crunchbox.

use futures_util::stream::{Iter, iter};
use lambda_runtime::{
    Diagnostic, Error, FunctionResponse, LambdaEvent, MetadataPrelude, StreamResponse,
    run_concurrent, service_fn,
};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

/// The events that this process has seen.
static EVENTS: AtomicU32 = AtomicU32::new(0);

/// What an event says: `{"do": "echo", "value": [1]}`.
#[derive(Deserialize)]
struct Order {
    #[serde(rename = "do")]
    verb: String,
    value: Option<Box<RawValue>>,
}

/// An event of a function URL: what it says is its body.
#[derive(Deserialize)]
struct Web {
    body: String,
}

/// A response in parts.
#[derive(Deserialize)]
struct Parts {
    prelude: MetadataPrelude,
    chunks: Vec<String>,
}

type Chunks = Iter<std::vec::IntoIter<Result<String, Error>>>;
type Answer = FunctionResponse<Box<RawValue>, Chunks>;

/// A failure, of which a caller sees kind and message.
#[derive(Debug)]
struct Failure {
    kind: &'static str,
    message: String,
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self {
            error_type: failure.kind.to_owned(),
            error_message: failure.message,
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self {
            kind: "BadEvent",
            message: error.to_string(),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    run_concurrent(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Box<RawValue>>) -> Result<Answer, Failure> {
    let number = EVENTS.fetch_add(1, Ordering::Relaxed) + 1;
    let order = order(event.payload.get())?;
    let value = match order.value {
        Some(value) => value,
        None => to_raw_value(&())?,
    };
    match order.verb.as_str() {
        "echo" => Ok(FunctionResponse::BufferedResponse(value)),
        "count" => whole(&number),
        "pid" => whole(&std::process::id()),
        "env" => whole(&std::env::vars().collect::<BTreeMap<_, _>>()),
        "print" => print(&serde_json::from_str::<String>(value.get())?),
        "stream" => Ok(streamed(serde_json::from_str(value.get())?)),
        "fail" => Err(Failure {
            kind: "NoReadings",
            message: "nothing to do".to_owned(),
        }),
        "exit" => end(),
        "hang" => {
            print(&format!("hanging in {}", std::process::id()))?;
            std::future::pending().await
        }
        other => Err(Failure {
            kind: "UnknownVerb",
            message: other.to_owned(),
        }),
    }
}

fn order(event: &str) -> Result<Order, serde_json::Error> {
    match serde_json::from_str::<Web>(event) {
        Ok(web) => serde_json::from_str(&web.body),
        Err(_) => serde_json::from_str(event),
    }
}

fn whole(value: &impl Serialize) -> Result<Answer, Failure> {
    Ok(FunctionResponse::BufferedResponse(to_raw_value(value)?))
}

fn streamed(parts: Parts) -> Answer {
    let chunks: Vec<Result<String, Error>> = parts.chunks.into_iter().map(Ok).collect();
    FunctionResponse::StreamingResponse(StreamResponse {
        metadata_prelude: parts.prelude,
        stream: iter(chunks),
    })
}

#[expect(clippy::print_stdout, reason = "so a function writes its log")]
fn print(text: &str) -> Result<Answer, Failure> {
    println!("{text}");
    whole(&())
}

#[expect(
    clippy::exit,
    reason = "what becomes of such a process is the question"
)]
fn end() -> Result<Answer, Failure> {
    std::process::exit(3)
}
