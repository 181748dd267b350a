//! The SQL of questions.

use std::{collections::HashSet, time::Duration};

use pavane_contract::{EventId, RawEnvelope, SagaId, Timestamp, codec};

use super::{NewQuestion, OpenQuestion};
use crate::{
    Arg, Database, Db, Error, Statement,
    db::micros,
    emissions::Asked,
    store::{bytes, int, text},
};

/// A question as it is kept.
#[derive(Debug)]
pub(super) struct Kept {
    /// The event that asked.
    pub(super) event: RawEnvelope,
    pub(super) asked_at: i64,
    /// Who answered, and when.
    pub(super) answered: Option<(String, Timestamp)>,
    /// The name of the event that answered.
    pub(super) answer: Option<String>,
}

/// Writes questions, if the transaction is the one that [`begin`](crate::store::begin) began. Returns the ids of those that the saga had
/// not asked before, and that expire if they are to.
///
/// Two transactions that ask the same meet at the primary key: the second waits for the first to commit, and writes no row.
pub(super) async fn ask<DB: Database>(
    db: &Db<DB>,
    conn: &mut DB::Connection,
    questions: &[NewQuestion],
) -> Result<HashSet<EventId>, Error> {
    const ASK: Statement = Statement {
        postgres: "insert into pavane_question (saga, entry, event_id, headers, payload, asked_at) \
                   select saga, entry, event_id, headers, payload, (select pavane_now()) \
                   from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::uuid[], $6::text[], $7::text[]) \
                   as new (event_id, subject, headers, payload, saga, entry, expiry) \
                   where current_setting('pavane.tx', true) = 'open' and (expiry = '' or exists \
                   (select from pavane_timer as it where it.saga = new.saga and it.event = new.expiry)) \
                   on conflict do nothing returning event_id::text",
        sqlite: "insert into pavane_question (saga, entry, event_id, headers, payload, asked_at) \
                 select value ->> 4, value ->> 5, value ->> 0, value ->> 2, unhex(value ->> 3), $2 from json_each($1) \
                 where exists (select 1 from temp.pavane_tx) and (value ->> 6 = '' or exists \
                 (select 1 from pavane_timer as it where it.saga = value ->> 4 and it.event = value ->> 6)) \
                 on conflict do nothing returning event_id",
    };
    let args = db.timed(vec![Arg::Rows(NewQuestion::columns(questions))]);
    let rows = DB::fetch(conn, ASK.on(db.dialect()), args).await?;
    let id = |row| text::<DB>(row, 0)?.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)).into());
    rows.iter().map(id).collect()
}

