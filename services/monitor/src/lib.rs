//! The saga monitor: shows where every saga is, what it waits for, from whom and since when, and what will be undone.
//!
//! It reads the broker's streams and nothing else, keeps what it knows in memory and within a bound, and makes it anew from
//! the streams at each start. Nothing depends on it: stopping it changes nothing for anybody but those who watch.
//!
//! [`run`] serves the JSON API (described at `/openapi.json`), live updates and the dashboard. Whoever has the
//! [token](Settings::token) may redrive and discard dead letters and resolve sagas; without one, it only shows.

mod access;
mod api;
mod assets;
mod export;
mod health;
mod live;
mod metrics;
mod observer;
mod redrives;
mod settings;

use std::{future::Future, sync::Arc};

use anyhow::{Context as _, anyhow};
use pavane::{
    bus::{JetStream, jetstream},
    ops,
};
use pavane_observe::Limits;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

pub use live::Beat;
pub use settings::{Error as SettingsError, Settings, Token};

use crate::{observer::Observer, redrives::Redrives};

/// The monitor's name at the NATS server.
pub const NAME: &str = "monitor";

/// What every request has at hand.
#[derive(Debug, Clone)]
struct Monitor {
    bus: JetStream,
    observer: Arc<Observer>,
    redrives: Arc<Redrives>,
    settings: Arc<Settings>,
    stopping: CancellationToken,
}

/// Connects to the NATS server, reads its streams, and answers HTTP requests until `shutdown`.
///
/// # Errors
///
/// When the server isn't there, or the listener fails.
pub async fn run(
    bus: jetstream::Config,
    settings: Settings,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let bus = JetStream::connect(bus).await.context("failed to start the monitor")?;
    let stopping = CancellationToken::new();
    let monitor = Monitor {
        observer: Arc::new(Observer::new(Limits::default())),
        redrives: Arc::new(Redrives::new(stopping.child_token())),
        settings: Arc::new(settings),
        stopping: stopping.clone(),
        bus: bus.clone(),
    };
    let observer = Arc::clone(&monitor.observer);
    let reading = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&observer).read(bus)));
    let beating = AbortOnDropHandle::new(tokio::spawn(observer.beat()));
    let stop = stopping.clone();
    let served = ops::serve(listener, api::router(monitor), async move {
        shutdown.await;
        stop.cancel();
    });
    let too_late = async {
        stopping.cancelled().await;
        tokio::time::sleep(ops::HTTP_PATIENCE).await;
    };
    tokio::select! {
        served = served => served.context("failed to serve HTTP"),
        // Neither ends but by a panic: a page that no longer changes must not look like a system at rest.
        ended = reading => Err(anyhow!("the monitor can't read the streams any more: {ended:?}")),
        ended = beating => Err(anyhow!("the monitor can't tell what changes any more: {ended:?}")),
        () = too_late => Ok(()),
    }
}
