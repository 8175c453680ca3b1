//! A second opinion on S3, and the rest of AWS: the server of moto, AWS's stand-in in many projects' tests. `tests/setup`
//! installs it.

use super::runtime_api::PATIENCE;
use super::s3::{self, BUCKET};
use super::target_folder;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Sender, channel};

/// A started server, with [`BUCKET`] and nothing in it; killed when dropped.
pub struct Moto {
    child: Child,
    address: String,
}

impl Moto {
    /// Starts the server on a free port, which it chooses itself.
    pub fn start() -> Self {
        let program = target_folder().join("tools/moto/bin/moto_server");
        assert!(program.is_file(), "moto is not installed; run: tests/setup");
        let mut child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || forward(stderr, &sender));
        let mut moto = Self {
            child,
            address: String::new(),
        };
        let mut said = String::new();
        while moto.address.is_empty() {
            let line = lines
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("moto does not start: {said}"));
            match line.split_once("Running on http://") {
                Some((_, address)) => moto.address = address.trim().to_owned(),
                None => said.extend([&line, "\n"]),
            }
        }
        moto.create_bucket();
        moto
    }

    /// Where it answers.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts a parameter into the Parameter Store, encrypted.
    pub fn put_parameter(&self, name: &str, value: &str) {
        let body = json!({"Name": name, "Value": value, "Type": "SecureString", "Overwrite": true});
        self.call("ssm", "AmazonSSM.PutParameter", &body);
    }

    /// Puts a secret into Secrets Manager.
    pub fn put_secret(&self, name: &str, value: &str) {
        let body = json!({"Name": name, "SecretString": value});
        self.call("secretsmanager", "secretsmanager.CreateSecret", &body);
    }

    /// Makes a table of DynamoDB whose items are found by their `id`.
    pub fn create_table(&self, name: &str) {
        let body = json!({
            "TableName": name,
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
        });
        self.call("dynamodb", "DynamoDB_20120810.CreateTable", &body);
    }

    /// All items of a table, as DynamoDB spells them.
    pub fn items(&self, table: &str) -> Value {
        let body = json!({"TableName": table});
        let answer = self.call("dynamodb", "DynamoDB_20120810.Scan", &body);
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        answer["Items"].take()
    }

    /// Puts an object into [`BUCKET`].
    pub fn put_object(&self, key: &str, text: &str) {
        self.send(&format!("PUT /{BUCKET}/{key}"), &authorization("s3"), text);
    }

    /// The text of an object of [`BUCKET`].
    pub fn object(&self, key: &str) -> Option<String> {
        let headers = authorization("s3");
        let (status, text) = self.exchange(&format!("GET /{BUCKET}/{key}"), &headers, "");
        match status.as_str() {
            "200" => Some(text),
            "404" => None,
            _ => panic!("{status}: {text}"),
        }
    }

    fn call(&self, service: &str, target: &str, body: &Value) -> String {
        let headers = format!(
            "X-Amz-Target: {target}\r\nContent-Type: application/x-amz-json-1.1\r\n{}",
            authorization(service)
        );
        self.send("POST /", &headers, &body.to_string())
    }

    /// A store in the bucket as a person names it.
    pub fn url(&self, prefix: &str) -> String {
        s3::url(&format!("http://{}", self.address), prefix)
    }

    fn create_bucket(&self) {
        let region = "eu-west-1";
        let body = format!(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
        );
        self.send(&format!("PUT /{BUCKET}"), "", &body);
    }

    /// Sends a request that has to succeed.
    fn send(&self, request: &str, headers: &str, body: &str) -> String {
        let (status, text) = self.exchange(request, headers, body);
        assert_eq!(status, "200", "{request}: {text}");
        text
    }

    /// Sends a request; gives the status and the body of the answer.
    fn exchange(&self, request: &str, headers: &str, body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (address, length) = (&self.address, body.len());
        write!(
            stream,
            "{request} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").expect("an answer in HTTP");
        let status = head.split(' ').nth(1).expect("a status");
        (status.to_owned(), text.to_owned())
    }
}

/// A signature that the server does not look at, but wants to see.
fn authorization(service: &str) -> String {
    let scope = format!("x/20260101/eu-west-1/{service}/aws4_request");
    format!(
        "Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=x\r\n"
    )
}

/// Passes lines on while anyone listens, and reads on after that: the server stops at a pipe that is full.
fn forward(stderr: ChildStderr, sender: &Sender<String>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let _ = sender.send(line);
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
