use std::time::Duration;

use pavane_bus::{
    Bus, Outgoing, Topology,
    conformance::World,
    jetstream::{Reader, Start, Stored},
    topology::{AUDIT, DEAD_LETTERS, DECLARATIONS_STREAM, EVENTS},
};

use super::{consumer, message, messages, receive_one, soon, start};

async fn read(reader: &mut Reader, count: usize) -> Vec<Stored> {
    let mut read = Vec::new();
    while read.len() < count {
        read.extend(soon("a message", reader.next(count - read.len())).await.unwrap());
    }
    read
}

fn sequences(stored: &[Stored]) -> Vec<u64> {
    stored.iter().map(|stored| stored.sequence).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_read_in_order_from_anywhere_and_on() {
    let server = start().await;
    let bus = server.provisioned().await;
    bus.publish(messages(0..1500)).await;
    let mut all = bus.read(EVENTS, &[], Start::First).await.unwrap();
    assert_eq!(all.remaining(), 1500);
    assert_eq!(sequences(&read(&mut all, 1500).await), (1..=1500).collect::<Vec<_>>());
    assert_eq!(all.remaining(), 0);
    let mut tail = bus.read(EVENTS, &[], Start::Sequence(1499)).await.unwrap();
    assert_eq!(sequences(&read(&mut tail, 2).await), [1499, 1500]);
    let mut one = bus.read(EVENTS, &["events.order.placed.7", "redrive.>"], Start::First).await.unwrap();
    let found = read(&mut one, 1).await.remove(0);
    assert_eq!((found.sequence, found.message.payload.as_ref()), (8, b"7".as_slice()));
    assert_eq!(found.message.headers.get("Nats-Msg-Id"), Some("id-7"));
    // What comes later is read, too, and a reader that was dropped midway has lost nothing.
    assert!(tokio::time::timeout(Duration::from_millis(50), all.next(10)).await.is_err());
    bus.publish(messages(1500..1501)).await;
    assert_eq!(sequences(&read(&mut all, 1).await), [1501]);
    assert!(bus.read("NONE", &[], Start::First).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_goes_on_when_the_server_is_back() {
    let mut server = start().await;
    let bus = server.provisioned().await;
    bus.publish(messages(0..10)).await;
    let mut reader = bus.read(EVENTS, &[], Start::First).await.unwrap();
    read(&mut reader, 10).await;
    server.0.restart().await.unwrap();
    let other = server.provisioned().await;
    other.publish(messages(10..20)).await;
    let rest = tokio::time::timeout(Duration::from_mins(1), read(&mut reader, 10)).await.unwrap();
    assert_eq!(sequences(&rest), (11..=20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_tell_how_far_they_are() {
    let server = start().await;
    let bus = server.provisioned().await;
    assert!(bus.consumer_reports("NONE").await.unwrap().is_empty());
    let mut subscription = bus.subscribe(&consumer(Duration::from_mins(1))).await.unwrap();
    bus.publish(messages(0..3)).await;
    receive_one(&mut subscription).await.ack().await.unwrap();
    let held = receive_one(&mut subscription).await;
    let settled = async {
        loop {
            let report = bus.consumer_reports(EVENTS).await.unwrap().remove(0);
            if report.settled.sequence == 1 {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let report = soon("the ack", settled).await;
    assert_eq!((report.name.as_str(), report.durable), ("worker", true));
    assert_eq!((report.delivered.sequence, report.in_flight, report.pending), (2, 1, 1));
    assert!(report.settled.active.is_some() && report.at.is_some(), "{report:?}");
    assert_eq!(report.filters, ["events.order.>"]);
    assert_eq!((report.ack_wait, report.max_ack_pending), (Duration::from_mins(1), Some(1_000)));
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_and_streams_tell_how_they_are() {
    let server = start().await;
    let bus = server.provisioned().await;
    bus.publish(messages(0..3)).await;
    let report = bus.stream_report(EVENTS).await.unwrap().unwrap();
    assert_eq!((report.messages, report.first_sequence, report.last_sequence), (3, 1, 3));
    assert_eq!((report.max_age, report.max_bytes), (Topology::default().max_age, None));
    assert_eq!(
        (report.storage.as_str(), report.retention.as_str(), report.discard.as_str()),
        ("file", "limits", "new")
    );
    assert!(report.at.is_some(), "the server's time");
    assert!(bus.stream_report("NONE").await.unwrap().is_none());
    let server = bus.server_report().await.unwrap();
    assert!(server.version.starts_with('2') && server.max_payload > 1000 && server.streams == 2, "{server:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_message_can_be_looked_at_and_deleted() {
    let server = start().await;
    let bus = server.provisioned().await;
    let letter = Outgoing { subject: "dead.order.ship.events.x.y.1".to_owned(), ..message(1) };
    bus.publish(vec![letter]).await.remove(0).unwrap();
    let stored = bus.stored(DEAD_LETTERS, 1).await.unwrap().unwrap();
    assert_eq!(
        (stored.message.subject.as_str(), stored.message.payload.as_ref()),
        ("dead.order.ship.events.x.y.1", b"1".as_slice())
    );
    assert!(bus.delete_stored(DEAD_LETTERS, 1).await.unwrap());
    assert!(!bus.delete_stored(DEAD_LETTERS, 1).await.unwrap());
    assert!(bus.stored(DEAD_LETTERS, 1).await.unwrap().is_none());
    bus.provision_audit().await.unwrap();
    bus.provision_audit().await.unwrap();
    let decision = Outgoing { subject: "audit.operator.discarded.1".to_owned(), ..message(2) };
    bus.publish(vec![decision]).await.remove(0).unwrap();
    assert!(bus.stored(AUDIT, 1).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_declaration_of_each_service_can_be_read() {
    let server = start().await;
    let bus = server.connect().await;
    for (service, declaration) in [("order", "{}"), ("payment", "{1}"), ("order", "{2}")] {
        bus.declare(&Topology::default(), service, declaration.into()).await.unwrap();
    }
    let mut reader = bus.read(DECLARATIONS_STREAM, &[], Start::First).await.unwrap();
    let last = read(&mut reader, 3).await.remove(2);
    assert_eq!(
        (last.message.subject.as_str(), last.message.payload.as_ref()),
        ("$KV.PAVANE_MANIFESTS.order", b"{2}".as_slice())
    );
    // Any client can read it as the key-value bucket that it is.
    let bucket = server.raw().await.get_key_value("PAVANE_MANIFESTS").await.unwrap();
    assert_eq!(bucket.get("order").await.unwrap().unwrap(), "{2}");
}
