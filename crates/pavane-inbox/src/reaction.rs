use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use pavane_choreography::{Emission, JoinPart, ReactionSettings, Role};
use pavane_contract::{Envelope, Event, EventRef, EventSet, Key, RawEnvelope, codec, personal::EventFields};
use pavane_outbox::Database;

use crate::{
    handler::{Effect, Handler, Record},
    input::{Input, Single, Undone},
    kind::{self, Calls, Complete, Forward, Local, Undo, Untriggered},
    work::{self, LookUp, Work},
};

/// How a reaction is run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tuning {
    /// How often the handler may fail on one event before the event becomes a dead letter. Default 8.
    pub max_attempts: u32,
    /// Longest delay before the second attempt; it doubles with each attempt. Default 200 ms.
    pub backoff_base: Duration,
    /// Longest delay between two attempts. Default 30 s.
    pub backoff_max: Duration,
    /// Most events in one transaction. Default 256. A reaction with an effect has one event in each.
    pub batch_max: usize,
    /// How many transactions or effects may be active at once in one process. `None`: 16 effects; 4 transactions on PostgreSQL,
    /// and 1 on SQLite, which has one writer.
    pub concurrency: Option<usize>,
    /// How long one attempt may take. Default 60 s. Heartbeats are sent meanwhile.
    pub timeout: Duration,
    /// How long the broker waits for a heartbeat before it delivers an event again. Default 30 s.
    pub ack_wait: Duration,
    /// Largest payload accepted, in bytes. It must be below the NATS server's limit for a message (`max_payload`), headers
    /// included. Default 960 KiB, for a server's default of 1 MiB.
    pub payload_max: usize,
    /// How long the reaction may take, retries included, before the monitor calls the saga stuck. Default 30 s. It changes
    /// nothing in the service.
    pub stuck_after: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            max_attempts: 8,
            backoff_base: Duration::from_millis(200),
            backoff_max: Duration::from_secs(30),
            batch_max: ReactionSettings::BATCH_MAX,
            concurrency: None,
            timeout: Duration::from_mins(1),
            ack_wait: Duration::from_secs(30),
            payload_max: 960 << 10,
            stuck_after: ReactionSettings::STUCK_AFTER,
        }
    }
}

/// Makes the failure event.
type MakeFailureEvent = Arc<dyn Fn(&RawEnvelope) -> Result<(Key, Vec<u8>), codec::Error> + Send + Sync>;

/// What a reaction emits when it gives up on an event.
#[derive(Clone)]
pub(crate) struct FailureEvent {
    pub(crate) on: EventRef,
    pub(crate) emits: EventRef,
    pub(crate) make: MakeFailureEvent,
}

/// A handler and what it declares: on which events it runs, what it emits, how it fails.
///
/// Made by [`on`], [`on_effect`], [`undo`] or [`undo_effect`]; gets its name when it is added to a service. Its [kind](kind)
/// says which of them made it, so that a method that makes no sense for it does not compile.
#[must_use = "a reaction does nothing until it is added to a service"]
pub struct Reaction<S, DB: Database, K = kind::Any> {
    pub(crate) role: Role,
    /// The handlers, by the event that they are given. A join has one, for each of its events.
    pub(crate) work: Vec<(EventRef, Work<S, DB>)>,
    /// Whether its handler is given the event of an item.
    pub(crate) takes_item: bool,
    /// The triggers of an undo.
    pub(crate) triggers: Vec<EventRef>,
    /// What must be undone before an undo runs.
    pub(crate) after_undo_of: Vec<EventRef>,
    pub(crate) emits: Vec<Emission>,
    /// The fields of the events that it may emit.
    pub(crate) fields: Vec<EventFields>,
    pub(crate) failure_event: Option<FailureEvent>,
    pub(crate) tuning: Tuning,
    /// How long the provider knows an idempotency key, if that is declared.
    pub(crate) key_life: Option<Duration>,
    pub(crate) look_up: Option<Arc<dyn LookUp<S, DB>>>,
    kind: PhantomData<fn() -> K>,
}

/// Runs a handler on an event, in one local transaction. If its argument is [`Each`](crate::Each), it runs once for each item; if it is
/// [`All`](crate::All) or [`Every`](crate::Every), it is a join: it runs once in a saga, when all is there.
pub fn on<S, DB, I, H>(handler: H) -> Reaction<S, DB, I::Local>
where
    S: Send + Sync + 'static,
    DB: Database,
    I: Input,
    H: for<'a> Handler<'a, S, DB, I>,
{
    Reaction::new::<I>(I::role(), &work::local(handler))
}

/// Runs an effect on an event: `call` outside any transaction, under an idempotency key, until there is an answer; then `record`
/// with the answer, in one local transaction. The argument of both chooses, as with [`on`].
pub fn on_effect<S, DB, I, T, C, R>(call: C, record: R) -> Reaction<S, DB, kind::Effect<I, T>>
where
    S: Send + Sync + 'static,
    DB: Database,
    I: Input,
    T: Send + 'static,
    C: for<'a> Effect<'a, S, DB, I, T>,
    R: for<'a> Record<'a, S, DB, I, T>,
{
    Reaction::new::<I>(I::role(), &work::external(call, record))
}

