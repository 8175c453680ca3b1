//! The configuration a guest reads: layers merged into one tree, the strongest last. Every value knows which layer said it,
//! in which file and on which line. Knows files and text, no guest and no event; what guests are told of it is in
//! `interface/config.rs`.

mod assign;
mod edn;
mod explain;
mod file;
mod json;
mod marker;
mod merge;
pub mod path;
mod problem;
mod schema;
mod settle;
pub(crate) mod toml;
mod value;
mod yaml;

use crate::component::Digest;
use indexmap::IndexMap;
use merge::Tree;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use explain::{Explained, Step};
pub use file::{ENDINGS, Format};
pub use problem::{ConfigError, Issue};
pub use schema::{Extent, Schema};
pub use settle::{Layers, Override, Rules};
pub use value::{Kind, Table, Value};

use crate::secret::Reference;
use value::Problem;

/// The tiers of layers, weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Sealed in the release.
    Base,
    /// Named by the channel, signed with it.
    Store,
    /// A file in the store that somebody writes by hand; the policy allows it.
    Watched,
    /// From variables of the environment.
    Environment,
    /// From a file that only this machine has.
    Local,
    /// From the command line.
    Argument,
}

impl Tier {
    /// Whether a signature vouches for what it says.
    pub fn is_signed(self) -> bool {
        matches!(self, Self::Base | Self::Store)
    }

    /// The name, as texts and JSON have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Store => "store",
            Self::Watched => "watched",
            Self::Environment => "environment",
            Self::Local => "local",
            Self::Argument => "command line",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One source of configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// How strong it is.
    pub tier: Tier,
    /// Where it came from, as reports name it: a file's path, or a variable.
    pub origin: String,
    /// What it says.
    pub table: Table,
}

impl Layer {
    /// The same layer in another tier.
    #[must_use]
    pub fn of_tier(self, tier: Tier) -> Self {
        Self { tier, ..self }
    }
}

/// Where a value was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The layer's tier.
    pub tier: Tier,
    /// The layer's origin.
    pub origin: String,
    /// The line, from 1; 0 where there is none.
    pub line: u32,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.tier, self.origin)?;
        match self.line {
            0 => Ok(()),
            line => write!(f, ":{line}"),
        }
    }
}

/// All layers merged and checked. Cheap to clone; shared by every event between two changes.
#[derive(Debug, Clone)]
pub struct Config(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    layers: Vec<(Tier, String)>,
    tree: Tree,
    /// The whole as one JSON text; each value is a part of it.
    text: String,
    root: Node,
    /// Secrets in the order in which their places stand in the text.
    secrets: Vec<Planted>,
    overrides: Vec<Override>,
    notes: Vec<String>,
    digest: Digest,
}

/// A value's place in the text, and who said it.
#[derive(Debug)]
struct Node {
    range: Range<usize>,
    layer: usize,
    line: u32,
    /// The keys of a table.
    children: Option<IndexMap<String, Node>>,
}

/// A secret's place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planted {
    range: Range<usize>,
    /// Where it is to be had.
    pub reference: Reference,
}

/// One value: its JSON text, and the secrets that are to be put into it.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    text: &'a str,
    start: usize,
    secrets: &'a [Planted],
}

impl<'a> Piece<'a> {
    /// The secrets in it, in the order of their places.
    pub fn secrets(&self) -> &'a [Planted] {
        self.secrets
    }

    /// Its JSON text with references in the places of secrets.
    pub fn unfilled(&self) -> &'a str {
        self.text
    }

    /// Its JSON text with the JSON text of each secret put in its place.
    pub fn filled(&self, values: impl IntoIterator<Item = String>) -> String {
        if self.secrets.is_empty() {
            return self.text.to_owned();
        }
        let (mut filled, mut at) = (String::new(), 0);
        for (secret, value) in self.secrets.iter().zip(values) {
            filled.push_str(&self.text[at..secret.range.start - self.start]);
            filled.push_str(&value);
            at = secret.range.end - self.start;
        }
        filled + &self.text[at..]
    }
}

impl Default for Config {
    fn default() -> Self {
        Layers::new()
            .settle(&Rules::default())
            .expect("nothing contradicts nothing")
    }
}

