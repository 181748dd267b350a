//! The notification service: tells the customer how an order ended, once.
//!
//! | event | reaction |
//! |---|---|
//! | order confirmed | sends the confirmation |
//! | order cancelled | sends an apology, with the reason in words and what becomes of the money |
//!
//! It emits no events, and nothing that it does can be undone.

mod domain;
mod http;
mod mail;
mod reactions;
mod settings;
mod store;

use anyhow::Context as _;
use pavane::{Config, any::Service, on_effect};
use tokio::net::TcpListener;
use web::{Running, Shutdown};

pub use mail::Mailer;
pub use settings::Settings;

/// The service's name.
pub const NAME: &str = "notification";

/// What the reactions work with.
#[derive(Debug)]
pub struct Notification {
    mailer: Mailer,
}

impl Notification {
    /// A notification service that sends this way.
    pub const fn new(mailer: Mailer) -> Self {
        Self { mailer }
    }
}

/// The service's part of the choreography.
pub fn service(notification: Notification) -> Service<Notification> {
    Service::new(NAME, notification)
        .migrations(sqlx::migrate!())
        .react("send-confirmation", on_effect(reactions::send_confirmation, reactions::record_confirmation))
        .react("send-cancellation", on_effect(reactions::send_cancellation, reactions::record_cancellation))
}

/// Connects to the NATS server and the database, and runs reactions and HTTP side by side until `shutdown`.
///
/// # Errors
///
/// When a setting can't be used, a server isn't there at the start, or the service can't go on.
pub fn run(config: Config, settings: Settings, listener: TcpListener, shutdown: Shutdown) -> Running {
    Box::pin(async move {
        let notification = Notification::new(Mailer::new(&settings)?);
        let app = service(notification).connect(config).await.context("failed to start the service")?;
        let routes = http::router(app.db().clone());
        web::run(app, listener, routes, shutdown).await
    })
}
