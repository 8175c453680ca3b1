//! From layers to the one tree that guests read: merges, checks, and writes the whole as one JSON text, so that an event
//! takes a part of it and nothing is written again.

use super::merge::{Link, Said, Settled, Tree};
use super::schema::STAND_IN;
use super::value::{Kind, Value, write_plain, write_text};
use super::{
    Config, ConfigError, Extent, Inner, Issue, Layer, Node, Planted, Schema, Source, Tier, assign,
    path,
};
use crate::component::Digest;
use crate::secret::{Grant, Reference};
use crate::template::Facts;
use indexmap::IndexMap;
use std::fmt;
use std::sync::Arc;

/// The most secrets in one configuration: a guest that reads it whole has the host ask for all of them at once.
const SECRETS_MAX: usize = 256;

/// Layers on their way to a configuration, weak to strong.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    headers: Vec<(Tier, String)>,
    tree: Tree,
    /// The same of signed layers only.
    signed: Tree,
    notes: Vec<String>,
}

/// What a configuration is checked by.
#[derive(Debug)]
pub struct Rules<'a> {
    /// What templates in references may ask for, beside values of signed layers.
    pub facts: Facts,
    /// What secrets the release may refer to.
    pub grants: &'a [Grant],
    /// What secrets the operator allows; none where nothing is said.
    pub ceiling: Option<&'a [Grant]>,
    /// The function's schema.
    pub schema: Option<&'a Schema>,
    /// Whether all layers are there.
    pub extent: Extent,
    /// Whether values that must be given may be missing all the same.
    pub allow_unmet: bool,
}

impl Default for Rules<'_> {
    fn default() -> Self {
        Self {
            facts: Facts::default(),
            grants: &[],
            ceiling: None,
            schema: None,
            extent: Extent::Whole,
            allow_unmet: false,
        }
    }
}

/// A value that is no default and was overridden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Its path, as people write it.
    pub path: String,
    /// Who said it.
    pub weaker: Source,
    /// Who said otherwise.
    pub stronger: Source,
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            weaker,
            stronger,
        } = self;
        write!(f, "`{path}` of {weaker} is overridden by {stronger}")
    }
}

impl Layers {
    /// No layers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer above all that are there.
    pub fn add(&mut self, layer: Layer) {
        let number = self.headers.len();
        if layer.tier.is_signed() {
            self.signed.join(Tree::of(number, layer.table.clone()));
        }
        self.headers.push((layer.tier, layer.origin));
        self.tree.join(Tree::of(number, layer.table));
    }

    /// Adds `KEY=VALUE` above all that is there; `KEY` is a dotted path, quoted as in TOML where a key has a dot. The value
    /// takes the type of the one it replaces (`00123` stays a string); a new one is read as JSON if it is JSON, else it
    /// is a string.
    ///
    /// # Errors
    /// [`ConfigError::Assignment`] when the path or the type does not fit.
    pub fn set(&mut self, assignment: &str) -> Result<(), ConfigError> {
        let table = assign::assignment(assignment, &self.tree).map_err(|problem| {
            let key = assignment.split('=').next().unwrap_or_default();
            ConfigError::Assignment {
                assignment: format!("--set {key}=…"),
                problem,
            }
        })?;
        self.add(Layer {
            tier: Tier::Argument,
            origin: "--set".to_owned(),
            table,
        });
        Ok(())
    }

    /// Adds a variable whose name, after its prefix, is that of a value that is there: `DB__HOST` for `db.host`, whatever
    /// the case, `-` or `_`. One that names nothing is noted: a release that was rolled back may have had it.
    ///
    /// # Errors
    /// [`ConfigError::Assignment`] when it could be several, or the type does not fit.
    pub fn variable(&mut self, name: &str, rest: &str, text: &str) -> Result<(), ConfigError> {
        let refused = |problem| ConfigError::Assignment {
            assignment: name.to_owned(),
            problem,
        };
        let paths = assign::named(rest, &self.tree);
        let at = match paths.as_slice() {
            [] => {
                self.notes
                    .push(format!("{name} names no value of the configuration"));
                return Ok(());
            }
            [at] => at,
            several => {
                let several: Vec<String> = several.iter().map(|at| path::display(at)).collect();
                return Err(refused(format!(
                    "expected a name that means one value, got one for {}",
                    several.join(" and ")
                )));
            }
        };
        let value = assign::read(text, &self.tree, at).map_err(refused)?;
        self.add(Layer {
            tier: Tier::Environment,
            origin: name.to_owned(),
            table: assign::nested(at, value),
        });
        Ok(())
    }

    /// The configuration that the layers make together, whatever is wrong with it: to be shown and compared, not served.
    pub fn unchecked(&self) -> Config {
        let rules = Rules::default();
        let (config, _) = self.written(&rules, Permits::All);
        config
    }

