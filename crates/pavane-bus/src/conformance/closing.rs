//! What closing a subscription guarantees.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{LONG, World, ack_all, consumer, messages, numbers, provisioned, publish, receive};
use crate::{Bus, Subscription};

/// Far below the ack wait, after which a stranded message would come.
const AT_ONCE: Duration = Duration::from_secs(5);

/// What was not handed out goes to the next subscription at once, in order. What was acked doesn't.
pub async fn strands_nothing_received(world: &impl World) {
    let bus = provisioned(world).await;
    publish(&bus, messages(0..100)).await;
    let mut first = bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    ack_all(receive(&mut first, 10).await).await;
    first.close().await.expect("close");
    let started = Instant::now();
    let mut second = bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    let rest = receive(&mut second, 90).await;
    assert!(started.elapsed() < AT_ONCE, "stranded for {:?}", started.elapsed());
    assert_eq!(numbers(&rest), (10..100).collect::<Vec<_>>());
}

/// A message that was asked for, arrived and wasn't handed out is returned to the broker.
pub async fn strands_nothing_on_the_way(world: &impl World) {
    let bus = provisioned(world).await;
    let mut first = bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    let waited = timeout(Duration::from_millis(100), first.receive(50)).await;
    assert!(waited.is_err(), "received from an empty stream");
    publish(&bus, messages(0..100)).await;
    first.close().await.expect("close");
    let started = Instant::now();
    let mut second = bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    let mut rest = numbers(&receive(&mut second, 100).await);
    rest.sort_unstable();
    assert_eq!(rest, (0..100).collect::<Vec<_>>());
    assert!(started.elapsed() < AT_ONCE, "stranded for {:?}", started.elapsed());
}
