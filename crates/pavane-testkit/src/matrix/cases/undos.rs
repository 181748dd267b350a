//! A step and its undo, in every order.

use std::sync::Arc;

use pavane::database::Database;
use pavane_choreography::Reaction;
use pavane_contract::{EventId, RawEnvelope};
use pavane_outbox::internal::CrashPoint;

use super::{Cell, Contents};
use crate::{VirtualClock, script::phrase};

impl<'m, S: Send + Sync + 'static, DB: Database> Cell<'m, S, DB> {
    /// An undo is given one event: of a second one nobody would ever hear again.
    pub(super) fn emitted_once(&mut self, undo: &Reaction, clean: &Contents) {
        let Some(undoes) = undo.undoes() else { return };
        let line = format!("event {undoes} ");
        let times = clean.iter().filter(|found| found.starts_with(&line)).count();
        let mut case = self.case("what its undo is for is emitted once");
        case.difference = (times > 1).then(|| format!("{} undoes one of {times} {undoes}", undo.name));
        self.cases.push(case);
    }

    /// The step and its undo, in every other order than the usual.
    pub(super) async fn undone(&mut self, (undo, trigger): (&'m Reaction, &'m RawEnvelope), reached: &[CrashPoint]) {
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
}
