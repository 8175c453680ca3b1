//! `crunchbox dev` as a process, requests to it as any client makes them, and programs to run behind it.

use super::deployed::deployed_binary;
use super::runtime_api::PATIENCE;
use super::shop::{Shop, runtime};
use super::started::Started;
use super::{Project, crunchbox, guest, root, target_folder, text};
use http_body_util::{BodyExt, Full};
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustix::process::Signal;
use serde_json::Value;
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// A process that runs others is interrupted this often, and left so much time each time, before it is killed and they are
/// left to themselves.
const INTERRUPTS_MAX: u32 = 20;
const INTERRUPTED: Duration = Duration::from_millis(500);

/// A command on the way to be started.
pub struct Launch {
    command: Command,
    runs_a_program: bool,
}

/// The command while it serves; ended when dropped.
pub struct Dev {
    child: Child,
    lines: Receiver<String>,
    /// All lines so far, for the words of a test that fails.
    said: RefCell<String>,
    serving: Value,
    runs_a_program: bool,
}

impl Launch {
    fn of(mut command: Command, arguments: &[&str]) -> Self {
        command
            .args(arguments)
            .args(["--listen", "127.0.0.1:0", "--json"])
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Self {
            command,
            runs_a_program: arguments.contains(&"--bootstrap"),
        }
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it and waits until it serves.
    pub fn start(mut self) -> Dev {
        let mut child = self.command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // Read on when nobody listens any more: the process would stop at a pipe that is full.
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut dev = Dev {
            child,
            lines,
            said: RefCell::default(),
            serving: Value::Null,
            runs_a_program: self.runs_a_program,
        };
        dev.serving = dev.line_of("serving");
        dev
    }
}

impl Dev {
    /// Serves a guest of the tests, as it is now.
    pub fn guest(name: &str) -> Self {
        Self::with(&[text(&guest(name)), "--no-watch"])
    }

    /// Serves what the arguments say.
    pub fn with(arguments: &[&str]) -> Self {
        Self::launch(arguments).start()
    }

    /// The same, with more to be said before the start.
    pub fn launch(arguments: &[&str]) -> Launch {
        Launch::of(crunchbox(&["dev"]), arguments)
    }

    /// Serves from a project's folder what the arguments say.
    pub fn project(project: &Project, arguments: &[&str]) -> Self {
        Launch::of(project.command(&["dev"]), arguments).start()
    }

    /// Serves from the folder of a project that was begun what the arguments say.
    pub fn started(project: &Started, arguments: &[&str]) -> Self {
        Launch::of(project.command(&["dev"]), arguments).start()
    }

    /// Serves a program, or its package, by the name `program`: one event at a time, and so by one process, unless the
    /// arguments say otherwise.
    pub fn program(path: &Path, arguments: &[&str]) -> Self {
        let program = ["--bootstrap", text(path), "--name", "program"];
        let one: &[&str] = match arguments.contains(&"--concurrency") {
            true => &[],
            false => &["--concurrency", "1"],
        };
        Self::with(&[&program[..], one, arguments].concat())
    }

    /// Where it answers, without a slash at the end.
    pub fn endpoint(&self) -> &str {
        self.serving["endpoint"].as_str().unwrap()
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        self.endpoint().strip_prefix("http://").unwrap()
    }

    /// What it says of the functions it serves.
    pub fn functions(&self) -> &[Value] {
        self.serving["functions"].as_array().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that is meant, whatever comes before it. A line that is no JSON is a text.
    pub fn until(&self, is_meant: impl Fn(&Value) -> bool) -> Value {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("no such line:\n{}", self.said.borrow());
            };
            self.said.borrow_mut().extend([&line, "\n"]);
            let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
            if is_meant(&line) {
                return line;
            }
        }
    }

    /// The next line of a type.
    pub fn line_of(&self, kind: &str) -> Value {
        self.until(|line| line["type"] == kind)
    }

    /// Sends a request and waits for the answer.
    pub fn ask(&self, ask: Ask) -> Answer {
        self.asking(ask).answer()
    }

    /// Sends a request.
    pub fn asking(&self, ask: Ask) -> Asking {
        Asking(runtime().spawn(ask.send(self.authority().to_owned())))
    }

    /// Sends an event to a function and waits for what comes of it.
    pub fn invoke(&self, function: &str, event: impl Into<Bytes>) -> Answer {
        self.ask(Ask::invoke(function, event))
    }

    /// The same for a program that does what an event says: `{"do": "echo", "value": 1}`.
    pub fn order(&self, order: &Value) -> Answer {
        self.invoke("program", order.to_string())
    }

