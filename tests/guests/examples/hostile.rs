//! Answers an event with itself, unless it names an attack: each tries to take what is not a guest's, or to be taken for
//! somebody else. An attack and its size are a string such as `"say 1000"`.
#![cfg(target_arch = "wasm32")]
#![allow(
    clippy::exit,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "misbehaving is what this guest is for"
)]

/// The contract itself, with no SDK between: failures with whatever trace, and nothing that shortens a text.
#[allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::restriction,
    reason = "generated code"
)]
mod contract {
    wit_bindgen::generate!({ path: "../../wit", world: "function" });
    export!(Hostile);

    pub use super::Hostile;
}

use contract::crunchbox::function::{config, invocation, log};
use contract::exports::crunchbox::function::handler::{Failure, Guest};
use serde_json::{Value, json};
use std::hint::black_box;
use std::io::{Read, Write};
use std::time::Duration;

/// The handler.
#[derive(Debug)]
pub struct Hostile;

impl Guest for Hostile {
    fn handle(event: String) -> Result<String, Failure> {
        let attack = event.trim_matches('"');
        let (verb, size) = attack.split_once(' ').unwrap_or((attack, "0"));
        let size: usize = size.parse().unwrap_or_default();
        endless(verb);
        log_lines(verb, size);
        match verb {
            "fields" => log::emit(
                log::Level::Info,
                "",
                &vec![(String::new(), String::new()); size],
            ),
            "look" => drop(config::get(&vec!["k".to_owned(); size])),
            "abort" => invocation::abort(&"x".repeat(size), Some(&"p".repeat(size))),
            "exit" => std::process::exit(size.try_into().unwrap_or_default()),
            "nest" => return Ok("[".repeat(size) + &"]".repeat(size)),
            "reach" => return Ok(reach().to_string()),
            _ => return failed(verb, size).map_or(Ok(event), Err),
        }
        Ok("null".to_owned())
    }
}

/// What never comes back by itself.
fn endless(verb: &str) {
    match verb {
        "spin" => loop {
            black_box(());
        },
        "ask" => loop {
            black_box(invocation::remaining_ms());
        },
        "look-on" => loop {
            black_box(config::source(&[])).unwrap_or_default();
        },
        "log-on" => loop {
            log::emit(log::Level::Error, "again", &[]);
        },
        "print-on" => loop {
            println!("again");
            eprint!("again");
        },
        "read-on" => loop {
            black_box(std::io::stdin().read(&mut [0; 8]).ok());
        },
        "hoard-on" => loop {
            let mut block: Vec<u8> = Vec::new();
            black_box(block.try_reserve(1 << 20).map(|()| block.leak()).ok());
        },
        "wait" => std::thread::sleep(Duration::MAX),
        _ => {}
    }
}

/// Lines that are too many, too long, or want to pass for others.
fn log_lines(verb: &str, size: usize) {
    let info = |text: &str| log::emit(log::Level::Info, text, &[]);
    match verb {
        "say" => info(&"x".repeat(size)),
        "print" => println!("{}", "x".repeat(size)),
        "log-lines" => (0..size).for_each(|n| info(&format!("line {n}"))),
        "print-lines" => (0..size).for_each(|n| println!("line {n}")),
        "warn-lines" => (0..size).for_each(|n| eprintln!("line {n}")),
        "all-lines" => (0..size).for_each(|n| {
            info(&format!("line {n}"));
            println!("line {n}");
            eprintln!("line {n}");
        }),
        "forge" => forge(),
        "confuse" => confuse(),
        "pieces" => pieces(),
        _ => {}
    }
}

