//! The ticketing service: charges the card and issues the tickets, in one call. It is the pivot: what was charged comes back, if the trip
//! is cancelled all the same, but for a fee.
//!
//! | event | reaction | emits |
//! |---|---|---|
//! | all held | charges the card, and issues the tickets | `TicketsIssued` or `TicketsRefused` |
//! | trip cancelled | gives the tickets back | `TicketsRefunded` |

mod reactions;
mod store;

use pavane::{Config, on_effect, postgres::Service, undo_effect};
use tokio::net::TcpListener;
use web::{Running, Shutdown};

use crate::{
    contracts::{TicketsIssued, TicketsRefunded, TicketsRefused, TripCancelled},
    process,
    provider::Client,
};

/// What the reactions work with.
#[derive(Debug)]
pub struct Ticketing {
    office: Client,
}

impl Ticketing {
    /// A ticketing service that buys at this office.
    pub const fn new(office: Client) -> Self {
        Self { office }
    }
}

/// The service's part of the choreography.
pub fn service(ticketing: Ticketing) -> Service<Ticketing> {
    let (key_life, patience) = (ticketing.office.key_life(), ticketing.office.patience());
    Service::new("ticketing", ticketing)
        .migrations(sqlx::migrate!("migrations/ticketing"))
        .react(
            "issue-tickets",
            on_effect(reactions::issue, reactions::record_issue)
                .emits_one_of::<(TicketsIssued, TicketsRefused)>()
                .key_lives(key_life)
                .look_up(reactions::find_tickets)
                .tuned(patience),
        )
        .react(
            "refund-tickets",
            undo_effect(reactions::refund, reactions::record_refund)
                .when::<TripCancelled>()
                .emits::<TicketsRefunded>()
                .tuned(patience),
        )
}

/// Runs the service until `shutdown`.
///
/// # Errors
///
/// When a server isn't there at the start, or the service can't go on.
pub fn run(config: Config, office: Client, listener: TcpListener, shutdown: Shutdown) -> Running {
    Box::pin(async move {
        let routes = |app: &pavane::postgres::App<Ticketing>| process::summary(app.db().clone(), store::SUMMARY);
        process::run(service(Ticketing::new(office)), config, listener, routes, shutdown).await
    })
}
