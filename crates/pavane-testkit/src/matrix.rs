//! Every reaction of a service under every fault.

mod cases;
mod report;
mod store;
mod trial;

use std::{collections::HashSet, fmt, future::Future, pin::Pin, sync::atomic::AtomicU64};

use pavane::{
    Event, SagaId,
    database::{Database, Db, Service},
};
use pavane_bus::Memory;
use pavane_choreography::{JoinPart, Manifest, Reaction, manifest::Emitter};
use pavane_contract::{EventRef, RawEnvelope};

pub use report::{Case, Report};

use crate::{
    VirtualClock,
    actor::Actor,
    database::{Databases, Place},
    events,
};

type Prepare<DB> = Box<dyn Fn(Db<DB>) -> Pin<Box<dyn Future<Output = ()>>>>;

/// Runs every reaction of a service under every fault, and compares the result with a run without faults.
///
/// `start` starts the service as its process would, once for each trial and again after each crash. What it makes is lost in a
/// crash; what it only refers to (for example a simulated provider) survives, as another process would.
///
/// The faults, each alone, for each reaction and each of its events:
///
/// - delivered twice at once, and again later;
/// - a crash before the commit, after the commit, after the publish, before and after the mark, before and after the
///   call of an effect, before the ack and after the ack, each time that the reaction gets there;
/// - an error of the database at each row that is written, the framework's rows included;
/// - the undo before the step, while the step's effect runs, and the step again after its undo; and that the step emits what
///   its undo is for once;
/// - of a join: each event as the last one, the first one, at once with the others, and twice under two ids;
/// - of items: two of them, in both orders and at once, with the undo after, between and before them;
/// - for what the service gives up on: dead letters that can't be published for a while;
/// - a body that can't be read, a message that is no event, an unknown version.
///
/// Expected is the same as without the fault: the same rows, steps, outcomes, timers, events and dead letters. Where the
/// fault is the event's, expected is a dead letter and nothing else.
///
/// It runs on SQLite in memory; a service of `pavane::postgres` on a real PostgreSQL that is found or fetched, in a new database
/// for each trial, which is slower. There a statement that fails takes its transaction with it, whatever the handler makes of the error.
///
/// Limits: one transaction at a time. The service's clock stands still. Ids that the service makes up are all taken for the same one,
/// and so are PostgreSQL's times of now in columns. Numbers that PostgreSQL gives out for a column are the same in each trial, also
/// after a rollback; those of a sequence that belongs to no column are not. Errors of the database hit rows that are written; a
/// statement that only reads fails no differently from a crash before the commit.
///
/// # Examples
///
/// ```no_run
/// # use pavane::{Event, any::Service};
/// # use pavane_testkit::fault_matrix;
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, Event)]
/// # #[event(name = "order.confirmed", key = order_id)]
/// # struct OrderConfirmed { order_id: String }
/// # fn service() -> Service<()> { Service::new("loyalty", ()) }
/// #[tokio::test]
/// async fn nothing_that_fails_does_harm() {
///     fault_matrix(service).event(&OrderConfirmed { order_id: "7".into() }).assert().await;
/// }
/// ```
pub fn fault_matrix<S, DB>(start: impl Fn() -> Service<S, DB> + 'static) -> FaultMatrix<S, DB>
where
    S: Send + Sync + 'static,
    DB: Database,
{
    FaultMatrix {
        start: Box::new(start),
        examples: Vec::new(),
        given_up: Vec::new(),
        saga: None,
        prepare: None,
        databases: Databases::new(Place::of::<DB>()),
        before: Vec::new(),
        known_ids: HashSet::new(),
        trials: AtomicU64::new(0),
    }
}

/// What [`fault_matrix`] runs.
#[must_use = "it does nothing until it is asserted"]
pub struct FaultMatrix<S, DB: Database = sqlx::Any> {
    start: Box<dyn Fn() -> Service<S, DB>>,
    examples: Vec<RawEnvelope>,
    /// Those of the examples that the service gives up on.
    given_up: Vec<RawEnvelope>,
    saga: Option<SagaId>,
    prepare: Option<Prepare<DB>>,
    databases: Databases,
    /// What a reaction must be preceded by.
    before: Vec<(String, RawEnvelope)>,
    /// Ids in the examples, which are the same in all runs.
    known_ids: HashSet<String>,
    trials: AtomicU64,
}

impl<S> FaultMatrix<S, sqlx::Any> {
    /// Runs a service that runs on either database on a real PostgreSQL, as a service of `pavane::postgres` always is.
    pub fn on_postgres(mut self) -> Self {
        self.databases = Databases::new(Place::Postgres);
        self
    }
}

impl<S: Send + Sync + 'static, DB: Database> FaultMatrix<S, DB> {
    /// An example of an event that the service reacts to. All examples belong to one saga. Give one for each event; of
    /// several for one event, each is tried.
    ///
    /// Where the service takes the event for each item or of every item, the example is that of the only one. Give two examples where
    /// two items can't be the same.
    ///
    /// # Panics
    ///
    /// When it can't be encoded.
    pub fn event<E: Event>(mut self, example: &E) -> Self {
        let example = self.know(example);
        self.examples.push(example);
        self
    }

    /// As [`event`](Self::event), for one that the service gives up on: a dead letter is what is expected of it.
    ///
    /// # Panics
    ///
    /// When it can't be encoded.
    pub fn given_up<E: Event>(mut self, example: &E) -> Self {
        let example = self.know(example);
        self.given_up.push(example.clone());
        self.examples.push(example);
        self
    }

    /// The saga of the examples, for a service that finds it in their bodies as well. Default: a new one for each trial.
    pub const fn saga(mut self, saga: SagaId) -> Self {
        self.saga = Some(saga);
        self
    }

    /// Says that a reaction can only do something after the service's other reactions have handled `event`: a capture
    /// needs an authorisation.
    ///
    /// # Panics
    ///
    /// When it can't be encoded.
    pub fn before<E: Event>(mut self, reaction: impl Into<String>, event: &E) -> Self {
        let event = self.know(event);
        self.before.push((reaction.into(), event));
        self
    }

    fn know<E: Event>(&mut self, event: &E) -> RawEnvelope {
        let clock = VirtualClock::new(0);
        let envelope = events::envelope_by(&clock, SagaId::new(&clock), event);
        self.known_ids.extend(ids(&String::from_utf8_lossy(&envelope.body)).map(|(_, id)| id.to_owned()));
        envelope
    }

    /// Prepares the database before each run: the rows that the examples are about.
    pub fn given<F: Future<Output = ()> + 'static>(mut self, prepare: impl Fn(Db<DB>) -> F + 'static) -> Self {
        self.prepare = Some(Box::new(move |db| Box::pin(prepare(db))));
        self
    }

    /// Runs it, and fails when any case does.
    ///
    /// # Panics
    ///
    /// With every case that failed, and what was different.
    pub async fn assert(self) {
        let report = self.run().await;
        assert!(report.is_passed(), "{report}");
    }

    /// Runs it.
    pub async fn run(mut self) -> Report {
        let manifest = (self.start)().manifest();
        self.number_items(&manifest);
        let mut cases = Vec::new();
        for reaction in &manifest.reactions {
            for event in &reaction.on {
                let examples: Vec<_> = self.examples_of(event).collect();
                if examples.is_empty() {
                    cases.push(
                        Case::of(reaction, event, "no fault").failed("there is no example of the event".to_owned()),
                    );
                }
                for example in examples {
                    // Boxed: it is large, and would be a part of every test.
                    cases.extend(Box::pin(cases::all(&self, &manifest, reaction, example)).await);
                }
            }
        }
        Report::of(manifest.service, cases)
    }

    /// Each example of an event of an item is one of the only item.
    fn number_items(&mut self, manifest: &Manifest) {
        let examples = self.examples.iter_mut().chain(&mut self.given_up);
        for example in examples.chain(self.before.iter_mut().map(|(_, event)| event)) {
            if takes_items(manifest, &example.meta.event) {
                *example = events::with_item(example.clone(), (1, 1));
            }
        }
    }

    /// Two items: this one and, where there is one that isn't given up on, another example of the event.
    fn two_items(&self, example: &RawEnvelope) -> [RawEnvelope; 2] {
        let mut others = self.examples_of(&example.meta.event);
        let other = others.find(|other| *other != example && !self.given_up.contains(other)).unwrap_or(example);
        [events::with_item(example.clone(), (1, 2)), events::with_item(other.clone(), (2, 2))]
    }

    /// Starts a process of the service.
    async fn connect(&self, db: &Db<DB>, bus: &Memory) -> Result<Actor<S, DB, Memory>, String> {
        let app = Actor::connect((self.start)(), db.clone(), bus.clone()).await;
        let app = app.map_err(|error| format!("it can't start: {error}"))?;
        Ok(Actor::of(app))
    }

    fn examples_of<'a>(&'a self, event: &'a EventRef) -> impl Iterator<Item = &'a RawEnvelope> {
        self.examples.iter().filter(move |example| example.meta.event == *event)
    }

    /// The first example that makes a reaction run.
    fn example_for(&self, reaction: &Reaction) -> Option<&RawEnvelope> {
        self.examples.iter().find(|example| reaction.on.contains(&example.meta.event))
    }

    /// An example for each part of a join but that of `event`. `Err` names a part without an example.
    fn others<'a>(&'a self, join: &'a Reaction, event: &'a EventRef) -> Result<Vec<&'a RawEnvelope>, String> {
        let others = join.parts().iter().filter(|part| !part.events().contains(event));
        let example = |part: &'a JoinPart| {
            let example = part.events().iter().flat_map(|event| self.examples_of(event)).next();
            example.ok_or_else(|| format!("there is no example of {}, for which {} waits", part.name(), join.name))
        };
        others.map(example).collect()
    }

    /// The step that an undo is for, and an example of what makes the step run; of an entry point, of what it emits.
    fn step<'a>(&'a self, manifest: &'a Manifest, undo: &'a Reaction) -> Option<(Emitter<'a>, &'a RawEnvelope)> {
        let step = manifest.step_of(undo)?;
        let example = match step {
            Emitter::Entry(_) => self.examples_of(undo.undoes()?).next(),
            Emitter::Reaction(step) => self.example_for(step),
        };
        Some((step, example?))
    }

    /// The undo of a step, and an example of what makes it run.
    fn undo<'a>(&'a self, manifest: &'a Manifest, step: &'a Reaction) -> Option<(&'a Reaction, &'a RawEnvelope)> {
        let (undo, _) = manifest.undo_of(Emitter::Reaction(step))?;
        Some((undo, self.example_for(undo)?))
    }

    /// A line in which ids that the service made up are all the same.
    fn without_new_ids(&self, line: &str) -> String {
        let mut text = String::with_capacity(line.len());
        let mut copied = 0;
        for (start, id) in ids(line).filter(|(_, id)| !self.known_ids.contains(*id)) {
            text.push_str(&line[copied..start]);
            text.push_str("<id>");
            copied = start + id.len();
        }
        text.push_str(&line[copied..]);
        text
    }
}

