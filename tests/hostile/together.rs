//! Hostile guests beside honest ones, and after thousands of others: what they share is the host, and it keeps its threads
//! and its memory.

use super::{ATTACK, Text, assert_code, load_file, served_after};
use crate::rig::alone::{alone, held, run_alone};
use crate::rig::{Rig, Started, failure};
use crunchbox::error::Code;
use crunchbox::event::{Invocation, Outcome};
use crunchbox::limit::Limits;
use crunchbox::quantity::Bytes;
use futures_util::future::{Either, join_all, select, select_all};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Verbs that never come back, one for each kind of work.
const ENDLESS: [&str; 8] = [
    "spin", "ask", "look-on", "log-on", "print-on", "read-on", "hoard-on", "wait",
];

/// Longer than anybody waits for a test.
const HOUR: Duration = Duration::from_secs(3600);

/// How long a test waits for what is sure to come.
const PATIENCE: Duration = Duration::from_secs(60);

async fn handled(rig: &Started, event: &str) -> Outcome {
    let invocation = Invocation {
        event: event.into(),
        request_id: "test".into(),
        ..Invocation::default()
    };
    rig.host.handle(invocation).await
}

/// Honest events, one after another.
async fn honest(rig: &Started, count: usize) {
    for _ in 0..count {
        let outcome = handled(rig, r#""ok""#).await;
        assert_eq!(outcome.result.unwrap(), r#""ok""#);
    }
}

async fn endless(rig: &Started, verb: &str) -> Outcome {
    handled(rig, &format!("\"{verb}\"")).await
}

fn crowded(time: Duration) -> Started {
    let limits = |limits: &mut Limits| limits.time = time;
    Rig::of("hostile").at_once(16).limits(limits).start()
}

#[test]
fn eight_guests_that_never_end_hold_up_none_of_eight_that_do() {
    let rig = crowded(HOUR);
    rig.block_on(async {
        let hostile = select_all(ENDLESS.map(|verb| Box::pin(endless(&rig, verb))));
        let honest = join_all((0..8).map(|_| honest(&rig, 20)));
        match select(pin!(hostile), pin!(honest)).await {
            Either::Left(((outcome, which, _), _)) => panic!("{}: {outcome:?}", ENDLESS[which]),
            Either::Right(_) => {}
        }
    });
    served_after(&rig);
}

#[test]
fn a_guest_whose_event_nobody_waits_for_any_more_is_stopped() {
    let rig = crowded(HOUR);
    rig.block_on(async {
        let hostile = select_all(ENDLESS.map(|verb| Box::pin(endless(&rig, verb))));
        // They have begun once others have been served beside them.
        drop(select(pin!(hostile), pin!(honest(&rig, 20))).await);
    });
    // Each that still runs holds on to the guest.
    let given_up = Instant::now() + PATIENCE;
    while Arc::strong_count(&rig.host.guest()) > 2 {
        assert!(Instant::now() < given_up, "one of them still runs");
        std::thread::yield_now();
    }
    served_after(&rig);
}

#[test]
fn as_many_endless_guests_as_there_are_places_are_all_stopped_and_their_places_free() {
    let rig = crowded(Duration::from_millis(500));
    for _ in 0..2 {
        let both = ENDLESS.iter().chain(&ENDLESS);
        let outcomes = rig.block_on(join_all(both.map(|verb| endless(&rig, verb))));
        for outcome in outcomes {
            assert_code(&failure(outcome), Code::TimeLimit, "endless");
        }
    }
    rig.block_on(join_all((0..16).map(|_| honest(&rig, 2))));
}

#[test]
fn one_call_with_millions_of_lines_holds_up_nobody() {
    // No deadline and no tick ends a call while the host works for it, so it must not work long.
    let lines = Text::attacking(
        "(drop (memory.grow (i32.const 244)))
         (memory.fill (i32.const 65536) (i32.const 10) (local.get $n))
         (call $write (call $stdout) (i32.const 65536) (local.get $n) (i32.const 16))
         (call $answer (i32.const 1))",
    );
    let rig = lines.start(|_| {});
    rig.block_on(async {
        let flood = pin!(handled(&rig, "15900000"));
        let others = pin!(honest(&rig, 20_000));
        let first = select(flood, others).await;
        let is_flood = matches!(first, Either::Left(_));
        assert!(
            is_flood,
            "twenty thousand events were served before it was done"
        );
    });
    served_after(&rig);
}

/// Quick ways to end badly, by number.
const MIXED: [Code; 7] = [
    Code::Trap,
    Code::GuestExit,
    Code::StackLimit,
    Code::HandleLimit,
    Code::MemoryLimit,
    Code::GuestFailure,
    Code::ResponseNotJson,
];

fn mixed() -> Text {
    let mut text = Text::attacking(
        "(local $pages i32)
         (block $garbage (block $failure (block $memory (block $handles (block $deep (block $exit (block $trap
           (br_table $trap $exit $deep $handles $memory $failure $garbage (local.get $n)))
           unreachable)
           (call $exit (i32.const 1)))
           (drop (call $deep (i32.const 1))))
           (loop $more (drop (call $after (i64.const -1))) (br $more)))
           (loop $more
             (local.set $pages (memory.grow (i32.const 1)))
             (if (i32.eq (local.get $pages) (i32.const -1)) (then unreachable))
             (memory.fill (i32.shl (local.get $pages) (i32.const 16)) (i32.const 1) (i32.const 65536))
             (br $more)))
           (drop (memory.grow (i32.const 32)))
           (memory.fill (i32.const 65536) (i32.const 97) (i32.const 2097152))
           (i32.store (i32.const 0) (i32.const 1))
           (i64.store (i32.const 4) (i64.const 0x400010000))
           (i64.store (i32.const 12) (i64.const 0x10000000010000))
           (i64.store (i32.const 20) (i64.const 0))
           (i64.store (i32.const 28) (i64.const 0))
           (return (i32.const 0)))
         (i32.store (i32.const 0) (i32.const 0)) (i32.store (i32.const 4) (i32.const 64))
         (i32.store (i32.const 8) (i32.const 3)) (i32.const 0)",
    );
    text.attack +=
        "(func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0))))";
    text
}

/// Handles some mixed events, four at a time.
fn attacked(rig: &Started, rounds: usize) {
    for round in 0..rounds {
        let four = (0..4).map(|n| (round * 4 + n) % MIXED.len());
        let four = four.map(|kind| async move { (kind, handled(rig, &kind.to_string()).await) });
        for (kind, outcome) in rig.block_on(join_all(four)) {
            assert_code(&failure(outcome), MIXED[kind], &kind.to_string());
        }
    }
}

#[test]
fn ten_thousand_hostile_events_leave_the_hosts_memory_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = alone() else {
        let path = mixed().write(folder.path());
        let test = "ten_thousand_hostile_events_leave_the_hosts_memory_as_it_was";
        return run_alone(module_path!(), test, &path).unwrap();
    };
    let rig = Rig::of_file(&path, "hostile").at_once(4).limits(|limits| {
        limits.memory = Bytes::mebi(4);
        limits.handles = 500;
    });
    let rig = rig.start();
    attacked(&rig, 125);
    let before = held("VmRSS:");
    attacked(&rig, 2_500);
    let after = held("VmRSS:");
    assert!(
        after < before + 10_000,
        "{before} KiB before, {after} KiB after"
    );
    served_after(&rig);
}

/// Calls with as much as one may hand over, by number.
fn giant_calls() -> Text {
    Text::attacking(
        "(local $at i32)
         (drop (memory.grow (i32.const 256)))
         (block $output (block $key (block $path (block $fields (block $message
           (br_table $message $fields $path $key $output (local.get $n)))
           (memory.fill (i32.const 65536) (i32.const 97) (i32.const 16000000))
           (call $emit (i32.const 2) (i32.const 65536) (i32.const 16000000) (i32.const 0) (i32.const 0))
           (return (call $answer (i32.const 1))))
           (call $emit (i32.const 2) (i32.const 64) (i32.const 4) (i32.const 65536) (i32.const 300000))
           (return (call $answer (i32.const 1))))
           ;; Parts of one letter.
           (local.set $at (i32.const 65536))
           (loop $more
             (i64.store (local.get $at) (i64.const 0x100000040))
             (br_if $more (i32.lt_u
               (local.tee $at (i32.add (local.get $at) (i32.const 8)))
               (i32.const 4865536))))
           (call $source (i32.const 65536) (i32.const 600000) (i32.const 16))
           (return (call $answer (i32.const 1))))
           ;; `a.a.a.a` and so on.
           (local.set $at (i32.const 65536))
           (loop $more
             (i32.store (local.get $at) (i32.const 0x2e612e61))
             (br_if $more (i32.lt_u
               (local.tee $at (i32.add (local.get $at) (i32.const 4)))
               (i32.const 16065536))))
           (call $key (i32.const 65536) (i32.const 15999999) (i32.const 16))
           (return (call $answer (i32.const 1))))
         (memory.fill (i32.const 65536) (i32.const 97) (i32.const 16000000))
         (call $write (call $stdout) (i32.const 65536) (i32.const 16000000) (i32.const 16))
         (call $answer (i32.const 1))",
    )
}

#[test]
fn what_a_guest_hands_over_costs_the_host_a_few_times_as_much_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = alone() else {
        let path = giant_calls().write(folder.path());
        let test = "what_a_guest_hands_over_costs_the_host_a_few_times_as_much_and_no_more";
        return run_alone(module_path!(), test, &path).unwrap();
    };
    let rig = Rig::of_file(&path, "hostile").start();
    served_after(&rig);
    for kind in 0..5 {
        let before = held("VmRSS:");
        rig.handle(&kind.to_string()).result.unwrap();
        // The guest's own memory is in it.
        let most = held("VmHWM:") - before;
        assert!(most < 128 << 10, "call {kind} took {most} KiB");
    }
    served_after(&rig);
}

#[test]
fn instances_full_of_globals_cost_the_host_no_more_than_a_guests_memory() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = alone() else {
        let globals = "(global (mut i64) (i64.const 0))".repeat(500_000);
        let text = Text {
            beside: format!("(core module $full {globals})")
                + &"(core instance (instantiate $full))".repeat(50),
            ..Text::default()
        };
        let test = "instances_full_of_globals_cost_the_host_no_more_than_a_guests_memory";
        return run_alone(module_path!(), test, &text.write(folder.path())).unwrap();
    };
    let rig = Text::default().start(|_| {});
    let (honest, before) = (rig.host.guest(), held("VmRSS:"));
    // Whether it is refused as it is loaded or as it is made is all the same.
    if let Ok(full) = load_file(&rig, &path) {
        rig.host.swap(full);
        drop(rig.handle(ATTACK));
        rig.host.swap(honest);
    }
    let most = held("VmHWM:") - before;
    assert!(most < 192 << 10, "{most} KiB");
    served_after(&rig);
}