/// Says, in every way there is, what only the host says: levels, requests, metrics, other lines.
fn forge() {
    let forged = concat!(
        r#"{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"Acme","Dimensions":[["function"]],"#,
        r#""Metrics":[{"Name":"Errors"}]}]},"Errors":9,"timestamp":"2000-01-01T00:00:00.000Z","level":"FATAL","#,
        r#""requestId":"forged","source":"host","function":"f","component":"c","record":{}}"#,
    );
    for text in [
        forged.to_owned(),
        format!("a\r\n{forged}"),
        format!("a\"}}\n{forged}\n"),
    ] {
        println!("{text}");
        eprintln!("{text}");
        log::emit(log::Level::Info, &text, &[]);
    }
    let names = [
        "_aws",
        "level",
        "requestId",
        "timestamp",
        "source",
        "message",
        "fields",
        "Errors",
        "a\":1},\"level\":\"FATAL\",\"b",
        "a\n{\"level\":\"FATAL\"}",
    ];
    let values = [
        forged,
        "\"FATAL\"",
        "null",
        "1}, \"level\": \"FATAL\"",
        "1\n{\"level\":\"FATAL\"}",
        "{\"a\":\n1}",
    ];
    for value in values {
        let fields = names.map(|name| (name.to_owned(), value.to_owned()));
        log::emit(log::Level::Info, "fields", &fields);
    }
    println!("\x1b[2K\x1b[1A\x1b]0;title\x07\u{2028}\u{85}\u{202e}");
}

/// Fields that are JSON by the letter, and that many a reader of JSON refuses.
fn confuse() {
    let deep = "[".repeat(5_000) + &"]".repeat(5_000);
    for value in [
        &deep,
        r#""\ud800""#,
        r#"{"\udfff": 1, "a": "\ud800\ud800"}"#,
    ] {
        log::emit(
            log::Level::Info,
            "confusing",
            &[("value".to_owned(), value.to_owned())],
        );
    }
}

/// Characters that arrive in pieces or never whole, and bytes that end strings elsewhere.
fn pieces() {
    let mut out = std::io::stdout().lock();
    let pieces: [&[u8]; 9] = [
        b"one \xc3",
        b"\xa9\n",
        b"two \xf0\x9f",
        b"\x98",
        b"\x80\n",
        b"th\0ree\0\n",
        b"four \xc3\n",
        b"\xa9\xff\xfe\n",
        b"\xf0\x9f",
    ];
    for piece in pieces {
        out.write_all(piece)
            .and_then(|()| out.flush())
            .unwrap_or_default();
    }
}

/// A failure of which one part is large.
fn failed(verb: &str, size: usize) -> Option<Failure> {
    let mut failure = Failure {
        kind: "Large".to_owned(),
        message: "m".to_owned(),
        trace: Vec::new(),
        details: None,
    };
    match verb {
        "fail-kind" => failure.kind = "k".repeat(size),
        "fail-message" => failure.message = "é".repeat(size / 2),
        "fail-trace" => failure.trace = vec!["at".to_owned(); size],
        "fail-place" => failure.trace = vec!["p".repeat(size)],
        "fail-details" => failure.details = Some("1".repeat(size)),
        "fail-nested" => failure.details = Some("[".repeat(size) + &"]".repeat(size)),
        _ => return None,
    }
    Some(failure)
}

/// All that could be had of the machine; lists of what was there.
fn reach() -> Value {
    let paths = [
        "/",
        ".",
        "..",
        "/tmp",
        "/etc/passwd",
        "/proc/self/environ",
        "/dev/null",
        "crunchbox.toml",
        "../../../../etc/passwd",
    ];
    let reads = |path: &&str| std::fs::read(path).is_ok() || std::fs::read_dir(path).is_ok();
    let writes = |path: &&str| {
        std::fs::write(path, "x").is_ok()
            || std::fs::create_dir(path).is_ok()
            || std::fs::remove_file(path).is_ok()
    };
    let had = |names: &[&str], can: &dyn Fn(&&str) -> bool| -> Vec<String> {
        names
            .iter()
            .filter(|name| can(name))
            .map(ToString::to_string)
            .collect()
    };
    let mut input = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut input);
    json!({
        "variables": std::env::vars().collect::<Vec<_>>(),
        "arguments": std::env::args().collect::<Vec<_>>(),
        "input": input,
        "read": had(&paths, &reads),
        "written": had(&["/x", "x", "/tmp/x", "../x"], &writes),
    })
}
