//! What deploys a package: templates for AWS SAM and Terraform, policies, a workflow, an image, made from what a project and
//! its policy say. Texts only: writes no file, asks no network, and knows nobody's account.

mod iam;
mod image;
mod pattern;
mod policies;
mod reach;
mod sam;
mod terraform;
mod text;
mod trigger;
mod workflow;

use crate::address::FunctionName;
use crate::limit::{Limits, Wanted};
use crate::manifest::Manifest;
use crate::policy::Policy;
use crate::quantity::Bytes;
use crate::settings::{LAMBDA_CACHE_BYTES, lambda_memory_mb};
use crate::store::{Location, S3Location};
use crate::template::{self, Template};
use pattern::{Known, Pattern};
use reach::Reach;
use std::path::PathBuf;
use std::time::Duration;

pub use trigger::Trigger;

/// A function's `/tmp` in megabytes: steps to choose it in, what every one has, and the most that it can have.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
const STORAGE_STEP_MB: u64 = 64;
const STORAGE_MIN_MB: u64 = 512;
const STORAGE_MAX_MB: u64 = 10_240;

/// The longest that Lambda lets a function run, and how long where nobody says it.
const TIMEOUT_MAX: Duration = Duration::from_secs(900);
const TIMEOUT: Duration = Duration::from_secs(30);

/// What an event needs beside the guest's time: to report, and to look at the store before the next one.
const TIMEOUT_RESERVE: Duration = Duration::from_secs(1);

/// The longest name of a Lambda function has 64 characters. This one's ends in a dash and a channel, for which the templates
/// allow 16.
const STEM_CHARS_MAX: usize = 64 - 1 - 16;

/// A host that has not reached its store for so many times `max-stale`, or for so long at least, is worth an alarm.
const STALE_FACTOR: u64 = 5;
const STALE_MIN_SECONDS: u64 = 300;

/// What is deployed, as far as a project says it.
#[derive(Debug, Clone)]
pub struct Facts {
    name: FunctionName,
    memory_mb: u64,
    timeout: Duration,
    /// The function's `/tmp`; none where every function's will do.
    storage_mb: Option<u64>,
    /// The store; none where no file of the project names one in S3.
    store: Option<S3Location>,
    store_said: StoreSaid,
    /// Keys below the store's prefix that hosts read beside the function's own.
    watched: Vec<Pattern>,
    reach: Reach,
    /// The namespace of metrics.
    metrics: Option<String>,
    stale_seconds: u64,
    /// In order, each once.
    triggers: Vec<Trigger>,
}

/// Who says where the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoreSaid {
    /// `policy.toml`, which is in the package.
    InPolicy,
    /// `crunchbox.toml`, which is not.
    InManifest,
    /// Neither.
    Elsewhere,
}

impl Facts {
    /// What a project, its policy and its store come to. A store that is a folder is none that a deployed host could reach.
    pub fn of(
        manifest: &Manifest,
        policy: &Policy,
        store: Option<&Location>,
        triggers: &[Trigger],
    ) -> Self {
        let name = manifest.name.clone();
        let reach = Reach::of(&manifest.grants, name.as_str());
        let mut triggers = triggers.to_vec();
        triggers.sort();
        triggers.dedup();
        let store_said = match store {
            Some(_) if policy.store.as_ref() == store => StoreSaid::InPolicy,
            Some(_) if manifest.store.as_ref() == store => StoreSaid::InManifest,
            _ => StoreSaid::Elsewhere,
        };
        let stale = policy.refresh.max_stale.as_secs();
        let stale = stale.saturating_mul(STALE_FACTOR).max(STALE_MIN_SECONDS);
        Self {
            memory_mb: lambda_memory_mb(memory(&manifest.limits, &policy.ceilings)),
            timeout: lambda_timeout(time(&manifest.limits, &policy.ceilings)),
            storage_mb: storage_mb(reach.scratch, policy.cache.unwrap_or(LAMBDA_CACHE_BYTES)),
            store: match store {
                Some(Location::S3(s3)) => Some(s3.clone()),
                Some(Location::Folder(_)) | None => None,
            },
            store_said,
            watched: watched(&policy.watched, name.as_str()),
            reach,
            metrics: policy.metrics.clone(),
            stale_seconds: stale,
            triggers,
            name,
        }
    }

    /// What the Lambda function's name begins with, before a dash and the channel.
    fn stem(&self) -> &str {
        let name = self.name.as_str();
        name.get(..STEM_CHARS_MAX).unwrap_or(name)
    }

