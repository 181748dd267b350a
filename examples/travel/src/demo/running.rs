//! Starts and stops the services and their provider.

use std::{future::Future, iter, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use futures_util::future::try_join_all;
use pavane::{Config, contract::SystemClock};
use pavane_testkit::servers::{Process, ProcessOptions};
use reqwest::Method;
use sqlx::{Connection as _, PgConnection};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use web::Shutdown;

use super::{
    company::{Company, SERVICES},
    kills::kill_while,
};
use crate::{
    car, flight, hotel, itinerary,
    provider::{self, Client, Faults, Provider, Settings},
    ticketing, trip,
};

/// How long the services wait for it.
const TIMEOUT: Duration = Duration::from_secs(4);
/// How long the services count on the provider to know an idempotency key.
const KEY_LIFE: Duration = Duration::from_secs(6);
/// What the demo's provider does: a late answer is late enough to cancel meanwhile, and no more.
pub const FAULTS: Faults = Faults { late: Duration::from_millis(2_500), key_life: Duration::from_secs(7) };
/// What a traveller's request may take, and how long one without an answer is sent again.
const ANSWERS: (Duration, Duration) = (Duration::from_mins(1), Duration::from_secs(30));
/// How many processes a service has of which some are killed.
const INSTANCES: usize = 2;

/// A company that runs: all of it in this process, or each service in processes of its own.
#[derive(Debug)]
pub struct Running {
    company: Company,
    stop: CancellationToken,
    tasks: JoinSet<Result<()>>,
    processes: Vec<Process>,
}

impl Running {
    /// Starts all services in this process, each with a database of its own on the PostgreSQL server at `database`, and waits until they
    /// are ready.
    ///
    /// # Errors
    ///
    /// When a service can't start; the error names it.
    pub async fn start(nats: &str, database: &str) -> Result<Self> {
        let mut running = Self::start_provider().await?;
        let provider = running.company.url("provider")?;
        for service in SERVICES {
            let config = Config::new(nats).database(create_database(database, service).await?);
            let listener = running.listen(service).await?;
            let stop = Box::pin(running.stop.clone().cancelled_owned());
            running.spawn(run(service, config, provider.clone(), listener, stop));
        }
        let company = running.company.clone();
        tokio::select! {
            ready = wait_until_ready(&company) => ready?,
            // A service that ends now couldn't start.
            Some(ended) = running.tasks.join_next() => {
                return Err(ended?.err().unwrap_or_else(|| anyhow!("a service ended")));
            }
        }
        Ok(running)
    }

    /// As [`start`](Self::start), with two processes of each service, which can be [killed](Self::kill_while). Only the provider is in this
    /// one.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn start_processes(nats: &str, database: &str) -> Result<Self> {
        let mut running = Self::start_provider().await?;
        let provider = running.company.url("provider")?;
        for service in SERVICES {
            let database = create_database(database, service).await?;
            let environment = [("NATS_URL", nats), ("DATABASE_URL", &database), ("PROVIDER_URL", &provider)];
            let environment: Vec<_> = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            let start = || {
                let arguments = vec!["--only".to_owned(), service.to_owned()];
                Process::start(env!("CARGO_PKG_NAME"), ProcessOptions { environment: environment.clone(), arguments })
            };
            let started = try_join_all(iter::repeat_with(start).take(INSTANCES)).await;
            for process in started.with_context(|| format!("{service} can't start"))? {
                running.company.add(service, process.url());
                running.processes.push(process);
            }
        }
        Ok(running)
    }

    async fn start_provider() -> Result<Self> {
        let (company, stop) = (Company::new(ANSWERS.0, ANSWERS.1)?, CancellationToken::new());
        let mut running = Self { company, stop, tasks: JoinSet::new(), processes: Vec::new() };
        let listener = running.listen("provider").await?;
        let (provider, stop) = (Provider::new(Arc::new(SystemClock), FAULTS), running.stop.clone().cancelled_owned());
        running.spawn(async move { provider::serve(listener, &provider, stop).await });
        Ok(running)
    }

    /// What travellers and auditors see of it.
    pub const fn company(&self) -> &Company {
        &self.company
    }

    /// Until `work` is done, kills a process of a service after each `pause`, with SIGKILL, and starts it again. Which ones, the seed says.
    /// Returns how often it did, too.
    ///
    /// # Errors
    ///
    /// That of `work`; and when a process doesn't start again.
    pub async fn kill_while<T>(
        &mut self,
        pause: Duration,
        seed: u64,
        work: impl Future<Output = Result<T>>,
    ) -> Result<(T, usize)> {
        kill_while(&mut self.processes, pause, seed, work).await
    }

    /// Stops all services as SIGTERM would. Processes of their own are killed.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Ok(Err(error)) = ended {
                tracing::warn!("a service ended with an error: {error:#}");
            }
        }
    }

    async fn listen(&mut self, service: &'static str) -> Result<TcpListener> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        self.company.add(service, format!("http://{}", listener.local_addr()?));
        Ok(listener)
    }

    fn spawn(&mut self, service: impl Future<Output = Result<()>> + Send + 'static) {
        self.tasks.spawn(service);
    }
}

/// Runs one service of the demo until `stop`.
///
/// # Errors
///
/// When a server isn't there at the start, or the service can't go on; and when there is no such service.
pub async fn run(service: &str, config: Config, provider: String, listener: TcpListener, stop: Shutdown) -> Result<()> {
    let mut settings = Settings::at(&provider)?;
    (settings.timeout, settings.key_life) = (TIMEOUT, KEY_LIFE);
    let client = Client::new(settings)?;
    let ended = match service {
        "trip" => trip::run(config, listener, stop).await,
        "flight" => flight::run(config, client, listener, stop).await,
        "hotel" => hotel::run(config, client, listener, stop).await,
        "car" => car::run(config, client, listener, stop).await,
        "ticketing" => ticketing::run(config, client, listener, stop).await,
        "itinerary" => itinerary::run(config, listener, stop).await,
        other => bail!("there is no service {other:?}: use one of {SERVICES:?}"),
    };
    ended.with_context(|| format!("{service} can't go on"))
}

async fn wait_until_ready(company: &Company) -> Result<()> {
    for service in company.services() {
        company.send(Method::GET, service, "/readyz", None).await?.error_for_status()?;
    }
    Ok(())
}

/// A service's own database on a server, made if it is missing.
async fn create_database(server: &str, service: &str) -> Result<String> {
    let mut url = reqwest::Url::parse(server)?;
    url.set_path("/postgres");
    let name = format!("travel_{service}");
    let mut conn = PgConnection::connect(url.as_str()).await?;
    let exists = sqlx::query_scalar("select exists (select from pg_database where datname = $1)");
    let exists: bool = exists.bind(&name).fetch_one(&mut conn).await?;
    if !exists {
        // A name can't be bound; this one is ours.
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("create database {name}"))).execute(&mut conn).await?;
    }
    conn.close().await?;
    url.set_path(&name);
    Ok(url.into())
}
