//! The suite that every [`Bus`] must pass. Feature `conformance`, for tests only.
//!
//! A bus's tests call [`conformance_tests!`](crate::conformance_tests) with a function that makes a fresh [`World`]; each
//! function of the submodules becomes one test. They panic when the bus misbehaves. They take real time: ack waits of
//! some hundred milliseconds pass.
#![expect(clippy::missing_panics_doc, reason = "panicking is what these functions are for")]

pub mod closing;
pub mod consuming;
pub mod provisioning;
pub mod publishing;
pub mod settling;
pub mod waking;

use std::{future::Future, time::Duration};

use pavane_contract::codec::Headers;
use tokio::time::{Instant, timeout};

use crate::{Bus, ConsumerConfig, Delivery, Outgoing, Subscription, Topology};

/// Longest wait for what must happen.
const SOON: Duration = Duration::from_secs(10);
/// An ack wait that is longer than any test.
const LONG: Duration = Duration::from_mins(1);
/// An ack wait that a test waits for.
const SHORT: Duration = Duration::from_millis(600);

/// A server of its own for one test. It lives as long as this value.
pub trait World: Send + Sync {
    /// The bus under test.
    type Bus: Bus;

    /// Another connection to the same server.
    fn connect(&self) -> impl Future<Output = Self::Bus> + Send;
}

/// Makes one `#[tokio::test]` of each function of the suite. The argument is a function that
/// makes a future of a [`World`].
#[macro_export]
macro_rules! conformance_tests {
    ($start:path) => {
        $crate::conformance_tests!(@module $start, publishing: [
            arrives_as_published, keeps_order, stores_a_message_id_once, keeps_odd_headers, refuses_only_the_bad_one,
            refuses_what_can_not_be_sent, tells_where_the_stream_ends, keeps_dead_letters_apart,
            shows_a_dead_letter_as_it_is_stored
        ]);
        $crate::conformance_tests!(@module $start, consuming: [
            starts_at_the_beginning, never_exceeds_the_credits, gives_nothing_without_credits, takes_several_filters,
            shares_the_work, bounds_what_is_unsettled, loses_nothing_when_cancelled, remembers_its_position,
            says_how_far_it_is, has_not_read_what_expired
        ]);
        $crate::conformance_tests!(@module $start, settling: [
            an_ack_ends_it, a_rejection_ends_it, silence_brings_it_back, a_retry_waits, a_retry_without_delay_is_immediate,
            progress_extends_the_wait, a_late_ack_ends_it
        ]);
        $crate::conformance_tests!(@module $start, closing: [
            strands_nothing_received, strands_nothing_on_the_way
        ]);
        $crate::conformance_tests!(@module $start, provisioning: [
            a_missing_stream_is_named, can_be_repeated, can_be_done_at_once, limits_only_grow,
            a_consumer_may_gain_a_filter, a_consumer_never_loses_a_filter, a_consumer_needs_sense
        ]);
        $crate::conformance_tests!(@module $start, waking: [
            wakes_every_instance, keeps_a_wake_until_somebody_waits, wakes_nobody_else
        ]);
    };
    (@module $start:path, $module:ident: [$($test:ident),* $(,)?]) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let world = $start().await;
                    $crate::conformance::$module::$test(&world).await;
                }
            )*
        }
    };
}

async fn provisioned<W: World>(world: &W) -> W::Bus {
    let bus = world.connect().await;
    bus.provision(&Topology::default()).await.expect("provision");
    bus
}

fn consumer(ack_wait: Duration) -> ConsumerConfig {
    ConsumerConfig {
        durable: "shipping-ship".to_owned(),
        filter_subjects: vec!["events.order.>".to_owned()],
        ack_wait,
        max_ack_pending: 1_000,
    }
}

fn message(number: usize) -> Outgoing {
    let headers = Headers::from_iter([("ce-type", "order.placed".to_owned())]);
    Outgoing {
        subject: format!("events.order.placed.{number}"),
        headers,
        payload: number.to_string().into(),
        message_id: format!("id-{number}"),
    }
}

fn messages(numbers: std::ops::Range<usize>) -> Vec<Outgoing> {
    numbers.map(message).collect()
}

async fn publish(bus: &impl Bus, messages: Vec<Outgoing>) -> Vec<u64> {
    let receipts = bus.publish(messages).await;
    receipts.into_iter().map(|receipt| receipt.expect("publish").sequence).collect()
}

/// Receives exactly `count`, soon.
async fn receive(subscription: &mut impl Subscription, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    let deadline = Instant::now() + SOON;
    while deliveries.len() < count {
        let missing = count - deliveries.len();
        let more = tokio::time::timeout_at(deadline, subscription.receive(missing)).await;
        let more = more.unwrap_or_else(|_| panic!("only {} of {count} arrived", deliveries.len()));
        deliveries.extend(more.expect("receive"));
    }
    assert_eq!(deliveries.len(), count, "more than the credits arrived");
    deliveries
}

async fn receive_one(subscription: &mut impl Subscription) -> Delivery {
    receive(subscription, 1).await.pop().expect("one delivery")
}

/// Checks that nothing arrives for a while.
async fn receive_nothing(subscription: &mut impl Subscription, during: Duration) {
    if let Ok(deliveries) = timeout(during, subscription.receive(10)).await {
        panic!("arrived unexpectedly: {deliveries:?}");
    }
}

async fn ack_all(deliveries: Vec<Delivery>) {
    for delivery in deliveries {
        delivery.ack().await.expect("ack");
    }
}

fn numbers(deliveries: &[Delivery]) -> Vec<usize> {
    let number = |delivery: &Delivery| String::from_utf8_lossy(&delivery.message.payload).parse().expect("a number");
    deliveries.iter().map(number).collect()
}
