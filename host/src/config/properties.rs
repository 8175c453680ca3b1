//! Rules of merging that hold for all layers, not only for those that somebody thought of. What is merged is compared with a
//! model too simple to have the same faults: one state at each path, changed by one layer after the other.

use super::merge::Tree;
use super::value::{Kind, Table, Value};
use super::{Config, ConfigError, Extent, Layer, Layers, Rules, Tier, path};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::collections::{BTreeMap, BTreeSet};

const CASES: u32 = 400;

/// How deep tables lie in a layer.
const DEPTH: u32 = 3;

const TIERS: &[Tier] = &[
    Tier::Base,
    Tier::Store,
    Tier::Watched,
    Tier::Environment,
    Tier::Local,
    Tier::Argument,
];

const NUMBERS: &[&str] = &["0", "-0", "1.50", "2e3", "12345678901234567890123"];

const TEXTS: &[&str] = &["", "x", "{…}", "null", "\"\\\n", "ü😀", "$$"];

/// The keys at which tables stand, and those at which other values do.
#[derive(Clone, Copy)]
struct Keys {
    tables: &'static [&'static str],
    others: &'static [&'static str],
}

/// Layers with these keys never contradict each other.
const AGREEING: Keys = Keys {
    tables: &["a", "b", "$x"],
    others: &["c", "d.e", "f/g", "$required", ""],
};

const WILD: Keys = Keys {
    tables: &["a", "b", "d.e", "$x"],
    others: &["a", "b", "d.e", "$x"],
};

