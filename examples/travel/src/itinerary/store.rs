//! All SQL of the service.

use pavane::postgres::Tx;
use serde_json::Value;
use sqlx::Result;

use crate::{contracts::TripId, timestamptz::timestamptz};

/// What the auditor is shown.
pub(super) const SUMMARY: &str = "select jsonb_build_object('itineraries', count(*) filter (where kind = 'itinerary'), \
                                  'apologies', count(*) filter (where kind = 'apology')) from letter";

pub(super) async fn insert(tx: &mut Tx, trip: TripId, kind: &str, content: Value) -> Result<()> {
    let insert = sqlx::query("insert into letter (trip, kind, content, sent_at) values ($1, $2, $3, $4)");
    let insert = insert.bind(trip).bind(kind).bind(content).bind(timestamptz(tx.now())?);
    insert.execute(tx.conn()).await?;
    Ok(())
}
