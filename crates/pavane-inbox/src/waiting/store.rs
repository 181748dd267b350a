//! The SQL of undos that wait for their step, or for another undo.

use std::time::Duration;

use pavane_bus::{Delivery, Message};
use pavane_contract::{EventId, RawEnvelope};
use pavane_outbox::{Database, Db, Error, Statement, Tx};

use crate::store::{decode, int, json, text};

/// Whether what an undo waits for is over: that its step runs, or that another step is neither undone nor barred. Of a step that has items,
/// that any of them is.
macro_rules! may_go {
    () => {
        "case when after_undo = 0 then not exists \
         (select 1 from pavane_ledger ledger where ledger.saga = waiting.saga and ledger.step = waiting.step \
         and ledger.state = 'running') else exists \
         (select 1 from pavane_ledger ledger where ledger.saga = waiting.saga and ledger.step = waiting.step) and not exists \
         (select 1 from pavane_ledger ledger where ledger.saga = waiting.saga and ledger.step = waiting.step \
         and ledger.state not in ('undone', 'barred')) end"
    };
}

/// A waiting undo, as it was delivered.
pub(crate) struct Row {
    pub(crate) event: String,
    pub(crate) message: Message,
    pub(crate) sequence: u64,
    /// How often it was taken, this time included.
    pub(crate) taken: u64,
}

/// Inserts an undo that waits until a step has ended, or is undone or barred. If it is there already, nothing changes.
pub(crate) async fn keep<DB: Database>(
    tx: &mut Tx<DB>,
    reaction: &str,
    (step, after_undo): (&str, bool),
    (event, delivery): (&RawEnvelope, &Delivery),
) -> Result<(), Error> {
    const KEEP: Statement = Statement {
        postgres: "insert into pavane_waiting (reaction, event_id, saga, step, subject, headers, body, sequence, since, next_at, \
                   after_undo) select $1, $2::uuid, $3::uuid, $4, $5, $6, $7, $8, now, now, $9 from pavane_now() now \
                   on conflict (reaction, event_id) do nothing",
        sqlite: "insert into pavane_waiting (reaction, event_id, saga, step, subject, headers, body, sequence, since, next_at, \
                 after_undo) values ($1, $2, $3, $4, $5, $6, $7, $8, $10, $10, $9) on conflict (reaction, event_id) do nothing",
    };
    let message = &delivery.message;
    let args = vec![
        reaction.into(),
        event.meta.id.to_string().into(),
        event.meta.cause.saga.to_string().into(),
        step.into(),
        message.subject.as_str().into(),
        json(&message.headers)?.into(),
        message.payload.to_vec().into(),
        i64::try_from(delivery.sequence).unwrap_or(i64::MAX).into(),
        i64::from(after_undo).into(),
    ];
    let (sql, args) = (KEEP.on(tx.db().dialect()), tx.db().timed(args));
    DB::execute(tx.conn(), sql, args).await?;
    Ok(())
}

