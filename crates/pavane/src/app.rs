use std::{fmt, future::Future, sync::Arc, time::Duration};

use pavane_bus::Bus;
use pavane_choreography::{Declaration, Manifest};
use pavane_inbox::Consumer;
use pavane_outbox::{
    Database, Db, Emissions,
    relay::{self, Progress, Relay},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    Config, EntryPoint, Error,
    database::{Entry, Readiness},
    maintenance, pressure, supervisor,
    supervisor::Tasks,
    unread::Unread,
};

/// A connected service, ready to run.
#[must_use = "it does nothing until it is run"]
pub struct App<S, DB: Database, B: Bus> {
    pub(crate) declaration: Declaration,
    pub(crate) state: Arc<S>,
    pub(crate) db: Db<DB>,
    pub(crate) bus: B,
    pub(crate) consumers: Vec<Consumer<S, DB, B>>,
    pub(crate) config: Config,
    pub(crate) tasks: Tasks,
    pub(crate) unread: Unread,
}

impl<S: Send + Sync + 'static, DB: Database, B: Bus> App<S, DB, B> {
    /// The service's part of the choreography.
    pub const fn manifest(&self) -> &Manifest {
        &self.declaration.manifest
    }

    /// The service's state, as its reactions see it.
    pub const fn state(&self) -> &Arc<S> {
        &self.state
    }

    /// The service's database, for reading.
    pub const fn db(&self) -> &Db<DB> {
        &self.db
    }

    /// Returns an entry point of the wiring table. Call it when the service starts, so that a wrong name fails there.
    ///
    /// # Panics
    ///
    /// When the wiring table has no such entry point.
    pub fn entry(&self, point: &EntryPoint) -> Entry<DB> {
        let service = &self.manifest().service;
        let entry = self.entries().find(|(name, _)| *name == point.name());
        entry
            .unwrap_or_else(|| {
                panic!("{service} has no entry point {:?}: add .entry(…) to its wiring table", point.name())
            })
            .1
    }

    /// All entry points of the wiring table, with their names.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Entry<DB>)> {
        let manifest = self.manifest();
        manifest
            .entries
            .iter()
            .map(move |entry| (entry.name.as_str(), Entry::new(self.db.clone(), Emissions::at(manifest, entry))))
    }

    /// Returns what tells whether the service can do its work right now. Cheap to clone: use it in your `/readyz`.
    pub fn readiness(&self) -> Readiness<DB, B> {
        Readiness::new(self.db.clone(), self.bus.clone(), self.tasks.clone(), self.unread.clone())
    }

    /// Runs until `shutdown` completes; then is no longer [ready](Readiness), stops taking events, lets running handlers end, acks, publishes what they
    /// emitted, and disconnects, in this order. Acks can't be sent over a closing connection, so it closes last.
    ///
    /// A task that panics (a reaction's consumer, the relay, maintenance) is started again; [`Readiness`] names it until it
    /// runs.
    ///
    /// # Errors
    ///
    /// When a task panics again and again. The service has then stopped as at a shutdown, and the process should exit.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { declaration, state, db, bus, consumers, config, tasks, unread } = self;
        let service = declaration.manifest.service.clone();
        info!(service, reactions = consumers.len(), "running");
        let (stop, drained) = (CancellationToken::new(), CancellationToken::new());
        let mut running = JoinSet::new();
        if let Some(publisher) = consumers.first().map(Consumer::dead_letters) {
            let until = stop.clone();
            keep(&mut running, &tasks, "the publishing of dead letters", move || {
                supervisor::publish_dead_letters(publisher.clone(), until.clone())
            });
        }
        for consumer in consumers {
            running.spawn(supervisor::consume(consumer, tasks.clone(), stop.clone(), config.shutdown_patience));
        }
        let (of, until) = ((bus.clone(), declaration, config.topology.clone()), stop.clone());
        keep(&mut running, &tasks, "the service's declaration", move || {
            let (bus, declaration, topology) = of.clone();
            supervisor::declare(bus, declaration, topology, until.clone())
        });
        let (of, until) = (db.clone(), stop.clone());
        keep(&mut running, &tasks, "maintenance", move || {
            maintenance::run(of.clone(), config.inbox_retention, until.clone())
        });
        let (of, until) = ((db.clone(), bus.clone()), stop.clone());
        keep(&mut running, &tasks, "the look for what expires unread", move || {
            unread.clone().run(of.clone(), until.clone())
        });
        let (of, until) = (db.clone(), stop.clone());
        keep(&mut running, &tasks, "the look at the outbox", move || pressure::run(of.clone(), until.clone()));
        // The relay runs on while the handlers end, and stops last.
        let mut relay = JoinSet::new();
        let (of, until) = ((db.clone(), bus.clone(), config.relay), drained.clone());
        keep(&mut relay, &tasks, "the relay", move || run_relay(of.clone(), until.clone()));
        let ended = tokio::select! {
            () = shutdown => Ok(()),
            failure = failed(&mut running) => Err(failure),
            failure = failed(&mut relay) => Err(failure),
        };
        info!(service, "shutting down");
        tasks.stopping();
        for (mut tasks, end) in [(running, stop), (relay, drained)] {
            end.cancel();
            while let Some(joined) = tasks.join_next().await {
                if let Err(error) = flat(joined) {
                    warn!(service, error = pavane_outbox::chain(&error), "a task ended unexpectedly");
                }
            }
        }
        drop(state);
        bus.close().await;
        db.close().await;
        info!(service, "stopped");
        ended
    }
}

