//! Detects events that expired in the stream before a reaction read them: they are lost for the reaction.
//!
//! The broker moves a consumer past expired messages with its next request, and doesn't report it. So the database keeps how far
//! each reaction has read, and this is compared with the beginning of the stream: before the consumer is opened, and at
//! intervals while it runs.

mod store;

use std::time::Duration;

use pavane_bus::Bus;
use pavane_outbox::{Database, Db};

use crate::{metric, wiring};

/// How long such a loss is reported, counted from when it was last noticed.
pub const TOLD_FOR: Duration = Duration::from_hours(7 * 24);

/// Events that expired before a reaction read them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expired {
    /// The reaction.
    pub reaction: String,
    /// How many at most: nobody knows any more which of them were for this reaction.
    pub at_most: u64,
}

/// Why the look failed. Each reads after "failed to look for events that expired unread: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bus is unavailable.
    #[error(transparent)]
    Bus(#[from] pavane_bus::Error),
    /// The database fails.
    #[error(transparent)]
    Database(#[from] pavane_outbox::Error),
}

impl Error {
    /// Whether it may pass by itself: the bus is unavailable right now.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Bus(error) if error.is_passing())
    }
}

/// Finds out how far these reactions of a service have read, and what expired before they did. Returns what was noticed within
/// [`TOLD_FOR`].
///
/// Call it before the consumers are opened, every minute, and when a service stops: if the stream loses what was read since the
/// last call, that counts as not read. Several instances may call it at once.
///
/// # Errors
///
/// When the bus or the database can't be used.
pub async fn look<DB: Database, B: Bus>(db: &Db<DB>, bus: &B, reactions: &[String]) -> Result<Vec<Expired>, Error> {
    let mut told = Vec::new();
    for reaction in reactions {
        let noticed = notice(db, bus, reaction).await?;
        let (kept, new) = db.within(store::note(db, reaction, &noticed)).await?;
        if new > 0 {
            tracing::error!(
                service = db.service(),
                reaction,
                at_most = new,
                "events expired in the stream before the reaction read them: they are lost for it"
            );
        }
        let (service, name) = (db.service().to_owned(), reaction.clone());
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!(metric::EXPIRED_UNREAD, "service" => service, "reaction" => name).set(kept.expired as f64);
        if kept.expired > 0 {
            told.push(Expired { reaction: reaction.clone(), at_most: kept.expired });
        }
    }
    Ok(told)
}

/// What the broker reports about a reaction's consumer.
struct Noticed {
    /// When the stream was created.
    stream: i64,
    /// The last sequence that the stream no longer has.
    gone: u64,
    /// The sequence up to which the consumer has read, or was moved past what expired.
    read_to: u64,
    /// The sequence up to which nothing is left for it.
    done_to: u64,
}

async fn notice<DB: Database, B: Bus>(db: &Db<DB>, bus: &B, reaction: &str) -> Result<Noticed, Error> {
    // In this order: the messages up to the stream's last sequence were there before the consumer was asked.
    let stream = bus.stream_state().await?;
    let position = bus.consumer_position(&wiring::durable(db.service(), reaction)).await?;
    let gone = stream.first_sequence.saturating_sub(1);
    // A consumer that doesn't exist yet begins with what the stream has now, and has missed nothing.
    let (read_to, done_to) =
        position.map_or((gone, gone), |position| (position.read_to(), position.done_to(stream.last_sequence)));
    Ok(Noticed { stream: stream.created.as_microsecond(), gone, read_to, done_to })
}

/// What the database keeps about a reaction.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    /// When the stream was created. Another time means another stream.
    stream: i64,
    /// The sequence up to which nothing was left to read.
    read_to: u64,
    /// How many expired unread at most, as far as it is still reported.
    expired: u64,
    /// When that was last noticed; 0 for never.
    expired_at: i64,
}

impl Kept {
    /// What to keep after this was noticed, and how many events were lost in between.
    fn judge(&self, noticed: &Noticed, now: i64) -> (Self, u64) {
        let same = self.stream == noticed.stream;
        let read_to = if same { self.read_to } else { noticed.read_to };
        let lost = noticed.gone.saturating_sub(read_to);
        let told_for = i64::try_from(TOLD_FOR.as_micros()).unwrap_or(i64::MAX);
        let told = if now.saturating_sub(self.expired_at) < told_for { self.expired } else { 0 };
        let kept = Self {
            stream: noticed.stream,
            read_to: read_to.max(noticed.done_to).max(noticed.gone),
            expired: told + lost,
            expired_at: if lost > 0 { now } else { self.expired_at },
        };
        (kept, lost)
    }
}

#[cfg(test)]
mod tests;
