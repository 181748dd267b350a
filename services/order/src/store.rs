//! All SQL of the service. One text for SQLite and PostgreSQL.

use contracts::{Currency, Line, Money, OrderId, order::CancelReason};
use pavane::{
    Timestamp,
    any::{Db, Tx},
};
use serde::de::DeserializeOwned;
use sqlx::{Any, Executor, Result, Row as _, any::AnyRow};

use crate::{
    domain::{Fact, Facts, Status},
    order::{Entry, Header, Order, Summary},
    placement::Placement,
};

/// Inserts an order with its first fact.
pub(crate) async fn insert(tx: &mut Tx, order: &Order, placement: &Placement) -> Result<()> {
    let Summary { id, status, version, total, placed_at, deadline_at, .. } = &order.summary;
    sqlx::query(
        "insert into orders (id, email, currency, total_minor, lines, facts, status, version, placed_at, deadline_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(id.to_string())
    .bind(&placement.email)
    .bind(total.currency.as_str())
    .bind(total.minor)
    .bind(serde_json::to_string(&order.lines).map_err(encode)?)
    .bind(Fact::Placed.bit())
    .bind(status.name())
    .bind(*version)
    .bind(placed_at.as_microsecond())
    .bind(deadline_at.as_microsecond())
    .execute(tx.conn())
    .await?;
    for entry in &order.history {
        insert_entry(tx, *id, entry).await?;
    }
    Ok(())
}

async fn insert_entry(tx: &mut Tx, order: OrderId, entry: &Entry) -> Result<()> {
    sqlx::query("insert into order_history (order_id, version, fact, recorded_at) values ($1, $2, $3, $4)")
        .bind(order.to_string())
        .bind(entry.version)
        .bind(entry.fact.name())
        .bind(entry.at.as_microsecond())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Reads the header of an order.
pub(crate) async fn header(tx: &mut Tx, order: OrderId) -> Result<Option<Header>> {
    let query = sqlx::query("select email, total_minor, currency from orders where id = $1").bind(order.to_string());
    let Some(row) = query.fetch_optional(tx.conn()).await? else { return Ok(None) };
    Ok(Some(Header { order_id: order, email: row.try_get("email")?, total: total(&row)? }))
}

/// What became of recording a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Recorded {
    /// It is known now, since before or since this transaction.
    Known,
    /// There is no such order.
    NoSuchOrder,
}

/// Records a fact about an order.
///
/// Adding the bit and counting the version is one statement: of two reactions that record different facts at the same
/// time, the second waits for the first and adds to what that one left. The row stays locked until the commit, so the
/// status written after it is that of all facts.
pub(crate) async fn record(tx: &mut Tx, order: OrderId, fact: Fact) -> Result<Recorded> {
    let at = tx.now();
    let query = sqlx::query(
        "update orders set facts = facts | $2, version = version + 1 where id = $1 and (facts & $2) = 0
         returning facts, version, status",
    );
    let Some(row) = query.bind(order.to_string()).bind(fact.bit()).fetch_optional(tx.conn()).await? else {
        let known = sqlx::query("select 1 from orders where id = $1").bind(order.to_string());
        let found = known.fetch_optional(tx.conn()).await?;
        return Ok(if found.is_some() { Recorded::Known } else { Recorded::NoSuchOrder });
    };
    insert_entry(tx, order, &Entry { version: row.try_get("version")?, fact, at }).await?;
    let status = Facts::from_bits(row.try_get("facts")?).status();
    if row.try_get::<String, _>("status")? != status.name() {
        sqlx::query("update orders set status = $2 where id = $1")
            .bind(order.to_string())
            .bind(status.name())
            .execute(tx.conn())
            .await?;
    }
    Ok(Recorded::Known)
}

/// Notes why an order was cancelled.
pub(crate) async fn set_cancel_reason(tx: &mut Tx, order: OrderId, reason: CancelReason) -> Result<()> {
    sqlx::query("update orders set cancel_reason = $2 where id = $1")
        .bind(order.to_string())
        .bind(name_of(reason)?)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// An order with its history: one statement, so that both are of the same moment.
pub(crate) async fn find<'e>(db: impl Executor<'e, Database = Any>, order: OrderId) -> Result<Option<Order>> {
    let query = sqlx::query(
        "select o.id, o.status, o.version, o.currency, o.total_minor, o.lines, o.cancel_reason, o.placed_at,
                o.deadline_at, h.version as entry_version, h.fact, h.recorded_at
         from orders o join order_history h on h.order_id = o.id
         where o.id = $1 order by h.version",
    );
    let rows = query.bind(order.to_string()).fetch_all(db).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let lines: Vec<Line> = json(&first.try_get::<String, _>("lines")?)?;
    let history = rows.iter().map(|row| entry(row, "entry_version")).collect::<Result<_, _>>()?;
    Ok(Some(Order { summary: summary(first)?, lines, history }))
}

/// The facts about an order after a version, the oldest first.
pub(crate) async fn history_after(db: &Db, order: OrderId, version: i64) -> Result<Vec<Entry>> {
    let query = sqlx::query(
        "select version, fact, recorded_at from order_history where order_id = $1 and version > $2 order by version",
    );
    let rows = query.bind(order.to_string()).bind(version).fetch_all(db.readers()).await?;
    rows.iter().map(|row| entry(row, "version")).collect()
}

/// Which orders to list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub(crate) status: Option<Status>,
    /// Only those placed before this one.
    pub(crate) before: Option<OrderId>,
    pub(crate) limit: i64,
}

