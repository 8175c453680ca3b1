use super::*;
use http::Request;
use http_body_util::BodyExt as _;

fn place() -> UrlPlace {
    UrlPlace {
        function: "crunch".to_owned(),
        raw_path: "/my%20path/a%2Fb".to_owned(),
        domain_name: "127.0.0.1:9000".to_owned(),
        source_ip: "127.0.0.1".to_owned(),
        request_id: "id-1".to_owned(),
    }
}

fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::post(uri);
    for (name, value) in headers {
        request = request.header(*name, value.as_bytes());
    }
    request.body(()).unwrap().into_parts().0
}

fn event_of(uri: &str, headers: &[(&str, &str)], body: &'static [u8]) -> Value {
    let body = Bytes::from_static(body);
    let event = event(&parts(uri, headers), &body, &place()).unwrap();
    serde_json::from_slice(&event).unwrap()
}

#[test]
fn a_request_is_an_event_of_the_payload_format_2_0() {
    let headers = [
        ("Host", "127.0.0.1:9000"),
        ("Accept", "text/html"),
        ("accept", "text/plain"),
        ("content-type", "application/json; charset=utf-8"),
        ("user-agent", "curl/8"),
    ];
    let event = event_of("/lambda-url/crunch/x?a=1", &headers, b"{\"b\": 1}");
    let context = &event["requestContext"];
    let (time, epoch) = (context["time"].as_str().unwrap(), &context["timeEpoch"]);
    let expected = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/my%20path/a%2Fb",
        "rawQueryString": "a=1",
        "headers": {
            "host": "127.0.0.1:9000",
            "accept": "text/html,text/plain",
            "content-type": "application/json; charset=utf-8",
            "user-agent": "curl/8",
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-proto": "http",
            "x-forwarded-port": "9000",
        },
        "queryStringParameters": {"a": "1"},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "crunch",
            "domainName": "127.0.0.1:9000",
            "domainPrefix": "crunch",
            "http": {
                "method": "POST",
                "path": "/my%20path/a%2Fb",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "curl/8",
            },
            "requestId": "id-1",
            "routeKey": "$default",
            "stage": "$default",
            "time": time,
            "timeEpoch": epoch,
        },
        "body": "{\"b\": 1}",
        "isBase64Encoded": false,
    });
    assert_eq!(event, expected);
}

#[test]
fn the_time_is_written_as_in_logs_and_as_milliseconds() {
    let event = event_of("/", &[], b"");
    let context = &event["requestContext"];
    let (time, epoch) = (context["time"].as_str(), context["timeEpoch"].as_i64());
    let at = jiff::Timestamp::from_millisecond(epoch.unwrap()).unwrap();
    let expected = at.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
    assert_eq!(time, Some(expected.as_str()));
    let example = jiff::Timestamp::from_second(1_584_039_838).unwrap();
    let example = example.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
    assert_eq!(example, "12/Mar/2020:19:03:58 +0000");
}

#[test]
fn a_request_without_query_cookies_and_body_is_an_event_without_them() {
    let event = event_of("/lambda-url/crunch", &[], b"");
    for member in ["queryStringParameters", "cookies", "body"] {
        assert_eq!(event.get(member), None, "{member}");
    }
    assert_eq!(event["rawQueryString"], "");
    assert_eq!(event["isBase64Encoded"], false);
}

#[test]
fn parameters_are_decoded_and_joined_and_the_query_is_left_as_it_is() {
    for (query, expected) in [
        ("a=1&a=2&b=x%20y+z", json!({"a": "1,2", "b": "x y z"})),
        ("a&b=&=c", json!({"a": "", "b": "", "": "c"})),
        ("%C3%BC=%FF", json!({"ü": "\u{fffd}"})),
        ("a=%zz", json!({"a": "%zz"})),
    ] {
        let event = event_of(&format!("/?{query}"), &[], b"");
        assert_eq!(event["queryStringParameters"], expected, "{query}");
        assert_eq!(event["rawQueryString"], query);
    }
}

