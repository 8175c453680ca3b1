//! `crunchbox package --template`: the files that deploy a package, into a folder of the project.

use super::printer::{self, Printer};
use super::shelf::{Shelf, done};
use crate::error::{Code, Failure, Level};
use crate::manifest::{FILE_NAME, Manifest};
use crate::package::template::{self, Facts, Trigger};
use crate::telemetry::printable;
use serde_json::json;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where the files go, unless another folder is wanted.
const DEFAULT_FOLDER: &str = "deploy";

/// The files that deploy a package.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct TemplateArguments {
    /// Write what deploys the function: templates for AWS SAM and Terraform, policies, a workflow, an image's recipe
    /// [default folder: deploy in the project's]
    #[arg(long, value_name = "FOLDER", num_args = 0..=1, require_equals = true)]
    template: Option<Option<PathBuf>>,
    /// Where the function's events come from, in these templates; may be repeated.
    #[arg(
        long,
        value_name = "KIND",
        value_delimiter = ',',
        requires = "template"
    )]
    trigger: Vec<Trigger>,
    /// Write over files of these names that say something else.
    #[arg(long, requires = "template")]
    force: bool,
}

/// One file, and what is there already.
struct File {
    path: PathBuf,
    text: String,
    found: Found,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Same,
    Other,
}

impl TemplateArguments {
    /// Whether the files are asked for.
    pub(super) fn is_wanted(&self) -> bool {
        self.template.is_some()
    }

    /// Writes the files for the project in `folder`, and prints the folder that they are in. What somebody has changed
    /// there stays, and then nothing is written.
    pub(super) fn write(
        &self,
        printer: &Printer,
        folder: &Path,
        shelf: &Shelf,
    ) -> Result<(), Failure> {
        let Some(manifest) = Manifest::find(folder)? else {
            let message = format!(
                "expected a {FILE_NAME} in `{}`: the templates are made from what it says",
                folder.display()
            );
            return Err(Failure::new(Code::ManifestInvalid, message));
        };
        let named = self.template.as_ref().and_then(Option::as_ref);
        let into = named.map_or_else(|| folder.join(DEFAULT_FOLDER), PathBuf::clone);
        let facts = Facts::of(
            &manifest,
            &shelf.policy,
            Some(&shelf.location),
            &self.trigger,
        );
        let files = template::files(&facts).into_iter();
        let files = files.map(|(path, text)| File::look(into.join(path), text));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        self.check(&files)?;
        for file in &files {
            file.write()?;
            file.report(printer);
        }
        for note in facts.notes() {
            printer.log().host(Level::Warn, &printable(&note));
        }
        printer::result(format!("{}\n", into.display()).as_bytes())
    }

    fn check(&self, files: &[File]) -> Result<(), Failure> {
        let others = files.iter().filter(|file| file.found == Found::Other);
        let others: Vec<String> = others.map(|file| file.path.display().to_string()).collect();
        if self.force || others.is_empty() {
            return Ok(());
        }
        let message = format!("somebody has changed {}", others.join(", "));
        Err(Failure::new(Code::OutputFailed, message)
            .with_hint("look at them, then write over them with --force, or beside them with --template=FOLDER"))
    }
}

impl File {
    fn look(path: PathBuf, text: String) -> Result<Self, Failure> {
        let found = match std::fs::read(&path) {
            Ok(bytes) if bytes == text.as_bytes() => Found::Same,
            Ok(_) => Found::Other,
            Err(error) if error.kind() == ErrorKind::NotFound => Found::Nothing,
            Err(error) => return Err(failed(&path, &error)),
        };
        Ok(Self { path, text, found })
    }

    /// By renaming: half a template could be deployed.
    fn write(&self) -> Result<(), Failure> {
        if self.found == Found::Same {
            return Ok(());
        }
        let failed = |error: std::io::Error| failed(&self.path, &error);
        let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut file = tempfile::Builder::new()
            .permissions(std::fs::Permissions::from_mode(0o644))
            .tempfile_in(folder)
            .map_err(failed)?;
        file.write_all(self.text.as_bytes()).map_err(failed)?;
        file.persist(&self.path)
            .map_err(|error| failed(error.error))?;
        Ok(())
    }

    fn report(&self, printer: &Printer) {
        let shown = self.path.display().to_string();
        let (verb, word) = match self.found {
            Found::Nothing => ("Wrote", "written"),
            Found::Other => ("Replaced", "replaced"),
            Found::Same => ("As is", "unchanged"),
        };
        done(printer, verb, &printable(&shown));
        printer.json(|| json!({"type": "template", "path": shown, "state": word}));
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        Code::OutputFailed,
        format!("cannot write `{}`: {error}", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(force: bool) -> TemplateArguments {
        TemplateArguments {
            template: Some(None),
            trigger: Vec::new(),
            force,
        }
    }

    #[test]
    fn what_somebody_changed_is_not_written_over_unless_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.yaml");
        let look = |text: &str| File::look(path.clone(), text.to_owned()).unwrap();
        look("made").write().unwrap();
        assert!(look("made").found == Found::Same);
        std::fs::write(&path, "changed").unwrap();
        let files = [look("made")];
        let refused = arguments(false).check(&files).unwrap_err();
        assert!(refused.message.contains("a/b.yaml"), "{}", refused.message);
        arguments(true).check(&files).unwrap();
        files[0].write().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "made");
    }
}
