//! A project or a component in `dev`: built, loaded, served; then built and loaded again whenever its files change, beside
//! what serves, and swapped when it is good.

use super::super::layers::listed;
use super::super::start::{Target, report_build, resolve, target_of};
use super::screen::Swapped;
use super::watch::Watch;
use super::{Setting, Started, Watches};
use crate::error::{Code, Failure};
use crate::front::service::guest::{Channel, Guests, Terms};
use crate::function::{Function, LOCAL, Surroundings};
use crate::guest::Guest;
use crate::host::Host;
use crate::limit::Limits;
use crate::manifest::{self, Manifest};
use crate::overlay;
use crate::policy;
use crate::toolchain::{self, BuildError, Words};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// One function from sources.
#[derive(Debug)]
pub(super) struct Project {
    path: PathBuf,
    setting: Setting,
}

/// What a build and its settings came to.
struct Made {
    target: Target,
    function: Function,
    /// The whole text of the manifest; what it says of grants or limits may have changed and nothing else.
    manifest: Option<String>,
}

/// Why nothing was made, with the words of tools that were not shown yet.
struct Refusal {
    failure: Failure,
    words: String,
}

impl<E: Into<Failure>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self {
            failure: error.into(),
            words: String::new(),
        }
    }
}

/// A function that serves, and what is known of how it came to be.
struct Serving {
    name: String,
    host: Arc<Host>,
    guests: Arc<Guests>,
    watch: Watch,
    manifest: Option<String>,
    /// The number of the last build that served.
    build: u64,
}

impl Project {
    pub(super) fn new(path: &Path, setting: &Setting) -> Self {
        Self {
            path: path.to_owned(),
            setting: setting.clone(),
        }
    }

    /// Builds and loads it, the tools' words on standard error.
    pub(super) async fn start(self) -> Result<Started, Failure> {
        let mut watch = Watch::new(self.folder(), self.named());
        let setting = &self.setting;
        let printer = &setting.printer;
        let target = resolve(
            &self.path,
            setting.arguments.build.wanted(),
            &setting.environment,
        )?;
        report_build(printer, &target);
        self.learn(&mut watch, &target);
        let made = self.configured(target)?;
        let surroundings = Surroundings {
            artifacts: setting
                .arguments
                .artifacts
                .artifacts(&setting.environment)?,
            log: printer.log().clone(),
            concurrency: setting.places,
        };
        let (name, component) = (made.function.name.clone(), made.target.component.clone());
        let function = Function {
            build: Some(1),
            ..made.function
        };
        let ready = function.start(&component, surroundings).await?;
        let host = Arc::new(ready.host);
        let config = listed(host.guest().config());
        overlay::report(printer.log(), host.guest().config());
        if !config.is_empty() {
            printer.text(|| format!("    Config {}", config.join(" < ")));
        }
        let channel = Channel {
            name: LOCAL.to_owned(),
            host: Arc::clone(&host),
        };
        let terms = terms(setting, &name);
        let guests = Arc::new(Guests::new(terms, channel, Vec::new(), None));
        let serving = Serving {
            name: name.clone(),
            host,
            guests: Arc::clone(&guests),
            watch,
            manifest: made.manifest,
            build: 1,
        };
        let watches = setting.watches == Watches::Changes;
        Ok(Started {
            name,
            backend: guests,
            version: "1".to_owned(),
            watch: watches.then(|| Box::pin(self.follow(serving)) as _),
        })
    }

    /// Builds again and again.
    async fn follow(self, mut serving: Serving) {
        let project = Arc::new(self);
        loop {
            let changed = serving.watch.changed().await;
            let cause = project.cause(&changed);
            let started = Instant::now();
            let builder = Arc::clone(&project);
            let made = tokio::task::spawn_blocking(move || builder.make()).await;
            serving.watch.built();
            let made = made.unwrap_or_else(|error| {
                Err(Refusal::from(Failure::new(
                    Code::HostPanic,
                    error.to_string(),
                )))
            });
            let swapped = match made {
                Ok(made) => project.swap(&mut serving, made, &cause, started).await,
                Err(refusal) => Err(refusal),
            };
            if let Err(Refusal { failure, words }) = swapped {
                let screen = &project.setting.screen;
                screen.refused(&serving.name, &cause, &failure, &words);
            }
        }
    }

