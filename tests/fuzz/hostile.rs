//! Configuration that was made to exhaust its reader: each is refused with a line where there is one, and the program refuses
//! it with little memory.

use super::{
    EDN, JSON, LANGUAGES, Language, TEXT_BYTES_MAX, TOML, VALUES_MAX, YAML, is_read_or_refused,
    on_a_small_stack,
};
use crate::rig::{crunchbox, text};
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// As many pieces as a layer has room for, after a beginning.
fn filled(start: &str, piece: &str) -> String {
    start.to_owned() + &piece.repeat((TEXT_BYTES_MAX - start.len()) / piece.len())
}

/// Keys of the same length, more than a layer may have and fewer than it has room for.
fn too_many(entry: impl Fn(&str) -> String, between: &str) -> String {
    let letters = || ('a'..='z').chain('A'..='Z');
    let keys =
        letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| [a, b, c])));
    let entries = keys.map(|key| entry(&key.iter().collect::<String>()));
    let entries: Vec<String> = entries.take(VALUES_MAX + 10).collect();
    entries.join(between)
}

/// Each table a line, indented by one more.
fn indented() -> String {
    let mut text = String::new();
    for depth in 0.. {
        if text.len() + depth > TEXT_BYTES_MAX - 4 {
            break;
        }
        let _ = writeln!(text, "{:depth$}a:", "");
    }
    text
}

/// Anchors each of which repeats the one before ten times.
fn laughs(open: &str, close: &str, item: impl Fn(usize, &str) -> String) -> String {
    let mut text = String::new();
    for level in 0..12_usize {
        let repeated = match level.checked_sub(1) {
            None => "x".to_owned(),
            Some(below) => format!("*l{below}"),
        };
        let items: Vec<String> = (0..10).map(|number| item(number, &repeated)).collect();
        let _ = writeln!(
            text,
            "l{level}: &l{level} {open}{}{close}",
            items.join(", ")
        );
    }
    text
}

#[test]
fn the_same_depth_is_allowed_in_every_format_and_one_more_is_refused_with_its_line() {
    for language in LANGUAGES {
        // The table at the top and the innermost number are levels too.
        let lists = |count: usize| format!("{}1{}", "[".repeat(count), "]".repeat(count));
        let deepest = language.framed(&lists(63));
        let other = JSON.sound(0);
        on_a_small_stack(|| is_read_or_refused(language, deepest.as_bytes(), &other));
        assert_eq!(language.value(&lists(63)), Ok(lists(63)));
        let problem = language.refusal(&language.framed(&lists(64)));
        assert!(
            problem.contains("line 1: ") && problem.contains("levels of nesting"),
            "{problem}"
        );
    }
}

#[test]
fn nesting_without_an_end_is_refused_with_its_line() {
    let yaml = [
        "[",
        "{\"a\":",
        "{a: ",
        "- ",
        "? ",
        "!default ",
        "&a ",
        "&a [",
        "a: ",
    ];
    let edn = [
        "[",
        "{:a ",
        "(",
        "#{",
        "#_",
        "^",
        "^:a ",
        "#crunchbox/default ",
        "#:a{:b ",
    ];
    let texts = [
        (&JSON, vec![filled("", "["), filled("", "{\"a\":")]),
        (
            &TOML,
            vec![filled("", "["), filled("a = ", "["), filled("a = ", "{a=")],
        ),
        (&YAML, yaml.map(|piece| filled("", piece)).to_vec()),
        (&YAML, vec![indented()]),
        (&EDN, edn.map(|piece| filled("", piece)).to_vec()),
    ];
    for (language, texts) in texts {
        for text in texts {
            let problem = language.refusal(&text);
            assert!(
                problem.contains("line "),
                "{} {}: {problem}",
                language.ending,
                &text[..20]
            );
        }
    }
    for text in [filled("", "a."), filled("[", "a.")] {
        TOML.refusal(&text);
    }
}

#[test]
fn aliases_that_repeat_each_other_are_refused_with_their_line() {
    let long = format!(
        "a: &a \"{}\"\nb:\n{}",
        "x".repeat(100_000),
        "- *a\n".repeat(1_000)
    );
    let chain = |level: usize| format!("l{}: &l{} [*l{level}]\n", level + 1, level + 1);
    for (text, refused_for) in [
        (
            laughs("[", "]", |_, item| item.to_owned()),
            "expected at most",
        ),
        (
            laughs("{", "}", |number, item| format!("k{number}: {item}")),
            "expected at most",
        ),
        (long, "bytes"),
        (
            "l0: &l0 []\n".to_owned() + &(0..100).map(chain).collect::<String>(),
            "levels of nesting",
        ),
    ] {
        let problem = YAML.refusal(&text);
        assert!(
            problem.contains("line ") && problem.contains(refused_for),
            "{problem}"
        );
    }
}

