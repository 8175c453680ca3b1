//! What a function is called on the command line of a caller: in Lambda's forms, and in ours. Pure text; knows neither
//! whether there is such a function nor where.

use super::endpoint::Region;
use crate::address::{Address, Which};
use std::fmt;
use std::str::FromStr;

/// The longest name in any form, and the longest qualifier.
/// Source: `NamespacedFunctionName` and `NumericLatestPublishedOrAliasQualifier` in AWS's API model of Lambda.
const NAME_CHARS_MAX: usize = 256;
const QUALIFIER_CHARS_MAX: usize = 128;

/// Why a text names no function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TargetError {
    /// It has none of the forms.
    #[error(
        "expected a function such as `crunch`, `crunch:41`, `crunch@live`, `crunch@live:41` or its Amazon Resource Name, got `{0}`"
    )]
    Form(String),
    /// It names a release, which no request can.
    #[error(
        "expected a channel or the number of a state, got the release `{0}`: `crunchbox run` takes releases"
    )]
    Release(String),
    /// A qualifier is none.
    #[error("expected `$LATEST`, a number or a name as qualifier, got `{0}`")]
    Qualifier(String),
    /// There are two qualifiers, and they differ.
    #[error("expected one qualifier, got `{0}` with the function and `{1}` beside it")]
    Two(String, String),
}

/// A function, and which version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The function as requests name it: a name, or an Amazon Resource Name, whole or in part; without the qualifier.
    pub(crate) function: String,
    /// A number, `$LATEST`, or the name of an alias.
    pub(crate) qualifier: Option<Qualifier>,
    /// The region that the Amazon Resource Name says.
    pub(crate) region: Option<Region>,
}

/// A version or an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Qualifier(String);

impl Qualifier {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Qualifier {
    type Err = TargetError;
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_$".contains(c);
        let word =
            !text.is_empty() && text.len() <= QUALIFIER_CHARS_MAX && text.chars().all(allowed);
        if word || text == "$LATEST.PUBLISHED" {
            return Ok(Self(text.to_owned()));
        }
        Err(TargetError::Qualifier(text.to_owned()))
    }
}

impl Target {
    /// The name alone.
    pub(crate) fn name(&self) -> &str {
        self.function.rsplit(':').next().unwrap_or(&self.function)
    }

    /// The same with a qualifier that was said apart.
    ///
    /// # Errors
    /// [`TargetError::Two`] where it says another than the function does.
    pub(crate) fn with(self, qualifier: Option<&Qualifier>) -> Result<Self, TargetError> {
        match (&self.qualifier, qualifier) {
            (Some(one), Some(other)) if one != other => {
                Err(TargetError::Two(one.0.clone(), other.0.clone()))
            }
            (_, None) => Ok(self),
            (_, Some(qualifier)) => Ok(Self {
                qualifier: Some(qualifier.clone()),
                ..self
            }),
        }
    }

    /// One of our addresses: a channel is an alias to callers, and the number of its state a version.
    fn of_address(text: &str) -> Result<Self, TargetError> {
        let address = text.parse::<Address>();
        let address = address.map_err(|_| TargetError::Form(text.to_owned()))?;
        let qualifier = match address.which {
            Which::Channel(channel) => channel.to_string(),
            Which::State(_, sequence) => sequence.to_string(),
            Which::Release(_) => return Err(TargetError::Release(text.to_owned())),
        };
        Ok(Self {
            function: address.function.to_string(),
            qualifier: Some(qualifier.parse()?),
            region: None,
        })
    }
}

