//! A service as a process of its own.

use std::{env, error::Error as StdError, future::Future, io, process::ExitCode};

use pavane_outbox::chain;
use tokio::net::TcpListener;

use super::init_tracing;

/// Names the address to listen on, as `host:port`.
const HTTP_ADDR: &str = "HTTP_ADDR";

/// Runs what a process is for: sets up logs and traces before, and logs why it failed, if it does. Logs and traces are
/// flushed at the end.
pub async fn process<E>(run: impl Future<Output = Result<(), E>>) -> ExitCode
where
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    let _telemetry = match init_tracing() {
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
            tracing::error!("{}", chain(&*error.into()));
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

/// Listens on the address that a setting has.
pub(super) async fn bind(setting: &str, address: &str) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("failed to listen on {setting} = {address:?}: {error}"))
    })?;
    tracing::info!(address, "listening");
    Ok(listener)
}
