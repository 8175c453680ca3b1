//! How callers name a function: by its name, with a qualifier, by a part of its Amazon Resource Name or by all of it.
//! Only reads names; knows no function, and takes every account and region for its own.
//! Source of the patterns: the shapes `NamespacedFunctionName` and `NumericLatestPublishedOrAliasQualifier` of AWS's API
//! model of Lambda (botocore, `lambda/2015-03-31`).

use super::error::ServiceError;
use percent_encoding::percent_decode_str;

const NAME_PATTERN: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?";
const QUALIFIER_PATTERN: &str = r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+";

/// The longest name in any form.
const SEGMENT_BYTES_MAX: usize = 256;
/// The longest name by itself. Source: <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>.
const NAME_BYTES_MAX: usize = 64;
const QUALIFIER_BYTES_MAX: usize = 128;

/// The account that everything here belongs to: the one of AWS's examples.
const ACCOUNT: &str = "123456789012";

/// The partitions other than `aws`, by how the names of their regions begin.
/// Source: `partitions.json` of botocore.
const PARTITIONS: [(&str, &str); 7] = [
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
    ("eusc-", "aws-eusc"),
];

/// Which function, and which version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FunctionRef {
    /// The function's name alone.
    pub(super) function: String,
    /// An alias, a version's number or `$LATEST`, as the caller said it.
    pub(super) qualifier: Option<String>,
}

impl FunctionRef {
    /// Reads a segment of a path, still percent-encoded, and the decoded value of `Qualifier=`. An empty qualifier is none.
    ///
    /// # Errors
    /// [`ServiceError::Validation`] for what Lambda's model does not allow, [`ServiceError::InvalidParameter`] for two
    /// qualifiers that differ.
    pub(super) fn parse(segment: &str, qualifier: Option<&str>) -> Result<Self, ServiceError> {
        let name = percent_decode_str(segment)
            .decode_utf8()
            .map_err(|_| refused_name(segment, pattern(NAME_PATTERN)))?;
        if name.len() > SEGMENT_BYTES_MAX {
            return Err(refused_name(&name, length(SEGMENT_BYTES_MAX)));
        }
        let (function, derived) =
            split(&name).ok_or_else(|| refused_name(&name, pattern(NAME_PATTERN)))?;
        if function.len() > NAME_BYTES_MAX {
            return Err(refused_name(&name, length(NAME_BYTES_MAX)));
        }
        let given = qualifier.filter(|qualifier| !qualifier.is_empty());
        given.map_or(Ok(()), check_qualifier)?;
        if let (Some(derived), Some(given)) = (derived, given)
            && derived != given
        {
            return Err(ServiceError::InvalidParameter(
                "The derived qualifier from the function name does not match the specified qualifier."
                    .to_owned(),
            ));
        }
        Ok(Self {
            function: function.to_owned(),
            qualifier: derived.or(given).map(str::to_owned),
        })
    }
}

/// The Amazon Resource Name of a function, or of a version of it, in the region's partition.
pub(crate) fn arn(region: &str, function: &str, qualifier: Option<&str>) -> String {
    let partition = PARTITIONS
        .iter()
        .find(|(prefix, _)| region.starts_with(prefix))
        .map_or("aws", |(_, partition)| partition);
    let name = format!("arn:{partition}:lambda:{region}:{ACCOUNT}:function:{function}");
    match qualifier {
        Some(qualifier) => format!("{name}:{qualifier}"),
        None => name,
    }
}

fn refused_name(got: &str, constraint: String) -> ServiceError {
    ServiceError::Validation {
        field: "functionName",
        got: got.to_owned(),
        constraint,
    }
}

fn pattern(pattern: &str) -> String {
    format!("Member must satisfy regular expression pattern: {pattern}")
}

fn length(most: usize) -> String {
    format!("Member must have length less than or equal to {most}")
}

fn check_qualifier(qualifier: &str) -> Result<(), ServiceError> {
    let constraint = if qualifier.len() > QUALIFIER_BYTES_MAX {
        length(QUALIFIER_BYTES_MAX)
    } else if is_latest(qualifier) || qualifier.bytes().all(|byte| is_word(byte) || byte == b'$') {
        return Ok(());
    } else {
        pattern(QUALIFIER_PATTERN)
    };
    Err(ServiceError::Validation {
        field: "qualifier",
        got: qualifier.to_owned(),
        constraint,
    })
}

