use super::*;

const ALL: [Access; 3] = [Access::Read, Access::Write, Access::List];

fn rule(at: &str, allow: &[Access]) -> Rule {
    Rule::new(at, allow).unwrap()
}

fn reads(at: &str, name: &str) -> bool {
    rule(at, &[Access::Read]).allows(&Name::object(name).unwrap(), Access::Read)
}

fn lists(at: &str, prefix: &str) -> bool {
    rule(at, &ALL).allows(&Name::prefix(prefix).unwrap(), Access::List)
}

#[test]
fn a_prefix_grants_what_is_below_it_and_anything_else_one_object() {
    for (at, name, expected) in [
        ("s3://acme/readings/", "s3://acme/readings/a", true),
        ("s3://acme/readings/", "s3://acme/readings/2024/b//c", true),
        ("s3://acme/readings/", "s3://acme/readings", false),
        ("s3://acme/readings/", "s3://acme/readings2/a", false),
        ("s3://acme/readings/", "s3://other/readings/a", false),
        ("s3://acme/readings/", "s3://acme/Readings/a", false),
        ("s3://acme/readings/a", "s3://acme/readings/a", true),
        ("s3://acme/readings/a", "s3://acme/readings/ab", false),
        ("s3://acme/readings/a", "s3://acme/readings/a/b", false),
        ("s3://acme/", "s3://acme/a", true),
        ("s3://acme/", "s3://acme2/a", false),
        ("s3://*", "s3://anything/a", true),
        ("s3://*", "/data/a", false),
        ("/data/in/", "/data/in/a", true),
        ("/data/in/", "/data/inner/a", false),
        ("/data/in/", "/data/in", false),
        ("/data/in/a", "/data/in/a", true),
        ("/data/in/a", "/data/in/b", false),
    ] {
        assert_eq!(reads(at, name), expected, "{at} {name}");
    }
}

#[test]
fn a_listing_stays_within_the_prefix() {
    for (at, prefix, expected) in [
        ("s3://acme/readings/", "s3://acme/readings/", true),
        ("s3://acme/readings/", "s3://acme/readings/2024-", true),
        ("s3://acme/readings/", "s3://acme/readings", false),
        ("s3://acme/readings/", "s3://acme/", false),
        ("s3://acme/", "s3://acme/", true),
        ("/data/in/", "/data/in/", true),
        ("/data/in/", "/data/", false),
        ("/data/in/", "/data/in", false),
    ] {
        assert_eq!(lists(at, prefix), expected, "{at} {prefix}");
    }
}

#[test]
fn only_what_is_allowed_may_be_done() {
    let name = Name::object("s3://acme/a/b").unwrap();
    for allowed in ALL {
        for asked in ALL {
            let rule = rule("s3://acme/a/", &[allowed]);
            assert_eq!(rule.allows(&name, asked), allowed == asked);
        }
    }
}

#[test]
fn a_place_in_a_folder_begins_where_the_rule_ends() {
    let place = |at: &str, name: &str| {
        let place = rule(at, &ALL[..1]).place(&Name::object(name).unwrap(), Access::Read);
        match place.unwrap() {
            Place::Folder { root, rest } => (root, rest),
            place @ Place::S3 { .. } => panic!("{place}"),
        }
    };
    let parts = |root: &str, rest: &str| (root.to_owned(), rest.to_owned());
    assert_eq!(place("/data/", "/data/in/a"), parts("/data", "in/a"));
    assert_eq!(place("/data/in/a", "/data/in/a"), parts("/data/in", "a"));
    assert_eq!(place("/a", "/a"), parts("", "a"));
}

