//! All SQL of the service, one text for SQLite and PostgreSQL.

use contracts::OrderId;
use pavane::{
    Timestamp,
    any::{Db, Tx},
};
use sqlx::{Result, Row as _, any::AnyRow};

use crate::domain::Letter;

/// A mail that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) kind: String,
    pub(crate) to: String,
    pub(crate) sent_at: Timestamp,
}

/// Remembers that a letter was sent.
pub(crate) async fn sent(tx: &mut Tx, message_id: &str, letter: &Letter) -> Result<()> {
    let now = tx.now().as_microsecond();
    let sql = "insert into sent_mail (message_id, order_id, kind, recipient, sent_at) values ($1, $2, $3, $4, $5)";
    sqlx::query(sql)
        .bind(message_id)
        .bind(letter.order_id.to_string())
        .bind(letter.kind.name())
        .bind(letter.to.as_str())
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// What was sent about an order, oldest first.
pub(crate) async fn mails(db: &Db, order_id: OrderId) -> Result<Vec<Mail>> {
    let sql = "select kind, recipient, sent_at from sent_mail where order_id = $1 order by sent_at, message_id";
    let rows = sqlx::query(sql).bind(order_id.to_string()).fetch_all(db.readers()).await?;
    let mail = |row: &AnyRow| {
        let sent_at = Timestamp::from_microsecond(row.try_get("sent_at")?);
        let sent_at = sent_at.map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok(Mail { kind: row.try_get("kind")?, to: row.try_get("recipient")?, sent_at })
    };
    rows.iter().map(mail).collect()
}
