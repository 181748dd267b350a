//! A service without a database, which sends text messages by a gateway that has no idempotency keys.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use pavane::{Envelope, Event, Handled, HandlerError, IdempotencyKey, Key, SagaId};
use pavane_bus::{
    Bus, JetStream, Memory, Outgoing, Topology,
    dead_letter::{Address, redrive},
    jetstream::{Bucket, Config as NatsConfig},
    topology::{DEAD_LETTERS, DECLARATIONS},
};
use pavane_contract::{EventId, SystemClock};
use pavane_inbox::{
    Subscriber,
    dedupe::{BucketStore, Claim, DedupeStore, MemoryStore},
    subscriber,
};
use pavane_testkit::{
    envelope, outgoing,
    servers::{Nats, Tools},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, task::JoinHandle};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct ParcelSent {
    phone: String,
}

impl Event for ParcelSent {
    const NAME: &'static str = "carrier.parcel-sent";
    const VERSION: u16 = 1;

    fn key(&self) -> Key {
        self.phone.as_str().into()
    }
}

/// Sends whatever it is given, however often.
#[derive(Debug, Default)]
struct Gateway {
    /// How many messages each phone got.
    sent: Mutex<BTreeMap<String, u32>>,
    /// So many calls find it away.
    away: AtomicU32,
    /// So many calls fail.
    failures: AtomicU32,
    calls: AtomicU32,
}

impl Gateway {
    fn sent(&self) -> BTreeMap<String, u32> {
        self.sent.lock().unwrap().clone()
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }
}

type State = Arc<Gateway>;

fn one_less(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

async fn text(gateway: &State, key: &IdempotencyKey, parcel: &Envelope<ParcelSent>) -> Handled {
    assert!(key.as_str().starts_with("texts_text-customer-"), "{key}");
    gateway.calls.fetch_add(1, Ordering::SeqCst);
    if one_less(&gateway.away) {
        return Err(HandlerError::unavailable("the gateway is away"));
    }
    if one_less(&gateway.failures) {
        return Err(HandlerError::transient("the gateway makes no sense"));
    }
    match parcel.phone.as_str() {
        "none" => Err(HandlerError::reject("that is no phone")),
        "panic" => panic!("oh no"),
        phone => {
            *gateway.sent.lock().unwrap().entry(phone.to_owned()).or_default() += 1;
            Ok(())
        }
    }
}

/// A process of the service.
struct Process {
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), subscriber::Error>>,
}

impl Process {
    fn start(bus: impl Bus, store: impl DedupeStore, gateway: &State, max_attempts: u32) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let subscriber =
            Subscriber::new("texts", Arc::clone(gateway), store).on("text-customer", text).tuned(|tuning| {
                (tuning.max_attempts, tuning.ack_wait) = (max_attempts, Duration::from_secs(1));
                (tuning.backoff_base, tuning.backoff_max) = (Duration::from_millis(4), Duration::from_millis(20));
            });
        let running = tokio::spawn(async move {
            subscriber.run_until(bus, &Topology::default(), async move { drop(stopped.await) }).await
        });
        Self { stop, running }
    }

    async fn stop(self) {
        drop(self.stop);
        self.running.await.unwrap().unwrap();
    }
}

fn memory_store() -> MemoryStore {
    MemoryStore::new(Arc::new(SystemClock), 1000)
}

fn parcel(phone: &str) -> (EventId, Outgoing) {
    let event = envelope(SagaId::new(&SystemClock), &ParcelSent { phone: phone.to_owned() });
    (event.meta.id, outgoing(&event))
}

/// The same event as a message that the broker takes for another.
fn again(outgoing: &Outgoing) -> Outgoing {
    Outgoing { message_id: EventId::new(&SystemClock).to_string(), ..outgoing.clone() }
}

async fn publish(bus: &impl Bus, messages: Vec<Outgoing>) {
    for receipt in bus.publish(messages).await {
        assert!(!receipt.unwrap().duplicate, "the stream must not hide duplicates from the service");
    }
}

