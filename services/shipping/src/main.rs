//! The shipping service as a process of its own.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `HTTP_ADDR` | where it listens | `127.0.0.1:4004` |
//!
//! The others (`NATS_URL`, `DATABASE_URL`, …) are those of [`Config::from_env`].

use std::process::ExitCode;

use anyhow::Context as _;
use pavane::Config;
use tokio::net::TcpListener;

const HTTP_ADDR: &str = "127.0.0.1:4004";

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

async fn start() -> anyhow::Result<()> {
    let config = Config::from_env(shipping::NAME).context("failed to read the configuration")?;
    let address = std::env::var("HTTP_ADDR").unwrap_or_else(|_| HTTP_ADDR.to_owned());
    let listener =
        TcpListener::bind(&address).await.with_context(|| format!("failed to listen on HTTP_ADDR = {address}"))?;
    shipping::run(config, listener, pavane::shutdown_signal()).await
}
