//! The fault matrix passes for services that do no harm, and names what does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use pavane::{
    Correlation, Envelope, Event, Handled, HandlerError, Key, SagaId,
    any::{Call, Service, Tx},
    database::Emissions,
    on, on_effect, undo,
};
use pavane_choreography::Emission;
use pavane_contract::EventRef;
use pavane_inbox::{
    Reaction,
    kind::{Local, Untriggered},
};
use pavane_testkit::{FaultMatrix, VirtualClock, fault_matrix};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{
    SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

use crate::shop::{
    Bank, DEADLINE, OrderCancelled, OrderConfirmed, OrderDeadlinePassed, OrderPlaced, PaymentCharged, PaymentDeclined,
    PaymentRefunded, RICH, Scales, StockRejected, StockReserved, order, payment, stock,
};

fn id() -> String {
    "7".to_owned()
}

#[tokio::test]
async fn the_shop_does_no_harm_whatever_fails() {
    order_with_a_deadline("").assert().await;
    let bank = Bank::default();
    fault_matrix(move || payment(bank.clone()))
        .event(&OrderPlaced { order: id(), cents: 995, pieces: 3 })
        .event(&OrderPlaced { order: id(), cents: RICH, pieces: 3 })
        .event(&OrderCancelled { order: id() })
        .assert()
        .await;
    fault_matrix(|| stock(Scales::default()))
        .event(&PaymentCharged { order: id(), cents: 995, pieces: 3 })
        .event(&PaymentCharged { order: id(), cents: 995, pieces: 70 })
        .given_up(&PaymentCharged { order: id(), cents: 995, pieces: Scales::UNLUCKY })
        .event(&OrderCancelled { order: id() })
        .event(&OrderConfirmed { order: "8".into() })
        .given(|db| async move {
            sqlx::query("insert into reservations values ('8', 2)").execute(db.writers()).await.unwrap();
        })
        .assert()
        .await;
}

/// The order service, whose order has a deadline: a timer that its end cancels. Runs SQL before each trial.
fn order_with_a_deadline(sql: &'static str) -> FaultMatrix<()> {
    let saga = SagaId::new(&VirtualClock::new(0));
    let matrix = fault_matrix(|| order(None)).saga(saga).given(move |db| async move {
        let deadline = Emission::Scheduled(vec![EventRef::of::<OrderDeadlinePassed>()]);
        let mut tx = db.begin(Correlation::of(saga), Emissions::new("order/place", vec![deadline])).await.unwrap();
        tx.emit_after(DEADLINE, &OrderDeadlinePassed { order: id() }).await.unwrap();
        tx.commit().await.unwrap();
        sqlx::raw_sql(sql).execute(db.writers()).await.unwrap();
    });
    matrix
        .event(&StockReserved { order: id(), pieces: 3 })
        .event(&PaymentDeclined { order: id() })
        .event(&StockRejected { order: id() })
        .event(&OrderDeadlinePassed { order: id() })
}

/// The faults under which a service does harm, without the numbers.
async fn failures<S: Send + Sync + 'static>(matrix: FaultMatrix<S>) -> BTreeSet<String> {
    let report = matrix.run().await;
    report.failures().map(|case| case.fault.split(" at row").next().unwrap_or_default().to_owned()).collect()
}

fn set<const N: usize>(faults: [&str; N]) -> BTreeSet<String> {
    faults.map(ToOwned::to_owned).into()
}

fn charged() -> PaymentCharged {
    PaymentCharged { order: id(), cents: 995, pieces: 3 }
}

/// A service with one table and nothing else.
fn clumsy<S: Send + Sync + 'static>(state: S) -> Service<S> {
    let sql = "create table notes (note text not null)".into_sql_str();
    let migration = Migration::new(1, "notes".into(), MigrationType::Simple, sql, false);
    Service::new("clumsy", state).migrations(Migrator::with_migrations(vec![migration]))
}

async fn note(tx: &mut Tx, note: impl ToString) -> Result<(), sqlx::Error> {
    sqlx::query("insert into notes (note) values ($1)").bind(note.to_string()).execute(tx.conn()).await.map(drop)
}

async fn note_how_often(times: &AtomicU32, tx: &mut Tx, _: &Envelope<PaymentCharged>) -> Handled {
    note(tx, times.fetch_add(1, Ordering::Relaxed)).await?;
    Ok(())
}

async fn note_or_not((): &(), tx: &mut Tx, charged: &Envelope<PaymentCharged>) -> Handled {
    drop(note(tx, &charged.order).await);
    Ok(())
}

