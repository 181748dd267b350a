//! The payment provider as a process of its own.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use pavane::shutdown_signal;
use pavane_contract::SystemClock;
use psp::{Faults, Psp};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

/// A payment provider to practise on: Stripe's shapes and idempotency keys, faults on demand.
#[derive(Debug, Parser)]
struct Config {
    /// The address to listen on.
    #[arg(long, env = "HTTP_ADDR", default_value = "127.0.0.1:4010")]
    http_addr: SocketAddr,
    /// The books: a SQLite file.
    #[arg(long, env = "DATABASE_URL", default_value = "sqlite:psp.db")]
    database_url: String,
    /// How long `pm_card_slow` takes to authorise, in milliseconds.
    #[arg(long, env = "SLOW_MS", default_value_t = 2_000)]
    slow_ms: u64,
    /// How long the first answer for `pm_card_timeout_after_charge` is held back, in milliseconds.
    #[arg(long, env = "HOLD_MS", default_value_t = 10_000)]
    hold_ms: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let in_colours = io::stdout().is_terminal() && !no_color;
    tracing_subscriber::fmt().with_ansi(in_colours).with_env_filter(filter).init();
    let config = Config::parse();
    let shutdown = shutdown_signal();

    let faults = Faults { slow: Duration::from_millis(config.slow_ms), hold: Duration::from_millis(config.hold_ms) };
    let psp = Psp::open(&config.database_url, Arc::new(SystemClock), faults)
        .await
        .map_err(|error| anyhow!("failed to {error}"))
        .with_context(|| format!("DATABASE_URL is {}", config.database_url))?;
    let listener = TcpListener::bind(config.http_addr)
        .await
        .with_context(|| format!("failed to listen on HTTP_ADDR {}", config.http_addr))?;

    tracing::info!(address = %listener.local_addr()?, database = config.database_url, "ready");
    psp::serve(listener, psp, shutdown).await?;
    Ok(())
}
