//! Guests that hand over too much, or what is not as the contract has it: the host takes what it allows, and refuses the
//! rest without a trace in the next event.

use super::{ATTACK, Text, answered, assert_code, failed, hostile, no_instance};
use crate::rig::failure;
use crunchbox::error::Code;
use crunchbox::limit::Limits;
use crunchbox::quantity::Bytes;

/// Room for what is then refused.
fn roomy(limits: &mut Limits) {
    limits.memory = Bytes::mebi(256);
}

/// Does something `$n` times.
fn times(body: &str) -> Text {
    Text::attacking(&format!(
        "(loop $more {body} (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $more (local.get $n)))
         (call $answer (i32.const 1))"
    ))
}

#[test]
fn handles_are_had_up_to_their_limit_and_not_one_more() {
    let rig = times("(drop (call $stdout))").start(|limits| limits.handles = 100);
    assert_eq!(answered(&rig, "100"), "true");
    let failure = failed(&rig, "101");
    assert_code(&failure, Code::HandleLimit, "streams");
    assert!(failure.message.contains("limits.handles"), "{failure}");
}

#[test]
fn a_million_handles_are_refused_whatever_they_are_of() {
    for body in [
        "(drop (call $stdout))",
        "(drop (call $at (i64.const 0)))",
        "(drop (call $after (i64.const -1)))",
    ] {
        let failure = failed(&times(body).start(|_| {}), "1000000");
        assert_code(&failure, Code::HandleLimit, body);
    }
}

#[test]
fn handles_that_were_given_back_count_no_more() {
    let rig = times("(call $close (call $stdout))").start(|limits| limits.handles = 10);
    assert_eq!(answered(&rig, "100000"), "true");
}

#[test]
fn one_handle_lent_a_hundred_thousand_times_is_refused() {
    let text = Text::attacking(
        "(local $at i32) (local $pollable i32)
         (drop (memory.grow (i32.const 8))) (local.set $at (i32.const 65536))
         (local.set $pollable (call $after (i64.const 0)))
         (loop $more
           (i32.store (local.get $at) (local.get $pollable))
           (local.set $at (i32.add (local.get $at) (i32.const 4)))
           (br_if $more (i32.lt_u (local.get $at) (i32.add (i32.const 65536) (i32.shl (local.get $n) (i32.const 2))))))
         (call $poll (i32.const 65536) (local.get $n) (i32.const 16)) (call $answer (i32.const 1))",
    );
    let rig = text.start(|_| {});
    assert_eq!(answered(&rig, "1000"), "true");
    let failure = failed(&rig, "100000");
    assert_code(&failure, Code::HandleLimit, "lent");
}

#[test]
fn handles_that_are_not_the_guests_or_of_another_kind_are_traps() {
    for body in [
        "(call $close (i32.const 0))",
        "(call $close (i32.const 12345))",
        "(call $close (i32.const -1))",
        "(call $block (call $stdout))",
        "(call $close (call $after (i64.const 0)))",
        "(local $stream i32) (local.set $stream (call $stdout))
         (call $close (local.get $stream)) (call $close (local.get $stream))",
        "(local $stream i32) (local.set $stream (call $stdout)) (call $close (local.get $stream))
         (call $write (local.get $stream) (i32.const 0) (i32.const 4) (i32.const 16))",
        // A stream that something else still waits for.
        "(local $stream i32) (local.set $stream (call $stdout))
         (drop (call $watch (local.get $stream))) (call $close (local.get $stream))",
    ] {
        let text = Text::attacking(&format!("{body} (call $answer (i32.const 1))"));
        assert_code(&text.failure(|_| {}), Code::Trap, body);
    }
}

#[test]
fn random_bytes_are_had_up_to_their_limit_and_not_one_more() {
    for function in ["random", "insecure"] {
        let text = Text::attacking(&format!(
            "(call ${function} (i64.extend_i32_s (local.get $n)) (i32.const 16))
             (call $answer (i32.eq (i32.load (i32.const 20)) (local.get $n)))"
        ));
        let rig = text.start(|limits| limits.random = 1_000);
        assert_eq!(answered(&rig, "1000"), "true");
        // One more, and as many as a number can say.
        for count in ["1001", "4294967295"] {
            let failure = failed(&rig, count);
            assert_code(&failure, Code::HostCallLimit, function);
            assert!(failure.message.contains("limits.random"), "{failure}");
        }
    }
}

