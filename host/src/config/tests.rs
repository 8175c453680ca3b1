//! The rules by which layers become one configuration, each a test. Layers are JSON here; what the other formats become is
//! tested with their readers.

mod chain;
mod reading;
mod schema;
mod secrets;
mod single;

use super::Tier::{Argument, Base, Environment, Local, Store, Watched};
use super::value::write_sealed_table;
use super::*;
use crate::overlay::Overlay;
use crate::settings;

/// A layer of JSON in a file that is named after its tier.
fn layer(tier: Tier, json: &str) -> Layer {
    Layer::parse(tier, &format!("{tier}.json"), json.as_bytes()).unwrap()
}

/// The layers of such files, weak to strong.
fn layers(said: &[(Tier, &str)]) -> Layers {
    let mut layers = Layers::new();
    for (tier, json) in said {
        layers.add(layer(*tier, json));
    }
    layers
}

/// What such files make together.
fn config(said: &[(Tier, &str)]) -> Config {
    layers(said).settle(&Rules::default()).unwrap()
}

/// The whole of a configuration.
fn text(config: &Config) -> String {
    config.get(&[]).unwrap().unwrap().unfilled().to_owned()
}

/// The whole of what such files make together.
fn merged(said: &[(Tier, &str)]) -> String {
    text(&config(said))
}

/// Why such files make nothing together.
fn refusal(said: &[(Tier, &str)]) -> String {
    let settled = layers(said).settle(&Rules::default());
    settled.unwrap_err().to_string()
}

/// A path as people write it.
fn at(path: &str) -> Vec<String> {
    path::parse(path).unwrap()
}

/// Each text is refused by a reader with these words at this line.
pub(super) fn refused(
    read: fn(&str) -> Result<Table, value::Problem>,
    cases: &[(&str, &str, u32)],
) {
    for (text, words, line) in cases {
        let problem = read(text).unwrap_err();
        assert!(problem.what.contains(words), "{text}: {problem}");
        assert_eq!(problem.line, *line, "{text}: {problem}");
    }
}

/// A table as it is sealed, and the line of each value in it, in order.
pub(super) fn sealed(table: &Table) -> (String, Vec<u32>) {
    let (mut text, mut lines) = (String::new(), Vec::new());
    write_sealed_table(&mut text, &mut lines, table);
    (text, lines)
}