async fn note_it((): &(), tx: &mut Tx, charged: &Envelope<PaymentCharged>) -> Handled {
    note(tx, &charged.order).await?;
    Ok(())
}

async fn note_never((): &(), _: &mut Tx, _: &Envelope<PaymentCharged>) -> Handled {
    Err(HandlerError::reject("it is never noted"))
}

async fn note_when_warm(is_warm: &AtomicBool, tx: &mut Tx, charged: &Envelope<PaymentCharged>) -> Handled {
    if !is_warm.swap(true, Ordering::Relaxed) {
        return Err(HandlerError::reject("the cache is cold"));
    }
    note(tx, &charged.order).await?;
    Ok(())
}

/// What was charged, in whatever version is still to come.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct AnyCharged {
    order: String,
}

impl Event for AnyCharged {
    const NAME: &'static str = PaymentCharged::NAME;
    const VERSION: u16 = u16::MAX;

    fn key(&self) -> Key {
        self.order.as_str().into()
    }
}

async fn note_any((): &(), tx: &mut Tx, charged: &Envelope<AnyCharged>) -> Handled {
    note(tx, &charged.order).await?;
    Ok(())
}

type Calls = Arc<Mutex<BTreeMap<String, u32>>>;

async fn call(calls: &Calls, call: &Call<'_>, _: &Envelope<PaymentCharged>) -> Result<u32, HandlerError> {
    let mut calls = calls.lock().unwrap();
    let calls = calls.entry(call.key().to_string()).or_default();
    *calls += 1;
    Ok(*calls)
}

async fn note_answer(_: &Calls, tx: &mut Tx, _: &Envelope<PaymentCharged>, answer: u32) -> Handled {
    note(tx, answer).await?;
    Ok(())
}

async fn answer((): &(), _: &Call<'_>, _: &Envelope<PaymentCharged>) -> Result<(), HandlerError> {
    Ok(())
}

async fn note_answered(state: &(), tx: &mut Tx, charged: &Envelope<PaymentCharged>, (): ()) -> Handled {
    note_it(state, tx, charged).await
}

async fn note_nothing((): &(), _: &mut Tx, _: &Envelope<PaymentCharged>) -> Handled {
    Ok(())
}

#[tokio::test]
async fn what_does_harm_is_named() {
    // It counts what rolled back.
    let counts = fault_matrix(|| clumsy(AtomicU32::new(0)).react("note", on(note_how_often))).event(&charged());
    assert_eq!(failures(counts).await, set(["error of the database"]));
    // It takes an error for an answer.
    let swallows = fault_matrix(|| clumsy(()).react("note", on(note_or_not))).event(&charged());
    assert_eq!(failures(swallows).await, set(["error of the database"]));
    // Its provider doesn't care for keys.
    let calls = Calls::default();
    let calls_twice = fault_matrix(move || clumsy(calls.clone()).react("note", on_effect(call, note_answer)));
    let found = failures(calls_twice.event(&charged())).await;
    assert_eq!(found, set(["crash after the call", "crash before the commit", "error of the database"]));
    // It gives up for ever on what passes, and remembers outside of the transaction that it has passed.
    let gives_up = fault_matrix(|| clumsy(AtomicBool::new(false)).react("note", on(note_when_warm)));
    let found = failures(gives_up.given_up(&charged())).await;
    assert_eq!(found, set(["delivered twice at once", "error of the database"]));
    // It takes an event for one that it knows, whatever its version.
    let takes_any = fault_matrix(|| clumsy(()).react("note", on(note_it).or(note_any))).event(&charged());
    let found = failures(takes_any.event(&AnyCharged { order: id() })).await;
    assert_eq!(found, set(["an unknown version"]));
    // It undoes only what others have heard of by then.
    let found = failures(till(|| undo(give_back_if_heard))).await;
    assert_eq!(found, set(WHILE_THE_STEP_RUNS));
}

#[tokio::test]
async fn a_step_that_emits_for_its_undo_more_than_once_is_named() {
    async fn take_thrice((): &(), tx: &mut Tx, placed: &Envelope<OrderPlaced>) -> Handled {
        for _ in 0..3 {
            record_taken(&(), tx, placed, ()).await?;
        }
        Ok(())
    }
    let service = || {
        Service::new("payment", ())
            .react("take", on(take_thrice).emits::<PaymentCharged>())
            .react("give-back", undo(give_back).when::<OrderCancelled>().may_emit::<PaymentRefunded>())
    };
    let matrix = fault_matrix(service).event(&OrderPlaced { order: id(), cents: 995, pieces: 3 });
    let report = matrix.event(&OrderCancelled { order: id() }).run().await.to_string();
    assert!(report.contains("which its undo is for, 3 times"), "{report}");
}

