//! Guests that take more memory or stack than they are given: the limit itself is theirs, and nothing beyond it.

use super::{
    ATTACK, Text, allocation, answered, assert_code, attack, failed, hostile, no_instance,
};
use crate::rig::{Rig, Started, component};
use crunchbox::error::Code;
use crunchbox::limit::Limits;
use crunchbox::quantity::Bytes;

/// Sixteen pages.
fn mebibyte(limits: &mut Limits) {
    limits.memory = Bytes::mebi(1);
    // What stands between a guest and its memory's limit is to be that alone.
    limits.tables = 10_000_000;
}

/// Whether a number in an event can be had.
fn has(rig: &Started, number: usize) -> bool {
    answered(rig, &number.to_string()) == "true"
}

/// Answers whether each of some growths by `$n` was had.
fn growing(more: &str, growths: &[&str]) -> Text {
    let had = |growth: &&str| format!("(i32.ne (i32.const -1) ({growth} (local.get $n)))");
    let all = growths.iter().map(had);
    let all = all.reduce(|all, one| format!("(i32.and {all} {one})"));
    let answer = format!("(call $answer {})", all.unwrap_or_default());
    Text {
        attack: more.to_owned() + &attack(&answer),
        ..Text::default()
    }
}

#[test]
fn memory_grows_to_the_very_limit_and_not_a_page_further() {
    let rig = growing("", &["memory.grow"]).start(mebibyte);
    assert!(has(&rig, 15));
    // A page too many, all that a memory can have at once, and more than that.
    for pages in [16, 65_535, 65_536, 4_294_967_295] {
        assert!(!has(&rig, pages), "{pages}");
    }
    let outcome = rig.handle("15");
    assert_eq!(outcome.usage.memory_peak, 1 << 20);
    assert_eq!(rig.handle("16").usage.memory_peak, 1 << 16);
}

#[test]
fn many_memories_share_one_limit() {
    let memories = "(memory $b 1) (memory $c 1) (memory $d 1)";
    let growths = [
        "memory.grow 0",
        "memory.grow $b",
        "memory.grow $c",
        "memory.grow $d",
    ];
    let rig = growing(memories, &growths).start(mebibyte);
    assert!(has(&rig, 3) && !has(&rig, 4));
}

#[test]
fn tables_count_as_memory_and_share_its_limit() {
    // Fifteen pages of elements of eight bytes, beside the memory's one page.
    let tables = "(table $b 0 funcref) (table $c 0 funcref)";
    let rig = growing(tables, &["table.grow $b (ref.null func)"]).start(mebibyte);
    assert!(has(&rig, 122_880) && !has(&rig, 122_881));
    let growths = [
        "table.grow $b (ref.null func)",
        "table.grow $c (ref.null func)",
    ];
    let rig = growing(tables, &growths).start(mebibyte);
    assert!(has(&rig, 61_440) && !has(&rig, 61_441));
}

#[test]
fn a_table_grows_to_its_limit_and_not_an_element_further() {
    let table = "(table $b 10 funcref)";
    let rig = growing(table, &["table.grow $b (ref.null func)"]);
    let rig = rig.start(|limits| limits.tables = 1_000);
    assert!(has(&rig, 990) && !has(&rig, 991));
}

#[test]
fn many_tables_share_one_limit() {
    let tables = "(table $b 10 funcref) (table $c 10 funcref)";
    let growths = [
        "table.grow $b (ref.null func)",
        "table.grow $c (ref.null func)",
    ];
    let rig = growing(tables, &growths).start(|limits| limits.tables = 1_000);
    assert!(has(&rig, 490) && !has(&rig, 491));
}

#[test]
fn memory_that_is_declared_beyond_the_limit_is_never_made() {
    let honest = Text::default();
    let large = Text {
        memory: r#"(memory (export "memory") 17)"#.into(),
        ..Text::default()
    };
    let beside = |module: &str| Text {
        beside: format!("(core module $large {module}) (core instance (instantiate $large))"),
        ..Text::default()
    };
    assert_eq!(answered(&honest.start(mebibyte), ATTACK), "true");
    for (text, what) in [
        (large, "one memory"),
        (beside("(memory 15) (memory 1)"), "two memories"),
        (beside("(table 200000 funcref)"), "a table"),
        (beside("(memory 8) (table 100000 funcref)"), "both"),
    ] {
        let failure = no_instance(&text, mebibyte);
        assert_code(&failure, Code::MemoryLimit, what);
        assert!(failure.message.contains("limits.memory"), "{failure}");
    }
    let tables = |limits: &mut Limits| limits.tables = 100;
    let failure = no_instance(&beside("(table 101 funcref)"), tables);
    assert_code(&failure, Code::PartsLimit, "elements");
    assert!(failure.message.contains("limits.tables"), "{failure}");
}

#[test]
fn more_parts_than_allowed_are_never_made() {
    let limited = |limits: &mut Limits| limits.instances = 8;
    // The guest itself is made of two instances.
    let empty = |count: usize| Text {
        beside: "(core module $empty)".to_owned()
            + &"(core instance (instantiate $empty))".repeat(count),
        ..Text::default()
    };
    assert_eq!(answered(&empty(6).start(limited), ATTACK), "true");
    let failure = no_instance(&empty(7), limited);
    assert_code(&failure, Code::PartsLimit, "instances");
    assert!(failure.message.contains("limits.instances"), "{failure}");
    for part in ["(memory 0)", "(table 0 funcref)"] {
        let parts = part.repeat(90);
        let text = Text {
            beside: format!("(core module $many {parts}) (core instance (instantiate $many))"),
            ..Text::default()
        };
        assert_code(&no_instance(&text, limited), Code::PartsLimit, part);
    }
}

