//! All SQL of the service.

use std::time::Duration;

use pavane::postgres::{Db, Tx};
use serde_json::{Value, json};
use sqlx::{Result, types::Json};
use uuid::Uuid;

use super::entries::NewTrip;
use crate::{
    contracts::{CancelReason, TripId, Wishes},
    timestamptz::timestamptz,
};

/// What the auditor is shown. The framework's timers are counted too: a trip that has ended leaves none.
pub(super) const SUMMARY: &str = "select jsonb_build_object( \
     'confirmed', count(*) filter (where status = 'confirmed'), 'cancelled', count(*) filter (where status = 'cancelled'), \
     'timers', (select count(*) from pavane_timer)) from trip";

/// What the reactions need to know of a trip.
#[derive(Debug)]
pub(super) struct Trip {
    pub(super) wishes: Wishes,
    /// How long the traveller has to answer a question.
    pub(super) answer_within: Duration,
    pub(super) is_cancelled: bool,
    pub(super) has_car: bool,
}

/// `false` where a trip has this reference already. Of two at once, the second waits until the first has ended.
pub(super) async fn insert(tx: &mut Tx, trip: TripId, new: &NewTrip) -> Result<bool> {
    let sql = "insert into trip (id, traveller, reference, wishes, answer_seconds, requested_at) values ($1, $2, $3, $4, $5, $6) \
               on conflict (reference) do nothing";
    let insert = sqlx::query(sql).bind(trip).bind(&new.traveller).bind(new.reference).bind(Json(&new.wishes));
    let insert = insert.bind(i64::from(new.answer_seconds)).bind(timestamptz(tx.now())?);
    Ok(insert.execute(tx.conn()).await?.rows_affected() == 1)
}

/// The trip that has this reference.
pub(super) async fn referred(tx: &mut Tx, reference: Option<Uuid>) -> Result<TripId> {
    let select = sqlx::query_scalar("select id from trip where reference = $1");
    select.bind(reference).fetch_one(tx.conn()).await
}

/// Reads a trip and locks it until the transaction ends: of two that want to decide, ask or add up, the second sees what the first did.
pub(super) async fn lock(tx: &mut Tx, trip: TripId) -> Result<Option<Trip>> {
    let sql = "select wishes, answer_seconds, status = 'cancelled', coalesce(has_car, false) from trip where id = $1 for update";
    let row: Option<(Json<Wishes>, i64, bool, bool)> = sqlx::query_as(sql).bind(trip).fetch_optional(tx.conn()).await?;
    Ok(row.map(|(Json(wishes), seconds, is_cancelled, has_car)| {
        let answer_within = Duration::from_secs(seconds.unsigned_abs());
        Trip { wishes, answer_within, is_cancelled, has_car }
    }))
}

pub(super) async fn asking(tx: &mut Tx, trip: TripId) -> Result<()> {
    sqlx::query("update trip set status = 'asking' where id = $1").bind(trip).execute(tx.conn()).await?;
    Ok(())
}

pub(super) async fn paying(tx: &mut Tx, trip: TripId, has_car: bool, total_cents: i64) -> Result<()> {
    let update = sqlx::query("update trip set status = 'paying', has_car = $2, total_cents = $3 where id = $1");
    update.bind(trip).bind(has_car).bind(total_cents).execute(tx.conn()).await?;
    Ok(())
}

pub(super) async fn confirmed(tx: &mut Tx, trip: TripId) -> Result<()> {
    let update = sqlx::query("update trip set status = 'confirmed', ended_at = $2 where id = $1");
    update.bind(trip).bind(timestamptz(tx.now())?).execute(tx.conn()).await?;
    Ok(())
}

pub(super) async fn cancelled(tx: &mut Tx, trip: TripId, reason: CancelReason) -> Result<()> {
    let sql = "update trip set status = 'cancelled', cancel_reason = $2 #>> '{}', ended_at = $3 where id = $1";
    sqlx::query(sql).bind(trip).bind(Json(reason)).bind(timestamptz(tx.now())?).execute(tx.conn()).await?;
    Ok(())
}

pub(super) async fn note(tx: &mut Tx, trip: TripId, event: &str) -> Result<()> {
    let note = Json(json!([{ "event": event, "at": tx.now().to_string() }]));
    let update = sqlx::query("update trip set notes = notes || $2 where id = $1");
    update.bind(trip).bind(note).execute(tx.conn()).await?;
    Ok(())
}

/// A trip as its traveller sees it.
pub(super) async fn view(db: &Db, trip: TripId) -> Result<Option<Value>> {
    let sql = "select to_jsonb(trip) from trip where id = $1";
    sqlx::query_scalar(sql).bind(trip).fetch_optional(db.readers()).await
}
