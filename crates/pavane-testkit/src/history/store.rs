//! All SQL of the recorder.

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

use super::record::{Audited, Change, Op, Record, Row};

/// From now on every commit writes down what it writes to the framework's tables.
pub(super) async fn audit(url: &str) -> Result<(), sqlx::Error> {
    let mut conn = PgConnection::connect(url).await?;
    // One statement after the other in one transaction, as a script.
    conn.execute(AssertSqlSafe(include_str!("audit.sql"))).await?;
    conn.close().await
}

/// What the commits of a database have written down, in the order in which each row was written.
pub(super) async fn changes(service: &str, url: &str) -> Result<Vec<Record>, sqlx::Error> {
    let mut conn = PgConnection::connect(url).await?;
    let mut changes = Vec::new();
    {
        let mut rows =
            sqlx::query("select at, tx, saw::text, op, row::text from pavane_history order by id").fetch(&mut conn);
        while let Some(row) = rows.try_next().await? {
            let op: Op = serde_json::from_value(row.try_get::<String, _>(3)?.into()).map_err(unreadable)?;
            let kept: Row = serde_json::from_str(row.try_get(4)?).map_err(unreadable)?;
            let (at, tx, saw) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let service = service.to_owned();
            changes.push(Record::Changed(Change { service, at, tx, saw, op, row: kept }));
        }
    }
    // Later than what was read: it is what a timer is compared with.
    let read_at = sqlx::query_scalar("select pavane_now()").fetch_one(&mut conn).await?;
    changes.push(Record::Audited(Audited { service: service.to_owned(), read_at }));
    conn.close().await?;
    Ok(changes)
}

fn unreadable(error: serde_json::Error) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
