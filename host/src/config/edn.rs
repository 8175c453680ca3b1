//! EDN into values, as Clojure reads it: keywords and symbols become strings with their namespace and slash, sets and
//! lists become arrays, characters strings. Ratios, infinities and tags that nobody knows have no meaning in JSON.
//!
//! A reader of our own: the crates that read EDN keep no lines for values, or lack Clojure's escapes and namespaced maps.

use super::marker;
use super::value::{Budget, Kind, Problem, Table, Value, check_length, decimal, radix};

/// Reads one table; a file with nothing in it is an empty one, as immuconf takes it.
pub(crate) fn read(text: &str) -> Result<Table, Problem> {
    check_length(text.len())?;
    let mut reader = Reader {
        rest: text,
        line: 1,
        budget: Budget::new(),
    };
    let Some(form) = reader.form(0)? else {
        return match reader.peek() {
            None => Ok(Table::new()),
            Some(_) => Err(reader.problem("expected a map, got a closing bracket")),
        };
    };
    reader.skip(0)?;
    if reader.peek().is_some() {
        return Err(reader.problem("expected the end of the file after one map, got more"));
    }
    match form.value.kind {
        Kind::Table(table) => Ok(table),
        Kind::Null => Ok(Table::new()),
        other => Err(super::not_a_table(&other)),
    }
}

/// A form and whether a namespaced map may give it its namespace, as a key.
struct Form {
    value: Value,
    is_name: bool,
}

