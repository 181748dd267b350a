//! What is done to the world.

use std::{fmt, time::Duration};

use pavane_testkit::servers::{Direction, Process};
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::{
    nats,
    world::{INSTANCES, Instance, World},
};

const STREAMS: [&str; 2] = ["EVENTS", "KV_PAVANE_MANIFESTS"];
const DIRECTIONS: [Direction; 2] = [Direction::ToServer, Direction::ToClient];
/// By how many seconds somebody sets a clock wrong: an hour, and 60 days.
const JUMPS: [i64; 3] = [3_600, -3_600, 60 * 24 * 3_600];

/// An instance of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Of(&'static str, usize);

/// One disturbance. It begins, lasts for a while, and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disturbance {
    /// An instance of a service is killed, and started again at the end.
    Killed(Of),
    /// It is stopped as an operator would, and started again at the end.
    Stopped(Of),
    /// It stands still, with all that it holds.
    Frozen(Of),
    /// It reaches no NATS server.
    CutOff(Of),
    /// Nothing of it arrives there, or nothing comes back.
    Silenced(Of, Direction),
    Slowed(Of),
    /// Its clock is wrong from one moment to the next, and right again at the end; or it goes too fast.
    ClockJumped(Of, i64),
    ClockDrifts(Of, i64),
    /// One of the three NATS servers.
    NatsKilled(usize),
    NatsFrozen(usize),
    /// It comes back with an empty disk.
    NatsEmptied(usize),
    /// One after the other is stopped and started, as for an upgrade.
    NatsRolled,
    /// Two of them: the last one can do nothing alone.
    QuorumLost(usize),
    /// A stream gets another leader.
    SteppedDown(&'static str),
    /// Somebody deletes a consumer.
    ConsumerDeleted(usize),
    /// The stream of events takes nothing more.
    StreamFull,
    /// The services may not publish the events of this one any more.
    Forbidden(&'static str),
    /// The primary is killed, and the standby takes over at once; a new one comes at the end.
    FailedOver,
    /// The two change places, and whoever connects meanwhile can only read.
    HandedOver,
    /// All connections to the database break.
    DatabaseCut,
    /// Nothing arrives there, or nothing comes back.
    DatabaseSilent(Direction),
    DatabaseSlow,
    /// No table can get longer.
    DiskFull,
    /// Others have all of its connections.
    ConnectionsTaken,
    ProviderKilled,
    /// It stands still: it has what it was asked, and answers late.
    ProviderFrozen,
    /// What it is asked doesn't arrive, or isn't answered.
    ProviderSilent(Direction),
}

impl Disturbance {
    /// One, or several of different groups at once. Those of instances come last: at the end they find what they need.
    pub(super) fn some(random: &mut StdRng, world: &World) -> Vec<Self> {
        let mut groups = [Self::of_instance, Self::of_nats, Self::of_database, Self::of_provider].map(Some);
        let count = *[1, 1, 1, 2, 2, 3].choose(random).unwrap_or(&1);
        let mut some: Vec<Self> = (0..count)
            .filter_map(|_| {
                // Instances are what fails most often.
                let at = [0, 0, 1, 2, 3].choose(random).copied()?;
                groups[at].take().map(|of_group| of_group(random, world))
            })
            .collect();
        some.sort_by_key(|it| it.of().is_some());
        some
    }

    fn of_instance(random: &mut StdRng, world: &World) -> Self {
        let services = world.services();
        let of = Of(services[random.random_range(0..services.len())], random.random_range(0..INSTANCES));
        match random.random_range(0..9) {
            0 => Self::Stopped(of),
            1 => Self::Frozen(of),
            2 => Self::CutOff(of),
            3 => Self::Silenced(of, direction(random)),
            4 => Self::Slowed(of),
            5 => Self::ClockJumped(of, JUMPS[random.random_range(0..JUMPS.len())]),
            // As fast as no clock is, so that it is off by minutes soon.
            6 => Self::ClockDrifts(of, random.random_range(-60_000..60_000)),
            _ => Self::Killed(of),
        }
    }

    fn of_nats(random: &mut StdRng, world: &World) -> Self {
        let server = random.random_range(0..3);
        match random.random_range(0..9) {
            0 => Self::NatsKilled(server),
            1 => Self::NatsFrozen(server),
            2 => Self::QuorumLost(server),
            3 => Self::ConsumerDeleted(random.random_range(0..100)),
            4 => Self::StreamFull,
            5 => Self::NatsEmptied(server),
            6 => Self::NatsRolled,
            7 => Self::Forbidden(world.services()[random.random_range(0..world.services().len())]),
            _ => Self::SteppedDown(STREAMS[random.random_range(0..STREAMS.len())]),
        }
    }

    fn of_database(random: &mut StdRng, _: &World) -> Self {
        match random.random_range(0..8) {
            0 => Self::FailedOver,
            1 => Self::HandedOver,
            2 | 3 => Self::DatabaseSilent(direction(random)),
            4 => Self::DatabaseSlow,
            5 => Self::ConnectionsTaken,
            6 => Self::DiskFull,
            _ => Self::DatabaseCut,
        }
    }

    fn of_provider(random: &mut StdRng, world: &World) -> Self {
        match random.random_range(0..4) {
            0 if world.provider.process.is_some() => Self::ProviderKilled,
            1 if world.provider.process.is_some() => Self::ProviderFrozen,
            _ => Self::ProviderSilent(direction(random)),
        }
    }

    /// The instance to which it happens.
    const fn of(self) -> Option<Of> {
        match self {
            Self::Killed(of)
            | Self::Stopped(of)
            | Self::Frozen(of)
            | Self::CutOff(of)
            | Self::Silenced(of, _)
            | Self::Slowed(of)
            | Self::ClockJumped(of, _)
            | Self::ClockDrifts(of, _) => Some(of),
            Self::NatsKilled(_)
            | Self::NatsFrozen(_)
            | Self::NatsEmptied(_)
            | Self::NatsRolled
            | Self::QuorumLost(_)
            | Self::SteppedDown(_)
            | Self::ConsumerDeleted(_)
            | Self::StreamFull
            | Self::Forbidden(_)
            | Self::ConnectionsTaken
            | Self::FailedOver
            | Self::HandedOver
            | Self::DatabaseCut
            | Self::DatabaseSilent(_)
            | Self::DatabaseSlow
            | Self::DiskFull
            | Self::ProviderKilled
            | Self::ProviderFrozen
            | Self::ProviderSilent(_) => None,
        }
    }

    /// The service that should feel it; `None` when all should.
    pub(super) fn service(self, world: &World) -> Option<&'static str> {
        if let Self::Forbidden(owner) = self {
            return Some(owner);
        }
        if matches!(self, Self::ProviderKilled | Self::ProviderFrozen | Self::ProviderSilent(_)) {
            return world.provider.caller;
        }
        self.of().map(|Of(service, _)| service)
    }

    pub(super) async fn begin(self, world: &mut World) {
        match self {
            Self::Killed(of) => of.instance(world).process.kill().await.unwrap(),
            // One that can't finish what it does ends with an error, which is its right here.
            Self::Stopped(of) => drop(of.instance(world).process.terminate().await),
            Self::Frozen(of) => of.instance(world).process.pause(),
            Self::CutOff(of) => of.instance(world).cut_off(),
            Self::Silenced(of, direction) => of.instance(world).silence(direction),
            Self::Slowed(of) => of.instance(world).delay(Duration::from_millis(30)),
            Self::ClockJumped(of, seconds) => of.instance(world).clock.jump(seconds),
            Self::ClockDrifts(of, millis) => of.instance(world).clock.drift(millis),
            Self::NatsKilled(server) | Self::NatsEmptied(server) => world.nats.servers()[server].kill().await.unwrap(),
            Self::NatsFrozen(server) => world.nats.servers()[server].pause(),
            Self::NatsRolled => roll(world).await,
            Self::QuorumLost(server) => {
                for other in (0..3).filter(|other| *other != server) {
                    world.nats.servers()[other].kill().await.unwrap();
                }
            }
            Self::SteppedDown(stream) => drop(world.nats.step_down(stream).await.unwrap()),
            Self::ConsumerDeleted(which) => nats::delete_consumer(&world.nats.url(), which).await,
            Self::StreamFull => nats::fill(&world.nats.url()).await,
            Self::Forbidden(owner) => world.forbid(owner),
            Self::ConnectionsTaken => world.take_connections().await,
            Self::FailedOver => world.postgres.fail_over().await.unwrap(),
            Self::HandedOver => world.postgres.hand_over().await.unwrap(),
            Self::DatabaseCut => world.postgres.proxy().cut(),
            Self::DatabaseSilent(direction) => world.postgres.proxy().black_hole(direction),
            Self::DatabaseSlow => world.postgres.proxy().delay(Duration::from_millis(30)),
            Self::DiskFull => world.disk.fill(&world.postgres.primary().data_dir()),
            Self::ProviderKilled => provider(world).kill().await.unwrap(),
            Self::ProviderFrozen => provider(world).pause(),
            Self::ProviderSilent(direction) => world.provider.link.black_hole(direction),
        }
    }

    pub(super) async fn end(self, world: &mut World) {
        match self {
            Self::Killed(of) | Self::Stopped(of) => of.instance(world).start().await,
            Self::Frozen(of) => of.instance(world).process.resume(),
            Self::CutOff(of) | Self::Silenced(of, _) | Self::Slowed(of) => of.instance(world).reconnect(),
            Self::ClockJumped(of, _) | Self::ClockDrifts(of, _) => of.instance(world).clock.correct(),
            Self::NatsKilled(server) => world.nats.servers()[server].restart().await.unwrap(),
            Self::NatsFrozen(server) => world.nats.servers()[server].resume(),
            Self::NatsEmptied(server) => {
                world.nats.servers()[server].restart_empty().await.unwrap();
                // Were another one emptied before, what only these two have would be lost.
                world.nats.wait_until_replicated().await.unwrap();
            }
            Self::QuorumLost(server) => {
                for other in (0..3).filter(|other| *other != server) {
                    world.nats.servers()[other].restart().await.unwrap();
                }
            }
            Self::StreamFull => nats::give_room(&world.nats.url()).await,
            Self::Forbidden(_) => world.permit(),
            Self::ConnectionsTaken => world.taken.clear(),
            Self::FailedOver => world.postgres.rejoin().await.unwrap(),
            Self::HandedOver => world.postgres.lead_to_primary(),
            // What was on its way is lost, as when a cable is pulled for good.
            Self::DatabaseSilent(_) => {
                world.postgres.proxy().cut();
                world.postgres.proxy().heal();
            }
            Self::DatabaseSlow => world.postgres.proxy().heal(),
            Self::DiskFull => world.disk.give_room(),
            Self::ProviderKilled => provider(world).restart().await.unwrap(),
            Self::ProviderFrozen => provider(world).resume(),
            Self::ProviderSilent(_) => world.provider.link.heal(),
            Self::NatsRolled | Self::SteppedDown(_) | Self::ConsumerDeleted(_) | Self::DatabaseCut => {}
        }
    }
}

