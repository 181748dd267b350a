//! Whether the broker still has what it acknowledged, and pruning of what it surely has.

use pavane_bus::{Bus, StreamState};
use tracing::warn;

use super::{Error, Relay};
use crate::{Database, db::micros, metric, store};

impl<DB: Database, B: Bus> Relay<DB, B> {
    /// Verifies at the start, after each reconnection, and now and then. Returns the stream that rows go to.
    pub(super) async fn verify_if_due(&mut self, now: i64) -> Result<StreamState, Error> {
        let reconnects = self.bus.health().reconnects;
        let due = self.verified_at.saturating_add(micros(self.config.verify_every)) <= now;
        if let (Some(stream), false, true) = (self.stream, due, reconnects == self.reconnects) {
            return Ok(stream);
        }
        let stream = self.verify().await?;
        (self.stream, self.verified_at, self.reconnects) = (Some(stream), now, reconnects);
        Ok(stream)
    }

    /// Finds the newest message that the broker still has, and makes all rows after it unsent again.
    ///
    /// A broker that loses acknowledged messages loses the newest ones, and may have given their sequences to others
    /// since. So the stored message ids are compared with the rows: newest first, until one matches.
    async fn verify(&mut self) -> Result<StreamState, Error> {
        let stream = self.bus.stream_state().await?;
        let last_kept = self.last_kept().await?;
        let mut conn = self.db.writer().await?;
        let again = store::send_again::<DB>(&mut conn, stream.created.as_microsecond(), last_kept).await?;
        if again > 0 {
            warn!(
                service = self.db.service(),
                events = again,
                "the broker lost acknowledged events; publishing them again"
            );
            let service = self.db.service().to_owned();
            metrics::counter!(metric::REPUBLISHED, "service" => service).increment(again);
        }
        Ok(stream)
    }

    /// The stream sequence of our newest message that is still there; 0 when there is none.
    async fn last_kept(&self) -> Result<i64, Error> {
        const PAGE: i64 = 256;
        let mut before = i64::MAX;
        loop {
            let page = {
                let mut conn = self.db.writer().await?;
                store::sent_before::<DB>(&mut conn, self.db.dialect(), before, PAGE).await?
            };
            let Some((oldest, _)) = page.last() else { return Ok(0) };
            before = *oldest;
            // What is kept is a prefix of what was sent, so the page, newest first, is all lost and then all kept.
            let (mut lost, mut kept) = (0, page.len());
            if self.is_kept(&page[0]).await? {
                kept = 0;
            } else {
                while lost + 1 < kept {
                    let middle = usize::midpoint(lost, kept);
                    if self.is_kept(&page[middle]).await? { kept = middle } else { lost = middle }
                }
            }
            if let Some((sequence, _)) = page.get(kept) {
                return Ok(*sequence);
            }
        }
    }

    async fn is_kept(&self, (sequence, event_id): &(i64, String)) -> Result<bool, Error> {
        let stored = self.bus.message_id_at(sequence.unsigned_abs()).await?;
        Ok(stored.as_ref() == Some(event_id))
    }

    /// Deletes what is past its horizon, about once a second while there is something to delete.
    pub(super) async fn prune_if_due(&mut self, now: i64) -> Result<(), Error> {
        const EVERY: i64 = 1_000_000;
        const ROWS: i64 = 1000;
        if now < self.pruned_at.saturating_add(EVERY) {
            return Ok(());
        }
        self.pruned_at = now;
        let mut conn = self.db.writer().await?;
        // Several small deletes rather than a large one: each holds the locks only for a moment.
        for _ in 0..20 {
            let horizon = now.saturating_sub(micros(self.config.durability_horizon));
            let retention = now.saturating_sub(micros(self.config.verdict_retention));
            let rows = store::prune::<DB>(&mut conn, horizon, ROWS).await?;
            let verdicts = store::prune_verdicts::<DB>(&mut conn, retention, ROWS).await?;
            if rows.max(verdicts) < ROWS.unsigned_abs() {
                break;
            }
        }
        Ok(())
    }
}
