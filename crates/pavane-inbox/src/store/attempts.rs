//! The SQL of failed attempts and of giving up.

use pavane_contract::EventId;
use pavane_outbox::{Database, Error, Statement, Tx};

use super::int;

/// A reaction's failures on an event. Times are microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempts {
    pub(crate) count: u32,
    pub(crate) first_failed_at: i64,
    pub(crate) last_failed_at: i64,
}

/// Counts one more failure of a reaction on an event.
pub(crate) async fn count_failure<DB: Database>(
    tx: &mut Tx<DB>,
    reaction: &str,
    event: EventId,
) -> Result<Attempts, Error> {
    const COUNT: Statement = Statement {
        postgres: "insert into pavane_attempt (reaction, event_id, attempts, first_failed_at, last_failed_at) \
                   select $1, $2::uuid, 1, now, now from pavane_now() as now on conflict (reaction, event_id) \
                   do update set attempts = pavane_attempt.attempts + 1, last_failed_at = excluded.last_failed_at \
                   returning attempts, first_failed_at, last_failed_at",
        sqlite: "insert into pavane_attempt (reaction, event_id, attempts, first_failed_at, last_failed_at) \
                 values ($1, $2, 1, $3, $3) on conflict (reaction, event_id) \
                 do update set attempts = pavane_attempt.attempts + 1, last_failed_at = excluded.last_failed_at \
                 returning attempts, first_failed_at, last_failed_at",
    };
    let args = tx.db().timed(vec![reaction.into(), event.to_string().into()]);
    let sql = COUNT.on(tx.db().dialect());
    let rows = DB::fetch(tx.conn(), sql, args).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok(Attempts {
        count: u32::try_from(int::<DB>(row, 0)?).unwrap_or(u32::MAX),
        first_failed_at: int::<DB>(row, 1)?,
        last_failed_at: int::<DB>(row, 2)?,
    })
}

/// Marks an event as given up on, so that the reaction doesn't handle it again. `message` is the delivery that failed; `None`
/// makes it final, also for redrives. `false` when another delivery of the event was handled, or given up on, meanwhile.
pub(crate) async fn give_up<DB: Database>(
    tx: &mut Tx<DB>,
    reaction: &str,
    event: EventId,
    message: Option<&str>,
) -> Result<bool, Error> {
    const GIVE_UP: Statement = Statement {
        postgres: "insert into pavane_inbox (reaction, event_id, handled_at, given_up) \
                   values ($1, $2::uuid, pavane_now(), nullif($3, '')) on conflict do nothing",
        sqlite: "insert into pavane_inbox (reaction, event_id, handled_at, given_up) \
                 values ($1, $2, $4, nullif($3, '')) on conflict do nothing",
    };
    let message = message.unwrap_or_default();
    let args = tx.db().timed(vec![reaction.into(), event.to_string().into(), message.into()]);
    let sql = GIVE_UP.on(tx.db().dialect());
    Ok(DB::execute(tx.conn(), sql, args).await? == 1)
}

/// Says that not even a redrive of an event that was given up on may run the reaction: the saga goes on without it.
pub(crate) async fn give_up_for_good<DB: Database>(
    tx: &mut Tx<DB>,
    reaction: &str,
    event: EventId,
) -> Result<(), Error> {
    const FOR_GOOD: Statement = Statement {
        postgres: "update pavane_inbox set given_up = null where reaction = $1 and event_id = $2::uuid",
        sqlite: "update pavane_inbox set given_up = null where reaction = $1 and event_id = $2",
    };
    let sql = FOR_GOOD.on(tx.db().dialect());
    DB::execute(tx.conn(), sql, vec![reaction.into(), event.to_string().into()]).await?;
    Ok(())
}

/// Deletes that a reaction gave up on an event, and its attempts: a redrive starts again. Changes nothing when the reaction gave
/// up on `message`, the redrive, itself.
pub(crate) async fn forget_giving_up<DB: Database>(
    tx: &mut Tx<DB>,
    reaction: &str,
    event: EventId,
    message: &str,
) -> Result<(), Error> {
    const UNMARK: Statement = Statement {
        postgres: "delete from pavane_inbox where reaction = $1 and event_id = $2::uuid and given_up <> $3",
        sqlite: "delete from pavane_inbox where reaction = $1 and event_id = $2 and given_up <> $3",
    };
    const FORGET: Statement = Statement {
        postgres: "delete from pavane_attempt where reaction = $1 and event_id = $2::uuid",
        sqlite: "delete from pavane_attempt where reaction = $1 and event_id = $2",
    };
    let dialect = tx.db().dialect();
    let event = event.to_string();
    let marked = vec![reaction.into(), event.as_str().into(), message.into()];
    if DB::execute(tx.conn(), UNMARK.on(dialect), marked).await? > 0 {
        DB::execute(tx.conn(), FORGET.on(dialect), vec![reaction.into(), event.into()]).await?;
    }
    Ok(())
}
