//! What layers say one after the other: overrides that are told, and contradictions that are refused.

use super::*;

/// The warnings that layers give.
fn warnings(said: &[(Tier, &str)]) -> Vec<String> {
    let config = config(said);
    config.overrides().iter().map(ToString::to_string).collect()
}

#[test]
fn an_override_is_told_with_both_files_and_lines_and_no_value() {
    let said = [
        (Base, "{\"db\": {\n\"password\": \"hunter2\"}}"),
        (Store, "{\"db\":\n\n{\"password\": \"hunter3\"}}"),
    ];
    assert_eq!(
        warnings(&said),
        ["`db.password` of base, base.json:2 is overridden by store, store.json:3"]
    );
}

#[test]
fn every_link_of_a_chain_of_overrides_is_told() {
    let said = [
        (Base, r#"{"pool":1}"#),
        (Store, r#"{"pool":2}"#),
        (Watched, r#"{"pool":3}"#),
        (Local, r#"{"pool":1}"#),
    ];
    assert_eq!(
        warnings(&said),
        [
            "`pool` of base, base.json:1 is overridden by store, store.json:1",
            "`pool` of store, store.json:1 is overridden by watched, watched.json:1",
            "`pool` of watched, watched.json:1 is overridden by local, local.json:1",
        ]
    );
}

#[test]
fn files_of_the_base_override_each_other_as_layers_do() {
    let mut layers = Layers::new();
    for (origin, text) in [
        ("shared.json", r#"{"pool":1}"#),
        ("config.json", r#"{"pool":2}"#),
    ] {
        layers.add(Layer::parse(Base, origin, text.as_bytes()).unwrap());
    }
    let config = layers.settle(&Rules::default()).unwrap();
    assert_eq!(
        config.overrides()[0].to_string(),
        "`pool` of base, shared.json:1 is overridden by base, config.json:1"
    );
}

#[test]
fn equal_values_override_nothing() {
    let said = [
        (Base, r#"{"pool":1,"list":[1,{"a":null}]}"#),
        (Store, "{\"pool\":1,\n\"list\":[1,\n{\"a\":null}]}"),
    ];
    assert_eq!(warnings(&said), [""; 0]);
    let said = [
        (Base, r#"{"pool":1}"#),
        (Store, r#"{"pool":1}"#),
        (Local, r#"{"pool":2}"#),
    ];
    assert_eq!(
        warnings(&said),
        ["`pool` of store, store.json:1 is overridden by local, local.json:1"]
    );
}

#[test]
fn numbers_of_other_digits_are_other_values() {
    assert_eq!(
        warnings(&[(Base, r#"{"n":1.1}"#), (Store, r#"{"n":1.10}"#)]).len(),
        1
    );
}

#[test]
fn a_default_is_overridden_without_a_word() {
    let base = r#"{"pool":{"$default":1},"db":{"$default":{"host":"a","port":1}}}"#;
    assert_eq!(
        warnings(&[(Base, base), (Store, r#"{"pool":2,"db":{"host":"b"}}"#)]),
        [""; 0]
    );
    let said = [
        (Base, base),
        (Store, r#"{"pool":2}"#),
        (Local, r#"{"pool":3}"#),
    ];
    assert_eq!(
        warnings(&said),
        ["`pool` of store, store.json:1 is overridden by local, local.json:1"]
    );
}

#[test]
fn a_demand_is_met_without_a_word_and_is_no_link_of_the_chain() {
    let demand = r#"{"pool":{"$required":"a size"}}"#;
    assert_eq!(
        warnings(&[(Base, demand), (Local, r#"{"pool":1}"#)]),
        [""; 0]
    );
    let said = [
        (Base, r#"{"pool":1}"#),
        (Store, demand),
        (Local, r#"{"pool":2}"#),
    ];
    assert_eq!(
        warnings(&said),
        ["`pool` of base, base.json:1 is overridden by local, local.json:1"]
    );
}

#[test]
fn the_command_line_overrides_without_a_word() {
    let mut layers = layers(&[(Base, r#"{"pool":1}"#), (Store, r#"{"pool":2}"#)]);
    layers.set("pool=3").unwrap();
    layers.set("pool=4").unwrap();
    let config = layers.settle(&Rules::default()).unwrap();
    assert_eq!(text(&config), r#"{"pool":4}"#);
    let [only] = config.overrides() else {
        panic!("{:?}", config.overrides())
    };
    assert_eq!((only.weaker.tier, only.stronger.tier), (Base, Store));
}

#[test]
fn tables_that_merge_override_only_what_differs() {
    let said = [
        (Base, r#"{"db":{"host":"a","port":1}}"#),
        (Store, r#"{"db":{"host":"b","port":1,"user":"u"}}"#),
    ];
    assert_eq!(
        warnings(&said),
        ["`db.host` of base, base.json:1 is overridden by store, store.json:1"]
    );
}

#[test]
fn a_null_that_takes_a_value_or_a_table_away_is_told() {
    for base in [r#"{"db":1}"#, r#"{"db":{"host":"a"}}"#] {
        assert_eq!(
            warnings(&[(Base, base), (Store, r#"{"db":null}"#)]),
            ["`db` of base, base.json:1 is overridden by store, store.json:1"]
        );
    }
}

#[test]
fn what_a_null_took_away_is_overridden_no_more() {
    let said = [
        (Base, r#"{"db":{"host":"a"}}"#),
        (Store, r#"{"db":null}"#),
        (Local, r#"{"db":{"host":"b"}}"#),
    ];
    assert_eq!(
        warnings(&said),
        [
            "`db` of base, base.json:1 is overridden by store, store.json:1",
            "`db` of store, store.json:1 is overridden by local, local.json:1",
        ]
    );
}

#[test]
fn a_table_contradicts_a_value_and_a_value_a_table() {
    for (value, kind) in [
        (r#""hunter2""#, "a string"),
        (r#"["hunter2"]"#, "an array"),
        ("7", "a number"),
        ("true", "a boolean"),
        (r#"{"$secret":"env:A"}"#, "a secret"),
    ] {
        let (table, other) = (r#"{"db":{"t":1}}"#, format!(r#"{{"db":{value}}}"#));
        assert_eq!(
            refusal(&[(Base, table), (Store, &other)]),
            format!(
                "`db`: expected a table as in base, base.json:1, got {kind} (store, store.json:1)"
            )
        );
        assert_eq!(
            refusal(&[(Base, &other), (Store, table)]),
            format!(
                "`db`: expected {kind} as in base, base.json:1, got a table (store, store.json:1)"
            )
        );
    }
}

#[test]
fn every_contradiction_is_named_with_its_path_and_both_sources() {
    let base = "{\"a\": {\"b\": {}},\n\"c\": 1}";
    let local = "{\n\"a\": {\"b\": true},\n\"c\": {}}";
    assert_eq!(
        refusal(&[(Base, base), (Local, local)]),
        "`a.b`: expected a table as in base, base.json:1, got a boolean (local, local.json:2); \
         `c`: expected a number as in base, base.json:2, got a table (local, local.json:3)"
    );
}

#[test]
fn a_contradiction_between_layers_is_refused_though_a_third_agrees_with_the_first() {
    let table = r#"{"db":{"host":"a"}}"#;
    assert_eq!(
        refusal(&[(Base, table), (Store, r#"{"db":"a"}"#), (Local, table)]),
        "`db`: expected a table as in base, base.json:1, got a string (store, store.json:1)"
    );
}

#[test]
fn a_null_contradicts_nothing() {
    let (table, null) = (r#"{"db":{"host":"a"}}"#, r#"{"db":null}"#);
    let said = [(Base, table), (Store, null), (Local, r#"{"db":"a"}"#)];
    assert_eq!(merged(&said), r#"{"db":"a"}"#);
}

#[test]
fn what_a_null_took_away_contradicts_nothing() {
    let said = [
        (Base, r#"{"db":{"host":{"name":"a"}}}"#),
        (Store, r#"{"db":null}"#),
        (Local, r#"{"db":{"host":"a"}}"#),
    ];
    assert_eq!(merged(&said), r#"{"db":{"host":"a"}}"#);
}

#[test]
fn an_error_names_ten_contradictions_and_counts_the_rest() {
    let entries = |value: &str| {
        let keys = (0..12).map(|key| format!(r#""k{key}":{value}"#));
        format!("{{{}}}", keys.collect::<Vec<_>>().join(","))
    };
    let refused = refusal(&[(Base, &entries("{}")), (Store, &entries("1"))]);
    assert!(
        refused.contains("`k9`") && !refused.contains("`k10`"),
        "{refused}"
    );
    assert!(refused.ends_with("; and 2 more"), "{refused}");
}

#[test]
fn a_configuration_that_is_only_shown_may_contradict_itself() {
    let said = [
        (Base, r#"{"a":{"b":1},"c":{"$required":"it"}}"#),
        (Store, r#"{"a":2}"#),
    ];
    assert_eq!(text(&layers(&said).unchecked()), r#"{"a":2}"#);
}
