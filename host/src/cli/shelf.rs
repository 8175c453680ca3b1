//! Where a command finds releases, and whom it believes: `--store`, `--policy`, the environment, the project's files.

use super::printer::Printer;
use crate::address::{Address, FunctionName};
use crate::cache::Cache;
use crate::config::Layer;
use crate::error::{Code, Failure, Level};
use crate::manifest::Manifest;
use crate::overlay::facts;
use crate::policy::{self, Policy};
use crate::prepare::channel_of;
use crate::quantity::Bytes;
use crate::reader::Reader;
use crate::settings::{Publishing, Variables};
use crate::store::{self, Location, Store};
use crate::watched::Watched;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The store of a project that names none.
const DEFAULT_STORE: &str = ".crunchbox/store";

/// How much of this user's disk the cache may take.
pub(super) const CACHE_BYTES: Bytes = Bytes::mebi(2048);

/// Where releases live, and whose signatures count.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct StoreArguments {
    /// A folder or s3://BUCKET/PREFIX [default: CRUNCHBOX_STORE, else crunchbox.toml's, policy.toml's, .crunchbox/store]
    #[arg(long, value_name = "STORE")]
    store: Option<String>,
    /// Whose signatures count [default: CRUNCHBOX_POLICY, else policy.toml beside crunchbox.toml or here]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// A store and whom to believe about it.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    pub(super) location: Location,
    pub(super) store: Arc<dyn Store>,
    pub(super) policy: Policy,
    /// Where the policy lies, or would lie.
    pub(super) policy_path: PathBuf,
    #[cfg(feature = "publish")]
    pub(super) publishing: Publishing,
}

impl StoreArguments {
    /// Opens the store of the project in `folder`, or of the folder one is in.
    pub(super) async fn open(
        &self,
        folder: Option<&Path>,
        variables: Variables<'_>,
    ) -> Result<Shelf, Failure> {
        let publishing = Publishing::from_environment(variables)?;
        let folder = folder.unwrap_or_else(|| Path::new("."));
        let manifest = Manifest::find(folder)?;
        let policy_path = self.policy_path(folder, &publishing)?;
        let policy = Policy::find_unfinished(&policy_path)?.unwrap_or_default();
        let named = self.store.as_ref().or(publishing.store.as_ref());
        let location = match named {
            Some(text) => text.parse()?,
            None => manifest
                .and_then(|manifest| manifest.store)
                .or_else(|| policy.store.clone())
                .unwrap_or_else(|| Location::Folder(folder.join(DEFAULT_STORE))),
        };
        Ok(Shelf {
            store: store::open(&location).await?,
            location,
            policy,
            policy_path,
            #[cfg(feature = "publish")]
            publishing,
        })
    }

    fn policy_path(&self, folder: &Path, publishing: &Publishing) -> Result<PathBuf, Failure> {
        if let Some(path) = self.policy.as_ref().or(publishing.policy.as_ref()) {
            // Named on purpose, so it has to be there; else everything would be believed.
            return match path.exists() {
                true => Ok(path.clone()),
                false => Err(Failure::new(
                    Code::PolicyInvalid,
                    format!("there is no policy at `{}`", path.display()),
                )),
            };
        }
        let here = PathBuf::from(policy::FILE_NAME);
        let beside = folder.join(policy::FILE_NAME);
        Ok(if !beside.exists() && here.exists() {
            here
        } else {
            beside
        })
    }
}

impl Shelf {
    /// A verified reader of one function's objects.
    ///
    /// # Errors
    /// [`Code::PolicyInvalid`] for a store in S3 without keys: anybody who can write a bucket could write code.
    pub(super) fn reader(&self, function: &FunctionName) -> Result<Reader, Failure> {
        if matches!(self.location, Location::S3(_)) && !self.policy.trust.is_signed() {
            return Err(Failure::new(
                Code::PolicyInvalid,
                format!(
                    "the store `{}` needs keys whose signatures count, and `{}` names none",
                    self.location,
                    self.policy_path.display()
                ),
            )
            .with_hint("name the policy with --policy, or make a key and a policy with `crunchbox keys new NAME`"));
        }
        Ok(Reader::new(
            Arc::clone(&self.store),
            Arc::new(self.policy.trust.clone()),
            None,
            function.clone(),
        ))
    }

    /// What the store's watched files say for an address, where the policy names any. What is missing is told.
    pub(super) async fn watched(
        &self,
        printer: &Printer,
        address: &Address,
    ) -> Result<Vec<Layer>, Failure> {
        let names = facts(address.function.as_str(), &channel_of(address));
        let watched = Watched::new(&self.policy.watched, &names);
        let mut watched = watched.map_err(|problem| Failure::new(Code::PolicyInvalid, problem))?;
        watched.look(&*self.store).await;
        if let Some(failure) = watched.broken() {
            return Err(failure.clone());
        }
        for notice in watched.take_notices() {
            printer.log().host(Level::Warn, &notice.failure.message);
        }
        Ok(watched.layers())
    }

    /// The same with a cache, for what is to run.
    pub(super) fn caching_reader(
        &self,
        function: &FunctionName,
        cache: &Path,
    ) -> Result<Reader, Failure> {
        let cache = Cache::open(cache, self.store.location(), CACHE_BYTES)?;
        Ok(self.reader(function)?.with_cache(Some(cache)))
    }
}

/// Says one thing that was done.
pub(super) fn done(printer: &Printer, verb: &str, what: &str) {
    printer.text(|| format!("    {verb:<8} {what}"));
}