/// The function's name and the qualifier, as the model's pattern takes them apart.
fn split(name: &str) -> Option<(&str, Option<&str>)> {
    let parts: Vec<_> = name.split(':').collect();
    let parts = match parts.as_slice() {
        ["arn", partition, "lambda", rest @ ..] if is_partition(partition) => rest,
        parts => parts,
    };
    let parts = without(parts, is_region);
    let parts = without(parts, is_account);
    let parts = without(parts, |part| part == "function");
    match *parts {
        [function] if is_name(function) => Some((function, None)),
        [function, qualifier] if is_name(function) && is_version(qualifier) => {
            Some((function, Some(qualifier)))
        }
        _ => None,
    }
}

/// Each prefix may be left out, so one counts as such only where what follows can be a name: a function may well be called
/// `function`.
fn without<'parts, 'name>(
    parts: &'parts [&'name str],
    is_prefix: impl Fn(&str) -> bool,
) -> &'parts [&'name str] {
    match parts {
        [first, rest @ ..]
            if is_prefix(first) && rest.first().is_some_and(|next| is_name(next)) =>
        {
            rest
        }
        parts => parts,
    }
}

fn is_partition(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'-';
    text.is_empty()
        || text
            .strip_prefix("aws")
            .is_some_and(|rest| rest.bytes().all(letter))
}

fn is_region(text: &str) -> bool {
    let text = text.strip_prefix("eusc-").unwrap_or(text);
    let words: Vec<_> = text.split('-').collect();
    let (country, group, place, number) = match *words.as_slice() {
        [country, place, number] => (country, "gov", place, number),
        [country, group, place, number] => (country, group, place, number),
        _ => return false,
    };
    let is_lower = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_isolated = |rest: &str| rest.len() <= 1 && is_lower(rest);
    country.len() == 2
        && is_lower(country)
        && (group == "gov" || group.strip_prefix("iso").is_some_and(is_isolated))
        && !place.is_empty()
        && is_lower(place)
        && number.len() == 1
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| is_word(byte) || byte == b'.')
}

fn is_version(text: &str) -> bool {
    is_latest(text) || (!text.is_empty() && text.bytes().all(is_word))
}

