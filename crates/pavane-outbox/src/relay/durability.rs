//! Checks whether the broker still has what it acknowledged, and deletes rows past their horizon.

use pavane_bus::{Bus, StreamState};
use tracing::warn;

use super::{
    Error, Relay, is_due,
    store::{self, Sent},
};
use crate::{Database, Error as StoreError, db::micros, metric, question::store as questions, store as tables};

impl<DB: Database, B: Bus> Relay<DB, B> {
    /// Verifies at the start, after each reconnection, and at intervals. Returns the stream that rows go to.
    pub(super) async fn verify_if_due(&mut self, now: i64) -> Result<StreamState, Error> {
        let reconnects = self.bus.health().reconnects;
        let due = is_due(now, self.verified_at, micros(self.config.verify_every));
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
        self.db.compare_clock(stream.now).await?;
        let last_kept = self.last_kept().await?;
        let again = self.db.within(store::send_again(&self.db, stream.created.as_microsecond(), last_kept)).await?;
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
        let mut before = i64::MAX;
        loop {
            let read = async { store::sent_before::<DB>(&mut *self.db.writer().await?, before).await };
            let batch = self.db.within(read).await?;
            let Some((_, oldest)) = batch.last() else { return Ok(0) };
            before = *oldest;
            // The stream keeps a prefix of what was sent. So in a batch, newest first, first all are lost and then all are kept.
            let (mut lost, mut kept) = (0, batch.len());
            if self.is_kept(batch[0]).await? {
                kept = 0;
            } else {
                while lost + 1 < kept {
                    let middle = usize::midpoint(lost, kept);
                    if self.is_kept(batch[middle]).await? { kept = middle } else { lost = middle }
                }
            }
            if let Some((_, sequence)) = batch.get(kept) {
                return Ok(*sequence);
            }
        }
    }

    async fn is_kept(&self, (seq, stream_seq): Sent) -> Result<bool, Error> {
        let read = async { store::event_id::<DB>(&mut *self.db.writer().await?, self.db.dialect(), seq).await };
        let event_id = self.db.within(read).await?;
        let stored = self.bus.message_id_at(stream_seq.unsigned_abs()).await?;
        Ok(event_id.is_some() && stored == event_id)
    }

    /// Deletes what is past its horizon, about once a second while there is something to delete.
    pub(super) async fn prune_if_due(&mut self, now: i64) -> Result<(), Error> {
        const EVERY: i64 = 1_000_000;
        const BATCHES: i64 = 4;
        const ROWS: i64 = 1000;
        if !is_due(now, self.pruned_at, EVERY) {
            return Ok(());
        }
        self.pruned_at = now;
        if !self.db.may_prune() {
            return Ok(());
        }
        // Several small deletes instead of a large one: each holds its locks only for a moment.
        for _ in 0..20 {
            let batches = self.db.within(store::prune(&self.db, self.config.durability_horizon, BATCHES)).await?;
            let memory = self.config.outcome_retention;
            let prune = async {
                let outcomes = tables::prune_outcomes(&self.db, memory, ROWS).await?;
                Ok::<_, StoreError>(outcomes.max(questions::prune(&self.db, memory, ROWS).await?))
            };
            let rows = self.db.within(prune).await?;
            if i64::try_from(batches).is_ok_and(|batches| batches < BATCHES) && rows < ROWS.unsigned_abs() {
                break;
            }
        }
        Ok(())
    }
}
