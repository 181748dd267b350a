//! What the consumers show: which events a reaction has handled, and since when it could have handled one.

use std::collections::{HashMap, VecDeque};

use pavane_bus::jetstream::ConsumerReport;
use pavane_contract::Timestamp;

use super::saga::Micros;

/// How many looks at a consumer are kept, to find out when an event was delivered to it.
const LOOKS_MAX: usize = 600;

/// The consumers at the last look.
#[derive(Debug, Default)]
pub(super) struct Lag {
    tracks: HashMap<String, Track>,
}

#[derive(Debug)]
struct Track {
    at: Micros,
    report: ConsumerReport,
    /// When the consumer was first seen to have been delivered events up to a sequence.
    looks: VecDeque<(Micros, u64)>,
    /// Events that were delivered and are certainly not settled.
    unsettled: Vec<u64>,
}

/// What is known about one event at one consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was handled.
    Handled,
    /// It was certainly not handled: since when that is up to the consumer, and the time of the look.
    Open { since: Micros, at: Micros },
    /// It was delivered; whether it was settled isn't known.
    Given { since: Micros },
    /// The consumer wasn't read yet, or doesn't exist.
    Unknown,
}

impl Lag {
    /// Adds a look. `true` when it shows a consumer that was not in the last one.
    pub(super) fn look(&mut self, at: Timestamp, reports: Vec<ConsumerReport>) -> bool {
        let at = at.as_microsecond();
        let mut new = false;
        let mut before = std::mem::take(&mut self.tracks);
        for report in reports.into_iter().filter(|report| report.durable) {
            let known = before.remove(&report.name);
            new |= known.is_none();
            let mut looks = known.map(|track| track.looks).unwrap_or_default();
            let delivered = report.delivered.sequence;
            if looks.back().is_none_or(|(_, last)| *last != delivered) {
                looks.push_back((at, delivered));
            }
            if looks.len() > LOOKS_MAX {
                looks.pop_front();
            }
            self.tracks.insert(report.name.clone(), Track { at, report, looks, unsettled: Vec::new() });
        }
        new
    }

    /// Tells it which events a reaction has not been seen to settle, of a reaction that runs on them all, in order. That narrows
    /// down which of them the consumer is handling.
    pub(super) fn open(&mut self, durable: &str, mut sequences: Vec<u64>) {
        let Some(track) = self.tracks.get_mut(durable) else { return };
        let (settled, delivered) = (track.report.settled.sequence, track.report.delivered.sequence);
        sequences.retain(|sequence| (settled + 1..=delivered).contains(sequence));
        sequences.sort_unstable();
        sequences.dedup();
        let in_flight = usize::try_from(track.report.in_flight).unwrap_or(usize::MAX);
        // The first one after the settled ones is not settled. If as many are unsettled as are possible, none is.
        let certain = if sequences.len() <= in_flight { sequences.len() } else { in_flight.min(1) };
        sequences.truncate(certain);
        track.unsettled = sequences;
    }

    pub(super) fn report(&self, durable: &str) -> Option<&ConsumerReport> {
        self.tracks.get(durable).map(|track| &track.report)
    }

    pub(super) fn reports(&self) -> impl Iterator<Item = &ConsumerReport> {
        self.tracks.values().map(|track| &track.report)
    }

    /// The standing of an event that was stored at `since`, at a consumer.
    pub(super) fn standing(&self, durable: &str, sequence: u64, since: Micros) -> Standing {
        let Some(track) = self.tracks.get(durable) else { return Standing::Unknown };
        let report = &track.report;
        let idle = report.pending == 0 && report.in_flight == 0;
        if report.settled.sequence >= sequence || (idle && report.delivered.sequence >= sequence) {
            return Standing::Handled;
        }
        if sequence > report.delivered.sequence {
            // While it settles earlier events, it is busy, not stuck.
            let busy_until = report.settled.active.map_or(since, Timestamp::as_microsecond);
            return Standing::Open { since: since.max(busy_until), at: track.at };
        }
        let since = track.given_at(sequence).map_or(since, |given| given.max(since));
        if track.unsettled.contains(&sequence) {
            return Standing::Open { since, at: track.at };
        }
        Standing::Given { since }
    }

    /// Since when an answer to an event is awaited: not before the event was delivered to the consumer.
    pub(super) fn awaited_since(&self, durable: &str, sequence: u64, since: Micros) -> Micros {
        match self.standing(durable, sequence, since) {
            Standing::Open { since, .. } | Standing::Given { since } => since,
            Standing::Handled => {
                let given = self.tracks.get(durable).and_then(|track| track.given_at(sequence));
                given.map_or(since, |given| given.max(since))
            }
            Standing::Unknown => since,
        }
    }
}

impl Track {
    /// When an event was first seen as delivered; `None` when that was before the first look.
    fn given_at(&self, sequence: u64) -> Option<Micros> {
        let position = self.looks.partition_point(|(_, delivered)| *delivered < sequence);
        (position > 0).then(|| self.looks.get(position).map(|(at, _)| *at)).flatten()
    }
}
