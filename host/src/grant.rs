//! What a release may reach: read from a manifest, a release or a policy, filled with the facts of a channel, held against
//! an operator's ceiling. Texts and rules only; what a rule means at a socket or in a bucket is for others.

pub mod host;
pub mod http;
pub mod tcp;

use crate::component::Digest;
use crate::error::{Code, Fault};
use crate::object;
use crate::quantity::Bytes;
use crate::secret;
use crate::settings::{Environment, private_prefix};
use crate::template::{Facts, Template};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

pub use http::{HttpRule, Signing};
pub use tcp::{Authorities, TcpRule, Tls, TlsStart};

/// What is wrong with a text, in words.
type Problem = String;

/// Grants as they are sealed: entries by kind, each a text or a table.
pub type Sealed = BTreeMap<String, Vec<Value>>;

/// The kinds of grants, in the order of reports.
pub const KINDS: [&str; 6] = ["http", "tcp", "objects", "secrets", "env", "scratch"];

/// The most entries of one kind: more than anybody reviews.
const ENTRIES_MAX: usize = 256;

/// Private certificates of a whole cloud provider take 170 kB.
const AUTHORITIES_BYTES_MAX: usize = 512 << 10;

/// The most of an entry that an error repeats.
const SHOWN_BYTES_MAX: usize = 512;

/// What a release may reach, templates still in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grants {
    entries: Sealed,
    secrets: Vec<secret::Grant>,
}

/// What a release may reach in one channel.
#[derive(Debug, Clone, Default)]
pub struct Granted {
    /// Requests.
    pub http: Vec<HttpRule>,
    /// Connections.
    pub tcp: Vec<TcpRule>,
    /// Objects.
    pub objects: Vec<object::Rule>,
    /// Variables of the host's environment.
    pub env: Vec<String>,
    /// A folder that an event has to itself, and how much goes into it.
    pub scratch: Option<Bytes>,
}

/// The most that an operator lets releases reach. Of a kind that it does not speak of, everything.
#[derive(Debug, Clone, Default)]
pub struct Ceiling {
    entries: Sealed,
    granted: Granted,
    secrets: Option<Vec<secret::Grant>>,
}

/// Why grants are not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// There is no such kind.
    #[error("`{kind}` is no kind of grant, expected one of {}", KINDS.join(", "))]
    Kind {
        /// The kind.
        kind: String,
    },
    /// An entry says what it must not.
    #[error("[grants] {kind}, `{entry}`: {problem}")]
    Entry {
        /// The kind.
        kind: String,
        /// The entry.
        entry: String,
        /// What was expected.
        problem: String,
    },
    /// The operator's policy does not allow it.
    #[error("[grants] {kind}, `{entry}`: policy.toml allows {}", allowed(.ceiling))]
    Beyond {
        /// The kind.
        kind: String,
        /// The entry, filled.
        entry: String,
        /// What is allowed.
        ceiling: Vec<String>,
    },
}

fn allowed(ceiling: &[String]) -> String {
    match ceiling {
        [] => "none of its kind".to_owned(),
        entries => format!("only {}", entries.join(", ")),
    }
}

impl Fault for GrantError {
    fn code(&self) -> Code {
        match self {
            Self::Kind { .. } => Code::GrantUnknown,
            Self::Entry { .. } => Code::GrantInvalid,
            Self::Beyond { .. } => Code::GrantBeyondPolicy,
        }
    }
}

/// One entry, as all kinds together spell them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// The other end of a request or a connection.
    #[serde(default)]
    to: String,
    /// Where objects are.
    #[serde(default)]
    at: String,
    sign: Option<String>,
    region: Option<String>,
    tls: Option<String>,
    /// The file of certificates in a manifest, the certificates themselves in a release.
    ca: Option<String>,
    allow: Option<Vec<object::Access>>,
    #[serde(skip)]
    authorities: Option<Authorities>,
}

/// What an entry of a kind may say beside its text.
fn keys_of(kind: &str) -> &'static [&'static str] {
    match kind {
        "http" => &["to", "sign", "region", "ca"],
        "tcp" => &["to", "tls", "ca"],
        "objects" => &["at", "allow"],
        _ => &[],
    }
}

