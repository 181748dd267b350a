//! Forgetting: what can no longer be delivered need not be remembered.

use std::time::Duration;

use pavane_outbox::{Correlation, Database, Db, Emissions, Error};

use crate::store;

/// Deletes inbox, ledger and attempts older than `retention`, in small batches: each holds its locks only for a moment.
/// Returns whether there may be more.
///
/// # Errors
///
/// When the database fails.
pub async fn forget<DB: Database>(db: &Db<DB>, retention: Duration) -> Result<bool, Error> {
    const ROWS: i64 = 1000;
    let before = db.now().saturating_sub(i64::try_from(retention.as_micros()).unwrap_or(i64::MAX));
    let mut tx = db.begin(Correlation::start(), Emissions::new("retention", Vec::new())).await?;
    let deleted = store::prune(&mut tx, before, ROWS).await?.max(store::prune_claims(&mut tx, ROWS).await?);
    tx.commit().await?;
    Ok(deleted >= ROWS.unsigned_abs())
}
