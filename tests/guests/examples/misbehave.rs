//! Does what the event names, all of it what a guest should not.

#![allow(
    clippy::exit,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "misbehaving is what this guest is for"
)]

use crunchbox_sdk::{Context, Failure, handler, log};
use std::hint::black_box;
use std::io::Write;

#[handler(raw)]
fn misbehave(event: String, ctx: Context) -> Result<String, Failure> {
    let (verb, amount) = event
        .trim_matches('"')
        .split_once(' ')
        .unwrap_or_else(|| (event.trim_matches('"'), "0"));
    let amount: usize = amount.parse().unwrap_or_default();
    match verb {
        "fail" => {
            return Err(Failure {
                details: Some(r#"{"n":1}"#.into()),
                ..Failure::new("NoReadings", "nothing to do")
            });
        }
        "fail-as-host" => return Err(Failure::new("Crunchbox.HostPanic", "not me")),
        "fail-as-line" => return Err(Failure::new("two words\n", "not a kind")),
        "fail-unnamed" => return Err(Failure::new("", "no kind")),
        "panic" => panic!("the window was empty"),
        "overflow" => return Ok(deep(amount).to_string()),
        "trap" => trap(),
        "spin" => loop {
            black_box(amount);
        },
        "sleep" => std::thread::sleep(ctx.remaining() * 100),
        "hoard" => return Ok(hoard(amount).to_string()),
        "survive" => return Ok(survive(amount).to_string()),
        "creep" => return Ok(creep(amount).to_string()),
        "exit" => std::process::exit(3),
        "print" => print_many(amount),
        "log" => (0..amount).for_each(|n| log::error!(n; "line {n}")),
        "forge" => log::info!(level = "FATAL", requestId = "forged"; "a\n{{\"level\":\"FATAL\"}}"),
        "garbage" => return Ok("{\"half\":".to_owned()),
        "long" => return Ok(format!("\"{}\"", "x".repeat(amount.saturating_sub(2)))),
        other => return Err(Failure::new("UnknownVerb", other)),
    }
    Ok("null".to_owned())
}

fn trap() {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable()
}

fn deep(level: usize) -> usize {
    let held = black_box([level; 64]);
    if level == 0 {
        held[0]
    } else {
        deep(level - 1) + held[1]
    }
}

fn hoard(mebibytes: usize) -> usize {
    let blocks: Vec<Vec<u8>> = (0..mebibytes)
        .map(|n| vec![black_box(1); (1 << 20) + n])
        .collect();
    blocks.iter().map(Vec::len).sum()
}

/// Asks for too much in a way that can be refused, and goes on.
fn survive(mebibytes: usize) -> bool {
    let mut block: Vec<u8> = Vec::new();
    let refused = block.try_reserve(mebibytes << 20).is_err();
    black_box(&mut block);
    refused
}

/// Grows by a mebibyte at a time, each followed by growths that must fail; returns how many were had.
fn creep(mebibytes: usize) -> usize {
    #[cfg(target_arch = "wasm32")]
    return (0..mebibytes)
        .filter(|_| {
            let had = core::arch::wasm32::memory_grow::<0>(16) != usize::MAX;
            for absurd in [0xffff, 0x1_0000, usize::MAX] {
                black_box(core::arch::wasm32::memory_grow::<0>(absurd));
            }
            had
        })
        .count();
    #[cfg(not(target_arch = "wasm32"))]
    mebibytes
}

fn print_many(lines: usize) {
    let mut out = std::io::stdout().lock();
    (0..lines).for_each(|n| writeln!(out, "line {n}").unwrap_or_default());
    eprintln!("done");
    print!("no line break at the end");
    let _ = out.flush();
}