/// Little that is said often: what makes it long must not be free.
fn namespaced(name: usize, keys: usize) -> String {
    let keys: String = (0..keys).map(|key| format!(":{key} 0 ")).collect();
    format!("#:{}{{{keys}}}", "n".repeat(name))
}

fn repeated_secret(times: usize) -> String {
    let name = "n".repeat(4_000);
    format!("a: &a !secret ssm:/{name}\nb: [{}]", "*a,".repeat(times))
}

#[test]
fn a_namespace_does_not_make_a_layer_of_any_size_of_a_short_text() {
    is_read_or_refused(&EDN, namespaced(20_000, 2_000).as_bytes(), &JSON.sound(0));
}

#[test]
fn aliases_of_a_secret_do_not_make_a_layer_of_any_size_of_a_short_text() {
    is_read_or_refused(&YAML, repeated_secret(5_000).as_bytes(), &JSON.sound(0));
}

#[test]
fn more_values_than_a_layer_may_have_are_refused() {
    for (language, text) in [
        (
            &JSON,
            format!("{{{}}}", too_many(|key| format!("\"{key}\":0"), ",")),
        ),
        (&TOML, too_many(|key| format!("{key}=0"), "\n")),
        (&YAML, too_many(|key| format!("{key}: 0"), "\n")),
        (
            &EDN,
            format!("{{{}}}", too_many(|key| format!(":{key} 0"), " ")),
        ),
    ] {
        let problem = language.refusal(&text);
        assert!(
            problem.contains("line ") && problem.contains("values"),
            "{problem}"
        );
    }
}

#[test]
fn a_text_longer_than_a_layer_may_be_is_refused() {
    for language in LANGUAGES {
        let problem = language.refusal(&language.framed(&format!("{:?}", filled("", "x"))));
        assert!(problem.contains("262144 bytes"), "{problem}");
    }
}

#[test]
fn a_number_keeps_its_digits_however_many() {
    for language in LANGUAGES {
        for number in ["9".repeat(200_000), format!("-1.{}", "7".repeat(200_000))] {
            assert!(language.value(&number) == Ok(number), "{}", language.ending);
        }
        for number in ["1e999999", "-1.50e-999999"] {
            assert_eq!(language.value(number).as_deref(), Ok(number));
        }
    }
}

#[test]
fn a_number_of_another_radix_that_is_too_long_is_refused_with_its_line() {
    let hexadecimal = format!("0x{}", "F".repeat(5_000));
    let octal = format!("0o{}", "7".repeat(5_000));
    for (language, number) in [
        (&TOML, &hexadecimal),
        (&TOML, &octal),
        (&TOML, &format!("0b{}", "1".repeat(5_000))),
        (&YAML, &hexadecimal),
        (&YAML, &octal),
        (&EDN, &hexadecimal),
        (&EDN, &format!("0{}", "7".repeat(5_000))),
        (&EDN, &format!("36r{}", "Z".repeat(5_000))),
    ] {
        let problem = language.value(number).unwrap_err();
        assert!(
            problem.contains("line 1: ") && problem.contains("128 bits"),
            "{problem}"
        );
    }
}

#[test]
fn a_key_of_a_hundred_thousand_letters_is_read_or_refused() {
    let key = "k".repeat(100_000);
    let other = JSON.sound(0);
    for (language, text) in [
        (&JSON, format!("{{\"{key}\": 1}}")),
        (&TOML, format!("{key} = 1")),
        (&YAML, format!("{key}: 1")),
        (&YAML, format!("{{{key}: 1}}")),
        (&EDN, format!("{{:{key} 1}}")),
    ] {
        is_read_or_refused(language, text.as_bytes(), &other);
    }
}

