use std::{collections::BTreeMap, error::Error as StdError, fmt, future::Future, pin::Pin, sync::Arc};

use pavane::{
    EntryPoint, SagaId,
    database::{Database, Db, Entry, Service},
};
use pavane_bus::{Bus as _, Memory, topology::EVENTS};
use pavane_choreography::Manifest;
use pavane_contract::RawEnvelope;

use super::{
    Bug, Network,
    cast::{Connect, Migrate, connector, migrator},
    chaos::Chaos,
    store,
};
use crate::{DeadLetter, VirtualClock, database::TestDatabase, events};

/// Any error, as a user's function returns it.
pub type BoxError = Box<dyn StdError + Send + Sync>;

type Pending<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>>>>;
pub(super) type Prepare<DB> = Box<dyn Fn(World<DB>) -> Pending<()>>;
pub(super) type Begin<DB> = Box<dyn Fn(World<DB>, usize) -> Pending<SagaId>>;
pub(super) type Interlude<DB> = Box<dyn Fn(World<DB>, Saga) -> Pending<()>>;
pub(super) type Check<DB> = Box<dyn Fn(World<DB>) -> Pending<Vec<Violation>>>;
pub(super) type Repair<DB> = Box<dyn Fn(World<DB>) -> Pending<bool>>;

/// What is simulated: services, what their customers do, and what must be true in the end.
///
/// A function fills in a new one for each run, so that what its closures capture (a provider, say) is that run's own.
pub struct System<DB: Database = sqlx::Any> {
    clock: VirtualClock,
    network: Network,
    pub(super) services: Vec<Player<DB>>,
    pub(super) prepare: Option<Prepare<DB>>,
    pub(super) begin: Option<Begin<DB>>,
    pub(super) interludes: Vec<Interlude<DB>>,
    pub(super) repair: Option<Repair<DB>>,
    pub(super) checks: Vec<(String, Check<DB>)>,
}

/// One service of a system.
pub(super) struct Player<DB: Database> {
    pub(super) manifest: Manifest,
    pub(super) connect: Connect<DB>,
    pub(super) migrate: Migrate<DB>,
}

/// A saga that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Saga {
    /// Which one it is, counted from 0.
    pub number: usize,
    /// Its correlation id.
    pub id: SagaId,
}

/// Something that must not be true and is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The invariant that it violates.
    pub invariant: String,
    /// The saga that shows it, if it is one.
    pub saga: Option<SagaId>,
    /// What is wrong.
    pub what: String,
}

impl Violation {
    /// One saga shows it.
    pub fn of(saga: SagaId, what: impl Into<String>) -> Self {
        Self { invariant: String::new(), saga: Some(saga), what: what.into() }
    }

    /// The system as a whole shows it.
    pub fn overall(what: impl Into<String>) -> Self {
        Self { invariant: String::new(), saga: None, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)?;
        if let Some(saga) = self.saga {
            write!(f, " (saga {saga})")?;
        }
        Ok(())
    }
}

impl<DB: Database> System<DB> {
    pub(super) fn new(clock: VirtualClock, network: Network) -> Self {
        let (services, interludes, checks) = (Vec::new(), Vec::new(), Vec::new());
        Self { clock, network, services, prepare: None, begin: None, interludes, repair: None, checks }
    }

    /// The network over which services call what isn't a service.
    pub fn network(&self) -> Network {
        self.network.clone()
    }

    /// The time, for what isn't a service.
    pub fn clock(&self) -> VirtualClock {
        self.clock.clone()
    }

