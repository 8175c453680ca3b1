//! A configuration where it is to be used: the layers of a release and its channel, what this machine puts on top, and what
//! the release and the operator allow it to refer to.

use crate::config::{Config, ConfigError, Extent, Format, Layer, Layers, Rules, Schema, Tier};
use crate::error::{Code, Failure, Level};
use crate::grant::{Ceiling, GrantError, Granted, Grants};
use crate::release::Release;
use crate::settings::{self, Environment};
use crate::telemetry::Log;
use crate::template::Facts;

/// The most overrides that are told one by one.
const OVERRIDES_MAX: usize = 20;

/// What this machine puts on top of a release's configuration.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    /// Where variables of the environment layer are looked for.
    pub environment: Environment,
    /// Layers from files that only this machine has, weak to strong.
    pub layers: Vec<Layer>,
    /// Single values above all.
    pub assignments: Vec<String>,
    /// The most that the operator lets a release reach.
    pub ceiling: Ceiling,
}

/// What a function says of its configuration beside its layers.
#[derive(Debug, Default)]
pub struct Terms {
    /// What it may reach, its configuration's secrets among it.
    pub grants: Grants,
    /// What must be true of it.
    pub schema: Option<Schema>,
}

impl Terms {
    /// The terms of a release.
    ///
    /// # Errors
    /// [`Code::FormatUnknown`] for grants or a schema that can't be read: whoever sealed them could.
    pub fn of(release: &Release) -> Result<Self, Failure> {
        let malformed = |what: &str, problem: String| {
            let message = format!("{what} of the release cannot be read: {problem}");
            Failure::new(Code::FormatUnknown, message)
        };
        let grants = Grants::parse(&release.grants).map_err(|error| match error {
            unknown @ GrantError::Kind { .. } => unknown.into(),
            error => malformed("a grant", error.to_string()),
        })?;
        let schema = release.schema.as_ref().map(|schema| schema.parse());
        Ok(Self {
            grants,
            schema: schema
                .transpose()
                .map_err(|problem| malformed("the schema", problem))?,
        })
    }

    /// The rules that these terms make.
    pub fn rules<'a>(&'a self, ceiling: &'a Ceiling, facts: Facts, extent: Extent) -> Rules<'a> {
        Rules {
            facts,
            grants: self.grants.secrets(),
            ceiling: ceiling.secrets(),
            schema: self.schema.as_ref(),
            extent,
            allow_unmet: false,
        }
    }
}

impl Overlay {
    /// What a Lambda function or a command takes from its environment.
    pub fn new(environment: &Environment, ceiling: Ceiling) -> Self {
        Self {
            environment: environment.clone(),
            ceiling,
            ..Self::default()
        }
    }

    /// All layers, weak to strong: `below`, the environment's, files of this machine, single values.
    ///
    /// # Errors
    /// [`ConfigError`], naming the variable or the argument.
    pub fn on(&self, below: impl IntoIterator<Item = Layer>) -> Result<Layers, ConfigError> {
        let mut layers = Layers::new();
        for layer in below {
            layers.add(layer);
        }
        self.add_environment(&mut layers)?;
        for layer in &self.layers {
            layers.add(layer.clone());
        }
        for assignment in &self.assignments {
            layers.set(assignment)?;
        }
        Ok(layers)
    }

    fn add_environment(&self, layers: &mut Layers) -> Result<(), ConfigError> {
        let not_text = |name: &str| ConfigError::Malformed {
            origin: name.to_owned(),
            problem: "expected UTF-8".to_owned(),
        };
        if let Some(text) = self.environment.get(settings::CONFIG)
            && !text.is_empty()
        {
            let text = text.into_string().map_err(|_| not_text(settings::CONFIG))?;
            let tier = Tier::Environment;
            layers.add(Layer::parse_as(
                tier,
                settings::CONFIG,
                Format::Json,
                &text,
            )?);
        }
        for (name, value) in self.environment.beginning_with(settings::CONFIG_VALUE) {
            let text = value.to_str().ok_or_else(|| not_text(name))?;
            let rest = &name[settings::CONFIG_VALUE.len()..];
            layers.variable(name, rest, text)?;
        }
        Ok(())
    }