fn is_latest(text: &str) -> bool {
    matches!(text, "$LATEST" | "$LATEST.PUBLISHED")
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(segment: &str) -> Option<(String, Option<String>)> {
        let parsed = FunctionRef::parse(segment, None).ok()?;
        Some((parsed.function, parsed.qualifier))
    }

    #[test]
    fn a_function_is_named_in_each_form_that_lambda_takes() {
        for (segment, function, qualifier) in [
            ("crunch", "crunch", None),
            ("crunch:live", "crunch", Some("live")),
            ("crunch:$LATEST", "crunch", Some("$LATEST")),
            ("crunch:%24LATEST", "crunch", Some("$LATEST")),
            ("crunch%3A41", "crunch", Some("41")),
            ("a.b_c-9", "a.b_c-9", None),
            ("function:crunch", "crunch", None),
            ("function:crunch:live", "crunch", Some("live")),
            ("function", "function", None),
            ("function:$LATEST", "function", Some("$LATEST")),
            ("arn:live", "arn", Some("live")),
            ("123456789012:function:crunch", "crunch", None),
            ("123456789012:function:crunch:41", "crunch", Some("41")),
            (
                "arn:aws:lambda:eu-west-1:123456789012:function:crunch",
                "crunch",
                None,
            ),
            (
                "arn%3Aaws%3Alambda%3Aus-gov-west-1%3A000000000000%3Afunction%3Acrunch%3Alive",
                "crunch",
                Some("live"),
            ),
            (
                "arn:aws-cn:lambda:cn-north-1:123456789012:function:crunch:3",
                "crunch",
                Some("3"),
            ),
            (
                "arn:aws-iso-b:lambda:us-isob-east-1:123456789012:function:crunch",
                "crunch",
                None,
            ),
            (
                "arn:aws-eusc:lambda:eusc-de-east-1:123456789012:function:crunch",
                "crunch",
                None,
            ),
        ] {
            let expected = (function.to_owned(), qualifier.map(str::to_owned));
            assert_eq!(parsed(segment), Some(expected), "{segment}");
        }
    }

    #[test]
    fn what_the_pattern_does_not_allow_is_refused() {
        for segment in [
            "",
            "a b",
            "a/b",
            "a%2Fb",
            "crunch:",
            ":live",
            "crunch:live:41",
            "crunch:li.ve",
            "crunch:$OTHER",
            "%FF",
            "cr%C3%BCnch",
            "arn:aws:s3:eu-west-1:123456789012:function:crunch",
            "arn:google:lambda:eu-west-1:123456789012:function:crunch",
            "arn:aws:lambda:eu-west-1:1234:function:crunch",
            "arn:aws:lambda:Frankfurt!:123456789012:function:crunch",
            "arn:aws:lambda",
            "arn:aws:lambda:",
        ] {
            let refused = FunctionRef::parse(segment, None);
            let Err(ServiceError::Validation {
                field, constraint, ..
            }) = &refused
            else {
                panic!("{segment}: {refused:?}");
            };
            assert_eq!(*field, "functionName");
            assert!(
                constraint.contains("regular expression pattern: (arn:"),
                "{constraint}"
            );
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_refused_for_its_length() {
        let longest = "a".repeat(NAME_BYTES_MAX);
        assert!(FunctionRef::parse(&longest, None).is_ok());
        for segment in [format!("{longest}a"), "a".repeat(10_000)] {
            let Err(ServiceError::Validation { constraint, .. }) =
                FunctionRef::parse(&segment, None)
            else {
                panic!("{segment}");
            };
            assert!(
                constraint.starts_with("Member must have length"),
                "{constraint}"
            );
        }
    }

    #[test]
    fn the_qualifier_stands_in_the_name_or_beside_it() {
        for (segment, qualifier, expected) in [
            ("crunch", Some("live"), Some("live")),
            ("crunch", Some("$LATEST"), Some("$LATEST")),
            (
                "crunch",
                Some("$LATEST.PUBLISHED"),
                Some("$LATEST.PUBLISHED"),
            ),
            ("crunch:live", Some("live"), Some("live")),
            ("crunch:live", None, Some("live")),
            ("crunch:live", Some(""), Some("live")),
            ("crunch", Some(""), None),
        ] {
            let parsed = FunctionRef::parse(segment, qualifier).unwrap();
            assert_eq!(
                parsed.qualifier.as_deref(),
                expected,
                "{segment} {qualifier:?}"
            );
        }
    }

    #[test]
    fn a_name_with_two_qualifiers_that_differ_is_refused() {
        let refused = FunctionRef::parse("crunch:live", Some("41")).unwrap_err();
        assert_eq!(refused.name(), "InvalidParameterValueException");
        assert_eq!(
            refused.to_string(),
            "The derived qualifier from the function name does not match the specified qualifier."
        );
    }

    #[test]
    fn a_qualifier_outside_the_pattern_is_refused() {
        for qualifier in ["a b", "1.5", "é", "a:b", &"a".repeat(129)] {
            let refused = FunctionRef::parse("crunch", Some(qualifier));
            let Err(ServiceError::Validation { field, .. }) = &refused else {
                panic!("{qualifier}: {refused:?}");
            };
            assert_eq!(*field, "qualifier");
        }
    }

    #[test]
    fn the_resource_name_has_the_partition_of_its_region() {
        for (region, expected) in [
            (
                "eu-west-1",
                "arn:aws:lambda:eu-west-1:123456789012:function:crunch",
            ),
            (
                "cn-north-1",
                "arn:aws-cn:lambda:cn-north-1:123456789012:function:crunch",
            ),
            (
                "us-gov-east-1",
                "arn:aws-us-gov:lambda:us-gov-east-1:123456789012:function:crunch",
            ),
            (
                "eusc-de-east-1",
                "arn:aws-eusc:lambda:eusc-de-east-1:123456789012:function:crunch",
            ),
        ] {
            assert_eq!(arn(region, "crunch", None), expected);
            assert_eq!(parsed(expected), Some(("crunch".to_owned(), None)));
            assert_eq!(
                arn(region, "crunch", Some("$LATEST")),
                format!("{expected}:$LATEST")
            );
        }
    }
}
