//! SHA-256 and SHA-512, made by the host with instructions that WebAssembly has not.
//!
//! ```
//! use crunchbox_sdk::digest::{Hasher, sha256};
//! use std::io::Write;
//!
//! let whole = sha256(b"readings of oslo");
//! let mut hasher = Hasher::sha256();
//! write!(hasher, "readings of {}", "oslo")?;
//! assert_eq!(hasher.finish(), whole);
//! # Ok::<(), std::io::Error>(())
//! ```

use crate::imports::{HostHasher, host_digest};
use std::io;

/// What is gathered before the host is called: a call costs little beside hashing so much.
const BUFFER_BYTES: usize = 16 << 10;

/// The most that is passed in one call: the host takes 16 MiB, unless the function's limits say otherwise.
const CALL_BYTES_MAX: usize = 8 << 20;

/// Which digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha256,
    Sha512,
}

/// The SHA-256 of some bytes.
pub fn sha256(bytes: impl AsRef<[u8]>) -> [u8; 32] {
    sized(whole(Algorithm::Sha256, bytes.as_ref()))
}

/// The SHA-512 of some bytes.
pub fn sha512(bytes: impl AsRef<[u8]>) -> [u8; 64] {
    sized(whole(Algorithm::Sha512, bytes.as_ref()))
}

fn whole(algorithm: Algorithm, bytes: &[u8]) -> Vec<u8> {
    if bytes.len() <= CALL_BYTES_MAX {
        return host_digest(algorithm, bytes);
    }
    let hasher = HostHasher::new(algorithm);
    bytes
        .chunks(CALL_BYTES_MAX)
        .for_each(|piece| hasher.update(piece));
    hasher.finish()
}

fn sized<const N: usize>(bytes: Vec<u8>) -> [u8; N] {
    let length = bytes.len();
    bytes
        .try_into()
        .unwrap_or_else(|_| panic!("expected a digest of {N} bytes, the host gave {length}"))
}

/// A digest of `N` bytes that is made piece by piece; what is written to it is hashed.
#[derive(Debug)]
pub struct Hasher<const N: usize> {
    host: HostHasher,
    gathered: Vec<u8>,
}

impl Hasher<32> {
    /// A SHA-256 of nothing yet.
    pub fn sha256() -> Self {
        Self::new(Algorithm::Sha256)
    }
}

impl Hasher<64> {
    /// A SHA-512 of nothing yet.
    pub fn sha512() -> Self {
        Self::new(Algorithm::Sha512)
    }
}

impl<const N: usize> Hasher<N> {
    fn new(algorithm: Algorithm) -> Self {
        Self {
            host: HostHasher::new(algorithm),
            gathered: Vec::new(),
        }
    }

    /// Adds bytes at the end.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        if self.gathered.len() + bytes.len() < BUFFER_BYTES {
            self.gathered.extend_from_slice(bytes);
            return;
        }
        self.pass();
        let pieces = bytes.chunks(CALL_BYTES_MAX);
        pieces.for_each(|piece| self.host.update(piece));
    }

    /// The digest of all bytes.
    pub fn finish(mut self) -> [u8; N] {
        self.pass();
        sized(self.host.finish())
    }

    fn pass(&mut self) {
        if !self.gathered.is_empty() {
            self.host.update(&self.gathered);
            self.gathered.clear();
        }
    }
}

impl<const N: usize> io::Write for Hasher<N> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_make_the_digest_of_the_whole() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        for size in [1, 1_000, BUFFER_BYTES, 50_000] {
            let (mut short, mut long) = (Hasher::sha256(), Hasher::sha512());
            for piece in bytes.chunks(size) {
                short.update(piece);
                long.update(piece);
            }
            assert_eq!(short.finish(), sha256(&bytes), "{size}");
            assert_eq!(long.finish(), sha512(&bytes), "{size}");
        }
    }

    #[test]
    fn nothing_has_the_digest_that_the_standard_gives_it() {
        let start = [0xe3, 0xb0, 0xc4, 0x42];
        assert_eq!(sha256("")[..4], start);
        assert_eq!(Hasher::sha256().finish()[..4], start);
    }
}