struct Reader<'a> {
    rest: &'a str,
    line: u32,
    budget: Budget,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.advance(next.len_utf8());
        Some(next)
    }

    fn advance(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        let breaks = taken.bytes().filter(|byte| *byte == b'\n').count();
        self.line = self
            .line
            .saturating_add(u32::try_from(breaks).unwrap_or(u32::MAX));
        self.rest = rest;
        taken
    }

    fn problem(&self, what: impl Into<String>) -> Problem {
        Problem::new(self.line, what)
    }

    /// White space, comments, and forms that are to be ignored.
    fn skip(&mut self, depth: usize) -> Result<(), Problem> {
        loop {
            let blank = self
                .rest
                .trim_start_matches(|c: char| c == ',' || c.is_whitespace());
            self.advance(self.rest.len() - blank.len());
            if self.rest.starts_with(';') || self.rest.starts_with("#!") {
                self.advance(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("#_") {
                self.advance(2);
                // One form to ignore may follow another, each nested in the one before.
                self.budget.take(depth + 1, self.line)?;
                self.expect_form(depth + 1, "a form to ignore after `#_`")?;
            } else {
                return Ok(());
            }
        }
    }

    fn expect_form(&mut self, depth: usize, wanted: &str) -> Result<Form, Problem> {
        match self.form(depth)? {
            Some(form) => Ok(form),
            None => Err(self.problem(match self.peek() {
                Some(_) => format!("expected {wanted}, got a closing bracket"),
                None => format!("expected {wanted}, got the end of the file"),
            })),
        }
    }

    /// The next form; none at a closing bracket or the end.
    fn form(&mut self, depth: usize) -> Result<Option<Form>, Problem> {
        self.skip(depth)?;
        let line = self.line;
        let Some(first) = self.peek() else {
            return Ok(None);
        };
        if matches!(first, ')' | ']' | '}') {
            return Ok(None);
        }
        self.budget.take(depth, line)?;
        let mut is_name = false;
        let kind = match first {
            '{' => self.map(None, depth)?,
            '[' => self.list(']', depth)?,
            '(' => self.list(')', depth)?,
            '"' => Kind::Text(self.string()?),
            '\\' => Kind::Text(self.character()?),
            ':' => {
                is_name = true;
                Kind::Text(self.keyword()?)
            }
            '#' => self.dispatch(depth)?,
            '^' => {
                self.take();
                self.expect_form(depth + 1, "metadata after `^`")?;
                return self
                    .expect_form(depth + 1, "a form after its metadata")
                    .map(Some);
            }
            '@' | '\'' | '`' | '~' => {
                return Err(self.problem(format!(
                    "`{first}` is code, which has no meaning in a configuration"
                )));
            }
            _ => {
                let token = self.token();
                let kind = atom(token, line)?;
                is_name = matches!(kind, Kind::Text(_));
                kind
            }
        };
        Ok(Some(Form {
            value: Value { kind, line },
            is_name,
        }))
    }

    /// Characters up to what ends a token.
    fn token(&mut self) -> &'a str {
        let ends = |c: char| {
            c.is_whitespace()
                || matches!(
                    c,
                    ',' | '"'
                        | ';'
                        | '('
                        | ')'
                        | '['
                        | ']'
                        | '{'
                        | '}'
                        | '\\'
                        | '^'
                        | '@'
                        | '`'
                        | '~'
                )
        };
        self.advance(self.rest.find(ends).unwrap_or(self.rest.len()))
    }

    fn list(&mut self, close: char, depth: usize) -> Result<Kind, Problem> {
        let opened = self.line;
        self.take();
        let mut items = Vec::new();
        while let Some(form) = self.form(depth + 1)? {
            items.push(form.value);
        }
        self.close(close, opened)?;
        marker::check_list(&items)?;
        Ok(Kind::List(items))
    }

    fn close(&mut self, close: char, opened: u32) -> Result<(), Problem> {
        match self.take() {
            Some(found) if found == close => Ok(()),
            Some(found) => Err(self.problem(format!(
                "expected `{close}` for the bracket of line {opened}, got `{found}`"
            ))),
            None => Err(Problem::new(
                opened,
                format!("expected `{close}` for this bracket, got the end of the file"),
            )),
        }
    }

    fn map(&mut self, namespace: Option<&str>, depth: usize) -> Result<Kind, Problem> {
        let opened = self.line;
        self.take();
        let mut table = Table::new();
        while let Some(key) = self.form(depth + 1)? {
            let line = key.value.line;
            self.budget.give_back();
            if let (Some(namespace), Kind::Text(_)) = (namespace, &key.value.kind) {
                self.budget.repeat_text(namespace, line)?;
            }
            let is_name = key.is_name;
            let name = key_text(key, namespace)?;
            // A string there may be a value, where one was forgotten before it.
            let told = if is_name { name.as_str() } else { "\"…\"" };
            let mut value = self
                .expect_form(depth + 1, &format!("a value for the key `{told}`"))?
                .value;
            value.line = line;
            if table.contains_key(&name) {
                return Err(super::doubled(told, line));
            }
            table.insert(name, value);
        }
        self.close('}', opened)?;
        Ok(Kind::Table(table))
    }

    /// What begins with `#`: a set, a namespaced map, a special number, a tag.
    fn dispatch(&mut self, depth: usize) -> Result<Kind, Problem> {
        self.take();
        match self.peek() {
            Some('{') => self.list('}', depth),
            Some(':') => {
                self.take();
                let namespace = self.token();
                if namespace.is_empty() || namespace.starts_with(':') {
                    return Err(self.problem("expected a namespace as in `#:db{:host 1}`"));
                }
                self.skip(depth)?;
                if self.peek() != Some('{') {
                    return Err(self.problem("expected a map after its namespace"));
                }
                self.map(Some(namespace), depth)
            }
            Some('#') => Err(super::no_number(self.line)),
            Some('"') => Err(self.problem("a regular expression has no meaning in JSON")),
            Some(first) if first.is_alphabetic() => {
                let line = self.line;
                let tag = self.token();
                let wanted = format!("a value for the tag `#{tag}`");
                let value = self.expect_form(depth + 1, &wanted)?.value;
                tagged(tag, value, line)
            }
            _ => Err(self.problem("expected a tag, a set or a map after `#`")),
        }
    }

    fn keyword(&mut self) -> Result<String, Problem> {
        self.take();
        let name = self.token();
        if name.is_empty() || name.starts_with(':') || name.ends_with(':') {
            return Err(self.problem("expected a keyword such as `:db` or `:db/host`"));
        }
        Ok(name.to_owned())
    }

    fn string(&mut self) -> Result<String, Problem> {
        let opened = self.line;
        self.take();
        let mut text = String::new();
        loop {
            let plain = self.rest.find(['"', '\\']);
            let Some(plain) = plain else {
                return Err(Problem::new(
                    opened,
                    "expected `\"` at the end of this string",
                ));
            };
            text.push_str(self.advance(plain));
            if self.take() == Some('"') {
                return Ok(text);
            }
            let escape = self.take();
            text.push(match escape {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some(plain @ ('"' | '\\')) => plain,
                Some('u') => self.unicode()?,
                Some(octal @ '0'..='7') => self.octal(octal)?,
                _ => return Err(self.problem("expected an escape that Clojure knows after `\\`")),
            });
        }
    }

    /// Four hexadecimal digits, or eight in a pair as UTF-16 has them.
    fn unicode(&mut self) -> Result<char, Problem> {
        let first = self.hexadecimal()?;
        let units = if (0xd800..0xdc00).contains(&first) && self.rest.starts_with("\\u") {
            self.advance(2);
            vec![first, self.hexadecimal()?]
        } else {
            vec![first]
        };
        match char::decode_utf16(units).next() {
            Some(Ok(character)) => Ok(character),
            _ => Err(self.problem("expected a character after `\\u`, got half of one")),
        }
    }

    fn hexadecimal(&mut self) -> Result<u16, Problem> {
        let digits = self.rest.get(..4);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let value = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let value =
            value.ok_or_else(|| self.problem("expected four hexadecimal digits after `\\u`"))?;
        self.advance(4);
        Ok(value)
    }

    fn octal(&mut self, first: char) -> Result<char, Problem> {
        let mut value = first.to_digit(8).unwrap_or_default();
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|next| next.to_digit(8)) else {
                break;
            };
            self.take();
            value = value * 8 + digit;
        }
        let character = char::from_u32(value).filter(|_| value <= 0o377);
        character.ok_or_else(|| self.problem("expected an octal escape of at most `\\377`"))
    }

    fn character(&mut self) -> Result<String, Problem> {
        self.take();
        let Some(first) = self.take() else {
            return Err(self.problem("expected a character after `\\`"));
        };
        let name = if first.is_alphanumeric() {
            format!("{first}{}", self.token())
        } else {
            first.to_string()
        };
        let named = match name.as_str() {
            "newline" => "\n",
            "space" => " ",
            "tab" => "\t",
            "return" => "\r",
            "backspace" => "\u{8}",
            "formfeed" => "\u{c}",
            one if one.chars().count() == 1 => one,
            other => {
                let digits = |digits: &str, radix| {
                    let all = digits.chars().all(|digit| digit.is_digit(radix));
                    u32::from_str_radix(digits, radix).ok().filter(|_| all)
                };
                let code = other.strip_prefix('u').filter(|code| code.len() == 4);
                let code = code.and_then(|code| digits(code, 16));
                let code = code.or_else(|| {
                    let octal = digits(other.strip_prefix('o')?, 8);
                    octal.filter(|code| *code <= 0o377)
                });
                return match code.and_then(char::from_u32) {
                    Some(character) => Ok(character.to_string()),
                    None => Err(self.problem("expected a character that Clojure knows after `\\`")),
                };
            }
        };
        Ok(named.to_owned())
    }
}

