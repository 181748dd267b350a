//! A service without a database: it sends mail or calls a webhook, and has no other state.
//!
//! It remembers what it did in a [dedupe store](crate::dedupe). Compared with a reaction of a service:
//!
//! - It emits no events, takes part in no undo, and handles events in no order.
//! - An effect is carried out *at least* once, by [`once`](crate::dedupe::once).
//! - Attempts are the broker's count of deliveries, which is read only when the handler has failed. So a delivery also counts
//!   when the other side was away, another instance was at it, or the process was stopped.
//! - A dead letter is published before its event is ended. While it can't be, the event is delivered again, and the handler runs
//!   again.
//! - Events that expire in the stream before they were read go unnoticed.
//! - Redrives, the monitor and the command line work as with any service.
//!
//! # Examples
//!
//! ```no_run
//! # use std::{future::Future, sync::Arc, time::Duration};
//! # use pavane_bus::{JetStream, Topology, jetstream::{Bucket, Config}};
//! # use pavane_contract::{Envelope, Event, Key, SystemClock};
//! # use pavane_inbox::{Handled, IdempotencyKey, Subscriber, dedupe::BucketStore};
//! # use schemars::JsonSchema;
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
//! # struct ParcelSent { phone: String }
//! # impl Event for ParcelSent {
//! #     const NAME: &'static str = "carrier.parcel-sent";
//! #     const VERSION: u16 = 1;
//! #     fn key(&self) -> Key { self.phone.as_str().into() }
//! # }
//! # struct Gateway;
//! # impl Gateway { async fn text(&self, _: &str) -> Result<(), std::io::Error> { Ok(()) } }
//! async fn text(gateway: &Gateway, _: &IdempotencyKey, parcel: &Envelope<ParcelSent>) -> Handled {
//!     gateway.text(&parcel.phone).await?;
//!     Ok(())
//! }
//!
//! # async fn run(gateway: Gateway, shutdown: impl Future<Output = ()>) -> Result<(), Box<dyn std::error::Error>> {
//! let bus = JetStream::connect(Config::new("nats://localhost", "texts")).await?;
//! // Longer than dead letters are kept: a redrive then finds what was done.
//! let sent = Bucket::open(bus.clone(), "texts-sent", Duration::from_hours(31 * 24)).await?;
//! Subscriber::new("texts", gateway, BucketStore::new(sent, Arc::new(SystemClock)))
//!     .on("text-customer", text)
//!     .run_until(bus, &Topology::default(), shutdown)
//!     .await?;
//! # Ok(())
//! # }
//! ```

mod handle;
mod work;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use pavane_bus::{Bus, ConsumerConfig, Subscription as _, Topology};
use pavane_choreography::{Declaration, Manifest, ReactionSettings, Role, Settings};
use pavane_contract::{Clock, Event, EventRef, SystemClock, subject};
use tokio::{sync::watch, task::JoinSet, time::sleep};
use tracing::{debug, error, info, warn};

pub use work::Deliver;

use self::{handle::Handling, work::Work};
use crate::{
    Tuning,
    consumer::{self, check_payload_max},
    dedupe::DedupeStore,
    wiring,
};