    /// Adds a service. `start` starts it as its process would, also after a crash: what it makes is lost then, what it
    /// only refers to survives.
    pub fn service<S: Send + Sync + 'static>(&mut self, start: impl Fn() -> Service<S, DB> + 'static) {
        let service = start();
        self.services.push(Player {
            manifest: service.manifest(),
            migrate: migrator(service),
            connect: connector(start),
        });
    }

    /// Says what must be there before the first saga begins: goods, accounts.
    pub fn given<F>(&mut self, prepare: impl Fn(World<DB>) -> F + 'static)
    where
        F: Future<Output = Result<(), BoxError>> + 'static,
    {
        self.prepare = Some(Box::new(move |world| Box::pin(prepare(world))));
    }

    /// Says how a saga begins: somebody makes a request at an entry point. Returns the saga's id.
    pub fn begin<F>(&mut self, begin: impl Fn(World<DB>, usize) -> F + 'static)
    where
        F: Future<Output = Result<SagaId, BoxError>> + 'static,
    {
        self.begin = Some(Box::new(move |world, number| Box::pin(begin(world, number))));
    }

    /// Adds something that somebody may do to a saga at any moment: a customer cancels.
    pub fn interlude<F>(&mut self, act: impl Fn(World<DB>, Saga) -> F + 'static)
    where
        F: Future<Output = Result<(), BoxError>> + 'static,
    {
        self.interludes.push(Box::new(move |world, saga| Box::pin(act(world, saga))));
    }

    /// Says what an operator does once everything has come to rest: repair what made events dead letters, and redrive
    /// them. Returns whether there was anything to do; it is asked again until there isn't.
    pub fn repair<F>(&mut self, act: impl Fn(World<DB>) -> F + 'static)
    where
        F: Future<Output = Result<bool, BoxError>> + 'static,
    {
        self.repair = Some(Box::new(move |world| Box::pin(act(world))));
    }

    /// Adds an invariant: what must be true once everything has come to rest. Returns what isn't.
    pub fn invariant<F>(&mut self, name: impl Into<String>, check: impl Fn(World<DB>) -> F + 'static)
    where
        F: Future<Output = Result<Vec<Violation>, BoxError>> + 'static,
    {
        self.checks.push((name.into(), Box::new(move |world| Box::pin(check(world)))));
    }
}

/// A system while it is simulated: its databases, entry points and streams. Cheap to clone.
#[derive(Debug)]
pub struct World<DB: Database = sqlx::Any> {
    pub(super) databases: Arc<BTreeMap<String, TestDatabase<DB>>>,
    pub(super) entries: BTreeMap<(String, String), Entry<DB>>,
    pub(super) bus: Memory,
    pub(super) chaos: Arc<Chaos>,
    pub(super) sagas: Vec<Saga>,
}

impl<DB: Database> Clone for World<DB> {
    fn clone(&self) -> Self {
        let Self { databases, entries, bus, chaos, sagas } = self;
        let (databases, entries, sagas) = (Arc::clone(databases), entries.clone(), sagas.clone());
        Self { databases, entries, bus: bus.clone(), chaos: Arc::clone(chaos), sagas }
    }
}

impl<DB: Database> World<DB> {
    /// A service's entry point.
    ///
    /// # Panics
    ///
    /// When there is no such service or entry point.
    pub fn entry(&self, service: &str, point: &EntryPoint) -> Entry<DB> {
        let entry = self.entries.get(&(service.to_owned(), point.name().to_owned()));
        entry.unwrap_or_else(|| panic!("the system has no entry point {:?} of {service:?}", point.name())).clone()
    }

    /// A service's database.
    ///
    /// # Panics
    ///
    /// When there is no such service.
    pub fn db(&self, service: &str) -> &Db<DB> {
        &self.databases.get(service).unwrap_or_else(|| panic!("the system has no service {service:?}")).db
    }

    /// The sagas whose beginning somebody was told of. Others may have begun: the answer got lost in a crash.
    pub fn sagas(&self) -> &[Saga] {
        &self.sagas
    }

    /// All events in the stream, in order, some of them more than once.
    pub fn events(&self) -> Vec<RawEnvelope> {
        self.bus.messages(EVENTS).iter().filter_map(events::read).collect()
    }

    /// All dead letters.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        events::dead_letters(&self.bus)
    }

    /// Dead letters whose event wasn't handled since by the reaction that gave up on it.
    ///
    /// # Errors
    ///
    /// When a database fails.
    pub async fn given_up(&self) -> Result<Vec<DeadLetter>, BoxError> {
        let mut given_up = Vec::new();
        for letter in self.dead_letters() {
            let handled = store::handled(self.db(&letter.service), &letter.reaction).await?;
            if letter.event.as_ref().is_some_and(|event| !handled.contains_key(&event.meta.id)) {
                given_up.push(letter);
            }
        }
        Ok(given_up)
    }

    /// Gives an event once more to the reaction that gave up on it, as the command line does. Tries until the bus takes it.
    pub fn redrive(&self, letter: &DeadLetter) {
        let mut outgoing = letter.redriven(format!("redrive-{}", letter.sequence));
        if let (Some(Bug::RedriveUnderOldId), Some(event)) = (self.chaos.bug, &letter.event) {
            outgoing.message_id = event.meta.id.to_string();
            if !self.chaos.wrong().redriven.insert(letter.sequence) {
                // It is taken for sent.
                return;
            }
        }
        while self.bus.health().connected && self.bus.try_publish(vec![outgoing.clone()]).iter().any(Result::is_err) {}
    }

    /// The bus, for what comes from outside: messages that nobody can read, say.
    pub const fn bus(&self) -> &Memory {
        &self.bus
    }
}

impl<DB: Database> fmt::Debug for System<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: Vec<_> = self.services.iter().map(|player| &player.manifest.service).collect();
        f.debug_struct("System").field("services", &services).finish_non_exhaustive()
    }
}
