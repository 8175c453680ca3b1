//! `InvokeWithResponseStream`: an answer as frames of AWS's event stream, taken apart here by hand.

use super::{EVENT_BYTES_MAX, guests, json_of};
use crate::rig::dev::{Answer, Ask, Dev, native};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A frame: its headers, all of them texts, and what it carries.
struct Frame {
    headers: BTreeMap<String, String>,
    payload: Vec<u8>,
}

impl Frame {
    fn is(&self, kind: &str) -> bool {
        self.headers[":event-type"] == kind
    }
}

/// Splits bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

/// A number in the byte order of networks.
fn number(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .fold(0, |sum, byte| (sum << 8) | usize::from(*byte))
}

/// The checksum of zlib and of PNG.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 * (sum & 1))
        })
    })
}

/// Lengths, their checksum, headers, payload, and the checksum of all that.
/// Source: <https://smithy.io/2.0/aws/amazon-eventstream.html>.
fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let length = number(&bytes[..4]);
        let whole = take(&mut bytes, length);
        let (mut frame, sum) = whole.split_at(whole.len() - 4);
        assert_eq!(number(sum), crc32(frame) as usize);
        let prelude = take(&mut frame, 8);
        assert_eq!(number(take(&mut frame, 4)), crc32(prelude) as usize);
        let mut fields = take(&mut frame, number(&prelude[4..]));
        let mut headers = BTreeMap::new();
        while !fields.is_empty() {
            let length = number(take(&mut fields, 1));
            let name = take(&mut fields, length);
            assert_eq!(take(&mut fields, 1), [7], "a header that is no text");
            let length = number(take(&mut fields, 2));
            let value = take(&mut fields, length);
            let [name, value] = [name, value].map(|text| String::from_utf8(text.to_vec()).unwrap());
            headers.insert(name, value);
        }
        frames.push(Frame {
            headers,
            payload: frame.to_vec(),
        });
    }
    frames
}

fn asked(function: &str, event: String) -> Ask {
    let path = format!("/2021-11-15/functions/{function}/response-streaming-invocations");
    Ask::new("POST", &path).body(event)
}

/// The response that the chunks of a stream make, and how it ended.
fn read(answer: &Answer) -> (String, Value) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let kind = "application/vnd.amazon.eventstream";
    assert_eq!(answer.header("Content-Type"), kind);
    let mut frames = frames(&answer.body);
    let last = frames.pop().unwrap();
    assert!(last.is("InvokeComplete") && last.headers[":message-type"] == "event");
    assert_eq!(last.headers[":content-type"], "application/json");
    for frame in &frames {
        assert!(frame.is("PayloadChunk") && frame.headers[":message-type"] == "event");
    }
    let whole = frames.into_iter().flat_map(|frame| frame.payload);
    let whole = String::from_utf8(whole.collect()).unwrap();
    (whole, serde_json::from_slice(&last.payload).unwrap())
}

#[test]
fn a_response_is_frames_of_payload_and_one_that_says_it_is_complete() {
    let dev = Dev::guest("echo");
    for event in ["1".to_owned(), json_of(300_000), json_of(EVENT_BYTES_MAX)] {
        let answer = dev.ask(asked("echo", event.clone()));
        assert_eq!(answer.header("X-Amz-Executed-Version"), "1");
        let (response, complete) = read(&answer);
        assert!(response == event, "{}", response.len());
        assert_eq!(complete, json!({}));
    }
}

#[test]
fn a_failure_is_told_when_the_stream_is_complete() {
    let dev = Dev::guest("misbehave");
    let (response, complete) = read(&dev.ask(asked("misbehave", "\"fail\"".into())));
    assert_eq!(response, "");
    assert_eq!(complete["ErrorCode"], "NoReadings");
    let details = complete["ErrorDetails"].as_str().unwrap();
    assert!(details.contains("nothing to do"), "{details}");
}

#[test]
fn the_end_of_the_log_comes_with_the_last_frame() {
    let dev = Dev::guest("facts");
    let ask = asked("facts", "{}".into()).header("X-Amz-Log-Type", "Tail");
    let (_, complete) = read(&dev.ask(ask));
    let log = STANDARD.decode(complete["LogResult"].as_str().unwrap());
    let log = String::from_utf8(log.unwrap()).unwrap();
    assert!(
        log.contains("START RequestId: ") && log.contains("answering"),
        "{log}"
    );
}

#[test]
fn what_is_refused_is_refused_in_json_before_any_frame() {
    let dev = guests(&["echo"]);
    for (ask, status, kind) in [
        (
            asked("nobody", "1".into()),
            404,
            "ResourceNotFoundException",
        ),
        (
            asked("echo", "{".into()),
            400,
            "InvalidRequestContentException",
        ),
        (
            asked("echo", json_of(EVENT_BYTES_MAX + 1)),
            413,
            "RequestTooLargeException",
        ),
    ] {
        let answer = dev.ask(ask);
        assert_eq!(
            (answer.status, answer.header("x-amzn-ErrorType")),
            (status, kind)
        );
        assert!(answer.json()["Type"].is_string());
    }
}

/// The event that lets the program `native` answer in parts.
fn parts(chunks: &[&str]) -> Value {
    let prelude = json!({
        "statusCode": 203,
        "headers": {"x-mine": "yes", "content-type": "text/plain"},
        "cookies": ["a=1; Path=/", "b=2"],
    });
    json!({"do": "stream", "value": {"prelude": prelude, "chunks": chunks}})
}

#[test]
fn a_program_that_streams_is_passed_on_part_by_part() {
    let dev = Dev::program(native(), &[]);
    let (response, complete) =
        read(&dev.ask(asked("program", parts(&["one ", "two"]).to_string())));
    let (prelude, rest) = response.split_once("\0\0\0\0\0\0\0\0").unwrap();
    let prelude: Value = serde_json::from_str(prelude).unwrap();
    assert_eq!((&prelude["statusCode"], rest), (&203.into(), "one two"));
    assert_eq!(complete, json!({}));
}

#[test]
fn a_function_url_takes_status_headers_and_cookies_from_a_stream() {
    let dev = Dev::program(native(), &[]);
    let long = "x".repeat(100_000);
    let order = parts(&["one ", &long, "two"]).to_string();
    let ask = Ask::new("POST", "/lambda-url/program/").header("Content-Type", "application/json");
    let answer = dev.ask(ask.body(order));
    assert_eq!(answer.status, 203);
    assert_eq!(answer.header("x-mine"), "yes");
    assert_eq!(answer.header("Content-Type"), "text/plain");
    let cookies: Vec<_> = answer.headers.get_all("Set-Cookie").iter().collect();
    assert_eq!(cookies, ["a=1; Path=/", "b=2"]);
    assert!(answer.text() == format!("one {long}two"));
}
