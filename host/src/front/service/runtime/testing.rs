//! What the tests of this folder share: a program that is a shell script, a client that plays the runtime.

use super::program::{Freeze, Mode, Program};
use crate::error::Level;
use crate::front::service::call::Call;
use crate::settings::Environment as Variables;
use crate::telemetry::{Format, Log, Memory};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustix::fs::{CWD, FileType, Mode as Permission, mknodat};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::unix::pipe::{OpenOptions, Receiver};

/// Longer than any test takes; nothing is waited for as long as this unless it is broken.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn silent_log() -> Log {
    Log::new(Format::Plain, Level::Info, Memory::default()).unwrap()
}

pub(super) fn program() -> Program {
    Program {
        executable: PathBuf::from("/no/such/bootstrap"),
        task_root: PathBuf::from("/"),
        handler: "app.handler".to_owned(),
        function: "crunch".to_owned(),
        region: "eu-west-1".to_owned(),
        arn: "arn:aws:lambda:eu-west-1:123456789012:function:crunch".to_owned(),
        memory_mb: 128,
        timeout: PATIENCE,
        concurrency: 1,
        mode: Mode::OneAtATime,
        freeze: Freeze::Never,
        extensions: Vec::new(),
        variables: Vec::new(),
        caller: Variables::default(),
    }
}

pub(super) fn call(request_id: &str) -> Call {
    Call {
        request_id: request_id.to_owned(),
        event: "{\"a\":1}".into(),
        client_context: None,
        tenant_id: None,
        trace_id: "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1"
            .to_owned(),
        invoked_arn: program().arn,
    }
}

/// A shell script in a folder of its own. What it writes to `"$0.said"` a test can wait for.
pub(super) struct Script {
    path: PathBuf,
    _folder: TempDir,
}

/// A line that a script said.
pub(super) struct Said {
    pub(super) line: String,
    rest: Receiver,
}

impl Script {
    pub(super) fn new(text: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("bootstrap");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let pipe = folder.path().join("bootstrap.said");
        mknodat(
            CWD,
            pipe,
            FileType::Fifo,
            Permission::RUSR | Permission::WUSR,
            0,
        )
        .unwrap();
        Self {
            path,
            _folder: folder,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn said(&self) -> Said {
        let pipe = self.path.with_extension("said");
        let rest = OpenOptions::new().open_receiver(&pipe).unwrap();
        // Open for writing too, or else it is at its end before the script has opened it.
        let both = OpenOptions::new().read_write(true).open_receiver(&pipe);
        let mut line = String::new();
        let mut reader = BufReader::with_capacity(1, both.unwrap());
        reader.read_line(&mut line).await.unwrap();
        Said { line, rest }
    }
}

impl Said {
    /// Waits until nobody holds the pipe open any more.
    pub(super) async fn closed(mut self) {
        let mut rest = Vec::new();
        self.rest.read_to_end(&mut rest).await.unwrap();
    }
}

/// What plays the runtime, or an extension.
#[derive(Clone)]
pub(super) struct Client(pub(super) String);

/// What it is answered.
pub(super) struct Got {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Got {
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Status and `errorType`.
    pub(super) fn refusal(&self) -> (u16, String) {
        let document: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        let kind = document["errorType"].as_str().unwrap_or_default();
        (self.status.as_u16(), kind.to_owned())
    }
}

impl Client {
    pub(super) async fn next(&self) -> Got {
        self.get("/2018-06-01/runtime/invocation/next", &[]).await
    }

    /// Answers the event with this id.
    pub(super) async fn respond(&self, id: &str, body: &str) -> Got {
        let path = format!("/2018-06-01/runtime/invocation/{id}/response");
        self.post(&path, &[], body).await
    }

    pub(super) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Got {
        self.send(Method::GET, path, headers, Bytes::new()).await
    }

    pub(super) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Got {
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.send(Method::POST, path, headers, body).await
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Got {
        let sent = async {
            let stream = TcpStream::connect(&self.0).await.unwrap();
            let handshake = http1::handshake(TokioIo::new(stream)).await;
            let (mut sender, connection) = handshake.unwrap();
            tokio::spawn(connection);
            let mut request = Request::builder().method(method).uri(path);
            request = request.header("host", &self.0);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(Full::<Bytes>::from(body)).unwrap();
            let (head, body) = sender.send_request(request).await.unwrap().into_parts();
            Got {
                status: head.status,
                headers: head.headers,
                body: body.collect().await.unwrap().to_bytes(),
            }
        };
        within(sent).await
    }

    /// A connection for a request that is written by hand.
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.0).await.unwrap()
    }
}

/// Waits for something that must come.
pub(super) async fn within<T>(coming: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, coming).await.unwrap()
}
