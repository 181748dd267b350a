//! The shop with its services in this process, as the demo runs it, but with a provider that costs as little as possible:
//! it isn't what is measured.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use pavane::Config;
use pavane_contract::SystemClock;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    sync::{Mutex, oneshot},
    task::JoinSet,
    time::{Duration, Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use web::Running;

use crate::{load::Broker, stage::Stage};

const PATIENCE: Duration = Duration::from_mins(2);
/// What is ordered; there is plenty of it.
const GOODS: [&str; 3] = ["book", "lamp", "chair"];

/// Where the services keep their data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Databases {
    /// A database each on the PostgreSQL server.
    Postgres,
    /// A file each.
    Sqlite,
}

/// A running shop.
#[derive(Debug)]
pub(crate) struct Shop {
    /// Of each instance.
    orders: Vec<String>,
    inventory: String,
    http: reqwest::Client,
    settled: Arc<Settled>,
    stop: CancellationToken,
    services: JoinSet<Result<()>>,
    // Deleted at the end.
    _folder: TempDir,
}

/// Customers that wait for their order, and orders that ended before their customer waited.
#[derive(Debug, Default)]
struct Settled(Mutex<HashMap<String, Slot>>);

#[derive(Debug)]
enum Slot {
    Ended(Instant),
    Awaited(oneshot::Sender<Instant>),
}

impl Shop {
    /// Starts all services, so many instances of each, and waits until they are ready.
    ///
    /// # Errors
    ///
    /// When one can't start.
    pub(crate) async fn start(stage: &Stage, broker: &Broker, databases: Databases, instances: usize) -> Result<Self> {
        let folder = TempDir::with_prefix("pavane-bench-")?;
        let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
        let (mut urls, mut orders) = (HashMap::new(), Vec::new());
        for name in ["psp", "order", "payment", "inventory", "shipping", "notification"] {
            let database = match databases {
                Databases::Postgres => stage.postgres().await?.fresh_database().await?,
                Databases::Sqlite => format!("sqlite:{}", folder.path().join(format!("{name}.db")).display()),
            };
            let instances = if name == "psp" { 1 } else { instances };
            for instance in 0..instances {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                let url = format!("http://{}", listener.local_addr()?);
                if name == "order" {
                    orders.push(url.clone());
                }
                let config = Config::new(broker.url()).database(&database);
                let stopped = Box::pin(stop.clone().cancelled_owned());
                let service: Running = match name {
                    "psp" => {
                        let faults = psp::Faults { slow: Duration::ZERO, hold: Duration::ZERO };
                        let psp = psp::Psp::open("sqlite::memory:", Arc::new(SystemClock), faults).await?;
                        Box::pin(async move { Ok(psp::serve(listener, psp, stopped).await?) })
                    }
                    "order" => order::run(config, order::Settings::default(), listener, stopped),
                    "payment" => {
                        let mut settings = payment::Settings::default();
                        settings.psp_url.clone_from(&urls[&("psp", 0)]);
                        payment::run(config, settings, listener, stopped)
                    }
                    "inventory" => inventory::run(config, listener, stopped),
                    "shipping" => shipping::run(config, listener, stopped),
                    _ => {
                        let mut settings = notification::Settings::default();
                        settings.maildir = folder.path().join("mail");
                        notification::run(config, settings, listener, stopped)
                    }
                };
                running.spawn(service);
                urls.insert((name, instance), url);
            }
        }
        let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let settled = Arc::new(Settled::default());
        running.spawn(listen(broker.url(), Arc::clone(&settled), stop.clone()));
        let inventory = urls[&("inventory", 0)].clone();
        let mut started = Self { orders, inventory, http, settled, stop, services: running, _folder: folder };
        tokio::select! {
            ready = ready(started.http.clone(), urls) => ready?,
            Some(ended) = started.services.join_next() => ended?.and_then(|()| anyhow::bail!("a service ended"))?,
        }
        started.fill_shelves().await?;
        Ok(started)
    }

    async fn fill_shelves(&self) -> Result<()> {
        for sku in GOODS {
            let stock =
                self.http.put(format!("{}/stock/{sku}", self.inventory)).json(&json!({ "on_hand": 100_000_000 }));
            stock.send().await?.error_for_status()?;
        }
        Ok(())
    }

    /// Places an order, at the instances in turn, and waits until it is confirmed. Returns when that was.
    ///
    /// # Errors
    ///
    /// When it isn't taken, or isn't confirmed in time.
    pub(crate) async fn order(&self, number: usize) -> Result<Instant> {
        let order = json!({
            "email": format!("customer-{number}@example.com"),
            "currency": "EUR",
            "lines": [{ "sku": GOODS[number % GOODS.len()], "quantity": 1, "unit_price_minor": 1_999 }],
            "ship_to": {
                "name": "Thoinot Arbeau",
                "street": "1 Rue de la Pavane",
                "city": "Langres",
                "postal_code": "52200",
                "country": "FR",
            },
            "card": "pm_card_visa",
        });
        let placed =
            self.http.post(format!("{}/orders", self.orders[number % self.orders.len()])).json(&order).send().await?;
        let status = placed.status();
        let view: Value = placed.json().await?;
        ensure!(status.is_success(), "an order was not taken: {status} {view}");
        let id = view["id"].as_str().context("the order has no id")?;
        timeout(PATIENCE, self.settled.wait(id)).await.with_context(|| format!("the order {id} is not confirmed"))?
    }

    /// Stops all services as SIGTERM would.
    ///
    /// # Errors
    ///
    /// When one ends with an error.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.services.join_next().await {
            ended??;
        }
        Ok(())
    }
}

impl Settled {
    async fn wait(&self, order: &str) -> Result<Instant> {
        let ended = {
            let mut orders = self.0.lock().await;
            if let Some(Slot::Ended(at)) = orders.remove(order) {
                return Ok(at);
            }
            let (awaited, ended) = oneshot::channel();
            orders.insert(order.to_owned(), Slot::Awaited(awaited));
            ended
        };
        ended.await.context("nobody listens to the orders' events")
    }

    async fn ended(&self, order: &str) {
        let mut orders = self.0.lock().await;
        match orders.remove(order) {
            // It fails when nobody waits any more.
            Some(Slot::Awaited(awaited)) => drop(awaited.send(Instant::now())),
            _ => drop(orders.insert(order.to_owned(), Slot::Ended(Instant::now()))),
        }
    }
}

/// Hears from the events themselves which orders are confirmed: asking the service would cost it more than the saga does.
async fn listen(url: String, settled: Arc<Settled>, stop: CancellationToken) -> Result<()> {
    let client = async_nats::connect(url).await?;
    let mut confirmed = client.subscribe("events.order.confirmed.>").await?;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            message = confirmed.next() => {
                let message = message.context("the subscription ended")?;
                let order = message.subject.rsplit('.').next().unwrap_or_default();
                settled.ended(order).await;
            }
        }
    }
}

async fn ready(http: reqwest::Client, urls: HashMap<(&str, usize), String>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    for ((service, _), url) in urls {
        let url = format!("{url}/readyz");
        while !http.get(&url).send().await.is_ok_and(|response| response.status().is_success()) {
            ensure!(Instant::now() < deadline, "{service} isn't ready");
            sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}
