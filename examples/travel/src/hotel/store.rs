//! All SQL of the service.

use std::time::Duration;

use pavane::postgres::Tx;
use sqlx::{PgConnection, Result};

use crate::{
    contracts::{HoldId, TripId, TripRequested},
    provider::Hold,
    timestamptz::timestamptz,
};

/// What the auditor is shown. The framework's timers are counted too: a hold that has ended leaves none.
pub(super) const SUMMARY: &str = "select jsonb_build_object('held', count(*) filter (where status = 'held'), \
                                  'booked', count(*) filter (where status = 'booked'), \
                                  'timers', (select count(*) from pavane_timer)) from room";

pub(super) async fn insert(tx: &mut Tx, requested: &TripRequested, hold: Hold, keeps: Duration) -> Result<()> {
    let sql = "insert into room (trip, hold, hotel, cents, held_until) values ($1, $2, $3, $4, $5)";
    let until = timestamptz(tx.now())? + keeps;
    let insert = sqlx::query(sql).bind(requested.trip).bind(hold.id).bind(&requested.wishes.hotel).bind(hold.cents);
    insert.bind(until).execute(tx.conn()).await?;
    Ok(())
}

/// The hotel's room for a trip.
pub(super) async fn room(conn: &mut PgConnection, trip: TripId) -> Result<HoldId> {
    sqlx::query_scalar("select hold from room where trip = $1").bind(trip).fetch_one(conn).await
}

pub(super) async fn set(tx: &mut Tx, trip: TripId, status: &str) -> Result<()> {
    let update = sqlx::query("update room set status = $2 where trip = $1");
    update.bind(trip).bind(status).execute(tx.conn()).await?;
    Ok(())
}
