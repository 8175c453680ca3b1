//! Does what the event says with all that a grant can give, and with what none can. An event is one step, which fails
//! as the step does, or a list of them, each answered by itself.
#![cfg(target_arch = "wasm32")]

#[path = "support/files.rs"]
mod files;
#[path = "support/http.rs"]
mod http;
#[path = "support/names.rs"]
mod names;
#[path = "support/objects.rs"]
mod objects;
#[path = "support/ports.rs"]
mod ports;
#[path = "support/sockets.rs"]
mod sockets;

use crunchbox_sdk::{Failure, handler};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Ipv4Addr;

#[derive(Deserialize)]
#[serde(untagged)]
enum Event {
    Steps(Vec<Step>),
    Step(Step),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Step {
    /// Sends a request; tells status, headers and body.
    Http(http::Asked),
    /// Connects and sends; tells what came back until the other end hung up.
    Tcp {
        host: String,
        port: u16,
        send: String,
    },
    /// Tells the addresses of a name.
    Resolve(String),
    /// Sends a datagram.
    Udp { address: Ipv4Addr, port: u16 },
    /// Waits for others to connect.
    Listen { address: Ipv4Addr, port: u16 },
    /// Tells all variables, with their values if so wanted.
    Env(bool),
    /// Makes requests that it never sends, until it is stopped.
    Hoard(bool),
    /// Does something with a file.
    Scratch(files::Act),
    /// Does something with an object.
    Object(objects::Act),
}

#[handler]
fn network(event: Event) -> Result<Value, Failure> {
    match event {
        Event::Step(step) => step.perform(),
        Event::Steps(steps) => {
            let answers = steps.iter().map(|step| step.perform().map_err(told));
            Ok(json!(answers.collect::<Vec<_>>()))
        }
    }
}

impl Step {
    fn perform(&self) -> Result<Value, Failure> {
        match self {
            Self::Http(asked) => asked.send(),
            Self::Tcp { host, port, send } => talk(host, *port, send).map(Value::from),
            Self::Resolve(name) => {
                let addresses = names::resolve(name).map_err(refused)?;
                Ok(json!(addresses))
            }
            Self::Udp { address, port } => {
                ports::send_to(*address, *port).map_err(refused)?;
                Ok(Value::Null)
            }
            Self::Listen { address, port } => {
                ports::listen(*address, *port).map_err(refused)?;
                Ok(Value::Null)
            }
            Self::Env(values) => {
                let variables =
                    std::env::vars().map(|(name, value)| (name, values.then_some(value)));
                Ok(json!(variables.collect::<BTreeMap<_, _>>()))
            }
            Self::Hoard(_) => http::hoard(),
            Self::Scratch(act) => act.perform(),
            Self::Object(act) => act.perform(),
        }
    }
}

fn talk(host: &str, port: u16, send: &str) -> Result<String, Failure> {
    let mut connection = sockets::connect(host, port).map_err(refused)?;
    connection.write_all(send.as_bytes())?;
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A failure whose kind is the name of a socket's error code.
fn refused(code: &str) -> Failure {
    Failure::new(code, "the host said so")
}

fn told(failure: Failure) -> Value {
    json!({"kind": failure.kind, "message": failure.message})
}
