use super::*;
use crate::comparison::{
    order::FAST_CARD,
    world::{World, bad, good},
};

async fn coordinator(world: &World, id: &str, locks: Locks) -> Coordinator {
    Coordinator::open(id, locks, world.databases.clone(), world.provider.clone()).await.unwrap()
}

async fn an_order_is_in_all_services_or_in_none(locks: Locks) {
    let world = World::open().await;
    let coordinator = coordinator(&world, "one", locks).await;
    let order = good();
    let id = order.id.clone();
    assert_eq!(coordinator.place(order).await.unwrap(), Ending::Confirmed);
    for order in bad() {
        assert_eq!(coordinator.place(order).await.unwrap(), Ending::Cancelled);
    }
    world.audit(1).await;
    // The log forgets the order in the background; before that its end isn't told.
    assert_ne!(coordinator.ending(&id).await.unwrap(), Some(Ending::Cancelled));
}

#[tokio::test]
async fn an_order_is_in_all_services_or_in_none_when_the_stock_is_locked_first() {
    an_order_is_in_all_services_or_in_none(Locks::BeforeProvider).await;
}

#[tokio::test]
async fn an_order_is_in_all_services_or_in_none_when_the_provider_is_asked_first() {
    an_order_is_in_all_services_or_in_none(Locks::AfterProvider).await;
}

/// Gets an order for a product to where everybody has voted yes.
async fn voted(coordinator: &Coordinator, product: usize) -> (Order, Votes) {
    let order = Order::of(product, FAST_CARD);
    store::begin(&coordinator.databases.order, &coordinator.id, &order).await.unwrap();
    let votes = coordinator.vote(&order).await.unwrap().unwrap();
    (order, votes)
}

#[tokio::test]
async fn recovery_commits_what_was_decided_and_aborts_the_rest() {
    let world = World::open().await;
    let coordinator = coordinator(&world, "one", Locks::AfterProvider).await;
    let (decided, votes) = voted(&coordinator, 0).await;
    store::decide(&world.databases.order, &decided, &votes.intent_id).await.unwrap();
    // Another product: the first one is locked.
    let (undecided, _votes) = voted(&coordinator, 1).await;
    // The provider was asked, and then nothing more happened.
    let begun = good();
    store::begin(&world.databases.order, "one", &begun).await.unwrap();
    world.provider.authorize(&begun).await.unwrap().unwrap();
    assert_eq!(world.in_doubt().await, 6);
    assert_eq!(coordinator.ending(&decided.id).await.unwrap(), None, "nobody knows before the recovery");

    let other = self::coordinator(&world, "two", Locks::AfterProvider).await;
    assert_eq!(world.in_doubt().await, 6, "what another coordinator began is none of its business");

    let recovered = self::coordinator(&world, "one", Locks::AfterProvider).await;
    world.audit(1).await;
    for coordinator in [&recovered, &other] {
        assert_eq!(coordinator.ending(&decided.id).await.unwrap(), Some(Ending::Confirmed));
        assert_eq!(coordinator.ending(&undecided.id).await.unwrap(), Some(Ending::Cancelled));
    }
}

#[tokio::test]
async fn the_stock_of_an_order_in_doubt_is_locked() {
    let world = World::open().await;
    let coordinator = coordinator(&world, "one", Locks::AfterProvider).await;
    let (order, votes) = voted(&coordinator, 0).await;
    let mut conn = world.databases.inventory.acquire().await.unwrap();
    sqlx::raw_sql("set lock_timeout = 50").execute(&mut *conn).await.unwrap();
    let other = store::take_stock(&mut conn, &good()).await;
    assert!(other.is_err(), "another order takes the row: {other:?}");
    store::decide(&world.databases.order, &order, &votes.intent_id).await.unwrap();
    coordinator.commit(&order, votes).await.unwrap();
    assert!(store::take_stock(&mut conn, &good()).await.unwrap());
}

#[tokio::test]
async fn more_customers_than_connections_want_the_same_product() {
    let world = World::open().await;
    let coordinator = coordinator(&world, "one", Locks::BeforeProvider).await;
    // The transactions that wait for the row have all the connections; the one that holds it must not need another.
    let placed = futures_util::future::join_all((0..40).map(|_| coordinator.place(good()))).await;
    assert!(placed.iter().all(|ending| matches!(ending, Ok(Ending::Confirmed))), "{placed:?}");
    world.audit(40).await;
}
