//! The SQL of calls' ages, in microseconds. On PostgreSQL by the database's clock, as instances' may differ.

use pavane_contract::EventId;
use pavane_outbox::{Database, Db, Error, Statement};

use crate::store::RowKey;

/// How long ago a running step was first called; `None` when it isn't running any more.
pub(crate) async fn age_of_step<DB: Database>(db: &Db<DB>, step: &str, row: RowKey) -> Result<Option<i64>, Error> {
    const AGE: Statement = Statement {
        postgres: "select pavane_now() - changed_at from pavane_ledger \
                   where saga = $1::uuid and step = $2 and item = $3 and state = 'running'",
        sqlite: "select $4 - changed_at from pavane_ledger \
                 where saga = $1 and step = $2 and item = $3 and state = 'running'",
    };
    let args = db.timed(vec![row.saga.to_string().into(), step.into(), row.item().into()]);
    let rows = DB::fetch(&mut *db.writer().await?, AGE.on(db.dialect()), args).await?;
    Ok(rows.first().map(|row| DB::int(row, 0)).transpose()?.flatten())
}

/// Inserts a call, and returns how long ago it was first inserted. Of two at once, the second finds the first one's time.
pub(super) async fn enter_call<DB: Database>(db: &Db<DB>, reaction: &str, event: EventId) -> Result<i64, Error> {
    const ENTER: Statement = Statement {
        postgres: "insert into pavane_call (reaction, event_id, first_called_at, last_called_at) \
                   values ($1, $2::uuid, pavane_now(), pavane_now()) on conflict (reaction, event_id) \
                   do update set last_called_at = excluded.last_called_at returning last_called_at - first_called_at",
        sqlite: "insert into pavane_call (reaction, event_id, first_called_at, last_called_at) \
                 values ($1, $2, $3, $3) on conflict (reaction, event_id) \
                 do update set last_called_at = excluded.last_called_at returning last_called_at - first_called_at",
    };
    let args = db.timed(vec![reaction.into(), event.to_string().into()]);
    let rows = DB::fetch(&mut *db.writer().await?, ENTER.on(db.dialect()), args).await?;
    let age = rows.first().map(|row| DB::int(row, 0)).transpose()?.flatten();
    Ok(age.ok_or(sqlx::Error::RowNotFound)?)
}
