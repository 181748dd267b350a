//! Two items of a step, or of what a join waits for, in every order.

use pavane::database::Database;
use pavane_choreography::{Emission, JoinPart, Reaction};
use pavane_contract::RawEnvelope;
use pavane_outbox::internal::CrashPoint;

use super::{Cell, Contents, difference};
use crate::matrix::trial::{Failure, Trial};

/// An event, and the reaction that gets it.
type Turn<'e> = (&'e str, &'e RawEnvelope);

impl<'m, S: Send + Sync + 'static, DB: Database> Cell<'m, S, DB> {
    /// Of a reaction that runs for each item: two of them, and its undo.
    pub(super) async fn each(&mut self) {
        let items = self.matrix.two_items(self.example);
        let [one, two] = items.each_ref().map(|item| (self.reaction.name.as_str(), item));
        let both = match self.both(one, two).await {
            Ok(both) => both,
            Err(failure) => {
                let case = self.case("two items").failed(failure);
                return self.cases.push(case);
            }
        };
        self.cases.push(self.case("two items"));
        self.any_order(&both, [one, two]).await;
        if let Some((undo, trigger)) = self.undo {
            self.each_undone(undo, (undo.name.as_str(), trigger), [one, two]).await;
        }
    }

    /// Of a join that waits for every item: two of them.
    pub(super) async fn every(&mut self) {
        let items = self.matrix.two_items(self.example);
        let [one, two] = items.each_ref().map(|item| (self.reaction.name.as_str(), item));
        let nothing = self.in_order(&[]).await;
        for (fault, item) in [("the second item is missing", one), ("the first item is missing", two)] {
            let waits = self.in_order(&[item]).await;
            match &nothing {
                Ok((nothing, ())) => {
                    let nothing = without_parts(&self.reaction.name, nothing.clone());
                    let waits = waits.map(|(waits, ())| (without_parts(&self.reaction.name, waits), ()));
                    self.expect(fault, &nothing, waits);
                }
                Err(failure) => self.cases.push(self.case(fault).failed(failure.clone())),
            }
        }
        let both = match self.in_order(&[one, two]).await {
            Ok((both, ())) => both,
            Err(failure) => {
                let case = self.case("two items").failed(failure);
                return self.cases.push(case);
            }
        };
        let gathering = both.contains(&gathering(&self.reaction.name));
        let mut case = self.case("two items");
        case.difference = gathering.then(|| "it waits although every item is there".to_owned());
        self.cases.push(case);
        self.any_order(&both, [one, two]).await;
    }

    pub(super) fn waits_for_every(&self) -> bool {
        let is_this = |part: &JoinPart| matches!(part, JoinPart::Every(event) if *event == self.example.meta.event);
        self.reaction.parts().iter().any(is_this)
    }

    /// What two items leave behind, one after the other. Fails when that proves nothing.
    async fn both(&self, one: Turn<'_>, two: Turn<'_>) -> Result<Contents, Failure> {
        let alone = self.in_order(&[one]).await?.0;
        let both = self.in_order(&[one, two]).await?.0;
        if both == alone {
            return Err("the second item makes it do nothing".to_owned());
        }
        let dead = |line: &&String| line.starts_with("dead letter of ");
        if both.iter().filter(dead).count() > alone.iter().filter(dead).count() && !self.is_given_up() {
            return Err(difference(&alone, &both).unwrap_or_default()
                + "\ntwo items can't be the same here: give it another example of the event");
        }
        Ok(both)
    }

    fn is_given_up(&self) -> bool {
        self.matrix.given_up.contains(self.example)
    }

    async fn any_order(&mut self, both: &Contents, [one, two]: [Turn<'_>; 2]) {
        let reversed = self.in_order(&[two, one]).await;
        self.expect("two items, the second one first", both, reversed);
        let at_once = self.play(async |trial| {
            for (_, item) in [one, two] {
                let event = trial.envelope(item);
                trial.deliver(&event);
            }
            trial.rest(&[one.0]).await
        });
        let at_once = at_once.await;
        self.expect("two items at once", both, at_once);
        for (fault, first, second) in
            [("two items, the first one twice", one, two), ("two items, the second one twice", two, one)]
        {
            let twice = self.play(async |trial| {
                let (again, other) = (trial.envelope(first.1), trial.envelope(second.1));
                for event in [&again, &again, &other, &again] {
                    trial.deliver(event);
                    trial.rest(&[one.0]).await?;
                }
                Ok(())
            });
            let twice = twice.await;
            self.expect(fault, both, twice);
        }
    }

    async fn each_undone(&mut self, undo: &'m Reaction, back: Turn<'_>, [one, two]: [Turn<'_>; 2]) {
        let step = one.0;
        let after = self.in_order(&[one, two, back]).await;
        let mut case = self.case("the undo after two items");
        case.difference = match &after {
            Ok((after, ())) => not_undone(step, undo, after),
            Err(failure) => Some(failure.clone()),
        };
        self.cases.push(case);
        if let Ok((after, ())) = after {
            let reversed = self.in_order(&[two, one, back]).await;
            self.expect("the undo after two items, the second one first", &after, reversed);
        }
        let expected = (self.in_order(&[one, back]).await, self.in_order(&[back]).await);
        let (Ok((first, ())), Ok((none, ()))) = expected else {
            let case = self.case("the undo between two items").failed("the undo of one item fails".to_owned());
            return self.cases.push(case);
        };
        let between = self.in_order(&[one, back, two]).await;
        self.expect("the undo between two items", &first, between);
        let before = self.in_order(&[back, one, two]).await;
        self.expect("the undo before two items", &none, before);
        if self.reaction.effect && first.iter().any(|line| *line == format!("step {step} undone 1")) {
            let running = self.play(async |trial| {
                for (_, item) in [one, two] {
                    let event = trial.envelope(item);
                    trial.deliver(&event);
                }
                let trigger = trial.envelope(back.1);
                trial.interleave(step, CrashPoint::BeforeCall, (back.0, &trigger)).await
            });
            let running = running.await;
            self.expect("the undo while the first of two items runs", &first, running);
        }
    }

    /// Lets each event be handled before the next one comes.
    async fn in_order(&self, turns: &[Turn<'_>]) -> Result<(Contents, ()), Failure> {
        self.play(async |trial: &mut Trial<'m, S, DB>| {
            for (reaction, example) in turns {
                let event = trial.envelope(example);
                trial.deliver(&event);
                trial.rest(&[*reaction]).await?;
            }
            Ok(())
        })
        .await
    }
}

/// What an undo left undone: items that are done, and items of which it emitted nothing.
fn not_undone(step: &str, undo: &Reaction, found: &Contents) -> Option<String> {
    let of = |start: String| found.iter().filter(move |line| line.starts_with(&start)).count();
    let (done, undone) = (of(format!("step {step} done ")), of(format!("step {step} undone ")));
    if done > 0 {
        return Some(format!("{} leaves {done} of two items done", undo.name));
    }
    let all = undo.emits.iter().filter(|group| matches!(group, Emission::All(_))).flat_map(Emission::events);
    let short = |event: &String| of(format!("event {event} ")) != undone;
    let event = all.map(ToString::to_string).find(short)?;
    Some(format!("{} undoes {undone} items and emits {} {event}", undo.name, of(format!("event {event} "))))
}

/// What is there beside what a join that waits keeps.
fn without_parts(join: &str, contents: Contents) -> Contents {
    let (row, part) = (gathering(join), format!("part {join} "));
    contents.into_iter().filter(|line| *line != row && !line.starts_with(&part)).collect()
}

fn gathering(join: &str) -> String {
    format!("step {join} gathering")
}
