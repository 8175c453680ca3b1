//! Reads one value, or all, of its configuration in every way there is: by the SDK, by the contract itself, and by
//! `wasi:config/store`.
#![cfg(target_arch = "wasm32")]

use crunchbox_sdk::{Failure, config, handler};
use serde::Deserialize;
use serde_json::{Value, json};

/// The contract, with no SDK between.
mod raw {
    wit_bindgen::generate!({
        inline: "
            package test:settings;
            world settings {
                import crunchbox:function/config@0.1.0;
                import wasi:config/store@0.2.0-rc.1;
            }
        ",
        path: "../../wit",
        world: "test:settings/settings",
        generate_all,
    });
}

use raw::crunchbox::function::config as contract;
use raw::wasi::config::store;

#[derive(Deserialize)]
struct Question {
    /// The keys to the value.
    #[serde(default)]
    path: Vec<String>,
    /// The key in `wasi:config/store`.
    #[serde(default)]
    key: String,
    /// What to do beside answering: `panic`, `print` or `fail`, each with the value in it; `type` to read it as a number;
    /// `tree` to read nothing but the table at the path.
    #[serde(default)]
    then: String,
}

#[handler]
fn settings(question: Question) -> Result<Value, Failure> {
    let path: Vec<&str> = question.path.iter().map(String::as_str).collect();
    if question.then == "tree" {
        return Ok(json!(contract::tree(&question.path).map_err(told)));
    }
    let value = config::get_path::<Value>(&path);
    let text = format!("{:?}", value.as_ref().ok());
    match question.then.as_str() {
        "panic" => panic!("the value is {text}"),
        "fail" => {
            return Err(Failure::new("Told", format!("the value is {text}")));
        }
        "print" => {
            println!("the value is {text}");
            eprintln!("the value is {text}");
            crunchbox_sdk::log::info!(value = text.as_str(); "the value is {text}");
        }
        "type" => drop(config::get_path::<u8>(&path)?),
        _ => {}
    }
    Ok(json!({
        "sdk": value.map_err(|error| json!({"code": error.code(), "message": error.to_string()})),
        "get": contract::get(&question.path).map_err(told),
        "tree": contract::tree(&question.path).map_err(told),
        "source": contract::source(&question.path),
        "store": store::get(&question.key).map_err(|error| error.to_string()),
        "all": store::get_all().map_err(|error| error.to_string()),
    }))
}

fn told(error: contract::ConfigError) -> Value {
    json!({"code": error.code, "message": error.message, "retryable": error.retryable})
}
