//! The payment service: sets an order's money aside, charges it when the parcel is on its way, and refunds it when the
//! order is cancelled.
//!
//! | event | reaction | emits |
//! |---|---|---|
//! | order placed | authorises the amount | `PaymentAuthorized` or `PaymentDeclined` |
//! | shipment created | captures it | `PaymentCaptured` or `PaymentCaptureFailed` |
//! | order cancelled | voids the authorisation, unless it was captured | `PaymentVoided` |
//! | order cancelled | refunds the capture | `PaymentRefunded` |

mod domain;
mod http;
mod psp;
mod reactions;
mod settings;
mod store;

use std::time::Duration;

use anyhow::Context as _;
use contracts::{
    order::OrderCancelled,
    payment::{
        PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined, PaymentRefunded, PaymentVoided,
    },
};
use pavane::{Config, Tuning, any::Service, on_effect, undo_effect};
use tokio::net::TcpListener;
use web::{Running, Shutdown};

pub use psp::PspClient;
pub use settings::Settings;

/// The service's name: it owns the `payment.…` events.
pub const NAME: &str = "payment";

/// What the reactions work with.
#[derive(Debug)]
pub struct Payment {
    psp: PspClient,
}

impl Payment {
    /// A payment service that uses this provider.
    pub const fn new(psp: PspClient) -> Self {
        Self { psp }
    }
}

/// The service's part of the choreography.
pub fn service(payment: Payment) -> Service<Payment> {
    Service::new(NAME, payment)
        .migrations(sqlx::migrate!())
        .react(
            "authorize-payment",
            on_effect(reactions::authorize, reactions::record_authorization)
                .emits_one_of::<(PaymentAuthorized, PaymentDeclined)>()
                .key_lives(KEY_LIFE)
                .look_up(reactions::find_authorization)
                .tuned(many_at_once),
        )
        .react(
            "capture-payment",
            on_effect(reactions::capture, reactions::record_capture)
                .emits_one_of::<(PaymentCaptured, PaymentCaptureFailed)>()
                .key_lives(KEY_LIFE)
                .look_up(reactions::find_capture)
                .tuned(many_at_once),
        )
        .react(
            "void-payment",
            undo_effect(reactions::void, reactions::record_void)
                .when::<OrderCancelled>()
                .may_emit::<PaymentVoided>()
                .key_lives(KEY_LIFE)
                .look_up(reactions::find_void),
        )
        .react(
            "refund-payment",
            undo_effect(reactions::refund, reactions::record_refund)
                .when::<OrderCancelled>()
                .emits::<PaymentRefunded>()
                .key_lives(KEY_LIFE)
                .look_up(reactions::find_refund),
        )
}

/// How long providers know an idempotency key at least: Stripe's may go after 24 hours
/// (<https://docs.stripe.com/api/idempotent_requests>).
const KEY_LIFE: Duration = Duration::from_hours(24);

/// A call mostly waits for the provider. With one that takes 300 ms, so many at once are 200 orders a second.
fn many_at_once(tuning: &mut Tuning) {
    tuning.concurrency = Some(64);
}

/// Connects to the NATS server and the database, and runs reactions and HTTP side by side until `shutdown`.
///
/// # Errors
///
/// When a setting can't be used, a server isn't there at the start, or the service can't go on.
pub fn run(config: Config, settings: Settings, listener: TcpListener, shutdown: Shutdown) -> Running {
    Box::pin(async move {
        let payment = Payment::new(PspClient::new(&settings)?);
        let app = service(payment).connect(config).await.context("failed to start the service")?;
        let routes = http::router(app.db().clone());
        web::run(app, listener, routes, shutdown).await
    })
}
