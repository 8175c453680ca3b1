//! Texts with `{{channel}}` and its like in them. What fills a template is one plain word: it can't add a level to a path,
//! climb out of one, or stand for several.

use std::collections::BTreeMap;

/// What templates may ask for: `channel`, `function`, `region`, and paths of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<String, String>);

impl Facts {
    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds facts that are not known yet.
    #[must_use]
    pub fn or(mut self, others: impl IntoIterator<Item = (String, String)>) -> Self {
        for (name, value) in others {
            self.0.entry(name).or_insert(value);
        }
        self
    }

    /// Whether there is a fact of that name.
    pub fn knows(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// What is said of a name, whether it is a plain word or not.
    pub fn said(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn get(&self, name: &str) -> Result<&str, String> {
        let value = self.0.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            format!(
                "`{{{{{name}}}}}` is not known here, expected one of {}",
                known.join(", ")
            )
        })?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if value.is_empty() || value.starts_with('.') || !value.chars().all(plain) {
            return Err(format!(
                "`{{{{{name}}}}}`: expected one plain word to put there (letters, digits, `-`, `_`, `.`)"
            ));
        }
        Ok(value)
    }
}

/// A text with places to fill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Fact(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or("expected `}}` after `{{`")?;
            if name.trim().is_empty() {
                return Err("expected a name between `{{` and `}}`".to_owned());
            }
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Fact(name.trim().to_owned()));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    /// The text with a digit in every place: what can be checked before anything is known.
    pub fn plain(&self) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Fact(_) => "1",
        });
        pieces.collect()
    }

    /// The names that it asks for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Fact(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The text with everything filled in.
    ///
    /// # Errors
    /// The name that is not known, or whose value is no plain word.
    pub fn fill(&self, facts: &Facts) -> Result<String, String> {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => Ok(text.as_str()),
            Piece::Fact(name) => facts.get(name),
        });
        pieces.collect()
    }

    /// Whether a text is this one filled, where each `*` written in the template stands for anything.
    ///
    /// # Errors
    /// As [`Template::fill`].
    pub fn matches(&self, text: &str, facts: &Facts) -> Result<bool, String> {
        // Literal parts in order; between two of them is a star.
        let mut parts = vec![String::new()];
        for piece in &self.0 {
            match piece {
                Piece::Fact(name) => last(&mut parts).push_str(facts.get(name)?),
                Piece::Text(text) => {
                    let mut split = text.split('*');
                    last(&mut parts).push_str(split.next().unwrap_or_default());
                    parts.extend(split.map(str::to_owned));
                }
            }
        }
        Ok(fits(&parts, text))
    }
}

fn last(parts: &mut [String]) -> &mut String {
    parts
        .last_mut()
        .expect("there is a first part, and none is taken away")
}

/// A text where each `*` stands for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    text: String,
    parts: Vec<String>,
}

impl Glob {
    /// Takes a text as it is.
    pub fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            parts: text.split('*').map(str::to_owned).collect(),
        }
    }

    /// Whether a text is meant.
    pub fn matches(&self, text: &str) -> bool {
        fits(&self.parts, text)
    }

    /// Whether all that another means, this one means too. Some that it does mean are not seen.
    pub fn contains(&self, other: &Self) -> bool {
        // What a star stands for is more than a star, and only a star of this one takes it.
        self.matches(&other.text)
    }
}

/// Whether the parts come one after the other, the first at the beginning, the last at the end.
fn fits(parts: &[String], text: &str) -> bool {
    let [first, between @ .., last] = parts else {
        return parts.first().is_some_and(|only| only == text);
    };
    let Some(rest) = text.strip_prefix(first.as_str()) else {
        return false;
    };
    let Some(mut rest) = rest.strip_suffix(last.as_str()) else {
        return false;
    };
    for part in between {
        let Some(at) = rest.find(part.as_str()) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts::default()
            .with("channel", "live")
            .with("star", "*")
            .with("up", "../x")
            .with("dots", "..")
    }

    #[test]
    fn a_template_is_filled_with_plain_words_only() {
        let fill = |text: &str| Template::parse(text).unwrap().fill(&facts());
        assert_eq!(fill("/crunch/{{channel}}/db").unwrap(), "/crunch/live/db");
        assert_eq!(fill("{{ channel }}{{channel}}").unwrap(), "livelive");
        for text in ["{{star}}", "a/{{up}}", "{{dots}}", "{{nobody}}"] {
            assert!(fill(text).is_err(), "{text}");
        }
        assert!(Template::parse("{{channel").is_err() && Template::parse("{{}}").is_err());
    }

    #[test]
    fn a_star_in_the_pattern_stands_for_anything_and_one_from_a_fact_for_nothing() {
        let matches =
            |pattern: &str, text: &str| Template::parse(pattern).unwrap().matches(text, &facts());
        for (pattern, text, expected) in [
            ("/crunch/{{channel}}/*", "/crunch/live/db", true),
            ("/crunch/{{channel}}/*", "/crunch/staging/db", false),
            ("/crunch/{{channel}}/*", "/crunch/live", false),
            ("a*b*c", "abbc", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("*", "", true),
            ("x", "x", true),
            ("x", "xy", false),
        ] {
            assert_eq!(matches(pattern, text), Ok(expected), "{pattern} {text}");
        }
        assert!(matches("{{star}}", "anything").is_err());
    }
}
