use std::{collections::BTreeSet, time::Duration};

use async_nats::jetstream::consumer::pull;
use pavane_bus::{Bus, JetStream, Subscription, conformance::World};
use tokio::task::JoinSet;

use super::{consumer, messages, number, soon, start};

const COUNT: usize = 50_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_thousand_go_through_and_nothing_is_left() {
    let server = start().await;
    let bus = server.provisioned().await;
    let mut subscription = bus.subscribe(&consumer(Duration::from_mins(1))).await.unwrap();
    let publishing = tokio::spawn({
        let bus = bus.clone();
        async move {
            for start in (0..COUNT).step_by(1_000) {
                let results = bus.publish(messages(start..start + 1_000)).await;
                assert!(results.iter().all(|result| result.as_ref().is_ok_and(|receipt| !receipt.duplicate)));
            }
        }
    });
    let mut seen = Vec::with_capacity(COUNT);
    while seen.len() < COUNT {
        let deliveries = soon("a delivery", subscription.receive(256)).await.unwrap();
        assert!(deliveries.len() <= 256);
        for delivery in deliveries {
            assert_eq!(delivery.delivered, 1);
            seen.push(number(&delivery));
            delivery.ack().await.unwrap();
        }
    }
    publishing.await.unwrap();
    assert!(seen.iter().copied().eq(0..COUNT), "lost, doubled or out of order");
    soon("close", subscription.close()).await.unwrap();
    let raw = server.raw().await;
    let mut left = raw.get_consumer_from_stream::<pull::Config, _, _>("worker", "EVENTS").await.unwrap();
    let left = left.info().await.unwrap();
    assert_eq!((left.num_ack_pending, left.num_pending), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishers_that_share_little_room_do_not_block_each_other() {
    let server = start().await;
    server.provisioned().await;
    let mut config = server.config();
    config.max_in_flight = 8;
    let bus = JetStream::connect(config).await.unwrap();
    let mut publishers = JoinSet::new();
    for publisher in 0..8 {
        let bus = bus.clone();
        publishers.spawn(async move { bus.publish(messages(publisher * 500..(publisher + 1) * 500)).await });
    }
    let results = soon("publishing", publishers.join_all()).await;
    let sequences: BTreeSet<u64> = results.into_iter().flatten().map(|result| result.unwrap().sequence).collect();
    assert_eq!(sequences.len(), 4_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_under_load_leaves_nothing_behind() {
    let server = start().await;
    let bus = server.provisioned().await;
    let stop = tokio_stop();
    let publishing = tokio::spawn({
        let (bus, mut stopped) = (bus.clone(), stop.subscribe());
        async move {
            let mut published = 0;
            while !*stopped.borrow_and_update() {
                let results = bus.publish(messages(published..published + 100)).await;
                assert!(results.iter().all(Result::is_ok));
                published += 100;
            }
            published
        }
    });
    let mut seen = BTreeSet::new();
    // Instances come and go while messages flow; each leaves in the middle of its work.
    for round in 0..20 {
        let mut subscription = server.connect().await.subscribe(&consumer(Duration::from_mins(1))).await.unwrap();
        for _ in 0..=round {
            for delivery in soon("a delivery", subscription.receive(64)).await.unwrap() {
                assert!(seen.insert(number(&delivery)), "{} was delivered again", number(&delivery));
                delivery.ack().await.unwrap();
            }
        }
        soon("close", subscription.close()).await.unwrap();
    }
    stop.send(true).unwrap();
    let published = soon("publishing", publishing).await.unwrap();
    let mut last = bus.subscribe(&consumer(Duration::from_mins(1))).await.unwrap();
    while seen.len() < published {
        for delivery in soon("what was left", last.receive(256)).await.unwrap() {
            assert!(seen.insert(number(&delivery)), "{} was delivered again", number(&delivery));
            delivery.ack().await.unwrap();
        }
    }
}

fn tokio_stop() -> tokio::sync::watch::Sender<bool> {
    tokio::sync::watch::Sender::new(false)
}
