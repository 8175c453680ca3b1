use super::*;
use crate::event::RESPONSE_BYTES_MAX;
use crate::front::service::call::{FunctionError, Served};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

fn reply(body: ReplyBody) -> Reply {
    let served = Served {
        version: "41".to_owned(),
        release: Some("3f2a91c0".to_owned()),
    };
    Reply { served, body }
}

fn whole(result: Result<Bytes, FunctionError>) -> Reply {
    reply(ReplyBody::Whole(Whole {
        result,
        content_type: None,
        log: Bytes::new(),
    }))
}

fn arriving(content_type: Option<&str>, parts: Vec<Part>) -> Reply {
    let (sender, receiver) = mpsc::channel(parts.len().max(1));
    for part in parts {
        sender.try_send(part).unwrap();
    }
    reply(ReplyBody::Streamed {
        content_type: content_type.map(str::to_owned),
        parts: receiver,
    })
}

fn chunk(bytes: impl Into<Vec<u8>>) -> Part {
    let bytes: Vec<u8> = bytes.into();
    Part::Chunk(bytes.into())
}

fn end() -> Part {
    Part::End(End::default())
}

fn failure() -> FunctionError {
    FunctionError::new("Oops", "no")
}

fn failed() -> Part {
    Part::End(End {
        error: Some(failure()),
        log: Bytes::new(),
    })
}

/// The status, the content type and the body.
async fn seen(answer: Answer) -> (u16, String, Vec<u8>) {
    let content_type = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, content_type, body.to_vec())
}

async fn of(response: &'static str) -> (u16, String, Vec<u8>) {
    seen(answered(whole(Ok(response.into())), "id-1").await).await
}

#[tokio::test]
async fn a_response_without_a_status_is_the_body() {
    for (response, body) in [
        ("{\"hello\": \"world\"}", "{\"hello\": \"world\"}"),
        (
            "{\"body\":\"x\",\"headers\":{\"a\":1}}",
            "{\"body\":\"x\",\"headers\":{\"a\":1}}",
        ),
        ("{\"statusCode\":null}", "{\"statusCode\":null}"),
        ("[200,{},[],\"x\",false]", "[200,{},[],\"x\",false]"),
        ("3.1", "3.1"),
        ("true", "true"),
        ("null", "null"),
        ("\"hel\\u006co\"", "hello"),
        (
            "123456789012345678901234567890",
            "123456789012345678901234567890",
        ),
        ("{", "{"),
        ("", ""),
    ] {
        let expected = (200, JSON.to_owned(), body.as_bytes().to_vec());
        assert_eq!(of(response).await, expected, "{response}");
    }
}

#[tokio::test]
async fn a_response_with_a_status_is_taken_at_its_word() {
    for (response, status, content_type, body) in [
        (
            r#"{"statusCode":200,"body":"body123"}"#,
            200,
            JSON,
            "body123",
        ),
        (
            r#"{"statusCode":"418","body":"i'm a teapot"}"#,
            418,
            JSON,
            "i'm a teapot",
        ),
        (r#"{"statusCode":204}"#, 204, JSON, ""),
        (
            r#"{"statusCode":200,"body":null,"headers":null,"cookies":null}"#,
            200,
            JSON,
            "",
        ),
        (
            r#"{"statusCode":200,"body":{"a": 1e400}}"#,
            200,
            JSON,
            r#"{"a": 1e400}"#,
        ),
        (
            r#"{"statusCode":500,"body":"x","isBase64Encoded":false}"#,
            500,
            JSON,
            "x",
        ),
        (
            r#"{"headers":{"Content-Type":"text/html"},"body":"PHA+","isBase64Encoded":true,"statusCode":201,"more":[]}"#,
            201,
            "text/html",
            "<p>",
        ),
    ] {
        let expected = (status, content_type.to_owned(), body.as_bytes().to_vec());
        assert_eq!(of(response).await, expected, "{response}");
    }
}

#[tokio::test]
async fn headers_and_cookies_reach_the_caller_but_for_those_of_the_server() {
    let response = r#"{"statusCode":302,"headers":{"Location":"/x","X-Count":3,"x-on":true,"x-none":null,
        "content-length":"999","Transfer-Encoding":"chunked","connection":"close"},"cookies":["a=1; Secure","b=2"]}"#;
    let answer = answered(whole(Ok(response.into())), "id-1").await;
    let headers = answer.headers();
    for (name, expected) in [
        ("location", "/x"),
        ("x-count", "3"),
        ("x-on", "true"),
        ("content-type", "application/json"),
        ("x-amzn-requestid", "id-1"),
        ("x-crunchbox-release", "3f2a91c0"),
    ] {
        assert_eq!(headers[name], expected);
    }
    for name in [
        "x-none",
        "content-length",
        "transfer-encoding",
        "connection",
    ] {
        assert!(!headers.contains_key(name), "{name}");
    }
    let cookies: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
    assert_eq!(cookies, ["a=1; Secure", "b=2"]);
}

