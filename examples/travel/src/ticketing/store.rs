//! All SQL of the service.

use pavane::postgres::Tx;
use sqlx::Result;

use crate::{
    contracts::{AllHeld, TripId},
    provider::Refund,
    timestamptz::timestamptz,
};

/// What the auditor is shown. Sums of bigint are numeric, and as JSON they are numbers again.
pub(super) const SUMMARY: &str = "select jsonb_build_object('charged_cents', coalesce(sum(charged_cents), 0), \
                                  'refunded_cents', coalesce(sum(refunded_cents), 0), \
                                  'fee_cents', coalesce(sum(fee_cents), 0)) from tickets";

pub(super) async fn insert(tx: &mut Tx, held: &AllHeld) -> Result<()> {
    let insert = sqlx::query("insert into tickets (trip, seats, charged_cents, issued_at) values ($1, $2, $3, $4)");
    let insert = insert.bind(held.trip).bind(&held.seats).bind(held.total_cents).bind(timestamptz(tx.now())?);
    insert.execute(tx.conn()).await?;
    Ok(())
}

pub(super) async fn refunded(tx: &mut Tx, trip: TripId, refund: Refund) -> Result<()> {
    let update = sqlx::query("update tickets set refunded_cents = $2, fee_cents = $3 where trip = $1");
    update.bind(trip).bind(refund.refunded_cents).bind(refund.fee_cents).execute(tx.conn()).await?;
    Ok(())
}
