//! A stage for tests: one service that stands alone, with a knob for each way to fail.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use pavane::{
    Config, Correlation, Envelope, Event, Handled, HandlerError, SagaId,
    any::{App, Call, Db, Entry, Service, Tx},
    database::Config as DbConfig,
    internal::into_parts,
    on, on_effect, undo, undo_effect,
};
use pavane_bus::{
    Bus as _, Memory, Outgoing,
    topology::{DEAD_LETTERS, EVENTS},
};
use pavane_contract::{EventId, RawEnvelope, SystemClock, codec, subject};
use pavane_inbox::{
    Consumer,
    dead_letter::{Address, redrive},
};
use pavane_outbox::internal::backlog;
use pavane_testkit::servers::Postgres;
pub(crate) use pavane_testkit::until;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{
    Row as _, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

const CANCEL: pavane::EntryPoint = pavane::EntryPoint::new("cancel");
pub(crate) const START: pavane::EntryPoint = pavane::EntryPoint::new("start");

macro_rules! event {
    ($name:ident, $wire:literal) => {
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
        #[event(name = $wire, key = key)]
        pub(crate) struct $name {
            pub(crate) key: String,
        }
    };
}

event!(Started, "stage.started");
event!(Cancelled, "stage.cancelled");
event!(Stepped, "stage.stepped");
event!(Refused, "stage.refused");
event!(Undone, "stage.undone");
event!(Charged, "stage.charged");
event!(Declined, "stage.declined");
event!(Refunded, "stage.refunded");
event!(Failed, "stage.failed");
event!(Won, "stage.won");

/// What handlers do with a key, and what they did.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// How often `step` still fails for a key.
    pub(crate) failures: Mutex<HashMap<String, u32>>,
    /// Calls of the effects, by idempotency key.
    pub(crate) calls: Mutex<Vec<String>>,
    /// The effect answers once this is free.
    pub(crate) provider: tokio::sync::Mutex<()>,
    /// How often the provider isn't there.
    pub(crate) outages: Mutex<u32>,
}

pub(crate) type State = Arc<Script>;

async fn step(script: &State, tx: &mut Tx, started: &Envelope<Started>) -> Handled {
    let key = started.key.clone();
    sqlx::query("insert into steps (key, kind) values ($1, 'step')").bind(&key).execute(tx.conn()).await?;
    {
        let mut failures = script.failures.lock().unwrap();
        let left = failures.entry(key.clone()).or_default();
        if *left > 0 {
            *left -= 1;
            return Err(HandlerError::transient("told to fail"));
        }
    }
    match key.split('-').next() {
        Some("refuse") => tx.emit(&Refused { key }).await?,
        Some("panic") => panic!("told to panic"),
        Some("reject") => return Err(HandlerError::reject("told to reject")),
        Some("silent") => {}
        _ => tx.emit(&Stepped { key }).await?,
    }
    Ok(())
}

async fn undo_step(_: &State, tx: &mut Tx, stepped: &Envelope<Stepped>) -> Handled {
    let key = stepped.key.clone();
    sqlx::query("insert into steps (key, kind) values ($1, 'undo-step')").bind(&key).execute(tx.conn()).await?;
    tx.emit(&Undone { key }).await?;
    Ok(())
}

async fn charge(script: &State, call: &Call<'_>, started: &Envelope<Started>) -> Result<bool, HandlerError> {
    script.calls.lock().unwrap().push(call.key().to_string());
    {
        let mut outages = script.outages.lock().unwrap();
        if *outages > 0 {
            *outages -= 1;
            return Err(HandlerError::unavailable("the provider is away"));
        }
    }
    drop(script.provider.lock().await);
    if started.key.starts_with("impossible") {
        return Err(HandlerError::reject("the provider says never"));
    }
    Ok(!started.key.starts_with("decline"))
}

