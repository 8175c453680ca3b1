//! Whether Lambda can start a program, by what its file says: processor, loader, versions of glibc. Reads ELF files of
//! any origin and runs none; what is damaged is refused.

use super::{Architecture, PackageError};
use crate::telemetry::printable;
use object::LittleEndian;
use object::elf::{EM_AARCH64, EM_X86_64, ET_DYN, ET_EXEC, FileHeader64};
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionTable};
use std::collections::BTreeSet;
use std::fmt;

/// The glibc of `provided.al2023`: <https://github.com/aws/aws-lambda-rust-runtime/issues/932>
pub const GLIBC: Glibc = Glibc {
    major: 2,
    minor: 34,
    patch: 0,
};

/// Programs ask for some twenty versions; a file that goes on and on was made to.
const VERSIONS_MAX: usize = 1_000;

/// How many names a message shows.
const NAMES_SHOWN: usize = 5;

/// The longest name that a message shows.
const NAME_CHARS: usize = 100;

type Header = FileHeader64<LittleEndian>;

/// A version of glibc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glibc {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Glibc {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        let (major, minor) = (parts.next()??, parts.next()??);
        let patch = parts.next().unwrap_or(Some(0))?;
        parts.next().is_none().then_some(Self {
            major,
            minor,
            patch,
        })
    }
}

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        match self.patch {
            0 => Ok(()),
            patch => write!(f, ".{patch}"),
        }
    }
}

/// What a program's file says of where it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The processor.
    pub architecture: Architecture,
    /// The newest version of glibc that it asks for; none if it asks for none.
    pub glibc: Option<Glibc>,
    /// What loads it; nothing if it is static.
    pub interpreter: Option<String>,
    /// Versions that it asks for and Lambda does not have, as they are called.
    beyond: Vec<String>,
}

/// Reads a program's file.
///
/// # Errors
/// [`PackageError::Program`] when it is no ELF program for one of Lambda's processors, or damaged.
pub fn inspect(bytes: &[u8]) -> Result<Program, PackageError> {
    let damaged = |error: object::read::Error| refused(error.to_string());
    let header = Header::parse(bytes).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    if !matches!(header.e_type(endian), ET_EXEC | ET_DYN) {
        return Err(refused("it is no program that can be started".to_owned()));
    }
    let architecture = match header.e_machine(endian) {
        EM_X86_64 => Architecture::X86_64,
        EM_AARCH64 => Architecture::Arm64,
        other => {
            let problem = format!("it is for a processor that Lambda does not have ({other})");
            return Err(refused(problem));
        }
    };
    let mut interpreter = None;
    for segment in header.program_headers(endian, bytes).map_err(damaged)? {
        if let Some(path) = segment.interpreter(endian, bytes).map_err(damaged)? {
            interpreter = Some(shown(path));
        }
    }
    let sections = header.sections(endian, bytes).map_err(damaged)?;
    if interpreter.is_some() && sections.is_empty() {
        let problem = "its file has no table of sections, so what it asks for cannot be told";
        return Err(refused(problem.to_owned()));
    }
    let names = versions(&sections, bytes).map_err(damaged)?;
    let numbers = names.iter().filter_map(|name| number(name)).flatten();
    Ok(Program {
        architecture,
        glibc: numbers.max(),
        interpreter,
        beyond: names.into_iter().filter(|name| is_beyond(name)).collect(),
    })
}

impl Program {
    /// Checks that Lambda's system on `wanted` starts it.
    ///
    /// # Errors
    /// [`PackageError::Program`], naming what was expected and what was found.
    pub fn check(&self, wanted: Architecture) -> Result<(), PackageError> {
        if self.architecture != wanted {
            let problem = format!("it is for {}, the package for {wanted}", self.architecture);
            return Err(refused(problem));
        }
        match &self.interpreter {
            Some(loader) if loader != wanted.loader() => {
                let problem = format!("expected the loader `{}`, got `{loader}`", wanted.loader());
                return Err(refused(problem));
            }
            None if self.glibc.is_some() => {
                let problem = "it is a library: it asks for glibc, and for nothing that loads it";
                return Err(refused(problem.to_owned()));
            }
            Some(_) | None => {}
        }
        if self.beyond.is_empty() {
            return Ok(());
        }
        let more = match self.beyond.len().saturating_sub(NAMES_SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let names: Vec<&str> = self
            .beyond
            .iter()
            .take(NAMES_SHOWN)
            .map(String::as_str)
            .collect();
        Err(refused(format!(
            "it asks for {}{more}, and Lambda has glibc {GLIBC}",
            names.join(", ")
        )))
    }
}

/// Whether some bytes stand anywhere in a file: a path of the machine that built it, say.
pub fn has(bytes: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && bytes.windows(needle.len()).any(|window| window == needle)
}

fn refused(problem: String) -> PackageError {
    PackageError::Program(problem)
}

/// The versions of libraries that the program asks for, such as `GLIBC_2.34`.
fn versions<'data>(
    sections: &SectionTable<'data, Header>,
    bytes: &'data [u8],
) -> object::read::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let Some((mut libraries, link)) = sections.gnu_verneed(LittleEndian, bytes)? else {
        return Ok(names);
    };
    let strings = sections.strings(LittleEndian, bytes, link)?;
    let mut count = 0;
    while let Some((_, mut versions)) = libraries.next()? {
        while let Some(version) = versions.next()? {
            count += 1;
            if count > VERSIONS_MAX {
                // Not read to its end, so it has to be refused.
                names.insert("GLIBC_(more versions than any program)".to_owned());
                return Ok(names);
            }
            names.insert(shown(version.name(LittleEndian, strings)?));
        }
    }
    Ok(names)
}

