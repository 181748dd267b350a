//! The ways in which a reaction or an entry point may answer.

use super::Compiler;
use crate::{Emission, model::state::EventIx};

/// One way in which a reaction may answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) emits: Vec<EventIx>,
    pub(crate) schedules: Vec<EventIx>,
    pub(crate) decides: bool,
}

impl Compiler<'_> {
    /// Every combination of what each group may choose.
    pub(super) fn answers(&self, groups: &[Emission], decided: bool) -> Vec<Answer> {
        groups.iter().fold(vec![Answer::default()], |so_far, group| {
            let choices = self.choices(group, decided);
            let with = |answer: &Answer| choices.iter().map(|choice| answer.and(choice)).collect::<Vec<_>>();
            so_far.iter().flat_map(with).collect()
        })
    }

    fn choices(&self, group: &Emission, decided: bool) -> Vec<Answer> {
        let events: Vec<EventIx> = group.events().iter().map(|event| self.event(event)).collect();
        let one = |event: EventIx| Answer { emits: vec![event], ..Answer::default() };
        match group {
            Emission::All(_) => vec![Answer { emits: events, ..Answer::default() }],
            Emission::Each(_) | Emission::OneOf(_) => events.into_iter().map(one).collect(),
            Emission::Maybe(_) => events.into_iter().fold(vec![Answer::default()], |subsets, event| {
                let with: Vec<_> = subsets.iter().map(|subset| subset.and(&one(event))).collect();
                [with, subsets].concat()
            }),
            Emission::Outcome(_) if decided => vec![Answer::default()],
            Emission::Outcome(_) => events.into_iter().map(|event| Answer { decides: true, ..one(event) }).collect(),
            Emission::Scheduled(_) => vec![Answer { schedules: events, ..Answer::default() }],
        }
    }
}

impl Answer {
    fn and(&self, other: &Self) -> Self {
        Self {
            emits: [&self.emits[..], &other.emits[..]].concat(),
            schedules: [&self.schedules[..], &other.schedules[..]].concat(),
            decides: self.decides || other.decides,
        }
    }
}
