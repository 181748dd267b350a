use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use pavane_bus::{Bus, ConsumerConfig, Error, Subscription, conformance::World};

use super::{consumer, message, receive_one, soon, start};

const LONG: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_deleted_while_waiting_is_gone() {
    let server = start().await;
    let bus = server.provisioned().await;
    let mut subscription = bus.subscribe(&consumer(LONG)).await.unwrap();
    let receiving = tokio::spawn(async move { subscription.receive(1).await.map(|deliveries| deliveries.len()) });
    let raw = server.raw().await;
    let mut watched = raw.get_consumer_from_stream::<pull::Config, _, _>("worker", "EVENTS").await.unwrap();
    soon("a pull", async {
        while watched.info().await.unwrap().num_waiting == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    raw.delete_consumer_from_stream("worker", "EVENTS").await.unwrap();
    let result = soon("an end", receiving).await.unwrap();
    assert!(matches!(&result, Err(Error::Gone(name)) if name == "worker"), "{result:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_deleted_before_the_next_pull_is_gone() {
    let server = start().await;
    let bus = server.provisioned().await;
    bus.publish(vec![message(1)]).await.remove(0).unwrap();
    let mut subscription = bus.subscribe(&consumer(LONG)).await.unwrap();
    receive_one(&mut subscription).await.ack().await.unwrap();
    server.raw().await.delete_consumer_from_stream("worker", "EVENTS").await.unwrap();
    let result = soon("an end", subscription.receive(1)).await;
    assert!(matches!(&result, Err(Error::Gone(name)) if name == "worker"), "{result:?}");
    assert!(matches!(soon("close", subscription.close()).await, Err(Error::Gone(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_stream_takes_its_consumer_along() {
    let server = start().await;
    let bus = server.provisioned().await;
    let mut subscription = bus.subscribe(&consumer(LONG)).await.unwrap();
    server.raw().await.delete_stream("EVENTS").await.unwrap();
    let result = soon("an end", subscription.receive(1)).await;
    assert!(matches!(&result, Err(Error::Gone(_))), "{result:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_would_give_up_is_refused() {
    let server = start().await;
    let bus = server.provisioned().await;
    let stream = server.raw().await.get_stream("EVENTS").await.unwrap();
    let other = pull::Config {
        durable_name: Some("worker".to_owned()),
        filter_subject: "events.order.>".to_owned(),
        max_deliver: 5,
        ack_policy: AckPolicy::Explicit,
        backoff: vec![Duration::from_secs(1)],
        ..pull::Config::default()
    };
    stream.create_consumer(other).await.unwrap();
    let Err(Error::Differs { difference, .. }) = bus.subscribe(&consumer(LONG)).await.map(drop) else {
        panic!("accepted")
    };
    assert!(difference.contains("max_deliver is 5, wanted -1") && difference.contains("backoff"), "{difference}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_filters_are_said_clearly() {
    let server = start().await;
    let bus = server.provisioned().await;
    let filter_subjects = vec!["events.order.>".to_owned(), "events.order.placed.>".to_owned()];
    let result = bus.subscribe(&ConsumerConfig { filter_subjects, ..consumer(LONG) }).await.map(drop);
    assert!(matches!(&result, Err(Error::Other(text)) if text.contains("overlap")), "{result:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejection_tells_its_reason_to_operators() {
    use futures_util::StreamExt;
    let server = start().await;
    let bus = server.provisioned().await;
    bus.publish(vec![message(1)]).await.remove(0).unwrap();
    let client = async_nats::connect(server.0.url()).await.unwrap();
    let mut advisories = client.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>").await.unwrap();
    client.flush().await.unwrap();
    let mut subscription = server.connect().await.subscribe(&consumer(LONG)).await.unwrap();
    receive_one(&mut subscription).await.reject("the amount is negative").await.unwrap();
    let advisory = soon("an advisory", advisories.next()).await.unwrap();
    let text = String::from_utf8_lossy(&advisory.payload).into_owned();
    assert!(text.contains("the amount is negative"), "{text}");
}
