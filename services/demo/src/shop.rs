//! Starts and stops the shop.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use pavane::{Config, contract::SystemClock};
use pavane_bus::jetstream;
use sqlx::migrate::MigrateDatabase as _;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// The services, the payment provider included.
pub const SERVICES: [&str; 6] = ["psp", "order", "payment", "inventory", "shipping", "notification"];

/// Where the monitor listens by default.
const MONITOR: &str = "127.0.0.1:4000";

/// How to start the shop.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The NATS server.
    pub nats_url: String,
    /// A PostgreSQL server; SQLite files in a temporary folder otherwise.
    pub database: Option<String>,
    /// How long the provider takes for the slow test card.
    pub slow: Duration,
    /// How long the provider holds back an answer after having charged.
    pub hold: Duration,
    /// How long the payment service waits for the provider.
    pub psp_timeout: Duration,
}

impl Options {
    /// The demo's delays: a slow provider is slow enough to cancel meanwhile, and no more.
    pub const fn new(nats_url: String, database: Option<String>) -> Self {
        Self {
            nats_url,
            database,
            slow: Duration::from_secs(5),
            hold: Duration::from_secs(20),
            psp_timeout: Duration::from_secs(8),
        }
    }
}

/// A shop that customers can order from and an auditor can look into, wherever its services run.
#[derive(Debug, Clone)]
pub struct Shop {
    urls: BTreeMap<&'static str, String>,
    http: reqwest::Client,
}

/// A shop whose services run in this process.
#[derive(Debug)]
pub struct Running {
    shop: Shop,
    monitor: Option<Watched>,
    stop: CancellationToken,
    services: JoinSet<Result<()>>,
    folder: TempDir,
}

/// Where the monitor is, and what lets somebody act there.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Watched {
    /// Its dashboard.
    pub url: String,
    /// Its token.
    pub token: String,
}

impl Shop {
    /// A shop at these addresses, by service.
    ///
    /// # Errors
    ///
    /// When no HTTP client can be made.
    pub fn at(urls: BTreeMap<&'static str, String>) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_mins(1)).build()?;
        Ok(Self { urls, http })
    }

