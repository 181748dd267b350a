//! All SQL of the service. One text for PostgreSQL and SQLite.

use contracts::OrderId;
use pavane::any::{Db, Tx};
use serde::{Deserialize, Serialize};
use sqlx::{Result, Row as _, any::AnyRow};
use utoipa::ToSchema;

use crate::domain::Status;

/// A parcel and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[non_exhaustive]
pub struct Shipment {
    /// Of which order.
    #[schema(value_type = String, format = Uuid)]
    pub order_id: OrderId,
    /// Where it goes: ISO 3166-1 alpha-2 code.
    pub country: String,
    /// Who delivers it.
    pub carrier: String,
    /// The carrier's tracking number.
    pub tracking: String,
    /// Where it is.
    pub status: Status,
}

/// How many parcels have one status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[non_exhaustive]
pub struct Count {
    /// The status.
    pub status: Status,
    /// How many have it.
    pub count: i64,
}

/// Creates an order's parcel. `false` when it has one.
pub(crate) async fn insert(tx: &mut Tx, shipment: Shipment) -> Result<bool> {
    // Asks instead of failing on the key: a failed statement would spoil the transaction for the other events in it.
    let insert = "insert into shipment (order_id, country, carrier, tracking, status) \
                  values ($1, $2, $3, $4, $5) on conflict do nothing";
    let Shipment { order_id, country, carrier, tracking, status } = shipment;
    let insert = sqlx::query(insert).bind(order_id.to_string()).bind(country).bind(carrier).bind(tracking);
    let inserted = insert.bind(status.as_str()).execute(tx.conn()).await?;
    Ok(inserted.rows_affected() > 0)
}

/// Keeps a parcel here. `false` when none waits for its carrier.
pub(crate) async fn cancel(tx: &mut Tx, order: OrderId) -> Result<bool> {
    change(tx, order, "update shipment set status = 'cancelled' where order_id = $1 and status = 'created'").await
}

/// Hands a parcel over. `false` when none waits for its carrier.
pub(crate) async fn dispatch(tx: &mut Tx, order: OrderId) -> Result<bool> {
    change(tx, order, "update shipment set status = 'dispatched' where order_id = $1 and status = 'created'").await
}

/// An order's parcel, if it has one.
pub(crate) async fn one(db: &Db, order: OrderId) -> Result<Option<Shipment>> {
    let select = sqlx::query("select country, carrier, tracking, status from shipment where order_id = $1");
    let Some(row) = select.bind(order.to_string()).fetch_optional(db.readers()).await? else {
        return Ok(None);
    };
    Ok(Some(Shipment {
        order_id: order,
        country: row.try_get("country")?,
        carrier: row.try_get("carrier")?,
        tracking: row.try_get("tracking")?,
        status: status(&row)?,
    }))
}

/// How many parcels have each status, those without any included.
pub(crate) async fn counts(db: &Db) -> Result<Vec<Count>> {
    let select = sqlx::query("select status, count(*) as parcels from shipment group by status");
    let mut counts: Vec<_> = Status::ALL.into_iter().map(|status| Count { status, count: 0 }).collect();
    for row in select.fetch_all(db.readers()).await? {
        let status = status(&row)?;
        if let Some(known) = counts.iter_mut().find(|known| known.status == status) {
            known.count = row.try_get("parcels")?;
        }
    }
    Ok(counts)
}

/// A parcel leaves its first status once: the update wins or finds that another did.
async fn change(tx: &mut Tx, order: OrderId, update: &'static str) -> Result<bool> {
    let changed = sqlx::query(update).bind(order.to_string()).execute(tx.conn()).await?;
    Ok(changed.rows_affected() > 0)
}

/// A word that this program didn't write is a row that can't be read.
fn status(row: &AnyRow) -> Result<Status> {
    Status::parse(row.try_get("status")?).map_err(|error| sqlx::Error::Decode(error.into()))
}
