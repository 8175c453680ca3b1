//! What a guest may use up: the limits themselves, what a manifest or a policy says of them, and who had the last word.

use crate::event::RESPONSE_BYTES_MAX;
use crate::quantity::{Bytes, Time};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a guest may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest an event may take.
    pub time: Duration,
    /// Who said so.
    pub time_by: Says,
    /// All memories and tables together.
    pub memory: Bytes,
    /// Who said so.
    pub memory_by: Says,
    /// What a release wanted of it and the machine does not have.
    pub memory_missing: Option<Bytes>,
    /// The stack of calls inside the guest. Another than the default runs on an engine of its own, on demand.
    pub stack: Bytes,
    /// Elements of all tables together.
    pub tables: usize,
    /// Core instances, and as many memories and tables.
    pub instances: usize,
    /// Resource handles at a time, and what stands behind them. An interpreter uses some tens.
    pub handles: usize,
    /// Bytes that the host copies in one call, and in a guest's result.
    pub host_call: usize,
    /// The longest response, in bytes.
    pub response: usize,
    /// Bytes of log of one event.
    pub log: usize,
    /// Random bytes in one call; a seed takes 32.
    pub random: u64,
}

/// Who had the last word on a limit: where it is to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// Nobody: the default.
    Default,
    /// `crunchbox.toml`, which is sealed in the release.
    Release,
    /// The command line.
    Argument,
    /// The operator's ceiling in `policy.toml`.
    Policy,
    /// The machine: a Lambda function's own memory.
    Machine,
}

/// The stack that the pool's places have; wasmtime's own default, named so that it stays when that changes.
pub const STACK: Bytes = Bytes(512 << 10);

/// The least and the most that a stack can be set to: a handler's own calls, the deepest parser of deep documents.
const STACK_MIN: Bytes = Bytes(64 << 10);
const STACK_MAX: Bytes = Bytes::mebi(16);

impl Default for Limits {
    /// What `crunchbox run` gives: a minute, the smallest Lambda's memory, Lambda's response limit.
    fn default() -> Self {
        Self {
            time: Duration::from_secs(60),
            time_by: Says::Default,
            memory: Bytes::mebi(128),
            memory_by: Says::Default,
            memory_missing: None,
            stack: STACK,
            // Some 100,000 functions that are called by pointer; CPython has 12,000.
            tables: 100_000,
            // More than any toolchain makes. Each costs the host memory that no limit of the guest's counts.
            instances: 64,
            // Each may stand for kilobytes of the host's: headers of a request, a piece of a body.
            handles: 2_000,
            // The largest response, its failure beside it, and room for what interpreters pass at once.
            host_call: 16 << 20,
            response: RESPONSE_BYTES_MAX,
            // A page of findings per record of a large batch, for less than a tenth of a cent in CloudWatch.
            log: 256 << 10,
            random: 1 << 20,
        }
    }
}

/// What somebody says of limits; of what is not said, others decide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Wanted {
    /// The longest an event may take.
    pub time: Option<Time>,
    /// All memories and tables together.
    pub memory: Option<Bytes>,
    /// The stack of calls inside the guest.
    pub stack: Option<Bytes>,
    /// Elements of all tables together.
    pub tables: Option<usize>,
    /// Core instances, and as many memories and tables.
    pub instances: Option<usize>,
    /// Resource handles at a time.
    pub handles: Option<usize>,
    /// Bytes that the host copies in one call.
    pub host_call: Option<Bytes>,
    /// The longest response.
    pub response: Option<Bytes>,
    /// Log of one event.
    pub log: Option<Bytes>,
    /// Random bytes in one call.
    pub random: Option<Bytes>,
}

