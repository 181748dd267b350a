use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use pavane_contract::Timestamp;

use super::after;
use crate::{Message, Outgoing, PublishError, Receipt, StreamState, message::MESSAGE_ID};

/// A message in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its sequence.
    pub sequence: u64,
    /// When it was stored.
    pub time: Timestamp,
    /// The published message, with `Nats-Msg-Id` among the headers.
    pub message: Message,
}

/// A stream with limits retention that refuses new messages when it is full.
#[derive(Debug)]
pub(super) struct Stream {
    created: Timestamp,
    pub(super) limits: Limits,
    messages: BTreeMap<u64, Stored>,
    last_sequence: u64,
    bytes: u64,
    ids: BTreeMap<String, u64>,
    /// The ids by age, to drop them at the end of the duplicate window.
    recent: VecDeque<(Timestamp, String)>,
}

/// The settings in which the streams differ.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) subjects: BTreeSet<String>,
    pub(super) max_age: Duration,
    pub(super) duplicate_window: Duration,
    pub(super) max_bytes: Option<u64>,
    pub(super) replicas: usize,
}

impl Stream {
    pub(super) fn new(created: Timestamp, limits: Limits) -> Self {
        Self {
            created,
            limits,
            messages: BTreeMap::new(),
            last_sequence: 0,
            bytes: 0,
            ids: BTreeMap::new(),
            recent: VecDeque::new(),
        }
    }

    pub(super) const fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    pub(super) fn state(&self, now: Timestamp) -> StreamState {
        let oldest = self.messages.values().find(|stored| after(stored.time, self.limits.max_age) > now);
        StreamState {
            created: self.created,
            first_sequence: oldest.map_or(self.last_sequence + 1, |stored| stored.sequence),
            last_sequence: self.last_sequence,
            now: Some(now),
        }
    }

    pub(super) fn store(&mut self, now: Timestamp, outgoing: Outgoing) -> Result<Receipt, PublishError> {
        self.expire(now);
        if let Some(&sequence) = self.ids.get(&outgoing.message_id) {
            return Ok(Receipt { sequence, duplicate: true });
        }
        let Outgoing { subject, mut headers, payload, message_id } = outgoing;
        headers.push(MESSAGE_ID, message_id.clone());
        let message = Message { subject, headers, payload };
        let size = message.size();
        if self.limits.max_bytes.is_some_and(|limit| self.bytes.saturating_add(size) > limit) {
            return Err(PublishError::Unavailable("maximum bytes exceeded".to_owned()));
        }
        self.last_sequence += 1;
        let sequence = self.last_sequence;
        self.bytes += size;
        self.messages.insert(sequence, Stored { sequence, time: now, message });
        self.ids.insert(message_id.clone(), sequence);
        self.recent.push_back((now, message_id));
        Ok(Receipt { sequence, duplicate: false })
    }

    /// Drops what is older than the limits.
    pub(super) fn expire(&mut self, now: Timestamp) {
        while let Some((time, id)) = self.recent.front() {
            if after(*time, self.limits.duplicate_window) > now {
                break;
            }
            self.ids.remove(id);
            self.recent.pop_front();
        }
        while let Some(first) = self.messages.first_entry() {
            if after(first.get().time, self.limits.max_age) > now {
                break;
            }
            self.bytes = self.bytes.saturating_sub(first.remove().message.size());
        }
    }

    pub(super) fn message(&self, sequence: u64) -> Option<&Stored> {
        self.messages.get(&sequence)
    }

    pub(super) fn messages_from(&self, sequence: u64) -> impl Iterator<Item = &Stored> {
        self.messages.range(sequence..).map(|(_, stored)| stored)
    }

    pub(super) fn message_id(&self, sequence: u64) -> Option<String> {
        self.message(sequence).and_then(|stored| stored.message.headers.get(MESSAGE_ID)).map(ToOwned::to_owned)
    }

    /// Drops everything after a sequence, ids included: a restarted server rebuilds the ids from what it still has.
    pub(super) fn roll_back(&mut self, last_sequence: u64) {
        let lost = self.messages.split_off(&last_sequence.saturating_add(1));
        self.bytes = self.bytes.saturating_sub(lost.values().map(|stored| stored.message.size()).sum());
        self.last_sequence = self.last_sequence.min(last_sequence);
        self.ids.retain(|_, sequence| *sequence <= last_sequence);
        let ids = &self.ids;
        self.recent.retain(|(_, id)| ids.contains_key(id));
    }
}
