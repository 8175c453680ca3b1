//! What EDN becomes, and what of it is refused: the words and the line.

use super::*;
use crate::config::tests::sealed;

/// A whole file as it is sealed.
fn file(text: &str) -> String {
    sealed(&read(text).unwrap()).0
}

/// Each value is what its JSON says.
fn values_are(cases: &[(&str, &str)]) {
    for (value, expected) in cases {
        let text = format!("{{:v {value}}}");
        assert_eq!(file(&text), format!(r#"{{"v":{expected}}}"#), "{value}");
    }
}

/// Each text is refused with these words at this line.
fn refused(cases: &[(&str, &str, u32)]) {
    crate::config::tests::refused(read, cases);
}

#[test]
fn a_file_of_immuconf_loads_unchanged() {
    let text = r#";; The blueprint: each stage gives the rest.
{:database {:uri "jdbc:postgresql://db.example:5432/readings"
            :user "crunch"
            :password #immuconf/override "Give the database's password here.
                                          Ask the operator for it."}
 :environment {:cache-size #immuconf/default 32
               :log/level :info}
 :percentiles #{50 95 99}
 :hosts ["a.example", "b.example"] #_"c.example"}
"#;
    let (json, lines) = sealed(&read(text).unwrap());
    let expected = concat!(
        r#"{"database":{"uri":"jdbc:postgresql://db.example:5432/readings","user":"crunch","#,
        r#""password":{"$required":"Give the database's password here.\n"#,
        r#"                                          Ask the operator for it."}},"#,
        r#""environment":{"cache-size":{"$default":32},"log/level":"info"},"#,
        r#""percentiles":[50,95,99],"hosts":["a.example","b.example"]}"#,
    );
    assert_eq!(json, expected);
    assert_eq!(lines, [2, 2, 3, 4, 6, 6, 6, 7, 8, 8, 8, 8, 9, 9, 9]);
}

#[test]
fn keywords_and_symbols_become_strings_with_their_namespace_and_slash() {
    values_are(&[
        (":a", r#""a""#),
        (":a/b", r#""a/b""#),
        (":db.main/max-size?", r#""db.main/max-size?""#),
        ("a", r#""a""#),
        ("a.b/c", r#""a.b/c""#),
        ("-", r#""-""#),
        ("->x'", r#""->x'""#),
    ]);
}

#[test]
fn keys_are_strings_whatever_they_were() {
    let text = r#"{:a 1 :b/c 2 "d" 3 e/f 4 5 6 true 7 \g 8}"#;
    let expected = r#"{"a":1,"b/c":2,"d":3,"e/f":4,"5":6,"true":7,"g":8}"#;
    assert_eq!(file(text), expected);
}

#[test]
fn a_dollar_has_no_meaning_here() {
    assert_eq!(
        file(r#"{"$required" "x" :$a 1}"#),
        r#"{"$$required":"x","$$a":1}"#
    );
}

#[test]
fn sets_lists_and_vectors_become_arrays() {
    values_are(&[
        ("#{3 1 2}", "[3,1,2]"),
        ("(1 :a \"b\")", r#"[1,"a","b"]"#),
        ("[]", "[]"),
        ("[{:a #{[1] ()}}]", r#"[{"a":[[1],[]]}]"#),
    ]);
}

#[test]
fn numbers_are_decimal_and_keep_their_digits() {
    values_are(&[
        ("42", "42"),
        ("+42", "42"),
        ("-42", "-42"),
        ("42N", "42"),
        ("42M", "42"),
        ("1.5M", "1.5"),
        ("1.", "1.0"),
        ("0.1000", "0.1000"),
        ("1e5", "1e5"),
        ("1.10E-999", "1.10E-999"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("0x1F", "31"),
        ("-0x1f", "-31"),
        ("0xFFN", "255"),
        ("017", "15"),
        ("0", "0"),
        ("2r101", "5"),
        ("36RZ", "35"),
    ]);
}

#[test]
fn an_e_among_the_digits_of_another_radix_is_a_digit() {
    values_are(&[
        ("0x1E", "30"),
        ("0X1E", "30"),
        ("16rFE", "254"),
        ("16rfe", "254"),
    ]);
}

#[test]
fn nothing_and_truth_are_those_of_json() {
    values_are(&[("nil", "null"), ("true", "true"), ("false", "false")]);
}

#[test]
fn characters_become_strings() {
    values_are(&[
        (r"\a", r#""a""#),
        (r"\newline", r#""\n""#),
        (r"\return", r#""\r""#),
        (r"\tab", r#""\t""#),
        (r"\space", r#"" ""#),
        (r"\backspace", r#""\b""#),
        (r"\formfeed", r#""\f""#),
        (r"\u0041", r#""A""#),
        (r"\o101", r#""A""#),
        (r"\\", r#""\\""#),
        (r"[\(\)]", r#"["(",")"]"#),
        (r"\é", r#""é""#),
    ]);
}

#[test]
fn strings_have_the_escapes_that_clojure_has() {
    values_are(&[
        (r#""\"\\\n\t\r\b\f""#, r#""\"\\\n\t\r\b\f""#),
        (r#""\u00e9\u0041""#, r#""éA""#),
        (r#""\ud83d\ude00""#, r#""😀""#),
        (r#""\101\7\377""#, r#""A\u0007ÿ""#),
        ("\"two\nlines\"", r#""two\nlines""#),
        (r#"":a ; no comment #_ x""#, r#"":a ; no comment #_ x""#),
    ]);
}

#[test]
fn commas_comments_discarded_forms_and_metadata_are_nothing() {
    values_are(&[
        ("[1, ,2,]", "[1,2]"),
        ("[1 ;2\n3 #!4\n]", "[1,3]"),
        ("[1 #_2 3 #_{:a [4]}]", "[1,3]"),
        ("[#_ #_ 1 2 3]", "[3]"),
        ("^:private [1]", "[1]"),
        ("^{:doc \"x\"} ^long [^String a]", r#"["a"]"#),
    ]);
    assert_eq!(file("{:a 1 #_:b #_2 :c 3}"), r#"{"a":1,"c":3}"#);
}

#[test]
fn a_namespaced_map_gives_its_namespace_to_names_that_have_none() {
    values_are(&[
        (
            r#"#:db{:host 1 :_/x 2 :other/y 3 "s" 4 t 5 6 7}"#,
            r#"{"db/host":1,"x":2,"other/y":3,"s":4,"db/t":5,"6":7}"#,
        ),
        ("#:a {:b {:c :d}}", r#"{"a/b":{"c":"d"}}"#),
    ]);
}

#[test]
fn times_and_ids_become_strings() {
    values_are(&[
        (
            r#"#inst "2015-12-30T10:00:00Z""#,
            r#""2015-12-30T10:00:00Z""#,
        ),
        (
            r#"#uuid "f81d4fae-7dec-11d0-a765-00a0c91e6bf6""#,
            r#""f81d4fae-7dec-11d0-a765-00a0c91e6bf6""#,
        ),
    ]);
}

#[test]
fn tags_are_markers() {
    values_are(&[
        (r#"#immuconf/override "it""#, r#"{"$required":"it"}"#),
        ("#immuconf/default 4", r#"{"$default":4}"#),
        ("#immuconf/default nil", r#"{"$default":null}"#),
        ("#immuconf/default {:a [1]}", r#"{"$default":{"a":[1]}}"#),
        (r#"#crunchbox/required "it""#, r#"{"$required":"it"}"#),
        ("#crunchbox/default :x", r#"{"$default":"x"}"#),
        (
            r#"#crunchbox/secret "ssm:/a/{{b}}""#,
            r#"{"$secret":"ssm:/a/{{b}}"}"#,
        ),
        (r#"[#crunchbox/secret "env:A"]"#, r#"[{"$secret":"env:A"}]"#),
    ]);
}

#[test]
fn a_file_with_nothing_in_it_is_an_empty_table() {
    for text in ["", " \n,", "; a comment", "nil", "#_ {:a 1}", "{}"] {
        assert_eq!(file(text), "{}", "{text}");
    }
}

#[test]
fn a_value_has_the_line_of_its_key_and_an_item_its_own() {
    let text = "{:a\n 1\n :b [2\n  3] ; 4\n\n :c \"x\ny\" :d {:e \"\n\"\n :f 4}}";
    let (json, lines) = sealed(&read(text).unwrap());
    assert_eq!(json, r#"{"a":1,"b":[2,3],"c":"x\ny","d":{"e":"\n","f":4}}"#);
    assert_eq!(lines, [1, 3, 3, 4, 6, 7, 7, 9]);
}

#[test]
fn what_has_no_meaning_in_json_is_refused() {
    refused(&[
        ("{:a 1/2}", "a ratio has no meaning in JSON", 1),
        ("{:a\n ##Inf}", "expected a number that JSON has", 2),
        ("{:a ##NaN}", "expected a number that JSON has", 1),
        (
            "{:a\n\n #foo/bar 1}",
            "the tag `#foo/bar` has no meaning in JSON",
            3,
        ),
        (
            "{:a\n #\"x\"}",
            "a regular expression has no meaning in JSON",
            2,
        ),
        ("{:a 'b}", "`'` is code", 1),
        ("{:a\n @b}", "`@` is code", 2),
        ("{:a\n #(b)}", "expected a tag, a set or a map after `#`", 2),
        (
            "{nil 1}",
            "expected a key that is a keyword or a string, got null",
            1,
        ),
        (
            "{:a 1\n [1] 2}",
            "expected a key that is a keyword or a string, got an array",
            2,
        ),
    ]);
}

#[test]
fn a_key_is_there_once_however_it_is_written() {
    refused(&[
        ("{:a 1\n :a 2}", "expected each key once, got `a` twice", 2),
        (
            "{:a 1\n \"a\" 2}",
            "expected each key once, got `\"…\"` twice",
            2,
        ),
        (
            "#:b{:a 1\n\n :b/a 2}",
            "expected each key once, got `b/a` twice",
            3,
        ),
    ]);
}

#[test]
fn brackets_must_match_and_one_map_is_all() {
    refused(&[
        (
            "\n{:a 1\n",
            "expected `}` for this bracket, got the end of the file",
            2,
        ),
        (
            "{:a [1\n}",
            "expected `]` for the bracket of line 1, got `}`",
            2,
        ),
        (
            "{:a\n #{1)}",
            "expected `}` for the bracket of line 2, got `)`",
            2,
        ),
        (
            "{:a 1\n :b}",
            "expected a value for the key `b`, got a closing bracket",
            2,
        ),
        (
            "{:a",
            "expected a value for the key `a`, got the end of the file",
            1,
        ),
        (
            "{:a 1}\n{:b 2}",
            "expected the end of the file after one map, got more",
            2,
        ),
        ("}", "expected a map, got a closing bracket", 1),
        ("[1]", "expected a table at the top, got an array", 1),
        (
            "{:a #_}",
            "expected a form to ignore after `#_`, got a closing bracket",
            1,
        ),
        (
            "{:a ^b}",
            "expected a form after its metadata, got a closing bracket",
            1,
        ),
    ]);
}

#[test]
fn malformed_names_and_numbers_are_refused() {
    refused(&[
        ("{:a ::b}", "expected a keyword such as", 1),
        ("{: 1}", "expected a keyword such as", 1),
        ("{:a 08}", "expected a number as Clojure writes it", 1),
        ("{:a\n 12abc}", "expected a number as Clojure writes it", 2),
        ("{:a 37r1}", "expected a number as Clojure writes it", 1),
        ("{:a #::b{:c 1}}", "expected a namespace as in", 1),
        ("{:a\n #:b[1]}", "expected a map after its namespace", 2),
    ]);
    let long = format!("{{:a 0x1{}}}", "0".repeat(32));
    refused(&[(long.as_str(), "of at most 128 bits", 1)]);
}

#[test]
fn malformed_strings_and_characters_are_refused() {
    refused(&[
        ("{:a\n \"b\n}", "expected `\"` at the end of this string", 2),
        (
            "{:a\n \"b\n\\q\"}",
            "expected an escape that Clojure knows",
            3,
        ),
        (r#"{:a "\u12"}"#, "expected four hexadecimal digits", 1),
        (
            r#"{:a "\ud83d"}"#,
            "expected a character after `\\u`, got half of one",
            1,
        ),
        (r#"{:a "\ud83d\u0041"}"#, "got half of one", 1),
        (
            r#"{:a "\400"}"#,
            "expected an octal escape of at most `\\377`",
            1,
        ),
        (r"{:a \foo}", "expected a character that Clojure knows", 1),
        (
            "{:a\n \\uD800}",
            "expected a character that Clojure knows",
            2,
        ),
    ]);
}

#[test]
fn a_sign_is_no_digit_of_a_character() {
    refused(&[
        (r"{:a \u+041}", "expected a character that Clojure knows", 1),
        (r"{:a \o+7}", "expected a character that Clojure knows", 1),
    ]);
}

#[test]
fn markers_that_make_no_sense_are_refused() {
    refused(&[
        (
            "{:a\n #immuconf/override 4}",
            "the marker `required`: expected a string that says what is wanted, got a number",
            2,
        ),
        ("{:a #crunchbox/wanted 4}", "got `wanted`", 1),
        (
            "{:a #crunchbox/secret \"b\"}",
            "marker `secret`: expected a secret such as",
            1,
        ),
        (
            "{:a [1\n #immuconf/default 2]}",
            "expected no marker but a secret inside a list",
            2,
        ),
        (
            "{:a #inst 5}",
            "the tag `#inst`: expected a string, got a number",
            1,
        ),
        (
            "{:a #immuconf/default}",
            "expected a value for the tag `#immuconf/default`",
            1,
        ),
    ]);
}

#[test]
fn nesting_is_bounded() {
    for open in ["[", "{:a ", "#_", "^", "#x/y ", "#{"] {
        let text = format!("{{:a {}", open.repeat(100));
        let problem = read(&text).unwrap_err();
        assert!(
            problem
                .what
                .contains("expected at most 64 levels of nesting"),
            "{problem}"
        );
    }
    let text = format!("{{:a {}{}}}", "[".repeat(60), "]".repeat(60));
    assert!(read(&text).is_ok());
}
