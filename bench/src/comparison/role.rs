//! The parts that this program plays when it is started again as one of the processes of a shop.
//!
//! One program is all that has to be built, and every process is killed and started like a real one. The environment says
//! which part it is and where the others are.

use std::{env, time::Duration};

use anyhow::{Context as _, Result, bail};
use pavane::{Config, shutdown_signal};
use tokio::net::TcpListener;

use super::{
    databases::{Databases, Options},
    door,
    orchestrated::{
        Orchestrator,
        services::{self, Services},
    },
    provider::Provider,
    two_phase::{Coordinator, Locks},
};

/// Which part to play; without it, the comparison itself.
pub(crate) const ROLE: &str = "BENCH_ROLE";
/// What a coordinator is called: what it began carries its name.
pub(crate) const NAME: &str = "BENCH_NAME";
/// The URLs of the databases without the services' names at their end.
pub(crate) const DATABASES: &str = "BENCH_DATABASES";
/// Where the services of the orchestrated saga listen.
pub(crate) const SERVICES_URL: &str = "BENCH_SERVICES_URL";
/// How long a statement of two-phase commit waits for a row, in milliseconds; 0 waits for ever.
pub(crate) const LOCK_TIMEOUT_MS: &str = "BENCH_LOCK_TIMEOUT_MS";
/// Where the payment provider listens; the payment service reads it too.
pub(crate) const PSP_URL: &str = "PSP_URL";

/// Two-phase commit with the stock row locked while the provider is asked.
pub(crate) const TWO_PHASE: &str = "two-phase";
/// Two-phase commit with the provider asked first.
pub(crate) const TWO_PHASE_LATE: &str = "two-phase-late";
/// The coordinator of the orchestrated saga.
pub(crate) const ORCHESTRATOR: &str = "orchestrator";
/// The services that it calls.
pub(crate) const SERVICES: &str = "services";

/// Connections to each database, for each baseline process. Two coordinators fit into the server.
const CONNECTIONS: u32 = 40;

/// The part that the environment asks for.
pub(crate) fn asked_for() -> Option<String> {
    env::var(ROLE).ok()
}

/// Plays a part until the process ends.
///
/// # Errors
///
/// When a variable is missing or a server isn't there.
pub(crate) async fn play(role: &str) -> Result<()> {
    let listener = TcpListener::bind(var("HTTP_ADDR")?).await?;
    match role {
        TWO_PHASE | TWO_PHASE_LATE => {
            let locks = if role == TWO_PHASE { Locks::BeforeProvider } else { Locks::AfterProvider };
            let coordinator = Coordinator::open(&var(NAME)?, locks, databases().await?, provider()?).await?;
            door::serve(listener, coordinator).await
        }
        ORCHESTRATOR => {
            let orchestrator = Orchestrator::open(&var(NAME)?, databases().await?, var(SERVICES_URL)?).await?;
            door::serve(listener, orchestrator).await
        }
        SERVICES => {
            let services = Services { databases: databases().await?, provider: provider()? };
            services::serve(listener, services).await
        }
        service => pavane(service, listener).await,
    }
}

/// One of Pavane's services, as its own `main` runs it.
async fn pavane(service: &str, listener: TcpListener) -> Result<()> {
    let (config, shutdown) = (Config::from_env()?, Box::pin(shutdown_signal()));
    match service {
        "order" => order::run(config, order::Settings::from_env()?, listener, shutdown).await,
        payment::NAME => payment::run(config, payment::Settings::from_env()?, listener, shutdown).await,
        inventory::NAME => inventory::run(config, listener, shutdown).await,
        shipping::NAME => shipping::run(config, listener, shutdown).await,
        notification::NAME => notification::run(config, notification::Settings::from_env()?, listener, shutdown).await,
        unknown => bail!("there is no part {unknown:?}"),
    }
}

async fn databases() -> Result<Databases> {
    let lock_timeout = Duration::from_millis(var(LOCK_TIMEOUT_MS)?.parse()?);
    Databases::connect(&Options { prefix: var(DATABASES)?, connections: CONNECTIONS, lock_timeout }).await
}

fn provider() -> Result<Provider> {
    Provider::at(var(PSP_URL)?)
}

fn var(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("{name} is not set"))
}