#[test]
fn what_a_call_hands_over_is_taken_up_to_its_limit_and_not_a_byte_more() {
    let rig = hostile(|limits| limits.host_call = 10_000);
    answered(&rig, r#""say 10000""#);
    let failure = failed(&rig, r#""say 10001""#);
    assert_code(&failure, Code::HostCallLimit, "say");
    assert!(failure.message.contains("limits."), "{failure}");
}

#[test]
fn giant_texts_and_lists_are_refused_in_every_call() {
    let rig = hostile(roomy);
    for attack in [
        "say 67108864",
        "fields 1000000",
        "look 1000000",
        "abort 20971520",
    ] {
        let failure = failed(&rig, &format!("\"{attack}\""));
        assert_code(&failure, Code::HostCallLimit, attack);
    }
}

#[test]
fn large_texts_and_lists_within_the_limit_are_no_failure() {
    let rig = hostile(roomy);
    for attack in ["say 15000000", "fields 300000", "look 500000"] {
        answered(&rig, &format!("\"{attack}\""));
    }
}

#[test]
fn a_giant_message_at_the_end_is_cut() {
    let failure = failed(&hostile(roomy), r#""abort 2000000""#);
    assert_code(&failure, Code::GuestPanic, "abort");
    assert_eq!(failure.message.len(), 32 << 10);
    assert_eq!(failure.trace[0].len(), 1 << 10);
}

#[test]
fn giant_parts_of_a_failure_are_cut_or_left_out() {
    let rig = hostile(roomy);
    let kind = failed(&rig, r#""fail-kind 5000000""#);
    assert_code(&kind, Code::ReservedKind, "kind");
    assert!(kind.message.len() < 1 << 10, "{}", kind.message.len());
    for attack in [
        "message 5000000",
        "trace 500000",
        "place 5000000",
        "details 5000000",
    ] {
        let failure = failed(&rig, &format!("\"fail-{attack}\""));
        assert_code(&failure, Code::GuestFailure, attack);
        assert!(failure.message.len() <= 32 << 10 && failure.trace.len() <= 64);
        assert!(failure.trace.iter().all(|place| place.len() <= 1 << 10));
        assert_eq!(failure.details, None);
    }
}

#[test]
fn giant_responses_and_failures_are_too_large() {
    let rig = hostile(roomy);
    let failure = failed(&rig, r#""fail-message 20000000""#);
    assert_code(&failure, Code::ResponseTooLarge, "failure");
    // A hundred megabytes, none of which the guest has to write.
    let text = Text::attacking(
        "(drop (memory.grow (i32.const 1600)))
         (i32.store (i32.const 0) (i32.const 0)) (i32.store (i32.const 4) (i32.const 65536))
         (i32.store (i32.const 8) (i32.const 100000000)) (i32.const 0)",
    );
    assert_code(&text.failure(roomy), Code::ResponseTooLarge, "response");
}

#[test]
fn nesting_of_any_depth_is_read_without_a_stack() {
    let rig = hostile(roomy);
    assert_eq!(answered(&rig, r#""nest 3000000""#).len(), 6_000_000);
    let failure = failed(&rig, r#""fail-nested 30000""#);
    // No reader of log lines would take them.
    assert_eq!(failure.details, None);
}

#[test]
fn what_is_not_as_the_contract_has_it_is_a_trap() {
    let result = |kind: i32, at: i64, length: i64| {
        format!(
            "(i32.store (i32.const 200) (i32.const -1)) (i32.store (i32.const 0) (i32.const {kind}))
             (i32.store (i32.const 4) (i32.const {at})) (i32.store (i32.const 8) (i32.const {length})) (i32.const 0)"
        )
    };
    let call = |call: &str| {
        format!("(i32.store (i32.const 200) (i32.const -1)) {call} (call $answer (i32.const 1))")
    };
    let emit = |arguments: [i64; 5]| {
        let arguments = arguments.map(|argument| format!("(i32.const {argument})"));
        call(&format!("(call $emit {})", arguments.join(" ")))
    };
    for (body, what) in [
        (result(0, 200, 4), "a response that is not UTF-8"),
        (result(0, 65_530, 100), "a response beyond memory"),
        (result(0, 16, -1), "a response of four gigabytes"),
        (result(1, 200, 4), "a failure that is not UTF-8"),
        (result(7, 64, 4), "neither response nor failure"),
        ("(i32.const 2)".to_owned(), "a result across words"),
        ("(i32.const 65536)".to_owned(), "a result beyond memory"),
        (
            "(i32.const -4)".to_owned(),
            "a result at the end of all memory",
        ),
        (emit([2, 200, 4, 0, 0]), "a message that is not UTF-8"),
        (emit([2, 65_000, 1_000, 0, 0]), "a message beyond memory"),
        (emit([77, 64, 4, 0, 0]), "a level that is none"),
        (emit([2, 64, 4, 65_530, 9]), "fields beyond memory"),
        (emit([2, 64, 4, 1, 1]), "fields across words"),
        (
            emit([2, 64, 4, 0, -1]),
            "fields as many as there are numbers",
        ),
        (
            call("(call $source (i32.const 1) (i32.const 1) (i32.const 16))"),
            "a path across words",
        ),
        (
            call("(call $source (i32.const 0) (i32.const 0) (i32.const 65533))"),
            "no place for an answer",
        ),
        (
            call("(call $key (i32.const 200) (i32.const 4) (i32.const 16))"),
            "a key that is not UTF-8",
        ),
        (
            call("(call $poll (i32.const 0) (i32.const 0) (i32.const 16))"),
            "a wait for nothing",
        ),
        (
            call("(call $zeroes (call $stdout) (i64.const -1) (i32.const 16))"),
            "more zeroes than there is memory",
        ),
        (
            call("(call $exit (i32.const 255))"),
            "an end that is neither good nor bad",
        ),
    ] {
        let failure = Text::attacking(&body).failure(|_| {});
        assert_code(&failure, Code::Trap, what);
        assert!(!failure.message.is_empty(), "{what}");
    }
}

#[test]
fn an_exit_is_told_as_what_it_is_whatever_its_status() {
    let rig = hostile(|_| {});
    for (status, how) in [(0, "success"), (1, "an error"), (255, "an error")] {
        let failure = failed(&rig, &format!("\"exit {status}\""));
        assert_code(&failure, Code::GuestExit, how);
        assert!(failure.message.contains(how), "{failure}");
    }
    let failure = no_instance(&Text::starting("(call $exit (i32.const 0))"), |_| {});
    assert_code(&failure, Code::GuestExit, "start");
}

#[test]
fn nothing_of_the_machine_is_within_reach() {
    // This process has both, and a guest gets neither.
    assert!(std::env::vars().count() > 0 && std::env::args().count() > 0);
    let reached = answered(&hostile(|_| {}), r#""reach""#);
    let nothing = r#"{"variables":[],"arguments":[],"input":[],"read":[],"written":[]}"#;
    assert_eq!(reached, nothing);
}

/// A name that Rust's compiler could have written: each of its types is the one before twice, told by where that stands.
fn unfolding() -> String {
    let mut name = "INvC1a1b".to_owned();
    let mut last = name.len();
    name.push_str("ThhE");
    for _ in 0..60 {
        let twice = format!("TB{0}_B{0}_E", base_62(last - 1));
        last = name.len();
        name.push_str(&twice);
    }
    format!("_R{name}E")
}

fn base_62(number: usize) -> String {
    let digit = ('0'..='9')
        .chain('a'..='z')
        .chain('A'..='Z')
        .nth(number % 62);
    let before = if number < 62 {
        String::new()
    } else {
        base_62(number / 62)
    };
    before + &digit.unwrap().to_string()
}

#[test]
fn names_and_debug_sections_made_to_exhaust_their_reader_hide_no_trap() {
    let long = "n".repeat(1_000_000);
    let garbage = |byte: &str| -> String {
        let sections = [
            "info", "abbrev", "line", "str", "ranges", "aranges", "addr", "loc",
        ];
        let content = byte.repeat(4_096);
        let section = |name: &&str| format!("(@custom \".debug_{name}\" \"{content}\")");
        sections.iter().map(section).collect()
    };
    for (name, sections, what) in [
        (unfolding().as_str(), String::new(), "a name that unfolds"),
        (long.as_str(), String::new(), "a long name"),
        (
            "\\u{1b}[31m\\n\\u{0}",
            String::new(),
            "a name of control characters",
        ),
        ("deep", garbage("\\00"), "sections of zeroes"),
        ("deep", garbage("\\ff"), "sections of ones"),
        (
            "deep",
            garbage("\\01\\7f\\80\\00"),
            "sections of odd numbers",
        ),
    ] {
        let deep = format!(
            "(func $deep (@name \"{name}\") (param $n i32) (result i32)
               (if (i32.eqz (local.get $n)) (then unreachable))
               (call $deep (i32.sub (local.get $n) (i32.const 1))))"
        );
        let text = Text {
            attack: Text::attacking("(call $deep (i32.const 30))").attack + &deep + &sections,
            ..Text::default()
        };
        let rig = text.start(|_| {});
        let failure = failure(rig.handle(ATTACK));
        assert_code(&failure, Code::Trap, what);
        assert!(
            failure.trace.len() <= 64 && !failure.trace.is_empty(),
            "{what}"
        );
        assert!(
            failure.trace.iter().all(|place| place.len() <= 1 << 10),
            "{what}"
        );
        super::served_after(&rig);
    }
}
