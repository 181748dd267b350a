//! What each reaction does with an order's parcel, on SQLite and PostgreSQL.

use contracts::shipping::{ShipmentCreated, ShipmentRejected};
use pavane::{Event, any::Db};
use pavane_contract::RawEnvelope;
use pavane_testkit::{FreshDatabase, Given, Instances, Stage, given, until};
use shipping::{Shipping, service};
use sqlx::Row as _;

use crate::order::Order;

fn stages() -> [Given<Shipping>; 2] {
    [given(service(Shipping)), given(service(Shipping)).on_postgres()]
}

/// An event of an order's saga.
fn of<E: Event>(stage: &mut Stage<Shipping>, order: &Order, event: &E) -> RawEnvelope {
    stage.continue_saga(order.saga).envelope(event)
}

/// Carrier, tracking number and status of an order's parcel.
async fn parcel(db: &Db, order: &Order) -> Option<[String; 3]> {
    let select = sqlx::query("select carrier, tracking, status from shipment where order_id = $1");
    let row = select.bind(order.id.to_string()).fetch_optional(db.readers()).await.unwrap()?;
    Some([0, 1, 2].map(|column| row.get(column)))
}

async fn status(db: &Db, order: &Order) -> Option<String> {
    parcel(db, order).await.map(|[_, _, status]| status)
}

#[tokio::test]
async fn a_parcel_is_created_then_dispatched() {
    for stage in stages() {
        let mut stage = stage.await;
        let order = Order::to("GB");
        let event = of(&mut stage, &order, &order.reserved());
        stage.deliver(&event).await;
        assert_eq!(stage.emitted::<ShipmentCreated>(), [ShipmentCreated { order_id: order.id }]);
        assert_eq!(stage.emitted_names(), ["shipping.created"]);
        let tracking = format!("GB{:X}", event.meta.id.as_uuid().as_simple());
        assert_eq!(parcel(stage.db(), &order).await, Some(["Royal Mail".to_owned(), tracking, "created".to_owned()]));

        stage.receive(&order.confirmed()).await;
        assert_eq!(status(stage.db(), &order).await.as_deref(), Some("dispatched"));
        assert_eq!(stage.emitted_names(), [""; 0]);
    }
}

#[tokio::test]
async fn a_parcel_is_created_then_cancelled() {
    for stage in stages() {
        let mut stage = stage.await;
        let (order, other) = (Order::to("DE"), Order::to("DE"));
        for order in [&other, &order] {
            stage.continue_saga(order.saga).receive(&order.reserved()).await;
            assert_eq!(stage.emitted_names(), ["shipping.created"]);
        }
        stage.receive(&order.cancelled()).await;
        assert_eq!(status(stage.db(), &order).await.as_deref(), Some("cancelled"));
        assert_eq!(status(stage.db(), &other).await.as_deref(), Some("created"));
        let cancelled: Vec<_> = stage.emitted_events().iter().map(|event| event.meta.cause.saga).collect();
        assert_eq!((stage.emitted_names(), cancelled), (vec!["shipping.cancelled".to_owned()], vec![order.saga]));
    }
}

#[tokio::test]
async fn nobody_delivers_to_antarctica() {
    for stage in stages() {
        let mut stage = stage.await;
        let order = Order::to("AQ");
        stage.continue_saga(order.saga).receive(&order.reserved()).await;
        assert_eq!(stage.emitted::<ShipmentRejected>(), [ShipmentRejected { order_id: order.id }]);
        assert_eq!(stage.emitted_names(), ["shipping.rejected"]);
        stage.receive(&order.cancelled()).await;
        assert_eq!(stage.emitted_names(), [""; 0], "there is nothing to cancel");
        assert_eq!(parcel(stage.db(), &order).await, None);
    }
}

#[tokio::test]
async fn many_parcels_in_one_transaction_are_each_their_own() {
    for stage in stages() {
        let mut stage = stage.await;
        let orders: Vec<_> = (0..40).map(|n| Order::to(if n % 4 == 0 { "AQ" } else { "FR" })).collect();
        let events: Vec<_> = orders.iter().map(|order| of(&mut stage, order, &order.reserved())).collect();
        let emitted = stage.deliver_all(&events).await.emitted_events();
        for (n, order) in orders.iter().enumerate() {
            let expected = if n % 4 == 0 { "shipping.rejected" } else { "shipping.created" };
            let of_it = emitted.iter().filter(|event| event.meta.cause.saga == order.saga);
            assert_eq!(of_it.map(|event| event.meta.event.name.as_str()).collect::<Vec<_>>(), [expected]);
        }
        assert_eq!(stage.count("select count(distinct tracking) from shipment").await, 30);
        assert_eq!(stage.count("select count(*) from pavane_attempt").await, 0, "no failed attempt");
    }
}

#[tokio::test]
async fn duplicates_change_nothing() {
    for stage in stages() {
        let mut stage = stage.await;
        let (kept, dropped) = (Order::to("DE"), Order::to("US"));
        let events = [
            (of(&mut stage, &kept, &kept.reserved()), "shipping.created"),
            (of(&mut stage, &dropped, &dropped.reserved()), "shipping.created"),
            (of(&mut stage, &kept, &kept.confirmed()), ""),
            (of(&mut stage, &dropped, &dropped.cancelled()), "shipping.cancelled"),
        ];
        for (event, said) in &events {
            assert_eq!(stage.deliver(event).await.emitted_names().concat(), *said);
        }
        let again = events.iter().chain(events.iter().rev()).map(|(event, _)| event);
        assert_eq!(stage.deliver_all(again).await.emitted_names(), [""; 0]);
        assert_eq!(status(stage.db(), &kept).await.as_deref(), Some("dispatched"));
        assert_eq!(status(stage.db(), &dropped).await.as_deref(), Some("cancelled"));
        assert!(stage.dead_letters().is_empty());
    }
}

#[tokio::test]
async fn an_order_that_was_cancelled_before_gets_no_parcel() {
    for stage in stages() {
        let mut stage = stage.await;
        let order = Order::to("DE");
        assert_eq!(stage.receive(&order.cancelled()).await.emitted_names(), [""; 0]);
        assert_eq!(stage.receive(&order.reserved()).await.emitted_names(), [""; 0]);
        assert_eq!(parcel(stage.db(), &order).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_without_a_parcel_is_not_swallowed() {
    for database in FreshDatabase::of_each_kind().await {
        let mut shipping = Instances::one(&database, || service(Shipping)).await;
        let order = Order::to("DE");
        shipping.publish(order.saga, &order.confirmed());
        until("a failed attempt", async || {
            let failed = "select count(*) from pavane_attempt where reaction = 'dispatch-shipment'";
            (shipping.count(failed).await == 1).then_some(())
        })
        .await;
        // The parcel is created after all: the next attempt finds it.
        shipping.publish(order.saga, &order.reserved());
        shipping.settle().await;
        assert_eq!(status(shipping.db(), &order).await.as_deref(), Some("dispatched"));
        shipping.stop().await;
    }
}
