//! The SQL of events in a user's transaction. `PostgreSQL` only.

use pavane_contract::{RawEnvelope, SagaId};

use crate::{
    Arg, Database, Error, Values,
    question::NewQuestion,
    store::{NewRow, int},
};

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

/// Writes events that the commit moves to the outbox, in this order.
pub(super) async fn stage_all<DB: Database>(conn: &mut DB::Connection, events: &[RawEnvelope]) -> Result<(), Error> {
    const STAGE: &str = "insert into pavane_staged (event_id, saga, event, subject, headers, payload) \
                         select event_id, saga, event, subject, headers, payload \
                         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bytea[]) \
                         with ordinality as events (event_id, saga, event, subject, headers, payload, place) order by place";
    let rows = events.iter().map(NewRow::of).collect::<Result<Vec<_>, _>>()?;
    let columns = vec![
        Values::Ids(events.iter().map(|event| event.meta.id.as_uuid()).collect()),
        Values::Ids(events.iter().map(|event| event.meta.cause.saga.as_uuid()).collect()),
        Values::Texts(events.iter().map(|event| event.meta.event.name.clone()).collect()),
        Values::Texts(rows.iter().map(|row| row.subject.clone()).collect()),
        Values::Texts(rows.iter().map(|row| row.headers.clone()).collect()),
        Values::Bytes(rows.iter().map(|row| row.payload.clone()).collect()),
    ];
    DB::execute(conn, STAGE, vec![Arg::Rows(columns)]).await?;
    Ok(())
}

/// Writes a question. Two transactions that ask the same meet at the primary key: the second waits for the first to commit, and
/// writes no row.
pub(super) async fn ask<DB: Database>(conn: &mut DB::Connection, question: &NewQuestion) -> Result<(), Error> {
    const ASK: &str = "insert into pavane_question (saga, entry, event_id, headers, payload, asked_at) \
                       values ($1::uuid, $2, $3::uuid, $4, $5, pavane_now()) on conflict do nothing";
    let NewRow { event_id, headers, payload, .. } = &question.row;
    let (saga, entry, event_id) = (question.saga.to_string(), question.asked.entry.as_str(), event_id.to_string());
    let args = vec![saga.into(), entry.into(), event_id.into(), headers.as_str().into(), payload.to_vec().into()];
    if DB::execute(conn, ASK, args).await? == 1 { Ok(()) } else { Err(question.asked_twice()) }
}

/// Inserts the saga's outcome and its event, and deletes these timers of the saga: all or nothing. `false` when the saga has an
/// outcome.
///
/// One statement, so that an error in between leaves no outcome without its event. Two transactions that decide at once meet at the
/// primary key: the second waits for the first to commit, and loses.
pub(super) async fn decide<DB: Database>(
    conn: &mut DB::Connection,
    event: &RawEnvelope,
    timers: &[String],
) -> Result<bool, Error> {
    const DECIDE: &str = "with won as (insert into pavane_outcome (saga, event, decided_at) values ($2::uuid, $3, pavane_now()) \
                          on conflict (saga) do nothing returning saga), \
                          staged as (delete from pavane_staged as it using won where it.saga = won.saga \
                          and it.event = any ($7::text[]) and it.due_at is not null), \
                          waiting as (delete from pavane_timer as it using won where it.saga = won.saga \
                          and it.event = any ($7::text[])) \
                          insert into pavane_staged (event_id, saga, event, subject, headers, payload) \
                          select $1::uuid, $2::uuid, $3, $4, $5, $6 from won";
    let mut args = values(event)?;
    args.push(Values::Texts(timers.to_vec()).into());
    Ok(DB::execute(conn, DECIDE, args).await? == 1)
}

/// Deletes a saga's timers for an event, and those of this transaction that are still to become timers. `false` when there are none.
pub(super) async fn cancel<DB: Database>(conn: &mut DB::Connection, saga: SagaId, event: &str) -> Result<bool, Error> {
    // In SQL, too: who emits from there does the same.
    const CANCEL: &str = "select pavane_cancel_timers($1::uuid, $2::text[])";
    let args = vec![saga.to_string().into(), Values::Texts(vec![event.to_owned()]).into()];
    let rows = DB::fetch(conn, CANCEL, args).await?;
    Ok(int::<DB>(rows.first().ok_or(sqlx::Error::RowNotFound)?, 0)? > 0)
}

fn values(event: &RawEnvelope) -> Result<Vec<Arg>, Error> {
    let NewRow { event_id, subject, headers, payload } = NewRow::of(event)?;
    let (saga, name) = (event.meta.cause.saga.to_string(), event.meta.event.name.as_str());
    let payload = payload.to_vec();
    Ok(vec![event_id.to_string().into(), saga.into(), name.into(), subject.into(), headers.into(), payload.into()])
}
