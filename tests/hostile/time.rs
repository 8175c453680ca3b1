//! Guests that never end: they are stopped at their deadline, wherever they are.

use super::{Text, allocation, assert_code, attack, failed, hostile, no_instance};
use crunchbox::error::Code;
use crunchbox::limit::Limits;
use std::time::Duration;

const FOREVER: &str = "(loop $again (br $again))";

fn soon(limits: &mut Limits) {
    limits.time = Duration::from_millis(200);
}

#[test]
fn a_loop_that_keeps_calling_the_host_is_stopped() {
    let rig = hostile(soon);
    for verb in [
        "ask", "look-on", "log-on", "print-on", "read-on", "hoard-on",
    ] {
        let failure = failed(&rig, &format!("\"{verb}\""));
        assert_code(&failure, Code::TimeLimit, verb);
    }
}

#[test]
fn a_loop_is_stopped_in_whatever_form_it_is_written() {
    for body in [
        FOREVER,
        // No loop at all: each call takes the place of the one before.
        "(return_call $attack (local.get $n))",
        "(return_call_indirect (param i32) (result i32) (local.get $n) (i32.const 0))",
        // Instructions that work long each.
        "(drop (memory.grow (i32.const 1000)))
         (loop $again (memory.fill (i32.const 65536) (i32.const 1) (i32.const 65536000)) (br $again))",
        "(drop (memory.grow (i32.const 1000)))
         (loop $again (memory.copy (i32.const 65536) (i32.const 65537) (i32.const 65535999)) (br $again))",
        "(loop $again (drop (memory.grow (i32.const 0))) (br $again))",
        "(loop $again (drop (table.grow (ref.null func) (i32.const 0))) (br $again))",
    ] {
        let body = format!("{body} (call $answer (i32.const 1))");
        let table = "(table 1 funcref) (elem (i32.const 0) $attack)";
        let text = Text {
            attack: attack(&body) + table,
            ..Text::default()
        };
        assert_code(&text.failure(soon), Code::TimeLimit, &body);
    }
}

#[test]
fn a_loop_that_waits_for_the_event_or_follows_the_response_is_stopped() {
    // An event of five bytes.
    let before = Text {
        allocate: allocation(&format!(
            "(if (i32.eq (local.get $size) (i32.const 5)) (then {FOREVER}))"
        )),
        ..Text::default()
    };
    let failure = failed(&before.start(soon), "11111");
    assert_code(&failure, Code::TimeLimit, "before");
    let after = Text {
        // The response `true`, and not the event's own text.
        after: format!(
            r#"(func (export "after") (param i32) (if (i32.eq (i32.load (i32.const 4)) (i32.const 69)) (then {FOREVER})))"#
        ),
        ..Text::default()
    };
    assert_code(&after.failure(soon), Code::TimeLimit, "after");
}

#[test]
fn a_loop_or_a_wait_in_a_start_function_is_stopped() {
    let wait = "(call $block (call $after (i64.const -1)))";
    for body in [FOREVER, wait] {
        let failure = no_instance(&Text::starting(body), soon);
        assert_code(&failure, Code::TimeLimit, body);
    }
}

#[test]
fn a_wait_for_what_never_comes_is_stopped() {
    for body in [
        "(call $block (call $at (i64.const -1)))",
        "(call $block (call $after (i64.const -1)))",
        // Asks whether it is there, and never waits.
        "(local $pollable i32) (local.set $pollable (call $after (i64.const -1)))
         (loop $again (br_if $again (i32.eqz (call $ready (local.get $pollable)))))",
        // A thousand at once.
        "(local $at i32) (local.set $at (i32.const 4096))
         (loop $more
           (i32.store (local.get $at) (call $after (i64.const -1)))
           (local.set $at (i32.add (local.get $at) (i32.const 4)))
           (br_if $more (i32.lt_u (local.get $at) (i32.const 8096))))
         (call $poll (i32.const 4096) (i32.const 1000) (i32.const 16))",
        // For what is always there, again and again.
        "(local $pollable i32) (local.set $pollable (call $after (i64.const 0)))
         (loop $again (call $block (local.get $pollable)) (br $again))",
    ] {
        let text = Text::attacking(&format!("{body} (call $answer (i32.const 1))"));
        assert_code(&text.failure(soon), Code::TimeLimit, body);
    }
    let failure = failed(&hostile(soon), r#""wait""#);
    assert_code(&failure, Code::TimeLimit, "wait");
}
