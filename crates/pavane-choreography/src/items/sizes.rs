//! How many items the lists of a saga have, in every combination that is explored.

use std::{collections::BTreeMap, iter};

use pavane_contract::EventRef;

use super::of_list;
use crate::{Choreography, Emission, Manifest, Saga, graph::Actor};

/// How many items each list has. One, where it isn't named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sizes(BTreeMap<EventRef, usize>);

impl Sizes {
    pub(crate) fn size(&self, list: &EventRef) -> usize {
        self.0.get(list).copied().unwrap_or(1)
    }

    /// Whether a list is empty.
    pub(crate) fn has_none(&self) -> bool {
        self.0.values().any(|size| *size == 0)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&EventRef, usize)> {
        self.0.iter().map(|(list, size)| (list, *size))
    }
}

/// Every combination of sizes: one, none where the emitter says what it emits then, and two. Items of a list differ by nothing but their
/// number, so what goes wrong between any two goes wrong between these.
///
/// # Errors
///
/// The lists, where the combinations are more than `max`.
pub(crate) fn combinations(choreography: &Choreography, saga: &Saga, max: usize) -> Result<Vec<Sizes>, Vec<EventRef>> {
    let lists = lists(choreography, saga);
    let mut combinations = vec![Sizes::default()];
    for (list, sizes) in &lists {
        if combinations.len() * sizes.len() > max {
            return Err(lists.into_keys().collect());
        }
        let with = |so_far: &Sizes, size: usize| {
            let more = so_far.0.clone().into_iter().chain(iter::once((list.clone(), size)));
            Sizes(more.collect())
        };
        combinations = sizes.iter().flat_map(|size| combinations.iter().map(|it| with(it, *size))).collect();
    }
    Ok(combinations)
}

/// The lists of a saga, and how many items each is explored with.
fn lists(choreography: &Choreography, saga: &Saga) -> BTreeMap<EventRef, Vec<usize>> {
    let graph = choreography.graph();
    let starts_another = |event: &EventRef| {
        let others = choreography.sagas().iter().filter_map(|other| other.starts_with.as_ref());
        saga.starts_with.as_ref() != Some(event) && others.into_iter().any(|start| start == event)
    };
    let entries = graph.actors.iter().filter(|actor| actor.reaction().is_none());
    let ours = entries.filter(|entry| {
        entry.answers().any(|event| saga.starts_with.as_ref() == Some(event)) || !entry.answers().any(starts_another)
    });
    let reached = graph.reached(ours.flat_map(Actor::answers), &[]);
    let groups = choreography.manifests().iter().flat_map(Manifest::emissions);
    let lists = groups.filter_map(|group| Some((of_list(group)?, group)));
    let mut sizes: BTreeMap<EventRef, Vec<usize>> = BTreeMap::new();
    for (list, group) in lists.filter(|(list, _)| reached.contains(*list)) {
        let sizes = sizes.entry(list.clone()).or_insert_with(|| vec![1, 2]);
        // A saga that starts with an item has one.
        if declares_none(group) && saga.starts_with.as_ref() != Some(list) && !sizes.contains(&0) {
            sizes.insert(1, 0);
        }
    }
    sizes
}

fn declares_none(group: &Emission) -> bool {
    group.events().len() > 1
}
