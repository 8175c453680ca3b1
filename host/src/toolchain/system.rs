//! Programs that must be on the machine before anything can be built: asked for their version, and installed by Debian's
//! packages if that is wanted.

use super::setup::{apt_install, has};
use super::{BuildError, Setup, Wanted};
use std::process::{Command, Stdio};

/// A program that a language's tools need.
#[derive(Debug)]
pub(super) struct Needed {
    /// Its name on the path.
    pub(super) tool: &'static str,
    /// The first version that will do.
    pub(super) since: (u32, u32),
    /// Debian's packages that bring it.
    pub(super) packages: &'static [&'static str],
    /// Where others get it.
    pub(super) site: &'static str,
}

/// Runs the JavaScript tools.
pub(super) const NODE: Needed = Needed {
    tool: "node",
    since: (18, 19),
    packages: &["nodejs", "npm"],
    site: "https://nodejs.org",
};

/// Installs packages of JavaScript.
pub(super) const NPM: Needed = Needed {
    tool: "npm",
    since: (8, 0),
    packages: &["nodejs", "npm"],
    site: "https://nodejs.org",
};

/// Runs the Python tools.
pub(super) const PYTHON: Needed = Needed {
    tool: "python3",
    since: (3, 10),
    packages: &["python3", "python3-venv"],
    site: "https://www.python.org",
};

/// Makes sure that a program is here and new enough.
///
/// # Errors
/// [`BuildError::ToolMissing`] with the command that installs it; [`BuildError::Setup`] if that was tried in vain.
pub(super) fn need(needed: &Needed, wanted: Wanted) -> Result<(), BuildError> {
    let problem = match problem(needed) {
        None => return Ok(()),
        Some(problem) => problem,
    };
    let by_apt = has("apt-get");
    if wanted.setup == Setup::Install && by_apt {
        apt_install(needed.packages)?;
    }
    let Some(problem) = (match wanted.setup {
        Setup::Install => self::problem(needed),
        Setup::Tell => Some(problem),
    }) else {
        return Ok(());
    };
    let (major, minor) = needed.since;
    Err(BuildError::ToolMissing {
        tool: needed.tool.to_owned(),
        problem: format!("expected version {major}.{minor} or newer, {problem}"),
        install: match by_apt {
            true => format!(
                "`apt-get install {}`, or see {}",
                needed.packages.join(" "),
                needed.site
            ),
            false => format!("see {}", needed.site),
        },
    })
}

/// Why a program does not do; none if it does.
fn problem(needed: &Needed) -> Option<String> {
    let output = Command::new(needed.tool)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    let said = match output {
        Ok(output) if output.status.success() => output.stdout,
        Ok(output) => {
            return Some(format!(
                "`{} --version` ended with {}",
                needed.tool, output.status
            ));
        }
        Err(error) => return Some(format!("got none: {error}")),
    };
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    match version(&said) {
        Some(version) if version >= needed.since => None,
        _ => Some(format!("got `{said}`")),
    }
}

/// The first two numbers of a version with whatever stands before it: `v20.20.2`, `Python 3.11.7`.
fn version(said: &str) -> Option<(u32, u32)> {
    let start = said.find(|c: char| c.is_ascii_digit())?;
    let mut numbers = said[start..].split('.').map(|number| {
        let end = number
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(number.len());
        number[..end].parse().ok()
    });
    Some((numbers.next()??, numbers.next().flatten().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_the_tools_print_it() {
        for (said, read) in [
            ("v20.20.2", Some((20, 20))),
            ("11.19.1", Some((11, 19))),
            ("Python 3.11.7", Some((3, 11))),
            ("v22", Some((22, 0))),
            ("", None),
            ("unknown", None),
        ] {
            assert_eq!(version(said), read, "{said}");
        }
    }

    #[test]
    fn a_tool_that_is_missing_or_too_old_is_told_with_what_installs_it() {
        let wanted = Wanted {
            setup: Setup::Tell,
            traces: super::super::Traces::Lines,
            words: super::super::Words::Shown,
        };
        let missing = Needed {
            tool: "no-such-tool-anywhere",
            ..NODE
        };
        let old = Needed {
            since: (9999, 0),
            tool: "sh",
            ..PYTHON
        };
        for needed in [missing, old] {
            let error = need(&needed, wanted).unwrap_err();
            assert!(error.to_string().contains(needed.tool), "{error}");
            assert!(
                crate::error::Fault::hint(&error)
                    .unwrap()
                    .contains("install"),
                "{error}"
            );
        }
    }
}