/// The newest orders: ids grow with time.
pub(crate) async fn list(db: &Db, page: Page) -> Result<Vec<Summary>> {
    // Two statements, as one with an optional condition would not use the index.
    const ALL: &str = "select id, status, version, currency, total_minor, cancel_reason, placed_at, deadline_at
                       from orders where id < $1 order by id desc limit $2";
    const OF_STATUS: &str = "select id, status, version, currency, total_minor, cancel_reason, placed_at, deadline_at
                             from orders where id < $1 and status = $3 order by id desc limit $2";
    let before = page.before.map_or_else(|| uuid::Uuid::max().to_string(), |id| id.to_string());
    let query = sqlx::query(if page.status.is_some() { OF_STATUS } else { ALL }).bind(before).bind(page.limit);
    let query = match page.status {
        Some(status) => query.bind(status.name()),
        None => query,
    };
    query.fetch_all(db.readers()).await?.iter().map(summary).collect()
}

/// An answer that was given under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Saved {
    /// Tells the request that it answered.
    pub(crate) fingerprint: String,
    pub(crate) order: OrderId,
    pub(crate) body: String,
}

/// Saves an answer under its key, unless the key has one that is younger than `expired`; then nothing happens.
///
/// The unique key is what makes one of several requests at the same time the first: on PostgreSQL the others wait here
/// until its transaction ends, on SQLite they wait for the writer.
pub(crate) async fn save(tx: &mut Tx, key: &str, saved: &Saved, expired: Timestamp) -> Result<bool> {
    let now = tx.now().as_microsecond();
    let query = sqlx::query(
        "insert into idempotency_keys (key, fingerprint, order_id, body, created_at) values ($1, $2, $3, $4, $5)
         on conflict (key) do update set fingerprint = excluded.fingerprint, order_id = excluded.order_id,
             body = excluded.body, created_at = excluded.created_at
         where idempotency_keys.created_at <= $6",
    );
    let query = query.bind(key).bind(&saved.fingerprint).bind(saved.order.to_string()).bind(&saved.body).bind(now);
    Ok(query.bind(expired.as_microsecond()).execute(tx.conn()).await?.rows_affected() > 0)
}

/// The answer that was given under a key, if it is younger than `expired`.
pub(crate) async fn saved(db: &Db, key: &str, expired: Timestamp) -> Result<Option<Saved>> {
    let query =
        sqlx::query("select fingerprint, order_id, body from idempotency_keys where key = $1 and created_at > $2");
    let query = query.bind(key).bind(expired.as_microsecond());
    let Some(row) = query.fetch_optional(db.readers()).await? else { return Ok(None) };
    let order = row.try_get::<String, _>("order_id")?.parse().map_err(decode)?;
    Ok(Some(Saved { fingerprint: row.try_get("fingerprint")?, order, body: row.try_get("body")? }))
}

/// Deletes the oldest keys that have expired, `limit` at most; returns how many.
pub(crate) async fn forget_keys(tx: &mut Tx, expired: Timestamp, limit: i64) -> Result<u64> {
    let query = sqlx::query(
        "delete from idempotency_keys where key in
             (select key from idempotency_keys where created_at <= $1 order by created_at limit $2)",
    );
    Ok(query.bind(expired.as_microsecond()).bind(limit).execute(tx.conn()).await?.rows_affected())
}

fn summary(row: &AnyRow) -> Result<Summary> {
    let status: String = row.try_get("status")?;
    let reason: String = row.try_get("cancel_reason")?;
    Ok(Summary {
        id: row.try_get::<String, _>("id")?.parse().map_err(decode)?,
        status: Status::named(&status).ok_or_else(|| decode(format!("unknown status {status:?}")))?,
        version: row.try_get("version")?,
        total: total(row)?,
        cancel_reason: if reason.is_empty() { None } else { Some(json(&format!("{reason:?}"))?) },
        placed_at: time(row, "placed_at")?,
        deadline_at: time(row, "deadline_at")?,
    })
}

fn total(row: &AnyRow) -> Result<Money> {
    let currency: Currency = row.try_get::<String, _>("currency")?.parse().map_err(decode)?;
    Ok(Money { minor: row.try_get("total_minor")?, currency })
}

fn entry(row: &AnyRow, version: &str) -> Result<Entry> {
    let name: String = row.try_get("fact")?;
    let fact = Fact::named(&name).ok_or_else(|| decode(format!("unknown fact {name:?}")))?;
    Ok(Entry { version: row.try_get(version)?, fact, at: time(row, "recorded_at")? })
}

fn time(row: &AnyRow, column: &str) -> Result<Timestamp> {
    Timestamp::from_microsecond(row.try_get(column)?).map_err(decode)
}

/// A reason as it is stored: the name that it has on the wire.
fn name_of(reason: CancelReason) -> Result<String> {
    let name = serde_json::to_value(reason).map_err(encode)?;
    Ok(name.as_str().unwrap_or_default().to_owned())
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(decode)
}

fn decode(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

fn encode(error: serde_json::Error) -> sqlx::Error {
    sqlx::Error::Encode(Box::new(error))
}
