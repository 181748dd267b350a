//! The SQL of events in a user's transaction. `PostgreSQL` only.

use pavane_contract::RawEnvelope;

use crate::{Arg, Database, Error, store::NewRow};

/// Writes an event that the commit moves to the outbox, or to the timers when it is due later. The delay is in microseconds.
pub(super) async fn stage<DB: Database>(
    conn: &mut DB::Connection,
    event: &RawEnvelope,
    due_in: Option<i64>,
) -> Result<(), Error> {
    const NOW: &str = "insert into pavane_staged (event_id, saga, event, subject, headers, payload) \
                       values ($1::uuid, $2::uuid, $3, $4, $5, $6)";
    const LATER: &str = "insert into pavane_staged (event_id, saga, event, subject, headers, payload, due_at) \
                         values ($1::uuid, $2::uuid, $3, $4, $5, $6, pavane_now() + $7)";
    let mut args = values(event)?;
    args.extend(due_in.map(Arg::from));
    DB::execute(conn, if due_in.is_some() { LATER } else { NOW }, args).await?;
    Ok(())
}

/// Inserts the saga's outcome and its event, both or neither. `false` when the saga has an outcome.
///
/// One statement, so that an error in between leaves no outcome without its event. Two transactions that decide at once meet at
/// the primary key: the second waits for the first to commit, and loses.
pub(super) async fn decide<DB: Database>(conn: &mut DB::Connection, event: &RawEnvelope) -> Result<bool, Error> {
    const DECIDE: &str = "with won as (insert into pavane_outcome (saga, event, decided_at) values ($2::uuid, $3, pavane_now()) \
                          on conflict (saga) do nothing returning 1) \
                          insert into pavane_staged (event_id, saga, event, subject, headers, payload) \
                          select $1::uuid, $2::uuid, $3, $4, $5, $6 from won";
    Ok(DB::execute(conn, DECIDE, values(event)?).await? == 1)
}

fn values(event: &RawEnvelope) -> Result<Vec<Arg>, Error> {
    let NewRow { event_id, subject, headers, payload } = NewRow::of(event)?;
    let (saga, name) = (event.meta.cause.saga.to_string(), event.meta.event.name.as_str());
    let payload = payload.to_vec();
    Ok(vec![event_id.to_string().into(), saga.into(), name.into(), subject.into(), headers.into(), payload.into()])
}