#[test]
fn cookies_stand_apart_from_the_headers() {
    let headers = [("cookie", "a=1; b=\"2;"), ("cookie", " c=3 "), ("x-a", "1")];
    let event = event_of("/", &headers, b"");
    assert_eq!(event["cookies"], json!(["a=1", "b=\"2", "c=3"]));
    assert_eq!(event["headers"].get("cookie"), None);
    assert_eq!(event["headers"]["x-a"], "1");
}

#[test]
fn headers_of_the_connection_are_not_the_functions_and_bad_bytes_stop_nothing() {
    let headers = [
        ("connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-name", "\u{fc}"),
    ];
    let event = event_of("/", &headers, b"");
    assert_eq!(event["headers"].get("connection"), None);
    assert_eq!(event["headers"].get("transfer-encoding"), None);
    assert_eq!(event["headers"]["x-forwarded-for"], "127.0.0.1");
    assert_eq!(event["headers"]["x-name"], "\u{fc}");
}

#[test]
fn a_body_is_text_only_where_its_type_says_so_and_its_bytes_are() {
    for (content_type, body, expected) in [
        (Some("text/plain"), &b"hello"[..], Some("hello")),
        (Some("TEXT/html; charset=utf-8"), &b"<p>"[..], Some("<p>")),
        (
            Some("application/json"),
            "{\"ü\":1}".as_bytes(),
            Some("{\"ü\":1}"),
        ),
        (Some("application/xml"), &b"<a/>"[..], Some("<a/>")),
        (Some("application/javascript"), &b"1"[..], Some("1")),
        (Some("text/plain"), &b"\xff"[..], None),
        (Some("application/x-www-form-urlencoded"), &b"a=1"[..], None),
        (Some("multipart/form-data; boundary=x"), &b"--x"[..], None),
        (Some("application/octet-stream"), &b"abc"[..], None),
        (Some(""), &b"abc"[..], None),
        (None, &b"abc"[..], None),
    ] {
        let headers: Vec<_> = content_type
            .map(|kind| ("content-type", kind))
            .into_iter()
            .collect();
        let event = event_of("/", &headers, body);
        let encoded = STANDARD.encode(body);
        assert_eq!(
            event["body"],
            expected.unwrap_or(&encoded),
            "{content_type:?}"
        );
        assert_eq!(
            event["isBase64Encoded"],
            expected.is_none(),
            "{content_type:?}"
        );
    }
}

#[test]
fn an_event_that_is_too_large_is_refused_even_if_the_body_is_not() {
    let text = [("content-type", "text/plain")];
    for (length, is_taken) in [
        (5 << 20, true),
        (EVENT_BYTES_MAX - 100, false),
        (EVENT_BYTES_MAX, false),
        (EVENT_BYTES_MAX + 1, false),
    ] {
        let body = Bytes::from(vec![b'a'; length]);
        let event = event(&parts("/", &text), &body, &place());
        assert_eq!(event.is_ok(), is_taken, "{length}");
        let refused = event.err().map(|error| error.name());
        assert_eq!(refused.is_none(), is_taken);
        assert!(refused.is_none_or(|name| name == "RequestTooLargeException"));
    }
    // Encoded, it is a third longer.
    let body = Bytes::from(vec![b'a'; 5 << 20]);
    assert!(event(&parts("/", &[]), &body, &place()).is_err());
}

#[tokio::test]
async fn a_refusal_has_its_status_and_says_why() {
    for (error, status, message) in [
        (
            ServiceError::NotFound("arn".to_owned()),
            404,
            "Function not found: arn",
        ),
        (ServiceError::TooManyRequests, 429, "Rate Exceeded."),
        (
            too_large(6_291_456),
            413,
            "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
        ),
    ] {
        let answer = refused(&error);
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers()["x-amzn-errortype"], error.name());
        assert_eq!(answer.headers().contains_key("retry-after"), status == 429);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let document: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(document, json!({"Message": message}));
    }
}
