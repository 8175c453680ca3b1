//! What functions reach in their language's own way: a database by a driver of Python's, the web by `fetch`.

use crate::rig::Postgres;
use crate::rig::started::Started;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;

#[test]
fn python_asks_postgresql_by_a_driver_of_its_own_and_the_host_speaks_tls() {
    let server = Postgres::shared();
    let project = Started::new("python");
    project.write("requirements.txt", "pg8000==1.31.6\n");
    project.write("ca.pem", server.ca_pem());
    let manifest = project.read("crunchbox.toml");
    let grant = format!(
        "\n[grants]\ntcp = [{{ to = \"localhost:{}\", tls = \"postgres\", ca = \"ca.pem\" }}]\n",
        server.port()
    );
    project.write("crunchbox.toml", &(manifest + &grant));
    project.write(
        "lambda_function.py",
        "import pg8000.native


def lambda_handler(event, context):
    database = pg8000.native.Connection(**event[\"database\"])
    rows = database.run(
        \"select 6 * :n, null, ssl::text from pg_stat_ssl where pid = pg_backend_pid()\", n=7
    )
    database.close()
    return rows
",
    );
    let event = json!({"database": {
        "host": "localhost", "port": server.port(), "user": server.user(),
        "password": server.password(), "database": server.database(),
    }});
    assert_eq!(project.run(&event.to_string()), json!([[42, null, "true"]]));
    project.replace("crunchbox.toml", "\n[grants]\ntcp", "\n[grants]\n# tcp");
    let said = project
        .refused(&["run", ".", "--data", &event.to_string()])
        .1;
    assert!(said.contains("[grants]"), "{said}");
}

/// Answers requests, one after the other, with what was asked.
fn echo() -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap();
            let line = String::from_utf8_lossy(&head[..read]);
            let line = line.lines().next().unwrap_or_default().to_owned();
            if line.contains("/end") {
                return;
            }
            let body = json!({ "asked": line }).to_string();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    };
    (port, std::thread::spawn(serve))
}

#[test]
fn javascript_fetches_what_is_granted_and_is_told_what_is_not() {
    let (port, server) = echo();
    let project = Started::new("javascript");
    let manifest = project.read("crunchbox.toml");
    let grant = format!("\n[grants]\nhttp = [\"GET http://127.0.0.1:{port}/granted/*\"]\n");
    project.write("crunchbox.toml", &(manifest + &grant));
    project.write(
        "src/handler.js",
        "export const handler = async ({ paths }) => {
  const answers = await Promise.all(paths.map((path) => fetch(path)));
  return Promise.all(answers.map((answer) => answer.json()));
};
",
    );
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let event = |paths: &[&str]| -> String {
        let paths: Vec<String> = paths.iter().map(|path| at(path)).collect();
        json!({ "paths": paths }).to_string()
    };
    let got: Value = project.run(&event(&["/granted/a", "/granted/b"]));
    assert_eq!(got[0]["asked"], "GET /granted/a HTTP/1.1");
    assert_eq!(got[1]["asked"], "GET /granted/b HTTP/1.1");
    let said = project
        .refused(&["run", ".", "--data", &event(&["/secret"])])
        .1;
    assert!(said.contains("[grants]"), "{said}");
    let mut end = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    end.write_all(b"GET /end HTTP/1.1\r\n\r\n").unwrap();
    server.join().unwrap();
}
