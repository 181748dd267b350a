//! Many orders for the same few things, at once.

use crate::stage::{Order, Stage, databases, postgres};

#[tokio::test(flavor = "multi_thread")]
async fn the_last_pieces_are_sold_once() {
    const PIECES: i64 = 25;
    let (_folder, urls) = databases().await;
    for url in urls {
        let mut stage = Stage::dark(&url).await;
        stage.start().await;
        stage.start().await;
        stage.stock("mug", PIECES).await;
        let orders: Vec<_> = (0..200).map(|_| Order::of(&[("mug", 1)])).collect();
        for order in &orders {
            stage.publish(order, &order.authorized()).await;
        }
        stage.settle().await;
        let count = |name: &str| orders.iter().filter(|order| stage.names(order) == [name]).count();
        assert_eq!([count("inventory.reserved"), count("inventory.rejected")], [25, 175]);
        assert_eq!(stage.shelf("mug").await, [PIECES, PIECES, 0]);

        // Half of them are cancelled, and what they held is sold again: still never more than there is.
        let held: Vec<_> = orders.iter().filter(|order| stage.names(order) == ["inventory.reserved"]).collect();
        for (n, order) in held.iter().enumerate() {
            if n % 2 == 0 {
                stage.publish(order, &order.cancelled()).await;
            } else {
                stage.publish(order, &order.confirmed()).await;
            }
        }
        stage.settle().await;
        assert_eq!(stage.shelf("mug").await, [PIECES - 12, 0, 12]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_for_the_same_things_in_any_order_never_deadlock() {
    let url = postgres().await;
    let mut stage = Stage::dark(&url).await;
    for sku in ["ash", "birch", "cedar"] {
        stage.stock(sku, 100_000).await;
    }
    for _ in 0..3 {
        stage.start().await;
    }
    let things = [[("ash", 1), ("cedar", 1)], [("birch", 1), ("ash", 2)], [("cedar", 2), ("birch", 1)]];
    let mut ending: Vec<Order> = Vec::new();
    for _ in 0..7 {
        // Endings meet beginnings: three reactions on three instances change the same rows.
        let beginning: Vec<_> = (0..100).map(|n| Order::of(&things[n % 3][..=n % 2])).collect();
        for (n, order) in beginning.iter().enumerate() {
            stage.publish(order, &order.authorized()).await;
            match ending.get(n) {
                Some(order) if n % 2 == 0 => drop(stage.publish(order, &order.cancelled()).await),
                Some(order) => drop(stage.publish(order, &order.confirmed()).await),
                None => {}
            }
        }
        stage.settle().await;
        ending = beginning;
    }
    let held = "select (select sum(reserved) from stock)::bigint \
                - (select sum(quantity) from reservation_line join reservation using (order_id) where state = 'held')::bigint";
    assert_eq!(stage.count(held).await, 0);
    assert_eq!(stage.count("select sum(on_hand + shipped)::bigint from stock").await, 300_000);
    assert_eq!(stage.count("select count(*) from reservation where state = 'shipped'").await, 300);
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    stage.stop().await;
    assert_eq!(stage.count(deadlocks).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_itself_refuses_to_oversell() {
    let (_folder, urls) = databases().await;
    for url in urls {
        let stage = Stage::dark(&url).await;
        stage.stock("mug", 3).await;
        for update in
            ["update stock set reserved = 4", "update stock set reserved = -1", "update stock set on_hand = -1"]
        {
            sqlx::query(update).execute(stage.db.writers()).await.unwrap_err();
        }
        assert_eq!(stage.shelf("mug").await, [3, 0, 0]);
    }
}
