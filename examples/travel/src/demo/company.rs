//! Starts and stops the services and their provider.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow, ensure};
use pavane::{Config, contract::SystemClock};
use sqlx::{Connection as _, PgConnection};
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    car, flight, hotel, itinerary,
    provider::{self, Client, Faults, Provider, Settings},
    ticketing, trip,
};

/// The services.
pub const SERVICES: [&str; 6] = ["trip", "flight", "hotel", "car", "ticketing", "itinerary"];

/// How long a late provider takes: long enough to cancel meanwhile, and no more.
const LATE: Duration = Duration::from_millis(2_500);
/// How long the services wait for it.
const TIMEOUT: Duration = Duration::from_secs(4);
/// How long the provider knows an idempotency key, and how long the services count on it.
const KEY_LIVES: (Duration, Duration) = (Duration::from_secs(7), Duration::from_secs(6));

/// The services and their provider, as travellers and auditors see them.
#[derive(Debug, Clone)]
pub struct Company {
    urls: BTreeMap<&'static str, String>,
    http: reqwest::Client,
}

impl Company {
    /// A URL of a service.
    pub fn url(&self, service: &str, path: &str) -> String {
        format!("{}{path}", self.urls.get(service).map_or("", String::as_str))
    }

    /// The client that everybody shares.
    pub const fn http(&self) -> &reqwest::Client {
        &self.http
    }
}

/// A company that runs in this process.
#[derive(Debug)]
pub struct Running {
    company: Company,
    stop: CancellationToken,
    services: JoinSet<Result<()>>,
}

impl Running {
    /// Starts all services, each with a database of its own on the PostgreSQL server at `database`, and waits until they are ready.
    ///
    /// # Errors
    ///
    /// When a service can't start; the error names it.
    pub async fn start(nats: &str, database: &str) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_mins(1)).build()?;
        let company = Company { urls: BTreeMap::new(), http };
        let mut running = Self { company, stop: CancellationToken::new(), services: JoinSet::new() };
        let listener = running.listen("provider").await?;
        let faults = Faults { late: LATE, key_life: KEY_LIVES.0 };
        let (provider, stop) = (Provider::new(Arc::new(SystemClock), faults), running.stop.clone().cancelled_owned());
        running.spawn(async move { provider::serve(listener, &provider, stop).await });
        for service in SERVICES {
            let database = create_database(database, service).await;
            let config = Config::new(nats).database(database.with_context(|| format!("no database for {service}"))?);
            running.start_one(service, config).await.with_context(|| format!("{service} can't start"))?;
        }
        let company = running.company.clone();
        tokio::select! {
            ready = wait_until_ready(&company) => ready?,
            // A service that ends now couldn't start.
            Some(ended) = running.services.join_next() => {
                return Err(ended?.err().unwrap_or_else(|| anyhow!("a service ended")));
            }
        }
        Ok(running)
    }

    /// What travellers and auditors see of it.
    pub const fn company(&self) -> &Company {
        &self.company
    }

    /// Stops all services as SIGTERM would.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.services.join_next().await {
            if let Ok(Err(error)) = ended {
                tracing::warn!("a service ended with an error: {error:#}");
            }
        }
    }

    async fn listen(&mut self, service: &'static str) -> Result<TcpListener> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        self.company.urls.insert(service, format!("http://{}", listener.local_addr()?));
        Ok(listener)
    }

    async fn start_one(&mut self, service: &'static str, config: Config) -> Result<()> {
        let (listener, stop) = (self.listen(service).await?, self.stop.clone().cancelled_owned());
        let mut settings = Settings::at(&self.company.url("provider", ""))?;
        (settings.timeout, settings.key_life) = (TIMEOUT, KEY_LIVES.1);
        let client = Client::new(settings)?;
        match service {
            "trip" => self.spawn(trip::run(config, listener, stop)),
            "flight" => self.spawn(flight::run(config, client, listener, stop)),
            "hotel" => self.spawn(hotel::run(config, client, listener, stop)),
            "car" => self.spawn(car::run(config, client, listener, stop)),
            "ticketing" => self.spawn(ticketing::run(config, client, listener, stop)),
            "itinerary" => self.spawn(itinerary::run(config, listener, stop)),
            other => return Err(anyhow!("there is no service {other:?}")),
        }
        Ok(())
    }

    fn spawn(&mut self, service: impl Future<Output = Result<()>> + Send + 'static) {
        self.services.spawn(service);
    }
}

async fn wait_until_ready(company: &Company) -> Result<()> {
    let deadline = Instant::now() + Duration::from_mins(1);
    for service in company.urls.keys() {
        let url = company.url(service, "/readyz");
        while !company.http.get(&url).send().await.is_ok_and(|response| response.status().is_success()) {
            ensure!(Instant::now() < deadline, "{service} at {url} isn't ready after a minute");
            sleep(Duration::from_millis(20)).await;
        }
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
