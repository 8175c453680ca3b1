//! What a move would change, as somebody who answers for it wants to read it: code, imports, grants, limits, config.

use super::{Grants as Sealed, Release, SealedLimits, StoreConfig};
use crate::config::{Layer, Layers, path};
use crate::grant::{Grants, shown};
use crate::quantity::{Bytes, Time};
use crate::template::Facts;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One side of a comparison: a release and the store's layer beside it.
#[derive(Debug, Clone)]
pub struct Side {
    /// The release.
    pub release: Release,
    /// The store's layer.
    pub config: Option<StoreConfig>,
}

/// What differs between two states. Values of the configuration are not in it: they may be secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diff {
    /// Sizes of the component, where its bytes differ.
    pub component: Option<Changed<u64>>,
    /// Interfaces imported now and not before.
    pub imports_added: Vec<String>,
    /// Interfaces imported before and not now.
    pub imports_removed: Vec<String>,
    /// The time limit.
    pub time: Option<Changed<Option<u64>>>,
    /// The memory limit.
    pub memory: Option<Changed<Option<u64>>>,
    /// Other limits, as `name before → after`.
    pub limits: Vec<String>,
    /// Whether what must be true of the configuration is another.
    pub schema_changed: bool,
    /// Grants given now and not before: the release may reach more.
    pub grants_added: Vec<String>,
    /// Grants given before and not now.
    pub grants_removed: Vec<String>,
    /// Paths of the configuration that are new.
    pub config_added: Vec<String>,
    /// Paths that are gone.
    pub config_removed: Vec<String>,
    /// Paths with another value.
    pub config_changed: Vec<String>,
}

/// A value before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed<T> {
    /// Before.
    pub from: T,
    /// After.
    pub to: T,
}

impl<T: PartialEq> Changed<T> {
    fn between(from: T, to: T) -> Option<Self> {
        (from != to).then_some(Self { from, to })
    }
}

impl Diff {
    /// What changes from one state to another; with nothing before, everything is new.
    pub fn between(from: Option<&Side>, to: &Side) -> Self {
        let (old, new) = (from.map(|side| &side.release), &to.release);
        let (no_grants, no_imports) = (Sealed::new(), Vec::new());
        let (imports_removed, imports_added) = sets(
            old.map_or(&no_imports, |old| &old.component.imports),
            &new.component.imports,
        );
        let (grants_removed, grants_added) = sets(
            &listed(old.map_or(&no_grants, |old| &old.grants)),
            &listed(&new.grants),
        );
        let before = from.map(resolved).unwrap_or_default();
        let mut diff = Self {
            component: old
                .filter(|old| old.component.digest != new.component.digest)
                .map(|old| Changed {
                    from: old.component.size,
                    to: new.component.size,
                }),
            imports_added,
            imports_removed,
            time: old.and_then(|old| Changed::between(old.limits.time_ms, new.limits.time_ms)),
            memory: old
                .and_then(|old| Changed::between(old.limits.memory_bytes, new.limits.memory_bytes)),
            limits: old
                .map(|old| other_limits(&old.limits, &new.limits))
                .unwrap_or_default(),
            schema_changed: old.is_some_and(|old| old.schema != new.schema),
            grants_added,
            grants_removed,
            ..Self::default()
        };
        if let Some(from) = from {
            diff.grants_added.extend(refilled(from, to));
        }
        let after = resolved(to);
        let only = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| {
            let only = a.keys().filter(|path| !b.contains_key(*path));
            only.cloned().collect::<Vec<_>>()
        };
        diff.config_added = only(&after, &before);
        diff.config_removed = only(&before, &after);
        let changed = after
            .iter()
            .filter(|(path, text)| before.get(*path).is_some_and(|before| before != *text));
        diff.config_changed = changed.map(|(path, _)| path.clone()).collect();
        diff
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the new state may reach more than the old.
    pub fn widens(&self) -> bool {
        !self.grants_added.is_empty()
    }

    /// Lines for a person.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(Changed { from, to }) = &self.component {
            lines.push(format!("code     {} → {}", Bytes(*from), Bytes(*to)));
        }
        let mut list = |label: &str, sign: char, names: &[String]| {
            lines.extend(names.iter().map(|name| format!("{label:<8} {sign} {name}")));
        };
        list("limits", '~', &self.limits);
        list("imports", '+', &self.imports_added);
        list("imports", '-', &self.imports_removed);
        list("grants", '+', &self.grants_added);
        list("grants", '-', &self.grants_removed);
        list("config", '+', &self.config_added);
        list("config", '-', &self.config_removed);
        list("config", '~', &self.config_changed);
        if self.schema_changed {
            lines.push("schema   of the configuration changed".to_owned());
        }
        if let Some(Changed { from, to }) = &self.time {
            let time = |ms: &Option<u64>| {
                ms.map_or_else(
                    || "the host's default".to_owned(),
                    |ms| Time(std::time::Duration::from_millis(ms)).to_string(),
                )
            };
            lines.push(format!("time     {} → {}", time(from), time(to)));
        }
        if let Some(Changed { from, to }) = &self.memory {
            let memory = |bytes: &Option<u64>| {
                bytes.map_or_else(
                    || "the host's default".to_owned(),
                    |bytes| Bytes(bytes).to_string(),
                )
            };
            lines.push(format!("memory   {} → {}", memory(from), memory(to)));
        }
        lines
    }
}

