//! What happens to an event that wasn't handled: it is delivered again later, or kept as a dead letter.

use std::{slice, time::Duration};

use pavane_bus::Bus;
use pavane_choreography::ledger::{self, Forward, State};
use pavane_contract::{Clock, EventRef, Key, RawEnvelope};
use pavane_outbox::{Correlation, Database, Emissions, Tx, chain, internal};
use tracing::{debug, error, warn};

use super::{Arrived, Engine, Failure, Settlement};
use crate::{
    dead_letter::{self, DeadLetter},
    handler::{HandlerError, Kind},
    metric, store, waiting,
    wiring::Part,
};

impl<S: Send + Sync + 'static, DB: Database, B: Bus> Engine<S, DB, B> {
    /// Decides about an event whose handling failed.
    pub(super) async fn failed(
        &self,
        arrived: &Arrived,
        event: &RawEnvelope,
        failure: Failure,
        outages: u32,
    ) -> Settlement {
        match failure {
            Failure::StepRunning | Failure::Early { .. } => {
                let before = if let Failure::Early { before } = &failure { Some(before.as_str()) } else { None };
                match self.db.within(waiting::wait_for_step(&self.db, &self.wired, arrived, (event, before))).await {
                    Ok(Some(waits)) => waits,
                    Ok(None) => {
                        // Soon, and later each time: the step that is running ends by itself.
                        let times = u32::try_from(arrived.delivery.delivered).unwrap_or(u32::MAX);
                        Settlement::Again { after: self.backoff(Duration::from_millis(50), times) }
                    }
                    Err(error) => {
                        warn!(event_id = %event.meta.id, reaction = self.wired.name, error = chain(&error), "it can't wait for its step; trying again");
                        self.again_after_outage(outages)
                    }
                }
            }
            Failure::Handler(error) => match error.kind() {
                Kind::Unavailable | Kind::ReadOnly => {
                    self.distrust_after(&error);
                    warn!(event_id = %event.meta.id, reaction = self.wired.name, %error, "unavailable; trying again");
                    self.again_after_outage(outages)
                }
                Kind::Busy(left) => {
                    debug!(event_id = %event.meta.id, reaction = self.wired.name, %error, "looking again");
                    // It may be done long before its lease ends. So look again, later each time.
                    let times = u32::try_from(arrived.delivery.delivered).unwrap_or(u32::MAX);
                    Settlement::Again { after: self.backoff(self.wired.reaction.tuning.backoff_base, times).min(left) }
                }
                Kind::Transient | Kind::Reject | Kind::Conflict => {
                    let counted = self.db.within(self.count_failure(arrived, event, &error)).await;
                    counted.unwrap_or_else(|error| {
                        warn!(event_id = %event.meta.id, reaction = self.wired.name, error = chain(&error), "the failure can't be counted");
                        self.again_after_outage(outages)
                    })
                }
            },
        }
    }

    /// Decides about a delivery without an event that this reaction can run on.
    pub(super) async fn refuse(&self, arrived: &Arrived, outages: u32) -> Settlement {
        let cause = match &arrived.event {
            Err(unusable) => unusable.to_string(),
            Ok(event) => format!("the reaction does not run on {}", event.meta.event),
        };
        let now = self.db.now();
        let attempts = store::Attempts { count: 1, first_failed_at: now, last_failed_at: now };
        let kept = async {
            let mut tx = self.db.begin(Correlation::start(), Emissions::nothing(&self.wired.name)).await?;
            self.keep_letter(&mut tx, arrived, (&cause, attempts)).await?;
            tx.commit().await
        };
        match self.db.within(kept).await {
            Ok(()) => self.gave_up(arrived, cause, attempts),
            Err(error) => {
                warn!(reaction = self.wired.name, error = chain(&error), "the dead letter can't be kept; trying again");
                self.again_after_outage(outages)
            }
        }
    }

    /// Counts a failure, and gives up after the last attempt. The count, the mark, the dead letter and the failure event are one
    /// transaction. After that only a redrive handles the event again.
    async fn count_failure(
        &self,
        arrived: &Arrived,
        event: &RawEnvelope,
        error: &HandlerError,
    ) -> Result<Settlement, pavane_outbox::Error> {
        let mut tx = self.begin(event).await?;
        let attempts = store::count_failure(&mut tx, &self.wired.name, event.meta.id).await?;
        let tuning = &self.wired.reaction.tuning;
        if error.kind() != Kind::Reject && attempts.count < tuning.max_attempts {
            tx.commit().await?;
            warn!(
                event_id = %event.meta.id, reaction = self.wired.name, attempt = attempts.count, %error,
                "the handler failed; trying again"
            );
            metrics::counter!(metric::RETRIES, "service" => self.wired.service.clone(), "reaction" => self.wired.name.clone())
                .increment(1);
            return Ok(Settlement::Again { after: self.backoff(tuning.backoff_base, attempts.count) });
        }
        // A handler that committed the transaction itself has marked the event as handled: a person has to see that.
        let ended = matches!(error.outbox(), Some(pavane_outbox::Error::Ended));
        if !self.mark_given_up(&mut tx, arrived, event).await? && !ended {
            // Another delivery of the event was handled, or given up on, meanwhile.
            tx.rollback().await?;
            return Ok(Settlement::Done);
        }
        let cause = error.chain();
        self.keep_letter(&mut tx, arrived, (&cause, attempts)).await?;
        tx.commit().await?;
        Ok(self.gave_up(arrived, cause, attempts))
    }

    /// Marks an event as given up on, and emits the failure event if one is declared. In that case the saga goes on without the
    /// reaction, so not even a redrive may run it. `false` when it is marked already.
    async fn mark_given_up(
        &self,
        tx: &mut Tx<DB>,
        arrived: &Arrived,
        event: &RawEnvelope,
    ) -> Result<bool, pavane_outbox::Error> {
        let (name, message) = (&self.wired.name, dead_letter::identity(&arrived.delivery));
        if self.wired.is_join() {
            return self.mark_join_given_up(tx, &message, event).await;
        }
        let Some((emits, key, body)) = self.failure_event(slice::from_ref(event)) else {
            return store::give_up(tx, name, event.meta.id, Some(&message)).await;
        };
        if !store::give_up(tx, name, event.meta.id, None).await? {
            return Ok(false);
        }
        if !matches!(self.wired.part, Part::Step { .. }) || self.bar_given_up(tx, event).await? {
            internal::emit_raw(tx, emits, key, body).await?;
        }
        Ok(true)
    }

    /// Bars a step that gives up. A step with an effect can't, so nothing of this one is running, and it must not run any more. `false` for one
    /// that was settled by another event, and for an item that came too late: there is no failure to emit.
    async fn bar_given_up(&self, tx: &mut Tx<DB>, event: &RawEnvelope) -> Result<bool, pavane_outbox::Error> {
        let (name, saga) = (&self.wired.name, event.meta.cause.saga);
        let Some(row) = self.row_of(event) else { return Ok(false) };
        if self.wired.is_per_item() {
            let whole = store::whole(tx, name, &[saga]).await?.remove(&saga);
            if ledger::forward(ledger::of_item(whole, None)) == Forward::Skip {
                return Ok(false);
            }
        }
        Ok(!store::start(tx, name, &[(row, event.meta.id)], State::Barred).await?.is_empty())
    }

    /// As [`mark_given_up`](Self::mark_given_up), of a join. It gives up as a whole only on the event that would complete it.
    ///
    /// The inbox comes first and the ledger second, as where an event is handled.
    async fn mark_join_given_up(
        &self,
        tx: &mut Tx<DB>,
        message: &str,
        event: &RawEnvelope,
    ) -> Result<bool, pavane_outbox::Error> {
        let (name, saga, id) = (&self.wired.name, event.meta.cause.saga, event.meta.id);
        if !store::give_up(tx, name, id, Some(message)).await? {
            return Ok(false);
        }
        let given = self.complete_with(tx, event).await?;
        if let Some((emits, key, body)) = self.failure_event(&given)
            && store::bar_join(tx, name, saga, id).await?
        {
            store::give_up_for_good(tx, name, id).await?;
            internal::emit_raw(tx, emits, key, body).await?;
        }
        Ok(true)
    }

    /// The failure event, if one is declared for one of these events.
    fn failure_event(&self, given: &[RawEnvelope]) -> Option<(EventRef, Key, Vec<u8>)> {
        let failure_event = self.wired.reaction.failure_event.as_ref()?;
        let event = given.iter().find(|event| event.meta.event == failure_event.on)?;
        match (failure_event.make)(event) {
            Ok((key, body)) => Some((failure_event.emits.clone(), key, body)),
            Err(error) => {
                // The body can't be decoded, so there is no failure event to make of it. The dead letter has it.
                debug!(event_id = %event.meta.id, %error, "no failure event can be made");
                None
            }
        }
    }

    /// Decides about an event of which nobody knows whether it is handled, because the database can't be asked.
    pub(super) fn not_known(&self, failure: &Failure, outages: u32) -> Settlement {
        warn!(reaction = self.wired.name, ?failure, "the inbox can't be asked; trying again");
        self.again_after_outage(outages)
    }

    /// Writes the dead letter as a row. The [publisher](dead_letter::Publisher) publishes it.
    async fn keep_letter(
        &self,
        tx: &mut Tx<DB>,
        arrived: &Arrived,
        (cause, attempts): (&str, store::Attempts),
    ) -> Result<(), pavane_outbox::Error> {
        let letter = DeadLetter { service: &self.wired.service, reaction: &self.wired.name, cause, attempts };
        let letter = dead_letter::outgoing(&letter, &arrived.delivery);
        dead_letter::store::keep(tx, &self.wired.name, letter).await
    }

    /// Logs and counts that an event was given up on, after the commit.
    fn gave_up(&self, arrived: &Arrived, cause: String, attempts: store::Attempts) -> Settlement {
        error!(
            reaction = self.wired.name,
            subject = arrived.delivery.message.subject,
            attempts = attempts.count,
            cause,
            "gave up on an event; it is kept as a dead letter"
        );
        metrics::counter!(metric::DEAD_LETTERS, "service" => self.wired.service.clone(), "reaction" => self.wired.name.clone())
            .increment(1);
        self.wired.letter_kept.notify_one();
        Settlement::Dead { reason: cause }
    }

    /// Stops using connections to a database that is read-only.
    pub(super) fn distrust_after(&self, error: &HandlerError) {
        if error.kind() == Kind::ReadOnly {
            self.db.distrust();
        }
    }

    pub(super) fn again_after_outage(&self, outages: u32) -> Settlement {
        Settlement::Again { after: self.backoff(Duration::from_millis(100), outages.saturating_add(1)) }
    }

    /// Exponential backoff with jitter, between a quarter of `base` and the tuning's `backoff_max`: see [`full_jitter`].
    pub(crate) fn backoff(&self, base: Duration, attempt: u32) -> Duration {
        full_jitter(base, self.wired.reaction.tuning.backoff_max, attempt, self.db.clock())
    }
}

