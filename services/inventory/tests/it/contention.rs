//! Many orders for the same few things, at once.

use inventory::{Inventory, service};
use pavane_testkit::{FreshDatabase, Instances};

use crate::{
    order::Order,
    shelf::{shelf, stock},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_last_pieces_are_sold_once() {
    const PIECES: i64 = 25;
    for database in FreshDatabase::of_each_kind().await {
        let mut inventory = Instances::one(&database, || service(Inventory)).await;
        inventory.start().await;
        stock(inventory.db(), "mug", PIECES).await;
        let orders: Vec<_> = (0..200).map(|_| Order::of(&[("mug", 1)])).collect();
        for order in &orders {
            inventory.publish(order.saga, &order.authorized());
        }
        inventory.settle().await;
        let (held, refused): (Vec<_>, Vec<_>) =
            orders.iter().partition(|order| inventory.emitted_names(order.saga) == ["inventory.reserved"]);
        assert_eq!((held.len(), refused.len()), (25, 175));
        assert!(refused.iter().all(|order| inventory.emitted_names(order.saga) == ["inventory.rejected"]));
        assert_eq!(shelf(inventory.db(), "mug").await, [PIECES, PIECES, 0]);

        // Half of them are cancelled, and what they held is sold again: still never more than there is.
        for (n, order) in held.iter().enumerate() {
            if n % 2 == 0 {
                inventory.publish(order.saga, &order.cancelled());
            } else {
                inventory.publish(order.saga, &order.confirmed());
            }
        }
        inventory.settle().await;
        assert_eq!(shelf(inventory.db(), "mug").await, [PIECES - 12, 0, 12]);
        inventory.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_for_the_same_things_in_any_order_never_deadlock() {
    let mut inventory = Instances::none(&FreshDatabase::postgres().await, || service(Inventory)).await;
    for sku in ["ash", "birch", "cedar"] {
        stock(inventory.db(), sku, 100_000).await;
    }
    for _ in 0..3 {
        inventory.start().await;
    }
    let things = [[("ash", 1), ("cedar", 1)], [("birch", 1), ("ash", 2)], [("cedar", 2), ("birch", 1)]];
    let mut ending: Vec<Order> = Vec::new();
    for _ in 0..7 {
        // Endings meet beginnings: three reactions on three instances change the same rows.
        let beginning: Vec<_> = (0..100).map(|n| Order::of(&things[n % 3][..=n % 2])).collect();
        for (n, order) in beginning.iter().enumerate() {
            inventory.publish(order.saga, &order.authorized());
            match ending.get(n) {
                Some(order) if n % 2 == 0 => drop(inventory.publish(order.saga, &order.cancelled())),
                Some(order) => drop(inventory.publish(order.saga, &order.confirmed())),
                None => {}
            }
        }
        inventory.settle().await;
        ending = beginning;
    }
    let held = "select (select sum(reserved) from stock)::bigint \
                - (select sum(quantity) from reservation_line join reservation using (order_id) where state = 'held')::bigint";
    assert_eq!(inventory.count(held).await, 0);
    assert_eq!(inventory.count("select sum(on_hand + shipped)::bigint from stock").await, 300_000);
    assert_eq!(inventory.count("select count(*) from reservation where state = 'shipped'").await, 300);
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    inventory.stop().await;
    assert_eq!(inventory.count(deadlocks).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_itself_refuses_to_oversell() {
    for database in FreshDatabase::of_each_kind().await {
        let inventory = Instances::none(&database, || service(Inventory)).await;
        stock(inventory.db(), "mug", 3).await;
        for update in
            ["update stock set reserved = 4", "update stock set reserved = -1", "update stock set on_hand = -1"]
        {
            sqlx::query(update).execute(inventory.db().writers()).await.unwrap_err();
        }
        assert_eq!(shelf(inventory.db(), "mug").await, [3, 0, 0]);
    }
}