async fn record_charge(_: &State, tx: &mut Tx, started: &Envelope<Started>, charged: bool) -> Handled {
    let key = started.key.clone();
    let kind = if charged { "charge" } else { "decline" };
    sqlx::query("insert into steps (key, kind) values ($1, $2)").bind(&key).bind(kind).execute(tx.conn()).await?;
    if charged {
        tx.emit(&Charged { key }).await?;
    } else {
        tx.emit(&Declined { key }).await?;
    }
    Ok(())
}

async fn refund(script: &State, call: &Call<'_>, _: &Envelope<Charged>) -> Result<(), HandlerError> {
    script.calls.lock().unwrap().push(call.key().to_string());
    Ok(())
}

async fn record_refund(_: &State, tx: &mut Tx, charged: &Envelope<Charged>, (): ()) -> Handled {
    let key = charged.key.clone();
    sqlx::query("insert into steps (key, kind) values ($1, 'refund')").bind(&key).execute(tx.conn()).await?;
    tx.emit(&Refunded { key }).await?;
    Ok(())
}

async fn judge(_: &State, tx: &mut Tx, stepped: &Envelope<Stepped>) -> Handled {
    let _outcome = tx.decide(&Won { key: stepped.key.clone() }).await?;
    Ok(())
}

/// The wiring table.
pub(crate) fn service(script: State) -> Service<State> {
    let quick = |tuning: &mut pavane::Tuning| {
        tuning.max_attempts = 3;
        tuning.backoff_base = Duration::from_millis(4);
        tuning.backoff_max = Duration::from_millis(40);
    };
    Service::new("stage", script)
        .migrations(tables())
        .entry(&START, |entry| entry.may_emit::<Started>().schedules::<Started>())
        .entry(&CANCEL, pavane::Declared::may_emit::<Cancelled>)
        .react(
            "step",
            on(step)
                .emits_one_of::<(Stepped, Refused)>()
                .gives_up_with(|started: &Envelope<Started>| Failed { key: started.key.clone() })
                .tuned(quick),
        )
        .react("undo-step", undo(undo_step).when::<Cancelled>().emits::<Undone>().tuned(quick))
        .react("charge", on_effect(charge, record_charge).emits_one_of::<(Charged, Declined)>().tuned(quick))
        .react("refund", undo_effect(refund, record_refund).when::<Cancelled>().emits::<Refunded>().tuned(quick))
        .react("judge", on(judge).decides::<Won>())
}

fn tables() -> Migrator {
    let sql = "create table steps (key text not null, kind text not null)".into_sql_str();
    Migrator::with_migrations(vec![Migration::new(1, "steps".into(), MigrationType::Simple, sql, false)])
}

/// A running service.
pub(crate) struct Stage {
    pub(crate) script: State,
    pub(crate) bus: Memory,
    pub(crate) db: Db,
    start: Entry,
    cancel: Entry,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<Result<(), pavane::Error>>>,
    url: String,
    folder: TempDir,
    full: bool,
}

/// The databases that every test runs on.
pub(crate) async fn databases() -> Vec<(String, TempDir)> {
    let folder = TempDir::new().unwrap();
    let sqlite = format!("sqlite:{}", folder.path().join("stage.db").display());
    let postgres = Postgres::shared().await.unwrap().fresh_database().await.unwrap();
    vec![(sqlite, folder), (postgres, TempDir::new().unwrap())]
}

impl Stage {
    /// Starts the service on a database.
    pub(crate) async fn open((url, folder): (String, TempDir)) -> Self {
        let bus = Memory::new(Arc::new(SystemClock));
        Self::open_on(bus, url, folder).await
    }

    async fn open_on(bus: Memory, url: String, folder: TempDir) -> Self {
        let (mut stage, app) = Self::set(bus, url, folder).await;
        let (stop, stopped) = oneshot::channel::<()>();
        stage.running = Some(tokio::spawn(app.run_until(async move { drop(stopped.await) })));
        stage.stop = Some(stop);
        stage
    }

