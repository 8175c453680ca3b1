//! `crunchbox release` and `deploy`: a project into the store, and on to a channel.

use super::check::reviewed;
use super::keys;
use super::printer::{self, Printer};
use super::progress::Progress;
use super::publisher::{MoveArguments, SigningArguments, release_with, show_review};
use super::shelf::{Shelf, StoreArguments, done};
use super::start::{ArtifactArguments, Target, report_build, resolve};
use super::test::{self, Tested};
use crate::address::{ChannelName, FunctionName};
use crate::component::Component;
use crate::config::{Extent, Layers};
use crate::engine::key::Interruption;
use crate::error::{Code, Failure};
use crate::function::try_out;
use crate::grant::Ceiling;
use crate::guest::Parts;
use crate::limit::{self, Limits, Says};
use crate::manifest::Manifest;
use crate::overlay::{facts, stand_in};
use crate::policy::Policy;
use crate::publish::{PROBE, Publisher, Sealed, TARGETS, Written};
use crate::quantity::{Bytes, Time};
use crate::review::Review;
use crate::secret::Vault;
use crate::settings::Variables;
use crate::store::Location;
use crate::toolchain::{Setup, Traces, Wanted, Words};
use crate::trust::{Pattern, Role};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What releasing takes.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ReleaseArguments {
    /// Install what is missing to build the projects.
    #[arg(long)]
    setup: bool,
    /// Keep debug lines: traces name files and lines, and the component is several times as large.
    #[arg(long)]
    debug_lines: bool,
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    signing: SigningArguments,
    #[command(flatten)]
    artifacts: ArtifactArguments,
}

/// Build projects and put them into the store as releases. Prints the id of each.
///
/// The same sources make the same release; what is there already is not sent again. Nothing runs it yet: `promote` does
/// that.
#[derive(Debug, clap::Args)]
pub(super) struct Release {
    /// Folders of projects, or components with a crunchbox.toml beside them.
    #[arg(value_name = "DIR|COMPONENT", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Run the sample events of each project first; what does not come out as expected, or has none, is not released.
    #[arg(long)]
    tested: bool,
    #[command(flatten)]
    release: ReleaseArguments,
    /// Report in JSON lines on standard error.
    #[arg(long)]
    pub(super) json: bool,
}

/// Test a project, release it and promote it. Prints the release's id.
#[derive(Debug, clap::Args)]
pub(super) struct Deploy {
    /// The folder of the project.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The channel.
    #[arg(long, value_name = "CHANNEL", default_value = "live")]
    to: ChannelName,
    /// A config file for the channel's own layer, moved together with the release; may be repeated, the strongest last.
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    #[command(flatten)]
    terms: MoveArguments,
    #[command(flatten)]
    release: ReleaseArguments,
    /// Report in JSON lines on standard error.
    #[arg(long)]
    pub(super) json: bool,
}

impl Release {
    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<(), Failure> {
        for path in &self.paths {
            let target = self.release.build(printer, path, variables)?;
            let tested = match self.tested {
                true => Some(self.release.test(printer, &target, variables).await?),
                false => None,
            };
            if tested.as_ref().is_some_and(Tested::is_nothing) {
                return Err(untested(&target));
            }
            let published = self
                .release
                .publish(printer, &target, tested.as_ref(), variables);
            let (sealed, _) = published.await?;
            printer::result(format!("{}\n", sealed.id).as_bytes())?;
        }
        Ok(())
    }
}

impl Deploy {
    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<(), Failure> {
        let target = self.release.build(printer, &self.folder, variables)?;
        let tested = self.release.test(printer, &target, variables).await?;
        if self.terms.dry_run {
            done(printer, "Nothing", "is released: --dry-run");
            return Ok(());
        }
        let published = self
            .release
            .publish(printer, &target, Some(&tested), variables);
        let (sealed, mut publisher) = published.await?;
        let function = &sealed.release.function;
        let wanted = release_with(sealed.serves(), function, &self.config)?;
        self.terms
            .make(printer, &mut publisher, &self.to, &wanted)
            .await?;
        printer::result(format!("{}\n", sealed.id).as_bytes())
    }
}

