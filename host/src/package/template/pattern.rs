//! Names in policies of IAM, with what is known only where they are deployed, and with stars. Pure text.
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>.

/// A name in a policy, or several by a star.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// As it is.
    Text(String),
    /// Anything.
    Many,
    /// What Secrets Manager puts at the end of a secret's name: six characters that nobody chooses.
    Suffix,
    /// What is known where it is deployed.
    Known(Known),
}

/// What is known where something is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Partition,
    Region,
    Account,
    /// The channel that the host follows.
    Channel,
    /// The store's bucket, where no file of the project names it.
    Bucket,
    /// The prefix in that bucket.
    Prefix,
    /// The stream of a table of DynamoDB, by its whole name.
    TableStream,
    /// A stream of Kinesis, by its whole name.
    DataStream,
}

/// What a star in a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stars {
    /// Anything.
    Wild,
    /// A star.
    Plain,
}

impl From<&str> for Piece {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Known> for Piece {
    fn from(known: Known) -> Self {
        Self::Known(known)
    }
}

impl Pattern {
    pub(super) fn new(pieces: impl IntoIterator<Item = Piece>) -> Self {
        Self(pieces.into_iter().collect())
    }

    /// Anything.
    pub(super) fn many() -> Self {
        Self(vec![Piece::Many])
    }

    /// Reads a text with `{{…}}` in it. What a configuration will put there is one word that nobody knows yet: anything.
    pub(super) fn read(text: &str, stars: Stars, function: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").unwrap_or((after, ""));
            read_text(&mut pieces, before, stars);
            pieces.push(match name.trim() {
                "channel" => Piece::Known(Known::Channel),
                "function" => function.into(),
                "region" => Piece::Known(Known::Region),
                _ => Piece::Many,
            });
            rest = after;
        }
        read_text(&mut pieces, rest, stars);
        Self(pieces)
    }

    /// This one, and another after it.
    #[must_use]
    pub(super) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// All that begins with it.
    #[must_use]
    pub(super) fn and_many(self) -> Self {
        self.and(Self::many())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it begins with a text, as far as it is known.
    pub(super) fn starts_with(&self, start: &str) -> bool {
        matches!(self.0.first(), Some(Piece::Text(text)) if text.starts_with(start))
    }

    /// Whether it ends in a character, as far as it is known.
    pub(super) fn ends_with(&self, end: char) -> bool {
        matches!(self.0.last(), Some(Piece::Text(text)) if text.ends_with(end))
    }

    /// Whether anything may follow.
    pub(super) fn is_open(&self) -> bool {
        self.0.last() == Some(&Piece::Many)
    }

    /// What is before the first character of a kind, and what is after it.
    pub(super) fn split_once(&self, at: char) -> Option<(Self, Self)> {
        let split = |piece: &Piece| match piece {
            Piece::Text(text) => text
                .split_once(at)
                .map(|(a, b)| (a.to_owned(), b.to_owned())),
            Piece::Many | Piece::Suffix | Piece::Known(_) => None,
        };
        let place = self.0.iter().position(|piece| split(piece).is_some())?;
        let (before, rest) = self.0.split_at(place);
        let (piece, after) = rest.split_first()?;
        let (last, first) = split(piece)?;
        let pieces = |pieces: Vec<Piece>| {
            let said = |piece: &Piece| *piece != Piece::Text(String::new());
            Self(pieces.into_iter().filter(said).collect())
        };
        let before = before.iter().cloned().chain([Piece::Text(last)]);
        let after = [Piece::Text(first)]
            .into_iter()
            .chain(after.iter().cloned());
        Some((pieces(before.collect()), pieces(after.collect())))
    }

    /// The pattern as text: what is known by its name, the rest made safe for what it goes into.
    pub(super) fn render(
        &self,
        known: impl Fn(Known) -> String,
        safe: impl Fn(&str) -> String,
    ) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => safe(&escaped(text)),
            Piece::Many => "*".to_owned(),
            Piece::Suffix => "??????".to_owned(),
            Piece::Known(name) => known(*name),
        });
        pieces.collect()
    }

    /// Whether something in it is known only where it is deployed.
    pub(super) fn has_known(&self) -> bool {
        let mut pieces = self.0.iter();
        pieces.any(|piece| matches!(piece, Piece::Known(_)))
    }
}

fn read_text(pieces: &mut Vec<Piece>, text: &str, stars: Stars) {
    let mut first = true;
    let parts: Vec<&str> = match stars {
        Stars::Wild => text.split('*').collect(),
        Stars::Plain => vec![text],
    };
    for part in parts {
        if !first {
            pieces.push(Piece::Many);
        }
        first = false;
        if !part.is_empty() {
            pieces.push(part.into());
        }
    }
}

/// A text in which IAM sees neither a star nor a variable.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '$' | '*' | '?' => escaped.extend(['$', '{', c, '}']),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pattern: &Pattern) -> String {
        pattern.render(|known| format!("<{known:?}>"), str::to_owned)
    }

    #[test]
    fn places_of_a_text_are_what_is_known_or_anything() {
        let read = |text, stars| shown(&Pattern::read(text, stars, "crunch"));
        for (text, wild, plain) in [
            ("/a/{{ channel }}/*", "/a/<Channel>/*", "/a/<Channel>/${*}"),
            (
                "{{function}}-{{region}}",
                "crunch-<Region>",
                "crunch-<Region>",
            ),
            ("a{{db.name}}", "a*", "a*"),
            (
                "${aws:username}?",
                "${$}{aws:username}${?}",
                "${$}{aws:username}${?}",
            ),
            ("", "", ""),
        ] {
            assert_eq!(
                (read(text, Stars::Wild), read(text, Stars::Plain)),
                (wild.into(), plain.into())
            );
        }
    }

    #[test]
    fn a_pattern_is_split_outside_of_its_places_only() {
        let split = |text| {
            let halves = Pattern::read(text, Stars::Plain, "f").split_once('/');
            halves.map(|(before, after)| (shown(&before), shown(&after)))
        };
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(split("b/k/x"), pair("b", "k/x"));
        assert_eq!(split("b/"), pair("b", ""));
        assert_eq!(split("{{a/b}}-{{channel}}/k"), pair("*-<Channel>", "k"));
        assert_eq!(split("b{{a/b}}"), None);
    }
}
