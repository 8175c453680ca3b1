//! Zips as Lambda takes them: written so that the same files make the same bytes on any day and any machine, unpacked
//! within the limits that Lambda itself sets. Knows nothing of what the files are.

use super::{PackageError, UNZIPPED_BYTES_MAX};
use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::{Cursor, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipArchive, ZipWriter};

/// Deflate's best.
const LEVEL: i64 = 9;

/// The most files that are unpacked; packages have a few dozen.
const ENTRIES_MAX: usize = 10_000;

/// The longest path and the deepest folder that are unpacked.
const NAME_BYTES_MAX: usize = 1_024;
const NAME_PARTS_MAX: usize = 32;

/// The part of a Unix mode that says what kind of file it is, and the kinds that are unpacked.
const KIND: u32 = 0o170_000;
const KIND_UNSAID: u32 = 0;
const KIND_FOLDER: u32 = 0o040_000;
const KIND_FILE: u32 = 0o100_000;

/// What everybody may read, and everybody may start.
const PROGRAM: u32 = 0o755;
const FILE: u32 = 0o644;

/// A file on its way into a zip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    bytes: Vec<u8>,
    permissions: u32,
}

impl Entry {
    /// A file that is started.
    pub fn program(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            permissions: PROGRAM,
        }
    }

    /// A file that is read.
    pub fn file(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            permissions: FILE,
        }
    }

    /// What it holds.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Writes a zip of files by their paths: in order, all of them as old as zips can be.
///
/// # Errors
/// [`PackageError::Archive`] for names that no zip can hold.
pub fn write(entries: &BTreeMap<String, Entry>) -> Result<Vec<u8>, PackageError> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, entry) in entries {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(LEVEL))
            .last_modified_time(DateTime::default())
            .system(System::Unix)
            .unix_permissions(entry.permissions);
        writer
            .start_file(name.as_str(), options)
            .map_err(unusable)?;
        writer
            .write_all(&entry.bytes)
            .map_err(|error| unusable(error.into()))?;
    }
    Ok(writer.finish().map_err(unusable)?.into_inner())
}

/// Unpacks a zip of any origin into an empty folder that nobody else writes to, with the permissions that it says.
/// Holds one file at a time in memory.
///
/// # Errors
/// [`PackageError::Archive`] when it is damaged, unpacks to more than Lambda takes, or holds what is neither a file nor
/// a folder, twice the same, or a path that leads elsewhere; what came before in it has been unpacked then.
/// [`PackageError::Unwritable`].
pub fn unpack(bytes: &[u8], folder: &Path) -> Result<(), PackageError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(unusable)?;
    if archive.len() > ENTRIES_MAX || archive.has_duplicate_names() {
        let problem = format!("expected at most {ENTRIES_MAX} files, each of them once");
        return Err(PackageError::Archive(problem));
    }
    let mut left = UNZIPPED_BYTES_MAX.0;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(unusable)?;
        let name = entry.name().map_err(unusable)?.into_owned();
        let mode = entry.unix_mode().unwrap_or(KIND_FILE | FILE);
        let path = folder.join(inside(&name)?);
        match (mode & KIND, name.ends_with('/')) {
            (KIND_UNSAID | KIND_FOLDER, true) => make_folder(&path)?,
            (KIND_UNSAID | KIND_FILE, false) => {
                let bytes = read(&mut entry, &name, left)?;
                left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                keep(&path, &bytes, mode)?;
            }
            _ => return Err(refused(&name, "a file or a folder")),
        }
    }
    Ok(())
}

/// A path made anew from an entry's name, of plain parts only.
fn inside(name: &str) -> Result<PathBuf, PackageError> {
    let parts: Vec<&str> = name.strip_suffix('/').unwrap_or(name).split('/').collect();
    let is_plain = |part: &&str| {
        let odd = |c: char| c == '\\' || c.is_control();
        !matches!(*part, "" | "." | "..") && !part.contains(odd)
    };
    let fits = name.len() <= NAME_BYTES_MAX && parts.len() <= NAME_PARTS_MAX;
    if fits && parts.iter().all(is_plain) {
        return Ok(parts.iter().collect());
    }
    Err(refused(name, "a path inside the zip"))
}

/// The whole of an entry, if no more than `left` bytes.
fn read(entry: &mut impl Read, name: &str, left: u64) -> Result<Vec<u8>, PackageError> {
    let mut bytes = Vec::new();
    // What the zip says of its size is not asked: it may say anything.
    let count = entry
        .take(left.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| PackageError::Archive(format!("`{}`: {error}", shown(name))))?;
    if u64::try_from(count).unwrap_or(u64::MAX) > left {
        let problem = format!("it unpacks to more than {UNZIPPED_BYTES_MAX}");
        return Err(PackageError::Archive(problem));
    }
    Ok(bytes)
}

fn make_folder(path: &Path) -> Result<(), PackageError> {
    std::fs::create_dir_all(path).map_err(|source| unwritable(path, source))
}

fn keep(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PackageError> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(mode & 0o777))
    });
    written.map_err(|source| unwritable(path, source))
}

fn unwritable(path: &Path, source: std::io::Error) -> PackageError {
    PackageError::Unwritable {
        path: path.to_owned(),
        source,
    }
}

