//! All SQL of the service. One text for PostgreSQL and SQLite.

use contracts::{OrderId, Sku};
use pavane::{
    any::{Db, Tx},
    database::Dialect,
};
use serde::{Deserialize, Serialize};
use sqlx::{Result, Row as _, any::AnyRow};
use utoipa::ToSchema;

use crate::domain::Demand;

/// Most things on one page of the list.
const PAGE: i64 = 1000;

/// The advisory lock that every change of stock takes.
const STOCK_LOCK: i64 = 4003;

/// How much there is of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[non_exhaustive]
pub struct Stock {
    /// What it is.
    pub sku: String,
    /// Pieces in the warehouse, the reserved ones included.
    pub on_hand: i64,
    /// Pieces that are held for orders.
    pub reserved: i64,
    /// Pieces that have left for good.
    pub shipped: i64,
    /// Pieces that can be ordered: on hand and not reserved.
    pub available: i64,
}

/// What became of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) enum Reserved {
    /// Everything is held.
    All,
    /// Nothing is held: there is not enough of this.
    Lacks(Sku),
    /// The order has a reservation already.
    Before,
}

/// Holds what an order needs: everything, or nothing.
///
/// A "no" must not be a failed statement, which would spoil the transaction for the other events in it. So each update asks
/// before it takes, and what was taken in vain is given back by hand.
pub(crate) async fn reserve(tx: &mut Tx, order: OrderId, demand: &Demand) -> Result<Reserved> {
    lock(tx).await?;
    let mut taken = Vec::with_capacity(demand.len());
    for (sku, pieces) in demand {
        // Wins the race for the last pieces: the row is locked before the condition is read.
        let take = "update stock set reserved = reserved + $2 where sku = $1 and on_hand - reserved >= $2";
        if change(tx, take, sku, *pieces).await? == 0 {
            for (sku, pieces) in taken {
                change(tx, "update stock set reserved = reserved - $2 where sku = $1", sku, pieces).await?;
            }
            return Ok(Reserved::Lacks(sku.clone()));
        }
        taken.push((sku, *pieces));
    }
    let insert = "insert into reservation (order_id, state) values ($1, 'held') on conflict do nothing";
    let inserted = sqlx::query(insert).bind(order.to_string()).execute(tx.conn()).await?;
    if inserted.rows_affected() == 0 {
        return Ok(Reserved::Before);
    }
    for (sku, pieces) in demand {
        let insert = sqlx::query("insert into reservation_line (order_id, sku, quantity) values ($1, $2, $3)");
        insert.bind(order.to_string()).bind(sku.to_string()).bind(*pieces).execute(tx.conn()).await?;
    }
    Ok(Reserved::All)
}

/// Gives back what is held for an order. `false` when nothing is.
pub(crate) async fn release(tx: &mut Tx, order: OrderId) -> Result<bool> {
    lock(tx).await?;
    if !end(tx, order, "update reservation set state = 'released' where order_id = $1 and state = 'held'").await? {
        return Ok(false);
    }
    let give_back = "update stock set reserved = reserved - line.quantity from reservation_line line \
                     where line.order_id = $1 and line.sku = stock.sku";
    sqlx::query(give_back).bind(order.to_string()).execute(tx.conn()).await?;
    Ok(true)
}

/// Takes what is held for an order out of the stock. `false` when nothing is.
pub(crate) async fn ship(tx: &mut Tx, order: OrderId) -> Result<bool> {
    lock(tx).await?;
    if !end(tx, order, "update reservation set state = 'shipped' where order_id = $1 and state = 'held'").await? {
        return Ok(false);
    }
    let take_out = "update stock set on_hand = on_hand - line.quantity, reserved = reserved - line.quantity, \
                    shipped = shipped + line.quantity \
                    from reservation_line line where line.order_id = $1 and line.sku = stock.sku";
    sqlx::query(take_out).bind(order.to_string()).execute(tx.conn()).await?;
    Ok(true)
}

/// Sets how many pieces of a thing there are; it need not be known before. `None` when more than that are reserved.
pub(crate) async fn set_on_hand(tx: &mut Tx, sku: &Sku, pieces: i64) -> Result<Option<Stock>> {
    lock(tx).await?;
    let set = "insert into stock (sku, on_hand, reserved, shipped) values ($1, $2, 0, 0) \
               on conflict (sku) do update set on_hand = excluded.on_hand where stock.reserved <= excluded.on_hand \
               returning sku, on_hand, reserved, shipped";
    let row = sqlx::query(set).bind(sku.to_string()).bind(pieces).fetch_optional(tx.conn()).await?;
    row.as_ref().map(stock).transpose()
}

/// How much there is of a thing; `None` when it isn't known.
pub(crate) async fn one(db: &Db, sku: &Sku) -> Result<Option<Stock>> {
    let select = sqlx::query("select sku, on_hand, reserved, shipped from stock where sku = $1");
    let row = select.bind(sku.to_string()).fetch_optional(db.readers()).await?;
    row.as_ref().map(stock).transpose()
}

/// A page of everything that is known, in the order of the SKUs, from the first one after `after`.
pub(crate) async fn page(db: &Db, after: &str) -> Result<Vec<Stock>> {
    let select = "select sku, on_hand, reserved, shipped from stock where sku > $1 order by sku limit $2";
    let rows = sqlx::query(select).bind(after.to_owned()).bind(PAGE).fetch_all(db.readers()).await?;
    rows.iter().map(stock).collect()
}

/// Lets one transaction at a time change stock, on PostgreSQL as on SQLite, which has one writer.
///
/// A transaction handles many orders. Each takes its rows in the order of their SKUs, but two transactions with several
/// orders could still wait for each other's rows. A popular row makes them wait in line anyway; here the line is orderly.
/// The constraint and the conditions hold without it. Not `lock table`: that would keep vacuum away from a busy table.
async fn lock(tx: &mut Tx) -> Result<()> {
    if tx.db().dialect() == Dialect::Postgres {
        // From the function, as the column that it returns has no type that can be read.
        let wait = sqlx::query("select 1 from pg_advisory_xact_lock($1)");
        wait.bind(STOCK_LOCK).execute(tx.conn()).await?;
    }
    Ok(())
}

async fn change(tx: &mut Tx, update: &'static str, sku: &Sku, pieces: i64) -> Result<u64> {
    let update = sqlx::query(update).bind(sku.to_string()).bind(pieces);
    Ok(update.execute(tx.conn()).await?.rows_affected())
}

/// Ends a reservation, once. `false` when there is none, or it has ended before.
async fn end(tx: &mut Tx, order: OrderId, update: &'static str) -> Result<bool> {
    let ended = sqlx::query(update).bind(order.to_string()).execute(tx.conn()).await?;
    Ok(ended.rows_affected() > 0)
}

fn stock(row: &AnyRow) -> Result<Stock> {
    let (on_hand, reserved) = (row.try_get("on_hand")?, row.try_get("reserved")?);
    Ok(Stock {
        sku: row.try_get("sku")?,
        on_hand,
        reserved,
        shipped: row.try_get("shipped")?,
        available: on_hand - reserved,
    })
}
