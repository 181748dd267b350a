//! Finds out whether events expired before a reaction read them, and keeps the result for `/readyz`.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pavane_bus::Bus;
use pavane_inbox::unread::{self, Expired, TOLD_FOR};
use pavane_outbox::{Database, Db, chain};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// What a service's reactions have missed. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Unread {
    reactions: Arc<[String]>,
    seen: Arc<Mutex<Vec<Expired>>>,
}

impl Unread {
    pub(crate) fn new(reactions: Vec<String>) -> Self {
        Self { reactions: reactions.into(), seen: Arc::default() }
    }

    pub(crate) async fn look<DB: Database, B: Bus>(&self, db: &Db<DB>, bus: &B) -> Result<(), unread::Error> {
        let seen = unread::look(db, bus, &self.reactions).await?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(())
    }

    /// Looks once a minute, and a last time at the shutdown.
    pub(crate) async fn run<DB: Database, B: Bus>(self, (db, bus): (Db<DB>, B), stop: CancellationToken) {
        const EVERY: Duration = Duration::from_mins(1);
        while !stop.is_cancelled() {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
            if let Err(error) = self.look(&db, &bus).await {
                debug!(service = db.service(), error = chain(&error), "failed to look for events that expired unread");
            }
        }
    }

    /// The missed events of each reaction, a sentence each.
    pub(crate) fn told(&self) -> Vec<String> {
        let days = TOLD_FOR.as_secs() / (24 * 60 * 60);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let tell = |Expired { reaction, at_most, .. }: &Expired| {
            format!(
                "up to {at_most} events expired in the stream before the reaction {reaction:?} read them: they are lost for it \
                 (reported for {days} days)"
            )
        };
        seen.iter().map(tell).collect()
    }
}
