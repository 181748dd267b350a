//! Starts a shop: every service, or coordinator, a process of its own.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use pavane_contract::SystemClock;
use pavane_testkit::servers::{Nats, Postgres, PostgresOptions, Process, ProcessOptions, Tools};
use psp::{Faults, Psp};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::{
    audit::Auditor,
    databases::{self, Databases},
    front::{Front, Settled},
    order, role, store,
};

/// This program, as a process of a shop.
const PROGRAM: &str = "bench";
/// Pieces of each product: more than anybody orders here.
const ON_HAND: i64 = 1_000_000;

/// A way to make an order happen in all services or in none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    TwoPhase,
    TwoPhaseLate,
    Orchestrated,
    Pavane,
}

impl Way {
    pub(super) const ALL: [Self; 4] = [Self::TwoPhase, Self::TwoPhaseLate, Self::Orchestrated, Self::Pavane];

    /// As the page calls it.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::TwoPhase => "2PC",
            Self::TwoPhaseLate => "2PC, provider first",
            Self::Orchestrated => "orchestrated saga",
            Self::Pavane => "Pavane",
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::TwoPhase => "tpc",
            Self::TwoPhaseLate => "tpl",
            Self::Orchestrated => "orc",
            Self::Pavane => "pav",
        }
    }
}

/// The PostgreSQL server of all shops: commits wait for the disk, and transactions can be prepared.
#[derive(Debug)]
pub(super) struct Server {
    tools: Tools,
    pub(super) postgres: Postgres,
    shops: u32,
}

impl Server {
    /// # Errors
    ///
    /// When no server can be started.
    pub(super) async fn start() -> Result<Self> {
        let tools = Tools::from_env();
        let mut postgres =
            Postgres::start_with(&tools, PostgresOptions { durable: true, ..PostgresOptions::default() }).await?;
        let pool = connect(&postgres.url("postgres")).await?;
        store::allow_prepared(&pool).await?;
        pool.close().await;
        postgres.stop().await?;
        postgres.restart().await?;
        Ok(Self { tools, postgres, shops: 0 })
    }
}

/// How a shop is set up.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    /// How many products it sells.
    pub(super) products: usize,
    /// How long the provider takes to authorise the slow card.
    pub(super) slow: Duration,
    /// How long two-phase commit waits for a row; zero waits for ever.
    pub(super) lock_timeout: Duration,
    /// Which process runs twice: the one that will be killed.
    pub(super) twice: Option<&'static str>,
}

/// A shop that is open.
#[derive(Debug)]
pub(super) struct Shop {
    pub(super) front: Arc<Front>,
    pub(super) auditor: Arc<Auditor>,
    processes: Vec<(&'static str, Process)>,
    _psp: AbortOnDropHandle<()>,
    _nats: Option<Nats>,
    _folder: TempDir,
}

impl Shop {
    /// Starts everything, with empty databases and full shelves.
    ///
    /// # Errors
    ///
    /// When something can't be started.
    pub(super) async fn open(server: &mut Server, way: Way, setup: &Setup) -> Result<Self> {
        server.shops += 1;
        let prefix = format!("{}{}_", way.prefix(), server.shops);
        for service in databases::SERVICES {
            server.postgres.create_database(&format!("{prefix}{service}")).await?;
        }
        let folder = TempDir::with_prefix("pavane-bench-")?;
        let (psp_url, psp) = open_psp(setup.slow).await?;
        let mut opening = Opening {
            urls: server.postgres.url(&prefix),
            psp_url: psp_url.clone(),
            setup: setup.clone(),
            processes: Vec::new(),
        };
        let mut nats = None;
        let mut settled = None;
        let doors = if way == Way::Pavane {
            server.postgres.create_database(&format!("{prefix}notification")).await?;
            let broker = Nats::start(&server.tools).await?;
            let doors = opening.pavane(&broker.url(), folder.path()).await?;
            settled = Some(Settled::listen(&broker.url()).await?);
            nats = Some(broker);
            doors
        } else {
            opening.baseline(way).await?
        };
        let mut auditor = Auditor::new(&opening.urls, &server.postgres.url("postgres"), psp_url).await?;
        let skus: Vec<_> = (0..setup.products).map(order::sku).collect();
        auditor.fill_shelves(&skus, ON_HAND).await?;
        Ok(Self {
            front: Arc::new(Front::new(doors, settled)?),
            auditor: Arc::new(auditor),
            processes: opening.processes,
            _psp: psp,
            _nats: nats,
            _folder: folder,
        })
    }

