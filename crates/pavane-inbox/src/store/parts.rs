//! The SQL of joins: which events each has so far.

use std::collections::HashMap;

use pavane_choreography::ledger::State;
use pavane_contract::{EventId, RawEnvelope, SagaId, codec};
use pavane_outbox::{Arg, Database, Error, Statement, Tx, Values};

use super::{Step, parsed, set, step_row};

/// The events that a join has.
pub(crate) type Parts = Vec<RawEnvelope>;

/// Locks the rows of a join for some sagas, and returns them. Where there is none, the join is gathering from now on.
///
/// Two events of one join meet here: the second waits for the first to end, and then finds its part.
pub(crate) async fn gather<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    sagas: &[SagaId],
) -> Result<HashMap<SagaId, Step>, Error> {
    const GATHER: Statement = Statement {
        postgres: "insert into pavane_ledger (saga, step, state, changed_at) \
                   select distinct id, $1, 'gathering', (select pavane_now()) from unnest($2::uuid[]) as ids (id) order by id \
                   on conflict (saga, step, item) do update set changed_at = case pavane_ledger.state \
                   when 'gathering' then excluded.changed_at else pavane_ledger.changed_at end \
                   returning saga::text, state, event_id::text, kept",
        sqlite: "insert into pavane_ledger (saga, step, state, changed_at) \
                 select distinct value, $1, 'gathering', $3 from json_each($2) where true order by value \
                 on conflict (saga, step, item) do update set changed_at = case pavane_ledger.state \
                 when 'gathering' then excluded.changed_at else pavane_ledger.changed_at end \
                 returning saga, state, event_id, kept",
    };
    let args = tx.db().timed(vec![step.into(), set(sagas)]);
    let sql = GATHER.on(tx.db().dialect());
    let rows = DB::fetch(tx.conn(), sql, args).await?;
    rows.iter().map(step_row::<DB>).collect()
}

/// Keeps events as parts of their joins, whose rows are locked. Of which part an event is, the wiring table says each time: one
/// that waits for more alternatives than before finds what it has.
pub(crate) async fn keep_parts<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    events: &[&RawEnvelope],
) -> Result<(), Error> {
    const KEEP: Statement = Statement {
        postgres: "insert into pavane_part (saga, step, part, event_id, event, arrived_at) \
                   select saga, $1, part, event_id, event, (select pavane_now()) \
                   from unnest($2::uuid[], $3::text[], $4::uuid[], $5::bytea[]) as parts (saga, part, event_id, event) \
                   order by saga, part on conflict do nothing",
        sqlite: "insert into pavane_part (saga, step, part, event_id, event, arrived_at) \
                 select value ->> 0, $1, value ->> 1, value ->> 2, unhex(value ->> 3), $3 from json_each($2) where true \
                 on conflict do nothing",
    };
    let sagas = events.iter().map(|event| event.meta.cause.saga.as_uuid()).collect();
    let names = events.iter().map(|event| event.meta.event.name.clone()).collect();
    let ids = events.iter().map(|event| event.meta.id.as_uuid()).collect();
    let bodies = events.iter().map(|event| Ok(codec::to_json(event)?.into())).collect::<Result<_, codec::Error>>()?;
    let rows = Arg::Rows(vec![Values::Ids(sagas), Values::Texts(names), Values::Ids(ids), Values::Bytes(bodies)]);
    let args = tx.db().timed(vec![step.into(), rows]);
    let sql = KEEP.on(tx.db().dialect());
    DB::execute(tx.conn(), sql, args).await?;
    Ok(())
}

