//! Random texts of all four formats of configuration, and damaged ones, are read or refused, whatever they are; so is what was
//! made to exhaust its reader, in `fuzz/hostile.rs`, and whatever else comes from outside, beside it. The same cases in every
//! run: what fails on one machine fails on all. By hand `CRUNCHBOX_FUZZ_ROUNDS=100` tries a hundred times as many.

mod component;
mod damage;
mod event;
mod grant;
mod hostile;
mod object;
mod policy;
mod store;
mod wasm;

use crunchbox::config::{Config, Extent, Format, Layer, Layers, Rules, Tier};
use damage::damaged;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::value::RawValue;
use std::sync::OnceLock;

const RANDOM_CASES: u32 = 1_000;

const DAMAGED_CASES: u32 = 500;

/// What threads of std and of tokio have unless somebody asks for more. Code of tests is not optimised and takes several
/// times the stack of what is released.
const STACK_BYTES: usize = 2 << 20;

/// The longest text of one layer, in bytes: `TEXT_BYTES_MAX` of the reader.
const TEXT_BYTES_MAX: usize = 256 << 10;

/// The most values in one layer: `VALUES_MAX` of the reader.
const VALUES_MAX: usize = 30_000;

/// How many bytes of a sealed layer one byte of text comes to. The worst is a control character and a comma in EDN: two
/// bytes, sealed as `"\u0001",` and a number of a line.
const GROWTH: usize = 10;

/// What aliases may add to a sealed layer: their texts, each byte escaped, and for each value a marker and a line.
const REPEATED_BYTES_MAX: usize = 6 * TEXT_BYTES_MAX + 24 * VALUES_MAX;

/// A format and what its texts are made of.
struct Language {
    format: Format,
    ending: &'static str,
    /// What stands before and after the value of the key `a`.
    frame: (&'static str, &'static str),
    /// What means something in it, between spaces.
    tokens: &'static str,
    seeds: [&'static str; 2],
}

static JSON: Language = Language {
    format: Format::Json,
    ending: "json",
    frame: ("{\"a\":", "}"),
    tokens: r#"[ ] { } : , " \" \\ \u \ud800 \u0000 \u00e9 null true false 0 -0 01 + . -1.50E+7 1e999999 1e 0x1 // {"a": {"b":
        999999999999999999999999999999999999999999 {"$required": {"$default": {"$secret": "$$x" "$" "a" "b":1 "ssm:/a" "env:A"
        "env:{{a}}" "secretsmanager:a#b" 1, [1] {} }}"#,
    seeds: [
        r#"{"db": {"host": {"$required": "the host"}, "port": {"$default": 5432},
  "password": {"$secret": "ssm:/crunch/{{channel}}/db"}, "keys": [{"$secret": "env:KEY"}, 1]},
 "list": [1, -2.50e+3, null, true, "\u00e9\ud83d\ude00", {"a": {}}],
 "$$x": 12345678901234567890123, "table": {"$default": {"a": {"b": []}}}}"#,
        "{\n  \"db\": null,\n  \"a\": {\"b\": {\"c\": 0}}\n}\n",
    ],
};

static TOML: Language = Language {
    format: Format::Toml,
    ending: "toml",
    frame: ("a = ", ""),
    tokens: r#"[ ] [[ ]] { } = , . " ' """ ''' \ \u \ud800 \U0010FFFF a b "$default" "$required" a.b a.b. a= b={ a="x" [a] [a.b] [[a]]
        {"$required"="x"} {"$default"=1} {"$secret"="env:A"} "$$x"=1 "$"=1 0x 0xff 0o7 0b1 +1 -0 007 1_0 1__0 inf -nan 1e999999
        999999999999999999999999999999999999999999 1.5 1979-05-27 1979-05-27T07:32:00Z 07:32:00 # true false"#,
    seeds: [
        r#"title = 'x'
"quoted.key" = """
two
lines"""
hex = 0xff
when = 1979-05-27T07:32:00Z
dotted.key.x = +1_000.5
"$$x" = 1 # one
[db]
host = { "$required" = "the host" }
port."$default" = 5432
password = { "$secret" = "env:DB_PASSWORD" }
[[servers]]
names = ["a", 'b', { c = 1e9 }]
[[servers]]
"#,
        "a.b.c = 0\n\n[db]\n[db.\"x y\"]\nz = [\n  1,\n  2,\n]\n",
    ],
};

