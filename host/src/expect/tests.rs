use super::*;

fn expected(text: &str) -> Expectation {
    Expectation::parse(text).unwrap()
}

fn response(text: &str) -> Got {
    Got::response(text).unwrap()
}

fn failed(kind: &str, message: &str) -> Got {
    Got::failure(FailureParts {
        kind,
        message,
        trace: &["inner (src/handler.js:7:12)".to_owned()],
        details: Some(r#"{"station": "oslo"}"#),
    })
}

/// The differences as a person reads them.
fn told(expectation: &str, got: &Got) -> Vec<String> {
    let differences = expected(expectation).differences(got);
    let line = |difference: &Difference| {
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".to_owned());
        format!(
            "{} {:?}: {}, {}",
            difference.path,
            difference.kind,
            side(&difference.expected),
            side(&difference.got)
        )
    };
    differences.iter().map(line).collect()
}

#[test]
fn what_is_the_same_by_value_is_as_expected_however_it_is_written() {
    for (expectation, got) in [
        ("0", "0.0"),
        ("0", "-0"),
        ("0e1", "0.000E-7"),
        ("10000000000000000", "1e+16"),
        ("1.50", "15e-1"),
        (
            "123456789012345678901234567890",
            "1.2345678901234567890123456789e29",
        ),
        (
            r#"{"a": 1, "b": [null, true]}"#,
            r#" {"b":[null,true],"a":1.0} "#,
        ),
        (r#""\u00e9""#, r#""é""#),
        ("{}", "{}"),
        (r#""$$5""#, r#""$5""#),
        (r#"{"$$any": "$$any"}"#, r#"{"$any": "$any"}"#),
    ] {
        assert!(
            told(expectation, &response(got)).is_empty(),
            "{expectation} {got}"
        );
    }
}

#[test]
fn what_is_another_value_is_a_difference_however_close_it_is() {
    for (expectation, got) in [
        ("9007199254740993", "9007199254740992"),
        ("0.1", "0.10000000000000000001"),
        ("1", "-1"),
        ("1", r#""1""#),
        ("0", "1e-400"),
        ("1e400", "1e401"),
        ("null", "false"),
        ("[1, 2]", "[1, 3]"),
        ("[]", "{}"),
        (r#""a""#, r#""A""#),
    ] {
        assert_eq!(
            told(expectation, &response(got)).len(),
            1,
            "{expectation} {got}"
        );
    }
}

#[test]
fn the_order_of_a_list_counts() {
    assert_eq!(told("[1, 2]", &response("[2, 1]")).len(), 2);
}

#[test]
fn each_difference_has_its_place() {
    let expectation = r#"{"a": {"b c": 1, "gone": [1]}, "list": [1, 2, 3], "$$x": 1}"#;
    let got = response(r#"{"a": {"b c": 2, "new": {"x": 1}}, "list": [1, 4], "$x": 1}"#);
    assert_eq!(
        told(expectation, &got),
        [
            r#"$.a["b c"] Different: 1, 2"#,
            "$.a.gone Missing: [1], nothing",
            r#"$.a.new Unexpected: nothing, {"x":1}"#,
            "$.list[1] Different: 2, 4",
            "$.list[2] Missing: 3, nothing",
        ]
    );
    assert_eq!(
        told("[]", &response("[7]")),
        ["$[0] Unexpected: nothing, 7"]
    );
}

#[test]
fn an_open_field_takes_what_is_of_its_kind_and_nothing_else() {
    let kinds = ["$string", "$number", "$boolean", "$array", "$object"];
    let values = [r#""""#, "1.5", "true", "[1]", r#"{"a": 1}"#];
    for (kind, marker) in kinds.iter().enumerate() {
        for (other, value) in values.iter().enumerate() {
            let marker = format!("[\"{marker}\"]");
            let differences = told(&marker, &response(&format!("[{value}]")));
            assert_eq!(differences.is_empty(), kind == other, "{marker} {value}");
        }
    }
    for value in values.iter().chain(&["null"]) {
        assert!(told(r#""$any""#, &response(value)).is_empty(), "{value}");
    }
    assert_eq!(told(r#"{"a": "$any"}"#, &response("{}")).len(), 1);
    for (value, is_integer) in [
        ("1.0", true),
        ("12e1", true),
        ("-0.0", true),
        ("1.5", false),
        ("1e-1", false),
    ] {
        let differences = told(r#""$integer""#, &response(value));
        assert_eq!(differences.is_empty(), is_integer, "{value}");
    }
}

#[test]
fn a_pattern_matches_the_whole_string() {
    for (pattern, got, fits) in [
        ("[a-z]+", r#""oslo""#, true),
        ("[a-z]+", r#""oslo 1""#, false),
        ("a|ab", r#""ab""#, true),
        ("a", r#""a\n""#, false),
        ("\\\\d+", "12", false),
    ] {
        let expectation = format!("\"$match {pattern}\"");
        assert_eq!(
            told(&expectation, &response(got)).is_empty(),
            fits,
            "{pattern} {got}"
        );
    }
}

#[test]
fn other_keys_are_allowed_only_where_it_says_so() {
    let got = response(r#"{"id": 1, "more": {"x": 1}}"#);
    assert!(told(r#"{"id": 1, "$others": "$any"}"#, &got).is_empty());
    assert_eq!(
        told(r#"{"id": 1, "more": {}}"#, &got),
        [r#"$.more.x Unexpected: nothing, 1"#]
    );
}

#[test]
fn a_failure_is_expected_by_the_members_that_are_written_down() {
    let got = failed("NoReadings", "no readings from oslo");
    for members in [
        "{}",
        r#"{"kind": "NoReadings"}"#,
        r#"{"kind": "NoReadings", "message": "$match no readings .*"}"#,
        r#"{"details": {"station": "oslo"}, "trace": "$array"}"#,
    ] {
        assert!(
            told(&format!("{{\"$failure\": {members}}}"), &got).is_empty(),
            "{members}"
        );
    }
    assert_eq!(
        told(r#"{"$failure": {"kind": "Other"}}"#, &got),
        [r#"$failure.kind Different: "Other", "NoReadings""#]
    );
}

#[test]
fn a_response_is_no_failure_and_a_failure_no_response() {
    let failure = r#"{"$failure":{"kind":"A"}}"#;
    assert_eq!(
        told(r#"{"$failure": {"kind": "A"}}"#, &response("1")),
        [format!("$ Different: {failure}, 1")]
    );
    let got = failed("A", "b");
    assert_eq!(told("1", &got).len(), 1);
    assert_eq!(told(r#"{"kind": "A", "message": "b"}"#, &got).len(), 1);
}

#[test]
fn what_is_no_expectation_is_refused_with_its_place() {
    for (text, path, words) in [
        ("{", "$", "EOF"),
        (r#"{"a": [1, "$sting"]}"#, "$.a[1]", "got `$sting`"),
        (r#""$5""#, "$", "is written `$$5`"),
        (r#""$match""#, "$", "$match REGEX"),
        (r#""$match a)(b""#, "$", "regular expression"),
        (r#"{"a": {"$other": 1}}"#, "$.a", "the key `$other`"),
        (r#"{"$others": 1}"#, r#"$["$others"]"#, "expected \"$any\""),
        (
            r#"{"a": {"$failure": {}}}"#,
            "$.a",
            "the only key of the whole",
        ),
        (r#"{"$failure": {}, "a": 1}"#, "$", "got `a` beside it"),
        (r#"{"$failure": "A"}"#, "$failure", "got a string"),
        (r#"{"$failure": {"kin": "A"}}"#, "$failure", "got `kin`"),
    ] {
        let problem = Expectation::parse(text).unwrap_err();
        assert_eq!(problem.path, path, "{text}");
        assert!(problem.what.contains(words), "{problem}");
    }
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    assert!(
        Got::response(&deep)
            .unwrap_err()
            .contains("levels of nesting")
    );
}

/// The expectation after an update, on one line.
fn updated(before: Option<&str>, got: &Got) -> String {
    let before = before.map(expected);
    let updated = Expectation::updated(before.as_ref(), got);
    assert!(updated.differences(got).is_empty(), "{updated}");
    let text = updated.to_string();
    assert!(expected(&text).differences(got).is_empty(), "{text}");
    updated.json().to_string()
}

#[test]
fn an_update_keeps_what_is_open_and_still_fits() {
    let before = r#"{"id": "$match [0-9]+", "at": "$number", "n": 1.0, "gone": 1, "rest": {"a": 1, "$others": "$any"}}"#;
    let got =
        response(r#"{"n": 1, "at": "now", "id": "7", "new": "$x", "rest": {"b": 2, "a": 3}}"#);
    assert_eq!(
        updated(Some(before), &got),
        r#"{"id":"$match [0-9]+","at":"now","n":1.0,"rest":{"a":3,"$others":"$any"},"new":"$$x"}"#
    );
    assert_eq!(
        updated(Some(r#"["$any", 2, 3]"#), &response("[1, 4]")),
        r#"["$any",4]"#
    );
    assert_eq!(updated(Some("1"), &response(r#"{"a": []}"#)), r#"{"a":[]}"#);
}

#[test]
fn an_update_writes_a_failure_by_kind_and_message() {
    let got = failed("NoReadings", "none");
    let written = r#"{"$failure":{"kind":"NoReadings","message":"none"}}"#;
    assert_eq!(updated(None, &got), written);
    assert_eq!(updated(Some("1"), &got), written);
    let before = r#"{"$failure": {"kind": "$string"}}"#;
    let kept = r#"{"$failure":{"kind":"$string"}}"#;
    assert_eq!(updated(Some(before), &got), kept);
}

#[test]
fn a_file_is_written_for_people() {
    let text = Expectation::updated(None, &response(r#"{"a":[1,{"b":1.10}],"c":[],"d":{}}"#));
    let lines = "{\n  \"a\": [\n    1,\n    {\n      \"b\": 1.10\n    }\n  ],\n  \"c\": [],\n  \"d\": {}\n}\n";
    assert_eq!(text.to_string(), lines);
}
