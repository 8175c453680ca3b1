//! Components with some of their bytes changed, most of them still valid, and bytes that only begin like a component.

use super::Bytes;
use super::damage::{Damage, damage};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::ops::Range;
use std::path::Path;

/// What sections of a component begin with, and the identifiers of those that hold others.
const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE: u8 = 1;
const COMPONENT: u8 = 4;

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Code,
    Data,
    Custom,
    Rest,
}

/// A component, and where in it what lies.
pub struct Sound {
    pub bytes: Vec<u8>,
    sections: Vec<(Part, Range<usize>)>,
}

impl Sound {
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let mut sections = Vec::new();
        find(&bytes, 0..bytes.len(), COMPONENT, &mut sections);
        Self { bytes, sections }
    }

    /// The place of a byte in one of the sections that hold such a part; any place where there is none.
    fn place(&self, part: Part, at: Index) -> usize {
        let ranges = || {
            let same = self.sections.iter().filter(|(one, _)| *one == part);
            same.map(|(_, range)| range.clone())
        };
        let mut left = at.index(ranges().map(|range| range.len()).sum::<usize>().max(1));
        for range in ranges() {
            if left < range.len() {
                return range.start + left;
            }
            left -= range.len();
        }
        at.index(self.bytes.len())
    }
}

/// Finds the sections of a module or a component, and of those in it.
fn find(bytes: &[u8], within: Range<usize>, kind: u8, found: &mut Vec<(Part, Range<usize>)>) {
    let mut at = within.start + HEADER.len();
    while at < within.end {
        let id = bytes[at];
        let (length, start) = number(bytes, at + 1);
        at = start + length;
        match (kind, id) {
            (COMPONENT, MODULE | COMPONENT) => find(bytes, start..at, id, found),
            (MODULE, 10) => found.push((Part::Code, start..at)),
            (MODULE, 11) => found.push((Part::Data, start..at)),
            (_, 0) => found.push((Part::Custom, start..at)),
            _ => found.push((Part::Rest, start..at)),
        }
    }
}

/// A number as WebAssembly writes lengths, and what comes after it.
fn number(bytes: &[u8], mut at: usize) -> (usize, usize) {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = usize::from(bytes[at]);
        number |= (byte & 0x7f) << shift;
        shift += 7;
        at += 1;
        if byte < 0x80 {
            return (number, at);
        }
    }
}

/// Instructions that take and give the same types: one in the place of another leaves most functions valid.
static KIN: [(u8, u8); 7] = [
    (0x2c, 0x2f),
    (0x46, 0x4f),
    (0x51, 0x5a),
    (0x6a, 0x78),
    (0x7c, 0x8a),
    (0x92, 0x98),
    (0xa0, 0xa6),
];

/// What happens to a component.
#[derive(Debug, Clone)]
pub enum Change {
    /// The next instruction that has one becomes its kin.
    Kin {
        at: Index,
        which: Index,
    },
    Bit {
        part: Part,
        at: Index,
        bit: u8,
    },
    Byte {
        part: Part,
        at: Index,
        byte: u8,
    },
    /// Many in a row, which only data survives.
    Data {
        at: Index,
        bytes: Vec<u8>,
    },
    /// What most often leaves no component at all.
    Any(Damage),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let part = || prop_oneof![6 => Just(Part::Code), 3 => Just(Part::Data), 1 => Just(Part::Custom), 1 => Just(Part::Rest)];
    prop_oneof![
        4 => (at(), at()).prop_map(|(at, which)| Change::Kin { at, which }),
        3 => (part(), at(), 0..8_u8).prop_map(|(part, at, bit)| Change::Bit { part, at, bit }),
        3 => (part(), at(), any::<u8>()).prop_map(|(part, at, byte)| Change::Byte { part, at, byte }),
        1 => (at(), vec(any::<u8>(), 1..60)).prop_map(|(at, bytes)| Change::Data { at, bytes }),
        1 => damage().prop_map(Change::Any),
    ]
}

impl Change {
    /// Places are those of the sound component: what keeps its length goes before what does not.
    fn done_to(&self, bytes: &mut Vec<u8>, sound: &Sound, seeds: &[Vec<u8>]) {
        let mut set = |at: usize, byte: u8| {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        };
        match self {
            Self::Kin { at, which } => {
                let start = sound.place(Part::Code, *at);
                let mut rest = sound.bytes[start..].iter().enumerate();
                let kin = |byte: u8| {
                    KIN.iter()
                        .find(|(first, last)| (*first..=*last).contains(&byte))
                };
                let next = rest.find_map(|(at, byte)| Some((at, kin(*byte)?)));
                if let Some((at, (first, last))) = next {
                    let kin: Vec<u8> = (*first..=*last).collect();
                    set(start + at, *which.get(&kin));
                }
            }
            Self::Bit { part, at, bit } => {
                let at = sound.place(*part, *at);
                set(at, sound.bytes[at] ^ (1_u8 << bit));
            }
            Self::Byte { part, at, byte } => set(sound.place(*part, *at), *byte),
            Self::Data { at, bytes: new } => {
                let start = sound.place(Part::Data, *at);
                let places = start..sound.bytes.len();
                places.zip(new).for_each(|(at, byte)| set(at, *byte));
            }
            Self::Any(damage) => damage.done_to(bytes, seeds),
        }
    }
}

/// A way to a component that nobody made.
#[derive(Debug, Clone)]
pub enum Case {
    Damaged {
        sound: Index,
        changes: Vec<Change>,
    },
    /// Sections of any kind, of the right length at least.
    Sections(Vec<(u8, Bytes)>),
    Beginning(Bytes),
}

pub fn case() -> impl Strategy<Value = Case> {
    let changes = (any::<Index>(), vec(change(), 1..3));
    let bytes = || vec(any::<u8>(), 0..120).prop_map(Bytes);
    prop_oneof![
        12 => changes.prop_map(|(sound, changes)| Case::Damaged { sound, changes }),
        1 => vec((0..14_u8, bytes()), 0..6).prop_map(Case::Sections),
        1 => bytes().prop_map(Case::Beginning),
    ]
}

impl Case {
    pub fn bytes(&self, sound: &[Sound]) -> Vec<u8> {
        match self {
            Self::Damaged {
                sound: one,
                changes,
            } => {
                let one = one.get(sound);
                let seeds: Vec<Vec<u8>> = sound.iter().map(|sound| sound.bytes.clone()).collect();
                let mut bytes = one.bytes.clone();
                let (last, first): (Vec<&Change>, Vec<&Change>) = changes
                    .iter()
                    .partition(|change| matches!(change, Change::Any(_)));
                for change in first.into_iter().chain(last) {
                    change.done_to(&mut bytes, one, &seeds);
                }
                bytes
            }
            Self::Sections(sections) => {
                let sections = sections.iter().flat_map(|(id, Bytes(body))| {
                    let length = u8::try_from(body.len()).unwrap();
                    [&[*id, length][..], body.as_slice()].concat()
                });
                HEADER.iter().copied().chain(sections).collect()
            }
            Self::Beginning(Bytes(rest)) => [HEADER, rest.as_slice()].concat(),
        }
    }
}