impl Wanted {
    /// What `stronger` says, and where it says nothing, this.
    #[must_use]
    pub fn overridden_by(&self, stronger: &Self) -> Self {
        Self {
            time: stronger.time.or(self.time),
            memory: stronger.memory.or(self.memory),
            stack: stronger.stack.or(self.stack),
            tables: stronger.tables.or(self.tables),
            instances: stronger.instances.or(self.instances),
            handles: stronger.handles.or(self.handles),
            host_call: stronger.host_call.or(self.host_call),
            response: stronger.response.or(self.response),
            log: stronger.log.or(self.log),
            random: stronger.random.or(self.random),
        }
    }

    /// Checks what no engine could keep.
    ///
    /// # Errors
    /// What was expected.
    pub fn check(&self) -> Result<(), String> {
        let range = STACK_MIN..=STACK_MAX;
        match self.stack {
            Some(stack) if !range.contains(&stack) => Err(format!(
                "[limits] stack: expected {STACK_MIN} to {STACK_MAX}, got {stack}"
            )),
            _ => Ok(()),
        }
    }
}

impl Limits {
    /// These limits, with what a release wants, up to a ceiling.
    #[must_use]
    pub fn with(mut self, wanted: &Wanted, by: Says, most: &Wanted) -> Self {
        if let Some(time) = wanted.time {
            (self.time, self.time_by) = (time.0, by);
        }
        if let Some(memory) = wanted.memory {
            (self.memory, self.memory_by) = (memory, by);
        }
        self.capped_time(most.time.map(|time| time.0), Says::Policy);
        self.capped_memory(most.memory, Says::Policy);
        let bytes = |size: Option<Bytes>| size.map(Bytes::as_usize);
        self.stack = least(self.stack, wanted.stack, most.stack).clamp(STACK_MIN, STACK_MAX);
        self.tables = least(self.tables, wanted.tables, most.tables);
        self.instances = least(self.instances, wanted.instances, most.instances);
        self.handles = least(self.handles, wanted.handles, most.handles);
        self.host_call = least(
            self.host_call,
            bytes(wanted.host_call),
            bytes(most.host_call),
        );
        // No caller takes more than Lambda does.
        let response = least(self.response, bytes(wanted.response), bytes(most.response));
        self.response = response.min(RESPONSE_BYTES_MAX);
        self.log = least(self.log, bytes(wanted.log), bytes(most.log));
        let random = |size: Option<Bytes>| size.map(|size| size.0);
        self.random = least(self.random, random(wanted.random), random(most.random));
        self
    }

    /// What an operator should hear at start, where the machine has less than the release wants.
    pub fn warning(&self) -> Option<String> {
        let (wanted, got) = (self.memory_missing?, self.memory);
        Some(format!(
            "limits.memory is {wanted}, but this machine's memory leaves a guest {got}: raise MemorySize of the Lambda \
             function by {}, or lower limits.memory",
            Bytes(wanted.0.saturating_sub(got.0))
        ))
    }

    /// Takes a ceiling on time.
    pub fn capped_time(&mut self, most: Option<Duration>, by: Says) {
        if let Some(most) = most.filter(|most| *most < self.time) {
            (self.time, self.time_by) = (most, by);
        }
    }

    /// Takes a ceiling on memory.
    pub fn capped_memory(&mut self, most: Option<Bytes>, by: Says) {
        if let Some(most) = most.filter(|most| *most < self.memory) {
            if by == Says::Machine {
                self.memory_missing = Some(self.memory);
            }
            (self.memory, self.memory_by) = (most, by);
        }
    }
}

fn least<T: Ord + Copy>(default: T, wanted: Option<T>, most: Option<T>) -> T {
    let wanted = wanted.unwrap_or(default);
    most.map_or(wanted, |most| most.min(wanted))
}

impl Says {
    /// How to have more of a limit, such as `memory`.
    pub fn hint(self, limit: &str) -> String {
        match self {
            Self::Default => format!("set `{limit}` under [limits] in crunchbox.toml"),
            Self::Release => format!("raise `{limit}` under [limits] in crunchbox.toml"),
            Self::Argument => format!("raise `--{limit}`"),
            Self::Policy => format!("the operator's policy.toml allows no more `{limit}`"),
            Self::Machine => "raise MemorySize of the Lambda function".to_owned(),
        }
    }
}

