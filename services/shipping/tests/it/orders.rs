//! What each reaction does with an order's parcel, on SQLite and PostgreSQL.

use contracts::shipping::{ShipmentCreated, ShipmentRejected};

use crate::stage::{Order, Stage, databases, until};

async fn status(stage: &Stage, order: &Order) -> Option<String> {
    stage.parcel(order).await.map(|[_, _, status]| status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_is_created_then_dispatched() {
    let (_folder, urls) = databases().await;
    for url in urls {
        let stage = Stage::open(&url).await;
        let order = Order::to("GB");
        let event = stage.publish(&order, &order.reserved()).await;
        stage.settle().await;
        let created = stage.said(&order)[0].decode::<ShipmentCreated>().unwrap().body;
        let tracking = format!("GB{:X}", event.meta.id.as_uuid().as_simple());
        assert_eq!(created, ShipmentCreated { order_id: order.id });
        assert_eq!(stage.parcel(&order).await, Some(["Royal Mail".to_owned(), tracking, "created".to_owned()]));

        stage.publish(&order, &order.confirmed()).await;
        stage.settle().await;
        assert_eq!(status(&stage, &order).await.as_deref(), Some("dispatched"));
        assert_eq!(stage.names(&order), ["shipping.created"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_is_created_then_cancelled() {
    let (_folder, urls) = databases().await;
    for url in urls {
        let stage = Stage::open(&url).await;
        let (order, other) = (Order::to("DE"), Order::to("DE"));
        stage.publish(&order, &order.reserved()).await;
        stage.publish(&other, &other.reserved()).await;
        stage.settle().await;
        stage.publish(&order, &order.cancelled()).await;
        stage.settle().await;
        assert_eq!(status(&stage, &order).await.as_deref(), Some("cancelled"));
        assert_eq!(status(&stage, &other).await.as_deref(), Some("created"));
        assert_eq!(stage.names(&order), ["shipping.created", "shipping.cancelled"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_delivers_to_antarctica() {
    let (_folder, urls) = databases().await;
    for url in urls {
        let stage = Stage::open(&url).await;
        let order = Order::to("AQ");
        stage.publish(&order, &order.reserved()).await;
        stage.settle().await;
        stage.publish(&order, &order.cancelled()).await;
        stage.settle().await;
        let said = stage.said(&order);
        let rejected = said[0].decode::<ShipmentRejected>().unwrap().body;
        assert_eq!(rejected, ShipmentRejected { order_id: order.id });
        assert_eq!(said.len(), 1, "there is nothing to cancel");
        assert_eq!(stage.parcel(&order).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_parcels_in_one_transaction_are_each_their_own() {
    let (_folder, urls) = databases().await;
    for url in urls {
        let mut stage = Stage::dark(&url).await;
        let orders: Vec<_> = (0..40).map(|n| Order::to(if n % 4 == 0 { "AQ" } else { "FR" })).collect();
        for order in &orders {
            stage.publish(order, &order.reserved()).await;
        }
        stage.start().await;
        stage.settle().await;
        for (n, order) in orders.iter().enumerate() {
            let expected = if n % 4 == 0 { "shipping.rejected" } else { "shipping.created" };
            assert_eq!(stage.names(order), [expected]);
        }
        assert_eq!(stage.count("select count(distinct tracking) from shipment").await, 30);
        assert_eq!(stage.count("select count(*) from pavane_attempt").await, 0, "no failed attempt");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_change_nothing() {
    let (_folder, urls) = databases().await;
    for url in urls {
        let stage = Stage::open(&url).await;
        let (kept, dropped) = (Order::to("DE"), Order::to("US"));
        let mut events = Vec::new();
        for order in [&kept, &dropped] {
            events.push(stage.publish(order, &order.reserved()).await);
        }
        stage.settle().await;
        events.push(stage.publish(&kept, &kept.confirmed()).await);
        events.push(stage.publish(&dropped, &dropped.cancelled()).await);
        stage.settle().await;
        for event in events.iter().chain(events.iter().rev()) {
            stage.redeliver(event).await;
        }
        stage.settle().await;
        assert_eq!(status(&stage, &kept).await.as_deref(), Some("dispatched"));
        assert_eq!(status(&stage, &dropped).await.as_deref(), Some("cancelled"));
        assert_eq!(stage.names(&kept), ["shipping.created"]);
        assert_eq!(stage.names(&dropped), ["shipping.created", "shipping.cancelled"]);
        assert!(stage.bus.messages("DEAD_LETTERS").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_cancelled_before_gets_no_parcel() {
    let (_folder, urls) = databases().await;
    for url in urls {
        let stage = Stage::open(&url).await;
        let order = Order::to("DE");
        stage.publish(&order, &order.cancelled()).await;
        stage.settle().await;
        stage.publish(&order, &order.reserved()).await;
        stage.settle().await;
        assert_eq!(stage.parcel(&order).await, None);
        assert!(stage.names(&order).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_without_a_parcel_is_not_swallowed() {
    let (_folder, urls) = databases().await;
    for url in urls {
        let stage = Stage::open(&url).await;
        let order = Order::to("DE");
        stage.publish(&order, &order.confirmed()).await;
        let failed = "select count(*) from pavane_attempt where reaction = 'dispatch-shipment'";
        until("a failed attempt", || async { (stage.count(failed).await == 1).then_some(()) }).await;
        // The parcel is created after all: the next attempt finds it.
        stage.publish(&order, &order.reserved()).await;
        stage.settle().await;
        assert_eq!(status(&stage, &order).await.as_deref(), Some("dispatched"));
    }
}
