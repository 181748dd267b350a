//! A provider forgets an idempotency key after a day; a person redrives after a month.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use pavane::{
    Config, Correlation, Declared, Envelope, Event, Handled, HandlerError, Key,
    any::{Call, Db, Entry, Service, Tx},
    database::Config as DbConfig,
    on_effect, undo_effect,
};
use pavane_bus::{
    Bus as _, Memory,
    dead_letter::{Address, redrive},
    topology::{DEAD_LETTERS, EVENTS},
};
use pavane_contract::{Clock as _, SystemClock, Timestamp};
use pavane_testkit::servers::Postgres;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::clock::Ahead;

const ASK: pavane::EntryPoint = pavane::EntryPoint::new("ask");

const DAY: Duration = Duration::from_hours(24);

macro_rules! event {
    ($name:ident, $wire:literal) => {
        #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
        struct $name {}

        impl Event for $name {
            const NAME: &'static str = $wire;
            const VERSION: u16 = 1;

            fn key(&self) -> Key {
                "order-1".into()
            }
        }
    };
}

event!(Placed, "bank.placed");
event!(Cancelled, "bank.cancelled");
event!(Charged, "bank.charged");
event!(Refunded, "bank.refunded");

/// A provider that knows a key for a day.
#[derive(Debug, Default)]
struct Provider {
    clock: Ahead,
    keys: Mutex<HashMap<String, Timestamp>>,
    /// By whom they were asked for.
    done: Mutex<Vec<&'static str>>,
    /// So many calls get no answer.
    lost: AtomicU32,
    /// Whether those are carried out all the same.
    deaf: bool,
}

impl Provider {
    fn carry_out(&self, what: &'static str, call: &Call<'_>) -> Result<(), HandlerError> {
        let is_lost = self.lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if !(is_lost && self.deaf) {
            let now = self.clock.now();
            let mut keys = self.keys.lock().unwrap();
            keys.retain(|_, since| now.as_second() - since.as_second() < 24 * 60 * 60);
            if keys.insert(call.key().to_string(), now).is_none() {
                self.done.lock().unwrap().push(what);
            }
        }
        if is_lost { Err(HandlerError::transient("the answer is lost")) } else { Ok(()) }
    }

    fn done(&self) -> Vec<&'static str> {
        self.done.lock().unwrap().clone()
    }
}

type State = Arc<Provider>;

async fn charge(bank: &State, call: &Call<'_>, _: &Envelope<Placed>) -> Result<(), HandlerError> {
    bank.carry_out("charge", call)
}

async fn find_charge(bank: &State, _: &Call<'_>, _: &Envelope<Placed>) -> Result<Option<()>, HandlerError> {
    Ok(bank.done().contains(&"charge").then_some(()))
}

async fn record_charge(_: &State, tx: &mut Tx, _: &Envelope<Placed>, (): ()) -> Handled {
    Ok(tx.emit(&Charged {}).await?)
}

async fn refund(bank: &State, call: &Call<'_>, _: &Envelope<Charged>) -> Result<(), HandlerError> {
    bank.carry_out("refund", call)
}

async fn find_refund(bank: &State, _: &Call<'_>, _: &Envelope<Charged>) -> Result<Option<()>, HandlerError> {
    Ok(bank.done().contains(&"refund").then_some(()))
}

async fn record_refund(_: &State, tx: &mut Tx, _: &Envelope<Charged>, (): ()) -> Handled {
    Ok(tx.emit(&Refunded {}).await?)
}

fn twice(tuning: &mut pavane::Tuning) {
    tuning.max_attempts = 2;
    tuning.backoff_base = Duration::from_millis(1);
}

/// What becomes of the reaction whose answers are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wiring {
    /// A charge that nothing undoes.
    Plain,
    /// A charge with an undo.
    Step,
    /// The undo of it.
    Undo,
}

