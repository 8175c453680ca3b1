//! A path through tables, as people write it: keys with dots between, quoted as in TOML where a key needs it.

use std::fmt::Write;

/// More than the deepest path of the longest keys has; a guest's text of dots would otherwise be taken apart into millions.
const TEXT_BYTES_MAX: usize = 128 << 10;

/// Reads a path such as `db.host` or `hosts."a.example"`.
///
/// # Errors
/// What was expected, in words; the text itself may be repeated by the caller.
pub fn parse(text: &str) -> Result<Vec<String>, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("expected at most {TEXT_BYTES_MAX} bytes"));
    }
    let mut keys = Vec::new();
    let mut rest = text;
    loop {
        let (key, after) = key(rest)?;
        keys.push(key);
        match after.strip_prefix('.') {
            Some(more) => rest = more,
            None if after.is_empty() => return Ok(keys),
            None => return Err("expected a `.` after a quoted key".to_owned()),
        }
    }
}

/// The first key of a text, and what follows it.
fn key(text: &str) -> Result<(String, &str), String> {
    if let Some(quoted) = text.strip_prefix('\'') {
        let (key, after) = quoted.split_once('\'').ok_or("expected a closing `'`")?;
        return Ok((key.to_owned(), after));
    }
    if text.starts_with('"') {
        // JSON's strings are TOML's, but for TOML's long escapes.
        let mut reader = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let key = reader.next().and_then(Result::ok);
        let key = key.ok_or("expected a quoted key as in TOML")?;
        return Ok((key, &text[reader.byte_offset()..]));
    }
    let end = text.find('.').unwrap_or(text.len());
    let (key, after) = text.split_at(end);
    if key.is_empty() {
        return Err("expected a key, got nothing".to_owned());
    }
    if !is_plain(key) {
        return Err(format!("expected the key `{key}` to be quoted"));
    }
    Ok((key.to_owned(), after))
}

/// Whether a key needs no quotes.
fn is_plain(key: &str) -> bool {
    let special =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '"' | '\'' | '=');
    !key.is_empty() && !key.contains(special)
}

/// Writes a path so that [`parse`] reads it back.
pub fn display<S: AsRef<str>>(keys: &[S]) -> String {
    let mut text = String::new();
    for key in keys {
        push(&mut text, key.as_ref());
    }
    text
}

/// Adds a key to a path's text.
pub(crate) fn push(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    if is_plain(key) {
        path.push_str(key);
    } else {
        let quoted = serde_json::to_string(key).expect("a string has a JSON text");
        let _ = write!(path, "{quoted}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_back_as_it_was_written() {
        for keys in [
            vec!["db", "host"],
            vec!["a.b", "c/d", "e"],
            vec![
                "",
                "with space",
                "quo\"te",
                "tab\t",
                "it's",
                "a=b",
                "ü",
                "$x",
            ],
        ] {
            let text = display(&keys);
            assert_eq!(parse(&text).unwrap(), keys, "{text}");
        }
        assert_eq!(display(&["a.b", "c/d"]), r#""a.b".c/d"#);
        assert_eq!(parse("a.'b.c'").unwrap(), ["a", "b.c"]);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["", "a..b", "a.", ".a", "a b", "\"a", "'a", "\"a\"b", "a=b"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
