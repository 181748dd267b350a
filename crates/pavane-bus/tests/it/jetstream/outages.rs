use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use futures_util::StreamExt as _;
use pavane_bus::{
    Bus, Error, JetStream, Outgoing, PublishError, Subscription, Topology, conformance::World, jetstream::Config,
};
use pavane_testkit::servers::{Direction, Proxy, free_port};
use tokio::time::Instant;

use super::{RealServer, consumer, message, messages, number, receive_one, soon, start};

const BATCH: usize = 100;
const ACK_WAIT: Duration = Duration::from_secs(2);

/// Publishes in order, again and again until everything is stored, as a relay does.
async fn relay(bus: &JetStream, count: usize) -> usize {
    let (mut done, mut failures) = (0, 0);
    while done < count {
        let results = bus.publish(messages(done..count.min(done + BATCH))).await;
        done += results.iter().take_while(|result| result.is_ok()).count();
        if let Some(error) = results.into_iter().find_map(Result::err) {
            assert!(matches!(error, PublishError::Unavailable(_)), "{error}");
            failures += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    failures
}

/// Receives and acks until every number was seen.
async fn consume(subscription: &mut impl Subscription, count: usize) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        for delivery in subscription.receive(64).await.unwrap() {
            seen.insert(number(&delivery));
            delivery.ack().await.unwrap();
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_in_the_middle_loses_nothing() {
    const COUNT: usize = 20_000;
    let mut server = start().await;
    let bus = server.provisioned().await;
    let mut subscription = bus.subscribe(&consumer(ACK_WAIT)).await.unwrap();
    let relaying = tokio::spawn({
        let bus = bus.clone();
        async move { relay(&bus, COUNT).await }
    });
    let consuming = tokio::spawn(async move {
        let seen = consume(&mut subscription, COUNT).await;
        (seen, subscription)
    });
    for half in [COUNT / 4, COUNT / 2] {
        soon("progress", async {
            while bus.stream_state().await.unwrap().last_sequence < half as u64 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        server.0.kill().await.unwrap();
        server.0.restart().await.unwrap();
        soon("a reconnect", async {
            while !bus.health().connected || bus.stream_state().await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
    let failures = soon("publishing", relaying).await.unwrap();
    let (seen, subscription) = soon("consuming", consuming).await.unwrap();
    assert_eq!(seen.len(), COUNT);
    assert!(failures > 0, "the server was killed too late to matter");
    assert_eq!(bus.health().reconnects, 2);
    soon("close", subscription.close()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_receive_goes_on_after_a_restart() {
    let mut server = start().await;
    let bus = server.provisioned().await;
    let mut subscription = bus.subscribe(&consumer(ACK_WAIT)).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(100), subscription.receive(10)).await;
    assert!(waited.is_err(), "received from an empty stream");
    server.0.restart().await.unwrap();
    let started = Instant::now();
    soon("publishing", relay(&bus, 1)).await;
    let delivery = receive_one(&mut subscription).await;
    assert_eq!(delivery.delivered, 1);
    assert!(started.elapsed() < Duration::from_secs(5), "resumed after {:?}", started.elapsed());
}

/// A connection through a network that fails on demand.
async fn through_proxy(server: &RealServer, request_timeout: Duration) -> (Proxy, JetStream) {
    let upstream = SocketAddr::from(([127, 0, 0, 1], server.0.port()));
    let proxy = Proxy::start(upstream).await.unwrap();
    let mut config = Config::new(format!("nats://{}", proxy.address()), "test");
    config.request_timeout = request_timeout;
    let bus = JetStream::connect(config).await.unwrap();
    (proxy, bus)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_falls_silent_makes_publishing_fail_in_time() {
    const TIMEOUT: Duration = Duration::from_millis(500);
    let server = start().await;
    server.provisioned().await;
    let (proxy, bus) = through_proxy(&server, TIMEOUT).await;
    proxy.black_hole(Direction::ToClient);
    let started = Instant::now();
    let results = bus.publish(messages(0..1_000)).await;
    assert!(results.iter().all(|result| matches!(result, Err(PublishError::Unavailable(_)))), "{results:?}");
    // One time-out for all, not one each.
    assert!(started.elapsed() < TIMEOUT * 3, "took {:?}", started.elapsed());
    let stored = server.connect().await.stream_state().await.unwrap().last_sequence;
    assert!(stored <= 256, "{stored} were sent without an answer to any");
    // Now one by one.
    let results = bus.publish(messages(1_000..2_000)).await;
    assert!(results.iter().all(Result::is_err));
    let probed = server.connect().await.stream_state().await.unwrap().last_sequence;
    assert_eq!(probed, stored + 1);
    proxy.heal();
    soon("publishing", relay(&bus, 2_000)).await;
    assert_eq!(server.connect().await.stream_state().await.unwrap().last_sequence, 2_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_makes_publishing_fail_at_once() {
    let server = start().await;
    server.provisioned().await;
    let (proxy, bus) = through_proxy(&server, Duration::from_mins(1)).await;
    // In flight when the connection breaks.
    proxy.black_hole(Direction::ToClient);
    let publishing = tokio::spawn({
        let bus = bus.clone();
        async move { bus.publish(messages(0..10)).await }
    });
    let witness = server.connect().await;
    soon("storing", async {
        while witness.stream_state().await.unwrap().last_sequence < 10 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    proxy.refuse();
    let results = soon("failing", publishing).await.unwrap();
    assert!(results.iter().all(|result| matches!(result, Err(PublishError::Unavailable(_)))), "{results:?}");
    // While disconnected: nothing is queued.
    soon("the disconnection", async {
        while bus.health().connected {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let results = soon("failing", bus.publish(vec![message(10)])).await;
    assert!(matches!(results[0], Err(PublishError::Unavailable(_))), "{results:?}");
    proxy.heal();
    soon("publishing", relay(&bus, 20)).await;
    assert_eq!(witness.stream_state().await.unwrap().last_sequence, 20);
    assert_eq!(bus.health().reconnects, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_neither_loses_nor_doubles_credits() {
    const COUNT: usize = 3_000;
    let server = start().await;
    let witness = server.provisioned().await;
    let (proxy, bus) = through_proxy(&server, Duration::from_secs(5)).await;
    let mut subscription = bus.subscribe(&consumer(ACK_WAIT)).await.unwrap();
    let consuming = tokio::spawn(async move {
        let seen = consume(&mut subscription, COUNT).await;
        (seen, subscription)
    });
    for third in 0..3 {
        proxy.cut();
        let results = witness.publish(messages(third * COUNT / 3..(third + 1) * COUNT / 3)).await;
        assert!(results.iter().all(Result::is_ok));
    }
    let (seen, subscription) = soon("consuming", consuming).await.unwrap();
    assert_eq!(seen.len(), COUNT);
    soon("close", subscription.close()).await.unwrap();
}

#[tokio::test]
async fn no_server_is_said_clearly_and_in_time() {
    let mut config = Config::new(format!("nats://127.0.0.1:{}", free_port().unwrap()), "test");
    config.connect_within = Duration::from_millis(600);
    let started = Instant::now();
    let error = JetStream::connect(config.clone()).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(3), "took {:?}", started.elapsed());
    assert!(matches!(error, Error::Unavailable(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains(&config.url) && text.contains("NATS_URL"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_starts_later_is_waited_for() {
    let mut server = start().await;
    let config = server.config();
    server.0.kill().await.unwrap();
    let connecting = tokio::spawn(JetStream::connect(config));
    server.0.restart().await.unwrap();
    let bus = soon("a connection", connecting).await.unwrap().unwrap();
    bus.provision(&Topology::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_works_after_close_and_nothing_hangs() {
    let server = start().await;
    let bus = server.provisioned().await;
    let mut subscription = bus.subscribe(&consumer(ACK_WAIT)).await.unwrap();
    bus.publish(vec![message(1)]).await.remove(0).unwrap();
    let delivery = receive_one(&mut subscription).await;
    soon("close", bus.close()).await;
    let result = soon("publishing", bus.publish(vec![message(2)])).await.remove(0);
    assert!(matches!(result, Err(PublishError::Unavailable(_))), "{result:?}");
    assert!(soon("receiving", subscription.receive(1)).await.is_err());
    assert!(soon("acking", delivery.ack()).await.is_err());
    assert!(soon("asking", bus.stream_state()).await.is_err());
    assert!(!bus.health().connected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_that_the_server_forgot_is_noticed() {
    let server = start().await;
    let witness = server.provisioned().await;
    let (proxy, bus) = through_proxy(&server, Duration::from_secs(1)).await;
    let mut subscription = bus.subscribe(&consumer(ACK_WAIT)).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(100), subscription.receive(10)).await;
    assert!(waited.is_err(), "received from an empty stream");
    // Neither the delivery nor a heartbeat gets through, and the connection looks well.
    proxy.black_hole(Direction::ToClient);
    witness.publish(vec![message(1)]).await.remove(0).unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(13), subscription.receive(10)).await;
    assert!(waited.is_err(), "received through a black hole");
    proxy.heal();
    // It went to an inbox that was given up, so it comes again after its ack wait.
    let delivery = receive_one(&mut subscription).await;
    assert_eq!(number(&delivery), 1);
    assert!(delivery.delivered > 1, "the old pull was still taken for alive");
    assert_eq!(bus.health().reconnects, 0);
}

/// What a server says first, and then nothing.
async fn impostor(version: &str) -> SocketAddr {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let info = format!(
        "INFO {{\"server_id\":\"x\",\"version\":\"{version}\",\"host\":\"x\",\"port\":1,\"headers\":true,\"max_payload\":1048576,\
         \"proto\":1,\"go\":\"go1\",\"client_id\":1,\"server_name\":\"x\"}}\r\n"
    );
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.into_split();
        write.write_all(info.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if line == "PING" {
                write.write_all(b"PONG\r\n").await.unwrap();
            }
        }
    });
    address
}

#[tokio::test]
async fn a_server_that_is_too_old_is_refused() {
    let address = impostor("2.10.7").await;
    let error = JetStream::connect(Config::new(format!("nats://{address}"), "test")).await.unwrap_err();
    let Error::Unsupported(text) = &error else { panic!("{error}") };
    assert!(text.contains("2.10.8") && text.contains("2.10.7"), "{text}");
}

/// A leader that steps down may refuse a message, and its successor store the next one.
#[tokio::test]
async fn what_has_the_key_of_a_message_that_is_refused_is_not_sent_after_it() {
    let server = start().await;
    let bus = server.connect().await;
    // In the place of the stream: it refuses the first message once the second has come.
    let leader = async_nats::connect(server.0.url()).await.unwrap();
    let mut published = leader.subscribe("events.>").await.unwrap();
    // Once its own message comes back, the server knows of it.
    leader.publish("events.ready", "".into()).await.unwrap();
    published.next().await.unwrap();
    let leading = tokio::spawn(async move {
        let first = published.next().await.unwrap();
        let second = published.next().await.unwrap();
        let answer = async |to: &async_nats::Message, body: &'static str| {
            leader.publish(to.reply.clone().unwrap(), body.into()).await.unwrap();
        };
        answer(&second, r#"{"stream":"EVENTS","seq":1}"#).await;
        answer(
            &first,
            r#"{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}"#,
        )
        .await;
        leader.flush().await.unwrap();
        (published, leader)
    });
    let of = |key: usize, id: &str| Outgoing { message_id: id.to_owned(), ..message(key) };
    let results = bus.publish(vec![of(1, "first"), of(2, "other"), of(1, "second")]).await;
    let [first, other, second] = results.as_slice() else { panic!("{results:?}") };
    assert!(matches!(first, Err(PublishError::Unavailable(_))), "{first:?}");
    assert!(other.is_ok(), "{other:?}");
    assert!(matches!(second, Err(PublishError::Unavailable(text)) if text.contains("not sent")), "{second:?}");
    bus.close().await;
    let (mut published, leader) = leading.await.unwrap();
    leader.drain().await.unwrap();
    assert!(published.next().await.is_none(), "the second event of the key was sent");
}
