//! What YAML becomes, and what of it is refused: the words and the line.

use super::*;
use crate::config::tests::sealed;

/// A whole file as it is sealed.
fn file(text: &str) -> String {
    sealed(&read(text).unwrap()).0
}

/// Each value is what its JSON says.
fn values_are(cases: &[(&str, &str)]) {
    for (value, expected) in cases {
        let text = format!("v: {value}\n");
        assert_eq!(file(&text), format!(r#"{{"v":{expected}}}"#), "{value}");
    }
}

/// Each text is refused with these words at this line.
fn refused(cases: &[(&str, &str, u32)]) {
    crate::config::tests::refused(read, cases);
}

#[test]
fn plain_scalars_are_those_of_the_core_schema() {
    values_are(&[
        ("", "null"),
        ("~", "null"),
        ("null", "null"),
        ("Null", "null"),
        ("true", "true"),
        ("False", "false"),
        ("TRUE", "true"),
        ("two words", r#""two words""#),
    ]);
}

#[test]
fn numbers_are_decimal_and_keep_their_digits() {
    values_are(&[
        ("42", "42"),
        ("+42", "42"),
        ("-0", "-0"),
        ("1.10", "1.10"),
        ("-.5", "-0.5"),
        ("5.", "5.0"),
        ("1e999", "1e999"),
        ("+1E-05", "1E-05"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("0x1F", "31"),
        ("0o17", "15"),
        ("00.10", "0.10"),
    ]);
}

#[test]
fn what_only_older_versions_take_for_something_else_stays_a_string() {
    for word in [
        "no",
        "No",
        "NO",
        "yes",
        "on",
        "off",
        "y",
        "n",
        "2015-12-30",
        "2015-12-30T10:00:00Z",
        "12:30:45",
        "1.2.3",
        "1_000",
        "0b101",
        "0x",
        "0xFG",
        "1e",
        "e5",
        ".",
        "+",
        "TRue",
        "nULL",
        "Infinity",
        "nan",
        "+.nan",
    ] {
        values_are(&[(word, &format!(r#""{word}""#))]);
    }
}

#[test]
fn quoted_and_block_scalars_are_strings() {
    values_are(&[
        ("'1'", r#""1""#),
        ("\"null\"", r#""null""#),
        ("''", r#""""#),
        ("'it''s'", r#""it's""#),
        (r#""a\n\t\u00e9\x41\\""#, r#""a\n\téA\\""#),
        ("|\n  a\n   b\n", r#""a\n b\n""#),
        ("|-\n  1\n", r#""1""#),
        (">\n  a\n  b\n", r#""a b\n""#),
    ]);
}

#[test]
fn lists_and_tables_are_those_of_json() {
    values_are(&[
        ("[1, a, {b: c}, []]", r#"[1,"a",{"b":"c"},[]]"#),
        ("{a: 1, \"b\": {}}", r#"{"a":1,"b":{}}"#),
        (
            "\n- 1\n- - a\n- k: 1\n  l: 2\n",
            r#"[1,["a"],{"k":1,"l":2}]"#,
        ),
        ("\n  b: 1\n  a: 2\n", r#"{"b":1,"a":2}"#),
    ]);
}

#[test]
fn keys_are_strings_whatever_they_looked_like() {
    let text = "1: a\ntrue: b\n1.50: c\n'~': d\nno: e\n0x10: f\n";
    let expected = r#"{"1":"a","true":"b","1.50":"c","~":"d","no":"e","16":"f"}"#;
    assert_eq!(file(text), expected);
}

#[test]
fn an_alias_stands_for_what_its_anchor_is_on() {
    let text = "a: &a 1\nb: &b {k: [*a]}\nc: [*b, *a]\nd: &a 2\ne: *a\n";
    let expected = r#"{"a":1,"b":{"k":[1]},"c":[{"k":[1]},1],"d":2,"e":2}"#;
    assert_eq!(file(text), expected);
}

#[test]
fn a_merge_key_adds_what_is_not_there_the_first_table_first() {
    let text = "a: &a {k: 1, l: 1}\nb: &b {l: 2, m: 2}\n\
                c:\n  <<: *a\n  k: 3\nd:\n  <<: [*b, *a]\ne:\n  \"<<\": 1\n";
    assert_eq!(
        file(text),
        r#"{"a":{"k":1,"l":1},"b":{"l":2,"m":2},"c":{"k":3,"l":1},"d":{"l":2,"m":2,"k":1},"e":{"<<":1}}"#
    );
}

#[test]
fn a_merge_key_keeps_literal_dollars_and_markers() {
    let text = "a: &a\n  $$x: 1\n  p: !required it\nb:\n  <<: *a\n  y: 2\n";
    assert_eq!(
        file(text),
        r#"{"a":{"$$x":1,"p":{"$required":"it"}},"b":{"y":2,"$$x":1,"p":{"$required":"it"}}}"#
    );
}

#[test]
fn a_tag_of_yaml_says_what_its_scalar_is() {
    values_are(&[
        ("!!str 1", r#""1""#),
        ("! 1", r#""1""#),
        ("!!int 1", "1"),
        ("!!float '1.0'", "1.0"),
        ("!!bool true", "true"),
        ("!!null ''", "null"),
        ("!!seq [1]", "[1]"),
        ("!!map {a: 1}", r#"{"a":1}"#),
    ]);
}

#[test]
fn our_tags_are_markers_on_whatever_they_stand() {
    values_are(&[
        (
            "!required reporting database",
            r#"{"$required":"reporting database"}"#,
        ),
        ("!required \"it\"", r#"{"$required":"it"}"#),
        ("!required 4", r#"{"$required":"4"}"#),
        ("!default 4", r#"{"$default":4}"#),
        ("!default \"4\"", r#"{"$default":"4"}"#),
        ("!default null", r#"{"$default":null}"#),
        ("!default", r#"{"$default":null}"#),
        ("!default [1, 2]", r#"{"$default":[1,2]}"#),
        ("!default\n  a: {b: 1}\n", r#"{"$default":{"a":{"b":1}}}"#),
        (
            "!default &x 4\nw: *x",
            r#"{"$default":4},"w":{"$default":4}"#,
        ),
        ("!secret ssm:/a/{{b}}/c", r#"{"$secret":"ssm:/a/{{b}}/c"}"#),
        ("\n- !secret env:A\n", r#"[{"$secret":"env:A"}]"#),
    ]);
}

#[test]
fn the_json_form_of_markers_works_too() {
    values_are(&[
        (
            "{$required: reporting database}",
            r#"{"$required":"reporting database"}"#,
        ),
        ("{\"$default\": 4}", r#"{"$default":4}"#),
        ("\n  $default:\n    a: 1\n", r#"{"$default":{"a":1}}"#),
        ("{$secret: 'env:A'}", r#"{"$secret":"env:A"}"#),
        ("{$$secret: 'env:A', b: 1}", r#"{"$$secret":"env:A","b":1}"#),
    ]);
}

#[test]
fn json_is_yaml() {
    let text = "{\"a\": [1.10, \"x\\n\", null],\n \"b\": {\"c\": true}}";
    assert_eq!(file(text), r#"{"a":[1.10,"x\n",null],"b":{"c":true}}"#);
}

#[test]
fn a_file_with_nothing_in_it_is_an_empty_table() {
    for text in ["", "\n", "# a comment", "---\n", "null", "---\n...\n", "{}"] {
        assert_eq!(file(text), "{}", "{text}");
    }
}

#[test]
fn a_value_has_the_line_of_its_key_and_an_item_its_own() {
    let text = "a: 1\ndb:\n  host: |\n    x\n  list:\n    - 1\n    - k:\n        2\nb: &x\n\n  k: 1\nc: *x\n";
    let (_, lines) = sealed(&read(text).unwrap());
    assert_eq!(lines, [1, 2, 3, 5, 6, 7, 7, 9, 11, 12, 11]);
}

#[test]
fn what_has_no_meaning_in_json_is_refused() {
    refused(&[
        ("a: 1\nb: .inf", "expected a number that JSON has", 2),
        ("a: -.INF", "expected a number that JSON has", 1),
        ("a: [\n  .nan]", "expected a number that JSON has", 2),
        (
            "a: 1\nb: !!binary aGk=",
            "the tag `!!binary` has no meaning in JSON",
            2,
        ),
        ("a: !!set {b}", "the tag `!!set` has no meaning in JSON", 1),
        (
            "a: !<tag:example.com,2000:x> 1",
            "the tag `tag:example.com,2000:x` has no meaning",
            1,
        ),
        ("? [a]\n: 1", "expected a key that is a string", 1),
        ("a: 1\n~: 2", "expected a key that is a string, got null", 2),
        ("a: 1\n---\nb: 2", "expected one document, got a second", 2),
    ]);
}

#[test]
fn a_key_is_there_once() {
    refused(&[
        ("a: 1\na: 2", "expected each key once, got `a` twice", 2),
        (
            "b:\n  1: x\n  '1': y",
            "expected each key once, got `1` twice",
            3,
        ),
    ]);
}

#[test]
fn the_top_is_a_table() {
    refused(&[
        ("- 1", "expected a table at the top, got an array", 1),
        ("x", "expected a table at the top, got a string", 1),
    ]);
}

#[test]
fn numbers_that_versions_of_yaml_read_differently_are_refused() {
    let words = "expected a number without zeros in front, or a string in quotes";
    refused(&[("a: 1\nb: 007", words, 2), ("a: -010", words, 1)]);
    let long = format!("a: 0x1{}", "0".repeat(32));
    refused(&[(long.as_str(), "of at most 128 bits", 1)]);
}

#[test]
fn aliases_without_an_end_or_a_beginning_are_refused() {
    refused(&[
        ("a: 1\nb: *c", "unknown anchor", 2),
        (
            "a: &a [*a]",
            "expected an anchor that ends before its alias",
            1,
        ),
        (
            "a: 1\n<<: 2",
            "`<<`: expected a table or a list of tables, got a number",
            2,
        ),
    ]);
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut text = "a0: &a0 [~, ~, ~, ~, ~, ~, ~, ~, ~, ~]\n".to_owned();
    for level in 1..9 {
        let item = format!("*a{}", level - 1);
        let items = [item.as_str(); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    let problem = read(&text).unwrap_err();
    assert!(problem.what.contains("values, got more"), "{problem}");
    let long = format!(
        "a: &a {}\nb: [{}]",
        "x".repeat(1 << 16),
        ["*a"; 32].join(", ")
    );
    let problem = read(&long).unwrap_err();
    assert!(
        problem.what.contains("bytes that are repeated, got more"),
        "{problem}"
    );
}

#[test]
fn markers_that_make_no_sense_are_refused() {
    refused(&[
        (
            "a: 1\nb: !env HOME",
            "expected one of the markers `required`, `default`, `secret`, got `env`",
            2,
        ),
        (
            "a: !required [1]",
            "the marker `required`: expected a string that says what is wanted, got an array",
            1,
        ),
        (
            "a: !secret b",
            "marker `secret`: expected a secret such as",
            1,
        ),
        (
            "a:\n  - !default 1",
            "expected no marker but a secret inside a list, got default",
            2,
        ),
        (
            "a: {$default: 1, b: 2}",
            "the marker `$default`: expected no other key beside it",
            1,
        ),
        (
            "a: !default {b: !required it}",
            "expected no other marker inside it, got required",
            1,
        ),
        ("a: !!int b", "expected what `!!int` says, got a string", 1),
    ]);
}

#[test]
fn a_fraction_is_no_whole_number() {
    refused(&[("a: 1\nb: !!int 1.5", "expected what `!!int` says", 2)]);
}

#[test]
fn nesting_is_bounded() {
    let text = format!("a: {}{}", "[".repeat(70), "]".repeat(70));
    let problem = read(&text).unwrap_err();
    assert!(
        problem
            .what
            .contains("expected at most 64 levels of nesting"),
        "{problem}"
    );
    let text = format!("a: {}{}", "[".repeat(60), "]".repeat(60));
    assert!(read(&text).is_ok());
}
