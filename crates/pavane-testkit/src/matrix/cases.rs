//! The faults, and what is expected under each.

mod difference;
mod items;
mod joins;
mod undos;

use std::sync::Arc;

use pavane::database::Database;
use pavane_choreography::{Manifest, Reaction, manifest::Emitter};
use pavane_contract::RawEnvelope;
use pavane_outbox::internal::CrashPoint;

use self::difference::{difference, other_than_dead};
use super::{
    Case, FaultMatrix, store,
    trial::{Failure, Trial},
};
use crate::script::{Stop, phrase};

type Contents = Vec<String>;

/// A reaction and an example of an event that makes it run.
struct Cell<'m, S, DB: Database> {
    matrix: &'m FaultMatrix<S, DB>,
    manifest: &'m Manifest,
    reaction: &'m Reaction,
    example: &'m RawEnvelope,
    /// For an undo: the step that must have happened.
    step: Option<(Emitter<'m>, &'m RawEnvelope)>,
    /// For a step: its undo.
    undo: Option<(&'m Reaction, &'m RawEnvelope)>,
    /// For a join, and for the undo of one: what the join waits for beside its example.
    others: Vec<&'m RawEnvelope>,
    cases: Vec<Case>,
}

/// Tries one reaction on one example under every fault.
pub(super) async fn all<S: Send + Sync + 'static, DB: Database>(
    matrix: &FaultMatrix<S, DB>,
    manifest: &Manifest,
    reaction: &Reaction,
    example: &RawEnvelope,
) -> Vec<Case> {
    let (step, undo) = (matrix.step(manifest, reaction), matrix.undo(manifest, reaction));
    let (join, event) = step.unwrap_or((Emitter::Reaction(reaction), example));
    let others = join.reaction().map(|join| matrix.others(join, &event.meta.event));
    let (others, missing) = match others.transpose() {
        Ok(others) => (others.unwrap_or_default(), None),
        Err(missing) => (Vec::new(), Some(missing)),
    };
    let mut cell = Cell { matrix, manifest, reaction, example, step, undo, others, cases: Vec::new() };
    let tried = if let Some(missing) = missing { Err(missing) } else { cell.try_all().await };
    if let Err(failure) = tried {
        let case = cell.case("no fault").failed(failure);
        cell.cases.push(case);
    }
    cell.cases
}

