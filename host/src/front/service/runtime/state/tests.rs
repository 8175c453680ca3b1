use super::super::testing::{call, program};
use super::*;

fn state(mode: Mode) -> State {
    let mut program = program();
    program.mode = mode;
    State::new(&program)
}

fn event(id: &str, nonce: &str) -> Event {
    Event {
        call: call(id),
        nonce: nonce.to_owned(),
        deadline_ms: 0,
    }
}

/// One that has asked for its first event, with events in flight.
fn busy(mode: Mode, ids: &[&str]) -> State {
    let mut state = state(mode);
    state.ask().unwrap();
    for id in ids {
        state.begin(event(id, &format!("nonce of {id}")), oneshot::channel().0);
    }
    state
}

fn done(text: &'static str) -> Answer {
    Answer {
        result: Ok(Bytes::from_static(text.as_bytes())),
        content_type: None,
    }
}

fn given_id(event: Option<Result<Event, Refusal>>) -> Option<String> {
    event.map(|event| event.unwrap().call.request_id)
}

#[test]
fn an_event_that_is_not_answered_is_handed_out_again() {
    let mut state = busy(Mode::OneAtATime, &["a"]);
    assert_eq!(given_id(state.hand()).as_deref(), Some("a"));
    assert!(
        state.hand().is_none(),
        "another request waits for another event"
    );
    let again = state.ask().unwrap().unwrap();
    assert_eq!(again.nonce, "nonce of a");
    state.claim("a", None).unwrap();
    assert!(matches!(state.ask(), Err(Refusal::Order { .. })));
}

#[test]
fn each_request_gets_an_event_of_its_own_on_managed_instances() {
    let mut state = busy(Mode::Managed, &["a", "b"]);
    assert_eq!(given_id(state.hand()).as_deref(), Some("a"));
    assert!(state.ask().unwrap().is_none());
    assert_eq!(given_id(state.hand()).as_deref(), Some("b"));
    for id in ["b", "a"] {
        let nonce = state.claim(id, None).unwrap();
        state.answer(&nonce, done("1")).unwrap();
    }
}

#[test]
fn an_answer_counts_once_and_only_for_the_event_that_is_out() {
    let mut state = busy(Mode::OneAtATime, &["a"]);
    let early = state.claim("a", None).unwrap_err();
    assert!(matches!(early, Refusal::Order { from: "Ready", .. }));
    state.hand();
    assert_eq!(state.claim("b", None), Err(Refusal::RequestId));
    assert_eq!(
        state.claim("b", Some("nonce of a")),
        Err(Refusal::RequestId)
    );
    assert_eq!(
        state.claim("a", Some("nonce of an earlier try")),
        Err(Refusal::Stale)
    );
    let nonce = state.claim("a", Some("nonce of a")).unwrap();
    assert!(matches!(state.claim("a", None), Err(Refusal::Order { .. })));
    state.answer(&nonce, done("1")).unwrap();
    assert_eq!(state.answer(&nonce, done("2")), Err(Refusal::Stale));
    let Some(Given::Answer(answer)) = state.given(&nonce) else {
        panic!("an answer");
    };
    assert_eq!(answer.result.unwrap(), "1");
}

#[test]
fn an_answer_after_the_time_is_over_finds_nobody() {
    for mode in [Mode::OneAtATime, Mode::Managed] {
        let mut state = busy(mode, &["a"]);
        state.hand();
        let nonce = state.claim("a", None).unwrap();
        assert!(state.give_up(&nonce).is_none());
        assert!(state.take_caller(&nonce).is_some());
        assert_eq!(state.answer(&nonce, done("1")), Err(Refusal::Stale));
        assert!(state.claim("a", None).is_err());
    }
}

#[test]
fn an_answer_that_came_at_the_last_moment_counts() {
    let mut state = busy(Mode::OneAtATime, &["a"]);
    state.hand();
    let nonce = state.claim("a", None).unwrap();
    state.answer(&nonce, done("1")).unwrap();
    assert!(state.give_up(&nonce).is_some());
}

#[test]
fn a_process_that_ends_while_its_answer_is_read_has_answered() {
    let mut state = busy(Mode::OneAtATime, &["a"]);
    state.hand();
    let nonce = state.claim("a", None).unwrap();
    state.fail(Cause::ending());
    assert!(state.given(&nonce).is_none());
    state.answer(&nonce, done("1")).unwrap();
    assert!(matches!(state.given(&nonce), Some(Given::Answer(_))));
    assert_eq!(state.is_idle(), Some(false));
}

#[test]
fn the_first_cause_of_an_end_is_the_one_that_counts() {
    let mut state = busy(Mode::OneAtATime, &["a"]);
    state.hand();
    state.fail(Cause::truncated());
    state.fail(Cause::ending());
    let given = state.given("nonce of a");
    assert!(matches!(given, Some(Given::Broken(cause)) if cause == Cause::truncated()));
    assert!(matches!(state.hand(), Some(Err(Refusal::Over))));
}

#[test]
fn it_takes_events_once_the_runtime_and_all_extensions_have_asked() {
    let mut state = state(Mode::OneAtATime);
    let none = Registration::default();
    state.register("inside", &none, "1").unwrap();
    state.ask().unwrap();
    assert!(state.is_ready().is_none());
    let late = state.register("late", &none, "2");
    assert!(matches!(
        late,
        Err(Refusal::Extension {
            kind: "Extension.RegistrationClosed",
            ..
        })
    ));
    state.extension_ask("1").unwrap();
    assert_eq!(state.is_ready(), Some(Ok(())));
}

#[test]
fn an_event_lasts_until_runtime_and_extensions_ask_for_the_next() {
    let mut state = state(Mode::OneAtATime);
    let wanted = Registration::parse(b"{\"events\":[\"INVOKE\"]}").unwrap();
    state.register("inside", &wanted, "1").unwrap();
    state.ask().unwrap();
    state.extension_ask("1").unwrap();
    state.begin(event("a", "n"), oneshot::channel().0);
    state.hand();
    let told = state.extension_event("1").unwrap().unwrap();
    assert_eq!(told["eventType"], "INVOKE");
    assert_eq!(told["requestId"], "a");
    state.claim("a", None).unwrap();
    state.answer("n", done("1")).unwrap();
    assert_eq!(state.is_idle(), None);
    state.ask().unwrap();
    assert_eq!(state.is_idle(), None);
    state.extension_ask("1").unwrap();
    assert_eq!(state.is_idle(), Some(true));
}

#[test]
fn a_runtime_that_was_ready_cannot_fail_to_begin() {
    let mut state = state(Mode::OneAtATime);
    assert_eq!(state.check_init(), Ok(()));
    state.ask().unwrap();
    assert!(matches!(state.check_init(), Err(Refusal::Order { .. })));
}
