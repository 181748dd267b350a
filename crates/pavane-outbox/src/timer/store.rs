//! The SQL of timers.

use pavane_contract::SagaId;

use super::NewTimer;
use crate::{
    Arg, Database, Db, Error, Statement, Values,
    store::{NewRow, bytes, int, leave, text},
};

/// Writes events whose time has not come, as [`leave`] does.
pub(crate) async fn schedule<DB: Database>(
    db: &Db<DB>,
    conn: &mut DB::Connection,
    timers: &[NewTimer],
) -> Result<(), Error> {
    const SCHEDULE: Statement = Statement {
        postgres: "insert into pavane_timer (event_id, subject, headers, payload, saga, event, due_at) \
                   select event_id, subject, headers, payload, saga, event, (select pavane_now()) + due_in \
                   from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::uuid[], $6::text[], $7::bigint[]) \
                   as rows (event_id, subject, headers, payload, saga, event, due_in) \
                   where current_setting('pavane.tx', true) = 'open'",
        sqlite: "insert into pavane_timer (event_id, subject, headers, payload, saga, event, due_at) \
                 select value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3), value ->> 4, value ->> 5, \
                 $2 + (value ->> 6) from json_each($1) where exists (select 1 from temp.pavane_tx)",
    };
    let args = db.timed(vec![Arg::Rows(NewTimer::columns(timers))]);
    let written = DB::execute(conn, SCHEDULE.on(db.dialect()), args).await?;
    if written == timers.len() as u64 { Ok(()) } else { Err(Error::Ended) }
}

/// Moves timers whose time has come to the outbox, in the caller's transaction. Returns how many.
///
/// The relay that deletes a timer writes its event. A timer that another transaction is about to delete, to move or to cancel it, is
/// left for the next look: a handler that cancels one and then takes its time must not keep all that is published waiting.
pub(crate) async fn fire<DB: Database>(db: &Db<DB>, conn: &mut DB::Connection, limit: i64) -> Result<usize, Error> {
    const FIRE: Statement = Statement {
        postgres: "delete from pavane_timer where event_id = any (array(select event_id from pavane_timer \
                   where due_at <= (select pavane_now()) order by due_at limit $1 for update skip locked)) \
                   returning due_at, event_id::text, subject, headers, payload",
        sqlite: "delete from pavane_timer where event_id in \
                 (select event_id from pavane_timer where due_at <= $2 order by due_at limit $1) \
                 returning due_at, event_id, subject, headers, payload",
    };
    let rows = DB::fetch(conn, FIRE.on(db.dialect()), db.timed(vec![limit.into()])).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let mut due = Vec::with_capacity(rows.len());
    for row in &rows {
        let event_id = text::<DB>(row, 1)?;
        let event_id = event_id.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let new = NewRow {
            event_id,
            subject: text::<DB>(row, 2)?,
            headers: text::<DB>(row, 3)?,
            payload: bytes::<DB>(row, 4)?.into(),
        };
        due.push((int::<DB>(row, 0)?, new));
    }
    // A deletion returns its rows in no order.
    due.sort_by_key(|(due_at, row)| (*due_at, row.event_id));
    let due: Vec<_> = due.into_iter().map(|(_, row)| row).collect();
    leave(db, conn, &due).await?;
    Ok(due.len())
}

/// In how many microseconds the next timer is due.
pub(crate) async fn next_due<DB: Database>(db: &Db<DB>) -> Result<Option<i64>, Error> {
    const NEXT: Statement = Statement {
        postgres: "select min(due_at) - (select pavane_now()) from pavane_timer",
        sqlite: "select min(due_at) - $1 from pavane_timer",
    };
    let rows = DB::fetch(&mut *db.writer().await?, NEXT.on(db.dialect()), db.timed(Vec::new())).await?;
    Ok(rows.first().map(|row| DB::int(row, 0)).transpose()?.flatten())
}

/// Deletes a saga's timers for some events, if the transaction is the one that [`begin`](crate::store::begin) began: outside it they would be gone
/// whatever becomes of the rest. Returns how many.
///
/// A relay that moves one of them to the outbox at the same time is waited for: if it commits, there is nothing to delete.
pub(crate) async fn cancel<DB: Database>(
    db: &Db<DB>,
    conn: &mut DB::Connection,
    saga: SagaId,
    events: &[impl ToString],
) -> Result<u64, Error> {
    const CANCEL: Statement = Statement {
        postgres: "delete from pavane_timer where saga = $1::uuid and event = any ($2::text[]) \
                   and current_setting('pavane.tx', true) = 'open'",
        sqlite: "delete from pavane_timer where saga = $1 and event in (select value from json_each($2)) \
                 and exists (select 1 from temp.pavane_tx)",
    };
    let events = Values::Texts(events.iter().map(ToString::to_string).collect());
    Ok(DB::execute(conn, CANCEL.on(db.dialect()), vec![saga.to_string().into(), events.into()]).await?)
}