    /// Connects the service without running it: one of its reactions is stepped by hand, and nothing else happens.
    pub(crate) async fn by_hand(
        (url, folder): (String, TempDir),
        reaction: &str,
    ) -> (Self, Consumer<State, sqlx::Any, Memory>) {
        let bus = Memory::new(Arc::new(SystemClock));
        let (stage, app) = Self::set(bus, url, folder).await;
        let (consumers, _) = into_parts(app);
        let consumer = consumers.into_iter().find(|consumer| consumer.name() == reaction).unwrap();
        (stage, consumer)
    }

    async fn set(bus: Memory, url: String, folder: TempDir) -> (Self, App<State, Memory>) {
        let script = State::default();
        let db = Db::open(DbConfig::new("stage", &url)).await.unwrap();
        let app = service(Arc::clone(&script)).connect_to(db.clone(), bus.clone(), Config::new("")).await.unwrap();
        let (start, cancel) = (app.entry(&START), app.entry(&CANCEL));
        (Self { script, bus, db, start, cancel, stop: None, running: None, url, folder, full: false }, app)
    }

    /// Starts a saga; returns its id.
    pub(crate) async fn start(&self, key: &str) -> SagaId {
        let mut tx = self.start.begin(Correlation::start()).await.unwrap();
        let saga = tx.saga();
        tx.emit(&Started { key: key.to_owned() }).await.unwrap();
        tx.commit().await.unwrap();
        saga
    }

    pub(crate) fn entry(&self) -> &Entry {
        &self.start
    }

    /// Cancels a saga.
    pub(crate) async fn cancel(&self, saga: SagaId, key: &str) {
        let mut tx = self.cancel.begin(Correlation::of(saga)).await.unwrap();
        tx.emit(&Cancelled { key: key.to_owned() }).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Publishes an event past the outbox, as a foreign client would.
    pub(crate) async fn publish<E: Event>(&self, saga: SagaId, event: &E) -> EventId {
        let id = EventId::new(&SystemClock);
        self.publish_raw(&envelope(id, saga, event), &format!("{id}-{}", EventId::new(&SystemClock))).await;
        id
    }

    pub(crate) async fn publish_raw(&self, event: &RawEnvelope, message_id: &str) {
        self.publish_to(subject::of(&event.meta.event, &event.meta.key), event, message_id).await;
    }

    /// Keeps an event as a dead letter of a reaction, as the service would. Returns its sequence.
    pub(crate) async fn keep_letter(&self, reaction: &str, event: &RawEnvelope) -> u64 {
        let subject = subject::of(&event.meta.event, &event.meta.key);
        self.publish_to(format!("dead.stage.{reaction}.{subject}"), event, &format!("dead-{}", event.meta.id)).await
    }

    /// Gives a dead letter to its reaction anew, as a person would.
    pub(crate) async fn redrive(&self, letter: u64) {
        let stored = self.bus.dead_letter_at(letter).await.unwrap().unwrap();
        let address = Address::of_letter(&stored.subject).unwrap();
        let redrive = redrive(address, letter, format!("redrive-{}", EventId::new(&SystemClock)));
        self.bus.publish(vec![redrive]).await.remove(0).unwrap();
    }

    /// The sequences of a reaction's dead letters.
    pub(crate) fn letters_of(&self, reaction: &str) -> Vec<u64> {
        let its = format!("dead.stage.{reaction}.");
        let letters = self.bus.messages(DEAD_LETTERS);
        letters.iter().filter(|it| it.message.subject.starts_with(&its)).map(|it| it.sequence).collect()
    }

    /// Returns its sequence.
    pub(crate) async fn publish_to(&self, subject: String, event: &RawEnvelope, message_id: &str) -> u64 {
        let outgoing = Outgoing {
            subject,
            headers: codec::encode(event),
            payload: event.body.clone(),
            message_id: message_id.to_owned(),
        };
        self.bus.publish(vec![outgoing]).await.remove(0).unwrap().sequence
    }

    /// The names of a key's events in the stream, in order.
    pub(crate) fn said(&self, key: &str) -> Vec<String> {
        let messages = self.bus.messages(EVENTS);
        let events = messages
            .iter()
            .filter_map(|stored| codec::decode(&stored.message.headers, stored.message.payload.clone(), 1 << 20).ok());
        events.filter(|event| event.meta.key.as_str() == key).map(|event| event.meta.event.name.clone()).collect()
    }

    /// Which reactions gave up on something, by name.
    pub(crate) fn dead_reactions(&self) -> Vec<String> {
        let dead = self.bus.messages(DEAD_LETTERS);
        let mut names: Vec<_> =
            dead.iter().map(|stored| stored.message.subject.split('.').nth(2).unwrap().to_owned()).collect();
        names.sort();
        names
    }

    /// Why they gave up.
    pub(crate) fn dead_causes(&self) -> Vec<String> {
        let dead = self.bus.messages(DEAD_LETTERS);
        dead.iter().map(|stored| stored.message.headers.get("pavane-dead-cause").unwrap().to_owned()).collect()
    }

    /// Why one of them did.
    pub(crate) fn dead_causes_of(&self, reaction: &str) -> Vec<String> {
        let its = format!("dead.stage.{reaction}.");
        let dead = self.bus.messages(DEAD_LETTERS).into_iter().filter(|it| it.message.subject.starts_with(&its));
        dead.filter_map(|stored| stored.message.headers.get("pavane-dead-cause").map(str::to_owned)).collect()
    }

    /// What the handlers did about a key.
    pub(crate) async fn done(&self, key: &str) -> Vec<String> {
        let query = sqlx::query("select kind from steps where key = $1 order by kind").bind(key.to_owned());
        let rows = query.fetch_all(self.db.readers()).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>(0)).collect()
    }