    /// Where each service listens.
    pub const fn urls(&self) -> &BTreeMap<&'static str, String> {
        &self.urls
    }

    /// The shop that runs on this machine already, at the services' own default addresses: `just up`.
    ///
    /// # Errors
    ///
    /// When no HTTP client can be made.
    pub fn local() -> Result<Self> {
        let ports = [4010, 4001, 4002, 4003, 4004, 4005];
        Self::at(SERVICES.into_iter().zip(ports.map(|port| format!("http://127.0.0.1:{port}"))).collect())
    }

    /// A URL of a service.
    pub fn url(&self, service: &str, path: &str) -> String {
        format!("{}{path}", self.urls.get(service).map_or("", String::as_str))
    }

    /// The client that everybody shares.
    pub const fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Waits until all services are ready.
    ///
    /// # Errors
    ///
    /// When one isn't after a minute; the error names it.
    pub async fn wait_until_ready(&self) -> Result<()> {
        let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
        for service in self.urls.keys() {
            let url = self.url(service, "/readyz");
            while !self.http.get(&url).send().await.is_ok_and(|response| response.status().is_success()) {
                anyhow::ensure!(
                    tokio::time::Instant::now() < deadline,
                    "{service} at {url} isn't ready after a minute"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }
}

impl Running {
    /// Starts all services in this process and waits until they are ready.
    ///
    /// # Errors
    ///
    /// When a service can't start; the error names it.
    pub async fn start(options: Options) -> Result<Self> {
        let mut running = Self {
            shop: Shop::at(BTreeMap::new())?,
            monitor: None,
            stop: CancellationToken::new(),
            services: JoinSet::new(),
            folder: TempDir::with_prefix("pavane-demo-")?,
        };
        for service in SERVICES {
            running.start_one(service, &options).await.with_context(|| format!("{service} can't start"))?;
        }
        let shop = running.shop.clone();
        tokio::select! {
            ready = shop.wait_until_ready() => ready?,
            // A service that ends now couldn't start.
            Some(ended) = running.services.join_next() => {
                return Err(ended?.err().unwrap_or_else(|| anyhow!("a service ended")));
            }
        }
        Ok(running)
    }

    /// What customers and auditors see of it.
    pub const fn shop(&self) -> &Shop {
        &self.shop
    }

    /// The monitor, if it was started.
    pub const fn monitor(&self) -> Option<&Watched> {
        self.monitor.as_ref()
    }

    /// Starts the monitor beside the services, where it always is if that address is free.
    ///
    /// # Errors
    ///
    /// When it can't listen anywhere, or isn't ready after a minute.
    pub async fn watch(&mut self, nats_url: &str) -> Result<()> {
        let listener = match TcpListener::bind(MONITOR).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind("127.0.0.1:0").await?,
        };
        let token = format!("{:032x}", rand::random::<u128>());
        let settings = monitor::Settings::default().opened().with_person("demo", monitor::Token::new(&token)?)?;
        let url = format!("http://{}", listener.local_addr()?);
        self.monitor = Some(Watched { url: url.clone(), token });
        let bus = jetstream::Config::new(nats_url, monitor::NAME);
        let stop = self.stop.clone().cancelled_owned();
        self.services.spawn(monitor::run(bus, settings, listener, Box::pin(stop)));
        Shop::at(BTreeMap::from([(monitor::NAME, url)]))?.wait_until_ready().await
    }

    /// The folder with the databases and the mails, deleted at the end.
    pub fn folder(&self) -> &Path {
        self.folder.path()
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

    async fn start_one(&mut self, service: &'static str, options: &Options) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        self.shop.urls.insert(service, format!("http://{}", listener.local_addr()?));
        let stop = Box::pin(self.stop.clone().cancelled_owned());
        if service == "psp" {
            let url = self.sqlite(service);
            let faults = psp::Faults { slow: options.slow, hold: options.hold };
            let psp = psp::Psp::open(&url, std::sync::Arc::new(SystemClock), faults).await?;
            self.services.spawn(async move { Ok(psp::serve(listener, psp, stop).await?) });
            return Ok(());
        }
        let database_url = match &options.database {
            Some(url) => postgres(url, service).await?,
            None => self.sqlite(service),
        };
        let config = Config::new(&options.nats_url).database(database_url);
        let psp_url = self.shop.url("psp", "");
        let maildir = self.folder.path().join("mail");
        let running = match service {
            "order" => order::run(config, order::Settings::default(), listener, stop),
            "payment" => {
                let mut settings = payment::Settings::default();
                (settings.psp_url, settings.psp_timeout) = (psp_url, options.psp_timeout);
                payment::run(config, settings, listener, stop)
            }
            "inventory" => inventory::run(config, listener, stop),
            "shipping" => shipping::run(config, listener, stop),
            "notification" => {
                let mut settings = notification::Settings::default();
                settings.maildir = maildir;
                notification::run(config, settings, listener, stop)
            }
            other => return Err(anyhow!("there is no service {other:?}")),
        };
        self.services.spawn(running);
        Ok(())
    }

    fn sqlite(&self, service: &str) -> String {
        format!("sqlite:{}", self.folder.path().join(format!("{service}.db")).display())
    }
}

/// The service's own database on a PostgreSQL server, created if missing.
///
/// # Errors
///
/// When the server doesn't answer or the database can't be created.
pub async fn postgres(server: &str, service: &str) -> Result<String> {
    let (rest, query) = server.split_once('?').map_or((server, None), |(rest, query)| (rest, Some(query)));
    let start = rest.find("://").map_or(0, |at| at + 3);
    let (host, name) = rest[start..].split_once('/').unwrap_or((&rest[start..], ""));
    let name = if name.is_empty() { "shop" } else { name };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let url = format!("{}{host}/{name}_{service}{query}", &rest[..start]);
    sqlx::any::install_default_drivers();
    if !sqlx::Any::database_exists(&url)
        .await
        .with_context(|| format!("no PostgreSQL server at {}", host.rsplit('@').next().unwrap_or_default()))?
    {
        sqlx::Any::create_database(&url).await?;
    }
    Ok(url)
}
