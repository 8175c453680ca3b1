//! The JSON Schema that a function may have for its configuration. What it says of secrets is checked as far as it can be
//! without them: that they are strings.

use boon::{
    Compiler, ErrorKind, InstanceToken, SchemaIndex, Schemas, Type, UrlLoader, ValidationError,
};
use serde_json::Value;
use serde_json::value::RawValue;
use std::error::Error;
use std::fmt;

/// Where a schema is to the library that compiles it.
const PLACE: &str = "crunchbox:///schema.json";

/// What stands for a secret while a configuration is checked: the JSON text of a string that no configuration has.
pub(crate) const STAND_IN: &str = r#""\u0000a secret""#;

/// The same as a string.
const STAND_IN_TEXT: &str = "\0a secret";

/// A schema that can check.
pub struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schema")
    }
}

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
    /// The keys to the value; in a list, the number of the item.
    pub(crate) path: Vec<String>,
    /// What was expected; nothing of the value itself.
    pub(crate) what: String,
}

/// Fetches nothing: a schema is whole, or none.
struct Nowhere;

impl UrlLoader for Nowhere {
    fn load(&self, _: &str) -> Result<Value, Box<dyn Error>> {
        Err("a schema's references must lead into itself".into())
    }
}

impl Schema {
    /// Reads a schema. What it refers to must be in it: nothing is fetched.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(schema: &RawValue) -> Result<Self, String> {
        let schema = serde_json::from_str(schema.get()).map_err(|error| error.to_string())?;
        let mut schemas = Schemas::new();
        let mut compiler = Compiler::new();
        compiler.use_loader(Box::new(Nowhere));
        let added = compiler.add_resource(PLACE, schema);
        added.map_err(|error| words(&error))?;
        let compiled = compiler.compile(PLACE, &mut schemas);
        let index = compiled.map_err(|error| words(&error))?;
        Ok(Self { schemas, index })
    }

    /// What does not fit in a configuration, given as JSON with [`STAND_IN`] for each secret.
    pub(crate) fn check(&self, config: &str, extent: Extent) -> Vec<Misfit> {
        let Ok(config) = serde_json::from_str::<Value>(config) else {
            return vec![Misfit {
                path: Vec::new(),
                what: "a number is beyond what a schema can be checked for".to_owned(),
            }];
        };
        let mut misfits = Vec::new();
        if let Err(error) = self.schemas.validate(&config, self.index) {
            collect(&error, &config, extent, &mut misfits);
        }
        misfits
    }
}