/// Waits for the first task that fails; never completes when none does.
async fn failed(tasks: &mut JoinSet<Result<(), Error>>) -> Error {
    while let Some(joined) = tasks.join_next().await {
        if let Err(error) = flat(joined) {
            return error;
        }
    }
    std::future::pending().await
}

/// The result of a task. A panic outside the supervisor counts as a failure.
fn flat(joined: Result<Result<(), Error>, JoinError>) -> Result<(), Error> {
    joined.unwrap_or_else(|error| Err(Error::Task { task: "a task".to_owned(), cause: error.to_string() }))
}

/// Keeps a task running in the background.
fn keep<F: Future<Output = ()> + Send + 'static>(
    running: &mut JoinSet<Result<(), Error>>,
    tasks: &Tasks,
    name: &'static str,
    start: impl FnMut() -> F + Send + 'static,
) {
    let tasks = tasks.clone();
    running.spawn(async move { tasks.keep(name, start).await });
}

/// Runs the relay until `stop`, and then publishes the rest.
async fn run_relay<DB: Database, B: Bus>((db, bus, config): (Db<DB>, B, relay::Config), stop: CancellationToken) {
    let mut relay = Relay::new(db, bus, config);
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = relay.run() => {}
    }
    publish_rest(&mut relay).await;
}

/// Publishes what the last handlers emitted. What can't be published now goes out after the next start.
async fn publish_rest<DB: Database, B: Bus>(relay: &mut Relay<DB, B>) {
    const PATIENCE: Duration = Duration::from_secs(5);
    let rest = async {
        while let Progress::Sent { .. } = relay.turn().await? {}
        relay.release().await
    };
    match tokio::time::timeout(PATIENCE, rest).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(
            error = pavane_outbox::chain(&error),
            "failed to publish the last events; they go out after the next start"
        ),
        Err(_) => debug!("the last events take too long to publish; they go out after the next start"),
    }
}

/// Completes on SIGTERM or ctrl-C: what [`App::run_until`] usually waits for.
///
/// The signals are caught from this call on, not from the first poll, so one that comes while the service starts also ends it
/// in order. Call it inside the runtime.
///
/// # Panics
///
/// When there is no Tokio runtime with I/O enabled.
pub fn shutdown_signal() -> impl Future<Output = ()> + Send + 'static {
    let catch = |kind: SignalKind| signal(kind).inspect_err(|error| warn!(%error, "a signal can't be caught")).ok();
    let (mut terminate, mut interrupt) = (catch(SignalKind::terminate()), catch(SignalKind::interrupt()));
    async move {
        tokio::select! {
            () = next(&mut terminate) => {}
            () = next(&mut interrupt) => {}
        }
    }
}

/// Waits for a signal; never completes when it can't be caught.
async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

impl<S, DB: Database, B: Bus> fmt::Debug for App<S, DB, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("service", &self.declaration.manifest.service).finish_non_exhaustive()
    }
}
