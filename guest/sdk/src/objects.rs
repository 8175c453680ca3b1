//! Objects of S3 and files of folders, as far as `objects` in `[grants]` of `crunchbox.toml` goes.
//!
//! An object is named in full: `s3://BUCKET/KEY`, or an absolute path below a granted folder. Readers and writers pass
//! pieces, so an object may be larger than the function's memory. One event may have 16 readers, writers and listings open
//! at a time, of which 4 may be writers; dropping one makes room.
//!
//! ```
//! use crunchbox_sdk::objects;
//! use crunchbox_sdk::testing::Made;
//! use std::io::{BufRead, Write};
//!
//! /// Copies the lines that speak of rain.
//! fn rainy(from: &str, to: &str) -> std::io::Result<()> {
//!     let Some(reader) = objects::read(from)? else {
//!         return Ok(());
//!     };
//!     let mut writer = objects::write(to)?;
//!     for line in reader.lines() {
//!         let line = line?;
//!         if line.contains("rain") {
//!             writeln!(writer, "{line}")?;
//!         }
//!     }
//!     Ok(writer.finish()?)
//! }
//!
//! let made = Made::new().object("s3://acme/in/1", "sun\nrain\n");
//! made.run(|_| rainy("s3://acme/in/1", "s3://acme/out/1")).unwrap();
//! assert_eq!(made.object_at("s3://acme/out/1"), Some(b"rain\n".to_vec()));
//! ```

use crate::imports::{ObjectListing, ObjectReader, ObjectWriter};
use std::fmt;
use std::io::{self, BufRead, Read, Write};
use std::time::SystemTime;

/// How much is asked for at a time by a reader, and gathered by a writer: a call of the host costs little beside it.
const BUFFER_BYTES: usize = 64 << 10;

/// The most that is written in one call: the host takes 16 MiB, unless the function's limits say otherwise.
const CALL_BYTES_MAX: usize = 8 << 20;

/// Why an object could not be read, written or listed: names the object, and what to add to `[grants]`, or the words of S3.
///
/// It becomes a [`std::io::Error`] by `?`, for functions that read and write as the standard library does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectError {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) retryable: bool,
}

impl ObjectError {
    /// The host's stable code: `Crunchbox.ObjectDenied` for what is not granted, or `Crunchbox.ObjectUnavailable`.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ObjectError {}

impl From<ObjectError> for io::Error {
    fn from(error: ObjectError) -> Self {
        Self::other(error)
    }
}

/// Opens an object for reading; none where there is none.
///
/// # Errors
/// [`ObjectError`] when nothing grants it, or S3 or the disk fails.
pub fn read(at: &str) -> Result<Option<Reader>, ObjectError> {
    let reader = ObjectReader::open(at)?;
    Ok(reader.map(|host| Reader {
        host,
        held: Vec::new(),
        used: 0,
    }))
}

/// Reads an object whole; none where there is none.
///
/// # Errors
/// As [`read`].
///
/// ```
/// use crunchbox_sdk::{objects, testing::Made};
/// let made = Made::new().object("s3://acme/a.json", r#"{"n": 1}"#);
/// let bytes = made.run(|_| objects::read_all("s3://acme/a.json")).unwrap();
/// assert_eq!(bytes.as_deref(), Some(&br#"{"n": 1}"#[..]));
/// ```
pub fn read_all(at: &str) -> Result<Option<Vec<u8>>, ObjectError> {
    read(at)?.map(Reader::into_bytes).transpose()
}

/// Begins an object, in place of the one of that name if there is one. Nobody sees it before [`Writer::finish`].
///
/// # Errors
/// As [`read`].
pub fn write(at: &str) -> Result<Writer, ObjectError> {
    Ok(Writer {
        host: ObjectWriter::create(at)?,
        held: Vec::new(),
    })
}

/// Writes an object whole.
///
/// # Errors
/// As [`read`].
///
/// ```
/// use crunchbox_sdk::{objects, testing::Made};
/// let made = Made::new();
/// made.run(|_| objects::write_all("/data/out/a", b"done")).unwrap();
/// assert_eq!(made.object_at("/data/out/a"), Some(b"done".to_vec()));
/// ```
pub fn write_all(at: &str, bytes: &[u8]) -> Result<(), ObjectError> {
    let mut writer = write(at)?;
    writer.add(bytes)?;
    writer.finish()
}

/// Lists the objects whose names begin with a prefix, in the order of their names. A failure is the last item.
///
/// ```
/// use crunchbox_sdk::{objects, testing::Made};
/// let made = Made::new().object("s3://acme/in/1", "a").object("s3://acme/in/2", "bc");
/// let entries: Vec<_> = made.run(|_| objects::list("s3://acme/in/").collect());
/// assert_eq!(entries[1].as_ref().unwrap().at, "s3://acme/in/2");
/// ```
pub fn list(prefix: &str) -> Listing {
    Listing(match ObjectListing::open(prefix) {
        Ok(host) => State::Open {
            host,
            page: Vec::new().into_iter(),
        },
        Err(error) => State::Failed(error),
    })
}

/// An object that is being read.
#[derive(Debug)]
pub struct Reader {
    host: ObjectReader,
    held: Vec<u8>,
    /// How much of what is held has been read.
    used: usize,
}

impl Reader {
    /// The object's size in bytes when it was opened.
    pub fn size(&self) -> u64 {
        self.host.size()
    }

