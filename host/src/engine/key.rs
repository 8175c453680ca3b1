//! What an artifact must have in common with the engine that loads it, in one string.

use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::str::FromStr;

/// The full version of wasmtime. Its own header compares the major version only, so an artifact made before a security
/// fix of the code generator would still load; the key keeps it out. A test compares this with `Cargo.lock`.
pub const WASMTIME_VERSION: &str = "48.0.8";

/// Raised with every change to `engine/settings.rs` that alters what is compiled.
const SETTINGS_VERSION: u32 = 1;

/// The processor that code is compiled for: a floor, so that an artifact runs on every machine of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// x86-64-v3 with AVX named, which that level implies but Cranelift's preset leaves out. All of Lambda has it.
    X86_64V3,
    /// Any x86-64; for laptops older than 2013 and emulators.
    X86_64,
    /// Neoverse N1, the oldest processor behind Lambda's arm64.
    NeoverseN1,
    /// Any arm64; for single-board computers.
    Aarch64,
}

impl Baseline {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::X86_64V3,
        Self::X86_64,
        Self::NeoverseN1,
        Self::Aarch64,
    ];

    /// The best baseline of this machine.
    #[cfg(target_arch = "x86_64")]
    pub fn of_this_machine() -> Self {
        let has_v3 = std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("bmi2")
            && std::arch::is_x86_feature_detected!("fma")
            && std::arch::is_x86_feature_detected!("lzcnt");
        if has_v3 { Self::X86_64V3 } else { Self::X86_64 }
    }

    /// The best baseline of this machine.
    #[cfg(target_arch = "aarch64")]
    pub fn of_this_machine() -> Self {
        let has_n1 = std::arch::is_aarch64_feature_detected!("lse")
            && std::arch::is_aarch64_feature_detected!("fp16")
            && std::arch::is_aarch64_feature_detected!("dotprod");
        if has_n1 {
            Self::NeoverseN1
        } else {
            Self::Aarch64
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::X86_64V3 => "x86_64-v3",
            Self::X86_64 => "x86_64",
            Self::NeoverseN1 => "aarch64-n1",
            Self::Aarch64 => "aarch64",
        }
    }
}

/// How a guest past its deadline is stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interruption {
    /// By a look at a counter in each function and each loop, compiled in: one guest among many can be stopped, and lets
    /// others have its thread meanwhile. What that costs, `host/benches/compute` measures.
    #[default]
    Epoch,
    /// Not at all: the event is answered for it, and the process replaced. Only where one event runs at a time, and where
    /// somebody replaces the process: on Lambda.
    Replace,
}

impl Interruption {
    /// Both, the one that every host can run first.
    pub const ALL: [Self; 2] = [Self::Epoch, Self::Replace];

    /// What a host takes that would have this one, the best first.
    pub fn or_worse(self) -> &'static [Self] {
        match self {
            Self::Epoch => &[Self::Epoch],
            Self::Replace => &[Self::Replace, Self::Epoch],
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Replace => "replace",
        }
    }
}

/// The key, such as `48.0.8-s1-x86_64-v3-epoch`: engine version, settings, processor, how guests are interrupted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct EngineKey(String);

/// The longest key; ours have some thirty characters.
const KEY_CHARS_MAX: usize = 100;

impl FromStr for EngineKey {
    type Err = String;
    /// Takes the key of any version; it becomes part of file names, so it has to look like one.
    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if text.is_empty()
            || text.len() > KEY_CHARS_MAX
            || text.starts_with('.')
            || !text.chars().all(allowed)
        {
            return Err(format!("expected an engine key, got `{text}`"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for EngineKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl EngineKey {
    /// The key of engines in this program for a processor.
    pub fn new(baseline: Baseline, interruption: Interruption) -> Self {
        Self(format!(
            "{WASMTIME_VERSION}-s{SETTINGS_VERSION}-{}-{}",
            baseline.as_str(),
            interruption.as_str()
        ))
    }

    /// The keys of engines on this machine that stop guests in this way, or in one that costs more, the best first.
    pub fn here(interruption: Interruption) -> Vec<Self> {
        let baseline = Baseline::of_this_machine();
        let ways = interruption.or_worse().iter();
        ways.map(|way| Self::new(baseline, *way)).collect()
    }

    /// How guests of such an engine are stopped. The engine itself compares what matters once more when it loads code.
    pub fn interruption(&self) -> Interruption {
        let ends = |way: &Interruption| self.0.ends_with(way.as_str());
        Interruption::ALL.into_iter().find(ends).unwrap_or_default()
    }
}

impl fmt::Display for EngineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_could_lead_out_of_a_folder_is_refused() {
        for way in Interruption::ALL {
            let key = EngineKey::new(Baseline::X86_64V3, way);
            assert_eq!(key.to_string().parse(), Ok(key.clone()));
            assert_eq!(key.interruption(), way);
        }
        for text in ["", "..", "a/b", ".hidden", "a\0", &"x".repeat(101)] {
            assert!(text.parse::<EngineKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_key_names_the_wasmtime_that_is_locked() {
        let lock = include_str!("../../../Cargo.lock");
        let entry = format!("name = \"wasmtime\"\nversion = \"{WASMTIME_VERSION}\"\n");
        assert!(
            lock.contains(&entry),
            "set WASMTIME_VERSION to the version in Cargo.lock"
        );
    }
}
