//! The dead letters, without their bodies.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::report::{Action, DeadLetter, DeadLetterGroup, Decision, LetterFate};

/// Selects dead letters: all given conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(default)]
#[non_exhaustive]
pub struct LetterFilter {
    /// The service that gave up.
    pub service: Option<String>,
    /// The reaction that gave up.
    pub reaction: Option<String>,
    /// The event's name.
    pub event: Option<String>,
    /// A part of the cause.
    pub cause: Option<String>,
    /// The id of a group.
    pub group: Option<String>,
    /// The saga.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>), param(value_type = Option<String>))]
    pub saga: Option<pavane_contract::SagaId>,
    /// These sequences; empty for all.
    pub sequences: Vec<u64>,
    /// Whether to include letters with a decision.
    pub decided: bool,
}

impl LetterFilter {
    /// Whether it selects a dead letter.
    pub fn matches(&self, letter: &DeadLetter) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        is(&self.service, &letter.service)
            && is(&self.reaction, &letter.reaction)
            && is(&self.event, &letter.event)
            && self.cause.as_ref().is_none_or(|cause| letter.cause.contains(cause.as_str()))
            && self.group.as_ref().is_none_or(|group| *group == group_id(letter))
            && self.saga.is_none_or(|saga| letter.saga == Some(saga))
            && (self.sequences.is_empty() || self.sequences.contains(&letter.sequence))
            && (self.decided || letter.fate == LetterFate::Open)
    }
}

#[derive(Debug, Default)]
pub(super) struct Letters {
    letters: BTreeMap<u64, DeadLetter>,
    /// Decisions about letters, also about those that are gone.
    decided: HashMap<u64, Decision>,
}

impl Letters {
    pub(super) fn add(&mut self, mut letter: DeadLetter, max: usize) {
        letter.fate = fate(&letter, self.decided.get(&letter.sequence));
        self.letters.insert(letter.sequence, letter);
        while self.letters.len() > max {
            self.letters.pop_first();
        }
    }

    pub(super) fn decide(&mut self, decision: &Decision) {
        // To look at a letter is no decision about it.
        let Some(sequence) = decision.dead_letter.filter(|_| decision.action != Action::Reveal) else { return };
        if let Some(letter) = self.letters.get_mut(&sequence) {
            letter.fate = fate(letter, Some(decision));
        }
        self.decided.insert(sequence, decision.clone());
    }

    /// Those before a sequence are gone from the stream.
    pub(super) fn forget_before(&mut self, sequence: u64) {
        self.letters = self.letters.split_off(&sequence);
        self.decided.retain(|decided, _| *decided >= sequence);
    }

    pub(super) fn get(&self, sequence: u64) -> Option<&DeadLetter> {
        self.letters.get(&sequence)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &DeadLetter> {
        self.letters.values()
    }

    pub(super) fn open(&self) -> impl Iterator<Item = &DeadLetter> {
        self.all().filter(|letter| letter.fate == LetterFate::Open)
    }
}

/// A decision about a letter with that sequence in an earlier stream doesn't count.
fn fate(letter: &DeadLetter, decision: Option<&Decision>) -> LetterFate {
    let about_it = |decision: &&Decision| {
        decision.event_id == letter.event_id && decision.reaction.as_ref() == Some(&letter.reaction)
    };
    match decision.filter(about_it).map(|decision| decision.action) {
        Some(Action::Redrive) => LetterFate::Redriven,
        Some(Action::Discard) => LetterFate::Discarded,
        Some(Action::Resolve | Action::Reveal) | None => LetterFate::Open,
    }
}

/// Groups dead letters, the largest group first.
pub(super) fn groups<'a>(letters: impl Iterator<Item = &'a DeadLetter>) -> Vec<DeadLetterGroup> {
    const SEQUENCES_MAX: usize = 100;
    let mut groups: BTreeMap<String, DeadLetterGroup> = BTreeMap::new();
    for letter in letters {
        let group = groups.entry(group_id(letter)).or_insert_with_key(|id| DeadLetterGroup {
            service: letter.service.clone(),
            reaction: letter.reaction.clone(),
            cause: general(&letter.cause),
            id: id.clone(),
            count: 0,
            oldest: letter.stored_at,
            newest: letter.stored_at,
            sequences: Vec::new(),
        });
        group.count += 1;
        group.oldest = group.oldest.min(letter.stored_at);
        group.newest = group.newest.max(letter.stored_at);
        if group.sequences.len() < SEQUENCES_MAX {
            group.sequences.push(letter.sequence);
        }
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.id.cmp(&b.id)));
    groups
}

fn group_id(letter: &DeadLetter) -> String {
    let cause = Uuid::new_v5(&Uuid::NAMESPACE_OID, general(&letter.cause).as_bytes());
    format!("{}/{}/{:08x}", letter.service, letter.reaction, cause.as_fields().0)
}

/// A cause without words with digits, such as numbers and ids, which differ from event to event.
fn general(cause: &str) -> String {
    let general = |word: &str| {
        if !word.contains(|c: char| c.is_ascii_digit()) {
            return word.to_owned();
        }
        let kept = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.');
        let (before, after) = (word.find(|c| !kept(c)).unwrap_or(0), word.rfind(|c| !kept(c)).map_or(0, |end| end + 1));
        format!("{}…{}", &word[..before], word.get(after..).unwrap_or_default())
    };
    cause.split(' ').map(general).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::general;

    #[test]
    fn causes_that_differ_in_numbers_and_ids_only_are_one() {
        for (cause, expected) in [
            ("order 0192f7c0-1b2c-7000-8000-000000000001 is unknown", "order … is unknown"),
            ("no stock for \"sku-7\" (3 missing)", "no stock for \"…\" (… missing)"),
            ("nothing to replace", "nothing to replace"),
            ("", ""),
        ] {
            assert_eq!(general(cause), expected, "{cause}");
        }
    }
}
