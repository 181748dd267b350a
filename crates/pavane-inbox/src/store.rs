//! All SQL of the inbox and the step ledger, and the tables of both and of [claims](crate::dedupe).

mod attempts;
mod items;
mod parts;

use std::collections::{HashMap, HashSet};

use pavane_choreography::ledger::State;
use pavane_contract::{EventId, Item, RawEnvelope, SagaId, codec};
use pavane_outbox::{Arg, Database, Db, Dialect, Error, Statement, Tx, Values, migration::Schema};
use serde::Serialize;

pub(crate) use attempts::{Attempts, count_failure, forget_giving_up, give_up, give_up_for_good};
pub(crate) use items::{bar_whole, items, over, undo_item, undo_items, whole};
pub(crate) use parts::{Part, bar_join, complete, gather, gather_again, keep_parts, part_events, parts};

/// The tables of the inbox.
pub const INBOX: Schema = Schema {
    table: "pavane_inbox_migrations",
    scripts: &[
        (
            "inbox",
            Statement {
                postgres: include_str!("../migrations/postgres/0001_inbox.sql"),
                sqlite: include_str!("../migrations/sqlite/0001_inbox.sql"),
            },
        ),
        (
            "claims",
            Statement {
                postgres: include_str!("../migrations/postgres/0002_claims.sql"),
                sqlite: include_str!("../migrations/sqlite/0002_claims.sql"),
            },
        ),
        (
            "partitions",
            Statement {
                postgres: include_str!("../migrations/postgres/0003_partitions.sql"),
                sqlite: include_str!("../migrations/sqlite/0003_partitions.sql"),
            },
        ),
    ],
};

/// Which row of a step: that of a saga, or of one of its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RowKey {
    pub(crate) saga: SagaId,
    /// The item's number. `None` is the row of the step as a whole.
    pub(crate) item: Option<u32>,
}

impl RowKey {
    pub(crate) const fn whole(saga: SagaId) -> Self {
        Self { saga, item: None }
    }

    pub(crate) fn of(saga: SagaId, item: Item) -> Self {
        Self { saga, item: Some(item.number()) }
    }

    /// The item as it is stored.
    pub(crate) fn item(&self) -> String {
        self.item.map(|number| number.to_string()).unwrap_or_default()
    }
}

/// A row of a step, from the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) state: State,
    /// The event that made it run.
    pub(crate) event_id: Option<EventId>,
    /// What it emitted, for its undo.
    pub(crate) kept: Option<RawEnvelope>,
}

/// Marks events as handled by a reaction, and returns those that weren't.
///
/// Two deliveries of one event at once meet at the primary key. The second waits for the first to end; after a commit it finds
/// the event handled, after a rollback it handles it.
pub(crate) async fn claim<DB: Database>(
    tx: &mut Tx<DB>,
    reaction: &str,
    events: &[EventId],
) -> Result<HashSet<EventId>, Error> {
    // Ordered by id, so that two batches with the same events take their locks in the same order.
    const CLAIM: &str = "insert into pavane_inbox (reaction, event_id, handled_at) \
                         select $1, id, (select pavane_now()) from unnest($2::uuid[]) as ids (id) order by id \
                         on conflict do nothing returning event_id::text";
    // On SQLite a row that is returned costs more than one that is written, so the few that are known are read first. SQLite has
    // one writer: nothing comes between the two.
    const KNOWN: &str = "select value from json_each($2) \
                         where exists (select 1 from pavane_inbox where reaction = $1 and event_id = value)";
    const MARK: &str = "insert into pavane_inbox (reaction, event_id, handled_at) \
                        select $1, value, $3 from json_each($2) where true order by value on conflict do nothing";
    let ids = Arg::Set(Values::Ids(events.iter().map(|event| event.as_uuid()).collect()));
    if tx.db().dialect() == Dialect::Postgres {
        let rows = DB::fetch(tx.conn(), CLAIM, vec![reaction.into(), ids]).await?;
        return rows.iter().map(|row| parsed::<DB, _>(row, 0)).collect();
    }
    let known = DB::fetch(tx.conn(), KNOWN, vec![reaction.into(), ids.clone()]).await?;
    let args = tx.db().timed(vec![reaction.into(), ids]);
    DB::execute(tx.conn(), MARK, args).await?;
    let mut fresh: HashSet<EventId> = events.iter().copied().collect();
    for row in &known {
        fresh.remove(&parsed::<DB, _>(row, 0)?);
    }
    Ok(fresh)
}

