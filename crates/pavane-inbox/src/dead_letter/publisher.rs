use std::{fmt, sync::Arc, time::Duration};

use pavane_bus::{Bus, Outgoing, PublishError, dead_letter::header};
use pavane_contract::codec::Headers;
use pavane_outbox::{
    Database, Db,
    internal::{self, CrashPoint},
};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

use super::store;
use crate::metric;

/// The result of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum Progress {
    /// Published some dead letters; there may be more.
    Published,
    /// No dead letter waits.
    Idle,
}

/// Why a turn failed. The next one tries again. Each reads after "failed to publish dead letters: ".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] pavane_outbox::Error),
    /// The bus didn't store one.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Publishes a service's dead letters from its database, in a task of its own: no event waits for it, whatever happens to the
/// stream of dead letters.
///
/// Several instances may run one each. A letter that is published twice has the same message id.
pub struct Publisher<DB: Database, B: Bus> {
    db: Db<DB>,
    bus: B,
    /// Notified when a dead letter was written in this process.
    kept: Arc<Notify>,
}

impl<DB: Database, B: Bus> Clone for Publisher<DB, B> {
    fn clone(&self) -> Self {
        Self { db: self.db.clone(), bus: self.bus.clone(), kept: Arc::clone(&self.kept) }
    }
}

impl<DB: Database, B: Bus> Publisher<DB, B> {
    pub(crate) const fn new(db: Db<DB>, bus: B, kept: Arc<Notify>) -> Self {
        Self { db, bus, kept }
    }

    /// Publishes the next dead letters. Cancel-safe: a letter is deleted after the bus has acknowledged it.
    ///
    /// # Errors
    ///
    /// When the database fails, or the bus doesn't store one of them. The others are published.
    pub async fn turn(&mut self) -> Result<Progress, Error> {
        // A letter may be a megabyte.
        const LETTERS: i64 = 16;
        let letters = store::waiting(&self.db, LETTERS).await?;
        if letters.is_empty() {
            self.waiting(0);
            return Ok(Progress::Idle);
        }
        let limit = u64::try_from(self.bus.message_max()).unwrap_or(u64::MAX);
        let (mut ids, mut messages) = (Vec::new(), Vec::new());
        for letter in letters {
            let (message, is_cut) = fit(letter.message, limit);
            ids.push((letter.id, is_cut));
            messages.push(message);
        }
        internal::crash_point(&self.db, CrashPoint::BeforePublish).await;
        let settlements = self.bus.publish(messages).await;
        internal::crash_point(&self.db, CrashPoint::AfterPublish).await;
        let (mut published, mut cut, mut failed, mut failure) = (Vec::new(), Vec::new(), Vec::new(), None);
        for ((id, is_cut), settlement) in ids.into_iter().zip(settlements) {
            match settlement {
                Ok(_) if is_cut => cut.push(id),
                Ok(_) => published.push(id),
                Err(error) => {
                    failed.push(id);
                    failure = Some(error);
                }
            }
        }
        if !published.is_empty() {
            store::published(&self.db, &published).await?;
        }
        if !cut.is_empty() {
            store::cut(&self.db, &cut).await?;
        }
        self.waiting(store::count(&self.db).await?);
        let Some(failure) = failure else { return Ok(Progress::Published) };
        store::failed(&self.db, &failed, &failure.to_string()).await?;
        Err(failure.into())
    }

    /// Takes turns for ever: at once after an event was given up on in this process, at intervals for the letters of other
    /// instances, and less and less often while it fails. Stops when dropped.
    pub async fn run(&mut self) {
        const POLL: Duration = Duration::from_secs(5);
        const PAUSE_MIN: Duration = Duration::from_millis(250);
        const PAUSE_MAX: Duration = Duration::from_secs(30);
        let mut pause = Duration::ZERO;
        loop {
            match self.turn().await {
                Ok(progress) => {
                    if !pause.is_zero() {
                        info!(service = self.db.service(), "dead letters are published again");
                        pause = Duration::ZERO;
                    }
                    if progress == Progress::Idle {
                        // In either case there may be something to publish.
                        drop(timeout(POLL, self.kept.notified()).await);
                    }
                }
                Err(cause) => {
                    if pause.is_zero() {
                        warn!(service = self.db.service(), %cause, "failed to publish dead letters; they wait in the database");
                    } else {
                        debug!(service = self.db.service(), %cause, "still failed to publish dead letters");
                    }
                    pause = (pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
                    sleep(pause).await;
                }
            }
        }
    }

    /// Sets the gauge of waiting letters.
    fn waiting(&self, letters: i64) {
        let letters = f64::from(i32::try_from(letters).unwrap_or(i32::MAX));
        metrics::gauge!(metric::DEAD_LETTERS_WAITING, "service" => self.db.service().to_owned()).set(letters);
    }
}

/// A dead letter that the server can store, and whether it was cut: where body and the event's own headers would not fit, it
/// goes without them.
pub(crate) fn fit(letter: Outgoing, limit: u64) -> (Outgoing, bool) {
    /// The header with the message id, and the first and last bytes of the headers.
    const OVERHEAD: u64 = 64;
    let room = limit.saturating_sub(OVERHEAD + letter.message_id.len() as u64);
    if letter.size() <= room {
        return (letter, false);
    }
    let bytes = letter.payload.len().to_string();
    let mut cut = Outgoing { payload: Vec::new().into(), ..letter };
    cut.headers.push(header::CUT, bytes);
    if cut.size() > room {
        let ours = cut.headers.iter().filter(|(name, _)| name.starts_with("pavane-dead-"));
        cut.headers = ours.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Headers>();
    }
    (cut, true)
}

impl<DB: Database, B: Bus> fmt::Debug for Publisher<DB, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("db", &self.db).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_cut_and_says_so() {
        let letter = |header: usize, body: usize| Outgoing {
            subject: "dead.bank.pay.events.order.placed.7".into(),
            headers: [("ce-x", "x".repeat(header)), (header::CAUSE, "no".to_owned())].into_iter().collect(),
            payload: "x".repeat(body).into(),
            message_id: "dead-bank-pay-7".into(),
        };
        for (ours, body, (is_cut, own_headers)) in
            [(10, 100, (false, true)), (10, 1000, (true, true)), (1000, 10, (true, false)), (1000, 1000, (true, false))]
        {
            let (fitted, cut) = fit(letter(ours, body), 400);
            assert_eq!(cut, is_cut, "{fitted:?}");
            assert!(fitted.size() < 400);
            assert_eq!(fitted.headers.get("ce-x").is_some(), own_headers);
            assert_eq!(fitted.headers.get(header::CAUSE), Some("no"));
            assert_eq!(fitted.headers.get(header::CUT), cut.then(|| body.to_string()).as_deref());
            assert_eq!(fitted.payload.len(), if cut { 0 } else { body });
        }
    }
}