impl FromStr for Target {
    type Err = TargetError;
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let refused = || TargetError::Form(text.to_owned());
        if text.contains('@') {
            return Self::of_address(text);
        }
        let parts: Vec<&str> = text.split(':').collect();
        let (region, name, qualifier) = match parts.as_slice() {
            [
                "arn",
                partition,
                "lambda",
                region,
                account,
                "function",
                name,
                qualifier @ ..,
            ] if is_partition(partition) && is_account(account) => {
                let region: Region = region.parse().map_err(|_| refused())?;
                (Some(region), name, qualifier)
            }
            [account, "function", name, qualifier @ ..] if is_account(account) => {
                (None, name, qualifier)
            }
            ["function", name, qualifier @ ..] | [name, qualifier @ ..] => (None, name, qualifier),
            [] => return Err(refused()),
        };
        if text.len() > NAME_CHARS_MAX || !is_name(name) || qualifier.len() > 1 {
            return Err(refused());
        }
        let named = parts.len() - qualifier.len();
        Ok(Self {
            function: parts
                .iter()
                .take(named)
                .copied()
                .collect::<Vec<_>>()
                .join(":"),
            qualifier: qualifier.first().map(|text| text.parse()).transpose()?,
            region,
        })
    }
}

fn is_partition(text: &str) -> bool {
    text.starts_with("aws") && text.chars().all(|c| c.is_ascii_alphabetic() || c == '-')
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.chars().all(|c| c.is_ascii_digit())
}

/// Dots alone would lead out of the path of a request.
fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.chars().all(allowed) && text.chars().any(|c| c != '.')
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match &self.qualifier {
            Some(qualifier) => write!(f, ":{}", qualifier.0),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_named_in_lambdas_forms_and_in_ours() {
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:crunch";
        let long = format!("{arn}:live");
        let china = "arn:aws-cn:lambda:cn-north-1:123456789012:function:crunch";
        for (text, function, qualifier, region) in [
            ("crunch", "crunch", None, None),
            ("Acme_Crunch-2", "Acme_Crunch-2", None, None),
            ("crunch:41", "crunch", Some("41"), None),
            ("crunch:$LATEST", "crunch", Some("$LATEST"), None),
            ("crunch@live", "crunch", Some("live"), None),
            ("crunch@live:41", "crunch", Some("41"), None),
            ("crunch@41", "crunch", Some("41"), None),
            ("function:crunch", "function:crunch", None, None),
            (
                "123456789012:function:crunch:live",
                "123456789012:function:crunch",
                Some("live"),
                None,
            ),
            (arn, arn, None, Some("eu-west-1")),
            (long.as_str(), arn, Some("live"), Some("eu-west-1")),
            (china, china, None, Some("cn-north-1")),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.function, function, "{text}");
            let said = target.qualifier.as_ref().map(Qualifier::as_str);
            assert_eq!(said, qualifier, "{text}");
            assert_eq!(target.region.as_ref().map(Region::as_str), region, "{text}");
        }
        assert_eq!(long.parse::<Target>().unwrap().to_string(), "crunch:live");
    }

    #[test]
    fn what_names_no_function_is_refused() {
        for text in [
            "",
            ":",
            "..",
            "a b",
            "a/b",
            "crunch:",
            "crunch:a:b",
            "crunch:li ve",
            "crunch@",
            "@live",
            "crunch@3f2a91c0",
            "Crunch@live",
            "arn:aws:lambda:eu-west-1:123456789012:function:",
            "arn:aws:lambda:eu-west-1:1234:function:crunch",
            "arn:aws:lambda:e/../x:123456789012:function:crunch",
            "arn:aws:s3:::bucket",
            "arn:aws:lambda:eu-west-1:123456789012:layer:crunch",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
        assert!("x".repeat(NAME_CHARS_MAX + 1).parse::<Target>().is_err());
    }

    #[test]
    fn two_qualifiers_that_differ_are_refused() {
        let target: Target = "crunch@live".parse().unwrap();
        let live: Qualifier = "live".parse().unwrap();
        assert_eq!(target.clone().with(Some(&live)), Ok(target.clone()));
        assert_eq!(target.clone().with(None), Ok(target.clone()));
        let staging: Qualifier = "staging".parse().unwrap();
        assert!(matches!(
            target.with(Some(&staging)),
            Err(TargetError::Two(..))
        ));
        let plain: Target = "crunch".parse().unwrap();
        assert_eq!(
            plain.with(Some(&staging)).unwrap().to_string(),
            "crunch:staging"
        );
    }
}
