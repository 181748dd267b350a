//! What receiving guarantees.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::{Instant, timeout};

use super::{
    LONG, SOON, World, ack_all, consumer, message, messages, numbers, provisioned, publish, receive, receive_nothing,
    receive_one,
};
use crate::{Bus, ConsumerConfig, ConsumerPosition, Outgoing, Subscription, Topology};

/// A new consumer reads what was published before it existed.
pub async fn starts_at_the_beginning(world: &impl World) {
    let bus = provisioned(world).await;
    publish(&bus, messages(0..3)).await;
    let mut subscription = bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    assert_eq!(numbers(&receive(&mut subscription, 3).await), [0, 1, 2]);
}

/// A subscription never holds more than its credits, and another one gets the rest.
pub async fn never_exceeds_the_credits(world: &impl World) {
    let bus = provisioned(world).await;
    let mut first = bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    publish(&bus, messages(0..50)).await;
    let held = receive(&mut first, 7).await;
    // A second request without free credits: still nothing more.
    assert!(first.receive(0).await.expect("receive").is_empty());
    let mut second = bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    let rest = receive(&mut second, 43).await;
    let all: BTreeSet<usize> = numbers(&held).into_iter().chain(numbers(&rest)).collect();
    assert_eq!(all.len(), 50);
}

/// No credits, no deliveries, and no waiting.
pub async fn gives_nothing_without_credits(world: &impl World) {
    let bus = provisioned(world).await;
    publish(&bus, messages(0..1)).await;
    let mut subscription = bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    let received = timeout(SOON, subscription.receive(0)).await.expect("at once").expect("receive");
    assert!(received.is_empty());
}

/// Several filters select what any of them matches, each message once.
pub async fn takes_several_filters(world: &impl World) {
    let bus = provisioned(world).await;
    let filters = ["events.order.*.1", "events.payment.>", "redrive.shipping.ship.>"];
    let wanted = ConsumerConfig { filter_subjects: filters.map(str::to_owned).to_vec(), ..consumer(LONG) };
    let mut subscription = bus.subscribe(&wanted).await.expect("subscribe");
    let subjects = [
        "events.order.placed.1",
        "events.order.placed.2",
        "events.payment.authorized.2",
        "events.inventory.reserved.1",
        "redrive.shipping.ship.events.order.placed.2",
        "redrive.other.ship.events.order.placed.2",
    ];
    let send = |(n, subject): (usize, &&str)| Outgoing { subject: (*subject).to_owned(), ..message(n) };
    publish(&bus, subjects.iter().enumerate().map(send).collect()).await;
    assert_eq!(numbers(&receive(&mut subscription, 3).await), [0, 2, 4]);
    receive_nothing(&mut subscription, Duration::from_millis(200)).await;
}

/// Two subscriptions of one durable divide the messages, also over two connections.
pub async fn shares_the_work(world: &impl World) {
    let bus = provisioned(world).await;
    let other = world.connect().await;
    let mut first = bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    let mut second = other.subscribe(&consumer(LONG)).await.expect("subscribe");
    publish(&bus, messages(0..200)).await;
    let deadline = Instant::now() + SOON;
    let mut seen = Vec::new();
    while seen.len() < 200 {
        assert!(Instant::now() < deadline, "only {} arrived", seen.len());
        let deliveries = tokio::select! {
            deliveries = first.receive(10) => deliveries,
            deliveries = second.receive(10) => deliveries,
            () = tokio::time::sleep(Duration::from_millis(100)) => continue,
        };
        let deliveries = deliveries.expect("receive");
        seen.extend(numbers(&deliveries));
        ack_all(deliveries).await;
    }
    let distinct: BTreeSet<usize> = seen.iter().copied().collect();
    assert_eq!((seen.len(), distinct.len()), (200, 200), "something came twice");
}

/// No more than `max_ack_pending` are out at once.
pub async fn bounds_what_is_unsettled(world: &impl World) {
    let bus = provisioned(world).await;
    let wanted = ConsumerConfig { max_ack_pending: 5, ..consumer(LONG) };
    let mut subscription = bus.subscribe(&wanted).await.expect("subscribe");
    publish(&bus, messages(0..8)).await;
    let held = receive(&mut subscription, 5).await;
    receive_nothing(&mut subscription, Duration::from_millis(200)).await;
    ack_all(held).await;
    assert_eq!(numbers(&receive(&mut subscription, 3).await), [5, 6, 7]);
}

