//! The everyday form: one service on a stage.

use std::time::Duration;

use pavane::{Correlation, SagaId};
use pavane_testkit::{Stage, given};
use sqlx::Row as _;

use crate::shop::{
    Bank, DEADLINE, OrderCancelled, OrderConfirmed, OrderDeadlinePassed, OrderPlaced, PaymentCharged, PaymentDeclined,
    PaymentRefunded, RICH, Scales, StockRejected, StockReleased, StockReserved, order, payment, stock,
};

const PLACE: pavane::EntryPoint = pavane::EntryPoint::new("place");

fn id() -> String {
    "7".to_owned()
}

const fn placed(order: String) -> OrderPlaced {
    OrderPlaced { order, cents: 995, pieces: 3 }
}

async fn shelf(stage: &Stage<Scales>) -> i64 {
    sqlx::query("select pieces from shelf").fetch_one(stage.db().readers()).await.unwrap().get(0)
}

#[tokio::test]
async fn a_step_and_its_undo() {
    let mut stage =
        given(stock(Scales::default())).receive(&PaymentCharged { order: id(), cents: 995, pieces: 3 }).await;
    assert_eq!(stage.emitted::<StockReserved>(), [StockReserved { order: id(), pieces: 3 }]);
    assert_eq!(shelf(&stage).await, 57);
    stage.receive(&OrderCancelled { order: id() }).await;
    assert_eq!(stage.emitted::<StockReleased>(), [StockReleased { order: id() }]);
    assert_eq!(shelf(&stage).await, 60);
    stage.receive(&OrderCancelled { order: id() }).await;
    assert!(stage.emitted_names().is_empty());
}

#[tokio::test]
async fn several_events_at_once() {
    let mut stage = given(stock(Scales::default())).await;
    let mut events = Vec::new();
    for number in 0..30 {
        let saga = SagaId::new(stage.clock());
        let charged = PaymentCharged { order: number.to_string(), cents: 995, pieces: 1 };
        events.push(stage.continue_saga(saga).envelope(&charged));
    }
    let names = stage.deliver_all(&events).await.emitted_names();
    assert_eq!((names.len(), stage.count("select pieces from shelf").await), (30, 30));
    assert!(names.iter().all(|name| name == "stock.reserved"), "{names:?}");
    assert!(stage.deliver_all(&events).await.emitted_names().is_empty(), "duplicates");
}

#[tokio::test]
async fn a_business_no() {
    let stage = given(stock(Scales::default())).receive(&PaymentCharged { order: id(), cents: 995, pieces: 61 }).await;
    assert_eq!(stage.emitted::<StockRejected>(), [StockRejected { order: id() }]);
    let stage = given(payment(Bank::default())).receive(&OrderPlaced { cents: RICH, ..placed(id()) }).await;
    assert_eq!(stage.emitted::<PaymentDeclined>(), [PaymentDeclined { order: id() }]);
    assert_eq!(stage.state().taken("7"), 0);
}

#[tokio::test]
async fn an_effect_and_its_undo_that_comes_first() {
    let mut stage = given(payment(Bank::default())).receive(&placed(id())).await;
    assert_eq!(stage.emitted_names(), ["payment.charged"]);
    assert_eq!(stage.state().taken("7"), 995);
    stage.receive(&OrderCancelled { order: id() }).await;
    assert_eq!(stage.emitted::<PaymentRefunded>(), [PaymentRefunded { order: id() }]);
    assert_eq!(stage.state().taken("7"), 0);

    let mut stage = given(payment(Bank::default())).receive(&OrderCancelled { order: id() }).await;
    stage.receive(&placed(id())).await;
    assert!(stage.emitted_names().is_empty());
    assert_eq!(stage.state().taken("7"), 0);
}

#[tokio::test]
async fn an_entry_a_timer_and_a_outcome() {
    let mut stage = given(order(None)).await;
    let mut tx = stage.entry(&PLACE).begin(Correlation::of(stage.saga())).await.unwrap();
    tx.emit(&placed(id())).await.unwrap();
    tx.emit_after(DEADLINE, &OrderDeadlinePassed { order: id() }).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(stage.settle().await.emitted::<OrderPlaced>(), [placed(id())]);
    let early = DEADLINE.saturating_sub(Duration::from_secs(1));
    assert!(stage.advance(early).await.emitted_names().is_empty());
    stage.advance(Duration::from_secs(1)).await;
    assert_eq!(stage.emitted_names(), ["order.deadline-passed", "order.cancelled"]);
    assert_eq!(stage.clock().elapsed(), DEADLINE);
    let late = stage.receive(&StockReserved { order: id(), pieces: 3 }).await;
    assert!(late.emitted::<OrderConfirmed>().is_empty(), "the outcome stands");
}

#[tokio::test]
async fn an_outcome_leaves_no_timer_behind() {
    for on in [given(order(None)), given(order(None)).on_postgres()] {
        let mut stage = on.await;
        let mut tx = stage.entry(&PLACE).begin(Correlation::of(stage.saga())).await.unwrap();
        tx.emit_after(DEADLINE, &OrderDeadlinePassed { order: id() }).await.unwrap();
        tx.commit().await.unwrap();
        let timers = async |stage: &Stage<()>| -> i64 {
            sqlx::query_scalar("select count(*) from pavane_timer").fetch_one(stage.db().writers()).await.unwrap()
        };
        assert_eq!(timers(stage.settle().await).await, 1);
        stage.receive(&StockReserved { order: id(), pieces: 3 }).await;
        assert_eq!((stage.emitted_names(), timers(&stage).await), (vec!["order.confirmed".to_owned()], 0));
        assert!(stage.advance(DEADLINE).await.emitted_names().is_empty());
    }
}

#[tokio::test]
async fn the_same_event_twice_and_an_event_that_nobody_can_read() {
    let mut stage = given(stock(Scales::default())).await;
    let charged = stage.envelope(&PaymentCharged { order: id(), cents: 995, pieces: 3 });
    assert_eq!(stage.deliver(&charged).await.emitted_names(), ["stock.reserved"]);
    assert!(stage.deliver(&charged).await.emitted_names().is_empty());
    let mut poison = stage.envelope(&PaymentCharged { order: id(), cents: 995, pieces: 3 });
    poison.body = "{".into();
    stage.deliver(&poison).await;
    let dead = stage.dead_letters();
    assert_eq!((dead.len(), dead[0].reaction.as_str()), (1, "reserve"));
    assert_eq!(dead[0].subject, "events.payment.charged.7");
    assert_eq!(shelf(&stage).await, 57);
}

#[tokio::test]
async fn a_handler_that_fails_is_tried_again_as_time_passes() {
    let mut stage = given(stock(Scales::default())).await;
    sqlx::query("drop table reservations").execute(stage.db().writers()).await.unwrap();
    stage.receive(&PaymentCharged { order: id(), cents: 995, pieces: 3 }).await;
    let dead = stage.dead_letters();
    assert!(dead[0].cause.contains("no such table: reservations"), "{dead:?}");
    assert_eq!(shelf(&stage).await, 60, "rolled back each time");
    assert!(stage.clock().elapsed() > Duration::from_millis(100), "{:?}", stage.clock().elapsed());
}
