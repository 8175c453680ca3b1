//! Channels of a store in `dev`: followed as hosts on Lambda follow them, with a timer, since nothing here is frozen.

use super::super::shelf::Shelf;
use super::project::terms;
use super::screen::Swapped;
use super::{Setting, Started, Watches};
use crate::address::{Address, ChannelName, Which};
use crate::clock::SystemClock;
use crate::engine::Engines;
use crate::error::{Code, Failure};
use crate::follow::{Follower, Following, Looks};
use crate::front::service::guest::{Channel, Earlier, Guests};
use crate::function::start_release;
use crate::guest::Guest;
use crate::host::Host;
use crate::overlay::facts;
use crate::policy::Refresh;
use crate::prepare::{Conditions, Preparation};
use crate::resolve::{ResolveError, resolve};
use crate::store::Location;
use crate::watched::Watched;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a look may take here, where it holds up no event and may compile.
const PATIENCE: Duration = Duration::from_secs(180);

/// How often to look where looking costs nothing.
const FOLDER_REFRESH: Duration = Duration::from_secs(1);

/// The shortest and the longest rest between two looks.
const REST_MIN: Duration = Duration::from_millis(100);
const REST_MAX: Duration = Duration::from_secs(5);

/// One function of a store.
pub(super) struct Stored;

impl Stored {
    /// Starts all named channels of one function; the first is what it serves by default.
    pub(super) async fn start(
        setting: &Setting,
        addresses: Vec<Address>,
    ) -> Result<Started, Failure> {
        let shelf = Arc::new(
            setting
                .arguments
                .store
                .open(None, &setting.environment)
                .await?,
        );
        let mut channels = Vec::new();
        let mut followers = Vec::new();
        for address in &addresses {
            let (host, follower) = one(setting, &shelf, address).await?;
            let host = Arc::new(host);
            followers.extend(follower.map(|follower| (follower, Arc::clone(&host))));
            let name = match &address.which {
                Which::Channel(channel) | Which::State(channel, _) => channel.to_string(),
                Which::Release(digits) => digits.clone(),
            };
            channels.push(Channel { name, host });
        }
        let mut channels = channels.into_iter();
        let (Some(first), Some(address)) = (channels.next(), addresses.first()) else {
            return Err(Failure::new(Code::AddressInvalid, "no address to serve"));
        };
        let host = Arc::clone(&first.host);
        let function = address.function.to_string();
        let terms = terms(setting, &function);
        let states = States {
            setting: setting.clone(),
            shelf,
            address: address.clone(),
            host: Arc::clone(&host),
        };
        let guests = Guests::new(terms, first, channels.collect(), Some(Arc::new(states)));
        let guests = Arc::new(guests);
        let version = host.guest().identity().sequence;
        let version = version.map_or_else(|| address.to_string(), |number| number.to_string());
        Ok(Started {
            name: function,
            watch: watch(setting, followers, &guests),
            backend: guests,
            version,
        })
    }
}

/// Looks at all channels of a function, each at its own pace.
fn watch(
    setting: &Setting,
    followers: Vec<(Follower, Arc<Host>)>,
    guests: &Arc<Guests>,
) -> Option<BoxFuture<'static, ()>> {
    if setting.watches == Watches::Nothing || followers.is_empty() {
        return None;
    }
    let each = followers.into_iter().map(|(follower, host)| {
        let (setting, guests) = (setting.clone(), Arc::clone(guests));
        follow(setting, follower, host, guests)
    });
    let all = futures_util::future::join_all(each);
    Some(Box::pin(async move { drop(all.await) }))
}

async fn follow(setting: Setting, mut follower: Follower, host: Arc<Host>, guests: Arc<Guests>) {
    let address = follower.address();
    loop {
        tokio::time::sleep(follower.rest().clamp(REST_MIN, REST_MAX)).await;
        if !follower.is_due() {
            continue;
        }
        let (before, started) = (host.guest(), Instant::now());
        follower.look(&host, Duration::MAX).await;
        let now = host.guest();
        if Arc::ptr_eq(&before, &now) {
            continue;
        }
        guests.keep_of(&host, Arc::clone(&before));
        let number = |guest: &Guest| guest.identity().sequence;
        setting.screen.swapped(&Swapped {
            function: address.function.as_str(),
            from: number(&before),
            to: number(&now),
            release: &now.identity().release,
            cause: &address.to_string(),
            took: started.elapsed(),
        });
    }
}