static YAML: Language = Language {
    format: Format::Yaml,
    ending: "yaml",
    frame: ("a: ", ""),
    tokens: r#"[ ] { } , : - ? | > |9+ >- & * &a *a &b *b <<: << ! !! !default !required !secret !!str !!int !!null !!map !<x> !e!x %TAG
        %YAML 1.2 --- ... ~ null true .inf .nan 0x 0xff 0o7 007 +1 1e999999 999999999999999999999999999999999999999999 1.5 a b a: b:
        "a" 'a' " ' "\ud800" \x # @ ` $required: $default: $$x: ssm:/a env:A {a: [a, ]}"#,
    seeds: [
        r#"%YAML 1.2
---
base: &base {a: 1, "b": [x, 'y', 0x1F]}
db:
  <<: *base
  host: !required the host
  port: !default 5432
  password: !secret ssm:/crunch/db
  text: |
    two
    lines
  folded: >-
    one
    line
list:
- *base
- ~
- !!str 1
? key
: value # of it
"#,
        "a:\n  b:\n    - {c: 0}\n    - \"\\u00e9\"\n$$x: {$default: {d: []}}\n",
    ],
};

static EDN: Language = Language {
    format: Format::Edn,
    ending: "edn",
    frame: ("{:a ", "}"),
    tokens: r#"[ ] { } ( ) #{ #_ ^ ^:a #:a{ #:a #: :a :b :: : :a/b / :_/x "a" " \" \\ \a \newline \u00e9 \ud800 \u12 \o777 \o9 \ #inst
        #uuid #crunchbox/default #crunchbox/required #crunchbox/secret #immuconf/override #immuconf/default #x # ## ##Inf #" #! ; ,
        nil true false 1 -1 +1 1/2 1N 1.5M 1M 0x 0xff 36rZ 1r 007 08 1e999999 1.5 999999999999999999999999999999999999999999
        "ssm:/a" "env:A" @ ' ~ ` {:a {:b [1 }]"#,
    seeds: [
        r#";; what every deployment has
{:db {:host #immuconf/override "the host" :port #immuconf/default 5432
      :password #crunchbox/secret "secretsmanager:prod/db#password"}
 :list [1 -2.5M 0x1F 36rZZ 1e3 \a \newline nil true (x y) #{z}] #_ ignored
 :when #inst "2020-01-01T00:00:00Z" ^:meta :tagged ^{:a 1} {:x 1}
 :people #:person{:name "\u00e9\ud83d\ude00\101" :_/age 3}
 "string key" sym/bol}
"#,
        "#:a{:b {\"c\" 0},\n:d #crunchbox/default {:e [] :f nil}}\n",
    ],
};

impl std::fmt::Debug for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.ending)
    }
}

impl Language {
    fn file(&self) -> String {
        format!("hostile.{}", self.ending)
    }

    fn framed(&self, value: &str) -> String {
        [self.frame.0, value, self.frame.1].concat()
    }

    fn read(&self, text: &[u8]) -> Result<Layer, String> {
        Layer::parse(Tier::Base, &self.file(), text).map_err(|error| error.to_string())
    }

    /// Why a text is refused.
    fn refusal(&self, text: &str) -> String {
        match on_a_small_stack(|| self.read(text.as_bytes())) {
            Ok(_) => panic!("{} of {} bytes was read", self.ending, text.len()),
            Err(problem) => problem,
        }
    }

    /// The JSON text of what stands at the key `a`.
    fn value(&self, value: &str) -> Result<String, String> {
        let layer = self.read(self.framed(value).as_bytes())?;
        let config = merged(&[&layer]).unchecked();
        let piece = config.get(&["a".to_owned()]).unwrap().unwrap();
        Ok(piece.unfilled().to_owned())
    }

    /// A sound layer, to be merged with others.
    fn sound(&self, seed: usize) -> Layer {
        self.read(self.seeds[seed].as_bytes()).unwrap()
    }
}

static LANGUAGES: [&Language; 4] = [&JSON, &TOML, &YAML, &EDN];

/// Runs what may be deep where a stack that is too deep shows.
fn on_a_small_stack<R: Send>(run: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let ended = thread.spawn_scoped(scope, run).unwrap().join();
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// How many rounds each rule is tried in, every one with other cases.
fn rounds() -> u32 {
    static ROUNDS: OnceLock<u32> = OnceLock::new();
    *ROUNDS.get_or_init(|| match std::env::var("CRUNCHBOX_FUZZ_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("CRUNCHBOX_FUZZ_ROUNDS is a number"),
        Err(_) => 1,
    })
}

/// What the cases of a round are drawn from.
fn seeded(round: u32) -> TestRng {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&round.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &seed)
}