#[test]
fn what_is_no_prefix_and_no_object_is_refused() {
    for (at, expected) in [
        ("", "an absolute path"),
        ("readings/", "an absolute path"),
        ("s3://acme", "`/` after the bucket"),
        ("s3://acme/*", "no `*`"),
        ("s3://*/", "no `*`"),
        ("s3://acme//a/", "to be empty"),
        ("s3://acme/a/../b/", "`.` or `..`"),
        ("s3://acme-s3alias/", "access point"),
        ("/", "not the system's"),
        ("/proc/self/environ", "not the system's"),
        ("/sys/", "not the system's"),
        ("/dev", "not the system's"),
        ("/data/../etc/", "`.` or `..`"),
    ] {
        let problem = Rule::new(at, &ALL[..1]).unwrap_err();
        assert!(problem.contains(expected), "{at}: {problem}");
    }
    assert!(Rule::new("/device/", &ALL).is_ok() && Rule::new("s3://1/1/", &ALL).is_ok());
    assert!(
        Rule::new("s3://acme/a", &ALL)
            .unwrap_err()
            .contains("`s3://acme/a/`")
    );
    assert!(
        Rule::new("s3://acme/a", &[])
            .unwrap_err()
            .contains("`allow`")
    );
}

#[test]
fn a_rule_covers_another_if_it_reaches_as_far_and_allows_as_much() {
    for (wide, narrow) in [
        ("s3://*", "s3://acme/"),
        ("s3://acme/", "s3://acme/readings/"),
        ("s3://acme/readings/", "s3://acme/readings/2024/"),
        ("s3://acme/readings/", "s3://acme/readings/a"),
        ("/data/", "/data/in/"),
    ] {
        let (wide, narrow) = (rule(wide, &ALL[..2]), rule(narrow, &ALL[..2]));
        assert!(wide.covers(&narrow) && wide.covers(&wide), "{wide}");
        assert!(!narrow.covers(&wide), "{narrow}");
    }
    for (one, other) in [
        ("s3://acme/readings/", "s3://acme/readings2/"),
        ("s3://*", "/data/"),
        ("/data/in/", "/data/inner/"),
    ] {
        assert!(!rule(one, &ALL).covers(&rule(other, &ALL)), "{one} {other}");
    }
    let readable = rule("s3://acme/", &[Access::Read]);
    assert!(!readable.covers(&rule("s3://acme/a/", &ALL)));
    assert!(rule("s3://acme/", &ALL).covers(&readable));
}

#[test]
fn a_rule_that_could_reach_the_store_is_found() {
    for (at, store, expected) in [
        ("s3://acme/", "s3://acme/crunchbox", true),
        ("s3://acme/crunchbox/", "s3://acme/crunchbox", true),
        ("s3://acme/crunchbox", "s3://acme/crunchbox", true),
        (
            "s3://acme/crunchbox/f/channels/live.json",
            "s3://acme/crunchbox",
            true,
        ),
        ("s3://acme/readings/", "s3://acme", true),
        ("s3://acme/readings/", "s3://acme/crunchbox", false),
        ("s3://acme/crunchbox2/", "s3://acme/crunchbox", false),
        ("s3://other/", "s3://acme/crunchbox", false),
        ("s3://*", "s3://acme/crunchbox", true),
        ("s3://*", "./store", false),
        ("/data/", "s3://acme/crunchbox", false),
    ] {
        let store: Location = store.parse().unwrap();
        let found = rule(at, &ALL[..1]).overlaps(&store);
        assert_eq!(found, expected, "{at} {store}");
    }
}

#[test]
fn a_folder_that_leads_to_the_store_by_another_name_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    std::fs::create_dir(path.join("store")).unwrap();
    std::os::unix::fs::symlink(path.join("store"), path.join("link")).unwrap();
    let overlaps = |at: &str, store: &str| {
        let at = format!("{}/{at}", path.display());
        rule(&at, &ALL).overlaps(&Location::Folder(path.join(store)))
    };
    assert!(overlaps("link/", "store") && overlaps("link/not/yet/", "store"));
    assert!(overlaps("store/", "link") && overlaps("store/", "link/not/yet"));
    assert!(overlaps("store/", "other/../store"));
    assert!(overlaps("", "store") && !overlaps("other/", "store"));
}
