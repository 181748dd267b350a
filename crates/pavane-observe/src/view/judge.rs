//! The state of a saga at a moment: from the stream, and from the consumers.

use super::{
    View,
    lag::Standing,
    saga::{Micros, Saga, Wait, What},
};
use crate::{
    report::{Histogram, LetterFate, State},
    rules::RuleId,
};

/// A wait, judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged {
    /// Whether the answer is known to be awaited.
    pub(super) certain: bool,
    pub(super) overdue: bool,
}

impl View {
    /// Computes what changed sagas wait for.
    pub(super) fn refresh_touched(&mut self) {
        for number in std::mem::take(&mut self.touched) {
            let saga = self.sagas.get_mut(number);
            super::assess::assess(saga, &self.rules);
            let mut waits = std::mem::take(&mut saga.waits);
            let saga = self.sagas.get(number);
            self.attach_letters(saga, &mut waits);
            self.sagas.get_mut(number).waits = waits;
            self.count_outcome(number);
            self.settle(number);
        }
    }

    /// Judges open sagas again, after a look at the consumers.
    pub(super) fn judge_open(&mut self) {
        let mut by_rule: Vec<Vec<u64>> = vec![Vec::new(); self.rules.reactions.len()];
        for number in self.sagas.open_ones() {
            for wait in &self.sagas.get(number).waits {
                if wait.what == What::Handled && !wait.compensates {
                    by_rule[usize::from(wait.rule)].push(wait.sequence);
                }
            }
        }
        for (rule, sequences) in self.rules.reactions.iter().zip(by_rule) {
            if rule.must.is_empty() && !rule.is_in_ledger() {
                self.lag.open(&rule.durable, sequences);
            }
        }
        for number in self.sagas.open_ones().collect::<Vec<_>>() {
            self.settle(number);
        }
    }

    /// Drops waits that are over, and settles the saga when none is left and it has ended.
    fn settle(&mut self, number: u32) {
        let mut waits = std::mem::take(&mut self.sagas.get_mut(number).waits);
        waits.retain(|wait| {
            wait.what != What::Handled || wait.dead_letter.is_some() || self.standing(wait) != Standing::Handled
        });
        let saga = self.sagas.get_mut(number);
        saga.waits = waits;
        let saga = self.sagas.get(number);
        let (state, undecided) = (self.state(saga), saga.rule.is_some() && saga.outcome.is_none());
        let unknown = |wait: &Wait| self.standing(wait) == Standing::Unknown && wait.what == What::Handled;
        let quiet = saga.waits.iter().all(|wait| wait.dead_letter.is_none() && unknown(wait));
        let settled = (quiet && !undecided && !self.is_asking(saga)) || state == State::Resolved;
        if !undecided {
            self.count_end(number, state);
        }
        if settled {
            self.sagas.get_mut(number).waits = Vec::new();
        }
        self.sagas.settle(number, settled);
    }

    /// Counts an outcome when it is first seen.
    fn count_outcome(&mut self, number: u32) {
        let saga = self.sagas.get_mut(number);
        let Some((outcome, completes)) = saga.outcome else { return };
        if std::mem::replace(&mut saga.decided, true) {
            return;
        }
        let outcome = &saga.events[usize::from(outcome)];
        let by = outcome.cause().map(|cause| saga.events[cause].kind);
        self.rates.ended.count(outcome.stored_at);
        if !completes {
            *self.totals.failed_by.entry(by).or_default() += 1;
        }
    }

    /// Counts an end when it is first seen.
    fn count_end(&mut self, number: u32, state: State) {
        if !matches!(state, State::Completed | State::Compensated)
            || std::mem::replace(&mut self.sagas.get_mut(number).counted, true)
        {
            return;
        }
        let saga = self.sagas.get(number);
        let took = self.ended_at(saga).map(|ended| ended - saga.events.first().map_or(ended, |first| first.stored_at));
        let totals = &mut self.totals;
        let (ends, seconds) = if state == State::Completed {
            (&mut totals.completed, &mut totals.completed_seconds)
        } else {
            (&mut totals.compensated, &mut totals.compensated_seconds)
        };
        *ends += 1;
        if let Some(took) = took {
            record(seconds, took);
        }
    }

    /// When a saga ended: its outcome, or its last undo. `None` while it has no outcome.
    pub(super) fn ended_at(&self, saga: &Saga) -> Option<Micros> {
        let Some((outcome, completes)) = saga.outcome else {
            return if saga.rule.is_some() { None } else { saga.events.last().map(|last| last.stored_at) };
        };
        let outcome = saga.events[usize::from(outcome)].stored_at;
        if completes {
            return Some(outcome);
        }
        let undone = saga
            .events
            .iter()
            .filter(|event| self.rules.undos().any(|(_, undo, _)| undo.emitted.contains(&event.kind)));
        Some(undone.map(|event| event.stored_at).fold(outcome, Micros::max))
    }

