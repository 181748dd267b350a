//! The SQL of deleting old rows. The functions called here are in the migration `0003_partitions`.

use pavane_outbox::{Database, Db, Error, Statement, Tx};

/// Deletes what is older than the retention, a small ordered batch of each table. Returns the largest number of rows deleted
/// from one table.
///
/// A running step is never deleted: an undo that found no row would conclude that its effect never happened.
pub(super) async fn prune<DB: Database>(tx: &mut Tx<DB>, retention: i64, limit: i64) -> Result<u64, Error> {
    const PRUNE: [Statement; 6] = [
        Statement {
            // The other partitions are dropped as a whole, and have no index on the time.
            postgres: "delete from pavane_inbox_default where (reaction, event_id) in (select reaction, event_id \
                       from pavane_inbox_default where handled_at < (select pavane_now() - $1) \
                       order by handled_at limit $2)",
            sqlite: "delete from pavane_inbox where (reaction, event_id) in (select reaction, event_id \
                     from pavane_inbox where handled_at < $3 - $1 order by handled_at limit $2)",
        },
        Statement {
            postgres: "delete from pavane_ledger where (saga, step, item) in (select saga, step, item from pavane_ledger \
                       where changed_at < (select pavane_now() - $1) and state <> 'running' order by changed_at limit $2)",
            sqlite: "delete from pavane_ledger where (saga, step, item) in (select saga, step, item from pavane_ledger \
                     where changed_at < $3 - $1 and state <> 'running' order by changed_at limit $2)",
        },
        // After the ledger, and only where the ledger has no row of the step: a join that lost a part would wait for ever.
        Statement {
            postgres: "delete from pavane_part where (saga, step, part, item) in (select saga, step, part, item \
                       from pavane_part old where arrived_at < (select pavane_now() - $1) and not exists \
                       (select from pavane_ledger ledger where ledger.saga = old.saga and ledger.step = old.step) \
                       order by arrived_at limit $2)",
            sqlite: "delete from pavane_part where (saga, step, part, item) in (select saga, step, part, item \
                     from pavane_part old where arrived_at < $3 - $1 and not exists \
                     (select 1 from pavane_ledger ledger where ledger.saga = old.saga and ledger.step = old.step) \
                     order by arrived_at limit $2)",
        },
        Statement {
            postgres: "delete from pavane_attempt where (reaction, event_id) in (select reaction, event_id \
                       from pavane_attempt where last_failed_at < (select pavane_now() - $1) \
                       order by last_failed_at limit $2)",
            sqlite: "delete from pavane_attempt where (reaction, event_id) in (select reaction, event_id \
                     from pavane_attempt where last_failed_at < $3 - $1 order by last_failed_at limit $2)",
        },
        // Letters that wait to be published have no such time.
        Statement {
            postgres: "delete from pavane_dead_letter where id in (select id from pavane_dead_letter \
                       where cut_at < (select pavane_now() - $1) order by cut_at limit $2)",
            sqlite: "delete from pavane_dead_letter where id in (select id from pavane_dead_letter \
                     where cut_at < $3 - $1 order by cut_at limit $2)",
        },
        Statement {
            postgres: "delete from pavane_call where (reaction, event_id) in (select reaction, event_id \
                       from pavane_call where last_called_at < (select pavane_now() - $1) \
                       order by last_called_at limit $2)",
            sqlite: "delete from pavane_call where (reaction, event_id) in (select reaction, event_id \
                     from pavane_call where last_called_at < $3 - $1 order by last_called_at limit $2)",
        },
    ];
    let mut most = 0;
    for sql in PRUNE {
        let sql = sql.on(tx.db().dialect());
        let args = tx.db().timed(vec![retention.into(), limit.into()]);
        most = most.max(DB::execute(tx.conn(), sql, args).await?);
    }
    Ok(most)
}

/// Deletes claims that have expired, a batch at a time.
pub(super) async fn prune_claims<DB: Database>(tx: &mut Tx<DB>, limit: i64) -> Result<u64, Error> {
    const PRUNE: Statement = Statement {
        postgres: "delete from pavane_claim where key in (select key from pavane_claim \
                   where expires_at < (select pavane_now()) order by expires_at limit $1)",
        sqlite: "delete from pavane_claim where key in \
                 (select key from pavane_claim where expires_at < $2 order by expires_at limit $1)",
    };
    let sql = PRUNE.on(tx.db().dialect());
    let args = tx.db().timed(vec![limit.into()]);
    Ok(DB::execute(tx.conn(), sql, args).await?)
}

/// Creates the partitions of the next weeks.
pub(super) async fn extend<DB: Database>(db: &Db<DB>) -> Result<(), Error> {
    let mut conn = db.writer().await?;
    DB::execute(&mut conn, "select pavane_inbox_extend(pavane_now())", Vec::new()).await?;
    Ok(())
}

/// The partitions that ended before the retention, the oldest first.
pub(super) async fn ended<DB: Database>(db: &Db<DB>, retention: i64) -> Result<Vec<String>, Error> {
    const ENDED: &str =
        "select name::text from pavane_inbox_weeks where until <= (select pavane_now() - $1) order by until";
    let mut conn = db.writer().await?;
    let rows = DB::fetch(&mut conn, ENDED, vec![retention.into()]).await?;
    Ok(rows.iter().map(|row| DB::text(row, 0)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// Drops a partition. `false` when too many of its rows are younger than the retention.
///
/// The rows are counted under a lock that excludes claims, so that none is dropped that comes meanwhile.
pub(super) async fn drop_partition<DB: Database>(db: &Db<DB>, name: &str, retention: i64) -> Result<bool, Error> {
    const DROP: &str = "select pavane_inbox_drop($1, pavane_now() - $2)::int::bigint";
    let mut conn = db.writer().await?;
    let rows = DB::fetch(&mut conn, DROP, vec![name.into(), retention.into()]).await?;
    Ok(rows.first().map(|row| DB::int(row, 0)).transpose()?.flatten() == Some(1))
}

/// Deletes old rows from a partition that stays.
pub(super) async fn trim<DB: Database>(db: &Db<DB>, name: &str, retention: i64) -> Result<(), Error> {
    let mut conn = db.writer().await?;
    DB::execute(&mut conn, "select pavane_inbox_trim($1, pavane_now() - $2)", vec![name.into(), retention.into()])
        .await?;
    Ok(())
}

/// Whether PostgreSQL could not get the lock, or another instance was faster: try again later.
pub(super) fn is_busy(error: &Error) -> bool {
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    /// The default partition got a row of the week just then.
    const CHECK_VIOLATION: &str = "23514";
    code(error).is_some_and(|code| [LOCK_NOT_AVAILABLE, CHECK_VIOLATION].contains(&code.as_str()))
}

/// Whether the service's role may not do this.
pub(super) fn is_refused(error: &Error) -> bool {
    const INSUFFICIENT_PRIVILEGE: &str = "42501";
    code(error).is_some_and(|code| code == INSUFFICIENT_PRIVILEGE)
}

fn code(error: &Error) -> Option<String> {
    let Error::Database(error) = error else { return None };
    Some(error.as_database_error()?.code()?.into_owned())
}
