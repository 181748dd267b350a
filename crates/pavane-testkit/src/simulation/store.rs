//! All SQL of the simulation.

use std::collections::{BTreeMap, BTreeSet};

use pavane::{
    SagaId,
    database::{Database, Db},
};
use pavane_contract::EventId;
use pavane_outbox::Arg;

use super::{BoxError, Bug};

/// The steps whose effect runs: `(saga, step)`.
pub(super) async fn running_steps<DB: Database>(db: &Db<DB>) -> Result<Vec<(SagaId, String)>, BoxError> {
    let mut conn = db.writers().acquire().await?;
    let sql = "select cast(saga as text), step from pavane_ledger where state = 'running' order by saga";
    let rows = DB::fetch(&mut conn, sql, Vec::new()).await?;
    rows.iter().map(|row| Ok((text::<DB>(row, 0)?.parse()?, text::<DB>(row, 1)?))).collect()
}

/// The undos that wait for their step: `(saga, reaction)`.
pub(super) async fn waiting_undos<DB: Database>(db: &Db<DB>) -> Result<Vec<(SagaId, String)>, BoxError> {
    let mut conn = db.writers().acquire().await?;
    let sql = "select cast(saga as text), reaction from pavane_waiting order by saga";
    let rows = DB::fetch(&mut conn, sql, Vec::new()).await?;
    rows.iter().map(|row| Ok((text::<DB>(row, 0)?.parse()?, text::<DB>(row, 1)?))).collect()
}

/// How many rows of the outbox are kept although they were sent.
pub(super) async fn sent_rows<DB: Database>(db: &Db<DB>) -> Result<i64, BoxError> {
    let mut conn = db.writers().acquire().await?;
    let sql = "select count(*) from pavane_outbox where refused is null and seq not in (select seq from pavane_unsent)";
    let rows = DB::fetch(&mut conn, sql, Vec::new()).await?;
    Ok(rows.first().map(|row| DB::int(row, 0)).transpose()?.flatten().unwrap_or_default())
}

/// The events that a reaction has handled, and when, in microseconds since the Unix epoch.
pub(super) async fn handled<DB: Database>(db: &Db<DB>, reaction: &str) -> Result<BTreeMap<EventId, i64>, BoxError> {
    let mut conn = db.writers().acquire().await?;
    let sql = "select cast(event_id as text), handled_at from pavane_inbox where reaction = $1 and given_up is null";
    let rows = DB::fetch(&mut conn, sql, vec![Arg::Text(reaction.to_owned())]).await?;
    rows.iter().map(|row| Ok((text::<DB>(row, 0)?.parse()?, DB::int(row, 1)?.unwrap_or_default()))).collect()
}

/// The sagas in which a join waits for events, or has run and was not undone.
pub(super) async fn sagas_of_join<DB: Database>(db: &Db<DB>, join: &str) -> Result<BTreeSet<SagaId>, BoxError> {
    let mut conn = db.writers().acquire().await?;
    let sql = "select cast(saga as text) from pavane_ledger where step = $1 and item = '' \
               and state in ('gathering', 'running', 'done')";
    let rows = DB::fetch(&mut conn, sql, vec![Arg::Text(join.to_owned())]).await?;
    rows.iter().map(|row| Ok(text::<DB>(row, 0)?.parse()?)).collect()
}

/// The events that a join has.
pub(super) async fn parts<DB: Database>(db: &Db<DB>, join: &str) -> Result<BTreeSet<EventId>, BoxError> {
    let mut conn = db.writers().acquire().await?;
    let sql = "select cast(event_id as text) from pavane_part where step = $1";
    let rows = DB::fetch(&mut conn, sql, vec![Arg::Text(join.to_owned())]).await?;
    rows.iter().map(|row| Ok(text::<DB>(row, 0)?.parse()?)).collect()
}

/// Plants a mistake in a service's database; what is planted once only the first time.
pub(super) async fn plant<DB: Database>(db: &Db<DB>, bug: Bug, first: bool) -> Result<(), BoxError> {
    let mut conn = db.writers().acquire().await?;
    for script in bug.triggers().filter(|_| first).into_iter().chain(bug.at_start()) {
        DB::script(&mut conn, script).await?;
    }
    Ok(())
}

fn text<DB: Database>(row: &DB::Row, index: usize) -> Result<String, sqlx::Error> {
    Ok(DB::text(row, index)?.unwrap_or_default())
}