/// The values of one side by their paths, merged as a host merges them, the environment left out; secrets as references.
fn resolved(side: &Side) -> BTreeMap<String, String> {
    let mut layers = Layers::new();
    side.layers().for_each(|layer| layers.add(layer));
    let config = layers.unchecked();
    let values = config.values().into_iter();
    values
        .map(|(at, piece)| (path::display(&at), piece.unfilled().to_owned()))
        .collect()
}

impl Side {
    /// The layers of the release and of the store, weak to strong.
    pub fn layers(&self) -> impl Iterator<Item = Layer> {
        let store = self.config.iter().flat_map(|config| &config.layers);
        self.release.config.iter().chain(store).cloned()
    }
}

/// What fills templates of grants with something else than before: the same words reach somewhere else.
fn refilled(from: &Side, to: &Side) -> Vec<String> {
    let facts = |side: &Side| {
        let mut layers = Layers::new();
        side.layers().for_each(|layer| layers.add(layer));
        layers.facts(Facts::default())
    };
    let (old, new) = (facts(from), facts(to));
    let asked = Grants::parse(&to.release.grants)
        .map(|grants| grants.asked())
        .unwrap_or_default();
    let changed = asked
        .into_iter()
        .filter(|name| old.said(name) != new.said(name));
    changed
        .filter(|name| old.knows(name))
        .map(|name| format!("another `{{{{{name}}}}}`"))
        .collect()
}

