//! Names of objects, rules about them, and patterns: whatever they are made of, no object is allowed that no rule means, and
//! what a pattern stands for is what its words say.

use super::damage::CASES;
use super::{holds, on_a_small_stack};
use crunchbox::object::{Access, Name, Place, Rule};
use crunchbox::store::Location;
use crunchbox::template::{Facts, Glob, Template};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

static ALL: [Access; 3] = [Access::Read, Access::Write, Access::List];

const PLACES: [&str; 26] = [
    "s3://*",
    "s3://acme/",
    "s3://acme/in/",
    "s3://acme/in/a",
    "s3://acme/in/b/c",
    "s3://acme/in//a",
    "s3://acme/in/../a",
    "s3://acme/in\\..\\a",
    "s3://acme/inside",
    "s3://acme",
    "s3://acme2/in/a",
    "s3://acme-s3alias/in/",
    "s3://acme/ü/\u{1}",
    "/",
    "/data",
    "/data/",
    "/data/in/",
    "/data/in/a.json",
    "/data/in/ü/a b",
    "/data//in/a",
    "/data/../proc/self/environ",
    "/data/in/.crunchbox-1",
    "/proc/",
    "/proc/self/environ",
    "/proc",
    "/dev/shm/a",
];

/// A place, or the beginnings of two one after the other.
fn place() -> impl Strategy<Value = String> {
    let cut = (
        select(PLACES.to_vec()),
        select(PLACES.to_vec()),
        0..30_usize,
    );
    let cut = cut.prop_map(|(one, other, at)| {
        one[..one.floor_char_boundary(at)].to_owned() + other.trim_start_matches("s3:/")
    });
    prop_oneof![3 => select(PLACES.to_vec()).prop_map(str::to_owned), 1 => cut]
}

fn rule() -> impl Strategy<Value = (String, Vec<Access>)> {
    (place(), subsequence(&ALL[..], 1..=3))
}

fn rule_of((at, allow): &(String, Vec<Access>)) -> Option<Rule> {
    Rule::new(at, allow).ok()
}

#[test]
fn no_object_is_allowed_that_its_rule_or_a_ceiling_does_not_mean() {
    let stores = [
        "s3://acme/in",
        "s3://acme/in/b?region=eu-west-1",
        "/data/in",
        "/data",
    ];
    let stores: Vec<Location> = stores.iter().map(|store| store.parse().unwrap()).collect();
    on_a_small_stack(|| {
        let strategy = (rule(), rule(), vec(place(), 1..8));
        holds(4 * CASES, &strategy, |(text, most, names)| {
            let Some(rule) = rule_of(&text) else { return };
            let most = rule_of(&most).filter(|most| most.covers(&rule));
            for name in names.iter().filter_map(|name| Name::object(name).ok()) {
                assert_eq!(Name::object(&name.to_string()).as_ref(), Ok(&name));
                for access in ALL {
                    let place = rule.place(&name, access);
                    assert_eq!(place.is_some(), rule.allows(&name, access));
                    let Some(place) = place else { continue };
                    is_meant(&text, &name, &place);
                    assert!(text.1.contains(&access));
                    assert!(most.as_ref().is_none_or(|most| most.allows(&name, access)));
                    for store in stores.iter().filter(|store| has(store, &name)) {
                        assert!(rule.overlaps(store), "{name} of {store}");
                    }
                }
            }
        });
    });
}

fn is_meant((text, _): &(String, Vec<Access>), name: &Name, place: &Place) {
    let asked = name.to_string();
    let fits = match text.as_str() {
        "s3://*" => asked.starts_with("s3://"),
        prefix if prefix.ends_with('/') => asked.starts_with(prefix),
        one => asked == one,
    };
    assert!(fits, "{asked} by {text}");
    assert_eq!(place.to_string(), asked);
    let system = ["/proc/", "/sys/", "/dev/"];
    assert!(
        !system.iter().any(|folder| asked.starts_with(folder)),
        "{asked}"
    );
    if let Place::Folder { root, rest } = place {
        let climbs = |part: &str| matches!(part, "" | "." | "..");
        assert!(
            text.starts_with(root.as_str()) && !rest.split('/').any(climbs),
            "{place}"
        );
    }
}

/// Whether a store has an object of such a name.
fn has(store: &Location, name: &Name) -> bool {
    let start = match store {
        Location::S3(store) => format!("s3://{}/{}/", store.bucket, store.prefix),
        Location::Folder(folder) => format!("{}/", folder.display()),
    };
    name.to_string().starts_with(&start)
}

/// Whether a text is a pattern's, each `*` of which stands for anything; slow, and plain to see.
fn is_of(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([b'*', pattern @ ..], _) => (0..=text.len()).any(|at| is_of(pattern, &text[at..])),
        ([first, pattern @ ..], [other, text @ ..]) => first == other && is_of(pattern, text),
        ([], text) => text.is_empty(),
        ([_, ..], []) => false,
    }
}

#[test]
fn a_star_stands_for_anything_and_nothing_else_does() {
    let text = || vec(select(vec!["a", "b", "*", "ü"]), 0..8).prop_map(|parts| parts.concat());
    holds(
        4 * CASES,
        &(text(), text(), text()),
        |(pattern, other, text)| {
            let (glob, narrow) = (Glob::new(&pattern), Glob::new(&other));
            assert_eq!(
                glob.matches(&text),
                is_of(pattern.as_bytes(), text.as_bytes())
            );
            assert!(glob.contains(&glob));
            assert!(!glob.contains(&narrow) || !narrow.matches(&text) || glob.matches(&text));
        },
    );
}

#[test]
fn a_template_matches_what_it_is_filled_to_and_its_facts_add_no_part() {
    let words = vec![
        "{{",
        "}}",
        "{{channel}}",
        "{{ channel }}",
        "{{up}}",
        "{{star}}",
        "channel",
        "{",
        "}",
        "a",
        "*",
        "/",
        "..",
        "ü",
        " ",
    ];
    let facts = Facts::default()
        .with("channel", "live")
        .with("up", "..")
        .with("star", "a*b");
    let words = vec(select(words), 0..10).prop_map(|words| words.concat());
    holds(4 * CASES, &words, |text| {
        let Ok(template) = Template::parse(&text) else {
            return;
        };
        let names: Vec<&str> = template.names().collect();
        assert_eq!(names.is_empty(), template.plain() == text);
        let Ok(filled) = template.fill(&facts) else {
            return;
        };
        assert!(!names.contains(&"up") && !names.contains(&"star"));
        assert_eq!(template.matches(&filled, &facts), Ok(true));
        for mark in ['/', '*', '{'] {
            let count = |text: &str| text.matches(mark).count();
            assert!(count(&filled) <= count(&text), "{filled}");
        }
    });
}
