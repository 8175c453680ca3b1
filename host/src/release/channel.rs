//! A channel: which release and which configuration a name stands for, and how it came to that. The one object that
//! changes; every change is a move with the next sequence number.

use super::{FORMAT, FormatError, parse};
use crate::address::{ChannelName, FunctionName};
use crate::component::Digest;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The moves that a channel remembers, the newest among them.
const MOVES_KEPT: usize = 50;

/// The longest message and the longest name of an author, in characters; longer ones are cut.
const WORDS_MAX: usize = 200;

/// What a channel stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serves {
    /// The release.
    pub release: Digest,
    /// Its component; said here too, so that release and artifact can be asked for at once.
    pub component: Digest,
    /// The store's layer of configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Digest>,
}

/// One change of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// Its number.
    pub sequence: u64,
    /// What the channel stood for after it; nothing where it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serves: Option<Serves>,
    /// The earlier state that it brought back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restores: Option<u64>,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Who changes a channel, when and why.
#[derive(Debug, Clone)]
pub struct Author {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub message: String,
}

/// A channel's payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    #[serde(rename = "type")]
    kind: String,
    format: u32,
    /// The function.
    pub function: FunctionName,
    /// The channel's own name.
    pub channel: ChannelName,
    /// The number of its last move. Hosts never go back to a smaller one.
    pub sequence: u64,
    /// When hosts that start stop believing this state.
    #[serde(rename = "notAfter", default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// What it stands for; nothing where it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serves: Option<Serves>,
    /// The last moves, the newest first.
    pub moves: Vec<Move>,
}

impl Channel {
    const TYPE: &str = "crunchbox-channel";

    /// A channel that nobody has moved yet; `after` is the number before its first move.
    pub fn new(function: FunctionName, channel: ChannelName, after: u64) -> Self {
        Self {
            kind: Self::TYPE.to_owned(),
            format: FORMAT,
            function,
            channel,
            sequence: after,
            not_after: None,
            serves: None,
            moves: Vec::new(),
        }
    }

    /// Reads a channel, and checks that its parts agree.
    ///
    /// # Errors
    /// [`FormatError`].
    pub fn parse(text: &[u8]) -> Result<Self, FormatError> {
        let channel: Self = parse(Self::TYPE, text)?;
        let agrees = channel
            .moves
            .first()
            .is_some_and(|last| last.sequence == channel.sequence && last.serves == channel.serves);
        if agrees {
            Ok(channel)
        } else {
            Err(FormatError::Malformed {
                expected: Self::TYPE,
                problem: "its last move is not its state".to_owned(),
            })
        }
    }

    /// Its text, which is what gets signed.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("texts, digests and numbers have a text")
    }

    /// How long after its last move hosts that start stop believing it.
    pub fn lifetime(&self) -> Option<SignedDuration> {
        let last = self.moves.first()?;
        Some(self.not_after?.duration_since(last.at))
    }

    /// What it stood for at a number, if it remembers.
    pub fn state(&self, sequence: u64) -> Option<&Move> {
        self.moves.iter().find(|state| state.sequence == sequence)
    }

    /// The same channel after one more move.
    #[must_use]
    pub fn moved(&self, serves: Option<Serves>, restores: Option<u64>, author: &Author) -> Self {
        let mut next = self.clone();
        next.sequence = self.sequence.saturating_add(1);
        next.serves = serves.clone();
        next.moves.insert(
            0,
            Move {
                sequence: next.sequence,
                serves,
                restores,
                at: author.at,
                by: cut(&author.by),
                message: cut(&author.message),
            },
        );
        next.moves.truncate(MOVES_KEPT);
        next
    }

    /// The state to go back to: the one before the present one came about. Going back twice goes back two states, it
    /// never toggles; states in which the channel was deleted are passed over.
    pub fn before(&self) -> Option<&Move> {
        let mut at = self.origin(self.sequence)?;
        loop {
            // Numbers may have been left out, so the one before is not always the number before.
            let earlier = self.moves.iter().filter(|state| state.sequence < at);
            let before = earlier.max_by_key(|state| state.sequence)?;
            at = self.origin(before.sequence)?;
            // A state that only renewed signatures, or in which the channel was deleted, is none to go back to.
            if before.serves.is_some() && before.serves != self.serves {
                return Some(before);
            }
        }
    }

    /// The state in which what a state brought back was new.
    fn origin(&self, sequence: u64) -> Option<u64> {
        let mut at = self.state(sequence)?;
        while let Some(restored) = at.restores {
            // A move can only restore an earlier one; anything else would be a circle.
            if restored >= at.sequence {
                return None;
            }
            match self.state(restored) {
                Some(earlier) => at = earlier,
                None => return Some(restored),
            }
        }
        Some(at.sequence)
    }
}

