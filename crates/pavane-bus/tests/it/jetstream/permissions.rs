use std::time::Duration;

use pavane_bus::{
    Bus, ConsumerConfig, Error, JetStream, Outgoing, PublishError, Subscription, Topology,
    jetstream::{Config, Login},
};
use tokio::time::Instant;

use super::{RealServer, consumer, message, receive_one, soon, start_with};

/// Faster than a time-out, so known from the server's own words.
const AT_ONCE: Duration = Duration::from_secs(2);

const USERS: &str = r#"
authorization {
  users: [
    { user: admin, password: admin }
    { user: order, password: order, permissions: {
        publish: { allow: [
          "events.order.>", "$JS.API.CONSUMER.INFO.EVENTS.worker", "$JS.API.CONSUMER.MSG.NEXT.EVENTS.worker",
          "$JS.ACK.EVENTS.worker.>" ] }
        subscribe: { allow: [ "_INBOX_order.>" ] } } }
    { user: blind, password: blind, permissions: {
        publish: { allow: [ "events.order.>", "$JS.API.CONSUMER.INFO.EVENTS.worker" ] }
        subscribe: { allow: [ "_INBOX_blind.>" ] } } }
    { user: deaf, password: deaf, permissions: {
        publish: { allow: [ ">" ] }
        subscribe: { allow: [ "_INBOX_other.>" ] } } }
  ]
}"#;

async fn connect(server: &RealServer, user: &str) -> JetStream {
    let mut config = Config::new(server.0.url(), user);
    config.login = Some(Login::User(user.to_owned(), user.to_owned()));
    JetStream::connect(config).await.unwrap()
}

/// The streams, and the consumer that an administrator made for the services.
async fn prepared() -> RealServer {
    let server = start_with(USERS).await;
    let admin = connect(&server, "admin").await;
    admin.provision(&Topology::default()).await.unwrap();
    admin.subscribe(&consumer(Duration::from_mins(1))).await.unwrap().close().await.unwrap();
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn least_permissions_are_enough() {
    let server = prepared().await;
    let bus = connect(&server, "order").await;
    bus.publish(vec![message(1)]).await.remove(0).unwrap();
    let mut subscription = bus.subscribe(&consumer(Duration::from_mins(1))).await.unwrap();
    receive_one(&mut subscription).await.ack().await.unwrap();
    subscription.close().await.unwrap();
    bus.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forbidden_subject_is_named_and_what_was_under_way_goes_through() {
    let server = prepared().await;
    let bus = connect(&server, "order").await;
    let forbidden = Outgoing { subject: "events.payment.authorized.7".to_owned(), ..message(2) };
    let started = Instant::now();
    let results = bus.publish(vec![message(1), forbidden, message(3)]).await;
    assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
    let Err(PublishError::Denied(text)) = &results[1] else { panic!("{:?}", results[1]) };
    assert!(text.contains("events.payment.authorized.7"), "{text}");
    assert!(started.elapsed() < AT_ONCE, "took {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forbidden_request_is_denied_and_named() {
    let server = prepared().await;
    let bus = connect(&server, "order").await;
    let started = Instant::now();
    let error = bus.provision(&Topology::default()).await.unwrap_err();
    assert!(matches!(&error, Error::Denied(text) if text.contains("$JS.API.STREAM.INFO.EVENTS")), "{error}");
    let other = ConsumerConfig { durable: "other".to_owned(), ..consumer(Duration::from_mins(1)) };
    let error = bus.subscribe(&other).await.unwrap_err();
    assert!(matches!(&error, Error::Denied(text) if text.contains("$JS.API.CONSUMER.INFO.EVENTS.other")), "{error}");
    assert!(started.elapsed() < AT_ONCE, "took {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forbidden_pull_is_denied_and_named() {
    let server = prepared().await;
    let bus = connect(&server, "blind").await;
    let mut subscription = bus.subscribe(&consumer(Duration::from_mins(1))).await.unwrap();
    let started = Instant::now();
    let error = soon("a denial", subscription.receive(1)).await.unwrap_err();
    assert!(matches!(&error, Error::Denied(text) if text.contains("MSG.NEXT.EVENTS.worker")), "{error}");
    assert!(started.elapsed() < AT_ONCE, "took {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forbidden_inbox_is_denied_and_named() {
    let server = prepared().await;
    let bus = connect(&server, "deaf").await;
    let started = Instant::now();
    for _ in 0..2 {
        let error = bus.stream_state().await.unwrap_err();
        assert!(matches!(&error, Error::Denied(text) if text.contains("_INBOX_deaf")), "{error}");
    }
    assert!(started.elapsed() < AT_ONCE, "took {:?}", started.elapsed());
}

#[tokio::test]
async fn wrong_credentials_are_denied_at_once() {
    let server = start_with(USERS).await;
    let mut config = Config::new(server.0.url(), "order");
    config.login = Some(Login::User("order".to_owned(), "wrong".to_owned()));
    let started = Instant::now();
    let error = JetStream::connect(config).await.unwrap_err();
    assert!(matches!(error, Error::Denied(_)), "{error}");
    assert!(started.elapsed() < AT_ONCE, "took {:?}", started.elapsed());
}
