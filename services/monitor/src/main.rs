//! The saga monitor as a process of its own.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `HTTP_ADDR` | where it listens | `127.0.0.1:4000` |
//! | `NATS_URL`, `NATS_USER`, `NATS_PASSWORD`, `NATS_CREDENTIALS` | the NATS server, as for every service | `nats://127.0.0.1:4222` |
//! | `MONITOR_TOKEN` | who has it may redrive, discard and resolve; 16 characters or more | none: it only shows |
//! | `TRACE_URL` | where a trace is shown; `{trace}` stands for its id | none: no links |

use std::process::ExitCode;

use anyhow::Context as _;
use monitor::Settings;
use pavane::{Config, bus::jetstream};
use tokio::net::TcpListener;

const HTTP_ADDR: &str = "127.0.0.1:4000";

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
    let config = Config::from_env(monitor::NAME).context("failed to read the configuration")?;
    let mut bus = jetstream::Config::new(config.nats_url, monitor::NAME);
    (bus.user, bus.credentials_file) = (config.nats_user, config.nats_credentials);
    let settings = Settings::from_env().context("failed to read the configuration")?;
    let address = std::env::var("HTTP_ADDR").unwrap_or_else(|_| HTTP_ADDR.to_owned());
    let listener =
        TcpListener::bind(&address).await.with_context(|| format!("failed to listen on HTTP_ADDR = {address}"))?;
    monitor::run(bus, settings, listener, pavane::shutdown_signal()).await
}
