//! Layers merged: at each path the whole chain of what they say, weak to strong, and which of it counts. Merging only puts
//! chains one after the other, so it does not matter which layers are merged first.

use super::value::{Kind, Table, Value};
use indexmap::IndexMap;

/// What all layers say at one path and below it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tree {
    /// What is said here, weak to strong.
    pub(crate) links: Vec<Link>,
    /// What is said below, by keys.
    pub(crate) children: IndexMap<String, Tree>,
}

/// What one layer says at one path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Link {
    /// The layer's number, weak to strong.
    pub(crate) layer: usize,
    pub(crate) line: u32,
    pub(crate) said: Said,
    /// Whether it may be overridden without a word.
    pub(crate) is_default: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    /// Here is a table; its keys are children.
    Table,
    /// Here is a value.
    Value(Value),
    /// Some layer must say what this is. Never a value itself, nor in the way of one.
    Required(String),
}

impl Link {
    /// Whether a table here and something else that is stronger contradict each other. `null` contradicts nothing: it takes
    /// a table away, or stands where one may come; and a default may be overridden by whatever it is.
    fn clashes_with(&self, other: &Self) -> bool {
        let is_table = |link: &Self| link.said == Said::Table;
        is_table(self) != is_table(other) && !self.is_default && !self.is_null() && !other.is_null()
    }

    fn is_null(&self) -> bool {
        matches!(&self.said, Said::Value(value) if value.kind == Kind::Null)
    }

    fn is_value(&self) -> bool {
        !matches!(self.said, Said::Required(_))
    }

    /// The name of what is said, as error texts spell it.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.said {
            Said::Table => "a table",
            Said::Value(value) => value.kind.name(),
            Said::Required(_) => "a value that must be overridden",
        }
    }
}

/// What counts at one path.
#[derive(Debug)]
pub(crate) enum Settled<'a> {
    /// No layer that still counts says anything.
    Absent,
    /// Some layer asks for a value and none gives one.
    Unmet(&'a Link),
    /// A value.
    Value(&'a Link, &'a Value),
    /// A table, of the layers from this number on.
    Table(&'a Link, usize),
}

impl Tree {
    /// What one layer says.
    pub(crate) fn of(layer: usize, table: Table) -> Self {
        Self::table(layer, 0, table, false)
    }

    fn table(layer: usize, line: u32, table: Table, is_default: bool) -> Self {
        let children = table.into_iter();
        let children = children.map(|(key, value)| (key, Self::value(layer, value, is_default)));
        Self {
            links: vec![Link {
                layer,
                line,
                said: Said::Table,
                is_default,
            }],
            children: children.collect(),
        }
    }

    fn value(layer: usize, value: Value, is_default: bool) -> Self {
        let line = value.line;
        let said = match value.kind {
            Kind::Table(table) => return Self::table(layer, line, table, is_default),
            Kind::Default(inner) => {
                let kind = inner.kind;
                return Self::value(layer, Value { kind, line }, true);
            }
            Kind::Required(what) => Said::Required(what),
            kind => Said::Value(Value { kind, line }),
        };
        Self {
            links: vec![Link {
                layer,
                line,
                said,
                is_default,
            }],
            children: IndexMap::new(),
        }
    }

    /// Puts what stronger layers say on top.
    pub(crate) fn join(&mut self, stronger: Self) {
        self.links.extend(stronger.links);
        for (key, tree) in stronger.children {
            self.children.entry(key).or_default().join(tree);
        }
    }

    /// What is said at a path.
    pub(crate) fn find(&self, path: &[String]) -> Option<&Self> {
        path.iter()
            .try_fold(self, |tree, key| tree.children.get(key))
    }

    /// What counts here of the layers from the number `since` on: the last that is said, a table with all that other
    /// layers add to it.
    pub(crate) fn settled(&self, since: usize) -> Settled<'_> {
        let links = || self.links.iter().filter(|link| link.layer >= since);
        let Some(last) = links().rfind(|link| link.is_value()) else {
            return links().next_back().map_or(Settled::Absent, Settled::Unmet);
        };
        match &last.said {
            Said::Value(value) => Settled::Value(last, value),
            Said::Table | Said::Required(_) => {
                // What a weaker layer put there was taken away by a value between; only what came after counts.
                let between = links().rfind(|link| matches!(link.said, Said::Value(_)));
                Settled::Table(last, between.map_or(since, |link| link.layer + 1))
            }
        }
    }

    /// The first neighbours in the chain, from the layer number `since` on, that contradict each other: a table and
    /// something else.
    pub(crate) fn clash(&self, since: usize) -> Option<(&Link, &Link)> {
        self.neighbours(since)
            .find(|(weak, strong)| weak.clashes_with(strong))
    }

    /// Pairs of neighbours in the chain, from the layer number `since` on, of which the second replaces something else that is not a default.
    pub(crate) fn overrides(&self, since: usize) -> impl Iterator<Item = (&Link, &Link)> {
        self.neighbours(since).filter(|(weak, strong)| {
            !weak.is_default && !weak.clashes_with(strong) && weak.said != strong.said
        })
    }

    fn neighbours(&self, since: usize) -> impl Iterator<Item = (&Link, &Link)> {
        let counts = move |link: &&Link| link.layer >= since && link.is_value();
        let values = move || self.links.iter().filter(counts);
        values().zip(values().skip(1))
    }
}