    /// Lets what was made serve, if it is another than what serves.
    async fn swap(
        &self,
        serving: &mut Serving,
        made: Made,
        cause: &str,
        started: Instant,
    ) -> Result<(), Refusal> {
        self.learn(&mut serving.watch, &made.target);
        let setting = &self.setting;
        let artifacts = setting
            .arguments
            .artifacts
            .artifacts(&setting.environment)?;
        let (limits, build) = (made.function.limits, serving.build + 1);
        let function = Function {
            build: Some(build),
            // What serves under an address goes on under it.
            name: serving.name.clone(),
            ..made.function
        };
        let component = &made.target.component;
        let guest = function
            .reload(component, &artifacts, &serving.host)
            .await?;
        let before = serving.host.guest();
        if is_same(&before, &guest, limits) && made.manifest == serving.manifest {
            setting
                .screen
                .unchanged(&serving.name, before.identity().sequence);
            return Ok(());
        }
        overlay::report(setting.printer.log(), guest.config());
        serving.guests.keep_of(&serving.host, Arc::clone(&before));
        serving.host.swap(Arc::clone(&guest));
        setting.screen.swapped(&Swapped {
            function: &serving.name,
            from: before.identity().sequence,
            to: guest.identity().sequence,
            release: &guest.identity().release,
            cause,
            took: started.elapsed(),
        });
        serving.build = build;
        serving.manifest = made.manifest;
        Ok(())
    }

    /// Builds and configures; waits for tools.
    fn make(&self) -> Result<Made, Refusal> {
        let setting = &self.setting;
        if !self.path.is_dir() {
            return Ok(self.configured(target_of(&self.path)?)?);
        }
        let manifest = Manifest::find(&self.path)?;
        let mut wanted = setting.arguments.build.wanted();
        wanted.words = Words::Kept {
            coloured: setting.printer.is_coloured(),
        };
        let built = toolchain::build(&self.path, manifest.as_ref(), wanted, &setting.environment);
        let built = built.map_err(|error| match error {
            BuildError::Failed { tool, words } => Refusal {
                failure: BuildError::Failed {
                    tool,
                    words: String::new(),
                }
                .into(),
                words,
            },
            error => error.into(),
        })?;
        let target = Target {
            component: built.component.clone(),
            manifest,
            built: Some(built),
        };
        Ok(self.configured(target)?)
    }

    fn configured(&self, target: Target) -> Result<Made, Failure> {
        let setting = &self.setting;
        let function = setting.arguments.function(&target, &setting.environment)?;
        let manifest = target.manifest.as_ref();
        let manifest = manifest.map(|manifest| manifest.folder.join(manifest::FILE_NAME));
        Ok(Made {
            manifest: manifest.and_then(|path| std::fs::read_to_string(path).ok()),
            function,
            target,
        })
    }

    /// What is to be watched, beyond what a folder shows.
    fn learn(&self, watch: &mut Watch, target: &Target) {
        if let Some(built) = &target.built {
            watch.made(&built.component);
            watch.name(built.sources.iter().cloned());
        }
        if let Some(manifest) = &target.manifest {
            let files = manifest.base.iter().chain(&manifest.schema);
            watch.name(files.map(|path| manifest.folder.join(path)));
        }
    }

    fn folder(&self) -> Option<&Path> {
        self.path.is_dir().then_some(&*self.path)
    }

    /// Files that count whatever git thinks of them.
    fn named(&self) -> Vec<PathBuf> {
        let folder = match self.folder() {
            Some(folder) => folder,
            None => self.path.parent().unwrap_or_else(|| Path::new("")),
        };
        let local = crate::config::ENDINGS.map(|(ending, _)| format!("local.{ending}"));
        let here = local
            .iter()
            .map(String::as_str)
            .chain([manifest::FILE_NAME, policy::FILE_NAME]);
        let mut files: Vec<_> = here.map(|name| folder.join(name)).collect();
        if self.folder().is_none() {
            files.push(self.path.clone());
        }
        files.extend(self.setting.arguments.layers.files());
        files
    }

    /// Which files changed, in a few words.
    fn cause(&self, changed: &[PathBuf]) -> String {
        let folder = self.folder().unwrap_or_else(|| Path::new(""));
        let mut named = changed
            .iter()
            .map(|path| path.strip_prefix(folder).unwrap_or(path).display());
        let first = named.next().map(|path| path.to_string());
        match (first, named.count()) {
            (None, _) => "something".to_owned(),
            (Some(first), 0) => first,
            (Some(first), more) => format!("{first} and {more} more"),
        }
    }
}

fn is_same(before: &Guest, now: &Guest, limits: Limits) -> bool {
    let (old, new) = (before.identity(), now.identity());
    (&old.component, &old.config) == (&new.component, &new.config) && before.limits() == limits
}

/// How a function stands in Lambda.
pub(super) fn terms(setting: &Setting, function: &str) -> Terms {
    Terms {
        function: function.to_owned(),
        region: setting.region.clone(),
        timeout: setting.timeout,
    }
}