/// A receive that is dropped while it waits loses no message.
pub async fn loses_nothing_when_cancelled(world: &impl World) {
    let bus = provisioned(world).await;
    let mut subscription = bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    let publisher = bus.clone();
    let publishing = tokio::spawn(async move {
        for number in 0..300 {
            publish(&publisher, messages(number..number + 1)).await;
        }
    });
    let deadline = Instant::now() + SOON;
    let mut seen = BTreeSet::new();
    while seen.len() < 300 {
        assert!(Instant::now() < deadline, "only {} arrived", seen.len());
        let Ok(deliveries) = timeout(Duration::from_micros(300), subscription.receive(16)).await else { continue };
        let deliveries = deliveries.expect("receive");
        assert!(deliveries.iter().all(|delivery| delivery.delivered == 1), "{deliveries:?}");
        seen.extend(numbers(&deliveries));
        ack_all(deliveries).await;
    }
    publishing.await.expect("publisher");
}

/// A durable goes on where it was, for another connection too.
pub async fn remembers_its_position(world: &impl World) {
    let bus = provisioned(world).await;
    publish(&bus, messages(0..2)).await;
    let mut subscription = bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    ack_all(receive(&mut subscription, 1).await).await;
    subscription.close().await.expect("close");
    let other = world.connect().await;
    let mut subscription = other.subscribe(&consumer(LONG)).await.expect("subscribe");
    assert_eq!(numbers(&[receive_one(&mut subscription).await]), [1]);
}

/// A consumer's position says what it was given, what it settled, and what its filter excludes.
pub async fn says_how_far_it_is(world: &impl World) {
    let bus = provisioned(world).await;
    let durable = consumer(LONG).durable;
    assert_eq!(bus.consumer_position(&durable).await.expect("position"), None);
    let mut subscription = bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    publish(&bus, messages(0..3)).await;
    let mut held = receive(&mut subscription, 3).await;
    let last = held.pop().expect("three");
    ack_all(held).await;
    let partly = position_when(&bus, |position| position.settled == 2).await;
    assert_eq!((partly.read_to(), partly.done_to(3), partly.unsettled), (2, 2, 1));
    last.ack().await.expect("ack");
    let foreign = Outgoing { subject: "events.payment.authorized.1".to_owned(), ..message(3) };
    publish(&bus, vec![foreign]).await;
    let done = position_when(&bus, |position| position.unsettled == 0).await;
    assert!(done.read_to() >= 3, "{done:?}");
    assert_eq!((done.done_to(4), done.undelivered), (4, 0));
}

/// Messages that expire before they are requested count as not read, until the next request.
pub async fn has_not_read_what_expired(world: &impl World) {
    let bus = world.connect().await;
    let second = Duration::from_secs(1);
    let short = Topology { max_age: second, duplicate_window: second, ..Topology::default() };
    bus.provision(&short).await.expect("provision");
    let durable = consumer(LONG).durable;
    let mut subscription = bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    publish(&bus, messages(0..2)).await;
    ack_all(receive(&mut subscription, 2).await).await;
    subscription.close().await.expect("close");
    publish(&bus, messages(2..5)).await;
    let expired = async {
        while bus.stream_state().await.expect("state").first_sequence <= 5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, expired).await.expect("nothing expires");
    let position = bus.consumer_position(&durable).await.expect("position").expect("a consumer");
    assert_eq!((position.read_to(), position.undelivered), (2, 0), "{position:?}");
    publish(&bus, messages(5..6)).await;
    let mut subscription = bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    assert_eq!(numbers(&receive(&mut subscription, 1).await), [5]);
}

async fn position_when<B: Bus>(bus: &B, condition: impl Fn(&ConsumerPosition) -> bool) -> ConsumerPosition {
    let durable = consumer(LONG).durable;
    let reached = async {
        loop {
            let position = bus.consumer_position(&durable).await.expect("position").expect("a consumer");
            if condition(&position) {
                return position;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, reached).await.expect("it does not get there")
}
