//! What the latest events show: wrong clocks, and how long answers take.

use std::collections::{BTreeMap, HashMap};

use pavane_bus::{
    Error, JetStream,
    jetstream::{Start, StreamReport},
    topology::EVENTS,
};
use pavane_choreography::Declaration;
use pavane_contract::{EventId, EventRef, Timestamp};
use pavane_observe::Update;

/// How many of the latest messages are read.
const MESSAGES: u64 = 20_000;
/// Messages in one batch.
const BATCH_MAX: usize = 4096;

/// The latest events.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pub(super) events: usize,
    /// For each service, the shortest time from an event's own time to its storing, in milliseconds (negative when the service's
    /// clock is ahead of the server's), and the number of events.
    pub(super) delays: BTreeMap<String, (i64, usize)>,
    /// Each answer: the service, its event, the event before, and the milliseconds from storing to storing.
    answers: Vec<(String, EventRef, EventRef, u64)>,
}

impl Tail {
    pub(super) async fn read(bus: &JetStream, stream: &StreamReport) -> Result<Self, Error> {
        let start = stream.last_sequence.saturating_sub(MESSAGES).max(1);
        let mut reader = bus.read(EVENTS, &[], Start::Sequence(start)).await?;
        let (mut tail, mut causes) = (Self::default(), HashMap::new());
        while reader.remaining() > 0 {
            for stored in reader.next(BATCH_MAX).await? {
                tail.add(&pavane_observe::event(&stored), &mut causes);
            }
        }
        Ok(tail)
    }

    /// Adds one message; `causes` are the events before it.
    pub(super) fn add(&mut self, update: &Update, causes: &mut HashMap<EventId, (EventRef, Timestamp)>) {
        let Update::Event(event) = update else { return };
        // A redriven event, or one that was stored twice, was emitted long before.
        if event.redriven_to.is_some() || causes.contains_key(&event.meta.id) {
            return;
        }
        let (meta, stored_at) = (&event.meta, event.stored_at);
        self.events += 1;
        let delay = crate::words::between(meta.time, stored_at);
        let (shortest, count) = self.delays.entry(meta.source.clone()).or_insert((delay, 0));
        *shortest = delay.min(*shortest);
        *count += 1;
        if let Some((cause, caused_at)) = meta.cause.event.and_then(|cause| causes.get(&cause)) {
            let took = crate::words::between(*caused_at, stored_at);
            let took = u64::try_from(took).unwrap_or(0);
            self.answers.push((meta.source.clone(), meta.event.clone(), cause.clone(), took));
        }
        causes.insert(meta.id, (meta.event.clone(), stored_at));
    }

    /// The 99th percentile of a reaction's answer times, and their number. Waiting in line is included, so the handler itself
    /// took less.
    pub(super) fn p99(&self, declaration: &Declaration, reaction: &str) -> Option<(u64, usize)> {
        let service = &declaration.manifest.service;
        let reaction = declaration.manifest.reactions.iter().find(|declared| declared.name == reaction)?;
        let its = |(by, answer, cause, _): &&(String, EventRef, EventRef, u64)| {
            by == service && reaction.on.contains(cause) && reaction.emitted().any(|emitted| emitted == answer)
        };
        let mut took: Vec<u64> = self.answers.iter().filter(its).map(|(.., took)| *took).collect();
        took.sort_unstable();
        let at = (took.len() * 99).div_ceil(100).saturating_sub(1);
        took.get(at).map(|p99| (*p99, took.len()))
    }
}
