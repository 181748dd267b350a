//! Two systems share an account.

use std::time::Duration;

use pavane_bus::{
    Bus, Error, JetStream, Outgoing, Topology,
    conformance::World,
    jetstream::{Bucket, Config, Start},
    topology::{AUDIT, DEAD_LETTERS, DECLARATIONS_STREAM, EVENTS},
};

use super::{RealServer, consumer, message, receive_one, soon, start, start_with};

/// Everything that a bus promises, it promises in a namespace.
struct InNamespace(RealServer);

impl World for InNamespace {
    type Bus = JetStream;

    async fn connect(&self) -> JetStream {
        connect(&self.0, Some("shop")).await
    }
}

async fn in_namespace() -> InNamespace {
    InNamespace(start().await)
}

mod conformance {
    pavane_bus::conformance_tests!(super::super::in_namespace);
}

async fn connect(server: &RealServer, namespace: Option<&str>) -> JetStream {
    let mut config = server.config();
    config.namespace = namespace.map(str::to_owned);
    JetStream::connect(config).await.unwrap()
}

/// Three systems with the same services: one in no namespace, and two whose names begin alike.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systems_in_one_account_see_nothing_of_each_other() {
    let server = start().await;
    let mut systems = Vec::new();
    for (number, namespace) in [None, Some("shop"), Some("shop-2")].into_iter().enumerate() {
        let bus = connect(&server, namespace).await;
        bus.provision(&Topology::default()).await.unwrap();
        let subscription = bus.subscribe(&consumer(Duration::from_mins(1))).await.unwrap();
        systems.push((number, namespace, bus, subscription));
    }
    for (number, _, bus, _) in &systems {
        // The same event, the same id: nobody else's duplicate.
        let event = Outgoing { payload: number.to_string().into(), ..message(7) };
        let letter = Outgoing { subject: "dead.order.ship.events.order.placed.7".to_owned(), ..event.clone() };
        for result in bus.publish(vec![event, letter]).await {
            assert!(!result.unwrap().duplicate);
        }
        bus.declare(&Topology::default(), "order", number.to_string().into()).await.unwrap();
    }
    for (number, _, bus, subscription) in &mut systems {
        let delivery = receive_one(subscription).await;
        assert_eq!(delivery.message.subject, "events.order.placed.7");
        assert_eq!(delivery.message.payload, number.to_string());
        delivery.ack().await.unwrap();
        let letter = bus.dead_letter_at(1).await.unwrap().unwrap();
        assert_eq!(letter.subject, "dead.order.ship.events.order.placed.7");
        for stream in [EVENTS, DEAD_LETTERS, DECLARATIONS_STREAM] {
            let report = bus.stream_report(stream).await.unwrap().unwrap();
            assert_eq!((report.messages, report.name), (1, bus.name_of(stream)));
            let mut reader = bus.read(stream, &[], Start::First).await.unwrap();
            let stored = soon("a message", reader.next(9)).await.unwrap();
            assert_eq!((stored.len(), &stored[0].message.payload[..]), (1, number.to_string().as_bytes()));
        }
        assert_eq!(bus.stream_report(EVENTS).await.unwrap().unwrap().subjects, ["events.>", "redrive.>"]);
        let consumers = bus.consumer_reports(EVENTS).await.unwrap();
        assert_eq!((consumers.len(), &consumers[0].filters[..]), (1, &["events.order.>".to_owned()][..]));
    }
}

/// What is on the wire, for who writes permissions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_on_the_wire_begins_with_the_namespace() {
    let server = start().await;
    let bus = connect(&server, Some("shop")).await;
    bus.provision(&Topology::default()).await.unwrap();
    bus.provision_audit().await.unwrap();
    bus.declare(&Topology::default(), "order", "{}".into()).await.unwrap();
    let claims = Bucket::open(bus.clone(), "claims", Duration::from_hours(1)).await.unwrap();
    claims.put("7", 0, "mine".into()).await.unwrap().unwrap();
    assert_eq!(claims.get("7").await.unwrap().unwrap().value, "mine");
    let raw = server.raw().await;
    for (name, subjects) in [
        ("shop_EVENTS", &["shop.events.>", "shop.redrive.>"][..]),
        ("shop_DEAD_LETTERS", &["shop.dead.>"]),
        ("shop_AUDIT", &["shop.audit.>"]),
        ("KV_shop_PAVANE_MANIFESTS", &["$KV.shop_PAVANE_MANIFESTS.>"]),
        ("KV_shop_claims", &["$KV.shop_claims.>"]),
    ] {
        assert_eq!(raw.get_stream(name).await.unwrap().cached_info().config.subjects, subjects);
    }
    assert!(raw.get_stream(EVENTS).await.is_err() && bus.name_of(AUDIT) == "shop_AUDIT");
    // Any client can read a bucket as the key-value bucket that it is.
    let bucket = raw.get_key_value("shop_PAVANE_MANIFESTS").await.unwrap();
    assert_eq!(bucket.get("order").await.unwrap().unwrap(), "{}");
}

/// The permissions that docs/operations.md tells, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_one_namespace_can_do_nothing_in_another() {
    let server = start_with(
        r#"authorization { users: [
            { user: admin, password: admin }
            { user: order, password: order, permissions: {
                publish: { allow: [
                  "shop.events.order.>", "shop.wake.order", "$JS.API.CONSUMER.INFO.shop_EVENTS.worker",
                  "$JS.API.CONSUMER.MSG.NEXT.shop_EVENTS.worker", "$JS.ACK.shop_EVENTS.worker.>" ] }
                subscribe: { allow: [ "shop._INBOX_order.>", "shop.wake.order" ] } } } ] }"#,
    )
    .await;
    let connect = async |user: &str, namespace: &str| {
        let mut config = Config::new(server.0.url().replace("//", &format!("//{user}:{user}@")), user);
        config.namespace = Some(namespace.to_owned());
        JetStream::connect(config).await.unwrap()
    };
    for namespace in ["shop", "other"] {
        let admin = connect("admin", namespace).await;
        admin.provision(&Topology::default()).await.unwrap();
        admin.subscribe(&consumer(Duration::from_mins(1))).await.unwrap();
    }
    let own = connect("order", "shop").await;
    own.publish(vec![message(1)]).await.remove(0).unwrap();
    let mut subscription = own.subscribe(&consumer(Duration::from_mins(1))).await.unwrap();
    receive_one(&mut subscription).await.ack().await.unwrap();
    own.wake("order").await.unwrap();
    let foreign = connect("order", "other").await;
    let denied = foreign.publish(vec![message(1)]).await.remove(0).unwrap_err().to_string();
    assert!(denied.contains("denied") && denied.contains("other._INBOX_order"), "{denied}");
    assert!(matches!(foreign.subscribe(&consumer(Duration::from_mins(1))).await, Err(Error::Denied(_))));
}
