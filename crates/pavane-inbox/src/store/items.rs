//! The SQL of steps that have items. The row without an item stands for the step as a whole: `gathering` while items may come, `barred`
//! after an undo.

use std::collections::{HashMap, HashSet};

use pavane_choreography::ledger::State;
use pavane_contract::SagaId;
use pavane_outbox::{Database, Error, Statement, Tx};

use super::{RowKey, Step, item_row, parsed, set, step_row};

/// Inserts the rows of steps as a whole, where there is none, and locks them against an undo. Returns their states.
///
/// The lock is shared: items of one saga don't wait for one another. An undo that comes waits for this transaction, and then finds the
/// items that it started.
pub(crate) async fn whole<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    sagas: &[SagaId],
) -> Result<HashMap<SagaId, State>, Error> {
    const OPEN: Statement = Statement {
        postgres: "insert into pavane_ledger (saga, step, state, changed_at) \
                   select distinct id, $1, 'gathering', (select pavane_now()) from unnest($2::uuid[]) as ids (id) order by id \
                   on conflict do nothing",
        sqlite: "insert into pavane_ledger (saga, step, state, changed_at) \
                 select distinct value, $1, 'gathering', $3 from json_each($2) where true order by value on conflict do nothing",
    };
    const LOCK: Statement = Statement {
        postgres: "select saga::text, state, event_id::text, kept from pavane_ledger \
                   where step = $1 and item = '' and saga = any ($2::uuid[]) order by saga for share",
        sqlite: "select saga, state, event_id, kept from pavane_ledger \
                 where step = $1 and item = '' and saga in (select value from json_each($2))",
    };
    let args = tx.db().timed(vec![step.into(), set(sagas)]);
    let dialect = tx.db().dialect();
    DB::execute(tx.conn(), OPEN.on(dialect), args).await?;
    let rows = DB::fetch(tx.conn(), LOCK.on(dialect), vec![step.into(), set(sagas)]).await?;
    rows.iter().map(|row| step_row::<DB>(row).map(|(saga, step)| (saga, step.state))).collect()
}

/// Bars steps as a whole: no item of theirs starts any more. Waits for transactions that start one. Returns the sagas in which it is barred
/// now; in others the step ran before it had items.
pub(crate) async fn bar_whole<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    sagas: &[SagaId],
) -> Result<HashSet<SagaId>, Error> {
    const BAR: Statement = Statement {
        postgres: "insert into pavane_ledger (saga, step, state, changed_at) \
                   select distinct id, $1, 'barred', (select pavane_now()) from unnest($2::uuid[]) as ids (id) order by id \
                   on conflict (saga, step, item) do update set state = 'barred', changed_at = excluded.changed_at \
                   where pavane_ledger.state in ('gathering', 'barred') returning saga::text",
        sqlite: "insert into pavane_ledger (saga, step, state, changed_at) \
                 select distinct value, $1, 'barred', $3 from json_each($2) where true order by value \
                 on conflict (saga, step, item) do update set state = 'barred', changed_at = excluded.changed_at \
                 where pavane_ledger.state in ('gathering', 'barred') returning saga",
    };
    let args = tx.db().timed(vec![step.into(), set(sagas)]);
    let sql = BAR.on(tx.db().dialect());
    let rows = DB::fetch(tx.conn(), sql, args).await?;
    rows.iter().map(|row| parsed::<DB, _>(row, 0)).collect()
}

/// The items of steps that are running or done, in their order.
pub(crate) async fn items<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    sagas: &[SagaId],
) -> Result<Vec<(RowKey, Step)>, Error> {
    const ITEMS: Statement = Statement {
        postgres: "select saga::text, state, event_id::text, kept, item from pavane_ledger where step = $1 and item <> '' \
                   and saga = any ($2::uuid[]) and state in ('running', 'done')",
        sqlite: "select saga, state, event_id, kept, item from pavane_ledger where step = $1 and item <> '' \
                 and saga in (select value from json_each($2)) and state in ('running', 'done')",
    };
    let sql = ITEMS.on(tx.db().dialect());
    let rows = DB::fetch(tx.conn(), sql, vec![step.into(), set(sagas)]).await?;
    let mut items: Vec<_> = rows.iter().map(item_row::<DB>).collect::<Result<_, _>>()?;
    items.sort_by_key(|(row, _)| *row);
    Ok(items)
}

/// Undoes the done items of steps that are barred as a whole.
pub(crate) async fn undo_items<DB: Database>(tx: &mut Tx<DB>, step: &str, sagas: &[SagaId]) -> Result<(), Error> {
    const UNDO: Statement = Statement {
        postgres: "update pavane_ledger set state = 'undone', changed_at = pavane_now() where step = $1 and item <> '' \
                   and saga = any ($2::uuid[]) and state = 'done'",
        sqlite: "update pavane_ledger set state = 'undone', changed_at = $3 where step = $1 and item <> '' \
                 and saga in (select value from json_each($2)) and state = 'done'",
    };
    let args = tx.db().timed(vec![step.into(), set(sagas)]);
    let sql = UNDO.on(tx.db().dialect());
    DB::execute(tx.conn(), sql, args).await?;
    Ok(())
}

/// Undoes an item that is done. `false` when another trigger did.
pub(crate) async fn undo_item<DB: Database>(tx: &mut Tx<DB>, step: &str, row: RowKey) -> Result<bool, Error> {
    const UNDO: Statement = Statement {
        postgres: "update pavane_ledger set state = 'undone', changed_at = pavane_now() \
                   where saga = $1::uuid and step = $2 and item = $3 and state = 'done'",
        sqlite: "update pavane_ledger set state = 'undone', changed_at = $4 \
                 where saga = $1 and step = $2 and item = $3 and state = 'done'",
    };
    let args = tx.db().timed(vec![row.saga.to_string().into(), step.into(), row.item().into()]);
    let sql = UNDO.on(tx.db().dialect());
    Ok(DB::execute(tx.conn(), sql, args).await? == 1)
}

/// The sagas in which a step, with all of its items, is undone or barred.
pub(crate) async fn over<DB: Database>(
    tx: &mut Tx<DB>,
    step: &str,
    sagas: &[SagaId],
) -> Result<HashSet<SagaId>, Error> {
    const OVER: Statement = Statement {
        postgres: "select saga::text from pavane_ledger where step = $1 and saga = any ($2::uuid[]) \
                   group by saga having bool_and(state in ('undone', 'barred'))",
        sqlite: "select saga from pavane_ledger where step = $1 and saga in (select value from json_each($2)) \
                 group by saga having min(state in ('undone', 'barred'))",
    };
    let sql = OVER.on(tx.db().dialect());
    let rows = DB::fetch(tx.conn(), sql, vec![step.into(), set(sagas)]).await?;
    rows.iter().map(|row| parsed::<DB, _>(row, 0)).collect()
}