impl Grants {
    /// Reads what a release or a policy says.
    ///
    /// # Errors
    /// [`GrantError::Kind`] or [`GrantError::Entry`].
    pub fn parse(sealed: &Sealed) -> Result<Self, GrantError> {
        let mut grants = Self::default();
        for (kind, entries) in sealed {
            if !KINDS.contains(&kind.as_str()) {
                return Err(GrantError::Kind { kind: kind.clone() });
            }
            let refused = |entry: &Value, problem| refused(kind, entry, problem);
            if entries.len() > ENTRIES_MAX || (kind == "scratch" && entries.len() > 1) {
                let most = if kind == "scratch" { 1 } else { ENTRIES_MAX };
                return Err(refused(&Value::Null, format!("expected at most {most}")));
            }
            for value in entries {
                let entry = Entry::read(kind, value).map_err(|problem| refused(value, problem))?;
                if kind == "secrets" {
                    let grant = entry
                        .to
                        .parse()
                        .map_err(|problem| refused(value, problem))?;
                    grants.secrets.push(grant);
                } else {
                    let plain = Template::parse(entry.text()).map(|template| template.plain());
                    let plain = plain.map(|plain| entry.with(plain));
                    let added = plain.and_then(|entry| Granted::default().add(kind, &entry));
                    added.map_err(|problem| refused(value, problem))?;
                }
            }
            if !entries.is_empty() {
                grants.entries.insert(kind.clone(), entries.clone());
            }
        }
        Ok(grants)
    }

    /// Reads `[grants]` of a manifest or a policy, where one entry may stand without its list, and `ca` names a file in
    /// `folder`.
    ///
    /// # Errors
    /// As [`Grants::parse`].
    pub fn read(table: BTreeMap<String, Value>, folder: &Path) -> Result<Self, GrantError> {
        let listed = table.into_iter().map(|(kind, value)| {
            let entries = match value {
                Value::Array(entries) => entries,
                one => vec![one],
            };
            let entries = entries
                .into_iter()
                .map(|entry| with_certificates(&kind, entry, folder));
            let entries = entries.collect::<Result<Vec<_>, _>>()?;
            Ok((kind, entries))
        });
        Self::parse(&listed.collect::<Result<Sealed, _>>()?)
    }

    /// What goes into a release.
    pub fn seal(&self) -> Sealed {
        self.entries.clone()
    }

    /// Secrets that a configuration may refer to.
    pub fn secrets(&self) -> &[secret::Grant] {
        &self.secrets
    }

    /// The names that templates ask for.
    pub fn asked(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (kind, entry) in self.entries() {
            if let Ok(template) = Template::parse(entry.text())
                && kind != "secrets"
            {
                names.extend(template.names().map(str::to_owned));
            }
        }
        names
    }

    /// Each entry by itself: its kind, its text for a person, and the grant that it alone makes.
    pub fn apart(&self) -> Vec<(String, String, Self)> {
        let entries = self.entries.iter().flat_map(|(kind, entries)| {
            entries.iter().map(move |entry| {
                let alone = Sealed::from([(kind.clone(), vec![entry.clone()])]);
                let grants = Self {
                    entries: alone,
                    secrets: Vec::new(),
                };
                (kind.clone(), shown(entry), grants)
            })
        });
        entries.collect()
    }

    fn entries(&self) -> impl Iterator<Item = (&str, Entry)> {
        self.entries.iter().flat_map(|(kind, entries)| {
            let entries = entries
                .iter()
                .filter_map(|value| Entry::read(kind, value).ok());
            entries.map(move |entry| (kind.as_str(), entry))
        })
    }

    /// What it may reach where these facts hold, within a ceiling.
    ///
    /// # Errors
    /// [`GrantError::Entry`] or [`GrantError::Beyond`].
    pub fn fill(&self, facts: &Facts, ceiling: &Ceiling) -> Result<Granted, GrantError> {
        let mut granted = Granted::default();
        for (kind, entry) in self.entries() {
            if kind == "secrets" {
                continue;
            }
            let refused = |problem| GrantError::Entry {
                kind: kind.to_owned(),
                entry: entry.text().to_owned(),
                problem,
            };
            let filled = Template::parse(entry.text()).and_then(|template| template.fill(facts));
            let filled = entry.with(filled.map_err(refused)?);
            let mut one = Granted::default();
            one.add(kind, &filled).map_err(refused)?;
            ceiling.check(kind, &one, filled.text())?;
            granted.append(one);
        }
        Ok(granted)
    }
}

