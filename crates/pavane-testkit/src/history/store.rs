//! All SQL of the recorder.

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

use super::{
    Error,
    record::{Change, Op, Record, Row},
};

/// From now on every commit writes down what it writes to the framework's tables.
pub(super) async fn audit(url: &str) -> Result<(), Error> {
    let mut conn = PgConnection::connect(url).await?;
    // One statement after the other in one transaction, as a script.
    conn.execute(AssertSqlSafe(include_str!("audit.sql"))).await?;
    Ok(conn.close().await?)
}

/// What the commits of a database have written down, in the order in which each row was written.
pub(super) async fn changes(service: &str, url: &str) -> Result<Vec<Record>, Error> {
    let mut conn = PgConnection::connect(url).await?;
    let mut changes = Vec::new();
    {
        let mut rows =
            sqlx::query("select at, tx, ended_before, op, row::text from pavane_history order by id").fetch(&mut conn);
        while let Some(row) = rows.try_next().await? {
            let op: Op = serde_json::from_value(row.try_get::<String, _>(3)?.into()).map_err(Error::Unreadable)?;
            let kept: Row = serde_json::from_str(row.try_get(4)?).map_err(Error::Unreadable)?;
            let (at, tx, ended_before) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let service = service.to_owned();
            changes.push(Record::Changed(Change { service, at, tx, ended_before, op, row: kept }));
        }
    }
    conn.close().await?;
    Ok(changes)
}
