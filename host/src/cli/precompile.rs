//! `crunchbox precompile`: native code for hosts without a compiler, beside a component or in the store.

use super::printer::{self, Printer};
use super::publisher::SigningArguments;
use super::shelf::{Shelf, StoreArguments, done};
use super::start::CompileArguments;
use crate::address::{Address, FunctionName};
use crate::component::{Component, DIGEST_EXTENSION, Digest};
use crate::engine::artifact::Statement;
use crate::engine::folder::TrustedFolder;
use crate::engine::key::{Baseline, EngineKey, Interruption};
use crate::error::{Code, Failure};
use crate::publish::{Precompiled, Publisher, TARGETS, Written, inventory};
use crate::quantity::Bytes;
use crate::resolve::resolve;
use crate::settings::Variables;
use crate::store::Location;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Compile components ahead of time for hosts without a compiler.
///
/// Of a component (.wasm): writes native code beside it, for one event at a time and for many at once, with a statement each
/// and the component's digest, to be deployed with it or, where that digest is, instead of it; prints the native code's
/// paths. Of releases: puts native code for this version and all processors of Lambda into the store, signed, so
/// that hosts of this version can load them.
#[derive(Debug, clap::Args)]
pub(super) struct Precompile {
    /// A component (.wasm), or releases such as crunch@live.
    #[arg(value_name = "COMPONENT|ADDRESS", required_unless_present = "all")]
    what: Vec<String>,
    /// Every release that a channel of any function stands for, or stood for as far as it remembers.
    #[arg(long, conflicts_with = "what")]
    all: bool,
    /// Where to write a component's native code [default: the component's own folder]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    compile: CompileArguments,
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    signing: SigningArguments,
    /// Report in JSON lines on standard error.
    #[arg(long)]
    pub(super) json: bool,
}

impl Precompile {
    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<(), Failure> {
        if self.all {
            return self.everything(printer, variables).await;
        }
        for what in &self.what {
            let path = Path::new(what);
            if path.exists() || what.ends_with(".wasm") || what.contains('/') {
                self.file(printer, path).await?;
            } else {
                self.release(printer, &what.parse()?, variables).await?;
            }
        }
        Ok(())
    }

    async fn file(&self, printer: &Printer, path: &Path) -> Result<(), Failure> {
        let component = Component::read(path)?;
        let compiler = self.compile.compiler()?;
        // What Lambda's machines of this kind all have, whatever this one has.
        let baseline = if cfg!(target_arch = "x86_64") {
            Baseline::X86_64V3
        } else {
            Baseline::NeoverseN1
        };
        let beside = path.parent().unwrap_or_else(|| Path::new("."));
        let output = self.output.as_deref().unwrap_or(beside);
        std::fs::create_dir_all(output).map_err(|error| {
            let message = format!("cannot make `{}`: {error}", output.display());
            Failure::new(Code::OutputFailed, message)
        })?;
        let folder = TrustedFolder::deployed(output);
        for way in Interruption::ALL {
            let code = compiler.compile(&component, (baseline, way)).await?;
            let engine = EngineKey::new(baseline, way);
            let statement = Statement::new(component.digest(), engine, &code);
            folder
                .keep(&code, &statement)
                .map_err(|error| Failure::new(Code::OutputFailed, crate::error::chain(&error)))?;
            let what = format!("for {} → {}", statement.engine, Bytes(statement.size));
            done(printer, "Compiled", &what);
            let path = folder.code_path(statement.component, &statement.engine);
            printer::result(format!("{}\n", path.display()).as_bytes())?;
        }
        // A package may leave out the component itself: then this says whose native code it has.
        let name = path.file_name().unwrap_or_default();
        let digest = output.join(name).with_extension(DIGEST_EXTENSION);
        std::fs::write(&digest, format!("{}\n", component.digest())).map_err(|error| {
            let message = format!("cannot write `{}`: {error}", digest.display());
            Failure::new(Code::OutputFailed, message)
        })
    }

    async fn release(
        &self,
        printer: &Printer,
        address: &Address,
        variables: Variables<'_>,
    ) -> Result<(), Failure> {
        let shelf = self.store.open(None, variables).await?;
        let publisher = self.publisher(&shelf, &address.function)?;
        let serves = resolve(&publisher.reader, address).await?.serves;
        self.one(printer, &publisher, serves.release).await
    }

    /// What is served now first. What fails is told, and keeps nothing else from its native code.
    async fn everything(&self, printer: &Printer, variables: Variables<'_>) -> Result<(), Failure> {
        let shelf = self.store.open(None, variables).await?;
        let mut failures = Vec::new();
        for function in inventory::functions(&*shelf.store).await? {
            let publisher = self.publisher(&shelf, &function)?;
            let (mut now, mut earlier) = (BTreeSet::new(), BTreeSet::new());
            for (name, signed) in inventory::channels(&publisher.reader).await? {
                match signed {
                    Ok(signed) => {
                        let channel = signed.channel;
                        now.extend(channel.serves.map(|serves| serves.release));
                        let states = channel.moves.into_iter();
                        earlier.extend(states.filter_map(|state| Some(state.serves?.release)));
                    }
                    Err(error) => {
                        failures.push((format!("{function}@{name}"), Failure::from(error)))
                    }
                }
            }
            for release in now.iter().chain(earlier.difference(&now)) {
                if let Err(failure) = self.one(printer, &publisher, *release).await {
                    failures.push((format!("{function}@{}", release.short()), failure));
                }
            }
        }
        let Some((_, first)) = failures.first() else {
            return Ok(());
        };
        let listed: Vec<_> = failures
            .iter()
            .map(|(what, failure)| format!("{what}: {failure}"))
            .collect();
        let message = format!("{} failed: {}", failures.len(), listed.join("; "));
        Err(Failure::new(first.code, message).with_hint(
            "everything else has its native code; repeat the command when these are repaired",
        ))
    }

    fn publisher(&self, shelf: &Shelf, function: &FunctionName) -> Result<Publisher, Failure> {
        if !shelf.policy.trust.is_signed() && matches!(shelf.location, Location::Folder(_)) {
            let message = format!(
                "{} is not signed, so no host loads native code from it",
                shelf.location
            );
            return Err(Failure::new(Code::KeyMissing, message));
        }
        self.signing.publisher(shelf, function)
    }

    async fn one(
        &self,
        printer: &Printer,
        publisher: &Publisher,
        id: Digest,
    ) -> Result<(), Failure> {
        let release = publisher.reader.release(id).await?;
        let component = publisher.reader.component(&release).await?;
        let compiler = self.compile.compiler()?;
        let name = format!("{}@{}", publisher.reader.function(), id.short());
        for target in TARGETS {
            for way in Interruption::ALL {
                let made = publisher.precompile(&component, &compiler, target, way);
                report(printer, &name, &made.await?);
            }
        }
        Ok(())
    }
}

fn report(printer: &Printer, name: &str, made: &Precompiled) {
    let (verb, untried) = match (made.written, made.tried) {
        (Written::Before, _) => ("There is", ""),
        (Written::Now, true) => ("Compiled", ""),
        (Written::Now, false) => ("Compiled", ", untried on this machine"),
    };
    done(
        printer,
        verb,
        &format!(
            "{name} for {} ({}{untried})",
            made.engine,
            Bytes(made.bytes)
        ),
    );
    printer.json(|| {
        json!({
            "type": "artifact",
            "release": name,
            "target": made.target,
            "engine": made.engine,
            "bytes": made.bytes,
            "changed": made.written == Written::Now,
            "tried": made.tried,
        })
    });
}
