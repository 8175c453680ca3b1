//! Single values, from variables and from the command line: they take the type of what they replace.

use super::*;

/// Layers with variables of such names, after their prefix, on top.
fn with_variables(base: &str, variables: &[(&str, &str)]) -> Result<Layers, ConfigError> {
    let mut layers = layers(&[(Base, base)]);
    for (rest, text) in variables {
        layers.variable(&format!("CRUNCHBOX_CONFIG_{rest}"), rest, text)?;
    }
    Ok(layers)
}

/// What such variables make of a base.
fn varied(base: &str, variables: &[(&str, &str)]) -> Config {
    let layers = with_variables(base, variables).unwrap();
    layers.settle(&Rules::default()).unwrap()
}

/// What assignments make of a base, or why they make nothing.
fn assigned(base: &str, assignments: &[&str]) -> Result<String, ConfigError> {
    let mut layers = layers(&[(Base, base)]);
    for assignment in assignments {
        layers.set(assignment)?;
    }
    Ok(text(&layers.settle(&Rules::default())?))
}

const TYPED: &str = r#"{"zip":"00123","n":1,"on":false,"t":{"k":1},"l":[1],"d":{"$default":4}}"#;

#[test]
fn a_variable_takes_the_type_of_what_it_replaces() {
    let variables = [
        ("ZIP", "00456"),
        ("N", "2.50"),
        ("ON", "true"),
        ("T", r#"{"l":2}"#),
        ("L", "[2,3]"),
        ("D", "8"),
    ];
    assert_eq!(
        text(&varied(TYPED, &variables)),
        r#"{"zip":"00456","n":2.50,"on":true,"t":{"k":1,"l":2},"l":[2,3],"d":8}"#
    );
}

#[test]
fn a_string_is_replaced_by_any_text_as_it_stands() {
    for text_of_variable in ["", "1", "null", "[1]", r#""quoted""#, " a b "] {
        let config = varied(r#"{"s":"x"}"#, &[("S", text_of_variable)]);
        let expected = serde_json::to_string(text_of_variable).unwrap();
        assert_eq!(text(&config), format!(r#"{{"s":{expected}}}"#));
    }
}

#[test]
fn a_variable_of_another_type_is_refused_without_its_value() {
    for (rest, value, words) in [
        (
            "N",
            "hunter2",
            "expected a number as before, got other text",
        ),
        (
            "N",
            r#""hunter2""#,
            "expected a number as before, got a string",
        ),
        ("ON", "1", "expected a boolean as before, got a number"),
        ("T", "[1]", "expected a table as before, got an array"),
        ("L", "null", "expected an array as before, got null"),
        (
            "D",
            "hunter2",
            "expected a number as before, got other text",
        ),
    ] {
        let error = with_variables(TYPED, &[(rest, value)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`CRUNCHBOX_CONFIG_{rest}`: {words}")
        );
    }
}

#[test]
fn where_no_type_is_known_json_is_json_and_the_rest_a_string() {
    let base = r#"{"a":{"$required":"it"},"b":null,"c":{"$default":null}}"#;
    assert_eq!(
        text(&varied(base, &[("A", "7"), ("B", "no JSON"), ("C", "[1]")])),
        r#"{"a":7,"b":"no JSON","c":[1]}"#
    );
}

#[test]
fn a_value_under_a_null_keeps_its_type() {
    let mut layers = layers(&[(Base, r#"{"zip":"00123"}"#), (Store, r#"{"zip":null}"#)]);
    layers
        .variable("CRUNCHBOX_CONFIG_ZIP", "ZIP", "00456")
        .unwrap();
    let config = layers.settle(&Rules::default()).unwrap();
    assert_eq!(text(&config), r#"{"zip":"00456"}"#);
}

#[test]
fn a_variable_names_keys_whatever_the_case_and_hyphen_or_underscore() {
    let base = r#"{"db":{"max-pool":1,"userName":"a"},"log_level":"x","a.b/c":1}"#;
    let variables = [
        ("DB__MAX_POOL", "2"),
        ("Db__username", "b"),
        ("LOG_LEVEL", "y"),
        ("A_B_C", "2"),
    ];
    assert_eq!(
        text(&varied(base, &variables)),
        r#"{"db":{"max-pool":2,"userName":"b"},"log_level":"y","a.b/c":2}"#
    );
}

#[test]
fn a_variable_that_could_name_several_values_is_refused() {
    for (base, rest, several) in [
        (r#"{"a-b":1,"a_b":2}"#, "A_B", "a-b and a_b"),
        (r#"{"host":1,"HOST":2}"#, "HOST", "host and HOST"),
        (r#"{"a":{"b":1},"a__b":2}"#, "A__B", "a.b and a__b"),
    ] {
        let error = with_variables(base, &[(rest, "hunter2")]).unwrap_err();
        let expected = format!(
            "`CRUNCHBOX_CONFIG_{rest}`: expected a name that means one value, got one for {several}"
        );
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_variable_that_names_nothing_is_noted_without_its_value_and_changes_nothing() {
    let base = r#"{"db":{"host":"a"}}"#;
    for rest in ["DATABASE", "DB_HOST", "DB__HOST__NAME", "DB__", "D", ""] {
        let config = varied(base, &[(rest, "hunter2")]);
        assert_eq!(text(&config), base);
        let note = format!("CRUNCHBOX_CONFIG_{rest} names no value of the configuration");
        assert_eq!(config.notes(), [note]);
    }
}

#[test]
fn a_variable_is_a_layer_of_the_environment_without_a_line() {
    let config = varied(r#"{"db":{"pool":1}}"#, &[("DB__POOL", "2")]);
    assert_eq!(
        config.source(&at("db.pool")).unwrap().to_string(),
        "environment, CRUNCHBOX_CONFIG_DB__POOL"
    );
    assert_eq!(
        config.overrides()[0].to_string(),
        "`db.pool` of base, base.json:1 is overridden by environment, CRUNCHBOX_CONFIG_DB__POOL"
    );
}

#[test]
fn a_set_value_takes_the_type_of_what_it_replaces_and_a_new_one_is_json_or_a_string() {
    let assignments = [
        "zip=00456",
        "n=2",
        "on=true",
        "new.deep=[1]",
        "text=hello",
        "t.\"a.b\"=null",
        "zip2=007",
        "empty=",
        "equals=a=b",
    ];
    assert_eq!(
        assigned(
            r#"{"zip":"00123","n":1,"on":false,"t":{"k":1}}"#,
            &assignments
        )
        .unwrap(),
        r#"{"zip":"00456","n":2,"on":true,"t":{"k":1,"a.b":null},"new":{"deep":[1]},"text":"hello","zip2":"007","empty":"","equals":"a=b"}"#
    );
}

#[test]
fn a_set_value_that_does_not_fit_is_refused_without_repeating_the_value() {
    for assignment in [
        "n=secret",
        "t=secret",
        "l=secret",
        "n.deep=secret",
        "l.0=secret",
        "novalue",
        "=secret",
        "a b=secret",
        "a..b=secret",
        "\"a=secret",
        "'a=secret",
    ] {
        let error = assigned(TYPED, &[assignment]).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn a_refused_assignment_is_named_by_its_key() {
    for (assignment, expected) in [
        (
            "n=x",
            "`--set n=…`: expected a number as before, got other text",
        ),
        (
            "n=true",
            "`--set n=…`: expected a number as before, got a boolean",
        ),
        ("n", "`--set n=…`: expected KEY=VALUE, got no `=`"),
        ("=x", "`--set =…`: expected a key, got nothing"),
        (
            "a b=x",
            "`--set a b=…`: expected the key `a b` to be quoted",
        ),
    ] {
        assert_eq!(
            assigned(TYPED, &[assignment]).unwrap_err().to_string(),
            expected
        );
    }
}

#[test]
fn a_set_value_meets_a_demand() {
    let base = r#"{"db":{"host":{"$required":"it"}}}"#;
    assert_eq!(
        assigned(base, &["db.host=b"]).unwrap(),
        r#"{"db":{"host":"b"}}"#
    );
}

#[test]
fn a_secret_is_set_to_text_as_it_stands() {
    let base = r#"{"password":{"$secret":"ssm:/not/granted"}}"#;
    assert_eq!(
        assigned(base, &["password=1234"]).unwrap(),
        r#"{"password":"1234"}"#
    );
}

#[test]
fn a_set_value_is_said_by_the_command_line() {
    let mut layers = layers(&[(Base, r#"{"n":1}"#)]);
    layers.set("n=2").unwrap();
    let config = layers.settle(&Rules::default()).unwrap();
    assert_eq!(
        config.source(&at("n")).unwrap().to_string(),
        "command line, --set"
    );
}
