//! Forgets what is past its retention, a little at a time.

use std::time::Duration;

use pavane_outbox::{Database, Db};
use tokio_util::sync::CancellationToken;
use tracing::debug;

pub(crate) async fn run<DB: Database>(db: Db<DB>, retention: Duration, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_mins(1);
    const AT_ONCE_AGAIN: Duration = Duration::from_millis(100);
    let mut pause = EVERY;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = match pavane_inbox::forget(&db, retention).await {
            Ok(true) => AT_ONCE_AGAIN,
            Ok(false) => EVERY,
            Err(error) => {
                debug!(service = db.service(), %error, "failed to forget old events; trying again later");
                EVERY
            }
        };
    }
}