/// Takes undos that are due and have nothing to wait for any more, the oldest first. If they are not settled, they are due again after
/// `wait`. Of two instances that look at once, one skips what the other locks, and finds it not due afterwards.
pub(crate) async fn take<DB: Database>(
    db: &Db<DB>,
    reaction: &str,
    wait: Duration,
    limit: usize,
) -> Result<Vec<Row>, Error> {
    const TAKE: Statement = Statement {
        postgres: concat!(
            "update pavane_waiting set next_at = (select pavane_now()) + $2, taken = taken + 1 where reaction = $1 and event_id in (\
             select event_id from pavane_waiting waiting where reaction = $1 and next_at <= (select pavane_now()) and ",
            may_go!(),
            " order by since limit $3 for update skip locked) \
             returning event_id::text, subject, headers, body, sequence, taken, since"
        ),
        sqlite: concat!(
            "update pavane_waiting set next_at = $4 + $2, taken = taken + 1 where reaction = $1 and event_id in (\
             select event_id from pavane_waiting waiting where reaction = $1 and next_at <= $4 and ",
            may_go!(),
            " order by since limit $3) returning event_id, subject, headers, body, sequence, taken, since"
        ),
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let args = db.timed(vec![reaction.into(), micros(wait).into(), limit.into()]);
    let rows = DB::fetch(&mut *db.writer().await?, TAKE.on(db.dialect()), args).await?;
    let mut taken = Vec::with_capacity(rows.len());
    for row in &rows {
        let headers = serde_json::from_str(&text::<DB>(row, 2)?).map_err(decode)?;
        let payload = DB::bytes(row, 3)?.unwrap_or_default().into();
        let message = Message { subject: text::<DB>(row, 1)?, headers, payload };
        let (event, sequence) = (text::<DB>(row, 0)?, int::<DB>(row, 4)?.unsigned_abs());
        taken.push((int::<DB>(row, 6)?, Row { event, message, sequence, taken: int::<DB>(row, 5)?.unsigned_abs() }));
    }
    // `update … returning` has no order.
    taken.sort_by_key(|(since, _)| *since);
    Ok(taken.into_iter().map(|(_, row)| row).collect())
}

/// In how many microseconds the next of a reaction's undos is due that has nothing to wait for any more.
pub(crate) async fn next_due<DB: Database>(db: &Db<DB>, reaction: &str) -> Result<Option<i64>, Error> {
    const NEXT: Statement = Statement {
        postgres: concat!(
            "select min(next_at) - (select pavane_now()) from pavane_waiting waiting where reaction = $1 and ",
            may_go!()
        ),
        sqlite: concat!("select min(next_at) - $2 from pavane_waiting waiting where reaction = $1 and ", may_go!()),
    };
    let sql = NEXT.on(db.dialect());
    let rows = DB::fetch(&mut *db.reader().await?, sql, db.timed(vec![reaction.into()])).await?;
    Ok(rows.first().map(|row| DB::int(row, 0)).transpose()?.flatten())
}

/// How many undos wait, and for how many microseconds the oldest.
pub(crate) async fn count<DB: Database>(db: &Db<DB>) -> Result<(i64, Option<i64>), Error> {
    const COUNT: Statement = Statement {
        postgres: "select count(*), (select pavane_now()) - min(since) from pavane_waiting",
        sqlite: "select count(*), $1 - min(since) from pavane_waiting",
    };
    let sql = COUNT.on(db.dialect());
    let rows = DB::fetch(&mut *db.reader().await?, sql, db.timed(Vec::new())).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok((int::<DB>(row, 0)?, DB::int(row, 1)?))
}

/// Deletes an undo that was handled, or given up on.
pub(crate) async fn end<DB: Database>(db: &Db<DB>, reaction: &str, event: &str) -> Result<(), Error> {
    const END: Statement = Statement {
        postgres: "delete from pavane_waiting where reaction = $1 and event_id = $2::uuid",
        sqlite: "delete from pavane_waiting where reaction = $1 and event_id = $2",
    };
    let mut conn = db.writer().await?;
    DB::execute(&mut conn, END.on(db.dialect()), vec![reaction.into(), event.into()]).await?;
    Ok(())
}

/// Says what a waiting undo waits for now.
pub(crate) async fn wait_for<DB: Database>(
    db: &Db<DB>,
    reaction: &str,
    event: EventId,
    (step, after_undo): (&str, bool),
) -> Result<(), Error> {
    const FOR: Statement = Statement {
        postgres: "update pavane_waiting set step = $3, after_undo = $4 where reaction = $1 and event_id = $2::uuid",
        sqlite: "update pavane_waiting set step = $3, after_undo = $4 where reaction = $1 and event_id = $2",
    };
    let args = vec![reaction.into(), event.to_string().into(), step.into(), i64::from(after_undo).into()];
    DB::execute(&mut *db.writer().await?, FOR.on(db.dialect()), args).await?;
    Ok(())
}

/// Makes an undo due after a delay.
pub(crate) async fn due_after<DB: Database>(
    db: &Db<DB>,
    reaction: &str,
    event: &str,
    delay: Duration,
) -> Result<(), Error> {
    const DUE: Statement = Statement {
        postgres: "update pavane_waiting set next_at = (select pavane_now()) + $3 where reaction = $1 and event_id = $2::uuid",
        sqlite: "update pavane_waiting set next_at = $4 + $3 where reaction = $1 and event_id = $2",
    };
    let args = db.timed(vec![reaction.into(), event.into(), micros(delay).into()]);
    DB::execute(&mut *db.writer().await?, DUE.on(db.dialect()), args).await?;
    Ok(())
}

/// At most some 70,000 years, so that it can be added to a time.
fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

#[cfg(test)]
mod tests;
