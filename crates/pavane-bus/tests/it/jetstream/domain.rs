//! JetStream in a domain, behind a leaf node.

use std::time::Duration;

use pavane_bus::{
    Bus, JetStream, PublishError, Topology,
    conformance::World as _,
    jetstream::{Bucket, Config, Start},
    topology::{DECLARATIONS_STREAM, EVENTS},
};
use pavane_testkit::servers::free_port;
use tempfile::TempDir;

use super::{RealServer, consumer, message, receive_one, soon, start_with};

/// A hub with the streams, and a leaf node that has a domain of its own: what a team has whose company runs the hub.
struct HubAndLeaf {
    hub: RealServer,
    leaf: RealServer,
    _stores: [TempDir; 2],
}

impl HubAndLeaf {
    async fn start() -> Self {
        let stores = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        // In place of the block that the test kit writes: the last one counts.
        let jetstream = |domain: &str, store: &TempDir| {
            let store = store.path().display();
            format!("server_name: {domain}\njetstream {{ store_dir: \"{store}\", domain: {domain} }}\n")
        };
        let port = free_port().unwrap();
        let listens = format!("leafnodes {{ listen: \"127.0.0.1:{port}\" }}");
        let hub = start_with(&(jetstream("hub", &stores[0]) + &listens)).await;
        let connects =
            format!("leafnodes {{ reconnect: \"100ms\", remotes: [ {{ url: \"nats-leaf://127.0.0.1:{port}\" }} ] }}");
        let leaf = start_with(&(jetstream("leaf", &stores[1]) + &connects)).await;
        Self { hub, leaf, _stores: stores }
    }

    async fn connect(&self, change: impl FnOnce(&mut Config)) -> JetStream {
        let mut config = self.leaf.config();
        change(&mut config);
        JetStream::connect(config).await.unwrap()
    }
}

/// The leaf finds its hub a moment after it takes clients.
async fn provisioned(bus: &JetStream) {
    soon("a leaf node's connection", async {
        while let Err(error) = Box::pin(bus.provision(&Topology::default())).await {
            assert!(error.is_passing(), "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// It hears of a new stream a moment later; until then nobody stores, and the relay would try again.
async fn stored(bus: &JetStream, number: usize) {
    soon("a stored message", async {
        while let Err(error) = bus.publish(vec![message(number)]).await.remove(0) {
            assert!(matches!(error, PublishError::Unavailable(_)), "{error}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_streams_of_a_hub_are_used_through_a_leaf_node() {
    let servers = HubAndLeaf::start().await;
    let bus = servers.connect(|config| config.domain = Some("hub".to_owned())).await;
    provisioned(&bus).await;
    bus.declare(&Topology::default(), "order", "{}".into()).await.unwrap();
    let mut subscription = bus.subscribe(&consumer(Duration::from_mins(1))).await.unwrap();
    stored(&bus, 1).await;
    stored(&bus, 2).await;
    for _ in 0..2 {
        receive_one(&mut subscription).await.ack().await.unwrap();
    }
    assert_eq!(bus.stream_state().await.unwrap().last_sequence, 2);
    assert_eq!(bus.message_id_at(2).await.unwrap().as_deref(), Some("id-2"));
    let position = bus.consumer_position("worker").await.unwrap().unwrap();
    assert_eq!((position.delivered, position.settled), (2, 2));
    let mut reader = bus.read(EVENTS, &[], Start::First).await.unwrap();
    assert_eq!(soon("messages", reader.next(9)).await.unwrap().len(), 2);
    let claims = Bucket::open(bus.clone(), "claims", Duration::from_hours(1)).await.unwrap();
    soon("a claim", async { while claims.put("7", 0, "mine".into()).await.is_err() {} }).await;
    assert_eq!(claims.get("7").await.unwrap().unwrap().value, "mine");

    let hub = servers.hub.connect().await;
    assert_eq!(hub.stream_report(EVENTS).await.unwrap().unwrap().messages, 2);
    assert_eq!(hub.stream_report(DECLARATIONS_STREAM).await.unwrap().unwrap().messages, 1);
    let without = servers.connect(|_| {}).await;
    assert_eq!(without.stream_report(EVENTS).await.unwrap(), None, "it is in the leaf's own domain");
}

/// An import may have any name; a domain's own subject is one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_prefix_says_where_jetstream_is() {
    let servers = HubAndLeaf::start().await;
    let bus = servers.connect(|config| config.api_prefix = Some("$JS.hub.API".to_owned())).await;
    provisioned(&bus).await;
    let mut subscription = bus.subscribe(&consumer(Duration::from_mins(1))).await.unwrap();
    stored(&bus, 1).await;
    receive_one(&mut subscription).await.ack().await.unwrap();
    assert_eq!(servers.hub.connect().await.stream_report(EVENTS).await.unwrap().unwrap().messages, 1);
}

/// What isn't answered names the subject that was asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_that_is_not_there_is_named() {
    let servers = HubAndLeaf::start().await;
    let bus = servers.connect(|config| config.domain = Some("moon".to_owned())).await;
    let error = bus.provision(&Topology::default()).await.unwrap_err();
    assert!(error.is_passing() && error.to_string().contains("$JS.moon.API.STREAM.INFO.EVENTS"), "{error}");
}
