//! All SQL with which the shops are set up, watched and audited. Their tables are the same, so one text does for all.

use std::collections::HashSet;

use sqlx::{PgPool, Row as _};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// What stands in the books of the services; money in minor units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Books {
    pub(super) confirmed: i64,
    pub(super) revenue: i64,
    pub(super) captured: i64,
    pub(super) authorized_open: i64,
    pub(super) on_hand: i64,
    pub(super) reserved: i64,
    pub(super) shipped: i64,
    pub(super) dispatched: i64,
}

/// Lets transactions be prepared; takes effect at the next start.
pub(super) async fn allow_prepared(postgres: &PgPool) -> Result<()> {
    sqlx::raw_sql("alter system set max_prepared_transactions = 300").execute(postgres).await.map(drop)
}

/// Adds products, each with `on_hand` pieces.
pub(super) async fn fill_shelves(inventory: &PgPool, skus: &[String], on_hand: i64) -> Result<()> {
    let insert = "insert into stock (sku, on_hand, reserved, shipped) select sku, $2, 0, 0 from unnest($1::text[]) sku";
    sqlx::query(insert).bind(skus).bind(on_hand).execute(inventory).await.map(drop)
}

/// The transactions that hold a lock on a stock row at this moment, prepared ones included, by their xid.
///
/// A transaction that has changed the table holds a lock on it until its end. Those that only wait for a row do too, and
/// are left out: they wait for a lock that isn't granted.
pub(super) async fn stock_lockers(inventory: &PgPool) -> Result<HashSet<String>> {
    let select = "with locks as materialized (select * from pg_locks)
        select own.transactionid::text from locks own
        where own.locktype = 'transactionid' and own.mode = 'ExclusiveLock' and own.granted
            and exists (select 1 from locks stock where stock.virtualtransaction = own.virtualtransaction
                and stock.locktype = 'relation' and stock.relation = 'stock'::regclass
                and stock.mode = 'RowExclusiveLock'
                and stock.database = (select oid from pg_database where datname = current_database()))
            and not exists (select 1 from locks waiting where waiting.virtualtransaction = own.virtualtransaction
                and not waiting.granted)";
    Ok(sqlx::query_scalar(select).fetch_all(inventory).await?.into_iter().collect())
}

/// How many prepared transactions of the server wait for a decision.
pub(super) async fn in_doubt(postgres: &PgPool) -> Result<i64> {
    sqlx::query_scalar("select count(*) from pg_prepared_xacts").fetch_one(postgres).await
}

/// How many stock rows somebody has locked at this moment. Locks the others itself for that moment, and gives them back
/// without a trace that the disk would have to see.
pub(super) async fn locked_stock_rows(inventory: &PgPool) -> Result<i64> {
    let mut tx = inventory.begin().await?;
    let all: i64 = sqlx::query_scalar("select count(*) from stock").fetch_one(&mut *tx).await?;
    let free = "select count(*) from (select 1 from stock for share skip locked) free";
    let free: i64 = sqlx::query_scalar(free).fetch_one(&mut *tx).await?;
    tx.rollback().await?;
    Ok(all - free)
}

/// Reads the books of all services.
pub(super) async fn books(order: &PgPool, payment: &PgPool, inventory: &PgPool, shipping: &PgPool) -> Result<Books> {
    let orders = "select count(*) as orders, coalesce(sum(total_minor), 0)::bigint as revenue
        from orders where status = 'confirmed'";
    let orders = sqlx::query(orders).fetch_one(order).await?;
    let payments = "select coalesce(sum(captured - refunded), 0)::bigint as captured,
            coalesce(sum(authorized - captured - voided), 0)::bigint as open from payment";
    let payments = sqlx::query(payments).fetch_one(payment).await?;
    let stock = "select sum(on_hand)::bigint as on_hand, sum(reserved)::bigint as reserved,
        sum(shipped)::bigint as shipped from stock";
    let stock = sqlx::query(stock).fetch_one(inventory).await?;
    let dispatched = "select count(*) from shipment where status = 'dispatched'";
    Ok(Books {
        confirmed: orders.try_get("orders")?,
        revenue: orders.try_get("revenue")?,
        captured: payments.try_get("captured")?,
        authorized_open: payments.try_get("open")?,
        on_hand: stock.try_get("on_hand")?,
        reserved: stock.try_get("reserved")?,
        shipped: stock.try_get("shipped")?,
        dispatched: sqlx::query_scalar(dispatched).fetch_one(shipping).await?,
    })
}
