//! The order service as a process of its own.
//!
//! Configured by the environment: what `pavane::Config::from_env` and `order::Settings::from_env` read, and `HTTP_ADDR`,
//! the address to listen on (default `127.0.0.1:4001`).

use std::process::ExitCode;

use anyhow::Context as _;
use order::Settings;
use pavane::Config;
use tokio::net::TcpListener;

const HTTP_ADDR: &str = "127.0.0.1:4001";

#[tokio::main]
async fn main() -> ExitCode {
    let _telemetry = pavane::ops::init_tracing();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let config = Config::from_env("order").context("failed to read the configuration")?;
    let settings = Settings::from_env().context("failed to read the settings")?;
    let address = std::env::var("HTTP_ADDR").unwrap_or_else(|_| HTTP_ADDR.to_owned());
    let listener =
        TcpListener::bind(&address).await.with_context(|| format!("failed to listen on HTTP_ADDR = {address:?}"))?;
    tracing::info!(address, "listening");
    order::run(config, settings, listener, pavane::shutdown_signal()).await
}
