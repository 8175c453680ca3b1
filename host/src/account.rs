//! What one event did through its grants, in figures. Plain values.

use serde::Serialize;

/// The kinds of grants that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Requests over HTTP.
    Http,
    /// Connections over TCP.
    Tcp,
    /// Objects of S3 or a folder.
    Objects,
    /// Secrets of the configuration.
    Secrets,
    /// The folder that an event has to itself.
    Scratch,
}

impl Kind {
    /// All kinds, in the order of reports.
    pub const ALL: [Self; 5] = [
        Self::Http,
        Self::Tcp,
        Self::Objects,
        Self::Secrets,
        Self::Scratch,
    ];

    /// The name, as `[grants]` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Objects => "objects",
            Self::Secrets => "secrets",
            Self::Scratch => "scratch",
        }
    }
}

/// What one event did through one kind of grant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Requests, connections, objects opened, secrets read.
    pub calls: u64,
    /// Bytes from the guest.
    #[serde(rename = "sentBytes")]
    pub sent: u64,
    /// Bytes to the guest.
    #[serde(rename = "receivedBytes")]
    pub received: u64,
    /// Calls refused because nothing grants them.
    pub denied: u64,
}

impl Figures {
    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What all kinds of grants came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account([Figures; Kind::ALL.len()]);

impl Account {
    /// The figures of each kind.
    pub fn of(figures: impl FnMut(Kind) -> Figures) -> Self {
        Self(Kind::ALL.map(figures))
    }

    /// The figures of kinds that were used or refused.
    pub fn used(&self) -> impl Iterator<Item = (Kind, Figures)> {
        let kinds = Kind::ALL.into_iter().zip(self.0);
        kinds.filter(|(_, figures)| !figures.is_empty())
    }

    /// Calls refused, of all kinds.
    pub fn denied(&self) -> u64 {
        self.0.iter().map(|figures| figures.denied).sum()
    }
}
