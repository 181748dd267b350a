//! Entry points that are steps: what a request did is undone with the saga. As docs/questions.md and docs/guarantees.md say.

use std::time::Duration;

use pavane::{
    Correlation, Declared, EntryPoint, Envelope, Event, Handled, SagaId,
    any::{Entry, Service, Tx},
    database::Error,
    on, undo,
};
use pavane_contract::SystemClock;
use pavane_testkit::{FreshDatabase, Instances, Stage, fault_matrix, given};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, raw_sql};

const REDEEM: EntryPoint = EntryPoint::new("redeem");
const OFFER: EntryPoint = EntryPoint::new("offer");

macro_rules! event {
    ($name:ident, $wire:literal) => {
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Event)]
        #[event(name = $wire, key = order)]
        struct $name {
            order: String,
        }
    };
}

event!(OrderPlaced, "order.placed");
event!(OrderCancelled, "order.cancelled");
event!(VoucherOffered, "voucher.offered");
event!(OfferEnded, "voucher.offer-ended");
event!(VoucherRedeemed, "voucher.redeemed");
event!(VoucherRestored, "voucher.restored");

/// A customer may redeem a voucher while an order is under way.
fn vouchers() -> Service<()> {
    Service::new("voucher", ())
        .entry(&REDEEM, Declared::emits::<VoucherRedeemed>)
        .react("restore", undo(restore).when::<OrderCancelled>().emits::<VoucherRestored>())
}

/// As [`vouchers`], but the customer is asked.
fn offers() -> Service<()> {
    Service::new("voucher", ())
        .react("ask", on(ask).emits::<VoucherOffered>().schedules::<OfferEnded>())
        .entry(&OFFER, |entry| {
            entry.answers::<VoucherOffered>().expires_with::<OfferEnded>().emits::<VoucherRedeemed>()
        })
        .react("restore", undo(restore).when::<OrderCancelled>().emits::<VoucherRestored>())
}

async fn ask((): &(), tx: &mut Tx, placed: &Envelope<OrderPlaced>) -> Handled {
    tx.emit_after(Duration::from_hours(1), &OfferEnded { order: placed.order.clone() }).await?;
    tx.emit(&VoucherOffered { order: placed.order.clone() }).await?;
    Ok(())
}

async fn restore((): &(), tx: &mut Tx, redeemed: &Envelope<VoucherRedeemed>) -> Handled {
    tx.emit(&VoucherRestored { order: redeemed.order.clone() }).await?;
    Ok(())
}

fn order() -> String {
    "7".to_owned()
}

fn redeemed() -> VoucherRedeemed {
    VoucherRedeemed { order: order() }
}

fn cancelled() -> OrderCancelled {
    OrderCancelled { order: order() }
}

/// What the handler of an HTTP request does.
async fn redeem(entry: &Entry, saga: SagaId) -> Result<(), Error> {
    let mut tx = entry.begin(Correlation::of(saga)).await?;
    tx.emit(&redeemed()).await?;
    tx.commit().await
}

async fn each_database(service: fn() -> Service<()>) -> [Stage<()>; 2] {
    [given(service()).await, given(service()).on_postgres().await]
}

#[tokio::test]
async fn what_a_request_did_is_undone() {
    for mut stage in each_database(vouchers).await {
        redeem(&stage.entry(&REDEEM), stage.saga()).await.unwrap();
        assert_eq!(stage.settle().await.emitted_names(), ["voucher.redeemed"]);
        assert_eq!(stage.receive(&cancelled()).await.emitted_names(), ["voucher.restored"]);
        assert!(stage.receive(&cancelled()).await.emitted_names().is_empty());
    }
}

#[tokio::test]
async fn a_request_that_comes_after_its_undo_is_refused() {
    for mut stage in each_database(vouchers).await {
        stage.receive(&cancelled()).await;
        let late = redeem(&stage.entry(&REDEEM), stage.saga()).await.unwrap_err();
        assert!(matches!(late, Error::Barred { .. }), "{late:?}");
        assert!(late.to_string().contains("is being undone"), "{late}");
        assert!(stage.settle().await.emitted_names().is_empty());
        // Another saga has nothing to do with it.
        redeem(&stage.entry(&REDEEM), SagaId::new(&SystemClock)).await.unwrap();
    }
}

#[tokio::test]
async fn a_saga_does_it_once() {
    for mut stage in each_database(vouchers).await {
        let entry = stage.entry(&REDEEM);
        let mut rolled_back = entry.begin(Correlation::of(stage.saga())).await.unwrap();
        rolled_back.emit(&redeemed()).await.unwrap();
        rolled_back.rollback().await.unwrap();
        redeem(&entry, stage.saga()).await.unwrap();
        let twice = redeem(&entry, stage.saga()).await;
        assert!(matches!(twice, Err(Error::StepTwice { .. })), "{twice:?}");
        let mut tx = entry.begin(Correlation::start()).await.unwrap();
        tx.emit(&redeemed()).await.unwrap();
        let in_one = tx.emit(&redeemed()).await;
        assert!(matches!(in_one, Err(Error::StepTwice { .. })), "{in_one:?}");
        drop(tx);
        assert_eq!(stage.settle().await.emitted_names(), ["voucher.redeemed"]);
    }
}

