//! The notification service as a process of its own.
//!
//! Configured by the environment: `HTTP_ADDR` (default 127.0.0.1:4005), what [`notification::Settings::from_env`] reads,
//! and what [`pavane::Config::from_env`] reads.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use notification::{NAME, Settings};
use pavane::Config;
use tokio::net::TcpListener;

const HTTP_ADDR: &str = "127.0.0.1:4005";

#[tokio::main]
async fn main() -> ExitCode {
    let _telemetry = pavane::ops::init_tracing();
    match start().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn start() -> Result<()> {
    let config = Config::from_env(NAME)?;
    let settings = Settings::from_env()?;
    let address = std::env::var("HTTP_ADDR").unwrap_or_else(|_| HTTP_ADDR.to_owned());
    let listener =
        TcpListener::bind(&address).await.with_context(|| format!("failed to listen on HTTP_ADDR = {address:?}"))?;
    tracing::info!(address, "listening");
    notification::run(config, settings, listener, pavane::shutdown_signal()).await
}