/// What a release says of limits, sealed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SealedLimits {
    /// The longest an event may take, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
    /// All memories and tables together, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The stack of calls inside the guest, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_bytes: Option<u64>,
    /// Elements of all tables together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_elements: Option<usize>,
    /// Core instances, and as many memories and tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<usize>,
    /// Resource handles at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handles: Option<usize>,
    /// Bytes that the host copies in one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_call_bytes: Option<u64>,
    /// The longest response, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<u64>,
    /// Bytes of log of one event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
    /// Random bytes in one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random_bytes: Option<u64>,
}

impl From<&Wanted> for SealedLimits {
    fn from(wanted: &Wanted) -> Self {
        let bytes = |size: Option<Bytes>| size.map(|size| size.0);
        let ms = |time: Time| u64::try_from(time.0.as_millis()).unwrap_or(u64::MAX);
        Self {
            time_ms: wanted.time.map(ms),
            memory_bytes: bytes(wanted.memory),
            stack_bytes: bytes(wanted.stack),
            table_elements: wanted.tables,
            instances: wanted.instances,
            handles: wanted.handles,
            host_call_bytes: bytes(wanted.host_call),
            response_bytes: bytes(wanted.response),
            log_bytes: bytes(wanted.log),
            random_bytes: bytes(wanted.random),
        }
    }
}

impl From<&SealedLimits> for Wanted {
    fn from(sealed: &SealedLimits) -> Self {
        Self {
            time: sealed.time_ms.map(|ms| Time(Duration::from_millis(ms))),
            memory: sealed.memory_bytes.map(Bytes),
            stack: sealed.stack_bytes.map(Bytes),
            tables: sealed.table_elements,
            instances: sealed.instances,
            handles: sealed.handles,
            host_call: sealed.host_call_bytes.map(Bytes),
            response: sealed.response_bytes.map(Bytes),
            log: sealed.log_bytes.map(Bytes),
            random: sealed.random_bytes.map(Bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(text: &str) -> Wanted {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_release_gets_what_it_wants_up_to_the_ceiling_and_who_decided_is_known() {
        let release = wanted("time = '5s'\nmemory = '300 MiB'\nhandles = 50000\nlog = '1 MiB'");
        let most = wanted("memory = '256 MiB'\nhandles = 20000\nstack = '1 MiB'");
        let limits = Limits::default().with(&release, Says::Release, &most);
        assert_eq!(
            (limits.time, limits.time_by),
            (Duration::from_secs(5), Says::Release)
        );
        assert_eq!(
            (limits.memory, limits.memory_by),
            (Bytes::mebi(256), Says::Policy)
        );
        assert_eq!(
            (limits.handles, limits.log, limits.stack),
            (20_000, 1 << 20, STACK)
        );
    }

    #[test]
    fn what_is_sealed_is_what_was_wanted() {
        let all = wanted(
            "time='5s'\nmemory='3 MiB'\nstack='1 MiB'\ntables=7\ninstances=8\nhandles=9\nhost-call='2 MiB'\nresponse='1 MiB'\nlog='1 KiB'\nrandom='64 B'",
        );
        assert_eq!(Wanted::from(&SealedLimits::from(&all)), all);
        let text = serde_json::to_string(&SealedLimits::from(&Wanted::default())).unwrap();
        assert_eq!(text, "{}");
    }

    #[test]
    fn a_response_is_never_longer_than_a_caller_takes_and_a_stack_never_absurd() {
        let limits = Limits::default().with(
            &wanted("response = '1 GiB'"),
            Says::Release,
            &Wanted::default(),
        );
        assert_eq!(limits.response, RESPONSE_BYTES_MAX);
        assert!(
            wanted("stack = '1 GiB'").check().is_err()
                && wanted("stack = '1 KiB'").check().is_err()
        );
        assert!(toml::from_str::<Wanted>("fuel = 1").is_err());
    }
}