#[test]
fn no_nul_ends_a_text_before_its_end() {
    for (language, text) in [
        (&JSON, "{\"a\": 1,\0\"b\": 2}"),
        (&JSON, "{\"a\": \"\0\", \"b\": 2}"),
        (&TOML, "a = 1\0\nb = 2"),
        (&TOML, "a = '\0'\nb = 2"),
        (&YAML, "a: 1\0\nb: 2"),
        (&YAML, "a: 1 # \0\nb: 2"),
        (&YAML, "a: '\0'\nb: 2"),
        (&YAML, "a: |\n  x\0y\nb: 2"),
        (&YAML, "a: 1\n...\n\0\nb: 2"),
        (&EDN, "{:a 1 \0 :b 2}"),
        (&EDN, "{:a \"\0\" ;\0\n :b 2}"),
    ] {
        if let Ok(layer) = language.read(text.as_bytes()) {
            assert!(layer.table.contains_key("b"), "{text:?}");
        }
    }
}

#[test]
fn half_a_character_is_refused_with_its_line_and_two_halves_are_one() {
    for language in LANGUAGES {
        for text in [
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800\u0041""#,
            r#""\ud800\ud800""#,
            r#""\ud83d x""#,
        ] {
            let problem = language.refusal(&format!("\n{}", language.framed(text)));
            assert!(problem.contains("line 2: "), "{problem}");
        }
    }
    for language in [&JSON, &EDN] {
        assert_eq!(language.value(r#""\ud83d\ude00""#).as_deref(), Ok("\"😀\""));
    }
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    for (language, text) in [
        (&JSON, "{\"a\": 1,\n\n\"b\": [\n2]}"),
        (&TOML, "a = 1 # one\n\n[b]\nc = [\n2]\n"),
        (&YAML, "a: 1 # one\n\nb:\n  - 2\n  - 'x'\n"),
        (&EDN, "{:a 1 ; one\n\n :b [\n2]}"),
    ] {
        let sealed =
            |text: &str| serde_json::to_string(&language.read(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(sealed(text), sealed(&format!("\u{feff}{text}")));
        assert_eq!(sealed(text), sealed(&text.replace('\n', "\r\n")));
    }
}

/// The program, with so little memory that what grows without an end ends it, and with half of what stack a program has.
fn explain(folder: &Path) -> Command {
    let program = crunchbox(&["config", "explain", "--of", text(folder), "--no-local"]);
    let mut command = Command::new("prlimit");
    command
        .args(["--as=536870912", "--stack=4194304", "--"])
        .arg(program.get_program())
        .args(program.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// The exit status for one file of configuration, and what was said.
fn status_with(language: &Language, hostile: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let manifest = format!(
        "[function]\nname = \"hostile\"\n[config]\nbase = [\"{}\"]\n",
        language.file()
    );
    std::fs::write(folder.path().join("crunchbox.toml"), manifest).unwrap();
    std::fs::write(folder.path().join(language.file()), hostile).unwrap();
    let ended = explain(folder.path()).output();
    let ended = ended.expect("prlimit cannot be started; run: apt-get install -y util-linux");
    (
        ended.status.code(),
        String::from_utf8_lossy(&ended.stderr).into_owned(),
    )
}

#[test]
fn the_program_refuses_hostile_files_with_little_memory() {
    let dotted = (0..80).fold("1".to_owned(), |inner, _| {
        format!("{{{}a={inner}}}", "a.".repeat(78))
    });
    for (language, hostile) in [
        (&JSON, filled("", "[")),
        (&TOML, filled("a = ", "[")),
        (&TOML, filled("", "a.")),
        // Levels that the parser's own limit does not count, each of its eighty being eighty more.
        (&TOML, TOML.framed(&dotted)),
        (&YAML, filled("", "[")),
        (&YAML, filled("[", ",")),
        (&YAML, filled("", "- ")),
        (&YAML, indented()),
        (&YAML, laughs("[", "]", |_, item| item.to_owned())),
        (&YAML, repeated_secret(20_000)),
        (&EDN, filled("", "#_")),
        (&EDN, filled("", "^")),
        (&EDN, namespaced(100_000, 10_000)),
        (
            &JSON,
            format!("{{{}}}", too_many(|key| format!("\"{key}\":0"), ",")),
        ),
        (&JSON, filled("", "[") + "["),
    ] {
        let (status, words) = status_with(language, &hostile);
        assert_eq!(
            status,
            Some(50),
            "{} {}: {words}",
            language.ending,
            &hostile[..20]
        );
    }
}

#[test]
fn a_long_key_with_many_values_below_it_costs_the_program_little_memory() {
    let entries: Vec<String> = (0..10_000).map(|key| format!("\"{key}\":0")).collect();
    let hostile = format!("{{\"{}\":{{{}}}}}", "k".repeat(100_000), entries.join(","));
    let (status, words) = status_with(&JSON, &hostile);
    assert!(matches!(status, Some(0 | 50)), "{status:?} {words}");
}
