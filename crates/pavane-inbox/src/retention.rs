//! Deletes what the inbox need not remember any more, because no such event can be delivered again.

mod store;

use std::time::Duration;

use pavane_outbox::{Correlation, Database, Db, Dialect, Emissions, Error};

/// Deletes rows older than `retention`: of ledger, parts of joins, attempts and claims, and of the inbox those in no
/// [partition](keep_partitions). In small batches: each holds its locks only for a moment. Returns whether there may be more. A
/// `running` step is never deleted, and a process whose clock is off deletes nothing.
///
/// # Errors
///
/// When the database fails.
pub async fn forget<DB: Database>(db: &Db<DB>, retention: Duration) -> Result<bool, Error> {
    const ROWS: i64 = 1000;
    db.compare_clock(None).await?;
    if !db.may_prune() {
        return Ok(false);
    }
    let retention = micros(retention);
    let mut tx = db.begin(Correlation::start(), Emissions::new("retention", Vec::new())).await?;
    let deleted = store::prune(&mut tx, retention, ROWS).await?.max(store::prune_claims(&mut tx, ROWS).await?);
    tx.commit().await?;
    Ok(deleted >= ROWS.unsigned_abs())
}

/// Creates the inbox's partitions of the coming weeks, and drops those that are older than `retention`: to drop a table costs
/// the same however many rows it has. Does nothing on SQLite, which has no partitions.
///
/// Call it when a service starts, and every hour. Several instances may call it at once. What claims prevent now is left to the
/// next call.
///
/// # Errors
///
/// When the database fails, or the service's role may not create and drop tables. The service works on without partitions: the
/// default partition takes all rows, and old ones are deleted one by one.
pub async fn keep_partitions<DB: Database>(db: &Db<DB>, retention: Duration) -> Result<(), Error> {
    if db.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    db.compare_clock(None).await?;
    let extended = later_if_busy(store::extend(db).await);
    if !db.may_prune() {
        return extended;
    }
    let retention = micros(retention);
    for partition in store::ended(db, retention).await? {
        match store::drop_partition(db, &partition, retention).await {
            Ok(true) => {}
            Ok(false) => store::trim(db, &partition, retention).await?,
            Err(error) if store::is_refused(&error) => store::trim(db, &partition, retention).await?,
            Err(error) => later_if_busy(Err(error))?,
        }
    }
    extended
}

fn micros(retention: Duration) -> i64 {
    i64::try_from(retention.as_micros()).unwrap_or(i64::MAX)
}

fn later_if_busy(result: Result<(), Error>) -> Result<(), Error> {
    result.or_else(|error| if store::is_busy(&error) { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests;
