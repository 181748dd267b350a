//! The shop, and customers who don't give up.

use std::{collections::BTreeMap, iter, sync::Arc, time::Duration};

use demo::{
    audit::{Audit, Books, Check},
    customer::{self, Settled},
    scenario::{End, Scenario},
    shop::{SERVICES, Shop},
};
use futures_util::{FutureExt as _, future::BoxFuture};
use pavane_contract::{Clock as _, SystemClock};
use pavane_testkit::{
    Violation,
    history::{Answered, Called, Recorder},
    servers::{Process, ProcessOptions, Proxy},
};
use reqwest::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::world::{INSTANCES, Program, Provider, World};

/// For one request: an instance that stands still doesn't answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
pub(super) struct Counter {
    /// For each instance of the services.
    shops: Arc<Vec<Shop>>,
    before: Books,
    _folder: TempDir,
}

impl Counter {
    /// Starts the shop, and opens it.
    pub(super) async fn open() -> (World, Self) {
        let folder = TempDir::new().unwrap();
        let psp = start_psp(&folder).await;
        let (psp_url, address) = (psp.url(), psp.url().trim_start_matches("http://").parse().unwrap());
        let link = Proxy::start(address).await.unwrap();
        let mail = folder.path().join("mail").display().to_string();
        let environment = [
            ("MAILDIR", mail),
            ("PSP_URL", format!("http://{}", link.address())),
            ("PSP_TIMEOUT_MS", "5000".to_owned()),
        ];
        let services = SERVICES.into_iter().filter(|service| *service != "psp");
        let programs = services.map(|service| Program {
            service,
            binary: service,
            arguments: Vec::new(),
            environment: environment.to_vec(),
        });
        let provider = Provider { process: Some(psp), link, caller: Some("payment") };
        let world = World::start(provider, programs.collect()).await;
        let at = |instance: usize| {
            let urls =
                world.services().into_iter().map(|service| (service, world.urls(service).nth(instance).unwrap()));
            Shop::at(urls.chain(iter::once(("psp", psp_url.clone()))).collect::<BTreeMap<_, _>>()).unwrap()
        };
        let shops: Vec<_> = (0..INSTANCES).map(at).collect();
        customer::fill_shelves(&shops[0], 1_000_000).await.unwrap();
        let before = Books::read(&shops[0]).await.unwrap();
        (world, Self { shops: Arc::new(shops), before, _folder: folder })
    }

    /// What its customers do, who wait so long for an order.
    pub(super) fn orders(
        &self,
        seed: u64,
        patience: Duration,
    ) -> impl Fn(usize) -> BoxFuture<'static, Settled> + Clone + use<> {
        let (shops, scenarios) = (Arc::clone(&self.shops), Arc::new(demo::scenario::draw(1000, seed)));
        move |number| {
            let (shops, scenario) = (Arc::clone(&shops), scenarios[number % scenarios.len()]);
            async move { order(&shops, (number, scenario), seed, patience).await }.boxed()
        }
    }

    /// Notes what only the customers and the provider know.
    pub(super) async fn note(&self, recorder: &Recorder, orders: &[Settled]) {
        let shop = &self.shops[0];
        for order in orders {
            let (at, saga) = (SystemClock.now(), Some(order.order_id.parse().unwrap()));
            recorder.note(Answered { at, what: "POST /orders".to_owned(), saga, accepted: true });
            let url = shop.url("psp", &format!("/v1/payment_intents?order_id={}", order.order_id));
            let intents: Value = shop.http().get(url).send().await.unwrap().json().await.unwrap();
            // Each is an authorisation that reached the provider, and was not taken for a repetition.
            for _ in intents["data"].as_array().unwrap() {
                let (what, key) = ("authorize".to_owned(), order.order_id.clone());
                recorder.note(Called { at, what, key, effective: true });
            }
        }
    }

    /// How much the auditor looks at, once it has waited, and what is wrong.
    pub(super) async fn audit(&self, orders: &[Settled]) -> (usize, Vec<Violation>) {
        let audit = Audit::wait(&self.shops[0], &self.before, orders).await.unwrap();
        // Under disturbances an order may end otherwise than without: by its deadline.
        let checks: Vec<_> =
            audit.checks.iter().filter(|check| check.what != "orders that ended as they must").collect();
        let wrong = checks.iter().filter(|check| !check.passed());
        let wrong = wrong
            .map(|Check { what, expected, found, .. }| Violation::overall(format!("{what}: {found}, not {expected}")));
        (checks.len(), wrong.collect())
    }
}

async fn start_psp(folder: &TempDir) -> Process {
    let books = format!("sqlite:{}", folder.path().join("psp.db").display());
    let environment = [("DATABASE_URL", books.as_str()), ("SLOW_MS", "3000")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Process::start("psp", ProcessOptions { environment, arguments: Vec::new() }).await.unwrap()
}

async fn order(orders: &[Shop], (number, scenario): (usize, Scenario), seed: u64, patience: Duration) -> Settled {
    let until = Instant::now() + patience;
    let started = Instant::now();
    let (body, key) = (customer::request(number, scenario), format!("chaos-{seed}-{number}"));
    let post = |shop: &Shop| shop.http().post(shop.url("order", "/orders")).header("idempotency-key", &key).json(&body);
    let view = persist(orders, number, post, until).await.expect("an order is taken in the end");
    let id = view["id"].as_str().expect("an order has an id").to_owned();
    if scenario == Scenario::CancelledWhilePaying {
        let cancel = |shop: &Shop| shop.http().post(shop.url("order", &format!("/orders/{id}/cancel")));
        // `None`: it had its outcome already.
        persist(orders, number, cancel, until).await;
    }
    let total = view["total"]["minor"].as_i64().expect("an order has a total");
    let look = |shop: &Shop| shop.http().get(shop.url("order", &format!("/orders/{id}")));
    loop {
        let view = persist(orders, number, look, until).await.unwrap_or_default();
        let end = match view["status"].as_str() {
            Some("confirmed") => Some(End::Confirmed),
            Some("cancelled") => Some(End::Cancelled),
            _ if Instant::now() > until => None,
            _ => {
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let cancel_reason = view["cancel_reason"].as_str().map(str::to_owned);
        let millis = started.elapsed().as_millis();
        return Settled { scenario, order_id: id, total, end, cancel_reason, millis };
    }
}

/// Asks one instance after the other until one gives an answer that isn't about its own trouble. `None`: it was a refusal.
async fn persist(
    orders: &[Shop],
    number: usize,
    request: impl Fn(&Shop) -> reqwest::RequestBuilder,
    until: Instant,
) -> Option<Value> {
    for attempt in number.. {
        let shop = &orders[attempt % orders.len()];
        if let Ok(response) = request(shop).timeout(ANSWER_WITHIN).send().await {
            let status = response.status();
            if status.is_success() {
                if let Ok(body) = response.json().await {
                    return Some(body);
                }
            } else if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
                return None;
            }
        }
        if Instant::now() > until {
            return None;
        }
        sleep(Duration::from_millis(100)).await;
    }
    None
}
