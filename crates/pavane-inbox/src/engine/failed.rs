//! What becomes of an event that wasn't handled: again later, or kept as a dead letter.

use std::time::Duration;

use pavane_bus::Bus;
use pavane_choreography::ledger::State;
use pavane_contract::{Clock, RawEnvelope};
use pavane_outbox::Database;
use tracing::{debug, error, warn};

use super::{Arrived, Engine, Failure, Outcome, nothing};
use crate::{
    dead_letter::{self, DeadLetter},
    handler::{HandlerError, Kind},
    metric, store,
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
    ) -> Outcome {
        match failure {
            Failure::StepRunning => {
                debug!(event_id = %event.meta.id, reaction = self.wired.name, "the step to undo is running; waiting for it");
                // As long as it took so far: close behind a quick step, and no load behind a slow one.
                let base = Duration::from_millis(50);
                Outcome::Again {
                    after: self.backoff(base, u32::try_from(arrived.delivery.delivered).unwrap_or(u32::MAX)),
                }
            }
            Failure::Handler(error) if error.is_unavailable() => {
                if error.kind() == Kind::ReadOnly {
                    self.db.distrust();
                }
                warn!(event_id = %event.meta.id, reaction = self.wired.name, %error, "unavailable; trying again");
                self.again_after_outage(outages)
            }
            Failure::Handler(error) => match self.count_failure(event).await {
                Ok(attempts)
                    if error.kind() == Kind::Reject || attempts.count >= self.wired.reaction.tuning.max_attempts =>
                {
                    self.give_up(arrived, event, self.letter(&error.chain(), attempts), outages).await
                }
                Ok(attempts) => {
                    warn!(
                        event_id = %event.meta.id, reaction = self.wired.name, attempt = attempts.count, %error,
                        "the handler failed; trying again"
                    );
                    metrics::counter!(metric::RETRIES, "service" => self.wired.service.clone(), "reaction" => self.wired.name.clone())
                        .increment(1);
                    Outcome::Again { after: self.backoff(self.wired.reaction.tuning.backoff_base, attempts.count) }
                }
                Err(error) => {
                    warn!(event_id = %event.meta.id, reaction = self.wired.name, %error, "the failure can't be counted");
                    self.again_after_outage(outages)
                }
            },
        }
    }

    /// Decides about a delivery that isn't an event that this reaction can run on.
    pub(super) async fn refuse(&self, arrived: &Arrived, outages: u32) -> Outcome {
        let cause = match &arrived.event {
            Err(error) => format!("failed to decode the event: {error}"),
            Ok(event) => format!("the reaction does not run on {}", event.meta.event),
        };
        let now = self.db.now();
        let attempts = store::Attempts { count: 1, first_failed_at: now, last_failed_at: now };
        self.keep_dead(arrived, self.letter(&cause, attempts), outages).await
    }

    /// Keeps the event as a dead letter, tells the saga if that is declared, and ends the event, in this order: after a
    /// crash in between there may be a second dead letter, but never none.
    async fn give_up(&self, arrived: &Arrived, event: &RawEnvelope, letter: DeadLetter<'_>, outages: u32) -> Outcome {
        let outcome = self.keep_dead(arrived, letter, outages).await;
        if let Outcome::Dead { .. } = outcome
            && let Err(error) = self.db.within(self.say_farewell(event)).await
        {
            warn!(event_id = %event.meta.id, reaction = self.wired.name, %error, "giving up can't be told; trying again");
            return self.again_after_outage(outages);
        }
        outcome
    }

    fn letter<'a>(&'a self, cause: &'a str, attempts: store::Attempts) -> DeadLetter<'a> {
        DeadLetter { service: &self.wired.service, reaction: &self.wired.name, cause, attempts }
    }

    async fn keep_dead(&self, arrived: &Arrived, letter: DeadLetter<'_>, outages: u32) -> Outcome {
        let outgoing = dead_letter::outgoing(&letter, &arrived.delivery);
        match self.bus.publish(vec![outgoing]).await.into_iter().next() {
            Some(Ok(_)) => {
                error!(
                    reaction = self.wired.name,
                    subject = arrived.delivery.message.subject,
                    attempts = letter.attempts.count,
                    cause = letter.cause,
                    "gave up on an event; it is kept as a dead letter"
                );
                metrics::counter!(metric::DEAD_LETTERS, "service" => self.wired.service.clone(), "reaction" => self.wired.name.clone())
                    .increment(1);
                Outcome::Dead { reason: letter.cause.to_owned() }
            }
            failure => {
                warn!(reaction = self.wired.name, ?failure, "the dead letter can't be kept; trying again");
                self.again_after_outage(outages)
            }
        }
    }

    /// Emits the giving-up event, once, and marks the event handled: the saga was told, so a redrive must not run it.
    async fn say_farewell(&self, event: &RawEnvelope) -> Result<(), HandlerError> {
        let Some(farewell) = self.wired.reaction.farewell.as_ref().filter(|farewell| farewell.on == event.meta.event)
        else {
            return Ok(());
        };
        let (key, body) = match (farewell.make)(event) {
            Ok(made) => made,
            Err(error) => {
                // The body can't be read, so there is nothing to tell about. The dead letter has it.
                debug!(event_id = %event.meta.id, %error, "no giving-up event can be made");
                return Ok(());
            }
        };
        let mut tx = self.begin(event).await?;
        if !store::claim(&mut tx, &self.wired.name, &[event.meta.id]).await?.is_empty() {
            // A step with an effect can't give up, so nothing of this one is running: it must not happen any more. A step
            // that is known was settled on another event, and there is nothing to tell.
            let step = [(event.meta.cause.saga, event.meta.id)];
            let tell = !matches!(self.wired.part, Part::Step { .. })
                || !store::start(&mut tx, &self.wired.name, &step, State::Barred).await?.is_empty();
            if tell {
                tx.emit_raw(farewell.emits.clone(), key, body).await?;
            }
        }
        Ok(tx.commit().await?)
    }

    async fn count_failure(&self, event: &RawEnvelope) -> Result<store::Attempts, HandlerError> {
        let count = async {
            let mut tx = self.db.begin(pavane_outbox::Correlation::caused_by(event), nothing(&self.wired.name)).await?;
            let attempts = store::count_failure(&mut tx, &self.wired.name, event.meta.id).await?;
            tx.commit().await?;
            Ok(attempts)
        };
        self.db.within(count).await
    }

    /// Decides about an event of which not even the database can say whether it is handled.
    pub(super) fn not_known(&self, failure: &Failure, outages: u32) -> Outcome {
        warn!(reaction = self.wired.name, ?failure, "the inbox can't be asked; trying again");
        self.again_after_outage(outages)
    }

    fn again_after_outage(&self, outages: u32) -> Outcome {
        Outcome::Again { after: self.backoff(Duration::from_millis(100), outages.saturating_add(1)) }
    }

    /// Exponential backoff with full jitter.
    /// See <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
    pub(crate) fn backoff(&self, base: Duration, attempt: u32) -> Duration {
        full_jitter(base, self.wired.reaction.tuning.backoff_max, attempt, self.db.clock())
    }

    pub(super) fn count(&self, outcome: &'static str, events: usize) {
        if events > 0 {
            let (service, reaction) = (self.wired.service.clone(), self.wired.name.clone());
            metrics::counter!(metric::HANDLED, "service" => service, "reaction" => reaction, "outcome" => outcome)
                .increment(events as u64);
        }
    }
}

/// A uniformly random delay between the base and `base * 2^(attempt - 1)`, at most `max`.
fn full_jitter(base: Duration, max: Duration, attempt: u32, clock: &dyn Clock) -> Duration {
    let ceiling = base.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX)).min(max);
    let span = u64::try_from(ceiling.as_micros()).unwrap_or(u64::MAX).max(1);
    // A little more than nothing, or a failing event would come back at once.
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
