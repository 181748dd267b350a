//! Services with their types erased: one shape for everything that takes steps.

use std::{future::Future, pin::Pin, rc::Rc};

use pavane::database::{Database, Db, Entry, Service};
use pavane_inbox::{
    Consumer,
    dead_letter::{self, Publisher},
    internal::{next_due, turn_now},
};
use pavane_outbox::relay::{self, Progress, Relay};

use super::{BoxError, wire::SimulatedBus};
use crate::actor::Actor;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stepped {
    /// Handled some events, or published some.
    Busy,
    /// Nothing to do; `next_due` microseconds until there is, if that is known.
    Idle { next_due: Option<i64> },
}

/// Something that takes steps, one after another: a reaction, or a relay.
pub(super) trait Worker {
    fn name(&self) -> String;

    fn step(self: Box<Self>, batch_max: usize) -> Running;
}

/// A worker's step under way. It gives the worker back.
pub(super) type Running = Pin<Box<dyn Future<Output = (Box<dyn Worker>, Stepped)>>>;

/// A process that has just started.
pub(super) struct Process<DB: Database> {
    pub(super) workers: Vec<Box<dyn Worker>>,
    pub(super) entries: Vec<(String, Entry<DB>)>,
}

type Connected<DB> = Pin<Box<dyn Future<Output = Result<Process<DB>, pavane::Error>>>>;

/// Starts a process of a service, whose relay has these settings.
pub(super) type Connect<DB> = Box<dyn Fn(Db<DB>, SimulatedBus, relay::Config) -> Connected<DB>>;

/// Makes a service's tables.
pub(super) type Migrate<DB> = Box<dyn Fn(Db<DB>) -> Pin<Box<dyn Future<Output = Result<(), BoxError>>>>>;

pub(super) fn migrator<S: Send + Sync + 'static, DB: Database>(service: Service<S, DB>) -> Migrate<DB> {
    let service = Rc::new(service);
    Box::new(move |db| {
        let service = Rc::clone(&service);
        Box::pin(async move { Ok(service.migrate(&db).await?) })
    })
}

pub(super) fn connector<S: Send + Sync + 'static, DB: Database>(
    start: impl Fn() -> Service<S, DB> + 'static,
) -> Connect<DB> {
    Box::new(move |db, bus, relay| {
        let service = start();
        Box::pin(async move {
            let app = Actor::connect_relaying(service, db, bus, relay).await?;
            let entries = app.entries().map(|(name, entry)| (name.to_owned(), entry)).collect();
            let Actor { consumers, relay, dead_letters } = Actor::of(app);
            let mut workers: Vec<Box<dyn Worker>> = vec![Box::new(relay)];
            workers.extend(dead_letters.map(|dead_letters| Box::new(dead_letters) as Box<dyn Worker>));
            workers.extend(consumers.into_iter().map(|consumer| Box::new(consumer) as Box<dyn Worker>));
            Ok(Process { workers, entries })
        })
    })
}

impl<S: Send + Sync + 'static, DB: Database> Worker for Consumer<S, DB, SimulatedBus> {
    fn name(&self) -> String {
        Self::name(self).to_owned()
    }

    fn step(mut self: Box<Self>, batch_max: usize) -> Running {
        Box::pin(async move {
            let stepped = match turn_now(&mut self, batch_max).await {
                Ok(0) => {
                    let wait = next_due(&self).await.ok().flatten();
                    Stepped::Idle { next_due: wait.and_then(|wait| i64::try_from(wait.as_micros()).ok()) }
                }
                Ok(_) => Stepped::Busy,
                // The durable consumer is gone: as the supervisor does, open it anew, or try that another time.
                Err(_) if self.reopen().await.is_ok() => Stepped::Busy,
                Err(_) => Stepped::Idle { next_due: None },
            };
            (self as Box<dyn Worker>, stepped)
        })
    }
}

/// How long who publishes waits before it looks again when something failed, in microseconds.
const AGAIN: i64 = 500_000;

impl<DB: Database> Worker for Publisher<DB, SimulatedBus> {
    fn name(&self) -> String {
        "dead letters".to_owned()
    }

    fn step(mut self: Box<Self>, _: usize) -> Running {
        Box::pin(async move {
            let stepped = match self.turn().await {
                Ok(dead_letter::Progress::Published) => Stepped::Busy,
                Ok(dead_letter::Progress::Idle) => Stepped::Idle { next_due: None },
                Err(_) => Stepped::Idle { next_due: Some(AGAIN) },
            };
            (self as Box<dyn Worker>, stepped)
        })
    }
}

impl<DB: Database> Worker for Relay<DB, SimulatedBus> {
    fn name(&self) -> String {
        "relay".to_owned()
    }

    fn step(mut self: Box<Self>, _: usize) -> Running {
        /// And when another one publishes: as long as that one's lease.
        const STANDBY: i64 = 5_000_000;
        Box::pin(async move {
            let stepped = match Self::turn(&mut self).await {
                Ok(Progress::Sent { .. }) => Stepped::Busy,
                Ok(Progress::Idle { next_due }) => Stepped::Idle { next_due },
                Ok(_) => Stepped::Idle { next_due: Some(STANDBY) },
                // The broker is away, or lost something: that is what is simulated.
                Err(_) => Stepped::Idle { next_due: Some(AGAIN) },
            };
            (self as Box<dyn Worker>, stepped)
        })
    }
}
