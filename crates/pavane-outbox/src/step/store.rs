//! The SQL of entry points that are steps.

use pavane_choreography::ledger::State;
use pavane_contract::{RawEnvelope, SagaId, codec};

use crate::{Database, Db, Error, Statement};

/// Writes the row of a step that is done, with the event that its undo is for. `false` when there is one.
///
/// An undo that bars the step at the same time is met at the primary key: the second waits for the first to end.
pub(super) async fn insert<DB: Database>(
    db: &Db<DB>,
    conn: &mut DB::Connection,
    step: &str,
    event: &RawEnvelope,
) -> Result<bool, Error> {
    const INSERT: Statement = Statement {
        postgres: "insert into pavane_ledger (saga, step, state, kept, changed_at) \
                   values ($1::uuid, $2, 'done', $3, pavane_now()) on conflict do nothing",
        sqlite: "insert into pavane_ledger (saga, step, state, kept, changed_at) \
                 values ($1, $2, 'done', $3, $4) on conflict do nothing",
    };
    let (saga, kept) = (event.meta.cause.saga.to_string(), codec::to_json(event)?.into_bytes());
    let args = db.timed(vec![saga.into(), step.into(), kept.into()]);
    Ok(DB::execute(conn, INSERT.on(db.dialect()), args).await? == 1)
}

/// The state of a step. `None` where it has no row.
pub(super) async fn state<DB: Database>(
    db: &Db<DB>,
    conn: &mut DB::Connection,
    step: &str,
    saga: SagaId,
) -> Result<Option<State>, Error> {
    const STATE: Statement = Statement {
        postgres: "select state from pavane_ledger where saga = $1::uuid and step = $2 and item = ''",
        sqlite: "select state from pavane_ledger where saga = $1 and step = $2 and item = ''",
    };
    let rows = DB::fetch(conn, STATE.on(db.dialect()), vec![saga.to_string().into(), step.into()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(DB::text(row, 0)?.as_deref().and_then(State::parse))
}
