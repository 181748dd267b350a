//! What opens and what ends the wait for a person or for a timer.

use std::collections::BTreeSet;

use super::{Actor, Compiler};
use crate::model::state::EventIx;

impl Compiler<'_> {
    /// The entry points that answer each event.
    pub(super) fn asks(&self, actors: &[Actor]) -> Vec<Vec<u16>> {
        let mut asks = vec![Vec::new(); self.events.len()];
        for (entry, actor) in (0..).zip(actors) {
            if let Some(question) = actor.question {
                asks[usize::from(question.asks)].push(entry);
            }
        }
        asks
    }

    /// The entry points at which each service's outcome ends the wait for an answer.
    pub(super) fn closes(&self, actors: &[Actor]) -> Vec<Vec<u16>> {
        let mut closes = vec![Vec::new(); self.services.len()];
        for (entry, actor) in (0..).zip(actors) {
            if actor.question.is_some() && actor.expires_with().is_none() {
                closes[actor.service].push(entry);
            }
        }
        closes
    }

    /// What each service's outcome cancels.
    pub(super) fn cancels(&self) -> Vec<Vec<EventIx>> {
        let of = |service: &String| {
            let ours = self.manifests.iter().filter(|manifest| manifest.service == *service);
            let names: BTreeSet<&str> = ours.flat_map(|manifest| manifest.cancelled_by_outcome()).collect();
            let cancelled = (0..).zip(&self.events).filter(|(_, event)| names.contains(&*event.name));
            cancelled.map(|(ix, _)| ix).collect()
        };
        self.services.iter().map(of).collect()
    }
}
