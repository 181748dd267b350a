use std::{fmt, future::Future, sync::Arc, time::Duration};

use pavane_bus::Bus;
use pavane_choreography::{Declaration, Manifest};
use pavane_inbox::Consumer;
use pavane_outbox::{
    Database, Db, Emissions,
    relay::{Progress, Relay},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{Config, Edge, Readiness, janitor, pressure, supervisor};

/// A connected service, ready to run.
#[must_use = "it does nothing until it is run"]
pub struct App<S, DB: Database, B: Bus> {
    pub(crate) declaration: Declaration,
    pub(crate) state: Arc<S>,
    pub(crate) db: Db<DB>,
    pub(crate) bus: B,
    pub(crate) consumers: Vec<Consumer<S, DB, B>>,
    pub(crate) config: Config,
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

    /// An edge of the wiring table, by its name. An unknown name gives an edge that may emit nothing.
    pub fn edge(&self, name: &str) -> Edge<DB> {
        let declared = self.manifest().edges.iter().find(|edge| edge.name == name);
        let groups = declared.map(|edge| edge.emits.clone()).unwrap_or_default();
        let who = format!("{}/{name}", self.manifest().service);
        Edge::new(self.db.clone(), Emissions::new(who, groups))
    }

    /// Tells whether the service can do its work right now. Cheap to clone: give it to your `/readyz`.
    pub fn readiness(&self) -> Readiness<DB, B> {
        Readiness::new(self.db.clone(), self.bus.clone())
    }

    /// What [`run_until`](Self::run_until) runs, for a test or a simulation that steps it by hand.
    #[expect(clippy::type_complexity, reason = "a named pair would be one more word to learn")]
    pub fn into_parts(self) -> (Vec<Consumer<S, DB, B>>, Relay<DB, B>) {
        (self.consumers, Relay::new(self.db, self.bus, self.config.relay))
    }

    /// Runs until `shutdown` completes; then stops taking events, lets running handlers end, acks, publishes what they
    /// emitted, and disconnects, in this order. Acks can't be sent over a closing connection, so it closes last.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) {
        let Self { declaration, state, db, bus, consumers, config } = self;
        let service = declaration.manifest.service.clone();
        info!(service, reactions = consumers.len(), "running");
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        if let Some(consumer) = consumers.first() {
            tasks.spawn(supervisor::publish_dead_letters(consumer.dead_letters(), stop.clone()));
        }
        for consumer in consumers {
            tasks.spawn(supervisor::consume(consumer, stop.clone(), config.shutdown_patience));
        }
        tasks.spawn(supervisor::declare(bus.clone(), declaration, config.topology.clone(), stop.clone()));
        tasks.spawn(janitor::run(db.clone(), config.inbox_retention, stop.clone()));
        tasks.spawn(pressure::run(db.clone(), stop.clone()));
        let mut relay = Relay::new(db.clone(), bus.clone(), config.relay.clone());
        tokio::select! {
            () = shutdown => {}
            () = relay.run() => {}
        }
        info!(service, "shutting down");
        stop.cancel();
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                warn!(service, %error, "a task ended unexpectedly");
            }
        }
        publish_rest(&mut relay).await;
        drop(state);
        bus.close().await;
        db.close().await;
        info!(service, "stopped");
    }
}

/// Publishes what the last handlers emitted. What can't be published now is published after the next start.
async fn publish_rest<DB: Database, B: Bus>(relay: &mut Relay<DB, B>) {
    const PATIENCE: Duration = Duration::from_secs(5);
    let rest = async {
        while let Progress::Sent { .. } = relay.step().await? {}
        relay.release().await
    };
    match tokio::time::timeout(PATIENCE, rest).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(%error, "failed to publish the last events; they go out after the next start"),
        Err(_) => debug!("the last events take too long to publish; they go out after the next start"),
    }
}

/// Completes on SIGTERM or ctrl-C: what [`App::run_until`] usually waits for.
///
/// The signals are caught from the call on, not from the first poll: one that comes while the service starts ends it in
/// order, too. Call it inside the runtime.
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

/// Waits for a signal; for ever when it can't be caught.
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
