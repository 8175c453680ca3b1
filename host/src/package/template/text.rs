//! Texts with places to fill, and values made safe for what they go into: YAML, HCL, comments. Knows nothing of AWS.

/// The longest part of somebody else's text that a comment repeats.
const COMMENT_CHARS_MAX: usize = 200;

/// Fills the places `<<name>>` of a text. One with a line to itself takes a block, each line of which is indented as the
/// place is; where the block is empty, there is no line. What is put in is not searched for places.
pub(super) fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    for line in text.lines() {
        let inner = line.trim_start();
        let (indent, _) = line.split_at(line.len() - inner.len());
        let name = inner
            .strip_prefix("<<")
            .and_then(|rest| rest.strip_suffix(">>"));
        match name.and_then(|name| value(values, name)) {
            Some(block) => indented(&mut filled, indent, block),
            None => {
                inline(&mut filled, line, values);
                filled.push('\n');
            }
        }
    }
    filled
}

fn value<'a>(values: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    let mut named = values.iter().filter(|(own, _)| *own == name);
    named.next().map(|(_, value)| *value)
}

fn indented(filled: &mut String, indent: &str, block: &str) {
    for line in block.lines() {
        if !line.is_empty() {
            filled.push_str(indent);
            filled.push_str(line);
        }
        filled.push('\n');
    }
}

fn inline(filled: &mut String, line: &str, values: &[(&str, &str)]) {
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("<<") {
        let place = after
            .split_once(">>")
            .and_then(|(name, after)| Some((value(values, name)?, after)));
        let Some((value, after)) = place else {
            break;
        };
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
}

/// A text as a string of YAML, in quotes. As a string of JSON it would do as well.
pub(super) fn yaml(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if is_plain(c) => quoted.push(c),
            c => quoted.push_str(&numbered(c)),
        }
    }
    quoted.push('"');
    quoted
}

/// A text as a string of HCL, in quotes; nothing in it is a template.
pub(super) fn hcl(text: &str) -> String {
    format!("\"{}\"", hcl_part(text))
}

/// A text as part of a string of HCL. It must not end in `$` or `%` where a template follows.
pub(super) fn hcl_part(text: &str) -> String {
    let mut part = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('$' | '%', Some('{')) => part.extend([c, c]),
            // Scanners differ over what `$$${` is.
            ('$' | '%', Some(next)) if *next == c => part.push_str(&numbered(c)),
            ('"' | '\\', _) => part.extend(['\\', c]),
            (c, _) if is_plain(c) => part.push(c),
            (c, _) => part.push_str(&numbered(c)),
        }
    }
    part
}

/// A text as a string of a GitHub workflow, in which nothing is an expression.
pub(super) fn github(text: &str) -> String {
    yaml(&text.replace("${{", "${{ '${{' }}"))
}

/// A text as the rest of a comment's line.
pub(super) fn comment(text: &str) -> String {
    let chars = text.chars().take(COMMENT_CHARS_MAX);
    chars.map(|c| if is_plain(c) { c } else { ' ' }).collect()
}

/// A name with dashes as one word: `execute-api` is `ExecuteApi`.
pub(super) fn camel(name: &str) -> String {
    let parts = name.split('-').map(|part| {
        let mut chars = part.chars();
        let first = chars.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(chars).collect::<String>()
    });
    parts.collect()
}

/// Whether a character ends no line and is refused by no parser.
fn is_plain(c: char) -> bool {
    let odd = matches!(
        c,
        '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
    );
    !c.is_control() && !odd
}

fn numbered(c: char) -> String {
    format!("\\u{:04x}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_with_a_line_to_itself_takes_a_block_and_an_empty_one_its_line() {
        let values = [("a", "x\n\n  y\n"), ("b", ""), ("c", "<<a>>")];
        let filled = fill("1\n  <<a>>\n  <<b>>\n  <<c>> <<c>>!\n<<d>>\n", &values);
        assert_eq!(filled, "1\n  x\n\n    y\n  <<a>> <<a>>!\n<<d>>\n");
    }

    #[test]
    fn a_hostile_text_stays_one_string() {
        for (text, in_yaml, in_hcl) in [
            ("a", "\"a\"", "\"a\""),
            ("a\"\\", "\"a\\\"\\\\\"", "\"a\\\"\\\\\""),
            ("a\nb: c", "\"a\\u000ab: c\"", "\"a\\u000ab: c\""),
            ("\u{85}\u{2028}", "\"\\u0085\\u2028\"", "\"\\u0085\\u2028\""),
            ("${x} %{y}", "\"${x} %{y}\"", "\"$${x} %%{y}\""),
            ("$${x}", "\"$${x}\"", "\"\\u0024$${x}\""),
            ("a$", "\"a$\"", "\"a$\""),
        ] {
            assert_eq!((yaml(text).as_str(), hcl(text).as_str()), (in_yaml, in_hcl));
        }
        assert_eq!(github("a${{ x }}"), "\"a${{ '${{' }} x }}\"");
        assert_eq!(comment("a\nb\r\u{2029}c"), "a b  c");
        assert_eq!(comment(&"x".repeat(900)).len(), COMMENT_CHARS_MAX);
    }
}