fn cut(words: &str) -> String {
    words.chars().take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author() -> Author {
        Author {
            by: "ada".into(),
            at: Timestamp::UNIX_EPOCH,
            message: "m".repeat(300),
        }
    }

    fn serves(name: &str) -> Option<Serves> {
        Some(Serves {
            release: Digest::of(name.as_bytes()),
            component: Digest::of(b"wasm"),
            config: None,
        })
    }

    fn channel(releases: &[&str]) -> Channel {
        let fresh = Channel::new("crunch".parse().unwrap(), ChannelName::default(), 0);
        releases.iter().fold(fresh, |channel, name| {
            channel.moved(serves(name), None, &author())
        })
    }

    fn rolled_back(channel: &Channel) -> Channel {
        let state = channel.before().unwrap().clone();
        channel.moved(state.serves, Some(state.sequence), &author())
    }

    #[test]
    fn rolling_back_walks_back_and_never_toggles() {
        let once = rolled_back(&channel(&["a", "b", "c"]));
        assert_eq!((once.sequence, &once.serves), (4, &serves("b")));
        let twice = rolled_back(&once);
        assert_eq!((twice.sequence, &twice.serves), (5, &serves("a")));
        assert!(
            twice.before().is_none(),
            "there is nothing before the first"
        );
        let on = twice.moved(serves("d"), None, &author());
        assert_eq!(rolled_back(&on).serves, serves("a"));
    }

    #[test]
    fn rolling_back_passes_over_numbers_that_were_left_out() {
        let mut gap = channel(&["a"]);
        gap.sequence = 9;
        assert_eq!(
            rolled_back(&gap.moved(serves("b"), None, &author())).serves,
            serves("a")
        );
    }

    #[test]
    fn rolling_back_passes_over_a_state_that_changed_nothing() {
        assert_eq!(rolled_back(&channel(&["a", "b", "b"])).serves, serves("a"));
    }

    #[test]
    fn rolling_back_works_though_the_state_that_was_brought_back_is_forgotten() {
        let mut long = channel(&["x", "a", "b"]);
        long = rolled_back(&long).moved(serves("c"), None, &author());
        long.moves.retain(|state| state.sequence > 2);
        assert_eq!(rolled_back(&long).serves, serves("a"));
    }

    #[test]
    fn rolling_back_passes_over_a_deletion() {
        let deleted = channel(&["a", "b"]).moved(None, None, &author());
        assert_eq!(rolled_back(&deleted).serves, serves("b"));
    }

    #[test]
    fn a_channel_remembers_its_last_moves_only_and_cuts_long_words() {
        let names: Vec<String> = (0..60).map(|n| n.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let long = channel(&names);
        assert_eq!((long.moves.len(), long.sequence), (50, 60));
        assert_eq!(long.moves[0].message.len(), 200);
        assert!(long.state(10).is_none() && long.state(11).is_some());
        assert_eq!(Channel::parse(long.to_text().as_bytes()).unwrap(), long);
    }

    #[test]
    fn a_state_that_is_not_the_last_move_is_refused() {
        let mut forged = channel(&["a", "b"]);
        forged.serves = serves("c");
        assert!(Channel::parse(forged.to_text().as_bytes()).is_err());
        let empty = Channel::new("crunch".parse().unwrap(), ChannelName::default(), 3);
        assert!(Channel::parse(empty.to_text().as_bytes()).is_err());
    }

    #[test]
    fn a_circle_of_restored_states_ends() {
        let mut circle = channel(&["a", "b"]);
        circle.moves[0].restores = Some(2);
        circle.moves[1].restores = Some(2);
        assert!(circle.before().is_none());
    }
}
