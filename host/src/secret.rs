//! References to secrets, which configurations hold in place of them, and what a release may refer to. The values
//! themselves are had by a [`Vault`], when a guest asks.

#[cfg(feature = "secrets")]
mod aws;
mod vault;

use crate::settings::private_prefix;
use crate::template::{Facts, Template};
use std::fmt;
use std::str::FromStr;

pub use vault::{Keep, SecretError, SecretText, Vault};

/// By a parameter of such a name SSM hands out secrets of Secrets Manager, which have grants of their own.
const SSM_REFERENCE: &str = "aws/reference/secretsmanager";

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
        if name.is_empty() {
            return Err("expected a secret's name before `#`".to_owned());
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
                return Err("expected a variable's name after `env:`".to_owned());
            }
            match private_prefix(name) {
                Some(prefix) => Err(format!(
                    "the variable `{name}` is the platform's: no guest may have what begins with `{prefix}`"
                )),
                None => Ok(()),
            }
        }
        Keeper::Ssm | Keeper::SecretsManager => {
            if keeper == Keeper::Ssm && name.to_ascii_lowercase().contains(SSM_REFERENCE) {
                return Err(
                    "expected a secret of Secrets Manager to be named `secretsmanager:…`"
                        .to_owned(),
                );
            }
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

/// What references a release, or a policy, allows: a reference in whose name each `*` stands for anything. Without a key it
/// allows every key.
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
    /// Whether what it allows depends on where it is asked.
    pub fn has_template(&self) -> bool {
        self.text.contains("{{")
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts::default()
            .with("channel", "live")
            .with("whose", "Aws_")
            .with("star", "*")
            .with("up", "..")
    }

    fn filled(text: &str) -> Result<String, String> {
        let reference: Reference = text.parse()?;
        Ok(reference.filled(&facts())?.to_string())
    }

    fn allows(grant: &str, reference: &str) -> Result<bool, String> {
        let grant: Grant = grant.parse()?;
        grant.allows(&reference.parse()?, &facts())
    }

    #[test]
    fn a_reference_names_a_keeper_a_name_and_for_one_keeper_a_key() {
        for (text, keeper, name, key) in [
            ("env:DB_PASSWORD", Keeper::Environment, "DB_PASSWORD", None),
            ("ssm:/crunch/live/db", Keeper::Ssm, "/crunch/live/db", None),
            ("ssm:/a#b", Keeper::Ssm, "/a#b", None),
            (
                "secretsmanager:prod/db",
                Keeper::SecretsManager,
                "prod/db",
                None,
            ),
            (
                "secretsmanager:prod/db#pass word",
                Keeper::SecretsManager,
                "prod/db",
                Some("pass word"),
            ),
            (
                "secretsmanager:a#b#c",
                Keeper::SecretsManager,
                "a",
                Some("b#c"),
            ),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(
                (
                    reference.keeper,
                    reference.name.as_str(),
                    reference.key.as_deref()
                ),
                (keeper, name, key)
            );
        }
    }

    #[test]
    fn a_reference_is_read_back_as_it_was_written() {
        for text in [
            "env:DB_PASSWORD",
            "env:{{channel}}_PASSWORD",
            "ssm:/crunch/{{ channel }}/db:3",
            "secretsmanager:arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf#password",
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), text);
            assert_eq!(reference.to_string().parse::<Reference>(), Ok(reference));
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let words = "expected a secret such as";
        let long = format!("ssm:/{}", "x".repeat(4 << 10));
        for (text, words) in [
            ("", words),
            ("DB_PASSWORD", words),
            ("vault:secret/db", words),
            ("ENV:DB", words),
            (" env:DB", words),
            ("env:", words),
            ("ssm:", words),
            ("secretsmanager:", words),
            (long.as_str(), words),
            ("secretsmanager:x#", "expected a key after `#`"),
            ("ssm:/{{channel", "expected `}}` after `{{`"),
            ("ssm:/{{}}", "expected a name between"),
        ] {
            let problem = text.parse::<Reference>().unwrap_err();
            assert!(problem.contains(words), "{text}: {problem}");
        }
    }

    #[test]
    fn a_key_alone_is_no_reference() {
        assert!("secretsmanager:#password".parse::<Reference>().is_err());
    }

    #[test]
    fn a_name_has_no_white_space_and_no_control_characters() {
        for text in [
            "ssm:/a b",
            "ssm:/a\n",
            "ssm: /a",
            "env:A\tB",
            "secretsmanager:a\u{0}b",
            "ssm:/a\u{a0}",
        ] {
            let problem = text.parse::<Reference>().unwrap_err();
            assert!(problem.contains("without white space"), "{problem}");
        }
    }

    #[test]
    fn a_name_climbs_out_of_no_folder() {
        for text in [
            "ssm:/a/../b",
            "ssm:..",
            "ssm:/a/./b",
            "ssm:/a/..",
            "secretsmanager:../db#p",
        ] {
            let problem = text.parse::<Reference>().unwrap_err();
            assert!(
                problem.contains("expected a name without `.` and `..` in it"),
                "{problem}"
            );
        }
        assert!("ssm:/a..b/.c".parse::<Reference>().is_ok());
    }

    #[test]
    fn a_variables_name_is_made_of_letters_digits_and_underscores() {
        for text in ["env:A-B", "env:A/B", "env:*", "env:A*", "env:A#b", "env:Ü"] {
            let problem = text.parse::<Reference>().unwrap_err();
            assert!(
                problem.contains("expected a variable's name after `env:`"),
                "{problem}"
            );
        }
    }

    #[test]
    fn a_variable_of_the_platform_is_no_secret_whatever_its_case() {
        for name in [
            "AWS_SECRET_ACCESS_KEY",
            "Aws_Session_Token",
            "AWS_",
            "CRUNCHBOX_KEY",
            "LAMBDA_TASK_ROOT",
            "_HANDLER",
            "_X_AMZN_TRACE_ID",
            "_AWS_XRAY_DAEMON_PORT",
        ] {
            let problem = format!("env:{name}").parse::<Reference>().unwrap_err();
            assert!(problem.contains("is the platform's"), "{problem}");
        }
        for name in ["MY_AWS_KEY", "AWSOME", "HANDLER"] {
            assert!(format!("env:{name}").parse::<Reference>().is_ok(), "{name}");
        }
    }

    #[test]
    fn a_reference_is_filled_with_facts() {
        assert_eq!(
            filled("ssm:/crunch/{{channel}}/db").as_deref(),
            Ok("ssm:/crunch/live/db")
        );
        assert_eq!(
            filled("env:{{ channel }}_KEY").as_deref(),
            Ok("env:live_KEY")
        );
        assert_eq!(
            filled("secretsmanager:{{channel}}/db#{{channel}}").as_deref(),
            Ok("secretsmanager:live/db#{{channel}}")
        );
    }

    #[test]
    fn what_fills_a_reference_cannot_make_it_mean_something_else() {
        for text in [
            "ssm:/a/{{up}}/b",
            "ssm:/a/{{star}}",
            "env:{{star}}",
            "ssm:/{{nobody}}",
        ] {
            assert!(filled(text).is_err(), "{text}");
        }
        let problem = filled("env:{{whose}}SECRET_ACCESS_KEY").unwrap_err();
        assert!(problem.contains("is the platform's"), "{problem}");
    }

    #[test]
    fn a_grant_allows_what_it_names_and_a_star_stands_for_anything() {
        for (grant, reference, expected) in [
            ("env:DB_PASSWORD", "env:DB_PASSWORD", true),
            ("env:DB_PASSWORD", "env:DB_PASSWORD_2", false),
            ("env:DB_PASSWORD", "env:db_password", false),
            ("env:DB_*", "env:DB_PASSWORD", true),
            ("env:DB_*", "env:MY_DB_PASSWORD", false),
            ("env:*", "env:DB_PASSWORD", true),
            ("ssm:/crunch/*", "ssm:/crunch/live/db", true),
            ("ssm:/crunch/*/db", "ssm:/crunch/live/db", true),
            ("ssm:/crunch/*/db", "ssm:/crunch/live/db2", false),
            ("ssm:/crunch/*", "ssm:/crunch", false),
            ("ssm:/crunch/{{channel}}/*", "ssm:/crunch/live/db", true),
            ("ssm:/crunch/{{channel}}/*", "ssm:/crunch/prod/db", false),
        ] {
            assert_eq!(
                allows(grant, reference),
                Ok(expected),
                "{grant} {reference}"
            );
        }
    }

    #[test]
    fn a_grant_of_one_key_allows_neither_another_nor_the_whole_secret() {
        for (grant, reference, expected) in [
            (
                "secretsmanager:prod/db#password",
                "secretsmanager:prod/db#password",
                true,
            ),
            (
                "secretsmanager:prod/db#password",
                "secretsmanager:prod/db#user",
                false,
            ),
            (
                "secretsmanager:prod/db#password",
                "secretsmanager:prod/db",
                false,
            ),
            (
                "secretsmanager:prod/*#password",
                "secretsmanager:prod/db#password",
                true,
            ),
            (
                "secretsmanager:prod/db",
                "secretsmanager:prod/db#password",
                true,
            ),
            ("secretsmanager:prod/db", "secretsmanager:prod/db", true),
            (
                "secretsmanager:prod/db",
                "secretsmanager:prod/db2#password",
                false,
            ),
        ] {
            assert_eq!(
                allows(grant, reference),
                Ok(expected),
                "{grant} {reference}"
            );
        }
    }

    #[test]
    fn a_grant_of_one_keeper_allows_nothing_of_another() {
        for (grant, reference) in [
            ("env:*", "ssm:/x"),
            ("ssm:*", "secretsmanager:x"),
            ("ssm:X", "env:X"),
            ("secretsmanager:*", "ssm:x"),
        ] {
            assert_eq!(allows(grant, reference), Ok(false), "{grant} {reference}");
        }
    }

    #[test]
    fn a_grant_is_filled_with_plain_words_that_are_known() {
        for grant in ["ssm:/{{star}}", "ssm:/{{up}}", "ssm:/{{nobody}}"] {
            assert!(allows(grant, "ssm:/x").is_err(), "{grant}");
        }
    }

    #[test]
    fn what_is_no_reference_with_stars_is_no_grant() {
        for text in [
            "",
            "*",
            "env:",
            "vault:*",
            "ssm:/a/../*",
            "secretsmanager:x#",
            "env:A-B",
        ] {
            assert!(text.parse::<Grant>().is_err(), "{text}");
        }
        let grant: Grant = "ssm:/crunch/{{channel}}/*".parse().unwrap();
        assert_eq!(grant.to_string(), "ssm:/crunch/{{channel}}/*");
    }

    #[test]
    fn a_secret_of_one_keeper_is_not_to_be_had_by_way_of_another() {
        for name in [
            "/aws/reference/secretsmanager/prod/db",
            "aws/Reference/SecretsManager/prod/db",
            "arn:aws:ssm:eu-west-1:1:parameter/aws/reference/secretsmanager/prod/db",
        ] {
            let error = format!("ssm:{name}").parse::<Reference>().unwrap_err();
            assert!(error.contains("`secretsmanager:"), "{error}");
        }
        let facts = facts().with("by", "secretsmanager");
        let reference: Reference = "ssm:/aws/reference/{{by}}/x".parse().unwrap();
        assert!(reference.filled(&facts).is_err());
    }
}
