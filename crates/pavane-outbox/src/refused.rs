//! Events that the broker refused for good: an operator looks at them, and sends them again when the cause is gone.

mod store;

use pavane_contract::{EventId, Timestamp};

use crate::{Database, Db, Error};

/// An event that the broker refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedEvent {
    /// Its number in the outbox.
    pub number: i64,
    /// Its id.
    pub id: EventId,
    /// Its subject.
    pub subject: String,
    /// How many bytes its body has.
    pub bytes: i64,
    /// When it was emitted.
    pub emitted_at: Timestamp,
    /// Why it was refused, in the broker's words.
    pub why: String,
}

impl<DB: Database> Db<DB> {
    /// The oldest events that the broker refused, at most `limit`.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn refused(&self, limit: u32) -> Result<Vec<RefusedEvent>, Error> {
        self.within(store::refused(self, limit)).await
    }

    /// Makes the refused events with these numbers unsent again, so that the relay publishes them. Returns how many. Other
    /// numbers are ignored.
    ///
    /// # Errors
    ///
    /// When the database fails. Nothing has changed then.
    pub async fn retry_refused(&self, numbers: &[i64]) -> Result<u64, Error> {
        let retry = async {
            let mut tx = self.begin_plain().await?;
            let again = store::retry(self, tx.conn(), numbers).await?;
            tx.commit().await?;
            Ok::<_, Error>(again)
        };
        let again = self.within(retry).await?;
        self.announce_commit();
        Ok(again)
    }
}
