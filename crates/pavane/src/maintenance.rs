//! Deletes what is past its retention, a batch at a time, and creates the inbox's partitions ahead.

use std::time::Duration;

use pavane_outbox::{Database, Db, chain};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub(crate) async fn run<DB: Database>(db: Db<DB>, retention: Duration, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_mins(1);
    const AT_ONCE_AGAIN: Duration = Duration::from_millis(100);
    let mut partitions = Partitions { next: Instant::now(), warned: false };
    let mut pause = EVERY;
    loop {
        partitions.keep_if_due(&db, retention).await;
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = match db.within(pavane_inbox::forget(&db, retention)).await {
            Ok(true) => AT_ONCE_AGAIN,
            Ok(false) => EVERY,
            Err(error) => {
                debug!(
                    service = db.service(),
                    error = chain(&error),
                    "failed to forget old events; trying again later"
                );
                EVERY
            }
        };
    }
}

struct Partitions {
    next: Instant,
    warned: bool,
}

impl Partitions {
    async fn keep_if_due<DB: Database>(&mut self, db: &Db<DB>, retention: Duration) {
        // An hour is often enough: partitions are made four weeks ahead. Dropping one blocks claims for a moment.
        const EVERY: Duration = Duration::from_hours(1);
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + EVERY;
        let kept = pavane_inbox::keep_partitions(db, retention).await;
        let warned = std::mem::replace(&mut self.warned, kept.is_err());
        if let (Err(error), false) = (kept, warned) {
            let service = db.service();
            warn!(
                service,
                error = chain(&error),
                "failed to keep the inbox's partitions; it works without them, only slower to forget"
            );
        }
    }
}