/// The library's words, with the whole chain of causes.
fn words(error: &dyn Error) -> String {
    let mut text = error.to_string().replace(PLACE, "the schema");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// The misfits at the ends of a tree of causes. Of alternatives it is told that none fits, not why each does not.
fn collect(
    error: &ValidationError<'_, '_>,
    config: &Value,
    extent: Extent,
    misfits: &mut Vec<Misfit>,
) {
    let path: Vec<String> = error
        .instance_location
        .tokens
        .iter()
        .map(|token| match token {
            InstanceToken::Prop(key) => key.to_string(),
            InstanceToken::Item(index) => index.to_string(),
        })
        .collect();
    let is_choice = matches!(
        error.kind,
        ErrorKind::AnyOf | ErrorKind::OneOf(_) | ErrorKind::Not | ErrorKind::Contains
    );
    if !is_choice && !error.causes.is_empty() {
        for cause in &error.causes {
            collect(cause, config, extent, misfits);
        }
        return;
    }
    let at = find(config, &path);
    let is_type = matches!(error.kind, ErrorKind::Type { .. });
    let unknown = at.is_some_and(|value| match value {
        Value::String(text) => text == STAND_IN_TEXT && !is_type,
        // A choice may hang on what the secret is.
        other => is_choice && has_secret(other),
    });
    // Only a complete configuration can meet these.
    let is_whole = is_choice
        || matches!(
            error.kind,
            ErrorKind::Required { .. }
                | ErrorKind::MinProperties { .. }
                | ErrorKind::Dependency { .. }
                | ErrorKind::DependentRequired { .. }
        );
    if unknown || (extent == Extent::Part && is_whole) {
        return;
    }
    let what = what(&error.kind);
    misfits.push(Misfit { path, what });
}

fn find<'a>(config: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(config, |value, key| match value {
        Value::Object(table) => table.get(key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

fn has_secret(value: &Value) -> bool {
    match value {
        Value::String(text) => text == STAND_IN_TEXT,
        Value::Array(items) => items.iter().any(has_secret),
        Value::Object(table) => table.values().any(has_secret),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What a keyword asks for. The library's own words repeat the value with some of them.
fn what(kind: &ErrorKind<'_, '_>) -> String {
    match kind {
        ErrorKind::Type { got, want } => {
            let wanted: Vec<_> = want.iter().map(type_name).collect();
            format!("expected {}, got {}", wanted.join(" or "), type_name(*got))
        }
        ErrorKind::Required { want } => format!("expected the keys {}", listed(want)),
        ErrorKind::DependentRequired { prop, missing }
        | ErrorKind::Dependency { prop, missing } => {
            format!("expected the keys {} beside `{prop}`", listed(missing))
        }
        ErrorKind::AdditionalProperties { got } => {
            format!("expected no such keys as {}", listed(got))
        }
        ErrorKind::MinItems { got, want } => format!("expected at least {want} items, got {got}"),
        ErrorKind::MaxItems { got, want } => format!("expected at most {want} items, got {got}"),
        ErrorKind::MinLength { got, want } => {
            format!("expected at least {want} characters, got {got}")
        }
        ErrorKind::MaxLength { got, want } => {
            format!("expected at most {want} characters, got {got}")
        }
        ErrorKind::MinProperties { got, want } => {
            format!("expected at least {want} keys, got {got}")
        }
        ErrorKind::MaxProperties { got, want } => {
            format!("expected at most {want} keys, got {got}")
        }
        ErrorKind::Enum { want } => {
            let wanted: Vec<String> = want.iter().map(Value::to_string).collect();
            format!("expected one of {}", wanted.join(", "))
        }
        ErrorKind::Const { want } => format!("expected {want}"),
        ErrorKind::Minimum { want, .. } => format!("expected at least {want}"),
        ErrorKind::Maximum { want, .. } => format!("expected at most {want}"),
        ErrorKind::ExclusiveMinimum { want, .. } => format!("expected more than {want}"),
        ErrorKind::ExclusiveMaximum { want, .. } => format!("expected less than {want}"),
        ErrorKind::MultipleOf { want, .. } => format!("expected a multiple of {want}"),
        ErrorKind::Pattern { want, .. } => format!("expected what matches `{want}`"),
        ErrorKind::Format { want, .. } => format!("expected the format `{want}`"),
        ErrorKind::ContentEncoding { want, .. } | ErrorKind::ContentMediaType { want, .. } => {
            format!("expected the content `{want}`")
        }
        ErrorKind::FalseSchema => "expected nothing there".to_owned(),
        ErrorKind::AnyOf => {
            "expected what fits at least one alternative, got what fits none".to_owned()
        }
        ErrorKind::OneOf(_) => "expected what fits one alternative".to_owned(),
        ErrorKind::Not => "expected anything but what the schema excludes".to_owned(),
        // Lengths, counts, keys, and what the schema itself says.
        other => other.to_string(),
    }
}

/// The name of a type, as all error texts here spell it.
fn type_name(kind: Type) -> &'static str {
    match kind {
        Type::Null => "null",
        Type::Boolean => "a boolean",
        Type::Number => "a number",
        Type::Integer => "a whole number",
        Type::String => "a string",
        Type::Array => "an array",
        Type::Object => "a table",
    }
}

fn listed<S: AsRef<str>>(keys: &[S]) -> String {
    let quoted: Vec<String> = keys
        .iter()
        .map(|key| format!("`{}`", key.as_ref()))
        .collect();
    quoted.join(", ")
}