/// Why a subscriber can't start. Each reads after "failed to run the service: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name or a setting can't be used.
    #[error(transparent)]
    Wiring(#[from] wiring::Error),
    /// The bus is unavailable, or differs from what is wanted.
    #[error(transparent)]
    Consumer(#[from] consumer::Error),
    /// The service's declaration can't be written.
    #[error("the service's declaration can't be written as JSON")]
    Declaration(#[from] serde_json::Error),
}

/// A service without a database: its state, its dedupe store, and a handler for each event.
///
/// See the [module](self) for what it promises and what it doesn't.
#[must_use = "a subscriber does nothing until it is run"]
pub struct Subscriber<S, D> {
    service: String,
    state: Arc<S>,
    store: Arc<D>,
    tuning: Tuning,
    clock: Arc<dyn Clock>,
    reactions: Vec<Reaction<S>>,
}

/// A handler with its name, and the event that it runs on.
struct Reaction<S> {
    name: String,
    event: EventRef,
    work: Arc<dyn Work<S>>,
}

impl<S: Send + Sync + 'static, D: DedupeStore> Subscriber<S, D> {
    /// A service without handlers. Its name is part of its consumers' names, so it is wire format.
    pub fn new(service: impl Into<String>, state: S, store: D) -> Self {
        let (state, store, clock) = (Arc::new(state), Arc::new(store), Arc::new(SystemClock));
        Self { service: service.into(), state, store, tuning: Tuning::default(), clock, reactions: Vec::new() }
    }

    /// Runs a handler on an event. The name becomes part of its durable consumer's name and of the keys in the dedupe store, so
    /// a renamed handler does everything again.
    pub fn on<E, H>(mut self, name: impl Into<String>, handler: H) -> Self
    where
        E: Event,
        H: for<'a> Deliver<'a, S, E>,
    {
        self.reactions.push(Reaction {
            name: name.into(),
            event: EventRef::of::<E>(),
            work: work::of::<S, E, H>(handler),
        });
        self
    }

    /// Changes the tuning of the handlers. There are no batches; `concurrency` is 16 unless set.
    pub fn tuned(mut self, change: impl FnOnce(&mut Tuning)) -> Self {
        change(&mut self.tuning);
        self
    }

    /// Sets the source of time and randomness.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The service's part of the choreography as plain data.
    pub fn manifest(&self) -> Manifest {
        let reaction = |reaction: &Reaction<S>| pavane_choreography::Reaction {
            name: reaction.name.clone(),
            role: Role::React,
            on: vec![reaction.event.clone()],
            emits: Vec::new(),
            effect: true,
            gives_up_with: None,
            after_undo_of: Vec::new(),
        };
        let reactions = self.reactions.iter().map(reaction).collect();
        Manifest {
            service: self.service.clone(),
            entries: Vec::new(),
            reactions,
            events: Vec::new(),
            outlive_outcome: Vec::new(),
        }
    }

    /// Creates or checks streams and consumers, and handles events until `shutdown` completes; then lets running handlers end,
    /// acks, and disconnects. A consumer that is lost meanwhile is opened again.
    ///
    /// # Errors
    ///
    /// When it can't start: a name or a setting can't be used, or the bus is unavailable or configured otherwise.
    pub async fn run_until<B: Bus>(
        self,
        bus: B,
        topology: &Topology,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let manifest = self.manifest();
        wiring::check(&manifest)?;
        bus.provision(topology).await.map_err(consumer::Error::from)?;
        let declaration = serde_json::to_vec(&self.declaration(manifest, topology))?;
        let mut loops = Vec::with_capacity(self.reactions.len());
        for reaction in self.reactions {
            wiring::check_tuning(&reaction.name, &self.tuning)?;
            check_payload_max(&bus, &reaction.name, &self.tuning)?;
            let handling = Arc::new(Handling {
                service: self.service.clone(),
                name: reaction.name,
                event: reaction.event,
                work: reaction.work,
                state: Arc::clone(&self.state),
                store: Arc::clone(&self.store),
                tuning: self.tuning.clone(),
                clock: Arc::clone(&self.clock),
                bus: bus.clone(),
            });
            let subscription = bus.subscribe(&handling.consumer()).await.map_err(consumer::Error::from)?;
            loops.push(Loop { handling, subscription, running: JoinSet::new() });
        }
        // The service doesn't depend on its declaration. Until the next start, monitors don't know it.
        if let Err(error) = bus.declare(topology, &self.service, declaration.into()).await {
            warn!(service = self.service, %error, "failed to declare the service");
        }
        info!(service = self.service, reactions = loops.len(), "running");
        let (stop, stopped) = watch::channel(());
        let mut running: JoinSet<()> = loops.into_iter().map(|it| it.run(stopped.clone())).collect();
        shutdown.await;
        info!(service = self.service, "shutting down");
        drop(stop);
        while running.join_next().await.is_some() {}
        bus.close().await;
        Ok(())
    }

    fn declaration(&self, manifest: Manifest, topology: &Topology) -> Declaration {
        let reaction = |reaction: &Reaction<S>| {
            let mut settings = ReactionSettings::new(wiring::durable(&self.service, &reaction.name));
            settings.stuck_after = self.tuning.stuck_after;
            settings.ack_wait = self.tuning.ack_wait;
            settings.timeout = self.tuning.timeout;
            settings.max_attempts = self.tuning.max_attempts;
            settings.batch_max = 1;
            (reaction.name.clone(), settings)
        };
        let mut settings = Settings::default();
        env!("CARGO_PKG_VERSION").clone_into(&mut settings.pavane);
        settings.events_max_age = topology.max_age;
        settings.dead_letters_max_age = topology.dead_letter_max_age;
        settings.duplicate_window = topology.duplicate_window;
        settings.reactions = self.reactions.iter().map(reaction).collect();
        Declaration::new(manifest, Vec::new(), settings)
    }
}

/// Handles the events of one reaction, up to its concurrency at once.
struct Loop<S, D, B: Bus> {
    handling: Arc<Handling<S, D, B>>,
    subscription: B::Subscription,
    running: JoinSet<()>,
}

impl<S: Send + Sync + 'static, D: DedupeStore, B: Bus> Loop<S, D, B> {
    /// Takes turns until told to stop; then lets running handlers end, for the time that one attempt may take.
    async fn run(mut self, mut stop: watch::Receiver<()>) {
        let reaction = self.handling.name.clone();
        loop {
            let ended = tokio::select! {
                biased;
                _ = stop.changed() => break,
                ended = self.turn() => ended,
            };
            if let Err(error) = ended {
                error!(reaction, %error, "failed to consume events; opening the consumer again");
                tokio::select! {
                    biased;
                    _ = stop.changed() => break,
                    () = self.reopen() => {}
                }
            }
        }
        let ended = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(self.handling.tuning.timeout, ended).await.is_err() {
            warn!(reaction, "handlers still run at shutdown; their events are delivered again");
            self.running.shutdown().await;
        }
        if let Err(error) = self.subscription.close().await {
            debug!(reaction, %error, "failed to close a consumer; some events are delivered again");
        }
    }

    /// Waits for the next thing to happen, and handles it. Cancel-safe.
    async fn turn(&mut self) -> Result<(), pavane_bus::Error> {
        let room = self.handling.concurrency().saturating_sub(self.running.len());
        tokio::select! {
            biased;
            Some(ended) = self.running.join_next() => if let Err(error) = ended {
                // Handlers' panics are caught where they happen.
                warn!(reaction = self.handling.name, %error, "a run ended unexpectedly; its event is delivered again");
            },
            deliveries = self.subscription.receive(room), if room > 0 => {
                for delivery in deliveries? {
                    let handling = Arc::clone(&self.handling);
                    self.running.spawn(async move { handling.deal_with(delivery).await });
                }
            }
        }
        Ok(())
    }

    async fn reopen(&mut self) {
        const PAUSE: Duration = Duration::from_secs(1);
        loop {
            sleep(PAUSE).await;
            match self.handling.bus.subscribe(&self.handling.consumer()).await {
                Ok(subscription) => {
                    self.subscription = subscription;
                    return;
                }
                Err(error) => warn!(reaction = self.handling.name, %error, "still failed to open a consumer"),
            }
        }
    }
}

impl<S, D, B: Bus> Handling<S, D, B> {
    fn concurrency(&self) -> usize {
        self.tuning.concurrency.unwrap_or(16)
    }

    fn consumer(&self) -> ConsumerConfig {
        ConsumerConfig {
            durable: wiring::durable(&self.service, &self.name),
            filter_subjects: vec![subject::filter(&self.event), wiring::redrive_filter(&self.service, &self.name)],
            ack_wait: self.tuning.ack_wait,
            max_ack_pending: self.concurrency().saturating_mul(8).max(1000),
        }
    }
}

impl<S, D> fmt::Debug for Subscriber<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber").field("service", &self.service).finish_non_exhaustive()
    }
}
