//! The places at which a value is not what was expected, and the expectation that it would have met.

use super::json::{Json, Table};
use super::marker::{Entries, Node, Others, item_path, key_path};
use super::{Difference, How};
use indexmap::IndexMap;

/// All places that differ, in the order of the expectation.
pub(super) fn differences(expected: &Node, got: &Json, path: &str) -> Vec<Difference> {
    let mut found = Vec::new();
    find(expected, got, path, &mut found);
    found
}

fn find(expected: &Node, got: &Json, path: &str, found: &mut Vec<Difference>) {
    let fits = match (expected, got) {
        (Node::List(expected), Json::List(got)) => return find_items(expected, got, path, found),
        (Node::Table(expected), Json::Table(got)) => return find_keys(expected, got, path, found),
        (Node::Value(expected), got) => expected.is_same(got),
        (Node::Open(open), got) => open.fits(got),
        (Node::Match(pattern), got) => pattern.fits(got),
        (Node::List(_) | Node::Table(_), _) => false,
    };
    if !fits {
        found.push(Difference {
            path: path.to_owned(),
            kind: How::Different,
            expected: Some(expected.json().to_string()),
            got: Some(got.to_string()),
        });
    }
}

fn find_items(expected: &[Node], got: &[Json], path: &str, found: &mut Vec<Difference>) {
    for at in 0..expected.len().max(got.len()) {
        find_one(expected.get(at), got.get(at), item_path(path, at), found);
    }
}

fn find_keys(expected: &Entries, got: &Table, path: &str, found: &mut Vec<Difference>) {
    for (key, node) in &expected.named {
        find_one(Some(node), got.get(key), key_path(path, key), found);
    }
    if expected.others == Others::Allowed {
        return;
    }
    for (key, value) in got {
        if !expected.named.contains_key(key) {
            find_one(None, Some(value), key_path(path, key), found);
        }
    }
}

/// A place that one of the two may not have.
fn find_one(
    expected: Option<&Node>,
    got: Option<&Json>,
    path: String,
    found: &mut Vec<Difference>,
) {
    let kind = match (expected, got) {
        (Some(expected), Some(got)) => return find(expected, got, &path, found),
        (Some(_), None) => How::Missing,
        (None, Some(_)) => How::Unexpected,
        (None, None) => return,
    };
    found.push(Difference {
        path,
        kind,
        expected: expected.map(|expected| expected.json().to_string()),
        got: got.map(Json::to_string),
    });
}

/// The expectation that `got` meets: as it was wherever it fits, what was got elsewhere.
pub(super) fn updated(expected: &Node, got: &Json) -> Node {
    match (expected, got) {
        (Node::List(before), Json::List(got)) => {
            let item = |(at, got): (usize, &Json)| updated_or_new(before.get(at), got);
            Node::List(got.iter().enumerate().map(item).collect())
        }
        (Node::Table(before), Json::Table(got)) => Node::Table(updated_keys(before, got)),
        (Node::Value(before), got) if before.is_same(got) => expected.clone(),
        (Node::Open(open), got) if open.fits(got) => expected.clone(),
        (Node::Match(pattern), got) if pattern.fits(got) => expected.clone(),
        (_, got) => Node::of(got),
    }
}

fn updated_keys(before: &Entries, got: &Table) -> Entries {
    let still_there = before.named.iter().filter_map(|(key, node)| {
        let got = got.get(key)?;
        Some((key.clone(), updated(node, got)))
    });
    let mut named: IndexMap<String, Node> = still_there.collect();
    if before.others == Others::Refused {
        for (key, got) in got {
            if !named.contains_key(key) {
                named.insert(key.clone(), Node::of(got));
            }
        }
    }
    Entries {
        named,
        others: before.others,
    }
}

fn updated_or_new(before: Option<&Node>, got: &Json) -> Node {
    match before {
        Some(before) => updated(before, got),
        None => Node::of(got),
    }
}