    /// The state of a saga.
    pub(super) fn state(&self, saga: &Saga) -> State {
        if saga.resolved() {
            return State::Resolved;
        }
        let (mut review, mut overdue, mut awaits) = (false, self.too_late(saga), self.is_asking(saga));
        for wait in &saga.waits {
            let judged = self.judge(wait);
            review |= wait.dead_letter.is_some() && self.is_undo(wait.rule);
            overdue |= judged.overdue;
            awaits |= judged.certain && (wait.compensates || wait.what != What::Handled);
        }
        match saga.outcome {
            _ if review => State::NeedsReview,
            _ if overdue => State::Stuck,
            Some((_, true)) if awaits => State::InProgress,
            Some((_, true)) => State::Completed,
            Some((_, false)) if awaits => State::Compensating,
            Some((_, false)) => State::Compensated,
            None if saga.rule.is_none() && !awaits => State::Completed,
            None => State::InProgress,
        }
    }

    /// Whether a saga has no outcome within its time.
    pub(super) fn too_late(&self, saga: &Saga) -> bool {
        let Some((since, within)) = self.deadline(saga) else { return false };
        self.now() - since > within.saturating_mul(1000)
    }

    /// When a saga without an outcome began, and how many milliseconds it may take.
    pub(super) fn deadline(&self, saga: &Saga) -> Option<(Micros, i64)> {
        if saga.outcome.is_some() {
            return None;
        }
        let within = self.rules.sagas.get(usize::from(saga.rule?))?.within_ms?;
        Some((saga.events.first()?.stored_at, within))
    }

    pub(super) fn judge(&self, wait: &Wait) -> Judged {
        if wait.dead_letter.is_some() {
            return Judged { certain: true, overdue: true };
        }
        // Those who owe the events are late, not the join.
        if wait.what == What::Parts {
            return Judged { certain: true, overdue: false };
        }
        let rule = self.rules.rule(wait.rule);
        let late = |since: Micros, now: Micros| now - since > rule.stuck_after_ms.saturating_mul(1000);
        match (wait.what, self.standing(wait)) {
            // The event was not even delivered to it, as of the last look.
            (_, Standing::Open { since, at }) => Judged { certain: true, overdue: late(since, at.min(self.now())) },
            (What::Answer(_), _) => {
                let since = self.lag.awaited_since(&rule.durable, wait.sequence, wait.since);
                Judged { certain: true, overdue: late(since, self.now()) }
            }
            // One event that is retried again and again must not make all later ones look unhandled.
            (What::Handled | What::Parts, Standing::Given { since }) => {
                Judged { certain: !late(since, self.now()), overdue: false }
            }
            (What::Handled | What::Parts, Standing::Handled | Standing::Unknown) => {
                Judged { certain: false, overdue: false }
            }
        }
    }

    fn standing(&self, wait: &Wait) -> Standing {
        self.lag.standing(&self.rules.rule(wait.rule).durable, wait.sequence, wait.since)
    }

    pub(super) fn is_undo(&self, rule: RuleId) -> bool {
        self.rules.rule(rule).is_undo()
    }

    /// Marks waits that an undecided dead letter keeps from ending by themselves.
    fn attach_letters(&self, saga: &Saga, waits: &mut [Wait]) {
        let letters = saga.letters().iter().filter_map(|letter| self.letters.get(*letter));
        for letter in letters.filter(|letter| letter.fate == LetterFate::Open) {
            let Some((id, rule)) = self.rules.find(&letter.service, &letter.reaction) else { continue };
            let its = waits.iter_mut().filter(|wait| wait.rule == id && saga.is_held_up(wait, rule, letter.event_id));
            its.for_each(|wait| wait.dead_letter = Some(letter.sequence));
        }
    }
}

/// Upper bounds in seconds, from a quick saga to one that takes a day.
pub(super) fn histogram() -> Histogram {
    const BOUNDS: [f64; 14] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 86400.0];
    Histogram { buckets: BOUNDS.map(|bound| (bound, 0)).to_vec(), count: 0, sum: 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "a duration, far below 2^52 microseconds")]
fn record(histogram: &mut Histogram, micros: Micros) {
    let seconds = micros.max(0) as f64 / 1e6;
    histogram.count += 1;
    histogram.sum += seconds;
    for (bound, count) in &mut histogram.buckets {
        *count += u64::from(seconds <= *bound);
    }
}