/// "Full jitter": a random delay of at most `base * 2^(attempt - 1)` and `max`, and of at least a quarter of `base`. See
/// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
pub(crate) fn full_jitter(base: Duration, max: Duration, attempt: u32, clock: &dyn Clock) -> Duration {
    let ceiling = base.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX)).min(max);
    let span = u64::try_from(ceiling.as_micros()).unwrap_or(u64::MAX).max(1);
    // Full jitter begins at zero. The event would then come back at once, so it waits a quarter of the base at least.
    Duration::from_micros(clock.random() % span).max(base.min(max) / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pavane_contract::SystemClock;

    #[test]
    fn delays_grow_within_their_bounds() {
        let (base, max) = (Duration::from_millis(200), Duration::from_secs(30));
        for attempt in [0, 1, 2, 5, 31, 32, 33, u32::MAX] {
            for _ in 0..100 {
                let delay = full_jitter(base, max, attempt, &SystemClock);
                assert!(delay >= base / 4 && delay <= max, "attempt {attempt}: {delay:?}");
                if attempt <= 1 {
                    assert!(delay <= base);
                }
            }
        }
        let longest = (0..100).map(|_| full_jitter(base, max, 8, &SystemClock)).max();
        assert!(longest > Some(Duration::from_secs(5)), "{longest:?}");
    }
}