/// Whether a reaction has handled an event.
pub(crate) async fn is_handled<DB: Database>(db: &Db<DB>, reaction: &str, event: EventId) -> Result<bool, Error> {
    // A subquery, or PostgreSQL would plan the statement each time, to select one partition: that takes ten times as long as the
    // statement. So it selects the partition at execution.
    const HANDLED: Statement = Statement {
        postgres: "select 1::bigint from pavane_inbox where reaction = $1 and event_id = (select $2::uuid)",
        sqlite: "select 1 from pavane_inbox where reaction = $1 and event_id = $2",
    };
    let args = vec![reaction.into(), event.to_string().into()];
    let rows = DB::fetch(&mut *db.reader().await?, HANDLED.on(db.dialect()), args).await?;
    Ok(!rows.is_empty())
}

/// Inserts the step of an event as running, if the event wasn't handled and the step has no row. `false` otherwise.
///
/// One statement and a transaction of its own: the effect's answer is recorded in another.
pub(crate) async fn start_running<DB: Database>(
    db: &Db<DB>,
    step: &str,
    saga: SagaId,
    event: EventId,
) -> Result<bool, Error> {
    const START: Statement = Statement {
        postgres: "insert into pavane_ledger (saga, step, state, event_id, changed_at) \
                   select $1::uuid, $2, 'running', $3::uuid, pavane_now() where not exists \
                   (select from pavane_inbox where reaction = $2 and event_id = $3::uuid) on conflict do nothing",
        sqlite: "insert into pavane_ledger (saga, step, state, event_id, changed_at) \
                 select $1, $2, 'running', $3, $4 where not exists \
                 (select 1 from pavane_inbox where reaction = $2 and event_id = $3) on conflict do nothing",
    };
    let args = db.timed(vec![saga.to_string().into(), step.into(), event.to_string().into()]);
    Ok(DB::execute(&mut *db.writer().await?, START.on(db.dialect()), args).await? == 1)
}

/// Inserts steps that have no row, in `state`, and returns the events of those that were inserted.
///
/// The row exists before the handler runs: an undo that comes meanwhile waits for this transaction, and then sees the result.
pub(crate) async fn start<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    events: &[(RowKey, EventId)],
    state: State,
) -> Result<HashSet<EventId>, Error> {
    const START: Statement = Statement {
        postgres: "insert into pavane_ledger (saga, step, item, state, event_id, changed_at) \
                   select saga, $1, item, $2, event_id, (select pavane_now()) \
                   from unnest($3::uuid[], $4::text[], $5::uuid[]) as events (saga, item, event_id) order by saga, item \
                   on conflict do nothing returning event_id::text",
        sqlite: "insert into pavane_ledger (saga, step, item, state, event_id, changed_at) \
                 select value ->> 0, $1, value ->> 1, $2, value ->> 2, $4 from json_each($3) where true \
                 order by value ->> 0, value ->> 1 on conflict do nothing returning event_id",
    };
    let [sagas, items] = columns(events.iter().map(|(row, _)| row));
    let ids = Values::Ids(events.iter().map(|(_, event)| event.as_uuid()).collect());
    let args = tx.db().timed(vec![step.into(), state.as_str().into(), Arg::Rows(vec![sagas, items, ids])]);
    let sql = START.on(tx.db().dialect());
    let rows = DB::fetch(tx.conn(), sql, args).await?;
    rows.iter().map(|row| parsed::<DB, _>(row, 0)).collect()
}

/// Bars steps that said no, or gave up: there is nothing to undo, and they must not run any more.
pub(crate) async fn bar<DB: Database>(tx: &mut Tx<DB>, step: &str, rows: &[RowKey]) -> Result<(), Error> {
    const BAR: Statement = Statement {
        postgres: "update pavane_ledger set state = 'barred' from unnest($2::uuid[], $3::text[]) as barred (saga, item) \
                   where step = $1 and state = 'done' and pavane_ledger.saga = any ($2::uuid[]) \
                   and pavane_ledger.saga = barred.saga and pavane_ledger.item = barred.item",
        sqlite: "update pavane_ledger set state = 'barred' \
                 from (select value ->> 0 as saga, value ->> 1 as item from json_each($2)) as barred \
                 where step = $1 and state = 'done' and pavane_ledger.saga = barred.saga and pavane_ledger.item = barred.item",
    };
    let sql = BAR.on(tx.db().dialect());
    DB::execute(tx.conn(), sql, vec![step.into(), Arg::Rows(columns(rows.iter()).into())]).await?;
    Ok(())
}