impl ReleaseArguments {
    fn build(
        &self,
        printer: &Printer,
        path: &Path,
        variables: Variables<'_>,
    ) -> Result<Target, Failure> {
        let wanted = Wanted {
            setup: if self.setup {
                Setup::Install
            } else {
                Setup::Tell
            },
            traces: if self.debug_lines {
                Traces::Lines
            } else {
                Traces::Functions
            },
            words: Words::Shown,
        };
        let target = resolve(path, wanted, variables)?;
        report_build(printer, &target);
        Ok(target)
    }

    /// Runs the sample events of what was built.
    async fn test(
        &self,
        printer: &Printer,
        target: &Target,
        variables: Variables<'_>,
    ) -> Result<Tested, Failure> {
        let plan = test::Plan::whole(target, &self.artifacts);
        test::run(printer, &plan, variables).await
    }

    /// Seals what was built, tries it, and puts it into the store.
    async fn publish(
        &self,
        printer: &Printer,
        target: &Target,
        tested: Option<&Tested>,
        variables: Variables<'_>,
    ) -> Result<(Sealed, Publisher), Failure> {
        if !target.component.exists() {
            // It says more than that nothing lies beside it.
            Component::read(&target.component)?;
        }
        let Some(manifest) = &target.manifest else {
            let message = format!(
                "expected a crunchbox.toml beside `{}`: a release needs a function's name",
                target.component.display()
            );
            return Err(Failure::new(Code::ManifestInvalid, message));
        };
        let started = Instant::now();
        let artifacts = self.artifacts.artifacts(variables)?;
        let sealed = seal(printer, manifest, &target.component, artifacts).await?;
        if let Some(tested) = tested {
            check_tested(tested, &sealed, &target.component)?;
        }
        let shelf = self.store.open(Some(&manifest.folder), variables).await?;
        let shelf = with_keys(printer, shelf).await?;
        let imports = &sealed.release.component.imports;
        let review = reviewed(imports, Some(manifest), &shelf.policy.grants)?;
        show_review(printer, &review);
        if let Some(refusal) = review.refusal() {
            return Err(refusal.clone());
        }
        let publisher = self.signing.publisher(&shelf, &manifest.name)?;
        let mut uploaded = self.upload(printer, &shelf, &publisher, &sealed).await?;
        uploaded.review = review;
        report(printer, &manifest.name, &sealed, &uploaded, started);
        Ok((sealed, publisher))
    }

    /// The code, its artifacts where anybody may load them, the release last.
    async fn upload(
        &self,
        printer: &Printer,
        shelf: &Shelf,
        publisher: &Publisher,
        sealed: &Sealed,
    ) -> Result<Uploaded, Failure> {
        let size = sealed.release.component.size;
        let progress = Progress::new(printer, size);
        progress.say("uploading the component");
        publisher.upload_component(sealed).await?;
        progress.add(size);
        let mut targets = Vec::new();
        if shelf.policy.trust.is_signed() {
            let compiler = self.artifacts.compile.compiler()?;
            for target in TARGETS {
                progress.say(&format!("compiling for {}", target.1));
                for way in Interruption::ALL {
                    let done = publisher.precompile(&sealed.component, &compiler, target, way);
                    targets.push(done.await?);
                }
            }
        }
        progress.say("uploading the release");
        let release = publisher.upload_release(sealed).await?;
        Ok(Uploaded {
            release,
            targets,
            review: Review::default(),
        })
    }
}

fn untested(target: &Target) -> Failure {
    let message = format!("expected events to test `{}` with, got none", target.name());
    Failure::new(Code::TestFailed, message).with_hint(
        "put one into events/, as `crunchbox event sns` makes them, and run `crunchbox test --update`",
    )
}