    /// Asks it to end, as Ctrl-C does.
    pub fn interrupt(&self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().try_into().unwrap());
        rustix::process::kill_process(pid.unwrap(), Signal::INT).unwrap();
    }

    /// Waits for the end; the exit status.
    pub fn ended(mut self) -> i32 {
        assert!(self.has_ended_within(PATIENCE), "{}", self.said.borrow());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Whether standard error is closed, and for so long nothing more was said.
    fn has_ended_within(&self, time: Duration) -> bool {
        loop {
            match self.lines.recv_timeout(time) {
                Ok(line) => self.said.borrow_mut().extend([&line, "\n"]),
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if self.runs_a_program && matches!(self.child.try_wait(), Ok(None)) {
            // Once to end, and again for what is still in flight.
            let ends = |_: &u32| {
                self.interrupt();
                self.has_ended_within(INTERRUPTED)
            };
            let _ended = (0..INTERRUPTS_MAX).find(ends);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request on the way to be sent.
#[derive(Clone)]
pub struct Ask {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Ask {
    pub fn new(method: &'static str, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// Lambda's operation `Invoke`. The name stands in the path as it is.
    pub fn invoke(function: &str, event: impl Into<Bytes>) -> Self {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        Self::new("POST", &path).body(event)
    }

    /// An event that nobody waits for.
    pub fn event(function: &str, event: impl Into<Bytes>) -> Self {
        Self::invoke(function, event).header("X-Amz-Invocation-Type", "Event")
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    async fn send(self, authority: String) -> Answer {
        let stream = tokio::net::TcpStream::connect(&authority).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let _line = Line(tokio::spawn(connection).abort_handle());
        let mut request = hyper::Request::builder()
            .method(self.method)
            .uri(&self.path)
            .header("Host", &authority);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(self.body)).unwrap();
        let answer = async {
            let (head, body) = sender.send_request(request).await.unwrap().into_parts();
            Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                body: body.collect().await.unwrap().to_bytes(),
            }
        };
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        answer.unwrap_or_else(|_| panic!("no answer to {} {}", self.method, self.path))
    }
}

/// A connection, which ends with the request that was made on it.
struct Line(tokio::task::AbortHandle);

impl Drop for Line {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A request that is under way.
pub struct Asking(tokio::task::JoinHandle<Answer>);

impl Asking {
    /// Waits for the answer.
    pub fn answer(self) -> Answer {
        runtime().block_on(self.0).unwrap()
    }

    /// Hangs up.
    pub fn give_up(self) {
        self.0.abort();
        let _ = runtime().block_on(self.0);
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// A header; nothing where there is none.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The document of an answer that has to be a failure of the function.
    pub fn failure(&self) -> Value {
        let marked = (self.status, self.header("X-Amz-Function-Error"));
        assert_eq!(marked, (200, "Unhandled"), "{self:?}");
        self.json()
    }

    /// Its kind.
    pub fn kind(&self) -> String {
        self.failure()["errorType"].as_str().unwrap().to_owned()
    }

    /// The text of an answer that has to be a response.
    pub fn response(&self) -> &str {
        let marked = (self.status, self.header("X-Amz-Function-Error"));
        assert_eq!(marked, (200, ""), "{self:?}");
        self.text()
    }
}

/// The other end of a request that a guest makes: its event is in flight until it is let go.
pub struct Gate {
    port: u16,
    came: Receiver<TcpStream>,
}

/// Somebody who waits at a gate.
pub struct Waiting(TcpStream);

impl Gate {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, came) = channel();
        std::thread::spawn(move || {
            let mut streams = listener.incoming().map_while(Result::ok);
            streams.try_for_each(|stream| sender.send(stream))
        });
        Self { port, came }
    }

    /// A project whose guest may come here, by the name `gated`, and is configured by `config.toml`.
    pub fn project(&self) -> Project {
        let project = Project::new("network");
        let origin = self.origin();
        project.file(
            "crunchbox.toml",
            &format!("[function]\nname = 'gated'\n[build]\ncommand = 'true'\ncomponent = 'guest.wasm'\n[grants]\nhttp = ['{origin}']\n[config]\nbase = ['config.toml']\n"),
        );
        project
    }

    /// The event that comes here.
    pub fn event(&self) -> String {
        let origin = self.origin();
        serde_json::json!({"http": {"method": "GET", "url": origin}}).to_string()
    }

    fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits for somebody.
    pub fn wait(&self) -> Waiting {
        Waiting(
            self.came
                .recv_timeout(PATIENCE)
                .expect("an event in flight"),
        )
    }
}

impl Waiting {
    /// Answers the request, if whoever made it is still there.
    pub fn go(mut self) {
        let mut asked = Vec::new();
        let mut bytes = [0; 1024];
        while !asked.ends_with(b"\r\n\r\n") {
            match self.0.read(&mut bytes) {
                Ok(0) | Err(_) => return,
                Ok(count) => asked.extend_from_slice(&bytes[..count]),
            }
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        let _ = self.0.write_all(answer);
    }
}

/// The program of `tests/native`, built once per test run.
pub fn native() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--package", "native", "--examples"])
            .env("CARGO_TARGET_DIR", target_folder())
            .current_dir(root())
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "the program `native` does not build");
        target_folder().join("debug/examples/native")
    })
}

/// The Python of an environment that `tests/setup` makes: `moto`, or `ric` with AWS's runtime for Python.
pub fn python(name: &str) -> PathBuf {
    let program = target_folder().join(format!("tools/{name}/bin/python3"));
    assert!(
        program.is_file(),
        "{name} is not installed; run: tests/setup"
    );
    program
}

/// A package's folder with a script as its `bootstrap`.
pub fn scripted(script: &str) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bootstrap");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// The package as it is deployed, to follow a shop's function: the program and a policy.
pub fn package(shop: &Shop, policy: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    std::fs::write(path, shop.policy(policy)).unwrap();
    std::os::unix::fs::symlink(deployed_binary(), folder.path().join("bootstrap")).unwrap();
    folder
}