    /// The rest of the object.
    ///
    /// # Errors
    /// [`ObjectError`] when S3 or the disk fails.
    pub fn into_bytes(mut self) -> Result<Vec<u8>, ObjectError> {
        let mut bytes = self.held.split_off(self.used);
        loop {
            let piece = self.host.read(u32::MAX)?;
            if piece.is_empty() {
                return Ok(bytes);
            }
            bytes.extend_from_slice(&piece);
        }
    }

    fn fill(&mut self, most: usize) -> Result<(), ObjectError> {
        if self.used == self.held.len() {
            self.held = self.host.read(u32::try_from(most).unwrap_or(u32::MAX))?;
            self.used = 0;
        }
        Ok(())
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill(buffer.len().max(BUFFER_BYTES))?;
        let count = (&self.held[self.used..]).read(buffer)?;
        self.used += count;
        Ok(count)
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.fill(BUFFER_BYTES)?;
        Ok(&self.held[self.used..])
    }

    fn consume(&mut self, count: usize) {
        self.used = (self.used + count).min(self.held.len());
    }
}

/// An object that is being written. Dropped before it is finished, it has written nothing.
#[derive(Debug)]
#[must_use = "nothing is written before `finish`"]
pub struct Writer {
    host: ObjectWriter,
    held: Vec<u8>,
}

impl Writer {
    /// Lets everybody see the object.
    ///
    /// # Errors
    /// [`ObjectError`] when S3 or the disk fails; then nothing is written, but for an answer of S3 that was lost.
    pub fn finish(mut self) -> Result<(), ObjectError> {
        self.send()?;
        self.host.finish()
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), ObjectError> {
        if self.held.len() + bytes.len() > BUFFER_BYTES {
            self.send()?;
        }
        if bytes.len() < BUFFER_BYTES {
            self.held.extend_from_slice(bytes);
            return Ok(());
        }
        let mut pieces = bytes.chunks(CALL_BYTES_MAX);
        pieces.try_for_each(|piece| self.host.write(piece))
    }

    fn send(&mut self) -> Result<(), ObjectError> {
        if self.held.is_empty() {
            return Ok(());
        }
        self.host.write(&self.held)?;
        self.held.clear();
        Ok(())
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes)?;
        Ok(bytes.len())
    }

    /// Hands over what is gathered; it is not seen before [`Writer::finish`] all the same.
    fn flush(&mut self) -> io::Result<()> {
        Ok(self.send()?)
    }
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in full.
    pub at: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written; S3 knows whole seconds.
    pub modified: SystemTime,
}

/// The objects that [`list`] found.
#[derive(Debug)]
pub struct Listing(State);

#[derive(Debug)]
enum State {
    Open {
        host: ObjectListing,
        page: std::vec::IntoIter<Entry>,
    },
    Failed(ObjectError),
    Over,
}

impl Iterator for Listing {
    type Item = Result<Entry, ObjectError>;

    fn next(&mut self) -> Option<Self::Item> {
        match std::mem::replace(&mut self.0, State::Over) {
            State::Open { host, mut page } => {
                let entry = match page.next() {
                    Some(entry) => entry,
                    None => match host.next() {
                        Ok(entries) => {
                            page = entries.into_iter();
                            page.next()?
                        }
                        Err(error) => return Some(Err(error)),
                    },
                };
                self.0 = State::Open { host, page };
                Some(Ok(entry))
            }
            State::Failed(error) => Some(Err(error)),
            State::Over => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn an_object_is_read_in_pieces_of_any_size() {
        let text = "line\n".repeat(BUFFER_BYTES);
        let made = Made::new().object("s3://acme/a", text.clone());
        made.run(|_| {
            let mut reader = read("s3://acme/a").unwrap().unwrap();
            assert_eq!(reader.size(), u64::try_from(text.len()).unwrap());
            let mut start = [0; 7];
            reader.read_exact(&mut start).unwrap();
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            assert_eq!((&start[..], line.as_str()), (&b"line\nli"[..], "ne\n"));
            assert_eq!(reader.into_bytes().unwrap(), text.as_bytes()[10..]);
            assert_eq!(read_all("s3://acme/a").unwrap(), Some(text.into_bytes()));
            assert!(read("s3://acme/b").unwrap().is_none());
        });
    }

    #[test]
    fn an_object_is_there_when_it_is_finished() {
        let made = Made::new();
        let large = vec![7; CALL_BYTES_MAX + 1];
        made.run(|_| {
            let mut writer = write("/out/a").unwrap();
            writer.write_all(b"small").unwrap();
            writer.write_all(&large).unwrap();
            writer.write_all(b"end").unwrap();
            writer.flush().unwrap();
            assert_eq!(made.object_at("/out/a"), None);
            drop(write("/out/b").unwrap());
            writer.finish().unwrap();
        });
        let expected = [&b"small"[..], &large[..], &b"end"[..]].concat();
        assert_eq!(made.object_at("/out/a"), Some(expected));
        assert_eq!(made.object_at("/out/b"), None);
    }

    #[test]
    fn a_listing_has_what_begins_with_the_prefix() {
        let made = Made::new()
            .object("/in/2", "")
            .object("/in/1", "a")
            .object("/on", "");
        let found = made.run(|_| list("/in/").collect::<Result<Vec<_>, _>>());
        let found = found.unwrap();
        let names: Vec<&str> = found.iter().map(|entry| entry.at.as_str()).collect();
        assert_eq!(names, ["/in/1", "/in/2"]);
        assert_eq!(found[0].size, 1);
    }
}
