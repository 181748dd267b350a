//! What is disturbed: the shop as a bank would run it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use demo::{
    audit::Books,
    customer::{self, Settled},
    shop::{SERVICES, Shop},
};
use pavane_contract::{Clock as _, SystemClock};
use pavane_testkit::{
    history::{Answered, Called, History, Recorder, Report},
    servers::{NatsCluster, PostgresPair, Process, ProcessOptions, Proxy, Replication, Tools},
};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

const INSTANCES: usize = 2;

pub(super) struct World {
    /// The first instance of each service.
    pub(super) shop: Shop,
    /// Every instance of the order service, for its customers.
    pub(super) orders: Arc<Vec<Shop>>,
    pub(super) recorder: Recorder,
    pub(super) nats: NatsCluster,
    pub(super) postgres: PostgresPair,
    pub(super) psp: Process,
    /// Between the payment service and its provider.
    pub(super) provider: Proxy,
    pub(super) instances: BTreeMap<&'static str, Vec<Process>>,
    /// Connections to the database that nobody else can have.
    pub(super) taken: Vec<PgConnection>,
    _folder: TempDir,
}

impl World {
    pub(super) async fn start() -> Self {
        let tools = Tools::from_env();
        let nats = NatsCluster::start(&tools).await.unwrap();
        nats.wait_until_formed().await.unwrap();
        let postgres = PostgresPair::start(&tools, Replication::Synchronous).await.unwrap();
        let folder = TempDir::new().unwrap();
        let books = format!("sqlite:{}", folder.path().join("psp.db").display());
        let slow = [("DATABASE_URL", books.as_str()), ("SLOW_MS", "3000")];
        let psp = Process::start("psp", options(&slow)).await.unwrap();
        let provider = Proxy::start(psp.url().trim_start_matches("http://").parse().unwrap()).await.unwrap();
        let mut recorder = Recorder::new(nats.url());
        let (nats_url, psp_url) = (nats.url(), format!("http://{}", provider.address()));
        let mail = folder.path().join("mail").display().to_string();
        let mut instances: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for service in SERVICES.into_iter().filter(|service| *service != "psp") {
            let database = postgres.create_database(service).await.unwrap();
            let environment = [
                ("NATS_URL", nats_url.as_str()),
                ("PAVANE_REPLICAS", "3"),
                ("DATABASE_URL", database.as_str()),
                ("MAILDIR", mail.as_str()),
                ("PSP_URL", psp_url.as_str()),
                ("PSP_TIMEOUT_MS", "5000"),
            ];
            for _ in 0..INSTANCES {
                let process = Process::start(service, options(&environment)).await.unwrap();
                instances.entry(service).or_default().push(process);
            }
            recorder.audit(service, database).await.unwrap();
        }
        let at = |instance: usize| {
            let urls = instances.iter().map(|(service, processes)| (*service, processes[instance].url()));
            Shop::at(urls.chain([("psp", psp.url())]).collect()).unwrap()
        };
        let orders = Arc::new((0..INSTANCES).map(at).collect::<Vec<_>>());
        let (shop, taken) = (orders[0].clone(), Vec::new());
        Self { shop, orders, recorder, nats, postgres, psp, provider, instances, taken, _folder: folder }
    }

    /// Fills the shelves and reads the books.
    pub(super) async fn open(&self) -> Books {
        customer::fill_shelves(&self.shop, 100_000).await.unwrap();
        Books::read(&self.shop).await.unwrap()
    }

    /// Notes what only the customers and the provider know.
    pub(super) async fn note(&self, orders: &[Settled]) {
        for order in orders {
            let (at, saga) = (SystemClock.now(), Some(order.order_id.parse().unwrap()));
            self.recorder.note(Answered { at, what: "POST /orders".to_owned(), saga, accepted: true });
            let url = format!("{}/v1/payment_intents?order_id={}", self.psp.url(), order.order_id);
            let intents: Value = self.shop.http().get(url).send().await.unwrap().json().await.unwrap();
            // Each is an authorisation that reached the provider, and was not taken for a repetition.
            for _ in intents["data"].as_array().unwrap() {
                let (what, key) = ("authorize".to_owned(), order.order_id.clone());
                self.recorder.note(Called { at, what, key, effective: true });
            }
        }
    }

    /// What has happened, once nothing is under way any more.
    pub(super) async fn at_rest(&self, within: Duration) -> (History, Report) {
        self.recorder.settled(within).await.unwrap()
    }

    /// Takes all connections that the database has left.
    pub(super) async fn take_connections(&mut self) {
        let url = self.postgres.url("postgres");
        while let Ok(connection) = PgConnection::connect(&url).await {
            self.taken.push(connection);
        }
    }

    pub(super) fn instance(&mut self, service: &str, instance: usize) -> &mut Process {
        &mut self.instances.get_mut(service).unwrap()[instance]
    }
}

fn options(environment: &[(&str, &str)]) -> ProcessOptions {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    ProcessOptions { environment: environment.collect(), arguments: Vec::new() }
}
