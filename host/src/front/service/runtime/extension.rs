//! The extensions of an environment: who has registered for what, and who has asked for its next event. Pure; knows
//! neither the runtime nor HTTP. Rules and words are those of AWS's runtime interface emulator
//! (`rapi/handler/agentregister.go`, `core/registrations.go`).

use super::program::{EXTENSIONS_MAX, Mode};
use super::refusal::Refusal;
use serde::Deserialize;
use serde_json::Value;

const INVOKE: &str = "INVOKE";
const SHUTDOWN: &str = "SHUTDOWN";

/// What an extension sends to register.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Registration {
    #[serde(default)]
    events: Option<Vec<String>>,
    #[serde(default, rename = "configurationKeys")]
    configuration_keys: Option<Vec<String>>,
}

impl Registration {
    /// # Errors
    /// A refusal in the words of the parser.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let invalid = |words: String| Refusal::extension("InvalidRequestFormat", words);
        let this: Self =
            serde_json::from_slice(body).map_err(|error| invalid(error.to_string()))?;
        match this.configuration_keys.as_deref() {
            None | Some([]) => Ok(this),
            Some(_) => Err(invalid(
                "configurationKeys are deprecated; use environment variables instead".to_owned(),
            )),
        }
    }
}

/// Where an extension stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its process is started; only external ones have one.
    Launched,
    /// It has registered.
    Registered,
    /// It has asked for its next event.
    Asking,
    /// It works on the event that it was given.
    Busy,
}

#[derive(Debug)]
struct Extension {
    name: String,
    /// What it identifies itself by once it has registered.
    id: String,
    is_external: bool,
    invoke: bool,
    shutdown: bool,
    stage: Stage,
    /// The event that it is to be given.
    due: Option<Value>,
}

/// All extensions of an environment.
#[derive(Debug)]
pub(super) struct Extensions {
    mode: Mode,
    all: Vec<Extension>,
}

impl Extensions {
    /// Those that have processes of their own.
    pub(super) fn new(mode: Mode, external: impl IntoIterator<Item = String>) -> Self {
        let launched = |name| Extension {
            name,
            id: String::new(),
            is_external: true,
            invoke: false,
            shutdown: false,
            stage: Stage::Launched,
            due: None,
        };
        Self {
            mode,
            all: external.into_iter().map(launched).collect(),
        }
    }

    /// Registers the one of that name, or a new one inside the runtime. `id` is what it will be known by.
    ///
    /// # Errors
    /// A refusal when there is one already, too many, or it asks for events that it can't have.
    pub(super) fn register(
        &mut self,
        name: &str,
        wanted: &Registration,
        id: &str,
    ) -> Result<(), Refusal> {
        let known = self.all.iter().position(|found| found.name == name);
        let is_external = known
            .and_then(|at| self.all.get(at))
            .is_some_and(|found| found.is_external);
        let events = wanted.events.as_deref().unwrap_or_default();
        for event in events {
            self.check_event(event, is_external)?;
        }
        if known.is_none() {
            if self.all.len() >= EXTENSIONS_MAX {
                let words = format!("Extension limit ({EXTENSIONS_MAX}) reached");
                return Err(Refusal::extension("Extension.TooManyExtensions", words));
            }
            self.all.push(Extension {
                name: name.to_owned(),
                id: String::new(),
                is_external: false,
                invoke: false,
                shutdown: false,
                stage: Stage::Launched,
                due: None,
            });
        }
        let found = self.all.iter_mut().find(|found| found.name == name);
        let Some(extension) = found.filter(|found| found.stage == Stage::Launched) else {
            let words = "Extension with this name already registered";
            return Err(Refusal::extension("Extension.InvalidExtensionState", words));
        };
        extension.stage = Stage::Registered;
        id.clone_into(&mut extension.id);
        extension.invoke = events.iter().any(|event| event == INVOKE);
        extension.shutdown = events.iter().any(|event| event == SHUTDOWN);
        Ok(())
    }

    /// On Managed Instances an extension is not told of events: many run at once.
    /// Source: <https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances-execution-environment.html>.
    fn check_event(&self, event: &str, is_external: bool) -> Result<(), Refusal> {
        let words = match (event, self.mode) {
            (INVOKE, Mode::OneAtATime) => return Ok(()),
            (SHUTDOWN, Mode::OneAtATime | Mode::Managed) if is_external => return Ok(()),
            (SHUTDOWN, Mode::OneAtATime | Mode::Managed) => {
                "ShutdownEventNotSupportedForInternalExtension"
            }
            (_, Mode::OneAtATime | Mode::Managed) => "ErrorInvalidEventType",
        };
        let words = format!("{event}: {words}");
        Err(Refusal::extension("Extension.InvalidEventType", words))
    }

    /// The name of the one with that id.
    ///
    /// # Errors
    /// A refusal when there is none.
    pub(super) fn name(&self, id: &str) -> Result<&str, Refusal> {
        let registered = |found: &&Extension| found.stage != Stage::Launched && found.id == id;
        let found = self.all.iter().find(registered);
        found.map(|found| found.name.as_str()).ok_or_else(|| {
            let words = format!("Unknown extension {id}");
            Refusal::extension("Extension.UnknownExtensionIdentifier", words)
        })
    }

    /// Notes that one asks for its next event, and with that is done with the last.
    ///
    /// # Errors
    /// A refusal when there is none with that id.
    pub(super) fn ask(&mut self, id: &str) -> Result<(), Refusal> {
        self.name(id)?;
        let found = self.all.iter_mut().find(|found| found.id == id);
        if let Some(extension) = found {
            extension.stage = Stage::Asking;
        }
        Ok(())
    }

