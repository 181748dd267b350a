//! What a diagram says about items: it shows a choreography that isn't expanded.

use pavane_contract::EventRef;

use super::Compiler;
use crate::{JoinPart, Manifest, Reaction, graph, items};

impl Compiler<'_> {
    /// The parts of a join that wait for every item.
    pub(super) fn every(actor: graph::Actor<'_>) -> Vec<usize> {
        let parts = actor.reaction().into_iter().flat_map(Reaction::parts).enumerate();
        parts.filter(|(_, part)| matches!(part, JoinPart::Every(_))).map(|(part, _)| part).collect()
    }

    /// Which events are those of a list.
    pub(super) fn lists(&self) -> Vec<bool> {
        let groups = || self.manifests.iter().flat_map(Manifest::emissions);
        let is_list = |event: &EventRef| groups().filter_map(items::of_list).any(|list| list == event);
        self.events.iter().map(is_list).collect()
    }
}
