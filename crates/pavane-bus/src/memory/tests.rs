use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::FutureExt;

use super::*;
use crate::{
    Delivery,
    topology::{DEAD_LETTERS, EVENTS},
};

const SECOND: Duration = Duration::from_secs(1);

/// A clock that moves when told to.
#[derive(Debug, Default)]
struct Hands(AtomicI64);

impl Hands {
    fn move_by(&self, duration: Duration) {
        self.0.fetch_add(i64::try_from(duration.as_nanos()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanosecond(self.0.load(Ordering::Relaxed).into()).unwrap()
    }

    fn random(&self) -> u64 {
        4
    }
}

fn provisioned(seed: u64, faults: Faults) -> (Arc<Hands>, Memory) {
    let clock = Arc::new(Hands::default());
    let bus = Memory::with_faults(Arc::clone(&clock) as Arc<dyn Clock>, seed, faults);
    bus.try_provision(&Topology::default()).unwrap();
    (clock, bus)
}

fn consumer() -> ConsumerConfig {
    ConsumerConfig {
        durable: "worker".to_owned(),
        filter_subjects: vec!["events.>".to_owned()],
        ack_wait: 10 * SECOND,
        max_ack_pending: 100,
    }
}

fn message(number: u64) -> Outgoing {
    Outgoing {
        subject: format!("events.order.placed.{number}"),
        headers: pavane_contract::codec::Headers::default(),
        payload: number.to_string().into(),
        message_id: number.to_string(),
    }
}

fn publish(bus: &Memory, numbers: std::ops::Range<u64>) -> Vec<Result<Receipt, PublishError>> {
    bus.try_publish(numbers.map(message).collect())
}

/// Settling must not need a runtime, for a scheduler's sake.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("waits")
}

fn ack(deliveries: Vec<Delivery>) {
    for delivery in deliveries {
        now(delivery.ack()).unwrap();
    }
}

fn seen(deliveries: &[Delivery]) -> Vec<(u64, u64)> {
    deliveries.iter().map(|delivery| (delivery.sequence, delivery.delivered)).collect()
}

#[test]
fn time_is_the_clocks() {
    let (clock, bus) = provisioned(0, Faults::default());
    let mut subscription = bus.try_subscribe(&consumer()).unwrap();
    assert_eq!(bus.next_due(), None);
    publish(&bus, 0..2);
    assert_eq!(bus.next_due(), Some(clock.now()));
    let mut first = subscription.try_receive(2).unwrap();
    let retried = first.remove(0);
    now(retried.retry_after(3 * SECOND)).unwrap();
    assert_eq!(bus.next_due(), Some(after(clock.now(), 3 * SECOND)));
    assert!(subscription.try_receive(2).unwrap().is_empty());
    clock.move_by(3 * SECOND);
    assert_eq!(seen(&subscription.try_receive(2).unwrap()), [(1, 2)]);
    now(first[0].in_progress()).unwrap();
    clock.move_by(10 * SECOND);
    // Both are due, the one whose wait ended first before the other.
    assert_eq!(seen(&subscription.try_receive(2).unwrap()), [(1, 3), (2, 2)]);
    assert_eq!(bus.pending("worker"), Some(Pending { unsettled: 2, undelivered: 0 }));
}

#[test]
fn ids_and_messages_age() {
    let (clock, bus) = provisioned(0, Faults::default());
    let topology = Topology::default();
    let duplicate = |bus: &Memory| publish(bus, 0..1).remove(0).unwrap().duplicate;
    assert!(!duplicate(&bus));
    clock.move_by(topology.duplicate_window / 2);
    assert!(duplicate(&bus));
    clock.move_by(topology.duplicate_window / 2);
    assert!(!duplicate(&bus));
    clock.move_by(topology.max_age);
    publish(&bus, 7..8);
    assert_eq!(bus.messages(EVENTS).iter().map(|stored| stored.sequence).collect::<Vec<_>>(), [3]);
}

#[test]
fn a_rollback_forgets_the_tail_and_nothing_else() {
    let (_, bus) = provisioned(0, Faults::default());
    let mut subscription = bus.try_subscribe(&consumer()).unwrap();
    publish(&bus, 0..5);
    let mut held = subscription.try_receive(5).unwrap();
    let before = bus.health();
    bus.roll_back(EVENTS, 3);
    assert_eq!(bus.health().reconnects, before.reconnects + 1);
    assert_eq!(now(bus.stream_state()).unwrap().last_sequence, 3);
    assert_eq!(now(bus.message_id_at(4)).unwrap(), None);
    // Published again, as another message: not taken for a duplicate.
    let receipt = bus.try_publish(vec![message(9), message(4)]);
    assert_eq!(receipt[1].clone().unwrap(), Receipt { sequence: 5, duplicate: false });
    // An ack of a lost message doesn't hit the one that has its sequence now.
    let lost = held.remove(3);
    let new = subscription.try_receive(5).unwrap();
    assert_eq!(seen(&new), [(4, 1), (5, 1)]);
    now(lost.ack()).unwrap();
    assert_eq!(bus.pending("worker").unwrap().unsettled, 5);
    ack(new);
    assert_eq!(bus.pending("worker").unwrap().unsettled, 3);
}

#[test]
fn an_outage_fails_what_needs_the_server() {
    let (_, bus) = provisioned(0, Faults::default());
    let mut subscription = bus.try_subscribe(&consumer()).unwrap();
    publish(&bus, 0..1);
    let mut held = subscription.try_receive(1).unwrap();
    bus.disconnect();
    assert_eq!(bus.health(), Health { connected: false, reconnects: 0 });
    assert!(matches!(publish(&bus, 1..2)[0], Err(PublishError::Unavailable(_))));
    assert!(matches!(now(held.remove(0).ack()), Err(Error::Unavailable(_))));
    assert!(matches!(now(bus.stream_state()), Err(Error::Unavailable(_))));
    assert!(subscription.try_receive(1).unwrap().is_empty());
    assert_eq!(bus.next_due(), None);
    bus.reconnect();
    assert_eq!(bus.health(), Health { connected: true, reconnects: 1 });
    assert!(publish(&bus, 1..2)[0].is_ok());
    bus.delete_consumer("worker");
    assert!(matches!(subscription.try_receive(1), Err(Error::Gone(name)) if name == "worker"));
}

#[test]
fn dead_letters_can_be_looked_at() {
    let (_, bus) = provisioned(0, Faults::default());
    bus.try_publish(vec![Outgoing { subject: "dead.x".to_owned(), ..message(1) }]);
    let stored = bus.messages(DEAD_LETTERS);
    assert_eq!((stored.len(), stored[0].message.subject.as_str()), (1, "dead.x"));
    assert_eq!(stored[0].message.headers.get("Nats-Msg-Id"), Some("1"));
}

#[test]
fn each_fault_does_what_it_says() {
    let one = |faults| provisioned(1, faults).1;
    let bus = one(Faults { drop_publish: 1.0, ..Faults::default() });
    assert!(publish(&bus, 0..1)[0].is_err() && bus.messages(EVENTS).is_empty());

    let bus = one(Faults { drop_publish_ack: 1.0, ..Faults::default() });
    assert!(publish(&bus, 0..1)[0].is_err() && bus.messages(EVENTS).len() == 1);

    let bus = one(Faults { lose_ack: 1.0, ..Faults::default() });
    publish(&bus, 0..1);
    ack(bus.try_subscribe(&consumer()).unwrap().try_receive(1).unwrap());
    assert_eq!(bus.pending("worker").unwrap().unsettled, 1);

    let bus = one(Faults { duplicate: 1.0, ..Faults::default() });
    publish(&bus, 0..1);
    let mut subscription = bus.try_subscribe(&consumer()).unwrap();
    assert_eq!(seen(&subscription.try_receive(1).unwrap()), [(1, 1)]);
    assert_eq!(seen(&subscription.try_receive(1).unwrap()), [(1, 2)]);

    let (clock, bus) = provisioned(1, Faults { delay: 1.0, delay_max: SECOND, ..Faults::default() });
    publish(&bus, 0..1);
    let mut subscription = bus.try_subscribe(&consumer()).unwrap();
    assert!(subscription.try_receive(1).unwrap().is_empty());
    clock.move_by(SECOND);
    assert_eq!(seen(&subscription.try_receive(1).unwrap()), [(1, 1)]);

    let bus = one(Faults { reorder: 1.0, ..Faults::default() });
    publish(&bus, 0..20);
    let shuffled = seen(&bus.try_subscribe(&consumer()).unwrap().try_receive(20).unwrap());
    assert!(!shuffled.is_sorted() && shuffled.len() == 20, "{shuffled:?}");
}

/// A run under every fault.
fn trace(seed: u64) -> Vec<String> {
    let faults = Faults {
        drop_publish: 0.1,
        drop_publish_ack: 0.1,
        lose_ack: 0.2,
        duplicate: 0.2,
        delay: 0.2,
        delay_max: 5 * SECOND,
        reorder: 0.3,
    };
    let (clock, bus) = provisioned(seed, faults);
    let mut subscription = bus.try_subscribe(&consumer()).unwrap();
    let mut trace = vec![format!("{:?}", publish(&bus, 0..200))];
    for _ in 0..50 {
        let deliveries = subscription.try_receive(16).unwrap();
        trace.push(format!("{:?}", seen(&deliveries)));
        ack(deliveries);
        clock.move_by(SECOND);
    }
    trace
}

#[test]
fn a_run_is_its_seed() {
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}

#[test]
fn everything_arrives_in_the_end_whatever_goes_wrong() {
    for seed in 0..50 {
        let faults = Faults {
            lose_ack: 0.3,
            duplicate: 0.3,
            delay: 0.3,
            delay_max: 20 * SECOND,
            reorder: 0.5,
            ..Faults::default()
        };
        let (clock, bus) = provisioned(seed, faults);
        let mut subscription = bus.try_subscribe(&consumer()).unwrap();
        publish(&bus, 0..300);
        let mut arrived = std::collections::BTreeSet::new();
        let mut steps = 0;
        while let Some(due) = bus.next_due() {
            steps += 1;
            assert!(steps < 10_000, "seed {seed} does not come to rest");
            clock.move_by(Duration::try_from(due.duration_since(clock.now())).unwrap());
            let deliveries = subscription.try_receive(7).unwrap();
            arrived.extend(deliveries.iter().map(|delivery| delivery.sequence));
            ack(deliveries);
        }
        assert_eq!(arrived.len(), 300, "seed {seed}");
        assert_eq!(bus.pending("worker"), Some(Pending { unsettled: 0, undelivered: 0 }), "seed {seed}");
    }
}

#[tokio::test]
async fn a_waiting_receiver_wakes_when_the_clock_is_moved() {
    use crate::Subscription as _;
    let (clock, bus) = provisioned(0, Faults::default());
    let mut subscription = bus.try_subscribe(&consumer()).unwrap();
    publish(&bus, 0..1);
    now(subscription.try_receive(1).unwrap().remove(0).retry_after(Duration::from_hours(1))).unwrap();
    let receiving = tokio::spawn(async move { subscription.receive(1).await.unwrap().len() });
    tokio::task::yield_now().await;
    assert!(!receiving.is_finished());
    clock.move_by(Duration::from_hours(1));
    bus.wake();
    assert_eq!(tokio::time::timeout(SECOND, receiving).await.unwrap().unwrap(), 1);
}
