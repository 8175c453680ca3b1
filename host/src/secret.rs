//! References to secrets, which configurations hold in place of them, and what a release may refer to. The values
//! themselves are had by [`vault`], when a guest asks.

#[cfg(feature = "secrets")]
mod aws;
mod vault;

use crate::template::{Facts, Template};
use std::fmt;
use std::str::FromStr;

pub use vault::{Keep, SecretError, SecretText, Vault};

/// Variables that no guest may see, whatever it is granted: credentials and settings of the platform and of this host.
const PRIVATE: [&str; 6] = [
    "AWS_",
    "LAMBDA_",
    "CRUNCHBOX_",
    "_HANDLER",
    "_X_AMZN",
    "_AWS_",
];

/// The longest reference; a parameter's name has at most 2,048 bytes with its hierarchy (SSM's API reference).
const REFERENCE_BYTES_MAX: usize = 4 << 10;

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// By whom.
    pub keeper: Keeper,
    /// Its name there; may hold templates until the reference is [filled](Self::filled).
    pub name: String,
    /// The key inside a secret that is a JSON object; only Secrets Manager's have one.
    pub key: Option<String>,
}

/// Who keeps secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keeper {
    /// An environment variable of the host's.
    Environment,
    /// A parameter in SSM's Parameter Store.
    Ssm,
    /// A secret in Secrets Manager.
    SecretsManager,
}

impl Keeper {
    const ALL: [Self; 3] = [Self::Environment, Self::Ssm, Self::SecretsManager];

    fn prefix(self) -> &'static str {
        match self {
            Self::Environment => "env:",
            Self::Ssm => "ssm:",
            Self::SecretsManager => "secretsmanager:",
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.keeper.prefix(), self.name)?;
        match &self.key {
            Some(key) => write!(f, "#{key}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (keeper, name) = split(text)?;
        let (name, key) = match (keeper, name.split_once('#')) {
            (Keeper::SecretsManager, Some((name, key))) => (name, Some(key)),
            _ => (name, None),
        };
        if key.is_some_and(str::is_empty) {
            return Err("expected a key after `#`".to_owned());
        }
        Template::parse(name)?;
        check_name(keeper, &without_templates(name))?;
        Ok(Self {
            keeper,
            name: name.to_owned(),
            key: key.map(str::to_owned),
        })
    }
}

fn split(text: &str) -> Result<(Keeper, &str), String> {
    let keeper = Keeper::ALL
        .into_iter()
        .find_map(|keeper| Some((keeper, text.strip_prefix(keeper.prefix())?)));
    keeper
        .filter(|(_, name)| !name.is_empty() && name.len() <= REFERENCE_BYTES_MAX)
        .ok_or_else(|| {
            "expected a secret such as `env:DB_PASSWORD`, `ssm:/crunch/db` or `secretsmanager:prod/db#password`"
                .to_owned()
        })
}

/// A name as if every template in it were filled with a plain word.
fn without_templates(name: &str) -> String {
    let mut plain = String::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once("{{") {
        plain.push_str(before);
        plain.push('x');
        rest = after.split_once("}}").map_or("", |(_, after)| after);
    }
    plain + rest
}

/// Refuses names that mean something else than they seem to.
fn check_name(keeper: Keeper, name: &str) -> Result<(), String> {
    if name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("expected a secret's name without white space".to_owned());
    }
    match keeper {
        Keeper::Environment => {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !name.chars().all(plain) {
                return Err(format!(
                    "expected a variable's name after `env:`, got `{name}`"
                ));
            }
            let upper = name.to_ascii_uppercase();
            match PRIVATE.iter().find(|prefix| upper.starts_with(**prefix)) {
                Some(prefix) => Err(format!(
                    "the variable `{name}` is the platform's: no guest may have what begins with `{prefix}`"
                )),
                None => Ok(()),
            }
        }
        Keeper::Ssm | Keeper::SecretsManager => {
            let climbs = |part: &str| part == "." || part == "..";
            if name.split('/').any(climbs) {
                return Err(format!(
                    "expected a name without `.` and `..` in it, got `{name}`"
                ));
            }
            Ok(())
        }
    }
}

impl Reference {
    /// The reference with its templates filled.
    ///
    /// # Errors
    /// What was expected, naming the template or the part of the name that does not fit.
    pub fn filled(&self, facts: &Facts) -> Result<Self, String> {
        let name = Template::parse(&self.name)?.fill(facts)?;
        check_name(self.keeper, &name)?;
        Ok(Self {
            name,
            ..self.clone()
        })
    }
}

/// What references a release, or a policy, allows: a reference in which each `*` stands for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    keeper: Keeper,
    pattern: Template,
    key: Option<String>,
    text: String,
}

impl FromStr for Grant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let reference: Reference = match text.strip_prefix("env:") {
            // A star is no part of a variable's name, and may stand for any rest of one.
            Some(name) if name.contains('*') => Reference {
                keeper: Keeper::Environment,
                name: name.to_owned(),
                key: None,
            },
            _ => text.parse()?,
        };
        Ok(Self {
            keeper: reference.keeper,
            pattern: Template::parse(&reference.name)?,
            key: reference.key,
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Grant {
    /// Whether a filled reference is within the grant. What fills a template stands for itself, stars included.
    ///
    /// # Errors
    /// What was expected of a template in the grant.
    pub fn allows(&self, reference: &Reference, facts: &Facts) -> Result<bool, String> {
        if self.keeper != reference.keeper {
            return Ok(false);
        }
        let fits_key = self.key.is_none() || self.key == reference.key;
        Ok(fits_key && self.pattern.matches(&reference.name, facts)?)
    }
}