/// Finds a question and locks it until the transaction ends: of two answers at once, the second waits and finds the first one's.
pub(super) async fn lock<DB: Database>(
    db: &Db<DB>,
    conn: &mut DB::Connection,
    saga: SagaId,
    entry: &str,
) -> Result<Option<Kept>, Error> {
    // SQLite has one writer, whose transaction this is.
    const LOCK: Statement = Statement {
        postgres: "select headers, payload, asked_at, answered_by, answered_at, answer from pavane_question \
                   where saga = $1::uuid and entry = $2 for update",
        sqlite: "select headers, payload, asked_at, answered_by, answered_at, answer from pavane_question \
                 where saga = $1 and entry = $2",
    };
    let rows = DB::fetch(conn, LOCK.on(db.dialect()), vec![saga.to_string().into(), entry.into()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let answered = DB::text(row, 3)?.zip(DB::int(row, 4)?);
    let answered = answered.map(|(by, at)| Ok::<_, Error>((by, time(at)?))).transpose()?;
    Ok(Some(Kept { event: event::<DB>(row)?, asked_at: int::<DB>(row, 2)?, answered, answer: DB::text(row, 5)? }))
}

/// Keeps who answers a question. It is [locked](lock).
pub(super) async fn answer<DB: Database>(
    db: &Db<DB>,
    conn: &mut DB::Connection,
    (saga, entry): (SagaId, &str),
    by: &str,
) -> Result<(), Error> {
    const ANSWER: Statement = Statement {
        postgres: "update pavane_question set answered_by = $3, answered_at = pavane_now() \
                   where saga = $1::uuid and entry = $2",
        sqlite: "update pavane_question set answered_by = $3, answered_at = $4 where saga = $1 and entry = $2",
    };
    let args = db.timed(vec![saga.to_string().into(), entry.into(), by.into()]);
    DB::execute(conn, ANSWER.on(db.dialect()), args).await?;
    Ok(())
}

/// Keeps which event answers a question: the first one that is emitted.
pub(crate) async fn answer_with<DB: Database>(
    db: &Db<DB>,
    conn: &mut DB::Connection,
    answer: &RawEnvelope,
    question: &RawEnvelope,
) -> Result<(), Error> {
    const ANSWER: Statement = Statement {
        postgres: "update pavane_question set answer = coalesce(answer, $3) where saga = $1::uuid and event_id = $2::uuid",
        sqlite: "update pavane_question set answer = coalesce(answer, $3) where saga = $1 and event_id = $2",
    };
    let (saga, asked) = (question.meta.cause.saga.to_string(), question.meta.id.to_string());
    let args = vec![saga.into(), asked.into(), answer.meta.event.name.as_str().into()];
    DB::execute(conn, ANSWER.on(db.dialect()), args).await?;
    Ok(())
}

/// Deletes a saga's timer for an event. `false` when there is none.
///
/// A relay that moves it to the outbox at the same time is waited for: if it commits, there is nothing to delete.
pub(super) async fn cancel<DB: Database>(
    db: &Db<DB>,
    conn: &mut DB::Connection,
    saga: SagaId,
    event: &str,
) -> Result<bool, Error> {
    const CANCEL: Statement = Statement {
        postgres: "delete from pavane_timer where saga = $1::uuid and event = $2",
        sqlite: "delete from pavane_timer where saga = $1 and event = $2",
    };
    Ok(DB::execute(conn, CANCEL.on(db.dialect()), vec![saga.to_string().into(), event.into()]).await? > 0)
}

/// The outcome that a saga has got since a moment.
pub(super) async fn outcome<DB: Database>(
    db: &Db<DB>,
    conn: &mut DB::Connection,
    saga: SagaId,
    since: i64,
) -> Result<Option<String>, Error> {
    const OUTCOME: Statement = Statement {
        postgres: "select event from pavane_outcome where saga = $1::uuid and decided_at >= $2",
        sqlite: "select event from pavane_outcome where saga = $1 and decided_at >= $2",
    };
    let rows = DB::fetch(conn, OUTCOME.on(db.dialect()), vec![saga.to_string().into(), since.into()]).await?;
    rows.first().map(|row| text::<DB>(row, 0)).transpose()
}

/// The questions that may be answered at an entry point, the oldest first.
pub(super) async fn open<DB: Database>(db: &Db<DB>, asked: &Asked, limit: u32) -> Result<Vec<OpenQuestion>, Error> {
    const UNTIL_DUE: &str = "select headers, payload, asked_at, due_at from (select headers, payload, asked_at, \
         (select min(due_at) from pavane_timer as it where it.saga = question.saga and it.event = $3) as due_at \
         from pavane_question as question where entry = $1 and answered_at is null) as unanswered \
         where due_at is not null order by asked_at limit $2";
    const UNTIL_DECIDED: &str = "select headers, payload, asked_at from pavane_question as question \
                                 where entry = $1 and answered_at is null and not exists (select 1 from pavane_outcome as it \
                                 where it.saga = question.saga and it.decided_at >= question.asked_at) order by asked_at limit $2";
    let mut args = vec![asked.entry.as_str().into(), i64::from(limit).into()];
    args.extend(asked.expiry().map(Arg::from));
    let sql = if asked.expiry().is_some() { UNTIL_DUE } else { UNTIL_DECIDED };
    let rows = DB::fetch(&mut *db.reader().await?, sql, args).await?;
    let question = |row: &DB::Row| {
        let event = event::<DB>(row)?;
        let expires_at = if asked.expiry().is_some() { DB::int(row, 3)?.map(time).transpose()? } else { None };
        Ok(OpenQuestion { saga: event.meta.cause.saga, event, asked_at: time(int::<DB>(row, 2)?)?, expires_at })
    };
    rows.iter().map(question).collect()
}

/// Deletes questions that were asked long ago, answered or not, a batch at a time: their sagas are as old, at least, and refused.
pub(crate) async fn prune<DB: Database>(db: &Db<DB>, retention: Duration, limit: i64) -> Result<u64, Error> {
    const PRUNE: Statement = Statement {
        postgres: "delete from pavane_question where (saga, entry) in (select saga, entry from pavane_question \
                   where asked_at < (select pavane_now() - $1) order by asked_at limit $2)",
        sqlite: "delete from pavane_question where (saga, entry) in (select saga, entry from pavane_question \
                 where asked_at < $3 - $1 order by asked_at limit $2)",
    };
    let args = db.timed(vec![micros(retention).into(), limit.into()]);
    Ok(DB::execute(&mut *db.writer().await?, PRUNE.on(db.dialect()), args).await?)
}

/// The event of a row of headers and payload.
fn event<DB: Database>(row: &DB::Row) -> Result<RawEnvelope, Error> {
    let headers = serde_json::from_str(&text::<DB>(row, 0)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let event = codec::decode(&headers, bytes::<DB>(row, 1)?.into(), usize::MAX);
    Ok(event.map_err(|error| sqlx::Error::Decode(Box::new(error)))?)
}

fn time(micros: i64) -> Result<Timestamp, Error> {
    Timestamp::from_microsecond(micros).map_err(|error| sqlx::Error::Decode(Box::new(error)).into())
}
