//! One run of a service under one fault.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use pavane::{
    SagaId,
    database::{Database, Db},
};
use pavane_bus::{
    Bus as _, Memory, Outgoing,
    memory::Pending,
    topology::{DEAD_LETTERS, EVENTS},
};
use pavane_choreography::{Entry, Manifest, Reaction};
use pavane_contract::{EventId, RawEnvelope, codec::Headers, subject};
use pavane_inbox::{
    Consumer,
    dead_letter::{self, Publisher},
    internal::turn_now,
};
use pavane_outbox::{
    Correlation, Emissions, Error,
    internal::{self, CrashPoint},
    relay::{Progress, Relay},
};

use super::{FaultMatrix, store};
use crate::{
    VirtualClock,
    actor::Actor,
    database::{Settings, TestDatabase},
    events,
    script::{Script, Stop, drive},
};

/// Why a trial can't go on, as a sentence.
pub(super) type Failure = String;

/// Why a service has no tables. Reads after "it can't start: ".
#[derive(Debug, thiserror::Error)]
enum SetUp {
    #[error(transparent)]
    Tables(pavane::Error),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A service on its own database and bus.
///
/// The service's clock stands still, so that the rows of two trials are the same; the bus has another one, which moves on
/// to the next redelivery.
pub(super) struct Trial<'m, S, DB: Database> {
    matrix: &'m FaultMatrix<S, DB>,
    service: String,
    pub(super) db: Db<DB>,
    database: TestDatabase<DB>,
    bus: Memory,
    bus_clock: VirtualClock,
    pub(super) script: Arc<Script>,
    consumers: BTreeMap<String, Consumer<S, DB, Memory>>,
    /// The undos that come before an undo: it waits for them, so they work when it does.
    earlier: BTreeMap<String, Vec<String>>,
    /// Lines that say nothing: that items of a step may come. What became of each has a line of its own.
    open: Vec<String>,
    relay: Relay<DB, Memory>,
    dead_letters: Option<Publisher<DB, Memory>>,
    saga: SagaId,
    given: Vec<EventId>,
    deliveries: usize,
    /// The database is told to fail, so a step may.
    pub(super) may_fail: bool,
}

