//! Reading what layers have become: values and tables by their paths, who said them, and why they are what they are.

use super::*;

/// The value at a path.
fn read(config: &Config, path: &str) -> Option<String> {
    let piece = config.get(&at(path)).unwrap();
    piece.map(|piece| piece.unfilled().to_owned())
}

fn source(config: &Config, path: &str) -> Option<String> {
    config.source(&at(path)).map(|source| source.to_string())
}

#[test]
fn a_value_and_a_table_are_read_by_their_paths() {
    let config = config(&[(Base, r#"{"db":{"host":"a","ports":[1,2]}}"#)]);
    assert_eq!(read(&config, "db.host").as_deref(), Some(r#""a""#));
    assert_eq!(read(&config, "db.ports").as_deref(), Some("[1,2]"));
    assert_eq!(
        read(&config, "db").as_deref(),
        Some(r#"{"host":"a","ports":[1,2]}"#)
    );
    let table = config.tree(&at("db")).unwrap().unwrap();
    assert_eq!(table.unfilled(), r#"{"host":"a","ports":[1,2]}"#);
}

#[test]
fn a_missing_path_is_none_and_a_null_is_a_value() {
    let config = config(&[(Base, r#"{"a":{"b":null}}"#)]);
    assert_eq!(read(&config, "a.b").as_deref(), Some("null"));
    assert_eq!(read(&config, "a.c"), None);
    assert_eq!(read(&config, "x.y.z"), None);
    assert!(config.tree(&at("x.y")).unwrap().is_none());
}

#[test]
fn a_path_through_a_leaf_names_the_leaf_and_who_said_it() {
    let config = config(&[(Base, "{\"a\":\n{\"b\":7}}")]);
    let error = config.get(&at("a.b.c.d")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`a.b`: expected a table, got a number (base, base.json:2)"
    );
}

#[test]
fn a_tree_that_is_no_table_is_refused_by_its_kind_without_its_value() {
    for (value, kind) in [
        ("null", "null"),
        ("true", "a boolean"),
        ("-7", "a number"),
        (r#""hunter2""#, "a string"),
        (r#"["hunter2"]"#, "an array"),
        (r#"[{"$secret":"env:A"}]"#, "an array"),
        (r#"{"$secret":"env:A"}"#, "a secret"),
    ] {
        let config = layers(&[(Local, &format!(r#"{{"v":{value}}}"#))]).unchecked();
        let error = config.tree(&at("v")).unwrap_err();
        let expected = format!("`v`: expected a table, got {kind} (local, local.json:1)");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn keys_with_dots_slashes_spaces_and_dollars_are_keys_like_any_other() {
    let config = config(&[(Base, r#"{"a.b":{"c/d":1,"e f":2,"$$g":3,"":4}}"#)]);
    let paths = config
        .values()
        .into_iter()
        .map(|(keys, _)| path::display(&keys));
    let paths: Vec<String> = paths.collect();
    assert_eq!(
        paths,
        [
            r#""a.b".c/d"#,
            r#""a.b"."e f""#,
            r#""a.b".$g"#,
            r#""a.b"."""#
        ]
    );
    let values = paths.iter().map(|path| read(&config, path).unwrap());
    assert_eq!(values.collect::<Vec<_>>(), ["1", "2", "3", "4"]);
}

#[test]
fn an_error_quotes_keys_as_people_would() {
    let base = r#"{"a.b":{"e f":{"$required":"it"}}}"#;
    assert!(refusal(&[(Base, base)]).starts_with(r#"`"a.b"."e f"`: must be overridden"#));
}

#[test]
fn a_value_has_the_source_of_the_layer_that_won() {
    let config = config(&[
        (Base, "{\"a\":1,\n\"b\":2,\"c\":{\"$default\":\n3}}"),
        (Local, "{\n\n\"b\":3}"),
    ]);
    assert_eq!(source(&config, "a").as_deref(), Some("base, base.json:1"));
    assert_eq!(source(&config, "b").as_deref(), Some("local, local.json:3"));
    assert_eq!(source(&config, "b.x"), None);
    assert_eq!(source(&config, "x"), None);
}

#[test]
fn a_table_has_the_source_of_the_strongest_layer_that_has_it() {
    let config = config(&[
        (Base, r#"{"db":{"host":"a"}}"#),
        (Store, r#"{"db":{"port":1}}"#),
        (Local, r#"{"other":1}"#),
    ]);
    assert_eq!(
        source(&config, "db").as_deref(),
        Some("store, store.json:1")
    );
    assert_eq!(
        source(&config, "db.host").as_deref(),
        Some("base, base.json:1")
    );
}

#[test]
fn the_whole_has_the_source_of_the_strongest_layer() {
    let config = config(&[(Base, "{}"), (Local, "{}")]);
    assert_eq!(config.source(&[]).unwrap().tier, Local);
}

#[test]
fn all_values_are_told_in_order_with_empty_tables_left_out() {
    let config = config(&[(Base, r#"{"b":{"y":[1],"x":{}},"a":null}"#)]);
    let values = config.values().into_iter();
    let values =
        values.map(|(keys, piece)| format!("{} {}", path::display(&keys), piece.unfilled()));
    assert_eq!(values.collect::<Vec<_>>(), ["b.y [1]", "a null"]);
}

#[test]
fn layers_are_told_weak_to_strong_with_what_counts_of_each() {
    let config = config(&[
        (Base, r#"{"a":1,"b":2,"t":{"c":3}}"#),
        (Store, r#"{"t":{"d":4},"b":3}"#),
        (Local, r#"{"b":4}"#),
    ]);
    assert_eq!(
        config.layers(),
        [
            (Base, "base.json", 2),
            (Store, "store.json", 1),
            (Local, "local.json", 1)
        ]
    );
}

/// A chain as `source: marker said`, `*` before what counts.
fn chain(explained: &Explained) -> Vec<String> {
    let steps = explained.chain.iter().map(|step| {
        let counts = if step.counts { "*" } else { "" };
        let marker = step
            .marker
            .map_or_else(String::new, |marker| format!("{marker} "));
        format!("{counts}{}: {marker}{}", step.source, step.said)
    });
    steps.collect()
}

#[test]
fn a_value_is_explained_by_its_whole_chain_strong_to_weak() {
    let config = config(&[
        (Base, r#"{"db":{"pool":{"$default":4}}}"#),
        (Store, "{\"db\":{\n\"pool\":8}}"),
        (Watched, r#"{"db":{"pool":{"$required":"a size"}}}"#),
        (Local, r#"{"db":{"pool":16}}"#),
    ]);
    let explained = config.explain(&at("db.pool")).unwrap().remove(0);
    assert_eq!(
        chain(&explained),
        [
            "*local, local.json:1: 16",
            "watched, watched.json:1: required a size",
            "store, store.json:2: 8",
            "base, base.json:1: default 4",
        ]
    );
    assert_eq!(explained.value.as_deref(), Some("16"));
    assert_eq!(explained.what.as_deref(), Some("a size"));
}

#[test]
fn a_secret_is_explained_with_its_reference_and_as_stars() {
    let said = [
        (
            Base,
            r#"{"p":{"$secret":"env:A"},"l":[{"$secret":"env:B"}]}"#,
        ),
        (Store, r#"{"p":{"$secret":"ssm:/p"}}"#),
    ];
    let explained = layers(&said).unchecked().explain(&[]).unwrap();
    let [p, l] = &explained[..] else {
        unreachable!("two values")
    };
    assert_eq!((p.value.as_deref(), p.is_secret), (Some(r#""***""#), true));
    let references = p.chain.iter().map(|step| step.reference.as_deref());
    assert_eq!(
        references.collect::<Vec<_>>(),
        [Some("ssm:/p"), Some("env:A")]
    );
    assert_eq!(
        (l.value.as_deref(), l.is_secret),
        (Some(r#"["***"]"#), true)
    );
}

#[test]
fn what_nobody_gives_is_explained_without_a_value() {
    let config = layers(&[(Base, r#"{"a":{"$required":"it"}}"#)]).unchecked();
    let explained = config.explain(&at("a")).unwrap().remove(0);
    assert_eq!(
        (explained.value.as_deref(), explained.what.as_deref()),
        (None, Some("it"))
    );
    assert_eq!(chain(&explained), ["base, base.json:1: required it"]);
}

#[test]
fn a_table_is_explained_value_by_value_and_only_with_what_counts() {
    let config = config(&[
        (Base, r#"{"db":{"gone":1,"host":"a"}}"#),
        (Store, r#"{"db":null}"#),
        (Local, r#"{"db":{"host":"b"}}"#),
    ]);
    let explained = config.explain(&at("db")).unwrap();
    let paths = explained.iter().filter(|one| one.value.is_some());
    let paths: Vec<String> = paths.map(|one| path::display(&one.path)).collect();
    assert_eq!(paths, ["db", "db.host"]);
}

#[test]
fn a_path_that_no_layer_has_cannot_be_explained() {
    let config = config(&[(Base, r#"{"a":1}"#)]);
    let error = config.explain(&at("b.c")).unwrap_err().to_string();
    assert_eq!(error, "`b.c`: expected a key that some layer has, got none");
}
