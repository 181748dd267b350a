//! All SQL of the service.

use pavane::{Each, postgres::Tx};
use sqlx::Result;

use crate::{
    contracts::{HoldId, SeatWanted, TripId},
    provider::Hold,
    timestamptz::timestamptz,
};

/// What the auditor is shown.
pub(super) const SUMMARY: &str = "select jsonb_build_object('held', count(*) filter (where status = 'held'), \
                                  'booked', count(*) filter (where status = 'booked')) from seat";

pub(super) async fn insert(tx: &mut Tx, wanted: &Each<SeatWanted>, hold: Hold) -> Result<()> {
    let sql = "insert into seat (trip, number, passenger, hold, cents, held_at) values ($1, $2, $3, $4, $5, $6)";
    let now = timestamptz(tx.now())?;
    let insert = sqlx::query(sql).bind(wanted.trip).bind(i64::from(wanted.item().number())).bind(&wanted.passenger);
    insert.bind(hold.id).bind(hold.cents).bind(now).execute(tx.conn()).await?;
    Ok(())
}

pub(super) async fn released(tx: &mut Tx, seat: HoldId) -> Result<()> {
    sqlx::query("update seat set status = 'released' where hold = $1").bind(seat).execute(tx.conn()).await?;
    Ok(())
}

pub(super) async fn booked(tx: &mut Tx, trip: TripId) -> Result<()> {
    sqlx::query("update seat set status = 'booked' where trip = $1").bind(trip).execute(tx.conn()).await?;
    Ok(())
}
