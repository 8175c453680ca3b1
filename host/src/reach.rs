//! How guests reach what they are granted: what all of them share, made once for the process, and what one of them may
//! have of it, made once for a release in a channel.

use crate::error::{Code, Failure, Fault};
use crate::grant::{GrantError, Granted, HttpRule, TcpRule};
use crate::network::{Network, Pool};
use crate::object::{self, Objects};
use crate::quantity::Bytes;
use crate::settings::Environment;
use crate::store::Location;
use std::path::PathBuf;
use std::sync::Arc;

/// Where scratch folders are made, unless `TMPDIR` says otherwise; the only place that a Lambda function can write.
const SCRATCH_PARENT: &str = "/tmp";

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
    store: Option<Location>,
}

/// What one guest reaches.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    pub(crate) outside: Outside,
    pub(crate) http: Arc<[HttpRule]>,
    pub(crate) pool: Option<Pool>,
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
    #[error(
        "a grant of objects would reach the store `{store}`, from which this host takes its releases"
    )]
    Store {
        /// The store.
        store: String,
    },
}

impl Fault for ReachError {
    fn code(&self) -> Code {
        match self {
            Self::Unavailable { .. } => Code::HostSetup,
            Self::Store { .. } => Code::GrantInvalid,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unavailable { .. } => None,
            Self::Store { .. } => Some("name a prefix beside the store's".to_owned()),
        }
    }
}

impl Outside {
    /// What this machine has; `store` is where its releases come from.
    pub fn new(environment: &Environment, store: Option<Location>) -> Self {
        Self(Arc::new(Inner {
            network: Network::new(environment),
            environment: environment.clone(),
            store,
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
        if let Some(store) = &self.0.store
            && granted.objects.iter().any(|rule| rule.overlaps(store))
        {
            return Err(ReachError::Store {
                store: store.to_string(),
            }
            .into());
        }
        self.trust(&granted)?;
        let variables = granted.variables(&self.0.environment)?;
        let http: Arc<[HttpRule]> = granted.http.into();
        let pool = (!http.is_empty()).then(|| Pool::new(self.network().clone(), Arc::clone(&http)));
        Ok(Reach {
            outside: self.clone(),
            http,
            pool,
            tcp: granted.tcp.into(),
            objects: granted.objects.into(),
            variables,
            scratch: granted.scratch,
        })
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