fn holds<S: Strategy>(cases: u32, strategy: &S, rule: impl Fn(S::Value)) {
    for round in 0..rounds() {
        let config = ProptestConfig {
            cases,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let outcome = TestRunner::new_with_rng(config, seeded(round)).run(strategy, |case| {
            rule(case);
            Ok(())
        });
        if let Err(failure) = outcome {
            panic!("round {round}: {failure}");
        }
    }
}

/// A file's bytes, shown as they can be typed.
#[derive(Clone)]
struct Bytes(Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// Any text of a language's tokens, half of them where a value is expected.
fn random(language: &'static Language) -> impl Strategy<Value = Bytes> {
    let tokens: Vec<&'static str> = language.tokens.split_ascii_whitespace().collect();
    let spaces = vec![" ", "\n", "\n  ", "\n    ", "\r\n", "\t"];
    let odd = vec!["\u{feff}", "\0", "é", "😀", "\u{2028}", "\u{1}", "\r"];
    let piece = prop_oneof![8 => select(tokens), 6 => select(spaces), 1 => select(odd)];
    (vec(piece, 0..40), any::<bool>()).prop_map(move |(pieces, is_framed)| {
        let text = pieces.concat();
        let text = if is_framed {
            language.framed(&text)
        } else {
            text
        };
        Bytes(text.into_bytes())
    })
}

fn merged(layers: &[&Layer]) -> Layers {
    let mut merged = Layers::new();
    layers.iter().for_each(|layer| merged.add((*layer).clone()));
    merged
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// What holds of every text: it is refused by its name, or what is read of it can be sealed, merged and shown.
fn is_read_or_refused(language: &Language, text: &[u8], other: &Layer) {
    let read = language.read(text);
    if let Ok(text) = std::str::from_utf8(text)
        && !text.starts_with('\u{feff}')
    {
        // As a variable of the environment has it.
        let same = Layer::parse_as(Tier::Base, &language.file(), language.format, text);
        assert_eq!(same.map_err(|error| error.to_string()), read);
    }
    let layer = match read {
        Ok(layer) => layer,
        Err(problem) => {
            assert!(problem.contains(&language.file()), "{problem}");
            return;
        }
    };
    let sealed = serde_json::to_string(&layer).unwrap();
    assert!(sealed.len() <= GROWTH * (text.len() + 10) + REPEATED_BYTES_MAX);
    let again: Layer = serde_json::from_str(&sealed).unwrap();
    assert_eq!(again, layer);
    assert_eq!(serde_json::to_string(&again).unwrap(), sealed);
    for layers in [vec![&layer], vec![&layer, other], vec![other, &layer]] {
        let layers = merged(&layers);
        for extent in [Extent::Part, Extent::Whole] {
            let rules = Rules {
                extent,
                ..Rules::default()
            };
            match layers.settle(&rules) {
                Ok(config) => is_shown_as_json(&config),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
        is_shown_as_json(&layers.unchecked());
    }
}

fn is_shown_as_json(config: &Config) {
    let whole = config.get(&[]).unwrap().unwrap();
    let secrets = whole.secrets().iter().map(|_| "\"a secret\"".to_owned());
    assert!(is_json(whole.unfilled()) && is_json(&whole.filled(secrets)));
    let values = config.values();
    for (path, piece) in &values {
        assert!(is_json(piece.unfilled()), "{path:?}");
        assert!(config.source(path).is_some(), "{path:?}");
    }
    let counts = config.layers().into_iter().map(|(_, _, count)| count);
    assert_eq!(counts.sum::<usize>(), values.len());
    for explained in config.explain(&[]).unwrap() {
        let value = explained.value.filter(|value| value != "{…}");
        assert!(
            value.is_none_or(|value| is_json(&value)),
            "{:?}",
            explained.path
        );
    }
}

fn every_random_text_is_read_or_refused(language: &'static Language) {
    on_a_small_stack(|| {
        let strategy = (random(language), 0..2_usize, select(&LANGUAGES[..]));
        holds(RANDOM_CASES, &strategy, |(text, seed, other)| {
            is_read_or_refused(language, &text.0, &other.sound(seed));
        });
    });
}

fn every_damaged_file_is_read_or_refused(language: &'static Language) {
    on_a_small_stack(|| {
        let damaged = damaged(language.seeds.to_vec());
        let strategy = (damaged, 0..2_usize, select(&LANGUAGES[..]));
        holds(DAMAGED_CASES, &strategy, |(text, seed, other)| {
            is_read_or_refused(language, &text.0, &other.sound(seed));
        });
    });
}

#[test]
fn any_text_of_jsons_tokens_is_read_or_refused() {
    every_random_text_is_read_or_refused(&JSON);
}

#[test]
fn any_text_of_tomls_tokens_is_read_or_refused() {
    every_random_text_is_read_or_refused(&TOML);
}

#[test]
fn any_text_of_yamls_tokens_is_read_or_refused() {
    every_random_text_is_read_or_refused(&YAML);
}

#[test]
fn any_text_of_edns_tokens_is_read_or_refused() {
    every_random_text_is_read_or_refused(&EDN);
}

#[test]
fn a_damaged_json_file_is_read_or_refused() {
    every_damaged_file_is_read_or_refused(&JSON);
}

#[test]
fn a_damaged_toml_file_is_read_or_refused() {
    every_damaged_file_is_read_or_refused(&TOML);
}

#[test]
fn a_damaged_yaml_file_is_read_or_refused() {
    every_damaged_file_is_read_or_refused(&YAML);
}

#[test]
fn a_damaged_edn_file_is_read_or_refused() {
    every_damaged_file_is_read_or_refused(&EDN);
}
