//! An app and its HTTP side in one process.

use std::{future::Future, io, time::Duration};

use axum::Router;
use metrics_exporter_prometheus::BuildError;
use pavane_bus::Bus;
use pavane_outbox::Database;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{router, trace};
use crate::App;

/// How long requests under way may take at shutdown. A client that stalls must not keep the reactions from ending.
pub const HTTP_PATIENCE: Duration = Duration::from_secs(5);

/// Why a service's HTTP side ended. Each reads after "failed to …: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The process has another metrics recorder than ours.
    #[error("set up metrics: {0}")]
    Metrics(#[from] BuildError),
    /// The listener failed.
    #[error("serve HTTP: {0}")]
    Http(#[from] io::Error),
}

/// Runs a connected app, and serves `routes` and the [operators'](router) beside it, until `shutdown`. Then no more
/// requests are taken, those under way are answered, for as long as [`HTTP_PATIENCE`] allows, and then the reactions under
/// way end: requests need the app's database and relay, not the other way round.
///
/// # Errors
///
/// When the process has another metrics recorder, or the listener fails: the reactions are ended then too.
pub async fn run<S, DB, B>(
    app: App<S, DB, B>,
    listener: TcpListener,
    routes: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error>
where
    S: Send + Sync + 'static,
    DB: Database,
    B: Bus,
{
    let routes = routes.merge(router(app.readiness())?);
    let stopping = CancellationToken::new();
    let stop = stopping.clone();
    let requests = serve(listener, routes, async move {
        shutdown.await;
        stop.cancel();
    });
    let too_late = async {
        stopping.cancelled().await;
        tokio::time::sleep(HTTP_PATIENCE).await;
    };
    let mut served = Ok(());
    let answered = async {
        tokio::select! {
            ended = requests => served = ended,
            () = too_late => {}
        }
    };
    app.run_until(answered).await;
    Ok(served?)
}

/// Serves HTTP until `shutdown` completes, and then until the requests under way are answered. Each request is a
/// [span](trace::spans).
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, trace::spans(router)).with_graceful_shutdown(shutdown).await
}