    /// The configuration of all layers together, checked.
    ///
    /// # Errors
    /// [`ConfigError`], naming every path that is wrong.
    pub fn config(
        &self,
        below: impl IntoIterator<Item = Layer>,
        terms: &Terms,
        facts: Facts,
    ) -> Result<Config, ConfigError> {
        let rules = terms.rules(&self.ceiling, facts, Extent::Whole);
        self.on(below)?.settle(&rules)
    }

    /// What grants come to: templates in them are filled from signed layers, and from what was typed on this machine; never
    /// from what only a bucket or an environment says.
    ///
    /// # Errors
    /// [`ConfigError`] or [`GrantError`], classified.
    pub fn granted(
        &self,
        below: impl IntoIterator<Item = Layer>,
        grants: &Grants,
        facts: Facts,
    ) -> Result<Granted, Failure> {
        let mut layers = Layers::new();
        let signed = below.into_iter().filter(|layer| layer.tier.is_signed());
        for layer in signed.chain(self.layers.iter().cloned()) {
            layers.add(layer);
        }
        for assignment in &self.assignments {
            layers.set(assignment)?;
        }
        Ok(grants.fill(&layers.facts(facts), &self.ceiling)?)
    }

    /// The configuration of a component that comes with none of its own.
    ///
    /// # Errors
    /// As [`Overlay::config`].
    pub fn config_of_nothing(&self, function: &str) -> Result<Config, ConfigError> {
        self.config([], &Terms::default(), self.facts(function, "local"))
    }

    /// What templates may ask for, where a function serves a channel on this machine.
    pub fn facts(&self, function: &str, channel: &str) -> Facts {
        let facts = facts(function, channel);
        match settings::region(&self.environment) {
            Some(region) => facts.with("region", &region),
            None => facts,
        }
    }
}

/// What templates may ask for wherever the function serves the channel.
pub fn facts(function: &str, channel: &str) -> Facts {
    Facts::default()
        .with("function", function)
        .with("channel", channel)
}

/// The same where nobody knows in which region it will be: what else is in a name can be checked all the same.
pub fn stand_in(facts: Facts) -> Facts {
    if facts.knows("region") {
        facts
    } else {
        facts.with("region", "some-region-1")
    }
}

/// Tells of values that were overridden, as whoever wrote them should know, and of what else is odd; never a value.
pub fn report(log: &Log, config: &Config) {
    for note in config.notes() {
        log.host(Level::Warn, note);
    }
    let overrides = config.overrides();
    for one in overrides.iter().take(OVERRIDES_MAX) {
        log.host(Level::Warn, &format!("config: {one}"));
    }
    if overrides.len() > OVERRIDES_MAX {
        let more = overrides.len() - OVERRIDES_MAX;
        log.host(
            Level::Warn,
            &format!("config: {more} more values are overridden"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn layer(tier: Tier, host: &str) -> Layer {
        let text = json!({"db": {"host": host}}).to_string();
        Layer::parse(tier, "x.json", text.as_bytes()).unwrap()
    }

    fn granted_host(overlay: &Overlay, below: Vec<Layer>) -> String {
        let table = serde_json::from_value(json!({"tcp": ["{{db.host}}:5432"]})).unwrap();
        let grants = Grants::read(table, std::path::Path::new("")).unwrap();
        let granted = overlay.granted(below, &grants, facts("crunch", "live"));
        granted.unwrap().tcp[0].host.to_string()
    }

    #[test]
    fn templates_of_grants_are_filled_from_signed_layers_only() {
        let variable = [(settings::CONFIG, r#"{"db": {"host": "environment"}}"#)];
        let overlay = Overlay::new(&variable.into_iter().collect(), Ceiling::default());
        let mut below = vec![layer(Tier::Base, "base"), layer(Tier::Watched, "watched")];
        assert_eq!(granted_host(&overlay, below.clone()), "base");
        below.insert(1, layer(Tier::Store, "store"));
        assert_eq!(granted_host(&overlay, below), "store");
    }

    #[test]
    fn what_is_typed_on_a_laptop_fills_them_too() {
        let overlay = Overlay {
            layers: vec![layer(Tier::Local, "local")],
            ..Overlay::default()
        };
        assert_eq!(
            granted_host(&overlay, vec![layer(Tier::Base, "base")]),
            "local"
        );
        let overlay = Overlay {
            assignments: vec!["db.host=typed".to_owned()],
            ..overlay
        };
        assert_eq!(
            granted_host(&overlay, vec![layer(Tier::Base, "base")]),
            "typed"
        );
    }
}