impl<'m, S: Send + Sync + 'static, DB: Database> Cell<'m, S, DB> {
    async fn try_all(&mut self) -> Result<(), Failure> {
        let missing = |found: bool, of: Option<Emitter<'_>>| match of.filter(|_| !found) {
            Some(Emitter::Entry(entry)) => Err(format!(
                "there is no example of the event that {} emits and {} undoes",
                entry.name, self.reaction.name
            )),
            Some(other) => Err(format!("there is no example of an event that makes {} run", other.name())),
            None => Ok(()),
        };
        missing(self.step.is_some(), self.manifest.step_of(self.reaction))?;
        let undo = self.manifest.undo_of(Emitter::Reaction(self.reaction));
        missing(self.undo.is_some(), undo.map(|(undo, _)| Emitter::Reaction(undo)))?;

        let before = self.play(async |_: &mut Trial<'_, S, DB>| Ok(())).await?.0;
        let (clean, (reached, rows)) = self.play(async |trial| self.happen(trial).await).await?;
        if clean == before {
            return Err(
                "the example makes it do nothing, so no fault could do harm: give it one that it acts on, and the \
                        rows that it needs with .given(…)"
                    .to_owned(),
            );
        }
        let gives_up = clean.iter().any(|line| line.starts_with("dead letter of "));
        if gives_up != self.matrix.given_up.contains(self.example) {
            return Err(difference(&before, &clean).unwrap_or_default()
                + "\na dead letter without any fault is said with .given_up(…), and only that");
        }
        self.cases.push(self.case("no fault"));
        self.duplicates(&clean).await;
        if gives_up {
            self.dead_letters_wait(&clean).await;
        }
        self.crashes(&clean, &reached).await;
        self.database_errors(&clean, rows).await;
        self.unreadable(&before, &clean).await;
        if !self.reaction.parts().is_empty() {
            self.joined(&clean).await;
        }
        if self.reaction.is_per_item() {
            self.each().await;
        }
        if self.waits_for_every() {
            self.every().await;
        }
        if let Some(undo) = self.undo {
            self.emitted_once(undo.0, &clean);
            self.undone(undo, &reached).await;
        }
        Ok(())
    }

    /// What happens without faults; says which crash points it reaches and how many rows it writes.
    async fn happen(&self, trial: &mut Trial<'m, S, DB>) -> Result<(Vec<CrashPoint>, i64), Failure> {
        arm(trial, None).await?;
        let event = trial.envelope(self.example);
        trial.deliver(&event);
        trial.rest(&[&self.reaction.name]).await?;
        let rows = store::rows_written(&trial.db).await.map_err(|error| error.to_string())?;
        Ok((trial.script.reached(), rows))
    }

    async fn duplicates(&mut self, clean: &Contents) {
        let at_once = self.play(async |trial| {
            let event = trial.envelope(self.example);
            trial.deliver(&event);
            trial.deliver(&event);
            trial.rest(&[&self.reaction.name]).await
        });
        let at_once = at_once.await;
        self.expect("delivered twice at once", clean, at_once);
        let later = self.play(async |trial| {
            let event = trial.envelope(self.example);
            trial.deliver(&event);
            trial.rest(&[&self.reaction.name]).await?;
            trial.deliver(&event);
            trial.rest(&[&self.reaction.name]).await
        });
        let later = later.await;
        self.expect("delivered again later", clean, later);
    }

    /// What is given up on is over, whether or not its dead letter can be published.
    async fn dead_letters_wait(&mut self, clean: &Contents) {
        let waiting = self.play(async |trial| {
            trial.keep_dead_letters_waiting(true);
            let event = trial.envelope(self.example);
            trial.deliver(&event);
            trial.rest(&[&self.reaction.name]).await?;
            trial.keep_dead_letters_waiting(false);
            trial.rest(&[&self.reaction.name]).await
        });
        let waiting = waiting.await;
        self.expect("dead letters can't be published", clean, waiting);
    }

    async fn crashes(&mut self, clean: &Contents, reached: &[CrashPoint]) {
        for point in CrashPoint::ALL {
            let times = reached.iter().filter(|other| **other == point).count();
            for nth in 1..=times {
                let crashed = self.play(async |trial| {
                    trial.script.begin(Some((point, nth, Stop::Crashed)));
                    let event = trial.envelope(self.example);
                    trial.deliver(&event);
                    trial.rest(&[&self.reaction.name]).await?;
                    if trial.script.is_over() { Ok(()) } else { Err("it never got there".to_owned()) }
                });
                let crashed = crashed.await;
                self.expect(&format!("crash {}", nth_time(point, nth, times)), clean, crashed);
            }
        }
    }

    async fn database_errors(&mut self, clean: &Contents, rows: i64) {
        for row in 1..=rows {
            let failed = self.play(async |trial| {
                let event = trial.envelope(self.example);
                trial.deliver(&event);
                arm(trial, Some(row)).await?;
                trial.may_fail = true;
                trial.round(&[&self.reaction.name]).await?;
                trial.may_fail = false;
                arm(trial, None).await?;
                trial.rest(&[&self.reaction.name]).await
            });
            let failed = failed.await;
            self.expect(&format!("error of the database at row {row} of {rows}"), clean, failed);
        }
    }

    async fn unreadable(&mut self, before: &Contents, clean: &Contents) {
        let body = self.play(async |trial| {
            let mut event = trial.envelope(self.example);
            event.body = "{".into();
            trial.deliver(&event);
            trial.rest(&[&self.reaction.name]).await
        });
        let body = body.await;
        if self.step.is_some() {
            // An undo is given its step's event; of its trigger only that it happened matters.
            self.expect("a body that can't be read", clean, body);
        } else {
            self.expect_dead("a body that can't be read", before, body);
        }
        let garbage = self.play(async |trial| {
            trial.deliver_garbage(self.example);
            trial.rest_alone(&[&self.reaction.name]).await
        });
        let garbage = garbage.await;
        self.expect_dead("a message that is no event", before, garbage);
        let version = self.play(async |trial| {
            let mut event = trial.envelope(self.example);
            Arc::make_mut(&mut event.meta).event.version = u16::MAX;
            trial.deliver(&event);
            trial.rest_alone(&[&self.reaction.name]).await
        });
        let version = version.await;
        self.expect_dead("an unknown version", before, version);
    }

    /// Plays one trial: what must come before, the other events of a join, the step when this is an undo, and then what `act` says.
    async fn play<T>(
        &self,
        act: impl AsyncFnOnce(&mut Trial<'m, S, DB>) -> Result<T, Failure>,
    ) -> Result<(Contents, T), Failure> {
        self.play_after(&self.others, act).await
    }

    /// As [`play`](Self::play), with these as the other events of a join.
    async fn play_after<T>(
        &self,
        others: &[&RawEnvelope],
        act: impl AsyncFnOnce(&mut Trial<'m, S, DB>) -> Result<T, Failure>,
    ) -> Result<(Contents, T), Failure> {
        let mut trial = Trial::open(self.matrix).await?;
        let step = self.step.map_or(Emitter::Reaction(self.reaction), |(step, _)| step);
        let names = [&self.reaction.name, step.name()];
        for (_, earlier) in self.matrix.before.iter().filter(|(reaction, _)| names.contains(&reaction.as_str())) {
            let event = trial.envelope(earlier);
            trial.deliver(&event);
            let others = self.manifest.reactions.iter().filter(|other| !names.contains(&other.name.as_str()));
            let handle = others.filter(|other| other.on.contains(&earlier.meta.event));
            trial.rest(&handle.map(|other| other.name.as_str()).collect::<Vec<_>>()).await?;
        }
        let of_step = self.step.map(|(step, example)| self.makes_happen(step, example)).unwrap_or_default();
        for example in others.iter().copied().chain(&of_step) {
            let event = trial.envelope(example);
            if let Emitter::Entry(entry) = step {
                trial.enter(self.manifest, entry, &event).await?;
            } else {
                trial.deliver(&event);
                trial.rest(&[step.name()]).await?;
            }
        }
        trial.script.begin(None);
        let told = act(&mut trial).await?;
        let contents = trial.contents().await?;
        trial.close().await;
        Ok((contents, told))
    }

    /// What makes a step happen: for each item, two of them.
    fn makes_happen(&self, step: Emitter<'_>, example: &RawEnvelope) -> Vec<RawEnvelope> {
        if step.is_per_item() { self.matrix.two_items(example).into() } else { vec![example.clone()] }
    }

    fn case(&self, fault: &str) -> Case {
        Case::of(self.reaction, &self.example.meta.event, fault)
    }

    fn expect<T>(&mut self, fault: &str, expected: &Contents, found: Result<(Contents, T), Failure>) {
        let mut case = self.case(fault);
        case.difference = match found {
            Ok((found, _)) => difference(expected, &found),
            Err(failure) => Some(failure),
        };
        self.cases.push(case);
    }

    /// Expects a dead letter of this reaction and nothing else.
    fn expect_dead<T>(&mut self, fault: &str, before: &Contents, found: Result<(Contents, T), Failure>) {
        let mut case = self.case(fault);
        case.difference = match found {
            Ok((found, _)) => other_than_dead(&self.reaction.name, before, found),
            Err(failure) => Some(failure),
        };
        self.cases.push(case);
    }
}

async fn arm<S: Send + Sync + 'static, DB: Database>(
    trial: &Trial<'_, S, DB>,
    fail_at: Option<i64>,
) -> Result<(), Failure> {
    store::arm_fault(&trial.db, fail_at).await.map_err(|error| error.to_string())
}

fn nth_time(point: CrashPoint, nth: usize, times: usize) -> String {
    if times == 1 { phrase(point).to_owned() } else { format!("{} ({nth} of {times})", phrase(point)) }
}