impl Config {
    /// The digest of all values, references to secrets among them: what tells one configuration from another in the log.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// The value at `path`; none where the path does not exist.
    ///
    /// # Errors
    /// [`ConfigError::NotTable`] when the path leads through something other than a table.
    pub fn get(&self, path: &[String]) -> Result<Option<Piece<'_>>, ConfigError> {
        Ok(self.node(path)?.map(|node| self.piece(node)))
    }

    /// The table at `path`; none where the path does not exist.
    ///
    /// # Errors
    /// [`ConfigError::NotTable`] when the path leads through or ends at something other than a table.
    pub fn tree(&self, path: &[String]) -> Result<Option<Piece<'_>>, ConfigError> {
        match self.node(path)? {
            Some(node) if node.children.is_none() => Err(self.not_table(path, node)),
            node => Ok(node.map(|node| self.piece(node))),
        }
    }

    /// Who said the value at `path`: of a table, the strongest layer that has it.
    pub fn source(&self, path: &[String]) -> Option<Source> {
        let node = self.node(path).ok()??;
        Some(self.source_of(node.layer, node.line))
    }

    /// Every value that is no table, with its path, in order.
    pub fn values(&self) -> Vec<(Vec<String>, Piece<'_>)> {
        fn collect<'a>(
            config: &'a Config,
            node: &'a Node,
            at: &mut Vec<String>,
            found: &mut Vec<(Vec<String>, Piece<'a>)>,
        ) {
            let Some(children) = &node.children else {
                found.push((at.clone(), config.piece(node)));
                return;
            };
            for (key, child) in children {
                at.push(key.clone());
                collect(config, child, at, found);
                at.pop();
            }
        }
        let mut found = Vec::new();
        collect(self, &self.0.root, &mut Vec::new(), &mut found);
        found
    }

    /// Layers, weak to strong, and how many values of each count.
    pub fn layers(&self) -> Vec<(Tier, &str, usize)> {
        fn count(node: &Node, counts: &mut [usize]) {
            match &node.children {
                None => counts[node.layer] += 1,
                Some(children) => children.values().for_each(|child| count(child, counts)),
            }
        }
        let mut counts = vec![0; self.0.layers.len().max(1)];
        count(&self.0.root, &mut counts);
        let layers = self.0.layers.iter().zip(counts);
        layers
            .map(|((tier, origin), count)| (*tier, origin.as_str(), count))
            .collect()
    }

    /// Values that are no defaults and were overridden, each link of each chain.
    pub fn overrides(&self) -> &[Override] {
        &self.0.overrides
    }

    /// What else whoever wrote the layers should know.
    pub fn notes(&self) -> &[String] {
        &self.0.notes
    }

    fn node(&self, path: &[String]) -> Result<Option<&Node>, ConfigError> {
        let mut node = &self.0.root;
        for (depth, key) in path.iter().enumerate() {
            let Some(children) = &node.children else {
                return Err(self.not_table(&path[..depth], node));
            };
            match children.get(key) {
                Some(child) => node = child,
                None => return Ok(None),
            }
        }
        Ok(Some(node))
    }

    fn not_table(&self, path: &[String], node: &Node) -> ConfigError {
        ConfigError::NotTable {
            path: path::display(path),
            found: kind_of(
                &self.0.text[node.range.clone()],
                !self.piece(node).secrets.is_empty(),
            ),
            said_by: self.source_of(node.layer, node.line),
        }
    }

    fn piece(&self, node: &Node) -> Piece<'_> {
        let secrets = &self.0.secrets;
        let first = secrets.partition_point(|secret| secret.range.start < node.range.start);
        let end = secrets.partition_point(|secret| secret.range.end <= node.range.end);
        Piece {
            text: &self.0.text[node.range.clone()],
            start: node.range.start,
            secrets: secrets.get(first..end).unwrap_or_default(),
        }
    }

    fn source_of(&self, layer: usize, line: u32) -> Source {
        match self.0.layers.get(layer) {
            Some((tier, origin)) => Source {
                tier: *tier,
                origin: origin.clone(),
                line,
            },
            None => Source {
                tier: Tier::Base,
                origin: "no layer".to_owned(),
                line: 0,
            },
        }
    }
}

/// The kind of a JSON text, as error texts spell it.
fn kind_of(text: &str, is_secret: bool) -> &'static str {
    match text.as_bytes().first() {
        _ if is_secret && text.starts_with('{') => "a secret",
        Some(b'n') => "null",
        Some(b't' | b'f') => "a boolean",
        Some(b'"') => "a string",
        Some(b'[') => "an array",
        Some(b'{') => "a table",
        _ => "a number",
    }
}

fn not_a_table(found: &Kind) -> Problem {
    Problem::new(
        1,
        format!("expected a table at the top, got {}", found.name()),
    )
}

fn doubled(key: &str, line: u32) -> Problem {
    Problem::new(line, format!("expected each key once, got `{key}` twice"))
}

fn no_number(line: u32) -> Problem {
    Problem::new(
        line,
        "expected a number that JSON has, got an infinity or something that is no number",
    )
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