impl Of {
    fn instance(self, world: &mut World) -> &mut Instance {
        world.instance(self.0, self.1)
    }
}

fn direction(random: &mut StdRng) -> Direction {
    DIRECTIONS[random.random_range(0..DIRECTIONS.len())]
}

fn provider(world: &mut World) -> &mut Process {
    world.provider.process.as_mut().expect("it is chosen only where it can be killed")
}

async fn roll(world: &mut World) {
    for server in 0..3 {
        world.nats.servers()[server].stop().await.unwrap();
        world.nats.servers()[server].restart().await.unwrap();
        world.nats.wait_until_replicated().await.unwrap();
    }
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.1)
    }
}

/// The kind, a colon, and to whom it happened.
impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(of) => write!(f, "instance killed: {of}"),
            Self::Stopped(of) => write!(f, "instance stopped: {of}"),
            Self::Frozen(of) => write!(f, "instance frozen: {of}"),
            Self::CutOff(of) => write!(f, "link to NATS cut: {of}"),
            Self::Silenced(of, direction) => write!(f, "link to NATS silent: {of} {direction:?}"),
            Self::Slowed(of) => write!(f, "link to NATS slow: {of}"),
            Self::ClockJumped(of, seconds) => write!(f, "clock jumped: {of} by {seconds} s"),
            Self::ClockDrifts(of, millis) => write!(f, "clock drifts: {of} by {millis} ms each second"),
            Self::NatsKilled(server) => write!(f, "NATS server killed: {server}"),
            Self::NatsFrozen(server) => write!(f, "NATS server frozen: {server}"),
            Self::NatsEmptied(server) => write!(f, "NATS server back with an empty disk: {server}"),
            Self::NatsRolled => write!(f, "NATS servers stopped one after the other"),
            Self::QuorumLost(server) => write!(f, "NATS quorum lost: all but {server}"),
            Self::SteppedDown(stream) => write!(f, "leader stepped down: {stream}"),
            Self::ConsumerDeleted(_) => write!(f, "consumer deleted"),
            Self::StreamFull => write!(f, "stream of events full"),
            Self::Forbidden(owner) => write!(f, "permission taken: to publish events of {owner}"),
            Self::ConnectionsTaken => write!(f, "PostgreSQL out of connections"),
            Self::FailedOver => write!(f, "PostgreSQL failed over"),
            Self::HandedOver => write!(f, "PostgreSQL handed over, with an old address"),
            Self::DatabaseCut => write!(f, "connections to PostgreSQL cut"),
            Self::DatabaseSilent(direction) => write!(f, "link to PostgreSQL silent: {direction:?}"),
            Self::DatabaseSlow => write!(f, "link to PostgreSQL slow"),
            Self::DiskFull => write!(f, "disk of PostgreSQL full"),
            Self::ProviderKilled => write!(f, "provider killed"),
            Self::ProviderFrozen => write!(f, "provider frozen"),
            Self::ProviderSilent(direction) => write!(f, "link to the provider silent: {direction:?}"),
        }
    }
}