    /// The event that one is to be given, if there is one by now.
    pub(super) fn take_due(&mut self, id: &str) -> Option<Value> {
        let extension = self.all.iter_mut().find(|found| found.id == id)?;
        let due = extension.due.take()?;
        extension.stage = Stage::Busy;
        Some(due)
    }

    /// Whether every external one has registered; only then is the runtime started.
    pub(super) fn have_registered(&self) -> bool {
        self.all.iter().all(|found| found.stage != Stage::Launched)
    }

    /// Whether every one has asked for its first event.
    pub(super) fn have_asked(&self) -> bool {
        self.all
            .iter()
            .all(|found| matches!(found.stage, Stage::Asking | Stage::Busy))
    }

    /// Whether every one that was told of the event has asked for the next.
    pub(super) fn are_done(&self) -> bool {
        let mut told = self.all.iter().filter(|found| found.invoke);
        told.all(|found| found.stage == Stage::Asking && found.due.is_none())
    }

    /// Tells those who want to know of an event.
    pub(super) fn invoke(&mut self, event: &Value) {
        for extension in self.all.iter_mut().filter(|found| found.invoke) {
            extension.due = Some(event.clone());
        }
    }

    /// Tells those who want to know of the end; their names.
    pub(super) fn shut_down(&mut self, event: &Value) -> Vec<String> {
        let mut told = Vec::new();
        for extension in self.all.iter_mut().filter(|found| found.shutdown) {
            extension.due = Some(event.clone());
            told.push(extension.name.clone());
        }
        told
    }

    /// Whether there are any, for which the runtime is given time to end.
    pub(super) fn are_there(&self) -> bool {
        !self.all.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanting(events: &[&str]) -> Registration {
        let body = serde_json::json!({"events": events}).to_string();
        Registration::parse(body.as_bytes()).unwrap()
    }

    fn kind(result: Result<(), Refusal>) -> String {
        match result {
            Ok(()) => "ok".to_owned(),
            Err(Refusal::Extension { kind, .. }) => kind.to_owned(),
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn internal_and_external_ones_may_have_different_events() {
        use Mode::{Managed, OneAtATime};
        let invalid = "Extension.InvalidEventType";
        let cases: [(Mode, &str, &[&str], &str); 7] = [
            (OneAtATime, "inside", &["INVOKE"], "ok"),
            (OneAtATime, "inside", &[], "ok"),
            (OneAtATime, "inside", &["SHUTDOWN"], invalid),
            (OneAtATime, "outside", &["INVOKE", "SHUTDOWN"], "ok"),
            (OneAtATime, "outside", &["PARTY"], invalid),
            (Managed, "outside", &["SHUTDOWN"], "ok"),
            (Managed, "outside", &["INVOKE"], invalid),
        ];
        for (mode, name, events, expected) in cases {
            let mut extensions = Extensions::new(mode, ["outside".to_owned()]);
            let result = extensions.register(name, &wanting(events), "1");
            assert_eq!(kind(result), expected, "{name} {events:?}");
        }
    }

    #[test]
    fn nobody_registers_twice_and_no_more_than_ten_do() {
        let mut extensions = Extensions::new(Mode::OneAtATime, ["outside".to_owned()]);
        assert!(!extensions.have_registered());
        assert_eq!(
            kind(extensions.register("outside", &wanting(&[]), "x")),
            "ok"
        );
        assert!(extensions.have_registered());
        let again = extensions.register("outside", &wanting(&[]), "y");
        assert_eq!(kind(again), "Extension.InvalidExtensionState");
        for number in 1..10 {
            let name = number.to_string();
            assert_eq!(kind(extensions.register(&name, &wanting(&[]), &name)), "ok");
        }
        let one_more = extensions.register("one more", &wanting(&[]), "z");
        assert_eq!(kind(one_more), "Extension.TooManyExtensions");
    }

    #[test]
    fn an_event_is_done_when_those_who_were_told_ask_again() {
        let mut extensions = Extensions::new(Mode::OneAtATime, []);
        extensions
            .register("a", &wanting(&["INVOKE"]), "a")
            .unwrap();
        extensions.register("b", &wanting(&[]), "b").unwrap();
        extensions.ask("a").unwrap();
        assert!(!extensions.have_asked());
        extensions.ask("b").unwrap();
        assert!(extensions.have_asked() && extensions.are_done());
        extensions.invoke(&Value::from(1));
        assert!(!extensions.are_done());
        assert_eq!(extensions.take_due("b"), None);
        assert_eq!(extensions.take_due("a"), Some(Value::from(1)));
        assert!(!extensions.are_done());
        extensions.ask("a").unwrap();
        assert!(extensions.are_done());
    }

    #[test]
    fn an_unknown_id_gets_nowhere() {
        let mut extensions = Extensions::new(Mode::OneAtATime, ["outside".to_owned()]);
        for id in ["", "x"] {
            let kind = kind(extensions.ask(id));
            assert_eq!(kind, "Extension.UnknownExtensionIdentifier");
            assert_eq!(extensions.take_due(id), None);
        }
    }

    #[test]
    fn a_registration_is_json_without_what_is_long_gone() {
        for body in ["{\"events\":[]}", "{}", "{\"events\":null,\"more\":1}"] {
            assert!(Registration::parse(body.as_bytes()).is_ok(), "{body}");
        }
        for body in [
            "",
            "[1]",
            "{\"events\":1}",
            "{\"configurationKeys\":[\"a\"]}",
        ] {
            assert!(Registration::parse(body.as_bytes()).is_err(), "{body}");
        }
    }
}