fn unusable(error: ZipError) -> PackageError {
    PackageError::Archive(error.to_string())
}

fn refused(name: &str, expected: &str) -> PackageError {
    PackageError::Archive(format!("expected {expected}, got `{}`", shown(name)))
}

/// A name from the zip, fit to be shown.
fn shown(name: &str) -> String {
    let short: String = name.chars().take(NAME_BYTES_MAX / 8).collect();
    short.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> BTreeMap<String, Entry> {
        BTreeMap::from([
            ("policy.toml".to_owned(), Entry::file(b"# none\n".to_vec())),
            ("bootstrap".to_owned(), Entry::program(vec![7; 100_000])),
            ("bundle/crunch/a".to_owned(), Entry::file(Vec::new())),
        ])
    }

    /// A zip of one entry with a name and a mode that this module would never write.
    fn hostile(name: &str, attributes: u32) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default()
            .system(System::Unix)
            .external_attributes(attributes << 16);
        writer.start_file(name, options).unwrap();
        writer.write_all(b"/etc").unwrap();
        writer.finish().unwrap().into_inner()
    }

    fn unpacked(bytes: &[u8]) -> (tempfile::TempDir, Result<(), String>) {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("package");
        std::fs::create_dir(&folder).unwrap();
        let result = unpack(bytes, &folder).map_err(|error| error.to_string());
        (root, result)
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_same_files_make_the_same_bytes_in_order_and_without_a_time() {
        let zip = write(&entries()).unwrap();
        assert_eq!(zip, write(&entries()).unwrap());
        let mut archive = ZipArchive::new(Cursor::new(zip.as_slice())).unwrap();
        let mut seen = Vec::new();
        for index in 0..archive.len() {
            let entry = archive.by_index(index).unwrap();
            assert_eq!(entry.last_modified(), Some(DateTime::default()));
            seen.push((entry.name().unwrap().into_owned(), entry.unix_mode()));
        }
        let expected = [
            ("bootstrap", 0o100_755),
            ("bundle/crunch/a", 0o100_644),
            ("policy.toml", 0o100_644),
        ];
        assert_eq!(
            seen,
            expected.map(|(name, mode)| (name.to_owned(), Some(mode)))
        );
    }

    #[test]
    fn what_was_packed_is_unpacked_with_its_permissions() {
        let (root, result) = unpacked(&write(&entries()).unwrap());
        result.unwrap();
        let folder = root.path().join("package");
        assert_eq!(mode(&folder.join("bootstrap")), 0o755);
        assert_eq!(mode(&folder.join("bundle/crunch/a")), 0o644);
        assert_eq!(
            std::fs::read(folder.join("bootstrap")).unwrap(),
            vec![7; 100_000]
        );
    }

    #[test]
    fn a_path_that_leads_out_is_refused() {
        let deep = "a/".repeat(NAME_PARTS_MAX) + "b";
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        for name in [
            "../x",
            "/abs",
            "a/../../x",
            "a/..",
            "..",
            ".",
            "./x",
            "a//b",
            "..\\x",
            "a\u{7}b",
            "/",
            &deep,
            &long,
        ] {
            let (root, result) = unpacked(&hostile(name, KIND_FILE | FILE));
            assert!(result.unwrap_err().contains("inside the zip"), "{name}");
            let count = std::fs::read_dir(root.path()).unwrap().count();
            assert_eq!(count, 1, "{name}");
        }
    }

    #[test]
    fn a_link_a_device_and_a_pipe_are_refused() {
        for kind in [0o120_000, 0o020_000, 0o060_000, 0o010_000, KIND_FOLDER] {
            let (root, result) = unpacked(&hostile("x", kind | 0o777));
            assert!(
                result.unwrap_err().contains("a file or a folder"),
                "{kind:o}"
            );
            assert!(!root.path().join("package/x").exists());
        }
    }

    #[test]
    fn bits_that_raise_rights_are_not_kept() {
        let (root, result) = unpacked(&hostile("x", KIND_FILE | 0o6_755));
        result.unwrap();
        let metadata = std::fs::metadata(root.path().join("package/x")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o755);
    }

    #[test]
    fn more_than_lambda_unpacks_is_refused_whatever_the_zip_says_of_its_size() {
        let mut endless = std::io::repeat(0);
        let error = read(&mut endless, "x", 1 << 16).unwrap_err();
        assert!(error.to_string().contains("more than 250 MiB"), "{error}");
        assert_eq!(read(&mut [7_u8; 4].as_slice(), "x", 4).unwrap(), [7; 4]);
    }

    #[test]
    fn too_many_files_are_refused() {
        let one = |index| (format!("{index}"), Entry::file(Vec::new()));
        let many = (0..=ENTRIES_MAX).map(one).collect();
        let (_root, result) = unpacked(&write(&many).unwrap());
        assert!(result.unwrap_err().contains("at most 10000 files"));
    }

    #[test]
    fn what_is_damaged_is_refused_and_breaks_nothing() {
        let whole = write(&entries()).unwrap();
        for length in 0..whole.len() {
            let (_root, result) = unpacked(&whole[..length]);
            assert!(result.is_err(), "{length}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            let _ = unpacked(&bytes);
        }
    }
}
