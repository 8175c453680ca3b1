//! `crunchbox package`: the zip that a Lambda function runs, and the files that deploy it.

use super::printer::{self, Printer};
use super::shelf::{Shelf, StoreArguments, done};
use super::start::expect_folder;
use super::template::TemplateArguments;
use crate::address::Address;
use crate::error::{Code, Failure, Level};
use crate::package::build::{self, Order};
use crate::package::bundle::{Bundled, bundle};
use crate::package::policy::{PackedPolicy, packed};
use crate::package::{self, Architecture};
use crate::quantity::{Bytes, Time};
use crate::settings::Variables;
use crate::store::Location;
use crate::telemetry::printable;
use crate::toolchain::Setup;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The zip's name, unless another is wanted.
const DEFAULT_OUT: &str = "bootstrap.zip";

/// Make the zip that a Lambda function on `provided.al2023` runs. Prints its path.
///
/// In it are the program for Lambda, as `bootstrap`; the project's policy.toml, with the project's store if it names none;
/// and releases to start from. One zip serves every function, whose handler setting says which: crunch@live. The same
/// parts make the same bytes. With --template, the files that deploy it are written, and the zip only if --out says where.
#[derive(Debug, clap::Args)]
pub(super) struct Package {
    /// The folder of the project: its policy.toml, its store.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Where to write the zip [default: bootstrap.zip]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The processor: x86-64 or arm64.
    #[arg(long, value_name = "ARCH", default_value = "x86-64")]
    arch: Architecture,
    /// A channel to start from if the store does not answer, such as crunch@live; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    bundle: Vec<Address>,
    /// Take this program, a crunchbox that was built for Lambda, instead of building it here from its sources.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Install what is missing to build the program.
    #[arg(long)]
    setup: bool,
    #[command(flatten)]
    template: TemplateArguments,
    #[command(flatten)]
    store: StoreArguments,
    /// Report in JSON lines on standard error.
    #[arg(long)]
    pub(super) json: bool,
}

/// All that is in a package beside its program.
struct Parts {
    policy: Option<PackedPolicy>,
    bundled: Vec<Bundled>,
}

impl Package {
    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<(), Failure> {
        expect_folder(&self.folder)?;
        let shelf = self.store.open(Some(&self.folder), variables).await?;
        if self.template.is_wanted() {
            self.template.write(printer, &self.folder, &shelf)?;
            if self.out.is_none() {
                return Ok(());
            }
        }
        let out = self
            .out
            .as_deref()
            .unwrap_or_else(|| Path::new(DEFAULT_OUT));
        warn_of_another_store(printer, &shelf);
        // Before the program is built, which may take minutes.
        let parts = Parts {
            policy: packed(&shelf.policy_path, &shelf.location)?,
            bundled: self.bundled(printer, &shelf).await?,
        };
        let program = self.program(printer, variables)?;
        let package = package::Package::new(program, self.arch, parts.files())?;
        package.write(out)?;
        if let Some(warning) = package.warning() {
            printer.log().host(Level::Warn, &warning);
        }
        report(printer, out, &package, &parts);
        printer::result(format!("{}\n", out.display()).as_bytes())
    }

    /// The states of channels to start from, as hosts would believe them.
    async fn bundled(&self, printer: &Printer, shelf: &Shelf) -> Result<Vec<Bundled>, Failure> {
        let mut all = Vec::new();
        for address in &self.bundle {
            let channel = super::promote::channel_of(address)?;
            let reader = shelf.reader(&address.function)?;
            let bundled = bundle(&reader, &channel, &self.arch.engines()).await?;
            let least = shelf.policy.min_sequence.get(&address.to_string());
            if let Some(least) = least.filter(|least| **least > bundled.sequence) {
                let message = format!(
                    "{address} is {}, and the policy's min-sequence is {least}: no host would start from it",
                    bundled.sequence
                );
                return Err(Failure::new(Code::SequenceBack, message));
            }
            if let Some(until) = bundled.until {
                let warning =
                    format!("{address} is bundled, and no host starts from it after {until}");
                printer.log().host(Level::Warn, &warning);
            }
            all.push(bundled);
        }
        Ok(all)
    }