impl<'m, S: Send + Sync + 'static, DB: Database> Trial<'m, S, DB> {
    pub(super) async fn open(matrix: &'m FaultMatrix<S, DB>) -> Result<Self, Failure> {
        // Each trial has its own ids, so that what the service's state remembers of one can't be taken for another's.
        let number = matrix.trials.fetch_add(1, Ordering::Relaxed);
        let (clock, bus_clock) = (VirtualClock::new(number), VirtualClock::new(!number));
        let bus = Memory::new(Arc::new(bus_clock.clone()));
        let script = Arc::new(Script::default());
        let tables = (matrix.start)();
        let manifest = tables.manifest();
        let service = manifest.service.clone();
        let settings = Settings {
            service: service.clone(),
            clock: Arc::new(clock.clone()),
            crash_points: Some(Arc::clone(&script) as _),
        };
        let database = matrix.databases.open(&settings, async |db: &Db<DB>| {
            tables.migrate(db).await.map_err(SetUp::Tables)?;
            Ok::<_, SetUp>(store::install_fault(db).await?)
        });
        let database = database.await.map_err(|error| format!("it can't start: {error}"))?;
        let db = database.db.clone();
        let Actor { consumers, relay, dead_letters } = matrix.connect(&db, &bus).await?;
        // It has started, so they don't wait in a circle.
        let earlier = manifest.reactions.iter().map(|undo| (undo.name.clone(), earlier(&manifest, undo))).collect();
        let each = manifest.reactions.iter().filter(|reaction| reaction.is_per_item());
        let open = each.map(|reaction| format!("step {} gathering", reaction.name)).collect();
        let saga = matrix.saga.unwrap_or_else(|| SagaId::new(&clock));
        if let Some(prepare) = &matrix.prepare {
            prepare(db.clone()).await;
        }
        let consumers = by_name(consumers);
        let (given, deliveries, may_fail) = (Vec::new(), 0, false);
        Ok(Self {
            matrix,
            service,
            db,
            database,
            bus,
            bus_clock,
            script,
            consumers,
            earlier,
            open,
            relay,
            dead_letters,
            saga,
            given,
            deliveries,
            may_fail,
        })
    }

    /// An event of the trial's saga.
    pub(super) fn envelope(&self, example: &RawEnvelope) -> RawEnvelope {
        let mut event = example.clone();
        let meta = Arc::make_mut(&mut event.meta);
        (meta.id, meta.cause.saga) = (EventId::new(&self.bus_clock), self.saga);
        event
    }

    /// Emits an event as a request does: in a transaction of an entry point.
    pub(super) async fn enter(
        &mut self,
        manifest: &Manifest,
        entry: &Entry,
        event: &RawEnvelope,
    ) -> Result<(), Failure> {
        // Whether a question was asked makes no difference to what is undone.
        let entry = Entry { answers: None, ..entry.clone() };
        let emit = async {
            let correlation = Correlation::of(self.saga).started_at(event.meta.cause.started);
            let mut tx = self.db.begin(correlation, Emissions::at(manifest, &entry)).await?;
            let (kept, key, body) = (event.meta.event.clone(), event.meta.key.clone(), event.body.to_vec());
            internal::emit_raw(&mut tx, kept, key, body).await?;
            tx.commit().await
        };
        emit.await.map_err(|error: Error| format!("{} can't emit {}: {error}", entry.name, event.meta.event))?;
        self.rest_alone(&[]).await?;
        let happened = self.contents().await?.contains(&format!("step {} done", entry.name));
        let nothing = || format!("{} emitted {}, and nothing is kept for its undo", entry.name, event.meta.event);
        if happened { Ok(()) } else { Err(nothing()) }
    }

    /// Puts an event where only one reaction gets it. It comes as it would from its own subject: as a redrive it would
    /// start anew.
    pub(super) fn deliver(&mut self, event: &RawEnvelope) {
        self.given.push(event.meta.id);
        self.deliveries += 1;
        let message = events::outgoing_as(event, format!("{}-{}", event.meta.id, self.deliveries));
        events::publish(&self.bus, vec![message]);
    }

    /// Puts a message there that is no event.
    pub(super) fn deliver_garbage(&mut self, like: &RawEnvelope) {
        let subject = subject::of(&like.meta.event, &like.meta.key);
        let garbage =
            Outgoing { subject, headers: Headers::default(), payload: "?".into(), message_id: "garbage".into() };
        drop(self.bus.try_publish(vec![garbage]));
    }

    /// Says whether the stream of dead letters is full.
    pub(super) fn keep_dead_letters_waiting(&self, waiting: bool) {
        self.bus.set_full(DEAD_LETTERS, waiting);
    }

    /// Lets some reactions and the relay work until nothing is left to do, and with an undo those that come before it. A crash on
    /// the way is followed by a restart.
    pub(super) async fn rest(&mut self, reactions: &[&str]) -> Result<(), Failure> {
        let earlier = reactions.iter().filter_map(|undo| self.earlier.get(*undo)).flatten().cloned();
        let earlier: Vec<String> = earlier.collect();
        self.rest_alone(&[&earlier.iter().map(String::as_str).collect::<Vec<_>>()[..], reactions].concat()).await
    }

    /// As [`rest`](Self::rest), of these reactions only.
    pub(super) async fn rest_alone(&mut self, reactions: &[&str]) -> Result<(), Failure> {
        const ROUNDS: usize = 1000;
        for _ in 0..ROUNDS {
            if self.round(reactions).await? {
                continue;
            }
            let idle = Pending { unsettled: 0, undelivered: 0 };
            let durable = |reaction: &&str| format!("{}_{reaction}", self.service);
            if reactions.iter().all(|reaction| self.bus.pending(&durable(reaction)) == Some(idle)) {
                return Ok(());
            }
            self.bus_clock.advance(Duration::from_secs(1));
        }
        Err(format!("it does not come to rest: it still works on the event after {ROUNDS} rounds"))
    }

    /// One turn of each. Returns whether anything was done.
    pub(super) async fn round(&mut self, reactions: &[&str]) -> Result<bool, Failure> {
        let mut busy = false;
        self.rewind().await?;
        for reaction in reactions {
            let Some(consumer) = self.consumers.get_mut(*reaction) else { continue };
            let turn = drive(pin!(turn_now(consumer, BATCH_MAX)), || self.script.take_stopped()).await;
            match turn {
                Ok(Ok(events)) => busy |= events > 0,
                Ok(Err(error)) => return Err(error.to_string()),
                Err(_) => {
                    self.restart().await?;
                    return Ok(true);
                }
            }
        }
        if let Some(dead_letters) = &mut self.dead_letters {
            let turn = drive(pin!(dead_letters.turn()), || self.script.take_stopped()).await;
            match turn {
                Ok(Ok(progress)) => busy |= progress == dead_letter::Progress::Published,
                // The bus may be told not to take it.
                Ok(Err(dead_letter::Error::Publish(_))) => {}
                Ok(Err(error)) if !self.may_fail => return Err(error.to_string()),
                Ok(Err(_)) => busy = true,
                Err(_) => {
                    self.restart().await?;
                    return Ok(true);
                }
            }
        }
        let step = drive(pin!(self.relay.turn()), || self.script.take_stopped()).await;
        match step {
            Ok(Ok(progress)) => busy |= matches!(progress, Progress::Sent { .. }),
            Ok(Err(error)) if !self.may_fail => return Err(error.to_string()),
            Ok(Err(_)) => busy = true,
            Err(_) => {
                self.restart().await?;
                busy = true;
            }
        }
        Ok(busy)
    }

    /// Lets `first` run up to a crash point and stand there while `others` work; then lets it go on.
    pub(super) async fn interleave(
        &mut self,
        first: &str,
        at: CrashPoint,
        other: (&str, &RawEnvelope),
    ) -> Result<(), Failure> {
        // Turns that end before the point (the provider failed once, say) are followed by others.
        const TURNS: usize = 100;
        let Some(mut consumer) = self.consumers.remove(first) else { return Err(format!("there is no {first}")) };
        self.script.begin(Some((at, 1, Stop::Paused)));
        let script = Arc::clone(&self.script);
        for _ in 0..TURNS {
            self.rewind().await?;
            let mut turn = pin!(turn_now(&mut consumer, BATCH_MAX));
            if drive(turn.as_mut(), || script.take_stopped()).await.is_ok() {
                self.bus_clock.advance(Duration::from_secs(1));
                continue;
            }
            self.deliver(other.1);
            // Often enough for what comes too early to come again.
            for _ in 0..3 {
                self.round(&[other.0]).await?;
                self.bus_clock.advance(Duration::from_millis(200));
            }
            turn.await.map_err(|error| error.to_string())?;
            break;
        }
        if !self.script.is_over() {
            return Err(format!("{first} never got there"));
        }
        self.consumers.insert(first.to_owned(), consumer);
        self.rest(&[first, other.0]).await
    }

    /// So that a number that the database gives out is the same whatever happened before.
    async fn rewind(&self) -> Result<(), Failure> {
        store::rewind(&self.db).await.map_err(|error| error.to_string())
    }

    /// Starts the process anew on what the old one left behind.
    async fn restart(&mut self) -> Result<(), Failure> {
        store::end_lease(&self.db).await.map_err(|error| error.to_string())?;
        let Actor { consumers, relay, dead_letters } = self.matrix.connect(&self.db, &self.bus).await?;
        (self.consumers, self.relay, self.dead_letters) = (by_name(consumers), relay, dead_letters);
        Ok(())
    }

    /// Everything that the service left behind where others can see it, one line each, sorted.
    pub(super) async fn contents(&self) -> Result<Vec<String>, Failure> {
        let mut lines = store::contents(&self.db).await.map_err(|error| error.to_string())?;
        lines.retain(|line| !self.open.contains(line));
        let mut emitted: BTreeMap<EventId, RawEnvelope> = BTreeMap::new();
        let events = self.bus.messages(EVENTS);
        for event in events.iter().filter_map(events::read).filter(|event| !self.given.contains(&event.meta.id)) {
            // Published twice under one id is one event.
            emitted.insert(event.meta.id, event);
        }
        lines.extend(emitted.into_values().map(|event| {
            let item = event.meta.cause.item.map(|item| format!("{item} ")).unwrap_or_default();
            format!("event {} {} {item}{}", event.meta.event, event.meta.key, String::from_utf8_lossy(&event.body))
        }));
        let mut dead: Vec<_> = events::dead_letters(&self.bus)
            .into_iter()
            .map(|letter| format!("dead letter of {}: {}", letter.reaction, letter.cause))
            .collect();
        // A crash between the dead letter and the ack makes another one; it says the same.
        dead.dedup();
        lines.extend(dead);
        let mut lines: Vec<_> = lines.into_iter().map(|line| self.matrix.without_new_ids(&line)).collect();
        lines.sort();
        Ok(lines)
    }

    pub(super) async fn close(self) {
        let Self { matrix, database, bus, .. } = self;
        bus.close().await;
        matrix.databases.close(&database).await;
    }
}

/// The undos that come before an undo, the first ones first.
fn earlier(manifest: &Manifest, undo: &Reaction) -> Vec<String> {
    let steps = undo.after_undo_of.iter().filter_map(|event| manifest.step_that_emits(event));
    let before = steps.filter_map(|step| manifest.undo_of(step));
    before.flat_map(|(before, _)| [earlier(manifest, before), vec![before.name.clone()]].concat()).collect()
}

/// How many events one turn may handle: all that a trial has.
const BATCH_MAX: usize = 16;

fn by_name<S: Send + Sync + 'static, DB: Database>(
    consumers: Vec<Consumer<S, DB, Memory>>,
) -> BTreeMap<String, Consumer<S, DB, Memory>> {
    consumers.into_iter().map(|consumer| (consumer.name().to_owned(), consumer)).collect()
}