/// Undoes the step that emitted the event in the handler's signature. The handler is given that very event; its triggers are
/// declared with [`when`](Reaction::when).
///
/// If the argument is [`Each`](crate::Each), the step has items: it runs once for each that is done.
pub fn undo<S, DB, I, H>(handler: H) -> Reaction<S, DB, Untriggered<I::Local>>
where
    S: Send + Sync + 'static,
    DB: Database,
    I: Undone,
    H: for<'a> Handler<'a, S, DB, I>,
{
    Reaction::new::<I>(Role::Undo { undoes: EventRef::of::<I::Event>() }, &work::local(handler))
}

/// Undoes a step by an effect: [`undo`] and [`on_effect`] in one.
pub fn undo_effect<S, DB, I, T, C, R>(call: C, record: R) -> Reaction<S, DB, Untriggered<kind::Effect<I, T>>>
where
    S: Send + Sync + 'static,
    DB: Database,
    I: Undone,
    T: Send + 'static,
    C: for<'a> Effect<'a, S, DB, I, T>,
    R: for<'a> Record<'a, S, DB, I, T>,
{
    Reaction::new::<I>(Role::Undo { undoes: EventRef::of::<I::Event>() }, &work::external(call, record))
}

impl<S, DB> Reaction<S, DB, Local>
where
    S: Send + Sync + 'static,
    DB: Database,
{
    /// Runs another handler on another event, in the same reaction: both share one durable consumer, and events with the same
    /// key are handled in order.
    pub fn or<E, H>(mut self, handler: H) -> Self
    where
        E: Event,
        H: for<'a> Handler<'a, S, DB, Single<E>>,
    {
        self.work.push((EventRef::of::<E>(), work::local(handler)));
        self
    }
}

impl<S, DB: Database, W> Reaction<S, DB, Untriggered<W>> {
    /// Declares the triggers: the events on which the undo runs.
    pub fn when<Set: EventSet>(self) -> Reaction<S, DB, Undo<W>> {
        self.of_kind::<Undo<W>>().when::<Set>()
    }
}

impl<S, DB: Database, W> Reaction<S, DB, Undo<W>> {
    /// Declares more triggers.
    pub fn when<Set: EventSet>(mut self) -> Self {
        self.triggers.extend(Set::refs());
        self
    }

    /// Declares an order of undos: this one runs when the steps of this service that emit these events are undone. One that is barred
    /// counts as undone: there is nothing to undo, and never will be.
    ///
    /// Meanwhile it waits in the database, and keeps no other undo waiting.
    pub fn after_undo_of<Set: EventSet>(mut self) -> Self {
        self.after_undo_of.extend(Set::refs());
        self
    }
}

// The kind is a bound of each method, and not of the block: the compiler then says what the trait has to say about it.
impl<S, DB: Database, K> Reaction<S, DB, K> {
    /// Declares the failure event: what is emitted when the reaction gives up on an event, so that the saga doesn't hang. Of a join, `E`
    /// is one of its parts; it gives up when all of them are there.
    pub fn gives_up_with<E, G>(mut self, make: impl Fn(&Envelope<E>) -> G + Send + Sync + 'static) -> Self
    where
        K: Forward,
        E: Event,
        G: Event,
    {
        let make: MakeFailureEvent = Arc::new(move |event| {
            let failure_event = make(&event.decode::<E>()?);
            let body = serde_json::to_vec(&failure_event)?;
            Ok((failure_event.key(), body))
        });
        self.fields.push(EventFields::of::<G>());
        self.failure_event = Some(FailureEvent { on: EventRef::of::<E>(), emits: EventRef::of::<G>(), make });
        self
    }
}

impl<S: Send + Sync + 'static, DB: Database, K> Reaction<S, DB, K> {
    /// Declares how long the provider remembers an idempotency key, counted from the first call under it. After that, a
    /// repetition would be a new call, so the call is not repeated. What [`look_up`](Self::look_up) finds is recorded; without a
    /// look-up, the event becomes a dead letter that asks a person.
    ///
    /// Stripe, for example, forgets a key after 24 hours, while a dead letter may be redriven after weeks.
    pub fn key_lives(mut self, life: Duration) -> Self
    where
        K: Calls,
    {
        self.key_life = Some(life);
        self
    }

    /// Asks the provider whether a call was carried out whose key it may have [forgotten](Self::key_lives). `Some` is recorded
    /// as the call's answer; `None` means that it wasn't carried out, and the call is made again.
    pub fn look_up<L>(mut self, look_up: L) -> Self
    where
        K: Calls,
        L: for<'a> Effect<'a, S, DB, K::Input, Option<K::Answer>>,
    {
        self.look_up = Some(work::look_up(look_up));
        self
    }
}

impl<S, DB: Database, K: Complete> Reaction<S, DB, K> {
    /// The reaction without its kind, to be added to a service.
    pub fn complete(self) -> Reaction<S, DB> {
        self.of_kind()
    }
}

