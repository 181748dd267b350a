//! What each reaction does with an order's stock, on SQLite and PostgreSQL.

use contracts::inventory::{StockRejected, StockReserved};
use inventory::{Inventory, service};
use pavane::Event;
use pavane_contract::RawEnvelope;
use pavane_testkit::{FreshDatabase, Given, Instances, Stage, given, until};

use crate::{
    order::Order,
    shelf::{shelf, stock},
};

fn stages() -> [Given<Inventory>; 2] {
    [given(service(Inventory)), given(service(Inventory)).on_postgres()]
}

/// An event of an order's saga.
fn of<E: Event>(stage: &mut Stage<Inventory>, order: &Order, event: &E) -> RawEnvelope {
    stage.continue_saga(order.saga).envelope(event)
}

#[tokio::test]
async fn an_order_is_held_then_shipped() {
    for stage in stages() {
        let mut stage = stage.await;
        stock(stage.db(), "mug", 10).await;
        stock(stage.db(), "cup", 5).await;
        let order = Order::of(&[("mug", 2), ("cup", 5), ("mug", 1)]);

        stage.receive(&order.authorized()).await;
        assert_eq!([shelf(stage.db(), "mug").await, shelf(stage.db(), "cup").await], [[10, 3, 0], [5, 5, 0]]);
        let reserved = StockReserved { order_id: order.id, ship_to: order.authorized().details.ship_to };
        assert_eq!(stage.emitted::<StockReserved>(), [reserved]);
        assert_eq!(stage.emitted_names(), ["inventory.reserved"]);

        stage.receive(&order.confirmed()).await;
        assert_eq!([shelf(stage.db(), "mug").await, shelf(stage.db(), "cup").await], [[7, 0, 3], [0, 0, 5]]);
        assert_eq!(stage.emitted_names(), [""; 0]);
    }
}

#[tokio::test]
async fn an_order_is_held_then_released() {
    for stage in stages() {
        let mut stage = stage.await;
        stock(stage.db(), "mug", 10).await;
        let (order, other) = (Order::of(&[("mug", 4)]), Order::of(&[("mug", 3)]));
        for order in [&order, &other] {
            stage.continue_saga(order.saga).receive(&order.authorized()).await;
            assert_eq!(stage.emitted_names(), ["inventory.reserved"]);
        }
        assert_eq!(shelf(stage.db(), "mug").await, [10, 7, 0]);

        stage.continue_saga(order.saga).receive(&order.cancelled()).await;
        assert_eq!(shelf(stage.db(), "mug").await, [10, 3, 0], "only what was held for the cancelled order");
        let released: Vec<_> = stage.emitted_events().iter().map(|event| event.meta.cause.saga).collect();
        assert_eq!((stage.emitted_names(), released), (vec!["inventory.released".to_owned()], vec![order.saga]));
    }
}

#[tokio::test]
async fn an_order_is_held_completely_or_not_at_all() {
    for stage in stages() {
        let mut stage = stage.await;
        for (sku, on_hand) in [("ash", 10), ("birch", 2), ("cedar", 10)] {
            stock(stage.db(), sku, on_hand).await;
        }
        let cases: [(&[(&str, u32)], &str); 3] = [
            (&[("cedar", 1), ("birch", 3), ("ash", 1)], "birch"),
            (&[("birch", 1), ("ash", 1), ("birch", 2)], "birch"),
            (&[("ash", 1), ("unknown", 1)], "unknown"),
        ];
        for (lines, short) in cases {
            let order = Order::of(lines);
            stage.continue_saga(order.saga).receive(&order.authorized()).await;
            let rejected = StockRejected { order_id: order.id, sku: short.into() };
            assert_eq!(stage.emitted::<StockRejected>(), [rejected]);
            assert_eq!(stage.emitted_names(), ["inventory.rejected"]);

            stage.receive(&order.cancelled()).await;
            assert_eq!(stage.emitted_names(), [""; 0], "there is nothing to release");
        }
        for (sku, on_hand) in [("ash", 10), ("birch", 2), ("cedar", 10)] {
            assert_eq!(shelf(stage.db(), sku).await, [on_hand, 0, 0], "{sku}");
        }
        assert_eq!(stage.count("select count(*) from reservation").await, 0);
    }
}

