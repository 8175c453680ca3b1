//! References to secrets: which of them stand, and what fills the templates in them.

use super::*;
use crate::secret::Grant;
use crate::template::Facts;

fn grants(texts: &[&str]) -> Vec<Grant> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// What a channel's function knows.
fn facts() -> Facts {
    Facts::default()
        .with("channel", "live")
        .with("function", "crunch")
}

/// What layers make together where everything is granted.
fn granted(said: &[(Tier, &str)]) -> Result<Config, ConfigError> {
    let grants = grants(&["env:*", "ssm:*", "secretsmanager:*"]);
    layers(said).settle(&Rules {
        facts: facts(),
        grants: &grants,
        ..Rules::default()
    })
}

/// The references that such layers come to.
fn references(said: &[(Tier, &str)]) -> Vec<String> {
    let config = granted(said).unwrap();
    let whole = config.get(&[]).unwrap().unwrap();
    let secrets = whole.secrets().iter();
    secrets.map(|secret| secret.reference.to_string()).collect()
}

const PASSWORD: &str = r#"{"db":{"password":{"$secret":"ssm:/crunch/live/db"}}}"#;

#[test]
fn a_secret_that_is_granted_stands_as_a_reference_and_is_filled_when_read() {
    let config = granted(&[(Base, PASSWORD)]).unwrap();
    let piece = config.get(&at("db")).unwrap().unwrap();
    assert_eq!(
        piece.unfilled(),
        r#"{"password":{"$secret":"ssm:/crunch/live/db"}}"#
    );
    assert_eq!(piece.secrets().len(), 1);
    assert_eq!(
        piece.filled([r#""hunter2""#.to_owned()]),
        r#"{"password":"hunter2"}"#
    );
}

#[test]
fn each_piece_has_the_secrets_in_it_and_no_others() {
    let base = r#"{"a":{"$secret":"env:A"},"t":{"x":1,"l":[{"$secret":"env:B"},2,{"$secret":"env:C"}]},"z":{"$secret":"env:D"}}"#;
    let config = granted(&[(Base, base)]).unwrap();
    let filled = |path: &str| {
        let piece = config.get(&at(path)).unwrap().unwrap();
        let secrets = piece.secrets().iter();
        piece.filled(secrets.map(|secret| format!(r#""<{}>""#, secret.reference)))
    };
    assert_eq!(filled("t"), r#"{"x":1,"l":["<env:B>",2,"<env:C>"]}"#);
    assert_eq!(filled("t.x"), "1");
    assert_eq!(filled("z"), r#""<env:D>""#);
}

#[test]
fn a_secret_that_is_not_granted_is_refused_by_its_path_and_source() {
    let said = [
        (Base, "{}"),
        (
            Local,
            "{\"db\":\n{\"password\": {\"$secret\": \"ssm:/other\"}}}",
        ),
    ];
    let grants = grants(&["ssm:/crunch/*", "env:*"]);
    let rules = Rules {
        grants: &grants,
        ..Rules::default()
    };
    assert_eq!(
        layers(&said).settle(&rules).unwrap_err().to_string(),
        "`db.password`: the secret `ssm:/other` is not granted: expected one that `secrets` in [grants] of \
         crunchbox.toml names (local, local.json:2)"
    );
}

#[test]
fn without_grants_no_secret_stands() {
    assert!(refusal(&[(Base, PASSWORD)]).contains("is not granted"));
}

#[test]
fn a_secret_beyond_the_ceiling_of_the_policy_is_refused() {
    let (grants, ceiling) = (grants(&["ssm:*"]), grants(&["ssm:/crunch/staging/*"]));
    let settled = |ceiling| {
        let rules = Rules {
            grants: &grants,
            ceiling,
            ..Rules::default()
        };
        layers(&[(Base, PASSWORD)]).settle(&rules)
    };
    let expected = "`db.password`: the secret `ssm:/crunch/live/db` is beyond what `secrets` in [grants] of \
                    policy.toml allows (base, base.json:1)";
    assert_eq!(
        settled(Some(&ceiling[..])).unwrap_err().to_string(),
        expected
    );
    assert_eq!(settled(Some(&[])).unwrap_err().to_string(), expected);
    assert!(settled(None).is_ok() && settled(Some(&grants[..])).is_ok());
}

#[test]
fn every_secret_that_is_refused_is_named() {
    let base = r#"{"a":{"$secret":"env:A"},"b":[{"$secret":"env:B"}]}"#;
    let refused = refusal(&[(Base, base)]);
    assert!(refused.contains("`a`: the secret `env:A`"), "{refused}");
    assert!(refused.contains("`b`: the secret `env:B`"), "{refused}");
}

#[test]
fn only_the_secret_that_counts_must_be_granted() {
    let said = [(Base, PASSWORD), (Local, r#"{"db":{"password":"x"}}"#)];
    assert_eq!(merged(&said), r#"{"db":{"password":"x"}}"#);
}

#[test]
fn a_grant_may_hold_a_template() {
    let grants = grants(&["ssm:/crunch/{{channel}}/*"]);
    let settled = |channel| {
        let rules = Rules {
            facts: Facts::default().with("channel", channel),
            grants: &grants,
            ..Rules::default()
        };
        layers(&[(Base, PASSWORD)]).settle(&rules)
    };
    assert!(settled("live").is_ok());
    assert!(settled("staging").is_err());
}

#[test]
fn a_variable_of_the_platform_is_refused_whatever_is_granted() {
    for name in ["AWS_SECRET_ACCESS_KEY", "CRUNCHBOX_STORE", "_HANDLER"] {
        let text = format!(r#"{{"key":{{"$secret":"env:{name}"}}}}"#);
        let error = Layer::parse(Local, "local.json", text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("is the platform's"), "{error}");
    }
    let base = r#"{"whose":"AWS_","key":{"$secret":"env:{{whose}}SECRET_ACCESS_KEY"}}"#;
    let error = granted(&[(Base, base)]).unwrap_err().to_string();
    assert!(error.contains("is the platform's"), "{error}");
}

#[test]
fn templates_are_filled_with_facts_and_with_values_of_signed_layers() {
    let said = [
        (
            Base,
            r#"{"db":{"name":"readings"},"shard":{"$default":7},"stage":"a"}"#,
        ),
        (
            Store,
            r#"{"stage":"b","key":{"$secret":"ssm:/{{channel}}/{{db.name}}/{{ shard }}/{{stage}}"}}"#,
        ),
    ];
    assert_eq!(references(&said), ["ssm:/live/readings/7/b"]);
}

#[test]
fn a_fact_wins_over_a_value_of_the_same_name() {
    let base = r#"{"channel":"other","key":{"$secret":"ssm:/{{channel}}"}}"#;
    assert_eq!(references(&[(Base, base)]), ["ssm:/live"]);
}

#[test]
fn a_template_names_a_key_as_a_path_does() {
    let base = r#"{"a.b":{"c/d":"x"},"key":{"$secret":"ssm:/{{\"a.b\".c/d}}"}}"#;
    assert_eq!(references(&[(Base, base)]), ["ssm:/x"]);
}

#[test]
fn a_value_of_an_unsigned_layer_fills_no_template() {
    let base = r#"{"key":{"$secret":"ssm:/{{stage}}/db"}}"#;
    for tier in [Watched, Environment, Local, Argument] {
        let error = granted(&[(Base, base), (tier, r#"{"stage":"prod"}"#)]).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("`key`: `{{stage}}` is not known here"),
            "{error}"
        );
        assert!(!error.contains("prod"), "{error}");
    }
}

#[test]
fn a_template_is_filled_with_the_signed_value_though_an_unsigned_layer_says_otherwise() {
    let base = r#"{"stage":"live","key":{"$secret":"ssm:/{{stage}}/db"}}"#;
    for tier in [Watched, Environment, Local, Argument] {
        for said in [r#"{"stage":"prod"}"#, r#"{"stage":null}"#] {
            assert_eq!(references(&[(Base, base), (tier, said)]), ["ssm:/live/db"]);
        }
    }
}

#[test]
fn a_reference_of_an_unsigned_layer_is_filled_and_must_be_granted_like_any_other() {
    let said = [
        (Base, r#"{"stage":"live"}"#),
        (Watched, r#"{"key":{"$secret":"ssm:/{{stage}}/db"}}"#),
    ];
    assert_eq!(references(&said), ["ssm:/live/db"]);
    let error = layers(&said).settle(&Rules::default()).unwrap_err();
    assert!(
        error.to_string().contains("`ssm:/live/db` is not granted"),
        "{error}"
    );
}

#[test]
fn a_template_is_filled_with_one_plain_word_and_no_other_text_is_repeated() {
    for value in [
        "one/two",
        "..",
        ".hidden",
        "*",
        "two words",
        "one{{two}}",
        "",
    ] {
        let value = serde_json::to_string(value).unwrap();
        let base = format!(r#"{{"stage":{value},"key":{{"$secret":"ssm:/{{{{stage}}}}/db"}}}}"#);
        let error = granted(&[(Base, &base)]).unwrap_err().to_string();
        assert_eq!(
            error,
            "`key`: `{{stage}}`: expected one plain word to put there (letters, digits, `-`, `_`, `.`) \
             (base, base.json:1)"
        );
    }
}

#[test]
fn only_texts_and_numbers_fill_templates() {
    for value in [
        "true",
        "null",
        "[1]",
        r#"{"a":1}"#,
        r#"{"$secret":"env:A"}"#,
    ] {
        let base = format!(r#"{{"stage":{value},"key":{{"$secret":"ssm:/{{{{stage}}}}"}}}}"#);
        let error = granted(&[(Base, &base)]).unwrap_err().to_string();
        assert!(
            error.starts_with("`key`: `{{stage}}` is not known here"),
            "{error}"
        );
    }
}

#[test]
fn a_part_leaves_templates_and_demands_open_and_checks_the_rest() {
    let settled = |base: &str| {
        let grants = grants(&["ssm:/crunch/*"]);
        layers(&[(Base, base)]).settle(&Rules {
            grants: &grants,
            extent: Extent::Part,
            ..Rules::default()
        })
    };
    let open = r#"{"key":{"$secret":"ssm:/{{region}}/db"},"host":{"$required":"it"}}"#;
    assert_eq!(
        text(&settled(open).unwrap()),
        r#"{"key":{"$secret":"ssm:/{{region}}/db"}}"#
    );
    let error = settled(PASSWORD.replace("crunch", "other").as_str()).unwrap_err();
    assert!(error.to_string().contains("is not granted"), "{error}");
}

#[test]
fn what_is_only_shown_has_all_its_references_unfilled() {
    let base = r#"{"key":{"$secret":"ssm:/{{nobody}}/db"}}"#;
    assert_eq!(text(&layers(&[(Base, base)]).unchecked()), base);
}

#[test]
fn a_reference_tells_one_configuration_from_another() {
    let digest = |name: &str| {
        let base = format!(r#"{{"key":{{"$secret":"ssm:/{name}"}}}}"#);
        granted(&[(Base, &base)]).unwrap().digest()
    };
    assert_eq!(digest("a"), digest("a"));
    assert_ne!(digest("a"), digest("b"));
    assert_eq!(digest("{{channel}}"), digest("live"));
}

#[test]
fn a_configuration_has_no_more_secrets_than_a_host_fetches_at_once() {
    let many = |count: usize| {
        let items: Vec<String> = (0..count)
            .map(|number| format!(r#"{{"$secret":"env:A{number}"}}"#))
            .collect();
        format!(r#"{{"all":[{}]}}"#, items.join(","))
    };
    assert!(granted(&[(Base, &many(256))]).is_ok());
    let error = granted(&[(Base, &many(257))]).unwrap_err().to_string();
    assert_eq!(
        error,
        "the configuration: expected at most 256 secrets, got 257"
    );
}

#[test]
fn a_grant_that_cannot_be_filled_takes_nothing_from_another() {
    let grants = grants(&["ssm:/crunch/{{region}}/*", "ssm:/shared/key"]);
    let settled = |base: &str| {
        layers(&[(Base, base)]).settle(&Rules {
            facts: facts(),
            grants: &grants,
            ..Rules::default()
        })
    };
    assert!(settled(r#"{"a":{"$secret":"ssm:/shared/key"}}"#).is_ok());
    let error = settled(r#"{"a":{"$secret":"ssm:/other"}}"#).unwrap_err();
    assert!(error.to_string().contains("region"), "{error}");
}
