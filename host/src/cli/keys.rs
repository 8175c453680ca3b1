//! `crunchbox keys`: secret keys on this machine, their public halves in the policy.

use super::printer::Printer;
use super::publisher::{Lifetime, SigningArguments};
use super::shelf::{Shelf, StoreArguments, done};
use crate::address::FunctionName;
use crate::error::{Code, Failure};
use crate::policy::Policy;
use crate::publish::{Keyring, Publisher, SecretKey, Until};
use crate::settings::{Publishing, Variables};
use crate::store::Location;
use crate::trust::{Pattern, Role, TrustedKey};
use serde_json::json;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Make signing keys, and renew signatures.
#[derive(Debug, clap::Args)]
pub(super) struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    New(New),
    Resign(Resign),
}

/// Make a key: the secret half stays on this machine, the public half goes into policy.toml.
///
/// Put policy.toml into the package of the host, and give build servers the text of the secret key as CRUNCHBOX_KEY.
#[derive(Debug, clap::Args)]
struct New {
    /// What to call it, such as `ci-2026`.
    name: FunctionName,
    /// What it may sign; all, unless said.
    #[arg(long, value_delimiter = ',')]
    roles: Vec<Role>,
    /// For which functions: a name, or the start of one and a `*`.
    #[arg(long, default_value = "*", value_parser = Pattern::new)]
    functions: Pattern,
    /// The policy to add it to.
    #[arg(long, value_name = "FILE", default_value = crate::policy::FILE_NAME)]
    policy: PathBuf,
    /// Protect it by the password in CRUNCHBOX_KEY_PASSWORD.
    #[arg(long)]
    password: bool,
    /// Report in JSON lines on standard error.
    #[arg(long)]
    json: bool,
}

/// Sign what is in the store with the keys of the policy that are here, beside the signatures that are there.
///
/// Run it after `keys new`, deploy the policy with both keys, then take the old key out of the policy.
#[derive(Debug, clap::Args)]
struct Resign {
    /// The functions; all, unless said.
    functions: Vec<FunctionName>,
    /// Move the channels, so that hosts which start believe their states for so long from now.
    #[arg(long, value_name = "TIME")]
    not_after: Option<Lifetime>,
    /// The store was not signed until now: sign all that is sound in it.
    #[arg(long, conflicts_with = "not_after")]
    first: bool,
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    signing: SigningArguments,
    /// Report in JSON lines on standard error.
    #[arg(long)]
    json: bool,
}

impl Keys {
    pub(super) fn wants_json(&self) -> bool {
        match &self.command {
            Command::New(new) => new.json,
            Command::Resign(resign) => resign.json,
        }
    }

    pub(super) async fn execute(
        &self,
        printer: &Printer,
        variables: Variables<'_>,
    ) -> Result<(), Failure> {
        match &self.command {
            Command::New(new) => new.execute(printer, variables),
            Command::Resign(resign) => resign.execute(printer, variables).await,
        }
    }
}

impl New {
    fn execute(&self, printer: &Printer, variables: Variables<'_>) -> Result<(), Failure> {
        let publishing = Publishing::from_environment(variables)?;
        let password = match (self.password, &publishing.password) {
            (false, _) => None,
            (true, Some(password)) => Some(password.as_str()),
            (true, None) => {
                let message = "--password needs the password in CRUNCHBOX_KEY_PASSWORD";
                return Err(Failure::new(Code::SettingInvalid, message));
            }
        };
        let roles = if self.roles.is_empty() {
            Role::ALL.to_vec()
        } else {
            self.roles.clone()
        };
        let made = make(
            self.name.as_str(),
            roles,
            self.functions.clone(),
            &PolicyFile {
                path: &self.policy,
                store: None,
            },
            &publishing,
            password,
        )?;
        report(printer, &made, &self.policy);
        super::printer::result(format!("{}\n", made.trusted.public()).as_bytes())
    }
}

/// A key just made.
pub(super) struct Made {
    pub(super) trusted: TrustedKey,
    secret: PathBuf,
}

pub(super) fn report(printer: &Printer, made: &Made, policy: &Path) {
    let key = &made.trusted;
    done(printer, "Key", &format!("`{}` ({})", key.name, key.id));
    done(
        printer,
        "Secret",
        &format!("{} — keep it, and let nobody see it", made.secret.display()),
    );
    done(
        printer,
        "Policy",
        &format!(
            "{} trusts it; put that file into the host's package",
            policy.display()
        ),
    );
    printer.json(|| {
        json!({
            "type": "key",
            "name": key.name,
            "id": key.id,
            "public": key.public(),
            "secret": made.secret,
            "policy": policy,
        })
    });
}

