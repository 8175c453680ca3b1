//! The JSON Schema that a function may have for its configuration. What it says of secrets is checked as far as it can be
//! without them: that they are strings.

use super::path;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashSet;

/// A schema that can check.
#[derive(Debug)]
pub struct Schema(jsonschema::Validator);

/// Keywords that only a complete configuration can meet.
const WHOLE: [&str; 12] = [
    "required",
    "minProperties",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "if",
    "then",
    "else",
];

/// How much of a configuration is there to be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// What some layers say; others will say more.
    Part,
}

/// What does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// The keys to the value.
    pub(crate) path: Vec<String>,
    /// What was expected; nothing of the value itself.
    pub(crate) what: String,
}

impl Schema {
    /// Reads a schema. What it refers to must be in it: nothing is fetched.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(schema: &RawValue) -> Result<Self, String> {
        let schema: Value =
            serde_json::from_str(schema.get()).map_err(|error| error.to_string())?;
        // Of its two engines for patterns the one that takes no more time than the text is long.
        let options =
            jsonschema::options().with_pattern_options(jsonschema::PatternOptions::regex());
        let validator = options.build(&schema).map_err(|error| error.to_string())?;
        Ok(Self(validator))
    }

    /// What does not fit in a configuration, given as JSON with empty strings for the secrets at `secrets`.
    pub(crate) fn check(
        &self,
        config: &str,
        secrets: &HashSet<String>,
        extent: Extent,
    ) -> Vec<Misfit> {
        let config: Value = match serde_json::from_str(config) {
            Ok(config) => config,
            Err(_) => {
                return vec![Misfit {
                    path: Vec::new(),
                    what: "a number is beyond what a schema can be checked for".to_owned(),
                }];
            }
        };
        let mut misfits = Vec::new();
        for error in self.0.iter_errors(&config) {
            let pointer = error.instance_path().to_string();
            let path: Vec<String> = pointer.split('/').skip(1).map(unescaped).collect();
            let schema_path = error.schema_path().to_string();
            let keywords = || schema_path.split('/');
            let keyword = keywords().next_back().unwrap_or_default();
            let is_secret = secrets.contains(&path::display(&path));
            if is_secret && keyword != "type" {
                continue;
            }
            if extent == Extent::Part && keywords().any(|keyword| WHOLE.contains(&keyword)) {
                continue;
            }
            misfits.push(Misfit {
                path,
                what: error.masked().to_string(),
            });
        }
        misfits
    }
}

/// A key as a JSON pointer spells it.
fn unescaped(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}
