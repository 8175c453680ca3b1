//! What a function's schema says of its configuration.

use super::*;
use crate::secret::Grant;
use serde_json::value::RawValue;

fn parse(schema: &str) -> Result<Schema, String> {
    Schema::parse(&RawValue::from_string(schema.to_owned()).unwrap())
}

/// What layers make together under a schema, with every secret granted.
fn checked(schema: &str, extent: Extent, said: &[(Tier, &str)]) -> Result<Config, ConfigError> {
    let schema = parse(schema).unwrap();
    let grants: [Grant; 1] = ["ssm:*".parse().unwrap()];
    layers(said).settle(&Rules {
        grants: &grants,
        schema: Some(&schema),
        extent,
        ..Rules::default()
    })
}

/// Why they make nothing.
fn misfit(schema: &str, said: &[(Tier, &str)]) -> String {
    checked(schema, Extent::Whole, said)
        .unwrap_err()
        .to_string()
}

const PORT: &str = r#"{"properties":{"db":{"properties":{"port":{"type":"integer","maximum":65535}},"required":["host"]}},"required":["db"]}"#;

#[test]
fn a_configuration_that_fits_its_schema_is_left_as_it_is() {
    let said = [
        (Base, r#"{"db":{"port":1,"host":"a"}}"#),
        (Local, r#"{"db":{"port":2}}"#),
    ];
    let config = checked(PORT, Extent::Whole, &said).unwrap();
    assert_eq!(text(&config), r#"{"db":{"port":2,"host":"a"}}"#);
}

#[test]
fn a_value_that_does_not_fit_is_named_with_its_source_and_without_itself() {
    let said = [
        (Base, r#"{"db":{"port":1,"host":"a"}}"#),
        (Local, "{\"db\":{\n\"port\":\"hunter2\"}}"),
    ];
    assert_eq!(
        misfit(PORT, &said),
        r#"`db.port`: expected a whole number, got a string (local, local.json:2)"#
    );
    let too_high = [(Base, r#"{"db":{"port":65536,"host":"a"}}"#)];
    assert_eq!(
        misfit(PORT, &too_high),
        "`db.port`: expected at most 65535 (base, base.json:1)"
    );
}

#[test]
fn what_the_schema_requires_is_missed_where_it_should_be() {
    assert_eq!(
        misfit(PORT, &[(Base, r#"{"db":{}}"#)]),
        r#"`db`: expected the keys `host` (base, base.json:1)"#
    );
    assert_eq!(
        misfit(PORT, &[(Base, "{}")]),
        "the configuration: expected the keys `db`"
    );
}

#[test]
fn an_item_of_a_list_that_does_not_fit_has_the_source_of_its_list() {
    let schema = r#"{"properties":{"a/b":{"items":{"type":"integer"}}}}"#;
    assert_eq!(
        misfit(schema, &[(Base, r#"{"a/b":[1,"hunter2"]}"#)]),
        r#"`a/b.1`: expected a whole number, got a string (base, base.json:1)"#
    );
}

#[test]
fn every_misfit_is_named() {
    let schema = r#"{"properties":{"a":{"type":"integer"},"b":{"type":"string"}}}"#;
    let error = misfit(schema, &[(Base, r#"{"a":"x","b":1}"#)]);
    assert!(
        error.contains("`a`: ") && error.contains("`b`: "),
        "{error}"
    );
}

#[test]
fn a_secret_counts_as_a_string_of_which_no_more_is_known() {
    let base = r#"{"key":{"$secret":"ssm:/key"}}"#;
    for rule in [
        r#""type":"string""#,
        r#""type":"string","minLength":12,"pattern":"^[a-z]+$","enum":["a"]"#,
    ] {
        let schema = format!(r#"{{"properties":{{"key":{{{rule}}}}}}}"#);
        assert!(
            checked(&schema, Extent::Whole, &[(Base, base)]).is_ok(),
            "{rule}"
        );
    }
    let schema = r#"{"properties":{"key":{"type":"integer"}}}"#;
    assert_eq!(
        misfit(schema, &[(Base, base)]),
        r#"`key`: expected a whole number, got a string (base, base.json:1)"#
    );
}

#[test]
fn a_secret_in_a_list_counts_as_a_string_of_which_no_more_is_known() {
    let schema = r#"{"properties":{"keys":{"items":{"type":"string","minLength":12}}}}"#;
    let base = r#"{"keys":[{"$secret":"ssm:/key"}]}"#;
    assert!(checked(schema, Extent::Whole, &[(Base, base)]).is_ok());
}

#[test]
fn a_list_with_a_secret_in_it_is_checked_as_a_list() {
    let schema = r#"{"properties":{"keys":{"minItems":2}}}"#;
    let base = r#"{"keys":[{"$secret":"ssm:/key"}]}"#;
    assert_eq!(
        misfit(schema, &[(Base, base)]),
        "`keys`: expected at least 2 items, got 1 (base, base.json:1)"
    );
}

#[test]
fn a_part_is_not_blamed_for_what_other_layers_will_say() {
    let base = r#"{"db":{"port":1,"password":{"$required":"it"}}}"#;
    assert!(checked(PORT, Extent::Part, &[(Base, base)]).is_ok());
    assert!(checked(PORT, Extent::Part, &[(Base, "{}")]).is_ok());
}

#[test]
fn a_part_is_blamed_for_what_it_says_itself() {
    let base = r#"{"db":{"port":"hunter2"}}"#;
    let error = checked(PORT, Extent::Part, &[(Base, base)]).unwrap_err();
    let expected = r#"`db.port`: expected a whole number, got a string (base, base.json:1)"#;
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_part_is_checked_at_keys_that_are_named_like_words_of_schemas() {
    let schema = r#"{"properties":{"not":{"type":"integer"}}}"#;
    assert!(checked(schema, Extent::Part, &[(Base, r#"{"not":"x"}"#)]).is_err());
}

#[test]
fn a_number_beyond_what_can_be_checked_is_refused() {
    let error = misfit("{}", &[(Base, r#"{"n":1e999}"#)]);
    assert!(
        error.contains("a number is beyond what a schema can be checked for"),
        "{error}"
    );
}

#[test]
fn a_schema_refers_only_to_itself() {
    let within =
        r##"{"$defs":{"port":{"type":"integer"}},"properties":{"port":{"$ref":"#/$defs/port"}}}"##;
    assert!(parse(within).is_ok());
    assert_eq!(
        misfit(within, &[(Base, r#"{"port":"hunter2"}"#)]),
        r#"`port`: expected a whole number, got a string (base, base.json:1)"#
    );
    for elsewhere in [
        "https://example.com/schema.json",
        "file:///etc/passwd",
        "other.json",
    ] {
        assert!(
            parse(&format!(r#"{{"$ref":"{elsewhere}"}}"#)).is_err(),
            "{elsewhere}"
        );
    }
}

#[test]
fn what_is_no_schema_is_refused() {
    for text in [
        "7",
        r#"{"type":"wrong"}"#,
        r#"{"pattern":"("}"#,
        r#"{"pattern":"(a)\\1"}"#,
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}
