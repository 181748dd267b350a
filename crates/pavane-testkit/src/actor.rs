//! A service whose turns the test takes.

use std::time::Duration;

use pavane::{
    Config,
    database::{App, Database, Db, Service},
    internal::into_parts,
};
use pavane_bus::{Bus, Memory};
use pavane_contract::Clock as _;
use pavane_inbox::{
    Consumer, consumer,
    dead_letter::{self, Publisher},
    internal::{self, turn_now},
};
use pavane_outbox::relay::{self, Progress, Relay};

use crate::VirtualClock;

/// A connected service whose turns the test takes.
pub(crate) struct Actor<S, DB: Database, B: Bus> {
    pub(crate) consumers: Vec<Consumer<S, DB, B>>,
    pub(crate) relay: Relay<DB, B>,
    /// None where nothing could be given up on.
    pub(crate) dead_letters: Option<Publisher<DB, B>>,
}

/// Why a step failed. Reads after "failed to step the service: ".
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Consumer(#[from] consumer::Error),
    #[error(transparent)]
    Store(#[from] pavane::database::Error),
    #[error(transparent)]
    Relay(#[from] relay::Error),
    #[error("it does not come to rest: something is tried again and again; its last failure is in the log")]
    Restless,
}

impl<S: Send + Sync + 'static, DB: Database, B: Bus> Actor<S, DB, B> {
    /// Connects a service as its process would at its start.
    pub(crate) async fn connect(service: Service<S, DB>, db: Db<DB>, bus: B) -> Result<App<S, DB, B>, pavane::Error> {
        Self::connect_relaying(service, db, bus, relay::Config::default()).await
    }

    /// The same, with a relay of its own settings.
    pub(crate) async fn connect_relaying(
        service: Service<S, DB>,
        db: Db<DB>,
        bus: B,
        relay: relay::Config,
    ) -> Result<App<S, DB, B>, pavane::Error> {
        let mut config = Config::new("");
        config.relay = relay;
        // The test moves the clock and tries again; here nothing may wait for time to pass.
        config.start_within = Duration::ZERO;
        service.connect_to(db, bus, config).await
    }

    pub(crate) fn of(app: App<S, DB, B>) -> Self {
        let (consumers, relay) = into_parts(app);
        let dead_letters = consumers.first().map(Consumer::dead_letters);
        Self { consumers, relay, dead_letters }
    }
}

/// How many events one turn may handle: all that a stage has.
const BATCH_MAX: usize = 128;

impl<S: Send + Sync + 'static, DB: Database> Actor<S, DB, Memory> {
    /// Takes turns until nothing is left to do. For redeliveries it moves the clock. Returns how long it is until the next timer
    /// is due.
    pub(crate) async fn rest(&mut self, bus: &Memory, clock: &VirtualClock) -> Result<Option<Duration>, Error> {
        // More than any service needs: 8 attempts of some hundred events.
        const ROUNDS: usize = 10_000;
        for _ in 0..ROUNDS {
            let mut handled = 0;
            for consumer in &mut self.consumers {
                handled += turn_now(consumer, BATCH_MAX).await?;
            }
            if let Some(dead_letters) = &mut self.dead_letters {
                // What the bus doesn't take waits, and keeps nothing else from happening.
                handled += usize::from(matches!(dead_letters.turn().await, Ok(dead_letter::Progress::Published)));
            }
            let Progress::Idle { next_due } = self.relay.turn().await? else { continue };
            if handled > 0 {
                continue;
            }
            let mut next = bus.next_due();
            for consumer in &self.consumers {
                let due = internal::next_due(consumer).await?.and_then(|wait| clock.now().checked_add(wait).ok());
                next = next.into_iter().chain(due).min();
            }
            match next {
                Some(due) => clock.advance_to(due.max(clock.now())),
                None => return Ok(next_due.map(|due| Duration::from_micros(due.unsigned_abs()))),
            }
        }
        Err(Error::Restless)
    }
}