/// The number in the name of one of glibc's versions; nothing inside for names without one.
fn number(name: &str) -> Option<Option<Glibc>> {
    name.strip_prefix("GLIBC_").map(Glibc::parse)
}

/// Names without a number are newer than Lambda's (`GLIBC_ABI_DT_RELR` came with 2.36), or not for programs at all.
fn is_beyond(name: &str) -> bool {
    number(name).is_some_and(|number| number.is_none_or(|number| number > GLIBC))
}

/// A name from the file, fit to be shown.
fn shown(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let short: String = name.chars().take(NAME_CHARS).collect();
    printable(&short).into_owned()
}

/// The smallest file that passes for a program: a header alone.
#[cfg(test)]
pub(super) fn tiny(architecture: Architecture) -> Vec<u8> {
    let machine = match architecture {
        Architecture::X86_64 => EM_X86_64,
        Architecture::Arm64 => EM_AARCH64,
    };
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(16, 0);
    header.extend(ET_EXEC.to_le_bytes());
    header.extend(machine.to_le_bytes());
    header.extend(1_u32.to_le_bytes());
    header.resize(64, 0);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(names: &[&str]) -> Program {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Program {
            architecture: Architecture::X86_64,
            glibc: names.iter().filter_map(|name| number(name)).flatten().max(),
            interpreter: Some(Architecture::X86_64.loader().to_owned()),
            beyond: names.into_iter().filter(|name| is_beyond(name)).collect(),
        }
    }

    fn own() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn this_program_says_its_processor_its_loader_and_its_glibc() {
        let program = inspect(&own()).unwrap();
        let expected = match std::env::consts::ARCH {
            "x86_64" => Architecture::X86_64,
            _ => Architecture::Arm64,
        };
        assert_eq!(program.architecture, expected);
        assert_eq!(program.interpreter.as_deref(), Some(expected.loader()));
        assert!(program.glibc > Glibc::parse("2.2.5"), "{program:?}");
    }

    #[test]
    fn a_newer_glibc_than_lambdas_is_refused_by_name() {
        assert!(
            program(&["GLIBC_2.34", "GLIBC_2.3.4", "GCC_3.0"])
                .check(Architecture::X86_64)
                .is_ok()
        );
        for newer in [
            "GLIBC_2.35",
            "GLIBC_2.34.1",
            "GLIBC_3.0",
            "GLIBC_ABI_DT_RELR",
            "GLIBC_PRIVATE",
        ] {
            let error = program(&["GLIBC_2.2.5", newer])
                .check(Architecture::X86_64)
                .unwrap_err()
                .to_string();
            assert!(error.contains(newer) && error.contains("2.34"), "{error}");
            assert!(!error.contains("2.2.5"), "{error}");
        }
    }

    #[test]
    fn another_processor_another_loader_and_a_library_are_refused() {
        let sound = program(&["GLIBC_2.17"]);
        let musl = Program {
            interpreter: Some("/lib/ld-musl-x86_64.so.1".to_owned()),
            ..sound.clone()
        };
        let library = Program {
            interpreter: None,
            ..sound.clone()
        };
        for (program, wanted, named) in [
            (sound, Architecture::Arm64, "for x86-64"),
            (musl, Architecture::X86_64, "ld-musl"),
            (library, Architecture::X86_64, "library"),
        ] {
            let error = program.check(wanted).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_static_program_needs_nothing() {
        let program = inspect(&tiny(Architecture::Arm64)).unwrap();
        assert_eq!((program.glibc, &program.interpreter), (None, &None));
        program.check(Architecture::Arm64).unwrap();
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let mut other = tiny(Architecture::X86_64);
        other[18..20].copy_from_slice(&object::elf::EM_RISCV.to_le_bytes());
        let mut object_file = tiny(Architecture::X86_64);
        object_file[16..18].copy_from_slice(&object::elf::ET_REL.to_le_bytes());
        for bytes in [
            b"".to_vec(),
            b"#!/bin/sh\n".to_vec(),
            vec![0x7f; 4096],
            other,
            object_file,
        ] {
            assert!(matches!(inspect(&bytes), Err(PackageError::Program(_))));
        }
    }

    #[test]
    fn a_file_that_was_cut_off_is_refused() {
        let whole = own();
        for length in (0..4096).chain((4096..whole.len()).step_by(whole.len() / 64)) {
            assert!(inspect(&whole[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn no_byte_of_the_headers_can_make_reading_fail_otherwise_than_by_refusing() {
        let mut bytes = own();
        let tables = bytes.len().saturating_sub(4096)..bytes.len();
        for at in (0..1024).chain(tables) {
            for value in [0, 0x7f, 0xff] {
                let kept = std::mem::replace(&mut bytes[at], value);
                let _ = inspect(&bytes);
                bytes[at] = kept;
            }
        }
    }

    #[test]
    fn bytes_are_found_wherever_they_stand() {
        assert!(has(b"see /home/x/src", b"/home/x") && has(b"ab", b"ab"));
        assert!(!has(b"a", b"ab") && !has(b"ab", b"") && !has(b"", b"a"));
    }
}
