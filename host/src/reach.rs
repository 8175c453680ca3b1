//! How guests reach what they are granted: what all of them share, made once for the process, and what one of them may
//! have of it, made once for a release in a channel.

use crate::error::{Code, Failure, Fault};
use crate::grant::{GrantError, Granted, HttpRule, TcpRule};
use crate::network::{Network, Places, Pool};
use crate::object::{self, Objects};
use crate::quantity::Bytes;
use crate::settings::Environment;
use crate::store::Location;
use std::path::PathBuf;
use std::sync::Arc;

/// Where scratch folders are made, unless `TMPDIR` says otherwise; the only place that a Lambda function can write.
const SCRATCH_PARENT: &str = "/tmp";

/// What the names of scratch folders begin with.
pub(crate) const SCRATCH_PREFIX: &str = "crunchbox-scratch-";

/// What all guests of this process share. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Outside(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    network: Network,
    objects: Objects,
    #[cfg(feature = "sign")]
    signer: crate::network::Signer,
    environment: Environment,
    /// What decides what runs here: the store, the cache, the program's own folder.
    own: Vec<Location>,
}

/// What one guest reaches.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    pub(crate) outside: Outside,
    /// Grants of requests, each with its kept connections.
    pub(crate) http: Arc<[(HttpRule, Pool)]>,
    pub(crate) tcp: Arc<[TcpRule]>,
    pub(crate) objects: Arc<[object::Rule]>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) scratch: Option<Bytes>,
}

/// Why a guest does not get what it is granted.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// Something on this machine is missing for it.
    #[error("a grant of {kind} cannot be had here: {problem}")]
    Unavailable {
        /// The kind.
        kind: &'static str,
        /// What is missing.
        problem: String,
    },
    /// It would reach what decides what runs here.
    #[error("a grant of objects would reach `{place}`, where this host keeps what it runs")]
    Own {
        /// The store, or a folder of the host's.
        place: String,
    },
}

impl Fault for ReachError {
    fn code(&self) -> Code {
        match self {
            Self::Unavailable { .. } => Code::HostSetup,
            Self::Own { .. } => Code::GrantInvalid,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unavailable { .. } => None,
            Self::Own { .. } => Some("name a prefix or a folder beside it".to_owned()),
        }
    }
}

impl Outside {
    /// What this machine has; `own` is what no grant may reach: the store that releases come from, the cache, the program's
    /// own folder.
    pub fn new(environment: &Environment, own: Vec<Location>) -> Self {
        Self(Arc::new(Inner {
            network: Network::new(environment),
            environment: environment.clone(),
            own,
            ..Inner::default()
        }))
    }

    pub(crate) fn network(&self) -> &Network {
        &self.0.network
    }

    pub(crate) fn objects(&self) -> &Objects {
        &self.0.objects
    }

    #[cfg(feature = "sign")]
    pub(crate) fn signer(&self) -> &crate::network::Signer {
        &self.0.signer
    }

    /// The folder that scratch folders are made in.
    pub(crate) fn scratch_parent(&self) -> PathBuf {
        let own = self
            .0
            .environment
            .get("TMPDIR")
            .filter(|path| !path.is_empty());
        own.map_or_else(|| SCRATCH_PARENT.into(), PathBuf::from)
    }

    /// Makes ready what takes time and is wanted by grants: clients of AWS, its credentials.
    ///
    /// # Errors
    /// [`ReachError::Unavailable`].
    pub async fn prepare(&self, granted: &Granted) -> Result<(), ReachError> {
        let unavailable = |kind| move |problem| ReachError::Unavailable { kind, problem };
        if granted.http.iter().any(|rule| rule.sign.is_some()) {
            #[cfg(feature = "sign")]
            self.signer().prepare().await.map_err(unavailable("http"))?;
            #[cfg(not(feature = "sign"))]
            return Err(unavailable("http")(
                "this program was built without `sign`".to_owned(),
            ));
        }
        if granted.objects.iter().any(object::Rule::is_s3) {
            self.objects()
                .prepare()
                .await
                .map_err(unavailable("objects"))?;
        }
        Ok(())
    }

    /// What a guest reaches by these grants.
    ///
    /// # Errors
    /// A classified failure: of a grant, or of this machine.
    pub fn reach(&self, granted: Granted) -> Result<Reach, Failure> {
        self.check_own(&granted)?;
        self.trust(&granted)?;
        let variables = granted.variables(&self.0.environment)?;
        let places = Places::default();
        let http = granted.http.into_iter().map(|rule| {
            let pool = Pool::new(self.network().clone(), rule.clone(), &places);
            (rule, pool)
        });
        Ok(Reach {
            outside: self.clone(),
            http: http.collect(),
            tcp: granted.tcp.into(),
            objects: granted.objects.into(),
            variables,
            scratch: granted.scratch,
        })
    }

    /// Refuses grants of objects that would reach what decides what runs here, or what other events have.
    fn check_own(&self, granted: &Granted) -> Result<(), ReachError> {
        let scratch = self.scratch_parent().join(SCRATCH_PREFIX);
        let places = self
            .0
            .own
            .iter()
            .cloned()
            .chain([Location::Folder(scratch)]);
        for place in places {
            if granted.objects.iter().any(|rule| rule.overlaps(&place)) {
                let place = place.to_string();
                return Err(ReachError::Own { place });
            }
        }
        Ok(())
    }

    /// Reads certificates now: an event should not wait for them.
    fn trust(&self, granted: &Granted) -> Result<(), Failure> {
        let http = granted.http.iter().filter(|rule| rule.secure);
        let http = http.map(|rule| ("http", rule.authorities.as_ref()));
        let tcp = granted.tcp.iter().filter_map(|rule| rule.tls.as_ref());
        let tcp = tcp.map(|tls| ("tcp", tls.authorities.as_ref()));
        for (kind, authorities) in http.chain(tcp) {
            let trusted = self.network().prepare_tls(authorities);
            trusted.map_err(|problem| match authorities {
                Some(_) => Failure::from(GrantError::Entry {
                    kind: kind.to_owned(),
                    entry: "ca".to_owned(),
                    problem,
                }),
                None => ReachError::Unavailable { kind, problem }.into(),
            })?;
        }
        Ok(())
    }
}