#[tokio::test]
async fn a_response_of_a_bad_shape_is_status_502_and_says_why_in_a_header() {
    for (response, why) in [
        (r#"{"statusCode":42}"#, "statusCode"),
        (r#"{"statusCode":101}"#, "statusCode"),
        (r#"{"statusCode":600}"#, "statusCode"),
        (r#"{"statusCode":200.5}"#, "statusCode"),
        (r#"{"statusCode":"OK"}"#, "statusCode"),
        (r#"{"statusCode":-200}"#, "statusCode"),
        (r#"{"statusCode":{}}"#, "statusCode"),
        (r#"{"statusCode":200,"headers":[]}"#, "headers"),
        (r#"{"statusCode":200,"headers":{"a":["b"]}}"#, "header"),
        (r#"{"statusCode":200,"headers":{"a b":"c"}}"#, "name"),
        (r#"{"statusCode":200,"headers":{"":"c"}}"#, "name"),
        (r#"{"statusCode":200,"headers":{"a":"b\r\nc: d"}}"#, "bytes"),
        (r#"{"statusCode":200,"cookies":"a=1"}"#, "cookies"),
        (r#"{"statusCode":200,"cookies":["a\n"]}"#, "cookie"),
        (
            r#"{"statusCode":200,"body":"?","isBase64Encoded":true}"#,
            "Base64",
        ),
        (
            r#"{"statusCode":200,"body":{},"isBase64Encoded":true}"#,
            "Base64",
        ),
    ] {
        let answer = answered(whole(Ok(response.into())), "id-1").await;
        let told = answer.headers()["x-crunchbox-problem"].to_str().unwrap();
        assert!(told.contains(why), "{response}: {told}");
        let expected = (502, JSON.to_owned(), b"Internal Server Error".to_vec());
        assert_eq!(seen(answer).await, expected, "{response}");
    }
}

#[tokio::test]
async fn more_headers_than_a_response_can_have_are_refused() {
    let headers: Vec<_> = (0..40_000)
        .map(|number| format!("\"x-{number}\":1"))
        .collect();
    let response = format!(
        "{{\"statusCode\":200,\"headers\":{{{}}}}}",
        headers.join(",")
    );
    let answer = answered(whole(Ok(response.into())), "id-1").await;
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    // Values of one name are not counted among them, nor do they stop anything.
    let cookies = vec!["\"a=1\""; 40_000].join(",");
    let response = format!("{{\"statusCode\":200,\"cookies\":[{cookies}]}}");
    let answer = answered(whole(Ok(response.into())), "id-1").await;
    assert_eq!(answer.headers().get_all(SET_COOKIE).iter().count(), 40_000);
}

#[tokio::test]
async fn nesting_without_end_breaks_nothing() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (response, status) in [
        (deep.clone(), 200),
        (format!("{{\"statusCode\":200,\"body\":{deep}}}"), 200),
        (format!("{{\"statusCode\":{deep}}}"), 502),
        (
            format!("{{\"statusCode\":200,\"headers\":{{\"a\":{deep}}}}}"),
            502,
        ),
    ] {
        let answer = answered(whole(Ok(response.into())), "id-1").await;
        assert_eq!(answer.status().as_u16(), status);
    }
}

#[tokio::test]
async fn a_failed_function_and_one_that_says_too_much_are_status_502() {
    let long = Bytes::from(vec![b'1'; RESPONSE_BYTES_MAX + 1]);
    for reply in [whole(Err(failure())), whole(Ok(long))] {
        let expected = (502, JSON.to_owned(), b"Internal Server Error".to_vec());
        let answer = answered(reply, "id-1").await;
        assert_eq!(answer.headers()["x-amzn-requestid"], "id-1");
        assert_eq!(seen(answer).await, expected);
    }
}

#[tokio::test]
async fn a_prelude_is_read_wherever_its_parts_are_split() {
    let mut bytes = br#"{"statusCode":201,"headers":{"x-a":"b"},"cookies":["c=1"]}"#.to_vec();
    bytes.extend_from_slice(&DELIMITER);
    // A body may begin with what looks like more of the delimiter.
    bytes.extend_from_slice(b"\0body");
    for size in [1, 3, 7, 8, 9, bytes.len() - 1, bytes.len()] {
        let mut parts: Vec<_> = bytes.chunks(size).map(chunk).collect();
        parts.push(end());
        let answer = answered(arriving(Some(WITH_PRELUDE), parts), "id-1").await;
        assert_eq!(answer.headers()["x-a"], "b");
        assert_eq!(answer.headers()[SET_COOKIE], "c=1");
        let expected = (201, BYTES.to_owned(), b"\0body".to_vec());
        assert_eq!(seen(answer).await, expected, "parts of {size}");
    }
}

#[tokio::test]
async fn a_prelude_without_a_status_or_a_body_is_enough() {
    let parts = vec![chunk("{}\0\0\0\0\0\0\0\0"), end()];
    let kind = format!("{}; charset=utf-8", WITH_PRELUDE.to_uppercase());
    let answer = answered(arriving(Some(&kind), parts), "id-1").await;
    assert_eq!(seen(answer).await, (200, BYTES.to_owned(), Vec::new()));
}

#[tokio::test]
async fn a_prelude_that_is_none_is_status_502() {
    let long = vec![b' '; PRELUDE_BYTES_MAX + 1];
    for parts in [
        vec![],
        vec![end()],
        vec![failed()],
        vec![chunk("{\"statusCode\":200}"), end()],
        vec![chunk("{}\0\0\0\0\0\0\0"), failed()],
        vec![chunk("{}\0\0\0\0"), chunk("{}\0\0\0\0"), end()],
        vec![chunk("\0\0\0\0\0\0\0\0body"), end()],
        vec![chunk("[200]\0\0\0\0\0\0\0\0body"), end()],
        vec![chunk("{\"statusCode\":1}\0\0\0\0\0\0\0\0body"), end()],
        vec![chunk(long.clone()), chunk("\0\0\0\0\0\0\0\0"), end()],
        vec![chunk([long, DELIMITER.to_vec()].concat()), end()],
    ] {
        let shown = format!("{parts:?}");
        let answer = answered(arriving(Some(WITH_PRELUDE), parts), "id-1").await;
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY, "{shown:.100}");
    }
}

#[tokio::test]
async fn any_other_stream_is_sent_through_with_its_type() {
    for (content_type, expected) in [
        (Some("text/event-stream"), "text/event-stream"),
        (None, BYTES),
    ] {
        let parts = vec![chunk("a"), chunk(""), chunk("b"), end()];
        let answer = answered(arriving(content_type, parts), "id-1").await;
        assert_eq!(
            seen(answer).await,
            (200, expected.to_owned(), b"ab".to_vec())
        );
    }
    let answer = answered(arriving(None, vec![end()]), "id-1").await;
    assert_eq!(seen(answer).await, (200, BYTES.to_owned(), Vec::new()));
}

#[tokio::test]
async fn a_stream_that_fails_before_its_first_byte_is_status_502() {
    for parts in [vec![], vec![failed()]] {
        let answer = answered(arriving(None, parts), "id-1").await;
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    }
}

#[tokio::test]
async fn a_stream_that_fails_later_is_broken_off() {
    for parts in [vec![chunk("a")], vec![chunk("a"), failed()]] {
        let answer = answered(arriving(None, parts), "id-1").await;
        assert_eq!(answer.status(), StatusCode::OK);
        let mut body = answer.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "a");
        assert!(body.frame().await.unwrap().is_err());
    }
}
