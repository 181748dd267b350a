//! Tickets: issued and paid, or given back for less.

use pavane::{
    Envelope, Handled, HandlerError,
    postgres::{Call, Tx},
};

use super::{Ticketing, store};
use crate::{
    contracts::{AllHeld, TicketsIssued, TicketsRefunded, TicketsRefused},
    provider::{Paid, Refund, Tickets},
};

pub(super) async fn issue(
    ticketing: &Ticketing,
    call: &Call<'_>,
    held: &Envelope<AllHeld>,
) -> Result<Paid, HandlerError> {
    let AllHeld { trip, seats, total_cents, card } = held.body.clone();
    ticketing.office.issue(call, &Tickets { trip, seats, cents: total_cents, card }).await
}

pub(super) async fn find_tickets(
    ticketing: &Ticketing,
    call: &Call<'_>,
    held: &Envelope<AllHeld>,
) -> Result<Option<Paid>, HandlerError> {
    ticketing.office.find_tickets(call, held.trip).await
}

pub(super) async fn record_issue(_: &Ticketing, tx: &mut Tx, held: &Envelope<AllHeld>, answer: Paid) -> Handled {
    match answer {
        Paid::Paid => {
            store::insert(tx, held).await?;
            tx.emit(&TicketsIssued { trip: held.trip, charged_cents: held.total_cents }).await?;
        }
        Paid::Declined => tx.emit(&TicketsRefused { trip: held.trip }).await?,
    }
    Ok(())
}

pub(super) async fn refund(
    ticketing: &Ticketing,
    call: &Call<'_>,
    issued: &Envelope<TicketsIssued>,
) -> Result<Refund, HandlerError> {
    ticketing.office.refund(call, issued.trip).await
}

pub(super) async fn record_refund(
    _: &Ticketing,
    tx: &mut Tx,
    issued: &Envelope<TicketsIssued>,
    refund: Refund,
) -> Handled {
    let Refund { refunded_cents, fee_cents } = refund;
    store::refunded(tx, issued.trip, refund).await?;
    tx.emit(&TicketsRefunded { trip: issued.trip, refunded_cents, fee_cents }).await?;
    Ok(())
}