    /// What tells a host where the store is, if the package does not.
    fn store_variable(&self) -> Option<String> {
        let is_needed = self.store_said != StoreSaid::InPolicy;
        let store = self.store.as_ref().filter(|_| is_needed);
        store.map(S3Location::url)
    }

    /// What whoever deploys has to know or to do, one sentence or two each.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.store.is_none() {
            notes.push(
                "No file names a store in S3: the templates ask for its bucket and prefix."
                    .to_owned(),
            );
        }
        if self.metrics.is_none() {
            notes.push(
                "policy.toml asks for no metrics: add `[metrics]`, package and write the templates again, and an alarm \
                 tells when hosts refuse a release (ReleaseRefused) or have lost their store (StaleSeconds)."
                    .to_owned(),
            );
        }
        if !self.reach.tcp.is_empty() {
            notes.push(
                "The grant `tcp` mostly leads into a VPC: give its id, subnets and route tables. From there the store is \
                 reached through S3's gateway endpoint only; without it requests wait and nothing says why."
                    .to_owned(),
            );
        }
        if !self.reach.signed.is_empty() {
            notes.push(format!(
                "Requests are signed for {}: say which actions and which resources the role allows there.",
                self.reach.signed.join(", ")
            ));
        }
        if !self.reach.variables.is_empty() {
            notes.push(format!(
                "Set these variables of the function: {}.",
                self.reach.variables.join(", ")
            ));
        }
        if self.triggers.contains(&Trigger::S3) {
            notes.push(
                "An event of S3 has the object's name only: to read it, the function takes a grant `objects` of that \
                 bucket, and where it writes must not be where its events come from."
                    .to_owned(),
            );
        }
        notes
    }
}

/// The files, by their paths in the folder that they are written to.
pub fn files(facts: &Facts) -> Vec<(PathBuf, String)> {
    let mut files = vec![
        ("README.md", image::readme(facts)),
        ("template.yaml", sam::template(facts)),
        ("main.tf", terraform::configuration(facts)),
        ("Dockerfile", image::dockerfile(facts)),
        (".github/workflows/crunchbox.yml", workflow::workflow(facts)),
    ];
    files.extend(policies::files(facts));
    let files = files.into_iter();
    files.map(|(path, text)| (path.into(), text)).collect()
}

/// The timeout of a Lambda function whose guests have this limit, in whole seconds.
pub(crate) fn lambda_timeout(limit: Option<Duration>) -> Duration {
    let Some(limit) = limit else {
        return TIMEOUT;
    };
    let needed = limit.saturating_add(TIMEOUT_RESERVE).min(TIMEOUT_MAX);
    let begun = u64::from(needed.subsec_nanos() > 0);
    Duration::from_secs(needed.as_secs() + begun)
}

fn memory(wanted: &Wanted, most: &Wanted) -> Bytes {
    let memory = wanted.memory.unwrap_or_else(|| Limits::default().memory);
    most.memory.map_or(memory, |most| memory.min(most))
}

fn time(wanted: &Wanted, most: &Wanted) -> Option<Duration> {
    let times = [wanted.time, most.time].into_iter().flatten();
    times.map(|time| time.0).min()
}

/// A `/tmp` for scratch folders and the cache.
fn storage_mb(scratch: Option<Bytes>, cache: Bytes) -> Option<u64> {
    let needed = scratch?.0.saturating_add(cache.0).div_ceil(1 << 20);
    let needed = needed
        .div_ceil(STORAGE_STEP_MB)
        .saturating_mul(STORAGE_STEP_MB);
    (needed > STORAGE_MIN_MB).then_some(needed.min(STORAGE_MAX_MB))
}

/// The keys of watched files, the channel open. Those that ask for more than hosts fill in are no host's either.
fn watched(files: &[Template], function: &str) -> Vec<Pattern> {
    let keys = files.iter().filter_map(|file| {
        let facts = template::Facts::default().with("function", function);
        let without = file.fill(&facts.clone().with("channel", "1")).ok()?;
        // A word that stands for the channel, and for nothing that is in the key already.
        let mut word = "channel".to_owned();
        while without.contains(&word) {
            word.push('-');
        }
        let filled = file.fill(&facts.with("channel", &word)).ok()?;
        let mut pieces = Vec::new();
        for (index, part) in filled.split(word.as_str()).enumerate() {
            if index > 0 {
                pieces.push(Known::Channel.into());
            }
            if !part.is_empty() {
                pieces.push(part.into());
            }
        }
        Some(Pattern::new(pieces))
    });
    keys.collect()
}

#[cfg(test)]
mod tests;