/// Who is believed of two tiers that both say who they are.
fn winner(weak: Tier, strong: Tier) -> String {
    let said = |tier: Tier| format!(r#"{{"who":"{tier}"}}"#);
    merged(&[(weak, &said(weak)), (strong, &said(strong))])
}

/// What a machine makes of a watched file that says who it is.
fn on_machine(overlay: &Overlay) -> String {
    let watched = layer(Watched, r#"{"who":"watched"}"#);
    let layers = overlay.on([watched]).unwrap();
    text(&layers.settle(&Rules::default()).unwrap())
}

/// A machine whose environment says who it is.
fn machine() -> Overlay {
    let variables = [("CRUNCHBOX_CONFIG", r#"{"who":"environment"}"#)];
    Overlay {
        environment: settings::Environment::from_iter(variables),
        ..Overlay::default()
    }
}

#[test]
fn tiers_are_ordered_from_the_release_to_the_command_line() {
    let tiers = [Base, Store, Watched, Environment, Local, Argument];
    assert!(tiers.is_sorted());
    assert_eq!(
        tiers.map(Tier::is_signed),
        [true, true, false, false, false, false]
    );
}

#[test]
fn the_store_wins_over_the_base() {
    assert_eq!(winner(Base, Store), r#"{"who":"store"}"#);
}

#[test]
fn a_watched_file_wins_over_the_store() {
    assert_eq!(winner(Store, Watched), r#"{"who":"watched"}"#);
}

#[test]
fn the_environment_wins_over_a_watched_file() {
    assert_eq!(winner(Watched, Environment), r#"{"who":"environment"}"#);
    assert_eq!(on_machine(&machine()), r#"{"who":"environment"}"#);
}

#[test]
fn a_local_file_wins_over_the_environment() {
    assert_eq!(winner(Environment, Local), r#"{"who":"local"}"#);
    let overlay = Overlay {
        layers: vec![layer(Local, r#"{"who":"local"}"#)],
        ..machine()
    };
    assert_eq!(on_machine(&overlay), r#"{"who":"local"}"#);
}

#[test]
fn the_command_line_wins_over_a_local_file() {
    assert_eq!(winner(Local, Argument), r#"{"who":"command line"}"#);
    let overlay = Overlay {
        layers: vec![layer(Local, r#"{"who":"local"}"#)],
        assignments: vec!["who=you".to_owned()],
        ..machine()
    };
    assert_eq!(on_machine(&overlay), r#"{"who":"you"}"#);
}

#[test]
fn a_variable_for_one_value_wins_over_the_variable_for_all() {
    let overlay = Overlay {
        environment: settings::Environment::from_iter([
            ("CRUNCHBOX_CONFIG", r#"{"who":"all"}"#),
            ("CRUNCHBOX_CONFIG_WHO", "one"),
        ]),
        ..Overlay::default()
    };
    assert_eq!(on_machine(&overlay), r#"{"who":"one"}"#);
}

#[test]
fn of_several_base_files_the_last_wins() {
    let mut layers = Layers::new();
    for (origin, text) in [
        ("shared.toml", "pool = 2\nregion = \"eu-west-1\""),
        ("config.edn", "{:pool 4}"),
    ] {
        layers.add(Layer::parse(Base, origin, text.as_bytes()).unwrap());
    }
    let config = layers.settle(&Rules::default()).unwrap();
    assert_eq!(text(&config), r#"{"pool":4,"region":"eu-west-1"}"#);
    assert_eq!(config.source(&at("pool")).unwrap().origin, "config.edn");
}

#[test]
fn tables_are_merged_key_by_key_at_every_depth() {
    let base = r#"{"db":{"host":"a","port":1,"pool":{"min":1,"max":2}}}"#;
    let store = r#"{"db":{"host":"b","pool":{"max":3,"idle":4}}}"#;
    assert_eq!(
        merged(&[(Base, base), (Store, store)]),
        r#"{"db":{"host":"b","port":1,"pool":{"min":1,"max":3,"idle":4}}}"#
    );
}

#[test]
fn a_list_is_replaced_whole() {
    let base = r#"{"list":[1,{"k":2},3]}"#;
    let store = r#"{"list":[{"l":4}]}"#;
    assert_eq!(
        merged(&[(Base, base), (Store, store)]),
        r#"{"list":[{"l":4}]}"#
    );
}

#[test]
fn a_value_of_one_kind_may_be_replaced_by_one_of_another() {
    let base = r#"{"a":1,"b":"x","c":[1],"d":true}"#;
    let store = r#"{"a":"1","b":[1],"c":false,"d":2}"#;
    assert_eq!(merged(&[(Base, base), (Store, store)]), store);
}

#[test]
fn null_is_a_value_that_wins_like_any_other() {
    let base = r#"{"a":1,"b":[1],"c":null}"#;
    assert_eq!(
        merged(&[(Base, base), (Store, r#"{"a":null,"b":null,"c":2}"#)]),
        r#"{"a":null,"b":null,"c":2}"#
    );
}

#[test]
fn a_null_takes_a_table_away_and_a_table_replaces_a_null() {
    let (table, null) = (r#"{"db":{"host":"a"}}"#, r#"{"db":null}"#);
    assert_eq!(merged(&[(Base, table), (Store, null)]), null);
    assert_eq!(merged(&[(Base, null), (Store, table)]), table);
}

#[test]
fn keys_of_a_table_that_a_null_took_away_do_not_come_back() {
    let said = [
        (
            Base,
            r#"{"db":{"host":"a","port":1,"password":{"$required":"it"}}}"#,
        ),
        (Store, r#"{"db":null}"#),
        (Local, r#"{"db":{"host":"b"}}"#),
    ];
    assert_eq!(merged(&said), r#"{"db":{"host":"b"}}"#);
}

#[test]
fn a_default_counts_until_somebody_says_otherwise() {
    let base = r#"{"pool":{"$default":4},"nothing":{"$default":null}}"#;
    assert_eq!(merged(&[(Base, base)]), r#"{"pool":4,"nothing":null}"#);
    assert_eq!(
        merged(&[(Base, base), (Local, r#"{"pool":8}"#)]),
        r#"{"pool":8,"nothing":null}"#
    );
}

#[test]
fn a_default_wins_over_a_weaker_default() {
    let said = [
        (Base, r#"{"pool":{"$default":4}}"#),
        (Store, r#"{"pool":{"$default":8}}"#),
    ];
    assert_eq!(merged(&said), r#"{"pool":8}"#);
}

#[test]
fn a_default_in_a_stronger_layer_counts_like_any_value() {
    let said = [
        (Base, r#"{"pool":2}"#),
        (Store, r#"{"pool":{"$default":4}}"#),
    ];
    assert_eq!(merged(&said), r#"{"pool":4}"#);
}

#[test]
fn a_default_table_is_merged_with_a_stronger_table() {
    let said = [
        (Base, r#"{"db":{"$default":{"host":"a","port":1}}}"#),
        (Local, r#"{"db":{"host":"b"}}"#),
    ];
    assert_eq!(merged(&said), r#"{"db":{"host":"b","port":1}}"#);
}

#[test]
fn a_default_table_is_merged_with_a_weaker_table() {
    let said = [
        (Base, r#"{"db":{"host":"a"}}"#),
        (Store, r#"{"db":{"$default":{"port":1}}}"#),
        (Local, r#"{"db":{"user":"u"}}"#),
    ];
    assert_eq!(merged(&said), r#"{"db":{"host":"a","port":1,"user":"u"}}"#);
}

#[test]
fn what_must_be_overridden_is_satisfied_by_a_stronger_layer() {
    let base = r#"{"host":{"$required":"the database"}}"#;
    for host in [
        r#"{"host":"b"}"#,
        r#"{"host":null}"#,
        r#"{"host":[]}"#,
        r#"{"host":{"a":1}}"#,
    ] {
        assert_eq!(merged(&[(Base, base), (Local, host)]), host);
    }
    assert_eq!(
        merged(&[(Base, base), (Store, r#"{"host":{"$default":"b"}}"#)]),
        r#"{"host":"b"}"#
    );
}

#[test]
fn a_demand_in_a_stronger_layer_hides_no_value_of_a_weaker_one() {
    let demand = r#"{"host":{"$required":"the database"}}"#;
    for host in [r#"{"host":"b"}"#, r#"{"host":null}"#, r#"{"host":{"a":1}}"#] {
        assert_eq!(merged(&[(Base, host), (Store, demand)]), host);
    }
    let default = r#"{"host":{"$default":"b"}}"#;
    assert_eq!(
        merged(&[(Base, default), (Store, demand)]),
        r#"{"host":"b"}"#
    );
}

#[test]
fn a_demand_among_tables_does_not_stop_their_merge() {
    let said = [
        (Base, r#"{"db":{"host":"a"}}"#),
        (Store, r#"{"db":{"$required":"a database"}}"#),
        (Watched, r#"{"db":{"$default":{"user":"u"}}}"#),
        (Local, r#"{"db":{"port":1}}"#),
    ];
    assert_eq!(merged(&said), r#"{"db":{"host":"a","user":"u","port":1}}"#);
}

#[test]
fn a_demand_that_nobody_meets_is_named_with_its_path_words_layer_and_line() {
    let base = "{\"db\": {\n \"host\": {\"$required\": \"reporting database\"}}}";
    assert_eq!(
        refusal(&[(Base, base), (Local, "{}")]),
        "`db.host`: must be overridden: reporting database (base, base.json:2)"
    );
}

#[test]
fn every_demand_that_nobody_meets_is_named_and_the_strongest_words_count() {
    let base = r#"{"a":{"$required":"one"},"b":{"$required":"two"}}"#;
    assert_eq!(
        refusal(&[(Base, base), (Store, r#"{"b":{"$required":"three"}}"#)]),
        "`a`: must be overridden: one (base, base.json:1); \
         `b`: must be overridden: three (store, store.json:1)"
    );
}

#[test]
fn a_key_with_two_dollars_is_a_literal_key_with_one() {
    let base = r#"{"$$required":"x","t":{"$$default":1,"$$$a":2}}"#;
    let config = config(&[(Base, base)]);
    assert_eq!(
        text(&config),
        r#"{"$required":"x","t":{"$default":1,"$$a":2}}"#
    );
}

#[test]
fn numbers_keep_their_digits() {
    for number in [
        "12345678901234567890123",
        "1.10",
        "1e999",
        "0.1000",
        "-0",
        "1E+05",
    ] {
        let config = config(&[(Base, &format!(r#"{{"n":{number}}}"#))]);
        assert_eq!(config.get(&at("n")).unwrap().unwrap().unfilled(), number);
    }
}

#[test]
fn equal_configurations_have_one_digest_whatever_layers_they_are_made_of() {
    let whole = config(&[(Base, r#"{"a":1,"db":{"host":"x"}}"#)]);
    let layered = config(&[
        (Base, r#"{ "a": 2, "db": {"$required": "a database"} }"#),
        (Store, r#"{"db":{"host":{"$default":"x"}},"a":1}"#),
    ]);
    assert_eq!(whole.digest(), layered.digest());
}

#[test]
fn configurations_that_differ_have_different_digests() {
    let texts = [
        "{}",
        r#"{"a":null}"#,
        r#"{"a":1.1}"#,
        r#"{"a":1.10}"#,
        r#"{"a":"1.1"}"#,
        r#"{"a":[1.1]}"#,
        r#"{"a":{}}"#,
        r#"{"b":1.1}"#,
    ];
    let digests = texts.map(|text| config(&[(Base, text)]).digest().to_string());
    let distinct = std::collections::BTreeSet::from(digests);
    assert_eq!(distinct.len(), texts.len());
}

#[test]
fn no_layers_make_an_empty_configuration() {
    let config = Config::default();
    assert_eq!(text(&config), "{}");
    assert!(config.layers().is_empty() && config.overrides().is_empty());
    assert_eq!(config.source(&at("a")), None);
}
