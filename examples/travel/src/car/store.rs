//! All SQL of the service.

use pavane::postgres::Tx;
use sqlx::{PgConnection, Result};

use crate::{
    contracts::{HoldId, TripId},
    provider::Hold,
    timestamptz::timestamptz,
};

/// What the auditor is shown.
pub(super) const SUMMARY: &str = "select jsonb_build_object('held', count(*) filter (where status = 'held'), \
                                  'booked', count(*) filter (where status = 'booked')) from car";

pub(super) async fn insert(tx: &mut Tx, trip: TripId, hold: Hold) -> Result<()> {
    let insert = sqlx::query("insert into car (trip, hold, cents, held_at) values ($1, $2, $3, $4)");
    let insert = insert.bind(trip).bind(hold.id).bind(hold.cents).bind(timestamptz(tx.now())?);
    insert.execute(tx.conn()).await?;
    Ok(())
}

/// The car that is held for a trip, if one is.
pub(super) async fn car(conn: &mut PgConnection, trip: TripId) -> Result<Option<HoldId>> {
    sqlx::query_scalar("select hold from car where trip = $1").bind(trip).fetch_optional(conn).await
}

pub(super) async fn set(tx: &mut Tx, trip: TripId, status: &str) -> Result<()> {
    let update = sqlx::query("update car set status = $2 where trip = $1");
    update.bind(trip).bind(status).execute(tx.conn()).await?;
    Ok(())
}