/// A host for one address, and what follows it if it is a channel.
async fn one(
    setting: &Setting,
    shelf: &Shelf,
    address: &Address,
) -> Result<(Host, Option<Follower>), Failure> {
    let log = setting.printer.log();
    let environment = &setting.environment;
    let conditions = setting
        .arguments
        .conditions(shelf, address, log, environment)?;
    let Which::Channel(channel) = &address.which else {
        let reader = shelf.reader(&address.function)?;
        let resolved = resolve(&reader, address).await?;
        let watched = shelf.watched(&setting.printer, address).await?;
        let release = Preparation::new(address.clone(), resolved.sequence, resolved.serves);
        let ready = start_release(release, &reader, &conditions, &watched, setting.places).await?;
        return Ok((ready.host, None));
    };
    let mut follower = follower(shelf, address, channel, conditions)?;
    let engines = Arc::new(Engines::start(setting.places)?);
    let guest = follower.start(&engines, PATIENCE).await?;
    let host = Host::new(engines, guest, log.clone(), setting.places);
    Ok((host, Some(follower)))
}

fn follower(
    shelf: &Shelf,
    address: &Address,
    channel: &ChannelName,
    conditions: Conditions,
) -> Result<Follower, Failure> {
    let names = facts(address.function.as_str(), channel.as_str());
    let watched = Watched::new(&shelf.policy.watched, &names);
    let watched = watched.map_err(|problem| Failure::new(Code::PolicyInvalid, problem))?;
    let mut refresh = shelf.policy.refresh;
    if matches!(shelf.location, Location::Folder(_)) {
        refresh = Refresh {
            interval: refresh.interval.min(FOLDER_REFRESH),
            ..refresh
        };
    }
    Ok(Follower::new(Following {
        // Without a cache, and so without a memory: whoever makes a store anew on a laptop begins again at 1.
        reader: shelf.reader(&address.function)?,
        channel: channel.clone(),
        refresh,
        looks: Looks {
            hurried: PATIENCE,
            patient: PATIENCE,
        },
        min_sequence: 0,
        bundle: None,
        conditions,
        watched,
        clock: Arc::new(SystemClock::default()),
    }))
}

/// Earlier states of a channel, loaded when somebody asks for one by its number.
#[derive(Debug)]
struct States {
    setting: Setting,
    shelf: Arc<Shelf>,
    address: Address,
    host: Arc<Host>,
}

#[async_trait::async_trait]
impl Earlier for States {
    async fn state(&self, number: u64) -> Result<Option<Arc<Guest>>, Failure> {
        let channel = match &self.address.which {
            Which::Channel(channel) | Which::State(channel, _) => channel.clone(),
            Which::Release(_) => return Ok(None),
        };
        let address = Address {
            function: self.address.function.clone(),
            which: Which::State(channel, number),
        };
        let reader = self.shelf.reader(&address.function)?;
        let resolved = match resolve(&reader, &address).await {
            Ok(resolved) => resolved,
            Err(ResolveError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let setting = &self.setting;
        let (log, environment) = (setting.printer.log(), &setting.environment);
        let arguments = &setting.arguments;
        let conditions = arguments.conditions(&self.shelf, &address, log, environment)?;
        let watched = self.shelf.watched(&setting.printer, &address).await?;
        let mut release = Preparation::new(address, resolved.sequence, resolved.serves);
        release.fetch(&reader, &conditions, 0).await?;
        let (artifact, parts) = release.parts(&conditions, &watched)?;
        let guest = self.host.load(artifact, parts).await?;
        Ok(Some(Arc::new(guest)))
    }
}
