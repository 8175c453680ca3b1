//! Answers with all it may know: its invocation, and the part of its configuration that the event names.

use crunchbox_sdk::{Context, Failure, config, handler, log};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Question {
    #[serde(default)]
    config: Vec<String>,
}

#[handler]
fn facts(question: Question, ctx: Context) -> Result<Value, Failure> {
    let path: Vec<&str> = question.config.iter().map(String::as_str).collect();
    log::info!(asked = path.join("."), parts = path.len(); "answering");
    log::debug!("below the threshold");
    Ok(json!({
        "requestId": ctx.request_id(),
        "function": ctx.function(),
        "channel": ctx.channel(),
        "release": ctx.release(),
        "traceId": ctx.trace_id(),
        "tenantId": ctx.tenant_id(),
        "invokedArn": ctx.invoked_arn(),
        "clientContext": ctx.client_context(),
        "identity": ctx.identity(),
        "memoryLimit": ctx.memory_limit(),
        "remainingMs": u64::try_from(ctx.remaining().as_millis()).unwrap_or(u64::MAX),
        "config": config::get_path::<Value>(&path)?,
        "variables": std::env::vars().count(),
        "arguments": std::env::args().count(),
        "files": std::fs::read_dir("/").is_ok(),
    }))
}