/// Limits beside time and memory that are not what they were.
fn other_limits(old: &SealedLimits, new: &SealedLimits) -> Vec<String> {
    let counts = |limits: &SealedLimits| {
        [
            ("stack", limits.stack_bytes),
            ("tables", limits.table_elements.map(count)),
            ("instances", limits.instances.map(count)),
            ("handles", limits.handles.map(count)),
            ("host-call", limits.host_call_bytes),
            ("response", limits.response_bytes),
            ("log", limits.log_bytes),
            ("random", limits.random_bytes),
        ]
    };
    let said =
        |count: Option<u64>| count.map_or_else(|| "default".to_owned(), |count| count.to_string());
    let both = counts(old).into_iter().zip(counts(new));
    both.filter(|(old, new)| old != new)
        .map(|((name, old), (_, new))| format!("{name} {} → {}", said(old), said(new)))
        .collect()
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn listed(grants: &Sealed) -> Vec<String> {
    grants
        .iter()
        .flat_map(|(kind, values)| {
            values
                .iter()
                .map(move |value| format!("{kind} {}", shown(value)))
        })
        .collect()
}

/// What only the first has, and what only the second has.
fn sets(old: &[String], new: &[String]) -> (Vec<String>, Vec<String>) {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (old.iter().collect(), new.iter().collect());
    let only = |a: &BTreeSet<&String>, b: &BTreeSet<&String>| {
        a.difference(b).map(|name| (*name).clone()).collect()
    };
    (only(&old, &new), only(&new, &old))
}

#[cfg(test)]
mod tests {
    use super::super::{ComponentRef, Contents};
    use super::*;
    use crate::component::Digest;
    use crate::config::Tier;

    fn side(component: &str, config: &str, grants: &str) -> Side {
        let component = ComponentRef {
            digest: Digest::of(component.as_bytes()),
            size: 1024,
            imports: vec![format!("i:{component}")],
            exports: vec![],
        };
        let release = Release::new(
            "crunch".parse().unwrap(),
            component,
            Contents {
                config: vec![Layer::parse(Tier::Base, "base.json", config.as_bytes()).unwrap()],
                grants: serde_json::from_str(grants).unwrap(),
                ..Contents::default()
            },
        );
        Side {
            release,
            config: None,
        }
    }

    #[test]
    fn a_comparison_names_what_changed_and_no_value_of_the_configuration() {
        let old = side("a", r#"{"db": {"host": "x", "port": 1}, "gone": 1}"#, "{}");
        let new = side(
            "b",
            r#"{"db": {"host": "secret", "port": 1}, "new": "secret"}"#,
            "{}",
        );
        let diff = Diff::between(Some(&old), &new);
        assert_eq!(diff.config_changed, ["db.host"]);
        assert_eq!(
            (diff.config_added.as_slice(), diff.config_removed.as_slice()),
            (&["new".to_owned()][..], &["gone".to_owned()][..])
        );
        assert_eq!(diff.imports_added, ["i:b"]);
        let text = diff.lines().join("\n");
        assert!(
            text.contains("config   ~ db.host") && !text.contains("secret"),
            "{text}"
        );
        assert!(Diff::between(Some(&old), &old).is_empty());
    }

    #[test]
    fn a_grant_more_widens_and_a_grant_less_does_not() {
        let (few, many) = (
            side("a", "{}", r#"{"http": ["GET https://a/*"]}"#),
            side(
                "a",
                "{}",
                r#"{"http": ["GET https://a/*", "GET https://b/*"]}"#,
            ),
        );
        let wider = Diff::between(Some(&few), &many);
        assert!(wider.widens());
        assert_eq!(wider.grants_added, ["http GET https://b/*"]);
        assert!(!Diff::between(Some(&many), &few).widens());
        assert!(
            Diff::between(None, &few).widens(),
            "the first release's grants are new as well"
        );
    }

    #[test]
    fn another_value_in_a_template_of_a_grant_widens() {
        let grants = r#"{"tcp": ["{{db.host}}:5432"]}"#;
        let old = side("a", r#"{"db": {"host": "x", "name": "n"}}"#, grants);
        let moved = side("a", r#"{"db": {"host": "y", "name": "n"}}"#, grants);
        let renamed = side("a", r#"{"db": {"host": "x", "name": "m"}}"#, grants);
        let wider = Diff::between(Some(&old), &moved);
        assert_eq!(wider.grants_added, ["another `{{db.host}}`"]);
        assert!(wider.widens() && !Diff::between(Some(&old), &renamed).widens());
    }

    #[test]
    fn other_certificates_in_a_grant_are_another_grant() {
        let grant = |ca| format!(r#"{{"tcp": [{{"to": "db:1", "tls": "direct", "ca": "{ca}"}}]}}"#);
        let (old, new) = (
            side("a", "{}", &grant("one")),
            side("a", "{}", &grant("other")),
        );
        assert!(Diff::between(Some(&old), &new).widens());
    }
}
