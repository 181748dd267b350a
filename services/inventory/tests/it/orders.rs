//! What each reaction does with an order's stock, on SQLite and PostgreSQL.

use contracts::inventory::{StockRejected, StockReserved};

use crate::stage::{Order, Stage, databases};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_held_then_shipped() {
    let (_folder, urls) = databases().await;
    for url in urls {
        let stage = Stage::open(&url).await;
        stage.stock("mug", 10).await;
        stage.stock("cup", 5).await;
        let order = Order::of(&[("mug", 2), ("cup", 5), ("mug", 1)]);

        stage.publish(&order, &order.authorized()).await;
        stage.settle().await;
        assert_eq!([stage.shelf("mug").await, stage.shelf("cup").await], [[10, 3, 0], [5, 5, 0]]);
        let reserved = stage.said(&order)[0].decode::<StockReserved>().unwrap().body;
        assert_eq!(reserved, StockReserved { order_id: order.id, ship_to: order.authorized().details.ship_to });

        stage.publish(&order, &order.confirmed()).await;
        stage.settle().await;
        assert_eq!([stage.shelf("mug").await, stage.shelf("cup").await], [[7, 0, 3], [0, 0, 5]]);
        assert_eq!(stage.names(&order), ["inventory.reserved"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_held_then_released() {
    let (_folder, urls) = databases().await;
    for url in urls {
        let stage = Stage::open(&url).await;
        stage.stock("mug", 10).await;
        let (order, other) = (Order::of(&[("mug", 4)]), Order::of(&[("mug", 3)]));
        stage.publish(&order, &order.authorized()).await;
        stage.publish(&other, &other.authorized()).await;
        stage.settle().await;
        assert_eq!(stage.shelf("mug").await, [10, 7, 0]);

        stage.publish(&order, &order.cancelled()).await;
        stage.settle().await;
        assert_eq!(stage.shelf("mug").await, [10, 3, 0], "only what was held for the cancelled order");
        assert_eq!(stage.names(&order), ["inventory.reserved", "inventory.released"]);
        assert_eq!(stage.names(&other), ["inventory.reserved"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_held_completely_or_not_at_all() {
    let (_folder, urls) = databases().await;
    for url in urls {
        let stage = Stage::open(&url).await;
        stage.stock("ash", 10).await;
        stage.stock("birch", 2).await;
        stage.stock("cedar", 10).await;
        let cases: [(&[(&str, u32)], &str); 3] = [
            (&[("cedar", 1), ("birch", 3), ("ash", 1)], "birch"),
            (&[("birch", 1), ("ash", 1), ("birch", 2)], "birch"),
            (&[("ash", 1), ("unknown", 1)], "unknown"),
        ];
        for (lines, short) in cases {
            let order = Order::of(lines);
            stage.publish(&order, &order.authorized()).await;
            stage.settle().await;
            let rejected = stage.said(&order)[0].decode::<StockRejected>().unwrap().body;
            assert_eq!(rejected, StockRejected { order_id: order.id, sku: short.into() });

            stage.publish(&order, &order.cancelled()).await;
            stage.settle().await;
            assert_eq!(stage.names(&order), ["inventory.rejected"], "there is nothing to release");
        }
        for (sku, on_hand) in [("ash", 10), ("birch", 2), ("cedar", 10)] {
            assert_eq!(stage.shelf(sku).await, [on_hand, 0, 0], "{sku}");
        }
        assert_eq!(stage.count("select count(*) from reservation").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_does_not_disturb_the_orders_in_the_same_transaction() {
    let (_folder, urls) = databases().await;
    for url in urls {
        let mut stage = Stage::dark(&url).await;
        stage.stock("mug", 5).await;
        let orders: Vec<_> = (0..20).map(|n| Order::of(&[("mug", if n % 2 == 0 { 100 } else { 1 })])).collect();
        for order in &orders {
            stage.publish(order, &order.authorized()).await;
        }
        stage.start().await;
        stage.settle().await;
        let held = orders.iter().filter(|order| stage.names(order) == ["inventory.reserved"]).count();
        assert_eq!(held, 5);
        assert_eq!(stage.shelf("mug").await, [5, 5, 0]);
        assert_eq!(stage.count("select count(*) from pavane_attempt").await, 0, "no failed attempt");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_change_nothing() {
    let (_folder, urls) = databases().await;
    for url in urls {
        let stage = Stage::open(&url).await;
        stage.stock("mug", 10).await;
        let (kept, dropped) = (Order::of(&[("mug", 3)]), Order::of(&[("mug", 2)]));
        let mut events = Vec::new();
        for order in [&kept, &dropped] {
            events.push(stage.publish(order, &order.authorized()).await);
        }
        stage.settle().await;
        events.push(stage.publish(&kept, &kept.confirmed()).await);
        events.push(stage.publish(&dropped, &dropped.cancelled()).await);
        stage.settle().await;
        for event in events.iter().chain(events.iter().rev()) {
            stage.redeliver(event).await;
        }
        stage.settle().await;
        assert_eq!(stage.shelf("mug").await, [7, 0, 3]);
        assert_eq!(stage.names(&kept), ["inventory.reserved"]);
        assert_eq!(stage.names(&dropped), ["inventory.reserved", "inventory.released"]);
        assert!(stage.bus.messages("DEAD_LETTERS").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_cancelled_before_is_never_held() {
    let (_folder, urls) = databases().await;
    for url in urls {
        let stage = Stage::open(&url).await;
        stage.stock("mug", 10).await;
        let order = Order::of(&[("mug", 2)]);
        stage.publish(&order, &order.cancelled()).await;
        stage.settle().await;
        stage.publish(&order, &order.authorized()).await;
        stage.settle().await;
        assert_eq!(stage.shelf("mug").await, [10, 0, 0]);
        assert!(stage.names(&order).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_for_nothing_is_kept_as_a_dead_letter_and_rejected() {
    let (_folder, urls) = databases().await;
    for url in urls {
        let stage = Stage::open(&url).await;
        stage.stock("mug", 10).await;
        for lines in [&[][..], &[("mug", 0)]] {
            let order = Order::of(lines);
            stage.publish(&order, &order.authorized()).await;
            stage.settle().await;
            assert_eq!(stage.names(&order), ["inventory.rejected"], "{lines:?}");
        }
        assert_eq!(stage.bus.messages("DEAD_LETTERS").len(), 2);
        assert_eq!(stage.shelf("mug").await, [10, 0, 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_without_a_reservation_is_not_swallowed() {
    let (_folder, urls) = databases().await;
    for url in urls {
        let stage = Stage::open(&url).await;
        let order = Order::of(&[("mug", 1)]);
        stage.publish(&order, &order.confirmed()).await;
        crate::stage::until("a failed attempt", || async {
            (stage.count("select count(*) from pavane_attempt where reaction = 'ship-stock'").await == 1).then_some(())
        })
        .await;
        // The reservation arrives after all: the next attempt finds it.
        stage.stock("mug", 1).await;
        stage.publish(&order, &order.authorized()).await;
        stage.settle().await;
        assert_eq!(stage.shelf("mug").await, [0, 0, 1]);
    }
}
