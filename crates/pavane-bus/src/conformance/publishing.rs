//! What publishing guarantees.

use pavane_contract::codec::Headers;

use super::{LONG, World, consumer, message, messages, numbers, provisioned, publish, receive, receive_one};
use crate::{Bus, Outgoing, PublishError};

/// Subject, headers, payload, message id and sequence arrive.
pub async fn arrives_as_published(world: &impl World) {
    let bus = provisioned(world).await;
    let sequences = publish(&bus, vec![message(1)]).await;
    let mut subscription = bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    let delivery = receive_one(&mut subscription).await;
    assert_eq!(delivery.message.subject, "events.order.placed.1");
    assert_eq!(&delivery.message.payload[..], b"1");
    assert_eq!(delivery.message.headers.get("ce-type"), Some("order.placed"));
    assert_eq!(delivery.message.headers.get("Nats-Msg-Id"), Some("id-1"));
    assert_eq!((delivery.sequence, delivery.delivered), (sequences[0], 1));
}

/// One publisher's messages are stored and delivered in its order, also when there are more than fit in flight.
pub async fn keeps_order(world: &impl World) {
    let bus = provisioned(world).await;
    let sequences = publish(&bus, messages(0..1_000)).await;
    assert!(sequences.is_sorted_by(|a, b| a < b), "sequences out of order");
    let mut subscription = bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    let deliveries = receive(&mut subscription, 1_000).await;
    assert_eq!(numbers(&deliveries), (0..1_000).collect::<Vec<_>>());
}

/// A second publish with the same id is reported, stores nothing, and names the first one's sequence.
pub async fn stores_a_message_id_once(world: &impl World) {
    let bus = provisioned(world).await;
    let first = bus.publish(vec![message(1)]).await.remove(0).expect("publish");
    let again = bus.publish(vec![message(1), message(2)]).await;
    let [again, other] = again.as_slice() else { panic!("two results wanted") };
    let again = again.clone().expect("publish again");
    assert!(!first.duplicate && again.duplicate);
    assert_eq!(first.sequence, again.sequence);
    assert!(!other.clone().expect("publish another").duplicate);
    assert_eq!(bus.stream_state().await.expect("state").last_sequence, first.sequence + 1);
}