    /// The configuration that the layers make together.
    ///
    /// # Errors
    /// [`ConfigError::Mismatch`], [`ConfigError::Unmet`] or [`ConfigError::Denied`], naming every path that is wrong.
    pub fn settle(&self, rules: &Rules<'_>) -> Result<Config, ConfigError> {
        let (config, wrong) = self.written(rules, Permits::Granted);
        if !wrong.clashes.is_empty() {
            return Err(ConfigError::Mismatch(wrong.clashes));
        }
        let is_unmet = !wrong.unmet.is_empty();
        if is_unmet && rules.extent == Extent::Whole && !rules.allow_unmet {
            return Err(ConfigError::Unmet(wrong.unmet));
        }
        if !wrong.denied.is_empty() {
            return Err(ConfigError::Denied(wrong.denied));
        }
        match rules.schema {
            Some(schema) if is_unmet || rules.allow_unmet => config.checked(schema, Extent::Part),
            Some(schema) => config.checked(schema, rules.extent),
            None => Ok(config),
        }
    }

    /// What templates may ask for where these layers count: facts that are given, and values by their paths.
    pub fn facts(&self, given: Facts) -> Facts {
        known(&self.tree, given)
    }

    fn written(&self, rules: &Rules<'_>, permits: Permits) -> (Config, Wrong) {
        let mut settling = Settling {
            rules,
            layers: self,
            permits,
            facts: rules.facts.clone(),
            text: String::new(),
            secrets: Vec::new(),
            overrides: Vec::new(),
            wrong: Wrong::default(),
        };
        let strongest = self.headers.len().saturating_sub(1);
        settling.know(&self.signed);
        let root = settling.table(&self.tree, (strongest, 0), 0, &mut Vec::new());
        if settling.secrets.len() > SECRETS_MAX {
            settling.wrong.denied.push(Issue {
                path: String::new(),
                what: format!(
                    "expected at most {SECRETS_MAX} secrets, got {}",
                    settling.secrets.len()
                ),
                source: None,
            });
        }
        let config = Config(Arc::new(Inner {
            layers: self.headers.clone(),
            tree: self.tree.clone(),
            digest: Digest::of(settling.text.as_bytes()),
            text: settling.text,
            root,
            secrets: settling.secrets,
            overrides: settling.overrides,
            notes: self.notes.clone(),
        }));
        (config, settling.wrong)
    }
}

/// Which references to secrets stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permits {
    /// Those that release and operator allow.
    Granted,
    /// All, unfilled.
    All,
}

/// What is wrong with a configuration.
#[derive(Debug, Default)]
struct Wrong {
    unmet: Vec<Issue>,
    clashes: Vec<Issue>,
    denied: Vec<Issue>,
}

impl Config {
    fn checked(self, schema: &Schema, extent: Extent) -> Result<Self, ConfigError> {
        let whole = self.piece(&self.0.root);
        let text = whole.filled(whole.secrets.iter().map(|_| STAND_IN.to_owned()));
        let misfits = schema.check(&text, extent);
        if misfits.is_empty() {
            return Ok(self);
        }
        let issues = misfits.into_iter().map(|misfit| Issue {
            source: self.nearest(&misfit.path),
            path: path::display(&misfit.path),
            what: misfit.what,
        });
        Err(ConfigError::Mismatch(issues.collect()))
    }

    /// Who said a value, or the list or table that it is in.
    fn nearest(&self, at: &[String]) -> Option<Source> {
        (1..=at.len())
            .rev()
            .find_map(|depth| self.source(&at[..depth]))
    }
}

struct Settling<'a> {
    rules: &'a Rules<'a>,
    layers: &'a Layers,
    permits: Permits,
    facts: Facts,
    text: String,
    secrets: Vec<Planted>,
    overrides: Vec<Override>,
    wrong: Wrong,
}