    /// Waits until everything published is handled and nothing waits in the outbox.
    pub(crate) async fn settle(&self) {
        until("the stage to come to rest", || async {
            let backlog = backlog(&self.db).await.unwrap();
            let idle = ["step", "undo-step", "charge", "refund", "judge"].iter().all(|reaction| {
                let pending = self.bus.pending(&format!("stage_{reaction}")).unwrap();
                pending.unsettled == 0 && pending.undelivered == 0
            });
            let letters = self.letters_waiting().await;
            let idle = idle && self.undos_waiting().await == 0;
            // While its stream is full they wait, and that is rest.
            (backlog.unsent == 0 && idle && (letters == 0 || self.full)).then_some(())
        })
        .await;
    }

    /// Says whether the stream of dead letters is full.
    pub(crate) fn fill_dead_letters(&mut self, full: bool) {
        self.full = full;
        self.bus.set_full("DEAD_LETTERS", full);
    }

    /// How many dead letters wait in the database to be published.
    pub(crate) async fn letters_waiting(&self) -> i64 {
        pavane_inbox::dead_letter::waiting(&self.db).await.unwrap()
    }

    /// How many undos wait in the database for their step.
    pub(crate) async fn undos_waiting(&self) -> i64 {
        sqlx::query_scalar("select count(*) from pavane_waiting").fetch_one(self.db.readers()).await.unwrap()
    }

    /// Stops the service as SIGTERM would, and starts it again on the same database and bus.
    pub(crate) async fn restart(mut self) -> Self {
        self.stop().await;
        Self::open_on(self.bus, self.url, self.folder).await
    }

    pub(crate) async fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(running) = self.running.take() {
            running.await.unwrap().unwrap();
        }
    }
}

/// An event of this id.
pub(crate) fn envelope<E: Event>(id: EventId, saga: SagaId, event: &E) -> RawEnvelope {
    let mut event = pavane_testkit::envelope(saga, event);
    Arc::make_mut(&mut event.meta).id = id;
    event
}
