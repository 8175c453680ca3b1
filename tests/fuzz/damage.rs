//! Damage to bytes that were sound: on the way, on a disk, by somebody's hand; and bytes that were never sound.

use super::{Bytes, holds, on_a_small_stack};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::ops::Range;

/// How many texts a rule is tried with.
pub const CASES: u32 = 1_000;

/// Numbers at the edges of what readers take.
static NUMBERS: [&str; 9] = [
    "0",
    "-1",
    "1.5",
    "00",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e999999",
    "999999999999999999999999999999999999999999",
];

/// What nests in most formats.
static BRACKETS: [(&str, &str); 2] = [("[", "]"), ("{\"a\":", "}")];

/// A level more, more than most readers follow, and more than any stack that counts levels.
static DEPTHS: [usize; 3] = [1, 130, 3_000];

/// The longest text of bytes that were never sound, and of pieces put together.
const MADE_UP: usize = 400;
const PIECES: usize = 20;

/// One thing that happens to bytes.
#[derive(Debug, Clone, Copy)]
pub enum Damage {
    Flip {
        at: Index,
        bit: u8,
    },
    Remove {
        at: Index,
        length: usize,
    },
    Double {
        at: Index,
        length: usize,
    },
    /// A piece of another text that was sound is put in.
    Splice {
        from: Piece,
        at: Index,
    },
    /// The next digits become another number.
    Number {
        at: Index,
        number: &'static str,
    },
    /// The next digits are put into brackets.
    Nest {
        at: Index,
        brackets: (&'static str, &'static str),
        depth: usize,
    },
}

/// A piece of one of several texts.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    seed: Index,
    at: Index,
    length: usize,
}

fn piece() -> impl Strategy<Value = Piece> {
    (any::<Index>(), any::<Index>(), 1..80_usize).prop_map(|(seed, at, length)| Piece {
        seed,
        at,
        length,
    })
}

impl Piece {
    fn of<S: AsRef<[u8]>>(self, seeds: &[S]) -> &[u8] {
        let seed = self.seed.get(seeds).as_ref();
        &seed[slice(seed, self.at, self.length)]
    }
}

pub fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip { at, bit }),
        2 => (at(), 1..20_usize).prop_map(|(at, length)| Damage::Remove { at, length }),
        2 => (at(), 1..80_usize).prop_map(|(at, length)| Damage::Double { at, length }),
        3 => (piece(), at()).prop_map(|(from, at)| Damage::Splice { from, at }),
        3 => (at(), select(&NUMBERS[..])).prop_map(|(at, number)| Damage::Number { at, number }),
        1 => (at(), select(&BRACKETS[..]), select(&DEPTHS[..]))
            .prop_map(|(at, brackets, depth)| Damage::Nest { at, brackets, depth }),
    ]
}

impl Damage {
    /// Does it to `bytes`; `seeds` are what pieces are taken from.
    pub fn done_to<S: AsRef<[u8]>>(&self, bytes: &mut Vec<u8>, seeds: &[S]) {
        match *self {
            Self::Flip { at, bit } => {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] ^= 1 << bit;
                }
            }
            Self::Remove { at, length } => {
                bytes.drain(slice(bytes, at, length));
            }
            Self::Double { at, length } => {
                let slice = slice(bytes, at, length);
                let again = bytes[slice.clone()].to_vec();
                bytes.splice(slice.start..slice.start, again);
            }
            Self::Splice { from, at } => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, from.of(seeds).to_vec());
            }
            Self::Number { at, number } => {
                let digits = digits(bytes, at);
                bytes.splice(digits, number.bytes());
            }
            Self::Nest {
                at,
                brackets: (open, close),
                depth,
            } => {
                let digits = digits(bytes, at);
                let inner = bytes[digits.clone()].to_vec();
                let nested = [
                    open.repeat(depth).into_bytes(),
                    inner,
                    close.repeat(depth).into_bytes(),
                ];
                bytes.splice(digits, nested.concat());
            }
        }
    }
}

fn slice(bytes: &[u8], at: Index, length: usize) -> Range<usize> {
    let start = at.index(bytes.len() + 1);
    start..bytes.len().min(start + length)
}

/// The first digits from a place on; empty at the end where there are none.
fn digits(bytes: &[u8], at: Index) -> Range<usize> {
    let from = at.index(bytes.len() + 1);
    let start = bytes[from..].iter().position(u8::is_ascii_digit);
    let start = start.map_or(bytes.len(), |digit| from + digit);
    let end = bytes[start..]
        .iter()
        .position(|byte| !byte.is_ascii_digit());
    start..end.map_or(bytes.len(), |end| start + end)
}

/// One of some sound texts, damaged.
pub fn damaged<S: AsRef<[u8]> + 'static>(seeds: Vec<S>) -> impl Strategy<Value = Bytes> {
    (any::<Index>(), vec(damage(), 1..5)).prop_map(move |(seed, damages)| {
        let mut bytes = seed.get(&seeds).as_ref().to_vec();
        for damage in &damages {
            damage.done_to(&mut bytes, &seeds);
        }
        Bytes(bytes)
    })
}

/// Any bytes at all.
pub fn made_up() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..MADE_UP).prop_map(Bytes)
}

/// Damaged texts, pieces of some of them put together, and bytes that were never sound.
pub fn hostile<S: AsRef<[u8]> + Clone + 'static>(seeds: Vec<S>) -> impl Strategy<Value = Bytes> {
    let sound = seeds.clone();
    let pieces = vec(piece(), 0..PIECES).prop_map(move |pieces| {
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.of(&sound)).collect();
        Bytes(pieces.concat())
    });
    prop_oneof![8 => damaged(seeds), 1 => pieces, 1 => made_up()]
}

/// Tries a rule with what becomes of sound texts, where a stack that is too deep shows.
pub fn whatever_becomes_of<S>(seeds: Vec<S>, rule: impl Fn(&[u8]) + Send)
where
    S: AsRef<[u8]> + Clone + Send + 'static,
{
    on_a_small_stack(move || holds(CASES, &hostile(seeds), |bytes| rule(&bytes.0)));
}
