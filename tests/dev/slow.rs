//! Clients that are slow, broken, or gone: others are served beside them, and nothing of theirs is kept.

use crate::rig::dev::{Ask, Dev, Gate};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// How many at once.
const MANY: usize = 1000;

/// How long something may take that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lets this process, and those it starts, have enough files for them all.
fn raise_file_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: Some(maximum.unwrap_or(u64::MAX).min(8192)),
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// The open files of a process.
fn files(dev: &Dev) -> usize {
    let folder = format!("/proc/{}/fd", dev.pid());
    std::fs::read_dir(folder).unwrap().count()
}

/// What memory a process holds, in KiB.
fn held(dev: &Dev) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", dev.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let words = line.unwrap().split_whitespace().next();
    words.unwrap().parse().unwrap()
}

/// Waits for what has to become true, by looking.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

fn connected(dev: &Dev, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(dev.authority()).unwrap();
    stream.write_all(sent.as_bytes()).unwrap();
    stream
}

#[test]
fn a_thousand_clients_that_stop_in_the_middle_keep_nobody_waiting() {
    raise_file_limit();
    let dev = Dev::guest("echo");
    dev.invoke("echo", "1").response();
    let before = (files(&dev), held(&dev));
    let head = "POST /2015-03-31/functions/echo/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n";
    let body = format!("{head}\r\n1");
    let sent = ["", "P", head, body.as_str()];
    let streams: Vec<_> = sent
        .iter()
        .cycle()
        .take(MANY)
        .map(|sent| connected(&dev, sent))
        .collect();
    for _ in 0..10 {
        assert_eq!(dev.invoke("echo", "[1]").response(), "[1]");
    }
    let grown = held(&dev).saturating_sub(before.1);
    assert!(grown < 128 << 10, "{grown} KiB for {MANY} connections");
    drop(streams);
    eventually("connections are closed", || files(&dev) < before.0 + 50);
    assert_eq!(dev.invoke("echo", "[2]").response(), "[2]");
}

#[test]
fn what_is_no_http_is_hung_up_on() {
    let dev = Dev::guest("echo");
    for sent in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "POST /2015-03-31/functions/echo/invocations HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ] {
        let mut stream = connected(&dev, sent);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = Vec::new();
        // Hung up on, with or without a word.
        let ended = stream
            .read_to_end(&mut answer)
            .map_err(|error| error.kind());
        assert_ne!(ended, Err(std::io::ErrorKind::WouldBlock), "{sent:?}");
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{sent:?}");
    }
    assert_eq!(dev.invoke("echo", "1").response(), "1");
}

#[test]
fn headers_without_an_end_are_refused() {
    let dev = Dev::guest("echo");
    let mut stream = connected(&dev, "GET / HTTP/1.1\r\n");
    let line = format!("x-long: {}\r\n", "x".repeat(1000));
    let sent = (0..100_000).take_while(|_| stream.write_all(line.as_bytes()).is_ok());
    assert!(
        sent.count() < 100_000,
        "a hundred megabytes of headers are taken"
    );
    assert_eq!(dev.invoke("echo", "1").response(), "1");
}

#[test]
fn a_body_that_ends_too_soon_is_no_event() {
    let dev = Dev::guest("echo");
    let head = "POST /2015-03-31/functions/echo/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n1";
    let mut stream = connected(&dev, head);
    stream.shutdown(Shutdown::Write).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(dev.invoke("echo", "2").response(), "2");
}

#[test]
fn a_caller_who_hangs_up_gives_its_place_back() {
    let gate = Gate::start();
    let project = gate.project();
    let dev = Dev::project(&project, &[".", "--no-watch", "--concurrency", "1"]);
    let gone = dev.asking(Ask::invoke("gated", gate.event()));
    let waiting = gate.wait();
    gone.give_up();
    waiting.go();
    // An event that needs nobody: a list of no steps.
    eventually("a place comes free", || {
        dev.invoke("gated", "[]").status == 200
    });
}
