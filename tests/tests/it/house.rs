//! What the tests share: a shop to order from, and an auditor at the door.

use std::collections::BTreeMap;

use demo::{
    audit::{Audit, Books},
    customer::{self, Settled},
    report,
    scenario::Scenario,
    shop::{SERVICES, Shop},
};
use pavane_testkit::servers::{Nats, Postgres, Process, ProcessOptions, Tools};
pub(crate) use pavane_testkit::until;
use tempfile::TempDir;

/// The databases that the shop is tested on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Sqlite,
    Postgres,
}

impl On {
    /// A PostgreSQL URL under which each service gets a database of its own; `None` for SQLite files.
    pub(crate) async fn server(self) -> Option<String> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(Postgres::shared().await.unwrap().fresh_database().await.unwrap()),
        }
    }
}

/// Customers order, and the books are audited.
pub(crate) async fn order_and_audit(shop: &Shop, scenarios: Vec<Scenario>) -> Vec<Settled> {
    let before = stocked(shop, scenarios.len()).await;
    let orders = customer::place_all(shop, scenarios, 16, || {}).await.unwrap();
    audit(shop, &before, &orders).await;
    orders
}

/// Fills the shelves and reads the books.
pub(crate) async fn stocked(shop: &Shop, orders: usize) -> Books {
    customer::fill_shelves(shop, orders).await.unwrap();
    Books::read(shop).await.unwrap()
}

/// Fails unless the books balance.
pub(crate) async fn audit(shop: &Shop, before: &Books, orders: &[Settled]) {
    let audit = Audit::wait(shop, before, orders).await.unwrap();
    assert!(audit.passed(), "{}", report::text(orders, &audit));
}

/// The shop as real processes, each of which can be killed.
pub(crate) struct House {
    pub(crate) shop: Shop,
    pub(crate) processes: BTreeMap<&'static str, Process>,
    pub(crate) nats: Nats,
    _folder: TempDir,
}

impl House {
    /// Starts a NATS server and a process for each service.
    pub(crate) async fn start(on: On) -> Self {
        Self::start_with(on, &[]).await
    }

    /// As [`start`](Self::start), with settings that every process gets.
    pub(crate) async fn start_with(on: On, settings: &[(&str, &str)]) -> Self {
        let nats = Nats::start(&Tools::from_env()).await.unwrap();
        Self::start_on(nats, on, |_| settings.to_vec()).await
    }

    /// As [`start`](Self::start), on this server, with settings for each service's process.
    pub(crate) async fn start_on<'a>(
        nats: Nats,
        on: On,
        settings: impl Fn(&'static str) -> Vec<(&'a str, &'a str)>,
    ) -> Self {
        Self::start_at(nats, on.server().await, settings).await
    }

    /// As [`start_on`](Self::start_on), with a database for each service on this PostgreSQL server, or a SQLite file for each.
    pub(crate) async fn start_at<'a>(
        nats: Nats,
        server: Option<String>,
        settings: impl Fn(&'static str) -> Vec<(&'a str, &'a str)>,
    ) -> Self {
        let folder = TempDir::new().unwrap();
        let (mut urls, mut processes) = (BTreeMap::new(), BTreeMap::new());
        for service in SERVICES {
            let sqlite = format!("sqlite:{}", folder.path().join(format!("{service}.db")).display());
            let database = match &server {
                Some(server) if service != "psp" => demo::shop::postgres(server, service).await.unwrap(),
                _ => sqlite,
            };
            let mut environment = vec![
                ("NATS_URL".to_owned(), nats.url()),
                ("DATABASE_URL".to_owned(), database),
                ("MAILDIR".to_owned(), folder.path().join("mail").display().to_string()),
                ("SLOW_MS".to_owned(), "5000".to_owned()),
                ("PSP_TIMEOUT_MS".to_owned(), "8000".to_owned()),
            ];
            let settings = settings(service).into_iter();
            environment.extend(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
            environment.extend(urls.get("psp").map(|url: &String| ("PSP_URL".to_owned(), url.clone())));
            let options = ProcessOptions { environment, arguments: Vec::new() };
            let process = Process::start(service, options).await.unwrap();
            urls.insert(service, process.url());
            processes.insert(service, process);
        }
        let shop = Shop::at(urls).unwrap();
        Self { shop, processes, nats, _folder: folder }
    }

    pub(crate) fn process(&mut self, service: &str) -> &mut Process {
        self.processes.get_mut(service).unwrap()
    }

    /// A plain NATS client, as another team's program would have.
    pub(crate) async fn stranger(&self) -> async_nats::jetstream::Context {
        async_nats::jetstream::new(async_nats::connect(self.nats.url()).await.unwrap())
    }
}

/// How many messages a stream holds.
pub(crate) async fn count(jetstream: &async_nats::jetstream::Context, stream: &str) -> u64 {
    jetstream.get_stream(stream).await.unwrap().get_info().await.unwrap().state.messages
}

/// Every message of a stream.
pub(crate) async fn messages(
    jetstream: &async_nats::jetstream::Context,
    stream: &str,
) -> Vec<async_nats::jetstream::message::StreamMessage> {
    let stream = jetstream.get_stream(stream).await.unwrap();
    let state = stream.get_info().await.unwrap().state;
    let mut messages = Vec::new();
    for sequence in state.first_sequence.max(1)..=state.last_sequence {
        messages.push(stream.get_raw_message(sequence).await.unwrap());
    }
    messages
}
