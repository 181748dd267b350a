//! A client of the provider. One request a method; every retry is the framework's, under the same key.
//!
//! A "no" is an answer and no failure. A provider that isn't there, is too slow or too busy is waited for. What is set to `booked` or
//! `released`, and what is refunded, is so however often it is asked for: no key is needed there, and none can be forgotten.

use std::time::Duration;

use pavane::{HandlerError, Tuning, postgres::Call};
use reqwest::{RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;

use super::{Hold, Order, Refund, Settings, Status, Tickets};
use crate::contracts::{HoldId, TripId};

/// Names a request, however often it is sent.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The provider, at the other end of an unreliable network. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    settings: Settings,
}

/// What came of asking for something to be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum Answer {
    /// It is held.
    Held(Hold),
    /// There is none.
    None,
}

/// What came of asking for tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum Paid {
    /// They are paid, and issued.
    Paid,
    /// The card was declined.
    Declined,
}

/// Why there is no answer. Reads after "failed to ask the provider: ".
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("it can't be reached or didn't answer in time")]
    Unreachable(#[source] reqwest::Error),
    #[error("it can't answer now ({0})")]
    Busy(StatusCode),
    #[error("it refuses the request ({0})")]
    Refused(StatusCode),
}

impl Client {
    /// A client; connects with the first request.
    ///
    /// # Errors
    ///
    /// When no HTTP client can be made.
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        Ok(Self { http: reqwest::Client::builder().build()?, settings })
    }

    /// How long the provider knows an idempotency key.
    pub(crate) const fn key_life(&self) -> Duration {
        self.settings.key_life
    }

    /// A reaction that calls the provider waits a little longer than the client does: the client's error comes first.
    pub(crate) fn patience(&self) -> impl Fn(&mut Tuning) + Copy + use<> {
        let timeout = self.settings.timeout * 5 / 4;
        move |tuning| tuning.timeout = timeout
    }

    /// Asks to hold something.
    pub(crate) async fn hold(&self, call: &Call<'_>, order: &Order) -> Result<Answer, HandlerError> {
        let request = self.http.post(self.url("holds")).header(IDEMPOTENCY_KEY, call.key().as_str()).json(order);
        Ok(self.ask(call, request).await?.map_or(Answer::None, Answer::Held))
    }

    /// Looks for what an order holds.
    pub(crate) async fn find_hold(&self, call: &Call<'_>, order: &Order) -> Result<Option<Answer>, HandlerError> {
        let request = self.http.post(self.url("holds/search")).json(order);
        Ok(self.ask(call, request).await?.map(Answer::Held))
    }

    /// Makes a booking of what is held.
    pub(crate) async fn book(&self, call: &Call<'_>, hold: HoldId) -> Result<(), HandlerError> {
        self.set(call, hold, Status::Booked).await
    }

    /// Gives back what is held or booked.
    pub(crate) async fn release(&self, call: &Call<'_>, hold: HoldId) -> Result<(), HandlerError> {
        self.set(call, hold, Status::Released).await
    }

    /// Asks for tickets.
    pub(crate) async fn issue(&self, call: &Call<'_>, tickets: &Tickets) -> Result<Paid, HandlerError> {
        let request = self.http.post(self.url("tickets")).header(IDEMPOTENCY_KEY, call.key().as_str()).json(tickets);
        Ok(self.ask::<()>(call, request).await?.map_or(Paid::Declined, |()| Paid::Paid))
    }

    /// Looks for a trip's tickets.
    pub(crate) async fn find_tickets(&self, call: &Call<'_>, trip: TripId) -> Result<Option<Paid>, HandlerError> {
        let request = self.http.get(self.url(&format!("tickets/{trip}")));
        Ok(self.ask::<Tickets>(call, request).await?.map(|_| Paid::Paid))
    }

    /// Gives a trip's tickets back.
    pub(crate) async fn refund(&self, call: &Call<'_>, trip: TripId) -> Result<Refund, HandlerError> {
        let request = self.http.put(self.url(&format!("tickets/{trip}/refund")));
        must(self.ask(call, request).await?)
    }

    async fn set(&self, call: &Call<'_>, hold: HoldId, status: Status) -> Result<(), HandlerError> {
        let request = self.http.put(self.url(&format!("holds/{hold}/status"))).json(&status);
        must(self.ask(call, request).await?)
    }

    /// Sends a request. `None` is a "no": there is none, or nothing of that name.
    ///
    /// The client gives up before the reaction's own time is up, which would count against the event.
    async fn ask<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        request: RequestBuilder,
    ) -> Result<Option<T>, HandlerError> {
        let answer = request.timeout(self.settings.timeout.min(call.time_left())).send().await;
        let answer = answer.map_err(|error| HandlerError::unavailable(Error::Unreachable(error)))?;
        match answer.status() {
            StatusCode::NOT_FOUND | StatusCode::CONFLICT => Ok(None),
            status if status.is_server_error() => Err(HandlerError::unavailable(Error::Busy(status))),
            status if status.is_success() => {
                let read = answer.json().await;
                Ok(Some(read.map_err(|error| HandlerError::unavailable(Error::Unreachable(error)))?))
            }
            status => Err(HandlerError::transient(Error::Refused(status))),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.settings.url)
    }
}

/// What the provider can't refuse, as it is of something that it holds or was paid for.
fn must<T>(answer: Option<T>) -> Result<T, HandlerError> {
    answer.ok_or_else(|| HandlerError::transient(Error::Refused(StatusCode::CONFLICT)))
}
