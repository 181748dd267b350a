//! An app and its HTTP side in one process.

use std::{
    env,
    future::{Future, pending},
    io,
    time::Duration,
};

use axum::Router;
use metrics_exporter_prometheus::BuildError;
use pavane_bus::Bus;
use pavane_outbox::Database;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{HttpLimits, health, process::bind, router, serve_within};
use crate::database::App;

/// How long requests under way may take at shutdown. A client that stalls must not keep the reactions from ending.
pub const HTTP_PATIENCE: Duration = Duration::from_secs(5);

/// Names an address of their own for health, readiness and metrics, as `host:port`.
const METRICS_ADDR: &str = "METRICS_ADDR";

/// Why a service's HTTP side ended. Each reads after "failed to …: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The process has another metrics recorder than ours.
    #[error("set up metrics")]
    Metrics(#[from] BuildError),
    /// A setting can't be used.
    #[error("serve HTTP")]
    Http(#[from] io::Error),
    /// The app can't go on.
    #[error("run the service")]
    App(#[from] crate::Error),
}

/// Runs a connected app, and serves `routes` and the [operators'](router) beside it, until `shutdown`: on one port, or the
/// operators' on the address that the environment variable `METRICS_ADDR` names. All within
/// [limits](HttpLimits::from_env). At the shutdown no more requests are taken, those under way are answered, for as long as
/// [`HTTP_PATIENCE`] allows, and then the reactions under way end: requests need the app's database and relay, not the other
/// way round.
///
/// # Errors
///
/// When the process has another metrics recorder, `METRICS_ADDR` or a limit can't be used, or the app can't go on: the others
/// are ended then, too.
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
    let limits = HttpLimits::from_env()?;
    let operators = router(app.readiness())?;
    let (routes, own_port) = match operators_port().await? {
        Some(listener) => (routes, Some((listener, operators))),
        None => (routes.merge(operators), None),
    };
    let own_limits = limits.clone();
    // Boxed, both: they are large, and would be in each future that runs a service.
    let operators = Box::pin(async move {
        match own_port {
            Some((listener, operators)) => serve_within(own_limits, listener, operators, pending()).await,
            None => pending().await,
        }
    });
    let stopping = CancellationToken::new();
    let stop = stopping.clone();
    let requests = Box::pin(serve_within(limits, listener, routes, async move {
        shutdown.await;
        stop.cancel();
    }));
    let too_late = async {
        stopping.cancelled().await;
        tokio::time::sleep(HTTP_PATIENCE).await;
    };
    let mut served = Ok(());
    let answered = async {
        tokio::select! {
            () = requests => {}
            () = operators => {}
            Err(error) = health::upkeep() => served = Err(Error::from(error)),
            () = too_late => {}
        }
    };
    app.run_until(answered).await?;
    served
}

/// Listens where operators ask for health and metrics, if the environment variable `METRICS_ADDR` says that they do so on a
/// port of their own. [`run`] does that by itself.
///
/// # Errors
///
/// When that isn't possible, with the address.
pub async fn operators_port() -> io::Result<Option<TcpListener>> {
    match env::var(METRICS_ADDR).ok().filter(|address| !address.is_empty()) {
        Some(address) => bind(METRICS_ADDR, &address).await.map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use pavane_bus::Memory;
    use pavane_contract::SystemClock;
    use pavane_inbox::metric::HANDLER_SECONDS;
    use pavane_outbox::{Config as DbConfig, Db};

    use super::*;
    use crate::{Config, any::Service};

    /// Waits until so many observations are condensed. What a histogram gathers can't be seen but here: to scrape would
    /// condense it.
    async fn condensed(observations: usize) {
        let expected = format!("count: {observations},");
        let condensed = async {
            loop {
                let recorder = format!("{:?}", health::recorder().unwrap());
                let distributions = recorder.split("distributions:").nth(1).unwrap();
                let distributions = distributions.split("distribution_builder:").next().unwrap();
                if distributions.contains(HANDLER_SECONDS) && distributions.contains(&expected) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), condensed).await.expect("upkeep runs without scrapes");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn histograms_are_condensed_where_nobody_scrapes() {
        let db: Db<sqlx::Any> = Db::open(DbConfig::new("bank", "sqlite::memory:")).await.unwrap();
        let bus = Memory::new(Arc::new(SystemClock));
        let app = Service::new("bank", ()).connect_to(db, bus, Config::new("")).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(app, listener, Router::new(), stop.clone().cancelled_owned()));
        health::recorder().unwrap();
        let histogram = metrics::histogram!(HANDLER_SECONDS, "service" => "bank", "reaction" => "pay");
        for observations in 1..=2 {
            histogram.record(0.1);
            condensed(observations).await;
        }
        stop.cancel();
        running.await.unwrap().unwrap();
    }
}