/// Unusual header values arrive unchanged, and so do two of one name.
pub async fn keeps_odd_headers(world: &impl World) {
    let values = [
        ("empty", String::new()),
        ("colon", "a: b:c".to_owned()),
        ("percent", "%C3%A9%0D%0A".to_owned()),
        ("unicode", "Ærøskøbing 🩰".to_owned()),
        ("quotes", r#"{"a":"b"}"#.to_owned()),
        ("Mixed-Case", "Value".to_owned()),
        ("long", "x".repeat(8_192)),
    ];
    let bus = provisioned(world).await;
    let twice = ["one", "two"].map(|value| ("twice", value.to_owned()));
    let headers = values.iter().chain(&twice).cloned().collect();
    publish(&bus, vec![Outgoing { headers, ..message(1) }]).await;
    let mut subscription = bus.subscribe(&consumer(LONG)).await.expect("subscribe");
    let delivery = receive_one(&mut subscription).await;
    for (name, value) in &values {
        assert_eq!(delivery.message.headers.get(name), Some(value.as_str()), "header {name}");
    }
    let found: Vec<_> = delivery.message.headers.iter().filter(|(name, _)| *name == "twice").collect();
    assert_eq!(found, [("twice", "one"), ("twice", "two")]);
}

/// A message over the server's limit is refused; the rest of its batch goes through.
pub async fn refuses_only_the_bad_one(world: &impl World) {
    let bus = provisioned(world).await;
    let huge = Outgoing { payload: vec![0; 64 * 1024 * 1024].into(), ..message(2) };
    let results = bus.publish(vec![message(1), huge, message(3)]).await;
    assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
    assert!(matches!(results[1], Err(PublishError::Refused(_))), "{:?}", results[1]);
}

/// A message that no stream takes or the protocol can't carry is refused, not retried for ever.
pub async fn refuses_what_can_not_be_sent(world: &impl World) {
    let bus = provisioned(world).await;
    let bad = vec![
        Outgoing { subject: "elsewhere.x".to_owned(), ..message(1) },
        Outgoing { subject: "events.order placed".to_owned(), ..message(2) },
        Outgoing { subject: "events.*".to_owned(), ..message(3) },
        Outgoing { headers: Headers::from_iter([("a", "b\r\nc: d".to_owned())]), ..message(4) },
        Outgoing { headers: Headers::from_iter([("a:b", "c".to_owned())]), ..message(5) },
        Outgoing { message_id: "a\nb".to_owned(), ..message(6) },
        Outgoing { message_id: String::new(), ..message(7) },
    ];
    for (result, message) in bus.publish(bad.clone()).await.iter().zip(&bad) {
        assert!(matches!(result, Err(PublishError::Refused(_))), "{result:?} for {message:?}");
    }
    assert_eq!(bus.stream_state().await.expect("state").last_sequence, 0);
}

/// The stream's last sequence and its message ids can be read.
pub async fn tells_where_the_stream_ends(world: &impl World) {
    let bus = provisioned(world).await;
    let before = bus.stream_state().await.expect("state");
    assert_eq!(before.last_sequence, 0);
    let sequences = publish(&bus, messages(0..3)).await;
    let after = bus.stream_state().await.expect("state");
    assert_eq!(after.created, before.created);
    assert_eq!(Some(after.last_sequence), sequences.last().copied());
    assert_eq!(bus.message_id_at(sequences[1]).await.expect("id"), Some("id-1".to_owned()));
    assert_eq!(bus.message_id_at(after.last_sequence + 1).await.expect("id"), None);
}

/// Dead letters are stored, and not among the events.
pub async fn keeps_dead_letters_apart(world: &impl World) {
    let bus = provisioned(world).await;
    publish(&bus, vec![Outgoing { subject: "dead.shipping.ship.events.order.placed.1".to_owned(), ..message(1) }])
        .await;
    assert_eq!(bus.stream_state().await.expect("state").last_sequence, 0);
    // Its own stream, so its own ids.
    let event = bus.publish(vec![message(1)]).await.remove(0).expect("publish");
    assert!(!event.duplicate);
}

/// A dead letter can be read by its sequence: with the subject that it was published to, all its headers and its bytes.
pub async fn shows_a_dead_letter_as_it_is_stored(world: &impl World) {
    let bus = provisioned(world).await;
    let letter = |subject: &str, id| Outgoing { subject: subject.to_owned(), payload: "\u{0}ab".into(), ..message(id) };
    let subjects = ["dead.shipping.ship.events.order.placed.1", "dead.order.cancel.events.payment.declined.2"];
    // Between two events: the sequences are those of the letters' own stream.
    publish(&bus, vec![message(8)]).await;
    let sequences = publish(&bus, vec![letter(subjects[0], 1), letter(subjects[1], 2)]).await;
    publish(&bus, vec![message(9)]).await;
    for ((sequence, subject), id) in sequences.iter().zip(subjects).zip(["id-1", "id-2"]) {
        let found = bus.dead_letter_at(*sequence).await.expect("ask").expect("a letter");
        assert_eq!(found.subject, subject);
        assert_eq!(&found.payload[..], b"\0ab");
        assert_eq!(found.headers.get("ce-type"), Some("order.placed"));
        assert_eq!(found.headers.get("Nats-Msg-Id"), Some(id));
    }
    for nowhere in [0, sequences[1] + 1, u64::MAX] {
        assert_eq!(bus.dead_letter_at(nowhere).await.expect("ask"), None, "{nowhere}");
    }
}
