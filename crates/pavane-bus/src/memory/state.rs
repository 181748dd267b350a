use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pavane_contract::Timestamp;

use super::{
    Faults, Pending, Stored,
    consumer::{Answer, Consumer, DeliveryId, Taken},
    random::Random,
    stream::{Limits, Stream},
};
use crate::{
    ConsumerConfig, ConsumerPosition, Error, Health, Message, Outgoing, PublishError, Receipt, StreamState, Topology,
    drift::{Drift, set},
    topology::{DEAD_LETTERS, DEAD_LETTERS_SUBJECTS, EVENTS, EVENTS_SUBJECTS},
};

/// The server's default limit, headers included.
pub(super) const MESSAGE_MAX: usize = 1024 * 1024;

/// The server.
#[derive(Debug)]
pub(super) struct State {
    streams: BTreeMap<&'static str, Stream>,
    /// Consumers of the events stream by durable name.
    consumers: BTreeMap<String, Consumer>,
    random: Random,
    pub(super) faults: Faults,
    connected: bool,
    reconnects: u64,
    /// The prefix of subjects that nobody may publish to.
    pub(super) forbidden: Option<String>,
    /// Streams that refuse messages.
    full: BTreeSet<String>,
}

impl State {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        Self {
            streams: BTreeMap::new(),
            consumers: BTreeMap::new(),
            random: Random::new(seed),
            faults,
            connected: true,
            reconnects: 0,
            forbidden: None,
            full: BTreeSet::new(),
        }
    }

    pub(super) fn provision(&mut self, topology: &Topology, now: Timestamp) -> Result<(), Error> {
        self.check_connected()?;
        let limits = |subjects: &[&str], max_age: Duration, max_bytes| Limits {
            subjects: set(subjects),
            max_age,
            duplicate_window: topology.duplicate_window,
            max_bytes,
            replicas: topology.replicas,
        };
        let events = limits(&EVENTS_SUBJECTS, topology.max_age, topology.max_bytes);
        let dead_letters = limits(&DEAD_LETTERS_SUBJECTS, topology.dead_letter_max_age, topology.dead_letter_max_bytes);
        for (name, wanted) in [(EVENTS, events), (DEAD_LETTERS, dead_letters)] {
            match self.streams.get_mut(name) {
                None => {
                    self.streams.insert(name, Stream::new(now, wanted));
                }
                Some(found) => {
                    differences(&found.limits, &wanted).judge(format!("the stream {name}"))?;
                    found.limits = Limits { max_bytes: wanted.max_bytes.or(found.limits.max_bytes), ..wanted };
                }
            }
        }
        Ok(())
    }

    pub(super) fn publish(&mut self, message: Outgoing, now: Timestamp) -> Result<Receipt, PublishError> {
        if !self.connected {
            return Err(PublishError::Unavailable("not connected".to_owned()));
        }
        let name = message.stream()?;
        message.check_headers()?;
        if self.forbidden.as_ref().is_some_and(|prefix| message.subject.starts_with(prefix)) {
            return Err(PublishError::Denied(format!("publish to {:?}", message.subject)));
        }
        if message.size() > MESSAGE_MAX as u64 {
            return Err(PublishError::Refused(format!("the message has {} bytes, over {MESSAGE_MAX}", message.size())));
        }
        if self.full.contains(name) {
            return Err(PublishError::Unavailable("maximum bytes exceeded".to_owned()));
        }
        let Some(stream) = self.streams.get_mut(name) else {
            return Err(PublishError::Unavailable(format!("the stream {name} does not exist")));
        };
        if self.random.chance(self.faults.drop_publish) {
            return Err(PublishError::Unavailable("the message got lost".to_owned()));
        }
        let receipt = stream.store(now, message)?;
        if self.random.chance(self.faults.drop_publish_ack) {
            return Err(PublishError::Unavailable("the answer got lost".to_owned()));
        }
        Ok(receipt)
    }

    pub(super) fn open_consumer(&mut self, wanted: &ConsumerConfig) -> Result<(), Error> {
        self.check_connected()?;
        wanted.validate()?;
        if !self.streams.contains_key(EVENTS) {
            return Err(Error::NoStream(EVENTS.to_owned()));
        }
        if let Some(found) = self.consumers.get_mut(&wanted.durable) {
            let mut drift = Drift::default();
            drift.consumer(&found.config, wanted);
            drift.judge(format!("the consumer {}", wanted.durable))?;
            found.config = wanted.clone();
        } else {
            self.consumers.insert(wanted.durable.clone(), Consumer::new(wanted.clone()));
        }
        Ok(())
    }

    pub(super) fn take(&mut self, durable: &str, credits: usize, now: Timestamp) -> Result<Vec<Taken>, Error> {
        let (Some(consumer), Some(stream)) = (self.consumers.get_mut(durable), self.streams.get_mut(EVENTS)) else {
            return Err(Error::Gone(durable.to_owned()));
        };
        if !self.connected {
            return Ok(Vec::new());
        }
        stream.expire(now);
        Ok(consumer.take(stream, credits, now, (&self.faults, &mut self.random)))
    }

    pub(super) fn settle(
        &mut self,
        durable: &str,
        id: DeliveryId,
        answer: Answer,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.check_connected()?;
        if self.random.chance(self.faults.lose_ack) {
            return Ok(());
        }
        // An answer to a consumer that doesn't exist is ignored, as on a server.
        if let Some(consumer) = self.consumers.get_mut(durable) {
            consumer.settle(id, answer, now);
        }
        Ok(())
    }

    pub(super) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        self.consumers.keys().filter_map(|durable| self.consumer_due(durable, now)).min()
    }

    pub(super) fn consumer_due(&self, durable: &str, now: Timestamp) -> Option<Timestamp> {
        if !self.connected {
            return None;
        }
        self.consumers.get(durable)?.next_due(self.streams.get(EVENTS)?, now)
    }

    pub(super) fn stream_state(&self, now: Timestamp) -> Result<StreamState, Error> {
        Ok(self.events()?.state(now))
    }

    pub(super) fn consumer_position(
        &mut self,
        durable: &str,
        now: Timestamp,
    ) -> Result<Option<ConsumerPosition>, Error> {
        self.check_connected()?;
        let stream = self.streams.get_mut(EVENTS).ok_or_else(|| Error::NoStream(EVENTS.to_owned()))?;
        stream.expire(now);
        Ok(self.consumers.get(durable).map(|consumer| consumer.position(stream)))
    }

    pub(super) fn message_id_at(&self, sequence: u64) -> Result<Option<String>, Error> {
        Ok(self.events()?.message_id(sequence))
    }

    pub(super) fn dead_letter_at(&mut self, sequence: u64, now: Timestamp) -> Result<Option<Message>, Error> {
        const ASKED: &str = "$JS.API.STREAM.MSG.GET.DEAD_LETTERS";
        self.check_connected()?;
        if self.forbidden.as_ref().is_some_and(|prefix| ASKED.starts_with(prefix)) {
            return Err(Error::Denied(format!("publish to {ASKED:?}")));
        }
        let letters = self.streams.get_mut(DEAD_LETTERS).ok_or_else(|| Error::NoStream(DEAD_LETTERS.to_owned()))?;
        letters.expire(now);
        Ok(letters.message(sequence).map(|stored| stored.message.clone()))
    }

    pub(super) fn messages(&self, stream: &str) -> Vec<Stored> {
        self.streams.get(stream).into_iter().flat_map(|stream| stream.messages_from(0)).cloned().collect()
    }

    pub(super) fn pending(&self, durable: &str) -> Option<Pending> {
        let consumer = self.consumers.get(durable)?;
        let undelivered = self.streams.get(EVENTS).map_or(0, |stream| consumer.undelivered(stream));
        Some(Pending { unsettled: consumer.unsettled(), undelivered })
    }

    pub(super) fn roll_back(&mut self, stream: &str, last_sequence: u64) {
        if let Some(found) = self.streams.get_mut(stream) {
            found.roll_back(last_sequence);
        }
        if stream == EVENTS {
            self.consumers.values_mut().for_each(|consumer| consumer.roll_back(last_sequence));
        }
        self.reconnects += 1;
    }

    pub(super) fn disconnect(&mut self) {
        self.connected = false;
    }

    pub(super) fn reconnect(&mut self) {
        if !self.connected {
            self.connected = true;
            self.reconnects += 1;
        }
    }

    pub(super) fn set_full(&mut self, stream: &str, full: bool) {
        if full {
            self.full.insert(stream.to_owned());
        } else {
            self.full.remove(stream);
        }
    }

    pub(super) fn delete_consumer(&mut self, durable: &str) {
        self.consumers.remove(durable);
    }

    pub(super) fn health(&self) -> Health {
        Health { connected: self.connected, reconnects: self.reconnects }
    }

    fn events(&self) -> Result<&Stream, Error> {
        self.check_connected()?;
        self.streams.get(EVENTS).ok_or_else(|| Error::NoStream(EVENTS.to_owned()))
    }

    fn check_connected(&self) -> Result<(), Error> {
        if self.connected { Ok(()) } else { Err(Error::Unavailable("not connected".to_owned())) }
    }
}

fn differences(found: &Limits, wanted: &Limits) -> Drift {
    let mut drift = Drift::default();
    drift.gains("subjects", &found.subjects, &wanted.subjects);
    drift.grows("max_age", &found.max_age, &wanted.max_age);
    drift.grows("duplicate_window", &found.duplicate_window, &wanted.duplicate_window);
    if let Some(max_bytes) = wanted.max_bytes {
        drift.grows("max_bytes", &found.max_bytes.unwrap_or(u64::MAX), &max_bytes);
    }
    drift.fixed("replicas", &found.replicas, &wanted.replicas, "want the existing value");
    drift
}
