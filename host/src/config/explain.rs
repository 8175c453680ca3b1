//! Why a value is what it is: who set it, who lost, what the markers say.

use super::merge::{Said, Settled, Tree};
use super::value::{Kind, Value, write_plain};
use super::{Config, ConfigError, Source, path};

/// One value and its whole chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The keys to it.
    pub path: Vec<String>,
    /// Its JSON text, secrets as `"***"`; none where there is none.
    pub value: Option<String>,
    /// Whether it must be given and is not.
    pub is_unmet: bool,
    /// Whether it is, or has in it, a secret.
    pub is_secret: bool,
    /// What a marker says it is for.
    pub what: Option<String>,
    /// What the layers say of it, strong to weak.
    pub chain: Vec<Step>,
}

/// What one layer says of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Who says it.
    pub source: Source,
    /// The marker on it.
    pub marker: Option<&'static str>,
    /// Its JSON text, secrets as `"***"`; what a `required` marker says.
    pub said: String,
    /// Where a secret is kept.
    pub reference: Option<String>,
    /// Whether this is what counts.
    pub counts: bool,
}

impl Config {
    /// Every value at or below a path, with its chain.
    ///
    /// # Errors
    /// [`ConfigError::Assignment`] where no layer says anything at the path.
    pub fn explain(&self, at: &[String]) -> Result<Vec<Explained>, ConfigError> {
        let (mut tree, mut since) = (&self.0.tree, 0);
        for key in at {
            since = match tree.settled(since) {
                Settled::Table(_, from) => from,
                // What stands above is no table any more, so nothing below it counts.
                Settled::Absent | Settled::Unmet(_) | Settled::Value(..) => self.0.layers.len(),
            };
            let Some(child) = tree.children.get(key) else {
                return Err(ConfigError::Assignment {
                    assignment: path::display(at),
                    problem: "expected a key that some layer has, got none".to_owned(),
                });
            };
            tree = child;
        }
        let mut found = Vec::new();
        self.collect(tree, since, &mut at.to_vec(), &mut found);
        Ok(found)
    }

    fn collect(&self, tree: &Tree, since: usize, at: &mut Vec<String>, found: &mut Vec<Explained>) {
        let settled = tree.settled(since);
        let is_only_table = tree.links.iter().all(|link| link.said == Said::Table);
        if !at.is_empty() && (!is_only_table || tree.children.is_empty()) {
            found.push(self.explained(tree, &settled, at));
        }
        let since = match settled {
            Settled::Table(_, since) => since,
            // The root of no layers at all.
            Settled::Absent if at.is_empty() => 0,
            Settled::Absent | Settled::Unmet(_) | Settled::Value(..) => return,
        };
        for (key, child) in &tree.children {
            at.push(key.clone());
            self.collect(child, since, at, found);
            at.pop();
        }
    }

    fn explained(&self, tree: &Tree, settled: &Settled<'_>, at: &[String]) -> Explained {
        let winner = match settled {
            Settled::Value(link, _) | Settled::Table(link, _) => Some(link.layer),
            Settled::Absent | Settled::Unmet(_) => None,
        };
        let value = match settled {
            Settled::Value(_, value) => Some(shown(value)),
            Settled::Table(..) => Some("{…}".to_owned()),
            Settled::Absent | Settled::Unmet(_) => None,
        };
        let whats = tree.links.iter().rev();
        let what = whats.into_iter().find_map(|link| match &link.said {
            Said::Required(what) => Some(what.clone()),
            Said::Table | Said::Value(_) => None,
        });
        let chain = tree.links.iter().rev().map(|link| {
            let (tier, origin) = &self.0.layers[link.layer];
            let (marker, said, reference) = match &link.said {
                Said::Required(what) => (Some("required"), what.clone(), None),
                Said::Table => {
                    let marker = link.is_default.then_some("default");
                    (marker, "{…}".to_owned(), None)
                }
                Said::Value(value) => match &value.kind {
                    Kind::Secret(reference) => {
                        (Some("secret"), shown(value), Some(reference.to_string()))
                    }
                    _ => (link.is_default.then_some("default"), shown(value), None),
                },
            };
            Step {
                source: Source {
                    tier: *tier,
                    origin: origin.clone(),
                    line: link.line,
                },
                counts: winner == Some(link.layer) && marker != Some("required"),
                marker,
                said,
                reference,
            }
        });
        Explained {
            path: at.to_vec(),
            is_unmet: matches!(settled, Settled::Unmet(_)),
            is_secret: matches!(settled, Settled::Value(_, value) if has_secret(value)),
            value,
            what,
            chain: chain.collect(),
        }
    }
}

fn has_secret(value: &Value) -> bool {
    match &value.kind {
        Kind::Secret(_) => true,
        Kind::List(items) => items.iter().any(has_secret),
        Kind::Table(table) => table.values().any(has_secret),
        Kind::Default(inner) => has_secret(inner),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) | Kind::Required(_) => false,
    }
}

/// A value as JSON, secrets as stars.
fn shown(value: &Value) -> String {
    let mut text = String::new();
    write_plain(&mut text, value, &mut |out, _| out.push_str(r#""***""#));
    text
}