/// The events that a join has, by saga.
pub(crate) async fn parts<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    sagas: &[SagaId],
) -> Result<HashMap<SagaId, Parts>, Error> {
    const PARTS: Statement = Statement {
        postgres: "select saga::text, event from pavane_part where step = $1 and saga = any ($2::uuid[])",
        sqlite: "select saga, event from pavane_part where step = $1 and saga in (select value from json_each($2))",
    };
    let sql = PARTS.on(tx.db().dialect());
    let mut parts: HashMap<SagaId, Parts> = HashMap::new();
    for row in &DB::fetch(tx.conn(), sql, vec![step.into(), set(sagas)]).await? {
        let event = codec::from_json(&DB::bytes(row, 1)?.unwrap_or_default())?;
        parts.entry(parsed::<DB, _>(row, 0)?).or_default().push(event);
    }
    Ok(parts)
}

/// Moves joins on of which nothing is missing any more, each with the event that came last.
pub(crate) async fn complete<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    joins: &[(SagaId, EventId)],
    state: State,
) -> Result<(), Error> {
    // The condition names the sagas although the join does: without statistics, the planner would read the whole table instead.
    const COMPLETE: Statement = Statement {
        postgres: "update pavane_ledger set state = $2, event_id = last.event_id, changed_at = pavane_now() \
                   from unnest($3::uuid[], $4::uuid[]) as last (saga, event_id) \
                   where step = $1 and item = '' and pavane_ledger.saga = any ($3::uuid[]) \
                   and pavane_ledger.saga = last.saga",
        sqlite: "update pavane_ledger set state = $2, event_id = last.event_id, changed_at = $4 \
                 from (select value ->> 0 as saga, value ->> 1 as event_id from json_each($3)) as last \
                 where step = $1 and item = '' and pavane_ledger.saga = last.saga",
    };
    let sagas = Values::Ids(joins.iter().map(|(saga, _)| saga.as_uuid()).collect());
    let events = Values::Ids(joins.iter().map(|(_, event)| event.as_uuid()).collect());
    let args = tx.db().timed(vec![step.into(), state.as_str().into(), Arg::Rows(vec![sagas, events])]);
    let sql = COMPLETE.on(tx.db().dialect());
    DB::execute(tx.conn(), sql, args).await?;
    Ok(())
}

/// Bars a join that gave up. `false` when it has run, or was barred, before.
pub(crate) async fn bar_join<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    saga: SagaId,
    event: EventId,
) -> Result<bool, Error> {
    const BAR: Statement = Statement {
        postgres: "update pavane_ledger set state = 'barred', event_id = $3::uuid, changed_at = pavane_now() \
                   where saga = $1::uuid and step = $2 and item = '' and state in ('gathering', 'running')",
        sqlite: "update pavane_ledger set state = 'barred', event_id = $3, changed_at = $4 \
                 where saga = $1 and step = $2 and item = '' and state in ('gathering', 'running')",
    };
    let args = tx.db().timed(vec![saga.to_string().into(), step.into(), event.to_string().into()]);
    let sql = BAR.on(tx.db().dialect());
    Ok(DB::execute(tx.conn(), sql, args).await? == 1)
}

/// Lets a join gather again whose effect is known not to have happened, as if the event that completed it had not come: its undo
/// then bars the join, and a redrive of that event may run it.
pub(crate) async fn gather_again<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    saga: SagaId,
    event: EventId,
) -> Result<(), Error> {
    const AGAIN: Statement = Statement {
        postgres: "update pavane_ledger set state = 'gathering', event_id = null \
                   where saga = $1::uuid and step = $2 and item = '' and state = 'running'",
        sqlite: "update pavane_ledger set state = 'gathering', event_id = null \
                 where saga = $1 and step = $2 and item = '' and state = 'running'",
    };
    const TAKE_BACK: Statement = Statement {
        postgres: "delete from pavane_part where saga = $1::uuid and step = $2 and event_id = $3::uuid",
        sqlite: "delete from pavane_part where saga = $1 and step = $2 and event_id = $3",
    };
    let dialect = tx.db().dialect();
    let join = || vec![saga.to_string().into(), step.into()];
    if DB::execute(tx.conn(), AGAIN.on(dialect), join()).await? == 1 {
        DB::execute(tx.conn(), TAKE_BACK.on(dialect), [join(), vec![event.to_string().into()]].concat()).await?;
    }
    Ok(())
}