async fn until(what: &str, so: impl AsyncFn() -> bool) {
    pavane_testkit::until(what, async || so().await.then_some(())).await;
}

/// Waits until everything is settled.
async fn settled(bus: &impl Bus) {
    until("everything to be settled", || async {
        let position = bus.consumer_position("texts_text-customer").await.unwrap();
        position.is_some_and(|position| position.unsettled == 0 && position.undelivered == 0)
    })
    .await;
}

fn causes(bus: &Memory) -> Vec<String> {
    let letters = bus.messages(DEAD_LETTERS);
    letters.iter().map(|letter| letter.message.headers.get("pavane-dead-cause").unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_event_that_comes_again_is_not_sent_again() {
    let (bus, gateway) = (Memory::new(Arc::new(SystemClock)), State::default());
    let process = Process::start(bus.clone(), memory_store(), &gateway, 8);
    until("the consumer", || async { bus.pending("texts_text-customer").is_some() }).await;
    let (_, first) = parcel("1");
    publish(&bus, vec![first.clone(), again(&first)]).await;
    settled(&bus).await;
    publish(&bus, vec![again(&first), parcel("2").1]).await;
    settled(&bus).await;
    assert_eq!(gateway.sent(), BTreeMap::from([("1".into(), 1), ("2".into(), 1)]));
    process.stop().await;
}

#[tokio::test]
async fn a_gateway_that_is_away_is_waited_for_and_a_failure_is_tried_again() {
    let (bus, gateway) = (Memory::new(Arc::new(SystemClock)), State::default());
    gateway.away.store(20, Ordering::SeqCst);
    gateway.failures.store(1, Ordering::SeqCst);
    // Attempts are deliveries, which those that found it away were, too.
    let process = Process::start(bus.clone(), memory_store(), &gateway, 22);
    until("the consumer", || async { bus.pending("texts_text-customer").is_some() }).await;
    publish(&bus, vec![parcel("1").1]).await;
    settled(&bus).await;
    assert_eq!((gateway.calls(), gateway.sent()), (22, BTreeMap::from([("1".into(), 1)])));
    assert_eq!(causes(&bus), [""; 0]);
    process.stop().await;
}

#[tokio::test]
async fn what_can_not_be_sent_is_kept_as_a_dead_letter_and_can_be_redriven() {
    let (bus, gateway) = (Memory::new(Arc::new(SystemClock)), State::default());
    gateway.failures.store(2, Ordering::SeqCst);
    let process = Process::start(bus.clone(), memory_store(), &gateway, 2);
    until("the consumer", || async { bus.pending("texts_text-customer").is_some() }).await;
    publish(&bus, vec![parcel("1").1]).await;
    settled(&bus).await;
    publish(&bus, vec![parcel("none").1, parcel("panic").1]).await;
    let garbage = Outgoing { payload: "no JSON".into(), ..parcel("3").1 };
    publish(&bus, vec![garbage, parcel("4").1]).await;
    settled(&bus).await;
    let causes = causes(&bus);
    assert_eq!(causes.len(), 4, "{causes:?}");
    for cause in ["the gateway makes no sense", "that is no phone", "the handler panicked: oh no"] {
        assert!(causes.iter().any(|said| said == cause), "{cause:?} in {causes:?}");
    }
    assert_eq!(gateway.sent(), BTreeMap::from([("4".into(), 1)]), "others go on");

    let letter = bus.messages(DEAD_LETTERS).remove(0);
    let address = Address::of_letter(&letter.message.subject).unwrap();
    assert_eq!((address.service, address.reaction), ("texts", "text-customer"));
    for number in 0..2 {
        publish(&bus, vec![redrive(address, letter.sequence, format!("redrive-{number}"))]).await;
        settled(&bus).await;
        assert_eq!(gateway.sent().get("1"), Some(&1), "the second one finds it done");
    }
    process.stop().await;
}

#[tokio::test]
async fn a_dead_letter_is_stored_before_its_event_is_ended() {
    let (bus, gateway) = (Memory::new(Arc::new(SystemClock)), State::default());
    let process = Process::start(bus.clone(), memory_store(), &gateway, 8);
    until("the consumer", || async { bus.pending("texts_text-customer").is_some() }).await;
    bus.set_full(DEAD_LETTERS, true);
    publish(&bus, vec![parcel("none").1]).await;
    until("some attempts", || async { gateway.calls() > 2 }).await;
    publish(&bus, vec![parcel("1").1]).await;
    until("the others to go on", || async { gateway.sent().len() == 1 }).await;
    assert_eq!(bus.pending("texts_text-customer").unwrap().unsettled, 1, "it comes again for as long");
    bus.set_full(DEAD_LETTERS, false);
    settled(&bus).await;
    assert_eq!(causes(&bus), ["that is no phone"]);
    process.stop().await;
}

/// What a process leaves that died between the call and the keeping of what it did.
#[tokio::test]
async fn what_another_process_may_be_at_is_waited_for() {
    let (bus, gateway) = (Memory::new(Arc::new(SystemClock)), State::default());
    let (store, (id, first)) = (memory_store(), parcel("1"));
    let dead = store.claim(&format!("texts_text-customer-{id}"), Duration::from_millis(300)).await;
    assert!(matches!(dead, Ok(Claim::Held(_))), "{dead:?}");
    // One attempt: to wait is none.
    let process = Process::start(bus.clone(), store, &gateway, 1);
    until("the consumer", || async { bus.pending("texts_text-customer").is_some() }).await;
    publish(&bus, vec![first]).await;
    settled(&bus).await;
    assert_eq!((gateway.sent(), causes(&bus).len()), (BTreeMap::from([("1".into(), 1)]), 0));
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_share_a_bucket_and_a_third_finds_what_they_did() {
    let nats = Nats::start(&Tools::from_env()).await.unwrap();
    let connect = || async { JetStream::connect(NatsConfig::new(nats.url(), "texts")).await.unwrap() };
    let (bus, gateway) = (connect().await, State::default());
    let start = |bus: JetStream| async {
        let bucket = Bucket::open(bus.clone(), "texts-sent", Duration::from_hours(1)).await.unwrap();
        Process::start(bus, BucketStore::new(bucket, Arc::new(SystemClock)), &gateway, 8)
    };
    let (here, there) = (start(connect().await).await, start(connect().await).await);
    let opened = || async { matches!(bus.consumer_position("texts_text-customer").await, Ok(Some(_))) };
    until("the consumer", opened).await;
    let parcels: Vec<_> = (0..40).map(|number| parcel(&number.to_string()).1).collect();
    publish(&bus, parcels.iter().flat_map(|parcel| [parcel.clone(), again(parcel)]).collect()).await;
    settled(&bus).await;
    let once: BTreeMap<_, _> = (0..40).map(|number| (number.to_string(), 1)).collect();
    assert_eq!(gateway.sent(), once);
    here.stop().await;
    there.stop().await;

    let third = start(connect().await).await;
    publish(&bus, parcels.iter().map(again).collect()).await;
    publish(&bus, vec![parcel("none").1]).await;
    settled(&bus).await;
    assert_eq!(gateway.sent(), once, "a restart forgets nothing");
    assert!(bus.dead_letter_at(1).await.unwrap().is_some(), "the dead letter is stored");
    let declared = Bucket::open(bus.clone(), DECLARATIONS, Duration::ZERO).await.unwrap().get("texts").await.unwrap();
    let declared = String::from_utf8(declared.unwrap().value.to_vec()).unwrap();
    assert!(declared.contains("text-customer") && declared.contains(ParcelSent::NAME), "{declared}");
    third.stop().await;
}

#[tokio::test]
async fn a_name_that_can_not_be_used_is_refused() {
    let subscriber = Subscriber::new("texts", State::default(), memory_store()).on("Text Customer", text);
    let bus = Memory::new(Arc::new(SystemClock));
    let refused = subscriber.run_until(bus, &Topology::default(), std::future::pending()).await.unwrap_err();
    assert!(refused.to_string().contains("\"Text Customer\" is not a name"), "{refused}");
}