impl Ceiling {
    /// Reads `[grants]` of a policy.
    ///
    /// # Errors
    /// As [`Grants::read`]; templates have nothing to be filled with in a policy.
    pub fn read(table: BTreeMap<String, Value>, folder: &Path) -> Result<Self, GrantError> {
        let kinds: Vec<String> = table.keys().cloned().collect();
        let grants = Grants::read(table, folder)?;
        let granted = grants.fill(&Facts::default(), &Self::default())?;
        let mut entries = grants.seal();
        for kind in kinds {
            entries.entry(kind).or_default();
        }
        let secrets = entries
            .contains_key("secrets")
            .then(|| grants.secrets.clone());
        Ok(Self {
            entries,
            granted,
            secrets,
        })
    }

    /// What secrets are allowed; none where nothing is said.
    pub fn secrets(&self) -> Option<&[secret::Grant]> {
        self.secrets.as_deref()
    }

    fn check(&self, kind: &str, one: &Granted, text: &str) -> Result<(), GrantError> {
        let Some(entries) = self.entries.get(kind) else {
            return Ok(());
        };
        let most = &self.granted;
        let within = one
            .http
            .iter()
            .all(|rule| most.http.iter().any(|most| most.contains(rule)))
            && one
                .tcp
                .iter()
                .all(|rule| most.tcp.iter().any(|most| most.contains(rule)))
            && one
                .objects
                .iter()
                .all(|rule| most.objects.iter().any(|most| most.covers(rule)))
            && one.env.iter().all(|name| most.env.contains(name))
            && one.scratch <= most.scratch;
        if within {
            return Ok(());
        }
        Err(GrantError::Beyond {
            kind: kind.to_owned(),
            entry: text.to_owned(),
            ceiling: entries.iter().map(shown).collect(),
        })
    }
}

impl Granted {
    fn add(&mut self, kind: &str, entry: &Entry) -> Result<(), Problem> {
        match kind {
            "http" => self.http.push(HttpRule::new(entry)?),
            "tcp" => self.tcp.push(TcpRule::new(entry)?),
            "objects" => {
                let allow = entry.allow.as_deref().unwrap_or(&[object::Access::Read]);
                self.objects.push(object::Rule::new(&entry.at, allow)?);
            }
            "env" => self.env.push(variable(&entry.to)?),
            _ => self.scratch = Some(entry.to.parse()?),
        }
        Ok(())
    }

    fn append(&mut self, mut other: Self) {
        self.http.append(&mut other.http);
        self.tcp.append(&mut other.tcp);
        self.objects.append(&mut other.objects);
        self.env.append(&mut other.env);
        self.scratch = other.scratch.or(self.scratch);
    }

    /// The variables that are granted and there, with their values.
    ///
    /// # Errors
    /// [`GrantError::Entry`] for a value that is no text.
    pub fn variables(
        &self,
        environment: &Environment,
    ) -> Result<Vec<(String, String)>, GrantError> {
        let named = self.env.iter().filter_map(|name| {
            let value = environment.get(name)?;
            Some(
                value
                    .into_string()
                    .map(|value| (name.clone(), value))
                    .map_err(|_| GrantError::Entry {
                        kind: "env".to_owned(),
                        entry: name.clone(),
                        problem: "expected its value to be UTF-8".to_owned(),
                    }),
            )
        });
        named.collect()
    }
}

fn variable(name: &str) -> Result<String, Problem> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        return Err("expected the name of an environment variable".to_owned());
    }
    match private_prefix(name) {
        Some(prefix) => Err(format!(
            "no guest may have a variable whose name begins with `{prefix}`; requests to AWS are signed by `sign`, secrets come by `secrets`"
        )),
        None => Ok(name.to_owned()),
    }
}