    /// The first process of this name.
    pub(super) fn process(&mut self, name: &str) -> Result<&mut Process> {
        let found = self.processes.iter_mut().find(|(this, _)| *this == name);
        found.map(|(_, process)| process).with_context(|| format!("there is no process {name}"))
    }
}

/// A shop whose processes are being started.
struct Opening {
    urls: String,
    psp_url: String,
    setup: Setup,
    processes: Vec<(&'static str, Process)>,
}

/// What a baseline's coordinator is called among the processes.
pub(super) const COORDINATOR: &str = "coordinator";

impl Opening {
    async fn baseline(&mut self, way: Way) -> Result<Vec<String>> {
        let options = databases::Options { prefix: self.urls.clone(), connections: 2, lock_timeout: Duration::ZERO };
        databases::migrate(&Databases::connect(&options).await?).await?;
        let mut environment = vec![
            (role::DATABASES, self.urls.clone()),
            (role::LOCK_TIMEOUT_MS, self.setup.lock_timeout.as_millis().to_string()),
            (role::PSP_URL, self.psp_url.clone()),
        ];
        let part = match way {
            Way::TwoPhase => role::TWO_PHASE,
            Way::TwoPhaseLate => role::TWO_PHASE_LATE,
            Way::Orchestrated => {
                let url = self.start("services", role::SERVICES, environment.clone()).await?;
                environment.push((role::SERVICES_URL, url));
                role::ORCHESTRATOR
            }
            Way::Pavane => bail!("Pavane has no coordinator"),
        };
        let mut doors = Vec::new();
        for number in 0..self.copies(COORDINATOR) {
            let mut environment = environment.clone();
            environment.push((role::NAME, format!("{part}-{number}")));
            doors.push(self.start(COORDINATOR, part, environment).await?);
        }
        Ok(doors)
    }

    async fn pavane(&mut self, nats_url: &str, folder: &std::path::Path) -> Result<Vec<String>> {
        let mut doors = Vec::new();
        for service in ["order", payment::NAME, inventory::NAME, shipping::NAME, notification::NAME] {
            for _ in 0..self.copies(service) {
                let environment = vec![
                    ("NATS_URL", nats_url.to_owned()),
                    ("DATABASE_URL", format!("{}{service}", self.urls)),
                    ("MAILDIR", folder.join("mail").display().to_string()),
                    (role::PSP_URL, self.psp_url.clone()),
                ];
                let url = self.start(service, service, environment).await?;
                if service == "order" {
                    doors.push(url);
                }
            }
        }
        Ok(doors)
    }

    fn copies(&self, name: &str) -> usize {
        if self.setup.twice == Some(name) { 2 } else { 1 }
    }

    async fn start(&mut self, name: &'static str, part: &str, set: Vec<(&str, String)>) -> Result<String> {
        let mut environment: Vec<_> = set.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        environment.push((role::ROLE.to_owned(), part.to_owned()));
        let options = ProcessOptions { environment, arguments: vec![super::NAME.to_owned()] };
        let process = Process::start(PROGRAM, options).await.with_context(|| format!("{part} can't start"))?;
        let url = process.url();
        self.processes.push((name, process));
        Ok(url)
    }
}

/// Serves a payment provider in this process. Its books are in memory: what it costs is not what is compared.
pub(super) async fn open_psp(slow: Duration) -> Result<(String, AbortOnDropHandle<()>)> {
    let psp = Psp::open("sqlite::memory:", Arc::new(SystemClock), Faults { slow, hold: Duration::ZERO }).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let serving = tokio::spawn(async move {
        if let Err(error) = psp::serve(listener, psp, std::future::pending()).await {
            tracing::error!(%error, "failed to serve the provider");
        }
    });
    Ok((url, AbortOnDropHandle::new(serving)))
}

/// A few connections for looking on.
pub(super) async fn connect(url: &str) -> Result<PgPool> {
    PgPoolOptions::new().max_connections(2).connect(url).await.with_context(|| format!("no database at {url}"))
}