/// Deletes a step whose effect is known not to have happened: its undo then bars it, and a redrive may run it.
pub(crate) async fn forget_running<DB: Database>(tx: &mut Tx<DB>, step: &str, row: RowKey) -> Result<(), Error> {
    const FORGET: Statement = Statement {
        postgres: "delete from pavane_ledger where saga = $1::uuid and step = $2 and item = $3 and state = 'running'",
        sqlite: "delete from pavane_ledger where saga = $1 and step = $2 and item = $3 and state = 'running'",
    };
    let sql = FORGET.on(tx.db().dialect());
    DB::execute(tx.conn(), sql, vec![row.saga.to_string().into(), step.into(), row.item().into()]).await?;
    Ok(())
}

/// Marks a running step as done, and keeps what it emitted for its undo. `false` when it wasn't running any more.
pub(crate) async fn finish<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    row: RowKey,
    (state, kept): (State, Option<RawEnvelope>),
) -> Result<bool, Error> {
    const FINISH: Statement = Statement {
        postgres: "update pavane_ledger set state = $4, kept = nullif($5, ''), changed_at = pavane_now() \
                   where saga = $1::uuid and step = $2 and item = $3 and state = 'running'",
        sqlite: "update pavane_ledger set state = $4, kept = nullif($5, x''), changed_at = $6 \
                 where saga = $1 and step = $2 and item = $3 and state = 'running'",
    };
    let kept = kept.map(|event| codec::to_json(&event)).transpose()?.unwrap_or_default().into_bytes();
    let (saga, item) = (row.saga.to_string(), row.item());
    let args = tx.db().timed(vec![saga.into(), step.into(), item.into(), state.as_str().into(), kept.into()]);
    let sql = FINISH.on(tx.db().dialect());
    Ok(DB::execute(tx.conn(), sql, args).await? == 1)
}

/// Keeps what steps emitted, for their undo.
pub(crate) async fn keep<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    kept: &[(RowKey, RawEnvelope)],
) -> Result<(), Error> {
    // The sagas are named twice on PostgreSQL: without statistics, the planner would read the whole table instead.
    const KEEP: Statement = Statement {
        postgres: "update pavane_ledger set kept = kept_rows.event \
                   from unnest($2::uuid[], $3::text[], $4::bytea[]) as kept_rows (saga, item, event) \
                   where step = $1 and pavane_ledger.saga = any ($2::uuid[]) \
                   and pavane_ledger.saga = kept_rows.saga and pavane_ledger.item = kept_rows.item",
        sqlite: "update pavane_ledger set kept = kept_rows.event \
                 from (select value ->> 0 as saga, value ->> 1 as item, unhex(value ->> 2) as event from json_each($2)) as kept_rows \
                 where step = $1 and pavane_ledger.saga = kept_rows.saga and pavane_ledger.item = kept_rows.item",
    };
    let [sagas, items] = columns(kept.iter().map(|(row, _)| row));
    let events =
        kept.iter().map(|(_, event)| Ok(codec::to_json(event)?.into())).collect::<Result<_, codec::Error>>()?;
    let sql = KEEP.on(tx.db().dialect());
    DB::execute(tx.conn(), sql, vec![step.into(), Arg::Rows(vec![sagas, items, Values::Bytes(events)])]).await?;
    Ok(())
}