impl<S, DB: Database, K> Reaction<S, DB, K> {
    fn new<I: Input>(role: Role, work: &Work<S, DB>) -> Self {
        Self {
            role,
            takes_item: matches!(I::role(), Role::Each),
            work: I::events().into_iter().map(|event| (event, work.clone())).collect(),
            triggers: Vec::new(),
            after_undo_of: Vec::new(),
            emits: Vec::new(),
            fields: Vec::new(),
            failure_event: None,
            tuning: Tuning::default(),
            key_life: None,
            look_up: None,
            kind: PhantomData,
        }
    }

    fn of_kind<L>(self) -> Reaction<S, DB, L> {
        let Self {
            role,
            work,
            takes_item,
            triggers,
            after_undo_of,
            emits,
            fields,
            failure_event,
            tuning,
            key_life,
            look_up,
            kind: _,
        } = self;
        Reaction {
            role,
            work,
            takes_item,
            triggers,
            after_undo_of,
            emits,
            fields,
            failure_event,
            tuning,
            key_life,
            look_up,
            kind: PhantomData,
        }
    }

    /// Declares that each run emits all of these events.
    pub fn emits<Set: EventSet>(mut self) -> Self {
        self.emits.push(Emission::All(Set::refs()));
        self.fields.extend(Set::fields());
        self
    }

    /// Declares that each run emits exactly one of these events.
    pub fn emits_one_of<Set: EventSet>(mut self) -> Self {
        self.emits.push(Emission::OneOf(Set::refs()));
        self.fields.extend(Set::fields());
        self
    }

    /// Declares that each run [emits](pavane_outbox::Tx::emit_each) this event for each item of a list. The list must not be empty, unless
    /// [`or_if_none`](Self::or_if_none) says what is emitted then.
    pub fn emits_each<E: Event>(mut self) -> Self {
        self.emits.push(Emission::Each(E::refs()));
        self.fields.push(EventFields::of::<E>());
        self
    }

    /// Declares what is emitted where the list of the [`emits_each`](Self::emits_each) before it is empty.
    pub fn or_if_none<E: Event>(mut self) -> Self {
        Emission::or_if_none(&mut self.emits, EventRef::of::<E>());
        self.fields.push(EventFields::of::<E>());
        self
    }

    /// Declares that a run may emit any of these events.
    pub fn may_emit<Set: EventSet>(mut self) -> Self {
        self.emits.push(Emission::Maybe(Set::refs()));
        self.fields.extend(Set::fields());
        self
    }

    /// Declares that a run may make one of these events the saga's outcome.
    pub fn decides<Set: EventSet>(mut self) -> Self {
        self.emits.push(Emission::Outcome(Set::refs()));
        self.fields.extend(Set::fields());
        self
    }

    /// Declares that a run may schedule these events. The saga's outcome [cancels](pavane_outbox::Tx::cancel) them, unless the service
    /// lets them outlive it.
    pub fn schedules<Set: EventSet>(mut self) -> Self {
        self.emits.push(Emission::Scheduled(Set::refs()));
        self.fields.extend(Set::fields());
        self
    }

    /// Changes the tuning.
    pub fn tuned(mut self, change: impl FnOnce(&mut Tuning)) -> Self {
        change(&mut self.tuning);
        self
    }

    /// What it waits for. Empty unless it is a join.
    pub(crate) fn parts(&self) -> &[JoinPart] {
        if let Role::Join { of } = &self.role { of } else { &[] }
    }

    pub(crate) fn has_effect(&self) -> bool {
        self.work.iter().any(|(_, work)| matches!(work, Work::External(_)))
    }

    /// The events on which it runs.
    pub(crate) fn listens_to(&self) -> Vec<EventRef> {
        if let Role::Undo { .. } = self.role {
            return self.triggers.clone();
        }
        self.work.iter().map(|(event, _)| event.clone()).collect()
    }

    /// The tuning.
    pub const fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// How long a dead letter can be redriven without asking a person: as long as the provider remembers the key. `None` where
    /// no key life is declared, or a look-up is.
    pub fn asks_a_person_after(&self) -> Option<Duration> {
        self.key_life.filter(|_| self.look_up.is_none())
    }

    /// The fields of the events that it may emit.
    pub fn fields(&self) -> &[EventFields] {
        &self.fields
    }

    /// Its declaration as data.
    pub fn manifest(&self, name: &str) -> pavane_choreography::Reaction {
        pavane_choreography::Reaction {
            name: name.to_owned(),
            role: self.role.clone(),
            on: self.listens_to(),
            emits: self.emits.clone(),
            effect: self.has_effect(),
            gives_up_with: self.failure_event.as_ref().map(|failure_event| failure_event.emits.clone()),
            after_undo_of: self.after_undo_of.clone(),
        }
    }
}

impl<S, DB: Database, K> fmt::Debug for Reaction<S, DB, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reaction").field("role", &self.role).field("emits", &self.emits).finish_non_exhaustive()
    }
}
