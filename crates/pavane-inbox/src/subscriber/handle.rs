//! One event of a service without a database: handled once, or kept as a dead letter.

use std::{sync::Arc, time::Duration};

use pavane_bus::{Bus, Delivery};
use pavane_contract::{Clock, EventRef, RawEnvelope};
use tracing::{debug, error, warn};

use super::work::Work;
use crate::{
    IdempotencyKey, Tuning,
    consumer::{alive, settle},
    dead_letter::{self, DeadLetter},
    dedupe::{self, DedupeStore},
    engine::{Arrived, Settlement, Unusable, fetch_letter, full_jitter},
    handler::{HandlerError, Kind},
    metric,
    store::Attempts,
    wiring,
};

/// One handler, with everything that it needs to run.
pub(super) struct Handling<S, D, B> {
    pub(super) service: String,
    pub(super) name: String,
    pub(super) event: EventRef,
    pub(super) work: Arc<dyn Work<S>>,
    pub(super) state: Arc<S>,
    pub(super) store: Arc<D>,
    pub(super) tuning: Tuning,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) bus: B,
}

impl<S: Send + Sync + 'static, D: DedupeStore, B: Bus> Handling<S, D, B> {
    /// Handles an event and settles it. If dropped midway, the event is delivered again.
    pub(super) async fn deal_with(&self, delivery: Delivery) {
        let mut arrived = [Arrived::read(delivery, self.tuning.payload_max)];
        let who = (&*self.service, &*self.name);
        if let Err(error) = fetch_letter(&self.bus, who, self.tuning.payload_max, &mut arrived[0]).await {
            warn!(reaction = self.name, %error, "the dead letter to redrive can't be fetched; trying again");
        }
        let settlement = alive(self.tuning.ack_wait, &arrived, self.settlement(&arrived[0])).await;
        let [arrived] = arrived;
        settle(arrived.delivery, settlement).await;
    }

    async fn settlement(&self, arrived: &Arrived) -> Settlement {
        let delivery = &arrived.delivery;
        let event = match &arrived.event {
            Ok(event) if event.meta.event == self.event => event,
            Ok(other) => {
                return self.give_up(delivery, format!("the reaction does not run on {}", other.meta.event)).await;
            }
            Err(Unusable::NotFetched) => return Settlement::Again { after: self.backoff(delivery) },
            Err(unusable) => return self.give_up(delivery, unusable.to_string()).await,
        };
        let Err(failure) = self.handle(event).await else {
            self.count(metric::HANDLED);
            return Settlement::Done;
        };
        match failure.kind() {
            Kind::Busy(left) => {
                debug!(event_id = %event.meta.id, reaction = self.name, %failure, "looking again");
                // It may be done long before its lease ends.
                Settlement::Again { after: self.backoff(delivery).min(left) }
            }
            Kind::Unavailable | Kind::ReadOnly => {
                warn!(event_id = %event.meta.id, reaction = self.name, %failure, "unavailable; trying again");
                Settlement::Again { after: self.backoff(delivery) }
            }
            Kind::Transient | Kind::Conflict if delivery.delivered < u64::from(self.tuning.max_attempts) => {
                warn!(event_id = %event.meta.id, reaction = self.name, %failure, "the handler failed; trying again");
                self.count(metric::RETRIES);
                Settlement::Again { after: self.backoff(delivery) }
            }
            Kind::Transient | Kind::Conflict | Kind::Reject => self.give_up(delivery, failure.to_string()).await,
        }
    }

    async fn handle(&self, event: &RawEnvelope) -> Result<(), HandlerError> {
        let key = IdempotencyKey::new(&wiring::durable(&self.service, &self.name), event.meta.id);
        dedupe::once(&*self.store, key.as_str(), self.tuning.timeout, || self.work.run(&self.state, &key, event)).await
    }

    /// Publishes the dead letter, and only then ends the event. If that fails, the event is delivered again.
    async fn give_up(&self, delivery: &Delivery, cause: String) -> Settlement {
        let now = self.clock.now().as_microsecond();
        let count = u32::try_from(delivery.delivered).unwrap_or(u32::MAX);
        let attempts = Attempts { count, first_failed_at: now, last_failed_at: now };
        let letter = DeadLetter { service: &self.service, reaction: &self.name, cause: &cause, attempts };
        let limit = u64::try_from(self.bus.message_max()).unwrap_or(u64::MAX);
        let (letter, _) = dead_letter::fit(dead_letter::outgoing(&letter, delivery), limit);
        for published in self.bus.publish(vec![letter]).await {
            if let Err(error) = published {
                warn!(reaction = self.name, %error, cause, "the dead letter can't be published; trying again");
                return Settlement::Again { after: self.backoff(delivery) };
            }
        }
        error!(
            reaction = self.name,
            subject = delivery.message.subject,
            cause,
            "gave up on an event; it is kept as a dead letter"
        );
        self.count(metric::DEAD_LETTERS);
        Settlement::Dead { reason: cause }
    }

    fn backoff(&self, delivery: &Delivery) -> Duration {
        let times = u32::try_from(delivery.delivered).unwrap_or(u32::MAX);
        full_jitter(self.tuning.backoff_base, self.tuning.backoff_max, times, &*self.clock)
    }

    fn count(&self, what: &'static str) {
        let (service, reaction) = (self.service.clone(), self.name.clone());
        if what == metric::HANDLED {
            metrics::counter!(what, "service" => service, "reaction" => reaction, "result" => "handled").increment(1);
        } else {
            metrics::counter!(what, "service" => service, "reaction" => reaction).increment(1);
        }
    }
}
