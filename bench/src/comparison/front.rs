//! Customers' view of a shop: they place an order and learn how it ended.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use futures_util::StreamExt as _;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::{door::Ending, order::Order};

/// How long a customer waits for an order's end, and for somebody to take it.
const PATIENCE: Duration = Duration::from_secs(100);
/// How long until a customer asks or tries again.
const AGAIN: Duration = Duration::from_millis(25);
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// What a customer learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Paid, and on its way.
    Confirmed,
    /// Refused: a card or a product said no.
    Cancelled,
    /// The shop couldn't do it, and says so.
    Failed,
}

/// Where customers place orders.
#[derive(Debug)]
pub(super) struct Front {
    http: Client,
    /// All that take orders, like behind a load balancer: each order goes to the next one, or to another if that isn't there.
    doors: Vec<String>,
    next: AtomicUsize,
    /// For a shop whose answer comes as an event; the others answer the request when the order has ended.
    settled: Option<Settled>,
}

impl Front {
    pub(super) fn new(doors: Vec<String>, settled: Option<Settled>) -> Result<Self> {
        let http = Client::builder().timeout(PATIENCE).no_proxy().build()?;
        Ok(Self { http, doors, next: AtomicUsize::new(0), settled })
    }

    /// Places an order and waits for its end.
    pub(super) async fn place(&self, order: &Order) -> Result<Outcome> {
        match &self.settled {
            Some(settled) => {
                let order_id = self.hand_in(order).await?;
                settled.wait(&order_id).await
            }
            None => self.place_and_wait(order).await,
        }
    }

    /// Tells the first coordinator to die at its crash point, and waits until it is dead.
    pub(super) async fn crash_first(&self) -> Result<()> {
        self.http.post(format!("{}/crash", self.doors[0])).send().await?.error_for_status()?;
        let readyz = format!("{}/readyz", self.doors[0]);
        let died = async {
            while self.http.get(&readyz).send().await.is_ok() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, died).await.context("the coordinator doesn't die")
    }

    /// A baseline's door answers when the order has ended.
    async fn place_and_wait(&self, order: &Order) -> Result<Outcome> {
        let body = serde_json::to_value(order)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let request = self.http.post(format!("{}/orders", self.door())).json(&body);
            match request.send().await {
                Ok(response) if response.status() == StatusCode::OK => {
                    return Ok(response.json::<Ending>().await?.into());
                }
                Ok(_) => return Ok(Outcome::Failed),
                // Nobody there: the next door takes it.
                Err(error) if error.is_connect() => sleep(Duration::from_millis(1)).await,
                Err(_) => return self.ask_for(&order.id, deadline).await,
            }
        }
        bail!("nobody takes an order")
    }

    /// Asks for the end of an order whose answer was lost with the coordinator.
    async fn ask_for(&self, order_id: &str, deadline: Instant) -> Result<Outcome> {
        while Instant::now() < deadline {
            sleep(AGAIN).await;
            let Ok(response) = self.http.get(format!("{}/orders/{order_id}", self.door())).send().await else {
                continue;
            };
            if let Ok(Some(ending)) = response.json::<Option<Ending>>().await {
                return Ok(ending.into());
            }
        }
        bail!("nobody knows the end of the order {order_id}")
    }

    /// Pavane's order service takes the order at once. Asked again under the same key, it answers as before.
    async fn hand_in(&self, order: &Order) -> Result<String> {
        let body = order.request();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let request = self.http.post(format!("{}/orders", self.door())).json(&body);
            match request.header(IDEMPOTENCY_KEY, &order.id).send().await {
                Ok(response) if response.status() == StatusCode::CREATED => {
                    let view: Value = response.json().await?;
                    return view["id"].as_str().map(str::to_owned).context("the order has no id");
                }
                Ok(response) if !response.status().is_server_error() => {
                    bail!("an order was not taken: {}", response.text().await?)
                }
                Ok(_) | Err(_) => sleep(Duration::from_millis(1)).await,
            }
        }
        bail!("nobody takes an order")
    }

    fn door(&self) -> &str {
        &self.doors[self.next.fetch_add(1, Ordering::Relaxed) % self.doors.len()]
    }
}

impl From<Ending> for Outcome {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Confirmed => Self::Confirmed,
            Ending::Cancelled => Self::Cancelled,
        }
    }
}

/// Hears the order service's outcomes.
#[derive(Debug)]
pub(super) struct Settled {
    orders: Arc<Mutex<HashMap<String, Heard>>>,
    _listening: AbortOnDropHandle<()>,
}

#[derive(Debug)]
enum Heard {
    /// Before anybody asked.
    Outcome(Outcome),
    /// Somebody waits for it.
    Nothing(oneshot::Sender<Outcome>),
}

impl Settled {
    /// A plain subscriber: what it hears has been committed, and published by the relay.
    ///
    /// # Errors
    ///
    /// When the broker isn't there.
    pub(super) async fn listen(nats_url: &str) -> Result<Self> {
        let client = async_nats::connect(nats_url).await?;
        let mut outcomes = client.subscribe("events.order.*.*").await?;
        client.flush().await?;
        let orders = Arc::<Mutex<HashMap<String, Heard>>>::default();
        let heard = Arc::clone(&orders);
        let listening = tokio::spawn(async move {
            // Moved in, as it ends the subscription when dropped.
            let _client = client;
            while let Some(message) = outcomes.next().await {
                let mut subject = message.subject.as_str().rsplit('.');
                let (order_id, fact) = (subject.next().unwrap_or_default(), subject.next().unwrap_or_default());
                let outcome = match fact {
                    "confirmed" => Outcome::Confirmed,
                    "cancelled" => Outcome::Cancelled,
                    _ => continue,
                };
                note(&heard, order_id, outcome);
            }
        });
        Ok(Self { orders, _listening: AbortOnDropHandle::new(listening) })
    }

    async fn wait(&self, order_id: &str) -> Result<Outcome> {
        let (tell, told) = oneshot::channel();
        {
            let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
            match orders.remove(order_id) {
                Some(Heard::Outcome(outcome)) => return Ok(outcome),
                Some(Heard::Nothing(_)) | None => orders.insert(order_id.to_owned(), Heard::Nothing(tell)),
            };
        }
        let told = timeout(PATIENCE, told).await.with_context(|| format!("the order {order_id} doesn't end"))?;
        told.context("nobody listens any more")
    }
}

fn note(orders: &Mutex<HashMap<String, Heard>>, order_id: &str, outcome: Outcome) {
    let mut orders = orders.lock().unwrap_or_else(PoisonError::into_inner);
    match orders.remove(order_id) {
        // The client may have gone.
        Some(Heard::Nothing(waiting)) => drop(waiting.send(outcome)),
        Some(Heard::Outcome(_)) | None => drop(orders.insert(order_id.to_owned(), Heard::Outcome(outcome))),
    }
}