fn service(bank: State, wiring: Wiring, looks: bool) -> Service<State> {
    let charge = on_effect(charge, record_charge).emits::<Charged>().tuned(twice).key_lives(DAY);
    let refund = undo_effect(refund, record_refund).when::<Cancelled>().emits::<Refunded>().tuned(twice).key_lives(DAY);
    let (charge, refund) =
        if looks { (charge.look_up(find_charge), refund.look_up(find_refund)) } else { (charge, refund) };
    let service =
        Service::new("bank", bank).entry(&ASK, Declared::may_emit::<(Placed, Cancelled)>).react("charge", charge);
    if wiring == Wiring::Plain { service } else { service.react("refund", refund) }
}

/// A running service, and the reaction that fails.
struct Till {
    bank: State,
    bus: Memory,
    db: Db,
    ask: Entry,
    saga: Correlation,
    reaction: &'static str,
    _running: JoinHandle<Result<(), pavane::Error>>,
    _folder: TempDir,
}

impl Till {
    async fn open(on_postgres: bool, wiring: Wiring, looks: bool, deaf: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let url = if on_postgres {
            Postgres::shared().await.unwrap().fresh_database().await.unwrap()
        } else {
            format!("sqlite:{}", folder.path().join("bank.db").display())
        };
        let bank = State::new(Provider { deaf, ..Provider::default() });
        let mut config = DbConfig::new("bank", &url);
        config.clock = Arc::new(bank.clock.clone());
        let (db, bus) = (Db::open(config).await.unwrap(), Memory::new(Arc::new(SystemClock)));
        let app = service(Arc::clone(&bank), wiring, looks);
        let app = app.connect_to(db.clone(), bus.clone(), Config::new("")).await.unwrap();
        let ask = app.entry(&ASK);
        let running = tokio::spawn(app.run_until(std::future::pending()));
        let reaction = if wiring == Wiring::Undo { "refund" } else { "charge" };
        let saga = Correlation::of(pavane_contract::SagaId::new(&SystemClock));
        Self { bank, bus, db, ask, saga, reaction, _running: running, _folder: folder }
    }

    /// Brings the reaction to where its two calls get no answer, and its event is a dead letter.
    async fn lose_answers(&self) {
        if self.reaction == "refund" {
            self.emit(&Placed {}).await;
            until("the charge", || async { self.said("bank.charged") == 1 }).await;
        }
        self.bank.lost.store(2, Ordering::SeqCst);
        if self.reaction == "refund" {
            self.emit(&Cancelled {}).await;
        } else {
            self.emit(&Placed {}).await;
        }
        until("the dead letter", || async { self.causes().len() == 1 }).await;
    }

    async fn emit<E: Event>(&self, event: &E) {
        let mut tx = self.ask.begin(self.saga.clone()).await.unwrap();
        tx.emit(event).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// On PostgreSQL what counts is the server's clock, so that there everything is made older instead.
    async fn pass_a_month(&self) {
        self.bank.clock.pass(30 * DAY);
        if self.db.dialect() == pavane::database::Dialect::Postgres {
            let month = i64::try_from((30 * DAY).as_micros()).unwrap();
            for (table, at) in [("pavane_ledger", "changed_at"), ("pavane_call", "first_called_at")] {
                let older = format!("update {table} set {at} = {at} - {month}");
                sqlx::raw_sql(sqlx::AssertSqlSafe(older)).execute(self.db.writers()).await.unwrap();
            }
        }
    }

    /// Gives the dead letter to its reaction again, as a person does.
    async fn redrive(&self) {
        let dead = self.bus.messages(DEAD_LETTERS).remove(0);
        let address = Address::of_letter(&dead.message.subject).unwrap();
        let redriven = redrive(address, dead.sequence, "redrive-1".to_owned());
        self.bus.publish(vec![redriven]).await.remove(0).unwrap();
    }

    fn said(&self, name: &str) -> usize {
        let stored = self.bus.messages(EVENTS);
        stored.iter().filter(|stored| stored.message.subject.starts_with(&format!("events.{name}."))).count()
    }

    fn causes(&self) -> Vec<String> {
        let letters = self.bus.messages(DEAD_LETTERS);
        let causes = letters.iter().map(|letter| letter.message.headers.get("pavane-dead-cause"));
        causes.map(|cause| cause.unwrap().to_owned()).collect()
    }

    /// What the reaction emits when it has its answer.
    fn says(&self) -> &'static str {
        if self.reaction == "refund" { "bank.refunded" } else { "bank.charged" }
    }