/// Checks a rule on the same cases each time: what fails on one machine fails on all.
fn holds<S: Strategy>(strategy: &S, rule: impl Fn(S::Value)) {
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let outcome = TestRunner::new_with_rng(config, rng).run(strategy, |case| {
        rule(case);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

fn on_a_line(kind: impl Strategy<Value = Kind> + 'static) -> BoxedStrategy<Value> {
    let placed = (kind, 0..9_u32);
    placed.prop_map(|(kind, line)| Value { kind, line }).boxed()
}

fn null() -> BoxedStrategy<Value> {
    on_a_line(Just(Kind::Null))
}

fn required() -> BoxedStrategy<Value> {
    on_a_line(Just(Kind::Required("what is wanted".to_owned())))
}

fn defaulted(value: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    on_a_line(value.prop_map(|value| Kind::Default(Box::new(unmarked(value)))))
}

/// What a default may hold: no other marker.
fn unmarked(value: Value) -> Value {
    let kind = match value.kind {
        Kind::Default(inner) => return unmarked(*inner),
        Kind::Required(_) => Kind::Null,
        Kind::Table(table) => {
            let entries = table.into_iter();
            Kind::Table(entries.map(|(key, value)| (key, unmarked(value))).collect())
        }
        other => other,
    };
    Value { kind, ..value }
}

fn scalar() -> BoxedStrategy<Value> {
    on_a_line(prop_oneof![
        1 => Just(Kind::Null),
        1 => any::<bool>().prop_map(Kind::Bool),
        2 => select(NUMBERS).prop_map(|digits| Kind::Number(digits.to_owned())),
        2 => select(TEXTS).prop_map(|text| Kind::Text(text.to_owned())),
    ])
}

fn list() -> BoxedStrategy<Value> {
    let table = vec((select(WILD.others), scalar()), 0..3);
    let item = prop_oneof![
        3 => scalar(),
        1 => on_a_line(table.prop_map(|entries| Kind::Table(of_entries(entries)))),
    ];
    on_a_line(vec(item, 0..4).prop_map(Kind::List))
}

fn leaf() -> BoxedStrategy<Value> {
    prop_oneof![
        4 => scalar(),
        1 => list(),
        1 => defaulted(scalar()),
        1 => defaulted(list()),
        1 => required(),
    ]
    .boxed()
}

fn table(depth: u32, keys: Keys) -> BoxedStrategy<Table> {
    let below = match depth.checked_sub(1) {
        None => on_a_line(Just(Kind::Table(Table::new()))),
        Some(depth) => on_a_line(table(depth, keys).prop_map(Kind::Table)),
    };
    let below = prop_oneof![
        6 => below.clone(),
        1 => defaulted(below),
        2 => null(),
        1 => required(),
    ];
    let entry = prop_oneof![(select(keys.tables), below), (select(keys.others), leaf()),];
    vec(entry, 0..5).prop_map(of_entries).boxed()
}

fn of_entries(entries: Vec<(&str, Value)>) -> Table {
    let entries = entries.into_iter();
    entries
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// Layers of any tiers, weak to strong.
fn layers(keys: Keys) -> BoxedStrategy<Vec<Layer>> {
    let said = vec((select(TIERS), table(DEPTH, keys)), 1..6);
    said.prop_map(|mut said| {
        said.sort_by_key(|(tier, _)| *tier);
        let numbered = said.into_iter().enumerate();
        numbered
            .map(|(number, (tier, table))| Layer {
                tier,
                origin: format!("layer {number}"),
                table,
            })
            .collect()
    })
    .boxed()
}

fn merged(layers: &[Layer]) -> Layers {
    let mut merged = Layers::new();
    layers.iter().for_each(|layer| merged.add(layer.clone()));
    merged
}

fn settled(layers: &[Layer], extent: Extent) -> Result<Config, ConfigError> {
    merged(layers).settle(&Rules {
        extent,
        ..Rules::default()
    })
}

/// What counts at one path, as far as layers were heard.
#[derive(Debug, Default)]
struct Model {
    state: State,
    is_wanted: bool,
    is_contradicted: bool,
    /// Whether what was said last is a default, which nothing contradicts.
    is_default: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Absent,
    Null,
    /// Any other value, as JSON.
    Other(String),
    Table(BTreeMap<String, Model>),
}

impl Model {
    fn of(layers: &[Layer]) -> Self {
        let mut model = Self::default();
        layers
            .iter()
            .for_each(|layer| model.hear_table(&layer.table, false));
        model
    }

    fn hear(&mut self, value: &Value, is_default: bool) {
        match &value.kind {
            Kind::Required(_) => self.is_wanted = true,
            Kind::Default(inner) => self.hear(inner, true),
            Kind::Table(table) => self.hear_table(table, is_default),
            // What stood there before is gone, with all that was wrong with it.
            Kind::Null => {
                self.state = State::Null;
                self.is_default = is_default;
            }
            _ => {
                self.is_contradicted |= matches!(self.state, State::Table(_)) && !self.is_default;
                self.state = State::Other(json(value));
                self.is_default = is_default;
            }
        }
    }

    fn hear_table(&mut self, table: &Table, is_default: bool) {
        self.is_contradicted |= matches!(self.state, State::Other(_)) && !self.is_default;
        self.is_default = is_default;
        if !matches!(self.state, State::Table(_)) {
            self.state = State::Table(BTreeMap::new());
        }
        let State::Table(children) = &mut self.state else {
            return;
        };
        for (key, value) in table {
            children
                .entry(key.clone())
                .or_default()
                .hear(value, is_default);
        }
    }

    /// Every path that means something, with its model.
    fn all(&self) -> Vec<(Vec<String>, &Self)> {
        let mut found = vec![(Vec::new(), self)];
        if let State::Table(children) = &self.state {
            for (key, child) in children {
                found.extend(child.all().into_iter().map(|(mut path, model)| {
                    path.insert(0, key.clone());
                    (path, model)
                }));
            }
        }
        found
    }

    fn is_refused(&self) -> bool {
        self.all().iter().any(|(_, model)| model.is_contradicted)
    }

    fn unmet(&self) -> BTreeSet<String> {
        let unmet = |model: &Self| model.is_wanted && matches!(model.state, State::Absent);
        let all = self.all().into_iter().filter(|(_, model)| unmet(model));
        all.map(|(keys, _)| path::display(&keys)).collect()
    }

    /// The JSON text of each value that is no table.
    fn values(&self) -> BTreeMap<Vec<String>, String> {
        let all = self.all().into_iter();
        all.filter_map(|(path, model)| match &model.state {
            State::Null => Some((path, "null".to_owned())),
            State::Other(text) => Some((path, text.clone())),
            State::Absent | State::Table(_) => None,
        })
        .collect()
    }

    /// The paths of all tables, empty ones among them.
    fn tables(&self) -> BTreeSet<Vec<String>> {
        let all = self.all().into_iter();
        all.filter(|(_, model)| matches!(model.state, State::Table(_)))
            .map(|(path, _)| path)
            .collect()
    }
}

fn json(value: &Value) -> String {
    let text = |text: &str| serde_json::to_string(text).unwrap();
    match &value.kind {
        Kind::Bool(truth) => truth.to_string(),
        Kind::Number(digits) => digits.clone(),
        Kind::Text(plain) => text(plain),
        Kind::List(items) => {
            let items: Vec<String> = items.iter().map(json).collect();
            format!("[{}]", items.join(","))
        }
        Kind::Table(table) => {
            let entries = table.iter();
            let entries: Vec<String> = entries
                .map(|(key, value)| format!("{}:{}", text(key), json(value)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        Kind::Default(inner) => json(inner),
        Kind::Null | Kind::Required(_) | Kind::Secret(_) => "null".to_owned(),
    }
}

fn values(config: &Config) -> BTreeMap<Vec<String>, String> {
    let values = config.values().into_iter();
    values
        .map(|(path, piece)| (path, piece.unfilled().to_owned()))
        .collect()
}

fn tables(config: &Config) -> BTreeSet<Vec<String>> {
    fn collect(value: &serde_json::Value, at: &[String], found: &mut BTreeSet<Vec<String>>) {
        let Some(table) = value.as_object() else {
            return;
        };
        found.insert(at.to_vec());
        for (key, value) in table {
            collect(value, &[at, std::slice::from_ref(key)].concat(), found);
        }
    }
    let whole = config.get(&[]).unwrap().unwrap();
    let mut found = BTreeSet::new();
    collect(
        &serde_json::from_str(whole.unfilled()).unwrap(),
        &[],
        &mut found,
    );
    found
}

fn agrees(config: &Config, model: &Model) {
    let values = values(config);
    assert_eq!(values, model.values());
    assert_eq!(tables(config), model.tables());
    for (path, text) in &values {
        let piece = config.get(path).unwrap().unwrap();
        assert_eq!(piece.unfilled(), text);
    }
}

/// The paths of all that a layer says.
fn paths(table: &Table) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (key, value) in table {
        let inner = match &value.kind {
            Kind::Default(inner) => inner.as_ref(),
            _ => value,
        };
        found.push(vec![key.clone()]);
        if let Kind::Table(table) = &inner.kind {
            let below = paths(table).into_iter();
            found.extend(below.map(|path| [vec![key.clone()], path].concat()));
        }
    }
    found
}

#[test]
fn it_does_not_matter_which_layers_are_merged_first() {
    let three = (table(DEPTH, WILD), table(DEPTH, WILD), table(DEPTH, WILD));
    holds(&three, |(weak, middle, strong)| {
        let trees = || {
            let (weak, middle) = (weak.clone(), middle.clone());
            (
                Tree::of(0, weak),
                Tree::of(1, middle),
                Tree::of(2, strong.clone()),
            )
        };
        let (mut from_below, middle, strong) = trees();
        from_below.join(middle);
        from_below.join(strong);
        let (mut from_above, mut middle, strong) = trees();
        middle.join(strong);
        from_above.join(middle);
        assert_eq!(from_below, from_above);
        // Maps are equal in any order; what guests read is written in one.
        assert_eq!(format!("{from_below:?}"), format!("{from_above:?}"));
    });
}

#[test]
fn the_last_layer_that_gives_a_value_wins_and_tables_are_merged_key_by_key() {
    holds(&layers(AGREEING), |layers| {
        agrees(
            &settled(&layers, Extent::Part).unwrap(),
            &Model::of(&layers),
        );
    });
}

#[test]
fn layers_are_refused_where_a_table_stands_against_another_value_and_nowhere_else() {
    holds(&layers(WILD), |layers| {
        let model = Model::of(&layers);
        match settled(&layers, Extent::Part) {
            Ok(config) => {
                assert!(!model.is_refused());
                agrees(&config, &model);
            }
            Err(ConfigError::Mismatch(_)) => assert!(model.is_refused()),
            Err(other) => panic!("{other}"),
        }
    });
}

#[test]
fn what_null_took_away_is_as_if_nobody_had_said_it() {
    let weak_and_strong = (table(DEPTH, WILD), table(DEPTH, WILD));
    holds(&weak_and_strong, |(weak, strong)| {
        let kind = Kind::Null;
        let null = Value { kind, line: 0 };
        let nulls: Table = weak.keys().map(|key| (key.clone(), null.clone())).collect();
        let layers = [weak, nulls, strong].map(|table| Layer {
            tier: Tier::Local,
            origin: "a layer".to_owned(),
            table,
        });
        let all = settled(&layers, Extent::Part).unwrap();
        let later = settled(&layers[1..], Extent::Part).unwrap();
        assert_eq!(values(&all), values(&later));
        assert_eq!(tables(&all), tables(&later));
    });
}

#[test]
fn explain_shows_the_value_that_counts_and_the_layer_that_says_it() {
    holds(&layers(WILD), |layers| {
        let config = merged(&layers).unchecked();
        let mut explained = BTreeSet::new();
        for found in config.explain(&[]).unwrap() {
            let Some(value) = found.value.filter(|value| value != "{…}") else {
                continue;
            };
            let piece = config.get(&found.path).unwrap().unwrap();
            assert_eq!(piece.unfilled(), value);
            let counting: Vec<_> = found.chain.iter().filter(|step| step.counts).collect();
            assert_eq!(counting.len(), 1, "{:?}", found.chain);
            assert_eq!(counting[0].said, value);
            assert_eq!(
                config.source(&found.path).as_ref(),
                Some(&counting[0].source)
            );
            assert!(explained.insert(found.path));
        }
        let counting: BTreeSet<_> = values(&config).into_keys().collect();
        assert_eq!(explained, counting);
    });
}

#[test]
fn what_is_explained_at_a_path_is_what_counts_there() {
    holds(&layers(WILD), |layers| {
        let config = merged(&layers).unchecked();
        for path in layers.iter().flat_map(|layer| paths(&layer.table)) {
            for found in config.explain(&path).unwrap_or_default() {
                let counts = config.get(&found.path).ok().flatten();
                match found.value.as_deref() {
                    Some("{…}") => assert!(config.tree(&found.path).unwrap().is_some()),
                    shown => assert_eq!(shown, counts.map(|piece| piece.unfilled())),
                }
            }
        }
    });
}

#[test]
fn a_sealed_layer_is_read_back_with_its_markers_and_its_lines() {
    holds(&layers(WILD), |layers| {
        for layer in layers {
            let sealed = serde_json::to_string(&layer).unwrap();
            let read: Layer = serde_json::from_str(&sealed).unwrap();
            let read = read.of_tier(layer.tier);
            assert_eq!(read, layer);
            assert_eq!(serde_json::to_string(&read).unwrap(), sealed);
        }
    });
}

#[test]
fn what_must_be_given_and_is_not_is_named_when_all_layers_are_there_and_left_out_before() {
    holds(&layers(AGREEING), |layers| {
        let unmet = Model::of(&layers).unmet();
        match settled(&layers, Extent::Whole) {
            Ok(_) => assert!(unmet.is_empty(), "{unmet:?}"),
            Err(ConfigError::Unmet(issues)) => {
                let named: BTreeSet<String> = issues.into_iter().map(|issue| issue.path).collect();
                assert_eq!(named, unmet);
            }
            Err(other) => panic!("{other}"),
        }
        let part = settled(&layers, Extent::Part).unwrap();
        for path in &unmet {
            let keys = path::parse(path).unwrap();
            assert!(part.get(&keys).unwrap().is_none(), "{path}");
        }
    });
}
