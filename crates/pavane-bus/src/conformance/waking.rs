//! What waking the other instances of a service guarantees.

use tokio::time::timeout;

use super::{SOON, World};
use crate::{Bus, Wakes};

/// Each instance that listens gets a wake.
pub async fn wakes_every_instance(world: &impl World) {
    let (one, other, waking) = (world.connect().await, world.connect().await, world.connect().await);
    let mut wakes = [listening(&one, &waking).await, listening(&other, &waking).await];
    waking.wake("order").await.expect("wake");
    for wakes in &mut wakes {
        heard(wakes).await;
    }
}

/// A wake that comes while nobody waits is kept for the next call, and several become one.
pub async fn keeps_a_wake_until_somebody_waits(world: &impl World) {
    let (bus, waking) = (world.connect().await, world.connect().await);
    let mut wakes = listening(&bus, &waking).await;
    let mut witness = listening(&bus, &waking).await;
    // The listener may have got the wakes that found out whether it listens.
    while timeout(super::SHORT, wakes.next()).await.is_ok() {}
    for _ in 0..100 {
        waking.wake("order").await.expect("wake");
    }
    heard(&mut witness).await;
    heard(&mut wakes).await;
}

/// A service's wakes are not another's.
pub async fn wakes_nobody_else(world: &impl World) {
    let (bus, waking) = (world.connect().await, world.connect().await);
    let mut others = bus.listen("payment").await.expect("listen");
    let mut wakes = listening(&bus, &waking).await;
    waking.wake("order").await.expect("wake");
    heard(&mut wakes).await;
    assert!(timeout(super::SHORT, others.next()).await.is_err(), "payment heard what was for order");
}

/// Listens, and returns once the server knows: a wake reaches only those that listen when it is sent.
async fn listening<B: Bus>(bus: &B, waking: &B) -> Wakes {
    let mut wakes = bus.listen("order").await.expect("listen");
    let known = async {
        loop {
            waking.wake("order").await.expect("wake");
            if timeout(super::SHORT / 10, wakes.next()).await.is_ok() {
                break;
            }
        }
    };
    timeout(SOON, known).await.expect("the listener is never heard of");
    wakes
}

async fn heard(wakes: &mut Wakes) {
    timeout(SOON, wakes.next()).await.expect("no wake");
}
