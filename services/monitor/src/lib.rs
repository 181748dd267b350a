//! The saga monitor: shows where every saga is, what it waits for, from whom and since when, and what will be undone.
//!
//! It reads the broker's streams and nothing else, keeps what it knows in memory, within a limit, and reads it from the streams
//! at each start. Nothing depends on it: to stop it affects only its visitors.
//!
//! [`run`] serves the JSON API (described at `/openapi.json`), live updates and the dashboard. Who may
//! read is a [setting](Settings); people with tokens of their own may redrive and discard dead letters and resolve sagas.

mod access;
mod api;
mod assets;
mod attempts;
mod export;
mod health;
mod live;
mod metrics;
mod observer;
mod redrives;
mod settings;

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use axum::Router;
use pavane_bus::{JetStream, jetstream};
use pavane_observe::Limits;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use utoipa_axum::router::OpenApiRouter;
use web::{HttpLimits, Running, Shutdown};

pub use live::Beat;
pub use settings::{Error as SettingsError, Settings, Token};

use crate::{attempts::Attempts, observer::Observer, redrives::Redrives};

/// The monitor's name at the NATS server.
pub const NAME: &str = "monitor";

/// The state that all requests share.
#[derive(Debug, Clone)]
struct Monitor {
    bus: JetStream,
    observer: Arc<Observer>,
    redrives: Arc<Redrives>,
    settings: Arc<Settings>,
    attempts: Arc<Attempts>,
    stopping: CancellationToken,
}

/// Connects to the NATS server, reads its streams, and answers HTTP requests until `shutdown`.
///
/// # Errors
///
/// When the server isn't there, or a setting can't be used.
pub fn run(bus: jetstream::Config, settings: Settings, listener: TcpListener, shutdown: Shutdown) -> Running {
    Box::pin(watch(bus, settings, listener, shutdown))
}

async fn watch(
    bus: jetstream::Config,
    settings: Settings,
    listener: TcpListener,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    settings.check().context("failed to start the monitor")?;
    let bus = JetStream::connect(bus).await.context("failed to start the monitor")?;
    let stopping = CancellationToken::new();
    let monitor = Monitor {
        observer: Arc::new(Observer::new(Limits::default())),
        redrives: Arc::new(Redrives::new(stopping.child_token())),
        settings: Arc::new(settings),
        attempts: Arc::default(),
        stopping: stopping.clone(),
        bus: bus.clone(),
    };
    let observer = Arc::clone(&monitor.observer);
    let reading = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&observer).read(bus)));
    let beating = AbortOnDropHandle::new(tokio::spawn(observer.beat()));
    let limits = HttpLimits::from_env()?;
    let (described, _probes) = match web::operators_port().await? {
        Some(port) => {
            let probes = Router::from(api::operators()).with_state(monitor.clone());
            (OpenApiRouter::new(), Some(web::operate(limits.clone(), port, probes)))
        }
        None => (api::operators(), None),
    };
    // Live updates would go on for as long as the server waits for them.
    let shutdown = async move {
        shutdown.await;
        stopping.cancel();
    };
    tokio::select! {
        () = web::serve(limits, listener, api::router(monitor, described), shutdown) => Ok(()),
        // Neither ends but by a panic: a page that no longer changes must not look like a system at rest.
        ended = reading => Err(anyhow!("the monitor can't read the streams any more: {ended:?}")),
        ended = beating => Err(anyhow!("the monitor can't tell what changes any more: {ended:?}")),
    }
}