/// A policy to add a key to; a new one says where the store is as well.
pub(super) struct PolicyFile<'a> {
    pub(super) path: &'a Path,
    pub(super) store: Option<&'a Location>,
}

/// Makes a key and has the policy trust it.
pub(super) fn make(
    name: &str,
    roles: Vec<Role>,
    functions: Pattern,
    policy: &PolicyFile<'_>,
    publishing: &Publishing,
    password: Option<&str>,
) -> Result<Made, Failure> {
    let known = Policy::find_unfinished(policy.path)?.unwrap_or_default();
    if known.trust.keys().iter().any(|key| key.name == name) {
        let message = format!("`{}` trusts a key `{name}` already", policy.path.display());
        return Err(Failure::new(Code::PolicyInvalid, message).with_hint("choose another name"));
    }
    let ring = Keyring {
        folder: publishing.keys.clone(),
        ..Keyring::default()
    };
    let secret = ring.path(name).ok_or_else(|| {
        Failure::new(
            Code::SettingInvalid,
            "expected a home folder for keys in HOME or XDG_CONFIG_HOME",
        )
    })?;
    let public = match std::fs::read_to_string(&secret) {
        // Made for another project; a key may be trusted in as many places as one likes.
        Ok(text) => SecretKey::parse(&secret.display().to_string(), &text, password)?.public()?,
        Err(_) => SecretKey::make(&secret, password)?.1,
    };
    let refused = |problem| Failure::new(Code::PolicyInvalid, problem);
    let trusted = TrustedKey::new(name.to_owned(), &public, roles, functions).map_err(refused)?;
    add_to_policy(policy, &trusted)?;
    Ok(Made { trusted, secret })
}

/// Adds a key at the end of the policy's file; what stands there stays as its author wrote it.
fn add_to_policy(policy: &PolicyFile<'_>, key: &TrustedKey) -> Result<(), Failure> {
    let path = policy.path;
    let failed = |error: std::io::Error| {
        let message = format!("cannot write the policy `{}`: {error}", path.display());
        Failure::new(Code::OutputFailed, message)
    };
    let mut text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => match policy.store {
            Some(Location::S3(s3)) => format!("[store]\nurl = {:?}\n", s3.url()),
            Some(Location::Folder(_)) | None => String::new(),
        },
        Err(error) => return Err(failed(error)),
    };
    if !text.is_empty() {
        text.push('\n');
    }
    let roles: Vec<String> = key
        .roles
        .iter()
        .map(|role| format!("{role:?}").to_lowercase())
        .collect();
    text.push_str(&format!(
        "[[keys]]\nname = {:?}\npublic = {:?}\nroles = {roles:?}\nfunctions = {:?}\n",
        key.name,
        key.public(),
        key.functions.as_str(),
    ));
    // By renaming: half a policy, or an empty one, would believe what the whole one refuses.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(folder.unwrap_or_else(|| Path::new(".")))
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

impl Resign {
    async fn execute(&self, printer: &Printer, variables: Variables<'_>) -> Result<(), Failure> {
        let shelf = self.store.open(None, variables).await?;
        let functions = match self.functions.as_slice() {
            [] => crate::publish::inventory::functions(&*shelf.store).await?,
            named => named.iter().cloned().collect(),
        };
        let until = self.not_after.map(Lifetime::until);
        let mut skipped = 0;
        for function in functions {
            let publisher: Publisher = self.signing.publisher(&shelf, &function)?;
            skipped += self.one(printer, &shelf, &publisher, until).await?;
        }
        if skipped == 0 {
            return Ok(());
        }
        let message = format!("{skipped} objects were left as they are");
        Err(Failure::new(Code::SignatureInvalid, message).with_hint(
            "look at each; `--first` signs what was never signed, `promote` writes a channel anew",
        ))
    }

    async fn one(
        &self,
        printer: &Printer,
        shelf: &Shelf,
        publisher: &Publisher,
        until: Option<Until>,
    ) -> Result<usize, Failure> {
        let function = publisher.reader.function();
        if !shelf.policy.trust.is_signed() {
            let message = format!("`{}` trusts no key", shelf.policy_path.display());
            return Err(Failure::new(Code::KeyMissing, message));
        }
        let signed = publisher.resign(self.first, until).await?;
        let what = format!(
            "{function}: {} releases, {} artifacts, {} channels",
            signed.releases, signed.statements, signed.channels
        );
        done(printer, "Signed", &what);
        printer.json(|| {
            json!({
                "type": "resigned",
                "function": function,
                "releases": signed.releases,
                "artifacts": signed.statements,
                "channels": signed.channels,
                "skipped": signed.skipped,
            })
        });
        for skipped in &signed.skipped {
            done(printer, "Skipped", &crate::telemetry::printable(skipped));
        }
        Ok(signed.skipped.len())
    }
}
