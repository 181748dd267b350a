//! Customers who order all the time and don't give up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use demo::{
    customer::{self, Settled},
    scenario::{End, Scenario},
    shop::Shop,
};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

const CUSTOMERS: usize = 16;
/// For one request: an instance that stands still doesn't answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// For an order, disturbances and all.
const PATIENCE: Duration = Duration::from_mins(4);

pub(super) struct Customers {
    tasks: JoinSet<Vec<Settled>>,
    leave: CancellationToken,
}

impl Customers {
    /// They order until they leave.
    pub(super) fn arrive(orders: &Arc<Vec<Shop>>, seed: u64) -> Self {
        let (mut tasks, leave, next) = (JoinSet::new(), CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let scenarios = Arc::new(demo::scenario::draw(1000, seed));
        for _ in 0..CUSTOMERS {
            let (orders, leave, next, scenarios) =
                (Arc::clone(orders), leave.clone(), Arc::clone(&next), Arc::clone(&scenarios));
            tasks.spawn(async move {
                let mut settled = Vec::new();
                while !leave.is_cancelled() {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    settled.push(order(&orders, number, scenarios[number % scenarios.len()], seed).await);
                }
                settled
            });
        }
        Self { tasks, leave }
    }

    /// Waits until every order that was placed has ended.
    pub(super) async fn leave(self) -> Vec<Settled> {
        self.leave.cancel();
        self.tasks.join_all().await.into_iter().flatten().collect()
    }
}

async fn order(orders: &[Shop], number: usize, scenario: Scenario, seed: u64) -> Settled {
    let started = Instant::now();
    let (body, key) = (customer::request(number, scenario), format!("chaos-{seed}-{number}"));
    let post = |shop: &Shop| shop.http().post(shop.url("order", "/orders")).header("idempotency-key", &key).json(&body);
    let view = persist(orders, number, post, started).await.expect("an order is taken in the end");
    let id = view["id"].as_str().expect("an order has an id").to_owned();
    if scenario == Scenario::CancelledWhilePaying {
        let cancel = |shop: &Shop| shop.http().post(shop.url("order", &format!("/orders/{id}/cancel")));
        // `None`: it had its outcome already.
        persist(orders, number, cancel, started).await;
    }
    let total = view["total"]["minor"].as_i64().expect("an order has a total");
    let look = |shop: &Shop| shop.http().get(shop.url("order", &format!("/orders/{id}")));
    loop {
        let view = persist(orders, number, look, started).await.unwrap_or_default();
        let end = match view["status"].as_str() {
            Some("confirmed") => Some(End::Confirmed),
            Some("cancelled") => Some(End::Cancelled),
            _ if started.elapsed() > PATIENCE => None,
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
    started: Instant,
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
        if started.elapsed() > PATIENCE {
            return None;
        }
        sleep(Duration::from_millis(100)).await;
    }
    None
}
