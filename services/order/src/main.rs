//! The order service as a process of its own.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `HTTP_ADDR` | where it listens | `127.0.0.1:4001` |
//!
//! The others (`NATS_URL`, `DATABASE_URL`, …) are those of [`Config::from_env`] and [`Settings::from_env`].

use std::process::ExitCode;

use anyhow::Context as _;
use order::Settings;
use pavane::{Config, shutdown_signal};

#[tokio::main]
async fn main() -> ExitCode {
    let run = async {
        let config = Config::from_env().context("failed to read the configuration")?;
        let settings = Settings::from_env().context("failed to read the settings")?;
        order::run(config, settings, web::listen("127.0.0.1:4001").await?, Box::pin(shutdown_signal())).await
    };
    web::process(run).await
}