impl Entry {
    fn read(kind: &str, value: &Value) -> Result<Self, Problem> {
        let mut entry = match value {
            Value::String(text) if kind == "objects" => Self {
                at: text.clone(),
                ..Self::default()
            },
            Value::String(text) => Self {
                to: text.clone(),
                ..Self::default()
            },
            Value::Object(table) if !keys_of(kind).is_empty() => {
                let keys = keys_of(kind);
                if let Some(key) = table.keys().find(|key| !keys.contains(&key.as_str())) {
                    return Err(format!("unknown key `{key}`, expected {}", keys.join(", ")));
                }
                Self::deserialize(value).map_err(|error| error.to_string())?
            }
            _ if keys_of(kind).is_empty() => return Err("expected a string".to_owned()),
            _ => return Err("expected a string or a table".to_owned()),
        };
        entry.authorities = entry.ca.as_deref().map(authorities).transpose()?;
        Ok(entry)
    }

    fn text(&self) -> &str {
        if self.at.is_empty() {
            &self.to
        } else {
            &self.at
        }
    }

    fn with(&self, text: String) -> Self {
        let mut entry = self.clone();
        if entry.at.is_empty() {
            entry.to = text;
        } else {
            entry.at = text;
        }
        entry
    }
}

/// Certificates as PEM.
fn authorities(pem: &str) -> Result<Authorities, Problem> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
    let certificates: Vec<_> = certificates
        .collect::<Result<_, _>>()
        .map_err(|error| format!("ca: {error}"))?;
    if certificates.is_empty() {
        return Err("expected ca to hold certificates as PEM".to_owned());
    }
    Ok(certificates.into())
}

/// A manifest names the file of the certificates: they are sealed with the rest.
fn with_certificates(kind: &str, mut entry: Value, folder: &Path) -> Result<Value, GrantError> {
    const PEM: &str = "-----BEGIN";
    let Some(Value::String(file)) = entry.get("ca") else {
        return Ok(entry);
    };
    if file.contains(PEM) {
        return Ok(entry);
    }
    let path = folder.join(file);
    let problem = |problem: String| {
        refused(
            kind,
            &entry,
            format!("cannot read `{}`: {problem}", path.display()),
        )
    };
    // A file without an end is none of certificates.
    let read = std::fs::File::open(&path).and_then(|file| {
        let mut pem = String::new();
        let most = u64::try_from(AUTHORITIES_BYTES_MAX).unwrap_or(u64::MAX);
        file.take(most.saturating_add(1)).read_to_string(&mut pem)?;
        Ok(pem)
    });
    let pem = read.map_err(|error| problem(error.to_string()))?;
    if pem.len() > AUTHORITIES_BYTES_MAX {
        return Err(problem(format!(
            "expected at most {AUTHORITIES_BYTES_MAX} bytes"
        )));
    }
    if let Some(table) = entry.as_object_mut() {
        table.insert("ca".to_owned(), certificates_of(&pem).into());
    }
    Ok(entry)
}

/// Of a PEM file only the certificates: whatever else is in it, a key perhaps, is nobody's business.
fn certificates_of(pem: &str) -> String {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let blocks = pem.split(BEGIN).skip(1);
    let blocks = blocks.filter_map(|block| Some(block.split_once(END)?.0));
    blocks
        .map(|block| format!("{BEGIN}{block}{END}\n"))
        .collect()
}

fn refused(kind: &str, entry: &Value, problem: String) -> GrantError {
    let mut entry = shown(entry);
    entry.truncate(entry.floor_char_boundary(SHOWN_BYTES_MAX.min(entry.len())));
    GrantError::Entry {
        kind: kind.to_owned(),
        entry,
        problem,
    }
}

/// An entry as a person reads it: its text first, then what else it says.
pub fn shown(entry: &Value) -> String {
    let Value::Object(table) = entry else {
        return entry
            .as_str()
            .map_or_else(|| entry.to_string(), str::to_owned);
    };
    let text = ["to", "at"]
        .iter()
        .find_map(|key| table.get(*key)?.as_str());
    let mut shown = text.unwrap_or_default().to_owned();
    for (key, value) in table
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "to" | "at"))
    {
        let value = match (key.as_str(), value) {
            // Which ones, in few words: others are another grant.
            ("ca", value) => Digest::of(shown_part(value).as_bytes()).short(),
            (_, Value::Array(values)) => {
                values.iter().map(shown_part).collect::<Vec<_>>().join("+")
            }
            (_, value) => shown_part(value),
        };
        shown.push_str(&format!(" {key}={value}"));
    }
    shown
}

fn shown_part(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