/// Undoes done steps and bars those without a row and joins that lack events, as one set. Returns those that this changed; the others
/// were running, undone or barred.
///
/// An undo that comes while its step's transaction is open waits for it at the primary key, and then undoes or bars.
pub(crate) async fn undo<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    sagas: &[SagaId],
) -> Result<HashMap<SagaId, Step>, Error> {
    const UNDO: Statement = Statement {
        postgres: "insert into pavane_ledger (saga, step, state, changed_at) \
                   select distinct id, $1, 'barred', (select pavane_now()) from unnest($2::uuid[]) as ids (id) order by id \
                   on conflict (saga, step, item) do update set changed_at = excluded.changed_at, \
                   state = case pavane_ledger.state when 'done' then 'undone' else 'barred' end \
                   where pavane_ledger.state in ('done', 'gathering') returning saga::text, state, event_id::text, kept",
        sqlite: "insert into pavane_ledger (saga, step, state, changed_at) \
                 select distinct value, $1, 'barred', $3 from json_each($2) where true order by value \
                 on conflict (saga, step, item) do update set changed_at = excluded.changed_at, \
                 state = case pavane_ledger.state when 'done' then 'undone' else 'barred' end \
                 where pavane_ledger.state in ('done', 'gathering') returning saga, state, event_id, kept",
    };
    let args = tx.db().timed(vec![step.into(), set(sagas)]);
    let sql = UNDO.on(tx.db().dialect());
    let rows = DB::fetch(tx.conn(), sql, args).await?;
    rows.iter().map(step_row::<DB>).collect()
}

/// Some of the ledger's rows of a step.
pub(crate) async fn look<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    rows: &[RowKey],
) -> Result<HashMap<RowKey, Step>, Error> {
    const LOOK: Statement = Statement {
        postgres: "select saga::text, state, event_id::text, kept, item from pavane_ledger \
                   where step = $1 and saga = any ($2::uuid[]) and (saga, item) in (select * from unnest($2::uuid[], $3::text[]))",
        sqlite: "select saga, state, event_id, kept, item from pavane_ledger where step = $1 \
                 and (saga, item) in (select value ->> 0, value ->> 1 from json_each($2))",
    };
    let sql = LOOK.on(tx.db().dialect());
    let rows = DB::fetch(tx.conn(), sql, vec![step.into(), Arg::Rows(columns(rows.iter()).into())]).await?;
    rows.iter().map(item_row::<DB>).collect()
}

/// The sagas and the items of rows.
fn columns<'r>(rows: impl Iterator<Item = &'r RowKey> + Clone) -> [Values; 2] {
    let sagas = rows.clone().map(|row| row.saga.as_uuid()).collect();
    [Values::Ids(sagas), Values::Texts(rows.map(RowKey::item).collect())]
}

fn set(sagas: &[SagaId]) -> Arg {
    Arg::Set(Values::Ids(sagas.iter().map(|saga| saga.as_uuid()).collect()))
}

fn step_row<DB: Database>(row: &DB::Row) -> Result<(SagaId, Step), Error> {
    let state = text::<DB>(row, 1)?;
    let state = State::parse(&state).ok_or_else(|| decode(format!("unknown ledger state {state:?}")))?;
    let event_id = DB::text(row, 2)?.map(|id| id.parse().map_err(decode)).transpose()?;
    let kept = DB::bytes(row, 3)?.map(|kept| codec::from_json(&kept)).transpose()?;
    Ok((parsed::<DB, _>(row, 0)?, Step { state, event_id, kept }))
}

/// A row with its item.
fn item_row<DB: Database>(row: &DB::Row) -> Result<(RowKey, Step), Error> {
    let (saga, step) = step_row::<DB>(row)?;
    let item = text::<DB>(row, 4)?;
    let item = if item.is_empty() { None } else { Some(item.parse().map_err(decode)?) };
    Ok((RowKey { saga, item }, step))
}

pub(crate) fn text<DB: Database>(row: &DB::Row, index: usize) -> Result<String, Error> {
    Ok(DB::text(row, index)?.ok_or(sqlx::Error::RowNotFound)?)
}

pub(crate) fn int<DB: Database>(row: &DB::Row, index: usize) -> Result<i64, Error> {
    Ok(DB::int(row, index)?.ok_or(sqlx::Error::RowNotFound)?)
}

fn parsed<DB: Database, T>(row: &DB::Row, index: usize) -> Result<T, Error>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text::<DB>(row, index)?.parse().map_err(decode)
}

pub(crate) fn decode(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Database(sqlx::Error::Decode(error.into()))
}

pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Encode(error.into()))
}

#[cfg(test)]
mod tests;