/// A key as a string. In a namespaced map a keyword without a namespace gets the map's, and one with `_` has none.
fn key_text(key: Form, namespace: Option<&str>) -> Result<String, Problem> {
    let line = key.value.line;
    match key.value.kind {
        Kind::Text(name) => Ok(match namespace {
            Some(_) if key.is_name && name.starts_with("_/") => name[2..].to_owned(),
            Some(namespace) if key.is_name && (!name.contains('/') || name == "/") => {
                format!("{namespace}/{name}")
            }
            _ => name,
        }),
        Kind::Number(number) => Ok(number),
        Kind::Bool(truth) => Ok(truth.to_string()),
        other => {
            let what = format!(
                "expected a key that is a keyword or a string, got {}",
                other.name()
            );
            Err(Problem::new(line, what))
        }
    }
}

fn tagged(tag: &str, value: Value, line: u32) -> Result<Kind, Problem> {
    match tag {
        "inst" | "uuid" => match value.kind {
            text @ Kind::Text(_) => Ok(text),
            other => {
                let what = format!("the tag `#{tag}`: expected a string, got {}", other.name());
                Err(Problem::new(line, what))
            }
        },
        "immuconf/override" => marker::marked("required", value),
        "immuconf/default" => marker::marked("default", value),
        _ => match tag.strip_prefix("crunchbox/") {
            Some(name) => marker::marked(name, value),
            None => {
                let what = format!(
                    "the tag `#{tag}` has no meaning in JSON; known are `#immuconf/override`, `#immuconf/default`, \
                     `#crunchbox/required`, `#crunchbox/default`, `#crunchbox/secret`, `#inst` and `#uuid`"
                );
                Err(Problem::new(line, what))
            }
        },
    }
}

/// What is written without quotes or brackets.
fn atom(token: &str, line: u32) -> Result<Kind, Problem> {
    let problem = |what: &str| Err(Problem::new(line, what));
    match token {
        "nil" => return Ok(Kind::Null),
        "true" => return Ok(Kind::Bool(true)),
        "false" => return Ok(Kind::Bool(false)),
        "" => return problem("expected a value, got a character that begins none"),
        _ => {}
    }
    let unsigned = token.strip_prefix(['-', '+']).unwrap_or(token);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(Kind::Text(token.to_owned()));
    }
    if unsigned.contains('/') {
        return problem("a ratio has no meaning in JSON; write a decimal number");
    }
    match number(token, unsigned) {
        Some(number) => Ok(Kind::Number(number)),
        None => problem(
            "expected a number as Clojure writes it, of at most 128 bits unless it is decimal",
        ),
    }
}

/// A number as Clojure's reader takes it, in JSON's spelling.
fn number(token: &str, unsigned: &str) -> Option<String> {
    let sign = &token[..token.len() - unsigned.len()];
    let has_radix = unsigned.starts_with("0x") || unsigned.contains(['X', 'r', 'R']);
    let is_float = unsigned.contains('.') || unsigned.contains(['e', 'E', 'M']);
    if is_float && !has_radix {
        return decimal(token.strip_suffix('M').unwrap_or(token));
    }
    let integer = match unsigned.strip_suffix('N') {
        Some(integer) if !unsigned.contains(['r', 'R']) => integer,
        _ => unsigned,
    };
    if let Some(digits) = integer
        .strip_prefix("0x")
        .or_else(|| integer.strip_prefix("0X"))
    {
        return radix(sign, digits, 16);
    }
    if let Some((base, digits)) = integer.split_once(['r', 'R']) {
        let base: u32 = base.parse().ok().filter(|base| (2..=36).contains(base))?;
        return radix(sign, digits, base);
    }
    if integer.len() > 1 && integer.starts_with('0') {
        return radix(sign, integer, 8);
    }
    decimal(&format!("{sign}{integer}"))
}

#[cfg(test)]
mod tests;