const WHILE_THE_STEP_RUNS: [&str; 2] =
    ["the undo while the step runs, before the call", "the undo while the step runs, after the call"];

/// A service whose step has an effect, and whose undo has none.
fn till(back: impl Fn() -> Reaction<(), sqlx::Any, Untriggered<Local>> + 'static) -> FaultMatrix<()> {
    let service = move || {
        Service::new("payment", ())
            .react("take", on_effect(take, record_taken).emits::<PaymentCharged>())
            .react("give-back", back().when::<OrderCancelled>().may_emit::<PaymentRefunded>())
    };
    let placed = OrderPlaced { order: id(), cents: 995, pieces: 3 };
    fault_matrix(service).event(&placed).event(&OrderCancelled { order: id() })
}

async fn take((): &(), _: &Call<'_>, placed: &Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    if placed.cents > 0 { Ok(()) } else { Err(HandlerError::reject("there is nothing to take")) }
}

async fn record_taken((): &(), tx: &mut Tx, placed: &Envelope<OrderPlaced>, (): ()) -> Handled {
    let OrderPlaced { order, cents, pieces } = placed.body.clone();
    tx.emit(&PaymentCharged { order, cents, pieces }).await?;
    Ok(())
}

async fn give_back((): &(), tx: &mut Tx, charged: &Envelope<PaymentCharged>) -> Handled {
    tx.emit(&PaymentRefunded { order: charged.order.clone() }).await?;
    Ok(())
}

async fn give_back_if_heard(state: &(), tx: &mut Tx, charged: &Envelope<PaymentCharged>) -> Handled {
    let waiting: i64 = sqlx::query_scalar("select count(*) from pavane_unsent").fetch_one(tx.conn()).await?;
    if waiting > 0 { Ok(()) } else { give_back(state, tx, charged).await }
}

/// PostgreSQL keeps nothing of a transaction in which a statement failed, and answers its commit without an error.
#[tokio::test]
async fn on_postgresql_a_handler_that_takes_an_error_for_an_answer_does_no_harm() {
    for swallows in [false, true] {
        let note = move || if swallows { on(note_or_not) } else { on(note_it) };
        fault_matrix(move || clumsy(()).react("note", note())).event(&charged()).on_postgres().assert().await;
    }
}

/// Runs SQL before each trial: mistakes that the framework doesn't make are planted in its tables.
fn planted<S: Send + Sync + 'static>(matrix: FaultMatrix<S>, sql: &'static str) -> FaultMatrix<S> {
    matrix.given(move |db| async move {
        sqlx::raw_sql(sql).execute(db.writers()).await.unwrap();
    })
}

fn charge_and_refund() -> FaultMatrix<Bank> {
    let bank = Bank::default();
    let matrix = fault_matrix(move || payment(bank.clone()));
    matrix.event(&OrderPlaced { order: id(), cents: 995, pieces: 3 }).event(&OrderCancelled { order: id() })
}

