//! What provisioning guarantees.

use std::time::Duration;

use super::{LONG, World, consumer, message, messages, numbers, provisioned, publish, receive};
use crate::{
    Bus, ConsumerConfig, Error, Outgoing, PublishError, Topology,
    topology::{DEAD_LETTERS, EVENTS},
};

/// Without streams nothing is refused for good, and each error names the missing stream.
pub async fn a_missing_stream_is_named(world: &impl World) {
    let bus = world.connect().await;
    let published = bus.publish(messages(0..1)).await.remove(0);
    assert!(matches!(published, Err(PublishError::Unavailable(_))), "{published:?}");
    let opened = bus.subscribe(&consumer(LONG)).await.map(drop);
    for answer in [opened, bus.stream_state().await.map(drop), bus.message_id_at(1).await.map(drop)] {
        assert!(matches!(&answer, Err(Error::NoStream(name)) if name.ends_with(EVENTS)), "{answer:?}");
    }
    let letter = bus.dead_letter_at(1).await;
    assert!(matches!(&letter, Err(Error::NoStream(name)) if name.ends_with(DEAD_LETTERS)), "{letter:?}");
    bus.provision(&Topology::default()).await.expect("provision");
    publish(&bus, messages(0..1)).await;
}

/// A second time changes nothing.
pub async fn can_be_repeated(world: &impl World) {
    let bus = provisioned(world).await;
    publish(&bus, messages(0..1)).await;
    let state = async || {
        let state = bus.stream_state().await.expect("state");
        (state.created, state.last_sequence)
    };
    let before = state().await;
    bus.provision(&Topology::default()).await.expect("provision again");
    assert_eq!(state().await, before);
}

/// All services may provision as they start.
pub async fn can_be_done_at_once(world: &impl World) {
    async fn start(world: &impl World) -> Result<(), Error> {
        let bus = world.connect().await;
        bus.provision(&Topology::default()).await?;
        bus.subscribe(&consumer(LONG)).await.map(drop)
    }
    let (a, b, c) = tokio::join!(start(world), start(world), start(world));
    for result in [a, b, c] {
        result.expect("provision at once");
    }
}

/// A longer retention is applied; a shorter one, or other replicas, are refused with both values.
pub async fn limits_only_grow(world: &impl World) {
    let bus = provisioned(world).await;
    let existing = Topology::default();
    let longer = Topology { max_age: existing.max_age * 2, max_bytes: Some(1 << 30), ..existing.clone() };
    // From unlimited to limited would be a shrink.
    let shrunk = bus.provision(&longer).await;
    assert!(
        matches!(&shrunk, Err(Error::Differs { difference, .. }) if difference.contains("max_bytes")),
        "{shrunk:?}"
    );
    let longer = Topology { max_bytes: None, duplicate_window: Duration::from_mins(4), ..longer };
    bus.provision(&longer).await.expect("grow");
    let refused = bus.provision(&existing).await;
    let Err(Error::Differs { what, difference }) = refused else { panic!("{refused:?}") };
    assert!(what.contains("EVENTS"), "{what}");
    for part in ["max_age", &format!("{:?}", longer.max_age), &format!("{:?}", existing.max_age), "duplicate_window"] {
        assert!(difference.contains(part), "{part:?} is missing in {difference:?}");
    }
    let replicated = bus.provision(&Topology { replicas: 3, ..longer }).await;
    assert!(
        matches!(&replicated, Err(Error::Differs { difference, .. }) if difference.contains("replicas")),
        "{replicated:?}"
    );
}

/// A reaction that listens to one more event keeps its consumer; so does one with another ack wait or limit.
pub async fn a_consumer_may_gain_a_filter(world: &impl World) {
    let bus = provisioned(world).await;
    bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    let wanted = ConsumerConfig {
        filter_subjects: vec!["events.payment.>".to_owned(), "events.order.>".to_owned()],
        ack_wait: LONG * 2,
        max_ack_pending: 7,
        ..consumer(LONG)
    };
    let mut subscription = bus.subscribe(&wanted).await.expect("subscribe with one filter more");
    let payment = Outgoing { subject: "events.payment.authorized.1".to_owned(), ..message(1) };
    publish(&bus, vec![message(0), payment]).await;
    assert_eq!(numbers(&receive(&mut subscription, 2).await), [0, 1]);
    // Again with the same, in another order.
    let reordered =
        ConsumerConfig { filter_subjects: wanted.filter_subjects.iter().rev().cloned().collect(), ..wanted };
    bus.subscribe(&reordered).await.expect("subscribe again");
}

/// A consumer that lost a filter would silently miss events.
pub async fn a_consumer_never_loses_a_filter(world: &impl World) {
    let bus = provisioned(world).await;
    bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    let other = ConsumerConfig { filter_subjects: vec!["events.payment.>".to_owned()], ..consumer(LONG) };
    match bus.subscribe(&other).await {
        Err(Error::Differs { what, difference }) => {
            assert!(what.contains("shipping-ship"), "{what}");
            assert!(difference.contains("events.order.>") && difference.contains("events.payment.>"), "{difference}");
        }
        other => panic!("{:?}", other.map(drop)),
    }
}

/// Settings that a server would interpret otherwise are refused.
pub async fn a_consumer_needs_sense(world: &impl World) {
    let bus = provisioned(world).await;
    let good = consumer(LONG);
    for bad in [
        ConsumerConfig { durable: "a.b".to_owned(), ..good.clone() },
        ConsumerConfig { durable: String::new(), ..good.clone() },
        ConsumerConfig { filter_subjects: Vec::new(), ..good.clone() },
        ConsumerConfig { ack_wait: Duration::ZERO, ..good.clone() },
        ConsumerConfig { max_ack_pending: 0, ..good },
    ] {
        assert!(bus.subscribe(&bad).await.is_err(), "{bad:?} was accepted");
    }
}
