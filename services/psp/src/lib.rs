//! A payment provider to practise on: Stripe's shapes and idempotency keys, its books in a SQLite file, and faults that the
//! test card in each request asks for.
//!
//! It knows nothing of events or of the shop (time comes from the workspace's clock, and the HTTP server is that of all
//! services, nothing else): to the shop it is what a real provider is, an HTTP API at the other end of an unreliable
//! network. The demo and the tests run it in-process with [`serve`]; the binary of the same name runs it alone.
//!
//! | `payment_method` | what happens |
//! |---|---|
//! | `pm_card_visa` | all goes well |
//! | `pm_card_declined` | the authorisation is declined (402) |
//! | `pm_card_capture_fails` | authorises; each capture is declined (402), the authorisation stays open |
//! | `pm_card_slow` | authorises after [`Faults::slow`] |
//! | `pm_card_timeout_after_charge` | authorises, then holds the answer back for [`Faults::hold`]; the same request again gets it at once |
//! | `pm_card_error_once` | 500 for the first request under each idempotency key, before anything is done; then all goes well |

mod answer;
mod domain;
mod http;
mod idempotency;
mod parse;
mod provider;
mod store;
mod telemetry;
pub mod wire;

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use pavane_contract::Clock;
use tokio::net::TcpListener;
use web::HttpLimits;

use crate::http::Edge;
use crate::provider::Provider;
use crate::store::Store;
use crate::telemetry::Metrics;

pub use crate::provider::Faults;
pub use crate::store::Error;

/// A provider with its books open.
#[derive(Clone)]
pub struct Psp(Arc<Edge>);

impl Psp {
    /// Opens, and creates where needed, the books at `database_url`, for example `sqlite:psp.db` or `sqlite::memory:`.
    ///
    /// # Errors
    /// When the database cannot be opened or migrated.
    pub async fn open(database_url: &str, clock: Arc<dyn Clock>, faults: Faults) -> Result<Self, Error> {
        let provider = Provider::new(Store::open(database_url).await?, clock, faults);
        Ok(Self(Arc::new(Edge { provider, metrics: Metrics::new() })))
    }
}

impl fmt::Debug for Psp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Psp").field(&self.0.provider).finish()
    }
}

/// The provider's HTTP API.
pub fn router(psp: &Psp) -> Router {
    http::router(Arc::clone(&psp.0))
}

/// Serves the API on `listener` until `shutdown`; then ends what is under way and closes the books. An answer that is held back for
/// longer is cut off: its client has been promised nothing else.
///
/// # Errors
/// When a setting of the HTTP server can't be used.
pub async fn serve(listener: TcpListener, psp: Psp, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
    // To hold an answer back for long is one of its faults.
    let limits = HttpLimits::from_env()?.requests_within(Duration::MAX);
    web::serve(limits, listener, router(&psp), shutdown).await;
    psp.0.provider.store.close().await;
    Ok(())
}
