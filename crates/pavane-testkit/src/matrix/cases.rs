//! The faults, and what is expected under each.

use std::sync::Arc;

use pavane::{
    choreography::{Manifest, Reaction},
    contract::{EventId, RawEnvelope},
    outbox::{CrashPoint, Database},
};

use super::{
    Case, FaultMatrix, store,
    trial::{Failure, Trial},
};
use crate::{
    VirtualClock,
    script::{Stop, phrase},
};

type Contents = Vec<String>;

/// A reaction and an example of an event that makes it run.
struct Cell<'m, S, DB: Database> {
    matrix: &'m FaultMatrix<S, DB>,
    manifest: &'m Manifest,
    reaction: &'m Reaction,
    example: &'m RawEnvelope,
    /// For an undo: the step that must have happened.
    step: Option<(&'m Reaction, &'m RawEnvelope)>,
    /// For a step: its undo.
    undo: Option<(&'m Reaction, &'m RawEnvelope)>,
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
    let mut cell = Cell { matrix, manifest, reaction, example, step, undo, cases: Vec::new() };
    if let Err(failure) = cell.try_all().await {
        let case = cell.case("no fault").failed(failure);
        cell.cases.push(case);
    }
    cell.cases
}

impl<'m, S: Send + Sync + 'static, DB: Database> Cell<'m, S, DB> {
    async fn try_all(&mut self) -> Result<(), Failure> {
        let missing = |found: bool, of: Option<&Reaction>| match of.filter(|_| !found) {
            Some(other) => Err(format!("there is no example of an event that makes {} run", other.name)),
            None => Ok(()),
        };
        missing(self.step.is_some(), self.manifest.step_of(self.reaction))?;
        missing(self.undo.is_some(), self.manifest.undo_of(self.reaction))?;

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
            trial.rest(&[&self.reaction.name]).await
        });
        let garbage = garbage.await;
        self.expect_dead("a message that is no event", before, garbage);
        let version = self.play(async |trial| {
            let mut event = trial.envelope(self.example);
            Arc::make_mut(&mut event.meta).event.version = u16::MAX;
            trial.deliver(&event);
            trial.rest(&[&self.reaction.name]).await
        });
        let version = version.await;
        self.expect_dead("an unknown version", before, version);
    }

    /// An undo is given one event: of a second one nobody would ever hear again.
    fn emitted_once(&mut self, undo: &Reaction, clean: &Contents) {
        let Some(undoes) = undo.undoes() else { return };
        let line = format!("event {undoes} ");
        let times = clean.iter().filter(|found| found.starts_with(&line)).count();
        let mut case = self.case("what its undo takes back is emitted once");
        case.difference = (times > 1).then(|| format!("{} takes back one of {times} {undoes}", undo.name));
        self.cases.push(case);
    }

    /// The step and its undo, in every other order than the usual.
    async fn undone(&mut self, (undo, trigger): (&'m Reaction, &'m RawEnvelope), reached: &[CrashPoint]) {
        let (step, back) = (self.reaction.name.as_str(), undo.name.as_str());
        let barred = self.play(async |trial| {
            let event = trial.envelope(trigger);
            trial.deliver(&event);
            trial.rest(&[back]).await
        });
        let usual = self.play(async |trial| {
            self.happen(trial).await?;
            let event = trial.envelope(trigger);
            trial.deliver(&event);
            trial.rest(&[back]).await
        });
        let (barred, usual) = match (barred.await, usual.await) {
            (Ok((barred, ())), Ok((usual, ()))) => (barred, usual),
            (Err(failure), _) | (_, Err(failure)) => {
                let case = self.case("undone without a fault").failed(failure);
                return self.cases.push(case);
            }
        };
        let early = self.play(async |trial| {
            let (event, trigger) = (trial.envelope(self.example), trial.envelope(trigger));
            trial.deliver(&trigger);
            trial.rest(&[back]).await?;
            trial.deliver(&event);
            trial.rest(&[step]).await
        });
        let early = early.await;
        self.expect("the undo before the step", &barred, early);
        let again = self.play(async |trial| {
            let (mut event, trigger) = (trial.envelope(self.example), trial.envelope(trigger));
            trial.deliver(&event);
            trial.rest(&[step]).await?;
            trial.deliver(&trigger);
            trial.rest(&[back]).await?;
            trial.deliver(&event);
            trial.rest(&[step]).await?;
            // Redriven with another id, by somebody who knows no better.
            Arc::make_mut(&mut event.meta).id = EventId::new(&VirtualClock::new(u64::MAX));
            trial.deliver(&event);
            trial.rest(&[step]).await
        });
        let again = again.await;
        self.expect("the step again after its undo", &usual, again);
        if self.reaction.effect {
            // After a call that is rejected there is nothing that could be interrupted.
            for at in [CrashPoint::BeforeCall, CrashPoint::AfterCall].into_iter().filter(|at| reached.contains(at)) {
                let running = self.play(async |trial| {
                    let (event, trigger) = (trial.envelope(self.example), trial.envelope(trigger));
                    trial.deliver(&event);
                    trial.interleave(step, at, (back, &trigger)).await
                });
                let running = running.await;
                self.expect(&format!("the undo while the step runs, {}", phrase(at)), &usual, running);
            }
        }
    }

    /// Plays one trial: what must come before, the step when this is an undo, and then what `act` says.
    async fn play<T>(
        &self,
        act: impl AsyncFnOnce(&mut Trial<'m, S, DB>) -> Result<T, Failure>,
    ) -> Result<(Contents, T), Failure> {
        let mut trial = Trial::open(self.matrix).await?;
        let names = [Some(self.reaction), self.step.map(|(step, _)| step)].map(|reaction| reaction.map(|it| &it.name));
        for (_, earlier) in self.matrix.before.iter().filter(|(reaction, _)| names.contains(&Some(reaction))) {
            let event = trial.envelope(earlier);
            trial.deliver(&event);
            let others = self.manifest.reactions.iter().filter(|other| !names.contains(&Some(&other.name)));
            let handle = others.filter(|other| other.on.contains(&earlier.meta.event));
            trial.rest(&handle.map(|other| other.name.as_str()).collect::<Vec<_>>()).await?;
        }
        if let Some((step, example)) = self.step {
            let event = trial.envelope(example);
            trial.deliver(&event);
            trial.rest(&[&step.name]).await?;
        }
        trial.script.begin(None);
        let told = act(&mut trial).await?;
        let contents = trial.contents().await?;
        trial.close().await;
        Ok((contents, told))
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

/// What there is besides a dead letter of a reaction, or that there is none.
fn other_than_dead(reaction: &str, before: &Contents, found: Contents) -> Option<String> {
    let letter = format!("dead letter of {reaction}: ");
    let (dead, rest): (Contents, Contents) = found.into_iter().partition(|line| line.starts_with(&letter));
    difference(before, &rest).or_else(|| dead.is_empty().then(|| "- a dead letter".to_owned()))
}

/// What is expected and isn't there, and what is there and isn't expected.
fn difference(expected: &Contents, found: &Contents) -> Option<String> {
    let mut lines = Vec::new();
    let (mut wanted, mut had) = (expected.iter().peekable(), found.iter().peekable());
    loop {
        match (wanted.peek(), had.peek()) {
            (Some(want), Some(have)) if want == have => {
                wanted.next();
                had.next();
            }
            (Some(want), have) if have.is_none_or(|have| want < have) => {
                lines.push(format!("- {want}"));
                wanted.next();
            }
            (_, Some(have)) => {
                lines.push(format!("+ {have}"));
                had.next();
            }
            (_, None) => break,
        }
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn nth_time(point: CrashPoint, nth: usize, times: usize) -> String {
    if times == 1 { phrase(point).to_owned() } else { format!("{} ({nth} of {times})", phrase(point)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Garbage never reaches a service's code, so no service in a test can do harm with it.
    #[test]
    fn a_dead_letter_is_to_be_all_that_comes_of_what_is_no_event() {
        const DEAD: &str = "dead letter of note: failed to decode the event";
        let cases: [(&[&str], Option<&str>); 5] = [
            (&[DEAD, "row of notes: '6'"], None),
            (&["row of notes: '6'"], Some("- a dead letter")),
            (&[DEAD], Some("- row of notes: '6'")),
            (&[DEAD, "row of notes: '6'", "row of notes: '7'"], Some("+ row of notes: '7'")),
            (
                &["dead letter of notes: it is another", "row of notes: '6'"],
                Some("+ dead letter of notes: it is another"),
            ),
        ];
        for (found, difference) in cases {
            let lines = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Contents>();
            let told = other_than_dead("note", &lines(&["row of notes: '6'"]), lines(found));
            assert_eq!(told.as_deref(), difference, "{found:?}");
        }
    }
}
