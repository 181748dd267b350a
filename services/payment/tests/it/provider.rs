use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use axum::{
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use contracts::OrderId;
use pavane_contract::SystemClock;
use pavane_testkit::servers::Proxy;
use psp::{
    Faults, Psp,
    wire::{Balances, PaymentIntent, PaymentIntents},
};
use reqwest::Client;
use serde::de::DeserializeOwned;
use tokio::{net::TcpListener, task::JoinHandle};

/// Far beyond what any test waits for.
pub(crate) const FOREVER: Duration = Duration::from_mins(10);

/// The payment provider, with a network in front of it that fails on demand.
pub(crate) struct Provider {
    pub(crate) network: Proxy,
    url: String,
    http: Client,
    door: Door,
    served: JoinHandle<()>,
}

/// What commands meet before they reach the provider.
#[derive(Clone, Default)]
struct Door(Arc<Mutex<Doorkeeper>>);

#[derive(Default)]
struct Doorkeeper {
    /// Statuses to answer the next commands with in place of the provider; `None` lets one pass.
    turns_away: VecDeque<Option<u16>>,
    commands: usize,
}

/// Header of the tests' own commands, which the door lets pass and doesn't count.
const OURS: &str = "test";

impl Provider {
    pub(crate) async fn start(faults: Faults) -> Result<Self> {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await?, faults).await
    }

    pub(crate) async fn start_on(listener: TcpListener, faults: Faults) -> Result<Self> {
        let psp = Psp::open("sqlite::memory:", Arc::new(SystemClock), faults).await?;
        let address = listener.local_addr()?;
        let door = Door::default();
        let router = psp::router(&psp).layer(middleware::from_fn_with_state(door.clone(), Door::pass));
        let served = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        let network = Proxy::start(address).await?;
        Ok(Self { network, url: format!("http://{address}"), http: Client::new(), door, served })
    }

    /// Answers the next commands with these statuses, before anything is done; `None` lets one pass.
    pub(crate) fn turn_away(&self, statuses: impl IntoIterator<Item = Option<u16>>) {
        self.door.keeper().turns_away.extend(statuses);
    }

    /// Answers no more commands in place of the provider.
    pub(crate) fn let_in(&self) {
        self.door.keeper().turns_away.clear();
    }

    /// How many commands arrived, those turned away included.
    pub(crate) fn commands(&self) -> usize {
        self.door.keeper().commands
    }

    /// Where the service finds it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.network.address())
    }

    /// (captured, refunded, open authorisations, what they set aside)
    pub(crate) async fn books(&self) -> Result<(i64, i64, i64, i64)> {
        let balances: Balances = self.get("/v1/balance").await?;
        let of = |line: &psp::wire::Balance| {
            (line.captured, line.refunded, line.open_authorizations, line.open_authorizations_amount)
        };
        Ok(balances.currencies.first().map(of).unwrap_or_default())
    }

    pub(crate) async fn intents_of(&self, order: OrderId) -> Result<Vec<PaymentIntent>> {
        let list: PaymentIntents = self.get(&format!("/v1/payment_intents?order_id={order}")).await?;
        Ok(list.data)
    }

    /// Cancels the order's only intent, as our own void does whose answer is on its way.
    pub(crate) async fn cancel(&self, order: OrderId) -> Result<()> {
        self.command(order, "cancel").await
    }

    /// Captures the order's only intent, as our own capture does whose answer got lost.
    pub(crate) async fn capture(&self, order: OrderId) -> Result<()> {
        self.command(order, "capture").await
    }

    /// Refunds all of the order's only intent, as our own refund does whose answer got lost.
    pub(crate) async fn refund(&self, order: OrderId) -> Result<()> {
        let intent = self.intents_of(order).await?.pop().context("an intent")?.id;
        let body = serde_json::json!({ "payment_intent": intent });
        let request = self.http.post(format!("{}/v1/refunds", self.url)).header(OURS, "yes").json(&body);
        request.send().await?.error_for_status()?;
        Ok(())
    }

    async fn command(&self, order: OrderId, what: &str) -> Result<()> {
        let intent = self.intents_of(order).await?.pop().context("an intent")?.id;
        let url = format!("{}/v1/payment_intents/{intent}/{what}", self.url);
        let request = self.http.post(url).header(OURS, "yes");
        request.send().await?.error_for_status()?;
        Ok(())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        // Not through the network that fails: the tests always see the truth.
        let response = self.http.get(format!("{}{path}", self.url)).send().await?;
        response.json().await.with_context(|| path.to_owned())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.served.abort();
    }
}

impl Door {
    async fn pass(State(door): State<Self>, request: Request, next: Next) -> Response {
        if request.method() == Method::GET || request.headers().contains_key(OURS) {
            return next.run(request).await;
        }
        let status = {
            let mut keeper = door.keeper();
            keeper.commands += 1;
            keeper.turns_away.pop_front().flatten()
        };
        match status.and_then(|status| StatusCode::from_u16(status).ok()) {
            Some(status) => (status, "not from the provider").into_response(),
            None => next.run(request).await,
        }
    }

    fn keeper(&self) -> MutexGuard<'_, Doorkeeper> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Faults that take no time.
pub(crate) const INSTANT: Faults = Faults { slow: Duration::ZERO, hold: Duration::ZERO };
