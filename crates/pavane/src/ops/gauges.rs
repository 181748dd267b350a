//! What `/metrics` says of what waits in the database.

use std::{sync::Arc, time::Duration};

use pavane_bus::Bus;
use pavane_outbox::{Database, chain};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use tracing::debug;

use crate::{database::Readiness, metric};

/// Counts what waits when it is asked for, so that it is fresh; but never twice at once, and where there is much to count for at
/// most a tenth of the time: who asks too often is told what was counted before.
pub(super) struct Gauges<DB: Database, B: Bus> {
    readiness: Readiness<DB, B>,
    /// When it may be counted again. Locked while it is.
    not_before: Arc<Mutex<Instant>>,
}

/// So long who asks waits for the count. It goes on without them.
const PATIENCE: Duration = Duration::from_millis(250);
/// What takes no longer may be counted each time.
const CHEAP: Duration = Duration::from_millis(50);

impl<DB: Database, B: Bus> Gauges<DB, B> {
    pub(super) fn new(readiness: Readiness<DB, B>) -> Self {
        Self { readiness, not_before: Arc::new(Mutex::new(Instant::now())) }
    }

    pub(super) async fn refresh(&self) {
        let Ok(mut not_before) = Arc::clone(&self.not_before).try_lock_owned() else { return };
        if Instant::now() < *not_before {
            return;
        }
        let readiness = self.readiness.clone();
        let counting = tokio::spawn(async move {
            let started = Instant::now();
            match readiness.waiting().await {
                Ok((backlog, undos)) => {
                    metric::record_waiting(readiness.service(), (&backlog, &undos), readiness.now());
                }
                Err(error) => {
                    debug!(service = readiness.service(), error = chain(&error), "failed to count what waits");
                }
            }
            *not_before = Instant::now() + 9 * started.elapsed().saturating_sub(CHEAP);
        });
        drop(timeout(PATIENCE, counting).await);
    }
}