    fn carried_out(&self) -> usize {
        self.bank.done().iter().filter(|what| **what == self.reaction).count()
    }
}

async fn until(what: &str, so: impl AsyncFn() -> bool) {
    pavane_testkit::until(what, async || so().await.then_some(())).await;
}

const WIRINGS: [Wiring; 3] = [Wiring::Plain, Wiring::Step, Wiring::Undo];

#[tokio::test]
async fn a_redrive_after_the_keys_life_asks_a_person_and_does_not_call() {
    for (on_postgres, wiring) in [false, true].into_iter().flat_map(|on| WIRINGS.map(|wiring| (on, wiring))) {
        let till = Till::open(on_postgres, wiring, false, false).await;
        till.lose_answers().await;
        till.pass_a_month().await;
        till.redrive().await;
        until("the second dead letter", || async { till.causes().len() == 2 }).await;
        let cause = till.causes().remove(1);
        assert!(cause.contains("can't be repeated") && cause.contains("Look there whether it happened"), "{cause}");
        assert_eq!(till.carried_out(), 1, "{wiring:?} on PostgreSQL: {on_postgres}");
    }
}

#[tokio::test]
async fn a_redrive_within_the_keys_life_calls_again_under_the_same_key() {
    for wiring in WIRINGS {
        let till = Till::open(false, wiring, false, false).await;
        till.lose_answers().await;
        till.bank.clock.pass(DAY / 2);
        till.redrive().await;
        until("the answer", || async { till.said(till.says()) == 1 }).await;
        assert_eq!(till.carried_out(), 1, "{wiring:?}");
    }
}

#[tokio::test]
async fn a_look_up_finds_what_was_done_and_calls_only_where_nothing_was() {
    for (on_postgres, wiring) in [false, true].into_iter().flat_map(|on| WIRINGS.map(|wiring| (on, wiring))) {
        for deaf in [false, true] {
            let till = Till::open(on_postgres, wiring, true, deaf).await;
            till.lose_answers().await;
            till.pass_a_month().await;
            till.redrive().await;
            until("the answer", || async { till.said(till.says()) == 1 }).await;
            assert_eq!(till.carried_out(), 1, "{wiring:?}, deaf: {deaf}, on PostgreSQL: {on_postgres}");
        }
    }
}

/// The mistake that the others would find: a framework that takes the last call for the first.
#[tokio::test]
async fn a_framework_that_forgets_its_first_call_charges_twice() {
    let till = Till::open(false, Wiring::Plain, false, false).await;
    let planted = "create trigger planted after insert on pavane_call \
                   begin delete from pavane_call where event_id = new.event_id; end";
    sqlx::raw_sql(planted).execute(till.db.writers()).await.unwrap();
    till.lose_answers().await;
    till.pass_a_month().await;
    till.redrive().await;
    until("the answer", || async { till.said(till.says()) == 1 }).await;
    assert_eq!(till.carried_out(), 2);
}

async fn refusal(service: Service<State>) -> String {
    let db = Db::open(DbConfig::new("bank", "sqlite::memory:")).await.unwrap();
    service.connect_to(db, Memory::new(Arc::new(SystemClock)), Config::new("")).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_key_that_lives_too_short_or_is_not_said_to_is_refused() {
    let bank = || Service::new("bank", State::default());
    let short = on_effect(charge, record_charge).emits::<Charged>().key_lives(Duration::from_mins(1));
    let short = refusal(bank().react("charge", short)).await;
    assert!(short.contains("key_lives = 60s: use more than its timeout"), "{short}");
    let unsaid = on_effect(charge, record_charge).emits::<Charged>().look_up(find_charge);
    let unsaid = refusal(bank().react("charge", unsaid)).await;
    assert!(unsaid.contains(".key_lives(…) beside .look_up(…)"), "{unsaid}");
}