/// What is released has to be what was tested.
fn check_tested(tested: &Tested, sealed: &Sealed, component: &Path) -> Result<(), Failure> {
    let digest = sealed.component.digest().to_string();
    if tested.components.iter().all(|tested| *tested == digest) {
        return Ok(());
    }
    let message = format!("`{}` changed after its tests", component.display());
    Err(Failure::new(Code::TestFailed, message)
        .with_hint("repeat the command when nothing else builds the project"))
}

struct Uploaded {
    release: Written,
    targets: Vec<crate::publish::Precompiled>,
    review: Review,
}

fn report(
    printer: &Printer,
    name: &FunctionName,
    sealed: &Sealed,
    uploaded: &Uploaded,
    started: Instant,
) {
    printer.text(|| {
        let size = Bytes(sealed.release.component.size);
        let how = match uploaded.release {
            Written::Now => format!("{size} uploaded"),
            Written::Before => "unchanged".to_owned(),
        };
        let mut text = format!(
            "    Release  {name}@{} {how} {}",
            sealed.id.short(),
            Time(started.elapsed())
        );
        for target in &uploaded.targets {
            let untried = if target.tried { "" } else { ", untried here" };
            text.push_str(&format!(
                " · {} ✓ ({}{untried})",
                target.target,
                Bytes(target.bytes)
            ));
        }
        text
    });
    printer.json(|| {
        json!({
            "type": "release",
            "function": name,
            "release": sealed.id,
            "component": sealed.component.digest(),
            "bytes": sealed.release.component.size,
            "changed": uploaded.release == Written::Now,
            "reach": uploaded.review,
            "artifacts": uploaded.targets.iter().map(|target| json!({
                "target": target.target,
                "engine": target.engine,
                "bytes": target.bytes,
                "tried": target.tried,
            })).collect::<Vec<_>>(),
        })
    });
}

/// Seals a component with its manifest's limits and base configuration, once it has shown that it can be instantiated.
async fn seal(
    printer: &Printer,
    manifest: &Manifest,
    component: &Path,
    artifacts: crate::engine::Artifacts,
) -> Result<Sealed, Failure> {
    let component = Component::read(component)?;
    let contents = manifest.contents()?;
    let mut layers = Layers::new();
    contents
        .config
        .iter()
        .cloned()
        .for_each(|layer| layers.add(layer));
    let terms = manifest.terms()?;
    let names = stand_in(facts(manifest.name.as_str(), "some-channel"));
    let parts = Parts {
        identity: crate::event::Identity::default(),
        limits: Limits::default().with(&manifest.limits, Says::Release, &limit::Wanted::default()),
        // Other layers will say more; what these say has to be right.
        config: layers.settle(&terms.rules(&Ceiling::default(), names, Extent::Part))?,
        vault: Vault::empty(),
        reach: Default::default(),
    };
    let shape = try_out(&component, parts, artifacts, printer.log()).await?;
    Ok(Sealed::new(
        manifest.name.clone(),
        component,
        shape,
        contents,
    ))
}

/// A store in S3 has to be signed. The first release there makes the key and the policy.
async fn with_keys(printer: &Printer, mut shelf: Shelf) -> Result<Shelf, Failure> {
    if shelf.policy.trust.is_signed() || matches!(shelf.location, Location::Folder(_)) {
        return Ok(shelf);
    }
    if shelf.publishing.key.is_some() {
        let message = format!(
            "CRUNCHBOX_KEY holds a key, but there is no policy that trusts it at `{}`",
            shelf.policy_path.display()
        );
        return Err(Failure::new(Code::PolicyInvalid, message));
    }
    // A store that is not there gets no keys, and no policy that names it.
    shelf.store.list(PROBE).await?;
    let made = keys::make(
        "first",
        Role::ALL.to_vec(),
        Pattern::any(),
        &keys::PolicyFile {
            path: &shelf.policy_path,
            store: Some(&shelf.location),
        },
        &shelf.publishing,
        None,
    )?;
    done(
        printer,
        "Keys",
        "a store in S3 has to be signed, and there is no key yet; made one:",
    );
    keys::report(printer, &made, &shelf.policy_path);
    shelf.policy = Policy::find(&shelf.policy_path)?.unwrap_or_default();
    Ok(shelf)
}