#[tokio::test]
async fn what_a_worse_framework_would_do_is_named() {
    let inbox_forgets = "create trigger planted after insert on pavane_inbox \
                         begin delete from pavane_inbox where reaction = new.reaction and event_id = new.event_id; end";
    let notes = fault_matrix(|| clumsy(()).react("note", on(note_it))).event(&charged());
    // Twice at once is one batch, which handles each event once whatever the table says.
    let found = failures(planted(notes, inbox_forgets)).await;
    assert_eq!(found, set(["delivered again later", "crash after the commit", "crash before the ack"]));
    // Events of an effect are no batch.
    let notes = fault_matrix(|| clumsy(()).react("note", on_effect(answer, note_answered))).event(&charged());
    let found = failures(planted(notes, inbox_forgets)).await;
    let again = ["delivered twice at once", "delivered again later", "crash after the commit", "crash before the ack"];
    assert_eq!(found, set(again));

    let barred_is_forgotten = "create trigger planted after insert on pavane_ledger when new.state = 'barred' \
                               begin delete from pavane_ledger where saga = new.saga and step = new.step; end";
    let found = failures(planted(charge_and_refund(), barred_is_forgotten)).await;
    assert_eq!(found, set(["the undo before the step"]));

    let running_is_ignored = "create trigger planted before insert on pavane_ledger when new.state = 'barred' \
                              begin delete from pavane_ledger where saga = new.saga and step = new.step and state = 'running'; end";
    assert_eq!(failures(till(|| undo(give_back))).await, set([]));
    let found = failures(planted(till(|| undo(give_back)), running_is_ignored)).await;
    assert_eq!(found, set(WHILE_THE_STEP_RUNS));

    let who_waits_is_forgotten = "create trigger planted after insert on pavane_waiting \
                                  begin delete from pavane_waiting where event_id = new.event_id; end";
    let found = failures(planted(till(|| undo(give_back)), who_waits_is_forgotten)).await;
    assert_eq!(found, set(WHILE_THE_STEP_RUNS));

    let undone_is_forgotten = "create trigger planted after update on pavane_ledger when new.state = 'undone' \
                               begin delete from pavane_ledger where saga = new.saga and step = new.step; end";
    let found = failures(planted(charge_and_refund(), undone_is_forgotten)).await;
    assert_eq!(found, set(["the step again after its undo"]));

    let unlucky = || {
        let unlucky = PaymentCharged { order: id(), cents: 995, pieces: Scales::UNLUCKY };
        fault_matrix(|| clumsy(()).react("note", on(note_never))).given_up(&unlucky)
    };
    assert_eq!(failures(unlucky()).await, set([]));
    let letters_wait_in_the_bus = "create trigger planted after insert on pavane_dead_letter \
                                   begin delete from pavane_dead_letter where id = new.id; end";
    assert!(failures(planted(unlucky(), letters_wait_in_the_bus)).await.contains("no fault"));

    let second_is_not_kept = "create trigger planted after insert on pavane_outbox when new.subject like '%.charged.%' \
                              begin insert into pavane_outbox (event_id, subject, headers, payload, emitted_at) \
                              select other, new.subject, replace(new.headers, new.event_id, other), new.payload, new.emitted_at \
                              from (select replace(new.event_id, '-7', '-8') as other); end";
    let found = failures(planted(till(|| undo(give_back)), second_is_not_kept)).await;
    assert_eq!(found, set(["what its undo is for is emitted once"]));

    let failures_leave_traces = "create table traces (trace text); create trigger planted after insert on pavane_attempt \
                                 begin insert into traces values ('?'); end";
    let found = failures(planted(charge_and_refund(), failures_leave_traces)).await;
    assert_eq!(found, set(["a body that can't be read", "error of the database"]));

    let failures_cancel = "create trigger planted after insert on pavane_attempt begin delete from pavane_timer; end";
    let found = failures(order_with_a_deadline(failures_cancel)).await;
    assert_eq!(found, set(["a body that can't be read"]));
}

#[tokio::test]
async fn an_example_that_is_given_up_is_declared() {
    let unlucky = PaymentCharged { order: id(), cents: 995, pieces: Scales::UNLUCKY };
    let stock = || fault_matrix(|| stock(Scales::default())).event(&OrderCancelled { order: id() });
    let undeclared = stock().event(&unlucky).run().await.to_string();
    assert!(undeclared.contains("+ dead letter of reserve: the scales are broken"), "{undeclared}");
    let overdeclared = stock().given_up(&charged()).run().await.to_string();
    assert!(overdeclared.contains("a dead letter without any fault is said with"), "{overdeclared}");
    let nothing = OrderPlaced { order: id(), cents: 0, pieces: 3 };
    till(|| undo(give_back)).given_up(&nothing).assert().await;
}

#[tokio::test]
async fn a_matrix_that_proves_nothing_fails() {
    let no_example = fault_matrix(|| stock(Scales::default())).event(&charged()).run().await;
    assert!(no_example.to_string().contains("there is no example of an event that makes release run"), "{no_example}");
    let idle = fault_matrix(|| clumsy(()).react("note", on(note_nothing))).event(&charged()).run().await;
    assert!(idle.to_string().contains("makes it do nothing"), "{idle}");
    assert!(!fault_matrix(|| clumsy(())).run().await.is_passed());
}

#[tokio::test]
async fn rows_that_an_example_needs_are_put_there_first() {
    async fn rename((): &(), tx: &mut Tx, charged: &Envelope<PaymentCharged>) -> Handled {
        let rename = sqlx::query("update notes set note = 'new' where note = $1").bind(&charged.order);
        rename.execute(tx.conn()).await?;
        Ok(())
    }
    fault_matrix(|| clumsy(()).react("rename", on(rename)))
        .given(|db| async move {
            sqlx::query("insert into notes (note) values ('7')").execute(db.writers()).await.unwrap();
        })
        .event(&charged())
        .assert()
        .await;
}