    fn program(&self, printer: &Printer, variables: Variables<'_>) -> Result<Vec<u8>, Failure> {
        if let Some(path) = &self.program {
            return Ok(package::read_program(path)?);
        }
        let order = Order {
            architecture: self.arch,
            setup: if self.setup {
                Setup::Install
            } else {
                Setup::Tell
            },
        };
        let started = Instant::now();
        let say = |what: &str| done(printer, "Package", what);
        let path = build::program(order, &say, variables)?;
        let bytes = package::read_program(&path)?;
        let took = Time(started.elapsed());
        done(printer, "Built", &format!("{} {took}", path.display()));
        Ok(bytes)
    }
}

impl Parts {
    /// What lies beside the program, by its path in the zip.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for bundled in &self.bundled {
            let copies = bundled.files.iter();
            files.extend(copies.map(|(name, bytes)| (name.clone(), bytes.clone())));
        }
        if let Some(policy) = &self.policy {
            let name = crate::policy::FILE_NAME.to_owned();
            files.insert(name, policy.text.clone().into_bytes());
        }
        files
    }
}

/// Releases that go to one bucket, and hosts that look into another, are hardly ever meant.
fn warn_of_another_store(printer: &Printer, shelf: &Shelf) {
    let Some(theirs) = &shelf.policy.store else {
        return;
    };
    let is_s3 = |location: &Location| matches!(location, Location::S3(_));
    if *theirs != shelf.location && (is_s3(theirs) || is_s3(&shelf.location)) {
        let warning = format!(
            "hosts will follow {theirs}, which policy.toml names, and not {}",
            shelf.location
        );
        printer.log().host(Level::Warn, &warning);
    }
}

fn report(printer: &Printer, out: &Path, package: &package::Package, parts: &Parts) {
    let bytes = Bytes(u64::try_from(package.zip.len()).unwrap_or(u64::MAX));
    let digest = package.code_sha256();
    let program = &package.program;
    let glibc = program.glibc.map(|glibc| glibc.to_string());
    printer.text(|| {
        let system = match &glibc {
            Some(glibc) => format!("glibc {glibc} or newer"),
            None => "any Linux".to_owned(),
        };
        let mut text = format!(
            "    Package  {} {bytes} for {}, {system}   CodeSha256 {digest}",
            out.display(),
            program.architecture,
        );
        for content in &package.contents {
            let (size, name) = (content.bytes.to_string(), printable(&content.name));
            text.push_str(&format!(
                "\n    {size:>9}  {}  {name}",
                content.digest.short()
            ));
        }
        text
    });
    match &parts.policy {
        Some(policy) => {
            if let Some(store) = &policy.added {
                let what = format!("names no store; in the zip it names {store}, the project's");
                done(printer, "Policy", &what);
            }
        }
        None => done(
            printer,
            "Policy",
            "none: hosts of this package follow no store",
        ),
    }
    for bundled in &parts.bundled {
        let release = bundled.release.short();
        let what = format!("{} {}: {release}", bundled.address, bundled.sequence);
        done(printer, "Bundled", &what);
    }
    printer.json(|| {
        json!({
            "type": "package",
            "path": out,
            "bytes": bytes.0,
            "codeSha256": digest,
            "architecture": program.architecture.to_string(),
            "glibc": glibc,
            "interpreter": program.interpreter,
            "storeAdded": parts.policy.as_ref().and_then(|policy| Some(policy.added.as_ref()?.url())),
            "contents": package.contents.iter().map(|content| json!({
                "name": content.name,
                "bytes": content.bytes.0,
                "digest": content.digest,
            })).collect::<Vec<_>>(),
            "bundled": parts.bundled.iter().map(|bundled| json!({
                "address": bundled.address.to_string(),
                "sequence": bundled.sequence,
                "release": bundled.release,
                "notAfter": bundled.until,
            })).collect::<Vec<_>>(),
        })
    });
}
