//! What settling a delivery guarantees.

use std::time::Duration;

use tokio::time::Instant;

use super::{LONG, SHORT, World, consumer, messages, provisioned, publish, receive_nothing, receive_one};
use crate::Bus;

async fn one_message<W: World>(world: &W, ack_wait: Duration) -> <W::Bus as Bus>::Subscription {
    let bus = provisioned(world).await;
    publish(&bus, messages(0..1)).await;
    bus.subscribe(&consumer(ack_wait)).await.expect("subscribe")
}

/// An acked message is not delivered again.
pub async fn an_ack_ends_it(world: &impl World) {
    let mut subscription = one_message(world, SHORT).await;
    receive_one(&mut subscription).await.ack().await.expect("ack");
    receive_nothing(&mut subscription, SHORT * 2).await;
}

/// A rejected message is not delivered again.
pub async fn a_rejection_ends_it(world: &impl World) {
    let mut subscription = one_message(world, SHORT).await;
    receive_one(&mut subscription).await.reject("it makes no sense: ø").await.expect("reject");
    receive_nothing(&mut subscription, SHORT * 2).await;
}

/// An unsettled message is delivered again after the ack wait, with a higher count.
pub async fn silence_brings_it_back(world: &impl World) {
    let mut subscription = one_message(world, SHORT).await;
    let started = Instant::now();
    drop(receive_one(&mut subscription).await);
    let again = receive_one(&mut subscription).await;
    assert!(started.elapsed() >= SHORT.mul_f64(0.9), "back after {:?}", started.elapsed());
    assert_eq!(again.delivered, 2);
    again.ack().await.expect("ack");
    receive_nothing(&mut subscription, SHORT * 2).await;
}

/// A retry comes after its delay and not after the ack wait.
pub async fn a_retry_waits(world: &impl World) {
    const DELAY: Duration = Duration::from_millis(400);
    let mut subscription = one_message(world, LONG).await;
    let mut delivery = receive_one(&mut subscription).await;
    for delivered in 2..=3 {
        let started = Instant::now();
        delivery.retry_after(DELAY).await.expect("retry");
        receive_nothing(&mut subscription, DELAY / 2).await;
        delivery = receive_one(&mut subscription).await;
        assert!(started.elapsed() >= DELAY.mul_f64(0.9), "back after {:?}", started.elapsed());
        assert_eq!(delivery.delivered, delivered);
    }
}

/// A retry without a delay comes at once.
pub async fn a_retry_without_delay_is_immediate(world: &impl World) {
    let mut subscription = one_message(world, LONG).await;
    receive_one(&mut subscription).await.retry_after(Duration::ZERO).await.expect("retry");
    let again = receive_one(&mut subscription).await;
    assert_eq!(again.delivered, 2);
}

/// A message whose handler sends heartbeats isn't delivered to another instance, however long it takes.
pub async fn progress_extends_the_wait(world: &impl World) {
    let mut subscription = one_message(world, SHORT).await;
    let delivery = receive_one(&mut subscription).await;
    for _ in 0..6 {
        receive_nothing(&mut subscription, SHORT / 2).await;
        delivery.in_progress().await.expect("in progress");
    }
    delivery.ack().await.expect("ack");
    receive_nothing(&mut subscription, SHORT * 2).await;
}

/// An ack of the first delivery counts although the message was delivered again meanwhile.
pub async fn a_late_ack_ends_it(world: &impl World) {
    let mut subscription = one_message(world, SHORT).await;
    let first = receive_one(&mut subscription).await;
    let second = receive_one(&mut subscription).await;
    assert_eq!((first.sequence, second.delivered), (second.sequence, 2));
    first.ack().await.expect("ack");
    receive_nothing(&mut subscription, SHORT * 2).await;
}
