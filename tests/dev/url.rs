//! Function URLs: a request as the event that Lambda makes of it, and a response as the answer that Lambda makes of that.

use super::{EVENT_BYTES_MAX, guests, json_of};
use crate::rig::dev::{Answer, Ask, Dev, native};
use serde_json::{Value, json};

fn asked(method: &'static str, path: &str) -> Ask {
    Ask::new(method, &format!("/lambda-url/{path}"))
}

#[test]
fn a_request_is_the_event_that_lambda_makes_of_it() {
    let dev = Dev::guest("echo");
    let ask = asked("GET", "echo/stations/oslo?x=1&x=2&y=%C3%A9&z")
        .header("Cookie", "a=1; b=2")
        .header("X-Two", "1")
        .header("X-Two", "2")
        .header("User-Agent", "tests");
    let event = dev.ask(ask).json();
    let host = dev.authority();
    for (path, wanted) in [
        ("/version", json!("2.0")),
        ("/routeKey", json!("$default")),
        ("/rawPath", json!("/stations/oslo")),
        ("/rawQueryString", json!("x=1&x=2&y=%C3%A9&z")),
        (
            "/queryStringParameters",
            json!({"x": "1,2", "y": "é", "z": ""}),
        ),
        ("/cookies", json!(["a=1", "b=2"])),
        ("/headers/x-two", json!("1,2")),
        ("/headers/host", json!(host)),
        ("/isBase64Encoded", json!(false)),
        ("/requestContext/accountId", json!("anonymous")),
        ("/requestContext/http/method", json!("GET")),
        ("/requestContext/http/path", json!("/stations/oslo")),
        ("/requestContext/http/protocol", json!("HTTP/1.1")),
        ("/requestContext/http/sourceIp", json!("127.0.0.1")),
        ("/requestContext/http/userAgent", json!("tests")),
        ("/requestContext/routeKey", json!("$default")),
        ("/requestContext/stage", json!("$default")),
    ] {
        assert_eq!(event.pointer(path), Some(&wanted), "{path} in {event}");
    }
    let context = &event["requestContext"];
    assert!(context["timeEpoch"].as_u64().unwrap() > 1_700_000_000_000);
    for name in ["requestId", "time", "domainName", "domainPrefix", "apiId"] {
        assert!(context[name].is_string(), "{name} in {event}");
    }
}

#[test]
fn a_body_that_is_text_comes_as_text_and_any_other_in_base64() {
    let dev = Dev::guest("echo");
    for (kind, body, wanted, encoded) in [
        (
            "application/json",
            &b"{\"a\": \"\xc3\xa9\"}"[..],
            "{\"a\": \"é\"}",
            false,
        ),
        ("text/plain; charset=utf-8", b"hello", "hello", false),
        ("application/octet-stream", b"\x00\xff\x01", "AP8B", true),
        ("image/png", b"hello", "aGVsbG8=", true),
        ("text/plain", b"\xff", "/w==", true),
    ] {
        let ask = asked("POST", "echo/").header("Content-Type", kind);
        let event = dev.ask(ask.body(body)).json();
        assert_eq!(
            (&event["body"], &event["isBase64Encoded"]),
            (&wanted.into(), &encoded.into()),
            "{kind}"
        );
    }
}

#[test]
fn the_url_that_is_said_at_the_start_leads_to_the_function() {
    let dev = guests(&["echo", "count"]);
    let url = dev.functions()[1]["url"].as_str().unwrap();
    let path = url.strip_prefix(dev.endpoint()).unwrap();
    assert_eq!(path, "/lambda-url/count/");
    let answer = dev.ask(Ask::new("GET", path));
    assert_eq!((answer.status, answer.text()), (200, "1"));
    assert_eq!(answer.header("Content-Type"), "application/json");
}

/// What becomes of a response of the program `native`.
fn answered(dev: &Dev, response: &Value) -> Answer {
    let order = json!({"do": "echo", "value": response});
    let ask = asked("POST", "program/").header("Content-Type", "application/json");
    dev.ask(ask.body(order.to_string()))
}

#[test]
fn a_response_with_a_status_is_an_answer_in_http() {
    let dev = Dev::program(native(), &[]);
    let answer = answered(
        &dev,
        &json!({
            "statusCode": 201,
            "headers": {"Content-Type": "text/html", "X-Mine": "yes"},
            "cookies": ["a=1; HttpOnly", "b=2"],
            "body": "<p>é",
        }),
    );
    assert_eq!((answer.status, answer.text()), (201, "<p>é"));
    assert_eq!(answer.header("Content-Type"), "text/html");
    assert_eq!(answer.header("X-Mine"), "yes");
    let cookies: Vec<_> = answer.headers.get_all("Set-Cookie").iter().collect();
    assert_eq!(cookies, ["a=1; HttpOnly", "b=2"]);
    let bytes = json!({"statusCode": 200, "body": "AP8B", "isBase64Encoded": true});
    assert_eq!(answered(&dev, &bytes).body, &b"\x00\xff\x01"[..]);
    let none = answered(&dev, &json!({"statusCode": 204}));
    assert_eq!((none.status, none.text()), (204, ""));
}

#[test]
fn a_response_without_a_status_is_the_body_as_it_is() {
    let dev = Dev::program(native(), &[]);
    for response in [json!({"a": [1, "é"]}), json!([1]), json!(null), json!(7)] {
        let answer = answered(&dev, &response);
        assert_eq!((answer.status, answer.json()), (200, response));
        assert_eq!(answer.header("Content-Type"), "application/json");
    }
}

#[test]
fn a_response_that_is_no_answer_in_http_is_a_bad_gateway_and_the_next_is_served() {
    let dev = Dev::program(native(), &[]);
    for response in [
        json!({"statusCode": 42}),
        json!({"statusCode": 100_000}),
        json!({"statusCode": "many"}),
        json!({"statusCode": 200, "headers": {"x": "a\r\nb: c"}}),
        json!({"statusCode": 200, "headers": {"a b": "c"}}),
        json!({"statusCode": 200, "body": "?", "isBase64Encoded": true}),
    ] {
        assert_eq!(answered(&dev, &response).status, 502, "{response}");
    }
    assert_eq!(answered(&dev, &json!({"statusCode": 200})).status, 200);
}

#[test]
fn a_failure_of_the_function_is_a_bad_gateway_that_tells_strangers_nothing() {
    let dev = Dev::guest("misbehave");
    // No event of a function URL is one that this guest knows.
    let answer = dev.ask(asked("GET", "misbehave/"));
    assert_eq!(answer.status, 502);
    assert!(!answer.text().contains("UnknownVerb"), "{}", answer.text());
    assert_ne!(dev.line_of("invocation")["outcome"], "ok");
}

#[test]
fn what_is_refused_at_a_url_has_a_status_of_its_own() {
    let dev = Dev::guest("echo");
    assert_eq!(dev.ask(asked("GET", "nobody/")).status, 404);
    let large = asked("POST", "echo/").body(json_of(EVENT_BYTES_MAX));
    assert_eq!(dev.ask(large).status, 413);
    assert_eq!(dev.ask(asked("GET", "echo/")).status, 200);
}
