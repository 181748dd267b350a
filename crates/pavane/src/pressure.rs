//! Measures the outbox, so that entry points refuse before the database is full.

use std::time::Duration;

use pavane_outbox::{Database, Db, chain};
use tokio_util::sync::CancellationToken;
use tracing::debug;

pub(crate) async fn run<DB: Database>(db: Db<DB>, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_secs(1);
    loop {
        if let Err(error) = db.measure_outbox().await {
            // While the database fails, transactions fail by themselves. The last measure stays.
            debug!(service = db.service(), error = chain(&error), "failed to measure the outbox");
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
