//! What is done to the world.

use std::{fmt, time::Duration};

use pavane_testkit::servers::{Direction, Process};
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::{nats, world::World};

const SERVICES: [&str; 5] = ["order", "payment", "inventory", "shipping", "notification"];
const STREAMS: [&str; 2] = ["EVENTS", "KV_PAVANE_MANIFESTS"];

/// One disturbance. It begins, lasts for a while, and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disturbance {
    /// An instance of a service is killed, and started again at the end.
    Killed(&'static str, usize),
    /// It is stopped as an operator would, and started again at the end.
    Stopped(&'static str, usize),
    /// It stands still, with all that it holds.
    Frozen(&'static str, usize),
    /// One of the three NATS servers.
    NatsKilled(usize),
    NatsFrozen(usize),
    /// Two of them: the last one can do nothing alone.
    QuorumLost(usize),
    /// A stream gets another leader.
    SteppedDown(&'static str),
    /// Somebody deletes a consumer.
    ConsumerDeleted(usize),
    /// The stream of events takes nothing more.
    StreamFull,
    /// The primary is killed, and the standby takes over at once; a new one comes at the end.
    FailedOver,
    /// The two change places, and whoever connects meanwhile can only read.
    HandedOver,
    /// All connections to the database break.
    DatabaseCut,
    /// Nothing arrives there, or nothing comes back.
    DatabaseSilent(Direction),
    DatabaseSlow,
    /// Others have all of its connections.
    ConnectionsTaken,
    ProviderKilled,
    /// What the payment service asks of its provider doesn't arrive, or isn't answered.
    ProviderSilent(Direction),
}

impl Disturbance {
    /// One, or several of different groups at once. Those of instances come last: at the end they find what they need.
    pub(super) fn some(random: &mut StdRng) -> Vec<Self> {
        let mut groups = [Self::of_instance, Self::of_nats, Self::of_database, Self::of_provider].map(Some);
        let count = *[1, 1, 1, 2, 2, 3].choose(random).unwrap_or(&1);
        let mut some: Vec<Self> = (0..count)
            .filter_map(|_| {
                // Instances are what fails most often.
                let at = [0, 0, 1, 2, 3].choose(random).copied()?;
                groups[at].take().map(|of_group| of_group(random))
            })
            .collect();
        some.sort_by_key(|it| matches!(it, Self::Killed(..) | Self::Stopped(..) | Self::Frozen(..)));
        some
    }

    fn of_instance(random: &mut StdRng) -> Self {
        let (service, instance) = (SERVICES[random.random_range(0..SERVICES.len())], random.random_range(0..2));
        match random.random_range(0..3) {
            0 => Self::Stopped(service, instance),
            1 => Self::Frozen(service, instance),
            _ => Self::Killed(service, instance),
        }
    }

    fn of_nats(random: &mut StdRng) -> Self {
        let server = random.random_range(0..3);
        match random.random_range(0..6) {
            0 => Self::NatsKilled(server),
            1 => Self::NatsFrozen(server),
            2 => Self::QuorumLost(server),
            3 => Self::ConsumerDeleted(random.random_range(0..100)),
            4 => Self::StreamFull,
            _ => Self::SteppedDown(STREAMS[random.random_range(0..STREAMS.len())]),
        }
    }

    fn of_database(random: &mut StdRng) -> Self {
        match random.random_range(0..7) {
            0 => Self::FailedOver,
            1 => Self::HandedOver,
            2 => Self::DatabaseSilent(Direction::ToServer),
            3 => Self::DatabaseSilent(Direction::ToClient),
            4 => Self::DatabaseSlow,
            5 => Self::ConnectionsTaken,
            _ => Self::DatabaseCut,
        }
    }

    fn of_provider(random: &mut StdRng) -> Self {
        match random.random_range(0..3) {
            0 => Self::ProviderKilled,
            1 => Self::ProviderSilent(Direction::ToServer),
            _ => Self::ProviderSilent(Direction::ToClient),
        }
    }

    /// The service that should feel it; `None` when all should.
    pub(super) const fn service(self) -> Option<&'static str> {
        match self {
            Self::Killed(service, _) | Self::Stopped(service, _) | Self::Frozen(service, _) => Some(service),
            Self::ProviderKilled | Self::ProviderSilent(_) => Some("payment"),
            Self::NatsKilled(_)
            | Self::NatsFrozen(_)
            | Self::QuorumLost(_)
            | Self::SteppedDown(_)
            | Self::ConsumerDeleted(_)
            | Self::StreamFull
            | Self::ConnectionsTaken
            | Self::FailedOver
            | Self::HandedOver
            | Self::DatabaseCut
            | Self::DatabaseSilent(_)
            | Self::DatabaseSlow => None,
        }
    }

    pub(super) async fn begin(self, world: &mut World) {
        match self {
            Self::Killed(service, instance) => world.instance(service, instance).kill().await.unwrap(),
            // One that can't finish what it does ends with an error, which is its right here.
            Self::Stopped(service, instance) => drop(world.instance(service, instance).terminate().await),
            Self::Frozen(service, instance) => world.instance(service, instance).pause(),
            Self::NatsKilled(server) => world.nats.servers()[server].kill().await.unwrap(),
            Self::NatsFrozen(server) => world.nats.servers()[server].pause(),
            Self::QuorumLost(server) => {
                for other in (0..3).filter(|other| *other != server) {
                    world.nats.servers()[other].kill().await.unwrap();
                }
            }
            Self::SteppedDown(stream) => drop(world.nats.step_down(stream).await.unwrap()),
            Self::ConsumerDeleted(which) => nats::delete_consumer(&world.nats.url(), which).await,
            Self::StreamFull => nats::fill(&world.nats.url()).await,
            Self::ConnectionsTaken => world.take_connections().await,
            Self::FailedOver => world.postgres.fail_over().await.unwrap(),
            Self::HandedOver => world.postgres.hand_over().await.unwrap(),
            Self::DatabaseCut => world.postgres.proxy().cut(),
            Self::DatabaseSilent(direction) => world.postgres.proxy().black_hole(direction),
            Self::DatabaseSlow => world.postgres.proxy().delay(Duration::from_millis(30)),
            Self::ProviderKilled => world.psp.kill().await.unwrap(),
            Self::ProviderSilent(direction) => world.provider.black_hole(direction),
        }
    }

    pub(super) async fn end(self, world: &mut World) {
        match self {
            Self::Killed(service, instance) | Self::Stopped(service, instance) => {
                start(world.instance(service, instance)).await;
            }
            Self::Frozen(service, instance) => world.instance(service, instance).resume(),
            Self::NatsKilled(server) => world.nats.servers()[server].restart().await.unwrap(),
            Self::NatsFrozen(server) => world.nats.servers()[server].resume(),
            Self::QuorumLost(server) => {
                for other in (0..3).filter(|other| *other != server) {
                    world.nats.servers()[other].restart().await.unwrap();
                }
            }
            Self::StreamFull => nats::give_room(&world.nats.url()).await,
            Self::ConnectionsTaken => world.taken.clear(),
            Self::FailedOver => world.postgres.rejoin().await.unwrap(),
            Self::HandedOver => world.postgres.lead_to_primary(),
            // What was on its way is lost, as when a cable is pulled for good.
            Self::DatabaseSilent(_) => {
                world.postgres.proxy().cut();
                world.postgres.proxy().heal();
            }
            Self::DatabaseSlow => world.postgres.proxy().heal(),
            Self::ProviderKilled => world.psp.restart().await.unwrap(),
            Self::ProviderSilent(_) => world.provider.heal(),
            Self::SteppedDown(_) | Self::ConsumerDeleted(_) | Self::DatabaseCut => {}
        }
    }
}

/// Starts a process again and again, as whatever runs it in production does: one that can't reach what it needs in time ends.
async fn start(process: &mut Process) {
    let mut attempts = 0;
    while let Err(error) = process.restart().await {
        attempts += 1;
        assert!(attempts < 5, "{error}");
    }
}

/// The kind, a colon, and to whom it happened.
impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(service, instance) => write!(f, "instance killed: {service} {instance}"),
            Self::Stopped(service, instance) => write!(f, "instance stopped: {service} {instance}"),
            Self::Frozen(service, instance) => write!(f, "instance frozen: {service} {instance}"),
            Self::NatsKilled(server) => write!(f, "NATS server killed: {server}"),
            Self::NatsFrozen(server) => write!(f, "NATS server frozen: {server}"),
            Self::QuorumLost(server) => write!(f, "NATS quorum lost: all but {server}"),
            Self::SteppedDown(stream) => write!(f, "leader stepped down: {stream}"),
            Self::ConsumerDeleted(_) => write!(f, "consumer deleted"),
            Self::StreamFull => write!(f, "stream of events full"),
            Self::ConnectionsTaken => write!(f, "PostgreSQL out of connections"),
            Self::FailedOver => write!(f, "PostgreSQL failed over"),
            Self::HandedOver => write!(f, "PostgreSQL handed over, with an old address"),
            Self::DatabaseCut => write!(f, "connections to PostgreSQL cut"),
            Self::DatabaseSilent(direction) => write!(f, "link to PostgreSQL silent: {direction:?}"),
            Self::DatabaseSlow => write!(f, "link to PostgreSQL slow"),
            Self::ProviderKilled => write!(f, "provider killed"),
            Self::ProviderSilent(direction) => write!(f, "link to the provider silent: {direction:?}"),
        }
    }
}
