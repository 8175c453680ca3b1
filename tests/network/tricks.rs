//! Ways to make a request mean another one than its grant: spellings of hosts and paths, proxies, addresses that are
//! this machine's or the platform's. In each case nobody is connected to.

use super::web::{Listener, Web};
use super::{answered, connect, get, granted, refusal};
use crate::rig::Rig;
use serde_json::{Value, json};

/// How a guest could call this machine without naming it.
const THIS_MACHINE: [&str; 15] = [
    "localhost",
    "LocalHost",
    "127.0.0.1",
    "127.1",
    "127.255.255.254",
    "0",
    "0.0.0.0",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "[::1]",
    "[::]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
];

/// A request with a path as it stands.
fn at_path(origin: &str, path: &str) -> Value {
    json!({"http": {"method": "GET", "url": origin, "path": path}})
}

#[test]
fn a_grant_of_anybody_does_not_mean_this_machine_however_it_is_spelled() {
    let listener = Listener::start();
    let started = granted(json!({"http": [listener.at("http://*:PORT")]}));
    for host in THIS_MACHINE {
        let url = listener.at(&format!("http://{host}:PORT/"));
        let kind = refusal(&started, &get(&url));
        assert_eq!(kind, "destination-IP-prohibited", "{host}");
        assert!(!listener.is_visited(), "{host}");
    }
}

#[test]
fn a_name_that_leads_to_this_machine_is_refused_although_it_is_granted_unless_it_is_localhost() {
    let listener = Listener::start();
    for name in ["127.1", "2130706433", "0x7f000001", "0"] {
        let origin = listener.at(&format!("http://{name}:PORT"));
        let started = granted(json!({"http": [origin]}));
        let kind = refusal(&started, &get(&origin));
        assert_eq!(kind, "destination-IP-prohibited", "{name}");
        assert!(!listener.is_visited(), "{name}");
    }
    let web = Web::start();
    let origin = web.origin().replace("127.0.0.1", "localhost");
    let started = granted(json!({"http": [origin]}));
    assert_eq!(answered(&started, &get(&origin))["status"], 200);
}

#[test]
fn a_grant_of_anybody_lifts_no_bound_of_a_grant_that_names_this_machine() {
    let web = Web::start();
    let any = web.origin().replace("127.0.0.1", "*");
    let one = format!("{}/one", web.origin());
    let started = granted(json!({"http": [any, one]}));
    let other = format!("{}/other", web.origin());
    assert_eq!(refusal(&started, &get(&other)), "destination-IP-prohibited");
    assert_eq!(answered(&started, &get(&one))["status"], 200);
    // Now there is a connection to this machine that is free.
    assert_eq!(refusal(&started, &get(&other)), "destination-IP-prohibited");
    assert_eq!(web.only().target, "/one");
}

#[test]
fn what_is_the_platforms_or_a_group_is_refused_at_once() {
    let started = granted(json!({"http": ["http://*"], "tcp": ["*:80"]}));
    for host in [
        "169.254.169.254",
        "169.254.100.1",
        "fd00:ec2::254",
        "fe80::1",
        "240.0.0.1",
    ] {
        let url = format!("http://{}/", bracketed(host));
        assert_eq!(
            refusal(&started, &get(&url)),
            "destination-IP-prohibited",
            "{host}"
        );
        assert_eq!(
            refusal(&started, &connect(host, 80)),
            "access-denied",
            "{host}"
        );
    }
    for host in ["224.0.0.1", "ff02::1", "255.255.255.255"] {
        let url = format!("http://{}/", bracketed(host));
        assert_eq!(
            refusal(&started, &get(&url)),
            "destination-IP-prohibited",
            "{host}"
        );
        assert_eq!(
            refusal(&started, &connect(host, 80)),
            "invalid-argument",
            "{host}"
        );
    }
}

fn bracketed(host: &str) -> String {
    match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    }
}

#[test]
fn the_runtime_api_is_out_of_reach_even_where_it_is_granted_in_full() {
    let api = Listener::start();
    let address = api.at("127.0.0.1:PORT");
    for host in ["127.0.0.1", "localhost"] {
        let to = api.at(&format!("{host}:PORT"));
        let url = format!("http://{to}");
        let started = Rig::of("network")
            .environment(&[("AWS_LAMBDA_RUNTIME_API", address.as_str())])
            .grants(json!({"http": [url], "tcp": [to]}))
            .start();
        assert_eq!(refusal(&started, &get(&url)), "destination-IP-prohibited");
        assert_eq!(
            refusal(&started, &connect(host, api.port())),
            "access-denied"
        );
        assert!(!api.is_visited(), "{host}");
    }
}

#[test]
fn a_path_that_climbs_out_of_its_grant_is_refused_however_it_is_spelled() {
    let listener = Listener::start();
    let origin = listener.at("http://127.0.0.1:PORT");
    let started = granted(json!({"http": [format!("{origin}/v1/*")]}));
    for path in [
        "/v1/../admin",
        "/v1/./../admin",
        "/v1/%2e%2e/admin",
        "/v1/%2E./admin",
        "/v1/..%2fadmin",
        "/v1/..%5cadmin",
        "/v1/..\\admin",
        "/v1/%252e%252e/admin",
        "/v1/..;a=b/admin",
        "/v1/x/..",
    ] {
        let kind = refusal(&started, &at_path(&origin, path));
        assert_eq!(kind, "HTTP-request-denied", "{path}");
        assert!(!listener.is_visited(), "{path}");
    }
}

#[test]
fn what_stands_before_an_at_is_no_host() {
    let listener = Listener::start();
    let started = granted(json!({"http": [listener.at("http://127.0.0.1:PORT")]}));
    for authority in [
        "user@127.0.0.1:PORT",
        "user:word@127.0.0.1:PORT",
        "127.0.0.1:PORT@127.0.0.2:PORT",
    ] {
        let url = listener.at(&format!("http://{authority}/"));
        assert_eq!(
            refusal(&started, &get(&url)),
            "HTTP-request-denied",
            "{authority}"
        );
        assert!(!listener.is_visited(), "{authority}");
    }
}

#[test]
fn no_granted_server_is_made_a_proxy_or_an_echo() {
    let listener = Listener::start();
    let origin = listener.at("http://127.0.0.1:PORT");
    let started = granted(json!({"http": [origin]}));
    for method in ["CONNECT", "TRACE"] {
        let event = json!({"http": {"method": method, "url": origin}});
        assert_eq!(refusal(&started, &event), "HTTP-request-denied", "{method}");
    }
    for path in ["http://other.example/", "other.example:443", "*"] {
        let kind = refusal(&started, &at_path(&origin, path));
        assert_eq!(kind, "HTTP-request-URI-invalid", "{path}");
    }
    assert!(!listener.is_visited());
}

#[test]
fn a_guest_sets_no_header_that_says_whom_a_request_is_for_or_where_it_ends() {
    let listener = Listener::start();
    let origin = listener.at("http://127.0.0.1:PORT");
    let started = granted(json!({"http": [origin]}));
    for name in [
        "Host",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Connection",
        "Transfer-Encoding",
        "Upgrade",
    ] {
        let event = json!({"http": {"method": "GET", "url": origin, "headers": {name: "x"}}});
        assert_eq!(refusal(&started, &event), "forbidden", "{name}");
    }
    let event = json!({"http": {"method": "GET", "url": origin, "headers": {"x": "a\r\nHost: b"}}});
    assert_eq!(refusal(&started, &event), "invalid-syntax");
    assert!(!listener.is_visited());
}
