//! Asks a PostgreSQL server one question: its protocol in plain text, over a socket that the guest opens itself.
#![cfg(target_arch = "wasm32")]

#[path = "support/sockets.rs"]
mod sockets;

use bytes::BytesMut;
use crunchbox_sdk::{Failure, handler};
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{DataRowBody, ErrorResponseBody, Message};
use postgres_protocol::message::frontend;
use serde::Deserialize;
use serde_json::{Value, json};
use sockets::Connection;
use std::io::{self, Read, Write};

#[derive(Deserialize)]
struct Question {
    host: String,
    port: u16,
    user: String,
    password: String,
    database: String,
    query: String,
}

/// Fails with the socket's error code as its kind, or with the server's SQLSTATE.
#[handler]
fn postgres(question: Question) -> Result<Value, Failure> {
    let connection = sockets::connect(&question.host, question.port)
        .map_err(|code| Failure::new(code, "no connection"))?;
    let mut session = Session {
        connection,
        received: BytesMut::new(),
    };
    session.log_in(&question)?;
    let rows = session.ask(&question.query)?;
    session.say(|buffer| {
        frontend::terminate(buffer);
        Ok(())
    })?;
    Ok(json!({"rows": rows}))
}

struct Session {
    connection: Connection,
    received: BytesMut,
}

impl Session {
    fn log_in(&mut self, question: &Question) -> Result<(), Failure> {
        let parameters = [
            ("user", question.user.as_str()),
            ("database", question.database.as_str()),
            ("client_encoding", "UTF8"),
        ];
        self.say(|buffer| frontend::startup_message(parameters, buffer))?;
        // A server with TLS offers to bind the password's proof to it. It ends at the host, so we know nothing of it.
        let binding = ChannelBinding::unsupported();
        let mut scram = ScramSha256::new(question.password.as_bytes(), binding);
        loop {
            match self.hear()? {
                Message::AuthenticationSasl(_) => self.say(|buffer| {
                    frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), buffer)
                })?,
                Message::AuthenticationSaslContinue(body) => {
                    scram.update(body.data())?;
                    self.say(|buffer| frontend::sasl_response(scram.message(), buffer))?;
                }
                Message::AuthenticationSaslFinal(body) => scram.finish(body.data())?,
                Message::AuthenticationOk => {}
                Message::ReadyForQuery(_) => return Ok(()),
                _ => return Err(Failure::new("Protocol", "expected SCRAM-SHA-256")),
            }
        }
    }

    fn ask(&mut self, query: &str) -> Result<Vec<Vec<Value>>, Failure> {
        self.say(|buffer| frontend::query(query, buffer))?;
        let mut rows = Vec::new();
        loop {
            match self.hear()? {
                Message::DataRow(row) => rows.push(cells(&row)?),
                Message::ReadyForQuery(_) => return Ok(rows),
                // How the rows look, and how many there were.
                _ => {}
            }
        }
    }

    fn say(&mut self, write: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<(), Failure> {
        let mut buffer = BytesMut::new();
        write(&mut buffer)?;
        self.connection.write_all(&buffer).map_err(broken)
    }

    /// The next message that is neither a notice nor a setting; the server's error is ours.
    fn hear(&mut self) -> Result<Message, Failure> {
        loop {
            match Message::parse(&mut self.received)? {
                Some(Message::ErrorResponse(body)) => return Err(refusal(&body)?),
                Some(
                    Message::NoticeResponse(_)
                    | Message::ParameterStatus(_)
                    | Message::BackendKeyData(_),
                ) => {}
                Some(message) => return Ok(message),
                None => self.receive()?,
            }
        }
    }

    fn receive(&mut self) -> Result<(), Failure> {
        let mut bytes = [0; 16 << 10];
        match self.connection.read(&mut bytes).map_err(broken)? {
            0 => Err(Failure::new(
                "connection-aborted",
                "the server hung up without a word",
            )),
            length => {
                self.received.extend_from_slice(&bytes[..length]);
                Ok(())
            }
        }
    }
}

fn cells(row: &DataRowBody) -> Result<Vec<Value>, io::Error> {
    row.ranges()
        .map(|range| {
            Ok(range.map_or(Value::Null, |range| {
                String::from_utf8_lossy(&row.buffer()[range]).into()
            }))
        })
        .collect()
}

fn refusal(body: &ErrorResponseBody) -> Result<Failure, io::Error> {
    let mut failure = Failure::new("", "");
    let mut fields = body.fields();
    while let Some(field) = fields.next()? {
        let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => failure.kind = text,
            b'M' => failure.message = text,
            _ => {}
        }
    }
    Ok(failure)
}

fn broken(error: io::Error) -> Failure {
    Failure::new("connection-reset", error.to_string())
}
