//! The payment service as a process of its own.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `HTTP_ADDR` | where it listens | `127.0.0.1:4002` |
//!
//! The others (`NATS_URL`, `DATABASE_URL`, …) are those of [`Config::from_env`] and [`Settings::from_env`].

use std::process::ExitCode;

use anyhow::Context as _;
use pavane::{Config, shutdown_signal};
use payment::Settings;

#[tokio::main]
async fn main() -> ExitCode {
    let run = async {
        let config = Config::from_env().context("failed to read the configuration")?;
        let settings = Settings::from_env().context("failed to read the settings")?;
        payment::run(config, settings, web::listen("127.0.0.1:4002").await?, Box::pin(shutdown_signal())).await
    };
    web::process(run).await
}
