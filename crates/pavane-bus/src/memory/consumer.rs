use std::{collections::BTreeMap, time::Duration};

use pavane_contract::Timestamp;

use super::{Faults, after, random::Random, stream::Stream};
use crate::{ConsumerConfig, ConsumerPosition, Message, topology};

/// A durable consumer: how far it has read, and its unsettled deliveries.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) config: ConsumerConfig,
    /// The next sequence to read.
    position: u64,
    unsettled: BTreeMap<u64, Unsettled>,
    /// Numbers the deliveries of new messages, so that an answer can't settle a later message with the same sequence.
    generations: u64,
}

#[derive(Debug)]
struct Unsettled {
    delivered: u64,
    due: Timestamp,
    generation: u64,
}

/// What a delivery is made of.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) message: Message,
    pub(super) delivered: u64,
    pub(super) id: DeliveryId,
}

/// Identifies a delivery in an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeliveryId {
    pub(super) sequence: u64,
    generation: u64,
}

/// The answer to a delivery.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    /// Acked or rejected: never deliver it again.
    Done,
    RetryAfter(Duration),
    /// A heartbeat: the ack wait begins again.
    InProgress,
}

impl Consumer {
    pub(super) fn new(config: ConsumerConfig) -> Self {
        Self { config, position: 1, unsettled: BTreeMap::new(), generations: 0 }
    }

    /// First redeliveries that are due, as the server does, then new messages within `max_ack_pending`.
    pub(super) fn take(
        &mut self,
        stream: &Stream,
        credits: usize,
        now: Timestamp,
        chaos: (&Faults, &mut Random),
    ) -> Vec<Taken> {
        let (faults, random) = chaos;
        self.unsettled.retain(|sequence, _| stream.message(*sequence).is_some());
        let mut taken = self.take_due(stream, credits, now);
        while taken.len() < credits && self.unsettled.len() < self.config.max_ack_pending {
            let Some(stored) = self.next_new(stream) else {
                // No message matches, so none need be read again.
                self.position = stream.last_sequence() + 1;
                break;
            };
            self.position = stored.sequence + 1;
            self.generations += 1;
            let generation = self.generations;
            if random.chance(faults.delay) {
                let due = after(now, faults.delay_max.mul_f64(random.fraction()));
                self.unsettled.insert(stored.sequence, Unsettled { delivered: 0, due, generation });
                continue;
            }
            let due = if random.chance(faults.duplicate) { now } else { after(now, self.config.ack_wait) };
            self.unsettled.insert(stored.sequence, Unsettled { delivered: 1, due, generation });
            let id = DeliveryId { sequence: stored.sequence, generation };
            taken.push(Taken { message: stored.message.clone(), delivered: 1, id });
        }
        if random.chance(faults.reorder) {
            random.shuffle(&mut taken);
        }
        taken
    }

    fn take_due(&mut self, stream: &Stream, credits: usize, now: Timestamp) -> Vec<Taken> {
        let mut due: Vec<(Timestamp, u64)> = self
            .unsettled
            .iter()
            .filter(|(_, entry)| entry.due <= now)
            .map(|(sequence, entry)| (entry.due, *sequence))
            .collect();
        due.sort_unstable();
        let mut taken = Vec::new();
        for (_, sequence) in due.into_iter().take(credits) {
            if let (Some(entry), Some(stored)) = (self.unsettled.get_mut(&sequence), stream.message(sequence)) {
                entry.delivered += 1;
                entry.due = after(now, self.config.ack_wait);
                let id = DeliveryId { sequence, generation: entry.generation };
                taken.push(Taken { message: stored.message.clone(), delivered: entry.delivered, id });
            }
        }
        taken
    }

    pub(super) fn settle(&mut self, id: DeliveryId, answer: Answer, now: Timestamp) {
        let ack_wait = self.config.ack_wait;
        let Some(entry) = self.unsettled.get_mut(&id.sequence).filter(|entry| entry.generation == id.generation) else {
            return;
        };
        match answer {
            Answer::Done => {
                self.unsettled.remove(&id.sequence);
            }
            Answer::RetryAfter(delay) => entry.due = after(now, delay),
            Answer::InProgress => entry.due = after(now, ack_wait),
        }
    }

    /// When there will be something to take; `now` if there is already.
    pub(super) fn next_due(&self, stream: &Stream, now: Timestamp) -> Option<Timestamp> {
        if self.unsettled.len() < self.config.max_ack_pending && self.next_new(stream).is_some() {
            return Some(now);
        }
        self.unsettled.values().map(|entry| entry.due.max(now)).min()
    }

    pub(super) fn position(&self, stream: &Stream) -> ConsumerPosition {
        let delivered = self.position - 1;
        let oldest = self.unsettled.keys().next();
        ConsumerPosition {
            delivered,
            settled: oldest.map_or(delivered, |oldest| oldest - 1),
            unsettled: self.unsettled.len() as u64,
            undelivered: self.undelivered(stream) as u64,
        }
    }

    pub(super) fn unsettled(&self) -> usize {
        self.unsettled.len()
    }

    pub(super) fn undelivered(&self, stream: &Stream) -> usize {
        stream.messages_from(self.position).filter(|stored| self.wants(&stored.message.subject)).count()
    }

    pub(super) fn roll_back(&mut self, last_sequence: u64) {
        self.unsettled.retain(|sequence, _| *sequence <= last_sequence);
        self.position = self.position.min(last_sequence.saturating_add(1));
    }

    fn next_new<'a>(&self, stream: &'a Stream) -> Option<&'a super::Stored> {
        stream.messages_from(self.position).find(|stored| self.wants(&stored.message.subject))
    }

    fn wants(&self, subject: &str) -> bool {
        self.config.filter_subjects.iter().any(|filter| topology::matches(filter, subject))
    }
}