#[tokio::test]
async fn a_no_does_not_disturb_the_orders_in_the_same_transaction() {
    for stage in stages() {
        let mut stage = stage.await;
        stock(stage.db(), "mug", 5).await;
        let orders = (0..20).map(|n| Order::of(&[("mug", if n % 2 == 0 { 100 } else { 1 })]));
        let events: Vec<_> = orders.map(|order| of(&mut stage, &order, &order.authorized())).collect();
        stage.deliver_all(&events).await;
        let names = stage.emitted_names();
        let count = |name: &str| names.iter().filter(|it| *it == name).count();
        assert_eq!([count("inventory.reserved"), count("inventory.rejected")], [5, 15]);
        assert_eq!(shelf(stage.db(), "mug").await, [5, 5, 0]);
        assert_eq!(stage.count("select count(*) from pavane_attempt").await, 0, "no failed attempt");
    }
}

#[tokio::test]
async fn duplicates_change_nothing() {
    for stage in stages() {
        let mut stage = stage.await;
        stock(stage.db(), "mug", 10).await;
        let (kept, dropped) = (Order::of(&[("mug", 3)]), Order::of(&[("mug", 2)]));
        let events = [
            (of(&mut stage, &kept, &kept.authorized()), "inventory.reserved"),
            (of(&mut stage, &dropped, &dropped.authorized()), "inventory.reserved"),
            (of(&mut stage, &kept, &kept.confirmed()), ""),
            (of(&mut stage, &dropped, &dropped.cancelled()), "inventory.released"),
        ];
        for (event, said) in &events {
            assert_eq!(stage.deliver(event).await.emitted_names().concat(), *said);
        }
        let again = events.iter().chain(events.iter().rev()).map(|(event, _)| event);
        assert_eq!(stage.deliver_all(again).await.emitted_names(), [""; 0]);
        assert_eq!(shelf(stage.db(), "mug").await, [7, 0, 3]);
        assert!(stage.dead_letters().is_empty());
    }
}

#[tokio::test]
async fn an_order_that_was_cancelled_before_is_never_held() {
    for stage in stages() {
        let mut stage = stage.await;
        stock(stage.db(), "mug", 10).await;
        let order = Order::of(&[("mug", 2)]);
        assert_eq!(stage.receive(&order.cancelled()).await.emitted_names(), [""; 0]);
        assert_eq!(stage.receive(&order.authorized()).await.emitted_names(), [""; 0]);
        assert_eq!(shelf(stage.db(), "mug").await, [10, 0, 0]);
    }
}

#[tokio::test]
async fn an_order_for_nothing_is_kept_as_a_dead_letter_and_rejected() {
    for stage in stages() {
        let mut stage = stage.await;
        stock(stage.db(), "mug", 10).await;
        for lines in [&[][..], &[("mug", 0)]] {
            let order = Order::of(lines);
            stage.continue_saga(order.saga).receive(&order.authorized()).await;
            assert_eq!(stage.emitted_names(), ["inventory.rejected"], "{lines:?}");
        }
        assert_eq!(stage.dead_letters().len(), 2);
        assert_eq!(shelf(stage.db(), "mug").await, [10, 0, 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_without_a_reservation_is_not_swallowed() {
    for database in FreshDatabase::of_each_kind().await {
        let mut inventory = Instances::one(&database, || service(Inventory)).await;
        let order = Order::of(&[("mug", 1)]);
        inventory.publish(order.saga, &order.confirmed());
        until("a failed attempt", async || {
            let failed = "select count(*) from pavane_attempt where reaction = 'ship-stock'";
            (inventory.count(failed).await == 1).then_some(())
        })
        .await;
        // The reservation arrives after all: the next attempt finds it.
        stock(inventory.db(), "mug", 1).await;
        inventory.publish(order.saga, &order.authorized());
        inventory.settle().await;
        assert_eq!(shelf(inventory.db(), "mug").await, [0, 0, 1]);
        inventory.stop().await;
    }
}