/// Whether a service takes an event for each item, or waits for it of every item.
fn takes_items(manifest: &Manifest, event: &EventRef) -> bool {
    let of_every = |part: &JoinPart| matches!(part, JoinPart::Every(of) if of == event);
    manifest.reactions.iter().any(|reaction| {
        (reaction.is_per_item() && reaction.on.contains(event)) || reaction.parts().iter().any(of_every)
    })
}

/// What looks like an id in a text, and where each begins: runs of hexadecimal digits, as UUIDs are, with or without
/// dashes. Numbers are none.
fn ids(text: &str) -> impl Iterator<Item = (usize, &str)> {
    const DIGITS: usize = 16;
    let in_id = |char: char| char.is_ascii_hexdigit() || char == '-';
    let runs = text.split(move |char| !in_id(char)).map(|run| (run.as_ptr().addr() - text.as_ptr().addr(), run));
    runs.filter(|(_, run)| {
        let digits = run.chars().filter(char::is_ascii_hexdigit);
        digits.clone().count() >= DIGITS && !digits.clone().all(|digit| digit.is_ascii_digit())
    })
}

impl<S, DB: Database> fmt::Debug for FaultMatrix<S, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultMatrix").field("examples", &self.examples).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_wherever_they_stand() {
        let id = "0192aaaa-bbbb-7ccc-8ddd-eeeeffff0000";
        let text = format!("é{id} pi_00ff00ff00ff00ff,1767225600000000 DE0192AAAABBBB7CCC \"cafe\"");
        let found = [(2, id), (42, "00ff00ff00ff00ff"), (76, "DE0192AAAABBBB7CCC")];
        assert_eq!(ids(&text).collect::<Vec<_>>(), found);
    }
}
