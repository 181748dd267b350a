//! The saga monitor as a process of its own.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `HTTP_ADDR` | where it listens | `127.0.0.1:4000` |
//! | `NATS_…`, `PAVANE_NAMESPACE` | the NATS server, as for every service | `nats://127.0.0.1:4222` |
//! | `MONITOR_TOKENS` | who may act, each with a token of 16 characters or more: `anna:…,ben:…` | none: nobody |
//! | `MONITOR_READ_TOKEN` | its bearer may read | none |
//! | `MONITOR_OPEN` | `yes`: everybody who reaches it may read | `no` |
//! | `MONITOR_HOSTS` | names under which browsers may reach it, beside this machine's own | none |
//! | `TRACE_URL` | where a trace is shown; `{trace}` stands for its id | none: no links |

use std::process::ExitCode;

use anyhow::Context as _;
use monitor::Settings;
use pavane::shutdown_signal;
use pavane_bus::jetstream;

#[tokio::main]
async fn main() -> ExitCode {
    let run = async {
        let bus = jetstream::Config::from_env(monitor::NAME).context("failed to read the configuration")?;
        let settings = Settings::from_env().context("failed to read the settings")?;
        monitor::run(bus, settings, web::listen("127.0.0.1:4000").await?, Box::pin(shutdown_signal())).await
    };
    web::process(run).await
}
