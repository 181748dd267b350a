//! An airline, a hotel, a rental company and a ticket office to practise on, behind one HTTP API with idempotency keys.
//!
//! It knows nothing of events: to the services it is what a real provider is, at the other end of an unreliable network. What is asked
//! for chooses what goes wrong, as the test cards of a payment provider do:
//!
//! | flight, hotel, car | what happens |
//! |---|---|
//! | `full` | there is none |
//! | `dear` | it costs a quarter more than it was offered for |
//! | `late` | it is held at once, and the answer held back for [`Faults::late`] |
//! | `flaky` | 503 for the first request under each key, before anything is done |
//! | `forgetful` | it is held, and every request under its key gets 503, until the key is forgotten |
//! | anything else | all goes well |
//!
//! Of the cards, `declined` doesn't pay, and `late`, `flaky` and `forgetful` are as above. Keys are forgotten after [`Faults::key_life`];
//! then a repeated request is a new one, and holds a second room. Who is not sure asks what is held: `POST /holds/search`, `GET /tickets/{trip}`.

mod books;
mod client;
mod http;
mod settings;

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::Router;
use pavane::contract::Clock;
use tokio::net::TcpListener;
use web::HttpLimits;

pub use books::{Balance, Hold, Order, Refund, Status, Stock, Tickets};
pub use client::{Answer, Client, Paid};
pub use settings::Settings;

use books::Books;

use crate::contracts::TripId;

/// How long what goes wrong takes.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "all of it is said where a provider starts")]
pub struct Faults {
    /// How long a late answer is held back.
    pub late: Duration,
    /// How long an idempotency key is known.
    pub key_life: Duration,
}

impl Default for Faults {
    /// Late by 2 s; keys live for 24 h, as at Stripe.
    fn default() -> Self {
        Self { late: Duration::from_secs(2), key_life: Duration::from_hours(24) }
    }
}

/// A provider with empty books. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Provider {
    books: Arc<Mutex<Books>>,
    clock: Arc<dyn Clock>,
    faults: Faults,
}

impl Provider {
    /// Opens a provider.
    pub fn new(clock: Arc<dyn Clock>, faults: Faults) -> Self {
        Self { books: Arc::default(), clock, faults }
    }

    /// What is held, booked and paid.
    pub fn balance(&self) -> Balance {
        self.books().balance()
    }

    /// Everything that it ever held, each as often as it did.
    pub fn holds(&self) -> Vec<(Order, Hold)> {
        self.books().holds().cloned().collect()
    }

    /// The trips that it ever charged for, each as often as it did.
    pub fn charged(&self) -> Vec<TripId> {
        self.books().charged().collect()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The provider's HTTP API.
pub fn router(provider: &Provider) -> Router {
    http::router(provider.clone())
}

/// Serves the API on `listener` until `shutdown`.
///
/// # Errors
///
/// When a setting of the HTTP server can't be used.
pub async fn serve(
    listener: TcpListener,
    provider: &Provider,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let limits = HttpLimits::from_env()?.requests_within(Duration::MAX);
    web::serve(limits, listener, router(provider), shutdown).await;
    Ok(())
}
