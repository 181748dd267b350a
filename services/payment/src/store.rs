//! All SQL of the service, one text for SQLite and PostgreSQL.

use contracts::{Money, OrderId};
use pavane::{
    Timestamp,
    any::{Db, Tx},
};
use sqlx::{AnyConnection, Result, Row as _, any::AnyRow};

use crate::domain::{Account, Status};

/// The books of one currency; amounts in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Books {
    pub(crate) currency: String,
    pub(crate) payments: i64,
    pub(crate) declined: i64,
    pub(crate) captured: i64,
    pub(crate) refunded: i64,
    pub(crate) voided: i64,
    pub(crate) open: i64,
    pub(crate) open_amount: i64,
}

/// One line of a payment's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) status: String,
    pub(crate) recorded_at: Timestamp,
}

/// Opens an order's account after the provider's first answer.
pub(crate) async fn open(tx: &mut Tx, order_id: OrderId, account: &Account) -> Result<()> {
    let sql = "insert into payment (order_id, intent_id, currency, amount, authorized, refusal) \
               values ($1, $2, $3, $4, $5, $6)";
    sqlx::query(sql)
        .bind(order_id.to_string())
        .bind(account.intent_id.clone())
        .bind(account.amount.currency.as_str())
        .bind(account.amount.minor)
        .bind(account.authorized)
        .bind(account.refusal.clone())
        .execute(tx.conn())
        .await?;
    remember(tx, order_id, account.status()).await
}

// Each of the next four writes a column of its own, so a void and a capture that are recorded at the same time don't
// overwrite each other; that only one of them can have happened is the table's check.

/// Records that the amount was charged.
pub(crate) async fn captured(tx: &mut Tx, order_id: OrderId, amount: &Money) -> Result<()> {
    let sql = "update payment set captured = $2 where order_id = $1";
    let updated = sqlx::query(sql).bind(order_id.to_string()).bind(amount.minor).execute(tx.conn()).await?;
    one(updated.rows_affected())?;
    remember(tx, order_id, Status::Captured).await
}

/// Records that the amount could not be charged, in the provider's words.
pub(crate) async fn capture_failed(tx: &mut Tx, order_id: OrderId, reason: &str) -> Result<()> {
    let sql = "update payment set refusal = $2 where order_id = $1";
    let updated = sqlx::query(sql).bind(order_id.to_string()).bind(reason).execute(tx.conn()).await?;
    one(updated.rows_affected())?;
    remember(tx, order_id, Status::CaptureFailed).await
}

/// Records that the amount was set free.
pub(crate) async fn voided(tx: &mut Tx, order_id: OrderId, amount: &Money) -> Result<()> {
    let sql = "update payment set voided = $2 where order_id = $1";
    let updated = sqlx::query(sql).bind(order_id.to_string()).bind(amount.minor).execute(tx.conn()).await?;
    one(updated.rows_affected())?;
    remember(tx, order_id, Status::Voided).await
}

/// Records that the charge was refunded.
pub(crate) async fn refunded(tx: &mut Tx, order_id: OrderId, amount: &Money) -> Result<()> {
    let sql = "update payment set refunded = $2 where order_id = $1";
    let updated = sqlx::query(sql).bind(order_id.to_string()).bind(amount.minor).execute(tx.conn()).await?;
    one(updated.rows_affected())?;
    remember(tx, order_id, Status::Refunded).await
}

async fn remember(tx: &mut Tx, order_id: OrderId, status: Status) -> Result<()> {
    let now = tx.now().as_microsecond();
    let sql = "insert into payment_history (order_id, status, recorded_at) values ($1, $2, $3)";
    sqlx::query(sql).bind(order_id.to_string()).bind(status.name()).bind(now).execute(tx.conn()).await?;
    Ok(())
}

/// A fact about a payment that was never opened is an error, not something to lose silently.
fn one(rows: u64) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}

/// What is known of an order's payment; `None` before the provider's first answer.
pub(crate) async fn account(conn: &mut AnyConnection, order_id: OrderId) -> Result<Option<Account>> {
    let sql = "select intent_id, currency, amount, authorized, captured, voided, refunded, refusal \
               from payment where order_id = $1";
    let row = sqlx::query(sql).bind(order_id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(read_account).transpose()
}

/// As [`account`], with its history, oldest first: one statement, so one moment.
pub(crate) async fn account_with_entries(db: &Db, order_id: OrderId) -> Result<Option<(Account, Vec<Entry>)>> {
    let sql = "select intent_id, currency, amount, authorized, captured, voided, refunded, refusal, status, recorded_at \
               from payment join payment_history on payment_history.order_id = payment.order_id \
               where payment.order_id = $1 order by recorded_at, status";
    let rows = sqlx::query(sql).bind(order_id.to_string()).fetch_all(db.readers()).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let entry = |row: &AnyRow| {
        let recorded_at = Timestamp::from_microsecond(row.try_get("recorded_at")?).map_err(decode)?;
        Ok(Entry { status: row.try_get("status")?, recorded_at })
    };
    let history = rows.iter().map(entry).collect::<Result<_>>()?;
    Ok(Some((read_account(first)?, history)))
}

/// The books by currency, in the order of its code.
pub(crate) async fn books(db: &Db) -> Result<Vec<Books>> {
    // PostgreSQL sums bigint as numeric, which is not a type that both databases share.
    let sql = "select currency, \
                      count(*) as payments, \
                      cast(sum(case when authorized = 0 then 1 else 0 end) as bigint) as declined, \
                      cast(sum(captured) as bigint) as captured, \
                      cast(sum(refunded) as bigint) as refunded, \
                      cast(sum(voided) as bigint) as voided, \
                      cast(sum(case when authorized > captured + voided then 1 else 0 end) as bigint) as open, \
                      cast(sum(authorized - captured - voided) as bigint) as open_amount \
               from payment group by currency order by currency";
    let rows = sqlx::query(sql).fetch_all(db.readers()).await?;
    let books = |row: &AnyRow| {
        Ok(Books {
            currency: row.try_get("currency")?,
            payments: row.try_get("payments")?,
            declined: row.try_get("declined")?,
            captured: row.try_get("captured")?,
            refunded: row.try_get("refunded")?,
            voided: row.try_get("voided")?,
            open: row.try_get("open")?,
            open_amount: row.try_get("open_amount")?,
        })
    };
    rows.iter().map(books).collect()
}

fn read_account(row: &AnyRow) -> Result<Account> {
    let currency: String = row.try_get("currency")?;
    let currency = currency.try_into().map_err(decode)?;
    Ok(Account {
        intent_id: row.try_get("intent_id")?,
        amount: Money { minor: row.try_get("amount")?, currency },
        authorized: row.try_get("authorized")?,
        captured: row.try_get("captured")?,
        voided: row.try_get("voided")?,
        refunded: row.try_get("refunded")?,
        refusal: row.try_get("refusal")?,
    })
}

fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