#[test]
fn memory_taken_by_a_start_function_counts() {
    let body = "(if (i32.eq (i32.const -1) (memory.grow (i32.const 16))) (then unreachable))";
    let failure = no_instance(&Text::starting(body), mebibyte);
    assert_code(&failure, Code::MemoryLimit, "start");
}

#[test]
fn data_outside_of_its_memory_is_a_trap() {
    let text = Text {
        beside: r#"(core module $outside (memory 1) (data (i32.const 65535) "ab"))
            (core instance (instantiate $outside))"#
            .into(),
        ..Text::default()
    };
    assert_code(&no_instance(&text, mebibyte), Code::Trap, "data");
}

#[test]
fn an_event_that_does_not_fit_a_guests_memory_is_that_guests_failure() {
    let event = format!("\"{}\"", "x".repeat((6 << 20) - 2));
    let rig = hostile(|limits| limits.memory = Bytes::mebi(2));
    assert_code(&failed(&rig, &event), Code::MemoryLimit, "compiled");
    let rig = Text::default().start(mebibyte);
    assert_code(&failed(&rig, &event), Code::MemoryLimit, "written");
}

#[test]
fn a_place_for_the_event_outside_of_memory_is_a_trap() {
    for place in ["-1", "65532", "65536", "2147483647"] {
        let text = Text {
            allocate: allocation(&format!(
                "(if (i32.eq (local.get $size) (i32.const 5)) (then (return (i32.const {place}))))"
            )),
            ..Text::default()
        };
        let failure = failed(&text.start(mebibyte), "11111");
        assert_code(&failure, Code::Trap, place);
    }
}

#[test]
fn a_recursion_without_end_is_stopped_wherever_it_is() {
    let deep =
        "(func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0))))";
    let call = "(drop (call $deep (i32.const 0)))";
    // Eight functions that call each other by way of a table, with what each holds on the stack.
    let round: String = (0..8)
        .map(|n| {
            let next = (n + 1) % 8;
            format!(
                "(func $f{n} (param i64) (result i64) (i64.add (i64.mul (local.get 0) (local.get 0))
                   (call_indirect $round (param i64) (result i64) (i64.add (local.get 0) (i64.const {n})) (i32.const {next}))))"
            )
        })
        .collect();
    let round = format!("{round} (table $round funcref (elem $f0 $f1 $f2 $f3 $f4 $f5 $f6 $f7))");
    let answer = "(call $answer (i32.const 1))";
    let handler = |functions: &str, call: &str| Text {
        attack: functions.to_owned() + &attack(&format!("{call} {answer}")),
        ..Text::default()
    };
    let itself = handler(deep, call);
    assert_code(&itself.failure(|_| {}), Code::StackLimit, "itself");
    // The host works on the same stack, and has room left at its very end.
    let host = "(func $deep (param i32) (result i32)
        (call $emit (i32.const 2) (i32.const 64) (i32.const 4) (i32.const 0) (i32.const 0))
        (call $source (i32.const 0) (i32.const 0) (i32.const 16))
        (i32.add (i32.const 1) (call $deep (local.get 0))))";
    let calling = handler(host, call);
    assert_code(&calling.failure(|_| {}), Code::StackLimit, "host");
    let others = handler(&round, "(drop (call $f0 (i64.const 1)))");
    assert_code(&others.failure(|_| {}), Code::StackLimit, "others");
    let allocate = Text {
        allocate: deep.to_owned()
            + &allocation(&format!(
                "(if (i32.eq (local.get $size) (i32.const 5)) (then {call}))"
            )),
        ..Text::default()
    };
    let failure = failed(&allocate.start(|_| {}), "11111");
    assert_code(&failure, Code::StackLimit, "allocate");
    let failure = no_instance(&Text::starting("(call $start)"), |_| {});
    assert_code(&failure, Code::StackLimit, "start");
}

#[test]
fn a_stack_ends_where_its_own_limit_says() {
    let deep = "(func $deep (param i32) (result i32)
        (if (result i32) (local.get 0)
          (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
          (else (i32.const 0))))";
    let text = Text {
        attack: deep.to_owned()
            + &attack("(call $answer (i32.eq (call $deep (local.get $n)) (local.get $n)))"),
        ..Text::default()
    };
    for (stack, fits, beyond) in [
        (Bytes(64 << 10), "100", "5000"),
        (Limits::default().stack, "1000", "60000"),
        (Bytes::mebi(8), "60000", "1000000"),
    ] {
        let rig = text.start(|limits| limits.stack = stack);
        assert_eq!(answered(&rig, fits), "true", "{stack}");
        let failure = failed(&rig, beyond);
        assert_code(&failure, Code::StackLimit, beyond);
        assert!(failure.message.contains("limits.stack"), "{failure}");
    }
}

#[test]
fn memory_that_threads_share_or_of_64_bits_is_refused_before_it_is_made() {
    // An instruction that waits for another thread would hold the host's, and no deadline would end it.
    let wait = "(func $wait (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))) (start $wait)";
    for module in [
        format!("(memory 1 1 shared) {wait}"),
        "(memory i64 1)".to_owned(),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let text =
            format!("(component (core module $m {module}) (core instance (instantiate $m)))");
        let rig = Rig::of_file(&component(folder.path(), &text), "odd");
        let failure = rig.try_start().err().expect("a refusal");
        assert_code(&failure, Code::ComponentInvalid, &module);
    }
}