#[tokio::test]
async fn an_answer_is_undone_or_comes_too_late() {
    for mut stage in each_database(offers).await {
        stage.receive(&OrderPlaced { order: order() }).await;
        let mut tx = stage.entry(&OFFER).answer(stage.saga(), "customer-7").await.unwrap();
        tx.emit(&redeemed()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(stage.settle().await.emitted_names(), ["voucher.redeemed"]);
        assert_eq!(stage.receive(&cancelled()).await.emitted_names(), ["voucher.restored"]);
    }
    for mut stage in each_database(offers).await {
        stage.receive(&OrderPlaced { order: order() }).await;
        stage.receive(&cancelled()).await;
        let mut tx = stage.entry(&OFFER).answer(stage.saga(), "customer-7").await.unwrap();
        let late = tx.emit(&redeemed()).await;
        assert!(matches!(late, Err(Error::Barred { .. })), "{late:?}");
    }
}

/// The undo waits for the request's transaction, or the request for the undo's.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_its_undo_at_once_leave_nothing_redeemed() {
    for database in FreshDatabase::of_each_kind().await {
        let mut vouchers = Instances::one(&database, vouchers).await;
        vouchers.start().await;
        vouchers.start().await;
        let entry = vouchers.connect().await.entry(&REDEEM);
        let (mut undone, mut refused) = (0, 0);
        for number in 0..24_u64 {
            let saga = SagaId::new(&SystemClock);
            vouchers.publish(saga, &cancelled());
            tokio::time::sleep(Duration::from_millis(number)).await;
            let answer = redeem(&entry, saga).await;
            vouchers.settle().await;
            let events = vouchers.emitted_names(saga);
            match answer {
                Ok(()) => {
                    undone += 1;
                    assert_eq!(events, ["voucher.redeemed", "voucher.restored"], "{number}");
                }
                Err(error) => {
                    refused += 1;
                    assert!(matches!(error, Error::Barred { .. }), "{error}");
                    assert!(events.is_empty(), "{number}: {events:?}");
                }
            }
        }
        println!("{undone} undone, {refused} refused");
        assert_eq!(vouchers.count("select count(*) from pavane_ledger where state = 'done'").await, 0);
        vouchers.stop().await;
    }
}

#[tokio::test]
async fn a_guest_and_sql_do_the_same() {
    let mut stage = given(vouchers()).on_postgres().await;
    let entry = stage.entry(&REDEEM);
    let pool = stage.db().writers().clone();
    let document = |saga: SagaId| {
        format!(
            r#"{{"entry":"redeem","type":"voucher.redeemed","saga":"{saga}","key":"7","data":{{"order":"7"}},
                 "traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}"#
        )
    };
    let emit = |saga: SagaId| AssertSqlSafe(format!("select pavane_emit('{}')::text", document(saga)));

    let mut tx = pool.begin().await.unwrap();
    entry.within(&mut tx, Correlation::of(stage.saga())).unwrap().emit(&redeemed()).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    let twice = entry.within(&mut tx, Correlation::of(stage.saga())).unwrap().emit(&redeemed()).await;
    assert!(matches!(twice, Err(Error::StepTwice { .. })), "{twice:?}");
    drop(tx);
    let twice = raw_sql(emit(stage.saga())).execute(&pool).await.unwrap_err().to_string();
    assert!(twice.contains("did voucher.redeemed before, or is being undone"), "{twice}");
    assert_eq!(stage.receive(&cancelled()).await.emitted_names(), ["voucher.redeemed", "voucher.restored"]);
    let late = raw_sql(emit(stage.saga())).execute(&pool).await.unwrap_err().to_string();
    assert!(late.contains("did voucher.redeemed before, or is being undone"), "{late}");

    let mut stage = given(vouchers()).on_postgres().await;
    let pool = stage.db().writers().clone();
    raw_sql(emit(stage.saga())).execute(&pool).await.unwrap();
    assert_eq!(stage.receive(&cancelled()).await.emitted_names(), ["voucher.redeemed", "voucher.restored"]);
}

#[tokio::test]
async fn it_is_undone_once_under_every_fault() {
    for matrix in [fault_matrix(vouchers), fault_matrix(vouchers).on_postgres()] {
        matrix.event(&redeemed()).event(&cancelled()).assert().await;
    }
    let report = fault_matrix(vouchers).event(&cancelled()).run().await;
    let missing = report.to_string();
    assert!(missing.contains("there is no example of the event that redeem emits and restore undoes"), "{missing}");
}
