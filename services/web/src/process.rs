//! A service as a process of its own.

use std::{env, future::Future, io, process::ExitCode};

use pavane::ops;
use pavane_outbox::chain;
use tokio::net::TcpListener;

/// Names the address to listen on, as `host:port`.
const HTTP_ADDR: &str = "HTTP_ADDR";
/// Names an address of their own for health, readiness and metrics, as `host:port`.
const METRICS_ADDR: &str = "METRICS_ADDR";

/// Runs what a process is for: sets up logs and traces before, and logs why it failed, if it does. Traces are flushed at the
/// very end, so that those of the last requests and reactions are among them.
pub async fn process(run: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let _telemetry = match ops::init_tracing() {
        Ok(telemetry) => telemetry,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::FAILURE;
        }
    };
    // Boxed: it is large, and would be there twice.
    match Box::pin(run).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Listens on the address that the environment variable `HTTP_ADDR` names, or else on `default`.
///
/// # Errors
///
/// When that isn't possible, with the address.
pub async fn listen(default: &str) -> io::Result<TcpListener> {
    let address = env::var(HTTP_ADDR).unwrap_or_else(|_| default.to_owned());
    bind(HTTP_ADDR, &address).await
}

/// Listens where operators ask for health and metrics, if the environment variable `METRICS_ADDR` says that they do so on a
/// port of their own. [`run`](crate::run) does that by itself.
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

/// Listens on the address that a setting has.
async fn bind(setting: &str, address: &str) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("failed to listen on {setting} = {address:?}: {error}"))
    })?;
    tracing::info!(address, "listening");
    Ok(listener)
}