impl Settling<'_> {
    /// Lets templates ask for the plain values of signed layers.
    fn know(&mut self, tree: &Tree) {
        let given = std::mem::take(&mut self.facts);
        self.facts = known(tree, given);
    }

    fn source(&self, link: &Link) -> Source {
        let (tier, origin) = &self.layers.headers[link.layer];
        Source {
            tier: *tier,
            origin: origin.clone(),
            line: link.line,
        }
    }

    /// Writes what counts at one path; nothing where nothing does.
    fn node(&mut self, tree: &Tree, since: usize, at: &mut Vec<String>) -> Option<Node> {
        self.look_at_chain(tree, since, at);
        match tree.settled(since) {
            Settled::Absent => None,
            Settled::Unmet(link) => {
                let Said::Required(what) = &link.said else {
                    return None;
                };
                self.wrong.unmet.push(Issue {
                    path: path::display(at),
                    what: format!("must be overridden: {what}"),
                    source: Some(self.source(link)),
                });
                None
            }
            Settled::Table(link, since) => {
                Some(self.table(tree, (link.layer, link.line), since, at))
            }
            Settled::Value(link, value) => {
                let start = self.text.len();
                self.value(value, link, at);
                Some(Node {
                    range: start..self.text.len(),
                    layer: link.layer,
                    line: link.line,
                    children: None,
                })
            }
        }
    }

    fn table(
        &mut self,
        tree: &Tree,
        (layer, line): (usize, u32),
        since: usize,
        at: &mut Vec<String>,
    ) -> Node {
        let start = self.text.len();
        let mut children = IndexMap::with_capacity(tree.children.len());
        self.text.push('{');
        for (key, child) in &tree.children {
            let before = self.text.len();
            if !children.is_empty() {
                self.text.push(',');
            }
            write_text(&mut self.text, key);
            self.text.push(':');
            at.push(key.clone());
            match self.node(child, since, at) {
                Some(node) => drop(children.insert(key.clone(), node)),
                None => self.text.truncate(before),
            }
            at.pop();
        }
        self.text.push('}');
        Node {
            range: start..self.text.len(),
            layer,
            line,
            children: Some(children),
        }
    }

    /// Contradictions and overrides among what layers say at one path.
    fn look_at_chain(&mut self, tree: &Tree, since: usize, at: &[String]) {
        if let Some((weak, strong)) = tree.clash(since) {
            let what = format!(
                "expected {} as in {}, got {}",
                weak.kind(),
                self.source(weak),
                strong.kind()
            );
            self.wrong.clashes.push(Issue {
                path: path::display(at),
                what,
                source: Some(self.source(strong)),
            });
        }
        for (weak, strong) in tree.overrides(since) {
            // Whoever typed it knows.
            if self.layers.headers[strong.layer].0 != Tier::Argument {
                self.overrides.push(Override {
                    path: path::display(at),
                    weaker: self.source(weak),
                    stronger: self.source(strong),
                });
            }
        }
    }

    /// Writes a value, and notes the places of the secrets that the release may have.
    fn value(&mut self, value: &Value, link: &Link, at: &[String]) {
        let mut text = std::mem::take(&mut self.text);
        let (mut planted, mut denied) = (Vec::new(), Vec::new());
        write_plain(
            &mut text,
            value,
            &mut |out, reference| match self.permitted(reference) {
                Ok(reference) => {
                    let start = out.len();
                    out.push_str(r#"{"$secret":"#);
                    write_text(out, &reference.to_string());
                    out.push('}');
                    planted.push(Planted {
                        range: start..out.len(),
                        reference,
                    });
                }
                Err(what) => denied.push(Issue {
                    path: path::display(at),
                    what,
                    source: Some(self.source(link)),
                }),
            },
        );
        self.text = text;
        self.secrets.append(&mut planted);
        self.wrong.denied.append(&mut denied);
    }

    fn permitted(&self, reference: &Reference) -> Result<Reference, String> {
        let is_part = self.rules.extent == Extent::Part;
        let depends = |grants: &[Grant]| grants.iter().any(Grant::has_template);
        if self.permits == Permits::All
            // What they stand for is known where it runs.
            || (is_part && (reference.name.contains("{{") || depends(self.rules.grants)))
        {
            return Ok(reference.clone());
        }
        let filled = reference.filled(&self.facts)?;
        let allowed = |grants: &[Grant]| -> Result<bool, String> {
            let asked = grants.iter();
            let asked: Vec<_> = asked
                .map(|grant| grant.allows(&filled, &self.facts))
                .collect();
            // A grant that can't be filled here is nothing to another that allows it.
            if asked.contains(&Ok(true)) {
                return Ok(true);
            }
            asked
                .into_iter()
                .collect::<Result<Vec<_>, _>>()
                .map(|_| false)
        };
        if !allowed(self.rules.grants)? {
            return Err(format!(
                "the secret `{filled}` is not granted: expected one that `secrets` in [grants] of crunchbox.toml names"
            ));
        }
        match self.rules.ceiling {
            Some(ceiling) if !allowed(ceiling)? => Err(format!(
                "the secret `{filled}` is beyond what `secrets` in [grants] of policy.toml allows"
            )),
            _ => Ok(filled),
        }
    }
}

/// The texts and numbers of a tree by their paths, as facts; what is given comes first.
fn known(tree: &Tree, given: Facts) -> Facts {
    let mut found = Vec::new();
    collect(tree, 0, &mut String::new(), &mut found);
    given.or(found)
}

fn collect(tree: &Tree, since: usize, at: &mut String, found: &mut Vec<(String, String)>) {
    for (key, child) in &tree.children {
        let length = at.len();
        path::push(at, key);
        match child.settled(since) {
            Settled::Value(_, value) => {
                if let Kind::Text(text) | Kind::Number(text) = &value.kind {
                    found.push((at.clone(), text.to_string()));
                }
            }
            Settled::Table(_, since) => collect(child, since, at, found),
            Settled::Absent | Settled::Unmet(_) => {}
        }
        at.truncate(length);
    }
}
